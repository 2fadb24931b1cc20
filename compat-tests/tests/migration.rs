//! Clusters of Java's become ours, and Java's again, under the load of stock clients, see `compat_tests::migration`.

fn main() -> std::process::ExitCode {
    compat_tests::migration::main()
}
