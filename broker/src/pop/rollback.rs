//! Java keeps POP state in a key-value service if told to, and this request moves it back. There is no such service
//! here, so it does nothing, as in a Java broker without.

use std::convert::Infallible;

use remoting::header::NoHeader;
use remoting::protocol::pop::PopRollback;
use remoting::router::{Call, Handle, Reply};

use super::Pops;

impl Handle<PopRollback> for Pops {
    type Error = Infallible;

    async fn handle(&self, _: Call<PopRollback>) -> Result<Reply<NoHeader>, Infallible> {
        Ok(Reply::done())
    }
}
