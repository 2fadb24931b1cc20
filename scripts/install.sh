#!/usr/bin/env bash
# Installs what a recipe needs and this machine lacks: `scripts/install.sh compat`, `check`, `fuzz` or `ci`.
#
# Where there is apt-get (Debian, Ubuntu) it installs the packages. Elsewhere it names what is missing and fails.
# A second run finds everything there and does nothing.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Pinned, so that a check passes or fails for what is in the repository and not for the day it runs on.
CARGO_DENY=0.20.2
CARGO_MACHETE=0.9.2
TYPOS=1.52.0

missing=()  # as a person would call it
packages=() # as Debian calls it

# need <command> <name for people> <Debian package>…
need() {
    have "$1" && return
    missing+=("$2")
    packages+=("${@:3}")
}

install_missing() {
    ((${#missing[@]})) || return 0
    if ! have apt-get; then
        say "Missing here, and this is not Debian, so please install by the means of your system:"
        printf '  - %s\n' "${missing[@]}" >&2
        exit 1
    fi
    say "installing: ${packages[*]}"
    as_root apt-get update --quiet </dev/null >&2
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --quiet --no-install-recommends "${packages[@]}" </dev/null >&2
}

# What the compatibility suite runs on. Debian 12's JDK (17) and Go (1.19) are enough.
compat() {
    # A daemon that answers may have been started in any way. apparmor: where the kernel has AppArmor, Docker starts no
    # container without its parser.
    docker info >/dev/null 2>&1 || need dockerd "Docker engine, 20.10 or later" docker.io apparmor ca-certificates
    need docker "Docker's command line" docker.io
    need iptables "iptables" iptables
    need javac "a JDK, 17 or later" default-jdk-headless
    need mvn "Maven, 3.8 or later" maven
    need go "Go, 1.19 or later" golang-go
    need debootstrap "debootstrap" debootstrap debian-archive-keyring
    install_missing
}

# libFuzzer is C++.
fuzz() {
    need g++ "a C++ compiler called g++" g++
    install_missing
}

# A new machine gets everything at once, and pip besides, which spares it a build.
ci() {
    need make "make" make
    need cc "a C compiler called cc, for linking" gcc libc6-dev
    python3 -m pip --version >/dev/null 2>&1 || need pip3 "pip" python3-pip
    compat
}

check() {
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt || fail "rustfmt is not installed"
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy || fail "clippy is not installed"
    cargo_tool cargo-deny cargo-deny "$CARGO_DENY" --no-default-features
    cargo_tool cargo-machete cargo-machete "$CARGO_MACHETE"
    typos
}

# Present, and of the pinned version?
current() { [[ " $("$tools/bin/$1" --version 2>/dev/null)" == *" $2" ]]; }

# cargo_tool <binary> <crate> <version> [flags]: built from its source. Unoptimized, as compiling is all the time it takes.
cargo_tool() {
    current "$1" "$3" && return
    say "building $2 $3 into target/tools (a minute or two, once)"
    CARGO_TARGET_DIR=$tools/build CARGO_PROFILE_DEV_DEBUG=0 \
        cargo install --quiet --locked --profile dev --root "$tools" "${@:4}" --version "$3" "$2"
    rm -rf "$tools/build"
}

# PyPI has the binary in a wheel, which saves two minutes where there is pip.
typos() {
    current typos "$TYPOS" && return
    local wheel=$tools/typos-wheel
    if python3 -m pip install --quiet --no-deps --only-binary :all: --upgrade --target "$wheel" "typos==$TYPOS" 2>/dev/null; then
        mkdir -p "$tools/bin"
        ln -sf "$wheel/bin/typos" "$tools/bin/typos"
    fi
    current typos "$TYPOS" || cargo_tool typos typos-cli "$TYPOS"
}

find_cargo
case ${1-} in
compat | check | fuzz | ci) "$1" ;;
*) fail "usage: scripts/install.sh compat|check|fuzz|ci" ;;
esac
