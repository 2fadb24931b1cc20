//! Taking the place of a leader that is missed.
//!
//! Those who are left tell each other how far they are, and the one that is furthest asks for votes as if the leader had
//! handed over to it; those with a slow disk come last. The vote is an ordinary one, so nothing depends on that the leader is gone; it only need not wait until
//! its lease is over on all the others. If it fails, the next one asks, and if all do, they miss the leader's signs of life as
//! ever.

use std::cmp::Reverse;
use std::io;
use std::time::Duration;

use futures_util::future::join_all;
use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::time::{sleep, timeout};
use tracing::info;

use super::client::ask;
use super::wire::{Answer, Hello, Request, Use};
use crate::guard::Guard;
use crate::quarantine::Stand;
use crate::types::Vote;

/// Longest wait for an answer of another member.
const PATIENCE: Duration = Duration::from_millis(200);
/// Between the attempts of members to be elected.
const TURN: Duration = Duration::from_millis(50);

/// A member that may take the leader's place.
pub(super) struct Candidate {
    pub(super) guard: Guard,
    pub(super) group: String,
}

/// Whom the group follows.
pub(super) struct Leader {
    pub(super) number: u64,
    pub(super) address: String,
    pub(super) vote: Vote,
    /// The other voters, besides the candidate, and where they are.
    pub(super) others: Vec<(u64, String)>,
}

impl Candidate {
    /// The leader, if this member follows one and may take its place.
    pub(super) async fn leader(&self) -> io::Result<Option<Leader>> {
        let own = self.guard.number();
        let Stand { vote, is_quarantined, .. } = self.guard.stand().await?;
        let number = vote.leader_id().node_id;
        let members = self.guard.raft().metrics().borrow_watched().membership_config.clone();
        let votes = |member: u64| members.voter_ids().any(|voter| voter == member);
        if !vote.is_committed() || number == own || is_quarantined || !votes(own) {
            return Ok(None);
        }
        let address = |wanted: u64| {
            members.nodes().find_map(|(member, at)| (*member == wanted).then(|| (wanted, at.address.clone())))
        };
        let Some((_, leader)) = address(number) else { return Ok(None) };
        let others = members.voter_ids().filter(|voter| ![own, number].contains(voter)).filter_map(address).collect();
        Ok(Some(Leader { number, address: leader, vote, others }))
    }

    /// Asks for votes, when this member's turn comes.
    pub(super) async fn ask_to_be_elected(&self, instead_of: &Leader) -> io::Result<()> {
        let own = self.guard.number();
        let answers = self.ask_others(instead_of, Request::Stand).await;
        let stands = answers.into_iter().filter_map(|(number, answer)| match answer {
            Answer::Stand(stand) if !stand.is_quarantined => Some((number, stand)),
            _ => None,
        });
        let stands: Vec<_> = stands.collect();
        // What the leader sent last has been taken by now.
        let turn = turn((own, self.guard.stand().await?), &stands);
        info!(leader = instead_of.number, turn, "asks to be elected in the leader's place");
        sleep(TURN * turn).await;
        self.guard.succeed(instead_of.vote).await
    }

    /// What the other voters answer, of those who do.
    pub(super) async fn ask_others(&self, than: &Leader, request: Request) -> Vec<(u64, Answer)> {
        let request = &request;
        let asked = than.others.iter().map(async |(number, address)| {
            let answer = timeout(PATIENCE, ask(address, &self.hello(*number), request)).await;
            Some((*number, answer.ok()?.ok()?))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    pub(super) fn hello(&self, to: u64) -> Hello {
        Hello { purpose: Use::Calls, from: self.guard.number(), to, group: self.group.clone() }
    }
}

/// How many of the others ask first: those with a quick disk, then those whose log is longer, and of equal ones those with a
/// lower number.
fn turn(own: (u64, Stand), others: &[(u64, Stand)]) -> u32 {
    let rank = |(number, stand): &(u64, Stand)| (stand.is_slow, Reverse(stand.last), *number);
    others.iter().filter(|other| rank(other) < rank(&own)).count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Id, Leader};

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
}
