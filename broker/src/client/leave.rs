//! How clients leave: by saying so, by closing their connection, by falling silent.

use remoting::connection::{ConnectionEvents, ConnectionId, Peer};
use remoting::header::NoHeader;
use remoting::protocol::client::UnregisterClient;
use remoting::router::{Call, Handle, Reply};
use tokio::time::Duration;

use super::{ClientError, Clients};

/// Java: `ProducerManager.CHANNEL_EXPIRED_TIMEOUT`, which no setting changes.
const PRODUCER_TIMEOUT: Duration = Duration::from_secs(120);

impl Handle<UnregisterClient> for Clients {
    type Error = ClientError;

    async fn handle(&self, call: Call<UnregisterClient>) -> Result<Reply<NoHeader>, ClientError> {
        let connection = call.peer.id();
        if let Some(group) = &call.header.producer_group {
            self.producers.leave(group, connection);
        }
        if let Some(group) = &call.header.consumer_group
            && self.consumers.leave(group, connection)
        {
            tracing::info!(%group, client_id = %call.header.client_id, "a consumer leaves");
            self.lost_member(group);
        }
        Ok(Reply::done())
    }
}

impl ConnectionEvents for Clients {
    fn opened(&self, peer: &Peer) {
        self.stats.opened(peer);
    }

    fn idle(&self, peer: &Peer) {
        self.stats.idle(peer);
    }

    fn failed(&self, peer: &Peer) {
        self.stats.failed(peer);
    }

    fn closed(&self, peer: &Peer) {
        self.forget(peer.id());
        self.stats.closed(peer);
    }
}

impl Clients {
    /// Takes a connection out of all its groups.
    pub(super) fn forget(&self, connection: ConnectionId) {
        self.producers.leave_all(connection);
        for group in self.consumers.leave_all(connection) {
            tracing::info!(%group, "a consumer's connection closed");
            self.lost_member(&group);
        }
    }

    /// Ends the membership of clients whose heartbeats stopped, and their connection if it has no other use.
    pub(super) fn expire(&self) {
        let settings = self.ctx.settings();
        let mut silent = self.producers.expire(PRODUCER_TIMEOUT);
        for (group, member) in self.consumers.expire(*settings.channel_expired_timeout) {
            tracing::warn!(%group, client_id = %member.client_id, "a consumer's heartbeats stopped");
            self.lost_member(&group);
            silent.push(member);
        }
        for member in silent {
            let connection = member.connection();
            if !self.producers.has(connection) && !self.consumers.has(connection) {
                member.peer.close();
            }
        }
        self.consumers.attached.expire(*settings.subscription_expired_timeout);
        self.locks.expire();
    }
}
