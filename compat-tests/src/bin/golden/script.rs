//! What the peers say, so that every request we answer is said once.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use compat_tests::artifacts::Artifacts;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::by_hand::{self, exchange};
use crate::frame::request;
use crate::{BROKER_PORT, NAME_SERVER_PORT, PROXY};

const STEP_MAX: Duration = Duration::from_secs(60);

/// Makes a stock peer write binary headers.
const BINARY: &str = "-Drocketmq.serialize.type=ROCKETMQ";
/// Makes a stock producer send with long field names.
const LONG_NAMES: &str = "-Dorg.apache.rocketmq.client.sendSmartMsg=false";

pub(crate) async fn run(artifacts: &Artifacts, scratch: &Path) -> Result<()> {
    let name_server = format!("{PROXY}:{NAME_SERVER_PORT}");
    let broker = format!("{PROXY}:{BROKER_PORT}");
    registered().await?;
    mqadmin(
        artifacts,
        scratch,
        &name_server,
        &[
            "updateTopic -c golden -t golden_topic -r 4 -w 4".to_owned(),
            "updateTopic -c golden -t golden_request_c5 -r 1 -w 1".to_owned(),
            "updateTopic -c golden -t golden_request_c6 -r 1 -w 1".to_owned(),
            "updateSubGroup -c golden -g golden_push".to_owned(),
        ],
    )
    .await?;
    messages(artifacts, scratch, &name_server, &[]).await?;
    messages(artifacts, scratch, &name_server, &[BINARY]).await?;
    lists(scratch)?;
    let lines = [
        "topicList",
        "topicList -c",
        "topicRoute -t golden_topic",
        "topicRoute -t nothing_here",
        "topicClusterList -t golden_topic",
        "topicStatus -t golden_topic",
        "statsAll",
        "clusterList",
        "consumerProgress -g golden_push",
        "consumerProgress",
        "sendMessage -t golden_topic -p hello",
        "resetOffsetByTime -g golden_push -t golden_topic -s 0",
        "consumeMessage -t golden_topic -c 1",
        "queryMsgByKey -t golden_topic -k a",
        "queryMsgByKey -t golden_topic -k nothing_here",
        "updateKvConfig -s space -k key -v value",
        "deleteKvConfig -s space -k key",
        "getNamesrvConfig",
        "updateNamesrvConfig -k deleteTopicWithBrokerRegistration -v false",
        "wipeWritePerm -b golden-a",
        "addWritePerm -b golden-a",
        "cloneGroupOffset -s golden_push -d golden_other -t golden_topic",
        "getConsumerConfig -g golden_push",
        "exportConfigs -c golden -f /dev/null",
        "consumerConnection -g nobody_here",
        "producerConnection -g nobody_here -t golden_topic",
        "deleteSubGroup -c golden -g golden_other -r true",
        "deleteTopic -c golden -t golden_gone",
    ];
    let mut commands: Vec<String> = lines.map(str::to_owned).into();
    commands.extend(
        [
            "brokerStatus",
            "getBrokerConfig",
            "brokerConsumeStats",
            "producer",
            "updateBrokerConfig -k flushConsumerOffsetInterval -v 5000",
            "updateTopicList -f topics.json",
            "updateSubGroupList -f groups.json",
            "updateColdDataFlowCtrGroupConfig -g golden_push -v 1048576",
            "getColdDataFlowCtrInfo",
            "removeColdDataFlowCtrGroupConfig -g golden_push",
        ]
        .map(|command| {
            let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
            format!("{verb} -b {broker} {rest}")
        }),
    );
    mqadmin(artifacts, scratch, &name_server, &commands).await?;
    by_hand::run().await
}

/// Writes the files that mqadmin makes many topics and groups of.
fn lists(scratch: &Path) -> Result<()> {
    let topics = json!([{"topicName": "golden_list_1", "perm": 6}, {"topicName": "golden_list_2", "readQueueNums": 1}]);
    let groups = json!([{"groupName": "golden_list_1"}, {"groupName": "golden_list_2", "consumeEnable": false}]);
    for (name, list) in [("topics.json", topics), ("groups.json", groups)] {
        fs::write(scratch.join(name), list.to_string()).with_context(|| format!("write {name}"))?;
    }
    Ok(())
}

/// Waits until the broker's topics are routed.
async fn registered() -> Result<()> {
    let ask = request(105, &[("topic", "TBW102")], b"");
    timeout(STEP_MAX, async {
        loop {
            let answer = exchange(NAME_SERVER_PORT, &ask).await?;
            if String::from_utf8_lossy(&answer).contains("golden-a") {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await
    .context("the broker did not register")?
}

/// Producers and consumers of every kind.
async fn messages(artifacts: &Artifacts, scratch: &Path, name_server: &str, flags: &[&str]) -> Result<()> {
    let start = async |role: &str| role_of(artifacts, scratch, flags, &format!("{role} namesrv={name_server}")).await;
    let mut producer = start("producer group=golden_producer instance=p").await?;
    let mut long_names = flags.to_vec();
    long_names.push(LONG_NAMES);
    let role = format!("producer namesrv={name_server} group=golden_producer instance=long");
    let mut with_long_names = role_of(artifacts, scratch, &long_names, &role).await?;
    with_long_names.command("send mode=sync topic=golden_topic key=h tag=TagA").await?;
    with_long_names.quit().await?;
    for send in [
        "send mode=sync topic=golden_topic key=a tag=TagA",
        "send mode=async topic=golden_topic key=b count=4",
        "send mode=oneway topic=golden_topic key=c",
        "send mode=batch topic=golden_topic key=d count=3",
        "send mode=sync topic=golden_auto key=e",
        "send mode=sync topic=SCHEDULE_TOPIC_XXXX key=f",
        "send mode=sync topic=golden_topic key=g delay=1",
        "send mode=sync topic=golden_topic key=i system.TIMER_DELAY_SEC=60",
        "recall topic=golden_topic",
        "recall topic=golden_topic handle=none",
    ] {
        producer.command(send).await?;
    }
    let mut failing = start("push group=golden_push instance=c1 topic=golden_topic fail=1 maxReconsume=1").await?;
    failing.seen("received", 6).await?;
    let mut orderly = start("push group=golden_orderly instance=c2 topic=golden_topic order=orderly").await?;
    orderly.seen("received", 6).await?;
    let second = start("push group=golden_orderly instance=c3 topic=golden_topic order=orderly").await?;
    let mut pull = start("pull group=golden_pull instance=c4 topic=golden_topic").await?;
    pull.command("poll count=5 timeout=10000").await?;
    pull.command("commit").await?;
    // A reply that is sent with long names, and one with short ones.
    for (instance, flags) in [("c5", flags), ("c6", &long_names[..])] {
        let topic = format!("golden_request_{instance}");
        let role =
            format!("push namesrv={name_server} group=golden_replier instance={instance} topic={topic} reply=yes");
        let replier = role_of(artifacts, scratch, flags, &role).await?;
        producer.command(&format!("request topic={topic} key=r within=30000")).await?;
        replier.quit().await?;
    }
    online(artifacts, scratch, name_server, flags).await?;
    // Committed when the broker asks, which the consumer tells.
    let mut in_doubt = start("producer group=golden_doubt instance=t transactional=true").await?;
    in_doubt.command("send mode=transaction topic=golden_doubt key=t tag=TagA prop.check=commit").await?;
    let mut told = start("push group=golden_told instance=c5 topic=golden_doubt").await?;
    told.seen("received", 1).await?;
    for role in [failing, orderly, second, pull, producer, in_doubt, told] {
        role.quit().await?;
    }
    Ok(())
}

/// What needs clients.
async fn online(artifacts: &Artifacts, scratch: &Path, name_server: &str, flags: &[&str]) -> Result<()> {
    let broker = format!("{PROXY}:{BROKER_PORT}");
    let mut commands = vec!["consumerStatus -g golden_orderly".to_owned()];
    if flags.is_empty() {
        commands.extend([
            "consumerConnection -g golden_orderly".to_owned(),
            "producerConnection -g golden_producer -t golden_topic".to_owned(),
            "consumerProgress -g golden_orderly -s true".to_owned(),
            format!("producer -b {broker}"),
        ]);
    }
    mqadmin(artifacts, scratch, name_server, &commands).await?;
    let group_topic = [("topic", "golden_topic"), ("group", "golden_orderly")];
    exchange(BROKER_PORT, &request(223, &group_topic, b"")).await?;
    exchange(BROKER_PORT, &request(303, &group_topic, b"")).await?;
    exchange(BROKER_PORT, &request(300, &[("topic", "golden_topic")], b"")).await?;
    exchange(BROKER_PORT, &request(343, &[("group", "golden_orderly")], b"")).await?;
    exchange(BROKER_PORT, &request(345, &group_topic, b"")).await?;

    let members = exchange(BROKER_PORT, &request(38, &[("consumerGroup", "golden_push")], b"")).await?;
    let members: Value = serde_json::from_slice(body(&members)?).context("the members of a group")?;
    let member = members["consumerIdList"][0].as_str().context("a member")?;
    // The first message of all: the broker's address and port, and physical offset 0.
    let message = format!("7F000002{BROKER_PORT:08X}{:016X}", 0);
    let directly = [
        ("consumerGroup", "golden_push"),
        ("clientId", member),
        ("msgId", &message),
        ("topic", "golden_topic"),
        ("brokerName", "golden-a"),
    ];
    exchange(BROKER_PORT, &request(309, &directly, b"")).await?;

    // With this off, the broker tells the members.
    let reset = [
        format!("updateBrokerConfig -b {broker} -k useServerSideResetOffset -v false"),
        "resetOffsetByTime -g golden_orderly -t golden_topic -s 0".to_owned(),
        format!("updateBrokerConfig -b {broker} -k useServerSideResetOffset -v true"),
    ];
    mqadmin(artifacts, scratch, name_server, &reset).await
}

/// The body of a frame without its length.
fn body(frame: &[u8]) -> Result<&[u8]> {
    let word = frame.get(..4).context("a frame without a header length")?;
    let header = usize::from(word[1]) << 16 | usize::from(word[2]) << 8 | usize::from(word[3]);
    frame.get(4 + header..).context("a frame without its header")
}

async fn mqadmin(artifacts: &Artifacts, scratch: &Path, name_server: &str, commands: &[String]) -> Result<()> {
    let mut java = jvm(scratch);
    java.arg(format!("-Drocketmq.namesrv.addr={name_server}")).args([
        "-cp",
        &artifacts.mqadmin_class_path(),
        "ferromq.Admin",
    ]);
    let mut tool = Role::start(java).await?;
    for command in commands {
        tool.write(command).await?;
        tool.seen("output", 1).await.with_context(|| format!("mqadmin {command}"))?;
    }
    tool.quit().await
}

async fn role_of(artifacts: &Artifacts, scratch: &Path, flags: &[&str], role: &str) -> Result<Role> {
    let mut java = jvm(scratch);
    java.args(flags).args(["-cp", &artifacts.client_class_path("5.5.0"), "ferromq.Main"]).args(role.split(' '));
    Role::start(java).await.with_context(|| format!("start {role}"))
}

fn jvm(scratch: &Path) -> Command {
    let mut java = Command::new("java");
    java.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .args(["-Duser.home=.", "-Drocketmq.home.dir=."])
        // Some commands of mqadmin leave files where they run.
        .current_dir(scratch);
    java
}

/// A client program that takes commands on stdin and reports events on stdout.
struct Role {
    child: Child,
    stdin: tokio::process::ChildStdin,
    events: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Role {
    async fn start(mut java: Command) -> Result<Self> {
        let mut child =
            java.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
        let stdin = child.stdin.take().context("stdin")?;
        let events = BufReader::new(child.stdout.take().context("stdout")?).lines();
        let mut role = Self { child, stdin, events };
        role.seen("ready", 1).await?;
        Ok(role)
    }

    async fn write(&mut self, line: &str) -> Result<()> {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.context("write a command")
    }

    async fn command(&mut self, line: &str) -> Result<()> {
        self.write(line).await?;
        self.seen("done", 1).await.with_context(|| line.to_owned())
    }

    /// Waits for a number of events of a kind.
    async fn seen(&mut self, event: &str, count: usize) -> Result<()> {
        let marker = format!("\"{event}\"");
        let wait = async {
            let mut left = count;
            while left > 0 {
                let line = self.events.next_line().await?.context("the program ended")?;
                left -= usize::from(line.contains(&marker));
            }
            Ok::<_, anyhow::Error>(())
        };
        timeout(STEP_MAX, wait).await.with_context(|| format!("no {count} {event}"))?
    }

    async fn quit(mut self) -> Result<()> {
        self.write("quit").await?;
        timeout(STEP_MAX, self.child.wait())
            .await
            .context("the program does not end")?
            .context("wait for the program")?;
        Ok(())
    }
}
