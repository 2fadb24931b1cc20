#!/usr/bin/env bash
# Runs a command with a Docker daemon: `scripts/with-docker.sh cargo test -p compat-tests`.
#
# A daemon that answers is used and left alone. If none does, one is started, and that one is ended afterwards.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

log=$root/target/dockerd.log
# Named by this run, so that no other run's daemon is ever taken for ours.
pid_file=$root/target/dockerd.$$.pid
START_SECONDS_MAX=60
STOP_SECONDS_MAX=30

answers() { docker info >/dev/null 2>&1; }

running() { [[ -n $(jobs -r) ]]; }

start() {
    say "starting a Docker daemon (its log: target/dockerd.log)"
    mkdir -p "$root/target"
    # Its own session, so that an interrupt from the terminal reaches the tests and not the daemon that they clean up in.
    # Its socket belongs to the caller's group, so that no one has to log in anew to join the group `docker`.
    as_root setsid dockerd --pidfile "$pid_file" --group "$(id -g)" </dev/null >"$log" 2>&1 &
    trap stop EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    for ((waited = 0; waited < START_SECONDS_MAX; waited++)); do
        answers && return
        running || break
        sleep 1
    done
    tail -n 20 "$log" >&2
    fail "the Docker daemon did not start; the end of its log is above"
}

stop() {
    trap - EXIT
    # It writes its number in its first moment.
    while running && [[ ! -s $pid_file ]]; do sleep 0.1; done
    running || return 0
    say "ending the Docker daemon that was started"
    as_root kill "$(<"$pid_file")"
    for ((waited = 0; waited < STOP_SECONDS_MAX; waited++)); do
        running || return 0
        sleep 1
    done
    say "the Docker daemon (process $(<"$pid_file")) is still ending after $STOP_SECONDS_MAX s"
}

(($#)) || fail "usage: scripts/with-docker.sh command…"
if ! answers; then
    if [[ -S /var/run/docker.sock ]] && as_root docker info >/dev/null 2>&1; then
        fail "a Docker daemon runs, but $(id -un) may not use it: join the group docker (usermod -aG docker $(id -un), then log in anew)"
    fi
    start
fi
"$@"
