#!/usr/bin/env bash
# Builds what the benchmark compares and runs it; options go to the bench program (try --rounds 1).
# Needs what compat-tests/setup/prepare.sh lays ready: the Java broker's and client's jars.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/..
cache=$root/target/compat
target=${CARGO_TARGET_DIR:-$root/target}
server_jars=$cache/jars/server-5.5.0
client_jars=$cache/jars/client-5.5.0

for jars in "$server_jars" "$client_jars"; do
    [[ -d $jars ]] || { echo "bench: no jars in $jars; run compat-tests/setup/prepare.sh first" >&2; exit 1; }
done

cargo build --quiet --release --manifest-path "$root/Cargo.toml" --package ferromq --package bench
mkdir -p "$cache/bench"
javac -cp "$client_jars/*" -d "$cache/bench" "$here/java/ferromq/StockProducer.java"
exec "$target/release/bench" --ferromq "$target/release/ferromq" --server-jars "$server_jars" \
    --client-path "$cache/bench:$client_jars/*" "$@"
