//! The stores that Java left in `store/golden`, sound and damaged.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use remoting::types::Clock;
use serde_json::Value;
use store::{Store, StoreConfig};
use tempfile::TempDir;

const NAMES: [&str; 4] = ["java-5.5.0-store", "java-4.9.7-store", "java-5.5.0-crash", "java-5.5.0-cqext"];

fn unpack(name: &str) -> (TempDir, PathBuf) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("store/golden/stores").join(format!("{name}.tar.gz"));
    let folder = tempfile::tempdir().unwrap();
    tar::Archive::new(GzDecoder::new(fs::File::open(golden).unwrap())).unpack(folder.path()).unwrap();
    let root = folder.path().join("store");
    (folder, root)
}

fn tool(line: &str, root: &Path) -> Result<(bool, String), String> {
    let (act, options) = line.split_once(' ').unwrap_or((line, ""));
    let mut words = vec!["ferromq", "store", act, root.to_str().unwrap()];
    words.extend(options.split_whitespace());
    let crate::args::Asked::Store(args) = crate::args::parse(words.into_iter().map(Into::into)).unwrap() else {
        panic!("{line} is for the store");
    };
    let mut out = Vec::new();
    match super::act(&args, &mut out) {
        Ok(sound) => Ok((sound, String::from_utf8(out).unwrap())),
        Err(err) => Err(err.to_string()),
    }
}

fn json(line: &str, root: &Path) -> Value {
    serde_json::from_str(&tool(line, root).unwrap().1).unwrap()
}

/// Everything in a folder, to see that nothing changes.
fn fingerprint(root: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(fingerprint(&entry));
        } else {
            let modified = fs::metadata(&entry).unwrap().modified().unwrap();
            found.push((entry.clone(), fs::read(&entry).unwrap(), modified));
        }
    }
    found.sort();
    found
}

#[test]
fn stores_of_java_are_sound_and_stay_as_they_are() {
    for name in NAMES {
        let (_folder, root) = unpack(name);
        let before = fingerprint(&root);
        for act in ["inspect", "verify", "dump", "inspect --json", "verify --json", "dump --json"] {
            let (sound, text) = tool(act, &root).unwrap();
            assert!(
                sound,
                "{name} {act}\n{}",
                text.lines().filter(|line| line.contains("PROBLEM")).collect::<String>()
            );
        }
        assert!(fingerprint(&root) == before, "{name} was changed");
    }
}

#[test]
fn what_is_in_a_store_is_told() {
    let (_folder, root) = unpack("java-5.5.0-store");
    let found = json("inspect --json", &root);
    let queue = |topic: &str, id: i64| {
        let is_it = |queue: &&Value| queue["topic"] == topic && queue["queueId"] == id;
        found["queues"].as_array().unwrap().iter().find(is_it).cloned().unwrap()
    };
    assert_eq!((&queue("FixNormal", 3)["maxOffset"], &queue("FixNormal", 3)["files"]), (&43.into(), &2.into()));
    assert_eq!((&queue("FixBcq", 0)["maxOffset"], &queue("FixBcq", 0)["units"]), (&18.into(), &4.into()));
    assert_eq!(found["commitLog"]["fileBytes"], 1_048_576);
    assert_eq!(found["indexes"][0]["slots"], 500);
    assert_eq!(found["abort"], false);
    let verified = json("verify --json", &root);
    assert_eq!(verified["problemCount"], 0);
    assert!(verified["indexEntries"].as_u64().unwrap() > 1000);
    let (_, text) = tool("inspect", &root).unwrap();
    assert!(text.contains("FixBcq-0: offsets 0 to 18, 4 units in 1 file, of inner batches"), "{text}");
    assert!(text.contains("timerlog: "), "{text}");
}

#[test]
fn messages_are_dumped_by_queue_and_by_place() {
    let (_folder, root) = unpack("java-5.5.0-store");
    let (_, text) = tool("dump --topic FixNormal --queue 3 --from 40 --max 2", &root).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains(" FixNormal-3@40 ") && lines[1].contains(" FixNormal-3@41 "), "{text}");
    let one = json("dump --json --from 1484032 --max 1", &root);
    assert_eq!((&one["topic"], &one["properties"]["__LITE_TOPIC"]), (&"FixLite".into(), &"room0".into()));
    assert_eq!(one["id"], "7F000001000055970000000000".to_owned() + "16A500");
}

#[test]
fn stores_of_other_kinds_are_named() {
    for (name, says) in [("java-5.5.0-rocksdbcq", "queues in RocksDB"), ("java-5.5.0-dledger", "DLedger")] {
        let (_folder, root) = unpack(name);
        assert!(tool("inspect", &root).unwrap().1.contains(says), "{name}");
        let (sound, text) = tool("verify", &root).unwrap();
        assert!(sound && text.contains("note: "), "{text}");
    }
}

/// Changes bytes of a file and returns the problems that are found.
fn damaged(name: &str, file: &str, at: u64, bytes: &[u8]) -> String {
    let (_folder, root) = unpack(name);
    let file = fs::OpenOptions::new().write(true).open(root.join(file)).unwrap();
    file.write_all_at(bytes, at).unwrap();
    let (sound, text) = tool("verify", &root).unwrap();
    assert!(!sound, "nothing was found");
    text.lines().filter(|line| line.starts_with("PROBLEM")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn damage_is_found_and_told_in_words() {
    let check = |file: &str, at: u64, bytes: &[u8], says: &str| {
        let problems = damaged("java-5.5.0-store", file, at, bytes);
        assert!(problems.contains(says), "{says:?} in\n{problems}");
    };
    const LOG: &str = "commitlog/00000000000000000000";
    // A body, the place in a head, and a whole head.
    check(LOG, 90, b"?", "at 0: body CRC is");
    check(LOG, 28, &[1; 8], "at 0: the record says that it lies at");
    check(
        LOG,
        20,
        &7_i64.to_be_bytes(),
        "FixNormal-0 offset 0: it points at 0, where the message with queue offset 7 lies",
    );
    check(LOG, 231, &[9; 8], "at 231: 0x09090909 is no record magic: the log ends here");
    const QUEUE: &str = "consumequeue/FixNormal/3/00000000000000000000";
    check(QUEUE, 0, &[0, 0, 0, 0, 0, 0, 0, 1], "FixNormal-3 offset 0: it points at 1, where no record begins there");
    check(QUEUE, 11, &[1], "FixNormal-3 offset 0: it points at");
    check(QUEUE, 12, &[3; 8], "FixNormal-3 offset 0: it has the tags code");
    check(QUEUE, 200, &[0; 20], "FixNormal-3: 10 units point into the log, which holds 43 records");
    check(
        "batchconsumequeue/FixBcq/0/00000000000000000000",
        28,
        &9_i64.to_be_bytes(),
        "FixBcq-0 offset 9: it points at",
    );
    check(
        "checkpoint",
        40,
        &i64::MAX.to_be_bytes(),
        "checkpoint: queues flushed up to 9223372036854775807, but the log ends at",
    );
    check("config/topics.json", 0, b"?", "config/topics.json: it is no JSON");
}

#[test]
fn damage_in_an_index_is_found() {
    let (_folder, root) = unpack("java-5.5.0-store");
    let name = fs::read_dir(root.join("index")).unwrap().map(|entry| entry.unwrap().file_name()).min().unwrap();
    let file = format!("index/{}", name.to_str().unwrap());
    let second = 40 + 500 * 4 + 2 * 20;
    for (at, bytes, says) in [
        (second, 5_i32.to_be_bytes().to_vec(), "entry 2: "),
        (
            second + 4,
            i64::MAX.to_be_bytes().to_vec(),
            "entry 2: it points at 9223372036854775807, where it lies outside",
        ),
        (second + 12, 99_999_i32.to_be_bytes().to_vec(), "entry 2: it points at"),
    ] {
        let problems = damaged("java-5.5.0-store", &file, at, &bytes);
        assert!(problems.contains(says), "{says:?} in\n{problems}");
    }
}

#[test]
fn missing_and_odd_files_are_found() {
    let (_folder, root) = unpack("java-5.5.0-store");
    fs::remove_file(root.join("consumequeue/FixNormal/3/00000000000000000000")).unwrap();
    fs::write(root.join("commitlog/notes.txt"), "mine").unwrap();
    fs::rename(root.join("batchconsumequeue/FixBcq"), root.join("consumequeue/FixBcq")).unwrap();
    let (sound, text) = tool("verify", &root).unwrap();
    assert!(!sound);
    for says in ["FixNormal-3: 13 units point into the log", "notes.txt: the name is no offset of 20 digits", "FixBcq"]
    {
        assert!(text.contains(says), "{says:?} in\n{text}");
    }
}

#[test]
fn a_folder_that_is_no_store_or_is_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(tool("inspect", folder.path()).unwrap_err().contains("is no store"));
}

#[test]
fn our_own_stores_are_sound_after_a_stop_and_after_a_crash() {
    let (_folder, root) = unpack("java-5.5.0-crash");
    let mut config = StoreConfig::new(&root);
    config.commit_log_file_bytes = 1 << 20;
    config.consume_queue_file_bytes = 600;
    let (store, _) = Store::open(config, Clock::system()).unwrap();
    let (sound, text) = tool("verify --running", &root).unwrap();
    assert!(sound, "{text}");
    store.close().unwrap();
    let (sound, text) = tool("verify", &root).unwrap();
    assert!(sound && text.ends_with("all is well\n"), "{text}");
}

#[test]
fn what_the_last_stop_noted_of_the_queues_is_told_and_checked() {
    let (_folder, root) = unpack("java-5.5.0-crash");
    assert_eq!(json("inspect --json", &root)["roster"], Value::Null);
    let mut config = StoreConfig::new(&root);
    config.commit_log_file_bytes = 1 << 20;
    config.consume_queue_file_bytes = 600;
    let (store, _) = Store::open(config, Clock::system()).unwrap();
    store.close().unwrap();
    let found = json("inspect --json", &root);
    assert_eq!(found["roster"]["queues"], found["queues"].as_array().unwrap().len());
    assert!(found["others"].as_array().unwrap().iter().all(|other| other["path"] != "ferromq.queues"));
    assert!(!tool("verify", &root).unwrap().1.contains("ferromq.queues"));

    let queue = &found["queues"][0];
    let queue = format!("consumequeue/{}/{}", queue["topic"].as_str().unwrap(), queue["queueId"]);
    fs::remove_dir_all(root.join(queue)).unwrap();
    let (_, text) = tool("verify", &root).unwrap();
    assert!(text.contains("note: ferromq.queues: 1 queues are not as the last stop"), "{text}");

    let file = fs::OpenOptions::new().write(true).open(root.join("ferromq.queues")).unwrap();
    file.write_all_at(b"x", 40).unwrap();
    assert_eq!(json("inspect --json", &root)["roster"]["queues"], Value::Null);
    let (_, text) = tool("verify", &root).unwrap();
    assert!(text.contains("note: ferromq.queues: it is torn, damaged"), "{text}");
}

#[test]
fn a_store_is_made_of_a_dledger_member_which_stays_as_it_is() {
    let (folder, root) = unpack("java-5.5.0-dledger");
    let to = folder.path().join("new");
    let line = |options: &str| format!("import {} {options}", to.display());
    let before = fingerprint(&root);
    let (_, told) = tool(&line("--dry-run"), &root).unwrap();
    assert!(
        told.starts_with(&format!("would make {} of the member n0 in {}\n", to.display(), root.display())),
        "{told}"
    );
    assert!(!to.exists());
    let (_, made) = tool(&line(""), &root).unwrap();
    for says in [
        "messages: 42 up to entry 41 of term 0; 41 was noted as agreed on\n",
        "commit log: from 0 to ",
        "queues: 2, and 0 that keep their next offset only\n",
        "settings it needs: mappedFileSizeCommitLog=1048576 mappedFileSizeConsumeQueue=600 maxHashSlotNum=500 maxIndexNum=400\n",
    ] {
        assert!(made.contains(says), "{says:?} in\n{made}");
    }
    assert_eq!(told.split_once('\n').unwrap().1, made.split_once('\n').unwrap().1, "what is told is what is done");
    assert!(fingerprint(&root) == before, "the member was changed");
    let (sound, text) = tool("verify", &to).unwrap();
    assert!(sound && text.ends_with("all is well\n"), "{text}");
    let dumped = json("dump --json --topic FixDl --queue 0 --from 21", &to);
    assert_eq!((&dumped["topic"], &dumped["queueOffset"]), (&"FixDl".into(), &21.into()));
    assert!(tool(&line(""), &root).unwrap_err().contains("is not empty"));
    assert!(tool(&format!("import {}", root.display()), &to).unwrap_err().contains("needs no import"));
}

#[test]
fn an_import_takes_the_settings_of_the_broker_that_will_open_the_store() {
    let (folder, root) = unpack("java-5.5.0-dledger");
    let (to, conf) = (folder.path().join("new"), folder.path().join("broker.conf"));
    let line = format!("import {} -c {} --json", to.display(), conf.display());
    fs::write(&conf, "maxMessageSize=65536\nmappedFileSizeCommitLog=1048576\nmappedFileSizeConsumeQueue=6000\n")
        .unwrap();
    let refused = tool(&line, &root).unwrap_err();
    assert!(refused.contains("mappedFileSizeConsumeQueue says 6000: set it to 600"), "{refused}");
    fs::write(&conf, "messageDelayLevel=1 lightyear\n").unwrap();
    let refused = tool(&line, &root).unwrap_err();
    assert!(refused.contains("messageDelayLevel"), "{refused}");
    let settings = "maxMessageSize=65536\nmappedFileSizeCommitLog=1048576\nmappedFileSizeConsumeQueue=600\n\
                    maxHashSlotNum=70\nmaxIndexNum=90\n";
    fs::write(&conf, settings).unwrap();
    let made = json(&line, &root);
    assert_eq!((&made["records"], &made["maxHashSlotNum"], &made["member"]), (&42.into(), &70.into(), &"n0".into()));
    assert_eq!(json("inspect --json", &to)["indexes"][0]["slots"], 70);
}

#[test]
fn what_is_wrong_with_an_import_is_said() {
    let check = |line: &str, expect: &str| {
        let words = line.split_whitespace().map(std::ffi::OsString::from);
        assert_eq!(crate::args::parse(words).unwrap_err(), expect, "{line}");
    };
    check(
        "ferromq store import old",
        "import from where to where? The storePathRootDir of a stopped DLedger member, and a new folder",
    );
    check("ferromq store verify old --dry-run", "--data, -c, --committed and --dry-run are for import");
    check("ferromq store import old new --running", "a store that is in use cannot be imported: stop its broker");
    check("ferromq store import old new --max 3", "--topic, --queue, --from and --max are for dump");
    check("ferromq store verify old new", "unexpected argument \"new\"");
}
