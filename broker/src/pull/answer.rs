//! Answers to pulls.

use remoting::connection::{Body, Chunk, Peer, ReplyTo};
use remoting::header::{EncodeHeader, FieldSink, HeaderField};
use remoting::protocol::ResponseCode;
use remoting::protocol::pull::PullMessageReply;
use remoting::router::IntoResponse;
use remoting::types::{BrokerId, QueueOffset};
use store::{ReadOutcome, ReadStatus, Slice};

use super::PullError;
use super::checks::Admitted;
use super::request::Pull;
use crate::context::Context;

/// The remark of an answer that hands out a reset. Java: `GetMessageStatus.OFFSET_RESET`.
const RESET: &str = "OFFSET_RESET";

/// All of an answer but its messages.
pub(super) struct Answer {
    pub(super) code: ResponseCode,
    remark: &'static str,
    header: PullMessageReply,
}

impl Answer {
    /// Java: `PullMessageProcessor.composeResponseHeader`.
    pub(super) fn of(pull: &Pull, admitted: &Admitted, outcome: &ReadOutcome) -> Self {
        let code = match outcome.status {
            ReadStatus::Found => ResponseCode::SUCCESS,
            ReadStatus::NoMatched | ReadStatus::MessageWasRemoving => ResponseCode::PULL_RETRY_IMMEDIATELY,
            ReadStatus::NoMessageInQueue | ReadStatus::NoMatchedQueue if pull.header.queue_offset.0 != 0 => {
                ResponseCode::PULL_OFFSET_MOVED
            }
            ReadStatus::NoMessageInQueue
            | ReadStatus::NoMatchedQueue
            | ReadStatus::OffsetFoundNull
            | ReadStatus::OffsetOverflowOne => ResponseCode::PULL_NOT_FOUND,
            ReadStatus::OffsetOverflowBadly | ReadStatus::OffsetTooSmall => ResponseCode::PULL_OFFSET_MOVED,
        };
        let ReadOutcome { next_offset, min_offset, max_offset, .. } = *outcome;
        let header = reply(admitted, next_offset, (min_offset, max_offset));
        Self { code, remark: outcome.status.java_name(), header }
    }

    /// An administrator has put the group elsewhere.
    pub(super) fn reset(admitted: &Admitted, to: QueueOffset, bounds: (QueueOffset, QueueOffset)) -> Self {
        Self { code: ResponseCode::PULL_OFFSET_MOVED, remark: RESET, header: reply(admitted, to, bounds) }
    }

    /// Nothing was found in the time the broker still had.
    pub(super) fn nothing(pull: &Pull, admitted: &Admitted, bounds: (QueueOffset, QueueOffset)) -> Self {
        let remark = ReadStatus::OffsetOverflowOne.java_name();
        Self { code: ResponseCode::PULL_NOT_FOUND, remark, header: reply(admitted, pull.from, bounds) }
    }

    /// Where slaves serve reads, a group that is far behind is sent to one; a slave that has nothing for it, or that it is not to
    /// read from, sends it back to the master, if that answers.
    ///
    /// What a slave does not have may yet come, or be with the master: unless `offsetCheckInSlave` is set, it moves nobody's
    /// offset. Java: `PullMessageProcessor.composeResponseHeader`, `DefaultMessageStore.nextOffsetCorrection`.
    pub(super) fn suggest(&mut self, pull: &Pull, admitted: &Admitted, ctx: &Context, far_behind: bool) {
        let (group, own) = (&admitted.group, ctx.identity.id);
        self.header.suggest_which_broker_id =
            if far_behind { group.which_broker_when_consume_slowly } else { group.broker_id };
        if own == BrokerId::MASTER {
            return;
        }
        let unsure = self.code == ResponseCode::PULL_OFFSET_MOVED && !ctx.settings().offset_check_in_slave;
        if unsure {
            self.header.next_begin_offset = pull.from;
        }
        if !ctx.master.answers() {
            // Java sends the client to the master that is away, and it asks here again without a pause.
            self.header.suggest_which_broker_id = own.0;
            if unsure {
                self.code = ResponseCode::PULL_NOT_FOUND;
            }
        } else if unsure || self.header.suggest_which_broker_id != own.0 {
            self.header.suggest_which_broker_id = BrokerId::MASTER.0;
            if self.code != ResponseCode::SUCCESS {
                self.code = ResponseCode::PULL_RETRY_IMMEDIATELY;
            }
        }
    }

    pub(super) fn next(&self) -> QueueOffset {
        self.header.next_begin_offset
    }

    pub(super) fn send(&self, pull: &Pull, body: impl Into<Body>) {
        let body = body.into();
        pull.peer.replies(|out| out.reply(pull.to, self.code, Some(self.remark), &self.header, body));
    }
}

/// Messages as they lie in the log's files; long runs are sent from there.
pub(super) fn body(messages: Vec<Slice>) -> Body {
    let chunk = |slice: Slice| {
        let (file, at) = slice.file();
        Chunk::in_file(slice.into(), file, at)
    };
    messages.into_iter().map(chunk).collect()
}

fn reply(
    admitted: &Admitted,
    next: QueueOffset,
    (min_offset, max_offset): (QueueOffset, QueueOffset),
) -> PullMessageReply {
    PullMessageReply {
        suggest_which_broker_id: BrokerId::MASTER.0,
        next_begin_offset: next,
        min_offset,
        max_offset,
        offset_delta: None,
        topic_sys_flag: Some(admitted.topic.topic_sys_flag),
        group_sys_flag: Some(admitted.group.group_sys_flag),
        forbidden_type: None,
    }
}

/// The header of a refusal: of all fields Java sets only this one.
struct Forbidden(Option<i32>);

impl EncodeHeader for Forbidden {
    fn encode(&self, sink: &mut dyn FieldSink) {
        self.0.put("forbiddenType", sink);
    }
}

pub(super) fn refuse(peer: &Peer, to: ReplyTo, err: &PullError) {
    let remark = err.to_string();
    tracing::debug!(remote = %peer.remote(), code = %err.code(), remark, "a pull is refused");
    peer.replies(|out| out.reply(to, err.code(), Some(&remark), &Forbidden(err.forbidden_type()), ()));
}
