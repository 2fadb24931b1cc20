//! A leader whose process has ended is missed at once.
//!
//! Its connections end, and its port refuses new ones: nobody is there who could lead. Those who are left tell each other
//! how far they are, and the one that is furthest asks for votes as if the leader had handed over to it; those with a slow
//! disk come last. The vote is an ordinary one, so nothing depends on that this is so; it only need not wait until the
//! leader's lease is over. If it fails, the next one asks, and if all do, they miss the leader's signs of life as ever.
//!
//! A machine that is cut off refuses nothing, and is not missed in this way.

use std::cmp::Reverse;
use std::io;
use std::time::Duration;

use futures_util::future::join_all;
use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use super::client::ask;
use super::wire::{Answer, Hello, Request, Use};
use crate::guard::Guard;
use crate::quarantine::Stand;

/// Longest wait for an answer of another member.
const PATIENCE: Duration = Duration::from_millis(200);
/// Between the attempts of members to be elected.
const TURN: Duration = Duration::from_millis(50);
/// A process that ends may take connections for a moment after it has dropped others.
const PROBES: u32 = 8;
/// Between the first two of them, then twice as long each time.
const BETWEEN_PROBES: Duration = Duration::from_millis(2);

/// A member that has lost another.
pub(super) struct Survivor {
    pub(super) guard: Guard,
    pub(super) group: String,
}

impl Survivor {
    /// Looks into each member of which a connection has ended.
    pub(super) async fn run(self, mut ended: mpsc::Receiver<u64>) {
        while let Some(member) = ended.recv().await {
            if let Err(error) = self.look_into(member).await {
                debug!(member, %error, "look into the end of a connection");
            }
        }
    }

    async fn look_into(&self, lost: u64) -> io::Result<()> {
        let own = self.guard.number();
        let before = self.guard.stand().await?;
        let leads = before.vote.is_committed() && before.vote.leader_id().node_id == lost && lost != own;
        let members = self.guard.raft().metrics().borrow_watched().membership_config.clone();
        let address = members.nodes().find_map(|(number, member)| (*number == lost).then(|| member.address.clone()));
        let may_ask = leads && !before.is_quarantined;
        let (true, Some(address)) = (may_ask && members.voter_ids().any(|voter| voter == own), address) else {
            return Ok(());
        };
        if !is_gone(&address, &self.hello(lost)).await {
            return Ok(());
        }
        let others = members
            .nodes()
            .filter(|(number, _)| ![own, lost].contains(*number) && members.voter_ids().any(|voter| voter == **number));
        let asked = others.map(async |(number, member)| {
            let hello = self.hello(*number);
            match timeout(PATIENCE, ask(&member.address, &hello, &Request::Stand)).await {
                Ok(Ok(Answer::Stand(stand))) if !stand.is_quarantined => Some((*number, stand)),
                _ => None,
            }
        });
        let others: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
        // What the leader sent before it ended has been taken by now.
        let turn = turn((own, self.guard.stand().await?), &others);
        info!(leader = lost, turn, "the leader's process has ended: asks to be elected in its place");
        sleep(TURN * turn).await;
        self.guard.succeed(before.vote).await
    }

    fn hello(&self, to: u64) -> Hello {
        Hello { purpose: Use::Calls, from: self.guard.number(), to, group: self.group.clone() }
    }
}

/// How many of the others ask first: those with a quick disk, then those whose log is longer, and of equal ones those with a
/// lower number.
fn turn(own: (u64, Stand), others: &[(u64, Stand)]) -> u32 {
    let rank = |(number, stand): &(u64, Stand)| (stand.is_slow, Reverse(stand.last), *number);
    others.iter().filter(|other| rank(other) < rank(&own)).count() as u32
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
    use crate::types::{Id, Leader, Vote};

    #[test]
    fn the_longest_log_asks_first_and_of_equal_ones_the_lowest_number() {
        let stand = |term, index| Stand {
            vote: Vote::new_committed(9, 9),
            agreed: None,
            last: Some(Id { leader_id: Leader { term, node_id: 1 }, index }),
            is_quarantined: false,
            is_slow: false,
        };
        let nothing = Stand { vote: Vote::new(0, 0), agreed: None, last: None, is_quarantined: false, is_slow: false };
        assert_eq!(turn((2, stand(3, 7)), &[]), 0);
        assert_eq!(turn((2, stand(3, 7)), &[(1, stand(3, 6)), (3, stand(3, 7)), (4, nothing)]), 0);
        assert_eq!(turn((2, stand(3, 7)), &[(1, stand(3, 7)), (3, stand(3, 8)), (4, stand(4, 1))]), 3);
        assert_eq!(turn((2, nothing), &[(1, nothing), (3, nothing)]), 1);
        let slow = Stand { is_slow: true, ..stand(3, 8) };
        assert_eq!(turn((2, stand(3, 7)), &[(1, slow)]), 0);
        assert_eq!(turn((1, slow), &[(2, stand(3, 7)), (3, Stand { is_slow: true, ..stand(3, 9) })]), 2);
    }

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
