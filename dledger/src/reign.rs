//! The leader's part: its store takes messages while most of the others answer, and the group agrees on what it writes.

use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::instant::Instant as _;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::Fatal;
use openraft::metrics::RaftMetrics;
use store::{EntryId, RaftLog};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{error, info, warn};

use crate::group::{Role, Timing};
use crate::storage::Storage;
use crate::types::{Id, Leader, Raft, Types, Written};

/// Until when a leader may be sure that nobody else is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lease {
    /// There is nobody else.
    Alone,
    Until(Instant),
    None,
}

impl Lease {
    /// openraft turns messages away by the same rule.
    fn of(metrics: &RaftMetrics<Types>, election_max: Duration) -> Self {
        if metrics.membership_config.voter_ids().eq([metrics.id]) {
            return Self::Alone;
        }
        let until = |age: Duration| Self::Until(Instant::now() + election_max.saturating_sub(age));
        metrics.last_quorum_acked.map_or(Self::None, |acked| until(acked.elapsed()))
    }

    fn holds(self) -> bool {
        match self {
            Self::Alone => true,
            Self::Until(end) => Instant::now() < end,
            Self::None => false,
        }
    }

    /// Returns when it has run out.
    async fn end(self) {
        match self {
            Self::Until(end) => sleep_until(end).await,
            Self::Alone | Self::None => std::future::pending().await,
        }
    }
}

/// Has the group agree on what the store has written, in that order.
pub(crate) async fn propose(
    raft: Raft,
    storage: Storage,
    timing: Timing,
    mut from_store: mpsc::UnboundedReceiver<EntryId>,
) {
    let mut proposed: Option<EntryId> = None;
    let mut ticks = interval(timing.heartbeat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let done = tokio::select! {
            entry = from_store.recv() => {
                let Some(entry) = entry else { return };
                proposed = Some(entry);
                // Once the reign is over this is turned away, and the entry taken back.
                raft.write(Written).with_leader(leader_of(&entry)).await
            }
            _ = ticks.tick() => match proposed {
                Some(last) if last.index >= storage.known_end() => propose_again(&raft, &last, timing).await,
                _ => Ok(()),
            },
        };
        if done.is_err() {
            return;
        }
    }
}

/// Proposes what was turned away, if this reign goes on: openraft takes nothing while most of the others do not answer, but
/// the store may have written it already.
async fn propose_again(raft: &Raft, last: &EntryId, timing: Timing) -> Result<(), Fatal<Types>> {
    if !Lease::of(&raft.metrics().borrow_watched(), timing.election_max).holds() {
        return Ok(());
    }
    let leader = leader_of(last);
    // Answered behind all that was proposed so far.
    let known = raft.with_raft_state(move |state| {
        let vote = state.vote_ref();
        (vote.is_committed() && *vote.leader_id() == leader).then(|| state.log_ids.last().map_or(0, |id| id.index + 1))
    });
    let Some(known) = known.await? else { return Ok(()) };
    if known <= last.index {
        warn!(from = known, to = last.index, "messages that were turned away for a while are proposed again");
    }
    for _ in known..=last.index {
        raft.write(Written).with_leader(leader).await?;
    }
    Ok(())
}

fn leader_of(entry: &EntryId) -> Leader {
    Leader { term: entry.term, node_id: entry.node.into() }
}

/// Has the store take messages while this member leads, and shows everything that was agreed on before.
pub(crate) async fn follow_role(
    raft: Raft,
    log: RaftLog,
    node: u32,
    timing: Timing,
    written: mpsc::UnboundedSender<EntryId>,
    tell: watch::Sender<Role>,
) {
    let mut metrics = raft.metrics();
    let mut reign = None;
    loop {
        let (running, state, vote, leader, applied, lease) = {
            let now = metrics.borrow_and_update();
            let lease = Lease::of(&now, timing.election_max);
            (now.running_state.clone(), now.state, now.vote, now.current_leader, now.last_applied, lease)
        };
        if let Err(fatal) = running {
            error!(%fatal, "the member takes no more part in its group");
            break;
        }
        let term = vote.leader_id().term;
        let is_leader = state == ServerState::Leader && vote.is_committed();
        let leads = is_leader && lease.holds();
        if let Some(begun) = reign
            && (!leads || begun != term || !log.leads())
        {
            if is_leader && !leads {
                warn!(term, "most of the others do not answer: takes no messages until they do");
            }
            log.follow();
            reign = None;
        }
        // The first entry of a reign is its own, so all before it is agreed on, too.
        let is_own = |id: &Id| id.leader_id == Leader { term, node_id: node.into() };
        if leads && reign.is_none() && applied.as_ref().is_some_and(is_own) {
            let written = written.clone();
            let to_group = move |entry| {
                // It ends with the member.
                let _ = written.send(entry);
            };
            let own = log.last().filter(|last| (last.term, last.node) == (term, node));
            match own.map(|own| log.lead(own, term, node, to_group)) {
                Some(Ok(())) => {
                    info!(term, "leads the group");
                    reign = Some(term);
                }
                // The next change of the log is looked at again.
                other => error!(term, ?other, "the log ends with something else than an entry of this reign"),
            }
        }
        let role = match reign {
            Some(term) => Role::Leader { term },
            None => Role::Follower { leader: leader.filter(|_| !is_leader) },
        };
        tell.send_if_modified(|told| std::mem::replace(told, role) != role);
        tokio::select! {
            changed = metrics.changed() => if changed.is_err() {
                break;
            },
            () = lease.end(), if reign.is_some() => {}
        }
    }
    log.follow();
    tell.send_if_modified(|told| {
        let role = Role::Follower { leader: None };
        std::mem::replace(told, role) != role
    });
}
