//! What one batch of sends is worked on with; kept for the next batch, so that a send costs no allocation of its own.

use std::sync::Arc;

use remoting::body::TopicConfig;
use remoting::connection::ReplyTo;
use remoting::types::{QueueId, TopicName};
use store::AppendBatch;

use super::Sends;
use super::answer::{Answer, Answers, Outcome, Stamp};
use super::error::{PutError, SendError};
use super::properties::Found;
use super::tally::Tallies;
use crate::ha::TooFewInSync;

/// Desks kept for later; a broker has few more workers that take sends at once.
const DESKS_KEPT: usize = 64;

pub(super) struct Desk {
    pub(super) batch: AppendBatch,
    pub(super) answers: Answers,
    pub(super) tallies: Tallies,
    pub(super) stamp: Arc<Stamp>,
    /// The topic checked last; the next send is most likely for it, too.
    pub(super) topic: Option<Arc<TopicConfig>>,
    /// The properties of one message.
    pub(super) properties: String,
    /// Too few copies are in sync for messages that slaves must hold.
    pub(super) lacks_copies: bool,
}

/// One request's messages, which are in the batch now.
pub(super) struct Taken<'a> {
    pub(super) messages: usize,
    /// They are in one record.
    pub(super) inner_batch: bool,
    pub(super) bytes: usize,
    /// Where they are stored.
    pub(super) topic: &'a TopicName,
    pub(super) queue_id: QueueId,
    /// The queue the answer names: the one asked for, also where another is stored to.
    pub(super) answered_queue: QueueId,
    pub(super) unique_key: Option<&'a str>,
    pub(super) recall_handle: Option<&'a str>,
    /// It is answered without waiting for slaves.
    pub(super) waits_for_nobody: bool,
}

impl Desk {
    /// Notes what the last push was for, and how to answer it.
    pub(super) fn taken(&mut self, to: ReplyTo, taken: &Taken<'_>) {
        let end = self.batch.len();
        self.tallies.add(taken.topic, taken.queue_id, taken.messages, taken.bytes);
        let records = if taken.inner_batch { 1 } else { taken.messages };
        let positions = end - records..end;
        self.answers.stored(to, positions, taken);
    }

    /// # Errors
    /// [`PutError::TooFewInSync`] for a message that slaves must hold.
    pub(super) fn check_copies(&self, found: &Found<'_>) -> Result<(), PutError> {
        if self.lacks_copies && !found.waits_for_nobody { Err(PutError::TooFewInSync(TooFewInSync)) } else { Ok(()) }
    }

    pub(super) fn refused(&mut self, to: ReplyTo, err: SendError) {
        self.answers.push(Answer { to, outcome: Outcome::Refused(Box::new(err)) });
    }

    fn clear(&mut self) {
        self.batch.clear();
        self.answers.clear();
        self.tallies.clear();
        self.topic = None;
        self.lacks_copies = false;
    }
}

impl Sends {
    pub(super) fn desk(&self) -> Desk {
        let settings = &self.ctx.settings();
        let kept = self.desks.lock().pop();
        match kept {
            Some(mut desk) => {
                if !desk.stamp.is_of(settings) {
                    desk.stamp = Arc::new(Stamp::new(&self.ctx.identity, settings));
                }
                desk
            }
            None => Desk {
                batch: self.store.batch(),
                answers: Answers::default(),
                tallies: Tallies::default(),
                stamp: Arc::new(Stamp::new(&self.ctx.identity, settings)),
                topic: None,
                properties: String::new(),
                lacks_copies: false,
            },
        }
    }

    pub(super) fn give_back(&self, mut desk: Desk) {
        desk.clear();
        let mut desks = self.desks.lock();
        if desks.len() < DESKS_KEPT {
            desks.push(desk);
        }
    }
}
