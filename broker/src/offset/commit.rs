//! Groups commit their offsets: often, and many at once.

use remoting::connection::{Peer, ReplyTo};
use remoting::frame::RemotingCommand;
use remoting::header::{DecodeHeader, HeaderError, NoHeader};
use remoting::protocol::offset::UpdateConsumerOffset;
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::router::{HandleBatch, IntoResponse};

use super::agreed::{Waiting, answer, refuse};
use super::{Commit, OffsetError, Offsets, OwnOffset};

impl HandleBatch for Offsets {
    /// `UPDATE_CONSUMER_OFFSET`. Java: `ConsumerManageProcessor.updateConsumerOffset`.
    fn handle_batch(&self, commands: &mut Vec<RemotingCommand>, peer: &Peer) {
        let mut done = Vec::new();
        for command in commands.drain(..) {
            let outcome = self.update(&command);
            let to = ReplyTo::of(&command);
            if to.one_way {
                continue;
            }
            match outcome {
                Ok(remark) => done.push(Waiting { peer: peer.clone(), to, remark }),
                Err(err) => {
                    peer.replies(|out| out.reply(to, err.code(), Some(&err.to_string()), &NoHeader, ()));
                }
            }
        }
        if !done.is_empty() {
            self.answer_done(done);
        }
    }
}

impl Offsets {
    /// Answers commits that are in the table, or has them wait for the group.
    fn answer_done(&self, done: Vec<Waiting>) {
        if self.file.is_agreed_on() {
            if let Err(late) = self.unanswered.add(done) {
                refuse(late);
            }
        } else if self.unanswered.is_closed() {
            refuse(done);
        } else {
            answer(done, ResponseCode::SUCCESS, None);
        }
    }

    /// The remark of the answer, if it has one.
    fn update(&self, command: &RemotingCommand) -> Result<Option<&'static str>, OffsetError> {
        let request = UpdateConsumerOffset::decode(&command.ext).map_err(|err| header_error(command, err))?;
        let UpdateConsumerOffset { consumer_group, topic, queue_id, commit_offset, forward } = request;
        let is_handed_over = forward == Some(true);
        // A group's first members may have come to the slave.
        let group = if is_handed_over { self.groups.find(&consumer_group) } else { self.groups.get(&consumer_group) };
        if group.is_none() {
            return Err(OffsetError::UnknownGroup(consumer_group));
        }
        if self.topics.get(&topic).is_none() {
            return Err(OffsetError::UnknownTopic(topic));
        }
        let outcome = if is_handed_over {
            let (group, topic) = (consumer_group.clone(), topic.clone());
            self.advance(&OwnOffset { group, topic, queue: queue_id, offset: commit_offset })
        } else {
            self.commit(&consumer_group, &topic, queue_id, commit_offset)
        };
        match outcome {
            Commit::Done => Ok(None),
            Commit::ResetPending => {
                tracing::info!(group = %consumer_group, %topic, %queue_id, "a commit is dropped: a reset is pending");
                Ok(Some("Offset has been previously reset"))
            }
            Commit::Behind => Ok(Some("More is committed already")),
            Commit::TooManyQueues => Err(OffsetError::TooManyQueues(topic)),
        }
    }
}

fn header_error(command: &RemotingCommand, cause: HeaderError) -> OffsetError {
    let topic = || command.ext.get("topic").unwrap_or_default().to_owned();
    match cause {
        HeaderError::Missing { key: "queueId" } => OffsetError::NoQueueId(topic()),
        HeaderError::Missing { key: "commitOffset" } => OffsetError::NoOffset(topic()),
        cause => OffsetError::Header { request: RequestCode::UPDATE_CONSUMER_OFFSET, cause },
    }
}
