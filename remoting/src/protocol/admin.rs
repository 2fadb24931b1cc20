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
