//! Figures of a member of a Raft group. Java has none of these.

use std::fmt;

use dledger::{Group, Role};
use prometheus_client::registry::Unit;
use remoting::types::MemberNumber;

use super::Page;
use super::page::Named;

const TERM: Named = ("rocketmq_raft_term", None, "Term of the group, as far as this member knows");
const ROLE: Named = ("rocketmq_raft_role", None, "1 for what this member is: leader, follower, learner, or outsider");
const LAST: Named = ("rocketmq_raft_entries", None, "Entries in the log, counted from the first one");
const AGREED: Named = ("rocketmq_raft_agreed_entries", None, "Entries that the group has agreed on");
const APPLIED: Named = ("rocketmq_raft_applied_entries", None, "Entries that readers are shown");
const LAG: Named = ("rocketmq_raft_member_lag_entries", None, "Entries that another member lacks; the leader knows");
const LAG_BYTES: Named =
    ("rocketmq_raft_member_lag", Some(Unit::Bytes), "Bytes of the log that another member lacks; the leader knows");
const VOTERS: Named = ("rocketmq_raft_voters", None, "Members that count for a majority");
const LEADERS: Named = ("rocketmq_raft_leaders_seen", None, "Leaders that were elected since the start of this member");
const REIGNS: Named = ("rocketmq_raft_reigns", None, "How often this member was elected since its start");
const QUARANTINED: Named =
    ("rocketmq_raft_quarantined", None, "1 while this member has lost its files and may not have all again");
const FILLING: Named = ("rocketmq_raft_filling", None, "1 while this member, which lost its files, is filled again");
const SLOW_DISK: Named =
    ("rocketmq_raft_slow_disk", None, "1 while this member does not want the lead, as its disk is slow");

pub(crate) fn tell_group(group: &Group, page: &mut Page<'_>) -> fmt::Result {
    let (figures, members) = (group.figures(), group.members());
    page.gauge(TERM, figures.term as f64)?;
    let own = members.iter().find(|member| member.number == group.number());
    let leads = matches!(*group.role().borrow(), Role::Leader { .. });
    let role = match own {
        _ if leads => "leader",
        Some(own) if own.is_voter => "follower",
        Some(_) => "learner",
        None => "outsider",
    };
    let roles = ["leader", "follower", "learner", "outsider"];
    page.gauges(ROLE, roles.map(|one| (vec![("role", one.to_owned())], f64::from(u8::from(one == role)))))?;
    page.gauge(LAST, figures.entries as f64)?;
    page.gauge(AGREED, figures.agreed as f64)?;
    page.gauge(APPLIED, figures.applied as f64)?;
    page.gauge(VOTERS, members.iter().filter(|member| member.is_voter).count() as f64)?;
    let others = members.iter().filter(|member| member.number != group.number());
    let known: Vec<_> = others.filter_map(|member| Some((member.number, member.entries?))).collect();
    let labels = |number: u64| vec![("member", MemberNumber(number).to_string())];
    let lag = |entries: u64| figures.entries.saturating_sub(entries) as f64;
    page.gauges(LAG, known.iter().map(|(number, entries)| (labels(*number), lag(*entries))))?;
    let bytes =
        known.iter().filter_map(|(number, entries)| Some((labels(*number), group.bytes_behind(*entries)? as f64)));
    page.gauges(LAG_BYTES, bytes)?;
    page.counter(LEADERS, figures.elections)?;
    page.counter(REIGNS, figures.reigns)?;
    page.gauge(QUARANTINED, u8::from(group.is_quarantined()))?;
    page.gauge(FILLING, u8::from(group.is_filling()))?;
    page.gauge(SLOW_DISK, u8::from(group.disk_is_slow()))
}
