//! A Java slave and one of ours have the same files as their master, see `compat_tests::replicas`.

fn main() -> std::process::ExitCode {
    compat_tests::replicas::main()
}
