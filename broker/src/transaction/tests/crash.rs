//! A `kill -9` at every change of the disk in the life of some transactions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use remoting::connection::Peer;
use remoting::protocol::ResponseCode;
use remoting::types::Timestamp;
use store::Store;
use store::testing::MortalDisk;

use super::fixture::{Asked, COMMIT, Fixture, ROLLBACK, UNKNOWN};

const START: Timestamp = Timestamp(1_000_000);

/// What a producer says of a transaction: when it ends it by itself, and when it is asked.
#[derive(Clone, Copy, Debug)]
struct Plan {
    at_once: Option<i32>,
    /// Its last word, for every further question.
    asked: i32,
    /// So many questions are answered with `UNKNOWN` first.
    shrugs: i32,
}

/// All combinations, two of each.
fn plans() -> BTreeMap<String, Plan> {
    let mut plans = BTreeMap::new();
    for copy in 0..2 {
        for (name, at_once, asked, shrugs) in [
            ("commit", Some(COMMIT), COMMIT, 0),
            ("rollback", Some(ROLLBACK), ROLLBACK, 0),
            ("late-commit", None, COMMIT, 0),
            ("late-rollback", Some(UNKNOWN), ROLLBACK, 0),
            ("later-commit", None, COMMIT, 1),
        ] {
            plans.insert(format!("{copy}-{name}"), Plan { at_once, asked, shrugs });
        }
    }
    plans
}

/// What producers were told.
#[derive(Debug, Default)]
struct Told {
    prepared: BTreeSet<String>,
    committed: BTreeSet<String>,
}

fn answer_all(fixture: &Fixture, producer: &Peer, plans: &BTreeMap<String, Plan>) {
    for asked in fixture.asked(producer) {
        let plan = plans[&asked.text()];
        let shrug = times(&asked) <= plan.shrugs;
        fixture.answer(&asked, if shrug { UNKNOWN } else { plan.asked });
    }
}

fn times(asked: &Asked) -> i32 {
    let times = asked.message().property("TRANSACTION_CHECK_TIMES");
    times.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Two rounds of transactions, with looks, op messages and saved offsets in between.
async fn live(fixture: &Fixture, disk: &MortalDisk, plans: &BTreeMap<String, Plan>, told: &mut Told) {
    fixture.transactions.recover().await.unwrap();
    let producer = fixture.producer(1).await;
    for round in ["0-", "1-"] {
        for (name, plan) in plans.iter().filter(|(name, _)| name.starts_with(round)) {
            let Some(half) = fixture.try_prepare(name, "") else { continue };
            told.prepared.insert(name.clone());
            if let Some(what) = plan.at_once {
                let answers = fixture.end_all(&[Fixture::header(half, what)]);
                if what == COMMIT && answers[0].0 == ResponseCode::SUCCESS {
                    told.committed.insert(name.clone());
                }
            }
        }
        for step in 0..3 {
            fixture.pass(10);
            fixture.transactions.check().await;
            if step == 1 {
                fixture.transactions.write_ops().await;
            }
            answer_all(fixture, &producer, plans);
            if disk.change().is_ok() {
                fixture.offsets.save();
            }
        }
        fixture.transactions.write_ops().await;
        fixture.transactions.commit_offsets();
    }
}

/// Lives on `disk` until it dies, goes on after that, and says whether it died.
async fn life(disk: &MortalDisk) -> bool {
    let (folder, plans) = (tempfile::tempdir().unwrap(), plans());
    let mut told = Told::default();
    let mut now = START;
    if let Ok(fixture) = Fixture::at(folder.path(), now, |config, clock| disk.open(config, clock)) {
        live(&fixture, disk, &plans, &mut told).await;
        now = fixture.ctx.clock.now();
        let died = disk.is_dead();
        disk.kill(fixture.into_store());
        go_on(folder.path(), now, &plans, &told).await;
        return died;
    }
    go_on(folder.path(), now, &plans, &told).await;
    true
}

async fn go_on(folder: &Path, now: Timestamp, plans: &BTreeMap<String, Plan>, told: &Told) {
    let fixture = Fixture::at(folder, now, Store::open).expect("a store that was killed opens");
    fixture.transactions.recover().await.unwrap();
    let producer = fixture.producer(2).await;
    let in_doubt = fixture.in_doubt();
    for _ in 0..4 {
        fixture.pass(10);
        fixture.transactions.check().await;
        answer_all(&fixture, &producer, plans);
    }
    let context = || format!("{told:?}, in doubt at the start {in_doubt:?}, {}", now.0 - START.0);
    assert!(fixture.in_doubt().is_empty(), "all was asked about and answered: {}", context());
    let mut seen = BTreeMap::<String, usize>::new();
    fixture.bodies("T").into_iter().for_each(|name| *seen.entry(name).or_default() += 1);
    for (name, plan) in plans {
        let count = seen.get(name).copied().unwrap_or(0);
        assert!(count <= 1, "{name} was delivered {count} times: {}", context());
        if plan.asked == ROLLBACK {
            assert_eq!(count, 0, "{name} was rolled back: {}", context());
        } else if told.prepared.contains(name) {
            assert_eq!(count, 1, "{name} is lost: {}", context());
        }
    }
    assert!(told.committed.iter().all(|name| seen.contains_key(name)));
    // And nothing comes later.
    fixture.stop().await;
    let fixture = Fixture::at(folder, now.after(std::time::Duration::from_secs(100)), Store::open).unwrap();
    fixture.transactions.recover().await.unwrap();
    assert!(fixture.in_doubt().is_empty());
}

#[tokio::test]
async fn transactions_survive_a_kill_at_every_change_of_the_disk() {
    for new in [MortalDisk::after, MortalDisk::amid] {
        let mut changes = 0;
        while life(&new(changes)).await {
            changes += 1;
        }
        assert!(changes > 20, "{changes} places to die at");
    }
}
