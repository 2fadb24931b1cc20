//! Pieces of frames: in memory, or in a file that they are sent from.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use bytes::{Buf, Bytes};

/// Shorter pieces of files are copied like those in memory: that costs less than a call of their own.
const FROM_FILE_BYTES_MIN: usize = 16 * 1024;

/// Bytes to be sent.
#[derive(Clone)]
pub struct Chunk {
    bytes: Bytes,
    file: Option<InFile>,
}

#[derive(Clone)]
struct InFile {
    file: Arc<dyn AsFd + Send + Sync>,
    at: u64,
}

impl Chunk {
    /// Bytes that `file` holds from `at` on, and will hold until they are sent. They go from the page cache to the socket: no copy
    /// is made, and no page of a mapping is touched.
    pub fn in_file(bytes: Bytes, file: Arc<dyn AsFd + Send + Sync>, at: u64) -> Self {
        let file = (bytes.len() >= FROM_FILE_BYTES_MIN).then_some(InFile { file, at });
        Self { bytes, file }
    }

    /// The file to send it from, and where it is there.
    pub(super) fn file(&self) -> Option<(BorrowedFd<'_>, u64)> {
        self.file.as_ref().map(|InFile { file, at }| (file.as_fd(), *at))
    }

    /// From now on it is sent as bytes in memory are.
    pub(super) fn leave_file(&mut self) {
        self.file = None;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets the first `count` bytes, which are sent.
    pub(super) fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(file) = &mut self.file {
            file.at += count as u64;
        }
    }
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, file: None }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("bytes", &self.bytes)
            .field("at", &self.file.as_ref().map(|file| file.at))
            .finish()
    }
}
