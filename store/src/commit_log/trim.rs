//! The log's first files, and the room behind its end: what retention needs to know and to do.

use std::io;
use std::sync::Arc;

use super::CommitLog;
use crate::mmap::MappedFile;

impl CommitLog {
    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.read().len() as u64 * self.allocator.file_bytes() as u64
    }

    /// The first file, if it is not the one that is written to.
    pub(crate) fn first_of_several(&self) -> Option<Arc<MappedFile>> {
        let segments = self.segments.read();
        (segments.len() > 1).then(|| Arc::clone(&segments[0]))
    }

    /// Readers that come from now on do not see `first`, which is the first of several files.
    pub(crate) fn forget_first(&self, first: &Arc<MappedFile>) {
        let mut segments = self.segments.write();
        if segments.len() > 1 && Arc::ptr_eq(&segments[0], first) {
            *segments = segments[1..].into();
        }
    }

    /// Takes from the disk what the next appends need: the rest of the last file, and the file behind it.
    ///
    /// # Errors
    /// There is no space for it.
    pub(crate) fn make_room(&self) -> io::Result<()> {
        let last = Arc::clone(self.tail.lock().writer.file());
        self.files.reserve(last.file(), last.len() as u64)?;
        let tail = self.tail.lock();
        // A copy may have begun elsewhere meanwhile, and what is behind its beginning is not behind this.
        if Arc::ptr_eq(tail.writer.file(), &last) { self.allocator.make(tail.file_end()) } else { Ok(()) }
    }
}
