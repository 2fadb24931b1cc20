//! Who leads, if it is not all the same.

use store::testing::SlowDisk;

use super::*;

/// A flush that takes longer is slow.
const SLOW: Duration = Duration::from_millis(400);

impl Three {
    async fn found_on_slow_disks(flush: FlushMode, timing: Timing) -> Self {
        let mut three = Self::new(flush, timing, Wires::Process);
        for number in 1..=3 {
            three.disks.insert(number, SlowDisk::default());
            three.start(number).await;
        }
        three.running[&1].group.found(three.founders()).await.unwrap();
        three
    }

    fn wish(&self, wishes: &Wishes) {
        self.running.values().for_each(|running| running.group.set_wishes(wishes.clone()));
    }

    async fn until_it_leads(&self, number: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.leader().await != number {
            assert!(Instant::now() < deadline, "member {number} does not get the lead");
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn until_its_disk_is(&self, number: u64, slow: bool) {
        let deadline = Instant::now() + PATIENCE;
        while self.running[&number].group.disk_is_slow() != slow {
            assert!(Instant::now() < deadline, "slow: {}", !slow);
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn give(&self, from: u64, to: u64) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.running[&from].group.transfer(to).await {
            assert!(Instant::now() < deadline, "{error}");
            sleep(Duration::from_millis(100)).await;
        }
        self.until_it_leads(to).await;
    }

    /// Puts more into the log than may wait for a flush.
    async fn write(&self, number: u64) -> Vec<String> {
        let mut sent = Vec::new();
        for place in 0..8 {
            let body = format!("{place}-{}", "x".repeat(3000));
            if self.send(number, &body).await {
                sent.push(body);
            }
        }
        sent
    }
}

fn preferring(preferred: &[u64]) -> Wishes {
    Wishes { preferred: preferred.to_vec(), slow_disk: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preferred_member_gets_the_lead_once_it_has_been_fit_for_a_while() {
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    let old = three.leader().await;
    let (next, third) = (old % 3 + 1, (old + 1) % 3 + 1);
    let stopping = CancellationToken::new();
    let sender = tokio::spawn(send_on(Arc::clone(&three.running[&old].store), stopping.clone()));
    let began = Instant::now();
    three.wish(&preferring(&[7, next]));
    three.until_it_leads(next).await;
    assert!(began.elapsed() > 16 * three.timing.election_max, "after {:?}", began.elapsed());
    stopping.cancel();
    let confirmed = sender.await.unwrap();
    assert!(three.send(next, "first").await);
    let (_, seen) = three.converge().await;
    assert!(!confirmed.is_empty() && holds(&seen, &confirmed));

    three.stop(next).await;
    let other = three.leader().await;
    assert!([old, third].contains(&other));
    assert!(three.send(other, "meanwhile").await);
    // Nobody gets the lead who is not there.
    sleep(20 * three.timing.election_max).await;
    assert_ne!(three.leader().await, next);
    three.start(next).await;
    three.wish(&preferring(&[7, next]));
    three.until_it_leads(next).await;
    assert!(three.send(next, "again").await);
    three.converge().await;
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_hangs_gives_the_lead_away_and_takes_it_once_the_disk_is_well() {
    for flush in [FlushMode::Async, FlushMode::Sync] {
        let three = Three::found_on_slow_disks(flush, timing(1000)).await;
        let old = three.leader().await;
        three.wish(&Wishes { preferred: Vec::new(), slow_disk: Some(SLOW) });
        let mut sent = three.write(old).await;
        assert_eq!(sent.len(), 8);
        three.disks[&old].hang(true);
        sent.extend(three.write(old).await);
        three.until_its_disk_is(old, true).await;
        let deadline = Instant::now() + PATIENCE;
        let new = loop {
            match three.leader().await {
                leader if leader != old => break leader,
                _ => assert!(Instant::now() < deadline, "it does not give the lead away"),
            }
            sleep(Duration::from_millis(10)).await;
        };
        let refused = three.running[&new].group.transfer(old).await;
        assert!(matches!(refused, Err(GroupError::Unfit { number, .. }) if number == old), "{refused:?}");
        sent.push("while it hangs".into());
        assert!(three.send(new, &sent[sent.len() - 1]).await);
        three.disks[&old].hang(false);
        three.until_its_disk_is(old, false).await;
        three.give(new, old).await;
        sent.push("after".into());
        assert!(three.send(old, &sent[sent.len() - 1]).await);
        let (_, seen) = three.converge().await;
        assert!(holds(&seen, &sent));
        three.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn if_all_disks_hang_somebody_leads_all_the_same() {
    let three = Three::found_on_slow_disks(FlushMode::Async, timing(300)).await;
    let old = three.leader().await;
    three.wish(&Wishes { preferred: Vec::new(), slow_disk: Some(SLOW) });
    three.disks.values().for_each(|disk| disk.hang(true));
    three.write(old).await;
    for number in 1..=3 {
        three.until_its_disk_is(number, true).await;
    }
    let leader = three.leader().await;
    assert!(three.send(leader, "all hang").await, "it leads on");
    three.cut_off(leader);
    let next = three.leader().await;
    assert_ne!(next, leader);
    assert!(three.send(next, "without it").await);
    three.heal();
    three.disks.values().for_each(|disk| disk.hang(false));
    three.converge().await;
    three.end().await;
}
