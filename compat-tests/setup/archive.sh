#!/usr/bin/env bash
# Runs inside the test image: has the Java programs work once and leaves class-data archives (CDS) of what they loaded.
# The suite starts a few hundred JVMs; with these archives each takes a third of the time.
set -euo pipefail

cache=$1 server_version=$2
shift 2
client_versions=("$@")
server="$cache/jars/server-$server_version/*"
flags=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Xlog:disable -Dtls.server.mode=disabled)
home=$(mktemp -d)

# Only called in subshells (`&` and `|`), so that the process to signal is the JVM itself.
archive() { # name, arguments of java…
    local name=$1
    shift
    exec java "${flags[@]}" "-XX:ArchiveClassesAtExit=$cache/cds/$name.jsa" "-Duser.home=$home/$name" "-Drocketmq.home.dir=$home/$name" "$@"
}

listening() { # port
    for _ in {1..600}; do
        if (echo >"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.2
    done
    echo "compat: nothing listens on port $1" >&2
    exit 1
}

printf '%s\n' brokerIP1=127.0.0.1 "storePathRootDir=$home/store" mappedFileSizeCommitLog=67108864 \
    mappedFileSizeConsumeQueue=120000 maxHashSlotNum=50000 maxIndexNum=200000 >"$home/broker.conf"

archive namesrv -cp "$server" org.apache.rocketmq.namesrv.NamesrvStartup >/dev/null &
namesrv=$!
listening 9876
archive broker -Xmx512m -cp "$server" org.apache.rocketmq.broker.BrokerStartup -c "$home/broker.conf" -n 127.0.0.1:9876 >/dev/null &
broker=$!
listening 10911

for version in "${client_versions[@]}"; do
    program="$cache/java/client-$version.jar:$cache/jars/client-$version/*"
    role=(group=archive namesrv=127.0.0.1:9876 instance=archive topic=TBW102)
    echo 'send topic=TBW102 key=archive' |
        java "${flags[@]}" "-Duser.home=$home" -cp "$program" ferromq.Main producer "${role[@]}" >/dev/null
    # The end of stdin ends the consumer, after its first pulls.
    (sleep 5) | archive "client-$version" -cp "$program" ferromq.Main push "${role[@]}" >/dev/null
done
echo 'clusterList -n 127.0.0.1:9876' |
    archive mqadmin -cp "$cache/java/mqadmin.jar:$server" ferromq.Admin >/dev/null

kill "$broker"
wait "$broker" || true
kill "$namesrv"
wait "$namesrv" || true
