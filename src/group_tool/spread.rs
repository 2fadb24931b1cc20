//! Spreading the leads of several groups over their machines.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use remoting::body::{RaftGroupStatus, RaftHealth};
use remoting::client::Client;
use remoting::protocol::raft::GroupChange;
use remoting::types::MemberNumber;

use super::args::Spread;
use super::text::table;
use super::{Desk, ToolError, ask_name_servers, read_credentials};

/// A member that lacks more entries is not given a lead.
const LACKS_MAX: u64 = 1000;

/// A group, as far as it matters here.
#[derive(Debug)]
struct Group {
    name: String,
    /// A broker of it.
    broker: String,
    leader: MemberNumber,
    /// Machines that could lead it, and by which member; the one that does is among them.
    able: BTreeMap<String, MemberNumber>,
    /// The machine that leads it.
    at: String,
}

/// A group is to be led from another machine.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    group: usize,
    to: String,
}

/// What name servers and groups tell.
#[derive(Debug, Default)]
struct Found {
    groups: Vec<Group>,
    /// All machines of members, also those that could not lead now.
    hosts: BTreeSet<String>,
    /// What keeps members from leading, for the user.
    notes: Vec<String>,
}

/// Gives leads to other members until each machine has about as many as the others; prints what it does.
pub(super) async fn spread(client: &Client, args: &Spread) -> Result<String, ToolError> {
    let found = find(client, &args.name_servers, args.cluster.as_deref()).await?;
    let steps = plan(&found.groups);
    crate::run::print(&show(&found, &steps));
    if steps.is_empty() {
        return Ok("the leads are spread as evenly as the members allow\n".to_owned());
    }
    if args.dry_run {
        return Ok("nothing is changed: --dry-run\n".to_owned());
    }
    let credentials = args.credentials.as_deref().map(read_credentials).transpose()?;
    let mut desk = Desk { client, broker: String::new(), credentials };
    let mut failed = Vec::new();
    for Step { group, to } in &steps {
        let group = &found.groups[*group];
        desk.broker.clone_from(&group.broker);
        let member = group.able[to];
        match desk.change(GroupChange::Transfer, member, None).await {
            Ok(()) => crate::run::print(&format!("{}: {member} leads\n", group.name)),
            Err(err) => failed.push(format!("{}: {err}", group.name)),
        }
    }
    if failed.is_empty() { Ok(String::new()) } else { Err(ToolError::NotSpread { failed: failed.join("; ") }) }
}

async fn find(client: &Client, name_servers: &str, cluster: Option<&str>) -> Result<Found, ToolError> {
    let info = ask_name_servers(client, name_servers, Ok).await?;
    let wanted = |name: &str| match cluster {
        Some(cluster) => info
            .cluster_addr_table
            .iter()
            .any(|(known, sets)| &**known == cluster && sets.iter().any(|set| &**set == name)),
        None => true,
    };
    if let Some(cluster) = cluster
        && !info.cluster_addr_table.keys().any(|known| &**known == cluster)
    {
        let known = info.cluster_addr_table.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(ToolError::NoCluster { name: cluster.to_owned(), known });
    }
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    for (name, set) in info.broker_addr_table.iter().filter(|(name, _)| wanted(name)) {
        let mut status = None;
        // The leader first: it is broker 0.
        for broker in set.broker_addrs.values() {
            let desk = Desk { client, broker: broker.clone(), credentials: None };
            match desk.status().await {
                Ok(known) => status = Some((broker.clone(), known)),
                // A broker of its own.
                Err(ToolError::NoGroup { .. }) => {}
                Err(err) => found.notes.push(format!("{name}: {err}")),
            }
            if status.is_some() {
                break;
            }
        }
        // A group may be shown as several broker sets (`followersTakeWrites`).
        if let Some((broker, status)) = status
            && seen.insert((status.group.clone(), addresses(&status)))
        {
            found.add(name, broker, &status);
        }
    }
    Ok(found)
}

fn addresses(status: &RaftGroupStatus) -> Vec<String> {
    status.members.iter().map(|member| member.address.clone()).collect()
}

fn host(address: &str) -> String {
    address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned()
}

impl Found {
    fn add(&mut self, name: &str, broker: String, status: &RaftGroupStatus) {
        let voters: Vec<_> = status.members.iter().filter(|member| member.is_voter).collect();
        self.hosts.extend(voters.iter().map(|voter| host(&voter.address)));
        let leads = status.leader.and_then(|leader| status.member(leader));
        let Some(leads) = leads else {
            self.notes.push(format!("{name}: nobody leads it, so it is left alone"));
            return;
        };
        let mut able = BTreeMap::new();
        for voter in voters {
            let lacks = voter.entries.map(|entries| status.entries.saturating_sub(entries));
            let why_not = match (voter.health, lacks) {
                _ if voter.number == leads.number => None,
                _ if !status.preferred.is_empty() && !status.preferred.contains(&voter.number) => {
                    Some("is not among its preferred leaders".to_owned())
                }
                (Some(RaftHealth::Well), Some(lacks)) if lacks <= LACKS_MAX => None,
                (Some(RaftHealth::Well), Some(lacks)) => Some(format!("lacks {lacks} entries")),
                (Some(RaftHealth::Well) | None, _) => Some("tells too little".to_owned()),
                (Some(health), _) => Some(format!("cannot lead: {health}")),
            };
            match why_not {
                Some(why_not) => self.notes.push(format!("{name}: {} {why_not}", voter.number)),
                None => _ = able.entry(host(&voter.address)).or_insert(voter.number),
            }
        }
        // Of two members on one machine, the one that leads.
        let at = host(&leads.address);
        able.insert(at.clone(), leads.number);
        self.groups.push(Group { name: name.to_owned(), broker, leader: leads.number, able, at });
    }
}

/// Which groups are to be led from where: no machine leads more than one group more than another, as far as the members allow,
/// and few groups change.
fn plan(groups: &[Group]) -> Vec<Step> {
    let mut at: Vec<&str> = groups.iter().map(|group| &*group.at).collect();
    while let Some(chain) = chain(groups, &at) {
        chain.into_iter().for_each(|(group, to)| at[group] = to);
    }
    let moved = groups.iter().zip(&at).enumerate().filter(|(_, (group, at))| group.at != **at);
    moved.map(|(group, (_, at))| Step { group, to: (*at).to_owned() }).collect()
}

/// A chain of changes that takes a lead from a machine and gives one to that which leads least of those it leads to, at least
/// two less; machines between them give one for the one that they get.
fn chain<'a>(groups: &'a [Group], at: &[&'a str]) -> Option<Vec<(usize, &'a str)>> {
    let mut leads: BTreeMap<&str, usize> =
        groups.iter().flat_map(|group| group.able.keys()).map(|host| (&**host, 0)).collect();
    at.iter().for_each(|host| *leads.entry(*host).or_default() += 1);
    let mut busiest: Vec<_> = leads.iter().map(|(host, count)| (*count, *host)).collect();
    busiest.sort_unstable_by_key(|(count, host)| (Reverse(*count), *host));
    busiest.into_iter().find_map(|(count, from)| {
        // Where each machine would get a lead from, and which. Those near come first.
        let mut before: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
        let mut reached = vec![from];
        let mut next = 0;
        while let Some(host) = reached.get(next).copied() {
            next += 1;
            for (group, _) in at.iter().enumerate().filter(|(_, at)| **at == host) {
                for taker in groups[group].able.keys().filter(|taker| **taker != from) {
                    if !before.contains_key(&**taker) {
                        before.insert(taker, (host, group));
                        reached.push(taker);
                    }
                }
            }
        }
        let mut to = *reached.iter().min_by_key(|host| leads[*host]).filter(|host| leads[*host] + 2 <= count)?;
        let mut chain = Vec::new();
        while let Some((giver, group)) = before.get(to) {
            chain.push((*group, to));
            to = giver;
        }
        Some(chain)
    })
}

fn show(found: &Found, steps: &[Step]) -> String {
    let mut leads: BTreeMap<&str, (usize, usize)> = found.hosts.iter().map(|host| (&**host, (0, 0))).collect();
    for (index, group) in found.groups.iter().enumerate() {
        let to = steps.iter().find(|step| step.group == index).map_or(&*group.at, |step| &*step.to);
        leads.entry(&group.at).or_default().0 += 1;
        leads.entry(to).or_default().1 += 1;
    }
    let rows = leads.iter().map(|(host, (now, then))| [(*host).to_owned(), now.to_string(), then.to_string()]);
    let mut text = table(std::iter::once(["host", "leads", "then"].map(str::to_owned)).chain(rows));
    for note in &found.notes {
        text += &format!("{note}\n");
    }
    for Step { group, to } in steps {
        let group = &found.groups[*group];
        let Group { name, leader, able, at, .. } = group;
        text += &format!("{name}: {leader} on {at} is to give the lead to {} on {to}\n", able[to]);
    }
    text
}

#[cfg(test)]
mod tests {
    use remoting::body::{RaftGroupMember, RaftRole};

    use super::*;

    /// Groups of members on the machines named by letters; the first one leads.
    fn groups(machines: &[&str]) -> Vec<Group> {
        let group = |machines: &&str| {
            let able = machines.chars().zip(1..).map(|(host, number)| (host.to_string(), MemberNumber(number)));
            let at = machines[..1].to_owned();
            Group { name: String::new(), broker: String::new(), leader: MemberNumber(1), able: able.collect(), at }
        };
        machines.iter().map(group).collect()
    }

    #[track_caller]
    fn check(machines: &[&str], expect: &[(usize, &str)]) {
        let steps: Vec<_> = expect.iter().map(|(group, to)| Step { group: *group, to: (*to).to_owned() }).collect();
        assert_eq!(plan(&groups(machines)), steps, "{machines:?}");
    }

    #[test]
    fn no_machine_leads_two_groups_more_than_another_that_could() {
        check(&[], &[]);
        check(&["abc"], &[]);
        check(&["abc", "abc"], &[(0, "b")]);
        check(&["abc", "abc", "abc"], &[(0, "b"), (1, "c")]);
        check(&["abc", "abc", "bca", "cab"], &[]);
        check(&["abc", "bca", "cab", "bca", "abc"], &[]);
        check(&["abc", "abc", "abc", "bca"], &[(0, "c")]);
        // By way of a machine that gives one for the one that it gets.
        check(&["ab", "ab", "bc"], &[(0, "b"), (2, "c")]);
        check(&["a", "a", "a", "bc"], &[]);
    }

    #[test]
    fn only_who_is_well_level_and_preferred_gets_a_lead() {
        let member = |number: u64, entries, health| RaftGroupMember {
            number: MemberNumber(number),
            address: format!("10.0.0.{number}:40911"),
            is_voter: number != 5,
            entries: Some(entries),
            serves: None,
            fill: None,
            health: Some(health),
        };
        let mut status = RaftGroupStatus {
            group: "g".into(),
            number: MemberNumber(1),
            role: RaftRole::Leader,
            leader: Some(MemberNumber(1)),
            term: 3,
            entries: 5000,
            agreed: 5000,
            applied: 5000,
            elections: 1,
            changing: false,
            fill: None,
            unready: None,
            preferred: Vec::new(),
            members: vec![
                member(1, 5000, RaftHealth::Well),
                member(2, 4000, RaftHealth::Well),
                member(3, 3999, RaftHealth::Well),
                member(4, 5000, RaftHealth::SlowDisk),
                member(5, 5000, RaftHealth::Well),
            ],
        };
        let found = |status: &RaftGroupStatus| {
            let mut found = Found::default();
            found.add("broker-a", "10.0.0.1:10911".into(), status);
            found
        };
        let now = found(&status);
        let able: Vec<_> = now.groups[0].able.values().map(ToString::to_string).collect();
        assert_eq!(able, ["n0", "n1"]);
        assert_eq!(now.notes, ["broker-a: n2 lacks 1001 entries", "broker-a: n3 cannot lead: slow disk"]);
        assert_eq!(now.hosts.len(), 4, "a learner is no voter");
        status.preferred = vec![MemberNumber(1)];
        assert_eq!(found(&status).groups[0].able.len(), 1);
        status.leader = None;
        assert_eq!(found(&status).notes, ["broker-a: nobody leads it, so it is left alone"]);
    }

    #[test]
    fn the_plan_is_shown_before_anything_is_done() {
        let mut found =
            Found { groups: groups(&["ab", "ab"]), notes: vec!["x: n2 is away".into()], ..Found::default() };
        found.hosts = ["a", "b", "c"].map(str::to_owned).into();
        found.groups[0].name = "broker-a".into();
        let steps = plan(&found.groups);
        let expect = "\
host  leads  then
a     2      1
b     0      1
c     0      0
x: n2 is away
broker-a: n0 on a is to give the lead to n1 on b
";
        assert_eq!(show(&found, &steps), expect);
    }
}
