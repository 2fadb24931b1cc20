//! Kills of a store that notes how its queues stand while it is in use.

use super::*;
use crate::message::StoredMessage;
use crate::recovery::RecoveryReport;
use crate::testing::MortalDisk;

/// Topics and bodies in the order they were acknowledged.
type Model = Vec<(&'static str, String)>;

fn open(root: &Path, disk: &MortalDisk) -> Result<(Arc<Store>, RecoveryReport), crate::StoreError> {
    let config = StoreConfig {
        commit_log_file_bytes: 2048,
        consume_queue_file_bytes: 60,
        flush_interval: Duration::from_millis(5),
        note_from_queues: 1,
        ..StoreConfig::new(root)
    };
    disk.open(config, Clock::fixed(Timestamp(1)))
}

/// One message to each topic; those that the disk took are in the model then.
fn send(store: &Store, model: &mut Model, topics: &[&'static str]) {
    let host = Host { ip: [127, 0, 0, 1].into(), port: 1 };
    for topic in topics {
        let body = format!("{topic} {}", model.len());
        let name = TopicName::new(topic);
        let mut batch = store.batch();
        let message =
            Message { born_timestamp: Timestamp(1), ..Message::new(&name, QueueId(0), body.as_bytes(), host) };
        batch.push(&message).expect("legal");
        if store.append(&mut batch).is_ok() {
            model.push((topic, body));
        }
    }
}

/// Returns once all queues are in their files, or the disk is dead.
fn settle(store: &Store, disk: &MortalDisk) {
    let since = Instant::now();
    store.shared.keeper_signal.raise();
    while !disk.is_dead() && store.shared.queues.all().iter().any(|queue| queue.standing().is_none()) {
        assert!(since.elapsed() < LONG, "queues are not written out");
        std::thread::yield_now();
    }
}

fn check(store: &Store, model: &Model, n: usize) {
    for topic in ["a", "b", "c", "d", "e"] {
        let entries = store.entries(topic, QueueId(0), QueueOffset(0), 1000);
        let found: Vec<_> = entries
            .iter()
            .map(|entry| {
                let record = store.record_at(entry.physical_offset).expect("a record");
                let message = StoredMessage::parse(&record).expect("whole");
                assert_eq!((message.topic, message.queue_offset), (topic, entry.queue_offset), "after {n} changes");
                String::from_utf8(message.body.to_vec()).expect("text")
            })
            .collect();
        let expect: Vec<_> = model.iter().filter(|(of, _)| *of == topic).map(|(_, body)| body.clone()).collect();
        assert_eq!(found, expect, "{topic} after {n} changes");
    }
}

#[test]
fn what_was_noted_amid_a_run_is_used_after_kills_and_what_changed_since_is_looked_up() {
    for n in 0.. {
        let dir = tempfile::tempdir().expect("a folder");
        let mut model = Model::new();
        let disk = MortalDisk::after(usize::MAX);
        let (store, _) = open(dir.path(), &disk).expect("opened");
        for _ in 0..4 {
            send(&store, &mut model, &["a", "b", "c"]);
        }
        settle(&store, &disk);
        store.shared.note_queues_of_run().expect("noted");
        assert_eq!(store.shared.queues.changed_topics(), Some(0));
        for _ in 0..4 {
            send(&store, &mut model, &["b", "d"]);
        }
        settle(&store, &disk);
        assert_eq!(store.shared.queues.changed_topics(), Some(2));
        // These may be in memory only.
        send(&store, &mut model, &["a"]);
        disk.kill(store);

        let disk = MortalDisk::after(n);
        let mut noted = false;
        if let Ok((store, report)) = open(dir.path(), &disk) {
            assert!(report.queues_noted && !report.clean, "after {n} changes: {report:?}");
            check(&store, &model, n);
            send(&store, &mut model, &["c", "e", "b"]);
            settle(&store, &disk);
            noted = store.shared.note_queues_of_run().is_ok();
            send(&store, &mut model, &["d", "a", "e"]);
            settle(&store, &disk);
            let died = disk.is_dead();
            disk.kill(store);
            if !died {
                // All of the life was lived.
                assert!(noted && n > 10, "{n} changes");
                return;
            }
        }
        let (store, report) = open(dir.path(), &MortalDisk::after(usize::MAX)).expect("opened");
        assert!(!report.clean && (report.queues_noted || !noted), "after {n} changes: {report:?}");
        check(&store, &model, n);
    }
}

#[test]
fn what_was_noted_is_not_used_once_somebody_else_has_had_the_store_or_took_its_queues_away() {
    for spoil in [
        |root: &Path| std::fs::write(root.join("lock"), "lock").expect("as Java does at each start"),
        |root: &Path| std::fs::remove_dir_all(root.join("consumequeue")).expect("to have them made again"),
        |root: &Path| std::fs::remove_file(root.join("ferromq.queues.changed")).expect("removed"),
    ] {
        let dir = tempfile::tempdir().expect("a folder");
        let mut model = Model::new();
        let disk = MortalDisk::after(usize::MAX);
        let (store, _) = open(dir.path(), &disk).expect("opened");
        send(&store, &mut model, &["a", "b", "a"]);
        settle(&store, &disk);
        store.shared.note_queues_of_run().expect("noted");
        disk.kill(store);
        // The clock of the file system goes in steps.
        std::thread::park_timeout(Duration::from_millis(20));
        spoil(dir.path());
        let (store, report) = open(dir.path(), &MortalDisk::after(usize::MAX)).expect("opened");
        assert!(!report.queues_noted, "{report:?}");
        check(&store, &model, 0);
    }
}
