//! What servers and clients wrote: unexpected lines of ours fail a scenario, and a failure keeps everything.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::target::STORE;

/// WARN and ERROR lines our servers may write in any scenario, each with the reason. A line is allowed if it contains
/// the text.
pub const ALLOWED: &[(&str, &str)] = &[];

/// Of scenarios that kill a broker.
pub const KILLED: (&str, &str) = ("lost a broker's connection", "the name server tells of the kill");

const SLOW_DISK: (&str, &str) =
    ("the disk keeps this member waiting", "on a busy machine a flush takes long, and the lead is given away");
const OTHERS_ARE_SLOW: (&str, &str) =
    ("the disk of this member is slow", "it cannot be given to others whose disk is the same, or who are busy");

/// Of scenarios on a broker group.
pub const GROUP: [(&str, &str); 4] = [
    SLOW_DISK,
    OTHERS_ARE_SLOW,
    ("a member of the group cannot be reached", "on a busy machine its answer comes late"),
    ("most of the others do not answer", "and then the leader tells that it waits for them"),
];

/// Of scenarios that stop members of a broker group.
pub const GROUP_FAULTS: [(&str, &str); 9] = [
    KILLED,
    SLOW_DISK,
    OTHERS_ARE_SLOW,
    ("a member of the group cannot be reached", "the others tell of it"),
    ("most of the others do not answer", "and so does the leader, if it needs them"),
    ("proposed again", "messages that were turned away meanwhile get another turn"),
    ("somebody else asks on the port of the group", "a connection ended before a word was said"),
    ("registration failed", "a member that is cut off reaches no name server either"),
    ("refused a broker", "what a leader said before it was gone comes after its successor's word"),
];

/// Of scenarios with transactions in doubt.
pub const NOBODY_TO_ASK: (&str, &str) = ("none of their producers is there", "the broker looked while nobody was");

/// Of scenarios with a Java 4.9 broker.
pub const OLD_LEAVES: (&str, &str) =
    ("lost a broker's connection", "Java 4.9 hangs up before it says that it leaves, and the name server tells");

/// Of scenarios that kill Java's broker at work, for ours to go on with its files.
pub const KILLED_WHILE_WRITING: [(&str, &str); 4] = [
    KILLED,
    ("commit log ends in something that is no record", "a record was being written"),
    ("index file is damaged", "an entry was being written"),
    ("no message where an index file ends", "its message was cut off with the end of the log"),
];

/// Of scenarios that end a name server.
pub const NAME_SERVER_GOES: [(&str, &str); 2] = [
    ("the name server closed the connection", "it was ended"),
    ("registration failed; it is tried again", "it is not there for a while"),
];

/// Of scenarios that stop a master that has a slave of ours.
pub const MASTER_GOES: [(&str, &str); 2] = [
    ("the master is not followed for now", "it is being started anew"),
    ("the master does not tell its tables", "it is being started anew"),
];

/// Of a broker group that is stopped as a whole.
pub const GROUP_ENDS: (&str, &str) =
    ("no other member is well enough for the lead", "the others were stopped before the leader");

/// Of migrations.
pub const MIGRATION: [(&str, &str); 2] = [NOBODY_TO_ASK, OLD_LEAVES];

/// How much of some log files is already known.
#[derive(Debug)]
pub struct Watch(Vec<(PathBuf, usize)>);

impl Watch {
    /// Watches the output of our own servers from here on.
    pub fn start(files: Vec<PathBuf>) -> Self {
        let known = |path: &PathBuf| fs::read(path).map_or(0, |bytes| bytes.len());
        Self(files.into_iter().map(|path| (path.clone(), known(&path))).collect())
    }

    /// The WARN and ERROR lines written since that `allowed` does not excuse.
    pub fn complaints(&self, allowed: impl Fn(&str) -> bool) -> Vec<String> {
        let mut complaints = Vec::new();
        for (path, known) in &self.0 {
            // A file that is not there yet has no lines.
            let bytes = fs::read(path).unwrap_or_default();
            let text = without_colours(&String::from_utf8_lossy(bytes.get(*known..).unwrap_or_default()));
            complaints.extend(text.lines().filter(|line| complains(line) && !allowed(line)).map(str::to_owned));
        }
        complaints
    }
}

fn complains(line: &str) -> bool {
    line.split_whitespace().take(3).any(|word| word == "WARN" || word == "ERROR") || line.contains("panicked at")
}

/// Drops the escape sequences that colour a terminal: `ESC [ … m`.
pub(crate) fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}

/// Copies logs, output and configuration of a cluster to `target/compat/logs/<name>`, with what went wrong in
/// `failure.txt`, and tells where that is. Stores are left out: they are large, and a failure that needs one can be
/// repeated.
///
/// # Errors
/// If files cannot be copied.
pub fn keep(cache: &Path, cluster: &Path, name: &str, failure: &str) -> Result<PathBuf> {
    let kept = cache.join("logs").join(name.replace('/', "--"));
    if kept.exists() {
        fs::remove_dir_all(&kept).with_context(|| format!("clear {}", kept.display()))?;
    }
    copy(cluster, &kept)?;
    fs::write(kept.join("failure.txt"), failure).context("write failure.txt")?;
    Ok(kept)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry?;
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            // Also stores that were moved or added: `java-store`, `next-store`.
            if !entry.file_name().to_string_lossy().ends_with(STORE) {
                copy(&path, &copied)?;
            }
        } else if entry.file_type()?.is_file() {
            // Logs are rotated and pid files vanish while others still run.
            let _ = fs::copy(&path, &copied);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_not_kept() {
        let dir = std::env::temp_dir().join(format!("ferromq-logs-{}-{}", std::process::id(), fastrand::u64(..)));
        let cluster = dir.join("cluster");
        for file in ["n0/broker.out", "n0/store/log", "n0/java-store/log", "n0/next-store/log", "n0/home/store.log"] {
            let file = cluster.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let kept = keep(&dir, &cluster, "some/test", "why").unwrap();
        let is_kept = |file: &str| kept.join(file).exists();
        assert!(is_kept("failure.txt") && is_kept("n0/broker.out") && is_kept("n0/home/store.log"));
        assert!(!is_kept("n0/store") && !is_kept("n0/java-store") && !is_kept("n0/next-store"));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn levels_are_found_in_coloured_lines() {
        let line = "\u{1b}[2m2026-11-21T12:00:00Z\u{1b}[0m \u{1b}[33m WARN\u{1b}[0m broker: queue is behind";
        assert_eq!(without_colours(line), "2026-11-21T12:00:00Z  WARN broker: queue is behind");
        assert!(complains(&without_colours(line)));
        assert!(!complains("2026-11-21T12:00:00Z  INFO broker: no ERROR here"));
        assert!(complains("thread 'main' panicked at src/main.rs:1:1:"));
    }
}
