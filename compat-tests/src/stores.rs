//! Whether two brokers have the same log and the same queues, byte by byte.
//!
//! Files of a store are filled up with zeros, or end with what was written: zeros at the end make no difference. The queues of a
//! broker that began in the middle of the log have no entries of before, and blank ones in their place.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// One consume queue entry.
const ENTRY: usize = 20;
/// Read at a time; whole entries.
const CHUNK: usize = ENTRY * 64 * 1024;

/// From where on a broker has the log of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    Beginning,
    /// From the beginning of a later file: it lacks files of the other.
    LaterFile,
}

/// What was found to be equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Equal {
    /// Bytes of the log that both have.
    pub log: u64,
    /// Queue entries that both have.
    pub entries: u64,
}

/// Compares the commit log and all consume queues of the store `other` with those of `store`, whole: those that only one of them
/// has must be empty, but for what is before the beginning of `other`.
///
/// # Errors
/// If they differ, with the file and the place, or have nothing in common.
pub fn compare(store: &Path, other: &Path, since: Since) -> Result<Equal> {
    let logs = pairs(&store.join("commitlog"), &other.join("commitlog"))?;
    let mut equal = Equal::default();
    let mut begun = since == Since::Beginning;
    for (name, [own, theirs]) in logs {
        begun |= theirs.is_some();
        if begun {
            equal.log += compare_files(own.as_deref(), theirs.as_deref(), false).with_context(|| name.clone())?;
        }
    }
    ensure!(equal.log > 0, "no log in {}", other.display());
    let mut entries = 0;
    for (queue, [own, theirs]) in queues(store, other)? {
        let mut blank = since == Since::LaterFile;
        for (name, [own, theirs]) in pairs(&own, &theirs)? {
            let place = || format!("{}/{name}", queue.display());
            if blank && theirs.is_none() {
                continue;
            }
            entries += compare_files(own.as_deref(), theirs.as_deref(), blank).with_context(place)?;
            // Entries are blank in the first file only.
            blank = false;
        }
    }
    equal.entries = entries / ENTRY as u64;
    ensure!(equal.entries > 0, "no queue entries in {}", other.display());
    Ok(equal)
}

/// Files of either folder, by name.
fn pairs(one: &Path, other: &Path) -> Result<BTreeMap<String, [Option<PathBuf>; 2]>> {
    let mut pairs: BTreeMap<String, [Option<PathBuf>; 2]> = BTreeMap::new();
    for (number, folder) in [one, other].into_iter().enumerate() {
        for path in listed(folder)? {
            let name = path.file_name().context("find a file's name")?.to_string_lossy().into_owned();
            // Offsets of 20 digits; others are notes, temporary files and locks.
            if name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit()) {
                pairs.entry(name).or_default()[number] = Some(path);
            }
        }
    }
    Ok(pairs)
}

/// Folders of every queue that either has, by topic and number.
fn queues(store: &Path, other: &Path) -> Result<BTreeMap<PathBuf, [PathBuf; 2]>> {
    let mut queues = BTreeMap::new();
    for root in [store, other] {
        let root = root.join("consumequeue");
        for topic in listed(&root)?.into_iter().filter(|path| path.is_dir()) {
            for queue in listed(&topic)?.into_iter().filter(|path| path.is_dir()) {
                let name = queue.strip_prefix(&root).context("name a queue")?;
                let both = [store, other].map(|store| store.join("consumequeue").join(name));
                queues.insert(name.to_owned(), both);
            }
        }
    }
    Ok(queues)
}

/// What is in a folder; nothing, if there is none.
fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("list {}", folder.display()))?,
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// Bytes that are equal, and no zeros at the end; with `blank`, of behind the entries that are blank in the second file.
fn compare_files(one: Option<&Path>, other: Option<&Path>, mut blank: bool) -> Result<u64> {
    let (mut one, mut other) = (Chunks::open(one)?, Chunks::open(other)?);
    let (mut place, mut end) = (0, 0);
    loop {
        let (left, right) = (one.next()?, other.next()?);
        if left.is_empty() && right.is_empty() {
            return Ok(end);
        }
        if !blank && left == right {
            if let Some(last) = left.iter().rposition(|byte| *byte != 0) {
                end = place + (last / ENTRY * ENTRY + ENTRY) as u64;
            }
            place += CHUNK as u64;
            continue;
        }
        for (number, [left, right]) in entries(left, right).enumerate() {
            let at = place + (number * ENTRY) as u64;
            blank &= is_blank(right);
            if blank {
                continue;
            }
            if !same(left, right) {
                bail!("differs at {at}: {left:02x?} and {right:02x?}");
            }
            if left.iter().any(|byte| *byte != 0) {
                end = at + ENTRY as u64;
            }
        }
        place += CHUNK as u64;
    }
}

/// Both cut into pieces of an entry's size; the shorter has empty ones at its end.
fn entries<'a>(left: &'a [u8], right: &'a [u8]) -> impl Iterator<Item = [&'a [u8]; 2]> {
    let count = left.len().max(right.len()).div_ceil(ENTRY);
    let piece = |bytes: &'a [u8], number: usize| {
        let from = (number * ENTRY).min(bytes.len());
        &bytes[from..(from + ENTRY).min(bytes.len())]
    };
    (0..count).map(move |number| [piece(left, number), piece(right, number)])
}

/// Equal up to zeros at the end of one.
fn same(left: &[u8], right: &[u8]) -> bool {
    let common = left.len().min(right.len());
    left[..common] == right[..common] && left[common..].iter().chain(&right[common..]).all(|byte| *byte == 0)
}

/// Java fills the place of entries that it does not have with such that name no message: their size is the largest.
fn is_blank(entry: &[u8]) -> bool {
    entry.iter().all(|byte| *byte == 0) || entry.get(8..12) == Some(&i32::MAX.to_be_bytes())
}

/// A file, piece by piece; none is an empty one.
struct Chunks {
    file: Option<File>,
    buffer: Vec<u8>,
}

impl Chunks {
    fn open(path: Option<&Path>) -> Result<Self> {
        let file = path.map(|path| File::open(path).with_context(|| format!("open {}", path.display()))).transpose()?;
        Ok(Self { file, buffer: Vec::with_capacity(CHUNK) })
    }

    /// [`CHUNK`] bytes, fewer at the end, and none behind it.
    fn next(&mut self) -> Result<&[u8]> {
        self.buffer.clear();
        if let Some(file) = &mut self.file {
            file.take(CHUNK as u64).read_to_end(&mut self.buffer).context("read a file")?;
        }
        Ok(&self.buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> PathBuf {
        let dir = std::env::temp_dir().join(format!("ferromq-stores-{}-{}", std::process::id(), fastrand::u64(..)));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn stores_without_queue_entries_are_not_the_same() {
        let check = |entries: &[u8]| {
            let dir = scratch();
            let stores = ["one", "other"].map(|name| dir.join(name));
            for (folder, bytes) in [("commitlog", &[7; 100][..]), ("consumequeue/t/0", entries)] {
                for store in &stores {
                    fs::create_dir_all(store.join(folder)).unwrap();
                    fs::write(store.join(folder).join("00000000000000000000"), bytes).unwrap();
                }
            }
            let compared = compare(&stores[0], &stores[1], Since::Beginning).ok();
            fs::remove_dir_all(&dir).unwrap();
            compared
        };
        assert_eq!(check(&[7; 2 * ENTRY]), Some(Equal { log: 100, entries: 2 }));
        assert_eq!(check(&[0; 2 * ENTRY]), None);
    }

    #[test]
    fn zeros_at_the_end_make_no_difference() {
        let check = |one: &[u8], other: &[u8], blank: bool| {
            let dir = scratch();
            let paths = ["one", "other"].map(|name| dir.join(name));
            fs::write(&paths[0], one).unwrap();
            fs::write(&paths[1], other).unwrap();
            let compared = compare_files(Some(&paths[0]), Some(&paths[1]), blank).ok();
            fs::remove_dir_all(&dir).unwrap();
            compared
        };
        let (full, empty) = ([7; ENTRY], [0; ENTRY]);
        assert_eq!(check(&full, &full, false), Some(20));
        assert_eq!(check(&[full, empty].concat(), &full, false), Some(20));
        assert_eq!(check(&[full, full].concat(), &full, false), None);
        assert_eq!(check(&[7; 25], &[7; 25], false), Some(40));
        assert_eq!(check(&[full, full].concat(), &[empty, full].concat(), false), None);
        assert_eq!(check(&[full, full].concat(), &[empty, full].concat(), true), Some(40));
        assert_eq!(check(&[full, full].concat(), &[full, empty].concat(), true), None);
        assert_eq!(check(&[], &empty, false), Some(0));
    }
}
