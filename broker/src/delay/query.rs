//! `GET_ALL_DELAY_OFFSET`: slaves copy how far the master's levels are. Java: `AdminBrokerProcessor.getAllDelayOffset`.

use std::convert::Infallible;

use remoting::header::NoHeader;
use remoting::protocol::offset::GetAllDelayOffset;
use remoting::router::{Call, Handle, Reply};

use super::Delays;

impl Handle<GetAllDelayOffset> for Delays {
    type Error = Infallible;

    async fn handle(&self, _: Call<GetAllDelayOffset>) -> Result<Reply<NoHeader>, Infallible> {
        Ok(Reply::done().body(self.progress.encode()))
    }
}
