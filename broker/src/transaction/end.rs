//! `END_TRANSACTION`: a producer says what became of its transaction. Those of one read are stored together.
//!
//! Java: `EndTransactionProcessor`.

use std::sync::Arc;

use bytes::Bytes;
use remoting::connection::{Peer, ReplyTo};
use remoting::frame::RemotingCommand;
use remoting::header::{DecodeHeader, HeaderError, NoHeader};
use remoting::protocol::transaction::EndTransaction;
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::router::{HandleBatch, IntoResponse};
use remoting::types::{QueueId, QueueOffset, TopicName};
use store::message::{Message, sys_flag};
use store::{AppendBatch, Confirmation, IllegalMessage};
use thiserror::Error;

use super::Transactions;
use super::half::Half;
use super::judge::is_too_late;
use crate::context::Role;
use crate::query;
use crate::send::PutError;
use crate::send::properties::Detour;

/// Texts are Java's remarks.
#[derive(Debug, Error)]
pub(crate) enum EndError {
    #[error("{}: {cause}", RequestCode::END_TRANSACTION)]
    Header { cause: HeaderError },
    #[error("commitOrRollback field wrong")]
    NoEnd,
    /// Java has no remark.
    #[error("")]
    Slave,
    #[error("Find prepared transaction message failed")]
    NoHalfMessage,
    /// It said when to be asked, and will be. Java has no remark.
    #[error("")]
    TooLate,
    #[error("The producer group wrong")]
    Group,
    #[error("The transaction state table offset wrong")]
    QueueOffset,
    #[error(
        "The message is illegal, maybe msg body or properties length not matched. msg body length limit {body_bytes_max}B, msg properties length limit 32KB."
    )]
    Illegal { body_bytes_max: usize },
    #[error("{}", put_remark(.0))]
    Put(PutError),
}

fn put_remark(err: &PutError) -> &'static str {
    match err {
        PutError::Io(_) => "Create mapped file failed.",
        _ => "Service not available now.",
    }
}

/// What a request asks for, so far as it is right.
struct Wish {
    to: ReplyTo,
    request: EndTransaction,
    commit: bool,
}

/// The requests of one read.
struct Ends {
    batch: AppendBatch,
    /// Of the committed messages, in the order of the batch.
    to: Vec<(TopicName, QueueId)>,
    committed: Vec<QueueOffset>,
    rolled_back: Vec<QueueOffset>,
    /// The properties of one message.
    properties: String,
    answers: Vec<(ReplyTo, Answer)>,
}

enum Answer {
    RolledBack,
    Committed,
    Refused(EndError),
}

impl HandleBatch for Transactions {
    fn handle_batch(&self, commands: &mut Vec<RemotingCommand>, peer: &Peer) {
        let mut ends = self.ends();
        for command in commands.drain(..) {
            let to = ReplyTo::of(&command);
            let wish = match self.wish(&command, to) {
                Ok(Some(wish)) => wish,
                // Java does not answer one that does not know.
                Ok(None) => continue,
                Err(err) => {
                    ends.answers.push((to, Answer::Refused(err)));
                    continue;
                }
            };
            let offset = wish.request.commit_log_offset;
            if self.store.in_memory(offset) {
                self.take(&mut ends, wish, self.store.record_at(offset));
            } else {
                self.end_old(wish, peer);
            }
        }
        self.finish(ends, peer);
    }
}

impl Transactions {
    fn ends(&self) -> Ends {
        Ends {
            batch: self.store.batch(),
            to: Vec::new(),
            committed: Vec::new(),
            rolled_back: Vec::new(),
            properties: String::new(),
            answers: Vec::new(),
        }
    }

    /// `None` if the producer does not know.
    fn wish(&self, command: &RemotingCommand, to: ReplyTo) -> Result<Option<Wish>, EndError> {
        let request = EndTransaction::decode(&command.ext).map_err(|cause| EndError::Header { cause })?;
        let commit = match request.commit_or_rollback {
            0 => None,
            sys_flag::TRANSACTION_COMMIT => Some(true),
            sys_flag::TRANSACTION_ROLLBACK => Some(false),
            _ => return Err(EndError::NoEnd),
        };
        if *self.ctx.role.borrow() != Role::Master {
            return Err(EndError::Slave);
        }
        Ok(commit.map(|commit| Wish { to, request, commit }))
    }

    /// One whose half message is on disk only is ended by a task, which can wait for it.
    fn end_old(&self, wish: Wish, peer: &Peer) {
        let Some(this) = self.me.upgrade() else { return };
        let (peer, busy) = (peer.clone(), peer.busy());
        self.ctx.tasks.spawn(async move {
            let record = query::record(&this.store, wish.request.commit_log_offset).await;
            let mut ends = this.ends();
            this.take(&mut ends, wish, record);
            this.finish(ends, &peer);
            drop(busy);
        });
    }

    fn take(&self, ends: &mut Ends, wish: Wish, record: Option<Bytes>) {
        let answer = match self.try_take(ends, &wish, record.as_deref()) {
            Ok(()) if wish.commit => Answer::Committed,
            Ok(()) => Answer::RolledBack,
            Err(err) => {
                tracing::debug!(group = %wish.request.producer_group, offset = %wish.request.commit_log_offset, %err,
                    "a transaction is not ended");
                Answer::Refused(err)
            }
        };
        ends.answers.push((wish.to, answer));
    }

    fn try_take(&self, ends: &mut Ends, wish: &Wish, record: Option<&[u8]>) -> Result<(), EndError> {
        let request = &wish.request;
        let half = record.and_then(Half::parse).ok_or(EndError::NoHalfMessage)?;
        let asked = request.from_transaction_check.unwrap_or(false);
        if !asked && is_too_late(&half, self.ctx.clock.now(), &self.ctx.settings()) {
            return Err(EndError::TooLate);
        }
        if half.group != Some(request.producer_group.as_str()) {
            return Err(EndError::Group);
        }
        if half.stored.queue_offset != request.tran_state_table_offset {
            return Err(EndError::QueueOffset);
        }
        if wish.commit {
            self.push_commit(ends, &half)?;
            ends.committed.push(half.stored.queue_offset);
        } else {
            ends.rolled_back.push(half.stored.queue_offset);
        }
        Ok(())
    }

    /// The message as its consumers get it; one with a delay level or a time of its own waits from now on.
    ///
    /// Java: `EndTransactionProcessor.endMessageTransaction`, `HookUtils.handleScheduleMessage`.
    fn push_commit(&self, ends: &mut Ends, half: &Half<'_>) -> Result<(), EndError> {
        let (Some(topic), Some(mut queue_id)) = (half.real_topic, half.real_queue) else {
            return Err(EndError::NoHalfMessage);
        };
        let mut topic = TopicName::new(topic);
        let until = self.waits.until(half.delay_level, &half.timing);
        if let Some(until) = until.map_err(|refusal| EndError::Put(refusal.into()))? {
            let detour = Detour { until, real_topic: &topic, real_queue: queue_id };
            let (waits_in, waits_queue, properties) = detour.apply(half.stored.properties);
            (topic, queue_id, ends.properties) = (waits_in.clone(), waits_queue, properties);
        } else {
            half.committed_properties(&mut ends.properties);
        }
        let stored = &half.stored;
        let pushed = ends.batch.push(&Message {
            sys_flag: stored.sys_flag & !sys_flag::TRANSACTION_MASK | sys_flag::TRANSACTION_COMMIT,
            prepared_transaction_offset: stored.physical_offset.0,
            ..stored.copy_to(&topic, queue_id, &ends.properties)
        });
        pushed
            .map_err(|_: IllegalMessage| EndError::Illegal { body_bytes_max: self.ctx.settings().max_message_size })?;
        ends.to.push((topic, queue_id));
        Ok(())
    }

    /// Stores what was committed, notes all that is resolved, and answers: once that is confirmed, or at once.
    fn finish(&self, mut ends: Ends, peer: &Peer) {
        let (mut sizes, mut resolved) = (Vec::with_capacity(ends.batch.len()), ends.committed);
        let (mut failed, mut end) = (None, None);
        {
            let order = self.ops.order();
            if !ends.batch.is_empty() {
                match self.store.append(&mut ends.batch) {
                    Ok(appended) => {
                        sizes.extend(appended.positions.iter().map(|position| position.size as u64));
                        end = Some(appended.end);
                    }
                    Err(err) => {
                        tracing::warn!(%err, messages = resolved.len(), "transactions are not committed");
                        failed = Some(PutError::from(err));
                        resolved.clear();
                    }
                }
            }
            resolved.append(&mut ends.rolled_back);
            self.note_resolved(&order, &resolved);
        }
        let (stats, peer, to, answers) = (Arc::clone(&self.stats), peer.clone(), ends.to, ends.answers);
        let busy = peer.busy();
        let tell = move |confirmation: Confirmation| {
            if failed.is_none() && confirmation != Confirmation::Failed {
                for ((topic, queue_id), bytes) in to.iter().zip(sizes) {
                    stats.put(topic, *queue_id, 1, 1, bytes);
                }
            }
            let lost = (confirmation == Confirmation::Failed).then_some(PutError::FlushFailed);
            write_answers(&peer, answers, failed.or(lost));
            drop(busy);
        };
        match end {
            Some(end) => self.store.when_confirmed(end, Box::new(tell)),
            None => tell(Confirmation::Confirmed),
        }
    }
}

/// `failed`: why nothing was committed.
fn write_answers(peer: &Peer, answers: Vec<(ReplyTo, Answer)>, failed: Option<PutError>) {
    let failed = failed.map(EndError::Put);
    peer.replies(|out| {
        for (to, answer) in &answers {
            let refusal = match answer {
                Answer::RolledBack => None,
                Answer::Committed => failed.as_ref(),
                Answer::Refused(err) => Some(err),
            };
            let code = refusal.map_or(ResponseCode::SUCCESS, IntoResponse::code);
            let remark = refusal.map(ToString::to_string).filter(|remark| !remark.is_empty());
            out.reply(*to, code, remark.as_deref(), &NoHeader, ());
        }
    });
}
