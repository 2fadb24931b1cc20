//! The `lock` and `abort` files: one broker per store, and whether the last one stopped cleanly.
//!
//! Java: `DefaultMessageStore.start`, `DefaultMessageStore.createTempFile`.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::fs::FlockOperation;

use crate::error::StoreError;
use crate::io::{remove_file, sync_dir};

/// Roots opened by this process. The file lock keeps other processes out, Java's included, but it belongs to the whole
/// process, and closing any handle of the file would release it.
static OPEN_HERE: Mutex<Option<HashSet<(u64, u64)>>> = Mutex::new(None);

const LOCK_TEXT: &[u8; 4] = b"lock";

/// The right to use a store; given back on drop.
#[derive(Debug)]
pub(crate) struct Presence {
    root: PathBuf,
    /// Device and inode of the root.
    key: (u64, u64),
    _lock: File,
}

impl Presence {
    /// Takes the lock of the store in `root`, which exists.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if this or another process has it.
    pub(crate) fn take(root: &Path) -> Result<Self, StoreError> {
        let metadata = fs::metadata(root).map_err(StoreError::io("look at", root))?;
        let key = (metadata.dev(), metadata.ino());
        if !OPEN_HERE.lock().get_or_insert_default().insert(key) {
            return Err(StoreError::Locked { root: root.to_owned() });
        }
        let release = Release(key);
        let path = root.join("lock");
        let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(StoreError::io("open", &path))?;
        // Java locks byte 0 only; a lock of the whole file meets it.
        match rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
                return Err(StoreError::Locked { root: root.to_owned() });
            }
            Err(error) => return Err(StoreError::io("lock", path)(error.into())),
        }
        // Java writes it at each start; here it is left as it is, so that it shows whether somebody else has used the store.
        let mut text = [0; LOCK_TEXT.len()];
        if lock.read_exact_at(&mut text, 0).is_err() || text != *LOCK_TEXT {
            lock.write_all_at(LOCK_TEXT, 0).map_err(StoreError::io("write", path))?;
        }
        std::mem::forget(release);
        Ok(Self { root: root.to_owned(), key, _lock: lock })
    }

    fn abort_path(&self) -> PathBuf {
        self.root.join("abort")
    }

    /// Whether the last exit was clean: it left no `abort` file.
    pub(crate) fn was_clean(&self) -> bool {
        !self.abort_path().exists()
    }

    /// From now on an exit is unclean until [`Self::leave_cleanly`].
    pub(crate) fn mark_running(&self) -> Result<(), StoreError> {
        let path = self.abort_path();
        let write = || -> io::Result<()> {
            fs::write(&path, std::process::id().to_string())?;
            sync_dir(&self.root)
        };
        write().map_err(StoreError::io("write", &path))
    }

    pub(crate) fn leave_cleanly(&self) -> Result<(), StoreError> {
        let path = self.abort_path();
        remove_file(&path).and_then(|()| sync_dir(&self.root)).map_err(StoreError::io("remove", path))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        drop(Release(self.key));
    }
}

/// Forgets that this process has the store open.
struct Release((u64, u64));

impl Drop for Release {
    fn drop(&mut self) {
        if let Some(open) = &mut *OPEN_HERE.lock() {
            open.remove(&self.0);
        }
    }
}

/// Refuses stores whose messages are in files that this version does not read.
pub(crate) fn check_kind(root: &Path) -> Result<(), StoreError> {
    const ROCKSDB: &str = "its consume queues are in RocksDB; start the Java broker once with \
        rocksdbCQDoubleWriteEnable=true until files are complete, or remove this folder and let the queues be made again \
        from the commit log";
    const DLEDGER: &str = "its messages are in DLedger's files; make an ordinary store of it with `ferromq store import` \
        (docs/migration-dledger.md), and name that here";
    const IMPORTING: &str = "an import has not finished in this folder: remove the folder and import again";
    let mark = root.join(crate::import::MARK);
    if mark.exists() {
        return Err(StoreError::OtherKind { path: mark, what: IMPORTING });
    }
    for queues in ["consumequeue", "consumequeue_rocksdb"] {
        let path = root.join(queues);
        if path.join("CURRENT").exists() {
            return Err(StoreError::OtherKind { path, what: ROCKSDB });
        }
    }
    for entry in fs::read_dir(root).map_err(StoreError::io("list", root))? {
        let entry = entry.map_err(StoreError::io("list", root))?;
        if entry.file_name().as_encoded_bytes().starts_with(b"dledger-") {
            return Err(StoreError::OtherKind { path: entry.path(), what: DLEDGER });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_used_by_one_at_a_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let first = Presence::take(dir.path()).expect("free");
        assert!(matches!(Presence::take(dir.path()), Err(StoreError::Locked { .. })));
        assert!(first.was_clean());
        first.mark_running().expect("marked");
        assert!(!first.was_clean());
        drop(first);
        let second = Presence::take(dir.path()).expect("free again");
        second.leave_cleanly().expect("left");
        assert!(second.was_clean());
        assert_eq!(fs::read(dir.path().join("lock")).expect("a file"), b"lock");
    }

    #[test]
    fn stores_of_other_kinds_are_refused_with_advice() {
        for (path, says) in [("consumequeue/CURRENT", "RocksDB"), ("dledger-n0/data", "DLedger")] {
            let dir = tempfile::tempdir().expect("a folder");
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, "").expect("a file");
            let error = check_kind(dir.path()).expect_err("refused").to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
