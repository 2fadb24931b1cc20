//! A broker is killed after every change of the disk in the life of some leases; the next one goes on with its folder.
//!
//! What clients were told before counts: a message whose acknowledgement was confirmed never comes again, every other one
//! that was stored comes again, and once it is acknowledged then, no more.

use std::collections::BTreeMap;

use super::*;

/// What the clients of a broker know when it dies.
#[derive(Debug, Default)]
struct Known {
    stored: HashSet<String>,
    acked: HashSet<String>,
    /// The broker may have had the acknowledgement.
    unsure: HashSet<String>,
}

/// How a life is lived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Ordered,
}

/// What the timer remembers of what it delivered before the crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimerAfter {
    Everything,
    /// It delivers all of it once more.
    Nothing,
}

struct Life<'a> {
    fixture: &'a Fixture,
    disk: &'a MortalDisk,
    kind: Kind,
    known: Known,
}

impl Life<'_> {
    /// False once the disk is dead.
    fn send(&mut self, bodies: &[&str]) -> bool {
        for body in bodies {
            if self.fixture.send_to(0, body, "tag") {
                self.known.stored.insert((*body).to_owned());
            }
        }
        !self.disk.is_dead()
    }

    fn pop(&self, max_msg_nums: i32) -> Vec<Popped> {
        let answer = self.fixture.pop(&header(self.kind, max_msg_nums));
        if answer.code == ResponseCode::SUCCESS { answer.messages } else { Vec::new() }
    }

    fn ack(&mut self, message: Option<&Popped>) -> bool {
        let Some(message) = message else { return !self.disk.is_dead() };
        self.known.unsure.insert(message.body.clone());
        if acked(self.fixture, message, self.kind) {
            self.known.unsure.remove(&message.body);
            self.known.acked.insert(message.body.clone());
        }
        !self.disk.is_dead()
    }

    fn save(&self) -> bool {
        // One change: the new file takes the place of the old one.
        let alive = self.disk.change().is_ok();
        if alive {
            self.fixture.pops.offsets.save();
        }
        alive
    }

    fn pass(&self, millis: i64) -> bool {
        self.fixture.pass(millis);
        !self.disk.is_dead()
    }

    /// Popped, acknowledged, saved, popped again, come back, popped once more. False if the disk died on the way.
    fn live(&mut self) -> bool {
        if !self.send(&["a", "b", "c", "d", "e", "f"]) {
            return false;
        }
        let first = self.pop(2);
        if !(self.ack(first.first()) && self.save()) {
            return false;
        }
        let second = match self.kind {
            Kind::Plain => self.pop(3),
            Kind::Ordered => {
                // The next are only to be had behind the first.
                self.ack(first.get(1));
                self.pop(3)
            }
        };
        if !(self.ack(second.get(1)) && self.pass(LASTS_MS)) {
            return false;
        }
        // Too late for the timer, but not for the lease.
        if !(self.ack(second.first()) && self.pass(2001) && self.pass(10)) {
            return false;
        }
        let again = self.pop(4);
        if !(self.ack(again.first()) && self.save() && self.pass(500)) {
            return false;
        }
        self.ack(again.get(1)) && self.send(&["g"]) && self.pass(LASTS_MS) && self.pass(2001)
    }
}

fn header(kind: Kind, max_msg_nums: i32) -> PopMessage {
    PopMessage { max_msg_nums, order: Some(kind == Kind::Ordered), queue_id: QueueId(0), ..any() }
}

fn acked(fixture: &Fixture, message: &Popped, kind: Kind) -> bool {
    let header = AckMessage {
        consumer_group: "g".into(),
        topic: message.topic.clone(),
        queue_id: message.queue,
        extra_info: message.handle.clone(),
        offset: message.offset,
    };
    if kind == Kind::Plain {
        let request = fixture.request(&header, RequestCode::ACK_MESSAGE);
        fixture.pops.handle_batch(&mut vec![request], &fixture.peer);
        return fixture.answer().code == ResponseCode::SUCCESS;
    }
    let pop_time = parse(&message.handle).pop_time;
    let Popped { topic, queue, offset, .. } = message.clone();
    let ack = ack::Ordered { topic, group: "g".into(), queue, offset, pop_time };
    let done = fixture.pops.ack_ordered(&ack, fixture.peer.remote());
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(done)).is_ok()
}

/// Everything that comes in the next while, each message acknowledged at once.
fn aftermath(fixture: &Fixture, kind: Kind) -> BTreeMap<String, usize> {
    let mut came = BTreeMap::new();
    for _ in 0..7 {
        loop {
            let messages = fixture.pop(&header(kind, 32)).messages;
            if messages.is_empty() {
                break;
            }
            for message in messages {
                assert!(acked(fixture, &message, kind));
                *came.entry(message.body).or_default() += 1;
            }
        }
        fixture.pass(LASTS_MS / 2);
    }
    came
}

/// One life and what comes after. False if the disk outlived it.
fn check(disk: &MortalDisk, kind: Kind, timer: TimerAfter, name: &str) -> bool {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut now = START;
    let mut known = Known::default();
    let mut died = true;
    if let Some(fixture) = Fixture::open(Arc::clone(&folder), BrokerConfig::default(), disk, START) {
        let mut life = Life { fixture: &fixture, disk, kind, known: Known::default() };
        died = !life.live();
        known = std::mem::take(&mut life.known);
        now = fixture.clock.now();
        let store = Arc::clone(&fixture.pops.store);
        drop(fixture);
        disk.kill(store);
    }
    let healthy = MortalDisk::after(usize::MAX);
    let fixture = Fixture::open(folder, BrokerConfig::default(), &healthy, Timestamp(now.0 + 100)).unwrap();
    if timer == TimerAfter::Everything {
        let revive = fixture.pops.desk.revive.clone();
        for queue in 0..fixture.pops.revive_queues {
            let keys = fixture.all_of(&revive, queue, 0).into_iter();
            let keys =
                keys.filter_map(|(_, record)| properties::get(&record.properties, name::UNIQ_KEY).map(str::to_owned));
            fixture.timer.lock().known.extend(keys);
        }
    }
    fixture.pass(0);
    let came = aftermath(&fixture, kind);
    for (body, times) in &came {
        assert!(!known.acked.contains(body), "{name}: {body} was acknowledged and came again; {known:?}");
        assert_eq!(*times, 1, "{name}: {body} was acknowledged and came again after the crash; {known:?}");
    }
    for body in known.stored.difference(&known.acked).filter(|body| !known.unsure.contains(*body)) {
        assert!(came.contains_key(body), "{name}: {body} did not come again; {came:?} {known:?}");
    }
    died
}

fn check_all(kind: Kind, timer: TimerAfter) {
    for (name, new) in [("after", MortalDisk::after as fn(usize) -> MortalDisk), ("amid", MortalDisk::amid)] {
        let deaths =
            (0..).take_while(|changes| check(&new(*changes), kind, timer, &format!("{name} {changes}"))).count();
        assert!(deaths >= 20, "{deaths} places to die at");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn leases_survive_a_kill_after_every_change() {
    check_all(Kind::Plain, TimerAfter::Everything);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn leases_survive_a_kill_and_a_timer_that_delivers_twice() {
    check_all(Kind::Plain, TimerAfter::Nothing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ordered_leases_survive_a_kill_after_every_change() {
    check_all(Kind::Ordered, TimerAfter::Everything);
}
