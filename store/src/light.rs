//! Light queues: one record in several queues.
//!
//! A message of an ordinary topic may name light queues (`INNER_MULTI_DISPATCH=%LMQ%a,%LMQ%b`). Its record is stored once, with
//! its offset in each of them (`INNER_MULTI_QUEUE_OFFSET=5,0`, in the order of the names), and each gets an ordinary unit that
//! points at it: queue 0 of a topic of that name, which nobody has to create. The offsets are in the record, so recovery makes
//! the units again like all others.
//!
//! ```text
//! push: names ─▶ slots, room for the digits ─ fit (no lock) ─▶ room as the queues need it ─ append lock ─▶ offsets ─▶ units
//! ```
//! Offsets are known only under the append lock, where nothing is to be encoded any more. So the room is made before, by where
//! the queues stand; where that has grown by a digit meanwhile, the append is begun once more. A number that turns out shorter
//! than its room is written with zeros before it, which Java and its clients read as the same number.
//!
//! Java: `LmqDispatch`, `MultiDispatchUtils`; 4.9.7: `MultiDispatch`.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use remoting::types::{QueueId, TopicName};

use crate::batch::{AppendBatch, Encoded, QueueSlot};
use crate::consume_queue::Queue;
use crate::error::IllegalMessage;
use crate::message::properties::{self, name};
use crate::message::{MAX_TOPIC_BYTES, Message, SCHEDULE_TOPIC, StoredMessage, is_folder_name};

/// Topics of light queues begin so. Java: `MixAll.LMQ_PREFIX`.
pub const LIGHT_PREFIX: &str = "%LMQ%";
/// The only queue of such a topic. Java: `MixAll.LMQ_QUEUE_ID`.
pub const LIGHT_QUEUE: QueueId = QueueId(0);
/// Between the names, and between the offsets. Java: `MixAll.LMQ_DISPATCH_SEPARATOR`.
const BETWEEN: char = ',';
/// Room that is counted for one offset when a message is checked; no queue file can hold that many units.
const DIGITS_MAX: usize = 13;

/// A record of a batch that goes into light queues, too.
#[derive(Debug)]
pub(crate) struct Share {
    /// Its index in the batch.
    record: usize,
    /// Where the length of its properties stands within it, and its first offset.
    properties_at: usize,
    digits_at: usize,
    /// Its places among those of the batch.
    places: Range<usize>,
}

/// One offset of such a record.
#[derive(Debug)]
pub(crate) struct LightPlace {
    /// Index into the batch's queues.
    slot: usize,
    /// A queue that is named twice gets the message once: this says what the other place says.
    same_as: Option<usize>,
    /// Room for the offset, as it is in the record and as it has to be.
    digits: usize,
    wanted: usize,
    offset: i64,
}

/// The records of a batch that go into light queues. Empty in nearly all batches.
#[derive(Debug, Default)]
pub(crate) struct Light {
    pub(crate) shares: Vec<Share>,
    pub(crate) places: Vec<LightPlace>,
}

impl Light {
    pub(crate) fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.shares.clear();
        self.places.clear();
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = usize> {
        self.places.iter().map(|place| place.slot)
    }
}

/// What a message's properties say of light queues.
#[derive(Debug)]
pub(crate) struct Naming<'a> {
    names: Vec<&'a str>,
    /// The properties without offsets that the message may have brought.
    cleaned: String,
}

impl<'a> Naming<'a> {
    /// The light queues that `message` names; `None`: it goes to its own queue only, and its properties stay as they are.
    /// Its own queue only, but without the offsets that it brought, if there are no names.
    ///
    /// # Errors
    /// [`IllegalMessage::LightQueue`], [`IllegalMessage::PropertiesTooLarge`].
    pub(crate) fn of(message: &Message<'a>) -> Result<Option<Self>, IllegalMessage> {
        let text = message.properties;
        let named = properties::get(text, name::MULTI_DISPATCH).filter(|_| may_share(message.topic));
        let names: Vec<_> = named.map_or_else(Vec::new, |named| split(named).collect());
        let any = names.iter().any(|name| name.starts_with(LIGHT_PREFIX));
        if !any && properties::get(text, name::MULTI_QUEUE_OFFSET).is_none() {
            return Ok(None);
        }
        let legal =
            |name: &&str| name.starts_with(LIGHT_PREFIX) && name.len() <= MAX_TOPIC_BYTES && is_folder_name(name);
        if any && let Some(index) = names.iter().position(|name| !legal(name)) {
            return Err(IllegalMessage::LightQueue { index });
        }
        let cleaned = properties::remove(text, name::MULTI_QUEUE_OFFSET);
        Ok(Some(Self { names: if any { names } else { Vec::new() }, cleaned }))
    }

    /// Most bytes that the properties will have.
    pub(crate) fn properties_bytes_max(&self) -> usize {
        self.cleaned.len() + name::MULTI_QUEUE_OFFSET.len() + 2 + self.names.len() * (DIGITS_MAX + 1)
    }
}

/// Java splits so, and drops what is empty at the end.
fn split(list: &str) -> impl Iterator<Item = &str> {
    list.trim_end_matches(BETWEEN).split(BETWEEN)
}

/// Whether messages stored under this topic go into the light queues that they name. Messages that wait or come again did so,
/// or will do. (Java does it with half messages and dead letters, too.)
///
/// Java: `MixAll.topicAllowsLMQ`.
fn may_share(topic: &str) -> bool {
    topic_shares(topic) && !topic.starts_with("%DLQ%") && !topic.starts_with("RMQ_SYS_TRANS_")
}

/// Java: `MixAll.topicAllowsLMQ`.
fn topic_shares(topic: &str) -> bool {
    !topic.starts_with("%RETRY%") && !topic.starts_with("rmq_sys_") && topic != SCHEDULE_TOPIC
}

/// The light queues that a stored record is in, and its offsets there.
///
/// Java: `ConsumeQueue.multiDispatchLmqQueue`.
pub(crate) fn places<'a>(message: &StoredMessage<'a>) -> impl Iterator<Item = (&'a str, i64)> + use<'a> {
    let named = if topic_shares(message.topic) { message.property(name::MULTI_DISPATCH) } else { None };
    let offsets = named.and_then(|_| message.property(name::MULTI_QUEUE_OFFSET));
    let pairs = named.zip(offsets).filter(|(names, offsets)| split(names).count() == split(offsets).count());
    pairs.into_iter().flat_map(|(names, offsets)| split(names).zip(split(offsets))).filter_map(|(queue, offset)| {
        let offset = offset.parse().ok().filter(|offset: &i64| *offset >= 0)?;
        (queue.starts_with(LIGHT_PREFIX) && is_folder_name(queue)).then_some((queue, offset))
    })
}

impl AppendBatch {
    /// Encodes a message that names light queues, or brought offsets in such.
    pub(crate) fn encode_shared(&mut self, message: &Message<'_>, naming: &Naming<'_>, joined: bool) {
        let trailer = self.trailer();
        if naming.names.is_empty() {
            return self.encode(&Message { properties: &naming.cleaned, ..*message }, trailer, joined);
        }
        let first = self.light.places.len();
        let mut seen = HashMap::new();
        for queue in &naming.names {
            let at = self.light.places.len();
            let slot = self.queue_slot(&TopicName::new(*queue), LIGHT_QUEUE, false);
            let same_as = *seen.entry(*queue).or_insert(at);
            let digits = self.queues[slot].queue.as_ref().map_or(1, |queue| digits_of(next_of(queue)));
            let same_as = (same_as != at).then_some(same_as);
            self.light.places.push(LightPlace { slot, same_as, digits, wanted: digits, offset: 0 });
        }
        let places = first..self.light.places.len();
        let mut text = String::with_capacity(naming.properties_bytes_max());
        text.push_str(&naming.cleaned);
        text.push_str(name::MULTI_QUEUE_OFFSET);
        text.push(properties::NAME_VALUE_SEPARATOR);
        let digits_at = text.len();
        for (index, place) in self.light.places[places.clone()].iter().enumerate() {
            if index > 0 {
                text.push(BETWEEN);
            }
            text.extend(std::iter::repeat_n('0', place.digits));
        }
        text.push(properties::SEPARATOR);
        let record = self.records.len();
        self.encode(&Message { properties: &text, ..*message }, trailer, joined);
        let properties_at = self.records[record].len - trailer.properties_len(&text) - 2;
        self.light.shares.push(Share { record, properties_at, digits_at: properties_at + 2 + digits_at, places });
    }

    /// Makes room for the offsets by where the queues, which are looked up, stand now.
    pub(crate) fn fit(&mut self) {
        for place in &mut self.light.places {
            let queue = self.queues[place.slot].queue.as_ref();
            place.wanted = place.wanted.max(queue.map_or(1, |queue| digits_of(next_of(queue))));
        }
        if self.light.places.iter().all(|place| place.wanted == place.digits) {
            return;
        }
        let mut bytes = Vec::with_capacity(self.bytes.len() + self.light.places.len());
        let mut shares = self.light.shares.iter().peekable();
        for (index, record) in self.records.iter_mut().enumerate() {
            let old = &self.bytes[record.start..][..record.len];
            record.start = bytes.len();
            let Some(share) = shares.next_if(|share| share.record == index) else {
                bytes.extend_from_slice(old);
                continue;
            };
            let places = &mut self.light.places[share.places.clone()];
            let between = places.len() - 1;
            let room = places.iter().map(|place| place.digits).sum::<usize>() + between;
            let wanted = places.iter().map(|place| place.wanted).sum::<usize>() + between;
            bytes.extend_from_slice(&old[..share.digits_at]);
            bytes.resize(record.start + share.digits_at + wanted, b'0');
            bytes.extend_from_slice(&old[share.digits_at + room..]);
            places.iter_mut().for_each(|place| place.digits = place.wanted);
            record.len = bytes.len() - record.start;
            let new = &mut bytes[record.start..];
            new[..4].copy_from_slice(&(record.len as i32).to_be_bytes());
            let length = &mut new[share.properties_at..share.properties_at + 2];
            let properties = usize::from(u16::from_be_bytes([length[0], length[1]])) + wanted - room;
            length.copy_from_slice(&(properties as u16).to_be_bytes());
        }
        self.bytes = bytes;
    }

    /// Whether the offsets that the records would get fit into their room; if not, what they want is noted for
    /// [`Self::fit`]. Under the append lock.
    pub(crate) fn is_fit(&mut self) -> bool {
        let mut shares = self.light.shares.iter().peekable();
        for (index, record) in self.records.iter().enumerate() {
            let share = shares.next_if(|share| share.record == index);
            take_place(&self.queues, record);
            if let Some(share) = share {
                take_light_places(&self.queues, share, &mut self.light.places);
            }
        }
        for record in &self.records {
            give_place_back(&self.queues, record);
        }
        give_light_places_back(&self.queues, &self.light.shares, &self.light.places);
        let mut fit = true;
        for place in &mut self.light.places {
            place.wanted = place.digits.max(digits_of(place.offset));
            fit &= place.wanted == place.digits;
        }
        fit
    }
}

/// The next offset of the queue of `record`, which it takes. Only under the append lock, so load and store need not be one step.
pub(crate) fn take_place(queues: &[QueueSlot], record: &Encoded) -> i64 {
    if record.places == 0 {
        return 0;
    }
    let next = &queue_of(queues, record.queue).next;
    let offset = next.load(Ordering::Relaxed);
    next.store(offset + i64::from(record.places), Ordering::Relaxed);
    offset
}

pub(crate) fn give_place_back(queues: &[QueueSlot], record: &Encoded) {
    if record.places > 0 {
        queue_of(queues, record.queue).next.fetch_sub(i64::from(record.places), Ordering::Relaxed);
    }
}

/// As [`take_place`] in every light queue of the record.
fn take_light_places(queues: &[QueueSlot], share: &Share, places: &mut [LightPlace]) {
    for at in share.places.clone() {
        places[at].offset = match places[at].same_as {
            Some(first) => places[first].offset,
            None => {
                let next = &queue_of(queues, places[at].slot).next;
                let offset = next.load(Ordering::Relaxed);
                next.store(offset + 1, Ordering::Relaxed);
                offset
            }
        };
    }
}

/// Of the records that these shares are of.
pub(crate) fn give_light_places_back(queues: &[QueueSlot], shares: &[Share], places: &[LightPlace]) {
    for share in shares {
        for place in places[share.places.clone()].iter().filter(|place| place.same_as.is_none()) {
            queue_of(queues, place.slot).next.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

pub(crate) fn queue_of(queues: &[QueueSlot], slot: usize) -> &Arc<Queue> {
    queues[slot].queue.as_ref().expect("queues are looked up before the append")
}

impl Share {
    pub(crate) fn is_of(&self, record: usize) -> bool {
        self.record == record
    }

    pub(crate) fn is_before(&self, record: usize) -> bool {
        self.record < record
    }

    /// Takes the record's places and writes them into it; they are known to fit.
    pub(crate) fn stamp(&self, queues: &[QueueSlot], places: &mut [LightPlace], record: &mut [u8]) {
        take_light_places(queues, self, places);
        let mut at = self.digits_at;
        for (index, place) in places[self.places.clone()].iter().enumerate() {
            if index > 0 {
                record[at] = BETWEEN as u8;
                at += 1;
            }
            let mut rest = place.offset.unsigned_abs();
            for digit in record[at..at + place.digits].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            at += place.digits;
        }
    }

    /// Every queue that gets a unit, and the unit's offset.
    pub(crate) fn units<'a>(
        &'a self,
        queues: &'a [QueueSlot],
        places: &'a [LightPlace],
    ) -> impl Iterator<Item = (&'a Arc<Queue>, i64)> {
        let places = places[self.places.clone()].iter().filter(|place| place.same_as.is_none());
        places.map(|place| (queue_of(queues, place.slot), place.offset))
    }
}

/// A glance at where the queue stands; exact under the append lock only.
fn next_of(queue: &Queue) -> i64 {
    queue.next.load(Ordering::Relaxed)
}

fn digits_of(offset: i64) -> usize {
    offset.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests;
