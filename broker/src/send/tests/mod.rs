//! Sends on a store in a temporary folder.

mod batches;
mod confirmation;
mod copies;
mod refusals;
mod retries;
mod stored;
mod waits;

use std::time::Duration;

use remoting::body::{MessageQueue, SubscriptionGroupConfig, TopicConfig};
use remoting::connection::Peer;
use remoting::protocol::ResponseCode;
use remoting::router::HandleBatch;
use remoting::types::{PhysicalOffset, QueueId, QueueOffset, Timestamp};
use store::message::id;
use store::{FlushMode, StoreConfig};

use super::fixture::{Fixture, Send, field};
use crate::context::Role;
use crate::topic::AttributeChanges;

const FAQ: &str = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";
const ILLEGAL: &str = "the message is illegal, maybe msg body or properties length not matched. msg body length limit 4194304B, msg properties length limit 32KB.";
const READ: i32 = 4;

impl Fixture {
    fn refused(&self, send: Send, code: ResponseCode, remark: &str) {
        let before = self.store.max_physical_offset();
        assert_eq!(self.outcome(send), (code, Some(remark.to_owned())));
        assert_eq!(self.store.max_physical_offset(), before, "nothing is stored: {remark}");
    }

    fn accepted(&self, send: Send) -> remoting::frame::RemotingCommand {
        let answer = self.send(send);
        assert_eq!((answer.response_code(), &answer.remark), (ResponseCode::SUCCESS, &None));
        answer
    }

    fn put_topic(&self, config: TopicConfig, attributes: &str) {
        self.topics.put(config, &AttributeChanges::parse(attributes).unwrap()).unwrap();
    }
}
