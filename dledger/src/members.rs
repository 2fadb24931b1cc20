//! Who belongs to the group, and how far everybody is: to look at, and to change.
//!
//! A new member is a learner until it has caught up: it gets the log, but does not count. Changes are asked of the leader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::metrics::RaftMetrics;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::fill::{Progress, Side};
use crate::group::{Group, GroupError};
use crate::lead::Health;
use crate::purge::{has_older, until};
use crate::runtime;
use crate::types::{Member, Raft, Types};

/// A learner may lack so many entries when it becomes a voter.
const BEHIND_MAX: u64 = 1000;
/// Longest wait for the group to agree on a change of its members.
const AGREEMENT_PATIENCE: Duration = Duration::from_secs(5);

/// A member, as the group knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub number: u64,
    pub address: String,
    /// It counts for a majority, and may be elected.
    pub is_voter: bool,
    /// Entries that it is known to have, counted from the first of the log; the leader alone knows.
    pub entries: Option<u64>,
    /// While the leader fills it with files; the leader alone knows.
    pub fill: Option<Progress>,
}

/// How far a member is. Entries are counted from the first of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub term: u64,
    /// In its log.
    pub entries: u64,
    /// Agreed on, as far as it knows.
    pub agreed: u64,
    /// Applied: shown to readers.
    pub applied: u64,
    /// Leaders it has seen since its start.
    pub elections: u64,
    /// How often it was elected since then.
    pub reigns: u64,
}

impl Group {
    /// All members, by number.
    pub fn members(&self) -> Vec<Standing> {
        let mut members = standings(&self.now());
        for member in &mut members {
            member.fill = self.fills.progress(Side::To(member.number));
        }
        members
    }

    /// Whether one set of voters is giving way to another: both have to agree meanwhile. A change that its leader did not
    /// live to finish stays like that until the next one.
    pub fn is_changing(&self) -> bool {
        self.now().membership_config.get_joint_config().len() > 1
    }

    /// Who fills this member with files, and how far that is.
    pub fn filled_by(&self) -> Option<(u64, Progress)> {
        self.fills.filled_by()
    }

    pub fn figures(&self) -> Figures {
        let metrics = self.now();
        Figures {
            term: metrics.current_term,
            entries: entries_of(&metrics),
            agreed: count(metrics.local_committed.map(|id| id.index)),
            applied: count(metrics.last_applied.map(|id| id.index)),
            elections: self.seen.elections.load(Ordering::Relaxed),
            reigns: self.seen.reigns.load(Ordering::Relaxed),
        }
    }

    /// Takes in a new member, which gets the log from now on; returns once the group has agreed on that. A number is
    /// used once; a member that lost its files keeps its own, and is filled again without this.
    ///
    /// # Errors
    /// [`GroupError::NotLeader`], or the number is taken, or the group has only just been made of a broker with messages.
    pub async fn add_learner(&self, number: u64, address: &str) -> Result<(), GroupError> {
        if u32::try_from(number).is_err() {
            return Err(GroupError::Number(number));
        }
        match self.members().into_iter().find(|member| member.number == number) {
            Some(member) if member.address == address => return Ok(()),
            Some(Standing { address, .. }) => return Err(GroupError::OtherAddress { number, address }),
            None => {}
        }
        // Entries alone would not do: what is from before the group is in none.
        if has_older(&self.log) && !until(&self.raft, |now| now.purged.is_some()).await {
            return Err(GroupError::Older);
        }
        let member = Member { address: address.into() };
        self.change(ChangeMembers::AddNodes(BTreeMap::from([(number, member)]))).await
    }

    /// Lets a learner count from now on; returns once the group has agreed on that.
    ///
    /// # Errors
    /// [`GroupError::NotLeader`], or it is none, or lacks too much of the log, or somebody is in quarantine.
    pub async fn promote(&self, number: u64) -> Result<(), GroupError> {
        let standing = self.member(number)?;
        if standing.is_voter && !self.is_changing() {
            return Ok(());
        }
        let has = standing.entries.unwrap_or(0);
        let entries = self.figures().entries.saturating_sub(has);
        // One that has nothing may not be there at all, however short the log: its vote would be missed.
        if has == 0 || entries > BEHIND_MAX {
            return Err(GroupError::Behind { number, entries });
        }
        self.all_vote(|member| member.is_voter || member.number == number).await?;
        self.change(ChangeMembers::AddVoterIds(BTreeSet::from([number]))).await
    }

    /// Lets another member go; returns once the group has agreed on that.
    ///
    /// # Errors
    /// [`GroupError::NotLeader`], or there is no such member, or it is this one, or somebody who stays is in quarantine.
    pub async fn remove(&self, number: u64) -> Result<(), GroupError> {
        let standing = self.member(number)?;
        if number == *self.raft.node_id() {
            return Err(GroupError::Leads { number });
        }
        self.all_vote(|member| member.is_voter && member.number != number).await?;
        let numbers = BTreeSet::from([number]);
        let change = match standing.is_voter {
            true => ChangeMembers::RemoveVoters(numbers),
            false => ChangeMembers::RemoveNodes(numbers),
        };
        self.change(change).await
    }

    /// Those who are to elect leaders must not be in quarantine: it ends once others are there who are not, and a change may leave
    /// too few of them.
    async fn all_vote(&self, are_to: impl Fn(&Standing) -> bool) -> Result<(), GroupError> {
        let members = self.members().into_iter().filter(are_to).collect();
        let healths = self.lead.healths(members).await;
        match healths.into_iter().find(|(_, health)| *health == Health::Quarantined) {
            Some((Standing { number, .. }, _)) => Err(GroupError::Quarantined { number }),
            None => Ok(()),
        }
    }

    /// Gives the lead to another voter, for which the store takes no messages until that has happened; returns then.
    ///
    /// # Errors
    /// [`GroupError::NotLeader`], there is no such voter, it is not well, or does not take the lead in time: this member leads
    /// on then, or whoever is elected.
    pub async fn transfer(&self, to: u64) -> Result<(), GroupError> {
        self.lead.give(to).await
    }

    /// The voter that is best given the lead of this member; `None` if there is none that is well.
    pub async fn heir(&self) -> Option<u64> {
        self.lead.heir().await
    }

    /// All members with how they are, as far as they tell within a moment.
    pub async fn healths(&self) -> Vec<(Standing, Health)> {
        self.lead.healths(self.members()).await
    }

    fn member(&self, number: u64) -> Result<Standing, GroupError> {
        member_of(&self.raft, number)
    }

    async fn change(&self, change: ChangeMembers<u64, Member>) -> Result<(), GroupError> {
        let (tell, told) = oneshot::channel();
        let raft = self.raft.clone();
        let changing = async move {
            // Who asked may not wait any more.
            let _ = tell.send(raft.change_membership(change, false).await);
        };
        {
            let mut tasks = self.tasks.lock();
            // Those of earlier changes.
            while tasks.try_join_next().is_some() {}
            // It is made in two steps: the second must follow the first, whoever still waits for it.
            runtime::spawn(&mut tasks, changing);
        }
        let changed = timeout(AGREEMENT_PATIENCE, told).await.map_err(|_| GroupError::NotAgreed)?;
        match changed.map_err(|_| GroupError::NotAgreed)? {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => {
                Err(GroupError::NotLeader { leader: to.leader_id })
            }
            Err(other) => Err(GroupError::Raft(other.to_string())),
        }
    }

    fn now(&self) -> RaftMetrics<Types> {
        self.raft.metrics().borrow_watched().clone()
    }
}

/// This member, if it leads.
pub(crate) fn leader_of(raft: &Raft) -> Result<u64, GroupError> {
    let leader = raft.metrics().borrow_watched().current_leader;
    leader.filter(|leader| leader == raft.node_id()).ok_or(GroupError::NotLeader { leader })
}

/// A member of the group that this one leads.
pub(crate) fn member_of(raft: &Raft, number: u64) -> Result<Standing, GroupError> {
    leader_of(raft)?;
    let found = standings(&raft.metrics().borrow_watched()).into_iter().find(|member| member.number == number);
    found.ok_or(GroupError::Unknown { what: "member", number })
}

/// All members, by number.
pub(crate) fn standings(metrics: &RaftMetrics<Types>) -> Vec<Standing> {
    let members = &metrics.membership_config;
    let voters: BTreeSet<u64> = members.voter_ids().collect();
    let standing = |(number, member): (&u64, &Member)| Standing {
        number: *number,
        address: member.address.clone(),
        is_voter: voters.contains(number),
        entries: metrics.replication.as_ref().and_then(|all| all.get(number)).map(|id| count(id.map(|id| id.index))),
        fill: None,
    };
    members.nodes().map(standing).collect()
}

/// Entries in the log of this member.
pub(crate) fn entries_of(metrics: &RaftMetrics<Types>) -> u64 {
    count(metrics.last_log_index)
}

/// Entries up to this one.
fn count(index: Option<u64>) -> u64 {
    index.map_or(0, |index| index + 1)
}
