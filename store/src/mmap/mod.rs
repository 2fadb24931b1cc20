//! Commit log files: written with `pwrite`, read through a mapping; the only unsafe code of the workspace.
//!
//! A [`MappedFile`] shows only bytes that will not change any more: those its one [`Writer`] has published, or all of them
//! once it is complete. [`Bytes`](bytes::Bytes) cut from it keep the mapping alive.
//!
//! Writing through the mapping is avoided on purpose: a page fault in the append would wait for the disk, and the kernel
//! would have to fill pages that are about to be overwritten.

#[expect(unsafe_code, reason = "mapping a file")]
mod mapped_file;
mod pages;

pub(crate) use mapped_file::{MappedFile, Writer};
pub use pages::Slice;
