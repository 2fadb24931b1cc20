//! Messages on their way into the log: encoded outside any lock, completed and written under one.

use std::sync::Arc;

use remoting::types::{PhysicalOffset, QueueId, QueueOffset, Timestamp, TopicName};

use crate::consume_queue::Queue;
use crate::error::IllegalMessage;
use crate::light::{Light, Naming};
use crate::message::properties::{self, name};
use crate::message::{self, MAX_PROPERTIES_BYTES, MAX_TOPIC_BYTES, Message, Patch, SCHEDULE_TOPIC, Trailer, sys_flag};

/// Buffers above this are given back after use: batches live as long as connections.
const KEPT_BYTES: usize = 256 << 10;
/// Queues remembered between uses; a producer sends to the same few.
const KEPT_QUEUES: usize = 64;

/// Encoded records in the order they will have in the log. Reusable; see [`crate::Store::batch`].
#[derive(Debug)]
pub struct AppendBatch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) records: Vec<Encoded>,
    pub(crate) queues: Vec<QueueSlot>,
    pub(crate) positions: Vec<Position>,
    pub(crate) light: Light,
    /// Where the last queue was found; producers go round their queues, so the next one is probably the one behind it.
    last_queue: usize,
    max_message_bytes: usize,
    /// Records end with a checksum over all of them. Java: `enabledAppendPropCRC`.
    record_crc: bool,
    /// Messages go into the light queues that they name. Java: `enableLmq` and `enableMultiDispatch`.
    light_queues: bool,
    /// The store that looked up the queues; 0: none yet.
    pub(crate) store: u64,
    /// Stored already: the next push starts afresh.
    pub(crate) spent: bool,
}

/// One encoded record and what the log and the dispatch need to know of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoded {
    /// Place in [`AppendBatch::bytes`].
    pub(crate) start: usize,
    pub(crate) len: usize,
    /// Index into [`AppendBatch::queues`].
    pub(crate) queue: usize,
    pub(crate) patch: Patch,
    pub(crate) code: Code,
    /// Places it takes in its queue: one, as many as there are messages in an inner batch, or none if it is prepared or
    /// rolled back.
    pub(crate) places: u16,
    /// Goes into the same file as the record before it.
    pub(crate) joined: bool,
}

/// What the queue unit will hold in its last field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Tags(i64),
    /// Deliver time of this delay level, once the store time is known.
    DelayLevel(i32),
}

/// A queue that records of the batch go to, looked up at most once.
#[derive(Debug)]
pub(crate) struct QueueSlot {
    pub(crate) topic: TopicName,
    pub(crate) queue_id: QueueId,
    /// Takes inner batches.
    pub(crate) batches: bool,
    pub(crate) queue: Option<Arc<Queue>>,
}

/// Where a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub physical_offset: PhysicalOffset,
    /// Of the first message, if the record is an inner batch. 0 for prepared and rolled back messages, which take no place
    /// in their queue.
    pub queue_offset: QueueOffset,
    pub store_timestamp: Timestamp,
    /// Bytes of the stored record.
    pub size: usize,
}

/// A batch that was written, its positions in the order of the pushes.
#[derive(Clone, Copy, Debug)]
pub struct Appended<'a> {
    pub positions: &'a [Position],
    /// The batch is confirmed once the watermark reached this.
    pub end: PhysicalOffset,
}

impl AppendBatch {
    /// Takes messages of at most `max_message_bytes` of body.
    pub fn new(max_message_bytes: usize) -> Self {
        Self {
            bytes: Vec::new(),
            records: Vec::new(),
            queues: Vec::new(),
            positions: Vec::new(),
            light: Light::default(),
            last_queue: 0,
            max_message_bytes,
            record_crc: false,
            light_queues: false,
            store: 0,
            spent: false,
        }
    }

    /// The records get a checksum over all of them as their last property.
    pub(crate) fn with_record_crc(self, record_crc: bool) -> Self {
        Self { record_crc, ..self }
    }

    pub(crate) fn with_light_queues(self, light_queues: bool) -> Self {
        Self { light_queues, ..self }
    }

    /// Of records of single messages.
    pub(crate) fn trailer(&self) -> Trailer {
        Trailer { inner_batch: None, crc: self.record_crc }
    }

    /// Records waiting in the batch.
    pub fn len(&self) -> usize {
        if self.spent { 0 } else { self.records.len() }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Encoded bytes waiting in the batch.
    pub fn bytes(&self) -> usize {
        if self.spent { 0 } else { self.bytes.len() }
    }

    /// The records that wait in the batch, without what only the log gives them: for who sends them elsewhere.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        let records = if self.spent { &[][..] } else { &self.records[..] };
        records.iter().map(|record| &self.bytes[record.start..record.start + record.len])
    }

    /// Forgets all messages; keeps a moderate buffer.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.records.clear();
        self.positions.clear();
        self.light.clear();
        if self.queues.len() > KEPT_QUEUES {
            self.queues.clear();
        }
        self.spent = false;
    }

    /// Adds one message.
    ///
    /// # Errors
    /// The message can never be stored; the batch is as it was.
    pub fn push(&mut self, message: &Message<'_>) -> Result<(), IllegalMessage> {
        let naming = self.check_single(message)?;
        self.start_afresh();
        self.encode_single(message, naming.as_ref(), false);
        Ok(())
    }

    /// Adds a client batch as one record, for a queue that takes such: its body stays as it is, and the messages in it get
    /// consecutive queue offsets. Returns their number.
    ///
    /// # Errors
    /// The batch can never be stored; nothing was added.
    ///
    /// Java: `SendMessageProcessor.sendBatchMessage`, `BatchConsumeQueue.assignQueueOffset`.
    pub fn push_inner_batch(&mut self, message: &Message<'_>) -> Result<usize, IllegalMessage> {
        let mut count = 0;
        for element in message::batch_elements(message.body) {
            element.map_err(|_| IllegalMessage::BadBatch { index: usize::from(count) })?;
            // The number is an `i16` in the queue.
            let next = Some(count + 1).filter(|count| *count <= i16::MAX as u16);
            count = next.ok_or(IllegalMessage::BadBatch { index: usize::from(count) })?;
        }
        if count == 0 {
            return Err(IllegalMessage::BadBatch { index: 0 });
        }
        let trailer = Trailer { inner_batch: Some(count), crc: self.record_crc };
        let flags = message.sys_flag | sys_flag::INNER_BATCH | sys_flag::NEED_UNWRAP;
        let message = Message { sys_flag: flags, ..*message };
        self.check(&message, trailer)?;
        self.start_afresh();
        self.encode(&message, trailer, false);
        Ok(usize::from(count))
    }

    /// Adds the elements of a client batch, which get consecutive queue offsets and lie in one file.
    ///
    /// Flag, body and properties come from each element of `batch_body`; the rest from `common`, whose own body and
    /// properties are not used. Returns the number of messages.
    ///
    /// # Errors
    /// The batch can never be stored; nothing of it was added.
    ///
    /// Java: `MessageExtEncoder.encode(MessageExtBatch, …)`.
    pub fn push_client_batch(&mut self, common: &Message<'_>, batch_body: &[u8]) -> Result<usize, IllegalMessage> {
        self.check(&Message { body: batch_body, properties: "", ..*common }, self.trailer())?;
        let mut count = 0;
        // Elements are checked before the first is added, so that a bad one leaves nothing behind.
        for element in message::batch_elements(batch_body) {
            let element = element.map_err(|_| IllegalMessage::BadBatch { index: count })?;
            self.check_single(&Message { body: element.body, properties: element.properties, ..*common })?;
            count += 1;
        }
        self.start_afresh();
        for (index, element) in message::batch_elements(batch_body).filter_map(Result::ok).enumerate() {
            let message = Message {
                flag: element.flag,
                body: element.body,
                properties: element.properties,
                prepared_transaction_offset: 0,
                ..*common
            };
            // It was looked at before.
            let naming = self.naming(&message).unwrap_or_default();
            self.encode_single(&message, naming.as_ref(), index > 0);
        }
        Ok(count)
    }

    fn check_single<'m>(&self, message: &Message<'m>) -> Result<Option<Naming<'m>>, IllegalMessage> {
        self.check(message, self.trailer())?;
        let naming = self.naming(message)?;
        if let Some(naming) = &naming {
            let bytes = naming.properties_bytes_max() + self.trailer().properties_len("");
            if bytes > MAX_PROPERTIES_BYTES {
                return Err(IllegalMessage::PropertiesTooLarge { bytes, max: MAX_PROPERTIES_BYTES });
            }
        }
        Ok(naming)
    }

    /// What the message says of light queues, if there are such, and it takes a place in queues.
    fn naming<'m>(&self, message: &Message<'m>) -> Result<Option<Naming<'m>>, IllegalMessage> {
        if self.light_queues && sys_flag::takes_queue_offset(message.sys_flag) { Naming::of(message) } else { Ok(None) }
    }

    fn encode_single(&mut self, message: &Message<'_>, naming: Option<&Naming<'_>>, joined: bool) {
        match naming {
            Some(naming) => self.encode_shared(message, naming, joined),
            None => self.encode(message, self.trailer(), joined),
        }
    }

    fn check(&self, message: &Message<'_>, trailer: Trailer) -> Result<(), IllegalMessage> {
        let bytes = message.body.len();
        if bytes > self.max_message_bytes {
            return Err(IllegalMessage::BodyTooLarge { bytes, max: self.max_message_bytes });
        }
        let bytes = trailer.properties_len(message.properties);
        if bytes > MAX_PROPERTIES_BYTES {
            return Err(IllegalMessage::PropertiesTooLarge { bytes, max: MAX_PROPERTIES_BYTES });
        }
        let bytes = message.topic.len();
        if bytes > MAX_TOPIC_BYTES {
            return Err(IllegalMessage::TopicTooLong { bytes, max: MAX_TOPIC_BYTES });
        }
        if bytes == 0 || !message::is_folder_name(message.topic) {
            return Err(IllegalMessage::TopicName);
        }
        if message.queue_id.0 < 0 { Err(IllegalMessage::QueueId(message.queue_id.0)) } else { Ok(()) }
    }

    fn start_afresh(&mut self) {
        if self.spent {
            self.clear();
        }
    }

    pub(crate) fn encode(&mut self, message: &Message<'_>, trailer: Trailer, joined: bool) {
        // Java takes a checksum that came with the message away; there may be one only.
        let cleaned = trailer.crc && properties::get(message.properties, name::CRC32).is_some();
        let cleaned = cleaned.then(|| properties::remove(message.properties, name::CRC32));
        let message = &Message { properties: cleaned.as_deref().unwrap_or(message.properties), ..*message };
        let batches = trailer.inner_batch.is_some();
        let queue = self.queue_slot(message.topic, message.queue_id, batches);
        let start = self.bytes.len();
        let patch = message::encode(&mut self.bytes, message, trailer);
        let places = if sys_flag::takes_queue_offset(message.sys_flag) { trailer.inner_batch.unwrap_or(1) } else { 0 };
        self.records.push(Encoded {
            start,
            len: self.bytes.len() - start,
            queue,
            patch,
            code: Code::of(message.topic, message.properties),
            places,
            joined,
        });
    }

    pub(crate) fn queue_slot(&mut self, topic: &TopicName, queue_id: QueueId, batches: bool) -> usize {
        let is_it = |slot: &QueueSlot| slot.queue_id == queue_id && slot.batches == batches && slot.topic == *topic;
        let count = self.queues.len();
        let from_last = (self.last_queue..count).chain(0..self.last_queue.min(count));
        let found = from_last.take(KEPT_QUEUES).find(|&at| is_it(&self.queues[at]));
        let at = found.unwrap_or_else(|| {
            self.queues.push(QueueSlot { topic: topic.clone(), queue_id, batches, queue: None });
            count
        });
        self.last_queue = at;
        at
    }
}

impl Code {
    /// Java: `MessageExtBrokerInner.tagsString2tagsCode`, `CommitLog.checkMessageAndReturnSize`.
    pub(crate) fn of(topic: &str, properties_text: &str) -> Self {
        if topic == SCHEDULE_TOPIC
            && let Some(level) =
                properties::get(properties_text, name::DELAY_TIME_LEVEL).and_then(|text| text.parse().ok())
            && level > 0
        {
            return Self::DelayLevel(level);
        }
        Self::Tags(properties::get(properties_text, name::TAGS).map_or(0, message::tags_code))
    }
}
