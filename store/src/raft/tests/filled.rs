//! Logs whose beginning is gone, and members that are filled with them.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::*;
use crate::Retention;
use crate::fill::Pinned;
use crate::fill::swap::finish_with;
use crate::retention::{Cleaner, Need};
use crate::signal::Signal;

/// Longest wait for the store's threads.
const LOOKS: usize = 12_000;

fn wait_until(what: &str, reached: impl Fn() -> bool) {
    let is_so = (0..LOOKS).any(|_| {
        Signal::default().wait(Some(Duration::from_millis(5)));
        reached()
    });
    assert!(is_so, "{what}");
}

impl Member {
    /// A member that has written several files, with a queue whose messages are all in the first.
    fn with_old_log() -> Self {
        let member = Self::new();
        member.lead(1, 1);
        member.send_to("quiet", 3);
        for round in 0..40 {
            member.send(&[100 + round, 200, 300]).unwrap();
        }
        member.log.confirm(member.last_index());
        member.store.shared.flush();
        assert!(member.store.max_physical_offset().0 > 5 * FILE_BYTES as i64);
        wait_until("the queues are on disk", || member.queues_are_on_disk());
        member
    }

    /// One whose log begins with the messages of a broker of its own, which was in a group already and has left it.
    fn with_older_log() -> Self {
        let mut folder = tempfile::tempdir().unwrap();
        for is_last in [false, true] {
            let clock = || Clock::fixed(Timestamp(1000));
            let (store, _) = Store::open(config(folder.path()), clock()).unwrap();
            send_alone(&store, 100..140);
            store.close().unwrap();
            drop(store);
            let (store, log, _) = Store::open_raft_anew(config(folder.path()), clock()).unwrap();
            let member = Self { folder, store, log, told: Arc::default() };
            member.lead(1, 1);
            for round in 0..40 {
                member.send(&[100 + round, 200, 300]).unwrap();
            }
            member.log.confirm(member.last_index());
            if is_last {
                member.store.shared.flush();
                wait_until("the queues are on disk", || member.queues_are_on_disk());
                return member;
            }
            folder = member.close();
        }
        unreachable!("there is a last one")
    }

    fn queues_are_on_disk(&self) -> bool {
        let shared = &self.store.shared;
        shared.queues_on_disk() == shared.dispatch.dispatched()
    }

    fn send_to(&self, topic: &str, count: usize) -> Vec<i64> {
        let mut batch = self.store.batch();
        for _ in 0..count {
            let host = Host { ip: [127, 0, 0, 1].into(), port: 1 };
            batch.push(&Message::new(&TopicName::new(topic), QueueId(7), b"quiet", host)).unwrap();
        }
        self.store.append(&mut batch).unwrap().positions.iter().map(|position| position.queue_offset.0).collect()
    }

    /// What retention offers in a pass, if all but so many files have expired.
    fn offer(&self, files: usize) -> Option<Expendable> {
        let settings = Retention { files_per_pass_max: files, ..settings() };
        Cleaner::new(&self.store.shared).pass(&settings, Need::AtOnce);
        *self.log.expendable().borrow()
    }

    /// Lets go what retention offers, and waits until it is gone.
    fn shorten(&self, files: usize) -> u64 {
        let Expendable { first_kept, at_once } = self.offer(files).expect("old files");
        assert!(at_once);
        let at = self.log.start_of(first_kept).expect("it is kept");
        self.store.set_retention(settings());
        self.log.release(first_kept);
        wait_until("the files go", || self.store.min_physical_offset() == at);
        self.store
            .shared
            .queues
            .all()
            .iter()
            .for_each(|queue| _ = queue.follow(&*self.store.shared.disk, at.0).unwrap());
        first_kept
    }
}

fn settings() -> Retention {
    Retention { log_file_pause: Duration::ZERO, queue_file_pause: Duration::ZERO, ..Retention::default() }
}

#[test]
fn old_entries_go_once_the_group_lets_them() {
    let member = Member::with_old_log();
    let offered = member.offer(2).unwrap();
    assert_eq!(member.store.min_physical_offset(), PhysicalOffset(0), "nothing is deleted before");
    assert_eq!(member.log.start_of(offered.first_kept), Some(PhysicalOffset(2 * FILE_BYTES as i64)));
    let pinned = member.log.pin();
    assert_eq!(member.offer(3), Some(offered), "as nothing may go now, nothing new is offered");
    member.log.release(offered.first_kept);
    Cleaner::new(&member.store.shared).pass(&settings(), Need::Nothing);
    assert_eq!(member.store.min_physical_offset(), PhysicalOffset(0), "somebody reads them");
    pinned.pass(PhysicalOffset(FILE_BYTES as i64));
    wait_until("the first goes", || member.store.min_physical_offset().0 == FILE_BYTES as i64);
    drop(pinned);
    wait_until("the second goes", || member.store.min_physical_offset().0 == 2 * FILE_BYTES as i64);
    let first = member.shorten(2);
    assert_eq!(member.log.first_index(), Some(first));
    let (before, after) = (member.log.id_of(first - 1), member.log.id_of(first));
    assert!(before.is_none() && after.is_some(), "{before:?} {after:?}");
    assert!(member.log.read(first - 1, first + 5, usize::MAX).is_empty());
    assert_eq!(member.log.read(first, first + 5, usize::MAX).len(), 5);

    let (last, bytes, seen) = (member.log.last(), member.bytes(), member.seen());
    let member = member.reopen();
    assert_eq!((member.log.last(), member.bytes(), member.seen()), (last, bytes, seen));
    assert_eq!((member.log.first_index(), member.log.committed_at_open()), (Some(first), last));
    let found: Vec<_> = (first..).map_while(|index| member.log.id_of(index)).map(|id| id.index).collect();
    assert_eq!(found, (first..=last.unwrap().index).collect::<Vec<_>>());
    // It goes on, and takes back what is not agreed on.
    member.lead(2, 1);
    let next = member.last_index() + 1;
    assert_eq!(member.send_to("quiet", 2), [3, 4]);
    member.log.truncate(next).unwrap();
    member.lead(3, 1);
    assert_eq!(member.send_to("quiet", 1), [3]);
    member.log.confirm(member.last_index());
    assert_eq!(member.store.max_offset("quiet", QueueId(7)), Some(QueueOffset(4)));
}

/// Hands `to` what `pinned` has, as the network does.
fn gather(from: &Member, pinned: &Pinned, to: &Member, first: u64, last: u64) {
    let staging = to.log.staging();
    let segments = pinned.segments(first, last).unwrap();
    let start = segments[0].start;
    let starts: BTreeSet<_> = segments.iter().map(|segment| segment.start).collect();
    staging.begin(&starts).unwrap();
    let write = |file: std::fs::File, bytes: &[u8]| {
        file.write_all_at(bytes, 0).unwrap();
        file
    };
    for segment in &segments {
        let bytes = pinned.read(segment.start, segment.bytes as usize).unwrap();
        let file = write(staging.open_segment(segment.start, 0).unwrap(), &bytes);
        staging.seal_segment(&file, segment.written_ms).unwrap();
        assert_eq!(staging.checksum(segment.start, segment.bytes).unwrap(), crc32fast::hash(&bytes));
        assert_eq!(staging.gathered(segment.start).unwrap(), FILE_BYTES);
    }
    let end = from.log.end_of(last).unwrap();
    write(staging.create_queues().unwrap(), &pinned.queues(start, end).unwrap()).sync_all().unwrap();
    write(staging.create_table("config/topics.json").unwrap(), b"new").sync_all().unwrap();
    write(staging.create_table("raft/state.json").unwrap(), b"state").sync_all().unwrap();
    staging.complete(start, from.log.start_of(last).unwrap()).unwrap();
}

/// A member that has something else, and lies ready to be filled up to entry `last`.
fn ready(from: &Member, first: u64, last: u64) -> TempDir {
    let to = Member::new();
    to.lead(1, 1);
    to.send(&[11, 22, 33]).unwrap();
    to.log.confirm(1);
    let config = to.folder.path().join("config");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("topics.json"), "old").unwrap();
    std::fs::write(config.join("others.json"), "others").unwrap();
    gather(from, &from.log.pin(), &to, first, last);
    to.close()
}

/// Whether it has what `from` has.
fn check(folder: TempDir, from: &Member, first: u64, last: u64) {
    let to = Member::open(folder);
    assert_eq!((to.log.first_index(), to.log.committed_at_open()), (Some(first), from.log.id_of(last)));
    let bytes = to.bytes();
    assert!(from.bytes().starts_with(&bytes) && to.log.end() == from.log.end_of(last).unwrap());
    let text = |name: &str| std::fs::read_to_string(to.folder.path().join(name)).unwrap();
    assert_eq!(
        [text("config/topics.json"), text("config/others.json"), text("raft/state.json")],
        ["new", "others", "state"]
    );
    assert!(!to.folder.path().join("fill").exists() && !to.folder.path().join("commitlog/fill").exists());
    // What it lacks comes as entries, and every queue goes on where it was.
    to.copy(from, from.last_index());
    to.log.confirm(from.last_index());
    assert_eq!((to.bytes(), to.seen()), (from.bytes(), from.seen()));
    for topic in ["quiet", "T", "U"] {
        let ends = |store: &Store| {
            let id = if topic == "quiet" { QueueId(7) } else { QueueId(0) };
            (store.min_offset(topic, id), store.max_offset(topic, id))
        };
        assert_eq!(ends(&to.store), ends(&from.store), "{topic}");
    }
    let to = to.reopen();
    to.lead(9, 1);
    assert_eq!(to.send_to("quiet", 1), [3]);
}

#[test]
fn a_member_that_is_filled_has_what_the_other_has_whenever_it_is_killed() {
    let from = Member::with_old_log();
    let first = from.shorten(3);
    let last = from.last_index() - 10;
    check(ready(&from, first, last), &from, first, last);
    let mut kills = 0;
    loop {
        let folder = ready(&from, first, last);
        let mut steps = 0;
        let mut between = || {
            steps += 1;
            if steps > kills { Err(io::Error::other("killed")) } else { Ok(()) }
        };
        let ended = finish_with(&config(folder.path()).checked().unwrap(), &mut between);
        check(folder, &from, first, last);
        if ended.is_ok() {
            break;
        }
        kills += 1;
    }
    assert!(kills > 10, "{kills} places to be killed at");
}

#[test]
fn what_is_from_before_the_group_is_handed_over_with_its_first_entries_and_goes_by_retention() {
    let from = Member::with_older_log();
    let begin = from.log.begin().unwrap();
    assert!(begin.0 > 4 * FILE_BYTES as i64);
    // Nobody needs the first entry: no file goes for that.
    from.log.release(1);
    assert!(from.store.shared.delete_first_log_file(None).unwrap().is_none());
    let (pinned, last) = (from.log.pin(), from.last_index() - 10);
    let starts = |first| pinned.segments(first, last).unwrap()[0].start;
    assert_eq!(starts(1), PhysicalOffset(0));
    let later = (1..last).find(|index| from.log.start_of(*index).unwrap().0 >= begin.0 + FILE_BYTES as i64).unwrap();
    assert_eq!(Some(starts(later)), from.log.start_of(later));
    let to = Member::new();
    gather(&from, &pinned, &to, 1, last);
    drop(pinned);
    let to = to.reopen();
    assert_eq!((to.log.first_index(), to.log.begin()), (Some(0), Some(begin)));
    assert_eq!(to.log.committed_at_open(), from.log.id_of(last));
    to.copy(&from, from.last_index());
    to.log.confirm(from.last_index());
    assert_eq!((to.bytes(), to.seen()), (from.bytes(), from.seen()));

    // By retention alone as long as it is no entry of the group's, and nobody is asked.
    assert_eq!(from.offer(2), None);
    wait_until("two files go", || {
        from.store.shared.delete_first_log_file(None).unwrap();
        from.store.min_physical_offset().0 == 2 * FILE_BYTES as i64
    });
    assert_eq!(from.log.begin(), Some(begin));
    let offered = from.offer(100).expect("entries, too");
    assert_eq!(from.log.start_of(offered.first_kept).map(|at| at.0 % FILE_BYTES as i64), Some(0));
    assert_eq!(from.store.min_physical_offset().0, 2 * FILE_BYTES as i64);
    from.shorten(100);
    assert_eq!(from.log.begin(), None);
}

#[test]
fn what_is_not_complete_is_left_alone() {
    let from = Member::with_old_log();
    let first = from.shorten(3);
    let folder = ready(&from, first, from.last_index());
    std::fs::remove_file(folder.path().join("fill/complete")).unwrap();
    let to = Member::open(folder);
    assert_eq!(to.seen()["T"], [11, 33]);
    let staging = to.log.staging();
    let start = from.log.start_of(first).unwrap();
    assert_eq!(staging.gathered(start).unwrap(), FILE_BYTES);
    let other = PhysicalOffset(start.0 + FILE_BYTES as i64);
    staging.begin(&BTreeSet::from([other])).unwrap();
    assert_eq!((staging.gathered(start).unwrap(), staging.gathered(other).unwrap()), (0, FILE_BYTES));
    staging.discard().unwrap();
    assert_eq!(staging.gathered(other).unwrap(), 0);
}

/// A life in which old entries go, on a disk that dies. Whether it died.
fn long_life(disk: &MortalDisk) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(Timestamp(1000));
    let (mut released, mut confirmed, mut died) = (0, None, true);
    if let Ok((store, log, _)) = disk.open_raft(config(folder.path()), clock.clone()) {
        let member = Member { folder: tempfile::tempdir().unwrap(), store, log, told: Arc::default() };
        let mut live = || -> Result<(), StampedError> {
            let id = EntryId { index: 0, term: 1, node: 1 };
            member.log.append_alone(id, EntryKind::Blank, &[])?;
            member.log.lead(id, 1, 1, |_| ()).unwrap();
            for round in 0..9 {
                member.send(&[300 + round, 900, 900])?;
                member.log.confirm(member.last_index());
                confirmed = Some(member.last_index());
                member.store.shared.flush();
                if round % 4 < 3 {
                    continue;
                }
                wait_until("the queues are on disk", || disk.is_dead() || member.queues_are_on_disk());
                let first_kept = member.offer(1).map_or(0, |offer| offer.first_kept);
                if first_kept > released {
                    released = first_kept;
                    member.log.release(first_kept);
                    member.store.shared.delete_first_log_file(None)?;
                }
            }
            assert!(released > 0 || disk.is_dead());
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
    let first = log.first_index().unwrap_or(0);
    assert!(first <= released, "{first} of {released}");
    let found = (first..).map_while(|index| log.id_of(index)).last();
    assert!(found.map(|id| id.index) >= confirmed, "{found:?} {confirmed:?}");
    let member = Member { folder, store, log, told: Arc::default() };
    member.lead(9, 1);
    member.send(&[1, 2]).unwrap();
    member.log.confirm(member.last_index());
    let ends = (member.store.min_offset("T", QueueId(0)), member.store.max_offset("T", QueueId(0)));
    assert_eq!(
        member.seen()["T"].last(),
        Some(&1),
        "{first} {found:?} {ends:?} {:?}",
        member.store.min_physical_offset()
    );
    died
}

#[test]
fn a_kill_while_old_entries_go_leaves_the_others() {
    for new in [MortalDisk::after, MortalDisk::amid] {
        let deaths = (0..10_000).take_while(|changes| long_life(&new(*changes))).count();
        assert!((20..10_000).contains(&deaths), "{deaths} places to die at");
    }
}
