//! The member that Java left in `golden`, whole, torn and killed; and members made here, with all that a record may refer to.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;

use flate2::read::GzDecoder;
use remoting::types::{Host, QueueOffset, Timestamp, TopicName};
use serde_json::Value;
use tempfile::TempDir;

use super::ledger::HEAD_BYTES;
use super::*;
use crate::consume_queue::Unit;
use crate::inspect::{InspectOptions, inspect};
use crate::message::{Message, encode_at};

const FILE_BYTES: u64 = 4096;
/// In which the wheel is copied.
const BLOCK: usize = 64 << 10;
const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A member's folder, and beside it where its store goes.
struct Member {
    folder: TempDir,
}

impl Member {
    fn of_java() -> (Self, Value) {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/stores");
        let open = |file: &str| GzDecoder::new(File::open(golden.join(file)).unwrap());
        let folder = tempfile::tempdir().unwrap();
        tar::Archive::new(open("java-5.5.0-dledger.tar.gz")).unpack(folder.path()).unwrap();
        (Self { folder }, serde_json::from_reader(open("java-5.5.0-dledger.manifest.json.gz")).unwrap())
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn to(&self) -> PathBuf {
        self.folder.path().join("new")
    }

    fn options(&self) -> ImportOptions {
        let mut config = StoreConfig::new(self.to());
        (config.index.slots, config.index.entries) = (10, 20);
        ImportOptions {
            from: self.root(),
            data_dir: None,
            commit_log_dir: None,
            config,
            sizes_of_files: true,
            committed_only: false,
            dry_run: false,
        }
    }

    fn import(&self) -> Result<Imported, ImportError> {
        self.import_with(&self.options())
    }

    /// Nothing of the member may change.
    fn import_with(&self, options: &ImportOptions) -> Result<Imported, ImportError> {
        let before = bytes_of(&self.root());
        let imported = import(options, Clock::fixed(NOW), &mut |_| ());
        assert!(bytes_of(&self.root()) == before, "the source has changed");
        imported
    }

    fn open(&self, imported: &Imported) -> std::sync::Arc<Store> {
        let mut config = StoreConfig::new(self.to());
        config.commit_log_file_bytes = imported.commit_log_file_bytes;
        config.consume_queue_file_bytes = imported.consume_queue_file_bytes;
        (config.index.slots, config.index.entries) = imported.index.unwrap();
        let (store, report) = Store::open(config, Clock::fixed(NOW)).unwrap();
        assert!(report.clean && report.rebuilt_entries == 0, "{report:?}");
        store
    }

    /// All that `ferromq store verify` looks at is right.
    fn verify(&self) -> u64 {
        let options = InspectOptions { root: self.to(), commit_log_dir: None, running: false };
        let verified = inspect(&options).unwrap().verify(&mut |_, _| ()).unwrap();
        assert_eq!(verified.problems, []);
        verified.log.records
    }

    fn noted(&self, committed: Option<i64>) {
        let path = self.root().join("dledger-n0/checkpoint");
        match committed {
            Some(committed) => fs::write(path, format!("#1\ncommittedIndex={committed}\nendIndex=99\n")).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    }
}

fn bytes_of(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    for path in files::entries(root).unwrap() {
        if path.is_dir() {
            found.extend(bytes_of(&path));
        // Sparse, and never looked at.
        } else if fs::metadata(&path).unwrap().len() < 16 << 20 {
            found.insert(path.clone(), (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap()));
        }
    }
    found
}

fn record(store: &Store, topic: &str, id: i32, offset: i64) -> Vec<u8> {
    let entries = store.entries(topic, QueueId(id), QueueOffset(offset), 1);
    let entry = entries.first().unwrap_or_else(|| panic!("{topic}-{id} has nothing at {offset}"));
    assert_eq!(entry.queue_offset.0, offset);
    store.record_at(entry.physical_offset).unwrap().to_vec()
}

/// What the manifest says of the messages, of which the first so many have to be there.
fn check_messages(store: &Store, manifest: &Value, count: i64) {
    let mut seen = 0;
    for message in manifest["messages"].as_array().unwrap() {
        let number = |key: &str| message[key].as_i64().unwrap();
        let (topic, id) = (message["topic"].as_str().unwrap(), number("queueId") as i32);
        if store.max_offset(topic, QueueId(id)).is_none_or(|max| max.0 <= number("queueOffset")) {
            continue;
        }
        seen += 1;
        let record = record(store, topic, id, number("queueOffset"));
        let ours = StoredMessage::parse(&record).unwrap();
        ours.check_crc().unwrap();
        assert_eq!(ours.body_crc, number("bodyCRC") as i32, "{message}");
        assert_eq!(
            (ours.born_timestamp.0, ours.store_timestamp.0),
            (number("bornTimestamp"), number("storeTimestamp"))
        );
        assert_eq!((ours.flag, ours.sys_flag), (number("flag") as i32, number("sysFlag") as i32));
        for (name, value) in message["properties"].as_object().unwrap() {
            assert_eq!(ours.property(name), value.as_str(), "{name} in {message}");
        }
    }
    assert_eq!(seen, count);
}

#[test]
fn every_message_of_javas_member_is_at_its_queue_offset() {
    let (member, manifest) = Member::of_java();
    let dry = ImportOptions { dry_run: true, ..member.options() };
    let told = member.import_with(&dry).unwrap();
    assert!(!member.to().exists(), "nothing is made");
    let imported = member.import().unwrap();
    assert_eq!(imported.notes, [""; 0]);
    assert_eq!((imported.records, imported.last, imported.committed), (42, Some((41, 0)), Some(41)));
    assert_eq!((told.records, told.end, &told.tables), (42, imported.end, &imported.tables));
    assert_eq!((imported.commit_log_file_bytes, imported.consume_queue_file_bytes), (1 << 20, 600));
    assert_eq!(imported.index, Some((500, 400)));
    assert!(imported.tables.contains(&"topics.json".to_owned()), "{:?}", imported.tables);
    assert_eq!(member.verify(), 42);
    let store = member.open(&imported);
    check_messages(&store, &manifest, 42);
    assert_eq!(store.max_physical_offset().0, imported.end);
    assert!(matches!(member.import(), Err(ImportError::NotEmpty { .. })));
}

#[test]
fn the_new_store_is_a_raft_log_to_be() {
    let (member, manifest) = Member::of_java();
    let imported = member.import().unwrap();
    let mut config = StoreConfig::new(member.to());
    (config.commit_log_file_bytes, config.consume_queue_file_bytes) = (1 << 20, 600);
    (config.index.slots, config.index.entries) = imported.index.unwrap();
    let (store, log, _) = Store::open_raft(config, Clock::fixed(NOW)).unwrap();
    assert_eq!(log.last(), None);
    check_messages(&store, &manifest, 42);
}

fn damage(path: &Path, at: u64, bytes: &[u8]) {
    File::options().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

#[test]
fn a_torn_last_entry_is_left_out_unless_it_was_agreed_on() {
    let (member, manifest) = Member::of_java();
    let data = member.root().join("dledger-n0/data/00000000000000000000");
    let mut ledger = Ledger::new(source::Source::find(&member.options()).unwrap().data, CHUNK);
    let (mut at, mut last) = (0, None);
    while let Found::Entry(head) = ledger.head(at).unwrap() {
        last = Some(head);
        at = head.end();
    }
    let last = last.unwrap();
    let half = last.body / 2;
    damage(&data, (last.end() - half as i64) as u64, &vec![0; half]);
    let refused = member.import().unwrap_err().to_string();
    assert!(refused.contains("entry 41 was agreed on, and the last one that is there is 40"), "{refused}");
    fs::remove_dir_all(member.to()).unwrap();
    for committed in [Some(40), None] {
        member.noted(committed);
        let imported = member.import().unwrap();
        assert_eq!((imported.records, imported.last), (41, Some((40, 0))));
        let notes = imported.notes.join("\n");
        assert!(notes.contains("is not whole and was left out"), "{notes}");
        assert_eq!(notes.contains("has not noted how far its group had agreed"), committed.is_none(), "{notes}");
        assert_eq!(member.verify(), 41);
        check_messages(&member.open(&imported), &manifest, 41);
        fs::remove_dir_all(member.to()).unwrap();
    }
}

#[test]
fn a_member_that_was_killed_gives_all_it_has_or_what_it_knew_to_be_agreed_on() {
    let (member, manifest) = Member::of_java();
    member.noted(Some(29));
    fs::write(member.root().join("abort"), "4711").unwrap();
    let imported = member.import().unwrap();
    assert_eq!((imported.records, imported.notes.len()), (42, 1));
    assert!(imported.notes[0].contains("entries 30 to 41 were taken, too"), "{:?}", imported.notes);
    check_messages(&member.open(&imported), &manifest, 42);
    fs::remove_dir_all(member.to()).unwrap();
    let options = ImportOptions { committed_only: true, ..member.options() };
    let imported = member.import_with(&options).unwrap();
    assert_eq!((imported.records, imported.last, imported.notes.len()), (30, Some((29, 0)), 0));
    assert_eq!(member.verify(), 30);
    check_messages(&member.open(&imported), &manifest, 30);
}

#[test]
fn damage_amid_the_entries_ends_the_import_and_the_store_does_not_open() {
    let (member, _) = Member::of_java();
    let data = member.root().join("dledger-n0/data/00000000000000000000");
    // In the body of the second entry.
    damage(&data, 418, b"X");
    let refused = member.import().unwrap_err().to_string();
    assert!(refused.contains("damaged at 278") && refused.contains("others follow"), "{refused}");
    let refused = Store::open(StoreConfig::new(member.to()), Clock::fixed(NOW)).unwrap_err().to_string();
    assert!(refused.contains("an import has not finished"), "{refused}");
}

#[test]
fn what_is_no_member_or_in_use_or_of_another_size_is_refused() {
    let (member, _) = Member::of_java();
    let refused = |options: &ImportOptions| import(options, Clock::fixed(NOW), &mut |_| ()).unwrap_err();
    let nothing = tempfile::tempdir().unwrap();
    let no_member = ImportOptions { from: nothing.path().to_owned(), ..member.options() };
    assert!(matches!(refused(&no_member), ImportError::NoMember { .. }));
    let sizes = ImportOptions { sizes_of_files: false, ..member.options() };
    assert!(matches!(refused(&sizes), ImportError::FileSize { property: "mappedFileSizeCommitLog", .. }));
    fs::create_dir(member.root().join("dledger-n1")).unwrap();
    assert!(matches!(refused(&member.options()), ImportError::SeveralMembers { .. }));
    fs::remove_dir(member.root().join("dledger-n1")).unwrap();
    fs::write(member.root().join("dledger-n0/currterm"), "currTerm=3\nvoteLeader=n2\n").unwrap();
    let told = member.import_with(&ImportOptions { dry_run: true, ..member.options() }).unwrap();
    assert!(told.notes[0].contains("n0 voted for n2 in term 3"), "{:?}", told.notes);
}

/// Writes the files of a member.
struct Maker {
    root: PathBuf,
    at: i64,
    index: i64,
    files: BTreeMap<i64, Vec<u8>>,
    /// Bodies by topic, queue and offset.
    sent: BTreeMap<(String, i32, i64), Vec<u8>>,
    next: BTreeMap<(String, i32), i64>,
}

impl Maker {
    fn new(root: &Path, start: i64) -> Self {
        let files = BTreeMap::from([(start, vec![0; FILE_BYTES as usize])]);
        Self { root: root.to_owned(), at: start, index: 5, files, sent: BTreeMap::new(), next: BTreeMap::new() }
    }

    fn entry(&mut self, body: impl Fn(i64) -> Vec<u8>) -> i64 {
        let len = HEAD_BYTES + body(0).len();
        let within = self.at.rem_euclid(FILE_BYTES as i64) as usize;
        if within + len + 8 > FILE_BYTES as usize {
            let file = self.files.values_mut().last().unwrap();
            file[within..within + 4].copy_from_slice(&(-1_i32).to_be_bytes());
            self.at += FILE_BYTES as i64 - within as i64;
            self.files.insert(self.at, vec![0; FILE_BYTES as usize]);
        }
        let (at, within) = (self.at, self.at.rem_euclid(FILE_BYTES as i64) as usize);
        let body = body(at + HEAD_BYTES as i64);
        let mut bytes = Vec::new();
        bytes.extend(1_i32.to_be_bytes());
        bytes.extend((len as i32).to_be_bytes());
        bytes.extend(self.index.to_be_bytes());
        bytes.extend(3_i64.to_be_bytes());
        bytes.extend(at.to_be_bytes());
        bytes.extend([0; 12]);
        bytes.extend((body.len() as i32).to_be_bytes());
        bytes.extend(body);
        self.files.values_mut().last().unwrap()[within..within + len].copy_from_slice(&bytes);
        self.index += 1;
        self.at += len as i64;
        at + HEAD_BYTES as i64
    }

    /// Where its record lies.
    fn send(&mut self, topic: &str, id: i32, body: &[u8]) -> i64 {
        self.send_with(topic, id, body, 0, 0)
    }

    fn send_with(&mut self, topic: &str, id: i32, body: &[u8], sys_flag: i32, prepared: i64) -> i64 {
        let next = self.next.entry((topic.to_owned(), id)).or_default();
        let offset = *next;
        *next += 1;
        self.sent.insert((topic.to_owned(), id, offset), body.to_vec());
        let name = TopicName::new(topic);
        let host = Host { ip: [10, 0, 0, 1].into(), port: 10911 };
        let message = Message {
            sys_flag,
            prepared_transaction_offset: prepared,
            properties: "KEYS\u{1}k\u{2}",
            ..Message::new(&name, QueueId(id), body, host)
        };
        self.entry(|at| {
            let mut out = Vec::new();
            encode_at(&mut out, &message, QueueOffset(offset), PhysicalOffset(at), NOW);
            out
        })
    }

    fn write(&self) {
        let data = self.root.join("dledger-n0/data");
        fs::create_dir_all(&data).unwrap();
        fs::create_dir_all(self.root.join("config")).unwrap();
        fs::write(self.root.join("config/topics.json"), "{}").unwrap();
        for (start, bytes) in &self.files {
            fs::write(data.join(format!("{start:020}")), bytes).unwrap();
        }
    }

    fn check(&self, store: &Store) {
        for ((topic, id, offset), body) in &self.sent {
            let record = record(store, topic, *id, *offset);
            let message = StoredMessage::parse(&record).unwrap();
            assert_eq!((message.queue_offset.0, message.body), (*offset, &body[..]), "{topic}-{id}");
        }
    }
}

fn member() -> Member {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("store")).unwrap();
    Member { folder }
}

/// The files of a queue, of so many units each.
fn write_queue(root: &Path, topic: &str, id: i32, start: i64, units: &[Unit]) {
    let dir = root.join("consumequeue").join(topic).join(id.to_string());
    fs::create_dir_all(&dir).unwrap();
    let mut bytes: Vec<u8> = units.iter().flat_map(|unit| unit.encode()).collect();
    bytes.resize(200, 0);
    fs::write(dir.join(format!("{:020}", start * 20)), bytes).unwrap();
}

#[test]
fn what_refers_to_places_in_the_log_is_put_right() {
    const HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
    const TIMER: &str = "rmq_sys_wheel_timer";
    let member = member();
    let root = member.root();
    let start = 2 * FILE_BYTES as i64;
    let mut maker = Maker::new(&root, start);
    // The first messages of this queue were deleted with their files.
    maker.next.insert(("T".to_owned(), 0), 7);
    let (mut halves, mut timers) = (Vec::new(), Vec::new());
    for round in 0..300 {
        maker.send("T", 0, &vec![b'x'; 50 + round % 90]);
        if round % 7 == 0 {
            // As newer members begin a reign.
            maker.entry(|_| Vec::new());
        }
        halves.push(maker.send(HALF, 0, format!("half {round}").as_bytes()));
        timers.push(maker.send(TIMER, 0, format!("timer {round}").as_bytes()));
        if round >= 5 && round % 3 == 0 {
            // One that was decided on late, and one at once.
            for half in [halves[round - 5], halves[round]] {
                maker.send_with("C", 1, b"committed", sys_flag::TRANSACTION_COMMIT, half);
            }
        }
    }
    let deleted = maker.send_with("C", 1, b"committed", sys_flag::TRANSACTION_COMMIT, 100);
    assert!(deleted > start + 10 * FILE_BYTES as i64, "many files");
    maker.write();
    // Of a queue without messages there is the last file, whose units point to what is deleted.
    let gone = |physical| Unit { physical, size: 100, code: 0 };
    write_queue(&root, "quiet", 2, 10, &[gone(1000), gone(2000), gone(3000)]);
    let timer_log = root.join("timerlog");
    fs::create_dir(&timer_log).unwrap();
    let mut units = Vec::new();
    for (number, message) in timers.iter().chain([&50]).enumerate() {
        units.extend(52_i32.to_be_bytes());
        units.extend((-1_i64).to_be_bytes());
        units.extend(1_i32.to_be_bytes());
        units.extend((NOW.0 + number as i64).to_be_bytes());
        units.extend(1000_i32.to_be_bytes());
        units.extend(message.to_be_bytes());
        units.extend(100_i32.to_be_bytes());
        units.extend([0; 12]);
    }
    units.resize(20_800, 0);
    fs::write(timer_log.join(format!("{:020}", 0)), &units).unwrap();
    fs::write(root.join("timerwheel.104"), [vec![0; BLOCK], vec![7; 10]].concat()).unwrap();
    fs::write(root.join("timerwheel"), "an old one").unwrap();
    let noted: Vec<u8> = [NOW.0, 15_600, 300].iter().flat_map(|field: &i64| field.to_be_bytes()).collect();
    fs::write(root.join("config/timercheck"), &noted).unwrap();

    let imported = member.import().unwrap();
    assert_eq!((imported.begin, imported.kept_queues, imported.timers), (start, 1, 301));
    assert_eq!(imported.empty_entries, 43);
    assert_eq!(imported.records, maker.sent.len() as u64);
    assert_eq!(member.verify(), maker.sent.len() as u64);
    let store = member.open(&imported);
    maker.check(&store);
    assert_eq!(store.min_offset("T", QueueId(0)), Some(QueueOffset(7)));
    assert_eq!(store.min_physical_offset().0, start);
    let [min, max] = [store.min_offset("quiet", QueueId(2)), store.max_offset("quiet", QueueId(2))];
    assert_eq!((min, max), (Some(QueueOffset(13)), Some(QueueOffset(13))), "it goes on where it would have");
    let mut batch = store.batch();
    let (topic, host) = (TopicName::new("quiet"), Host { ip: [127, 0, 0, 1].into(), port: 1 });
    batch.push(&Message::new(&topic, QueueId(2), b"next", host)).unwrap();
    assert_eq!(store.append(&mut batch).unwrap().positions[0].queue_offset, QueueOffset(13));

    let commits = store.max_offset("C", QueueId(1)).unwrap().0 - 1;
    for offset in 0..commits {
        let record = record(&store, "C", 1, offset);
        let prepared = StoredMessage::parse(&record).unwrap().prepared_transaction_offset;
        let half = store.record_at(PhysicalOffset(prepared)).unwrap();
        let half = StoredMessage::parse(&half).unwrap();
        let round = 6 + offset / 2 * 3 - if offset % 2 == 0 { 5 } else { 0 };
        assert_eq!((half.topic, half.body), (HALF, format!("half {round}").as_bytes()));
    }
    let record = record(&store, "C", 1, commits);
    assert_eq!(StoredMessage::parse(&record).unwrap().prepared_transaction_offset, 100, "gone before, gone now");

    let moved = fs::read(member.to().join("timerlog").join(format!("{:020}", 0))).unwrap();
    for (number, unit) in moved.chunks_exact(52).take(300).enumerate() {
        let message = PhysicalOffset(i64::from_be_bytes(*unit[28..].first_chunk().unwrap()));
        let record = store.record_at(message).unwrap();
        assert_eq!(StoredMessage::parse(&record).unwrap().body, format!("timer {number}").as_bytes());
        let before = &units[number * 52..][..52];
        assert_eq!((&unit[..28], &unit[36..]), (&before[..28], &before[36..]));
    }
    assert_eq!(moved[300 * 52..], units[300 * 52..], "a message that was deleted, and free space");
    let wheel = fs::read(member.to().join("timerwheel")).unwrap();
    assert_eq!((wheel.len(), wheel.last()), (BLOCK + 10, Some(&7)), "the newer one");
    let noted = fs::read(member.to().join("config/timercheck")).unwrap();
    assert_eq!(noted[8..16], 104_i64.to_be_bytes(), "the wheel has the log up to there");
}

#[test]
fn the_log_from_before_the_group_stays_in_its_place() {
    let member = member();
    let mut config = StoreConfig::new(member.root());
    (config.commit_log_file_bytes, config.consume_queue_file_bytes) = (FILE_BYTES, 200);
    (config.index.slots, config.index.entries) = (10, 20);
    let (store, _) = Store::open(config, Clock::fixed(NOW)).unwrap();
    let (topic, host) = (TopicName::new("T"), Host { ip: [127, 0, 0, 1].into(), port: 1 });
    let mut old = Vec::new();
    for number in 0..40 {
        let mut batch = store.batch();
        let body = vec![b'a'; 100 + number];
        batch.push(&Message::new(&topic, QueueId(0), &body, host)).unwrap();
        store.append(&mut batch).unwrap();
        old.push(body);
    }
    let end = store.max_physical_offset().0;
    store.close().unwrap();
    drop(store);
    // As Java begins a group: a blank, and entries in the next file.
    let start = end - end.rem_euclid(FILE_BYTES as i64);
    let divide = start + FILE_BYTES as i64;
    let last = member.root().join(format!("commitlog/{start:020}"));
    damage(&last, (end - start) as u64, &((divide - end) as i32).to_be_bytes());
    damage(&last, (end - start + 4) as u64, &crate::message::MAGIC_BLANK.to_be_bytes());
    let mut maker = Maker::new(&member.root(), divide);
    maker.next.insert(("T".to_owned(), 0), 40);
    for number in 0..60 {
        maker.send("T", 0, &vec![b'b'; 100 + number]);
    }
    maker.write();
    let imported = member.import().unwrap();
    assert_eq!((imported.old_records, imported.records, imported.begin), (40, 60, 0));
    assert_eq!(member.verify(), 100);
    let store = member.open(&imported);
    maker.check(&store);
    for (offset, body) in old.iter().enumerate() {
        assert_eq!(StoredMessage::parse(&record(&store, "T", 0, offset as i64)).unwrap().body, body);
    }
    let old_file = |root: PathBuf| fs::read(root.join(format!("commitlog/{:020}", 0))).unwrap();
    assert!(old_file(member.root()) == old_file(member.to()), "byte for byte");
    drop(store);
    fs::remove_dir_all(member.to()).unwrap();
    fs::remove_file(&last).unwrap();
    let refused = member.import().unwrap_err();
    assert!(matches!(refused, ImportError::Gap { .. }), "{refused}");
}

#[test]
fn a_topic_that_was_deleted_stays_deleted_and_one_made_again_has_its_second_life() {
    let member = member();
    let mut maker = Maker::new(&member.root(), 0);
    for _ in 0..3 {
        maker.send("gone", 0, b"gone");
    }
    for _ in 0..5 {
        maker.send("again", 0, b"first life");
    }
    maker.next.insert(("again".to_owned(), 0), 0);
    maker.sent.clear();
    for _ in 0..2 {
        maker.send("again", 0, b"second life");
    }
    maker.write();
    member.noted(Some(maker.index - 1));
    write_queue(&member.root(), "again", 0, 0, &[]);
    let imported = member.import().unwrap();
    assert_eq!(imported.notes, ["topic gone was deleted: its records are in the log, and in no queue"]);
    let store = member.open(&imported);
    maker.check(&store);
    assert_eq!(store.max_offset("again", QueueId(0)), Some(QueueOffset(2)));
    assert_eq!(store.max_offset("gone", QueueId(0)), None);
}
