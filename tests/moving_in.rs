//! A broker of its own becomes the first member of a Raft group on the files that it has, goes back, and becomes one again: its
//! messages stay at their offsets, consumers where they are, and what waits is delivered once. Others that it takes in get all that
//! it has, also what is from before the group.

mod common;
#[path = "common/messages.rs"]
mod messages;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::ports::free_port;
use common::{Process, client, processes, pull_message, send_message, update_topic};
use messages::messages;
use remoting::client::Client;
use remoting::header::Request;
use remoting::protocol::ResponseCode;
use remoting::protocol::offset::{OffsetReply, QueryConsumerOffset, UpdateConsumerOffset};
use remoting::protocol::send::SendMessageReply;
use remoting::types::{QueueId, QueueOffset};

const TOPIC: &str = "moved";
const GROUP: &str = "follower";
const QUEUES: i32 = 2;
const PATIENCE: Duration = Duration::from_secs(30);
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// One broker, on files that stay.
struct House {
    /// As a member.
    own: usize,
    /// Those whom its settings name besides it, if they do.
    others: Vec<String>,
    folder: tempfile::TempDir,
    port: u16,
    raft_port: u16,
    running: Option<Process>,
    client: Client,
    /// Numbers of the messages that were acknowledged, by place.
    sent: BTreeMap<(i32, i64), u64>,
    /// Of those that wait for their time.
    waiting: HashSet<u64>,
    number: u64,
}

/// What the settings say of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Alone,
    GroupOfOne,
    GroupOfMany,
}

impl House {
    fn new(own: usize) -> Self {
        Self {
            own,
            others: Vec::new(),
            folder: tempfile::tempdir().expect("a folder"),
            port: free_port(),
            raft_port: free_port(),
            running: None,
            client: client(),
            sent: BTreeMap::new(),
            waiting: HashSet::new(),
            number: 0,
        }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn peer_addr(&self) -> String {
        format!("127.0.0.1:{}", self.raft_port)
    }

    /// As `dLegerPeers` has it.
    fn peer(&self) -> String {
        format!("n{}-{}", self.own, self.peer_addr())
    }

    fn start(&mut self, kind: Kind) {
        let group = |peers: String| {
            format!(
                "enableDLegerCommitLog=true\ndLegerGroup=house\ndLegerPeers={peers}\ndLegerSelfId=n{}\n\
                 slaveReadEnable=true\n",
                self.own
            )
        };
        let group = match kind {
            Kind::Alone => String::new(),
            Kind::GroupOfOne => group(self.peer()),
            Kind::GroupOfMany => group([&[self.peer()], &self.others[..]].concat().join(";")),
        };
        let settings = format!(
            "brokerName=house\nbrokerIP1=127.0.0.1\nlistenPort={}\nstorePathRootDir={}\nmessageDelayLevel=1s 6s\n\
             mappedFileSizeCommitLog=131072\nmappedFileSizeConsumeQueue=6000\nmaxMessageSize=32768\n\
             flushConsumerOffsetInterval=100\n{group}",
            self.port,
            self.store().display(),
        );
        self.running = Some(processes::start("broker", self.folder.path(), &settings, None));
    }

    /// As SIGTERM, at which it closes everything.
    fn stop(&mut self) {
        let status = self.running.take().expect("it runs").stop();
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// Waits for its end.
    fn end(&mut self) -> ExitStatus {
        self.running.take().expect("it runs").0.wait().expect("it ends")
    }

    fn log(&self) -> String {
        processes::log_of(self.folder.path())
    }

    /// Asks until it is answered with success.
    async fn ask<R: Request + std::fmt::Debug>(&self, header: &R, body: &Bytes) -> (R::Reply, Bytes) {
        let since = Instant::now();
        loop {
            let answer = self.client.call(&format!("127.0.0.1:{}", self.port), header, body.clone(), ANSWER_MAX).await;
            if let Ok(answer) = answer
                && answer.code() == ResponseCode::SUCCESS
            {
                return answer.success().expect("a reply");
            }
            assert!(since.elapsed() < PATIENCE, "no answer to {header:?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn send(&mut self, count: u64) {
        for _ in 0..count {
            self.number += 1;
            let header = send_message(TOPIC, QUEUES, self.number);
            let (SendMessageReply { queue_id, queue_offset, .. }, _) =
                self.ask(&header, &self.number.to_string().into()).await;
            let before = self.sent.insert((queue_id.0, queue_offset.0), self.number);
            assert_eq!(before, None, "{} got a place that was given away", self.number);
        }
    }

    /// Messages that wait for their time, by level and to the millisecond.
    async fn send_waiting(&mut self) {
        for wait in ["DELAY\u{1}2\u{2}", "TIMER_DELAY_MS\u{1}6000\u{2}"] {
            self.number += 1;
            let mut header = send_message(TOPIC, QUEUES, self.number);
            header.properties = header.properties.map(|properties| properties + wait);
            self.ask(&header, &self.number.to_string().into()).await;
            self.waiting.insert(self.number);
        }
    }

    async fn commit(&self, offset: i64) {
        self.ask(&pull_message(TOPIC, GROUP, 0, QueueOffset(0), 0), &Bytes::new()).await;
        let commit = UpdateConsumerOffset {
            consumer_group: GROUP.into(),
            topic: TOPIC.into(),
            queue_id: QueueId(0),
            commit_offset: QueueOffset(offset),
            forward: None,
        };
        self.ask(&commit, &Bytes::new()).await;
        // Commits are gathered for a moment before they go into a group's log.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    async fn committed(&self) -> i64 {
        let asked = QueryConsumerOffset {
            consumer_group: GROUP.into(),
            topic: TOPIC.into(),
            queue_id: QueueId(0),
            set_zero_if_not_found: Some(false),
        };
        let (OffsetReply { offset }, _) = self.ask(&asked, &Bytes::new()).await;
        offset.0
    }

    /// All messages, by place.
    async fn messages(&self) -> HashMap<(i32, i64), u64> {
        let broker = format!("127.0.0.1:{}", self.port);
        messages(&self.client, &broker, (TOPIC, GROUP, QUEUES), ANSWER_MAX).await
    }

    /// Everything that was sent is where it was acknowledged, and what waited comes, each once.
    async fn check(&mut self) {
        let since = Instant::now();
        loop {
            let found = self.messages().await;
            for (place, number) in &self.sent {
                assert_eq!(found.get(place), Some(number), "at {place:?}\n{}", self.log());
            }
            let others: Vec<_> = found.iter().filter(|(place, _)| !self.sent.contains_key(place)).collect();
            assert!(others.iter().all(|(_, number)| self.waiting.contains(number)), "{others:?}\n{}", self.log());
            if others.len() == self.waiting.len() {
                let others: Vec<_> = others.into_iter().map(|(place, number)| (*place, *number)).collect();
                let numbers: HashSet<_> = others.iter().map(|(_, number)| *number).collect();
                assert_eq!(numbers, self.waiting, "each once");
                self.waiting.clear();
                self.sent.extend(others);
                return;
            }
            assert!(since.elapsed() < PATIENCE, "{:?} do not come, but {others:?}\n{}", self.waiting, self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Returns once it has what another one has: the same files of the log, and everything that was sent at its place.
    /// What was asked for again, as nobody answered, may be there twice.
    async fn until_it_has_all_of(&self, other: &Self) {
        let since = Instant::now();
        loop {
            let (found, theirs) = (self.messages().await, other.messages().await);
            let lacks: Vec<_> =
                other.sent.iter().filter(|(place, number)| found.get(*place) != Some(*number)).collect();
            let differs = differs_at(&self.log_files(), &other.log_files());
            if lacks.is_empty() && found == theirs && differs.is_none() {
                return;
            }
            let counts = (found.len(), theirs.len(), other.sent.len());
            assert!(
                since.elapsed() < PATIENCE,
                "{counts:?}, lacks {lacks:?}, differs at {differs:?}\n{}\n--- the other\n{}",
                self.log(),
                other.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What is in the files of the log.
    fn log_files(&self) -> BTreeMap<String, Vec<u8>> {
        processes::files_in(&self.store().join("commitlog"))
    }

    /// Nothing went wrong that a person would have to look at.
    fn check_log(&self) {
        assert_eq!(processes::errors_in(&self.log()), [""; 0]);
    }

    /// `ferromq group` with these words: what it says, and whether all went well.
    fn group(&self, words: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferromq"));
        let output = command.arg("group").args(words).arg("-b").arg(format!("127.0.0.1:{}", self.port)).output();
        let output = output.expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).expect("text"))
    }
}

/// The first file and byte that are not the same. Behind the end of the last file may be what was taken back.
fn differs_at(ours: &BTreeMap<String, Vec<u8>>, theirs: &BTreeMap<String, Vec<u8>>) -> Option<(String, usize)> {
    let last = ours.keys().last();
    for (name, bytes) in ours {
        let Some(others) = theirs.get(name) else { return Some((name.clone(), 0)) };
        let end = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let end = if Some(name) == last { end(bytes).min(end(others)) } else { bytes.len() };
        if let Some(at) = (0..end).find(|at| bytes.get(*at) != others.get(*at)) {
            return Some((name.clone(), at));
        }
    }
    theirs.keys().find(|name| !ours.contains_key(*name)).map(|name| (name.clone(), 0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_becomes_the_first_member_in_place_and_goes_back_and_again() {
    let mut house = House::new(0);
    house.others = vec!["n1-127.0.0.1:1".to_owned(), "n2-127.0.0.1:2".to_owned()];
    house.start(Kind::Alone);
    house.ask(&update_topic(TOPIC, QUEUES), &Bytes::new()).await;
    house.send(600).await;
    house.commit(123).await;
    house.send_waiting().await;
    house.stop();

    // Others would lack what is there, so it is not made a group with them.
    house.start(Kind::GroupOfMany);
    assert_eq!(house.end().code(), Some(253), "{}", house.log());
    let advice = "make the group of this broker alone, dLegerPeers=n0-";
    assert!(house.log().contains(advice), "{}", house.log());

    for round in 0..2 {
        house.start(Kind::GroupOfOne);
        assert_eq!(house.committed().await, 123 + round, "{}", house.log());
        house.send(300).await;
        house.check().await;
        let (well, said) = house.group(&["status"]);
        assert!(well && said.contains("group house: n0 leads"), "{said}");
        house.send_waiting().await;
        // Also after a crash.
        house.running.take().expect("it runs").kill();
        house.start(Kind::GroupOfOne);
        house.send(100).await;
        house.commit(124 + round).await;
        house.stop();

        house.start(Kind::Alone);
        assert_eq!(house.committed().await, 124 + round, "{}", house.log());
        house.check().await;
        house.send(100).await;
        house.stop();

        // It has written to the store as a broker of its own, which a group would know nothing of.
        house.start(Kind::GroupOfOne);
        assert_eq!(house.end().code(), Some(253), "{}", house.log());
        assert!(house.log().contains("remove the folder raft in it"), "{}", house.log());
        fs::remove_dir_all(house.store().join("raft")).expect("its files");
    }
    house.start(Kind::GroupOfOne);
    house.send(100).await;
    house.check().await;
    house.stop();
    house.check_log();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_gets_the_messages_from_before_the_group() {
    let mut first = House::new(0);
    first.start(Kind::Alone);
    first.ask(&update_topic(TOPIC, QUEUES), &Bytes::new()).await;
    first.send(1200).await;
    first.commit(123).await;
    first.send_waiting().await;
    first.stop();
    let from_before = first.log_files().len();
    assert!(from_before > 1, "several files");

    first.start(Kind::GroupOfOne);
    first.send(300).await;
    let mut others = [House::new(1), House::new(2)];
    for place in 0..others.len() {
        let members = others[..place].iter().map(House::peer).chain([first.peer()]).collect();
        let (name, address) = (format!("n{}", others[place].own), others[place].peer_addr());
        others[place].others = members;
        others[place].start(Kind::GroupOfMany);
        let (well, said) = first.group(&["add", &name, &address]);
        assert!(well && said.contains("has a vote now"), "{said}\n{}\n{}", first.log(), others[place].log());
        first.send(50).await;
    }
    first.check().await;
    for other in &others {
        other.until_it_has_all_of(&first).await;
        assert_eq!(other.committed().await, 123, "{}", other.log());
    }

    // One of them leads, and fills the first, which has lost everything.
    first.running.take().expect("it runs").kill();
    fs::remove_dir_all(first.store()).expect("its files");
    first.others = others.iter().map(House::peer).collect();
    first.start(Kind::GroupOfMany);
    first.send(50).await;
    others[0].until_it_has_all_of(&first).await;
    first.until_it_has_all_of(&first).await;
    assert_eq!(first.committed().await, 123, "{}", first.log());
    for house in [&first, &others[0], &others[1]] {
        assert!(house.log_files().len() > from_before, "{}", house.log());
        house.check_log();
    }
}
