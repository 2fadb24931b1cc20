//! Slices of a mapping that keep it alive.

use std::ops::{Deref, Range};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use bytes::Bytes;

use super::MappedFile;

/// Owner of a slice, behind the [`Bytes`] made from it.
struct Pages {
    file: Arc<MappedFile>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Pages {
    fn as_ref(&self) -> &[u8] {
        // The range was readable when it was cut, and `readable` never shrinks.
        &self.file.readable()[self.range.clone()]
    }
}

/// Bytes of the log, and where they lie: who sends them can have the system take them from the file.
#[derive(Clone, Debug)]
pub struct Slice {
    bytes: Bytes,
    file: Arc<MappedFile>,
    at: usize,
}

impl Slice {
    /// The file that holds them, and from where on.
    pub fn file(&self) -> (Arc<dyn AsFd + Send + Sync>, u64) {
        (Arc::clone(&self.file) as _, self.at as u64)
    }
}

impl From<Slice> for Bytes {
    fn from(slice: Slice) -> Self {
        slice.bytes
    }
}

impl Deref for Slice {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

impl AsFd for MappedFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file().as_fd()
    }
}

impl MappedFile {
    /// The bytes of `range`, without copying them; `None` if not all of it may be read.
    pub(crate) fn slice(self: &Arc<Self>, range: Range<usize>) -> Option<Bytes> {
        self.readable().get(range.clone())?;
        Some(Bytes::from_owner(Pages { file: Arc::clone(self), range }))
    }

    /// As [`Self::slice`], with its place.
    pub(crate) fn slice_in_place(self: &Arc<Self>, range: Range<usize>) -> Option<Slice> {
        let at = range.start;
        Some(Slice { bytes: self.slice(range)?, file: Arc::clone(self), at })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Writer;
    use crate::io::{RealFiles, create_sized};

    #[test]
    fn slices_outlive_the_store_and_end_at_what_was_published() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("0");
        let file = create_sized(&path, 4096, true).expect("a file");
        let mut writer = Writer::new(&path, 0, file, 0).expect("mapped");
        writer.write(&RealFiles, b"first").expect("written");
        assert_eq!(writer.file().slice(0..5), None, "not published yet");
        writer.publish();
        writer.write(&RealFiles, b"taken back").expect("written");
        writer.take_back();
        writer.write(&RealFiles, b" second").expect("written");
        writer.publish();
        assert_eq!(writer.file().slice(0..13), None);
        let bytes = writer.file().slice(0..12).expect("published");
        assert!(writer.write(&RealFiles, &[0; 4096]).is_err(), "more than is left");
        drop(writer);
        drop(dir);
        assert_eq!(bytes, "first second");
    }
}
