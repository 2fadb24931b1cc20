#!/usr/bin/env bash
# Runs a whole cluster on this machine: `scripts/cluster.sh up 2m-2s-sync`.
#
#   up <mode> [name…]      starts what does not run yet, and waits until it serves
#   down <mode> [name…]    ends what this script started, brokers first, and waits until it is gone
#   status <mode> [name…]  tells what runs, and where; ends with 1 unless all of it serves
#
# A mode is a folder in conf/: 2m-noslave, 2m-2s-async, 2m-2s-sync or raft; docs/cluster-modes.md helps to choose. A name is that of
# a file in it, such as broker-a-s. Everything is in one folder, $CLUSTER_DIR (target/cluster/<mode>): data, logs, and the settings,
# which are copied from conf/ by the first `up` and are yours from then on. Another file in its folder `conf` is another broker.
# $FERROMQ is the program (target/release/ferromq, else target/debug/ferromq, else the one on the PATH).
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

START_SECONDS_MAX=60
STOP_SECONDS_MAX=60

usage() { fail "usage: scripts/cluster.sh up|down|status $(cd "$root/conf" && printf '%s\n' * | paste -sd '|') [name…]"; }

# Of all processes, in the order they start in: name servers first, and masters before their slaves.
names() {
    local kind
    for kind in namesrv broker; do
        find "$dir/conf" -name "$kind*.properties" -exec basename {} .properties \; 2>/dev/null | LC_ALL=C sort
    done
}

# setting <name> <key>: the last value that its file gives the key.
setting() { sed -n "s/^[[:space:]]*$2[[:space:]]*=[[:space:]]*//p" "$dir/conf/$1.properties" | tail -n 1; }

port_of() { setting "$1" listenPort; }

# When a process began, in the kernel's ticks: with its number that tells it from any other. One that is over, and which nobody has
# asked about yet (state Z), began never.
began() { sed --quiet 's/.*) \([^Z]\)/\1/p' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# The number of the process that was started under this name, if it still runs.
pid_of() {
    local pid ticks
    [[ -f $dir/run/$1.pid ]] || return 1
    read -r pid ticks <"$dir/run/$1.pid"
    [[ -n $ticks && $(began "$pid") == "$ticks" ]] || return 1
    printf '%s' "$pid"
}

serves() {
    local port
    port=$(port_of "$1")
    case $1 in
    namesrv*) (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null ;;
    *) "$ferromq" ready -b "$(address_of "$1")" >/dev/null 2>&1 ;;
    esac
}

address_of() {
    local host
    host=$(setting "$1" brokerIP1)
    printf '%s:%s' "${host:-127.0.0.1}" "$(port_of "$1")"
}

start() {
    local command=${1%%-*} pid
    # In a session of its own, so that it lives on when the terminal closes.
    (cd "$dir" && exec setsid "$ferromq" "$command" -c "$dir/conf/$1.properties") </dev/null >>"$dir/logs/$1.log" 2>&1 &
    pid=$!
    printf '%s %s\n' "$pid" "$(began "$pid")" >"$dir/run/$1.pid"
}

show_log() {
    tail -n 5 "$dir/logs/$1.log" >&2
    fail "$1 $2; the end of its log, $dir/logs/$1.log, is above"
}

up() {
    local name started=()
    for name in "$@"; do
        if pid_of "$name" >/dev/null; then
            say "$name runs already"
        else
            start "$name"
            started+=("$name")
        fi
    done
    local ends=$((SECONDS + START_SECONDS_MAX))
    # A member of a Raft group serves once the others do.
    for name in ${started[@]+"${started[@]}"}; do
        until serves "$name"; do
            pid_of "$name" >/dev/null || show_log "$name" "did not start"
            ((SECONDS < ends)) || show_log "$name" "does not serve after $START_SECONDS_MAX s"
            sleep 0.2
        done
        say "$name serves on port $(port_of "$name")"
    done
}

down() {
    local name names=() pid
    # In reverse: brokers tell the name servers that they leave.
    for name in "$@"; do names=("$name" ${names[@]+"${names[@]}"}); done
    for name in ${names[@]+"${names[@]}"}; do
        if pid=$(pid_of "$name"); then
            kill -TERM "$pid" 2>/dev/null || true
            local ends=$((SECONDS + STOP_SECONDS_MAX))
            while pid_of "$name" >/dev/null; do
                ((SECONDS < ends)) || fail "$name (process $pid) is still ending after $STOP_SECONDS_MAX s"
                sleep 0.1
            done
            say "$name is stopped"
        fi
        rm -f "$dir/run/$name.pid"
    done
}

status() {
    local name pid what outcome=0
    for name in "$@"; do
        if ! pid=$(pid_of "$name"); then
            pid=- what="not running" outcome=1
        elif serves "$name"; then
            what=serves
        else
            what="does not serve" outcome=1
        fi
        printf '%-16s %-8s %-6s %s\n' "$name" "$pid" "$(port_of "$name")" "$what"
    done
    return $outcome
}

(($# >= 2)) || usage
act=$1 mode=$2
shift 2
[[ $mode != */* && -d $root/conf/$mode ]] || usage
case $act in up | down | status) ;; *) usage ;; esac
dir=$(realpath --canonicalize-missing "${CLUSTER_DIR:-$root/target/cluster/$mode}")
find_ferromq
if [[ $act == up ]]; then
    mkdir -p "$dir"/{conf,run,logs}
    [[ -n $(names) ]] || cp "$root/conf/$mode/"*.properties "$dir/conf/"
fi
mapfile -t all < <(names)
for name in "$@"; do
    [[ -f $dir/conf/$name.properties ]] || fail "there is no $name in $dir/conf, but ${all[*]-nothing}"
done
(($#)) || set -- ${all[@]+"${all[@]}"}
"$act" "$@"
