//! Answers of a batch, written in one go.

use std::ops::Range;
use std::sync::Arc;

use remoting::connection::{Peer, ReplyTo};
use remoting::header::{EncodeHeader, Field, FieldSink};
use remoting::protocol::ResponseCode;
use remoting::router::IntoResponse;
use remoting::types::{PhysicalOffset, QueueId};
use store::Position;
use store::message::id;
use store::message::properties::name;

use super::desk::Taken;
use super::error::{PutError, SendError};
use super::properties::Additions;
use crate::config::BrokerConfig;
use crate::context::Identity;

/// What all messages and answers of one moment have in common.
pub(super) struct Stamp {
    pub(super) settings: Arc<BrokerConfig>,
    pub(super) additions: Additions,
    /// A message id with a zero offset.
    id: String,
}

/// Hex digits of the offset, at the end of a message id.
const OFFSET_DIGITS: usize = 16;
/// A message id with an IPv6 host.
const ID_BYTES_MAX: usize = 56;

impl Stamp {
    pub(super) fn new(identity: &Identity, settings: &Arc<BrokerConfig>) -> Self {
        Self {
            settings: Arc::clone(settings),
            additions: Additions::of(settings, &identity.cluster),
            id: id::encode(identity.host, PhysicalOffset(0)),
        }
    }

    pub(super) fn is_of(&self, settings: &Arc<BrokerConfig>) -> bool {
        Arc::ptr_eq(&self.settings, settings)
    }

    fn with_id(&self, offset: PhysicalOffset, then: impl FnOnce(&str)) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let mut text = [0; ID_BYTES_MAX];
        let text = &mut text[..self.id.len()];
        text.copy_from_slice(self.id.as_bytes());
        let digits = &mut text[self.id.len() - OFFSET_DIGITS..];
        for (digit, shift) in digits.iter_mut().zip((0..OFFSET_DIGITS * 4).step_by(4).rev()) {
            *digit = DIGITS[(offset.0 >> shift) as usize & 0xF];
        }
        then(std::str::from_utf8(text).expect("hex digits are ASCII"));
    }

    /// Java: `SendMessageProcessor.preSend`.
    fn put_extras(&self, sink: &mut dyn FieldSink) {
        sink.put(name::MSG_REGION, &self.settings.region_id);
        self.settings.trace_on.with_text(|text| sink.put(name::TRACE_SWITCH, text));
    }
}

#[derive(Default)]
pub(super) struct Answers {
    list: Vec<Answer>,
    /// Unique keys and recall handles of the messages, back to back.
    texts: String,
    /// Filled once the batch is written.
    positions: Vec<Position>,
    /// Answers that slaves must be waited for, and those of the others.
    for_slaves: usize,
    for_nobody: usize,
}

/// Some of the answers of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    All,
    /// Refused, or stored without waiting for slaves.
    ForNobody,
    ForSlaves,
}

pub(super) struct Answer {
    pub(super) to: ReplyTo,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    Refused(Box<SendError>),
    Stored {
        /// Places in the batch.
        positions: Range<usize>,
        queue_id: QueueId,
        /// Places in the texts; empty without one.
        unique_key: Range<usize>,
        recall_handle: Range<usize>,
        inner_batch: bool,
        waits_for_nobody: bool,
    },
}

impl Outcome {
    fn is_for_slaves(&self) -> bool {
        matches!(self, Self::Stored { waits_for_nobody: false, .. })
    }
}

impl Answers {
    pub(super) fn push(&mut self, answer: Answer) {
        let for_slaves = usize::from(answer.outcome.is_for_slaves());
        self.for_slaves += for_slaves;
        self.for_nobody += 1 - for_slaves;
        self.list.push(answer);
    }

    pub(super) fn stored(&mut self, to: ReplyTo, positions: Range<usize>, taken: &Taken<'_>) {
        let mut keep = |text: Option<&str>| {
            let start = self.texts.len();
            self.texts.push_str(text.unwrap_or(""));
            start..self.texts.len()
        };
        let (unique_key, recall_handle) = (keep(taken.unique_key), keep(taken.recall_handle));
        let outcome = Outcome::Stored {
            positions,
            queue_id: taken.answered_queue,
            unique_key,
            recall_handle,
            inner_batch: taken.inner_batch,
            waits_for_nobody: taken.waits_for_nobody,
        };
        self.push(Answer { to, outcome });
    }

    /// Where the messages went, in the order of the batch.
    pub(super) fn written(&mut self, positions: &[Position]) {
        self.positions.extend_from_slice(positions);
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.texts.clear();
        self.positions.clear();
        (self.for_slaves, self.for_nobody) = (0, 0);
    }

    /// Whether there are answers that slaves must be waited for.
    pub(super) fn are_for_slaves(&self) -> bool {
        self.for_slaves > 0
    }

    /// Writes answers, given what became of the messages in the batch.
    pub(super) fn write(&self, part: Part, peer: &Peer, stamp: &Stamp, put: Result<(), &PutError>) {
        if part == Part::ForNobody && self.for_nobody == 0 {
            return;
        }
        let (code, failed) = match put {
            Ok(()) => (ResponseCode::SUCCESS, None),
            Err(err) if err.is_stored() => (err.code(), None),
            Err(err) => (err.code(), Some(err)),
        };
        // Of the failure of a whole batch there is one text.
        let failed = failed.map(|err| (err.code(), err.to_string()));
        peer.replies(|out| {
            let is_meant = |answer: &&Answer| match part {
                Part::All => true,
                Part::ForNobody => !answer.outcome.is_for_slaves(),
                Part::ForSlaves => answer.outcome.is_for_slaves(),
            };
            for answer in self.list.iter().filter(is_meant) {
                match (&answer.outcome, &failed) {
                    (Outcome::Refused(err), _) => {
                        let remark = err.to_string();
                        out.reply(answer.to, err.code(), Some(&remark), &Refusal { stamp, early: err.is_early() }, ());
                    }
                    (Outcome::Stored { .. }, Some((code, remark))) => {
                        out.reply(answer.to, *code, Some(remark), &Refusal { stamp, early: false }, ());
                    }
                    (Outcome::Stored { positions, queue_id, unique_key, recall_handle, inner_batch, .. }, None) => {
                        let header = Stored {
                            stamp,
                            positions: &self.positions[positions.clone()],
                            queue_id: *queue_id,
                            unique_key: &self.texts[unique_key.clone()],
                            recall_handle: &self.texts[recall_handle.clone()],
                            inner_batch: *inner_batch,
                        };
                        out.reply(answer.to, code, None, &header, ());
                    }
                }
            }
        });
    }
}

/// What [`remoting::protocol::send::SendMessageReply`] has, without owning it.
struct Stored<'a> {
    stamp: &'a Stamp,
    /// Of one message, or of those of a client's batch.
    positions: &'a [Position],
    queue_id: QueueId,
    unique_key: &'a str,
    recall_handle: &'a str,
    /// The messages are in one record, which the client then knows by its key.
    inner_batch: bool,
}

impl EncodeHeader for Stored<'_> {
    fn encode(&self, sink: &mut dyn FieldSink) {
        match self.positions {
            [one] => self.stamp.with_id(one.physical_offset, |id| sink.put("msgId", id)),
            many => sink.put("msgId", &self.joined_ids(many)),
        }
        self.queue_id.with_text(|text| sink.put("queueId", text));
        if let Some(first) = self.positions.first() {
            first.queue_offset.with_text(|text| sink.put("queueOffset", text));
        }
        if !self.unique_key.is_empty() {
            sink.put("transactionId", self.unique_key);
        }
        if self.inner_batch {
            sink.put("batchUniqId", self.unique_key);
        }
        if !self.recall_handle.is_empty() {
            sink.put("recallHandle", self.recall_handle);
        }
        self.stamp.put_extras(sink);
    }
}

impl Stored<'_> {
    fn joined_ids(&self, positions: &[Position]) -> String {
        let mut ids = String::with_capacity(positions.len() * (self.stamp.id.len() + 1));
        for position in positions {
            if !ids.is_empty() {
                ids.push(',');
            }
            self.stamp.with_id(position.physical_offset, |id| ids.push_str(id));
        }
        ids
    }
}

struct Refusal<'a> {
    stamp: &'a Stamp,
    early: bool,
}

impl EncodeHeader for Refusal<'_> {
    fn encode(&self, sink: &mut dyn FieldSink) {
        if !self.early {
            self.stamp.put_extras(sink);
        }
    }
}
