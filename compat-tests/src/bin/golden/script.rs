//! What the peers say, so that every request we answer is said once.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use compat_tests::artifacts::Artifacts;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::frame::request;
use crate::{BROKER_PORT, NAME_SERVER_PORT, PROXY};

const STEP_MAX: Duration = Duration::from_secs(60);

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
            "updateSubGroup -c golden -g golden_push".to_owned(),
        ],
    )
    .await?;
    messages(artifacts, scratch, &name_server, &[]).await?;
    messages(artifacts, scratch, &name_server, &["-Drocketmq.serialize.type=ROCKETMQ"]).await?;
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
        ]
        .map(|command| {
            let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
            format!("{verb} -b {broker} {rest}")
        }),
    );
    mqadmin(artifacts, scratch, &name_server, &commands).await?;
    by_hand().await
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

/// Request code, header fields and body of a request no stock client sends.
type Ask<'a> = (u16, &'a [(&'a str, &'a str)], String);

/// Producers and consumers of every kind.
async fn messages(artifacts: &Artifacts, scratch: &Path, name_server: &str, flags: &[&str]) -> Result<()> {
    let start = async |role: &str| role_of(artifacts, scratch, flags, &format!("{role} namesrv={name_server}")).await;
    let mut producer = start("producer group=golden_producer instance=p").await?;
    for send in [
        "send mode=sync topic=golden_topic key=a tag=TagA",
        "send mode=async topic=golden_topic key=b count=4",
        "send mode=oneway topic=golden_topic key=c",
        "send mode=batch topic=golden_topic key=d count=3",
        "send mode=sync topic=golden_auto key=e",
        "send mode=sync topic=SCHEDULE_TOPIC_XXXX key=f",
        "send mode=sync topic=golden_topic key=g delay=1",
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
    if flags.is_empty() {
        let broker = format!("{PROXY}:{BROKER_PORT}");
        let online = [
            "consumerConnection -g golden_orderly".to_owned(),
            "consumerStatus -g golden_orderly -s".to_owned(),
            "producerConnection -g golden_producer -t golden_topic".to_owned(),
            "consumerProgress -g golden_orderly -s true".to_owned(),
            format!("producer -b {broker}"),
        ];
        mqadmin(artifacts, scratch, name_server, &online).await?;
        while_online().await?;
    }
    for role in [failing, orderly, second, pull, producer] {
        role.quit().await?;
    }
    Ok(())
}

/// Hand-made requests that need clients.
async fn while_online() -> Result<()> {
    let group_topic = [("topic", "golden_topic"), ("group", "golden_orderly")];
    exchange(BROKER_PORT, &request(223, &group_topic, b"")).await?;
    exchange(BROKER_PORT, &request(303, &group_topic, b"")).await?;
    exchange(BROKER_PORT, &request(300, &[("topic", "golden_topic")], b"")).await?;
    exchange(BROKER_PORT, &request(343, &[("group", "golden_orderly")], b"")).await?;
    exchange(BROKER_PORT, &request(345, &group_topic, b"")).await?;
    Ok(())
}

/// Requests that no stock peer sends by itself in this script.
async fn by_hand() -> Result<()> {
    let queue = [("topic", "golden_topic"), ("queueId", "0")];
    let broker: &[Ask] = &[
        (14, &[("consumerGroup", "golden_new"), ("topic", "golden_topic"), ("queueId", "0"), ("setZeroIfNotFound", "false")], String::new()),
        (18, &[], json!({"topicConfigList": [{"topicName": "golden_list", "readQueueNums": 1, "writeQueueNums": 1, "perm": 6}]}).to_string()),
        (21, &[], String::new()),
        (29, &[("topic", "golden_topic"), ("queueId", "0"), ("timestamp", "0")], String::new()),
        (30, &queue, String::new()),
        (31, &queue, String::new()),
        (32, &queue, String::new()),
        (33, &[("offset", "0")], String::new()),
        (33, &[("offset", "99999999999")], String::new()),
        (43, &[], String::new()),
        (45, &[], String::new()),
        (201, &[], String::new()),
        (225, &[], json!({"groupConfigList": [{"groupName": "golden_list"}]}).to_string()),
        (305, &[], String::new()),
        (306, &[], String::new()),
        (308, &[("compareGroup", "golden_push"), ("topic", "golden_topic")], String::new()),
        (314, &[("srcGroup", "golden_push"), ("destGroup", "golden_clone"), ("topic", "golden_topic"), ("offline", "true")], String::new()),
        (315, &[("statsName", "TOPIC_PUT_NUMS"), ("statsKey", "golden_topic")], String::new()),
        (316, &[], String::new()),
        (321, &[("topic", "golden_topic"), ("queueId", "0"), ("index", "0"), ("count", "2")], String::new()),
        (329, &[], String::new()),
        (351, &[("topic", "golden_topic")], String::new()),
        (352, &[("group", "golden_push")], String::new()),
        (353, &[("group", "golden_push"), ("topic", "golden_topic")], String::new()),
        (361, &[
            ("consumerGroup", "golden_pull"), ("topic", "golden_topic"), ("queueId", "0"), ("queueOffset", "0"), ("maxMsgNums", "1"),
            ("sysFlag", "20"), ("commitOffset", "0"), ("suspendTimeoutMillis", "0"), ("subscription", "*"), ("subVersion", "0"),
        ], String::new()),
        (46, &[], json!({"clientId": "c", "group": "g", "subscriptionData": {"topic": "golden_topic", "subString": "a > 1", "expressionType": "SQL92"}}).to_string()),
        (4711, &[], String::new()),
    ];
    for (code, fields, body) in broker {
        exchange(BROKER_PORT, &request(*code, fields, body.as_bytes())).await?;
    }
    let member =
        [("clusterName", "golden"), ("brokerName", "golden-a"), ("brokerAddr", "127.0.0.2:30911"), ("brokerId", "0")];
    let version = json!({"counter": 1, "stateVersion": 0, "timestamp": 1}).to_string();
    let route = json!({"brokerDatas": [], "filterServerTable": {}, "queueDatas": []}).to_string();
    let name_server: &[Ask] = &[
        (101, &[("namespace", "none"), ("key", "none")], String::new()),
        (217, &[("topic", "golden_registered")], route),
        (219, &[("namespace", "none")], String::new()),
        (224, &[("cluster", "golden")], String::new()),
        (304, &[], String::new()),
        (311, &[], String::new()),
        (312, &[], String::new()),
        (313, &[], String::new()),
        (322, &member, version),
        (901, &member, String::new()),
        (904, &member, String::new()),
        (4711, &[], String::new()),
    ];
    for (code, fields, body) in name_server {
        exchange(NAME_SERVER_PORT, &request(*code, fields, body.as_bytes())).await?;
    }
    Ok(())
}

/// Sends a request through the proxy; the answer's frame without its length.
async fn exchange(port: u16, request: &[u8]) -> Result<Vec<u8>> {
    let answer = async {
        let mut stream = TcpStream::connect((PROXY, port)).await?;
        stream.write_all(request).await?;
        let length = stream.read_u32().await?;
        let mut answer = vec![0; length as usize];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    timeout(STEP_MAX, answer).await.context("no answer")?.context("an answer")
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
        .arg(format!("-Duser.home={}", scratch.display()))
        .arg(format!("-Drocketmq.home.dir={}", scratch.display()));
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
