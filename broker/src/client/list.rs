//! Tells the members of a consumer group, so that each of them comes to the same division of queues.

use remoting::body::{ConsumerIdList, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::client::GetConsumerList;
use remoting::router::{Call, Handle, Reply};

use super::{ClientError, Clients};

impl Handle<GetConsumerList> for Clients {
    type Error = ClientError;

    async fn handle(&self, call: Call<GetConsumerList>) -> Result<Reply<NoHeader>, ClientError> {
        let name = call.header.consumer_group;
        let Some(group) = self.consumers.group(&name) else { return Err(ClientError::NoConsumer(name)) };
        let body = ConsumerIdList { consumer_id_list: group.client_ids() };
        Ok(Reply::done().body(fastjson::write(&body)))
    }
}
