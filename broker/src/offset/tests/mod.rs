mod bounds;
mod commits;
mod files;
mod groups;
mod light;
mod resets;
mod slaves;

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
        let store = surroundings.store(percent);
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

fn write_offsets(surroundings: &Surroundings, name: &str, text: &str) {
    let folder = surroundings.folder.path().join("config");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), text).unwrap();
}

async fn join(fixture: &Fixture, peer: &Peer, topic: &str) {
    let body = format!(
        r#"{{"clientID":"c","consumerDataSet":[{{"groupName":"g",
            "subscriptionDataSet":[{{"topic":"{topic}","subString":"*","subVersion":1}}]}}]}}"#
    );
    fixture.offsets.clients.handle(call(Heartbeat {}, body, peer)).await.unwrap();
}
