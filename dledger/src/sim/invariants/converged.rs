//! Once everything is well again, the group is one: all members have and show the same, and one leads.

use remoting::types::PhysicalOffset;
use store::EntryId;

use super::Wrong;

/// How far a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) struct Standing {
    pub(in crate::sim) member: u64,
    pub(in crate::sim) last: Option<EntryId>,
    pub(in crate::sim) end: PhysicalOffset,
    pub(in crate::sim) confirmed: PhysicalOffset,
    pub(in crate::sim) leads: bool,
    pub(in crate::sim) is_quarantined: bool,
}

pub(in crate::sim) fn check_converged(members: &[Standing]) -> Result<(), Wrong> {
    let Some(first) = members.first() else { return Err("nobody is there".into()) };
    let are_equal = members.iter().all(|member| (member.last, member.end) == (first.last, first.end));
    let show_all = members.iter().all(|member| member.confirmed == member.end && !member.is_quarantined);
    if are_equal && show_all && members.iter().filter(|member| member.leads).count() == 1 {
        Ok(())
    } else {
        Err(format!("the group is not one: {members:#?}"))
    }
}
