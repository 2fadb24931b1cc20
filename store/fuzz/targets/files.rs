//! Any bytes in a commit log, a queue of either kind, an index or a checkpoint never panic what reads a store.
#![no_main]

#[path = "checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::files(bytes));
