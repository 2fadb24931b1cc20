//! What tools ask about a broker.

use crate::header::NoHeader;
use crate::request;

request! {
    /// The body of the answer is a table of texts. Java: `AdminBrokerProcessor.prepareRuntimeInfo`.
    GET_BROKER_RUNTIME_INFO => NoHeader,
    pub struct GetBrokerRuntimeInfo {}
}

request! {
    /// Java: `ViewBrokerStatsDataRequestHeader`.
    VIEW_BROKER_STATS_DATA => NoHeader,
    pub struct ViewBrokerStats {
        stats_name: String = "statsName",
        stats_key: String = "statsKey",
    }
}

request! {
    /// Has expired files of the commit log deleted soon, whatever the hour. Java: `AdminBrokerProcessor.deleteExpiredCommitLog`.
    DELETE_EXPIRED_COMMITLOG => NoHeader,
    pub struct DeleteExpiredCommitLog {}
}

request! {
    /// Forgets the queues whose messages are all gone. Java: `AdminBrokerProcessor.cleanExpiredConsumeQueue`.
    CLEAN_EXPIRED_CONSUMEQUEUE => NoHeader,
    pub struct CleanExpiredConsumeQueue {}
}
