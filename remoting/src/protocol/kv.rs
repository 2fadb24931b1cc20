//! Key-value settings that name servers hold for clients and tools.

use crate::header::NoHeader;
use crate::{header, request};

request! {
    /// Java: `PutKVConfigRequestHeader`.
    PUT_KV_CONFIG => NoHeader,
    pub struct PutKvConfig {
        namespace: String = "namespace",
        key: String = "key",
        value: String = "value",
    }
}

request! {
    /// Java: `GetKVConfigRequestHeader`.
    GET_KV_CONFIG => GetKvConfigReply,
    pub struct GetKvConfig {
        namespace: String = "namespace",
        key: String = "key",
    }
}

header! {
    pub struct GetKvConfigReply {
        value: Option<String> = "value",
    }
}

request! {
    /// Java: `DeleteKVConfigRequestHeader`.
    DELETE_KV_CONFIG => NoHeader,
    pub struct DeleteKvConfig {
        namespace: String = "namespace",
        key: String = "key",
    }
}

request! {
    /// Java: `GetKVListByNamespaceRequestHeader`.
    GET_KVLIST_BY_NAMESPACE => NoHeader,
    pub struct GetKvList {
        namespace: String = "namespace",
    }
}
