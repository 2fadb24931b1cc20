//! From the sends of one read to their answers.

use std::sync::Arc;

use remoting::connection::{Peer, ReplyTo};
use remoting::frame::RemotingCommand;
use remoting::header::DecodeHeader;
use remoting::protocol::send::SendMessage;
use remoting::router::HandleBatch;
use remoting::types::Timestamp;
use store::Confirmation;

use super::Sends;
use super::desk::Desk;
use super::error::{PutError, SendError};
use crate::context::Role;

impl HandleBatch for Sends {
    fn handle_batch(&self, commands: &mut Vec<RemotingCommand>, peer: &Peer) {
        let began = self.ctx.clock.now();
        let mut desk = self.desk();
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
            return desk.answers.write(peer, &desk.stamp, Ok(Confirmation::Confirmed));
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
                return desk.answers.write(peer, &desk.stamp, Err(&PutError::from(err)));
            }
        };
        if self.store.confirmed() >= end {
            desk.answers.write(peer, &desk.stamp, Ok(Confirmation::Confirmed));
            return desk.tallies.tell(&self.stats, millis_since(began, self.ctx.clock.now()));
        }
        let (answers, tallies) = (std::mem::take(&mut desk.answers), std::mem::take(&mut desk.tallies));
        let (stamp, stats, clock) = (Arc::clone(&desk.stamp), Arc::clone(&self.stats), self.ctx.clock.clone());
        let (peer, busy) = (peer.clone(), peer.busy());
        let answer = move |confirmation| {
            answers.write(&peer, &stamp, Ok(confirmation));
            drop(busy);
            if confirmation != Confirmation::Failed {
                tallies.tell(&stats, millis_since(began, clock.now()));
            }
        };
        self.store.when_confirmed(end, Box::new(answer));
    }
}

fn millis_since(began: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.since(began).as_millis()).unwrap_or(u64::MAX)
}
