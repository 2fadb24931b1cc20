//! The leader is killed: what it acknowledged, and what waits, is the next one's.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use remoting::protocol::offset::{OffsetReply, QueryConsumerOffset, UpdateConsumerOffset};
use remoting::types::{Clock, QueueId, QueueOffset};

use crate::common::{pull_message, send_message, update_topic};
use crate::trio::{ANSWER_MAX, GROUP, PATIENCE, QUEUES, TOPIC, Trio};

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
            forward: None,
        };
        trio.ask(&commit, &Bytes::new()).await;
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
