//! Members that lack the log, or its beginning, get it.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use remoting::protocol::send::SendMessageReply;
use serde_json::Value;

use crate::common::{send_message, update_topic};
use crate::trio::{PATIENCE, QUEUES, TOPIC, Trio};

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
