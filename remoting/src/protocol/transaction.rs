//! What became of transactions.

use crate::header::NoHeader;
use crate::request;
use crate::types::{BrokerName, GroupName, PhysicalOffset, QueueOffset, TopicName};

request! {
    /// Commits a half message, or rolls it back. Stock Java clients send it one-way.
    ///
    /// Java: `EndTransactionRequestHeader`.
    END_TRANSACTION => NoHeader,
    pub struct EndTransaction {
        topic: Option<TopicName> = "topic",
        producer_group: GroupName = "producerGroup",
        /// Of the half message in the half topic.
        tran_state_table_offset: QueueOffset = "tranStateTableOffset",
        /// Of the half message.
        commit_log_offset: PhysicalOffset = "commitLogOffset",
        /// 8: commit; 12: roll back; 0: not known yet. Java: `MessageSysFlag`.
        commit_or_rollback: i32 = "commitOrRollback",
        /// The broker had asked.
        from_transaction_check: Option<bool> = "fromTransactionCheck",
        msg_id: String = "msgId",
        transaction_id: Option<String> = "transactionId",
    }
}

request! {
    /// One-way to a producer: did the transaction of this half message happen? It answers with [`EndTransaction`]. The body is
    /// the half message in its stored form, with its own topic and queue.
    ///
    /// Java: `CheckTransactionStateRequestHeader`.
    CHECK_TRANSACTION_STATE => NoHeader,
    pub struct CheckTransactionState {
        /// The half topic.
        topic: Option<TopicName> = "topic",
        tran_state_table_offset: QueueOffset = "tranStateTableOffset",
        commit_log_offset: PhysicalOffset = "commitLogOffset",
        /// The unique key.
        msg_id: Option<String> = "msgId",
        /// The unique key.
        transaction_id: Option<String> = "transactionId",
        offset_msg_id: Option<String> = "offsetMsgId",
        broker_name: Option<BrokerName> = "bname",
    }
}

request! {
    /// Has a half message that was given up asked about again. Java: `ResumeCheckHalfMessageRequestHeader`.
    RESUME_CHECK_HALF_MESSAGE => NoHeader,
    pub struct ResumeCheckHalfMessage {
        topic: Option<TopicName> = "topic",
        /// Offset message id of the message that was given up.
        msg_id: Option<String> = "msgId",
    }
}
