//! Checks a subscription before a client starts with it.

use remoting::body::{CheckClientRequestBody, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::client::CheckClientConfig;
use remoting::router::{Call, Handle, Reply};

use super::{ClientError, Clients};

impl Handle<CheckClientConfig> for Clients {
    type Error = ClientError;

    /// Tags need no check. Java: `ClientManageProcessor.checkClientConfig`.
    async fn handle(&self, call: Call<CheckClientConfig>) -> Result<Reply<NoHeader>, ClientError> {
        if call.body.is_empty() {
            return Ok(Reply::done());
        }
        let body: CheckClientRequestBody = fastjson::read(&call.body)?;
        let expression_type = body.subscription_data.expression_type;
        if expression_type.is_tag() { Ok(Reply::done()) } else { Err(ClientError::FilterUnsupported(expression_type)) }
    }
}
