//! What a broker is among others: of a broker set its master or a slave, or a member of a group.

use super::{BROKER, setting};
use crate::cluster::Layout;

/// Names of broker sets.
const SETS: [&str; 4] = [BROKER, "broker-b", "broker-c", "broker-d"];

/// How many copies of a message a master waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies {
    /// Its own: `ASYNC_MASTER`.
    Own,
    /// Its own and a slave's: `SYNC_MASTER`, and two in-sync replicas, which releases before 5.0 ask for in any case.
    Two,
}

/// A place for a broker: in which broker set, and as which id in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Post {
    /// Of the set, from 0.
    pub set: usize,
    /// 0 is its master.
    pub id: usize,
}

impl Post {
    /// The master of the first set.
    pub const MASTER: Self = Self { set: 0, id: 0 };
    /// The first slave of the first set.
    pub const SLAVE: Self = Self { set: 0, id: 1 };

    /// The master of this set.
    pub const fn master_of(set: usize) -> Self {
        Self { set, id: 0 }
    }

    /// Name of its set, which is the name of all brokers of it.
    pub const fn broker(self) -> &'static str {
        SETS[self.set]
    }

    fn role(self, layout: Layout) -> &'static str {
        match (self.id, layout.copies) {
            (0, Copies::Own) => "ASYNC_MASTER",
            (0, Copies::Two) => "SYNC_MASTER",
            _ => "SLAVE",
        }
    }

    fn settings(self, layout: Layout) -> String {
        let name = setting("brokerName", self.broker()) + &setting("brokerId", self.id);
        if layout.slaves == 0 {
            return name;
        }
        [
            name,
            setting("brokerRole", self.role(layout)),
            // Else it refuses consumers, also when its master is gone.
            setting("slaveReadEnable", true),
            // Java's slaves say where they are, for the first time as well, after so many milliseconds; 5000 by default.
            setting("haSendHeartbeatInterval", 1000),
            match layout.copies {
                Copies::Own => String::new(),
                Copies::Two => setting("inSyncReplicas", 2),
            },
        ]
        .concat()
    }
}

/// What a broker has to know of the group it is a member of.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    /// Of the member, from 0.
    pub number: usize,
    /// Where each member speaks with the others, with its number.
    pub addresses: Vec<(usize, String)>,
}

impl Seat {
    fn settings(&self) -> String {
        let peers = self.addresses.iter().map(|(number, address)| format!("n{number}-{address}"));
        [
            setting("brokerName", BROKER),
            setting("brokerId", 0),
            setting("enableDLegerCommitLog", true),
            setting("dLegerGroup", BROKER),
            setting("dLegerPeers", peers.collect::<Vec<_>>().join(";")),
            setting("dLegerSelfId", format!("n{}", self.number)),
            // Else Java's followers refuse consumers, also when no member leads.
            setting("slaveReadEnable", true),
        ]
        .concat()
    }
}

/// Either.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    OfSet(Post),
    OfGroup(Seat),
}

impl Part {
    pub(super) fn settings(&self, layout: Layout) -> String {
        match self {
            Self::OfSet(post) => post.settings(layout),
            Self::OfGroup(seat) => seat.settings(),
        }
    }
}
