//! The leader's part: its store takes messages while most of the others answer, and the group agrees on what it writes.

use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::instant::Instant as _;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::Fatal;
use openraft::metrics::RaftMetrics;
use store::{EntryId, RaftLog};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::group::{Role, Timing};
use crate::storage::Storage;
use crate::types::{Leader, Raft, Types, Written};

/// Between two looks at whether openraft has taken everything.
const SETTLING: Duration = Duration::from_millis(1);

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

/// What is to be proposed.
pub(crate) enum Told {
    /// The store has written one more.
    Written(EntryId),
    /// Nothing: but has openraft taken all that the store has written in this reign, and nothing else? A reign begins or goes on
    /// only then, as the two count apart from each other.
    Settle(Leader, oneshot::Sender<bool>),
}

/// Has the group agree on what the store has written, in that order.
pub(crate) async fn propose(
    raft: Raft,
    log: RaftLog,
    storage: Storage,
    timing: Timing,
    mut from_store: mpsc::UnboundedReceiver<Told>,
) {
    let mut last: Option<EntryId> = None;
    let mut ticks = interval(timing.heartbeat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let done = tokio::select! {
            // The ticks first, which are few.
            biased;
            _ = ticks.tick() => match last {
                Some(entry) if entry.index >= storage.known_end() => {
                    settle(&raft, last, leader_of(&entry), timing).await.map(|_| ())
                }
                _ => Ok(()),
            },
            told = from_store.recv() => match told {
                Some(Told::Written(entry)) => {
                    last = Some(entry);
                    // Once the reign is over this is turned away, and the entry taken back.
                    raft.write(Written).with_leader(leader_of(&entry)).await
                }
                Some(Told::Settle(leader, answer)) => {
                    last = None;
                    settle(&raft, log.last(), leader, timing).await.map(|settled| {
                        // Who asked may be gone.
                        let _ = answer.send(settled);
                    })
                }
                None => return,
            },
        };
        if done.is_err() {
            return;
        }
    }
}

/// Whether openraft has taken all up to `last`, which is of this reign, and nothing else. What it has turned away is proposed again: it takes
/// nothing while most of the others do not answer, but the store may have written it already.
async fn settle(raft: &Raft, last: Option<EntryId>, leader: Leader, timing: Timing) -> Result<bool, Fatal<Types>> {
    let Some(last) = last.filter(|last| leader_of(last) == leader) else { return Ok(false) };
    if !Lease::of(&raft.metrics().borrow_watched(), timing.election_max).holds() {
        return Ok(false);
    }
    // Answered behind all that was proposed so far.
    let known = raft.with_raft_state(move |state| {
        let vote = state.vote_ref();
        (vote.is_committed() && *vote.leader_id() == leader).then(|| state.log_ids.last().map_or(0, |id| id.index + 1))
    });
    let Some(known) = known.await? else { return Ok(false) };
    if known <= last.index {
        warn!(from = known, to = last.index, "messages that were turned away for a while are proposed again");
    }
    for _ in known..=last.index {
        raft.write(Written).with_leader(leader).await?;
    }
    Ok(known == last.index + 1)
}

fn leader_of(entry: &EntryId) -> Leader {
    Leader { term: entry.term, node_id: entry.node.into() }
}

/// A member whose role is followed.
pub(crate) struct Following {
    pub(crate) raft: Raft,
    pub(crate) log: RaftLog,
    pub(crate) node: u32,
    pub(crate) timing: Timing,
    /// It is to start anew with files of another one.
    pub(crate) ending: CancellationToken,
}

impl Following {
    /// Has the store take messages while this member leads, and shows everything that was agreed on before.
    pub(crate) async fn follow_role(
        self,
        written: mpsc::UnboundedSender<Told>,
        mut yields: watch::Receiver<bool>,
        tell: watch::Sender<Role>,
    ) {
        let Self { raft, log, node, timing, ending } = self;
        let mut metrics = raft.metrics();
        let mut reign = None;
        // A term whose reign ended as too few of the others answered.
        let mut doubted = None;
        // When to look again whether a reign may begin. Each look may change the metrics, which is no reason for the next one.
        let mut next_look = Instant::now();
        loop {
            let (running, state, vote, leader, applied, lease) = {
                let now = metrics.borrow_and_update();
                let lease = Lease::of(&now, timing.election_max);
                (now.running_state.clone(), now.state, now.vote, now.current_leader, now.last_applied, lease)
            };
            if let Err(fatal) = running {
                if !ending.is_cancelled() && !matches!(fatal, Fatal::Stopped) {
                    error!(%fatal, "the member takes no more part in its group");
                }
                break;
            }
            let term = vote.leader_id().term;
            let is_leader = state == ServerState::Leader && vote.is_committed();
            let leads = is_leader && lease.holds() && !*yields.borrow_and_update();
            if let Some(begun) = reign
                && (!leads || begun != term || !log.leads())
            {
                if is_leader && !lease.holds() {
                    warn!(term, "most of the others do not answer: takes no messages until they do");
                    doubted = Some(term);
                }
                log.follow();
                reign = None;
            }
            // The first entry of a reign is its own, so all before it is agreed on, too.
            let own = Leader { term, node_id: node.into() };
            let may_begin = leads && reign.is_none() && applied.is_some_and(|id| id.leader_id == own);
            if may_begin && next_look <= Instant::now() {
                if doubted == Some(term) && is_followed(&raft, timing).await {
                    doubted = None;
                }
                if doubted != Some(term) && is_settled(&written, own).await && begin(&log, term, node, &written) {
                    info!(term, "leads the group");
                    reign = Some(term);
                } else {
                    next_look = Instant::now() + SETTLING;
                }
            }
            let role = match reign {
                Some(term) => Role::Leader { term },
                None => Role::Follower { leader: leader.filter(|_| !is_leader) },
            };
            tell.send_if_modified(|told| std::mem::replace(told, role) != role);
            tokio::select! {
                biased;
                changed = metrics.changed() => if changed.is_err() {
                    break;
                },
                changed = yields.changed() => if changed.is_err() {
                    break;
                },
                () = lease.end(), if reign.is_some() => {}
                () = sleep_until(next_look), if may_begin && reign.is_none() => {}
            }
        }
        log.follow();
        tell.send_if_modified(|told| {
            let role = Role::Follower { leader: None };
            std::mem::replace(told, role) != role
        });
    }
}

/// Whether the group agrees on one more entry. That somebody answers does not prove that a leader still leads: a member that lost
/// its files has forgotten the next one, and follows whoever finds it. But it acknowledges nothing new before it knows better.
async fn is_followed(raft: &Raft, timing: Timing) -> bool {
    timeout(timing.election_max, raft.client_write(Written)).await.is_ok_and(|agreed| agreed.is_ok())
}

async fn is_settled(proposer: &mpsc::UnboundedSender<Told>, leader: Leader) -> bool {
    let (answer, settled) = oneshot::channel();
    proposer.send(Told::Settle(leader, answer)).is_ok() && settled.await.unwrap_or(false)
}

/// Has the store take messages behind the last entry, which is of this reign.
fn begin(log: &RaftLog, term: u64, node: u32, written: &mpsc::UnboundedSender<Told>) -> bool {
    let written = written.clone();
    let to_group = move |entry| {
        // It ends with the member.
        let _ = written.send(Told::Written(entry));
    };
    let last = log.last().filter(|last| (last.term, last.node) == (term, node));
    // If it has become another one meanwhile, it is looked at again.
    last.is_some_and(|last| log.lead(last, term, node, to_group).is_ok())
}
