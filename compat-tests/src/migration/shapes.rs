//! The clusters that are migrated, and the steps of each by hand.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use super::fleet::{At, Fleet, Task};
use super::journey::Journey;
use crate::cluster::Layout;
use crate::group::MEMBERS;
use crate::target::{BROKER, Post, Server};
use crate::wire;

/// Name servers of each cluster.
const NAME_SERVERS: usize = 2;
/// A log that does not grow for so long is drained.
const DRAINED: Duration = Duration::from_secs(4);

/// A cluster of Java's that is migrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Java 4.9: a master and a slave.
    OldPair,
    /// Java 5: the same.
    Pair,
    /// Java 5: two masters, each in place.
    Masters,
    /// Java 5: a DLedger group.
    Group,
}

impl Shape {
    pub(super) const ALL: [Self; 4] = [Self::OldPair, Self::Pair, Self::Masters, Self::Group];

    /// In settings and reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OldPair => "java-4.9.7-pair",
            Self::Pair => "java-5.5.0-pair",
            Self::Masters => "java-5.5.0-masters",
            Self::Group => "java-5.5.0-dledger",
        }
    }

    /// Whose it is at first.
    pub(super) fn make(self) -> Server {
        if self == Self::OldPair { Server::OldJava } else { Server::Java }
    }

    /// Whether it knows messages with a time of their own.
    pub(super) fn timed(self) -> bool {
        self != Self::OldPair
    }

    pub(super) fn layout(self) -> Layout {
        let small = match self {
            Self::OldPair | Self::Pair => Layout::PAIR,
            Self::Masters => Layout { masters: 2, ..Layout::SMALL },
            Self::Group => Layout::GROUP,
        };
        Layout { name_servers: NAME_SERVERS, timer: self.timed(), transactions: true, ..small }
    }

    /// Starts all of it.
    pub(super) async fn begin(self, fleet: &Fleet) -> Result<()> {
        for number in 0..NAME_SERVERS {
            fleet.start(At::NameServer(number), self.make(), Task::NameServer).await?;
        }
        if self == Self::Group {
            let start = async |number| fleet.start(At::Member(number), self.make(), Task::Member).await;
            tokio::try_join!(start(0), start(1), start(2))?;
            fleet.cluster.until_whole().await?;
            return Ok(());
        }
        for post in self.layout().posts() {
            fleet.start(At::Broker(post), self.make(), Task::Broker(post)).await?;
        }
        Ok(())
    }

    /// Every server becomes one of `make`, one after the other.
    pub(super) async fn forward(self, journey: &mut Journey<'_>, make: Server) -> Result<()> {
        name_servers(journey, make).await?;
        match self {
            Self::OldPair | Self::Pair => pair(journey, make).await,
            Self::Masters => masters(journey, make).await,
            Self::Group => group(journey, make).await,
        }
    }

    /// And Java's again.
    pub(super) async fn back(self, journey: &mut Journey<'_>) -> Result<()> {
        let make = self.make();
        match self {
            Self::OldPair | Self::Pair => pair(journey, make).await?,
            Self::Masters => masters(journey, make).await?,
            Self::Group => group_leaves(journey, make).await?,
        }
        name_servers(journey, make).await
    }
}

async fn name_servers(journey: &mut Journey<'_>, make: Server) -> Result<()> {
    for number in 0..NAME_SERVERS {
        let what = format!("name server {number} becomes {make:?}");
        journey.step(&what, async |fleet| fleet.replace(At::NameServer(number), make).await).await?;
    }
    Ok(())
}

/// Each master on its folder: producers are led away from it first, and come back by themselves.
async fn masters(journey: &mut Journey<'_>, make: Server) -> Result<()> {
    for set in 0..2 {
        let post = Post::master_of(set);
        let what = format!("{} becomes {make:?} in place", post.broker());
        let act = async |fleet: &Fleet| {
            wipe_writes(fleet, post.broker()).await?;
            until_drained(fleet, At::Broker(post)).await?;
            fleet.replace(At::Broker(post), make).await?;
            add_writes(fleet, post.broker()).await
        };
        journey.step(&what, act).await?;
    }
    Ok(())
}

/// The slave on its folder, which it fills by replication from then on; then it becomes the master; then the other the slave.
async fn pair(journey: &mut Journey<'_>, make: Server) -> Result<()> {
    let (master, slave) = machines(journey.fleet)?;
    let what = format!("the slave becomes {make:?}");
    let act = async |fleet: &Fleet| {
        fleet.replace(At::Broker(slave), make).await?;
        until_level(fleet, master, slave).await
    };
    journey.step(&what, act).await?;

    let what = format!("mastership is switched to {make:?}");
    let act = async |fleet: &Fleet| {
        wipe_writes(fleet, BROKER).await?;
        until_drained(fleet, At::Broker(master)).await?;
        fleet.cluster.until_followed(master, slave).await?;
        fleet.stop(At::Broker(master)).await?;
        fleet.stop(At::Broker(slave)).await?;
        fleet.start(At::Broker(slave), make, Task::Broker(Post::MASTER)).await?;
        add_writes(fleet, BROKER).await
    };
    journey.step(&what, act).await?;

    let what = format!("the master that was is a slave of {make:?}");
    let act = async |fleet: &Fleet| {
        // Its log may be longer by what it stored for itself once nobody sent any more; Java's does not look.
        fleet.cluster.wipe_at(master).await?;
        fleet.start(At::Broker(master), make, Task::Broker(Post::SLAVE)).await?;
        until_level(fleet, slave, master).await
    };
    journey.step(&what, act).await
}

/// Where the master of the pair runs now, and where its slave.
fn machines(fleet: &Fleet) -> Result<(Post, Post)> {
    let (one, other) = (Post::MASTER, Post::SLAVE);
    match fleet.task(At::Broker(one)).context("find the first machine's broker")? {
        Task::Broker(acts) if acts.id == 0 => Ok((one, other)),
        _ => Ok((other, one)),
    }
}

/// The files of the member with the last entry are imported and become those of a group's first member, which takes the others in.
async fn group(journey: &mut Journey<'_>, make: Server) -> Result<()> {
    ensure!(make == Server::Ferromq, "Java's groups import nothing");
    let mut first = journey.fleet.cluster.leader().await?;
    let act = async |fleet: &Fleet| {
        // All at once: those who are still there when a leader has gone make another one, who takes messages.
        let stop = async |number| fleet.stop(At::Member(number)).await;
        tokio::try_join!(stop(first), stop((first + 1) % MEMBERS), stop((first + 2) % MEMBERS))?;
        let mut last = fleet.cluster.last_entry(first).await?;
        for other in 0..MEMBERS {
            let entry = fleet.cluster.last_entry(other).await?;
            // Of equals who led: what it knows of consumers and timers is the newest.
            if entry > last {
                (first, last) = (other, entry);
            }
        }
        fleet.cluster.import_files(first).await?;
        fleet.start(At::Member(first), make, Task::FirstMember).await
    };
    journey.step("a member's files become those of a group's first member", act).await?;
    for other in (0..MEMBERS).filter(|number| *number != first) {
        let act = async |fleet: &Fleet| {
            fleet.cluster.wipe_member(other).await?;
            fleet.start(At::Member(other), make, Task::Member).await?;
            add_member(fleet, first, other).await
        };
        journey.step(&format!("n{other} is taken in"), act).await?;
    }
    let act = async |fleet: &Fleet| fleet.cluster.until_whole().await.map(drop);
    journey.step("the group is whole", act).await
}

/// `ferromq group add`, as often as it takes.
async fn add_member(fleet: &Fleet, leader: usize, other: usize) -> Result<()> {
    let cluster = &fleet.cluster;
    let (at, peer) = (cluster.member_address(leader)?, cluster.peer_address(other)?);
    let line = format!("'{}' group add n{other} {peer} -b {at}", cluster.stage().ferromq()?);
    wire::eventually(&format!("a group with n{other}"), async || {
        fleet.node(At::Member(leader))?.machine.shell(&line).await.map(Some)
    })
    .await?;
    Ok(())
}

/// The first member's files are an ordinary store: Java goes on with them, as a broker of its own.
async fn group_leaves(journey: &mut Journey<'_>, make: Server) -> Result<()> {
    let leader = journey.fleet.cluster.leader().await?;
    let act = async |fleet: &Fleet| {
        for number in (0..MEMBERS).filter(|number| *number != leader) {
            fleet.stop(At::Member(number)).await?;
        }
        fleet.stop(At::Member(leader)).await?;
        fleet.start(At::Member(leader), make, Task::Alone).await
    };
    journey.step(&format!("{make:?} goes on with the files of n{leader}, alone"), act).await
}

async fn wipe_writes(fleet: &Fleet, broker: &str) -> Result<()> {
    permit(fleet, "wipeWritePerm", broker).await
}

async fn add_writes(fleet: &Fleet, broker: &str) -> Result<()> {
    permit(fleet, "addWritePerm", broker).await
}

async fn permit(fleet: &Fleet, command: &str, broker: &str) -> Result<()> {
    let told = fleet.cluster.mqadmin(&[command, "-b", broker]).await?;
    let done = told.matches(&format!("of broker[{broker}]")).count();
    ensure!(done == NAME_SERVERS && !told.contains("Exception"), "{command}: {told}");
    Ok(())
}

/// Waits until a slave has what its master has now, which goes on growing.
async fn until_level(fleet: &Fleet, master: Post, slave: Post) -> Result<()> {
    let (ahead, behind) = (fleet.cluster.address_at(master)?, fleet.cluster.address_at(slave)?);
    let end = wire::log_end(&ahead).await?.end;
    wire::eventually(&format!("{behind} with the log up to {end}"), async || {
        Ok((wire::log_end(&behind).await?.end >= end).then_some(()))
    })
    .await
}

/// Waits until nobody sends there any more, and what was delayed or in doubt is done with.
async fn until_drained(fleet: &Fleet, at: At) -> Result<()> {
    let address = fleet.node(at)?.address();
    wire::eventually(&format!("an end of writes to {address}"), async || {
        let before = wire::log_end(&address).await?;
        sleep(DRAINED).await;
        Ok((wire::log_end(&address).await? == before).then_some(()))
    })
    .await
}
