//! One client in one group.

use parking_lot::Mutex;
use remoting::connection::{ConnectionId, Peer};
use remoting::language::LanguageCode;
use remoting::types::{ClientId, Timestamp};
use remoting::version::Version;
use tokio::time::{Duration, Instant};

/// A member is a connection: a client that comes on two is two members until the older one dies.
///
/// Java: `ClientChannelInfo`.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) peer: Peer,
    pub(crate) client_id: ClientId,
    pub(crate) language: LanguageCode,
    pub(crate) version: Version,
    seen: Mutex<Seen>,
}

/// The last heartbeat: on the wall for those who ask, on the monotonic clock for us.
#[derive(Clone, Copy, Debug)]
struct Seen {
    wall: Timestamp,
    at: Instant,
}

impl Member {
    pub(crate) fn new(
        peer: Peer,
        client_id: ClientId,
        language: LanguageCode,
        version: Version,
        now: Timestamp,
    ) -> Self {
        Self { peer, client_id, language, version, seen: Mutex::new(Seen { wall: now, at: Instant::now() }) }
    }

    pub(crate) fn connection(&self) -> ConnectionId {
        self.peer.id()
    }

    /// When its last heartbeat came.
    pub(crate) fn last_heartbeat(&self) -> Timestamp {
        self.seen.lock().wall
    }

    pub(crate) fn touch(&self, now: Timestamp) {
        *self.seen.lock() = Seen { wall: now, at: Instant::now() };
    }

    /// Nothing was heard from it for longer than `timeout`.
    pub(crate) fn is_silent(&self, timeout: Duration) -> bool {
        self.seen.lock().at.elapsed() > timeout
    }
}
