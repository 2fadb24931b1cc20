//! The Raft store: a broker group whose Raft log *is* the commit log.
//!
//! Empty until its own issue. openraft will replicate the records of [`store`](../store/index.html)'s commit log, each Raft entry
//! one control record followed by its messages; what moves the store's `confirmed` watermark then is a majority.
#![forbid(unsafe_code)]
