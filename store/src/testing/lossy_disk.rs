//! A disk that keeps what was synced, and of the rest as much as chance leaves.
//!
//! It works on real files, so that mappings see what was written, and notes beside them what a power cut would spare:
//! - bytes of a file: those of the last sync that worked, and for each 512-byte sector written since any of the versions it
//!   had, so writes are reordered, torn at sectors and lost at pages;
//! - creations, sizes and removals: in the order they happened (as journalling file systems do), up to any point behind the
//!   last synced one.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;
use remoting::types::Clock;

use crate::config::StoreConfig;
use crate::consume_queue::roster;
use crate::error::StoreError;
use crate::io::{Files, RealFiles, Stamp};
use crate::raft::RaftLog;
use crate::recovery::RecoveryReport;
use crate::store::{Store, Turns};

const SECTOR: usize = 512;

/// What the disk does wrong on purpose, beside forgetting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lie {
    #[default]
    None,
    /// Syncs of files return at once and keep nothing.
    DataSyncs,
    /// Creations and removals are not kept by syncs of folders.
    FolderSyncs,
    /// Ranges that should read as zero keep their bytes.
    Zeroing,
}

/// An operation that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Writing and making files, for want of space; a part of the bytes arrives.
    Full,
    /// Writing; a part of the bytes arrives.
    Write,
    /// Syncing: the bytes may never reach the disk, whatever later syncs say.
    Sync,
}

#[derive(Debug)]
pub struct LossyDisk {
    root: PathBuf,
    lie: Lie,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    root: PathBuf,
    rng: Rng,
    inodes: HashMap<u64, Inode>,
    /// Files of the start, by path below the root.
    found: BTreeMap<PathBuf, u64>,
    changes: Vec<Change>,
    /// So many changes survive whatever happens.
    kept_changes: usize,
    fault: Option<(Fault, usize)>,
}

#[derive(Debug, Default)]
struct Inode {
    /// What syncs have kept; the size is that of the file.
    kept: Vec<u8>,
    /// Written since the last sync, or before one that failed.
    pending: Vec<Write>,
}

#[derive(Debug)]
struct Write {
    at: usize,
    bytes: Vec<u8>,
    /// A sync of it has failed: no later one keeps it.
    doomed: bool,
}

#[derive(Debug)]
enum Change {
    Create(PathBuf, u64),
    Size(u64),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl Change {
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Create(path, _) | Self::Remove(path) | Self::Rename(path, _) => path.parent(),
            Self::Size(_) => None,
        }
    }
}

impl LossyDisk {
    /// Takes what lies below `root` as kept.
    pub fn new(root: &Path, lie: Lie, seed: u64) -> Self {
        let (mut inodes, mut found) = (HashMap::new(), BTreeMap::new());
        walk(root, &mut |path| {
            // The marks of a running store are not written through this disk.
            if path.parent() == Some(root) && !path.ends_with("checkpoint") && !path.ends_with(roster::FILE_NAME) {
                return;
            }
            let number = fs::metadata(path).expect("a file").ino();
            inodes.insert(number, Inode { kept: fs::read(path).expect("a file"), pending: Vec::new() });
            found.insert(path.strip_prefix(root).expect("below").to_owned(), number);
        });
        let rng = Rng::with_seed(seed);
        let state =
            State { root: root.to_owned(), rng, inodes, found, changes: Vec::new(), kept_changes: 0, fault: None };
        Self { root: root.to_owned(), lie, state: Mutex::new(state) }
    }

    /// Opens a store that is a Raft log on this disk, whose background work is done [by hand](super::ByHand).
    ///
    /// # Errors
    /// As [`Store::open_raft`]; also if the disk fails meanwhile.
    pub fn open_raft(
        self: &Arc<Self>,
        config: StoreConfig,
        clock: Clock,
    ) -> Result<(Arc<Store>, RaftLog, RecoveryReport), StoreError> {
        Store::open_raft_on(config, clock, false, Arc::clone(self) as _, Turns::ByHand)
    }

    /// From the `after`-th operation of that kind on, all of them fail, until told otherwise.
    pub fn fail(&self, fault: Option<(Fault, usize)>) {
        self.state.lock().fault = fault;
    }

    /// Makes in `to` what a power cut at this moment might leave.
    pub fn crash(&self, to: &Path) {
        let state = &mut *self.state.lock();
        let survive = state.rng.usize(state.kept_changes..=state.changes.len());
        let mut files = state.found.clone();
        let mut sized: BTreeSet<u64> = files.values().copied().collect();
        for change in &state.changes[..survive] {
            match change {
                Change::Create(path, inode) => drop(files.insert(path.clone(), *inode)),
                Change::Size(inode) => drop(sized.insert(*inode)),
                Change::Remove(path) => drop(files.remove(path)),
                Change::Rename(from, to) => {
                    if let Some(inode) = files.remove(from) {
                        files.insert(to.clone(), inode);
                    }
                }
            }
        }
        // Files that do not go through this disk: marks and locks.
        walk(&self.root, &mut |path| {
            if !state.inodes.contains_key(&fs::metadata(path).expect("a file").ino()) {
                let path = path.strip_prefix(&self.root).expect("below");
                write_file(&to.join(path), &fs::read(self.root.join(path)).expect("a file"));
            }
        });
        for (path, number) in files {
            let Some(inode) = state.inodes.get(&number) else { continue };
            // An empty last file is removed by the opening, beside this disk.
            if inode.kept.is_empty() && inode.pending.is_empty() && !self.root.join(&path).exists() {
                continue;
            }
            let bytes = if sized.contains(&number) { inode.image(&mut state.rng) } else { Vec::new() };
            write_file(&to.join(path), &bytes);
        }
    }
}

impl Inode {
    /// The bytes after a power cut.
    fn image(&self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = self.kept.clone();
        let sectors: BTreeSet<usize> =
            self.pending.iter().flat_map(|write| write.at / SECTOR..write.end().div_ceil(SECTOR)).collect();
        // Often nothing or everything of a file reached the disk; else each sector has one of its versions.
        let usual = rng.u8(0..4);
        for sector in sectors {
            let versions: Vec<&Write> = self.pending.iter().filter(|write| write.touches(sector)).collect();
            let count = match usual {
                0 => 0,
                1 => versions.len(),
                _ => rng.usize(0..=versions.len()),
            };
            for write in &versions[..count] {
                write.apply(&mut bytes, sector * SECTOR, (sector + 1) * SECTOR);
            }
        }
        bytes
    }

    fn sync(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        for write in pending {
            if write.doomed {
                self.pending.push(write);
            } else {
                // What is kept now is newer than what was doomed before.
                self.pending.retain(|doomed| doomed.end() <= write.at || write.end() <= doomed.at);
                write.apply(&mut self.kept, 0, usize::MAX);
            }
        }
    }
}

impl Write {
    fn end(&self) -> usize {
        self.at + self.bytes.len()
    }

    fn touches(&self, sector: usize) -> bool {
        self.at < (sector + 1) * SECTOR && sector * SECTOR < self.end()
    }

    /// Writes its bytes that lie in `from..to`.
    fn apply(&self, bytes: &mut Vec<u8>, from: usize, to: usize) {
        let (from, to) = (from.max(self.at), to.min(self.end()));
        if bytes.len() < to {
            bytes.resize(to, 0);
        }
        bytes[from..to].copy_from_slice(&self.bytes[from - self.at..to - self.at]);
    }
}

impl State {
    /// Whether this operation is to fail.
    fn fails(&mut self, kinds: &[Fault]) -> Option<Fault> {
        let (fault, after) = self.fault.as_mut()?;
        if !kinds.contains(fault) {
            return None;
        }
        if *after > 0 {
            *after -= 1;
            return None;
        }
        Some(*fault)
    }

    fn inode(&mut self, file: &File) -> io::Result<&mut Inode> {
        let metadata = file.metadata()?;
        Ok(match self.inodes.entry(metadata.ino()) {
            Entry::Occupied(known) => known.into_mut(),
            // Made beside this disk, which takes it as kept.
            Entry::Vacant(new) => {
                let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
                self.found.insert(path.strip_prefix(&self.root).expect("below").to_owned(), metadata.ino());
                new.insert(Inode { kept: vec![0; metadata.len() as usize], pending: Vec::new() })
            }
        })
    }
}

fn failure(fault: Fault) -> io::Error {
    match fault {
        Fault::Full => io::ErrorKind::StorageFull.into(),
        Fault::Write | Fault::Sync => io::Error::other("the disk is sick"),
    }
}

impl Files for LossyDisk {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let state = &mut *self.state.lock();
        let fault = state.fails(&[Fault::Full, Fault::Write]);
        let arrives = if fault.is_some() { state.rng.usize(0..=bytes.len()) } else { bytes.len() };
        RealFiles.write_at(file, &bytes[..arrives], offset)?;
        let write = Write { at: offset as usize, bytes: bytes[..arrives].to_vec(), doomed: false };
        state.inode(file)?.pending.push(write);
        fault.map_or(Ok(()), |fault| Err(failure(fault)))
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        let state = &mut *self.state.lock();
        let fault = state.fails(&[Fault::Sync]);
        let inode = state.inode(file)?;
        if let Some(fault) = fault {
            inode.pending.iter_mut().for_each(|write| write.doomed = true);
            return Err(failure(fault));
        }
        if self.lie != Lie::DataSyncs {
            inode.sync();
        }
        Ok(())
    }

    fn create_sized(&self, path: &Path, bytes: u64, reserve: bool) -> io::Result<File> {
        let state = &mut *self.state.lock();
        if let Some(fault) = state.fails(&[Fault::Full]) {
            return Err(failure(fault));
        }
        let file = RealFiles.create_sized(path, bytes, reserve)?;
        let number = file.metadata()?.ino();
        state.inodes.insert(number, Inode { kept: vec![0; bytes as usize], pending: Vec::new() });
        let path = path.strip_prefix(&self.root).expect("below").to_owned();
        state.changes.extend([Change::Create(path, number), Change::Size(number)]);
        Ok(file)
    }

    fn zero_range(&self, file: &File, from: u64, end: u64) -> io::Result<()> {
        if self.lie == Lie::Zeroing || from >= end {
            return Ok(());
        }
        let state = &mut *self.state.lock();
        if let Some(fault) = state.fails(&[Fault::Write]) {
            return Err(failure(fault));
        }
        RealFiles.zero_range(file, from, end)?;
        let zeros = Write { at: from as usize, bytes: vec![0; (end - from) as usize], doomed: false };
        state.inode(file)?.pending.push(zeros);
        Ok(())
    }

    /// Nothing ever changes: a store has only what it reads to tell what happened to it.
    /// Each life of it is ended by a power cut.
    fn boot(&self) -> io::Result<String> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn stamp(&self, _: &Path) -> io::Result<Stamp> {
        Ok(Stamp { device: 0, inode: 0, changed_ns: 0 })
    }

    fn moment_after_all(&self, _: &File) -> io::Result<i64> {
        Ok(1)
    }

    /// Never full but by a fault, whatever else lies on the machine's disk.
    fn used_share(&self, _: &Path) -> f64 {
        0.0
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let state = &mut *self.state.lock();
        // Its number must not go to another file: the image may still need it.
        let graveyard = self.root.with_extension("removed");
        fs::create_dir_all(&graveyard)?;
        if !path.exists() {
            return Ok(());
        }
        fs::rename(path, graveyard.join(state.changes.len().to_string()))?;
        state.changes.push(Change::Remove(path.strip_prefix(&self.root).expect("below").to_owned()));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let state = &mut *self.state.lock();
        fs::rename(from, to)?;
        let [from, to] = [from, to].map(|path| path.strip_prefix(&self.root).expect("below").to_owned());
        state.changes.push(Change::Rename(from, to));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let state = &mut *self.state.lock();
        if let Some(fault) = state.fails(&[Fault::Sync]) {
            return Err(failure(fault));
        }
        let Ok(dir) = dir.strip_prefix(&self.root) else { return Ok(()) };
        if self.lie != Lie::FolderSyncs
            && let Some(last) = state.changes.iter().rposition(|change| change.dir() == Some(dir))
        {
            // The file's size goes with its name.
            let with_size = last + 1 + usize::from(matches!(state.changes.get(last + 1), Some(Change::Size(_))));
            state.kept_changes = state.kept_changes.max(with_size);
        }
        Ok(())
    }
}

/// Files below `dir`, but what belongs to no store.
fn walk(dir: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() { walk(&path, visit) } else { visit(&path) }
    }
}

fn write_file(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, bytes).expect("a file");
}
