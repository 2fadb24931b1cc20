//! Machines that went down with what was in memory alone.

use std::fs;
use std::io::Write as _;

use super::*;

impl Three {
    /// A power cut: of what a member has, the last `entries` were not on disk.
    async fn cut_power(&mut self, number: u64, entries: u64) {
        let running = &self.running[&number];
        let kept = running.log.last().unwrap().index - entries;
        let lost = running.log.end_of(kept).unwrap().0 as u64..running.store.max_physical_offset().0 as u64;
        self.stop(number).await;
        let root = self.folders[&number].path();
        for at in lost {
            let (file, within) = (at / FILE_BYTES * FILE_BYTES, at % FILE_BYTES);
            let file = fs::OpenOptions::new().write(true).open(root.join(format!("commitlog/{file:020}"))).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &[0], within).unwrap();
        }
        fs::File::create(root.join("abort")).unwrap().write_all(b"1").unwrap();
        fs::write(root.join("raft/life.json"), r#"{"boot":"the one before","synchronous":false}"#).unwrap();
    }
}

/// Entries are acknowledged by the leader and W, while B is cut off. W's machine loses them, the leader is away, and W and B are
/// among themselves: they could elect B, which lacks what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_power_cut_took_from_a_follower_is_not_lost() {
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    let leader = three.leader().await;
    let (crashed, behind) = wiped::others(leader);
    let mut sent = three.send_all(leader, "all", 20).await;
    three.converge().await;
    three.cut_off(behind);
    sent.extend(three.send_all(leader, "two", 20).await);
    let term = three.running[&leader].group.figures().term;
    three.cut_power(crashed, 15).await;
    three.stop(leader).await;
    three.heal();
    three.start(crashed).await;
    three.nobody_is_elected_after(term).await;
    assert!(three.is_quarantined(crashed));
    three.start(leader).await;
    three.until_it_votes(crashed).await;
    assert_eq!(three.converge().await.1, sent);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_goes_on_with_one_whose_machine_went_down() {
    let mut three = Three::found_with(FlushMode::Async, timing(1000), Wires::Process).await;
    let leader = three.leader().await;
    let (crashed, away) = wiped::others(leader);
    let mut sent = three.send_all(leader, "three", 30).await;
    three.converge().await;
    three.cut_power(crashed, 12).await;
    three.start(crashed).await;
    three.stop(away).await;
    sent.extend(three.send_all(leader, "two", 10).await);
    three.until_it_votes(crashed).await;
    three.start(away).await;
    assert_eq!(three.converge().await.1, sent);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_machines_all_went_down_comes_back_with_what_one_had_on_disk() {
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    let leader = three.leader().await;
    let sent = three.send_all(leader, "sent", 40).await;
    three.converge().await;
    for (number, lost) in [(1, 30), (2, 10), (3, 20)] {
        three.cut_power(number, lost).await;
    }
    three.start(1).await;
    three.start(3).await;
    three.nobody_is_elected_after(100).await;
    three.start(2).await;
    let (_, seen) = three.converge().await;
    assert!(sent.starts_with(&seen) && seen.len() >= 30, "{} of {}", seen.len(), sent.len());
    let leader = three.leader().await;
    assert!(three.send(leader, "after").await);
    three.converge().await;
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_had_all_on_disk_is_in_no_quarantine() {
    for flush in [FlushMode::Async, FlushMode::Sync] {
        let mut three = Three::found(flush, Wires::Process).await;
        let leader = three.leader().await;
        three.send_all(leader, "sent", 10).await;
        three.converge().await;
        let one = wiped::others(leader).0;
        three.stop(one).await;
        let root = three.folders[&one].path();
        let life = fs::read_to_string(root.join("raft/life.json")).unwrap();
        let is_synchronous = flush == FlushMode::Sync;
        assert!(life.contains(&format!(r#""synchronous":{is_synchronous}"#)), "{life}");
        let before = format!(r#"{{"boot":"the one before","synchronous":{is_synchronous}}}"#);
        fs::write(root.join("raft/life.json"), before).unwrap();
        if is_synchronous {
            fs::write(root.join("abort"), "1").unwrap();
        }
        three.start(one).await;
        assert!(!three.is_quarantined(one), "{flush:?}");
        three.converge().await;
        three.end().await;
    }
}
