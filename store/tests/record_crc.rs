//! `enabledAppendPropCRC` and `forceVerifyPropCRC`: a checksum over whole records, and what it finds.

mod common;

use std::fs;

use common::*;
use remoting::types::QueueId;
use store::StoreConfig;
use store::message::StoredMessage;

fn checked(root: &std::path::Path) -> StoreConfig {
    StoreConfig { append_record_crc: true, require_record_crc: true, ..config(root) }
}

#[test]
fn a_bit_that_turned_outside_the_body_is_found_after_a_crash() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(checked(dir.path()));
    let positions = ["a\u{1}1", "b\u{1}2\u{2}", ""].map(|properties| put(&store, &topic(), 0, b"body", properties));
    let record = store.record_at(positions[0].physical_offset).expect("a record");
    let record = StoredMessage::parse(&record).expect("a record");
    assert_eq!((record.property("a"), record.property("__CRC32#").map(str::len)), (Some("1"), Some(10)));
    let crashed = tempfile::tempdir().expect("a folder");
    copy(dir.path(), crashed.path());

    let (again, report) = open(checked(crashed.path()));
    assert_eq!((report.scanned_records, report.cut_bytes), (3, 0));
    again.close().expect("closed");
    drop(again);
    fs::write(crashed.path().join("abort"), "1").expect("a file");
    // The value of the second record's property: nothing but the checksum over all of it knows.
    let log = crashed.path().join("commitlog/00000000000000000000");
    let mut bytes = fs::read(&log).expect("a file");
    let at = bytes.windows(3).position(|text| text == b"b\x012").expect("the property");
    bytes[at + 2] = b'3';
    fs::write(&log, bytes).expect("written");
    let (again, _) = open(StoreConfig { require_record_crc: false, ..checked(crashed.path()) });
    assert_eq!(drain(&again, &topic(), 0).len(), 3, "not asked to look");
    again.close().expect("closed");
    drop(again);
    fs::write(crashed.path().join("abort"), "1").expect("a file");
    let (again, report) = open(checked(crashed.path()));
    assert_eq!(report.end, positions[1].physical_offset);
    assert_eq!(again.max_offset(&topic(), QueueId(0)).map(|offset| offset.0), Some(1));
}

#[test]
fn a_record_without_the_checksum_ends_a_log_that_must_have_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    put(&store, &topic(), 0, b"body", "");
    let crashed = tempfile::tempdir().expect("a folder");
    copy(dir.path(), crashed.path());
    let (_again, report) = open(checked(crashed.path()));
    assert_eq!(report.scanned_records, 0);
}
