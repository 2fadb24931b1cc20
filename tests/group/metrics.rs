//! What Prometheus and probes see.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::common::ports::free_port;
use crate::common::update_topic;
use crate::trio::{PATIENCE, QUEUES, TOPIC, Trio};

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
    let documented = include_str!("../../docs/metrics.md");
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
