//! Limits on what consumer groups read from disk.

use crate::header::NoHeader;
use crate::request;

request! {
    /// The body is properties: consumer groups, each with the bytes that it may read from disk within a period.
    /// Java: `AdminBrokerProcessor.updateColdDataFlowCtrGroupConfig`.
    UPDATE_COLD_DATA_FLOW_CTR_CONFIG => NoHeader,
    pub struct UpdateColdDataLimits {}
}

request! {
    /// The body is the name of the group that has no limit of its own any more.
    /// Java: `AdminBrokerProcessor.removeColdDataFlowCtrGroupConfig`.
    REMOVE_COLD_DATA_FLOW_CTR_CONFIG => NoHeader,
    pub struct RemoveColdDataLimit {}
}

request! {
    /// The body of the answer is `ColdDataFlow`. Java: `AdminBrokerProcessor.getColdDataFlowCtrInfo`.
    GET_COLD_DATA_FLOW_CTR_INFO => NoHeader,
    pub struct GetColdDataFlow {}
}
