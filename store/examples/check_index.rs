//! Opens a copy of a store that Java wrote and looks up every message of the manifest by each of its keys, first with the
//! index files of Java, then with ours; and says whether these have the same bytes:
//! `check_index <store folder> <manifest.json> <commit log file bytes> <queue file bytes> <index slots> <index entries>`.
#![expect(clippy::print_stdout, reason = "prints what it found")]

use std::error::Error;
use std::fs;
use std::path::Path;

use remoting::types::{Clock, PhysicalOffset, Timestamp};
use serde_json::Value;
use store::message::StoredMessage;
use store::{IndexConfig, KeyKind, Query, Store, StoreConfig};

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [root, manifest, log_bytes, queue_bytes, slots, entries] = &args[..] else {
        return Err("usage: check_index <store folder> <manifest.json> <commit log file bytes> <queue file bytes> \
                    <index slots> <index entries>"
            .into());
    };
    let mut config = StoreConfig::new(root);
    config.commit_log_file_bytes = log_bytes.parse()?;
    config.consume_queue_file_bytes = queue_bytes.parse()?;
    config.index = IndexConfig { slots: slots.parse()?, entries: entries.parse()?, ..IndexConfig::default() };
    let manifest: Value = serde_json::from_slice(&fs::read(manifest)?)?;
    let messages = manifest["messages"].as_array().ok_or("no messages")?;

    // As Java left them: nothing may be added.
    config.index.enable = false;
    look_up(&config, messages)?;
    let dir = Path::new(root).join("index");
    let javas = files(&dir)?;
    fs::remove_dir_all(&dir)?;
    config.index.enable = true;
    config.index.complete_at_open = true;
    look_up(&config, messages)?;
    let ours = files(&dir)?;
    println!("{} files of Java, {} of ours", javas.len(), ours.len());
    for (java, our) in javas.iter().zip(&ours) {
        let differing = java.1.iter().zip(&our.1).filter(|(java, our)| java != our).count();
        println!("{} and {}: {differing} bytes differ", java.0, our.0);
    }
    Ok(())
}

fn look_up(config: &StoreConfig, messages: &[Value]) -> Result<(), Failure> {
    let (store, _) = Store::open(config.clone(), Clock::system())?;
    let (mut by_key, mut by_tags, mut without_tags) = (0, 0, 0);
    for message in messages {
        if message["innerBatch"] == true || message["fromCompactionLog"] == true {
            continue;
        }
        let offset = PhysicalOffset(message["physicalOffset"].as_i64().ok_or("physicalOffset")?);
        let record = store.record_at(offset).ok_or_else(|| format!("no record at {offset}"))?;
        let topic = StoredMessage::parse(&record)?.topic.to_owned();
        let is_found = |key: &str, kind| {
            let query = Query {
                topic: &topic,
                key,
                kind,
                begin: Timestamp(0),
                end: Timestamp(i64::MAX),
                max_messages: usize::MAX,
                max_bytes: usize::MAX,
            };
            store.query(&query).messages.contains(&record)
        };
        let properties = &message["properties"];
        let words = ["UNIQ_KEY", "KEYS"].iter().filter_map(|name| properties[name].as_str());
        for key in words.flat_map(|text| text.split(' ')).filter(|key| !key.is_empty()) {
            if !is_found(key, KeyKind::Key) {
                return Err(format!("{topic}: the message at {offset} is not found by {key}").into());
            }
            by_key += 1;
        }
        if let Some(tags) = properties["TAGS"].as_str() {
            *(if is_found(tags, KeyKind::Tags) { &mut by_tags } else { &mut without_tags }) += 1;
        }
    }
    println!("found {by_key} times by key, {by_tags} times by tags; {without_tags} not by tags");
    store.close()?;
    Ok(())
}

/// Names and bytes, in order.
fn files(dir: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
    }
    files.sort();
    Ok(files)
}
