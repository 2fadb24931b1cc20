//! From the sends of one read to their answers.

use std::sync::Arc;

use remoting::connection::{Busy, Peer, ReplyTo};
use remoting::frame::RemotingCommand;
use remoting::header::DecodeHeader;
use remoting::protocol::send::SendMessage;
use remoting::router::HandleBatch;
use remoting::types::{Clock, Timestamp};
use store::Confirmation;

use super::Sends;
use super::answer::{Answers, Part, Stamp};
use super::desk::Desk;
use super::error::{PutError, SendError};
use super::tally::Tallies;
use crate::context::Role;
use crate::ha::Held;
use crate::stats::Stats;

impl HandleBatch for Sends {
    fn handle_batch(&self, commands: &mut Vec<RemotingCommand>, peer: &Peer) {
        let began = self.ctx.clock.now();
        let mut desk = self.desk();
        desk.lacks_copies = self.copies.enough(self.store.max_physical_offset()).is_err();
        let master = *self.ctx.role.borrow() == Role::Master;
        for command in commands.drain(..) {
            let taken = if master { self.take(&mut desk, &command, peer) } else { Err(SendError::Rejected) };
            if let Err(err) = taken {
                tracing::debug!(remote = %peer.remote(), %err, "send refused");
                desk.refused(ReplyTo::of(&command), err);
            }
        }
        self.store_and_answer(&mut desk, peer, began);
        self.give_back(desk);
    }
}

impl Sends {
    /// Puts a request's messages into the batch, or says why not.
    fn take(&self, desk: &mut Desk, command: &RemotingCommand, peer: &Peer) -> Result<(), SendError> {
        let send = SendMessage::decode(&command.ext);
        let send = send.map_err(|cause| SendError::Header { request: command.request_code(), cause })?;
        if command.body.is_empty() {
            return Err(SendError::NoBody);
        }
        let topic = self.check_topic(desk, &send)?;
        if send.batch.unwrap_or(false) {
            self.take_client_batch(desk, command, &send, &topic, peer)
        } else {
            self.take_single(desk, command, &send, &topic, peer)
        }
    }

    fn store_and_answer(&self, desk: &mut Desk, peer: &Peer, began: Timestamp) {
        if desk.batch.is_empty() {
            return desk.answers.write(Part::All, peer, &desk.stamp, Ok(()));
        }
        let messages = desk.batch.len();
        let end = match self.store.append(&mut desk.batch) {
            Ok(appended) => {
                desk.answers.written(appended.positions);
                appended.end
            }
            Err(err) => {
                if err.refuses_all() {
                    tracing::debug!(%err, messages, "messages were not stored");
                } else {
                    tracing::warn!(%err, messages, "messages were not stored");
                }
                return desk.answers.write(Part::All, peer, &desk.stamp, Err(&PutError::from(err)));
            }
        };
        let for_slaves = desk.answers.are_for_slaves() && self.copies.are_wanted();
        let confirmed = self.store.confirmed() >= end;
        if confirmed && !for_slaves {
            desk.answers.write(Part::All, peer, &desk.stamp, Ok(()));
            return desk.tallies.tell(&self.stats, millis_since(began, self.ctx.clock.now()));
        }
        let pending = Pending {
            answers: std::mem::take(&mut desk.answers),
            tallies: std::mem::take(&mut desk.tallies),
            stamp: Arc::clone(&desk.stamp),
            stats: Arc::clone(&self.stats),
            clock: self.ctx.clock.clone(),
            busy: peer.busy(),
            peer: peer.clone(),
            began,
        };
        if !for_slaves {
            let answer = move |confirmation| pending.answer(Part::All, confirmation, Held::Enough);
            return self.store.when_confirmed(end, Box::new(answer));
        }
        let copies = self.copies.clone();
        let ask_slaves = move |confirmation| {
            if confirmation == Confirmation::Failed {
                return pending.answer(Part::All, confirmation, Held::Enough);
            }
            pending.write(Part::ForNobody, confirmation, Held::Enough);
            copies.when_held(end, Box::new(move |held| pending.answer(Part::ForSlaves, confirmation, held)));
        };
        if confirmed {
            ask_slaves(Confirmation::Confirmed);
        } else {
            self.store.when_confirmed(end, Box::new(ask_slaves));
        }
    }
}

/// Answers that wait for what becomes of a batch.
struct Pending {
    answers: Answers,
    tallies: Tallies,
    stamp: Arc<Stamp>,
    stats: Arc<Stats>,
    clock: Clock,
    peer: Peer,
    busy: Busy,
    began: Timestamp,
}

impl Pending {
    /// The last of them.
    fn answer(self, part: Part, confirmation: Confirmation, held: Held) {
        self.write(part, confirmation, held);
        drop(self.busy);
        if confirmation != Confirmation::Failed {
            self.tallies.tell(&self.stats, millis_since(self.began, self.clock.now()));
        }
    }

    fn write(&self, part: Part, confirmation: Confirmation, held: Held) {
        let put = PutError::unless_safe(confirmation, held);
        self.answers.write(part, &self.peer, &self.stamp, put.as_ref().copied());
    }
}

fn millis_since(began: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.since(began).as_millis()).unwrap_or(u64::MAX)
}
