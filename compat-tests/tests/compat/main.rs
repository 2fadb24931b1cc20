//! All scenarios. `cargo test -p compat-tests --test compat -- <filter>`, see `compat-tests/README.md`.

mod send;

use std::process::ExitCode;

fn main() -> ExitCode {
    let scenarios = [send::SCENARIOS].concat();
    compat_tests::suite::main(&scenarios)
}
