//! What the tools share that ask running processes: `ferromq group`, `ferromq ready` and `ferromq migrate`.

use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use remoting::client::{Client, ClientConfig};
use remoting::connection::{CallError, Response};
use remoting::frame::RemotingCommand;
use remoting::header::Request;
use remoting::protocol::ResponseCode;
use remoting::router::Router;
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

/// Something is in the way, differs, or cannot be reached.
const WRONG: u8 = 1;
/// Longest wait for an answer: a Java broker with many groups takes seconds, and a change of a group is answered once most of
/// its members have agreed, or not within 5 s.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Does the work of a tool; what it tells in the end goes to the standard output, or why it failed to the standard error.
pub(crate) fn end<E: Display>(done: impl Future<Output = Result<String, E>>) -> ExitCode {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => return crate::fail(WRONG, &format!("start the runtime: {err}")),
    };
    match runtime.block_on(done) {
        Ok(text) => {
            crate::run::print(&text);
            ExitCode::SUCCESS
        }
        Err(err) => crate::fail(WRONG, &err.to_string()),
    }
}

pub(crate) fn client() -> Client {
    Client::new(ClientConfig::default(), Arc::new(Router::default()), CancellationToken::new())
}

/// An answer that is a success.
///
/// Its header is for those who need it: 4.9 leaves out fields that 5.x has.
///
/// # Errors
/// No answer came, or it is a [refusal](CallError::Refused).
pub(crate) async fn call<R: Request>(
    client: &Client,
    at: &str,
    header: &R,
    body: Bytes,
    within: Duration,
) -> Result<RemotingCommand, CallError> {
    let answer = client.call(at, header, body, within).await?;
    let (code, Response(answer)) = (answer.code(), answer);
    if code == ResponseCode::SUCCESS {
        Ok(answer)
    } else {
        Err(CallError::Refused { code, remark: answer.remark.unwrap_or_default() })
    }
}

/// Addresses of name servers, as a list of settings joins them.
pub(crate) fn addresses(list: &str) -> Vec<String> {
    list.split([';', ',']).map(str::trim).filter(|at| !at.is_empty()).map(str::to_owned).collect()
}
