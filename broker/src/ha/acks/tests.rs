use super::*;

struct Fixture {
    settings: watch::Sender<Arc<BrokerConfig>>,
    acks: Arc<Acks>,
    /// What became of whom, in this order.
    answered: Arc<Mutex<Vec<(i64, Held)>>>,
}

impl Fixture {
    /// A `SYNC_MASTER` that wants so many copies.
    fn new(copies: i32) -> Self {
        let settings = BrokerConfig {
            broker_role: BrokerRole::SyncMaster,
            in_sync_replicas: copies,
            ha_max_gap_not_in_sync: 100,
            ..BrokerConfig::default()
        };
        let (settings, watched) = watch::channel(Arc::new(settings));
        Self { settings, acks: Acks::new(watched), answered: Arc::default() }
    }

    fn set(&self, change: impl FnOnce(&mut BrokerConfig)) {
        self.settings.send_modify(|settings| change(Arc::make_mut(settings)));
    }

    /// A slave that holds the log up to there.
    fn slave(&self, ack: i64) -> Arc<Slave> {
        let slave = Slave::new(SocketAddr::from(([127, 0, 0, 1], 1)));
        self.acks.enter(&slave);
        self.acks.note(&slave, ack);
        slave
    }

    fn wait_for(&self, ends: impl IntoIterator<Item = i64>) {
        for end in ends {
            let answered = Arc::clone(&self.answered);
            self.acks.when_held(PhysicalOffset(end), Box::new(move |held| answered.lock().push((end, held))));
        }
    }

    fn answered(&self) -> Vec<(i64, Held)> {
        std::mem::take(&mut self.answered.lock())
    }
}

fn enough(ends: impl IntoIterator<Item = i64>) -> Vec<(i64, Held)> {
    ends.into_iter().map(|end| (end, Held::Enough)).collect()
}

#[test]
fn who_waits_is_answered_in_log_order_when_a_slave_holds_it() {
    let fixture = Fixture::new(2);
    let slave = fixture.slave(10);
    fixture.wait_for([10, 30, 20, 40]);
    assert_eq!(fixture.answered(), enough([10]), "at once");
    fixture.acks.note(&slave, 19);
    assert_eq!(fixture.answered(), []);
    fixture.acks.note(&slave, 35);
    assert_eq!(fixture.answered(), enough([20, 30]));
    fixture.acks.close();
    fixture.wait_for([35, 50]);
    assert_eq!(fixture.answered(), [(40, Held::TooLate), (35, Held::Enough), (50, Held::TooLate)]);
}

#[test]
fn as_many_slaves_must_hold_it_as_the_settings_want() {
    let fixture = Fixture::new(3);
    let (quick, slow) = (fixture.slave(0), fixture.slave(0));
    fixture.wait_for([10, 20]);
    fixture.set(|settings| settings.in_sync_replicas = 2);
    fixture.wait_for([15, 25]);
    fixture.acks.note(&quick, 20);
    assert_eq!(fixture.answered(), enough([15]), "of one slave alone");
    fixture.acks.note(&slow, 10);
    assert_eq!(fixture.answered(), enough([10]));
    fixture.acks.note(&slow, 25);
    assert_eq!(fixture.answered(), enough([20, 25]));
    assert_eq!(fixture.acks.waiting.load(Ordering::SeqCst), 0);
}

#[test]
fn a_slave_that_has_gone_does_not_count() {
    let fixture = Fixture::new(2);
    let slave = fixture.slave(10);
    fixture.acks.leave(&slave);
    fixture.wait_for([5]);
    assert_eq!(fixture.answered(), []);
    fixture.slave(5);
    assert_eq!(fixture.answered(), enough([5]), "another one does");
}

#[test]
fn waiting_too_long_is_answered_once() {
    let fixture = Fixture::new(2);
    let slave = fixture.slave(0);
    fixture.wait_for([1]);
    let now = Instant::now();
    fixture.acks.expire(now);
    assert_eq!(fixture.answered(), []);
    fixture.acks.expire(now + Duration::from_secs(4));
    fixture.acks.note(&slave, 1);
    assert_eq!(fixture.answered(), [(1, Held::TooLate)]);
}

#[test]
fn nobody_waits_for_no_copies_or_for_too_few_slaves_as_4_9_has_it() {
    for copies in [0, 1] {
        let fixture = Fixture::new(copies);
        fixture.wait_for([5]);
        assert_eq!(fixture.answered(), enough([5]));
        assert!(!Copies::of(&fixture.acks).are_wanted());
    }
    let fixture = Fixture::new(2);
    fixture.set(|settings| settings.broker_role = BrokerRole::AsyncMaster);
    assert!(!Copies::of(&fixture.acks).are_wanted());

    let fixture = Fixture::new(2);
    fixture.set(|settings| settings.ha_slave_fallbehind_max = Some(100));
    fixture.wait_for([500]);
    assert_eq!(fixture.answered(), [(500, Held::NoSlaves)]);
    let slave = fixture.slave(400);
    fixture.wait_for([500]);
    assert_eq!(fixture.answered(), [(500, Held::NoSlaves)], "it lacks too much");
    fixture.acks.note(&slave, 401);
    fixture.wait_for([500]);
    assert_eq!(fixture.answered(), []);
    fixture.acks.note(&slave, 500);
    assert_eq!(fixture.answered(), enough([500]));
}

#[test]
fn messages_are_refused_while_too_few_copies_are_in_sync() {
    let fixture = Fixture::new(3);
    let copies = Copies::of(&fixture.acks);
    let may = |end: i64| copies.enough(PhysicalOffset(end)).is_ok();
    assert!(may(500), "by default they wait instead");
    fixture.set(|settings| settings.min_in_sync_replicas = 2);
    assert!(!may(500));
    let slave = fixture.slave(401);
    assert!(may(500) && !may(501));
    fixture.acks.leave(&slave);
    assert!(!may(401));
}

#[test]
fn with_automatic_copies_those_in_sync_are_enough() {
    let fixture = Fixture::new(3);
    fixture.set(|settings| settings.enable_auto_in_sync_replicas = true);
    fixture.wait_for([5]);
    assert_eq!(fixture.answered(), enough([5]), "the master is alone");
    let slave = fixture.slave(5);
    fixture.wait_for([5, 6]);
    assert_eq!(fixture.answered(), enough([5]), "one slave is in sync, and asked");
    fixture.acks.note(&slave, 6);
    assert_eq!(fixture.answered(), enough([6]));
}

/// Waiters are neither lost nor answered twice when acknowledgements come while they join.
#[test]
fn joining_and_acknowledging_at_once() {
    const LAST: i64 = 20_000;
    let fixture = Fixture::new(2);
    let slave = fixture.slave(0);
    std::thread::scope(|scope| {
        scope.spawn(|| (1..=LAST).for_each(|ack| fixture.acks.note(&slave, ack)));
        fixture.wait_for(1..=LAST);
    });
    let mut answered = fixture.answered();
    answered.sort_by_key(|(end, _)| *end);
    assert_eq!(answered, enough(1..=LAST));
}
