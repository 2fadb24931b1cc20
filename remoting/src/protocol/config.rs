//! Settings of a running process, as properties text.

use crate::header::NoHeader;
use crate::{header, request};

request! {
    UPDATE_BROKER_CONFIG => NoHeader,
    pub struct UpdateBrokerConfig {}
}

request! {
    GET_BROKER_CONFIG => GetBrokerConfigReply,
    pub struct GetBrokerConfig {}
}

header! {
    pub struct GetBrokerConfigReply {
        /// A `DataVersion` as JSON.
        version: String = "version",
    }
}

request! {
    UPDATE_NAMESRV_CONFIG => NoHeader,
    pub struct UpdateNamesrvConfig {}
}

request! {
    GET_NAMESRV_CONFIG => NoHeader,
    pub struct GetNamesrvConfig {}
}
