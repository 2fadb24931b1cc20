//! What the fuzz targets check, also run over the seeds by `store/tests/fuzz_seeds.rs`.
#![allow(dead_code, unreachable_pub, reason = "every target uses another part")]

use std::fs;
use std::ops::ControlFlow;

use store::inspect::{InspectOptions, inspect};
use store::message::{Record, batch_elements, id, properties};

/// A record, and what may be inside one.
pub fn record(bytes: &[u8]) {
    if let Ok(Record::Message(message)) = Record::parse(bytes) {
        assert!(message.size <= bytes.len());
        // A record is read from its own bytes alone, and not from fewer.
        let whole = &bytes[..message.size];
        assert!(matches!(Record::parse(whole), Ok(Record::Message(again)) if again == message));
        assert!(Record::parse(&whole[..whole.len() - 1]).is_err());
        let _ = message.check_crc();
        let _ = batch_elements(message.body).count();
        let id = id::encode(message.store_host, message.physical_offset);
        assert_eq!(id::decode(&id), Some((message.store_host, message.physical_offset)));
        text(message.properties);
    }
    let _ = batch_elements(bytes).count();
    if let Ok(readable) = str::from_utf8(bytes) {
        text(readable);
        if let Some((host, offset)) = id::decode(readable) {
            assert_eq!(id::encode(host, offset), readable.to_uppercase());
        }
    }
}

fn text(readable: &str) {
    for (name, _) in properties::iter(readable) {
        let last = properties::iter(readable).filter(|(other, _)| *other == name).map(|(_, value)| value).last();
        assert_eq!(properties::get(readable, name), last);
    }
}

/// Places of the parts of a store; the first byte of the input says which one it is for.
const PLACES: [&str; 5] = [
    "commitlog/00000000000000000000",
    "consumequeue/T/0/00000000000000000000",
    "batchconsumequeue/B/0/00000000000000000000",
    "index/20261121000000000",
    "checkpoint",
];
/// A log for the other parts to point into.
const LOG: &[u8] = include_bytes!("../../golden/records/java-5.5.0-plain.bin");

/// One file of a store, and everything that looks at it.
pub fn files(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let write = |place: &str, bytes: &[u8]| {
        let path = folder.path().join(place);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    };
    write(PLACES[0], LOG);
    write(PLACES[usize::from(*first) % PLACES.len()], bytes);
    let options = InspectOptions { root: folder.path().to_owned(), commit_log_dir: None, running: false };
    let store = inspect(&options).expect("a store");
    let verified = store.verify(&mut |_, _| {}).expect("readable files");
    assert_eq!(verified.problem_count.min(1000), verified.problems.len() as u64);
    let mut records = 0;
    let dumped = store.dump(None, &mut |_, _| {
        records += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(dumped.expect("readable files").0.records, records);
}
