//! What happens to a group: many things at once, as chance has it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use store::FlushMode;
use store::testing::Fault;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::cluster::{Cluster, Death, Running};
use super::network::Weather;
use super::world::note;
use crate::group::GroupError;

/// Members at a time.
const MEMBERS_MAX: usize = 5;
/// Numbers are used once.
const NUMBER_MAX: u64 = 8;
/// Longest wait for the group to do what it was asked.
const PATIENCE: Duration = Duration::from_secs(6);

pub(super) struct Faults {
    cluster: Arc<Cluster>,
    chance: Rng,
    /// What ends later.
    later: JoinSet<()>,
    /// Held by who changes the members.
    changing: Arc<()>,
}

impl Faults {
    pub(super) fn new(cluster: &Arc<Cluster>, chance: Rng) -> Self {
        Self { cluster: Arc::clone(cluster), chance, later: JoinSet::new(), changing: Arc::default() }
    }

    /// Makes trouble until so long after the beginning; returns once the last of it is over, but for what [`Cluster::heal`]
    /// ends.
    pub(super) async fn run(mut self, until: Duration) {
        while self.cluster.world.time() < until && !self.cluster.world.is_wrong() {
            self.pause(20, 700).await;
            while self.later.try_join_next().is_some() {}
            let Some(member) = self.chance.choice(self.cluster.members()) else { return };
            match self.chance.u8(0..24) {
                0..3 => self.cut_off(member),
                3..5 => self.split(),
                5 => self.flap(member),
                6..8 => self.change_weather(),
                8..12 => self.crash(member),
                12 => self.stop(member),
                13..15 => self.hold(member),
                15..17 => self.slow_disk(member),
                17 => self.sick_disk(member),
                18 => self.jump(member),
                19..21 => self.wipe(member),
                21 => self.transfer(),
                _ => self.change_members(),
            }
        }
        while let Some(over) = self.later.join_next().await {
            self.cluster.world.check(over.map_err(|error| format!("a fault went wrong: {error}")));
        }
    }

    async fn pause(&mut self, from_ms: u64, to_ms: u64) {
        let pause = self.some_time(from_ms, to_ms);
        sleep(pause).await;
    }

    fn some_time(&mut self, from_ms: u64, to_ms: u64) -> Duration {
        Duration::from_millis(self.chance.u64(from_ms..to_ms))
    }

    /// Cuts ways for a while.
    fn cut(&mut self, ways: Vec<(u64, u64)>) {
        note!(self.cluster.world, "cut off: {ways:?}");
        let (net, time) = (self.cluster.net.clone(), self.some_time(100, 3000));
        net.cut(ways.iter().copied());
        self.later.spawn(async move {
            sleep(time).await;
            net.mend(ways);
        });
    }

    /// The ways between a member and the others: both, or one of them, or only some.
    fn ways_of(&mut self, member: u64) -> Vec<(u64, u64)> {
        let others = self.cluster.members().into_iter().filter(|other| *other != member);
        let kind = self.chance.u8(0..4);
        let ways = others.flat_map(|other| match kind {
            0 => vec![(member, other)],
            1 => vec![(other, member)],
            _ => vec![(member, other), (other, member)],
        });
        let mut ways: Vec<_> = ways.collect();
        if self.chance.u8(0..3) == 0 {
            ways.truncate(self.chance.usize(0..ways.len().max(1)) + 1);
        }
        ways
    }

    fn cut_off(&mut self, member: u64) {
        // Rather one that leads.
        let leader = self.cluster.leader().filter(|_| self.chance.bool());
        let ways = self.ways_of(leader.map_or(member, |running| running.life.member));
        self.cut(ways);
    }

    /// Two halves that do not reach each other.
    fn split(&mut self) {
        let members = self.cluster.members();
        let (one, other): (BTreeSet<u64>, BTreeSet<u64>) = members.into_iter().partition(|_| self.chance.bool());
        let ways = one.iter().flat_map(|one| other.iter().flat_map(|other| [(*one, *other), (*other, *one)]));
        self.cut(ways.collect());
    }

    /// Ways that come and go.
    fn flap(&mut self, member: u64) {
        let ways = self.ways_of(member);
        note!(self.cluster.world, "flap: {ways:?}");
        let (net, times, time) = (self.cluster.net.clone(), self.chance.u8(3..15), self.some_time(20, 400));
        self.later.spawn(async move {
            for _ in 0..times {
                net.cut(ways.iter().copied());
                sleep(time).await;
                net.mend(ways.iter().copied());
                sleep(time).await;
            }
        });
    }

    fn change_weather(&mut self) {
        let chance = &mut self.chance;
        let from = chance.u64(0..10);
        let weather = match chance.u8(0..3) {
            0 => Weather::FINE,
            _ => Weather {
                delay_ms: (from, from + chance.u64(0..40)),
                late_ms: chance.u64(50..900),
                late: chance.u32(0..100),
                lost: chance.u32(0..150),
                twice: chance.u32(0..200),
            },
        };
        note!(self.cluster.world, "{weather:?}");
        self.cluster.net.set_weather(weather);
    }

    /// A death that the group has to live with: under `ASYNC_FLUSH` nobody promises anything after a power cut.
    fn death(&mut self) -> Death {
        if self.cluster.flush == FlushMode::Sync && self.chance.u8(0..4) > 0 { Death::PowerCut } else { Death::Kill }
    }

    fn crash(&mut self, member: u64) {
        let death = self.death();
        for member in self.one_or_all(member) {
            if self.cluster.end(member, death) {
                self.start_later(member);
            }
        }
    }

    fn start_later(&mut self, member: u64) {
        let (cluster, time) = (Arc::clone(&self.cluster), self.some_time(0, 2000));
        self.later.spawn(async move {
            sleep(time).await;
            cluster.start(member).await;
        });
    }

    fn stop(&mut self, member: u64) {
        let (cluster, time) = (Arc::clone(&self.cluster), self.some_time(0, 1000));
        self.later.spawn(async move {
            cluster.stop(member).await;
            sleep(time).await;
            cluster.start(member).await;
        });
    }

    /// As a machine that is busy with other things.
    fn hold(&mut self, member: u64) {
        let Some(running) = self.cluster.running(member) else { return };
        let time = self.some_time(20, 2500);
        note!(self.cluster.world, "member {member} is held for {time:?}");
        running.life.pause();
        let life = Arc::clone(&running.life);
        self.later.spawn(async move {
            sleep(time).await;
            life.resume();
        });
    }

    /// Things that happen to all at once are the worst.
    fn one_or_all(&mut self, member: u64) -> Vec<u64> {
        if self.chance.u8(0..4) == 0 { self.cluster.members() } else { vec![member] }
    }

    fn slow_disk(&mut self, member: u64) {
        let (time, from) = (self.some_time(200, 4000), self.chance.u64(20..600));
        for member in self.one_or_all(member) {
            let Some(dials) = self.cluster.dial(member) else { continue };
            note!(self.cluster.world, "the disk of member {member} takes {from} ms and more for {time:?}");
            dials.set_disk_ms((from, 2 * from));
            let usual = self.cluster.usual_disk_ms();
            self.later.spawn(async move {
                sleep(time).await;
                dials.set_disk_ms(usual);
            });
        }
    }

    /// A broker ends when its disk fails, at once or when it notices.
    fn sick_disk(&mut self, member: u64) {
        let fault = self.chance.choice([Fault::Sync, Fault::Write, Fault::Full]).unwrap_or(Fault::Sync);
        self.cluster.sicken(member, fault);
        let (cluster, time, death, pause) =
            (Arc::clone(&self.cluster), self.some_time(0, 800), self.death(), self.some_time(0, 1000));
        self.later.spawn(async move {
            sleep(time).await;
            if cluster.end(member, death) {
                sleep(pause).await;
                cluster.start(member).await;
            }
        });
    }

    fn jump(&mut self, member: u64) {
        let Some(dials) = self.cluster.dial(member) else { return };
        let far = self.chance.choice([100, 10_000, 3_600_000, 90_000_000]).unwrap_or(100);
        let skew = self.chance.i64(-far..far);
        note!(self.cluster.world, "the clock of member {member} is {skew} ms ahead");
        dials.set_skew_ms(skew);
    }

    /// One at a time: what two have lost may be lost for good. And not while members change: with one in quarantine, a
    /// group of which another one has just begun, or is about to go, may lack a majority.
    fn wipe(&mut self, member: u64) {
        let may_be = Arc::strong_count(&self.changing) == 1 && !self.cluster.is_anybody_wiped();
        if may_be && self.cluster.end(member, Death::Wipe) {
            self.start_later(member);
        }
    }

    fn transfer(&mut self) {
        let Some(leader) = self.cluster.leader() else { return };
        let Some(to) = self.chance.choice(self.cluster.members()) else { return };
        note!(self.cluster.world, "member {} is to give the lead to member {to}", leader.life.member);
        let life = Arc::clone(&leader.life);
        life.spawn(async move { leader.group.transfer(to).await.is_ok() });
    }

    fn change_members(&mut self) {
        if self.cluster.is_anybody_wiped() {
            return;
        }
        let members = self.cluster.members();
        let newest = self.cluster.newest();
        let may_grow = members.len() < MEMBERS_MAX && newest < NUMBER_MAX;
        if may_grow && (members.len() <= 3 || self.chance.bool()) {
            let (cluster, changing) = (Arc::clone(&self.cluster), Arc::clone(&self.changing));
            self.later.spawn(async move {
                take_in(&cluster, newest + 1).await;
                drop(changing);
            });
        } else if members.len() > 3
            && let Some(member) = self.chance.choice(members)
        {
            let (cluster, changing) = (Arc::clone(&self.cluster), Arc::clone(&self.changing));
            self.later.spawn(async move {
                let_go(&cluster, member).await;
                drop(changing);
            });
        }
    }
}

/// Takes a new member in, and gives it its vote.
async fn take_in(cluster: &Arc<Cluster>, member: u64) {
    note!(cluster.world, "member {member} is to be taken in");
    cluster.add_host(member);
    cluster.start(member).await;
    if !ask_leader(cluster, async move |leader: Arc<Running>| leader.group.add_learner(member, "new").await).await {
        return;
    }
    note!(cluster.world, "member {member} is a learner");
    for _ in 0..10 {
        sleep(Duration::from_millis(300)).await;
        // It votes only once its quarantine is over, and is missed until then.
        if cluster.is_anybody_wiped() {
            continue;
        }
        if ask_leader(cluster, async move |leader: Arc<Running>| leader.group.promote(member).await).await {
            return note!(cluster.world, "member {member} votes");
        }
    }
}

/// Lets a member go, and stops it once the group says that it has.
async fn let_go(cluster: &Arc<Cluster>, member: u64) {
    let voters = |leader: Arc<Running>| leader.group.members().iter().filter(|member| member.is_voter).count();
    if cluster.leader().map_or(0, voters) <= 3 {
        return;
    }
    note!(cluster.world, "member {member} is to be let go");
    if ask_leader(cluster, async move |leader: Arc<Running>| leader.group.remove(member).await).await {
        cluster.let_go(member);
    }
}

/// Has the leader do something; whether it says that it has.
async fn ask_leader<F>(cluster: &Cluster, act: impl FnOnce(Arc<Running>) -> F) -> bool
where
    F: Future<Output = Result<(), GroupError>> + Send + 'static,
{
    let Some(leader) = cluster.leader() else { return false };
    let asked = leader.life.spawn(act(Arc::clone(&leader)));
    timeout(PATIENCE, asked).await.is_ok_and(|done| done.is_ok_and(|done| done.is_ok()))
}
