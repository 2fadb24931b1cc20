//! Checks a subscription before a client starts with it.

use remoting::body::{CheckClientRequestBody, SubscriptionData, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::client::CheckClientConfig;
use remoting::router::{Call, Handle, Reply};

use super::{ClientError, Clients};
use crate::filter;

impl Handle<CheckClientConfig> for Clients {
    type Error = ClientError;

    /// Tags need no check. Java: `ClientManageProcessor.checkClientConfig`.
    async fn handle(&self, call: Call<CheckClientConfig>) -> Result<Reply<NoHeader>, ClientError> {
        if call.body.is_empty() {
            return Ok(Reply::done());
        }
        let body: CheckClientRequestBody = fastjson::read(&call.body)?;
        let SubscriptionData { expression_type, sub_string, .. } = body.subscription_data;
        if expression_type.is_tag() {
            return Ok(Reply::done());
        }
        if !self.ctx.settings().enable_property_filter {
            return Err(ClientError::FilterUnsupported(expression_type));
        }
        filter::compile(&expression_type, &sub_string)?;
        Ok(Reply::done())
    }
}
