//! Whether a member can be counted on: it serves what the group has agreed on, as it is now.

use remoting::types::MemberNumber;
use thiserror::Error;

use crate::group::{Group, Role};

/// Entries that a member may lack.
const LACKS_MAX: u64 = 1000;

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unready {
    #[error("it belongs to no group yet, and waits to be taken into one, or for the others to make it")]
    Outsider,
    #[error("it is in quarantine: it lost its files, and may not have all again")]
    Quarantined,
    #[error("it knows of no leader, which takes most of the members")]
    NoLeader,
    #[error("its leader, member {}, does not answer it", MemberNumber(*.0))]
    Silent(u64),
    #[error("it lacks {0} entries of the log")]
    Behind(u64),
}

impl Group {
    /// Asks the leader how far it is, unless this member leads.
    ///
    /// # Errors
    /// [`Unready`].
    pub async fn readiness(&self) -> Result<(), Unready> {
        let members = self.members();
        if !members.iter().any(|member| member.number == self.number()) {
            return Err(Unready::Outsider);
        }
        if self.is_quarantined() {
            return Err(Unready::Quarantined);
        }
        let role = *self.role().borrow();
        let leader = match role {
            Role::Leader { .. } => return Ok(()),
            Role::Follower { leader } => leader.filter(|leader| *leader != self.number()).ok_or(Unready::NoLeader)?,
        };
        let found = members.iter().find(|member| member.number == leader).ok_or(Unready::NoLeader)?;
        let stand = self.lead.stand_of(leader, &found.address).await.ok_or(Unready::Silent(leader))?;
        let figures = self.figures();
        let all = stand.last.map_or(0, |last| last.index + 1);
        let lacks = all.saturating_sub(figures.entries).max(figures.agreed.saturating_sub(figures.applied));
        if lacks > LACKS_MAX { Err(Unready::Behind(lacks)) } else { Ok(()) }
    }
}
