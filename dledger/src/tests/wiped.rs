//! Members that lost their files.

use std::path::Path;

use remoting::types::Clock;

use super::three::{Ways, config, seen};
use super::*;

impl Three {
    /// Stops a member and takes its files away.
    pub(super) async fn wipe(&mut self, number: u64) {
        self.stop(number).await;
        self.folders.insert(number, tempfile::tempdir().unwrap());
    }

    pub(super) fn is_quarantined(&self, number: u64) -> bool {
        self.running[&number].group.is_quarantined()
    }

    /// Returns once a member votes again.
    pub(super) async fn until_it_votes(&self, number: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.is_quarantined(number) {
            assert!(Instant::now() < deadline, "{number}: {:?}", self.running[&number].group.figures());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Wipes a member while the others run, and waits until it counts again.
    pub(super) async fn wipe_and_fill(&mut self, number: u64) {
        self.wipe(number).await;
        self.start(number).await;
        self.until_it_votes(number).await;
    }

    /// Returns once a member has all that was agreed on.
    async fn until_it_is_filled_by(&self, number: u64, leader: u64) {
        let agreed = self.running[&leader].group.figures().agreed;
        let deadline = Instant::now() + PATIENCE;
        while self.running[&number].group.figures().entries < agreed {
            assert!(Instant::now() < deadline, "{:?}", self.running[&number].group.figures());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Watches for a while that nobody is elected after `term`, and nothing acknowledged.
    pub(super) async fn nobody_is_elected_after(&self, term: u64) {
        let until = Instant::now() + 8 * self.timing.election_max;
        while Instant::now() < until {
            for number in self.running.keys() {
                assert!(!self.send(*number, "nobody").await, "member {number} got it acknowledged");
            }
            sleep(Duration::from_millis(20)).await;
        }
        for (number, running) in &self.running {
            let figures = running.group.figures();
            assert!(figures.term <= term, "somebody was elected, or asked for it: member {number} {figures:?}");
        }
    }

    /// Wipes a member and stops the leader, so that it is left with one that was cut off: nobody is elected until the leader
    /// is back.
    async fn wipe_and_leave_without_leader(&mut self, wiped: u64, leader: u64) {
        let term = self.running[&leader].group.figures().term;
        self.wipe(wiped).await;
        self.stop(leader).await;
        self.heal();
        self.start(wiped).await;
        self.nobody_is_elected_after(term).await;
        assert!(self.is_quarantined(wiped));
        self.start(leader).await;
        self.until_it_votes(wiped).await;
    }

    pub(super) async fn send_all(&self, number: u64, what: &str, count: usize) -> Vec<String> {
        let mut sent = Vec::new();
        for place in 0..count {
            let body = format!("{what}-{place}-{}", "x".repeat(place * 37 % 2000));
            assert!(self.send(number, &body).await, "{body}");
            sent.push(body);
        }
        sent
    }
}

pub(super) fn others(leader: u64) -> (u64, u64) {
    (leader % 3 + 1, (leader + 1) % 3 + 1)
}

async fn is_filled(flush: FlushMode, wires: Wires) {
    let mut three = Three::found_with(flush, timing(1000), wires).await;
    let leader = three.leader().await;
    let mut sent = three.send_all(leader, "before", 150).await;
    assert!(three.change(leader, "who=leader").await);
    let term = three.running[&leader].group.figures().term;
    for (round, wiped) in [others(leader).0, others(leader).1, others(leader).0].into_iter().enumerate() {
        three.converge().await;
        three.wipe(wiped).await;
        sent.extend(three.send_all(leader, &format!("{round}-without"), 50).await);
        three.start(wiped).await;
        assert!(three.is_quarantined(wiped));
        sent.extend(three.send_all(leader, &format!("{round}-filling"), 50).await);
        three.until_it_votes(wiped).await;
        assert_eq!(three.converge().await.1, sent);
    }
    let figures = three.running[&leader].group.figures();
    assert_eq!((three.leader().await, figures.term), (leader, term), "the leader led on");
    assert_eq!(three.state().await, map([("who", "leader")]));
    // The one that was wiped is as good as any.
    three.stop(others(leader).1).await;
    sent.extend(three.send_all(leader, "two", 10).await);
    three.start(others(leader).1).await;
    assert_eq!(three.converge().await.1, sent);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_files_is_filled_again() {
    is_filled(FlushMode::Async, Wires::Process).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_is_one_that_is_reached_by_tcp_and_waits_for_the_disk() {
    is_filled(FlushMode::Sync, Wires::Tcp(addresses(3).await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_lost_its_files_is_filled_by_the_next_one() {
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    let mut sent = Vec::new();
    for round in 0..3 {
        let leader = three.leader().await;
        sent.extend(three.send_all(leader, &format!("{round}"), 40).await);
        three.wipe_and_fill(leader).await;
        assert_eq!(three.converge().await.1, sent);
    }
    three.end().await;
}

/// Entries are acknowledged by the leader and W, while B is cut off. W loses its files, the leader stops, and W and B are among
/// themselves: they could elect B, which lacks what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_wiped_member_had_acknowledged_is_not_lost() {
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    let leader = three.leader().await;
    let (wiped, behind) = others(leader);
    let mut sent = three.send_all(leader, "all", 20).await;
    three.converge().await;
    three.cut_off(behind);
    sent.extend(three.send_all(leader, "two", 20).await);
    three.wipe_and_leave_without_leader(wiped, leader).await;
    assert_eq!(three.converge().await.1, sent);
    let next = three.leader().await;
    sent.extend(three.send_all(next, "after", 5).await);
    assert_eq!(three.converge().await.1, sent);
    three.end().await;
}

/// The same, but B led before it was cut off, and has not heard that this is over: it may fill W with what is agreed on, and W's
/// acknowledgement must not let it agree on more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_deposed_agrees_on_nothing_with_a_wiped_member() {
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    let deposed = three.leader().await;
    let mut sent = three.send_all(deposed, "all", 20).await;
    three.converge().await;
    three.cut_off(deposed);
    let leader = three.leader().await;
    let wiped = (1..=3).find(|number| ![leader, deposed].contains(number)).unwrap();
    sent.extend(three.send_all(leader, "two", 20).await);
    three.wipe_and_leave_without_leader(wiped, leader).await;
    let (_, seen) = three.converge().await;
    assert!(holds(&seen, &sent), "{seen:?}");
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantine_outlives_a_restart_while_the_member_is_filled() {
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    let leader = three.leader().await;
    let (wiped, behind) = others(leader);
    let mut sent = three.send_all(leader, "all", 20).await;
    three.converge().await;
    three.stop(behind).await;
    sent.extend(three.send_all(leader, "two", 20).await);
    // Whatever the one that is missing knows: the wiped member gets what was agreed on, and waits.
    three.wipe(wiped).await;
    three.start(wiped).await;
    three.until_it_is_filled_by(wiped, leader).await;
    assert!(!three.send(leader, "alone").await, "two know of it, but one of them does not count");
    three.stop(wiped).await;
    three.start(wiped).await;
    assert!(three.is_quarantined(wiped));
    let term = three.running[&leader].group.figures().term;
    three.stop(leader).await;
    three.start(behind).await;
    three.nobody_is_elected_after(term).await;
    three.start(leader).await;
    three.until_it_votes(wiped).await;
    let (_, seen) = three.converge().await;
    assert!(holds(&seen, &sent), "{seen:?}");
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wiped_members_found_no_group_over_one_that_is_away() {
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    let leader = three.leader().await;
    let sent = three.send_all(leader, "all", 20).await;
    three.converge().await;
    let (one, other) = others(leader);
    let term = three.running[&leader].group.figures().term;
    three.stop(leader).await;
    three.wipe(one).await;
    three.wipe(other).await;
    three.start(one).await;
    three.start(other).await;
    three.nobody_is_elected_after(0).await;
    three.start(leader).await;
    three.nobody_is_elected_after(term).await;
    assert_eq!(seen(&three.running[&leader].store), sent, "it waits for somebody to decide what is to become of it");
    assert_eq!((three.running[&one].log.last(), three.running[&other].log.last()), (None, None));
    // Somebody decides.
    for number in 1..=3 {
        three.stop(number).await;
    }
    for number in [one, other] {
        copy(three.folders[&leader].path(), three.folders[&number].path());
        std::fs::remove_file(three.folders[&number].path().join("raft/quarantine")).unwrap();
    }
    for number in 1..=3 {
        three.start(number).await;
    }
    assert_eq!(three.converge().await.1, sent);
    three.end().await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knows_that_nothing_is_missing_may_end_a_quarantine() {
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    let leader = three.leader().await;
    let (wiped, gone) = others(leader);
    let mut sent = three.send_all(leader, "three", 20).await;
    three.converge().await;
    three.stop(gone).await;
    three.wipe(wiped).await;
    three.start(wiped).await;
    three.until_it_is_filled_by(wiped, leader).await;
    three.stop(wiped).await;
    std::fs::remove_file(three.folders[&wiped].path().join("raft/quarantine")).unwrap();
    three.start(wiped).await;
    assert!(!three.is_quarantined(wiped));
    let leader = three.leader().await;
    sent.extend(three.send_all(leader, "two", 20).await);
    assert_eq!(three.converge().await.1, sent);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_that_alone_is_lost_is_told_of() {
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    let leader = three.leader().await;
    assert!(three.send(leader, "one").await);
    three.converge().await;
    three.stop(leader).await;
    let root = three.folders[&leader].path().to_owned();
    std::fs::remove_dir_all(root.join("raft")).unwrap();
    let (store, log, _) = Store::open_raft(config(&root, three.flush), Clock::system()).unwrap();
    let ways = Ways { network: three.network.clone(), from: leader };
    let refused = Group::start_on(leader, &root.join("raft"), log, three.timing, ways, Arc::new(())).await;
    assert!(refused.err().unwrap().to_string().contains("the vote beside it is gone"));
    store.close().unwrap();
    // The log alone is another matter.
    std::fs::remove_dir_all(&root).unwrap();
    three.start(leader).await;
    three.until_it_votes(leader).await;
    let log = three.folders[&leader].path().join("commitlog");
    three.stop(leader).await;
    let raft = std::fs::read_dir(root.join("raft")).unwrap().count();
    assert!(raft >= 2, "vote and members");
    for entry in std::fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "raft") {
            std::fs::remove_dir_all(path).unwrap();
        } else if path.is_file() {
            std::fs::remove_file(path).unwrap();
        }
    }
    assert!(!log.exists());
    three.start(leader).await;
    assert!(three.is_quarantined(leader));
    three.until_it_votes(leader).await;
    assert_eq!(three.converge().await.1, ["one"]);
    three.end().await;
}
