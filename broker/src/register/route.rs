//! Asking name servers where a topic is.

use std::time::Duration;

use bytes::Bytes;
use remoting::body::{TopicRouteData, fastjson};
use remoting::client::Client;
use remoting::connection::CallError;
use remoting::header::NoHeader;
use remoting::protocol::ResponseCode;
use remoting::protocol::route::GetRoute;
use remoting::types::TopicName;
use thiserror::Error;

use super::Registrar;

/// Java: `TopicRouteInfoManager.GET_TOPIC_ROUTE_TIMEOUT`.
const TIMEOUT: Duration = Duration::from_secs(3);

/// No name server answered.
#[derive(Debug, Error)]
#[error("no name server tells the route")]
pub(crate) struct NoAnswer;

impl Registrar {
    /// The route of a topic, from the first name server that answers; `None`: there is no such topic.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub(crate) async fn route(&self, topic: &TopicName) -> Result<Option<TopicRouteData>, NoAnswer> {
        let addrs: Vec<_> = self.links.lock().keys().cloned().collect();
        route(&self.shared.client, &addrs, topic).await
    }
}

/// As [`Registrar::route`], from the first of `servers` that answers.
///
/// # Errors
/// [`NoAnswer`].
pub(crate) async fn route(
    client: &Client,
    servers: &[String],
    topic: &TopicName,
) -> Result<Option<TopicRouteData>, NoAnswer> {
    for addr in servers {
        match ask(client, addr, topic).await {
            Ok(None) => return Ok(None),
            Ok(Some(body)) => match fastjson::read(&body) {
                Ok(route) => return Ok(Some(route)),
                Err(err) => tracing::warn!(name_server = addr, %topic, %err, "the route of a topic does not parse"),
            },
            Err(err) => tracing::warn!(name_server = addr, %topic, %err, "the route of a topic is not told"),
        }
    }
    Err(NoAnswer)
}

async fn ask(client: &Client, addr: &str, topic: &TopicName) -> Result<Option<Bytes>, CallError> {
    let request = GetRoute { topic: topic.clone(), accept_standard_json_only: Some(true) };
    let answer = client.call(addr, &request, Bytes::new(), TIMEOUT).await?;
    if answer.code() == ResponseCode::TOPIC_NOT_EXIST {
        return Ok(None);
    }
    answer.success::<NoHeader>().map(|(_, body)| Some(body))
}
