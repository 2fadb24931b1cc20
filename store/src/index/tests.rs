//! Index files against Java's way of writing them, on a disk that fails, and damaged.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;

use super::batch::Batch;
use super::file::IndexFile;
use super::layout::{Header, Layout};
use crate::io::{Files, RealFiles};

const LAYOUT: Layout = Layout { slots: 1500, entries: 400 };

/// Hash, physical offset, store time.
type Put = (u32, i64, i64);

/// A file as Java's `IndexFile` keeps it, written entry by entry.
struct JavaFile(Vec<u8>);

impl JavaFile {
    fn new() -> Self {
        Self(vec![0; LAYOUT.file_bytes() as usize])
    }

    fn int(&self, at: u64) -> i32 {
        i32::from_be_bytes(*self.0[at as usize..].first_chunk().unwrap())
    }

    fn long(&self, at: u64) -> i64 {
        i64::from_be_bytes(*self.0[at as usize..].first_chunk().unwrap())
    }

    fn set(&mut self, at: u64, bytes: &[u8]) {
        self.0[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Java: `IndexFile.putKey`.
    fn put(&mut self, (hash, offset, time): Put) {
        let count = self.int(36).max(1);
        let slot = LAYOUT.slot_at(hash % LAYOUT.slots);
        let older = self.int(slot);
        let begin = self.long(0);
        let seconds = if begin <= 0 { 0 } else { ((time - begin) / 1000).clamp(0, i32::MAX.into()) as i32 };
        let entry = LAYOUT.entry_at(count as u32);
        self.set(entry, &hash.to_be_bytes());
        self.set(entry + 4, &offset.to_be_bytes());
        self.set(entry + 12, &seconds.to_be_bytes());
        self.set(entry + 16, &older.to_be_bytes());
        self.set(slot, &count.to_be_bytes());
        if count <= 1 {
            self.set(0, &time.to_be_bytes());
            self.set(16, &offset.to_be_bytes());
        }
        if older == 0 {
            self.set(32, &(self.int(32) + 1).to_be_bytes());
        }
        self.set(8, &time.to_be_bytes());
        self.set(24, &offset.to_be_bytes());
        self.set(36, &(count + 1).to_be_bytes());
    }
}

/// Fails the writes that it is told to, in the middle.
#[derive(Debug, Default)]
struct FailingDisk {
    writes: AtomicUsize,
    fail_every: usize,
}

impl Files for FailingDisk {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.fail_every > 0 && self.writes.fetch_add(1, Ordering::Relaxed) % self.fail_every == self.fail_every - 1 {
            RealFiles.write_at(file, &bytes[..bytes.len() / 2], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        RealFiles.write_at(file, bytes, offset)
    }

    fn sync_data(&self, _: &File) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

fn create(dir: &Path) -> IndexFile {
    IndexFile::create(&dir.join("1"), 1, LAYOUT, Header::following(0, 0), &FailingDisk::default()).unwrap()
}

/// Few hashes, so that slots have chains, of one key and of several.
fn puts() -> impl Strategy<Value = Vec<Put>> {
    let hash = prop_oneof![0..20u32, (0..20u32).prop_map(|hash| hash * LAYOUT.slots), 0..i32::MAX as u32];
    vec((hash, 1..100i64, -500..5000i64), 1..(LAYOUT.entries as usize - 1)).prop_map(|puts| {
        let (mut offset, mut time) = (0, 1_000_000);
        let put = |(hash, bytes, ms): Put| {
            offset += bytes;
            time += ms;
            (hash, offset, time)
        };
        puts.into_iter().map(put).collect()
    })
}

fn select(file: &IndexFile, hash: u32, begin: i64, end: i64) -> Vec<i64> {
    let mut found = Vec::new();
    let each = |offset| {
        found.push(offset);
        ControlFlow::Continue(())
    };
    let done = file.select(hash, (begin, end), each);
    assert!(done.is_ok(), "{done:?}");
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However entries are batched, and whatever fails between, the file is Java's, byte by byte.
    #[test]
    fn files_have_javas_bytes(puts in puts(), batch_sizes in vec(1..200usize, 1..10), fail_every in 0..9usize) {
        let dir = tempfile::tempdir().unwrap();
        let mut java = JavaFile::new();
        let mut ours = create(dir.path());
        // A batch takes two writes and one for every block it touches; every other one of those may fail.
        let disk = FailingDisk { fail_every: fail_every * 5, ..FailingDisk::default() };
        let mut batch = Batch::new(ours.header);
        let mut rest = &puts[..];
        for size in batch_sizes.into_iter().chain([usize::MAX]) {
            let (now, later) = rest.split_at(size.min(rest.len()));
            rest = later;
            for put in now {
                java.put(*put);
                batch.push(put.0, put.1, put.2);
            }
            while batch.write(&mut ours, &disk).is_err() {
                prop_assert!(batch.is_due(LAYOUT), "nothing is added to what was tried");
            }
        }
        prop_assert!(fs::read(&ours.path).unwrap() == java.0);
        let reopened = IndexFile::open(&ours.path, 1, LAYOUT).unwrap();
        prop_assert_eq!(reopened.header, ours.header);
    }

    #[test]
    fn every_entry_is_found_by_hash_and_time(puts in puts(), begin in 999_000..1_300_000i64, length in 0..200_000i64) {
        let dir = tempfile::tempdir().unwrap();
        let mut file = create(dir.path());
        let mut batch = Batch::new(file.header);
        puts.iter().for_each(|put| batch.push(put.0, put.1, put.2));
        batch.write(&mut file, &RealFiles).unwrap();
        for (hash, ..) in &puts {
            let of_hash = || puts.iter().rev().filter(|put| put.0 == *hash);
            let all: Vec<_> = of_hash().map(|put| put.1).collect();
            prop_assert_eq!(select(&file, *hash, i64::MIN, i64::MAX), all);
        }
        // Time only ends a search early where it does not run backwards.
        if puts.is_sorted_by_key(|put| put.2) {
            let end = begin + length;
            for (hash, ..) in &puts {
                let found = select(&file, *hash, begin, end);
                let in_time = puts.iter().filter(|put| put.0 == *hash && (begin..=end).contains(&put.2));
                prop_assert!(in_time.into_iter().all(|put| found.contains(&put.1)));
            }
        }
    }

    /// Whatever the bytes are, a search ends.
    #[test]
    fn damaged_files_neither_hang_nor_crash_a_search(puts in puts(), damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..400)) {
        let dir = tempfile::tempdir().unwrap();
        let mut file = create(dir.path());
        let mut batch = Batch::new(file.header);
        puts.iter().for_each(|put| batch.push(put.0, put.1, put.2));
        batch.write(&mut file, &RealFiles).unwrap();
        let used = LAYOUT.entry_at(file.header.count) as usize;
        for (at, byte) in &damage {
            file.file.write_all_at(&[*byte], at.index(used) as u64).unwrap();
        }
        let file = IndexFile::open(&file.path, 1, LAYOUT).unwrap_or(file);
        for (hash, ..) in &puts {
            let mut steps = 0;
            let _ = file.select(*hash, (i64::MIN, i64::MAX), |_| {
                steps += 1;
                ControlFlow::Continue(())
            });
            prop_assert!(steps < LAYOUT.entries);
        }
    }
}

#[test]
fn a_chain_that_goes_round_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = create(dir.path());
    let mut batch = Batch::new(file.header);
    (1..5).for_each(|offset| batch.push(7, offset, offset));
    batch.write(&mut file, &RealFiles).unwrap();
    assert_eq!(select(&file, 7, i64::MIN, i64::MAX), [4, 3, 2, 1]);
    // Entry 2 points at entry 3, which points at entry 2.
    file.file.write_all_at(&3i32.to_be_bytes(), LAYOUT.entry_at(2) + 16).unwrap();
    let mut found = Vec::new();
    let end = file.select(7, (i64::MIN, i64::MAX), |offset| {
        found.push(offset);
        ControlFlow::Continue(())
    });
    assert!(matches!(end, Err(super::Damage::Entry(2))), "{end:?}");
    assert_eq!(found, [4, 3], "what was good is found");
}

#[test]
fn files_of_another_size_are_damage() {
    let dir = tempfile::tempdir().unwrap();
    let file = create(dir.path());
    let other = Layout { entries: LAYOUT.entries + 1, ..LAYOUT };
    let opened = IndexFile::open(&file.path, 1, other);
    assert!(matches!(opened, Err(super::Damage::Size { found: 14_040, expected: 14_060 })), "{opened:?}");
}
