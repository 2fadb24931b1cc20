//! Whole moves of a fake cluster, ended in the middle again and again.

mod fake;
#[path = "../../../../tests/common/ports.rs"]
mod ports;

use std::time::Duration;

use tokio::time::timeout;

use self::fake::Fake;
use super::super::args::{Act, MigrateArgs, Pace, parse};
use super::super::state::{At, State};
use super::super::{act_at, desk::Desk};

fn args(fake: &Fake, line: &str) -> MigrateArgs {
    let mut args = parse(&mut lexopt::Parser::from_args(line.split_whitespace())).unwrap().unwrap();
    args.state = fake.path("migration.json");
    args.hooks = Some(fake.hooks());
    args.yes = true;
    args.pace = Pace {
        route_poll: Duration::from_millis(1),
        quiet: Duration::from_millis(1),
        patience: Duration::from_secs(60),
        samples: 4,
        look: Duration::from_millis(10),
        margin: Duration::from_millis(20),
        registered: Duration::from_millis(50),
        copied: Duration::from_secs(75),
        offsets_copied: Duration::from_millis(50),
    };
    args
}

async fn plan(fake: &Fake, options: &str) -> State {
    let args = args(fake, &format!("plan -n {} {options}", fake.name_servers()));
    assert_eq!(args.act, Act::Plan);
    let desk = Desk::new();
    let text = act_at(&desk, &args).await.unwrap();
    desk.close().await;
    assert!(text.contains("Nothing is in the way."), "{text}");
    State::load(&args.state).unwrap().unwrap()
}

/// Runs a command, which is ended after so long, and again, until it comes to its end. Longer each time, so that it does.
async fn ended_again_and_again(fake: &Fake, line: &str, mut after: Duration) {
    let args = args(fake, line);
    loop {
        let desk = Desk::new();
        let done = timeout(after, act_at(&desk, &args)).await;
        desk.close().await;
        match done {
            Ok(done) => {
                done.unwrap();
                return;
            }
            Err(_) => after += after / 3,
        }
    }
}

/// What runs at each address, by make, role and id.
fn makes(fake: &Fake) -> Vec<String> {
    let up = fake.world.lock().up.clone();
    let mut makes: Vec<_> = up.into_values().map(|(make, role, id)| format!("{make} {role} {id}")).collect();
    makes.sort_unstable();
    makes
}

#[track_caller]
fn sound(fake: &Fake) {
    let world = fake.world.lock();
    assert_eq!(world.wrong, [""; 0]);
    assert_eq!(world.wiped.iter().next(), None, "producers are still away");
    for (address, (make, role, _)) in &world.up {
        assert!(!role.ends_with("MASTER") || world.permission(address, make) == "6", "{address} refuses messages");
    }
}

/// There and back, ended every so often.
async fn there_and_back(sets: &[(&str, usize)], options: &str, after: Duration, there: &[&str]) {
    let fake = Fake::start(sets).await;
    let before = makes(&fake);
    plan(&fake, options).await;
    ended_again_and_again(&fake, "run", after).await;
    assert_eq!(makes(&fake), there);
    sound(&fake);
    let state = State::load(&fake.path("migration.json")).unwrap().unwrap();
    assert!(state.stages.iter().all(|standing| standing.at == At::Done));
    ended_again_and_again(&fake, "rollback", after).await;
    assert_eq!(makes(&fake), before);
    sound(&fake);
    let state = State::load(&fake.path("migration.json")).unwrap().unwrap();
    assert!(state.stages.iter().all(|standing| standing.at == At::ToDo));
}

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(40);

#[tokio::test]
async fn masters_become_ferromq_in_place_and_java_again() {
    let there = ["ferromq - 0", "ferromq ASYNC_MASTER 0", "ferromq ASYNC_MASTER 0"];
    there_and_back(&[("a", 1), ("b", 1)], "", LONG, &there).await;
}

#[tokio::test]
async fn a_pair_changes_roles_and_goes_back() {
    let there = ["ferromq - 0", "ferromq ASYNC_MASTER 0", "ferromq SLAVE 1"];
    there_and_back(&[("a", 2)], "--masters switch", LONG, &there).await;
}

#[tokio::test]
async fn a_slave_that_cannot_read_its_masters_offsets_gets_them_put_forward() {
    let fake = Fake::start(&[("a", 2)]).await;
    fake.world.lock().java_slaves_lack_offsets = true;
    plan(&fake, "--masters switch").await;
    ended_again_and_again(&fake, "run", LONG).await;
    assert_eq!(fake.world.lock().put_forward, 0, "our slave can read them");
    ended_again_and_again(&fake, "rollback", LONG).await;
    assert!(fake.world.lock().put_forward > 0, "the Java slave was given none");
    sound(&fake);
}

#[tokio::test]
async fn a_move_that_is_ended_anywhere_goes_on() {
    let there =
        ["ferromq - 0", "ferromq ASYNC_MASTER 0", "ferromq ASYNC_MASTER 0", "ferromq SLAVE 1", "ferromq SLAVE 1"];
    there_and_back(&[("a", 2), ("b", 2)], "", SHORT, &there).await;
    there_and_back(&[("a", 2), ("b", 2)], "--masters switch", SHORT, &there).await;
}

#[tokio::test]
async fn a_stage_that_was_not_finished_is_taken_back_from_where_it_is() {
    let fake = Fake::start(&[("a", 2)]).await;
    let before = makes(&fake);
    for after in [20, 60, 100, 150, 200, 300, 400, 600] {
        plan(&fake, "--masters switch").await;
        let args = args(&fake, "run");
        let desk = Desk::new();
        // Wherever it is then.
        let _ = timeout(Duration::from_millis(after), act_at(&desk, &args)).await;
        desk.close().await;
        ended_again_and_again(&fake, "rollback", LONG).await;
        assert_eq!(makes(&fake), before, "ended after {after} ms");
        sound(&fake);
        std::fs::remove_file(&args.state).unwrap();
    }
}

#[tokio::test]
async fn a_run_ends_where_it_was_told_to() {
    let fake = Fake::start(&[("a", 1)]).await;
    assert_eq!(plan(&fake, "").await.stages.len(), 2);
    ended_again_and_again(&fake, "run --until 1", LONG).await;
    assert_eq!(makes(&fake), ["ferromq - 0", "java ASYNC_MASTER 0"]);
    let desk = Desk::new();
    let err = act_at(&desk, &args(&fake, "run --until 3")).await.unwrap_err();
    assert_eq!(err.to_string(), "there is no stage 3; there are 2");
    let err = act_at(&desk, &args(&fake, "rollback --to 3")).await.unwrap_err();
    assert_eq!(err.to_string(), "there is no stage 3; there are 2");
}
