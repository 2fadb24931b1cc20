//! Three brokers that are a group, and what is asked of them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use bytes::Bytes;
use remoting::client::Client;
use remoting::protocol::ResponseCode;
use remoting::protocol::send::SendMessageReply;
use serde_json::Value;

use crate::common::ports::free_port;
use crate::common::{Process, client, processes, send_message};
use crate::messages::messages;

pub(crate) const TOPIC: &str = "agreed";
pub(crate) const GROUP: &str = "follower";
pub(crate) const QUEUES: i32 = 4;
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(5);

pub(crate) struct Trio {
    pub(crate) name: &'static str,
    /// Settings of each member besides those that are needed.
    pub(crate) extra: Vec<String>,
    pub(crate) folder: tempfile::TempDir,
    /// For clients, and for each other.
    pub(crate) ports: Vec<(u16, u16)>,
    pub(crate) running: Vec<Option<Process>>,
    pub(crate) client: Client,
}

impl Trio {
    pub(crate) fn start() -> Self {
        Self::start_with("trio", String::new())
    }

    pub(crate) fn start_with(name: &'static str, extra: String) -> Self {
        Self::start_each(name, |_| extra.clone())
    }

    /// With settings of its own for each member.
    pub(crate) fn start_each(name: &'static str, extra: impl Fn(usize) -> String) -> Self {
        let extra = (0..4).map(extra).collect();
        let ports = (0..3).map(|_| (free_port(), free_port())).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let running = (0..3).map(|_| None).collect();
        let mut trio = Self { name, extra, folder, ports, running, client: client() };
        (0..3).for_each(|member| trio.start_one(member));
        trio
    }

    pub(crate) fn members(&self) -> std::ops::Range<usize> {
        0..self.running.len()
    }

    /// Starts one more broker, whose settings name all others, and returns its place.
    pub(crate) fn start_another(&mut self) -> usize {
        let member = self.running.len();
        self.ports.push((free_port(), free_port()));
        self.running.push(None);
        self.start_one(member);
        member
    }

    pub(crate) fn root(&self, member: usize) -> PathBuf {
        self.folder.path().join(format!("n{member}"))
    }

    pub(crate) fn start_one(&mut self, member: usize) {
        let root = self.root(member);
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
        self.running[member] = Some(processes::start("broker", &root, &settings, None));
    }

    pub(crate) fn addr(&self, member: usize) -> String {
        format!("127.0.0.1:{}", self.ports[member].0)
    }

    /// Where the others reach it: each as if on a machine of its own.
    pub(crate) fn peer_addr(&self, member: usize) -> String {
        format!("127.0.0.{}:{}", member + 1, self.ports[member].1)
    }

    pub(crate) fn log(&self, member: usize) -> String {
        processes::log_of(&self.root(member))
    }

    pub(crate) fn logs(&self) -> String {
        self.members().map(|member| format!("--- n{member}\n{}", self.log(member))).collect()
    }

    /// Who said last that it leads, and runs.
    pub(crate) fn leader(&self) -> Option<usize> {
        self.members().filter(|member| self.running[*member].is_some()).find(|member| {
            let log = self.log(*member);
            let last = log.lines().rev().find(|line| line.contains("serves in its role"));
            last.is_some_and(|line| line.contains("Leader"))
        })
    }

    /// Asks members in turn until one answers with success.
    pub(crate) async fn ask<R: remoting::header::Request + std::fmt::Debug>(
        &self,
        header: &R,
        body: &Bytes,
    ) -> (R::Reply, Bytes) {
        self.ask_counting(header, body).await.1
    }

    /// The same, with how often it was asked.
    pub(crate) async fn ask_counting<R: remoting::header::Request + std::fmt::Debug>(
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

    pub(crate) async fn send(&self, number: u64, acknowledged: &mut HashMap<(i32, i64), u64>) {
        let header = send_message(TOPIC, QUEUES, number);
        let (SendMessageReply { queue_id, queue_offset, .. }, _) = self.ask(&header, &number.to_string().into()).await;
        let before = acknowledged.insert((queue_id.0, queue_offset.0), number);
        assert_eq!(before, None, "{number} got a place that was given away");
    }

    /// `ferromq group` with these words, asked of a member.
    pub(crate) fn command(&self, words: &[&str], member: usize) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferromq"));
        command.arg("group").args(words).arg("-b").arg(self.addr(member)).output().expect("it runs")
    }

    /// What it prints when all goes well.
    pub(crate) fn say(&self, words: &[&str], member: usize) -> String {
        let Output { status, stdout, stderr } = self.command(words, member);
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{words:?}: {stderr}\n{}", self.logs());
        String::from_utf8(stdout).expect("text")
    }

    /// Its status, once that is as wanted.
    pub(crate) async fn status(&self, member: usize, wanted: impl Fn(&Value) -> bool) -> Value {
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
    pub(crate) async fn send_until_it_leads(
        &self,
        member: usize,
        mut number: u64,
        sent: &mut HashMap<(i32, i64), u64>,
    ) -> u64 {
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
    pub(crate) async fn hand_to(&self, member: usize) {
        let since = Instant::now();
        while self.status(0, |status| status["role"] == "leader").await["leader"] != member as u64 + 1 {
            assert!(since.elapsed() < PATIENCE, "n{member} does not lead\n{}", self.logs());
            self.command(&["transfer", &format!("n{member}")], 0);
        }
    }

    /// Returns once these members have all that was acknowledged.
    pub(crate) async fn have_all(
        &self,
        members: impl IntoIterator<Item = usize>,
        acknowledged: &HashMap<(i32, i64), u64>,
    ) {
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
    pub(crate) fn errors(&self) -> String {
        let logs = self.members().map(|member| self.log(member)).collect::<Vec<_>>().join("\n");
        processes::errors_in(&logs).join("\n")
    }

    /// All messages of a member, by place; of one that has just been started, none.
    pub(crate) async fn messages(&self, member: usize) -> HashMap<(i32, i64), u64> {
        messages(&self.client, &self.addr(member), (TOPIC, GROUP, QUEUES), ANSWER_MAX).await
    }
}
