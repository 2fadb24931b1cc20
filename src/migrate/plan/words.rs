//! Stages and steps in words, as they are named before they are done.

use std::fmt;

use super::{Process, SLAVE, Stage, Step};

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameServer { address } => write!(f, "name server {address}: swapped in place"),
            Self::Slave { set, slave } => {
                write!(
                    f,
                    "{set}: slave {} at {}: swapped on its folder, and follows the master",
                    slave.id, slave.address
                )
            }
            Self::Master { set, master, .. } => write!(f, "{set}: master at {}: swapped on its folder", master.address),
            Self::Switch { set, master, slave, .. } => write!(
                f,
                "{set}: the slave at {} becomes the master, and the master at {} its slave",
                slave.address, master.address
            ),
            Self::Group { set, members, into } => write!(
                f,
                "{set}: a DLedger group of {}: drained into the new broker set {into}, then stopped",
                members.len()
            ),
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_name_server() {
            return write!(f, "name server at {}", self.address);
        }
        let what = match self.role.as_str() {
            SLAVE => format!("slave {}", self.id),
            "" => "member".to_owned(),
            _ => "master".to_owned(),
        };
        write!(f, "{what} of {} at {}", self.set, self.address)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoteNameServer { address } => write!(f, "write down what {address} knows: brokers and key-values"),
            Self::SettleNameServer { address } => {
                write!(f, "wait until {address} knows again what was written down, and put back its key-values")
            }
            Self::Stop { process, make } => write!(f, "stop the {make} {process}"),
            Self::Start { process, make } => write!(f, "start the {make} {process}"),
            Self::Wipe { set } => write!(f, "have name servers tell producers to leave {set} (wipeWritePerm)"),
            Self::Forbid { address } => write!(f, "have {address} refuse new messages (brokerPermission=4)"),
            Self::Permit { address } => write!(f, "have {address} take messages again (brokerPermission)"),
            Self::Drain { set, .. } => write!(f, "wait until no message comes to {set} any more"),
            Self::Level { slave, .. } => write!(f, "wait until the slave at {slave} has what the master has"),
            Self::Note { set, address } => {
                write!(f, "write down what {} has: offsets, consumers' offsets and samples", whoever(set, address))
            }
            Self::Share { set, .. } => {
                write!(f, "give all members of {set} the consumers' offsets that were written down")
            }
            Self::Recheck { set, .. } => {
                write!(f, "have members of {set} fill up their queues when they start (recheckReputOffsetFromCq=true)")
            }
            Self::Check { set, address } => write!(f, "check that {} has what was written down", whoever(set, address)),
            Self::Compare { slave, .. } => write!(f, "compare the slave at {slave} with the master"),
            Self::Restore { set, .. } => write!(f, "have name servers send producers to {set} again"),
            Self::StartSet { set } => write!(f, "start the broker set {set}"),
            Self::StopSet { set } => write!(f, "stop the broker set {set}"),
            Self::CopySettings { from, into } => write!(f, "make topics and consumer groups of {from} in {into}, too"),
            Self::DrainOut { set } => {
                write!(f, "wait until consumers, delays, timers and transactions have worked off what {set} has")
            }
        }
    }
}

fn whoever(set: &str, address: &str) -> String {
    if address.is_empty() { format!("the leader of {set}") } else { address.to_owned() }
}
