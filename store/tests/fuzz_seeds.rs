//! The fuzz targets over their seeds, and over seeds with some bytes changed: a short run of `make fuzz` in every test run.

#[path = "../fuzz/targets/checks.rs"]
mod checks;

use std::fs;
use std::path::Path;

/// Changed copies of each seed.
const RECORD_COPIES: usize = 5000;
const FILES_COPIES: usize = 150;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let read = |entry: std::io::Result<fs::DirEntry>| fs::read(entry.expect("an entry").path()).expect("a seed");
    let seeds: Vec<_> = fs::read_dir(dir).expect("seeds").map(read).collect();
    assert!(seeds.len() > 5, "there are seeds");
    seeds
}

fn run(target: &str, copies: usize, check: fn(&[u8])) {
    let mut random = fastrand::Rng::with_seed(20_261_121);
    for seed in seeds(target) {
        check(&seed);
        for _ in 0..copies {
            let mut bytes = seed.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                match random.u8(..5) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes[at] ^= 1 << random.u8(..8),
                    2 => bytes[at] = *random.choice([0, 1, 0x7F, 0x80, 0xFF].iter()).expect("one of five"),
                    3 => bytes[at..].iter_mut().take(8).for_each(|byte| *byte = random.u8(..)),
                    _ => bytes.insert(at, random.u8(..)),
                }
            }
            check(&bytes);
        }
    }
}

#[test]
fn records_from_anywhere_never_panic() {
    run("record", RECORD_COPIES, checks::record);
}

#[test]
fn files_from_anywhere_never_panic() {
    run("files", FILES_COPIES, checks::files);
}
