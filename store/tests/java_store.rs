//! A store that Java 5.5.0 left behind after `kill -9`, from `golden/`.

mod common;

use std::fs;
use std::path::Path;

use common::*;
use remoting::types::{PhysicalOffset, QueueId, QueueOffset, TopicName};
use store::message::java_hash;
use store::{StoreConfig, message};

const LOG: &[u8] = include_bytes!("../golden/crash-store/commitlog.bin");
const QUEUES: [&[u8]; 2] =
    [include_bytes!("../golden/crash-store/queue-0.bin"), include_bytes!("../golden/crash-store/queue-1.bin")];
const CHECKPOINT: &[u8] = include_bytes!("../golden/crash-store/checkpoint.bin");

/// Puts the zeros back that were left out of `golden/`.
fn write(path: &Path, bytes: &[u8], len: usize) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let mut whole = bytes.to_vec();
    whole.resize(len, 0);
    fs::write(path, whole).expect("a file");
}

fn crashed(root: &Path, with_queues: bool) -> StoreConfig {
    write(&root.join("commitlog/00000000000000000000"), LOG, 1 << 20);
    write(&root.join("commitlog/00000000000001048576"), &[], 1 << 20);
    write(&root.join("checkpoint"), CHECKPOINT, 4096);
    write(&root.join("abort"), b"4321", 4);
    for (id, units) in QUEUES.iter().enumerate().filter(|_| with_queues) {
        for (file, units) in units.chunks(600).enumerate() {
            write(&root.join(format!("consumequeue/FixCrash/{id}/{:020}", file * 600)), units, 600);
        }
    }
    let mut config = StoreConfig::new(root);
    config.commit_log_file_bytes = 1 << 20;
    config.consume_queue_file_bytes = 600;
    config
}

#[test]
fn a_store_killed_under_java_serves_every_message_and_goes_on() {
    for with_queues in [true, false] {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, report) = open(crashed(dir.path(), with_queues));
        assert!(!report.clean);
        assert_eq!((report.end, report.scanned_records, report.cut_bytes), (PhysicalOffset(18_551), 63, 0));
        assert_eq!(report.rebuilt_entries, 63, "no checkpoint vouches for any of them");
        let topic = TopicName::new("FixCrash");
        let counts = [0, 1].map(|queue| drain(&store, &topic, queue).len());
        assert_eq!(counts, [33, 30]);
        // Known from the manifest that the Java client recorded.
        let first = store.entries(&topic, QueueId(0), QueueOffset(0), 1)[0];
        assert_eq!((first.physical_offset, first.size), (PhysicalOffset(233), 249));
        assert_eq!(first.tags_code, i64::from(java_hash("S2")));
        let record = store.record_at(first.physical_offset).expect("a record");
        let first = message::StoredMessage::parse(&record).expect("a record");
        assert_eq!((first.body_crc, first.property("KEYS")), (1_646_111_154, Some("small-2")));
        let next = put(&store, &topic, 0, b"ours", "");
        assert_eq!((next.physical_offset, next.queue_offset), (PhysicalOffset(18_551), QueueOffset(33)));
    }
}

#[test]
fn queues_made_again_have_javas_bytes() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(crashed(dir.path(), false));
    store.close().expect("closed");
    for (id, units) in QUEUES.iter().enumerate() {
        let mut ours = Vec::new();
        for file in 0..units.len().div_ceil(600) {
            let path = dir.path().join(format!("consumequeue/FixCrash/{id}/{:020}", file * 600));
            ours.extend(fs::read(path).expect("a queue file"));
        }
        assert!(ours.starts_with(units), "queue {id}");
        assert!(ours[units.len()..].iter().all(|byte| *byte == 0), "queue {id}");
    }
}
