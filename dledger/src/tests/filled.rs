//! Logs whose beginning is gone, and members that are filled as they lack it.

use std::io;
use std::os::unix::fs::MetadataExt;

use remoting::types::{Clock, PhysicalOffset, TopicName};
use store::Retention;

use super::three::{Running, config};
use super::*;

const QUIET: &str = "quiet";

impl Three {
    async fn found_by_tcp() -> Self {
        Self::found_with(FlushMode::Async, timing(1000), Wires::Tcp(addresses(3).await)).await
    }

    /// Has a member lack so much that it is filled, with `more` files and what was sent before, at two files a second; returns once
    /// it `has` got so many of them.
    async fn begin_slow_fill(&mut self, leader: u64, behind: u64, more: usize, has: u64) {
        self.send_files(leader, "all", 1).await;
        self.converge().await;
        self.stop(behind).await;
        self.send_files(leader, "two", 2).await;
        self.shorten_all().await;
        self.send_files(leader, "more", more).await;
        self.set_rate(2 * FILE_BYTES);
        self.start(behind).await;
        self.until_it_has_got(behind, has * FILE_BYTES).await;
    }

    /// Has retention take all but the last files of a member's log, and waits until it has.
    async fn shorten(&self, number: u64) {
        let Running { store, log, group, .. } = &self.running[&number];
        let last = store.max_physical_offset().0 / FILE_BYTES as i64;
        store.set_retention(Retention {
            reserved_time: Duration::ZERO,
            interval: Duration::from_millis(20),
            log_file_pause: Duration::ZERO,
            files_per_pass_max: 100,
            ..Retention::default()
        });
        let deadline = Instant::now() + PATIENCE;
        while store.min_physical_offset().0 / (FILE_BYTES as i64) < last {
            store.delete_expired_files();
            let now = (store.min_physical_offset(), *log.expendable().borrow(), group.figures());
            assert!(Instant::now() < deadline, "member {number}, whose last file is {last}: {now:?}");
            sleep(Duration::from_millis(20)).await;
        }
        store.set_retention(Retention::default());
        assert!(log.first_index() > Some(0));
    }

    async fn shorten_all(&self) {
        for number in self.running.keys() {
            self.shorten(*number).await;
        }
    }

    /// Sends so much that several files are filled.
    async fn send_files(&self, number: u64, what: &str, files: usize) -> Vec<String> {
        let mut sent = Vec::new();
        for place in 0..files * 20 {
            let body = format!("{what}-{place}-{}", "x".repeat(FILE_BYTES as usize / 16));
            assert!(self.send(number, &body).await, "{what}-{place}");
            sent.push(body);
        }
        sent
    }

    /// Sends to a topic that hardly anybody sends to; the offset it got.
    async fn send_quietly(&self, number: u64) -> i64 {
        let store = &self.running[&number].store;
        let mut batch = store.batch();
        batch.push(&Message::new(&TopicName::new(QUIET), QueueId(3), b"quiet", host())).unwrap();
        let (appended, confirmation) = store.append_and_confirm(&mut batch).await.unwrap();
        assert_eq!(confirmation, Confirmation::Confirmed);
        appended.positions[0].queue_offset.0
    }

    /// Returns once a member has been filled, and has started again as its process does.
    async fn until_it_is_filled(&mut self, number: u64) {
        let group = &self.running[&number].group;
        if tokio::time::timeout(PATIENCE, group.filled()).await.is_err() {
            let of_leader: Vec<_> = self.running.values().map(|running| running.group.members()).collect();
            panic!("member {number} is not filled: {:?}, {of_leader:?}", group.figures());
        }
        self.stop(number).await;
        self.start(number).await;
    }

    /// Returns once so many bytes of a member have come.
    async fn until_it_has_got(&self, number: u64, bytes: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.running[&number].group.filled_by().is_none_or(|(_, progress)| progress.done < bytes) {
            assert!(Instant::now() < deadline, "{:?}", self.running[&number].group.filled_by());
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn set_rate(&self, rate: u64) {
        self.running.values().for_each(|running| running.group.set_fill_rate(rate));
    }

    /// Inodes of the files that have been gathered for a member, by their place in the log; the last may be incomplete.
    fn gathered(&self, number: u64) -> BTreeMap<String, u64> {
        let entry = |entry: io::Result<std::fs::DirEntry>| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().ino())
        };
        let folder = self.folders[&number].path().join("commitlog/fill");
        std::fs::read_dir(folder).map(|entries| entries.map(entry).collect()).unwrap_or_default()
    }

    fn inode(&self, number: u64, name: &str) -> Option<u64> {
        let path = self.folders[&number].path().join("commitlog").join(name);
        std::fs::metadata(path).ok().map(|found| found.ino())
    }
}

/// The member behind `leader`, and the one behind that.
fn others(leader: u64) -> (u64, u64) {
    (leader % 3 + 1, (leader + 1) % 3 + 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_log_goes_and_a_member_that_was_away_meanwhile_is_filled() {
    let mut three = Three::found_by_tcp().await;
    let leader = three.leader().await;
    let (behind, _) = others(leader);
    assert_eq!(three.send_quietly(leader).await, 0);
    assert!(three.change(leader, "early=1").await);
    three.send_files(leader, "all", 2).await;
    three.converge().await;
    // Its quarantine as a founder ends a little later on a busy machine, and would go on after the stop.
    three.until_it_votes(behind).await;
    three.stop(behind).await;
    three.send_files(leader, "two", 4).await;
    assert!(three.change(leader, "late=2").await);
    three.send_files(leader, "more", 2).await;
    three.shorten_all().await;
    // Where it was is gone.
    three.start(behind).await;
    three.until_it_is_filled(behind).await;
    assert!(!three.running[&behind].group.is_quarantined());
    let (log, seen) = three.converge().await;
    assert!(!seen.is_empty() && !log.is_empty());
    assert_eq!(three.state().await, map([("early", "1"), ("late", "2")]));
    assert_eq!(three.gathered(behind), BTreeMap::new());
    // All go on at the same offsets, and the one that was filled is as good a leader as any.
    assert_eq!(three.send_quietly(leader).await, 1);
    three.converge().await;
    let of_leader = &three.running[&leader].group;
    of_leader.transfer(behind).await.unwrap();
    while three.leader().await != behind {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(three.send_quietly(behind).await, 2);
    assert!(three.change(behind, "last=3").await);
    three.send_files(behind, "again", 3).await;
    three.converge().await;
    // Also after another start, and when old log goes again.
    three.shorten_all().await;
    for number in 1..=3 {
        three.stop(number).await;
    }
    for number in 1..=3 {
        three.start(number).await;
    }
    let next = three.leader().await;
    assert_eq!(three.send_quietly(next).await, 3);
    three.converge().await;
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_has_nothing_is_filled_and_votes_once_it_may() {
    let mut three = Three::found_by_tcp().await;
    let leader = three.leader().await;
    let (wiped, _) = others(leader);
    three.send_files(leader, "all", 5).await;
    assert!(three.change(leader, "a=b").await);
    three.shorten_all().await;
    three.wipe(wiped).await;
    three.send_files(leader, "without", 1).await;
    three.start(wiped).await;
    assert!(three.running[&wiped].group.is_quarantined());
    three.until_it_is_filled(wiped).await;
    three.until_it_votes(wiped).await;
    three.converge().await;
    assert_eq!(three.state().await, map([("a", "b")]));
    // So is one that is new.
    let Wires::Tcp(addresses) = &mut three.wires else { unreachable!("it was founded so") };
    let fourth = super::addresses(1).await[&1];
    addresses.insert(4, fourth);
    three.folders.insert(4, tempfile::tempdir().unwrap());
    three.start(4).await;
    three.running[&leader].group.add_learner(4, &fourth.to_string()).await.unwrap();
    three.until_it_is_filled(4).await;
    three.converge().await;
    three.until_it_votes(4).await;
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = three.running[&leader].group.promote(4).await {
        assert!(
            matches!(error, GroupError::Behind { .. } | GroupError::Quarantined { .. }) && Instant::now() < deadline,
            "{error}"
        );
        sleep(Duration::from_millis(10)).await;
    }
    three.send_files(leader, "four", 1).await;
    three.converge().await;
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_that_broke_off_goes_on_where_it_was() {
    let mut three = Three::found_by_tcp().await;
    let leader = three.leader().await;
    let (behind, _) = others(leader);
    three.begin_slow_fill(leader, behind, 10, 4).await;
    let shown = three.running[&leader].group.members();
    let shown = shown.iter().find(|member| member.number == behind).unwrap();
    assert!(shown.fill.is_some_and(|fill| fill.done > 0 && fill.total > 8 * FILE_BYTES), "{shown:?}");
    three.stop(behind).await;
    let gathered = three.gathered(behind);
    assert!(gathered.len() >= 3, "{gathered:?}");
    // One of them is not what was sent.
    let mut names = gathered.keys();
    let (damaged, whole) = (names.next().unwrap().clone(), names.next().unwrap().clone());
    let path = three.folders[&behind].path().join("commitlog/fill").join(&damaged);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    three.set_rate(0);
    three.start(behind).await;
    three.until_it_is_filled(behind).await;
    three.converge().await;
    assert_eq!(three.inode(behind, &whole), Some(gathered[&whole]), "it was not sent again as another file");
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_leader_goes_on_with_a_fill() {
    let mut three = Three::found_by_tcp().await;
    let leader = three.leader().await;
    let (behind, next) = others(leader);
    three.begin_slow_fill(leader, behind, 10, 3).await;
    let first = three.running[&next].log.first_index();
    three.stop(leader).await;
    assert!(first > Some(0), "the next one cannot send entries from the beginning either");
    three.set_rate(0);
    assert!(three.gathered(behind).len() >= 2);
    // Its reign begins once the other acknowledges its first entry, which it can do once it is filled.
    three.until_it_is_filled(behind).await;
    assert_eq!(three.leader().await, next);
    three.send_files(next, "two again", 1).await;
    three.start(leader).await;
    three.converge().await;
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_be_sent_stays_until_it_has_come() {
    let mut three = Three::found_by_tcp().await;
    let leader = three.leader().await;
    let (behind, _) = others(leader);
    three.begin_slow_fill(leader, behind, 8, 2).await;
    // What was sent may go meanwhile, and nothing else does.
    let store = Arc::clone(&three.running[&leader].store);
    let before = store.min_physical_offset();
    store.set_retention(Retention {
        reserved_time: Duration::ZERO,
        interval: Duration::from_millis(20),
        log_file_pause: Duration::ZERO,
        files_per_pass_max: 100,
        ..Retention::default()
    });
    let deadline = Instant::now() + PATIENCE;
    while store.min_physical_offset() == before {
        store.delete_expired_files();
        assert!(Instant::now() < deadline, "nothing goes");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(store.min_physical_offset().0 < store.max_physical_offset().0 - 4 * FILE_BYTES as i64);
    three.set_rate(0);
    three.until_it_is_filled(behind).await;
    three.converge().await;
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_a_group_gets_the_messages_from_before_it() {
    let addresses = addresses(6).await;
    let mut three = Three::new(FlushMode::Async, timing(1000), Wires::Tcp(addresses.clone()));
    three.folders = (4..=6).map(|number| (number, tempfile::tempdir().unwrap())).collect();
    let mut sent: Vec<String> = (0..200).map(|number| format!("old-{number}-{}", "x".repeat(1000))).collect();
    let (store, _) = Store::open(config(three.folders[&4].path(), FlushMode::Async), Clock::system()).unwrap();
    for body in &sent {
        let mut batch = store.batch();
        batch.push(&Message::new(&topic(), QueueId(0), body.as_bytes(), host())).unwrap();
        store.append(&mut batch).unwrap();
    }
    store.close().unwrap();
    drop(store);

    three.start(4).await;
    let member = Member { address: addresses[&4].to_string() };
    three.running[&4].group.found(BTreeMap::from([(4, member)])).await.unwrap();
    assert_eq!(three.leader().await, 4);
    for number in [5, 6] {
        sent.extend(three.send_files(4, &format!("new-{number}"), 1).await);
        three.start(number).await;
        three.running[&4].group.add_learner(number, &addresses[&number].to_string()).await.unwrap();
        three.until_it_is_filled(number).await;
        three.until_it_votes(number).await;
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = three.running[&4].group.promote(number).await {
            assert!(matches!(error, GroupError::Behind { .. }) && Instant::now() < deadline, "{error}");
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(three.converge().await.1, sent);
    }
    // What is noted outlives a restart, and nothing goes for it.
    three.stop(4).await;
    three.start(4).await;
    let leader = three.leader().await;
    sent.extend(three.send_files(leader, "on", 1).await);
    assert_eq!(three.converge().await.1, sent);
    for running in three.running.values() {
        assert_eq!((running.store.min_physical_offset(), running.log.first_index()), (PhysicalOffset(0), Some(0)));
    }
    three.end().await;
}
