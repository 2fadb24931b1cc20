//! The stores that Java left in `golden/stores`, unpacked, with what the Java client read from them.
#![allow(dead_code, unreachable_pub, reason = "every test file uses another part")]

use std::fs;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;
use store::StoreConfig;
use tempfile::TempDir;

/// A copy of one of the stores.
pub struct JavaStore {
    folder: TempDir,
    pub manifest: Value,
}

impl JavaStore {
    pub fn unpack(name: &str) -> Self {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/stores");
        let open = |file: String| GzDecoder::new(fs::File::open(golden.join(file)).expect("a golden file"));
        let folder = tempfile::tempdir().expect("a folder");
        let archive = open(format!("{name}.tar.gz"));
        tar::Archive::new(archive).unpack(folder.path()).expect("an archive");
        let manifest = serde_json::from_reader(open(format!("{name}.manifest.json.gz"))).expect("a manifest");
        Self { folder, manifest }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The settings of the broker that wrote it.
    pub fn config(&self) -> StoreConfig {
        let number = |key: &str| self.manifest["brokerConfig"][key].as_str().and_then(|text| text.parse().ok());
        let small = |key: &str| number(key).and_then(|number: u64| u32::try_from(number).ok());
        let mut config = StoreConfig::new(self.root());
        config.commit_log_file_bytes = number("mappedFileSizeCommitLog").expect("a size");
        config.consume_queue_file_bytes = number("mappedFileSizeConsumeQueue").expect("a size");
        if let Some(bytes) = number("mapperFileSizeBatchConsumeQueue") {
            config.batch_consume_queue_file_bytes = bytes;
        }
        if let (Some(slots), Some(entries)) = (small("maxHashSlotNum"), small("maxIndexNum")) {
            (config.index.slots, config.index.entries) = (slots, entries);
        }
        config
    }

    pub fn messages(&self) -> &[Value] {
        self.manifest["messages"].as_array().expect("messages")
    }

    pub fn queues(&self) -> &[Value] {
        self.manifest["queues"].as_array().expect("queues")
    }
}

/// Every file below `root` that `keep` takes, with its bytes.
pub fn files(root: &Path, keep: &dyn Fn(&str) -> bool) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root).expect("below the root").to_str().expect("text").to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if keep(&name) {
                found.push((name, fs::read(&path).expect("a file")));
            }
        }
    }
    found.sort();
    found
}
