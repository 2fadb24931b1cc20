//! Where the member that is filled gathers what it is sent.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use remoting::types::PhysicalOffset;

use super::{COMPLETE, FOLDER, QUEUES, TABLES};
use crate::config::StoreConfig;
use crate::io::{Files, RealFiles, remove_file, sync_dir};
use crate::segments;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Folders beside the files that are in use. All of it blocks.
#[derive(Clone, Debug)]
pub struct Staging {
    root: PathBuf,
    log_dir: PathBuf,
    file_bytes: u64,
}

impl Staging {
    pub(crate) fn of(config: &StoreConfig) -> Self {
        let (root, log_dir) = (config.root.join(FOLDER), config.commit_log_dir().join(FOLDER));
        Self { root, log_dir, file_bytes: config.commit_log_file_bytes }
    }

    /// Makes the folders and drops what is of no use in them: all but files of the log that begin at one of `starts`.
    ///
    /// # Errors
    /// Failing I/O.
    pub fn begin(&self, starts: &BTreeSet<PhysicalOffset>) -> io::Result<()> {
        remove_dir(&self.root)?;
        fs::create_dir_all(self.root.join(TABLES))?;
        fs::create_dir_all(&self.log_dir)?;
        let wanted: BTreeSet<_> = starts.iter().map(|start| segments::path_of(&self.log_dir, start.0)).collect();
        for entry in fs::read_dir(&self.log_dir)? {
            let path = entry?.path();
            if !wanted.contains(&path) {
                remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Whether an earlier attempt has left anything.
    pub fn is_begun(&self) -> bool {
        self.root.is_dir() || self.log_dir.is_dir()
    }

    /// Bytes of the file of the log that begins at `start`, which an earlier attempt has left.
    ///
    /// # Errors
    /// Failing I/O.
    pub fn gathered(&self, start: PhysicalOffset) -> io::Result<u64> {
        match fs::metadata(self.segment(start)) {
            Ok(found) => Ok(found.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// CRC-32 of so many bytes of that file.
    ///
    /// # Errors
    /// Failing I/O.
    pub fn checksum(&self, start: PhysicalOffset, bytes: u64) -> io::Result<u32> {
        if bytes == 0 {
            return Ok(crc32fast::hash(&[]));
        }
        let mut file = File::open(self.segment(start))?.take(bytes);
        let (mut hasher, mut chunk) = (crc32fast::Hasher::new(), vec![0; CHUNK_BYTES]);
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(hasher.finalize()),
                read => hasher.update(&chunk[..read]),
            }
        }
    }

    /// The file of the log that begins at `start`, of which the first `kept` bytes stay.
    ///
    /// # Errors
    /// Failing I/O.
    pub fn open_segment(&self, start: PhysicalOffset, kept: u64) -> io::Result<File> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(self.segment(start))?;
        file.set_len(kept)?;
        Ok(file)
    }

    /// Gives that file its full size and the time when it was written to, and returns once it is on disk.
    ///
    /// # Errors
    /// Failing I/O.
    pub fn seal_segment(&self, file: &File, written_ms: i64) -> io::Result<()> {
        RealFiles.reserve(file, self.file_bytes)?;
        file.set_len(self.file_bytes)?;
        let written = Duration::from_millis(u64::try_from(written_ms).unwrap_or(0));
        file.set_modified(SystemTime::UNIX_EPOCH + written)?;
        file.sync_all()
    }

    /// A new file that is to be at `path` below the root.
    ///
    /// # Errors
    /// Failing I/O.
    pub fn create_table(&self, path: &str) -> io::Result<File> {
        let path = self.tables().join(path);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        File::create(path)
    }

    /// A new file for the [list of queues](super::Pinned::queues).
    ///
    /// # Errors
    /// Failing I/O.
    pub fn create_queues(&self) -> io::Result<File> {
        File::create(self.root.join(QUEUES))
    }

    /// What is to be below the root.
    pub fn tables(&self) -> PathBuf {
        self.root.join(TABLES)
    }

    /// Bytes that may still be written beside the log.
    pub fn room(&self) -> u64 {
        rustix::fs::statvfs(&self.log_dir).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// All is there, and every file on disk: from now on, and after a restart, the next opening of the store takes this in
    /// place of what it has. The log begins at `log_start`, and the entry that begins at `agreed` was agreed on.
    ///
    /// # Errors
    /// Failing I/O.
    pub fn complete(&self, log_start: PhysicalOffset, agreed: PhysicalOffset) -> io::Result<()> {
        sync_tree(&self.tables())?;
        sync_dir(&self.log_dir)?;
        if let Some(log) = self.log_dir.parent() {
            sync_dir(log)?;
        }
        let new = self.root.join(format!("{COMPLETE}.tmp"));
        let mut file = File::create(&new)?;
        file.write_all(format!("{} {}\n", log_start.0, agreed.0).as_bytes())?;
        file.sync_all()?;
        fs::rename(new, self.root.join(COMPLETE))?;
        sync_dir(&self.root)?;
        self.root.parent().map_or(Ok(()), sync_dir)
    }

    /// Drops all of it.
    ///
    /// # Errors
    /// Failing I/O.
    pub fn discard(&self) -> io::Result<()> {
        remove_dir(&self.root)?;
        remove_dir(&self.log_dir)
    }

    fn segment(&self, start: PhysicalOffset) -> PathBuf {
        segments::path_of(&self.log_dir, start.0)
    }
}

pub(super) fn remove_dir(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the entries of a folder, and of those in it, durable.
fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        }
    }
    sync_dir(dir)
}
