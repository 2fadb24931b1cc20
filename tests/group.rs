//! Three real processes are a Raft group, and lose nothing that they acknowledged when one of them is killed.
//!
//! Whoever leads is killed over and over, while clients go on through the others. In the end all members hold the same
//! messages, each where its acknowledgement said; topics and offsets are known to every leader. So it is when a member loses
//! its files, and then the leader goes.
//!
//! An operator looks at the group, hands the lead over, takes a fourth broker in and lets it go. The lead goes to the member
//! that the settings prefer, and the leads of two groups are spread over their machines. Prometheus and probes see how each
//! member is.
//!
//! Old log goes, and members that lack it are filled with files.
//!
//! `GROUP_ROUNDS` asks for more than the usual few rounds. The time from each kill to the first acknowledged message is
//! printed.

mod common;
#[path = "common/messages.rs"]
mod messages;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Process, client, free_port, pull_message, send_message, update_topic};
use messages::messages;
use remoting::client::Client;
use remoting::protocol::ResponseCode;
use remoting::protocol::offset::{OffsetReply, QueryConsumerOffset, UpdateConsumerOffset};
use remoting::protocol::send::SendMessageReply;
use remoting::types::{Clock, QueueId, QueueOffset};
use serde_json::Value;

const TOPIC: &str = "agreed";
const GROUP: &str = "follower";
const QUEUES: i32 = 4;
const PATIENCE: Duration = Duration::from_secs(30);
const ANSWER_MAX: Duration = Duration::from_secs(5);

struct Trio {
    name: &'static str,
    /// Settings of each member besides those that are needed.
    extra: Vec<String>,
    folder: tempfile::TempDir,
    /// For clients, and for each other.
    ports: Vec<(u16, u16)>,
    running: Vec<Option<Process>>,
    client: Client,
}

impl Trio {
    fn start() -> Self {
        Self::start_with("trio", String::new())
    }

    fn start_with(name: &'static str, extra: String) -> Self {
        Self::start_each(name, |_| extra.clone())
    }

    /// With settings of its own for each member.
    fn start_each(name: &'static str, extra: impl Fn(usize) -> String) -> Self {
        let extra = (0..4).map(extra).collect();
        let ports = (0..3).map(|_| (free_port(), free_port())).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let running = (0..3).map(|_| None).collect();
        let mut trio = Self { name, extra, folder, ports, running, client: client() };
        (0..3).for_each(|member| trio.start_one(member));
        trio
    }

    fn members(&self) -> std::ops::Range<usize> {
        0..self.running.len()
    }

    /// Starts one more broker, whose settings name all others, and returns its place.
    fn start_another(&mut self) -> usize {
        let member = self.running.len();
        self.ports.push((free_port(), free_port()));
        self.running.push(None);
        self.start_one(member);
        member
    }

    fn root(&self, member: usize) -> PathBuf {
        self.folder.path().join(format!("n{member}"))
    }

    fn start_one(&mut self, member: usize) {
        let root = self.root(member);
        fs::create_dir_all(&root).expect("a folder");
        let peers: Vec<_> = self.members().map(|number| format!("n{number}-{}", self.peer_addr(number))).collect();
        let (name, extra) = (self.name, &self.extra[member]);
        let settings = format!(
            "brokerName={name}\nbrokerIP1=127.0.0.1\nlistenPort={}\nstorePathRootDir={}\nenableDLegerCommitLog=true\n\
             messageDelayLevel=1s 4s\ndLegerGroup={name}\ndLegerPeers={}\ndLegerSelfId=n{member}\nslaveReadEnable=true\n\
             mappedFileSizeCommitLog=1048576\nmappedFileSizeConsumeQueue=6000\nmaxMessageSize=65536\n{extra}",
            self.ports[member].0,
            root.join("store").display(),
            peers.join(";"),
        );
        let file = root.join("broker.conf");
        fs::write(&file, settings).expect("the settings");
        let log = fs::File::options().create(true).append(true).open(root.join("log")).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferromq"));
        command.arg("broker").arg("-c").arg(file).env_remove("RUST_LOG");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("a broker");
        self.running[member] = Some(Process(child));
    }

    fn addr(&self, member: usize) -> String {
        format!("127.0.0.1:{}", self.ports[member].0)
    }

    /// Where the others reach it: each as if on a machine of its own.
    fn peer_addr(&self, member: usize) -> String {
        format!("127.0.0.{}:{}", member + 1, self.ports[member].1)
    }

    fn log(&self, member: usize) -> String {
        fs::read_to_string(self.root(member).join("log")).unwrap_or_default()
    }

    fn logs(&self) -> String {
        self.members().map(|member| format!("--- n{member}\n{}", self.log(member))).collect()
    }

    /// Who said last that it leads, and runs.
    fn leader(&self) -> Option<usize> {
        self.members().filter(|member| self.running[*member].is_some()).find(|member| {
            let log = self.log(*member);
            let last = log.lines().rev().find(|line| line.contains("serves in its role"));
            last.is_some_and(|line| line.contains("Leader"))
        })
    }

    /// Asks members in turn until one answers with success.
    async fn ask<R: remoting::header::Request + std::fmt::Debug>(&self, header: &R, body: &Bytes) -> (R::Reply, Bytes) {
        self.ask_counting(header, body).await.1
    }

    /// The same, with how often it was asked.
    async fn ask_counting<R: remoting::header::Request + std::fmt::Debug>(
        &self,
        header: &R,
        body: &Bytes,
    ) -> (u32, (R::Reply, Bytes)) {
        let (since, mut tries) = (Instant::now(), 0);
        loop {
            for member in self.members().filter(|member| self.running[*member].is_some()) {
                tries += 1;
                if let Ok(answer) = self.client.call(&self.addr(member), header, body.clone(), ANSWER_MAX).await
                    && answer.code() == ResponseCode::SUCCESS
                {
                    return (tries, answer.success().expect("a reply"));
                }
            }
            assert!(since.elapsed() < PATIENCE, "nobody answers {header:?}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn send(&self, number: u64, acknowledged: &mut HashMap<(i32, i64), u64>) {
        let header = send_message(TOPIC, QUEUES, number);
        let (SendMessageReply { queue_id, queue_offset, .. }, _) = self.ask(&header, &number.to_string().into()).await;
        let before = acknowledged.insert((queue_id.0, queue_offset.0), number);
        assert_eq!(before, None, "{number} got a place that was given away");
    }

    /// `ferromq group` with these words, asked of a member.
    fn command(&self, words: &[&str], member: usize) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferromq"));
        command.arg("group").args(words).arg("-b").arg(self.addr(member)).output().expect("it runs")
    }

    /// What it prints when all goes well.
    fn say(&self, words: &[&str], member: usize) -> String {
        let Output { status, stdout, stderr } = self.command(words, member);
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{words:?}: {stderr}\n{}", self.logs());
        String::from_utf8(stdout).expect("text")
    }

    /// Its status, once that is as wanted.
    async fn status(&self, member: usize, wanted: impl Fn(&Value) -> bool) -> Value {
        let since = Instant::now();
        loop {
            let status = self.say(&["status", "--json"], member);
            let status = serde_json::from_str(&status).expect("JSON");
            if wanted(&status) {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "{status:#}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends until this member leads; how many messages have been sent then.
    async fn send_until_it_leads(&self, member: usize, mut number: u64, sent: &mut HashMap<(i32, i64), u64>) -> u64 {
        let since = Instant::now();
        while self.leader() != Some(member) {
            number += 1;
            self.send(number, sent).await;
            assert!(since.elapsed() < 2 * PATIENCE, "n{member} does not lead\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        number
    }

    /// Hands the lead over, as often as it takes.
    async fn hand_to(&self, member: usize) {
        let since = Instant::now();
        while self.status(0, |status| status["role"] == "leader").await["leader"] != member as u64 + 1 {
            assert!(since.elapsed() < PATIENCE, "n{member} does not lead\n{}", self.logs());
            self.command(&["transfer", &format!("n{member}")], 0);
        }
    }

    /// Returns once these members have all that was acknowledged.
    async fn have_all(&self, members: impl IntoIterator<Item = usize>, acknowledged: &HashMap<(i32, i64), u64>) {
        let since = Instant::now();
        for member in members {
            loop {
                let found = self.messages(member).await;
                let missing = acknowledged.iter().filter(|(place, number)| found.get(place) != Some(number)).count();
                if missing == 0 {
                    break;
                }
                assert!(since.elapsed() < PATIENCE, "member {member} lacks {missing}\n{}", self.logs());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Lines of the logs that no member should write.
    fn errors(&self) -> String {
        let logs = self.members().map(|member| self.log(member)).collect::<Vec<_>>().join("\n");
        logs.lines().filter(|line| line.contains(" ERROR ") || line.contains("panicked")).collect::<Vec<_>>().join("\n")
    }

    /// All messages of a member, by place; of one that has just been started, none.
    async fn messages(&self, member: usize) -> HashMap<(i32, i64), u64> {
        messages(&self.client, &self.addr(member), (TOPIC, GROUP, QUEUES), ANSWER_MAX).await
    }
}

/// Messages that wait, some of which have been delivered when the leader is killed: each arrives once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_delivered_by_the_next_leader() {
    let mut trio = Trio::start();
    trio.ask(&update_topic(TOPIC, QUEUES), &Bytes::new()).await;
    let now = Clock::system().now().0;
    let waits = [
        format!("TIMER_DELIVER_MS\u{1}{}\u{2}", now + 500),
        "DELAY\u{1}1\u{2}".to_owned(),
        format!("TIMER_DELIVER_MS\u{1}{}\u{2}", now + 7000),
        "DELAY\u{1}2\u{2}".to_owned(),
    ];
    let (mut number, mut sent_again) = (0, HashSet::new());
    for wait in &waits {
        for _ in 0..5 {
            number += 1;
            let mut header = send_message(TOPIC, QUEUES, number);
            header.properties = header.properties.map(|properties| properties + wait);
            if trio.ask_counting(&header, &number.to_string().into()).await.0 > 1 {
                // Whether it was stored before is not known.
                sent_again.insert(number);
            }
        }
    }
    let since = Instant::now();
    while trio.messages(0).await.len() < 10 {
        assert!(since.elapsed() < PATIENCE, "{:?}\n{}", trio.messages(0).await, trio.logs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // How far the timer is goes into the log every second.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let leader = trio.leader().unwrap_or_else(|| panic!("nobody leads\n{}", trio.logs()));
    trio.running[leader].take().expect("it runs").kill();
    let survivor = (leader + 1) % 3;
    while trio.messages(survivor).await.len() < 20 {
        assert!(since.elapsed() < 2 * PATIENCE, "{:?}\n{}", trio.messages(survivor).await, trio.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut found: Vec<_> = trio.messages(survivor).await.into_values().collect();
    found.sort_unstable();
    found.dedup_by(|one, other| one == other && sent_again.contains(one));
    assert_eq!(found, (1..=20).collect::<Vec<_>>(), "each once\n{}", trio.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_loses_nothing_when_its_leader_is_killed() {
    let rounds: u64 =
        std::env::var("GROUP_ROUNDS").map_or(3, |rounds| rounds.parse().expect("GROUP_ROUNDS is a number"));
    let mut trio = Trio::start();
    trio.ask(&update_topic(TOPIC, QUEUES), &Bytes::new()).await;
    let (mut acknowledged, mut number) = (HashMap::new(), 0);
    for round in 0..rounds {
        for _ in 0..100 {
            number += 1;
            trio.send(number, &mut acknowledged).await;
        }
        // A pull makes the group, where the leader is.
        for member in 0..3 {
            let pull = pull_message(TOPIC, GROUP, 0, QueueOffset(0), 0);
            trio.client.call(&trio.addr(member), &pull, Bytes::new(), ANSWER_MAX).await.expect("an answer");
        }
        let commit = UpdateConsumerOffset {
            consumer_group: GROUP.into(),
            topic: TOPIC.into(),
            queue_id: QueueId(0),
            commit_offset: QueueOffset(round as i64 + 1),
        };
        trio.ask(&commit, &Bytes::new()).await;
        // Commits are gathered for a moment before they go into the log.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let leader = trio.leader().unwrap_or_else(|| panic!("nobody leads\n{}", trio.logs()));
        trio.running[leader].take().expect("it runs").kill();
        let killed = Instant::now();
        number += 1;
        trio.send(number, &mut acknowledged).await;
        eprintln!("round {round}: acknowledged again after {} ms", killed.elapsed().as_millis());
        let asked = QueryConsumerOffset {
            consumer_group: GROUP.into(),
            topic: TOPIC.into(),
            queue_id: QueueId(0),
            set_zero_if_not_found: Some(false),
        };
        let (OffsetReply { offset }, _) = trio.ask(&asked, &Bytes::new()).await;
        assert_eq!(offset.0, round as i64 + 1, "the new leader knows the group's offset\n{}", trio.logs());
        trio.start_one(leader);
    }
    trio.have_all(0..3, &acknowledged).await;
    assert_eq!(trio.errors(), "", "{}", trio.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_hands_the_lead_over_and_takes_a_broker_in_and_lets_it_go() {
    let mut trio = Trio::start();
    trio.ask(&update_topic(TOPIC, QUEUES), &Bytes::new()).await;
    let mut acknowledged = HashMap::new();
    for number in 0..100 {
        trio.send(number, &mut acknowledged).await;
    }
    let status = trio.status(0, |status| status["role"] == "leader").await;
    let members = status["members"].as_array().expect("members");
    assert_eq!(members.len(), 3, "{status:#}");
    assert!(members.iter().all(|member| member["isVoter"] == true && member["entries"].is_u64()), "{status:#}");
    let leader = status["leader"].as_u64().expect("somebody leads") as usize - 1;

    let refused = trio.command(&["transfer", "n7"], 0);
    assert_eq!(refused.status.code(), Some(1));
    let says = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(says, "ferromq: the group has no member n7\n", "{}", trio.logs());

    let (next, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let since = Instant::now();
    loop {
        // Asked of a member that does not lead before or afterwards. Elections may come in between on a busy machine.
        let said = trio.command(&["transfer", &format!("n{next}")], other);
        let status = trio.status(other, |status| status["role"] == "leader").await;
        if said.status.success() && status["leader"] == next as u64 + 1 {
            assert_eq!(String::from_utf8_lossy(&said.stdout), format!("n{next} leads the group\n"));
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{said:?} {status:#}\n{}", trio.logs());
    }
    for number in 100..200 {
        trio.send(number, &mut acknowledged).await;
    }

    let fourth = trio.start_another();
    let address = trio.peer_addr(fourth);
    let said = trio.say(&["add", "n3", &address], other);
    assert_eq!(said, "n3 has a vote now: it counts for a majority and may lead\n");
    let said = trio.say(&["status"], other);
    assert!(said.contains(&address), "{said}");
    // A pull makes the consumer group, where the leader is.
    for member in trio.members() {
        let pull = pull_message(TOPIC, GROUP, 0, QueueOffset(0), 0);
        let _ = trio.client.call(&trio.addr(member), &pull, Bytes::new(), ANSWER_MAX).await;
    }
    for number in 200..300 {
        trio.send(number, &mut acknowledged).await;
    }
    trio.have_all(0..4, &acknowledged).await;

    let removed = loop {
        let removed = trio.command(&["remove", "n3"], leader);
        if removed.status.success() {
            break removed;
        }
        assert!(since.elapsed() < 3 * PATIENCE, "{removed:?}\n{}", trio.logs());
        // If it leads.
        trio.command(&["transfer", "n0"], leader);
    };
    let said = String::from_utf8_lossy(&removed.stdout);
    assert!(said.starts_with("n3 is out of the group: stop its broker."), "{said}");
    trio.running[fourth].take().expect("it runs").kill();
    let status = trio.status(other, |status| status["role"] == "leader").await;
    let left: Vec<_> = status["members"].as_array().expect("members").iter().map(|member| &member["number"]).collect();
    assert_eq!(left, [1, 2, 3], "{status:#}");
    for number in 300..400 {
        trio.send(number, &mut acknowledged).await;
    }
    assert_eq!(acknowledged.len(), 400);
    trio.have_all(0..3, &acknowledged).await;
    assert_eq!(trio.errors(), "", "{}", trio.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_member_that_the_settings_prefer_gets_the_lead_while_messages_are_sent() {
    let mut trio = Trio::start_with("trio", "preferredLeaderIds=n7;n2\n".to_owned());
    trio.ask(&update_topic(TOPIC, QUEUES), &Bytes::new()).await;
    let mut acknowledged = HashMap::new();
    let mut number = trio.send_until_it_leads(2, 0, &mut acknowledged).await;
    for member in trio.members() {
        let pull = pull_message(TOPIC, GROUP, 0, QueueOffset(0), 0);
        let _ = trio.client.call(&trio.addr(member), &pull, Bytes::new(), ANSWER_MAX).await;
    }
    let said = trio.say(&["status"], 0);
    assert!(said.contains("it prefers n7 or n2 as the leader"), "{said}");
    trio.running[2].take().expect("it runs").kill();
    number += 1;
    trio.send(number, &mut acknowledged).await;
    let status = trio.status(0, |status| status["role"] == "leader").await;
    assert_ne!(status["leader"], 3, "{status:#}");
    assert_eq!(status["members"][2]["health"], "silent", "{status:#}");
    trio.start_one(2);
    number = trio.send_until_it_leads(2, number, &mut acknowledged).await;
    let status = trio.status(0, |status| status["role"] == "leader").await;
    let healths: Vec<_> = status["members"].as_array().expect("members").iter().map(|one| &one["health"]).collect();
    assert_eq!(healths, ["well"; 3], "{status:#}");
    assert_eq!(acknowledged.len() as u64, number);
    trio.have_all(0..3, &acknowledged).await;
    assert_eq!(trio.errors(), "", "{}", trio.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leads_of_two_groups_are_spread_over_their_machines() {
    let port = free_port();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("namesrv.conf");
    fs::write(&file, format!("listenPort={port}\nkvConfigPath={}/kv.json\n", folder.path().display()))
        .expect("settings");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferromq"));
    command.arg("namesrv").arg("-c").arg(file).stdout(Stdio::null()).stderr(Stdio::null());
    let _name_server = Process(command.spawn().expect("a name server"));
    let name_server = format!("127.0.0.1:{port}");
    let groups = ["one", "two"].map(|name| Trio::start_with(name, format!("namesrvAddr={name_server}\n")));
    let logs = || groups.each_ref().map(Trio::logs).concat();
    let spread = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferromq"));
        let said = command.args(["group", "spread", "-n", &name_server]).args(options).output().expect("it runs");
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    let since = Instant::now();
    loop {
        for group in &groups {
            group.hand_to(0).await;
        }
        let planned = spread(&["--dry-run", "--cluster", "DefaultCluster"]);
        if planned.contains("127.0.0.1  2      1\n") {
            assert!(planned.contains("one: n0 on 127.0.0.1 is to give the lead to n1 on 127.0.0.2\n"), "{planned}");
            assert!(planned.ends_with("nothing is changed: --dry-run\n"), "{planned}");
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{planned}\n{}", logs());
    }
    let unknown = spread(&["--cluster", "nowhere"]);
    assert_eq!(unknown, "");
    let mut said = Vec::new();
    loop {
        said.push(spread(&[]));
        let mut leaders = Vec::new();
        for group in &groups {
            leaders.push(group.status(0, |status| status["role"] == "leader").await["leader"].clone());
        }
        if leaders[0] != leaders[1] {
            break;
        }
        assert!(since.elapsed() < 2 * PATIENCE, "{said:?}\n{}", logs());
    }
    assert!(said.concat().contains("one: n1 leads\n"), "{said:?}");
    assert!(spread(&[]).ends_with("the leads are spread as evenly as the members allow\n"));
}

/// What a member answers to a request by HTTP.
fn http(port: u16, path: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").expect("it is asked");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_and_readiness_tell_how_each_member_is() {
    let ports: [u16; 3] = std::array::from_fn(|_| free_port());
    let mut trio = Trio::start_each("trio", |member| {
        ports
            .get(member)
            .map_or_else(String::new, |port| format!("metricsExporterType=PROM\nmetricsPromExporterPort={port}\n"))
    });
    trio.ask(&update_topic(TOPIC, QUEUES), &Bytes::new()).await;
    let mut acknowledged = HashMap::new();
    for number in 0..50 {
        trio.send(number, &mut acknowledged).await;
    }
    let ready = |trio: &Trio, member: usize| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferromq"));
        let said = command.args(["ready", "-b", &trio.addr(member)]).output().expect("it runs");
        let words = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        (said.status.code() == Some(0), words)
    };
    let since = Instant::now();
    while !(0..3).all(|member| ready(&trio, member).0) {
        assert!(since.elapsed() < PATIENCE, "{:?}\n{}", ready(&trio, 0), trio.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for port in ports {
        assert!(http(port, "/live").ends_with("\r\n\r\nlive\n"));
        assert!(http(port, "/ready").starts_with("HTTP/1.1 200 OK\r\n"), "{}", http(port, "/ready"));
    }
    let labels = r#"cluster="DefaultCluster",node_type="broker",node_id="trio""#;
    let (leader, page) = loop {
        let leader = trio.leader().unwrap_or_else(|| panic!("nobody leads\n{}", trio.logs()));
        let page = http(ports[leader], "/metrics");
        let wanted = [
            format!(r#"rocketmq_raft_role{{{labels},role="leader"}} 1.0"#),
            format!("rocketmq_raft_voters{{{labels}}} 3.0"),
            format!(r#"rocketmq_raft_member_lag_entries{{{labels},member="n{}"}} 0.0"#, (leader + 1) % 3),
            format!(r#"rocketmq_raft_member_lag_bytes{{{labels},member="n{}"}} 0.0"#, (leader + 2) % 3),
            format!("rocketmq_broker_permission{{{labels}}} 6.0"),
            format!(r#"rocketmq_topic_put_messages_total{{{labels},topic="agreed",is_system="false"}} "#),
        ];
        let is_there = |line: &&String| page.lines().any(|found| found.starts_with(&**line));
        let lacking: Vec<_> = wanted.iter().filter(|line| !is_there(line)).collect();
        if lacking.is_empty() {
            break (leader, page);
        }
        assert!(since.elapsed() < 2 * PATIENCE, "{lacking:?}\n{page}\n{}", trio.logs());
        // Counters begin again with a reign.
        trio.send(acknowledged.len() as u64, &mut acknowledged).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    // Every family is written down.
    let documented = include_str!("../docs/metrics.md");
    for family in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = family.split_once(' ').expect("a type");
        let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
        assert!(documented.contains(&format!("| `{name}` | {kind} |")), "{family}");
    }
    let gone = [(leader + 1) % 3, (leader + 2) % 3];
    for member in gone {
        trio.running[member].take().expect("it runs").kill();
    }
    while ready(&trio, leader).0 {
        assert!(since.elapsed() < 3 * PATIENCE, "it is ready without the others\n{}", trio.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(ready(&trio, leader).1.starts_with("ferromq: not ready: "), "{:?}", ready(&trio, leader));
    assert!(http(ports[leader], "/ready").starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    assert!(http(ports[leader], "/live").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(!ready(&trio, gone[0]).0, "it is not there");
}

/// A follower loses its files and is filled again; then it helps to elect the next leader, who has everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_lost_its_files_counts_again_once_it_is_filled() {
    let mut trio = Trio::start();
    trio.ask(&update_topic(TOPIC, QUEUES), &Bytes::new()).await;
    let (mut acknowledged, mut number) = (HashMap::new(), 0);
    for _ in 0..2 {
        for _ in 0..200 {
            number += 1;
            trio.send(number, &mut acknowledged).await;
        }
        let leader = trio.leader().unwrap_or_else(|| panic!("nobody leads\n{}", trio.logs()));
        let wiped = (leader + 1) % 3;
        trio.running[wiped].take().expect("it runs").kill();
        fs::remove_dir_all(trio.root(wiped).join("store")).expect("its files");
        number += 1;
        trio.send(number, &mut acknowledged).await;
        trio.start_one(wiped);
        trio.have_all([wiped], &acknowledged).await;
        let since = Instant::now();
        while trio.root(wiped).join("store/raft/quarantine").exists() {
            assert!(since.elapsed() < PATIENCE, "it does not vote\n{}", trio.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        trio.running[leader].take().expect("it runs").kill();
        number += 1;
        trio.send(number, &mut acknowledged).await;
        trio.start_one(leader);
        trio.have_all(0..3, &acknowledged).await;
    }
    assert_eq!(trio.errors(), "", "{}", trio.logs());
}

/// A megabyte of messages, and a bit more.
const LARGE: usize = 25;

impl Trio {
    async fn send_large(&self, number: u64) {
        let header = send_message(TOPIC, QUEUES, number);
        self.ask(&header, &vec![b'x'; 50_000].into()).await;
    }

    /// Files of a member's log, by their place.
    fn log_files(&self, member: usize) -> Vec<u64> {
        let Ok(entries) = fs::read_dir(self.root(member).join("store/commitlog")) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse().ok());
        let mut files: Vec<u64> = names.collect();
        files.sort_unstable();
        files
    }

    /// Returns once these members have nothing of the log before `from`.
    async fn until_old_log_is_gone(&self, members: impl IntoIterator<Item = usize>, from: u64) {
        let since = Instant::now();
        for member in members {
            while self.log_files(member).first().is_none_or(|first| *first < from) {
                let files = self.log_files(member);
                assert!(since.elapsed() < PATIENCE, "member {member} keeps {files:?}\n{}", self.logs());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Returns once a member has been filled and has what the leader has.
    async fn until_filled(&self, member: usize, times: usize) {
        let since = Instant::now();
        while self.log(member).matches("what the group has sent is in place").count() < times {
            assert!(since.elapsed() < PATIENCE, "member {member} is not filled\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let has_all = |status: &Value| {
            let members = status["members"].as_array().cloned().unwrap_or_default();
            let own = members.iter().find(|other| other["number"] == member as u64 + 1);
            status["role"] == "leader" && own.is_some_and(|own| own["entries"] == status["entries"])
        };
        self.status((member + 1) % 3, has_all).await;
    }

    /// Compares the files of the log that all members have, but the last.
    fn compare_logs(&self) {
        let of_all: Vec<_> = (0..3).map(|member| self.log_files(member)).collect();
        let is_common = |start: &&u64| of_all.iter().all(|files| files.contains(*start));
        let common: Vec<_> = of_all[0].iter().filter(is_common).collect();
        let read = |member: usize, start: u64| fs::read(self.root(member).join(format!("store/commitlog/{start:020}")));
        for start in common {
            let files: Vec<_> = (0..3).filter_map(|member| read(member, *start).ok()).collect();
            // The last one has room behind the end, and may be written to.
            let end = files.iter().map(|file| file.iter().rposition(|byte| *byte != 0).unwrap_or(0)).min().unwrap_or(0);
            assert!(files.iter().all(|file| file[..end] == files[0][..end]), "{start} differs\n{}", self.logs());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_lack_what_is_gone_from_the_log_are_filled() {
    let mut trio = Trio::start_with(
        "trio",
        "fileReservedTime=0\ncleanResourceInterval=500\ndeleteCommitLogFilesInterval=0\nmaxRaftFillByteInSecond=20000000\n\
         deleteWhen=0;1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20;21;22;23\n"
            .to_owned(),
    );
    trio.ask(&update_topic(TOPIC, QUEUES), &Bytes::new()).await;
    trio.ask(&update_topic("quiet", QUEUES), &Bytes::new()).await;
    let quiet = |number| send_message("quiet", 1, number);
    let (SendMessageReply { queue_offset, .. }, _) = trio.ask(&quiet(0), &Bytes::from_static(b"0")).await;
    assert_eq!(queue_offset.0, 0);
    let mut number = 0;
    // Once it has lost its files, then it was away for too long.
    for (round, is_wiped) in [true, false].into_iter().enumerate() {
        let leader = trio.leader().unwrap_or_else(|| panic!("nobody leads\n{}", trio.logs()));
        let away = (leader + 1) % 3;
        let end = trio.log_files(leader).last().copied().expect("a file of the log");
        trio.running[away].take().expect("it runs").kill();
        if is_wiped {
            fs::remove_dir_all(trio.root(away).join("store")).expect("its files");
        }
        for _ in 0..4 * LARGE {
            number += 1;
            trio.send_large(number).await;
        }
        let others = (0..3).filter(|member| *member != away);
        trio.until_old_log_is_gone(others, end + (2 << 20)).await;
        let fills = trio.log(away).matches("what the group has sent is in place").count();
        trio.start_one(away);
        trio.until_filled(away, fills + 1).await;
        let since = Instant::now();
        while trio.root(away).join("store/raft/quarantine").exists() {
            assert!(since.elapsed() < PATIENCE, "it does not vote\n{}", trio.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        trio.compare_logs();
        // The one that was filled leads, and goes on where each queue was.
        let since = Instant::now();
        while trio.leader() != Some(away) {
            trio.command(&["transfer", &format!("n{away}")], away);
            assert!(since.elapsed() < PATIENCE, "it does not lead\n{}", trio.logs());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (SendMessageReply { queue_offset, .. }, _) =
            trio.ask(&quiet(round as u64 + 1), &Bytes::from_static(b"q")).await;
        assert_eq!(queue_offset.0, round as i64 + 1, "{}", trio.logs());
    }
    trio.compare_logs();
    assert_eq!(trio.errors(), "", "{}", trio.logs());
}
