//! The four modes of `conf/`, each started, looked at and ended by `scripts/cluster.sh`, as an operator does.
//!
//! Settings are the shipped ones, with ports that nobody uses. All brokers are listed at all three name servers; what was sent
//! is where it has to be, and stays readable when a broker of each set is gone, where the mode promises that. A broker set that
//! is added while the others run is in the routes of its topics.

mod common;
#[path = "common/messages.rs"]
mod messages;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::ports::free_port;
use common::{Process, client, send_message, update_topic};
use messages::messages;
use remoting::body::{ClusterInfo, TopicRouteData, fastjson};
use remoting::client::Client;
use remoting::protocol::ResponseCode;
use remoting::protocol::route::{GetClusterInfo, GetRoute};
use remoting::types::TopicName;

const TOPIC: &str = "spread";
const QUEUES: i32 = 2;
const MESSAGES: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER_MAX: Duration = Duration::from_secs(10);

struct Cluster {
    mode: &'static str,
    folder: tempfile::TempDir,
    client: Client,
}

impl Cluster {
    /// Everything of a mode, which serves.
    fn up(mode: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(mode);
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(shipped).expect("the mode's settings") {
            let path = entry.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            files.insert(name, fs::read_to_string(path).expect("settings"));
        }
        let ports: BTreeSet<String> = files.values().flat_map(|text| ports_in(text)).collect();
        fs::create_dir(folder.path().join("conf")).expect("a folder");
        let free: Vec<_> = ports.into_iter().map(|port| (port, free_port().to_string())).collect();
        for (name, mut text) in files {
            for (port, free) in &free {
                text = text.replace(&format!("listenPort={port}\n"), &format!("listenPort={free}\n"));
                for end in [";", "\n"] {
                    text = text.replace(&format!(":{port}{end}"), &format!(":{free}{end}"));
                }
            }
            fs::write(folder.path().join("conf").join(name), text).expect("settings");
        }
        let cluster = Self { mode, folder, client: client() };
        cluster.act("up", &[]);
        cluster
    }

    fn script(&self, act: &str, names: &[&str]) -> Output {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/cluster.sh"));
        command.arg(act).arg(self.mode).args(names).env_remove("RUST_LOG");
        command.env("CLUSTER_DIR", self.folder.path()).env("FERROMQ", env!("CARGO_BIN_EXE_ferromq"));
        command.output().expect("the script runs")
    }

    /// What the script printed, as all went well.
    fn act(&self, act: &str, names: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.script(act, names);
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{act} {} {names:?}: {stderr}\n{}", self.mode, self.logs());
        String::from_utf8(stdout).expect("text")
    }

    fn settings(&self, name: &str) -> PathBuf {
        self.folder.path().join("conf").join(format!("{name}.properties"))
    }

    fn setting(&self, name: &str, key: &str) -> String {
        let text = fs::read_to_string(self.settings(name)).expect("settings");
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {key} in {name}")).to_owned()
    }

    fn address(&self, name: &str) -> String {
        format!("127.0.0.1:{}", self.setting(name, "listenPort"))
    }

    fn logs(&self) -> String {
        let logs = fs::read_dir(self.folder.path().join("logs")).into_iter().flatten().flatten();
        logs.map(|log| format!("--- {:?}\n{}", log.file_name(), fs::read_to_string(log.path()).unwrap_or_default()))
            .collect()
    }

    /// Looks again until this holds.
    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let since = Instant::now();
        while !holds().await {
            assert!(since.elapsed() < PATIENCE, "{what} never was\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until all name servers list these brokers, and no others.
    async fn until_listed(&self, wanted: &[(&str, i64, &str)]) {
        let wanted: BTreeSet<_> =
            wanted.iter().map(|(set, id, name)| ((*set).to_owned(), *id, self.address(name))).collect();
        for number in 1..=3 {
            let at = self.address(&format!("namesrv-{number}"));
            let is_listed = async || {
                let answer = self.client.call(&at, &GetClusterInfo {}, Bytes::new(), ANSWER_MAX).await;
                let Some(body) = answer.ok().map(|answer| answer.0.body) else { return false };
                let info: ClusterInfo = fastjson::read(&body).expect("brokers");
                let brokers = info.broker_addr_table.into_iter().flat_map(|(set, data)| {
                    let set = set.to_string();
                    data.broker_addrs.into_iter().map(move |(id, address)| (set.clone(), id, address))
                });
                brokers.collect::<BTreeSet<_>>() == wanted
            };
            self.until(&format!("{wanted:?} at name server {number}"), is_listed).await;
        }
    }

    async fn create_topic(&self, broker: &str) {
        let created = async || {
            let (at, update) = (self.address(broker), update_topic(TOPIC, QUEUES));
            let answer = self.client.call(&at, &update, Bytes::new(), ANSWER_MAX).await;
            answer.is_ok_and(|answer| answer.code() == ResponseCode::SUCCESS)
        };
        self.until(&format!("a topic at {broker}"), created).await;
    }

    async fn send(&self, broker: &str, number: u64) -> ResponseCode {
        let (at, header) = (self.address(broker), send_message(TOPIC, QUEUES, number));
        let answer = self.client.call(&at, &header, number.to_string().into(), ANSWER_MAX).await;
        answer.unwrap_or_else(|err| panic!("{broker} does not answer: {err}\n{}", self.logs())).code()
    }

    /// Sends so many messages, numbered from 0.
    async fn send_all(&self, broker: &str) {
        for number in 0..MESSAGES {
            let code = self.send(broker, number).await;
            assert_eq!(code, ResponseCode::SUCCESS, "{number} to {broker}\n{}", self.logs());
        }
    }

    async fn messages(&self, broker: &str) -> HashMap<(i32, i64), u64> {
        messages(&self.client, &self.address(broker), (TOPIC, "readers", QUEUES), ANSWER_MAX).await
    }

    async fn until_it_has_all(&self, broker: &str) {
        self.until(&format!("{broker} with all messages"), async || {
            self.messages(broker).await.len() as u64 >= MESSAGES
        })
        .await;
        let numbers: BTreeSet<_> = self.messages(broker).await.into_values().collect();
        assert_eq!(numbers, (0..MESSAGES).collect(), "{broker}");
    }

    /// Waits until all name servers' routes of the topic lead to these broker sets.
    async fn until_routed(&self, sets: &[&str]) {
        for number in 1..=3 {
            let at = self.address(&format!("namesrv-{number}"));
            let leads_there = async || {
                let ask = GetRoute { topic: TopicName::from(TOPIC), accept_standard_json_only: Some(true) };
                let answer = self.client.call(&at, &ask, Bytes::new(), ANSWER_MAX).await;
                let Some(body) = answer.ok().map(|answer| answer.0.body) else { return false };
                let Ok(route) = fastjson::read::<TopicRouteData>(&body) else { return false };
                let found: Vec<_> = route.queue_datas.iter().map(|queues| queues.broker_name.to_string()).collect();
                found.iter().map(String::as_str).collect::<BTreeSet<_>>() == sets.iter().copied().collect()
            };
            self.until(&format!("a route to {sets:?} at name server {number}"), leads_there).await;
        }
    }
}

impl Drop for Cluster {
    /// A failed test leaves no processes either.
    fn drop(&mut self) {
        self.script("down", &[]);
    }
}

/// The ports that settings name.
fn ports_in(text: &str) -> Vec<String> {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let own = text.lines().filter_map(|line| line.strip_prefix("listenPort=")).map(digits);
    let named = text.split("127.0.0.1:").skip(1).map(digits);
    own.chain(named).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn masters_without_slaves_share_the_topics_and_take_in_another() {
    let cluster = Cluster::up("2m-noslave");
    cluster.until_listed(&[("broker-a", 0, "broker-a"), ("broker-b", 0, "broker-b")]).await;
    for broker in ["broker-a", "broker-b"] {
        cluster.create_topic(broker).await;
        cluster.send_all(broker).await;
        cluster.until_it_has_all(broker).await;
    }
    cluster.until_routed(&["broker-a", "broker-b"]).await;

    // One that goes leaves the routes, and has its messages when it is back.
    cluster.act("down", &["broker-a"]);
    let Output { status, stdout, .. } = cluster.script("status", &[]);
    let told = String::from_utf8_lossy(&stdout);
    assert!(
        !status.success() && told.lines().any(|l| l.starts_with("broker-a ") && l.contains("not running")),
        "{told}"
    );
    cluster.until_routed(&["broker-b"]).await;
    cluster.act("up", &[]);
    cluster.act("status", &[]);
    cluster.until_it_has_all("broker-a").await;
    cluster.until_routed(&["broker-a", "broker-b"]).await;

    // Another is a file beside the others.
    let text = fs::read_to_string(cluster.settings("broker-b")).expect("settings");
    let (port, free) = (cluster.setting("broker-b", "listenPort"), free_port());
    let text =
        text.replace("broker-b", "broker-c").replace(&format!("listenPort={port}"), &format!("listenPort={free}"));
    fs::write(cluster.settings("broker-c"), text).expect("settings");
    cluster.act("up", &[]);
    cluster.create_topic("broker-c").await;
    cluster.until_routed(&["broker-a", "broker-b", "broker-c"]).await;
    cluster.send_all("broker-c").await;
    cluster.until_it_has_all("broker-c").await;
}

const PAIRS: [(&str, i64, &str); 4] = [
    ("broker-a", 0, "broker-a"),
    ("broker-a", 1, "broker-a-s"),
    ("broker-b", 0, "broker-b"),
    ("broker-b", 1, "broker-b-s"),
];

/// Slaves have what their masters have, and hand it out when these are gone.
async fn slaves_follow(cluster: &Cluster) {
    cluster.until_listed(&PAIRS).await;
    for broker in ["broker-a", "broker-b"] {
        cluster.create_topic(broker).await;
        cluster.send_all(broker).await;
        cluster.until_it_has_all(&format!("{broker}-s")).await;
        assert_eq!(cluster.messages(broker).await, cluster.messages(&format!("{broker}-s")).await);
    }
    cluster.act("down", &["broker-a"]);
    cluster.until_listed(&PAIRS[1..]).await;
    cluster.until_it_has_all("broker-a-s").await;
    cluster.act("up", &["broker-a"]);
    cluster.until_listed(&PAIRS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asynchronous_slaves_follow_and_do_not_hold_up_their_masters() {
    let cluster = Cluster::up("2m-2s-async");
    slaves_follow(&cluster).await;
    cluster.act("down", &["broker-b-s"]);
    assert_eq!(cluster.send("broker-b", MESSAGES).await, ResponseCode::SUCCESS);
    cluster.act("up", &[]);
    cluster.until("broker-b-s with the last message", async || cluster.messages("broker-b-s").await.len() == 21).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn synchronous_masters_tell_when_their_slave_lacks_a_message() {
    let cluster = Cluster::up("2m-2s-sync");
    slaves_follow(&cluster).await;
    cluster.act("down", &["broker-b-s"]);
    assert_eq!(cluster.send("broker-b", MESSAGES).await, ResponseCode::FLUSH_SLAVE_TIMEOUT);
    cluster.act("up", &[]);
    // The slave gets it all the same, and from then on is waited for.
    cluster.until("broker-b-s with the last message", async || cluster.messages("broker-b-s").await.len() == 21).await;
    assert_eq!(cluster.send("broker-b", MESSAGES + 1).await, ResponseCode::SUCCESS);
    assert_eq!(cluster.messages("broker-b-s").await.len(), 22);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raft_group_goes_on_without_its_leader() {
    let cluster = Cluster::up("raft");
    let members = ["broker-n0", "broker-n1", "broker-n2"];
    // Broker 0 is whoever leads; the others have the number of their name, plus one.
    let listed = |leader: usize, gone: Option<usize>| {
        let there = (0..3).filter(move |number| Some(*number) != gone);
        there.map(move |number| {
            let id = if number == leader { 0 } else { number as i64 + 1 };
            ("RaftNode00", id, members[number])
        })
    };
    let leader = async || {
        let at = cluster.address("namesrv-1");
        let answer = cluster.client.call(&at, &GetClusterInfo {}, Bytes::new(), ANSWER_MAX).await.ok()?;
        let info: ClusterInfo = fastjson::read(&answer.0.body).expect("brokers");
        let address = info.broker_addr_table.values().find_map(|data| data.master().map(str::to_owned))?;
        members.iter().position(|member| cluster.address(member) == address)
    };
    cluster.until("a leader", async || leader().await.is_some()).await;
    let first = leader().await.expect("a leader");
    cluster.until_listed(&listed(first, None).collect::<Vec<_>>()).await;
    cluster.create_topic(members[first]).await;
    cluster.send_all(members[first]).await;
    for member in members {
        cluster.until_it_has_all(member).await;
    }
    cluster.act("down", &[members[first]]);
    cluster.until("another leader", async || leader().await.is_some_and(|leader| leader != first)).await;
    let second = leader().await.expect("a leader");
    cluster.until_it_has_all(members[second]).await;
    let served = async || cluster.send(members[second], MESSAGES).await == ResponseCode::SUCCESS;
    cluster.until("a leader that takes messages", served).await;
    cluster.act("up", &[]);
    cluster.until(members[first], async || cluster.messages(members[first]).await.len() >= 21).await;
}

/// A number in a pid file that is another process's by now is left alone.
#[tokio::test]
async fn down_ends_only_what_the_script_started() {
    let mut other = Process(Command::new("sleep").arg("60").spawn().expect("a process"));
    let folder = tempfile::tempdir().expect("a folder");
    for (folder_name, name, text) in [
        ("conf", "broker-a.properties", "listenPort=1\n".to_owned()),
        ("run", "broker-a.pid", format!("{} 12345\n", other.0.id())),
    ] {
        fs::create_dir(folder.path().join(folder_name)).expect("a folder");
        fs::write(folder.path().join(folder_name).join(name), text).expect("a file");
    }
    let cluster = Cluster { mode: "2m-noslave", folder, client: client() };
    cluster.act("down", &[]);
    assert!(other.0.try_wait().expect("its state").is_none(), "it was ended");
    other.kill();
}
