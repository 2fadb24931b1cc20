//! The offsets of each queue have no gap, and are those of the same messages on all members; no message is there twice.

use std::collections::HashMap;

use remoting::types::{QueueId, QueueOffset};
use store::message::StoredMessage;
use store::{Everything, ReadRequest, Store};

use super::{QUEUES, Wrong, topic};

/// A message of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) struct Message {
    pub(in crate::sim) name: String,
    /// Where it lies in the log.
    pub(in crate::sim) at: i64,
}

/// What members have shown of the queues.
#[derive(Default)]
pub(in crate::sim) struct Queues {
    messages: [Vec<Message>; QUEUES],
    /// Queue and offset.
    places: HashMap<String, (usize, usize)>,
}

impl Queues {
    pub(super) fn look(&mut self, member: u64, store: &Store, seen: &mut [usize; QUEUES]) -> Result<(), Wrong> {
        for (queue, seen) in seen.iter_mut().enumerate() {
            let found = messages_in(store, queue, *seen, usize::MAX);
            for message in found.map_err(|wrong| format!("member {member}, queue {queue}: {wrong}"))? {
                self.take(member, queue, *seen, message)?;
                *seen += 1;
            }
            let end = store.max_offset("T", QueueId(queue as i32)).map_or(0, |end| end.0);
            if end != *seen as i64 {
                return Err(format!("queue {queue} of member {member} ends at {end}, but {seen} messages are read"));
            }
        }
        Ok(())
    }

    fn take(&mut self, member: u64, queue: usize, offset: usize, message: Message) -> Result<(), Wrong> {
        let messages = &mut self.messages[queue];
        match messages.get(offset) {
            Some(known) if *known == message => return Ok(()),
            Some(known) => {
                return Err(format!(
                    "member {member} has {message:?} at {offset} in queue {queue}, and another one had {known:?}"
                ));
            }
            None => {}
        }
        if let Some(twice) = self.places.insert(message.name.clone(), (queue, offset)) {
            return Err(format!("{message:?} is at {offset} in queue {queue}, and at {twice:?}"));
        }
        messages.push(message);
        Ok(())
    }

    pub(in crate::sim) fn get(&self, queue: usize, offset: usize) -> Option<&Message> {
        self.messages[queue].get(offset)
    }

    pub(in crate::sim) fn len(&self, queue: usize) -> usize {
        self.messages[queue].len()
    }
}

/// Messages of a queue from `offset` on, as far as the member shows them; `max` of them or a few more.
pub(in crate::sim) fn messages_in(
    store: &Store,
    queue: usize,
    offset: usize,
    max: usize,
) -> Result<Vec<Message>, Wrong> {
    let topic = topic();
    let first = offset as i64;
    let mut found = Vec::new();
    while found.len() < max {
        let next = first + found.len() as i64;
        let (queue_id, offset) = (QueueId(queue as i32), QueueOffset(next));
        let request = ReadRequest { topic: &topic, queue_id, offset, max_messages: 32, max_bytes: 1 << 20 };
        let outcome = store.read(&request, &Everything);
        if outcome.count == 0 {
            break;
        }
        for chunk in &outcome.messages {
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let message = StoredMessage::parse(rest).map_err(|error| format!("at {next}: {error}"))?;
                let expected = (first + found.len() as i64, queue as i32);
                let (own, own_queue) = (message.queue_offset.0, message.queue_id.0);
                if (own, own_queue) != expected {
                    return Err(format!("message {own} of queue {own_queue} is in the place of {expected:?}"));
                }
                let name = String::from_utf8_lossy(message.body).split(':').next().unwrap_or_default().to_owned();
                found.push(Message { name, at: message.physical_offset.0 });
                rest = &rest[message.size..];
            }
        }
    }
    Ok(found)
}
