//! A name server, a master and a slave, as real processes: the slave has what the master has, byte by byte and table by table;
//! clients go on reading there while the master is away, and what they commit meanwhile is the master's when it is back.

mod common;
#[path = "common/messages.rs"]
mod messages;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::ports::free_port;
use common::{Process, client, processes, pull_message, send_message, update_topic};
use messages::messages;
use remoting::body::{DelayOffsets, SubscriptionGroupConfig, TopicConfigWrapper, fastjson};
use remoting::client::Client;
use remoting::connection::Response;
use remoting::header::{NoHeader, Request};
use remoting::protocol::ResponseCode;
use remoting::protocol::group::UpdateGroup;
use remoting::protocol::offset::{
    GetAllDelayOffset, GetMaxOffset, OffsetReply, QueryConsumerOffset, ResetOffset, UpdateConsumerOffset,
};
use remoting::protocol::send::SendMessageReply;
use remoting::protocol::timer::GetTimerCheckPoint;
use remoting::protocol::topic::{DeleteTopic, GetAllTopicConfig, GetAllTopicConfigReply};
use remoting::types::{Clock, QueueId, QueueOffset, Timestamp};
use store::timer::{CHECKPOINT_BYTES, TimerCheckpoint};

const TOPIC: &str = "copied";
const GROUP: &str = "readers";
const QUEUES: i32 = 2;
const PATIENCE: Duration = Duration::from_secs(30);
const ANSWER_MAX: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Master,
    Slave,
    /// The master of another set.
    Other,
}

struct Pair {
    folder: tempfile::TempDir,
    name_server: u16,
    ports: HashMap<Who, u16>,
    running: HashMap<Who, Process>,
    /// Settings of all brokers besides those that are needed.
    extra: &'static str,
    _names: Process,
    client: Client,
    number: u64,
    sent: HashMap<(i32, i64), u64>,
}

impl Pair {
    /// A master and its slave.
    async fn start() -> Self {
        Self::start_with("", "")
    }

    /// With further settings of name server and brokers.
    fn start_with(of_names: &str, extra: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let name_server = free_port();
        let settings = format!("listenPort={name_server}\n{of_names}");
        let names = processes::start("namesrv", &folder.path().join("names"), &settings, None);
        let mut pair = Self {
            folder,
            name_server,
            ports: [Who::Master, Who::Slave, Who::Other].map(|who| (who, free_port())).into(),
            running: HashMap::new(),
            extra,
            _names: names,
            client: client(),
            number: 0,
            sent: HashMap::new(),
        };
        pair.start_one(Who::Master);
        pair.start_one(Who::Slave);
        pair
    }

    fn root(&self, who: Who) -> PathBuf {
        self.folder.path().join(format!("{who:?}"))
    }

    fn addr(&self, who: Who) -> String {
        format!("127.0.0.1:{}", self.ports[&who])
    }

    fn start_one(&mut self, who: Who) {
        let role = if who == Who::Slave { "SLAVE\nbrokerId=1" } else { "ASYNC_MASTER\nbrokerId=0" };
        self.start_as(who, role);
    }

    fn start_as(&mut self, who: Who, role: &str) {
        let root = self.root(who);
        let port = self.ports[&who];
        let (set, extra) = (if who == Who::Other { "other" } else { "pair" }, self.extra);
        let settings = format!(
            "brokerName={set}\nbrokerIP1=127.0.0.1\nlistenPort={port}\nstorePathRootDir={}\nbrokerRole={role}\n\
             namesrvAddr=127.0.0.1:{}\nslaveReadEnable=true\nmessageDelayLevel=1s 6s 15s\nflushConsumerOffsetInterval=100\n\
             mappedFileSizeCommitLog=131072\nmappedFileSizeConsumeQueue=6000\nmaxMessageSize=32768\n{extra}",
            root.join("store").display(),
            self.name_server,
        );
        self.running.insert(who, processes::start("broker", &root, &settings, None));
    }

    fn kill(&mut self, who: Who) {
        self.running.remove(&who).expect("it runs").kill();
    }

    /// As SIGTERM, at which it closes everything.
    fn stop(&mut self, who: Who) {
        let status = self.running.remove(&who).expect("it runs").stop();
        assert!(status.success(), "{status}\n{}", self.logs());
    }

    fn logs(&self) -> String {
        [Who::Master, Who::Slave, Who::Other]
            .map(|who| format!("--- {who:?}\n{}", processes::log_of(&self.root(who))))
            .concat()
    }

    async fn try_ask<R: Request>(&self, who: Who, header: &R, body: &Bytes) -> Option<Response> {
        self.client.call(&self.addr(who), header, body.clone(), ANSWER_MAX).await.ok()
    }

    /// Asks until there is a success.
    async fn ask<R: Request + std::fmt::Debug>(&self, who: Who, header: &R, body: &Bytes) -> (R::Reply, Bytes) {
        let since = Instant::now();
        loop {
            let answer = self.try_ask(who, header, body).await;
            if let Some(answer) = answer.filter(|answer| answer.code() == ResponseCode::SUCCESS) {
                return answer.success().expect("a reply");
            }
            assert!(since.elapsed() < PATIENCE, "no answer to {header:?}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn send(&mut self, count: u64) {
        for _ in 0..count {
            self.number += 1;
            let header = send_message(TOPIC, QUEUES, self.number);
            let (SendMessageReply { queue_id, queue_offset, .. }, _) =
                self.ask(Who::Master, &header, &self.number.to_string().into()).await;
            self.sent.insert((queue_id.0, queue_offset.0), self.number);
        }
    }

    async fn commit(&self, who: Who, queue: i32, offset: i64) {
        let commit = UpdateConsumerOffset {
            consumer_group: GROUP.into(),
            topic: TOPIC.into(),
            queue_id: QueueId(queue),
            commit_offset: QueueOffset(offset),
            forward: None,
        };
        self.ask(who, &commit, &Bytes::new()).await;
    }

    async fn committed(&self, who: Who, queue: i32) -> Option<i64> {
        let asked = QueryConsumerOffset {
            consumer_group: GROUP.into(),
            topic: TOPIC.into(),
            queue_id: QueueId(queue),
            set_zero_if_not_found: Some(false),
        };
        let answer = self.try_ask(who, &asked, &Bytes::new()).await?;
        let (OffsetReply { offset }, _) = answer.success().ok()?;
        Some(offset.0)
    }

    async fn has_topic(&self, who: Who, topic: &str) -> bool {
        let all = GetAllTopicConfig { topic_seq: None, data_version: None, max_topic_num: None };
        let answer = self.try_ask(who, &all, &Bytes::new()).await;
        let body = answer.and_then(|answer| answer.success::<GetAllTopicConfigReply>().ok()).map(|(_, body)| body);
        body.is_some_and(|body| {
            let topics: TopicConfigWrapper = fastjson::read(&body).expect("topics");
            topics.topic_config_table.contains_key(topic)
        })
    }

    async fn messages(&self, who: Who) -> HashMap<(i32, i64), u64> {
        messages(&self.client, &self.addr(who), (TOPIC, GROUP, QUEUES), ANSWER_MAX).await
    }

    /// How many messages queue 0 of a topic has had.
    async fn count_of(&self, who: Who, topic: &str) -> i64 {
        let asked = GetMaxOffset { topic: topic.into(), queue_id: QueueId(0), committed: None };
        let answer = self.try_ask(who, &asked, &Bytes::new()).await;
        answer.and_then(|answer| answer.success::<OffsetReply>().ok()).map_or(0, |(reply, _)| reply.offset.0)
    }

    /// How many delayed messages of a level are delivered, as far as this broker knows.
    async fn delivered_of_level(&self, who: Who, level: i32) -> i64 {
        let answer = self.try_ask(who, &GetAllDelayOffset {}, &Bytes::new()).await;
        let body = answer.and_then(|answer| answer.success::<NoHeader>().ok()).map(|(_, body)| body);
        body.and_then(|body| {
            let known: DelayOffsets = fastjson::read(&body).expect("delay offsets");
            known.offset_table.get(&level).copied()
        })
        .unwrap_or(0)
    }

    /// All timed messages that were due before are delivered, as far as this broker knows.
    async fn timed_until(&self, who: Who) -> Timestamp {
        let (_, body) = self.ask(who, &GetTimerCheckPoint {}, &Bytes::new()).await;
        TimerCheckpoint::decode(body.first_chunk::<CHECKPOINT_BYTES>().expect("a checkpoint")).read_time
    }

    /// Returns once the slave has everything that was sent.
    async fn until_copied(&self) {
        self.until("the slave has all", async || {
            let found = self.messages(Who::Slave).await;
            self.sent.iter().all(|(place, number)| found.get(place) == Some(number))
        })
        .await;
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let since = Instant::now();
        while !holds().await {
            assert!(since.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What is in the files of a folder of the store, by name.
    fn files(&self, who: Who, folder: &str) -> BTreeMap<String, Vec<u8>> {
        processes::files_in(&self.root(who).join("store").join(folder))
    }

    /// Nothing went wrong that a person would have to look at.
    fn check_logs(&self) {
        assert_eq!(processes::errors_in(&self.logs()), [""; 0]);
    }
}

async fn topic_and_group(pair: &Pair) {
    pair.ask(Who::Master, &update_topic(TOPIC, QUEUES), &Bytes::new()).await;
    let group = SubscriptionGroupConfig { retry_max_times: 7, ..SubscriptionGroupConfig::new(GROUP) };
    pair.ask(Who::Master, &UpdateGroup {}, &fastjson::write(&group).into()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slave_has_what_its_master_has() {
    let mut pair = Pair::start().await;
    topic_and_group(&pair).await;
    pair.send(600).await;
    pair.commit(Who::Master, 0, 123).await;
    pair.until_copied().await;
    pair.until("the offset is copied", async || pair.committed(Who::Slave, 0).await == Some(123)).await;

    // An administrator may also move a group back.
    let reset = ResetOffset {
        topic: TOPIC.into(),
        group: GROUP.into(),
        queue_id: Some(QueueId(0)),
        offset: Some(QueueOffset(50)),
        timestamp: Timestamp(-1),
        is_force: Some(true),
    };
    pair.ask(Who::Master, &reset, &Bytes::new()).await;
    pair.until("the reset is copied", async || pair.committed(Who::Slave, 0).await == Some(50)).await;

    pair.ask(Who::Master, &update_topic("shortlived", 1), &Bytes::new()).await;
    pair.until("a topic is copied", async || pair.has_topic(Who::Slave, "shortlived").await).await;
    pair.ask(Who::Master, &DeleteTopic { topic: "shortlived".into() }, &Bytes::new()).await;
    pair.until("a topic goes", async || !pair.has_topic(Who::Slave, "shortlived").await).await;

    // A slave takes no messages.
    let refused = pair.try_ask(Who::Slave, &send_message(TOPIC, QUEUES, 0), &Bytes::from_static(b"0")).await;
    assert_eq!(refused.map(|answer| answer.code()), Some(ResponseCode::SYSTEM_BUSY));

    // It goes on where it was, after a stop and a crash.
    pair.stop(Who::Slave);
    pair.send(200).await;
    pair.start_one(Who::Slave);
    pair.until_copied().await;
    pair.kill(Who::Slave);
    pair.send(200).await;
    pair.start_one(Who::Slave);
    pair.until_copied().await;

    pair.stop(Who::Slave);
    pair.stop(Who::Master);
    for folder in ["commitlog", "consumequeue/copied/0", "consumequeue/copied/1"] {
        let (masters, slaves) = (pair.files(Who::Master, folder), pair.files(Who::Slave, folder));
        assert!(!masters.is_empty(), "{folder}");
        assert_eq!(masters.keys().collect::<Vec<_>>(), slaves.keys().collect::<Vec<_>>(), "{folder}");
        for (name, bytes) in masters {
            assert!(slaves[&name] == bytes, "{folder}/{name} differs");
        }
    }
    pair.check_logs();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_while_the_master_is_away_is_the_masters_when_it_is_back() {
    let mut pair = Pair::start().await;
    topic_and_group(&pair).await;
    pair.send(300).await;
    pair.commit(Who::Master, 0, 20).await;
    pair.commit(Who::Master, 1, 30).await;
    pair.until_copied().await;
    pair.until("offsets are copied", async || {
        (pair.committed(Who::Slave, 0).await, pair.committed(Who::Slave, 1).await) == (Some(20), Some(30))
    })
    .await;
    // It is saved every moment, so a kill does not forget it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    pair.kill(Who::Master);

    // Whoever asks for more than there is waits, and is not moved.
    let beyond = pull_message(TOPIC, GROUP, 0, QueueOffset(10_000), 100);
    pair.until("readers wait", async || {
        let answer = pair.try_ask(Who::Slave, &beyond, &Bytes::new()).await;
        answer.is_some_and(|answer| answer.code() == ResponseCode::PULL_NOT_FOUND)
    })
    .await;
    assert_eq!(pair.messages(Who::Slave).await.len(), 300);
    pair.commit(Who::Slave, 0, 140).await;
    // Behind what the master knows.
    pair.commit(Who::Slave, 1, 10).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    pair.kill(Who::Slave);
    pair.start_one(Who::Slave);
    pair.until("a slave alone serves", async || pair.committed(Who::Slave, 0).await == Some(140)).await;

    pair.start_one(Who::Master);
    pair.until("the master knows", async || pair.committed(Who::Master, 0).await == Some(140)).await;
    pair.until("the slave goes on with the master", async || pair.committed(Who::Slave, 1).await == Some(30)).await;
    assert_eq!((pair.committed(Who::Slave, 0).await, pair.committed(Who::Master, 1).await), (Some(140), Some(30)));
    pair.commit(Who::Master, 0, 145).await;
    pair.until("the slave follows", async || pair.committed(Who::Slave, 0).await == Some(145)).await;
    pair.send(50).await;
    pair.until_copied().await;
    pair.check_logs();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slave_that_becomes_the_master_goes_on_with_what_waits() {
    let mut pair = Pair::start().await;
    topic_and_group(&pair).await;
    pair.send(100).await;
    // One that is delivered, and one that waits, of each kind.
    for wait in
        ["DELAY\u{1}1\u{2}", "TIMER_DELAY_MS\u{1}1000\u{2}", "DELAY\u{1}3\u{2}", "TIMER_DELAY_MS\u{1}15000\u{2}"]
    {
        pair.number += 1;
        let mut header = send_message(TOPIC, QUEUES, pair.number);
        header.properties = header.properties.map(|properties| properties + wait);
        pair.ask(Who::Master, &header, &pair.number.to_string().into()).await;
    }
    pair.commit(Who::Master, 0, 33).await;
    let delivered = async |who| pair.messages(who).await.len();
    pair.until("some are delivered", async || delivered(Who::Master).await >= 102).await;
    let seen = Clock::system().now();
    pair.until("they are copied", async || {
        delivered(Who::Slave).await >= 102 && pair.committed(Who::Slave, 0).await == Some(33)
    })
    .await;
    pair.until("the slave knows that they are delivered", async || {
        pair.delivered_of_level(Who::Slave, 1).await >= 1 && pair.timed_until(Who::Slave).await >= seen
    })
    .await;
    pair.kill(Who::Master);
    pair.stop(Who::Slave);

    pair.start_as(Who::Slave, "ASYNC_MASTER\nbrokerId=0");
    pair.until("all are delivered", async || pair.messages(Who::Slave).await.len() >= 104).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut numbers: Vec<_> = pair.messages(Who::Slave).await.into_values().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=104).collect::<Vec<_>>(), "each once");
    assert_eq!(pair.committed(Who::Slave, 0).await, Some(33));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slave_that_acts_for_its_master_delivers_what_waits_to_another_set() {
    let names = "supportActingMaster=true\nnotifyMinBrokerIdChanged=true\nscanNotActiveBrokerInterval=500\n";
    let brokers = "enableSlaveActingMaster=true\nenableRemoteEscape=true\ntotalReplicas=2\n\
                   brokerNotActiveTimeoutMillis=2000\ntransactionCheckInterval=1000\ntimerMaxDelaySec=1000000\n";
    let mut pair = Pair::start_with(names, brokers);
    pair.start_one(Who::Other);
    topic_and_group(&pair).await;
    pair.ask(Who::Other, &update_topic(TOPIC, QUEUES), &Bytes::new()).await;
    pair.send(10).await;
    // Before what waits is sent: the master must not deliver any of it.
    pair.until_copied().await;
    let waits = ["DELAY\u{1}2\u{2}", "TIMER_DELAY_MS\u{1}7000\u{2}", "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}producers\u{2}"];
    for wait in waits {
        pair.number += 1;
        let mut header = send_message(TOPIC, QUEUES, pair.number);
        header.properties = header.properties.map(|properties| properties + wait);
        if wait.starts_with("TRAN_MSG") {
            header.sys_flag = 4;
            // One that is too old is given up.
            header.born_timestamp = Clock::system().now();
        }
        pair.ask(Who::Master, &header, &pair.number.to_string().into()).await;
    }
    pair.until_copied().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    pair.kill(Who::Master);

    pair.until("what waits is delivered elsewhere", async || pair.messages(Who::Other).await.len() >= 2).await;
    let half = async || pair.count_of(Who::Other, "RMQ_SYS_TRANS_HALF_TOPIC").await;
    pair.until("what is in doubt is moved", async || half().await >= 1).await;
    let mut numbers: Vec<_> = pair.messages(Who::Other).await.into_values().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [11, 12], "each once");

    // The master hears of it before it is shown, and delivers nothing again.
    pair.start_one(Who::Master);
    pair.until("the master serves", async || pair.messages(Who::Master).await.len() == 10).await;
    pair.send(1).await;
    pair.until_copied().await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(pair.messages(Who::Master).await.len(), 11, "{}", pair.logs());
    assert_eq!(pair.messages(Who::Other).await.len(), 2);
}
