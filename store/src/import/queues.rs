//! Queues without a message in the log: what is left of them says at which offset they go on.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::consume_queue::Unit;
use crate::inspect::queues::QueueSummary;
use crate::segments;

/// The offset behind the last message of each queue, by topic and id.
#[derive(Debug, Default)]
pub(super) struct Ends(HashMap<String, HashMap<i32, i64>>);

impl Ends {
    /// Adds messages behind those that are there; where they should have begun, if they do elsewhere. What begins with offset 0 is
    /// another life of a topic that was deleted, of which alone the store knows.
    pub(super) fn add(&mut self, topic: &str, id: i32, first: i64, count: i64) -> Option<i64> {
        if !self.0.contains_key(topic) {
            self.0.insert(topic.to_owned(), HashMap::new());
        }
        let queues = self.0.get_mut(topic)?;
        let Some(end) = queues.get_mut(&id) else {
            queues.insert(id, first + count);
            return None;
        };
        let wanted = *end;
        *end = if first == 0 { count } else { wanted.max(first + count) };
        (first != wanted && first != 0).then_some(wanted)
    }

    pub(super) fn has(&self, topic: &str, id: i32) -> bool {
        self.0.get(topic).is_some_and(|queues| queues.contains_key(&id))
    }

    pub(super) fn has_topic(&self, topic: &str) -> bool {
        self.0.contains_key(topic)
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// Topic, id and end of each.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.0.iter().flat_map(|(topic, queues)| queues.iter().map(move |(id, end)| (topic.as_str(), *id, *end)))
    }
}

/// Takes the last file of a queue along, whose messages were all deleted: units point before `log_min`, in the old log as in the
/// new one. `root`: the new folder for queues of its kind; `None`: nothing is written. Whether there was anything to take.
///
/// # Errors
/// Failing I/O.
pub(super) fn keep(queue: &QueueSummary, log_min: i64, root: Option<&Path>) -> io::Result<bool> {
    let unit_bytes = queue.bytes_per_unit();
    for segment in queue.segments.list.iter().rev() {
        let mut bytes = fs::read(&segment.path)?;
        let is_gone = |unit: &[u8]| {
            let unit = unit.first_chunk().map(Unit::decode);
            unit.is_some_and(|unit| unit.is_written() && (unit.is_blank() || unit.physical < log_min))
        };
        let kept = bytes.chunks_exact(unit_bytes).take_while(|unit| is_gone(unit)).count();
        if kept == 0 {
            continue;
        }
        bytes[kept * unit_bytes..].fill(0);
        if let Some(root) = root {
            let dir = root.join(&queue.topic).join(queue.queue_id.to_string());
            fs::create_dir_all(&dir)?;
            let mut file = File::create(segments::path_of(&dir, segment.start))?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            for dir in [dir.as_path()].into_iter().chain(dir.ancestors().skip(1).take(2)) {
                crate::io::sync_dir(dir)?;
            }
        }
        return Ok(true);
    }
    Ok(false)
}
