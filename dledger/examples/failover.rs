//! How long a group of three processes takes no messages when its leader is lost.
//!
//! `cargo run --release -p dledger --example failover [rounds]`: every member is a process of its own on loopback whose
//! leader appends one message after the other and tells of each that the group has agreed on. The leader is killed, or
//! stopped without a sign (SIGSTOP), and what counts is the time until another member tells of a message.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use dledger::{Group, Member, Network, Role, Timing, serve};
use remoting::types::{Clock, Host, QueueId, TopicName};
use store::message::Message;
use store::{Confirmation, FlushMode, Store, StoreConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const MEMBERS: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two faults.
const SETTLE: Duration = Duration::from_secs(2);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("member") => member(arguments[1].parse().unwrap(), Path::new(&arguments[2]), &arguments[3]),
        rounds => {
            let rounds = rounds.map_or(20, |text| text.parse().expect("a number of rounds"));
            for fault in [Fault::Kill, Fault::Stop] {
                let mut times: Vec<Duration> = measure(fault, rounds);
                times.sort();
                let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
                let [median, p99, most] = [at(0.5), at(0.99), at(1.0)].map(|time| time.as_secs_f64() * 1000.0);
                println!("{fault:?}, {rounds} rounds: median {median:.1} ms, p99 {p99:.1} ms, most {most:.1} ms");
            }
        }
    }
}

/// What becomes of the leader.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Its sockets are reset, its port is closed.
    Kill,
    /// It says nothing any more.
    Stop,
}

/// The members' processes, and what they tell: a message was agreed on.
struct Group3 {
    folder: tempfile::TempDir,
    addresses: String,
    running: BTreeMap<u64, Child>,
    told: mpsc::Receiver<(u64, Instant)>,
    tell: mpsc::Sender<(u64, Instant)>,
}

impl Group3 {
    fn start(&mut self, number: u64) {
        let folder = self.folder.path().join(number.to_string());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["member", &number.to_string(), folder.to_str().unwrap(), &self.addresses])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let tell = self.tell.clone();
        std::thread::spawn(move || {
            for _ in lines.map_while(Result::ok) {
                // The measurement may be over.
                let _ = tell.send((number, Instant::now()));
            }
        });
        self.running.insert(number, child);
    }

    /// The next message of somebody else than `not`: who, and when.
    fn next(&self, not: Option<u64>) -> (u64, Instant) {
        loop {
            let told = self.told.recv_timeout(PATIENCE).expect("a message is agreed on");
            if Some(told.0) != not {
                return told;
            }
        }
    }
}

impl Drop for Group3 {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn signal(name: &str, child: &Child) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

fn measure(fault: Fault, rounds: usize) -> Vec<Duration> {
    let listeners: Vec<_> = (0..MEMBERS).map(|_| std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
    let addresses = listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect::<Vec<_>>();
    drop(listeners);
    let (tell, told) = mpsc::channel();
    let folder = tempfile::tempdir().unwrap();
    let mut group = Group3 { folder, addresses: addresses.join(","), running: BTreeMap::new(), told, tell };
    (1..=MEMBERS).for_each(|number| group.start(number));
    let mut times = Vec::new();
    for round in 0..rounds {
        let (leader, _) = group.next(None);
        // Everybody is there and has caught up.
        let until = Instant::now() + SETTLE;
        while group.told.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
        let began = Instant::now();
        match fault {
            Fault::Kill => group.running.get_mut(&leader).unwrap().kill().unwrap(),
            Fault::Stop => signal("-STOP", &group.running[&leader]),
        }
        let (_, at) = group.next(Some(leader));
        times.push(at.saturating_duration_since(began));
        eprintln!("{fault:?} {round}: member {leader} lost, {:.1} ms", times[round].as_secs_f64() * 1000.0);
        match fault {
            Fault::Kill => {
                group.running.remove(&leader).unwrap().wait().unwrap();
                group.start(leader);
            }
            Fault::Stop => signal("-CONT", &group.running[&leader]),
        }
    }
    times
}

/// The process of a member. Tells of messages that were agreed on by a line each.
fn member(number: u64, folder: &Path, addresses: &str) {
    let members: BTreeMap<u64, Member> =
        (1..).zip(addresses.split(',')).map(|(number, address)| (number, Member { address: address.into() })).collect();
    let mut config = StoreConfig::new(folder);
    config.commit_log_file_bytes = 64 << 20;
    config.flush = FlushMode::Async;
    std::fs::create_dir_all(folder).unwrap();
    let (store, log, _) = Store::open_raft(config, Clock::system()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(&members[&number].address).await.unwrap();
        let network = Network::new("failover".into(), number);
        let dir = folder.join("raft");
        let group = Group::start(number, dir, log, Timing::default(), network, Arc::new(())).await.unwrap();
        tokio::spawn(serve(listener, group.guard().clone(), "failover".into(), CancellationToken::new()));
        // All may do so; it is refused by who knows of a group already.
        let _ = group.found(members.clone()).await;
        let mut role = group.role();
        loop {
            role.wait_for(|role| matches!(role, Role::Leader { .. })).await.unwrap();
            let mut batch = store.batch();
            let (topic, host) = (TopicName::new("T"), Host { ip: [127, 0, 0, 1].into(), port: 1 });
            batch.push(&Message::new(&topic, QueueId(0), &[b'x'; 1024], host)).unwrap();
            if matches!(store.append_and_confirm(&mut batch).await, Ok((_, Confirmation::Confirmed))) {
                println!("agreed");
                std::io::stdout().flush().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}
