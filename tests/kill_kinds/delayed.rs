//! Messages with a delay level, and with a time of their own: none is lost, none comes early, and what a crash brings twice is
//! what had come just before it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use remoting::protocol::ResponseCode;
use remoting::types::{Clock, Timestamp};

use super::Seen;
use super::common::client;
use super::field::{ANSWER_MAX, send_to};

pub(crate) const TOPIC: &str = "delayed";
pub(crate) const SETTINGS: &str = "timerFlushIntervalMs=200\n";

/// When each message that was acknowledged is due.
#[derive(Default)]
pub(crate) struct Delayed(Mutex<Known>);

#[derive(Default)]
struct Known {
    next_number: u64,
    due: BTreeMap<u64, Timestamp>,
}

impl Delayed {
    /// Sends until the broker is gone.
    pub(crate) async fn send(self: Arc<Self>, addr: String) {
        let client = client();
        loop {
            let number = {
                let mut known = self.0.lock();
                known.next_number += 1;
                known.next_number
            };
            let (due, wish) = wish(number, Clock::system().now());
            let header = send_to(TOPIC, format!("UNIQ_KEY\u{1}d{number}\u{2}{wish}"));
            let Ok(answer) = client.call(&addr, &header, number.to_string().into(), ANSWER_MAX).await else { return };
            assert_eq!(answer.code(), ResponseCode::SUCCESS, "{answer:?}");
            self.0.lock().due.insert(number, due);
        }
    }

    /// How many have not come yet.
    pub(crate) fn missing(&self, seen: &[Seen]) -> usize {
        let times = times(seen);
        self.0.lock().due.keys().filter(|number| !times.contains_key(number)).count()
    }

    /// After all came.
    pub(crate) fn check(&self, seen: &[Seen], kills: u64) {
        let known = self.0.lock();
        assert!(known.due.len() > 20, "the load was none");
        for Seen { number, stored } in seen {
            // One that was not acknowledged may have been stored.
            if let Some(due) = known.due.get(number) {
                assert!(stored >= due, "{number} came at {stored}, due at {due}");
            }
        }
        let times = times(seen);
        for number in known.due.keys() {
            let times = times.get(number).copied().unwrap_or(0);
            assert!((1..=1 + kills).contains(&times), "{number} came {times} times");
        }
    }
}

/// A level of one second, or a time from soon to in two seconds.
fn wish(number: u64, now: Timestamp) -> (Timestamp, String) {
    if number.is_multiple_of(2) {
        return (Timestamp(now.0 + 1000), "DELAY\u{1}1\u{2}".to_owned());
    }
    let due = Timestamp(now.0 + 20 + (number * 37 % 2000) as i64);
    (due, format!("TIMER_DELIVER_MS\u{1}{due}\u{2}"))
}

fn times(seen: &[Seen]) -> HashMap<u64, u64> {
    let mut times = HashMap::new();
    seen.iter().for_each(|seen| *times.entry(seen.number).or_default() += 1);
    times
}
