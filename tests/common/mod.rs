//! What tests of the real process share: its clients, and the requests they send.

pub(crate) mod ports;
pub(crate) mod processes;

use std::process::Child;
use std::sync::Arc;

use remoting::client::{Client, ClientConfig};
use remoting::protocol::pull::{PullMessage, PullSysFlag};
use remoting::protocol::send::SendMessage;
use remoting::protocol::topic::UpdateTopic;
use remoting::router::Router;
use remoting::types::{GroupName, QueueId, QueueOffset, Timestamp, TopicName};
use tokio_util::sync::CancellationToken;

/// Ends the process with the test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// As `kill -9`; it is gone when this returns.
    pub(crate) fn kill(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("ended");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn client() -> Client {
    Client::new(ClientConfig::default(), Arc::new(Router::default()), CancellationToken::new())
}

pub(crate) fn update_topic(topic: &str, queues: i32) -> UpdateTopic {
    UpdateTopic {
        topic: topic.into(),
        default_topic: "TBW102".into(),
        read_queue_nums: queues,
        write_queue_nums: queues,
        perm: 6,
        topic_filter_type: "SINGLE_TAG".to_owned(),
        topic_sys_flag: Some(0),
        order: Some(false),
        attributes: None,
        force: None,
    }
}

/// Message `number`, to one of `queues` by its number.
pub(crate) fn send_message(topic: &str, queues: i32, number: u64) -> SendMessage {
    SendMessage {
        producer_group: "producers".into(),
        topic: topic.into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: queues,
        queue_id: QueueId((number % queues as u64) as i32),
        sys_flag: 0,
        born_timestamp: Timestamp(1),
        flag: 0,
        properties: Some(format!("UNIQ_KEY\u{1}{number}\u{2}WAIT\u{1}true\u{2}")),
        reconsume_times: Some(0),
        unit_mode: Some(false),
        max_reconsume_times: None,
        batch: Some(false),
    }
}

/// Waits for `patience` milliseconds if there is nothing.
pub(crate) fn pull_message(topic: &str, group: &str, queue: i32, from: QueueOffset, patience: i64) -> PullMessage {
    PullMessage {
        consumer_group: GroupName::from(group),
        topic: TopicName::from(topic),
        queue_id: QueueId(queue),
        queue_offset: from,
        max_msg_nums: 32,
        sys_flag: PullSysFlag::SUSPEND | PullSysFlag::SUBSCRIPTION,
        commit_offset: QueueOffset(0),
        suspend_timeout_millis: patience,
        subscription: Some("*".to_owned()),
        sub_version: 0,
        expression_type: Some("TAG".to_owned()),
        max_msg_bytes: None,
        request_source: None,
        proxy_forward_client_id: None,
    }
}
