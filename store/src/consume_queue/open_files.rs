//! How many queue files are open. With hundreds of thousands of queues not all can be.

use std::fs::File;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Open queue files at most, however many the process may have.
const OPEN_MAX: usize = 4096;
/// Share of the process's descriptors that queue files may take: connections need the others.
const SHARE_OF_DESCRIPTORS: u64 = 4;

/// The open files of all queues of a store.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    count: AtomicUsize,
    max: usize,
}

/// An open file; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: File,
    all: Arc<OpenFiles>,
}

impl OpenFiles {
    /// As many as this process may well have.
    pub(crate) fn of_this_process() -> Arc<Self> {
        let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let share = allowed.and_then(|allowed| usize::try_from(allowed / SHARE_OF_DESCRIPTORS).ok());
        Self::at_most(share.unwrap_or(OPEN_MAX).clamp(1, OPEN_MAX))
    }

    pub(crate) fn at_most(max: usize) -> Arc<Self> {
        Arc::new(Self { count: AtomicUsize::new(0), max })
    }

    /// Whether files are to be closed: readers keep none open until then, and writers no more than they must.
    pub(crate) fn are_many(&self) -> bool {
        self.count.load(Ordering::Relaxed) >= self.max
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn add(self: &Arc<Self>, file: File) -> Arc<OpenFile> {
        self.count.fetch_add(1, Ordering::Relaxed);
        Arc::new(OpenFile { file, all: Arc::clone(self) })
    }
}

impl Deref for OpenFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.all.count.fetch_sub(1, Ordering::Relaxed);
    }
}
