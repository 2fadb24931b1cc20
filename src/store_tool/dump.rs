//! Messages, one a line.

use std::io::{self, Write};
use std::ops::ControlFlow;

use serde_json::{Value, json};
use store::inspect::Inspection;
use store::message::{StoredMessage, id, properties};

use super::ToolError;
use super::args::Wanted;

/// Bytes of a body that are printed.
const BODY_SHOWN: usize = 64;

/// Prints the wanted messages in the order of the log; returns whether all that was met is sound.
pub(super) fn dump(store: &Inspection, wanted: &Wanted, json: bool, out: &mut dyn Write) -> Result<bool, ToolError> {
    let (mut left, mut sound, mut failed) = (wanted.max.unwrap_or(u64::MAX), true, None);
    let by_queue = wanted.topic.is_some() || wanted.queue.is_some();
    let from = wanted.from.filter(|_| !by_queue);
    let (_, problems) = store.dump(from, &mut |message, faults| {
        if left == 0 {
            return ControlFlow::Break(());
        }
        if !wanted.takes(message) {
            return ControlFlow::Continue(());
        }
        left -= 1;
        sound &= faults.is_empty();
        match print(message, faults, json, out) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    for problem in &problems {
        if json {
            writeln!(out, "{}", json!({ "problem": problem.to_string() }))?;
        } else {
            writeln!(out, "! {problem}")?;
        }
    }
    Ok(sound && problems.is_empty())
}

impl Wanted {
    fn takes(&self, message: &StoredMessage<'_>) -> bool {
        let by_queue = self.topic.is_some() || self.queue.is_some();
        self.topic.as_ref().is_none_or(|topic| topic == message.topic)
            && self.queue.is_none_or(|queue| queue == message.queue_id.0)
            && (!by_queue || self.from.is_none_or(|from| message.queue_offset.0 >= from))
    }
}

fn print(message: &StoredMessage<'_>, faults: &[String], json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json {
        return writeln!(out, "{}", to_json(message, faults));
    }
    write!(
        out,
        "{} {}-{}@{} stored {} born {} from {} id {}",
        message.physical_offset,
        message.topic,
        message.queue_id,
        message.queue_offset,
        message.store_timestamp,
        message.born_timestamp,
        message.born_host,
        id::encode(message.store_host, message.physical_offset),
    )?;
    if message.sys_flag != 0 {
        write!(out, " sysFlag {:#x}", message.sys_flag)?;
    }
    if message.flag != 0 {
        write!(out, " flag {}", message.flag)?;
    }
    if message.reconsume_times != 0 {
        write!(out, " attempt {}", message.reconsume_times)?;
    }
    if message.prepared_transaction_offset != 0 {
        write!(out, " prepared at {}", message.prepared_transaction_offset)?;
    }
    for (name, value) in properties::iter(message.properties) {
        write!(out, " {name}={value:?}")?;
    }
    let shown = &message.body[..message.body.len().min(BODY_SHOWN)];
    write!(out, " body {} bytes \"{}\"", message.body.len(), shown.escape_ascii())?;
    if shown.len() < message.body.len() {
        write!(out, "…")?;
    }
    for fault in faults {
        write!(out, " ! {fault}")?;
    }
    writeln!(out)
}

fn to_json(message: &StoredMessage<'_>, faults: &[String]) -> Value {
    let properties: serde_json::Map<_, _> =
        properties::iter(message.properties).map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    json!({
        "physicalOffset": message.physical_offset.0, "size": message.size, "topic": message.topic,
        "queueId": message.queue_id.0, "queueOffset": message.queue_offset.0, "flag": message.flag,
        "sysFlag": message.sys_flag, "bornTimestamp": message.born_timestamp.0,
        "bornHost": message.born_host.to_string(), "storeTimestamp": message.store_timestamp.0,
        "storeHost": message.store_host.to_string(), "reconsumeTimes": message.reconsume_times,
        "preparedTransactionOffset": message.prepared_transaction_offset, "bodyCRC": message.body_crc,
        "bodyBytes": message.body.len(), "properties": properties,
        "id": id::encode(message.store_host, message.physical_offset), "problems": faults,
        // Bytes that are no text are shown as such.
        "body": String::from_utf8_lossy(message.body),
    })
}
