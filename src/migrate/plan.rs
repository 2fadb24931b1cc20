//! From what a cluster is to the stages of its move, and from a stage to its steps, there and back.
//!
//! A stage is what an operator thinks of: one process swapped, one mastership switched. Its steps have goals: one whose goal is
//! reached does nothing, so that a run that ended in the middle of one can begin with it again.

mod words;

use serde::{Deserialize, Serialize};

use super::args::{Masters, Scope};
use super::desk::Make;
use super::survey::{Broker, BrokerSet, Survey};

/// A process of a broker set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Member {
    pub(crate) address: String,
    /// In the Java cluster.
    pub(crate) id: i64,
    /// `brokerRole` there; empty for a member of a DLedger group, whose role changes.
    pub(crate) role: String,
    /// `storePathRootDir` there.
    pub(crate) store: String,
}

/// One part of a move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(crate) enum Stage {
    NameServer {
        address: String,
    },
    Slave {
        set: String,
        slave: Member,
    },
    /// A master on its own folder.
    Master {
        set: String,
        master: Member,
        slaves: Vec<String>,
        /// Other sets take all its topics, so producers are sent there meanwhile.
        wipe: bool,
    },
    /// The slave, Ferromq already, becomes the master, and the master a slave of it.
    Switch {
        set: String,
        master: Member,
        slave: Member,
        wipe: bool,
    },
    /// A DLedger group is drained into a new broker set.
    Group {
        set: String,
        members: Vec<Member>,
        into: String,
    },
}

/// What is done or waited for, in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// What a name server knows is written down.
    NoteNameServer {
        address: String,
    },
    /// A name server knows again what was written down.
    SettleNameServer {
        address: String,
    },
    Stop {
        process: Process,
        make: Make,
    },
    Start {
        process: Process,
        make: Make,
    },
    /// Name servers tell producers to leave.
    Wipe {
        set: String,
    },
    /// The master itself refuses messages.
    Forbid {
        address: String,
    },
    Permit {
        address: String,
    },
    /// No message comes any more; if it need not be so, it goes on after a while.
    Drain {
        set: String,
        address: String,
        must: bool,
    },
    /// The slave has what the master had when it was asked.
    Level {
        set: String,
        slave: String,
    },
    /// What the master has is written down. No address: of whoever leads.
    Note {
        set: String,
        address: String,
    },
    /// These members have the consumers' offsets that were written down: Java's know those of their leader late, or never.
    Share {
        set: String,
        members: Vec<String>,
    },
    /// These Java members of a group fill their queues up from their log whenever they start. Else one that was killed cuts them
    /// short, and goes on at queue offsets that are taken.
    Recheck {
        set: String,
        members: Vec<String>,
    },
    /// The broker has what was written down. No address: whoever leads.
    Check {
        set: String,
        address: String,
    },
    /// The slave has what the master has.
    Compare {
        set: String,
        slave: String,
    },
    /// Producers come back.
    Restore {
        set: String,
        address: String,
    },
    /// A new broker set is started, all its members.
    StartSet {
        set: String,
    },
    StopSet {
        set: String,
    },
    /// Topics and consumer groups are made there, too.
    CopySettings {
        from: String,
        into: String,
    },
    /// Consumers, delays, timers and transactions have worked off what a set has.
    DrainOut {
        set: String,
    },
}

/// A process, and what it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) address: String,
    /// Empty: a name server.
    pub(crate) set: String,
    pub(crate) role: String,
    pub(crate) id: i64,
    pub(crate) store: String,
}

const SLAVE: &str = "SLAVE";

impl Process {
    fn name_server(address: &str) -> Self {
        Self { address: address.to_owned(), set: String::new(), role: String::new(), id: 0, store: String::new() }
    }

    fn broker(set: &str, member: &Member) -> Self {
        let Member { address, id, role, store } = member.clone();
        Self { address, set: set.to_owned(), role, id, store }
    }

    /// The one member in the role of the other.
    fn in_place_of(set: &str, member: &Member, other: &Member) -> Self {
        Self { role: other.role.clone(), id: other.id, ..Self::broker(set, member) }
    }

    pub(crate) fn is_name_server(&self) -> bool {
        self.set.is_empty()
    }
}

/// The stages that are left to do: name servers first, then each set, its slaves before its master.
pub(crate) fn stages(survey: &Survey, scope: &Scope) -> Vec<Stage> {
    let mut stages = Vec::new();
    if !scope.keep_name_servers {
        let java = survey.name_servers.iter().filter(|server| server.make != Some(Make::Ferromq));
        stages.extend(java.map(|server| Stage::NameServer { address: server.address.clone() }));
    }
    for set in survey.sets.iter().filter(|set| scope.takes(set)) {
        if set.is_dledger() {
            stages.push(group(set, scope));
        } else {
            stages.extend(of_set(survey, set, scope));
        }
    }
    stages
}

fn of_set(survey: &Survey, set: &BrokerSet, scope: &Scope) -> Vec<Stage> {
    let member = |broker: &Broker| Member {
        address: broker.address.clone(),
        id: broker.id,
        role: broker.setting("brokerRole").to_owned(),
        store: broker.setting("storePathRootDir").to_owned(),
    };
    let is_java = |broker: &&Broker| broker.make != Some(Make::Ferromq);
    let name = &set.name;
    let mut stages: Vec<_> =
        set.slaves().filter(is_java).map(|slave| Stage::Slave { set: name.clone(), slave: member(slave) }).collect();
    let Some(master) = set.master().filter(is_java) else { return stages };
    let wipe = survey.sets.len() > 1 && survey.topics_only_in(set).is_empty();
    let switched = set.slaves().next().filter(|_| scope.masters == Masters::Switch);
    stages.push(match switched {
        Some(slave) => Stage::Switch { set: name.clone(), master: member(master), slave: member(slave), wipe },
        None => {
            let slaves = set.slaves().map(|slave| slave.address.clone()).collect();
            Stage::Master { set: name.clone(), master: member(master), slaves, wipe }
        }
    });
    stages
}

fn group(set: &BrokerSet, scope: &Scope) -> Stage {
    let members = set.brokers.iter().map(|broker| Member {
        address: broker.address.clone(),
        id: broker.id,
        role: String::new(),
        store: broker.setting("storePathRootDir").to_owned(),
    });
    let named = scope.into.iter().find(|(from, _)| *from == set.name).map(|(_, into)| into.clone());
    let into = named.unwrap_or_else(|| format!("{}-raft", set.name));
    Stage::Group { set: set.name.clone(), members: members.collect(), into }
}

impl Stage {
    /// What is done to get there.
    pub(crate) fn forward(&self) -> Vec<Step> {
        match self {
            Self::NameServer { address } => swap_name_server(address, Make::Java, Make::Ferromq),
            Self::Slave { set, slave } => swap_slave(set, slave, Make::Java, Make::Ferromq),
            Self::Master { set, master, slaves, wipe } => {
                swap_master(set, master, slaves, *wipe, Make::Java, Make::Ferromq)
            }
            Self::Switch { set, master, slave, wipe } => {
                let mut steps = switch(set, master, slave, *wipe, (Make::Java, Make::Ferromq));
                let demoted = Process::in_place_of(set, master, slave);
                steps.extend(follow(demoted, Make::Ferromq));
                steps
            }
            Self::Group { set, members, into } => {
                let leader = members.first().map(|member| member.address.clone()).unwrap_or_default();
                let addresses: Vec<_> = members.iter().map(|member| member.address.clone()).collect();
                let mut steps = vec![
                    Step::StartSet { set: into.clone() },
                    Step::CopySettings { from: set.clone(), into: into.clone() },
                    Step::Wipe { set: set.clone() },
                    Step::Drain { set: set.clone(), address: leader, must: true },
                    Step::DrainOut { set: set.clone() },
                    Step::Recheck { set: set.clone(), members: addresses.clone() },
                ];
                // Name servers forget what they were told of a set that goes, and its members come back with what is in their files.
                steps.extend(addresses.iter().map(|address| Step::Forbid { address: address.clone() }));
                steps.extend([
                    Step::Note { set: set.clone(), address: String::new() },
                    Step::Share { set: set.clone(), members: addresses },
                ]);
                steps.extend(
                    members.iter().map(|member| Step::Stop { process: Process::broker(set, member), make: Make::Java }),
                );
                steps
            }
        }
    }

    /// The first of the steps of [`Self::forward`] after which going back is more than starting again what was stopped.
    fn pivot(&self) -> usize {
        let starts = |step: &Step| matches!(step, Step::Start { make: Make::Ferromq, .. });
        self.forward().iter().position(starts).unwrap_or(usize::MAX)
    }

    /// What is done to take it back when `begun` of its steps were begun, the last of them perhaps not done.
    pub(crate) fn back(&self, begun: usize) -> Vec<Step> {
        let early = begun <= self.pivot();
        match self {
            Self::NameServer { address } if early => {
                let process = Process::name_server(address);
                vec![Step::Start { process, make: Make::Java }, Step::SettleNameServer { address: address.clone() }]
            }
            Self::NameServer { address } => swap_name_server(address, Make::Ferromq, Make::Java),
            Self::Slave { set, slave } if early => {
                vec![
                    Step::Start { process: Process::broker(set, slave), make: Make::Java },
                    Step::Level { set: set.clone(), slave: slave.address.clone() },
                ]
            }
            Self::Slave { set, slave } => swap_slave(set, slave, Make::Ferromq, Make::Java),
            Self::Master { set, master, wipe, .. } if early => {
                let mut steps = vec![Step::Start { process: Process::broker(set, master), make: Make::Java }];
                steps.extend(wipe.then(|| Step::Restore { set: set.clone(), address: master.address.clone() }));
                steps
            }
            Self::Master { set, master, slaves, wipe } => {
                swap_master(set, master, slaves, *wipe, Make::Ferromq, Make::Java)
            }
            Self::Switch { set, master, slave, wipe } if early => {
                let address = || master.address.clone();
                let mut steps = vec![
                    Step::Start { process: Process::broker(set, master), make: Make::Java },
                    Step::Permit { address: address() },
                ];
                steps.extend(wipe.then(|| Step::Restore { set: set.clone(), address: address() }));
                steps.extend(follow(Process::broker(set, slave), Make::Ferromq));
                steps
            }
            Self::Switch { set, master, slave, wipe } => switch_back(set, master, slave, *wipe),
            Self::Group { set, members, into } => group_back(set, members, into),
        }
    }

    /// The broker set it belongs to.
    pub(crate) fn set(&self) -> Option<&str> {
        match self {
            Self::NameServer { .. } => None,
            Self::Slave { set, .. } | Self::Master { set, .. } | Self::Switch { set, .. } | Self::Group { set, .. } => {
                Some(set)
            }
        }
    }
}

fn swap_name_server(address: &str, from: Make, to: Make) -> Vec<Step> {
    let process = || Process::name_server(address);
    vec![
        Step::NoteNameServer { address: address.to_owned() },
        Step::Stop { process: process(), make: from },
        Step::Start { process: process(), make: to },
        Step::SettleNameServer { address: address.to_owned() },
    ]
}

fn swap_slave(set: &str, slave: &Member, from: Make, to: Make) -> Vec<Step> {
    let process = Process::broker(set, slave);
    let mut steps = vec![Step::Stop { process: process.clone(), make: from }];
    steps.extend(follow(process, to));
    steps
}

/// A slave is started and catches up.
fn follow(slave: Process, make: Make) -> Vec<Step> {
    let (set, address) = (slave.set.clone(), slave.address.clone());
    vec![
        Step::Start { process: slave, make },
        Step::Level { set: set.clone(), slave: address.clone() },
        Step::Compare { set, slave: address },
    ]
}

fn swap_master(set: &str, master: &Member, slaves: &[String], wipe: bool, from: Make, to: Make) -> Vec<Step> {
    let (set_name, address) = (|| set.to_owned(), || master.address.clone());
    let process = || Process::broker(set, master);
    let mut steps = Vec::new();
    if wipe {
        steps.push(Step::Wipe { set: set_name() });
        steps.push(Step::Drain { set: set_name(), address: address(), must: false });
    }
    // One that lacks much would be without a master meanwhile.
    steps.extend(slaves.iter().map(|slave| Step::Level { set: set_name(), slave: slave.clone() }));
    steps.push(Step::Note { set: set_name(), address: address() });
    steps.push(Step::Stop { process: process(), make: from });
    steps.push(Step::Start { process: process(), make: to });
    steps.push(Step::Check { set: set_name(), address: address() });
    if wipe {
        steps.push(Step::Restore { set: set_name(), address: address() });
    }
    steps.extend(slaves.iter().map(|slave| Step::Level { set: set_name(), slave: slave.clone() }));
    steps
}

/// The slave, of make `makes.1`, becomes the master; what was the master, of make `makes.0`, is stopped.
fn switch(set: &str, master: &Member, slave: &Member, wipe: bool, makes: (Make, Make)) -> Vec<Step> {
    let set_name = || set.to_owned();
    let (was, will_be) = (|| master.address.clone(), || slave.address.clone());
    let mut steps = vec![Step::Level { set: set_name(), slave: will_be() }];
    if wipe {
        steps.push(Step::Wipe { set: set_name() });
        steps.push(Step::Drain { set: set_name(), address: was(), must: false });
    }
    steps.extend([
        Step::Forbid { address: was() },
        Step::Drain { set: set_name(), address: was(), must: true },
        Step::Note { set: set_name(), address: was() },
        Step::Level { set: set_name(), slave: will_be() },
        Step::Stop { process: Process::broker(set, master), make: makes.0 },
        Step::Stop { process: Process::broker(set, slave), make: makes.1 },
        Step::Start { process: Process::in_place_of(set, slave, master), make: makes.1 },
        Step::Check { set: set_name(), address: will_be() },
        Step::Restore { set: set_name(), address: will_be() },
    ]);
    steps
}

/// The Java broker follows first, on the folder it had as the master, and then is the master again.
fn switch_back(set: &str, master: &Member, slave: &Member, wipe: bool) -> Vec<Step> {
    let demoted = Process::in_place_of(set, master, slave);
    let mut steps = vec![Step::Stop { process: demoted.clone(), make: Make::Ferromq }];
    steps.extend(follow(demoted, Make::Java));
    // In the roles that they have now.
    let now_master = Member { role: master.role.clone(), id: master.id, ..slave.clone() };
    let now_slave = Member { role: slave.role.clone(), id: slave.id, ..master.clone() };
    steps.extend(switch(set, &now_master, &now_slave, wipe, (Make::Ferromq, Make::Java)));
    let permit = |member: &Member| Step::Permit { address: member.address.clone() };
    steps.push(permit(master));
    steps.extend(follow(Process::broker(set, slave), Make::Ferromq));
    steps.push(permit(slave));
    steps
}

fn group_back(set: &str, members: &[Member], into: &str) -> Vec<Step> {
    let start = |member: &Member| Step::Start { process: Process::broker(set, member), make: Make::Java };
    let mut steps: Vec<_> = members.iter().map(start).collect();
    let leader = members.first().map(|member| member.address.clone()).unwrap_or_default();
    // Another member may lead now.
    steps.push(Step::Check { set: set.to_owned(), address: String::new() });
    steps.extend(members.iter().map(|member| Step::Permit { address: member.address.clone() }));
    steps.extend([
        Step::Restore { set: set.to_owned(), address: leader },
        Step::Wipe { set: into.to_owned() },
        Step::Drain { set: into.to_owned(), address: String::new(), must: true },
        Step::DrainOut { set: into.to_owned() },
        Step::StopSet { set: into.to_owned() },
    ]);
    steps
}

#[cfg(test)]
mod tests;
