//! Who belongs to the group, to look at and to change by request.

use std::sync::Arc;

use dledger::{Group, Health, Standing};
use remoting::body::{RaftFill, RaftGroupMember, RaftGroupStatus, RaftHealth, RaftRole, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::raft::{ChangeGroup, GetGroupStatus, GroupChange, NotSigned};
use remoting::router::{Call, Handle, Reply, Router};
use remoting::signature::Credentials;
use remoting::types::{Clock, MemberNumber};
use thiserror::Error;
use tokio::sync::watch;

use super::ready::Readiness;
use super::state::GroupState;
use super::{Serving, preferred, serves_at};
use crate::config::{BrokerConfig, is_host_and_port};

#[derive(Debug, Error)]
pub(crate) enum OperateError {
    #[error("to add a member, tell where the others reach it: address is to be host:port, as in dLegerPeers")]
    NoAddress,
    #[error("members are changed by the user of initAuthenticationUser only: {0}")]
    NotSigned(#[from] NotSigned),
    #[error(transparent)]
    Group(#[from] dledger::GroupError),
}

/// Answers operators.
pub(super) struct Operator {
    pub(super) group: Arc<Group>,
    /// `dLegerGroup`.
    pub(super) name: String,
    pub(super) own: Serving,
    pub(super) state: Arc<GroupState>,
    pub(super) settings: watch::Receiver<Arc<BrokerConfig>>,
    pub(super) readiness: Readiness,
    pub(super) clock: Clock,
}

impl Operator {
    /// What every member answers.
    pub(super) fn routes(self: &Arc<Self>, router: &mut Router) {
        router.on::<GetGroupStatus>(self);
    }

    /// What the leader answers besides.
    pub(super) fn routes_of_leader(self: &Arc<Self>, router: &mut Router) {
        router.on::<ChangeGroup>(self);
    }

    /// Who may change the group, if not everybody may.
    fn user(&self) -> Option<Credentials> {
        // A change whose value does not fit is refused before it comes here.
        self.settings.borrow().group_user().ok().flatten()
    }

    async fn status(&self) -> RaftGroupStatus {
        let (members, ready) = tokio::join!(self.group.healths(), self.readiness.look());
        let figures = self.group.figures();
        let own = members.iter().map(|(member, _)| member).find(|member| member.number == self.own.number);
        let (role, leader) = match (*self.group.role().borrow(), own.map(|own| own.is_voter)) {
            (dledger::Role::Leader { .. }, _) => (RaftRole::Leader, Some(self.own.number)),
            (dledger::Role::Follower { leader }, Some(true)) => (RaftRole::Follower, leader),
            (dledger::Role::Follower { leader }, Some(false)) => (RaftRole::Learner, leader),
            (dledger::Role::Follower { leader }, None) => (RaftRole::Outsider, leader),
        };
        let member = |(member, health): (Standing, Health)| RaftGroupMember {
            serves: serves_at(&self.state, &self.own, member.number),
            number: MemberNumber(member.number),
            address: member.address,
            is_voter: member.is_voter,
            entries: member.entries,
            fill: member.fill.map(fill),
            health: Some(match health {
                Health::Well => RaftHealth::Well,
                Health::SlowDisk => RaftHealth::SlowDisk,
                Health::Quarantined => RaftHealth::Quarantined,
                Health::Silent => RaftHealth::Silent,
            }),
        };
        RaftGroupStatus {
            group: self.name.clone(),
            number: MemberNumber(self.own.number),
            role,
            leader: leader.map(MemberNumber),
            term: figures.term,
            entries: figures.entries,
            agreed: figures.agreed,
            applied: figures.applied,
            elections: figures.elections,
            changing: self.group.is_changing(),
            fill: self.group.filled_by().map(|(_, progress)| fill(progress)),
            unready: ready.err(),
            preferred: preferred(&self.settings.borrow()).into_iter().map(MemberNumber).collect(),
            members: members.into_iter().map(member).collect(),
        }
    }
}

fn fill(progress: dledger::Progress) -> RaftFill {
    RaftFill { done: progress.done, total: progress.total }
}

impl Handle<GetGroupStatus> for Operator {
    type Error = OperateError;

    async fn handle(&self, _: Call<GetGroupStatus>) -> Result<Reply<NoHeader>, OperateError> {
        Ok(Reply::done().body(fastjson::write(&self.status().await)))
    }
}

impl Handle<ChangeGroup> for Operator {
    type Error = OperateError;

    async fn handle(&self, call: Call<ChangeGroup>) -> Result<Reply<NoHeader>, OperateError> {
        if let Some(user) = &self.user() {
            call.header.check_signature(user, self.clock.now()).inspect_err(|err| {
                tracing::warn!(from = %call.peer.remote(), %err, "a change of the group is refused");
            })?;
        }
        let ChangeGroup { change, member, address, .. } = call.header;
        let number = member.0;
        match change {
            GroupChange::Add => {
                let address = address.filter(|address| is_host_and_port(address)).ok_or(OperateError::NoAddress)?;
                self.group.add_learner(number, &address).await?;
            }
            GroupChange::Promote => self.group.promote(number).await?,
            GroupChange::Remove => self.group.remove(number).await?,
            GroupChange::Transfer => self.group.transfer(number).await?,
        }
        tracing::info!(change = change.word(), %member, by = %call.peer.remote(), "the group is changed as asked");
        Ok(Reply::done())
    }
}
