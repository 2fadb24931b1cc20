//! What the examples share that measure the store.
#![allow(dead_code, reason = "no example needs all of it")]

use std::time::Duration;

use remoting::types::{Host, QueueId, TopicName};
use store::Store;
use store::message::Message;

pub(crate) const TOPIC: &str = "BenchmarkTest";
pub(crate) const QUEUES: i32 = 8;
const BODY_BYTES: usize = 1024;

/// Stores messages of 1 KiB in batches of so many, in all queues, while `more` is to be sent behind this many.
pub(crate) fn produce(store: &Store, in_batch: usize, more: impl Fn(usize) -> bool) {
    let topic = TopicName::new(TOPIC);
    let host = Host { ip: [127, 0, 0, 1].into(), port: 10911 };
    let body = vec![b'x'; BODY_BYTES];
    let properties = "UNIQ_KEY\u{1}7F0000017FD25FFD2B27692766850000\u{2}WAIT\u{1}true\u{2}TAGS\u{1}TagA\u{2}";
    let (mut batch, mut sent) = (store.batch(), 0);
    while more(sent) {
        for number in sent..sent + in_batch {
            let queue_id = QueueId((number % QUEUES as usize) as i32);
            let message = Message { properties, ..Message::new(&topic, queue_id, &body, host) };
            batch.push(&message).expect("a legal message");
        }
        store.append(&mut batch).expect("a healthy disk");
        sent += in_batch;
    }
}

/// Runs `work` and tells the time that this thread was on a CPU meanwhile, which other programs do not lengthen as much.
pub(crate) fn cpu_of<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let on_cpu = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        Duration::from_nanos(text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
    };
    let before = on_cpu();
    let result = work();
    (result, on_cpu() - before)
}

/// Memory of this process.
pub(crate) fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
