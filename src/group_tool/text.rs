//! A group, in words.

use remoting::body::{RaftFill, RaftGroupMember, RaftGroupStatus};
use remoting::types::MemberNumber;

const HEADS: [&str; 8] =
    ["member", "broker id", "votes", "entries", "lacks", "health", "members reach it at", "serves clients at"];

pub(super) fn status(status: &RaftGroupStatus) -> String {
    let RaftGroupStatus { group, number, role, term, entries, agreed, applied, elections, .. } = status;
    let leads = match status.leader {
        Some(leader) => format!("{leader} leads in term {term}"),
        None => format!("nobody leads that {number} knows of, which takes most of the members; the term is {term}"),
    };
    let mut text = format!(
        "group {group}: {leads}\n{number}, {role}, has {entries} entries, {agreed} of them agreed on and {applied} shown; \
         it has seen {elections} leaders since its start\n"
    );
    if let Some(fill) = status.fill {
        text +=
            &format!("{number} gets files from the leader, as what it lacks is gone from the log: {}\n", filled(&fill));
    }
    for member in &status.members {
        if let Some(fill) = &member.fill {
            text +=
                &format!("{} is sent files, as what it lacks is gone from the log: {}\n", member.number, filled(fill));
        }
    }
    if !status.preferred.is_empty() {
        let preferred: Vec<_> = status.preferred.iter().map(ToString::to_string).collect();
        text += &format!("it prefers {} as the leader\n", preferred.join(" or "));
    }
    if status.changing {
        text += "the members are changing: if this stays so, ask for the last change again\n";
    }
    let rows = status.members.iter().map(|member| row(member, status));
    text + &table(std::iter::once(HEADS.map(str::to_owned)).chain(rows))
}

/// Rows with their cells below each other.
pub(crate) fn table<const N: usize>(rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = rows.collect();
    let widths: Vec<_> = (0..N).map(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// How much of how much.
pub(super) fn filled(fill: &RaftFill) -> String {
    const UNIT_BYTES: u64 = 1 << 20;
    let percent = (fill.done * 100).checked_div(fill.total).unwrap_or(100);
    format!("{} of {} MiB, {percent} %", fill.done / UNIT_BYTES, fill.total.div_ceil(UNIT_BYTES))
}

fn row(member: &RaftGroupMember, status: &RaftGroupStatus) -> [String; HEADS.len()] {
    let unknown = || "-".to_owned();
    let leads = status.leader == Some(member.number);
    let MemberNumber(number) = member.number;
    [
        member.number.to_string(),
        if leads { 0 } else { number }.to_string(),
        if member.is_voter { "yes" } else { "learner" }.to_owned(),
        member.entries.map_or_else(unknown, |entries| entries.to_string()),
        member.entries.map_or_else(unknown, |entries| status.entries.saturating_sub(entries).to_string()),
        member.health.map_or_else(unknown, |health| health.to_string()),
        member.address.clone(),
        member.serves.clone().unwrap_or_else(unknown),
    ]
}

#[cfg(test)]
mod tests {
    use remoting::body::{RaftHealth, RaftRole};

    use super::*;

    #[test]
    fn a_group_is_shown_as_a_table() {
        let member = |number, is_voter, entries, serves: Option<&str>| RaftGroupMember {
            number: MemberNumber(number),
            address: format!("10.0.0.{number}:40911"),
            is_voter,
            entries,
            serves: serves.map(str::to_owned),
            fill: None,
            health: [None, Some(RaftHealth::Silent), Some(RaftHealth::Well), None, Some(RaftHealth::Quarantined)]
                [number as usize],
        };
        let mut group = RaftGroupStatus {
            group: "trio".into(),
            number: MemberNumber(2),
            role: RaftRole::Leader,
            leader: Some(MemberNumber(2)),
            term: 3,
            entries: 1200,
            agreed: 1199,
            applied: 1198,
            elections: 2,
            changing: false,
            fill: None,
            unready: None,
            preferred: Vec::new(),
            members: vec![
                member(2, true, Some(1200), Some("10.0.0.2:10911")),
                member(1, true, Some(1100), None),
                member(4, false, Some(7), None),
            ],
        };
        let expect = "\
group trio: n1 leads in term 3
n1, the leader, has 1200 entries, 1199 of them agreed on and 1198 shown; it has seen 2 leaders since its start
member  broker id  votes    entries  lacks  health      members reach it at  serves clients at
n1      0          yes      1200     0      well        10.0.0.2:40911       10.0.0.2:10911
n0      1          yes      1100     100    silent      10.0.0.1:40911       -
n3      4          learner  7        1193   quarantine  10.0.0.4:40911       -
";
        assert_eq!(status(&group), expect);
        group.members.truncate(2);
        group.members[1].fill = Some(RaftFill { done: 5 << 20, total: (20 << 20) - 1 });
        assert!(
            status(&group).contains("\nn0 is sent files, as what it lacks is gone from the log: 5 of 20 MiB, 25 %\n")
        );
        (group.leader, group.role, group.changing) = (None, RaftRole::Follower, true);
        group.preferred = vec![MemberNumber(2), MemberNumber(3)];
        group.members = vec![member(1, true, None, None)];
        let expect = "\
group trio: nobody leads that n1 knows of, which takes most of the members; the term is 3
n1, a follower, has 1200 entries, 1199 of them agreed on and 1198 shown; it has seen 2 leaders since its start
it prefers n1 or n2 as the leader
the members are changing: if this stays so, ask for the last change again
member  broker id  votes  entries  lacks  health  members reach it at  serves clients at
n0      1          yes    -        -      silent  10.0.0.1:40911       -
";
        assert_eq!(status(&group), expect);
    }
}
