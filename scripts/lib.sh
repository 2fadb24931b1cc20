# shellcheck shell=bash disable=SC2034
# What the other scripts share. They source it; it runs nothing by itself.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/target/tools

# Debian keeps dockerd, iptables and debootstrap where only root looks.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $*"
    exit 1
}

have() { command -v "$1" >/dev/null; }

# Runs a command as root: directly if we are, else through sudo.
as_root() {
    if ((EUID == 0)); then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        fail "this needs root, and there is no sudo: $*"
    fi
}

# Puts rustup's cargo on the PATH, for a shell that was not a login shell.
find_cargo() {
    have cargo || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    have cargo || fail "cargo is not installed; see https://rustup.rs"
}

# Sets $ferromq to the program: $FERROMQ, else the one that was built here, else the one on the PATH.
find_ferromq() {
    local candidate
    for candidate in "${FERROMQ-}" "$root/target/release/ferromq" "$root/target/debug/ferromq"; do
        if [[ -n $candidate ]]; then
            ferromq=$(realpath --canonicalize-missing "$candidate")
            [[ -x $ferromq ]] && return
            [[ $candidate != "${FERROMQ-}" ]] || fail "$candidate is not there"
        fi
    done
    ferromq=$(command -v ferromq) || fail "there is no ferromq yet: cargo build --release, or name it with FERROMQ"
}
