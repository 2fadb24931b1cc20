//! Rounds of faults in a broker group under the load of stock clients, see `compat_tests::faults`.

fn main() -> std::process::ExitCode {
    compat_tests::faults::main()
}
