use bytes::Bytes;
use remoting::body::{SubscriptionGroupConfig, TopicConfig};
use remoting::header::DecodeHeader;
use remoting::protocol::ResponseCode;
use remoting::protocol::client::Heartbeat;
use remoting::protocol::pull::{PullMessage, PullMessageReply, PullSysFlag};
use remoting::router::Handle;
use remoting::types::{QueueId, QueueOffset, Timestamp, TopicName};
use store::StoreConfig;
use store::message::{Message, StoredMessage};
use tokio::time::{Duration, Instant, sleep};

use super::*;
use crate::context::Role;
use crate::testing::{Surroundings, call, command, peer};
use crate::topic::AttributeChanges;

/// How late a pull that waits may end.
const LATE: Duration = suspend::LOOK_PERIOD.saturating_add(Duration::from_millis(2));

/// A broker with topic `T` of two queues, and a member of group `g` that wants all of it.
struct Fixture {
    pulls: Arc<Pulls>,
    peer: Peer,
    surroundings: Surroundings,
}

impl Fixture {
    async fn new() -> Self {
        Self::subscribed("*").await
    }

    async fn subscribed(tags: &str) -> Self {
        Self::open(40, tags).await
    }

    /// `percent` of the machine's memory is taken to hold the end of the log.
    async fn open(percent: u32, tags: &str) -> Self {
        let surroundings = Surroundings::new();
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
        let clients = Clients::new(ctx.clone(), Arc::clone(&topics), Arc::clone(&groups), Arc::default());
        let offsets = Offsets::open(
            ctx.clone(),
            &folder,
            Arc::clone(&store),
            Arc::clone(&topics),
            Arc::clone(&groups),
            Arc::clone(&clients),
        );
        let stats = Stats::new(ctx.clone());
        let pulls = Pulls::new(ctx, store, topics, groups, clients, offsets.unwrap(), stats);
        pulls.start();
        let this = Self { pulls, peer: peer(7), surroundings };
        this.put_topic(TopicConfig::new("T", 2, 6));
        this.join(&format!(r#"{{"topic":"T","subString":"{tags}","subVersion":5,{}}}"#, codes(tags)), "").await;
        this
    }

    fn put_topic(&self, config: TopicConfig) {
        self.pulls.reader.topics.put(config, &AttributeChanges::default()).unwrap();
    }

    fn put_group(&self, config: SubscriptionGroupConfig) {
        self.pulls.reader.groups.put_all(vec![config]).unwrap();
    }

    async fn join(&self, subscription: &str, more: &str) {
        let body = format!(
            r#"{{"clientID":"c","consumerDataSet":[{{"groupName":"g","subscriptionDataSet":[{subscription}]{more}}}]}}"#
        );
        self.pulls.reader.clients.handle(call(Heartbeat {}, body, &self.peer)).await.unwrap();
    }

    fn append(&self, queue: i32, tags: &str, body: &[u8]) {
        let mut batch = self.pulls.reader.store.batch();
        let host = self.surroundings.ctx.identity.host;
        let message = Message {
            topic: &TopicName::from("T"),
            queue_id: QueueId(queue),
            flag: 0,
            sys_flag: 0,
            born_timestamp: Timestamp(0),
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body,
            properties: &if tags.is_empty() { String::new() } else { format!("TAGS\x01{tags}\x02") },
        };
        batch.push(&message).unwrap();
        self.pulls.reader.store.append(&mut batch).unwrap();
    }

    fn send(&self, header: &PullMessage) {
        self.pulls.handle_batch(&mut vec![command(header)], &self.peer);
    }

    fn answers(&self) -> Vec<Answered> {
        self.peer.take_sent().unwrap().into_iter().map(Answered::of).collect()
    }

    /// The answer to a pull that does not wait.
    fn pull(&self, header: &PullMessage) -> Answered {
        self.send(header);
        self.answer()
    }

    fn answer(&self) -> Answered {
        let [answer] = <[_; 1]>::try_from(self.answers()).unwrap();
        answer
    }

    /// Lets everybody who can go on do so.
    async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    fn waiting(&self) -> usize {
        self.pulls.reader.waiting.len()
    }

    fn committed(&self) -> Option<i64> {
        self.pulls.reader.offsets.get("g", "T", QueueId(0)).map(|offset| offset.0)
    }
}

#[derive(Debug, PartialEq)]
struct Answered {
    code: ResponseCode,
    remark: String,
    forbidden_type: Option<i32>,
    /// Only where Java has one.
    header: Option<PullMessageReply>,
    body: Bytes,
}

impl Answered {
    fn of(command: RemotingCommand) -> Self {
        assert!(command.is_response());
        let header = PullMessageReply::decode(&command.ext).ok();
        let forbidden_type = command.ext.get("forbiddenType").map(|text| text.parse().unwrap());
        let only = if forbidden_type.is_some() { 1 } else { 0 };
        assert!(header.is_some() || command.ext.len() == only, "{:?}", command.ext);
        Self {
            code: command.response_code(),
            remark: command.remark.unwrap_or_default(),
            forbidden_type,
            header,
            body: command.body,
        }
    }

    fn next(&self) -> i64 {
        self.header.as_ref().unwrap().next_begin_offset.0
    }

    fn summary(&self) -> (ResponseCode, &str, i64) {
        (self.code, &self.remark, self.next())
    }

    fn bodies(&self) -> Vec<String> {
        let mut rest = &self.body[..];
        let mut bodies = Vec::new();
        while !rest.is_empty() {
            let message = StoredMessage::parse(rest).unwrap();
            bodies.push(String::from_utf8(message.body.to_vec()).unwrap());
            rest = &rest[message.size..];
        }
        bodies
    }
}

/// `codeSet` and `tagsSet` as clients send them.
fn codes(tags: &str) -> String {
    let built = crate::filter::subscription(&"T".into(), tags, None, 0).unwrap();
    format!(r#""codeSet":{:?},"tagsSet":{:?}"#, built.code_set, built.tags_set)
}

fn from(offset: i64) -> PullMessage {
    PullMessage {
        consumer_group: "g".into(),
        topic: "T".into(),
        queue_id: QueueId(0),
        queue_offset: QueueOffset(offset),
        max_msg_nums: 32,
        sys_flag: 0,
        commit_offset: QueueOffset(0),
        suspend_timeout_millis: 15_000,
        subscription: None,
        sub_version: 5,
        expression_type: Some("TAG".into()),
        max_msg_bytes: None,
        request_source: None,
        proxy_forward_client_id: None,
    }
}

fn waiting_from(offset: i64) -> PullMessage {
    PullMessage { sys_flag: PullSysFlag::SUSPEND, ..from(offset) }
}

const SEE: &str = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

// The checks of a pull, in their order.

async fn refused(
    change: impl AsyncFnOnce(&Fixture),
    header: PullMessage,
    code: ResponseCode,
    forbidden_type: Option<i32>,
    remark: &str,
) {
    let fixture = Fixture::new().await;
    change(&fixture).await;
    let answer = fixture.pull(&header);
    assert_eq!((answer.code, answer.forbidden_type, answer.remark.as_str()), (code, forbidden_type, remark));
    assert!(answer.header.is_none() && answer.body.is_empty());
}

#[tokio::test]
async fn a_slave_serves_no_pulls() {
    let slave = async |fixture: &Fixture| {
        fixture.surroundings.role.send_replace(Role::Slave);
    };
    let remark = "[REJECTREQUEST]system busy, start flow control for a while";
    refused(slave, from(0), ResponseCode::SYSTEM_BUSY, None, remark).await;
}

#[tokio::test]
async fn a_broker_that_may_not_be_read_refuses() {
    let unreadable = async |fixture: &Fixture| fixture.surroundings.set(|config| config.broker_permission = 2);
    let remark = "the broker[127.0.0.1] pulling message is forbidden";
    refused(unreadable, from(0), ResponseCode::NO_PERMISSION, Some(1), remark).await;
}

#[tokio::test]
async fn lite_pulls_can_be_forbidden_and_are_else_like_others() {
    let fixture = Fixture::new().await;
    fixture.append(0, "", b"a");
    let lite = || RemotingCommand { code: RequestCode::LITE_PULL_MESSAGE.0, ..command(&from(0)) };
    fixture.pulls.handle_batch(&mut vec![lite()], &fixture.peer);
    assert_eq!(fixture.answer().bodies(), ["a"]);
    fixture.surroundings.set(|config| config.lite_pull_message_enable = false);
    fixture.pulls.handle_batch(&mut vec![lite(), command(&from(0))], &fixture.peer);
    let [refused, served] = <[_; 2]>::try_from(fixture.answers()).unwrap();
    assert_eq!((refused.code, refused.forbidden_type), (ResponseCode::NO_PERMISSION, Some(1)));
    assert_eq!(refused.remark, "the broker[127.0.0.1] for lite pull consumer is forbidden");
    assert_eq!(served.code, ResponseCode::SUCCESS);
}

#[tokio::test]
async fn an_unknown_group_is_refused() {
    let no_creation =
        async |fixture: &Fixture| fixture.surroundings.set(|config| config.auto_create_subscription_group = false);
    let header = PullMessage { consumer_group: "x".into(), ..from(0) };
    let remark = format!("subscription group [x] does not exist, {SEE}");
    refused(no_creation, header, ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, None, &remark).await;
}

#[tokio::test]
async fn a_group_that_may_not_consume_is_refused() {
    let disabled = async |fixture: &Fixture| {
        fixture.put_group(SubscriptionGroupConfig { consume_enable: false, ..SubscriptionGroupConfig::new("g") });
    };
    refused(disabled, from(0), ResponseCode::NO_PERMISSION, Some(2), "subscription group no permission, g").await;
}

#[tokio::test]
async fn an_unknown_topic_is_refused() {
    let header = PullMessage { topic: "X".into(), ..from(0) };
    let remark = format!("topic[X] not exist, apply first please! {SEE}");
    refused(async |_| {}, header, ResponseCode::TOPIC_NOT_EXIST, None, &remark).await;
}

#[tokio::test]
async fn a_topic_that_may_not_be_read_is_refused() {
    let write_only = async |fixture: &Fixture| fixture.put_topic(TopicConfig::new("T", 2, TopicConfig::WRITE));
    let remark = "the topic[T] pulling message is forbidden";
    refused(write_only, from(0), ResponseCode::NO_PERMISSION, Some(3), remark).await;
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_refused() {
    for queue in [-1, 2] {
        let header = PullMessage { queue_id: QueueId(queue), ..from(0) };
        let remark =
            format!("queueId[{queue}] is illegal, topic:[T] topicConfig.readQueueNums:[2] consumer:[/127.0.0.1:7]");
        refused(async |_| {}, header, ResponseCode::INVALID_PARAMETER, None, &remark).await;
    }
}

#[tokio::test]
async fn a_subscription_that_does_not_parse_is_refused() {
    let attached = |text: &str, expression_type: &str| PullMessage {
        sys_flag: PullSysFlag::SUBSCRIPTION,
        subscription: Some(text.into()),
        expression_type: Some(expression_type.into()),
        ..from(0)
    };
    for header in [attached("||", "TAG"), attached("", "SQL92")] {
        let remark = "parse the consumer's subscription failed";
        refused(async |_| {}, header, ResponseCode::SUBSCRIPTION_PARSE_FAILED, None, remark).await;
    }
    let remark = "The broker does not support consumer to filter message by SQL92";
    refused(async |_| {}, attached("a > 1", "SQL92"), ResponseCode::SYSTEM_ERROR, None, remark).await;
}

#[tokio::test]
async fn a_group_without_members_is_refused() {
    let header = PullMessage { consumer_group: "h".into(), ..from(0) };
    let remark = format!("the consumer's group info not exist{SEE}");
    refused(async |_| {}, header, ResponseCode::SUBSCRIPTION_NOT_EXIST, None, &remark).await;
}

#[tokio::test]
async fn a_group_that_may_not_broadcast_is_refused() {
    let broadcasting = async |fixture: &Fixture| {
        let config = SubscriptionGroupConfig { consume_broadcast_enable: false, ..SubscriptionGroupConfig::new("g") };
        fixture.put_group(config);
        fixture.join(r#"{"topic":"T","subString":"*","subVersion":5}"#, r#","messageModel":"BROADCASTING""#).await;
    };
    let remark = "the consumer group[g] can not consume by broadcast way";
    refused(broadcasting, from(0), ResponseCode::NO_PERMISSION, Some(4), remark).await;
}

#[tokio::test]
async fn a_group_forbidden_this_topic_is_refused() {
    let forbidden = async |fixture: &Fixture| {
        fixture.pulls.reader.groups.forbid_read(&"g".into(), &"T".into(), true).unwrap();
    };
    let remark = "the consumer group[g] is forbidden for topic[T]";
    refused(forbidden, from(0), ResponseCode::NO_PERMISSION, Some(5), remark).await;
}

#[tokio::test]
async fn a_topic_the_group_does_not_subscribe_to_is_refused() {
    let other_topic = async |fixture: &Fixture| fixture.put_topic(TopicConfig::new("U", 2, 6));
    let header = PullMessage { topic: "U".into(), ..from(0) };
    let remark = format!("the consumer's subscription not exist{SEE}");
    refused(other_topic, header, ResponseCode::SUBSCRIPTION_NOT_EXIST, None, &remark).await;
}

#[tokio::test]
async fn a_subscription_newer_than_ours_is_refused() {
    let header = PullMessage { sub_version: 6, ..from(0) };
    let remark = "the consumer's subscription not latest";
    refused(async |_| {}, header, ResponseCode::SUBSCRIPTION_NOT_LATEST, None, remark).await;
}

#[tokio::test]
async fn an_expression_is_refused_while_properties_are_not_filtered_by() {
    let sql = async |fixture: &Fixture| {
        fixture.join(r#"{"topic":"T","subString":"a > 1","subVersion":6,"expressionType":"SQL92"}"#, "").await;
    };
    let remark = "The broker does not support consumer to filter message by SQL92";
    refused(sql, from(0), ResponseCode::SYSTEM_ERROR, None, remark).await;
}

#[tokio::test]
async fn pull_consumers_are_refused_where_they_are_rejected() {
    let fixture = Fixture::new().await;
    fixture.join(r#"{"topic":"T","subString":"*","subVersion":5}"#, r#","consumeType":"CONSUME_ACTIVELY""#).await;
    fixture.surroundings.set(|config| config.reject_pull_consumer_enable = true);
    assert_eq!(fixture.pull(&from(0)).code, ResponseCode::PULL_NOT_FOUND, "a member may");
    let code = |group: &str| {
        let stranger = peer(8);
        let header = PullMessage {
            consumer_group: group.into(),
            sys_flag: PullSysFlag::SUBSCRIPTION,
            subscription: Some("*".into()),
            ..from(0)
        };
        fixture.pulls.handle_batch(&mut vec![command(&header)], &stranger);
        let [answer] = <[_; 1]>::try_from(stranger.take_sent().unwrap()).unwrap();
        answer.response_code()
    };
    assert_eq!(code("g"), ResponseCode::SUBSCRIPTION_NOT_EXIST);
    assert_eq!(code("h"), ResponseCode::SUBSCRIPTION_NOT_EXIST);
    assert_eq!(code("TOOLS_CONSUMER"), ResponseCode::PULL_NOT_FOUND);
    assert_eq!(code("CID_RMQ_SYS_x"), ResponseCode::PULL_NOT_FOUND);
    fixture.join(r#"{"topic":"T","subString":"*","subVersion":5}"#, r#","consumeType":"CONSUME_PASSIVELY""#).await;
    assert_eq!(code("g"), ResponseCode::PULL_NOT_FOUND, "a pushed group is no pull consumer");
}

#[tokio::test]
async fn a_pull_without_its_fields_is_refused() {
    let fixture = Fixture::new().await;
    let mut bare = RemotingCommand::request(RequestCode::PULL_MESSAGE);
    bare.ext = [("consumerGroup", "g")].into_iter().collect();
    fixture.pulls.handle_batch(&mut vec![bare], &fixture.peer);
    assert_eq!(fixture.answer().code, ResponseCode::SYSTEM_ERROR);
}

// What reading comes to.

#[tokio::test]
async fn messages_are_found_in_order_with_the_bounds_of_their_queue() {
    let fixture = Fixture::new().await;
    for body in ["a", "b", "c"] {
        fixture.append(0, "", body.as_bytes());
        fixture.append(1, "", b"elsewhere");
    }
    let answer = fixture.pull(&PullMessage { max_msg_nums: 2, ..from(1) });
    assert_eq!(answer.summary(), (ResponseCode::SUCCESS, "FOUND", 3));
    assert_eq!(answer.bodies(), ["b", "c"]);
    let expect = PullMessageReply {
        suggest_which_broker_id: 0,
        next_begin_offset: QueueOffset(3),
        min_offset: QueueOffset(0),
        max_offset: QueueOffset(3),
        offset_delta: None,
        topic_sys_flag: Some(0),
        group_sys_flag: Some(0),
        forbidden_type: None,
    };
    assert_eq!(answer.header, Some(expect));
    assert_eq!(fixture.pull(&PullMessage { max_msg_nums: 1, ..from(0) }).bodies(), ["a"]);
    assert_eq!(fixture.pull(&PullMessage { max_msg_nums: 0, ..from(0) }).bodies(), ["a"], "one always fits");
    assert_eq!(fixture.pull(&PullMessage { max_msg_bytes: Some(1), ..from(0) }).bodies(), ["a"]);
    assert_eq!(fixture.pull(&PullMessage { max_msg_bytes: Some(-1), ..from(0) }).bodies(), ["a", "b", "c"]);
    let view = fixture.pulls.reader.stats.view("GROUP_GET_NUMS", "T@g");
    assert!(view.is_some(), "what a group is given is counted");
    assert!(fixture.pulls.reader.stats.view("GROUP_GET_NUMS", "T@h").is_none());
}

#[tokio::test]
async fn what_cannot_be_found_says_where_to_go_on() {
    let fixture = Fixture::new().await;
    let check = |offset, expect| assert_eq!(fixture.pull(&from(offset)).summary(), expect, "from {offset}");
    check(0, (ResponseCode::PULL_NOT_FOUND, "NO_MATCHED_LOGIC_QUEUE", 0));
    check(5, (ResponseCode::PULL_OFFSET_MOVED, "NO_MATCHED_LOGIC_QUEUE", 0));
    fixture.append(0, "", b"a");
    fixture.append(0, "", b"b");
    check(2, (ResponseCode::PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE", 2));
    check(3, (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_OVERFLOW_BADLY", 2));
    check(-1, (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_TOO_SMALL", 0));
}

#[tokio::test]
async fn messages_are_chosen_by_the_hash_of_their_tags() {
    let fixture = Fixture::subscribed("A || Aa").await;
    for tags in ["A", "B", "", "BB", "A"] {
        fixture.append(0, tags, tags.as_bytes());
    }
    let answer = fixture.pull(&from(0));
    assert_eq!(answer.bodies(), ["A", "BB", "A"], "Aa and BB share a hash: the client looks again");
    assert_eq!(answer.next(), 5);
    assert_eq!(fixture.pull(&PullMessage { max_msg_nums: 1, ..from(0) }).next(), 1);
    let answer = fixture.pull(&PullMessage { max_msg_nums: 1, ..from(1) });
    assert_eq!((answer.bodies(), answer.next()), (vec!["BB".into()], 4));
    for _ in 0..3 {
        fixture.append(0, "B", b"");
    }
    assert_eq!(fixture.pull(&from(5)).summary(), (ResponseCode::PULL_RETRY_IMMEDIATELY, "NO_MATCHED_MESSAGE", 8));
}

#[tokio::test]
async fn a_pull_may_bring_its_subscription() {
    let fixture = Fixture::new().await;
    fixture.append(0, "A", b"a");
    fixture.append(0, "B", b"b");
    let header = PullMessage {
        consumer_group: "nobody".into(),
        sys_flag: PullSysFlag::SUBSCRIPTION,
        subscription: Some("B".into()),
        ..from(0)
    };
    assert_eq!(fixture.pull(&header).bodies(), ["b"]);
    let known = fixture.pulls.reader.clients.consumers.subscription("nobody", "T").unwrap();
    assert_eq!(known.sub_string, "B");
    assert_eq!(fixture.pull(&PullMessage { subscription: None, ..header }).bodies(), ["a", "b"], "no text: all");
}

#[tokio::test]
async fn a_pull_commits_what_it_brings() {
    let fixture = Fixture::new().await;
    fixture.append(0, "", b"a");
    fixture.append(0, "", b"b");
    assert_eq!(fixture.pull(&PullMessage { commit_offset: QueueOffset(1), ..from(0) }).code, ResponseCode::SUCCESS);
    assert_eq!(fixture.committed(), None, "only if its flag says so");
    let header = PullMessage { commit_offset: QueueOffset(1), sys_flag: PullSysFlag::COMMIT_OFFSET, ..from(0) };
    fixture.pull(&header);
    assert_eq!(fixture.committed(), Some(1));
    let pulled = fixture.pulls.reader.offsets.pull_offset("g", "T", QueueId(0));
    assert_eq!(pulled, Some(QueueOffset(2)), "where the next pull starts is another matter");
}

#[tokio::test]
async fn a_reset_is_handed_out_by_the_next_pull() {
    let fixture = Fixture::new().await;
    for _ in 0..3 {
        fixture.append(0, "", b"a");
    }
    let progress = fixture.pulls.reader.offsets.progress(&"g".into(), &"T".into());
    progress.reset(QueueId(0), QueueOffset(1));
    let header = PullMessage { commit_offset: QueueOffset(3), sys_flag: PullSysFlag::COMMIT_OFFSET, ..from(3) };
    let answer = fixture.pull(&header);
    assert_eq!(answer.summary(), (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_RESET", 1));
    let header = answer.header.unwrap();
    assert_eq!((header.min_offset.0, header.max_offset.0), (0, 3));
    assert_eq!(fixture.committed(), Some(1), "the pull's own commit is from before");
    assert_eq!(fixture.pull(&from(1)).code, ResponseCode::SUCCESS);
}

#[tokio::test]
async fn old_messages_are_read_on_other_threads() {
    let fixture = Fixture::open(0, "*").await;
    for _ in 0..20 {
        fixture.append(0, "", &[b'x'; 3000]);
    }
    let mut next = 0;
    while next < 20 {
        fixture.send(&from(next));
        assert!(fixture.answers().is_empty(), "not on this thread");
        let answer = loop {
            sleep(Duration::from_millis(1)).await;
            if let Some(answer) = fixture.answers().pop() {
                break answer;
            }
        };
        assert_eq!(answer.bodies().len(), 8.min(20 - next as usize));
        next = answer.next();
    }
    assert!(fixture.pulls.reader.offsets.progress(&"g".into(), &"T".into()).begin(QueueId(0)).cold);
    fixture.send(&from(20));
    while fixture.answers().is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    fixture.send(&from(20));
    assert_eq!(fixture.answer().code, ResponseCode::PULL_NOT_FOUND, "nothing was read, so here again");
}

#[tokio::test]
async fn a_group_too_far_behind_may_not_go_on_if_so_set() {
    let fixture = Fixture::new().await;
    for _ in 0..10 {
        fixture.append(0, "", &[b'x'; 1000]);
    }
    fixture.surroundings.set(|config| config.consumer_fallbehind_threshold = 5000);
    assert_eq!(fixture.pull(&from(0)).code, ResponseCode::SUCCESS);
    assert_eq!(fixture.pull(&from(0)).code, ResponseCode::SUCCESS, "not unless it is set");
    fixture.surroundings.set(|config| config.disable_consume_if_consumer_read_slowly = true);
    assert_eq!(fixture.pull(&from(8)).code, ResponseCode::SUCCESS);
    assert_eq!(fixture.pull(&from(0)).code, ResponseCode::SUCCESS);
    assert_eq!(fixture.pull(&from(8)).forbidden_type, Some(2));
}

// Waiting.

#[tokio::test(start_paused = true)]
async fn a_pull_that_finds_nothing_waits_only_if_it_says_so() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.pull(&from(0)).code, ResponseCode::PULL_NOT_FOUND);
    fixture.send(&waiting_from(0));
    fixture.settle().await;
    assert!(fixture.answers().is_empty());
    assert_eq!(fixture.waiting(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pull_wakes_when_a_message_comes_to_its_queue() {
    let fixture = Fixture::new().await;
    let started = Instant::now();
    fixture.send(&waiting_from(0));
    fixture.settle().await;
    fixture.append(1, "", b"elsewhere");
    fixture.settle().await;
    assert!(fixture.answers().is_empty());
    fixture.append(0, "", b"a");
    fixture.settle().await;
    let answer = fixture.answer();
    assert_eq!((answer.bodies(), answer.next()), (vec!["a".into()], 1));
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(fixture.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_came_before_the_wait_is_not_missed() {
    let fixture = Fixture::new().await;
    fixture.send(&waiting_from(0));
    fixture.append(0, "", b"a");
    fixture.settle().await;
    assert_eq!(fixture.answer().bodies(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pull_ends_at_its_deadline() {
    let fixture = Fixture::new().await;
    fixture.append(0, "", b"a");
    fixture.send(&waiting_from(1));
    sleep(Duration::from_millis(14_999)).await;
    assert!(fixture.answers().is_empty());
    sleep(LATE).await;
    assert_eq!(fixture.answer().summary(), (ResponseCode::PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE", 1));
    assert_eq!(fixture.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_long_polls_a_pull_waits_a_second() {
    let fixture = Fixture::new().await;
    fixture.surroundings.set(|config| config.long_polling_enable = false);
    fixture.send(&waiting_from(0));
    sleep(Duration::from_millis(999)).await;
    assert!(fixture.answers().is_empty());
    sleep(LATE).await;
    assert_eq!(fixture.answer().code, ResponseCode::PULL_NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn absurd_patience_harms_nobody() {
    let fixture = Fixture::new().await;
    for (patience, waits) in [(i64::MAX, true), (-1, false), (i64::MIN, false)] {
        fixture.send(&PullMessage { suspend_timeout_millis: patience, ..waiting_from(0) });
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(fixture.answers().is_empty(), waits, "{patience}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pull_ends_with_its_connection() {
    let fixture = Fixture::new().await;
    fixture.send(&waiting_from(0));
    fixture.send(&waiting_from(0));
    fixture.settle().await;
    assert_eq!(fixture.waiting(), 2);
    fixture.peer.close();
    sleep(LATE).await;
    assert_eq!(fixture.waiting(), 0);
    // If it is we who stop, these still arrive.
    let answers = fixture.answers();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0].summary(), (ResponseCode::PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE", 0));
    fixture.surroundings.ctx.stopping.cancel();
    fixture.surroundings.ctx.tasks.close();
    fixture.surroundings.ctx.tasks.wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pull_is_checked_again_and_does_not_commit_again() {
    let fixture = Fixture::new().await;
    let flags = PullSysFlag::SUSPEND | PullSysFlag::COMMIT_OFFSET;
    let header = PullMessage { sys_flag: flags, commit_offset: QueueOffset(7), ..from(0) };
    fixture.send(&header);
    assert_eq!(fixture.committed(), Some(7), "the first time");
    let progress = fixture.pulls.reader.offsets.progress(&"g".into(), &"T".into());
    progress.commit(QueueId(0), QueueOffset(9));
    fixture.settle().await;
    fixture.append(0, "", b"a");
    fixture.settle().await;
    assert_eq!(fixture.answer().code, ResponseCode::SUCCESS);
    assert_eq!(fixture.committed(), Some(9));

    fixture.send(&waiting_from(1));
    fixture.settle().await;
    fixture.put_topic(TopicConfig::new("T", 2, TopicConfig::WRITE));
    fixture.append(0, "", b"b");
    fixture.settle().await;
    assert_eq!(fixture.answer().forbidden_type, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pull_is_told_of_a_reset() {
    let fixture = Fixture::new().await;
    fixture.append(0, "", b"a");
    fixture.send(&waiting_from(1));
    fixture.settle().await;
    let progress = fixture.pulls.reader.offsets.progress(&"g".into(), &"T".into());
    progress.reset(QueueId(0), QueueOffset(0));
    sleep(Duration::from_secs(16)).await;
    assert_eq!(fixture.answer().summary(), (ResponseCode::PULL_OFFSET_MOVED, "OFFSET_RESET", 0));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pull_ends_when_its_topic_is_deleted() {
    let fixture = Fixture::new().await;
    fixture.append(0, "", b"a");
    fixture.send(&waiting_from(1));
    fixture.settle().await;
    fixture.pulls.reader.topics.delete("T").unwrap();
    fixture.pulls.reader.store.delete_topic("T").unwrap();
    fixture.settle().await;
    assert_eq!(fixture.answer().code, ResponseCode::TOPIC_NOT_EXIST);
}

#[tokio::test(start_paused = true)]
async fn messages_a_pull_does_not_want_do_not_wake_it_but_move_it_on() {
    let fixture = Fixture::subscribed("A").await;
    fixture.append(0, "A", b"a");
    fixture.send(&waiting_from(1));
    fixture.settle().await;
    fixture.append(0, "B", b"b");
    fixture.settle().await;
    sleep(Duration::from_millis(4_900)).await;
    assert!(fixture.answers().is_empty());
    sleep(Duration::from_millis(200)).await;
    assert_eq!(fixture.answer().summary(), (ResponseCode::PULL_NOT_FOUND, "OFFSET_OVERFLOW_ONE", 2), "5 s after b");

    fixture.send(&waiting_from(2));
    fixture.settle().await;
    fixture.append(0, "B", b"b");
    fixture.settle().await;
    fixture.append(0, "A", b"a");
    fixture.settle().await;
    let answer = fixture.answer();
    assert_eq!((answer.bodies(), answer.next()), (vec!["a".into()], 4));
}

#[tokio::test(start_paused = true)]
async fn one_pull_too_many_is_told_to_come_again() {
    let fixture = Fixture::new().await;
    for _ in 0..waiting::WAITING_MAX {
        fixture.send(&waiting_from(0));
    }
    fixture.settle().await;
    assert!(fixture.answers().is_empty());
    let answer = fixture.pull(&waiting_from(0));
    assert_eq!(answer.code, ResponseCode::SYSTEM_BUSY);
    assert_eq!(answer.remark, "[OVERLOAD]system busy, start flow control for a while");
    fixture.append(0, "", b"a");
    fixture.settle().await;
    assert_eq!(fixture.answers().len(), waiting::WAITING_MAX);
    fixture.send(&waiting_from(1));
    fixture.settle().await;
    assert!(fixture.answers().is_empty());
}
