mod filled;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc;

use parking_lot::Mutex;
use remoting::types::{Clock, Host, QueueOffset, Timestamp};
use tempfile::TempDir;

use super::*;
use crate::config::StoreConfig;
use crate::message::Message;
use crate::read::{Everything, ReadRequest};
use crate::store::Store;
use crate::testing::{ByHand, Lie, LossyDisk, MortalDisk};

const TOPICS: [&str; 2] = ["T", "U"];
const FILE_BYTES: u64 = 4096;

fn config(root: &Path) -> StoreConfig {
    let mut config = StoreConfig::new(root);
    config.commit_log_file_bytes = FILE_BYTES;
    config.consume_queue_file_bytes = 200;
    config.consume_queue_flush_interval = std::time::Duration::ZERO;
    (config.index.slots, config.index.entries) = (10, 20);
    config
}

/// A member of a group, and what it was told of its entries.
struct Member {
    folder: TempDir,
    store: Arc<Store>,
    log: RaftLog,
    told: Arc<Mutex<Vec<EntryId>>>,
}

impl Member {
    fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap())
    }

    fn open(folder: TempDir) -> Self {
        let (store, log, _) = Store::open_raft(config(folder.path()), Clock::fixed(Timestamp(1000))).unwrap();
        Self { folder, store, log, told: Arc::default() }
    }

    fn reopen(self) -> Self {
        Self::open(self.close())
    }

    fn close(self) -> TempDir {
        let Self { folder, store, log, .. } = self;
        store.close().unwrap();
        drop((store, log));
        folder
    }

    /// Takes the lead with a blank entry.
    fn lead(&self, term: u64, node: u32) {
        let id = EntryId { index: self.log.last().map_or(0, |last| last.index + 1), term, node };
        self.log.append_alone(id, EntryKind::Blank, &[]).unwrap();
        let told = Arc::clone(&self.told);
        self.log.lead(id, term, node, move |entry| told.lock().push(entry)).unwrap();
    }

    /// Appends messages of so many bytes, in turn to all queues.
    fn send(&self, lens: &[usize]) -> Result<PhysicalOffset, AppendError> {
        let mut batch = self.store.batch();
        for (number, len) in lens.iter().enumerate() {
            let (topic, body) = (TopicName::new(TOPICS[number % 2]), vec![b'x'; *len]);
            let host = Host { ip: [127, 0, 0, 1].into(), port: 1 };
            batch.push(&Message::new(&topic, QueueId(0), &body, host)).unwrap();
        }
        Ok(self.store.append(&mut batch)?.end)
    }

    fn last_index(&self) -> u64 {
        self.log.last().unwrap().index
    }

    /// Takes from another what it has more, up to entry `to`.
    fn copy(&self, from: &Self, to: u64) {
        let next = self.log.last().map_or(0, |last| last.index + 1);
        for entry in from.log.read(next, to + 1, usize::MAX) {
            self.log.append_entries(&[Entry::parse(entry.bytes).unwrap()]).unwrap();
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let (min, end) = (self.store.min_physical_offset().0 as u64, self.store.max_physical_offset().0 as u64);
        let mut bytes = Vec::new();
        for start in (min..end).step_by(FILE_BYTES as usize) {
            bytes.extend(std::fs::read(self.folder.path().join(format!("commitlog/{start:020}"))).unwrap());
        }
        bytes.truncate((end - min) as usize);
        bytes
    }

    /// The bodies' lengths that readers see.
    fn seen(&self) -> BTreeMap<&'static str, Vec<usize>> {
        TOPICS.into_iter().map(|topic| (topic, seen(&self.store, topic))).collect()
    }
}

fn seen(store: &Store, topic: &str) -> Vec<usize> {
    let topic = TopicName::new(topic);
    let min = store.min_offset(&topic, QueueId(0)).map_or(0, |min| min.0);
    let mut lens = Vec::new();
    loop {
        let offset = QueueOffset(min + lens.len() as i64);
        let request = ReadRequest { topic: &topic, queue_id: QueueId(0), offset, max_messages: 32, max_bytes: 1 << 20 };
        let outcome = store.read(&request, &Everything);
        if outcome.count == 0 {
            return lens;
        }
        for chunk in outcome.messages {
            let mut rest = &chunk[..];
            while let Ok(message) = StoredMessage::parse(rest) {
                assert_eq!(message.queue_offset.0, min + lens.len() as i64, "without gaps");
                lens.push(message.body.len());
                rest = &rest[message.size..];
            }
        }
    }
}

#[test]
fn members_have_the_same_bytes_at_the_same_places_and_show_what_is_agreed_on() {
    let (leader, follower) = (Member::new(), Member::new());
    leader.lead(1, 1);
    for round in 0..30 {
        leader.send(&[100 + round, 200, 300]).unwrap();
        leader.send(&[10]).unwrap();
    }
    assert!(leader.store.max_physical_offset().0 > 3 * FILE_BYTES as i64, "several files");
    let last = leader.last_index();
    assert_eq!(leader.told.lock().iter().map(|id| id.index).collect::<Vec<_>>(), (1..=last).collect::<Vec<_>>());
    follower.copy(&leader, last);
    assert_eq!(leader.bytes(), follower.bytes());
    assert_eq!(follower.log.last(), leader.log.last());
    assert_eq!(follower.seen()["T"], [0; 0], "not agreed on yet");
    leader.log.confirm(last);
    follower.log.confirm(20);
    assert_eq!(leader.seen()["T"].len(), 90);
    let seen = follower.seen();
    assert!(!seen["T"].is_empty() && leader.seen()["T"].starts_with(&seen["T"]) && seen["T"].len() < 90);
    follower.log.confirm(last);
    assert_eq!(leader.seen(), follower.seen());
}

#[test]
fn only_the_leader_takes_messages_and_who_waits_hears_of_its_end() {
    let member = Member::new();
    assert!(matches!(member.send(&[1]), Err(AppendError::NotLeader)));
    member.lead(1, 1);
    let end = member.send(&[1]).unwrap();
    let (sender, answers) = mpsc::channel();
    let sender_two = sender.clone();
    member.store.when_confirmed(end, Box::new(move |what| sender.send(what).unwrap()));
    assert!(answers.try_recv().is_err(), "written is not agreed on");
    member.log.confirm(1);
    assert_eq!(answers.recv(), Ok(Confirmation::Confirmed));
    let end = member.send(&[1]).unwrap();
    member.store.when_confirmed(end, Box::new(move |what| sender_two.send(what).unwrap()));
    member.log.follow();
    assert_eq!(answers.recv(), Ok(Confirmation::Failed));
    assert!(matches!(member.send(&[1]), Err(AppendError::NotLeader)));
    // What the group adds itself ends a reign, too.
    member.lead(2, 1);
    member.send(&[1]).unwrap();
    let id = EntryId { index: member.last_index() + 1, term: 3, node: 1 };
    member.log.append_alone(id, EntryKind::Blank, &[]).unwrap();
    assert!(!member.log.leads() && matches!(member.send(&[1]), Err(AppendError::NotLeader)));
    let last = member.log.last().unwrap();
    let other = EntryId { index: last.index - 1, ..last };
    assert_eq!(member.log.lead(other, 2, 1, |_| ()), Err(Some(last)), "the log went on since");
}

#[test]
fn changes_of_state_are_entries_among_the_messages() {
    let (leader, follower) = (Member::new(), Member::new());
    assert!(matches!(leader.log.append_state(b"early"), Err(AppendError::NotLeader)));
    leader.lead(1, 1);
    let change = |number: usize| vec![number as u8; 100 * number];
    for number in 0..12 {
        leader.send(&[300, 40]).unwrap();
        let end = leader.log.append_state(&change(number)).unwrap();
        assert_eq!(end, leader.store.max_physical_offset());
    }
    assert!(leader.store.max_physical_offset().0 > 2 * FILE_BYTES as i64, "several files");
    assert_eq!(leader.told.lock().iter().map(|id| id.index).collect::<Vec<_>>(), (1..=24).collect::<Vec<_>>());
    let entries = leader.log.read(0, 100, usize::MAX);
    let changes = entries.iter().filter(|entry| entry.kind == EntryKind::State).map(|entry| entry.data().to_vec());
    assert_eq!(changes.collect::<Vec<_>>(), (0..12).map(change).collect::<Vec<_>>());
    let large = leader.log.append_state(&[0; FILE_BYTES as usize]);
    assert!(matches!(large, Err(AppendError::TooLargeForFile { .. })), "{large:?}");
    assert_eq!(leader.last_index(), 24);
    let (sender, answers) = mpsc::channel();
    leader.log.when_agreed(leader.log.end(), Box::new(move |what| sender.send(what).unwrap()));
    leader.log.confirm(23);
    assert!(answers.try_recv().is_err());
    leader.log.confirm(24);
    assert_eq!(answers.recv(), Ok(Confirmation::Confirmed));
    follower.copy(&leader, 24);
    follower.log.confirm(24);
    assert_eq!((follower.bytes(), follower.seen()), (leader.bytes(), leader.seen()));
    let (log, bytes) = (leader.log.last(), leader.bytes());
    let leader = leader.reopen();
    assert_eq!((leader.log.last(), leader.bytes(), leader.seen()["T"].len()), (log, bytes, 12));
}

#[test]
fn what_was_not_agreed_on_is_taken_back() {
    let (old, new) = (Member::new(), Member::new());
    old.lead(1, 1);
    old.send(&[100, 100]).unwrap();
    let agreed = old.last_index();
    new.copy(&old, agreed);
    // The old leader goes on alone, over several files.
    for _ in 0..20 {
        old.send(&[500, 600, 700]).unwrap();
    }
    new.lead(2, 2);
    new.send(&[7, 8, 9]).unwrap();
    old.log.confirm(agreed);
    assert!(old.log.append_entries(&new.log.read(agreed + 1, 100, usize::MAX)).is_err(), "another entry is there");
    old.log.truncate(agreed + 1).unwrap();
    assert!(matches!(old.send(&[1]), Err(AppendError::NotLeader)), "the reign is over");
    old.copy(&new, new.last_index());
    assert_eq!(old.bytes(), new.bytes());
    assert_eq!(std::fs::read_dir(old.folder.path().join("commitlog")).unwrap().count(), 1, "later files are gone");
    for member in [&old, &new] {
        member.log.confirm(new.last_index());
        assert_eq!(member.seen(), BTreeMap::from([("T", vec![100, 7, 9]), ("U", vec![100, 8])]));
    }
    let error = old.log.truncate(agreed).unwrap_err().to_string();
    assert_eq!(error, format!("entry {agreed} was confirmed: it cannot be taken back"));
}

#[test]
fn who_asks_late_is_not_told_that_another_entry_is_theirs() {
    let (old, new) = (Member::new(), Member::new());
    let answer = |member: &Member, end| {
        let (sender, answers) = mpsc::channel();
        member.store.when_confirmed(end, Box::new(move |what| _ = sender.send(what)));
        answers.try_recv().ok()
    };
    old.lead(1, 1);
    new.copy(&old, 0);
    let end = old.send(&[100]).unwrap();
    let agreed = old.send(&[7]).unwrap();
    new.copy(&old, 1);
    // Another leader writes as much at the same place.
    new.lead(2, 2);
    let other = new.send(&[200]).unwrap();
    old.log.truncate(2).unwrap();
    assert_eq!(answer(&old, agreed), Some(Confirmation::Failed), "it was taken back");
    old.copy(&new, new.last_index());
    old.log.confirm(new.last_index());
    assert!(old.store.confirmed() >= other && other > agreed);
    assert_eq!(answer(&old, agreed), Some(Confirmation::Failed), "others lie there now");
    assert_eq!(answer(&old, end), Some(Confirmation::Failed), "it was not settled when the reign ended");
    // The same end in a reign of its own is another batch.
    old.lead(3, 1);
    let end = old.send(&[50]).unwrap();
    // With the blank entry before it.
    old.log.truncate(old.last_index() - 1).unwrap();
    old.lead(4, 1);
    assert_eq!(old.send(&[50]).unwrap(), end, "as long as the one before");
    assert_eq!(answer(&old, end), None);
    old.log.confirm(old.last_index());
    assert_eq!(answer(&old, end), Some(Confirmation::Confirmed));
}

#[test]
fn entries_that_do_not_continue_the_log_are_refused() {
    let (leader, follower) = (Member::new(), Member::new());
    leader.lead(3, 1);
    leader.send(&[100]).unwrap();
    leader.send(&[100]).unwrap();
    let entries = leader.log.read(0, 10, usize::MAX);
    let check = |entries: &[Entry], words: &str| {
        let refused = follower.log.append_entries(entries).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
        assert_eq!(follower.store.max_physical_offset(), PhysicalOffset(0));
    };
    check(&entries[1..2], "cannot follow None");
    check(&[entries[0].clone(), entries[2].clone()], "cannot follow Some");
    let mut wrong = entries[1].bytes.to_vec();
    *wrong.last_mut().unwrap() ^= 1;
    check(&[entries[0].clone(), Entry { bytes: wrong.into(), ..entries[1].clone() }], "checksum");
    let short = entries[1].bytes.slice(..entries[1].bytes.len() - 1);
    check(&[entries[0].clone(), Entry { bytes: short, ..entries[1].clone() }], "another length");
    assert!(Entry::parse(Bytes::from_static(b"nothing")).is_err());
    follower.log.append_entries(&entries).unwrap();
    assert_eq!(follower.log.read(0, 2, 1).len(), 1, "at least one");
    assert_eq!(follower.log.read(0, 3, usize::MAX).len(), 3);
}

#[test]
fn a_restart_knows_what_was_agreed_on_and_keeps_the_rest_for_the_group() {
    let member = Member::new();
    member.lead(1, 1);
    for round in 0..20 {
        member.send(&[300, 300 + round]).unwrap();
    }
    member.log.confirm(10);
    let (seen, last, bytes) = (member.seen(), member.log.last(), member.bytes());
    let member = member.reopen();
    assert_eq!((member.seen(), member.log.last(), member.bytes()), (seen, last, bytes));
    assert_eq!(member.log.committed_at_open().map(|id| id.index), Some(10));
    assert_eq!(member.log.first_index(), Some(0));
    assert_eq!(
        (0..=20).map(|index| member.log.id_of(index).unwrap().index).collect::<Vec<_>>(),
        (0..=20).collect::<Vec<_>>()
    );
    assert!(member.log.id_of(21).is_none());
    // One goes on where the other stopped.
    member.lead(2, 1);
    member.send(&[1, 2]).unwrap();
    member.log.confirm(member.last_index());
    assert_eq!(member.seen()["T"], [vec![300; 20], vec![1]].concat());
}

#[test]
fn an_ordinary_broker_opens_it_but_not_the_other_way_round() {
    let member = Member::new();
    member.lead(1, 1);
    member.send(&[1, 2, 3]).unwrap();
    member.log.confirm(1);
    let Member { folder, store, log, .. } = member;
    drop((store, log));
    let (store, _) = Store::open(config(folder.path()), Clock::fixed(Timestamp(1000))).unwrap();
    assert_eq!(seen(&store, "T"), [1, 3]);
    assert!(store.queues("rmq_sys_raft").is_empty(), "nobody sees the control records");
    let mut batch = store.batch();
    let (topic, host) = (TopicName::new("T"), Host { ip: [127, 0, 0, 1].into(), port: 1 });
    batch.push(&Message::new(&topic, QueueId(0), b"abcd", host)).unwrap();
    assert_eq!(store.append(&mut batch).unwrap().positions[0].queue_offset, QueueOffset(2));
    drop(store);
    let refused = Store::open_raft(config(folder.path()), Clock::fixed(Timestamp(1000))).unwrap_err().to_string();
    assert!(refused.contains("records follow that are in no entry"), "{refused}");
}

/// A broker of its own appends messages of so many bytes to queue 0 of T.
fn send_alone(store: &Store, lens: impl IntoIterator<Item = usize>) {
    let (topic, host) = (TopicName::new("T"), Host { ip: [127, 0, 0, 1].into(), port: 1 });
    for len in lens {
        let mut batch = store.batch();
        batch.push(&Message::new(&topic, QueueId(0), &vec![b'x'; len], host)).unwrap();
        store.append(&mut batch).unwrap();
    }
}

#[test]
fn the_store_of_a_broker_becomes_a_log_in_place_and_goes_back_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let clock = || Clock::fixed(Timestamp(1000));
    let anew = |folder: TempDir| {
        let (store, log, report) = Store::open_raft_anew(config(folder.path()), clock()).unwrap();
        let end = report.end;
        assert_eq!(
            (log.last(), log.begin(), store.confirmed(), store.max_physical_offset()),
            (None, Some(end), end, end)
        );
        assert_eq!(end.0 % FILE_BYTES as i64, 0, "entries begin with a file");
        Member { folder, store, log, told: Arc::default() }
    };
    let (store, _) = Store::open(config(folder.path()), clock()).unwrap();
    send_alone(&store, 100..140);
    drop(store);
    let mut expected: Vec<usize> = (100..140).collect();
    // Nothing comes of a group that is not made.
    let Member { mut folder, store, log, .. } = anew(folder);
    assert_eq!(seen(&store, "T"), expected);
    drop((store, log));
    for term in 1..3 {
        let member = anew(folder);
        let begin = member.log.begin().unwrap();
        assert_eq!(seen(&member.store, "T"), expected);
        member.lead(term, 1);
        assert_eq!((member.log.begin(), member.last_index()), (Some(begin), 0));
        for len in 0..40 {
            member.send(&[200 + len]).unwrap();
            expected.push(200 + len);
        }
        member.log.confirm(40);
        assert_eq!(seen(&member.store, "T"), expected);
        // The walk of the next opening begins behind its first entries.
        let member = member.reopen();
        assert_eq!((member.log.first_index(), member.log.begin(), member.last_index()), (Some(0), Some(begin), 40));
        assert!((0..=40).all(|index| member.log.id_of(index).unwrap().index == index));
        assert_eq!(member.log.read(0, 41, usize::MAX).len(), 41);
        let Member { folder: same, store, log, .. } = member;
        drop((store, log));
        let (store, _) = Store::open(config(same.path()), clock()).unwrap();
        assert_eq!(seen(&store, "T"), expected);
        send_alone(&store, 300..330);
        expected.extend(300..330);
        drop(store);
        let refused = Store::open_raft(config(same.path()), clock()).unwrap_err().to_string();
        assert!(refused.contains("remove the folder raft in it"), "{refused}");
        folder = same;
    }
    let member = anew(folder);
    assert_eq!(seen(&member.store, "T"), expected);
}

#[test]
fn a_broker_that_was_killed_becomes_a_member_with_all_that_its_log_has() {
    for changes in (0..400).step_by(7) {
        let folder = tempfile::tempdir().unwrap();
        let clock = || Clock::fixed(Timestamp(1000));
        let (store, _) = Store::open(config(folder.path()), clock()).unwrap();
        send_alone(&store, 100..140);
        std::fs::write(folder.path().join("abort"), "1").unwrap();
        // As it was left by a process that had no time to close it.
        let copy = tempfile::tempdir().unwrap();
        copy_all(folder.path(), copy.path());
        std::fs::remove_dir_all(copy.path().join("consumequeue")).unwrap();
        // It may also be killed while it becomes one.
        let disk = MortalDisk::after(changes);
        if let Ok((store, log, _)) = disk.open_raft(config(copy.path()), clock()) {
            drop(log);
            disk.kill(store);
        }
        let (store, log, _) = Store::open_raft_anew(config(copy.path()), clock()).unwrap();
        assert_eq!(seen(&store, "T"), (100..140).collect::<Vec<_>>(), "after {changes} changes");
        assert_eq!(log.begin().unwrap().0 % FILE_BYTES as i64, 0);
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy_all(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn who_lacks_what_is_from_before_the_group_takes_none_of_its_entries() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(config(folder.path()), Clock::fixed(Timestamp(1000))).unwrap();
    send_alone(&store, [100, 200]);
    drop(store);
    let leader = Member::open(folder);
    leader.lead(1, 1);
    let empty = Member::new();
    let refused = empty.log.append_entries(&leader.log.read(0, 1, usize::MAX)).unwrap_err();
    assert!(matches!(refused, StampedError::Older { at: 4096, end: 0 }), "{refused}");
    assert_eq!(empty.store.max_physical_offset(), PhysicalOffset(0));
}

/// A life of a member on a disk that dies: leads, sends, is corrected by another. Whether it died.
fn life(disk: &MortalDisk) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(Timestamp(1000));
    // Everything that was ever written, entry by entry: what is found must be a beginning of one of them.
    let mut written: Vec<Vec<EntryId>> = vec![Vec::new()];
    let (mut confirmed, mut died) = (0, true);
    if let Ok((store, log, _)) = disk.open_raft(config(folder.path()), clock.clone()) {
        let member = Member { folder: tempfile::tempdir().unwrap(), store, log, told: Arc::default() };
        let other = Member::new();
        let mut live = || -> Result<(), StampedError> {
            let id = EntryId { index: 0, term: 1, node: 1 };
            member.log.append_alone(id, EntryKind::Blank, &[])?;
            written[0].push(id);
            let told = Arc::clone(&member.told);
            member.log.lead(id, 1, 1, move |entry| told.lock().push(entry)).unwrap();
            for round in 0..6 {
                let sent = member.send(&[100 + round, 500, 900]);
                written[0].extend(member.told.lock().drain(..));
                sent?;
            }
            member.log.confirm(3);
            confirmed = 4;
            other.copy(&member, 4);
            other.lead(2, 2);
            other.send(&[50, 60]).unwrap();
            other.send(&[700, 800]).unwrap();
            member.log.truncate(5)?;
            written.push(written[0][..5].to_vec());
            for entry in other.log.read(5, 100, usize::MAX) {
                let id = entry.id;
                member.log.append_entries(&[entry])?;
                written[1].push(id);
            }
            Ok(())
        };
        let lived = live();
        assert!(disk.is_dead() || lived.is_ok(), "{lived:?}");
        let Member { store, log, .. } = member;
        drop(log);
        died = disk.is_dead();
        disk.kill(store);
    }
    let (store, log, _) = Store::open_raft(config(folder.path()), clock).unwrap();
    let found: Vec<EntryId> = (0..).map_while(|index| log.id_of(index)).collect();
    assert!(written.iter().any(|written| written.starts_with(&found)), "{found:?} of {written:?}");
    // Without a loss of power, what was written is there, but while it is being taken back.
    assert!(found.len() >= written.last().unwrap().len().min(confirmed), "{found:?}");
    let member = Member { folder, store, log, told: Arc::default() };
    member.lead(9, 1);
    member.send(&[1, 2]).unwrap();
    member.log.confirm(member.last_index());
    assert_eq!(member.seen()["T"].last(), Some(&1));
    died
}

#[test]
fn a_kill_at_any_change_leaves_whole_entries() {
    for new in [MortalDisk::after, MortalDisk::amid] {
        let deaths = (0..10_000).take_while(|changes| life(&new(*changes))).count();
        assert!((20..10_000).contains(&deaths), "{deaths} places to die at");
    }
}

#[test]
fn what_was_synced_outlives_a_power_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    let clock = Clock::fixed(Timestamp(1000));
    let id = |index| EntryId { index, term: 1, node: 1 };
    // Long enough for chance to lose something if it may.
    for seed in 0..20 {
        let disk = Arc::new(LossyDisk::new(&before, Lie::None, seed));
        let (store, log, _) = disk.open_raft(config(&before), clock.clone()).unwrap();
        let hand = ByHand::new(&store);
        for index in 0..5 {
            log.append_alone(id(index), EntryKind::Blank, &[]).unwrap();
        }
        assert!(hand.has_unflushed());
        log.sync(4).unwrap();
        assert!(!hand.has_unflushed());
        log.sync(9).unwrap();
        log.append_alone(id(5), EntryKind::Blank, &[]).unwrap();
        hand.abandon();
        disk.crash(&after);
        let disk = Arc::new(LossyDisk::new(&after, Lie::None, seed));
        let (store, log, _) = disk.open_raft(config(&after), clock.clone()).unwrap();
        assert!(log.last() >= Some(id(4)), "{:?}", log.last());
        store.close().unwrap();
        for root in [&before, &after] {
            std::fs::remove_dir_all(root).unwrap();
        }
    }
}

/// A power cut took the entry that began a file, and left what had filled up the file before it.
#[test]
fn what_filled_a_file_up_for_a_lost_entry_goes_with_it() {
    let member = Member::new();
    member.lead(1, 1);
    let end = member.send(&[2500]).unwrap();
    let last = member.last_index();
    assert!(member.send(&[2500]).unwrap().0 > FILE_BYTES as i64, "it did not fit");
    let folder = member.close();
    let second = folder.path().join(format!("commitlog/{FILE_BYTES:020}"));
    std::fs::write(&second, vec![0; FILE_BYTES as usize]).unwrap();
    std::fs::write(folder.path().join("abort"), "1").unwrap();
    let member = Member::open(folder);
    assert_eq!((member.log.end(), member.last_index()), (end, last));
    member.lead(2, 2);
    assert!(member.log.end().0 < FILE_BYTES as i64, "where the others have it");
    member.send(&[2500]).unwrap();
    let (end, last) = (member.log.end(), member.last_index());
    let member = member.reopen();
    assert_eq!((member.log.end(), member.last_index()), (end, last));
}
