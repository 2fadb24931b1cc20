#!/usr/bin/env bash
# Fuzzes each decoder for some seconds: `scripts/fuzz.sh 60 [target…]`. Inputs that fail are left in target/fuzz/<target>/.
#
# cargo-fuzz wants a nightly compiler; the flags below give libFuzzer its counters on the stable one.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
find_cargo

seconds=$1
targets=("${@:2}")
((${#targets[@]})) || targets=(frame body record files)
host=$(rustc -vV | sed -n 's/^host: //p')
work=$root/target/fuzz

flags=(
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares
)
# With --target, the flags reach the decoders and not the build scripts, which have no libFuzzer to link with.
for crate in remoting store; do
    RUSTFLAGS="${flags[*]}" cargo build --release --manifest-path "$root/$crate/fuzz/Cargo.toml" \
        --target "$host" --target-dir "$work/build"
done

for target in "${targets[@]}"; do
    say "fuzzing $target for $seconds s"
    mkdir -p "$work/$target/corpus"
    seeds=("$root"/*/fuzz/seeds/"$target")
    # New inputs go to the first folder; the seeds are only read.
    "$work/build/$host/release/$target" -max_total_time="$seconds" -max_len=65536 -timeout=5 -rss_limit_mb=1024 \
        -artifact_prefix="$work/$target/" "$work/$target/corpus" "${seeds[@]}" \
        >"$work/$target/log" 2>&1 || {
        tail -n 40 "$work/$target/log" >&2
        fail "$target failed; the input is in target/fuzz/$target/, the whole log beside it"
    }
    grep '^Done' "$work/$target/log"
done
