//! A pop as it came.

use remoting::connection::{Peer, ReplyTo};
use remoting::frame::RemotingCommand;
use remoting::header::DecodeHeader;
use remoting::protocol::RequestCode;
use remoting::protocol::pop::{Notification, PopMessage};
use remoting::types::{GroupName, QueueId, Timestamp, TopicName};
use tokio::time::Instant;

use super::PopError;

/// One request, and where its answer goes.
pub(super) struct Pop {
    pub(super) header: PopMessage,
    pub(super) peer: Peer,
    pub(super) to: ReplyTo,
    /// When the client sent it, by its own clock; by ours, if it did not say.
    pub(super) born: Timestamp,
    /// When it came, or last stopped waiting.
    pub(super) began: Instant,
}

impl Pop {
    pub(super) fn of(command: &RemotingCommand, peer: &Peer, now: Timestamp) -> Result<Self, (ReplyTo, PopError)> {
        let (code, to) = (RequestCode::POP_MESSAGE, ReplyTo::of(command));
        let header = PopMessage::decode(&command.ext).map_err(|cause| (to, PopError::Header { code, cause }))?;
        let born = born(header.born_time, now);
        Ok(Self { header, peer: peer.clone(), to, born, began: Instant::now() })
    }

    pub(super) fn is_ordered(&self) -> bool {
        self.header.order == Some(true)
    }

    pub(super) fn expires(&self) -> Timestamp {
        Timestamp(self.born.0.saturating_add(self.header.poll_time))
    }

    pub(super) fn key(&self) -> Key {
        Key { topic: self.header.topic.clone(), group: self.header.consumer_group.clone() }
    }
}

/// Proxies of a cluster send 0.
fn born(sent: Option<Timestamp>, now: Timestamp) -> Timestamp {
    sent.filter(|born| born.0 != 0).unwrap_or(now)
}

/// A notification that is asked for.
pub(super) struct Notice {
    pub(super) header: Notification,
    pub(super) peer: Peer,
    pub(super) to: ReplyTo,
    pub(super) born: Timestamp,
}

impl Notice {
    pub(super) fn of(command: &RemotingCommand, peer: &Peer, now: Timestamp) -> Result<Self, (ReplyTo, PopError)> {
        let (code, to) = (RequestCode::NOTIFICATION, ReplyTo::of(command));
        let header = Notification::decode(&command.ext).map_err(|cause| (to, PopError::Header { code, cause }))?;
        let born = born(header.born_time, now);
        Ok(Self { header, peer: peer.clone(), to, born })
    }

    pub(super) fn is_ordered(&self) -> bool {
        self.header.order == Some(true)
    }

    pub(super) fn expires(&self) -> Timestamp {
        Timestamp(self.born.0.saturating_add(self.header.poll_time))
    }

    pub(super) fn key(&self) -> Key {
        Key { topic: self.header.topic.clone(), group: self.header.consumer_group.clone() }
    }
}

/// Who pops what. The topic is no retry topic: who pops it gets those, too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) topic: TopicName,
    pub(super) group: GroupName,
}

/// Any queue of a topic, on the wire.
pub(super) const ANY_QUEUE: QueueId = QueueId(-1);
