#!/usr/bin/env bash
# Shows one cluster of a Java broker and one of ours in the official Dashboard: `scripts/dashboard.sh <source> [stay]`.
#
# <source> is a checkout of github.com/apache/rocketmq-dashboard, 2.1 or later; it is built there, once, with npm (Node 18 or later),
# Maven and a JDK. Java's broker is what `make prepared` gets. All pages' requests are made, and their answers checked; `stay` leaves
# everything running until Ctrl-C, to look at http://127.0.0.1:8082 with a browser. Data and logs are in target/dashboard.
# $FERROMQ is the program, as for scripts/cluster.sh.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

START_SECONDS_MAX=120
ANSWER_SECONDS_MAX=30

url=http://127.0.0.1:8082
dir=$root/target/dashboard
jars=$root/target/compat/jars/server-5.5.0
now_ms() { printf '%s000' "$(date +%s)"; }

pids=()
stop() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" || true
    done
}
trap stop EXIT

# start <name> <command>…
start() {
    (cd "$dir" && exec "${@:2}" >"$1.log" 2>&1) &
    pids+=($!)
}

jar_of() { find "$1/target" -maxdepth 1 -name 'rocketmq-dashboard-*.jar' 2>/dev/null | head -n 1; }

# The frontend is built with the npm that is there: the Maven plugin would get its own from nodejs.org.
build() {
    [[ -z $(jar_of "$1") ]] || return 0
    say "building the Dashboard (some minutes, once)"
    (
        cd "$1/frontend-new"
        npm ci --no-audit --no-fund --legacy-peer-deps --replace-registry-host=always
        CI=false GENERATE_SOURCEMAP=false npm run build
    ) >&2
    mvn --quiet --batch-mode --file "$1/pom.xml" package \
        -DskipTests -Dcheckstyle.skip -Drat.skip -Dskip.npm -Dskip.installnodenpm >&2
}

# until_it <seconds> <command>…: tries until it succeeds.
until_it() {
    local end=$((SECONDS + $1))
    until "${@:2}"; do
        ((SECONDS < end)) || return 1
        sleep 1
    done
}

# ask <path> [curl's flags]
ask() { curl --silent --max-time 20 --cookie "$dir/cookies" --cookie-jar "$dir/cookies" "${@:2}" "$url/$1"; }

answers() {
    answer=$(ask "${@:2}") && [[ $answer =~ $1 ]]
}

# page <name> <what the answer has, a regular expression> <path> [curl's flags]
page() {
    until_it "$ANSWER_SECONDS_MAX" answers "${@:2}" || fail "$1: ${answer:0:500}"
    printf 'ok  %s\n' "$1"
}

# do_it <name> <path> [JSON]
do_it() {
    local token
    token=$(ask rocketmq-dashboard/csrf-token | sed 's/.*"token":"\([^"]*\)".*/\1/')
    page "$1" '"status":0' "$2" --request POST --header "X-XSRF-TOKEN: $token" \
        --header 'Content-Type: application/json' --data "${3-}"
}

source_dir=$(realpath "${1:?usage: scripts/dashboard.sh <source of apache/rocketmq-dashboard> [stay]}")
for program in curl java mvn npm; do
    have "$program" || fail "$program is not installed"
done
[[ -d $jars ]] || fail "there is no Java broker yet: make prepared"
find_ferromq
build "$source_dir"
rm -rf "$dir"
mkdir -p "$dir"

settings() { printf '%s\n' brokerIP1=127.0.0.1 brokerClusterName=DefaultCluster namesrvAddr=127.0.0.1:9876 "$@"; }
settings brokerName=broker-ferromq storePathRootDir="$dir/ferromq" >"$dir/ferromq.conf"
settings brokerName=broker-java listenPort=20911 storePathRootDir="$dir/java" \
    mappedFileSizeCommitLog=67108864 >"$dir/java.conf"
start ferromq "$ferromq" -c ferromq.conf
start java java -Xmx512m -Drocketmq.home.dir="$dir" -Duser.home="$dir" -Dtls.server.mode=disabled \
    --add-opens=java.base/java.nio=ALL-UNNAMED --add-opens=java.base/sun.nio.ch=ALL-UNNAMED \
    -cp "$jars/*" org.apache.rocketmq.broker.BrokerStartup -c java.conf
start dashboard java -Xmx512m -Duser.home="$dir" -jar "$(jar_of "$source_dir")" --server.port=8082 \
    --rocketmq.config.dataPath="$dir/data" --rocketmq.config.namesrvAddrs=127.0.0.1:9876

say "waiting until all three serve"
both='broker-ferromq.*broker-java|broker-java.*broker-ferromq'
until_it "$START_SECONDS_MAX" answers "$both" cluster/list.query || fail "no cluster of both: ${answer:0:500}; see $dir"

from=$(now_ms)
page "both are one cluster" "$both" cluster/list.query
page "settings of ours" '"brokerName":"broker-ferromq"' "cluster/brokerConfig.query?brokerAddr=127.0.0.1:10911"
do_it "a topic is made on both" topic/createOrUpdate.do '{"clusterNameList": ["DefaultCluster"], "brokerNameList": [],
    "topicName": "orders", "writeQueueNums": 2, "readQueueNums": 2, "perm": 6, "order": false, "messageType": "NORMAL"}'
page "its route" "$both" "topic/route.query?topic=orders"
page "its settings" "$both" "topic/examineTopicConfig.query?topic=orders"
page "it is among all topics" '"orders"' topic/list.query
page "and among those with their kind" '"orders"' topic/list.queryTopicType
for number in 1 2 3 4 5 6 7 8; do
    do_it "message $number is sent" topic/sendTopicMessage.do \
        "{\"topic\": \"orders\", \"key\": \"key-$number\", \"tag\": \"tag\", \"messageBody\": \"body $number\", \"traceEnabled\": false}"
done
page "how many both have" "$both" "topic/stats.query?topic=orders"
page "messages by time" '"KEYS":"key-' "message/queryMessageByTopic.query?topic=orders&begin=$from&end=$(now_ms)"
page "a message by key" 'key-3' "message/queryMessageByTopicAndKey.query?topic=orders&key=key-3"
id=$(sed 's/.*"msgId":"\([0-9A-F]*\)".*/\1/' <<<"$answer")
page "that message by id, with its body" 'body 3' "message/viewMessage.query?topic=orders&msgId=$id"
do_it "a consumer group is made on both" consumer/createOrUpdate.do '{"clusterNameList": ["DefaultCluster"],
    "brokerNameList": [], "subscriptionGroupConfig": {"groupName": "billing", "consumeEnable": true, "retryQueueNums": 1,
    "retryMaxTimes": 16, "brokerId": 0, "whichBrokerWhenConsumeSlowly": 1}}'
page "its settings" "$both" "consumer/examineSubscriptionGroupConfig.query?consumerGroup=billing"
page "it is on both" "$both" "consumer/fetchBrokerNameList.query?consumerGroup=billing"
page "it is among all groups" '"billing"' consumer/groupList.query
page "messages of the day, as the front page shows them" "$both" "dashboard/broker.query?date=$(date +%F)"
if [[ ${2-} == stay ]]; then
    say "look at $url; Ctrl-C ends everything"
    wait
fi
do_it "the group is deleted" consumer/deleteSubGroup.do \
    '{"groupName": "billing", "brokerNameList": ["broker-ferromq", "broker-java"]}'
do_it "the topic is deleted" "topic/deleteTopic.do?topic=orders"
