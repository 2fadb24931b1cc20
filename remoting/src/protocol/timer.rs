//! Timed messages: recalling one, and what slaves and tools ask of the timer.

use crate::header::NoHeader;
use crate::types::TopicName;
use crate::{header, request};

request! {
    /// Cancels a timed message by the handle that the answer to its send had. Java: `RecallMessageRequestHeader`.
    RECALL_MESSAGE => RecallMessageReply,
    pub struct RecallMessage {
        producer_group: Option<String> = "producerGroup",
        topic: TopicName = "topic",
        recall_handle: String = "recallHandle",
    }
}

header! {
    /// Java: `RecallMessageResponseHeader`.
    pub struct RecallMessageReply {
        /// Unique key of the message.
        msg_id: String = "msgId",
    }
}

request! {
    /// How far the timer is, for a slave: a body of 56 bytes. Java: `TimerCheckpoint.encode`.
    GET_TIMER_CHECK_POINT => NoHeader,
    pub struct GetTimerCheckPoint {}
}

request! {
    /// What waits, by topic: a body of `TimerMetrics`.
    GET_TIMER_METRICS => NoHeader,
    pub struct GetTimerMetrics {}
}

request! {
    /// Has timed messages wait in files or in RocksDB. Java: `AdminBrokerProcessor.switchTimerEngine`.
    SWITCH_TIMER_ENGINE => NoHeader,
    pub struct SwitchTimerEngine {
        /// `F` or `R`.
        engine: Option<String> = "E_T",
    }
}
