//! Who ought to lead, and how the lead is given away.
//!
//! A leader gives the lead to another member when an operator asks for that, before its broker stops, and by itself:
//!
//! - once its [disk](crate::disk) does not keep up: at once, to whoever is well and has most of the log;
//! - once others are preferred and one of them has been well and level with the log for a while. It is given to one of those
//!   who lead rather, and no back and forth comes of it: a member tries that every half a minute at the most.
//!
//! Nobody gets the lead who does not answer, whose disk is slow, or who is in quarantine. The store takes no messages until the
//! other one has all of them. The rest is an ordinary election, so nothing that was acknowledged depends on that it goes well.
//!
//! A member with a slow disk refuses the lead, and does not ask to be elected before the others have had the time to elect
//! somebody: if all disks are slow, one of them leads all the same.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use openraft::async_runtime::instant::Instant as _;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::base::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info, warn};

use crate::disk::Disk;
use crate::group::{GroupError, Role, Timing};
use crate::members::{Standing, entries_of, leader_of, member_of, standings};
use crate::quarantine::{Inquiry, Quarantine, Stand};
use crate::types::{Member, Raft};

/// Entries that a member may lack to be given the lead because it is preferred: sends wait until it has them.
/// Java: `DLedgerConfig.maxLeadershipTransferWaitIndex`.
const LACKS_MAX: u64 = 1000;
/// Longest wait for an answer of another member.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two looks at how a member is doing that gets the lead.
const LOOK: Duration = Duration::from_millis(1);
/// Between two looks at whether a preferred member can lead.
const TURN: Duration = Duration::from_secs(1);

/// In longest election timeouts, 600 ms as a rule: so long a preferred member has to be fit, and the leader to lead, before the
/// lead is given on.
const STEADY: u32 = 16;
/// Between two tries to give it to a preferred member.
const PREFERENCE_PAUSE: u32 = 50;
/// Between two tries of a leader with a slow disk.
const SLOW_PAUSE: u32 = 5;
/// Who has a slow disk asks to be elected after so long without a leader.
const OTHERS_FIRST: u32 = 5;

/// What is wanted of who leads, beside votes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Members that lead rather than others; of those that are level with the log, the first one.
    pub preferred: Vec<u64>,
    /// A member does not lead, if another one can, while its disk keeps a flush or a write waiting for longer. `None`: it
    /// may wait for as long as it likes.
    pub slow_disk: Option<Duration>,
}

/// Whether a member can be given the lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Well,
    /// It keeps flushes or writes waiting.
    SlowDisk,
    /// It lost its files, and does not have all again that it may have had.
    Quarantined,
    /// It does not answer.
    Silent,
}

impl Health {
    fn of(stand: &Stand) -> Self {
        match stand {
            Stand { is_quarantined: true, .. } => Self::Quarantined,
            Stand { is_slow: true, .. } => Self::SlowDisk,
            Stand { .. } => Self::Well,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Well => "is well",
            Self::SlowDisk => "has a disk that keeps it waiting",
            Self::Quarantined => "is in quarantine",
            Self::Silent => "does not answer",
        })
    }
}

/// Asks another member how far it is.
type Ask = Arc<dyn Fn(u64, Member) -> BoxFuture<'static, io::Result<Stand>> + Send + Sync>;

/// The lead of a group, as one of its members gives and takes it.
pub(crate) struct Lead {
    raft: Raft,
    role: watch::Receiver<Role>,
    timing: Timing,
    /// Whether the store takes no messages though this member leads, as it gives that up. `None` once it has stopped.
    yields: Mutex<Option<watch::Sender<bool>>>,
    /// Held by who gives it away.
    giving: tokio::sync::Mutex<()>,
    ask: Ask,
    disk: Arc<Disk>,
    quarantine: Arc<Quarantine>,
    wishes: watch::Sender<Wishes>,
}

impl Lead {
    pub(crate) fn new(
        raft: Raft,
        role: watch::Receiver<Role>,
        timing: Timing,
        yields: watch::Sender<bool>,
        network: impl Inquiry,
        disk: Arc<Disk>,
        quarantine: Arc<Quarantine>,
    ) -> Arc<Self> {
        let ask: Ask = Arc::new(move |number, member| {
            let network = network.clone();
            Box::pin(async move { network.stand(number, &member).await })
        });
        let (yields, giving) = (Mutex::new(Some(yields)), tokio::sync::Mutex::default());
        Arc::new(Self { raft, role, timing, yields, giving, ask, disk, quarantine, wishes: watch::Sender::default() })
    }

    pub(crate) fn set_wishes(&self, wishes: Wishes) {
        self.disk.set_limit(wishes.slow_disk);
        self.wishes.send_replace(wishes);
    }

    /// The member stops.
    pub(crate) fn end(&self) {
        drop(self.yields.lock().take());
    }

    fn own(&self) -> u64 {
        *self.raft.node_id()
    }

    /// How this member is.
    pub(crate) fn own_health(&self) -> Health {
        if !self.quarantine.is_over() {
            Health::Quarantined
        } else if self.disk.is_slow() {
            Health::SlowDisk
        } else {
            Health::Well
        }
    }

    /// What another member tells; `None` if it does not answer.
    pub(crate) async fn stand_of(&self, number: u64, address: &str) -> Option<Stand> {
        let asked = (self.ask)(number, Member { address: address.to_owned() });
        timeout(PATIENCE, asked).await.ok()?.ok()
    }

    /// Each of them with how it is now.
    pub(crate) async fn healths(&self, members: Vec<Standing>) -> Vec<(Standing, Health)> {
        join_all(members.into_iter().map(async |member| {
            let health = match member.number == self.own() {
                true => self.own_health(),
                false => {
                    let stand = self.stand_of(member.number, &member.address).await;
                    stand.as_ref().map_or(Health::Silent, Health::of)
                }
            };
            (member, health)
        }))
        .await
    }

    /// The voter that is best given the lead of this member; `None` if there is none that is well.
    pub(crate) async fn heir(&self) -> Option<u64> {
        let (members, entries) = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            (standings(&metrics), entries_of(&metrics))
        };
        let others = members.into_iter().filter(|member| member.is_voter && member.number != self.own());
        let found = self.healths(others.collect()).await;
        let preferred = self.wishes.borrow().preferred.clone();
        best(&found, entries, &preferred)
    }

    /// Gives the lead to another voter, for which the store takes no messages until that has happened; returns then.
    ///
    /// # Errors
    /// [`GroupError::NotLeader`], there is no such voter, it is not well, or does not take the lead in time: this member leads
    /// on then, or whoever is elected.
    pub(crate) async fn give(&self, to: u64) -> Result<(), GroupError> {
        let _one_at_a_time = self.giving.lock().await;
        let member = member_of(&self.raft, to)?;
        if !member.is_voter {
            return Err(GroupError::Unknown { what: "voter", number: to });
        }
        if to == self.own() {
            return Ok(());
        }
        let stand = self.stand_of(to, &member.address).await;
        match stand.as_ref().map_or(Health::Silent, Health::of) {
            _ if stand.is_some_and(|stand| stand.leads(to)) => return Err(GroupError::NotLeader { leader: Some(to) }),
            Health::Well => {}
            health => return Err(GroupError::Unfit { number: to, health }),
        }
        let done = {
            let _until_done = Yielding::begin(self);
            timeout(self.timing.election_max * 2, self.hand_over(to)).await
        };
        match done {
            Ok(done) => done,
            // This member may hear of it late: with a slow disk it cannot note a vote.
            Err(_) if self.stand_of(to, &member.address).await.is_some_and(|stand| stand.leads(to)) => Ok(()),
            Err(_) => Err(GroupError::NotTaken { number: to }),
        }
    }

    /// Once it has everything, it need not wait for anybody.
    async fn hand_over(&self, to: u64) -> Result<(), GroupError> {
        loop {
            let has = member_of(&self.raft, to)?.entries;
            let all = entries_of(&self.raft.metrics().borrow_watched());
            if has.is_some_and(|has| has >= all) && !self.store_takes_messages() {
                break;
            }
            sleep(LOOK).await;
        }
        self.raft.trigger().transfer_leader(to).await.map_err(|fatal| GroupError::Raft(fatal.to_string()))?;
        while self.raft.metrics().borrow_watched().current_leader != Some(to) {
            sleep(LOOK).await;
        }
        Ok(())
    }

    fn store_takes_messages(&self) -> bool {
        matches!(*self.role.borrow(), Role::Leader { .. })
    }

    /// Sees to it that somebody leads who ought to; until the member stops.
    pub(crate) async fn mind(self: Arc<Self>) {
        let mut ticks = interval(self.timing.heartbeat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut elects = None;
        let mut course = Course::default();
        loop {
            ticks.tick().await;
            self.disk.look();
            let leads = leader_of(&self.raft).is_ok();
            if self.quarantine.is_over() {
                let asks = !self.disk.is_slow() || leads || self.is_left_alone().await;
                if elects.replace(asks) != Some(asks) {
                    self.raft.runtime_config().elect(asks);
                }
            }
            match leads {
                true => self.ought_to_lead(&mut course).await,
                false => course = Course::default(),
            }
        }
    }

    /// Whether no leader was heard of for so long that the others would have elected one.
    async fn is_left_alone(&self) -> bool {
        let heard = self.raft.with_raft_state(|state| state.vote_last_modified());
        match timeout(PATIENCE, heard).await {
            Ok(Ok(heard)) => heard.is_none_or(|heard| heard.elapsed() > self.timing.election_max * OTHERS_FIRST),
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Gives the lead away if another one had better have it.
    async fn ought_to_lead(&self, course: &mut Course) {
        let now = Instant::now();
        let since = *course.since.get_or_insert(now);
        if course.again.is_some_and(|again| now < again) {
            return;
        }
        if self.disk.is_slow() {
            course.again = Some(now + self.timing.election_max * SLOW_PAUSE);
            match self.heir().await {
                Some(to) => self.try_to_give(to, "the disk of this member is slow").await,
                None => warn!("the disk of this member is slow, but it leads on: no other voter is well"),
            }
            return;
        }
        let preferred = self.wishes.borrow().preferred.clone();
        if preferred.is_empty() || preferred.contains(&self.own()) || course.looked.is_some_and(|at| now < at + TURN) {
            return;
        }
        course.looked = Some(now);
        let steady = self.timing.election_max * STEADY;
        let fit = self.fit(&preferred, course).await;
        course.fit = fit.keys().map(|number| (*number, *course.fit.get(number).unwrap_or(&now))).collect();
        let is_steady = |number: &&u64| course.fit.get(number).is_some_and(|since| *since + steady <= now);
        let to = preferred.iter().filter(is_steady).min_by_key(|number| fit[*number]);
        if let Some(to) = to.filter(|_| since + steady <= now) {
            course.again = Some(now + self.timing.election_max * PREFERENCE_PAUSE);
            self.try_to_give(*to, "it is preferred").await;
        }
    }

    /// Those of the preferred members that could lead, with the entries that they lack.
    async fn fit(&self, preferred: &[u64], course: &mut Course) -> BTreeMap<u64, u64> {
        let (members, entries) = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            (standings(&metrics), entries_of(&metrics))
        };
        let voters: Vec<_> =
            members.into_iter().filter(|member| member.is_voter && preferred.contains(&member.number)).collect();
        if voters.is_empty() && !course.warned {
            course.warned = true;
            warn!(
                "no voter of the group is among the leaders that are preferred: preferredLeaderIds is to name members"
            );
        }
        let found = self.healths(voters).await;
        let fit = found.into_iter().filter(|(_, health)| *health == Health::Well);
        let lacks = fit.map(|(member, _)| (member.number, entries.saturating_sub(member.entries.unwrap_or(0))));
        lacks.filter(|(_, lacks)| *lacks < LACKS_MAX).collect()
    }

    async fn try_to_give(&self, to: u64, why: &str) {
        match self.give(to).await {
            Ok(()) => info!(to, why, "another member has got the lead"),
            // This member has not heard of it yet.
            Err(err @ GroupError::NotLeader { .. }) => debug!(%err, "the lead is lost already"),
            Err(err) => warn!(to, why, %err, "another member did not get the lead; tried again later"),
        }
    }
}

/// What a leader remembers of who ought to lead.
#[derive(Default)]
struct Course {
    /// It leads since then.
    since: Option<Instant>,
    looked: Option<Instant>,
    /// Preferred members, since when they could lead.
    fit: BTreeMap<u64, Instant>,
    /// Nothing is tried before.
    again: Option<Instant>,
    warned: bool,
}

/// The store takes no messages meanwhile, though this member leads.
struct Yielding<'a>(&'a Lead);

impl<'a> Yielding<'a> {
    fn begin(lead: &'a Lead) -> Self {
        let yielding = Self(lead);
        yielding.tell(true);
        yielding
    }

    fn tell(&self, yields: bool) {
        if let Some(told) = &*self.0.yields.lock() {
            told.send_replace(yields);
        }
    }
}

impl Drop for Yielding<'_> {
    fn drop(&mut self) {
        self.tell(false);
    }
}

/// Of those who are well: the preferred one, unless it lacks much, or else the one that lacks least of the leader's `entries`.
fn best(others: &[(Standing, Health)], entries: u64, preferred: &[u64]) -> Option<u64> {
    let well = others.iter().filter(|(_, health)| *health == Health::Well);
    let rank = |member: &Standing| {
        let lacks = entries.saturating_sub(member.entries.unwrap_or(0));
        (preferred.contains(&member.number) && lacks < LACKS_MAX, Reverse(lacks), Reverse(member.number))
    };
    well.map(|(member, _)| member).max_by_key(|member| rank(member)).map(|member| member.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heir_is_well_and_preferred_or_has_most() {
        let member = |number, entries, health| {
            (Standing { number, address: String::new(), is_voter: true, entries, fill: None }, health)
        };
        let check = |others: &[(Standing, Health)], preferred: &[u64], expect| {
            assert_eq!(best(others, 5000, preferred), expect, "{others:?} {preferred:?}");
        };
        let [one, two] = [member(1, Some(4500), Health::Well), member(2, Some(4900), Health::Well)];
        check(&[one.clone(), two.clone()], &[], Some(2));
        check(&[one.clone(), two.clone()], &[1], Some(1));
        check(&[member(1, Some(3000), Health::Well), two.clone()], &[1], Some(2));
        check(&[member(1, Some(4900), Health::Well), two.clone()], &[7], Some(1));
        check(&[one, member(2, Some(5000), Health::SlowDisk)], &[2], Some(1));
        check(&[member(1, None, Health::Silent), member(2, Some(5000), Health::Quarantined)], &[], None);
        check(&[], &[1], None);
    }
}
