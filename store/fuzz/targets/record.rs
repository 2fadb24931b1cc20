//! Any bytes never panic what reads records, batches, properties and message ids, and nothing is read past the end.
#![no_main]

#[path = "checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::record(bytes));
