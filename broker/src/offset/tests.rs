use remoting::body::{
    ConsumerOffsets, CorrectionOffsets, DataVersion, OffsetNews, ResetOffsetBody, SubscriptionGroupConfig, TopicConfig,
    fastjson,
};
use remoting::connection::{Peer, ReplyTo};
use remoting::frame::RemotingCommand;
use remoting::protocol::ResponseCode;
use remoting::protocol::client::Heartbeat;
use remoting::protocol::offset::UpdateConsumerOffset;
use remoting::router::{Handle, HandleBatch, IntoResponse};
use remoting::types::Timestamp;
use std::fs;
use store::StoreConfig;
use store::message::Message;

use super::agreed::Waiting;
use super::progress::Start;
use super::*;
use crate::context::Role;
use crate::testing::{Surroundings, call, command, peer};

struct Fixture {
    offsets: Arc<Offsets>,
    surroundings: Surroundings,
}

impl Fixture {
    fn new() -> Self {
        Self::on(Surroundings::new())
    }

    /// Topic `T` of two queues, group `g`.
    fn on(surroundings: Surroundings) -> Self {
        Self::with_memory(surroundings, 40)
    }

    /// `percent` of the machine's memory is taken to hold the end of the log.
    fn with_memory(surroundings: Surroundings, percent: u32) -> Self {
        let ctx = surroundings.ctx.clone();
        let config = StoreConfig {
            commit_log_file_bytes: 1 << 20,
            access_message_in_memory_max_ratio: percent,
            ..StoreConfig::new(surroundings.folder.path().join("store"))
        };
        let (store, _) = Store::open(config, ctx.clock.clone()).unwrap();
        let folder = surroundings.folder.path().join("config");
        let topics = TopicTable::open(ctx.clone(), &folder).unwrap();
        let groups = GroupTable::open(ctx.clone(), &folder).unwrap();
        topics.put(TopicConfig::new("T", 2, 6), &crate::topic::AttributeChanges::default()).unwrap();
        groups.put_all(vec![SubscriptionGroupConfig::new("g")]).unwrap();
        let clients =
            Clients::open(ctx.clone(), &folder, Arc::clone(&topics), Arc::clone(&groups), Arc::default()).unwrap();
        let offsets = Offsets::open(ctx, &folder, store, topics, groups, clients).unwrap();
        Self { offsets, surroundings }
    }

    /// Saves and starts anew.
    fn reopen(self) -> Self {
        let Self { offsets, surroundings } = self;
        offsets.save();
        offsets.store.close().unwrap();
        drop(offsets);
        Self::on(surroundings)
    }

    fn append(&self, topic: &str, queue: i32, count: usize) {
        let mut batch = self.offsets.store.batch();
        let host = self.surroundings.ctx.identity.host;
        for _ in 0..count {
            batch.push(&Message::new(&topic.into(), QueueId(queue), b"x", host)).unwrap();
            self.offsets.store.append(&mut batch).unwrap();
        }
        // Dispatch is part of an append that is not flushed.
        assert_eq!(self.offsets.store.confirmed(), self.offsets.store.max_physical_offset());
    }

    fn get(&self, group: &str, topic: &str, queue: i32) -> Option<i64> {
        self.offsets.get(group, topic, QueueId(queue)).map(|offset| offset.0)
    }

    fn commit(&self, group: &str, topic: &str, queue: i32, offset: i64) -> (ResponseCode, Option<String>) {
        let header = UpdateConsumerOffset {
            consumer_group: group.into(),
            topic: topic.into(),
            queue_id: QueueId(queue),
            commit_offset: QueueOffset(offset),
            forward: None,
        };
        self.update(command(&header))
    }

    fn update(&self, command: RemotingCommand) -> (ResponseCode, Option<String>) {
        let peer = peer(1);
        self.offsets.handle_batch(&mut vec![command], &peer);
        let [answer] = <[_; 1]>::try_from(peer.take_sent().unwrap()).unwrap();
        (answer.response_code(), answer.remark)
    }

    async fn query(&self, queue: i32, set_zero_if_not_found: Option<bool>) -> Result<i64, OffsetError> {
        let header = QueryConsumerOffset {
            consumer_group: "g".into(),
            topic: "T".into(),
            queue_id: QueueId(queue),
            set_zero_if_not_found,
        };
        Ok(self.offsets.handle(call(header, "", &peer(1))).await?.header().unwrap().offset.0)
    }

    /// The new offsets by queue.
    async fn reset(&self, request: ResetOffset) -> Result<Vec<(i32, i64)>, OffsetError> {
        let reply = self.offsets.handle(call(request, "", &peer(1))).await?;
        let body: ResetOffsetBody = fastjson::read(&reply.content()).unwrap();
        let entry = |(key, offset): (fastjson::ObjectKey<remoting::body::MessageQueue>, QueueOffset)| {
            assert_eq!((key.0.topic.as_str(), key.0.broker_name.as_str()), ("T", "broker-a"));
            (key.0.queue_id.0, offset.0)
        };
        Ok(body.offset_table.into_iter().map(entry).collect())
    }
}

fn reset_all(timestamp: i64) -> ResetOffset {
    ResetOffset {
        topic: "T".into(),
        group: "g".into(),
        queue_id: None,
        offset: None,
        timestamp: Timestamp(timestamp),
        is_force: Some(true),
    }
}

fn reset_one(queue: i32, offset: i64) -> ResetOffset {
    ResetOffset { queue_id: Some(QueueId(queue)), offset: Some(QueueOffset(offset)), ..reset_all(0) }
}

#[tokio::test]
async fn a_commit_is_answered_by_what_exists() {
    let fixture = Fixture::new();
    assert_eq!(fixture.commit("g", "T", 0, 5), (ResponseCode::SUCCESS, None));
    assert_eq!(fixture.get("g", "T", 0), Some(5));
    assert_eq!(fixture.commit("g", "T", 0, 3), (ResponseCode::SUCCESS, None));
    assert_eq!(fixture.get("g", "T", 0), Some(3), "backwards is allowed");
    assert_eq!(fixture.commit("g", "T", 7, 1), (ResponseCode::SUCCESS, None), "no queue is checked");
    let refused = |code, remark: &str| (code, Some(remark.to_owned()));
    assert_eq!(
        fixture.commit("x", "T", 0, 5),
        refused(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, "Group x not exist!")
    );
    assert_eq!(fixture.commit("g", "X", 0, 5), refused(ResponseCode::TOPIC_NOT_EXIST, "Topic X not exist!"));
    let mut without = RemotingCommand::request(RequestCode::UPDATE_CONSUMER_OFFSET);
    without.ext = [("consumerGroup", "g"), ("topic", "T"), ("commitOffset", "1")].into_iter().collect();
    assert_eq!(
        fixture.update(without.clone()),
        refused(ResponseCode::INVALID_PARAMETER, "QueueId is null, topic is T")
    );
    without.ext = [("consumerGroup", "g"), ("topic", "T"), ("queueId", "1")].into_iter().collect();
    assert_eq!(fixture.update(without), refused(ResponseCode::INVALID_PARAMETER, "Offset is null, topic is T"));
}

#[tokio::test]
async fn a_one_way_commit_is_taken_and_not_answered() {
    let fixture = Fixture::new();
    let header = UpdateConsumerOffset {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: QueueId(0),
        commit_offset: QueueOffset(9),
        forward: None,
    };
    let one_way = RemotingCommand { flag: RemotingCommand::ONE_WAY, ..command(&header) };
    let peer = peer(1);
    fixture.offsets.handle_batch(&mut vec![one_way.clone(), one_way], &peer);
    assert!(peer.take_sent().unwrap().is_empty());
    assert_eq!(fixture.get("g", "T", 0), Some(9));
}

#[tokio::test]
async fn what_is_committed_behind_the_last_save_is_refused() {
    let fixture = Fixture::new();
    assert_eq!(fixture.commit("g", "T", 0, 5), (ResponseCode::SUCCESS, None));
    fixture.offsets.close();
    fixture.offsets.persist().await;
    assert_eq!(fixture.commit("g", "T", 0, 6).0, ResponseCode::SERVICE_NOT_AVAILABLE);
    let folder = fixture.surroundings.folder.path().join("config");
    let saved: ConsumerOffsets = crate::persist::Home::from(&folder).load(FILE).unwrap().unwrap();
    assert_eq!(saved.offset_table["T@g"], [(0, 5)].into());
}

#[tokio::test]
async fn a_commit_that_comes_too_late_for_the_group_is_not_left_waiting() {
    let waiting = || {
        let to = ReplyTo::of(&RemotingCommand::request(RequestCode::UPDATE_CONSUMER_OFFSET));
        vec![Waiting { peer: peer(1), to, remark: None }]
    };
    let unanswered = Unanswered::default();
    assert!(unanswered.add(waiting()).is_ok());
    assert_eq!(unanswered.close().len(), 1);
    assert_eq!(unanswered.add(waiting()).map_err(|late| late.len()), Err(1));
    assert!(unanswered.take().is_empty());
}

#[tokio::test]
async fn a_group_has_a_bounded_number_of_queues() {
    let progress = Progress::default();
    for queue in 0..100_000 {
        assert_eq!(progress.commit(QueueId(queue), QueueOffset(1)), Commit::Done);
    }
    assert_eq!(progress.commit(QueueId(-5), QueueOffset(1)), Commit::TooManyQueues);
    assert_eq!(progress.commit(QueueId(5), QueueOffset(2)), Commit::Done);
}

#[tokio::test]
async fn offsets_survive_a_reopen() {
    let fixture = Fixture::new();
    fixture.commit("g", "T", 0, 5);
    fixture.commit("g", "T", 1, 6);
    let progress = fixture.offsets.progress(&"g".into(), &"T".into());
    progress.pull(QueueId(0), QueueOffset(8), None, false);
    assert_eq!(fixture.offsets.pull_offset("g", "T", QueueId(0)), Some(QueueOffset(8)));
    let fixture = fixture.reopen();
    assert_eq!((fixture.get("g", "T", 0), fixture.get("g", "T", 1)), (Some(5), Some(6)));
    assert_eq!(
        fixture.offsets.pull_offset("g", "T", QueueId(0)),
        Some(QueueOffset(5)),
        "pulls are not kept, as in Java"
    );
    assert_eq!(fixture.offsets.topics_of("g"), ["T"]);
    assert_eq!(fixture.offsets.groups_of("T"), ["g"]);
}

#[tokio::test(start_paused = true)]
async fn offsets_are_saved_every_interval_and_only_when_they_changed() {
    let fixture = Fixture::new();
    let path = fixture.surroundings.folder.path().join("config/consumerOffset.json");
    fixture.offsets.start();
    fixture.commit("g", "T", 0, 5);
    tokio::time::sleep(tokio::time::Duration::from_millis(5001)).await;
    let wait = async || {
        while !path.exists() {
            tokio::task::yield_now().await;
        }
    };
    wait().await;
    assert!(fs::read_to_string(&path).unwrap().contains("\"offsetTable\":{\"T@g\":{0:5}}"));
    fs::remove_file(&path).unwrap();
    fixture.offsets.save();
    assert!(!path.exists(), "nothing changed since");
    fixture.surroundings.ctx.stopping.cancel();
    fixture.surroundings.ctx.tasks.close();
    fixture.surroundings.ctx.tasks.wait().await;
}

#[tokio::test]
async fn javas_files_load() {
    // As 5.5.0 and 4.9.7 wrote them: bare numbers as keys, members that nobody reads, odd line breaks, no data version.
    let java_5 = include_str!("../../../remoting/golden/config/java-5.5.0/consumerOffset.json");
    let java_4 = include_str!("../../../remoting/golden/config/java-4.9.7/consumerOffset.json");
    for (text, order, revive) in [(java_5, 20, Some(18)), (java_4, 20, None)] {
        let surroundings = Surroundings::new();
        let folder = surroundings.folder.path().join("config");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("consumerOffset.json"), text).unwrap();
        let fixture = Fixture::on(surroundings);
        assert_eq!(fixture.get("GID_order", "FixOrder", 0), Some(order));
        assert_eq!(
            (fixture.get("GID_retry", "FixRetry", 0), fixture.get("GID_retry", "FixRetry", 1)),
            (Some(5), Some(5))
        );
        assert_eq!(fixture.get("CID_RMQ_SYS_REVIVE_GROUP", "rmq_sys_REVIVE_LOG_FixCluster", 1), revive);
        let mut topics = fixture.offsets.topics_of("GID_retry");
        topics.sort();
        assert_eq!(topics, ["%RETRY%GID_retry", "FixRetry"]);
        assert_eq!(fixture.offsets.groups_of("FixRetry"), ["GID_retry"]);

        // What we write of it is the same table.
        let written: ConsumerOffsets = fastjson::read(fixture.offsets.to_java().as_bytes()).unwrap();
        let original: ConsumerOffsets = fastjson::read(text.as_bytes()).unwrap();
        assert_eq!(written, original);
    }
}

#[tokio::test]
async fn the_offsets_of_broadcasting_groups_keep_their_name() {
    let surroundings = Surroundings::new();
    let folder = surroundings.folder.path().join("config");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("consumerOffset.json"), r#"{"offsetTable":{"T@g@broadcast":{0:3},"no separator":{0:1}}}"#)
        .unwrap();
    let fixture = Fixture::on(surroundings);
    assert_eq!(fixture.get("g@broadcast", "T", 0), Some(3));
    assert!(fixture.offsets.groups_of("T").is_empty(), "nobody is called so");
    assert!(fixture.offsets.to_java().contains("{\"T@g@broadcast\":{0:3}}"));
}

#[tokio::test]
async fn the_data_version_grows_with_every_500_commits() {
    let fixture = Fixture::new();
    let counter = |fixture: &Fixture| {
        fastjson::read::<ConsumerOffsets>(fixture.offsets.to_java().as_bytes()).unwrap().data_version.counter
    };
    for commits in [(499, 0), (1, 1), (999, 2), (1, 3)] {
        for _ in 0..commits.0 {
            fixture.commit("g", "T", 0, 1);
        }
        assert_eq!(counter(&fixture), commits.1);
    }
    let fixture = fixture.reopen();
    assert_eq!(counter(&fixture), 3);
}

#[tokio::test]
async fn a_slave_gets_the_whole_table() {
    let fixture = Fixture::new();
    fixture.commit("g", "T", 1, 4);
    let reply = fixture.offsets.handle(call(GetAllConsumerOffset {}, "", &peer(1))).await.unwrap();
    let text = String::from_utf8(reply.content()).unwrap();
    assert!(text.ends_with("\"offsetTable\":{\"T@g\":{1:4}}}"), "{text}");
}

#[tokio::test]
async fn a_group_new_to_a_queue_starts_at_0_while_that_is_whole_and_in_memory() {
    let fixture = Fixture::new();
    assert_eq!(fixture.query(0, None).await.unwrap_err().code(), ResponseCode::QUERY_NOT_FOUND, "no queue");
    fixture.append("T", 0, 1);
    assert_eq!(fixture.query(0, None).await.unwrap(), 0);
    let err = fixture.query(0, Some(false)).await.unwrap_err();
    assert_eq!(err.to_string(), "Not found, do not set to zero, maybe this group boot first");
    fixture.commit("g", "T", 0, 1);
    assert_eq!(fixture.query(0, None).await.unwrap(), 1);

    let fixture = Fixture::with_memory(Surroundings::new(), 0);
    fixture.append("T", 0, 1);
    let err = fixture.query(0, None).await.unwrap_err();
    assert_eq!(err.to_string(), "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first", "not in memory");
}

#[tokio::test]
async fn queues_tell_their_bounds() {
    let fixture = Fixture::new();
    let (topic, queue_id) = (TopicName::from("T"), QueueId(0));
    let clock = &fixture.surroundings.ctx.clock;
    let start = clock.now();
    let ask = async |expect: (i64, i64, i64)| {
        let (offsets, topic, peer) = (&fixture.offsets, topic.clone(), peer(1));
        let min = offsets.handle(call(GetMinOffset { topic: topic.clone(), queue_id }, "", &peer)).await.unwrap();
        let max = GetMaxOffset { topic: topic.clone(), queue_id, committed: None };
        let max = offsets.handle(call(max, "", &peer)).await.unwrap();
        let time = offsets.handle(call(GetEarliestStoreTime { topic, queue_id }, "", &peer)).await.unwrap();
        let found =
            (min.header().unwrap().offset.0, max.header().unwrap().offset.0, time.header().unwrap().timestamp.0);
        assert_eq!(found, expect);
    };
    ask((0, 0, -1)).await;
    for _ in 0..3 {
        fixture.append("T", 0, 1);
        clock.advance(std::time::Duration::from_millis(10));
    }
    ask((0, 3, start.0)).await;
    for (after_start, boundary, offset) in [
        (-5, None, 0),
        (0, None, 0),
        (10, None, 1),
        (15, None, 2),
        (15, Some("UPPER"), 1),
        (99, None, 3),
        (99, Some("upper"), 2),
    ] {
        let header = SearchOffset {
            topic: topic.clone(),
            queue_id,
            timestamp: Timestamp(start.0 + after_start),
            boundary_type: boundary.map(Into::into),
        };
        let reply = fixture.offsets.handle(call(header, "", &peer(1))).await.unwrap();
        assert_eq!(reply.header().unwrap().offset.0, offset, "{after_start} {boundary:?}");
    }
}

#[tokio::test]
async fn a_reset_waits_for_the_pull_and_no_commit_undoes_it() {
    let fixture = Fixture::new();
    fixture.append("T", 0, 5);
    fixture.append("T", 1, 3);
    fixture.commit("g", "T", 0, 5);
    assert_eq!(fixture.reset(reset_one(0, 2)).await.unwrap(), [(0, 2)]);
    assert_eq!(fixture.get("g", "T", 0), Some(2));
    let dropped = (ResponseCode::SUCCESS, Some("Offset has been previously reset".to_owned()));
    assert_eq!(fixture.commit("g", "T", 0, 5), dropped);
    assert_eq!(fixture.get("g", "T", 0), Some(2));
    let progress = fixture.offsets.progress(&"g".into(), &"T".into());
    assert_eq!(progress.begin(QueueId(0)), Start { reset: Some(QueueOffset(2)), cold: false });
    assert_eq!(progress.begin(QueueId(0)), Start::default(), "it is told once");
    assert_eq!(fixture.commit("g", "T", 0, 5), (ResponseCode::SUCCESS, None));

    assert_eq!(fixture.reset(reset_all(-1)).await.unwrap(), [(0, 5), (1, 3)], "the end of each queue");
    let start = fixture.surroundings.ctx.clock.now().0;
    assert_eq!(fixture.reset(reset_all(start)).await.unwrap(), [(0, 0), (1, 0)], "by time");
    let one_by_time = ResetOffset { offset: Some(QueueOffset(-1)), ..reset_one(1, 0) };
    let one_by_time = ResetOffset { timestamp: Timestamp(start + 1), ..one_by_time };
    assert_eq!(fixture.reset(one_by_time).await.unwrap(), [(1, 3)]);
    let fixture = fixture.reopen();
    assert_eq!(fixture.get("g", "T", 1), Some(3), "where it was reset to");
}

#[tokio::test]
async fn a_reset_is_refused_where_it_makes_no_sense() {
    let fixture = Fixture::new();
    fixture.append("T", 0, 5);
    let code = async |request| {
        let err = fixture.reset(request).await.unwrap_err();
        (err.code(), err.to_string())
    };
    let out_of_range = "Target offset 7 not in consume queue range [0-5]".to_owned();
    assert_eq!(code(reset_one(0, 7)).await, (ResponseCode::SYSTEM_ERROR, out_of_range));
    assert_eq!(fixture.reset(reset_one(0, 6)).await.unwrap(), [(0, 6)], "Java lets it go one too far");
    let unknown_topic = ResetOffset { topic: "X".into(), ..reset_all(-1) };
    assert_eq!(code(unknown_topic).await, (ResponseCode::TOPIC_NOT_EXIST, "Topic X does not exist".into()));
    let unknown_group = ResetOffset { group: "x".into(), ..reset_all(-1) };
    assert_eq!(
        code(unknown_group).await,
        (ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, "Group x does not exist".into())
    );
    fixture.surroundings.role.send_replace(Role::Slave);
    let slave = "Can not reset offset in slave broker".to_owned();
    assert_eq!(code(reset_all(-1)).await, (ResponseCode::SYSTEM_ERROR, slave));
}

async fn join(fixture: &Fixture, peer: &Peer, topic: &str) {
    let body = format!(
        r#"{{"clientID":"c","consumerDataSet":[{{"groupName":"g",
            "subscriptionDataSet":[{{"topic":"{topic}","subString":"*","subVersion":1}}]}}]}}"#
    );
    fixture.offsets.clients.handle(call(Heartbeat {}, body, peer)).await.unwrap();
}

#[tokio::test]
async fn without_server_side_resets_members_are_told_to_set_their_offsets() {
    let fixture = Fixture::new();
    fixture.surroundings.set(|config| config.use_server_side_reset_offset = false);
    fixture.append("T", 0, 5);
    let code = async |request| fixture.reset(request).await.unwrap_err().code();
    assert_eq!(code(reset_all(-1)).await, ResponseCode::SYSTEM_ERROR, "the group never committed");
    fixture.commit("g", "T", 0, 3);
    fixture.commit("g", "T", 1, 0);
    assert_eq!(code(reset_all(-1)).await, ResponseCode::CONSUMER_NOT_ONLINE);
    let member = peer(2);
    join(&fixture, &member, "T").await;
    assert_eq!(fixture.reset(reset_all(-1)).await.unwrap(), [(0, 5), (1, 0)]);
    let careful = ResetOffset { is_force: Some(false), ..reset_all(-1) };
    assert_eq!(fixture.reset(careful).await.unwrap(), [(0, 3), (1, 0)], "nothing is skipped");
    let sent = member.take_sent().unwrap();
    assert_eq!(sent.len(), 2);
    assert!(
        sent.iter().all(|sent| sent.is_one_way() && sent.request_code() == RequestCode::RESET_CONSUMER_CLIENT_OFFSET)
    );
    // The form that Go cuts by hand.
    let queue = |id| format!(r#"{{"brokerName":"broker-a","queueId":{id},"topic":"T"}}"#);
    let expect = format!(r#"{{"offsetTable":{{{}:5,{}:0}}}}"#, queue(0), queue(1));
    assert_eq!(std::str::from_utf8(&sent[0].body).unwrap(), expect);
    assert_eq!(fixture.get("g", "T", 0), Some(3), "the members commit by themselves");
}

#[tokio::test]
async fn groups_and_topics_take_their_offsets_with_them() {
    let fixture = Fixture::new();
    fixture.offsets.groups.put_all(vec![SubscriptionGroupConfig::new("h")]).unwrap();
    for group in ["g", "h"] {
        fixture.commit(group, "T", 0, 1);
    }
    fixture.offsets.remove_group("g");
    assert_eq!((fixture.get("g", "T", 0), fixture.get("h", "T", 0)), (None, Some(1)));
    fixture.offsets.remove_topic("T");
    assert_eq!(fixture.get("h", "T", 0), None);
    let fixture = fixture.reopen();
    assert_eq!(fixture.get("h", "T", 0), None);
}

#[tokio::test]
async fn a_group_takes_over_the_offsets_of_another() {
    let fixture = Fixture::new();
    fixture.commit("g", "T", 0, 4);
    let copy = async |topic: Option<&str>, offline| {
        let header = CloneGroupOffset {
            src_group: "g".into(),
            dest_group: "h".into(),
            topic: topic.map(Into::into),
            offline: Some(offline),
        };
        fixture.offsets.handle(call(header, "", &peer(1))).await.unwrap();
        let copied = fixture.get("h", "T", 0);
        fixture.offsets.remove_group("h");
        copied
    };
    assert_eq!(copy(Some("T"), false).await, Some(4));
    assert_eq!(copy(None, false).await, Some(4), "no topic: all");
    assert_eq!(copy(Some("X"), false).await, None);
    join(&fixture, &peer(2), "U").await;
    assert_eq!(copy(Some("T"), false).await, None, "the group is online and consumes something else");
    assert_eq!(copy(Some("T"), true).await, Some(4));
}

#[tokio::test]
async fn the_smallest_offset_of_all_groups_is_told_and_nothing_is_deleted() {
    let fixture = Fixture::new();
    fixture.append("T", 0, 9);
    fixture.offsets.groups.put_all(["h", "i"].map(SubscriptionGroupConfig::new).into()).unwrap();
    fixture.commit("g", "T", 0, 4);
    fixture.commit("h", "T", 0, 6);
    fixture.commit("i", "T", 0, 1);
    let ask = async |filter: &str, compare: &str| {
        let header = QueryCorrectionOffset {
            filter_groups: Some(filter.into()),
            compare_group: compare.into(),
            topic: "T".into(),
        };
        let reply = fixture.offsets.handle(call(header, "", &peer(1))).await.unwrap();
        fastjson::read::<CorrectionOffsets>(&reply.content()).unwrap().correction_offsets[&0]
    };
    assert_eq!(ask("", "x").await, 1);
    assert_eq!(ask("i", "x").await, 4);
    assert_eq!(ask("i", "h").await, 4);
    assert_eq!(ask("i,g", "g").await, i64::MAX, "the asking group is behind all others");
    assert_eq!(fixture.get("i", "T", 0), Some(1));
}

fn with_light_queues() -> Surroundings {
    Surroundings::with(|config| config.enable_lmq = true)
}

fn write_offsets(surroundings: &Surroundings, name: &str, text: &str) {
    let folder = surroundings.folder.path().join("config");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), text).unwrap();
}

impl Fixture {
    /// A message in the light queue.
    fn put_light(&self, queue: &str) {
        let mut batch = self.offsets.store.batch();
        let topic = queue.into();
        let host = self.surroundings.ctx.identity.host;
        batch.push(&Message::new(&topic, LIGHT_QUEUE, b"x", host)).unwrap();
        self.offsets.store.append(&mut batch).unwrap();
    }
}

#[tokio::test]
async fn offsets_of_light_queues_are_in_a_file_of_javas() {
    let surroundings = with_light_queues();
    // As Java 5.5.0 writes it; it reads the two tables.
    let text = r#"{"dataVersion":{"counter":0},"groupTopicMap":{},"lmqOffsetTable":{"%LMQ%a@%LMQ%g":7},"offsetTable":{"%LMQ%a@g":{0:5},"T@g":{1:3}},"pullOffsetTable":{}}"#;
    write_offsets(&surroundings, "lmqConsumerOffset.json", text);
    write_offsets(&surroundings, "consumerOffset.json", r#"{"offsetTable":{"T@g":{1:99}}}"#);
    let fixture = Fixture::on(surroundings);
    let of = |group: &str, topic: &str, queue| fixture.get(group, topic, queue);
    assert_eq!((of("%LMQ%g", "%LMQ%a", 0), of("g", "%LMQ%a", 0), of("g", "T", 1)), (Some(7), Some(5), Some(3)));
    fixture.put_light("%LMQ%a");
    fixture.commit("%LMQ%g", "%LMQ%a", 0, 8);
    let java = fixture.offsets.to_java();
    assert!(
        java.contains(r#""lmqOffsetTable":{"%LMQ%a@%LMQ%g":8},"offsetTable":{"%LMQ%a@g":{0:5},"T@g":{1:3}}"#),
        "{java}"
    );
    let fixture = fixture.reopen();
    assert_eq!((fixture.get("%LMQ%g", "%LMQ%a", 0), fixture.get("g", "T", 1)), (Some(8), Some(3)));
}

#[tokio::test]
async fn turning_light_queues_on_keeps_the_offsets_there_are() {
    let surroundings = with_light_queues();
    write_offsets(&surroundings, "consumerOffset.json", r#"{"offsetTable":{"T@g":{1:99}}}"#);
    let fixture = Fixture::on(surroundings);
    assert_eq!(fixture.get("g", "T", 1), Some(99));
    fixture.commit("g", "T", 1, 100);
    assert_eq!(fixture.reopen().get("g", "T", 1), Some(100));
}

#[tokio::test]
async fn nothing_is_kept_of_light_queues_that_nobody_has_sent_to() {
    let fixture = Fixture::on(with_light_queues());
    fixture.put_light("%LMQ%there");
    for queue in ["%LMQ%there", "%LMQ%1", "%LMQ%2"] {
        fixture.commit("g", queue, 0, 1);
    }
    assert_eq!(fixture.offsets.topics_of("g"), ["%LMQ%there"]);
}

impl Fixture {
    /// Of a slave.
    fn of_slave() -> Self {
        let surroundings = Surroundings::new();
        surroundings.role.send_replace(Role::Slave);
        Self::on(surroundings)
    }

    fn copy(&self, key: &str, offsets: &[(i32, i64)], counter: i64) {
        let data_version = DataVersion { counter, ..DataVersion::default() };
        let offset_table = [(key.to_owned(), offsets.iter().copied().collect())].into();
        self.offsets.copy(OffsetNews { data_version, offset_table });
    }

    fn own(&self) -> Vec<(String, i32, i64)> {
        let own = self.offsets.own().into_iter();
        own.map(|own| (format!("{}@{}", own.topic, own.group), own.queue.0, own.offset.0)).collect()
    }
}

#[tokio::test]
async fn a_slaves_offsets_are_its_masters_but_for_what_was_committed_here() {
    let fixture = Fixture::of_slave();
    fixture.copy("T@g", &[(0, 10), (1, 10)], 3);
    fixture.copy("T@other", &[(0, 1)], 4);
    assert_eq!((fixture.get("g", "T", 0), fixture.get("other", "T", 0)), (Some(10), Some(1)));
    assert_eq!(fixture.offsets.version().counter, 4);
    fixture.copy("T@g", &[(0, 4)], 5);
    assert_eq!(fixture.get("g", "T", 0), Some(4), "an administrator has moved the group back");
    assert_eq!(fixture.own(), []);

    fixture.commit("g", "T", 0, 8);
    fixture.commit("g", "T", 1, 9);
    assert_eq!(fixture.own(), [("T@g".to_owned(), 0, 8), ("T@g".to_owned(), 1, 9)]);
    // The master is back with what it knew; of one queue that is more.
    fixture.copy("T@g", &[(0, 4), (1, 10)], 5);
    assert_eq!((fixture.get("g", "T", 0), fixture.get("g", "T", 1)), (Some(8), Some(10)));
    let fixture = fixture.reopen();
    assert_eq!(fixture.own(), [("T@g".to_owned(), 0, 8)], "it is not forgotten by a restart");
    fixture.copy("T@g", &[(0, 4)], 5);
    assert_eq!(fixture.get("g", "T", 0), Some(8));
    // The master has it.
    fixture.copy("T@g", &[(0, 8)], 6);
    assert_eq!(fixture.own(), []);
    fixture.copy("T@g", &[(0, 5)], 7);
    assert_eq!(fixture.get("g", "T", 0), Some(5));
}

#[tokio::test]
async fn what_was_handed_over_is_forgotten_unless_more_was_committed_meanwhile() {
    let fixture = Fixture::of_slave();
    fixture.commit("g", "T", 0, 8);
    fixture.commit("g", "T", 1, 3);
    let handed = fixture.offsets.own();
    fixture.commit("g", "T", 1, 5);
    handed.iter().for_each(|own| fixture.offsets.disown(own));
    assert_eq!(fixture.own(), [("T@g".to_owned(), 1, 5)]);
    fixture.offsets.own().iter().for_each(|own| fixture.offsets.disown(own));
    assert_eq!(fixture.own(), []);
    assert_eq!(fixture.reopen().own(), []);
}

#[tokio::test]
async fn nothing_is_told_of_what_is_gone_or_was_not_taken() {
    let fixture = Fixture::of_slave();
    fixture.offsets.topics.put(TopicConfig::new("U", 2, 6), &crate::topic::AttributeChanges::default()).unwrap();
    fixture.commit("g", "T", 0, 8);
    fixture.commit("g", "U", 0, 9);
    fixture.offsets.progress(&"g".into(), &"U".into()).reset(QueueId(1), QueueOffset(1));
    let dropped = Some("Offset has been previously reset".to_owned());
    assert_eq!(fixture.commit("g", "U", 1, 9), (ResponseCode::SUCCESS, dropped));
    assert_eq!(fixture.own(), [("T@g".to_owned(), 0, 8), ("U@g".to_owned(), 0, 9)]);
    fixture.offsets.remove_topic("T");
    let fixture = fixture.reopen();
    assert_eq!(fixture.own(), [("U@g".to_owned(), 0, 9)]);
    fixture.offsets.remove_group("g");
    assert_eq!(fixture.own(), []);
    assert_eq!(fixture.reopen().own(), []);
}

#[tokio::test]
async fn a_slave_that_becomes_the_master_tells_nobody() {
    let fixture = Fixture::of_slave();
    fixture.commit("g", "T", 0, 8);
    fixture.offsets.save();
    // The table of all offsets may be a bit older.
    write_offsets(&fixture.surroundings, "consumerOffset.json", r#"{"offsetTable":{"T@g":{0:5,1:7}}}"#);
    let Fixture { offsets, surroundings } = fixture;
    offsets.store.close().unwrap();
    drop(offsets);
    surroundings.role.send_replace(Role::Master);
    let fixture = Fixture::on(surroundings);
    assert_eq!((fixture.get("g", "T", 0), fixture.get("g", "T", 1)), (Some(8), Some(7)));
    fixture.surroundings.role.send_replace(Role::Slave);
    let fixture = fixture.reopen();
    assert_eq!((fixture.get("g", "T", 0), fixture.own()), (Some(8), vec![]));
}

#[tokio::test]
async fn what_a_slave_hands_over_moves_nobody_back() {
    let fixture = Fixture::new();
    fixture.append("T", 0, 20);
    fixture.commit("g", "T", 0, 10);
    assert_eq!(fixture.own(), [], "a master has no master");
    let hand_over = |offset| {
        let header = UpdateConsumerOffset {
            consumer_group: "g".into(),
            topic: "T".into(),
            queue_id: QueueId(0),
            commit_offset: QueueOffset(offset),
            forward: Some(true),
        };
        let answer = fixture.update(command(&header));
        (answer.1, fixture.get("g", "T", 0))
    };
    let step = fixture.offsets.step();
    assert_eq!(hand_over(7), (Some("More is committed already".to_owned()), Some(10)));
    assert_eq!(fixture.offsets.step(), step, "other slaves need not be told");
    assert_eq!(hand_over(10), (None, Some(10)));
    assert_eq!(hand_over(12), (None, Some(12)));
    fixture.reset(reset_one(0, 3)).await.unwrap();
    let refused = Some("Offset has been previously reset".to_owned());
    assert_eq!(hand_over(12), (refused, Some(3)));
}

#[tokio::test]
async fn slaves_are_told_what_changed() {
    let fixture = Fixture::new();
    fixture.commit("g", "T", 0, 1);
    let (era, all) = fixture.offsets.news(None);
    assert_eq!(all.offset_table, [("T@g".to_owned(), [(0, 1)].into())].into());
    let step = fixture.offsets.step();
    let (era, none) = fixture.offsets.news(Some(era));
    assert!(none.offset_table.is_empty());
    fixture.commit("g", "T", 0, 1);
    fixture.commit("g", "U", 0, 1);
    fixture.offsets.progress(&"g".into(), &"T".into()).pull(QueueId(0), QueueOffset(7), None, false);
    assert!(fixture.offsets.step() > step);
    // A second slave, which asks for itself.
    assert_eq!(fixture.offsets.news(None).1.offset_table.len(), 1, "topic U does not exist");
    let (_, news) = fixture.offsets.news(Some(era));
    assert!(news.offset_table.is_empty(), "the same once more, and a pull, are no change");
    fixture.commit("g", "T", 1, 5);
    let (_, news) = fixture.offsets.news(Some(era));
    assert_eq!(news.offset_table, [("T@g".to_owned(), [(0, 1), (1, 5)].into())].into());
    fixture.reset(reset_one(0, 0)).await.unwrap();
    let (_, news) = fixture.offsets.news(Some(era + 2));
    assert_eq!(news.offset_table["T@g"], [(0, 0), (1, 5)].into());
}

#[tokio::test]
async fn a_master_takes_what_a_slave_had_meanwhile_only_where_that_is_ahead() {
    let fixture = Fixture::new();
    fixture.commit("g", "T", 0, 5);
    let slaves = r#"{"offsetTable":{"T@g":{0:3,1:9},"U@h":{0:2}}}"#;
    assert_eq!(fixture.offsets.merge_forward(fastjson::read(slaves.as_bytes()).unwrap()), 2);
    let of = |group, topic, queue| fixture.get(group, topic, queue);
    assert_eq!((of("g", "T", 0), of("g", "T", 1), of("h", "U", 0)), (Some(5), Some(9), Some(2)));
}
