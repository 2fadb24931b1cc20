//! A leader whose process has ended is missed at once.
//!
//! Its connections end, and its port refuses new ones: nobody is there who could lead. Those who are left [ask to be
//! elected](super::candidacy) without waiting until the leader's lease is over.
//!
//! A machine that is cut off refuses nothing, and is not missed in this way.

use std::io;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use super::candidacy::Candidate;
use super::client::ask;
use super::wire::{Hello, Request};

/// Longest wait for an answer of the leader.
const PATIENCE: Duration = Duration::from_millis(200);
/// A process that ends may take connections for a moment after it has dropped others.
const PROBES: u32 = 8;
/// Between the first two of them, then twice as long each time.
const BETWEEN_PROBES: Duration = Duration::from_millis(2);

/// Looks into each member of which a connection has ended.
pub(super) async fn watch(candidate: &Candidate, mut ended: mpsc::Receiver<u64>) {
    while let Some(member) = ended.recv().await {
        if let Err(error) = look_into(candidate, member).await {
            debug!(member, %error, "look into the end of a connection");
        }
    }
}

async fn look_into(candidate: &Candidate, lost: u64) -> io::Result<()> {
    let Some(leader) = candidate.leader().await?.filter(|leader| leader.number == lost) else { return Ok(()) };
    if !is_gone(&leader.address, &candidate.hello(lost)).await {
        return Ok(());
    }
    info!(leader = lost, "the leader's process has ended");
    candidate.ask_to_be_elected(&leader).await
}

/// Whether nobody is there any more: connections are refused.
async fn is_gone(address: &str, hello: &Hello) -> bool {
    for probe in 0..PROBES {
        match timeout(PATIENCE, ask(address, hello, &Request::Stand)).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return true,
            Ok(Err(_)) => sleep(BETWEEN_PROBES * 2u32.pow(probe)).await,
            Ok(Ok(_)) | Err(_) => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::net::wire::Use;

    #[tokio::test]
    async fn only_who_refuses_connections_is_gone() {
        let hello = Hello { purpose: Use::Calls, from: 1, to: 2, group: "g".into() };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert!(!is_gone(&address, &hello).await, "it is silent");
        let ends = async {
            // The first connection is that of the silence.
            for _ in 0..3 {
                drop(listener.accept().await.unwrap());
            }
            drop(listener);
        };
        assert!(tokio::join!(is_gone(&address, &hello), ends).0, "it takes some and ends");
        assert!(is_gone(&address, &hello).await);
    }
}
