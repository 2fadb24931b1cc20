//! Every record, every unit, every index entry, and whether they know of each other.

use std::collections::HashMap;
use std::io;

use super::index::is_key_of;
use super::log::{Log, faults, place};
use super::queues::Entry;
use super::roster;
use super::{IndexSummary, Inspection, Kind, Problem, QueueSummary, Walked};
use crate::batch::Code;
use crate::consume_queue::EXTENSION_ADDRESS_MAX;
use crate::index::layout::{self, seconds_since};
use crate::message::properties::name;
use crate::message::{StoredMessage, sys_flag};

/// Problems listed; more are counted.
const PROBLEMS_MAX: usize = 1000;

/// What a check of everything found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    pub log: Walked,
    pub units: u64,
    pub index_entries: u64,
    /// Problems found; the first thousand are listed.
    pub problem_count: u64,
    pub problems: Vec<Problem>,
    /// What is no damage: a recovery at the next start deals with it.
    pub notes: Vec<String>,
}

impl Verified {
    fn problem(&mut self, problem: Problem) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }
}

/// What the log says of one queue.
#[derive(Clone, Copy, Debug, Default)]
struct Expected {
    /// Records of the queue.
    records: u64,
    /// Behind the last message.
    next: i64,
}

pub(super) fn verify(store: &Inspection, progress: &mut dyn FnMut(u64, u64)) -> io::Result<Verified> {
    let mut verified = Verified::default();
    for problem in &store.problems {
        verified.problem(problem.clone());
    }
    if store.kind == Kind::DLedger {
        verified.notes.push("the messages are in DLedger's files, which were not checked".to_owned());
        return Ok(verified);
    }
    let unit_bytes: u64 = store.queues.iter().map(QueueSummary::unit_bytes).sum();
    let total = store.log.bytes + unit_bytes;
    let log = Log::open(&store.segments)?;
    let expected = walk(store, &log, &mut verified, &mut |done| progress(done, total))?;
    if store.kind == Kind::RocksDbQueues {
        verified.notes.push("the queues are in RocksDB, and were not checked".to_owned());
    } else {
        let mut done = store.log.bytes;
        for queue in &store.queues {
            check_queue(store, &log, queue, expected.get(&(queue.topic.clone(), queue.queue_id)), &mut verified)?;
            done += queue.unit_bytes();
            progress(done, total);
        }
        check_missing(store, &expected, &mut verified);
    }
    for index in &store.indexes {
        check_index(store, &log, index, &mut verified)?;
    }
    check_checkpoint(store, &mut verified);
    if !store.abort {
        roster::check(store, &mut verified);
    }
    if store.abort && !store.running {
        verified.notes.push("the broker did not stop cleanly: the next start recovers the store".to_owned());
    }
    progress(total, total);
    Ok(verified)
}

/// Checks every record, and returns what the queues must hold.
fn walk(
    store: &Inspection,
    log: &Log,
    verified: &mut Verified,
    progress: &mut dyn FnMut(u64),
) -> io::Result<HashMap<(String, i32), Expected>> {
    let mut expected: HashMap<(String, i32), Expected> = HashMap::new();
    let (mut ends, mut found) = (Vec::new(), Vec::new());
    let dir = store.segments.list.first().and_then(|first| first.path.parent()).unwrap_or(&store.root);
    let walked = log.walk(log.min(), &mut ends, |message, record, at| {
        found.extend(faults(message, record, at).into_iter().map(|what| Problem::new(place(dir, at), what)));
        if let Some((first, count)) = places(message) {
            let seen = expected.entry((message.topic.to_owned(), message.queue_id.0)).or_default();
            if seen.records == 0 || first == 0 {
                // Offset 0 begins another life of a topic that was deleted.
                *seen = Expected { records: 0, next: first };
            }
            if first != seen.next {
                let what = format!(
                    "{}-{} goes on with offset {first}, where {} comes next",
                    message.topic, message.queue_id, seen.next
                );
                found.push(Problem::new(place(dir, at), what));
            }
            seen.records += 1;
            seen.next = first + count;
        }
        progress((at - log.min()) as u64);
        true
    })?;
    verified.log = walked;
    // While a broker writes, or after it was killed, the end of the log may be torn.
    for problem in ends {
        if store.abort { verified.notes.push(problem.to_string()) } else { verified.problem(problem) }
    }
    found.into_iter().for_each(|problem| verified.problem(problem));
    if walked.time_steps_back > 0 {
        let times = walked.time_steps_back;
        verified.notes.push(format!("the clock was set back {times} times: searches by time may miss messages there"));
    }
    Ok(expected)
}

/// First queue offset and number of the messages in a record, if it has a place in a queue.
pub(crate) fn places(message: &StoredMessage<'_>) -> Option<(i64, i64)> {
    if !sys_flag::takes_queue_offset(message.sys_flag) {
        return None;
    }
    let count = match message.sys_flag & sys_flag::INNER_BATCH {
        0 => 1,
        _ => message.property(name::INNER_NUM)?.parse().ok()?,
    };
    Some((message.queue_offset.0, count))
}

fn check_queue(
    store: &Inspection,
    log: &Log,
    queue: &QueueSummary,
    expected: Option<&Expected>,
    verified: &mut Verified,
) -> io::Result<()> {
    let (mut kept, mut next, mut behind) = (0, None, 0);
    queue.read(|entry| {
        verified.units += 1;
        let at = |what: String| Problem::new(format!("{} offset {}", queue.name(), entry.offset), what);
        if let Some(next) = next.filter(|next| *next != entry.offset) {
            verified.problem(at(format!("offset {next} should come here")));
        }
        next = Some(entry.offset + entry.count);
        // Blanks, and units whose records are deleted already.
        if entry.unit.is_blank() || entry.unit.physical < log.min() {
            return;
        }
        if entry.unit.end() > verified.log.end && store.abort {
            behind += 1;
            return;
        }
        kept += 1;
        if let Err(what) = check_unit(store, log, queue, &entry) {
            verified.problem(at(what));
        }
    })?;
    if behind > 0 {
        verified.notes.push(format!("{}: {behind} units point behind the end of the log", queue.name()));
    }
    let is_light = expected.is_none() && is_light(queue);
    let Expected { records, next } = expected.copied().unwrap_or_default();
    if is_light || kept == records {
        return Ok(());
    }
    let what =
        format!("{kept} units point into the log, which holds {records} records of the queue up to offset {next}");
    if store.abort {
        verified.notes.push(format!("{}: {what}", queue.name()));
    } else {
        verified.problem(Problem::new(queue.name(), what));
    }
    Ok(())
}

/// Whether it is the queue of one light topic. Java: `MixAll.isLmq`.
fn is_light(queue: &QueueSummary) -> bool {
    queue.topic.starts_with("%LMQ%")
}

/// Whether a unit points at the record that belongs in its place.
fn check_unit(store: &Inspection, log: &Log, queue: &QueueSummary, entry: &Entry) -> Result<(), String> {
    let points = |what: &str| format!("it points at {}, where {what}", entry.unit.physical);
    let bytes = log.record(entry.unit.physical).map_err(|what| points(&what))?;
    let message = StoredMessage::parse(&bytes).map_err(|error| points(&error.to_string()))?;
    if i32::try_from(message.size) != Ok(entry.unit.size) {
        return Err(points(&format!("a record of {} bytes lies, not of {}", message.size, entry.unit.size)));
    }
    // Light queues hold messages of other topics, which name them.
    let names_it = || message.property("INNER_MULTI_DISPATCH")?.split(',').find(|name| *name == queue.topic);
    if is_light(queue) && names_it().is_some() {
        return Ok(());
    }
    if (message.topic, message.queue_id.0) != (&*queue.topic, queue.queue_id) {
        return Err(points(&format!("a message of {}-{} lies", message.topic, message.queue_id)));
    }
    if message.queue_offset.0 != entry.offset {
        return Err(points(&format!("the message with queue offset {} lies", message.queue_offset)));
    }
    let count = places(&message).map_or(1, |(_, count)| count);
    if count != entry.count {
        return Err(points(&format!("{count} messages lie, not {}", entry.count)));
    }
    if entry.stored.is_some_and(|stored| stored != message.store_timestamp.0) {
        return Err(points(&format!("a record stored at {} lies, another time than here", message.store_timestamp)));
    }
    let code = entry.unit.code;
    if code <= EXTENSION_ADDRESS_MAX {
        let offset = code.wrapping_sub(i64::MIN);
        let dir = store.root.join("consumequeue_ext").join(&queue.topic).join(queue.queue_id.to_string());
        return dir
            .is_dir()
            .then_some(())
            .ok_or_else(|| format!("its extension at {offset} is not there: no {}", dir.display()));
    }
    match Code::of(message.topic, message.properties) {
        Code::Tags(tags) if tags != code => Err(format!("it has the tags code {code}, its message {tags}")),
        // The time depends on the broker's table of levels.
        Code::DelayLevel(_) if code < message.store_timestamp.0 => {
            Err(format!("it is due at {code}, before its message was stored at {}", message.store_timestamp))
        }
        _ => Ok(()),
    }
}

/// Queues that records belong to and that have no files.
fn check_missing(store: &Inspection, expected: &HashMap<(String, i32), Expected>, verified: &mut Verified) {
    let known = |topic: &str, id: i32| store.queues.iter().any(|queue| queue.topic == *topic && queue.queue_id == id);
    let mut missing: Vec<_> = expected.iter().filter(|((topic, id), _)| !known(topic, *id)).collect();
    missing.sort_by_key(|(key, _)| *key);
    for ((topic, id), Expected { records, .. }) in missing {
        let what = format!("the log holds {records} records of a queue that has no files");
        if store.abort {
            verified.notes.push(format!("{topic}-{id}: {what}"));
        } else {
            // A deleted topic leaves its records behind.
            verified.notes.push(format!("{topic}-{id}: {what}; it was deleted, or its files were"));
        }
    }
}

fn check_index(store: &Inspection, log: &Log, index: &IndexSummary, verified: &mut Verified) -> io::Result<()> {
    let mut lost = 0;
    index.read(|found| {
        verified.index_entries += 1;
        let at = |what: String| Problem::new(format!("index/{} entry {}", index.file, found.number), what);
        let Some(entry) = found.entry else {
            verified.problem(at("a field of it is negative".to_owned()));
            return;
        };
        if !found.reachable {
            verified.problem(at("no slot leads to it".to_owned()));
        }
        if entry.offset < log.min() {
            return;
        }
        if entry.offset >= verified.log.end && store.abort {
            lost += 1;
            return;
        }
        if let Err(what) = check_entry(log, index, found.number, &entry) {
            verified.problem(at(what));
        }
    })?;
    if lost > 0 {
        verified.notes.push(format!("index/{}: {lost} entries point behind the end of the log", index.file));
    }
    Ok(())
}

/// Whether an index entry points at a message that has its key, and knows when that was stored.
fn check_entry(log: &Log, index: &IndexSummary, number: u32, entry: &layout::Entry) -> Result<(), String> {
    let points = |what: &str| format!("it points at {}, where {what}", entry.offset);
    let bytes = log.record(entry.offset).map_err(|what| points(&what))?;
    let message = StoredMessage::parse(&bytes).map_err(|error| points(&error.to_string()))?;
    if !is_key_of(entry.hash, &message) {
        return Err(points("no message with its key lies"));
    }
    let seconds = seconds_since(index.begin_time, message.store_timestamp.0);
    // The time of the first entry counts from the file before.
    if number > 1 && seconds.abs_diff(entry.seconds) > 1 {
        return Err(points(&format!("a message stored {seconds} s after the first lies, not {}", entry.seconds)));
    }
    Ok(())
}

fn check_checkpoint(store: &Inspection, verified: &mut Verified) {
    let Some(checkpoint) = store.checkpoint else {
        verified.notes.push("there is no checkpoint: the next start checks the whole log".to_owned());
        return;
    };
    let (end, last) = (verified.log.end, verified.log.last_timestamp);
    for (field, offset) in
        [("queues flushed", checkpoint.queues_flushed_offset), ("confirmed", checkpoint.confirmed_offset)]
    {
        if offset > end {
            let what = format!("{field} up to {offset}, but the log ends at {end}");
            verified.problem(Problem::new("checkpoint", what));
        }
    }
    for (field, time) in
        [("log flushed", checkpoint.log_flushed_time), ("queues flushed", checkpoint.queues_flushed_time)]
    {
        if time > last && verified.log.time_steps_back == 0 {
            let what = format!("{field} up to the time {time}, but the last record was stored at {last}");
            verified.problem(Problem::new("checkpoint", what));
        }
    }
}
