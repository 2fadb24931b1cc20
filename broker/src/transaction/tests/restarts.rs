use std::path::Path;

use remoting::types::{QueueOffset, Timestamp};
use store::Store;
use store::message::{Message, StoredMessage, sys_flag};

use super::super::{QUEUE, half_topic, op_topic};
use super::fixture::{Asked, COMMIT, Fixture, ROLLBACK};

const OP: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
const START: Timestamp = Timestamp(1_000_000);

async fn again(folder: &Path, seconds: i64) -> Fixture {
    let fixture = Fixture::at(folder, Timestamp(START.0 + seconds * 1000), Store::open).unwrap();
    fixture.transactions.recover().await.unwrap();
    fixture
}

#[tokio::test]
async fn a_restart_goes_on_where_the_last_run_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let halves: Vec<_> = (0..10).map(|number| fixture.prepare(&number.to_string())).collect();
    for half in &halves {
        match half.queue_offset.0 {
            3 | 8 => {}
            5 => drop(fixture.end(*half, ROLLBACK)),
            _ => drop(fixture.end(*half, COMMIT)),
        }
    }
    fixture.stop().await;
    let fixture = again(folder.path(), 0).await;
    assert_eq!((fixture.in_doubt(), fixture.starts()), (vec![3, 8], (3, 0)));
    let producer = fixture.producer(1).await;
    fixture.pass(10);
    fixture.transactions.check().await;
    let asked = fixture.asked(&producer);
    assert_eq!(asked.iter().map(Asked::text).collect::<Vec<_>>(), ["3", "8"]);
    // A producer may also end what it began with the broker of before.
    asked.iter().for_each(|asked| fixture.answer(asked, COMMIT));
    fixture.stop().await;
    let fixture = again(folder.path(), 60).await;
    assert_eq!((fixture.in_doubt(), fixture.starts()), (vec![], (12, 3)));
    assert_eq!(fixture.bodies("T"), ["0", "1", "2", "4", "6", "7", "9", "3", "8"]);
}

#[tokio::test]
async fn what_was_committed_before_a_crash_is_not_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let [one, two, three] = ["1", "2", "3"].map(|body| fixture.prepare(body));
    fixture.end(one, COMMIT);
    fixture.end(two, ROLLBACK);
    // No op message was written, nor any offset saved.
    fixture.into_store().close().unwrap();
    let fixture = again(folder.path(), 0).await;
    assert_eq!(fixture.in_doubt(), [two, three].map(|half| half.queue_offset.0));
    fixture.transactions.write_ops().await;
    assert_eq!(fixture.bodies(OP), ["0,"], "and now it is written down");
}

#[tokio::test]
async fn a_copy_replaces_its_original_also_if_nothing_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    fixture.prepare("x");
    fixture.prepare("y");
    // As Java does it, or a write that was torn: the copy is there, and no op message.
    let record = fixture.records("RMQ_SYS_TRANS_HALF_TOPIC").remove(0);
    let stored = StoredMessage::parse(&record).unwrap();
    let properties = format!("{}TRANSACTION_CHECK_TIMES\u{1}1\u{2}", stored.properties);
    let host = fixture.ctx.identity.host;
    let copy = Message { properties: &properties, ..Message::new(half_topic(), QUEUE, b"x", host) };
    let mut batch = fixture.store.batch();
    batch.push(&copy).unwrap();
    fixture.store.append(&mut batch).unwrap();
    fixture.into_store().close().unwrap();
    assert_eq!(again(folder.path(), 0).await.in_doubt(), [1, 2]);
}

#[tokio::test]
async fn only_the_end_of_the_log_is_looked_through() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let old = fixture.prepare_with("old", "CHECK_IMMUNITY_TIME_IN_SECONDS=100000;");
    let put = |topic, properties: &str, sys_flag, prepared: i64| {
        let host = fixture.ctx.identity.host;
        let properties = properties.replace('=', "\u{1}").replace(';', "\u{2}");
        let mut batch = fixture.store.batch();
        let message = Message {
            properties: &properties,
            sys_flag,
            prepared_transaction_offset: prepared,
            ..Message::new(topic, QUEUE, b"99,", host)
        };
        batch.push(&message).unwrap();
        fixture.store.append(&mut batch).unwrap();
    };
    let topic = "T".into();
    // This one lies before op messages that would have named it, had it been of that half message.
    put(&topic, "UNIQ_KEY=K-old;", sys_flag::TRANSACTION_COMMIT, old.physical_offset.0);
    for _ in 0..2 {
        put(op_topic(), "TAGS=d;", 0, 0);
        put(&topic, "", 0, 0);
    }
    // This one names another message, and those no half message at all.
    put(&topic, "UNIQ_KEY=other;", sys_flag::TRANSACTION_COMMIT, old.physical_offset.0);
    put(&topic, "UNIQ_KEY=other;", sys_flag::TRANSACTION_COMMIT, 1 << 40);
    put(&topic, "", sys_flag::TRANSACTION_COMMIT, -1);
    fixture.into_store().close().unwrap();
    let fixture = again(folder.path(), 0).await;
    assert_eq!(fixture.in_doubt(), [0]);
}

#[tokio::test]
async fn op_messages_of_java_4_9_and_broken_ones_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    for number in 0..6 {
        fixture.prepare(&number.to_string());
    }
    for (properties, body) in
        [("TAGS=d", "1"), ("TAGS=d;", "3,x,4,-7,99999999999,,"), ("TAGS=e;", "0,"), ("", "2,"), ("TAGS=d;", "")]
    {
        let properties = properties.replace('=', "\u{1}").replace(';', "\u{2}");
        let host = fixture.ctx.identity.host;
        let message = Message { properties: &properties, ..Message::new(op_topic(), QUEUE, body.as_bytes(), host) };
        let mut batch = fixture.store.batch();
        batch.push(&message).unwrap();
        fixture.store.append(&mut batch).unwrap();
    }
    fixture.into_store().close().unwrap();
    let fixture = again(folder.path(), 0).await;
    assert_eq!(fixture.in_doubt(), [0, 2, 5]);
}

#[tokio::test]
async fn offsets_behind_the_end_of_the_log_are_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("config")).unwrap();
    let table = r#"{"offsetTable":{"RMQ_SYS_TRANS_HALF_TOPIC@CID_RMQ_SYS_TRANS":{0:50},
        "RMQ_SYS_TRANS_OP_HALF_TOPIC@CID_RMQ_SYS_TRANS":{0:50}}}"#;
    std::fs::write(folder.path().join("config/consumerOffset.json"), table).unwrap();
    let fixture = Fixture::new(folder.path());
    fixture.transactions.recover().await.unwrap();
    let half = fixture.prepare("x");
    assert_eq!((half.queue_offset, fixture.in_doubt()), (QueueOffset(0), vec![0]));
    assert_eq!(fixture.starts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_running_broker_writes_down_and_asks_in_time() {
    use std::sync::Arc;
    use tokio::time::{Duration, sleep};
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path());
    let producer = fixture.producer(1).await;
    fixture.transactions.start();
    let halves = ["0", "1"].map(|body| fixture.prepare(body));
    fixture.end(halves[0], COMMIT);
    let pass = async |seconds: u64| {
        for _ in 0..seconds {
            fixture.pass(1);
            sleep(Duration::from_secs(1)).await;
        }
    };
    pass(4).await;
    assert_eq!((fixture.bodies(OP), fixture.asked(&producer).len()), (vec!["0,".to_owned()], 0));
    pass(28).await;
    let asked = fixture.asked(&producer);
    assert_eq!(asked.len(), 1);
    fixture.answer(&asked[0], COMMIT);
    // What is not written down yet is when the broker stops.
    fixture.ctx.stopping.cancel();
    fixture.ctx.tasks.close();
    fixture.ctx.tasks.wait().await;
    assert_eq!(fixture.bodies(OP), ["0,", "1,", "2,"]);
    let offset = |topic| fixture.offsets.get("CID_RMQ_SYS_TRANS", topic, QUEUE);
    assert_eq!((offset(half_topic()), offset(op_topic())), (Some(QueueOffset(3)), Some(QueueOffset(3))));
    assert_eq!(Arc::strong_count(&fixture.transactions), 1, "nothing goes on");
}
