//! Pulls, each against a broker of its own.

mod reads;
mod refusals;
mod slave;
mod waits;

use bytes::Bytes;
use remoting::body::{SubscriptionGroupConfig, TopicConfig};
use remoting::header::DecodeHeader;
use remoting::protocol::ResponseCode;
use remoting::protocol::client::Heartbeat;
use remoting::protocol::pull::{PullMessage, PullMessageReply, PullSysFlag};
use remoting::router::Handle;
use remoting::types::{QueueId, QueueOffset, TopicName};
use store::message::{Message, StoredMessage};
use tokio::time::{Duration, sleep};

use super::*;
use crate::testing::{Surroundings, call, command, peer};
use crate::topic::AttributeChanges;

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
        Self::of(Surroundings::new(), percent, tags).await
    }

    async fn of(surroundings: Surroundings, percent: u32, tags: &str) -> Self {
        let ctx = surroundings.ctx.clone();
        let store = surroundings.store(percent);
        let folder = surroundings.folder.path().join("config");
        let topics = TopicTable::open(ctx.clone(), &folder).unwrap();
        let groups = GroupTable::open(ctx.clone(), &folder).unwrap();
        let clients =
            Clients::open(ctx.clone(), &folder, Arc::clone(&topics), Arc::clone(&groups), Arc::default()).unwrap();
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
        pulls.start(|_| {});
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

    /// As a broker that was started anew.
    async fn restarted(self) -> Self {
        self.pulls.reader.store.close().unwrap();
        Self::of(self.surroundings, 40, "*").await
    }

    fn append(&self, queue: i32, tags: &str, body: &[u8]) {
        self.append_to("T", queue, tags, body);
    }

    fn append_to(&self, topic: &str, queue: i32, tags: &str, body: &[u8]) {
        let mut batch = self.pulls.reader.store.batch();
        let host = self.surroundings.ctx.identity.host;
        let properties = if tags.is_empty() { String::new() } else { format!("TAGS\x01{tags}\x02") };
        let topic = TopicName::from(topic);
        let message = Message { properties: &properties, ..Message::new(&topic, QueueId(queue), body, host) };
        batch.push(&message).unwrap();
        self.pulls.reader.store.append(&mut batch).unwrap();
    }

    /// Only the disk has the messages now, if there is one; but for those that were read, and what lies around them.
    fn forget_pages(&self) {
        let commit_log = self.surroundings.folder.path().join("store/commitlog");
        for entry in std::fs::read_dir(commit_log).unwrap() {
            let file = std::fs::File::open(entry.unwrap().path()).unwrap();
            file.sync_data().unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
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

    /// The answer that another thread gives.
    async fn later_answer(&self) -> Answered {
        loop {
            sleep(Duration::from_millis(1)).await;
            if let Some(answer) = self.answers().pop() {
                return answer;
            }
        }
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
