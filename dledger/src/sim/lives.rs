//! Lives of many seeds, each from its founding to its end.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use store::FlushMode;
use store::testing;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::bugs::Bug;
use super::clients::Client;
use super::cluster::Cluster;
use super::faults::Faults;
use super::invariants::{Prefix, QUEUES, check_converged};
use super::runtime;
use super::world::{Digest, World, note};

/// Longest wait for a new group.
const FOUNDING: Duration = Duration::from_secs(30);
/// Longest wait for a group to be one again, once all is well.
const CONVERGENCE: Duration = Duration::from_secs(90);
/// Between two looks at what members show.
const LOOK: Duration = Duration::from_millis(150);
const PRODUCERS: usize = 3;
const CONSUMERS: usize = 2;

/// What came of a life.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    digest: Digest,
    /// Messages.
    acknowledged: usize,
    /// Agreed on.
    entries: usize,
}

/// A life that went wrong.
#[derive(Debug)]
struct Failure {
    wrong: String,
    history: Vec<String>,
}

/// A life of a group, with a bug put in.
fn live(home: &Path, seed: u64, bug: Option<Bug>) -> Result<Outcome, Failure> {
    let mut chance = Rng::with_seed(seed);
    runtime::seed(Some(chance.u64(..)));
    Bug::put_in(bug);
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let tokio = tokio.expect("a runtime");
    let outcome = tokio.block_on(async {
        let world = World::new();
        let outcome = whole_life(home, &world, chance).await;
        match world.verdict() {
            None => Ok(outcome),
            Some((wrong, history)) => Err(Failure { wrong, history }),
        }
    });
    drop(tokio);
    Bug::put_in(None);
    runtime::seed(None);
    outcome
}

async fn whole_life(home: &Path, world: &Arc<World>, mut chance: Rng) -> Outcome {
    let flush = if chance.u8(0..3) > 0 { FlushMode::Sync } else { FlushMode::Async };
    let members = if chance.u8(0..5) == 0 { 5 } else { 3 };
    let cluster = Cluster::new(home, members, flush, world, &mut chance);
    for member in 1..=members {
        cluster.start(member).await;
    }
    if timeout(FOUNDING, founded(&cluster)).await.is_err() {
        world.wrong("the group is not founded".into());
    }
    let looking = tokio::spawn(look_on(Arc::clone(&cluster)));
    let stopping = CancellationToken::new();
    let mut client = |name: String| Client {
        cluster: Arc::clone(&cluster),
        name,
        chance: chance.fork(),
        stopping: stopping.clone(),
        believes: 1,
    };
    let mut last_one = client("last".into());
    let mut producers = JoinSet::new();
    for producer in 0..PRODUCERS {
        producers.spawn(client(format!("p{producer}")).produce());
    }
    let mut consumers = JoinSet::new();
    for consumer in 0..CONSUMERS {
        consumers.spawn(client(format!("c{consumer}")).consume());
    }
    // Long enough for many of them.
    let (trouble, faults) = (Duration::from_millis(chance.u64(4000..14_000)), chance.fork());
    Faults::new(&cluster, faults).run(world.time() + trouble).await;
    cluster.heal().await;
    sleep(Duration::from_millis(chance.u64(0..2000))).await;
    stopping.cancel();
    while producers.join_next().await.is_some() {}
    let mut seen = Vec::new();
    while let Some(consumed) = consumers.join_next().await {
        seen.extend(consumed);
    }
    let converged = if world.is_wrong() { Ok(()) } else { converge(&cluster, &mut last_one).await };
    world.check(converged);
    looking.abort();
    cluster.all_running().iter().for_each(|running| cluster.look(running));
    if !world.is_wrong() {
        last_checks(&cluster, &mut last_one, seen).await;
    }
    cluster.all_running().iter().for_each(|running| running.life.kill());
    let invariants = cluster.invariants.lock();
    let (acknowledged, entries) = (invariants.acknowledged.len(), invariants.ledger.len());
    note!(world, "{entries} entries, {acknowledged} messages acknowledged");
    Outcome { digest: world.digest(), acknowledged, entries }
}

async fn founded(cluster: &Cluster) {
    while !cluster.is_founded() {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Looks at all members from time to time.
async fn look_on(cluster: Arc<Cluster>) {
    loop {
        sleep(LOOK).await;
        cluster.all_running().iter().for_each(|running| cluster.look(running));
    }
}

/// Returns once the group is one, and has taken one more message.
async fn converge(cluster: &Arc<Cluster>, client: &mut Client) -> Result<(), String> {
    let mut number = 0;
    let becoming = async {
        loop {
            if let Some(leader) = cluster.leader() {
                client.believes = leader.life.member;
                number += 1;
                if client.send(0, vec![format!("last-{number}:")]).await {
                    return;
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let is_taken = timeout(CONVERGENCE, becoming).await.is_ok();
    let mut wrong = Err(format!("nobody leads, or the leader takes no message: {:?}", cluster.standings()));
    for _ in 0..CONVERGENCE.as_millis() / 100 {
        if !is_taken || wrong.is_ok() || cluster.world.is_wrong() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
        if let Some((members, standings)) = cluster.standings() {
            wrong = check_converged(&standings);
            if standings.len() != members {
                wrong = Err(format!("of {members} members there are {standings:#?}"));
            }
        }
    }
    wrong
}

/// What is left to check once nothing changes any more.
async fn last_checks(cluster: &Cluster, client: &mut Client, mut seen: Vec<Prefix>) {
    let Some((_, standings)) = cluster.standings() else { return cluster.world.wrong("nobody leads".into()) };
    let all: Vec<_> = standings.iter().filter_map(|standing| cluster.running(standing.member)).collect();
    // Each consumer reads on to the end, from any of them.
    for seen in &mut seen {
        for queue in 0..QUEUES {
            let member = client.chance.choice(&all).map_or(1, |running| running.life.member);
            let end = cluster.invariants.lock().queues.len(queue);
            for _ in 0..=end {
                if seen.len(queue) < end {
                    client.read(member, queue, seen).await;
                }
            }
            if seen.len(queue) != end {
                let wrong = format!("a consumer sees {} messages of queue {queue}, and not {end}", seen.len(queue));
                cluster.world.wrong(wrong);
            }
        }
    }
    let invariants = cluster.invariants.lock();
    cluster.world.check(invariants.acknowledged.check(&invariants.queues));
    seen.iter().for_each(|seen| cluster.world.check(seen.check(&invariants.queues)));
    for running in &all {
        let table = running.state.table();
        cluster.world.check(invariants.offsets.check(running.life.member, &table));
        if table != all[0].state.table() {
            cluster.world.wrong(format!("offsets of member {} are others: {table:?}", running.life.member));
        }
    }
}

/// Where members keep their files: in memory, if there is room.
fn base() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// Lives on all cores; what came of each, or the first that went wrong.
fn run(seeds: Range<u64>, bug: Option<Bug>) -> Result<Vec<Outcome>, (u64, Failure)> {
    let next = AtomicU64::new(seeds.start);
    let (outcomes, failure) = (parking_lot::Mutex::new(Vec::new()), parking_lot::Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failure.lock().is_some() {
                        return;
                    }
                    let home = tempfile::tempdir_in(base()).expect("a folder");
                    match live(home.path(), seed, bug) {
                        Ok(outcome) => outcomes.lock().push(outcome),
                        Err(wrong) => {
                            failure.lock().get_or_insert((seed, wrong));
                        }
                    }
                }
            });
        }
    });
    match failure.into_inner() {
        Some(failure) => Err(failure),
        None => Ok(outcomes.into_inner()),
    }
}

/// `SIM_SEEDS=a..b` asks for others than the usual ones.
fn seeds(usual: Range<u64>) -> Range<u64> {
    let asked = std::env::var("SIM_SEEDS").ok();
    asked.map_or(usual, |asked| {
        let (from, to) = asked.split_once("..").expect("SIM_SEEDS=from..to");
        from.parse().expect("a number")..to.parse().expect("a number")
    })
}

#[test]
fn a_group_loses_nothing_and_becomes_one_again_whatever_happens() {
    let seeds = seeds(0..200);
    match run(seeds.clone(), None) {
        Ok(outcomes) => {
            let acknowledged: usize = outcomes.iter().map(|outcome| outcome.acknowledged).sum();
            let entries: usize = outcomes.iter().map(|outcome| outcome.entries).sum();
            println!("{} lives, {acknowledged} messages acknowledged, {entries} entries", outcomes.len());
            assert!(acknowledged > 20 * outcomes.len(), "a group at work: {acknowledged} in {} lives", outcomes.len());
        }
        Err((seed, Failure { wrong, history })) => {
            let history = history.join("\n");
            panic!(
                "{history}\n\nseed {seed}: {wrong}\nagain: SIM_SEEDS={seed}..{} cargo test --package dledger --lib \
                 sim::lives::a_group -- --nocapture",
                seed + 1
            );
        }
    }
}

#[test]
fn a_seed_lives_the_same_life_each_time() {
    for seed in 0..4 {
        let digests = [(); 2].map(|()| {
            let home = tempfile::tempdir_in(base()).expect("a folder");
            live(home.path(), seed, None).map(|outcome| outcome.digest).expect("a good life")
        });
        assert_eq!(digests[0], digests[1], "seed {seed}");
    }
}

/// A bug has to be found within so many lives.
#[track_caller]
fn is_found(bug: Bug, lives: u64) {
    let found = run(seeds(0..lives), Some(bug)).expect_err("a bug that is not found");
    println!("{bug:?} was found with seed {}: {}", found.0, found.1.wrong);
}

#[test]
fn an_acknowledgement_before_the_disk_is_found() {
    is_found(Bug::AcknowledgesBeforeDisk, 300);
}

#[test]
fn a_wiped_member_that_votes_is_found() {
    is_found(Bug::NoQuarantine, 1000);
}

#[test]
fn showing_more_than_was_agreed_on_is_found() {
    is_found(Bug::ShowsMoreThanAgreed, 300);
}

#[test]
fn a_torn_entry_that_stays_is_found() {
    is_found(Bug::Store(testing::Bug::KeepsTornEntry), 300);
}

#[test]
fn queue_offsets_that_are_not_given_back_are_found() {
    is_found(Bug::Store(testing::Bug::KeepsQueueOffsets), 300);
}

#[test]
fn a_deposed_leader_that_acknowledges_is_found() {
    is_found(Bug::Store(testing::Bug::EndsReignSilently), 1000);
}

#[test]
fn a_start_that_takes_all_for_agreed_on_is_found() {
    is_found(Bug::Store(testing::Bug::TakesAllForAgreed), 300);
}
