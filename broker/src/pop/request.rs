//! A pop as it came.

use remoting::connection::{Peer, ReplyTo};
use remoting::frame::RemotingCommand;
use remoting::header::Request;
use remoting::protocol::pop::{Notification, PopMessage};
use remoting::types::{GroupName, QueueId, Timestamp, TopicName};
use tokio::time::Instant;

use super::PopError;

/// One request that may wait, and where its answer goes.
pub(super) struct Asked<H> {
    pub(super) header: H,
    pub(super) key: Key,
    pub(super) ordered: bool,
    pub(super) peer: Peer,
    pub(super) to: ReplyTo,
    /// When the client's patience ends, by its own clock; by ours, if it did not say when it sent this.
    pub(super) expires: Timestamp,
    /// When it came, or last stopped waiting.
    pub(super) began: Instant,
}

pub(super) type Pop = Asked<PopMessage>;

/// A notification that is asked for.
pub(super) type Notice = Asked<Notification>;

/// What both headers say.
struct Terms<'a> {
    topic: &'a TopicName,
    group: &'a GroupName,
    order: Option<bool>,
    born: Option<Timestamp>,
    poll_time: i64,
}

impl Pop {
    pub(super) fn of(command: &RemotingCommand, peer: &Peer, now: Timestamp) -> Result<Self, (ReplyTo, PopError)> {
        Self::read(command, peer, now, |header| Terms {
            topic: &header.topic,
            group: &header.consumer_group,
            order: header.order,
            born: header.born_time,
            poll_time: header.poll_time,
        })
    }

    /// Pops of any queue and of a certain one are told of different things.
    pub(super) fn queue(&self) -> QueueId {
        self.header.queue_id.max(ANY_QUEUE)
    }
}

impl Notice {
    pub(super) fn of(command: &RemotingCommand, peer: &Peer, now: Timestamp) -> Result<Self, (ReplyTo, PopError)> {
        Self::read(command, peer, now, |header| Terms {
            topic: &header.topic,
            group: &header.consumer_group,
            order: header.order,
            born: header.born_time,
            poll_time: header.poll_time,
        })
    }
}

impl<H: Request> Asked<H> {
    fn read(
        command: &RemotingCommand,
        peer: &Peer,
        now: Timestamp,
        terms: impl FnOnce(&H) -> Terms<'_>,
    ) -> Result<Self, (ReplyTo, PopError)> {
        let to = ReplyTo::of(command);
        let header = H::decode(&command.ext).map_err(|cause| (to, PopError::Header { code: H::CODE, cause }))?;
        let Terms { topic, group, order, born, poll_time } = terms(&header);
        // Proxies of a cluster send 0.
        let born = born.filter(|born| born.0 != 0).unwrap_or(now);
        let key = Key { topic: topic.clone(), group: group.clone() };
        let (ordered, expires) = (order == Some(true), Timestamp(born.0.saturating_add(poll_time)));
        Ok(Self { header, key, ordered, peer: peer.clone(), to, expires, began: Instant::now() })
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.expires <= now || self.peer.is_closed()
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
