//! Messages are found by key, whatever became of the index files.

mod common;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::*;
use proptest::prelude::*;
use proptest::sample::Index;
use remoting::types::{Clock, PhysicalOffset, Timestamp, TopicName};
use store::inspect::{InspectOptions, inspect};
use store::message::{StoredMessage, sys_flag};
use store::{KeyKind, Query, QueryOutcome, Store, StoreConfig};

fn by_key<'a>(topic: &'a str, key: &'a str) -> Query<'a> {
    Query {
        topic,
        key,
        kind: KeyKind::Key,
        begin: Timestamp(0),
        end: Timestamp(i64::MAX),
        max_messages: 1000,
        max_bytes: usize::MAX,
    }
}

fn offsets(found: &QueryOutcome) -> Vec<i64> {
    let offset = |record| StoredMessage::parse(record).expect("a record").physical_offset.0;
    found.messages.iter().map(|record| offset(record)).collect()
}

fn find(store: &Store, key: &str) -> Vec<i64> {
    offsets(&store.query(&by_key("Topic", key)))
}

fn keyed(store: &Store, properties: &str) -> i64 {
    let properties = properties.replace('=', "\u{1}").replace(';', "\u{2}");
    put(store, &topic(), 0, b"body", &properties).physical_offset.0
}

fn index_files(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root.join("index")) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn a_message_is_found_by_unique_key_keys_and_tags_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    let first = keyed(&store, "KEYS=a b;UNIQ_KEY=u1;TAGS=x;");
    let second = keyed(&store, "KEYS=b  b c;UNIQ_KEY=u2;TAGS=y;");
    for (key, expect) in [("a", vec![first]), ("b", vec![first, second]), ("c", vec![second]), ("u1", vec![first])] {
        assert_eq!(find(&store, key), expect, "{key}");
    }
    assert!(find(&store, "x").is_empty() && find(&store, "").is_empty() && find(&store, "a b").is_empty());
    assert!(store.query(&by_key("Other", "a")).messages.is_empty());
    let tags = Query { kind: KeyKind::Tags, ..by_key("Topic", "y") };
    let found = store.query(&tags);
    assert_eq!(offsets(&found), [second]);
    assert_eq!((found.last_update_timestamp, found.last_update_offset), (NOW, PhysicalOffset(second)));
    let nothing = store.query(&by_key("Topic", "none"));
    assert_eq!((nothing.last_update_timestamp, nothing.last_update_offset), (Timestamp(0), PhysicalOffset(0)));
}

#[test]
fn the_newest_are_taken_within_the_time_the_count_and_the_bytes_asked_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Clock::fixed(NOW);
    let (store, _) = Store::open(config(dir.path()), clock.clone()).expect("opened");
    let mut sent = Vec::new();
    // Over several index files, with less than a second between two messages.
    for _ in 0..200 {
        sent.push((clock.now(), keyed(&store, "KEYS=k;")));
        clock.advance(Duration::from_millis(300));
    }
    assert!(index_files(dir.path()).len() <= 4);
    let within = |begin: i64, end: i64| {
        let (begin, end) = (Timestamp(NOW.0 + begin), Timestamp(NOW.0 + end));
        let expect: Vec<_> =
            sent.iter().filter(|(at, _)| (begin..=end).contains(at)).map(|(_, offset)| *offset).collect();
        (offsets(&store.query(&Query { begin, end, ..by_key("Topic", "k") })), expect)
    };
    for (begin, end) in
        [(0, 60_000), (300, 300), (301, 599), (599, 1201), (-5, 0), (17_000, 41_000), (59_700, 70_000), (5, 1)]
    {
        let (found, expect) = within(begin, end);
        assert_eq!(found, expect, "{begin} to {end}");
    }
    let all: Vec<_> = sent.iter().map(|(_, offset)| *offset).collect();
    let newest = |count: usize| offsets(&store.query(&Query { max_messages: count, ..by_key("Topic", "k") }));
    assert_eq!([newest(1), newest(70), newest(0)], [all[199..].to_vec(), all[130..].to_vec(), Vec::new()]);
    let size = (all[1] - all[0]) as usize;
    let fit = |bytes: usize| offsets(&store.query(&Query { max_bytes: bytes, ..by_key("Topic", "k") })).len();
    assert_eq!([fit(0), fit(size), fit(2 * size - 1), fit(2 * size)], [1, 1, 1, 2]);
}

#[test]
fn half_messages_are_found_rolled_back_ones_are_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    let topic = TopicName::new("Topic");
    let put = |flag| {
        let mut batch = store.batch();
        let message = store::message::Message { sys_flag: flag, ..message(&topic, 0, b"", "KEYS\u{1}k\u{2}") };
        batch.push(&message).expect("legal");
        store.append(&mut batch).expect("stored").positions[0].physical_offset.0
    };
    let half = put(sys_flag::TRANSACTION_PREPARED);
    put(sys_flag::TRANSACTION_ROLLBACK);
    let committed = put(sys_flag::TRANSACTION_COMMIT);
    assert_eq!(find(&store, "k"), [half, committed]);
}

#[test]
fn a_closed_store_goes_on_in_the_same_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut sent = Vec::new();
    for _ in 0..3 {
        let (store, _) = open(config(dir.path()));
        sent.extend((0..5).map(|_| keyed(&store, "KEYS=k;TAGS=t;")));
        store.close().expect("closed");
    }
    let files = index_files(dir.path());
    assert_eq!(files.len(), 1);
    let bytes = fs::read(&files[0]).expect("an index file");
    assert_eq!(bytes[36..40], 31i32.to_be_bytes(), "every entry once");
    assert_eq!(find(&open(config(dir.path())).0, "k"), sent);
}

#[test]
fn what_was_stored_without_an_index_is_indexed_later() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut config = config(dir.path());
    config.index.enable = false;
    let (store, _) = open(config.clone());
    let first = keyed(&store, "KEYS=k;");
    assert!(find(&store, "k").is_empty());
    store.close().expect("closed");
    assert!(index_files(dir.path()).is_empty());
    config.index.enable = true;
    config.index.complete_at_open = true;
    let (store, _) = open(config);
    assert_eq!(index_files(dir.path()).len(), 1, "complete before it is open");
    assert_eq!(find(&store, "k"), [first]);
}

#[test]
fn files_of_messages_that_are_gone_are_removed_but_for_the_newest() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    // Three records fill a log file, 59 entries an index file.
    for _ in 0..300 {
        put(&store, &topic(), 0, &[0; 20_000], "KEYS\u{1}k\u{2}");
    }
    store.close().expect("closed");
    assert_eq!(index_files(dir.path()).len(), 6);
    let log = dir.path().join("commitlog");
    let mut files: Vec<_> =
        fs::read_dir(&log).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let kept = files.split_off(files.len() - 10);
    files.iter().for_each(|file| fs::remove_file(file).expect("removed"));
    let (store, _) = open(config(dir.path()));
    let min = store.min_physical_offset().0;
    assert!(min > 0 && kept.len() == 10);
    let found = find(&store, "k");
    assert!(found.len() >= 20 && found.iter().all(|offset| *offset >= min), "{found:?}");
    store.close().expect("closed");
    assert_eq!(index_files(dir.path()).len(), 2, "some of the messages that are left are in the last but one");
}

#[test]
fn damage_that_a_query_meets_is_made_good() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(config(dir.path()));
    let sent: Vec<_> = (0..150).map(|_| keyed(&store, "KEYS=k;")).collect();
    assert_eq!(find(&store, "k"), sent);
    let files = index_files(dir.path());
    assert_eq!(files.len(), 3);
    // Every entry of the second file points at itself.
    let file = fs::OpenOptions::new().write(true).open(&files[1]).expect("a file");
    for number in 1..60u32 {
        let at = 40 + 40 * 4 + number * 20 + 16;
        file.write_all_at(&number.to_be_bytes(), at.into()).expect("written");
    }
    let damaged = find(&store, "k");
    assert!(damaged.len() < sent.len() && damaged.iter().all(|offset| sent.contains(offset)));
    // The query has asked for it to be made again; a later one waits for that.
    let mut found = Vec::new();
    for _ in 0..100 {
        found = find(&store, "k");
        if found == sent {
            break;
        }
        std::thread::yield_now();
        keyed(&store, "KEYS=other;");
    }
    assert_eq!(found, sent);
}

/// What a check of the closed store finds wrong.
fn problems(root: &Path) -> Vec<String> {
    let options = InspectOptions { root: root.to_owned(), commit_log_dir: None, running: false };
    let verified = inspect(&options).expect("a store").verify(&mut |_, _| {}).expect("readable files");
    verified.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_check_finds_nothing_wrong_with_files_that_follow_each_other_whatever_the_clock_did() {
    let dir = tempfile::tempdir().expect("a folder");
    let clock = Clock::fixed(NOW);
    let (store, _) = Store::open(config(dir.path()), clock.clone()).expect("opened");
    for second in 0..200 {
        // Set back once in every file.
        clock.set(Timestamp(NOW.0 + second * 10_000 - if second % 59 == 30 { 1_000_000 } else { 0 }));
        keyed(&store, "KEYS=k;");
    }
    store.close().expect("closed");
    assert_eq!(index_files(dir.path()).len(), 4);
    assert_eq!(problems(dir.path()), [""; 0]);
}

#[test]
fn a_check_finds_entries_that_are_wrong() {
    // Fields of the second entry: hash, physical offset, seconds, next older entry.
    for (at, value, says) in [
        (0, 0xFF, "a field of it is negative"),
        (4, 0xFF, "a field of it is negative"),
        (12, 0xFF, "a field of it is negative"),
        (16, 0xFF, "a field of it is negative"),
        (3, 0x55, "where no message with its key lies"),
        (11, 0x01, "where "),
        (14, 0x01, "a message stored 0 s after the first lies, not 256"),
    ] {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, _) = open(config(dir.path()));
        (0..3).for_each(|_| _ = keyed(&store, "KEYS=k;"));
        store.close().expect("closed");
        let file = fs::OpenOptions::new().write(true).open(&index_files(dir.path())[0]).expect("a file");
        file.write_all_at(&[value], 40 + 40 * 4 + 2 * 20 + at).expect("written");
        let problems = problems(dir.path());
        let is_told = |problem: &String| problem.contains("entry 2: ") && problem.contains(says);
        assert!(problems.iter().any(is_told), "{at}: {problems:?}");
    }
}

/// What becomes of the files beyond an end of the process.
#[derive(Clone, Debug)]
enum Harm {
    None,
    /// A crash: `abort` stays, and so does what was written.
    Crash,
    /// Index files are gone.
    Lost,
    /// Bytes of one file are something else.
    Garbage(Index, Vec<(Index, u8)>),
    /// One file is shorter or longer.
    Resized(Index, u64),
    /// After a crash, the log ends earlier than the index.
    LogCut(Index),
}

#[derive(Clone, Debug)]
enum Step {
    /// A batch of messages, by the numbers of their keys.
    Append(Vec<Vec<u8>>),
    Reopen(Harm),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use proptest::collection::vec;
    let harm = prop_oneof![
        2 => Just(Harm::None),
        3 => Just(Harm::Crash),
        1 => Just(Harm::Lost),
        2 => (any::<Index>(), vec((any::<Index>(), any::<u8>()), 1..60)).prop_map(|(at, bytes)| Harm::Garbage(at, bytes)),
        1 => (any::<Index>(), 0..3000u64).prop_map(|(at, bytes)| Harm::Resized(at, bytes)),
        2 => any::<Index>().prop_map(Harm::LogCut),
    ];
    let append = vec(vec(0..30u8, 0..5), 1..40).prop_map(Step::Append);
    vec(prop_oneof![3 => append, 2 => harm.prop_map(Step::Reopen)], 1..8)
}

/// Ends the store as `harm` says and opens what is left, in another folder. `sent` loses what the log has lost.
fn reopen(
    store: Arc<Store>,
    config: &mut StoreConfig,
    to: &Path,
    harm: &Harm,
    sent: &mut Vec<(i64, Vec<u8>)>,
) -> Arc<Store> {
    let from = config.root.clone();
    if matches!(harm, Harm::Crash | Harm::LogCut(_)) {
        copy(&from, to);
        drop(store);
    } else {
        store.close().expect("closed");
        copy(&from, to);
    }
    let files = index_files(to);
    match harm {
        Harm::None | Harm::Crash => {}
        Harm::Lost => {
            let _ = fs::remove_dir_all(to.join("index"));
        }
        Harm::Garbage(at, bytes) if !files.is_empty() => {
            let file = fs::OpenOptions::new().write(true).open(at.get(&files)).expect("a file");
            for (at, byte) in bytes {
                file.write_all_at(&[*byte], at.index(40 + 40 * 4 + 60 * 20) as u64).expect("written");
            }
        }
        Harm::Resized(at, bytes) if !files.is_empty() => {
            fs::OpenOptions::new().write(true).open(at.get(&files)).expect("a file").set_len(*bytes).expect("resized");
        }
        Harm::Garbage(..) | Harm::Resized(..) => {}
        Harm::LogCut(at) if !sent.is_empty() => {
            let cut = sent[at.index(sent.len())].0;
            sent.retain(|(offset, _)| *offset < cut);
            let mut start = cut / 65_536 * 65_536;
            while let Ok(file) = fs::OpenOptions::new().write(true).open(to.join(format!("commitlog/{start:020}"))) {
                let from = (cut - start).max(0);
                file.write_all_at(&vec![0; (65_536 - from) as usize], from as u64).expect("zeros");
                start += 65_536;
            }
        }
        Harm::LogCut(_) => {}
    }
    config.root = to.to_owned();
    open(config.clone()).0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Every message in the log is found by each of its keys, and nothing else is.
    #[test]
    fn queries_answer_as_the_log_does(steps in steps()) {
        let dir = tempfile::tempdir().expect("a folder");
        let mut config = config(&dir.path().join("0"));
        let mut store = open(config.clone()).0;
        let mut sent: Vec<(i64, Vec<u8>)> = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Append(messages) => {
                    let mut batch = store.batch();
                    for keys in messages {
                        let words: Vec<_> = keys.iter().map(|key| format!("key-{key}")).collect();
                        let properties = format!("KEYS\u{1}{}\u{2}UNIQ_KEY\u{1}{}\u{2}", words.join(" "), sent.len());
                        batch.push(&message(&topic(), 0, &vec![0; 900], &properties)).expect("legal");
                    }
                    let appended = store.append(&mut batch).expect("stored");
                    sent.extend(appended.positions.iter().map(|at| at.physical_offset.0).zip(messages.iter().cloned()));
                }
                Step::Reopen(harm) => {
                    store = reopen(store, &mut config, &dir.path().join(format!("{}", number + 1)), harm, &mut sent);
                }
            }
            // Damage inside a file is only seen by who walks over it: then it is made good.
            let harmed = matches!(step, Step::Reopen(Harm::Garbage(..)));
            for key in 0..30u8 {
                let expect: Vec<_> =
                    sent.iter().filter(|(_, keys)| keys.contains(&key)).map(|(offset, _)| *offset).collect();
                let found = find(&store, &format!("key-{key}"));
                if harmed {
                    prop_assert!(found.iter().all(|offset| expect.contains(offset)), "step {number}, key {key}");
                } else {
                    prop_assert_eq!(found, expect, "step {}, key {}", number, key);
                }
            }
            if harmed {
                fs::remove_dir_all(config.root.join("index")).ok();
                let to = dir.path().join(format!("{}-again", number + 1));
                store = reopen(store, &mut config, &to, &Harm::Lost, &mut sent);
            }
        }
    }
}
