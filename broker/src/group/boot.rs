//! The groups every broker has from its first start. Java: `SubscriptionGroupManager.init`.

use remoting::body::SubscriptionGroupConfig;

const GROUPS: [&str; 8] = [
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_RMQ_SYS_TRANS",
];

pub(super) fn groups() -> impl Iterator<Item = SubscriptionGroupConfig> {
    GROUPS.into_iter().map(SubscriptionGroupConfig::new)
}
