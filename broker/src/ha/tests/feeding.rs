//! What a master says to slaves.

use super::*;

/// Reads the log from `at` on up to `end`; pieces are whole, in order, and of one file each.
fn read_log(slave: &mut Wire, mut at: i64, end: i64, piece_max: usize) -> Vec<u8> {
    let mut log = Vec::new();
    while at < end {
        let (header, bytes) = slave.piece().expect("the master goes on");
        assert_eq!(header.at.0, at);
        assert!(header.len <= piece_max);
        at += bytes.len() as i64;
        let files = (header.at.0 / FILE_BYTES as i64, (at - 1) / FILE_BYTES as i64);
        assert!(bytes.is_empty() || files.0 == files.1, "a piece of two files");
        log.extend(bytes);
    }
    log
}

#[test]
fn a_slave_gets_the_log_from_where_it_says_then_each_message_as_it_comes() {
    let log = Log::new();
    log.append(0..150);
    let all: Vec<u8> = log.files().into_iter().flat_map(|(_, bytes)| bytes).collect();
    let last_file = log.store.last_file_start().0;
    assert!(last_file > FILE_BYTES as i64);
    let master = Master::of(&log, |settings| settings.ha_transfer_batch_size = 5000);
    // In the middle of a record, too; 0 is the beginning of the last file.
    for (says, begins) in [(0, last_file), (1, 1), (777, 777), (FILE_BYTES as i64, FILE_BYTES as i64)] {
        let mut slave = Wire::connect(master.addr);
        slave.report(says);
        let end = log.end().0;
        let got = read_log(&mut slave, begins, end, 5000);
        assert_eq!(got, all[begins as usize..end as usize], "from {says}");
        let (level, _) = slave.piece().unwrap();
        assert_eq!(level, Header { at: log.end(), len: 0 }, "it is told that this is all");
    }
    let mut slave = Wire::connect(master.addr);
    slave.report(log.end().0);
    assert_eq!(slave.piece().unwrap().0, Header { at: log.end(), len: 0 });
    let before = log.end();
    log.append(150..151);
    let (piece, bytes) = slave.piece().unwrap();
    assert_eq!((piece.at, piece.len as i64), (before, log.end().0 - before.0));
    assert_eq!(bytes, *log.store.record_at(before).unwrap());
}

#[test]
fn an_empty_log_is_fed_from_its_first_message_on() {
    let log = Log::new();
    let master = Master::of(&log, |_| {});
    let mut slave = Wire::connect(master.addr);
    slave.report(0);
    assert_eq!(slave.piece().unwrap().0, Header { at: PhysicalOffset(0), len: 0 });
    log.append(0..1);
    assert_eq!(slave.piece().unwrap().1, *log.store.record_at(PhysicalOffset(0)).unwrap());
}

#[test]
fn slaves_that_are_ahead_or_talk_nonsense_are_sent_away() {
    let log = Log::new();
    log.append(0..3);
    let master = Master::of(&log, |_| {});
    for says in [log.end().0 + 1, -1] {
        let mut slave = Wire::connect(master.addr);
        slave.report(says);
        assert_eq!(slave.piece(), None, "{says}");
    }
    let mut slave = Wire::connect(master.addr);
    slave.report(log.end().0);
    slave.piece().unwrap();
    slave.report(log.end().0 + 1);
    assert_eq!(slave.piece(), None, "it has more than it was sent");
    within_a_while(|| master.feeder.slaves().is_empty().then_some(()));
}

#[test]
fn heartbeats_come_while_there_is_nothing_else_and_silent_slaves_are_let_go() {
    let log = Log::new();
    log.append(0..1);
    let master = Master::of(&log, |settings| {
        settings.ha_send_heartbeat_interval = remoting::config::Millis::new(20);
        settings.ha_housekeeping_interval = remoting::config::Millis::new(300);
    });
    let mut slave = Wire::connect(master.addr);
    slave.report(log.end().0);
    for _ in 0..5 {
        assert_eq!(slave.piece().unwrap().0, Header { at: log.end(), len: 0 });
    }
    within_a_while(|| slave.piece().is_none().then_some(()));
}

#[test]
fn what_slaves_hold_is_known_and_answers_who_waits() {
    let log = Log::new();
    log.append(0..10);
    let master = Master::of(&log, |settings| {
        settings.broker_role = crate::config::BrokerRole::SyncMaster;
        settings.in_sync_replicas = 2;
        settings.ha_max_gap_not_in_sync = 5000;
    });
    let (told, answers) = std::sync::mpsc::channel();
    let copies = Copies::of(&master.acks);
    copies.when_held(log.end(), Box::new(move |held| told.send(held).unwrap()));
    let mut slave = Wire::connect(master.addr);
    slave.report(1);
    let status = within_a_while(|| master.feeder.slaves().pop().filter(|slave| slave.next == log.end()));
    assert_eq!((status.ack, status.behind, status.in_sync), (PhysicalOffset(1), log.end().0 - 1, false));
    slave.report(log.end().0 - 1);
    let status = within_a_while(|| master.feeder.slaves().pop().filter(|slave| slave.behind == 1));
    assert!(status.in_sync);
    assert!(answers.try_recv().is_err());
    slave.report(log.end().0);
    assert_eq!(answers.recv_timeout(PATIENCE), Ok(Held::Enough));
    // One that goes does not hold it any more.
    drop(slave);
    within_a_while(|| master.feeder.slaves().is_empty().then_some(()));
    let (told, answers) = std::sync::mpsc::channel();
    copies.when_held(log.end(), Box::new(move |held| told.send(held).unwrap()));
    master.settings.send_modify(|settings| Arc::make_mut(settings).in_sync_replicas = 1);
    assert!(answers.try_recv().is_err());
    master.feeder.stop();
    assert_eq!(answers.recv_timeout(PATIENCE), Ok(Held::TooLate));
}

#[test]
fn no_more_goes_out_than_flow_control_allows() {
    let log = Log::new();
    log.append(0..40);
    let master = Master::of(&log, |settings| {
        settings.ha_flow_control_enable = true;
        settings.max_ha_transfer_byte_in_second = 20_000;
    });
    let mut slave = Wire::connect(master.addr);
    slave.report(1);
    let (piece, _) = slave.piece().unwrap();
    assert!(piece.len <= 2000, "a tenth at a time, not {}", piece.len);
    master.settings.send_modify(|settings| Arc::make_mut(settings).ha_flow_control_enable = false);
    let rest = within_a_while(|| slave.piece().filter(|(piece, _)| piece.at.after(piece.len) == log.end()));
    assert!(rest.0.len > 2000);
}

#[test]
fn a_master_that_stops_lets_slaves_have_the_last_messages() {
    let log = Log::new();
    log.append(0..20);
    let master = Master::of(&log, |_| {});
    let mut slave = Wire::connect(master.addr);
    slave.report(1);
    within_a_while(|| (!master.feeder.slaves().is_empty()).then_some(()));
    let feeder = Arc::clone(&master.feeder);
    let stopping = std::thread::spawn(move || feeder.stop());
    let end = log.end();
    let mut at = PhysicalOffset(1);
    while at < end {
        let (piece, _) = slave.piece().unwrap();
        at = piece.at.after(piece.len);
    }
    slave.report(end.0);
    stopping.join().unwrap();
    while slave.piece().is_some() {}
}
