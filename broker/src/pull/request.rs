//! A pull as it came.

use remoting::connection::{Peer, ReplyTo};
use remoting::frame::RemotingCommand;
use remoting::header::DecodeHeader;
use remoting::protocol::RequestCode;
use remoting::protocol::pull::{PullMessage, PullSysFlag};
use remoting::types::QueueOffset;
use tokio::time::{Duration, Instant};

use super::PullError;

/// One request, and where its answer goes.
pub(super) struct Pull {
    pub(super) code: RequestCode,
    pub(super) header: PullMessage,
    pub(super) peer: Peer,
    pub(super) to: ReplyTo,
    /// Where to read from: what was asked for, or behind what was looked through in vain since.
    pub(super) from: QueueOffset,
    /// When it came, or last stopped waiting.
    pub(super) began: Instant,
}

impl Pull {
    pub(super) fn of(command: RemotingCommand, peer: &Peer) -> Result<Self, (ReplyTo, PullError)> {
        let (code, to) = (command.request_code(), ReplyTo::of(&command));
        let header = PullMessage::decode(&command.ext).map_err(|cause| (to, PullError::Header { code, cause }))?;
        Ok(Self { code, from: header.queue_offset, header, peer: peer.clone(), to, began: Instant::now() })
    }

    /// The subscription comes with the pull, so the group needs no members.
    pub(super) fn brings_subscription(&self) -> bool {
        self.has(PullSysFlag::SUBSCRIPTION)
    }

    /// What the group commits along with the pull.
    pub(super) fn commit(&self) -> Option<QueueOffset> {
        self.has(PullSysFlag::COMMIT_OFFSET).then_some(self.header.commit_offset)
    }

    /// How long it may wait for a message; `None`: not at all.
    pub(super) fn patience(&self) -> Option<Duration> {
        let millis = u64::try_from(self.header.suspend_timeout_millis).unwrap_or(0);
        self.has(PullSysFlag::SUSPEND).then_some(Duration::from_millis(millis))
    }

    fn has(&self, bit: i32) -> bool {
        self.header.sys_flag & bit != 0
    }
}
