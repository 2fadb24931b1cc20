//! The first members make their group.
//!
//! They have the same settings, which name all of them. A member that comes later has such settings, too, and must not make
//! a second group beside the one that it is to be taken into. So nobody makes a group before all members in its settings have
//! answered, and none of them has anything in its log: of a group that is there, most have.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::metrics::{RaftMetrics, WaitError};
use remoting::types::MemberNumber;
use tokio::time::{Instant, timeout};
use tracing::info;

use super::client::ask;
use super::wire::{Answer, Hello, Request, Stand, Use};
use crate::group::GroupError;
use crate::types::{Member, Raft, Types};

/// Longest wait for an answer of another member.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two looks at the others.
const LOOK: Duration = Duration::from_millis(100);
/// The same, while there is a group that has not taken this member in.
const LOOK_IN: Duration = Duration::from_secs(1);

/// What the other members are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Others {
    /// All are there and have no log.
    New,
    /// These are not there.
    Missing(Vec<u64>),
    /// One of them belongs to a group.
    Grouped(u64),
}

impl Others {
    fn of(answers: &BTreeMap<u64, Option<Stand>>) -> Self {
        let has_log = |stand: &Option<Stand>| stand.is_some_and(|stand| stand.last.is_some());
        if let Some((number, _)) = answers.iter().find(|(_, stand)| has_log(stand)) {
            return Self::Grouped(*number);
        }
        let missing: Vec<_> = answers.iter().filter(|(_, stand)| stand.is_none()).map(|(number, _)| *number).collect();
        if missing.is_empty() { Self::New } else { Self::Missing(missing) }
    }
}

/// Makes `members` a new group once all of them are there and none of them has a log. Returns when that is done, or when a
/// group has taken this member in.
///
/// Each lets those with a lower number begin, and waits `turn` for each of them: two who begin at once compete for the lead.
///
/// # Errors
/// This member is not among `members`, has promised its vote to somebody, or stops.
pub async fn found(
    raft: Raft,
    group: String,
    members: BTreeMap<u64, Member>,
    turn: Duration,
) -> Result<(), GroupError> {
    let own = *raft.node_id();
    let patience = turn * members.range(..own).count() as u32;
    let (mut before, mut complete) = ((None, 0), None);
    while !taken_in(&raft.metrics().borrow_watched()) {
        let others = look(own, &group, &members).await;
        if others != Others::New {
            complete = None;
        }
        let again = if before.0.as_ref() == Some(&others) { before.1 + 1 } else { 0 };
        let pause = match &others {
            Others::New if complete.get_or_insert_with(Instant::now).elapsed() >= patience => {
                return raft.initialize(members).await.map_err(|error| GroupError::Raft(error.to_string()));
            }
            Others::New => LOOK,
            Others::Missing(missing) => {
                if again == 0 {
                    let missing = missing.iter().map(|number| MemberNumber(*number).to_string());
                    let missing = missing.collect::<Vec<_>>().join(" ");
                    info!(missing, "the group is made once all of its members are there");
                }
                LOOK
            }
            // While a group is being made, this is so for a moment.
            Others::Grouped(member) => {
                if again == 1 {
                    info!(member = %MemberNumber(*member), "there is a group already: waits until it takes this member in");
                }
                LOOK_IN
            }
        };
        before = (Some(others), again);
        match raft.wait(Some(pause)).metrics(taken_in, "taken in").await {
            Err(WaitError::ShuttingDown) => return Err(GroupError::Raft("this member stops".into())),
            Ok(_) | Err(WaitError::Timeout(..)) => {}
        }
    }
    Ok(())
}

fn taken_in(metrics: &RaftMetrics<Types>) -> bool {
    metrics.membership_config.nodes().next().is_some()
}

async fn look(own: u64, group: &str, members: &BTreeMap<u64, Member>) -> Others {
    let others = members.iter().filter(|(number, _)| **number != own);
    let asked = others.map(async |(number, member)| {
        let hello = Hello { purpose: Use::Calls, from: own, to: *number, group: group.to_owned() };
        let stand = match timeout(PATIENCE, ask(&member.address, &hello, &Request::Stand)).await {
            Ok(Ok(Answer::Stand(stand))) => Some(stand),
            _ => None,
        };
        (*number, stand)
    });
    Others::of(&join_all(asked).await.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Id, Leader, Vote};

    #[test]
    fn a_group_is_made_of_members_that_are_all_there_and_have_no_log() {
        let new = Some(Stand { vote: Vote::new(0, 0), last: None });
        let asked_for_its_vote = Some(Stand { vote: Vote::new(1, 1), last: None });
        let id = |term, index| Id { leader_id: Leader { term, node_id: 1 }, index };
        let grouped = |term, index| Some(Stand { vote: Vote::new(term, 1), last: Some(id(term, index)) });
        let check = |answers: [Option<Stand>; 3], expect: Others| {
            assert_eq!(Others::of(&(1..).zip(answers).collect()), expect, "{answers:?}");
        };
        check([new, new, new], Others::New);
        check([new, asked_for_its_vote, new], Others::New);
        check([new, None, new], Others::Missing(vec![2]));
        check([None, new, None], Others::Missing(vec![1, 3]));
        check([new, new, grouped(0, 0)], Others::Grouped(3));
        check([None, grouped(4, 700), None], Others::Grouped(2));
        assert_eq!(Others::of(&BTreeMap::new()), Others::New, "it is the only one");
    }
}
