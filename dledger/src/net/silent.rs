//! A leader of which most members hear nothing is missed as soon as its lease is over.
//!
//! By itself a member waits a random time longer, lest several ask to be elected at once. Here they ask each other first: if
//! most of the voters have heard nothing of their leader for as long as its lease is, it has lost it, and they
//! [take turns](super::candidacy).
//!
//! A member that stood still itself begins to listen anew: on a busy machine it is seldom the leader that is late.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use super::candidacy::{Candidate, Leader};
use super::wire::{Answer, Request};
use crate::types::Vote;

/// Looks at what was heard, in one lease.
const LOOKS: u32 = 12;

/// Looks out for silence.
pub(super) async fn watch(candidate: &Candidate) {
    let lease = candidate.guard.timing().election_max;
    let look = lease / LOOKS;
    let mut listens_since = Instant::now();
    loop {
        let begun = Instant::now();
        sleep(look).await;
        if begun.elapsed() > 3 * look {
            listens_since = Instant::now();
        }
        let silent_for = |heard: Instant| heard.max(listens_since).elapsed();
        let Some((vote, _)) = candidate.guard.heard().filter(|(_, heard)| silent_for(*heard) >= lease) else {
            continue;
        };
        match look_into(candidate, vote, lease - 2 * look).await {
            Ok(true) => listens_since = Instant::now(),
            // Others may hear it: no need to ask them all the time.
            Ok(false) => sleep(lease / 4).await,
            Err(error) => debug!(%error, "look into the leader's silence"),
        }
    }
}

/// Whether this member has asked to be elected, as most have heard nothing of the leader with this `vote` for `nearly` its lease.
async fn look_into(candidate: &Candidate, vote: Vote, nearly: Duration) -> io::Result<bool> {
    let Some(leader) = candidate.leader().await?.filter(|leader| leader.vote == vote) else { return Ok(false) };
    let answers = candidate.ask_others(&leader, Request::Silence).await;
    let silences = answers.into_iter().filter_map(|(_, answer)| match answer {
        Answer::Silence(heard) => Some(heard),
        _ => None,
    });
    if !are_most(&leader, silences, nearly) {
        return Ok(false);
    }
    info!(leader = leader.number, "most members hear nothing of the leader");
    candidate.ask_to_be_elected(&leader).await?;
    Ok(true)
}

/// Whether those who hear nothing of the leader are most of the voters, with this one.
fn are_most(leader: &Leader, silences: impl Iterator<Item = Option<(Vote, Duration)>>, nearly: Duration) -> bool {
    let agree = silences.flatten().filter(|(vote, silence)| *vote == leader.vote && *silence >= nearly).count();
    let voters = leader.others.len() + 2;
    2 * (agree + 1) > voters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_most_of_the_voters_miss_a_leader() {
        let vote = Vote::new_committed(4, 1);
        let leader = |others: u64| Leader {
            number: 1,
            address: String::new(),
            vote,
            others: (3..3 + others).map(|number| (number, String::new())).collect(),
        };
        let (nearly, long) = (Duration::from_millis(500), Duration::from_millis(600));
        let check = |others: u64, silences: &[Option<(Vote, Duration)>]| {
            are_most(&leader(others), silences.iter().copied(), nearly)
        };
        assert!(check(1, &[Some((vote, long))]));
        assert!(!check(1, &[]), "it may be this one that is cut off");
        assert!(!check(1, &[Some((vote, Duration::from_millis(90)))]));
        assert!(!check(1, &[Some((Vote::new_committed(3, 1), long))]), "it does not know this leader");
        assert!(!check(1, &[None]));
        assert!(!check(3, &[Some((vote, long))]));
        assert!(check(3, &[Some((vote, long)), None, Some((vote, long))]));
        assert!(!check(0, &[]), "with a leader alone there is nobody else");
    }
}
