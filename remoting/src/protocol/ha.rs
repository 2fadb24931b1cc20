//! Classic replication, as brokers and tools ask about it; the log itself goes another way.

use crate::header::NoHeader;
use crate::types::PhysicalOffset;
use crate::{header, request};

request! {
    /// A broker that names itself is the master from now on; one that does not asks the master. Java: `ExchangeHAInfoRequestHeader`.
    EXCHANGE_BROKER_HA_INFO => ExchangeHaInfoReply,
    pub struct ExchangeHaInfo {
        /// Where it feeds slaves, `host:port`.
        master_ha_address: Option<String> = "masterHaAddress",
        /// Where its log ended when it started.
        master_flush_offset: Option<PhysicalOffset> = "masterFlushOffset",
        /// Where it serves clients, `host:port`.
        master_address: Option<String> = "masterAddress",
    }
}

header! {
    /// What a master says of itself; others say nothing. Java: `ExchangeHAInfoResponseHeader`.
    pub struct ExchangeHaInfoReply {
        master_ha_address: Option<String> = "masterHaAddress",
        master_flush_offset: Option<PhysicalOffset> = "masterFlushOffset",
        master_address: Option<String> = "masterAddress",
    }
}

request! {
    /// The body of the answer is a `HaRuntimeInfo`. Java: `AdminBrokerProcessor.getBrokerHaStatus`.
    GET_BROKER_HA_STATUS => NoHeader,
    pub struct GetBrokerHaStatus {}
}

request! {
    /// Tells a slave where its master's log ended when that started. Java: `ResetMasterFlushOffsetHeader`.
    RESET_MASTER_FLUSH_OFFSET => NoHeader,
    pub struct ResetMasterFlushOffset {
        master_flush_offset: Option<PhysicalOffset> = "masterFlushOffset",
    }
}
