use remoting::body::KvTable;
use remoting::protocol::admin::GetBrokerRuntimeInfo;

use super::*;

/// What the exporter and mqadmin parse, and cannot do without.
const NEEDED: [&str; 44] = [
    "brokerVersionDesc",
    "brokerVersion",
    "brokerActive",
    "bootTimestamp",
    "runtime",
    "putTps",
    "getFoundTps",
    "getMissTps",
    "getTotalTps",
    "getTransferredTps",
    "getTransferedTps",
    "putMessageTimesTotal",
    "putMessageFailedTimes",
    "putMessageSizeTotal",
    "putMessageAverageSize",
    "putMessageEntireTimeMax",
    "getMessageEntireTimeMax",
    "putMessageDistributeTime",
    "dispatchMaxBuffer",
    "dispatchBehindBytes",
    "pageCacheLockTimeMills",
    "earliestMessageTimeStamp",
    "startAcceptSendRequestTimeStamp",
    "commitLogMinOffset",
    "commitLogMaxOffset",
    "commitLogDiskRatio",
    "consumeQueueDiskRatio",
    "commitLogDirCapacity",
    "remainHowManyDataToFlush",
    "remainTransientStoreBufferNumbs",
    "msgPutTotalYesterdayMorning",
    "msgPutTotalTodayMorning",
    "msgPutTotalTodayNow",
    "msgGetTotalYesterdayMorning",
    "msgGetTotalTodayMorning",
    "msgGetTotalTodayNow",
    "sendThreadPoolQueueSize",
    "sendThreadPoolQueueCapacity",
    "sendThreadPoolQueueHeadWaitTimeMills",
    "pullThreadPoolQueueSize",
    "queryThreadPoolQueueSize",
    "ackThreadPoolQueueHeadWaitTimeMills",
    "EndTransactionQueueSize",
    "timerReadBehind",
];

#[tokio::test]
async fn every_figure_that_tools_read_is_there() {
    let fixture = Fixture::new();
    let table =
        async || ask_json::<_, _, KvTable>(&fixture.admin.runtime, GetBrokerRuntimeInfo {}).await.unwrap().table;
    let empty = table().await;
    for key in NEEDED {
        assert!(empty.contains_key(key), "{key}");
    }
    assert_eq!(empty["earliestMessageTimeStamp"], "-1");
    assert_eq!(empty["brokerVersionDesc"], "V5_5_0");
    assert_eq!(empty["brokerActive"], "true");
    assert!(empty.keys().any(|key| key.starts_with("commitLogDiskRatio_/")), "one per path");
    let capacity: Vec<_> = empty["commitLogDirCapacity"].split(' ').collect();
    assert_eq!((capacity.len(), capacity[0], capacity[4], &capacity[3][1..]), (8, "Total", "Free", "iB,"));

    let start = fixture.surroundings.ctx.clock.now();
    fixture.append("T", 0, 2);
    fixture.stats.put(&"T".into(), QueueId(0), 2, 2, 100);
    let filled = table().await;
    assert_eq!(filled["earliestMessageTimeStamp"], (start.0 + 1000).to_string());
    assert_eq!((filled["msgPutTotalTodayNow"].as_str(), filled["putMessageTimesTotal"].as_str()), ("2", "2"));
    assert_eq!(filled["commitLogMaxOffset"], fixture.store.max_physical_offset().to_string());
    for rate in ["putTps", "getTransferredTps"] {
        assert_eq!(filled[rate].split(' ').filter(|rate| rate.parse::<f64>().is_ok()).count(), 3);
    }
}
