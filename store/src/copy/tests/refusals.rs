//! What is not taken, and what is left then.

use super::*;
use crate::message::{BadRecord, DecodeError};

/// A slave with the first `bytes` of what a master has, and these.
struct Slave {
    store: Arc<Store>,
    copy: LogCopy,
    bytes: Vec<u8>,
    /// Behind the store, which writes to it as it closes.
    _folder: TempDir,
}

impl Slave {
    fn new(bytes: usize) -> Self {
        let (here, there) = (folder(), folder());
        let master = master(here.path(), 12, 9);
        let all = master.log_bytes(PhysicalOffset(0), usize::MAX).expect("in the log").expect("there");
        let store = open(there.path());
        let mut copy = store.copy();
        copy.write(PhysicalOffset(0), &all.as_slice()[..bytes]).expect("taken");
        Self { store, copy, bytes: all.as_slice().to_vec(), _folder: there }
    }

    /// Where the records begin.
    fn starts(&self) -> Vec<usize> {
        let mut starts = vec![0];
        while let Ok(message) = StoredMessage::parse(&self.bytes[starts[starts.len() - 1]..]) {
            starts.push(starts[starts.len() - 1] + message.size);
        }
        starts.pop();
        starts
    }

    /// Takes the rest once it is as it should be.
    fn goes_on(mut self) {
        let at = self.copy.end();
        assert_eq!(at, self.copy.received(), "nothing is kept of what was refused");
        self.copy.write(at, &self.bytes[at.0 as usize..]).expect("it continues the log");
        let end = self.copy.end().0 as usize;
        let log = self.store.log_bytes(PhysicalOffset(0), usize::MAX).expect("in the log").expect("there");
        assert_eq!(log.as_slice()[..end], self.bytes[..end]);
    }
}

#[test]
fn bytes_for_another_place_are_refused() {
    let mut slave = Slave::new(1000);
    let (end, received) = (slave.copy.end(), slave.copy.received());
    assert_eq!(received.0, 1000);
    for at in [0, end.0, 999, 1001, 4096] {
        let wrong = slave.copy.write(PhysicalOffset(at), b"x");
        if at == end.0 {
            // What was received of the record is forgotten by the first refusal.
            assert!(wrong.is_ok(), "{wrong:?}");
            slave.copy.forget_partial();
        } else {
            assert!(matches!(wrong, Err(CopyError::Gap { at: told, .. }) if told.0 == at), "{at}: {wrong:?}");
        }
    }
    slave.goes_on();
}

type IsIt = fn(&CopyError) -> bool;

#[test]
fn a_record_that_is_damaged_ends_it_and_those_before_are_there() {
    let count = Slave::new(0).starts().len();
    for number in 0..count {
        let starts = Slave::new(0).starts();
        let at = starts[number];
        let damage: [(usize, IsIt); 4] = [
            (7, |error| matches!(error, CopyError::Record { why: BadRecord::Fields(DecodeError::Magic(_)), .. })),
            (35, |error| matches!(error, CopyError::NotContinuing { .. })),
            (90, |error| matches!(error, CopyError::Record { why: BadRecord::Fields(DecodeError::Crc { .. }), .. })),
            (27, |error| matches!(error, CopyError::Queue { .. })),
        ];
        for (within, is_it) in damage {
            let mut slave = Slave::new(0);
            let mut bytes = slave.bytes.clone();
            bytes[at + within] ^= 0x40;
            let error = slave.copy.write(PhysicalOffset(0), &bytes);
            match error {
                Err(error) => assert!(is_it(&error), "byte {within} of {at}: {error}"),
                // The first message of a queue may have any offset.
                Ok(_) if within == 27 => continue,
                Ok(end) => panic!("byte {within} of {at} was taken, up to {end}"),
            }
            // A queue's first message tells of no gap; the next one does.
            if within != 27 {
                let expected = if number == 0 { 0 } else { at as i64 };
                assert_eq!(slave.copy.end().0, expected, "byte {within}");
                slave.goes_on();
            }
        }
    }
}

#[test]
fn files_of_another_size_are_told() {
    let (here, there) = (folder(), folder());
    let master = master(here.path(), 200, 10);
    for (file_bytes, first) in [(8192, false), (8192, true), (2048, false), (5000, true)] {
        let root = there.path().join(format!("{file_bytes}{first}"));
        let config = StoreConfig { commit_log_file_bytes: file_bytes, ..config(&root) };
        let (slave, _) = Store::open(config, Clock::system()).expect("opened");
        let mut copy = slave.copy();
        // The start of a file of one and not of the other.
        let mut at = if first { PhysicalOffset(3 * FILE_BYTES as i64) } else { PhysicalOffset(0) };
        let error = loop {
            let bytes = master.log_bytes(at, 1000).expect("in the log").expect("it does not come so far");
            match copy.write(at, bytes.as_slice()) {
                Ok(_) => at = at.after(bytes.len()),
                Err(error) => break error,
            }
        };
        let told =
            if first { matches!(error, CopyError::Start { .. }) } else { matches!(error, CopyError::FileSize { .. }) };
        assert!(told && error.to_string().contains("mappedFileSizeCommitLog"), "{file_bytes}: {error}");
    }
}

#[test]
fn a_store_that_is_copied_to_takes_no_messages_of_its_own_and_then_goes_on_behind_them() {
    let (here, there) = (folder(), folder());
    let (master, slave) = (master(here.path(), 40, 11), open(there.path()));
    let (mut copy, topic) = (slave.copy(), TopicName::new("T"));
    copy_all(&master, &mut copy, || 700);
    let mut batch = slave.batch();
    let host = Host { ip: [127, 0, 0, 1].into(), port: 1 };
    batch.push(&Message::new(&topic, QueueId(0), b"x", host)).expect("a legal message");
    assert!(matches!(slave.append(&mut batch), Err(AppendError::Copying)));
    drop(copy);
    let before = seen_in(&slave, "T", 0).1.len();
    let appended = slave.append(&mut batch).expect("taken");
    assert_eq!(appended.positions[0].queue_offset.0, before as i64);
    assert_eq!(seen_in(&slave, "T", 0).1.len(), before + 1);
}

#[test]
fn a_closed_store_takes_nothing() {
    let mut slave = Slave::new(500);
    slave.store.close().expect("closed");
    let refused = slave.copy.write(slave.copy.received(), &slave.bytes[500..]);
    assert!(matches!(refused, Err(CopyError::Append(AppendError::Closed))), "{refused:?}");
}
