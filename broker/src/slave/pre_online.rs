//! A master that comes back first hears from its slaves what happened while it was away: how far groups have consumed, and what of
//! the messages that wait was delivered. Only then it is shown to clients.
//!
//! Java: `BrokerPreOnlineService`.

use std::io;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use remoting::body::{DataVersion, LightConsumerOffsets};
use remoting::client::{Client, ClientConfig};
use remoting::header::NoHeader;
use remoting::protocol::ha::ExchangeHaInfo;
use remoting::protocol::offset::GetAllConsumerOffset;
use remoting::router::Router;
use remoting::types::{BrokerId, PhysicalOffset};
use store::timer::TimerCheckpoint;
use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::java;
use super::members::Members;
use super::tables::Tables;
use crate::context::Identity;
use crate::ha::Feeder;
use crate::persist::Home;

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for a slave to follow. Java: `HAConnectionStateNotificationService`.
const FOLLOW_MAX: Duration = Duration::from_secs(10);
/// Time between two looks for it.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// Longest wait for a slave that acts to hear that its master answers again, and to act no longer. One of Java's goes on until the
/// master is shown.
const REST_MAX: Duration = Duration::from_secs(5);

/// What a returning master takes part with.
pub(crate) struct Returning<'a> {
    pub(crate) identity: &'a Arc<Identity>,
    pub(crate) members: &'a Members,
    pub(crate) tables: &'a Tables,
    pub(crate) feeder: &'a Feeder,
    /// Where its log ended when it was opened.
    pub(crate) log_end: PhysicalOffset,
    /// Of the tables.
    pub(crate) folder: &'a Path,
}

impl Returning<'_> {
    /// Takes over what slaves know that this broker does not. True if features that were opened before are to be opened anew,
    /// as they began with what is no longer so.
    pub(crate) async fn hear(&self) -> bool {
        let members = self.members.ask().await.unwrap_or_default();
        let slaves = members.into_iter().filter(|(id, _)| *id != BrokerId::MASTER.0);
        let client = Client::new(ClientConfig::default(), Arc::new(Router::default()), CancellationToken::new());
        let mut is_news = false;
        for (id, addr) in slaves {
            match self.hear_one(&client, &addr).await {
                Ok(news) => is_news |= news,
                // One that is gone knows nothing; name servers notice later.
                Err(err) => tracing::warn!(id, addr, %err, "a slave is not heard before this master is shown again"),
            }
        }
        client.close().await;
        is_news
    }

    async fn hear_one(&self, client: &Client, addr: &str) -> Result<bool, java::AskError> {
        let here = ExchangeHaInfo {
            master_ha_address: Some(self.identity.ha_addr.clone()),
            master_flush_offset: Some(self.log_end),
            master_address: Some(self.identity.addr()),
        };
        client.call(addr, &here, Bytes::new(), TIMEOUT).await?.success::<NoHeader>()?;
        self.until_followed(addr).await;
        let ask = java::Ask { client, addr, within: TIMEOUT };
        until_it_rests(&ask).await?;
        let mut is_news = false;
        let version = self.tables.offsets.version();
        if let Some(offsets) =
            ask.maybe::<_, LightConsumerOffsets>("consumer offsets", &GetAllConsumerOffset {}).await?
            && is_current(version, offsets.data_version)
        {
            let ahead = self.tables.offsets.merge_forward(java::offset_news(offsets));
            tracing::info!(addr, ahead, "offsets of a slave that are ahead are taken over");
            is_news |= ahead > 0;
        }
        // What either has delivered stays so, whatever the versions: they grow with hundreds of messages only.
        if let Some(delays) = ask.delays().await? {
            let before = self.tables.delays.snapshot();
            self.tables.delays.copy(delays);
            is_news |= self.tables.delays.snapshot().offset_table != before.offset_table;
        }
        if let Some(timer) = java::timer(client, addr).await? {
            is_news |= self.take_timer(&timer)?;
        }
        Ok(is_news)
    }

    /// What the slave has delivered is known from its checkpoint, and nothing of the own wheel is: it may hold messages that
    /// the slave has delivered, and others that the slave never had. So all of the timer topic is enrolled again but for what is
    /// done.
    fn take_timer(&self, slaves: &TimerCheckpoint) -> io::Result<bool> {
        if slaves.read_time <= self.tables.timers.checkpoint().read_time {
            return Ok(false);
        }
        tracing::info!(read_time = %slaves.read_time, queue_offset = %slaves.queue_offset,
            "the timer goes on where a slave was that acted for this master");
        self.tables.timers.give_up(&Home::Folder(self.folder.to_owned()), slaves)?;
        Ok(true)
    }

    /// Waits until the slave copies the log, as far as can be told: only its address is known.
    async fn until_followed(&self, addr: &str) {
        let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host).to_owned();
        let resolving = tokio::task::spawn_blocking(move || (host, 0).to_socket_addrs()).await;
        let Some(ip) = resolving.ok().and_then(Result::ok).and_then(|mut found| found.next()).map(|found| found.ip())
        else {
            return;
        };
        let since = Instant::now();
        while since.elapsed() < FOLLOW_MAX {
            if self.feeder.slaves().iter().any(|slave| slave.remote.ip() == ip) {
                return;
            }
            sleep(LOOK_PERIOD).await;
        }
        tracing::warn!(addr, "a slave does not follow yet");
    }
}

/// Waits until the slave delivers nothing any more.
async fn until_it_rests(slave: &java::Ask<'_>) -> Result<(), java::AskError> {
    let since = Instant::now();
    while slave.delivers().await? == Some(true) {
        if since.elapsed() >= REST_MAX {
            tracing::warn!(addr = slave.addr, "a slave still delivers what waits; some of that may be delivered twice");
            return Ok(());
        }
        sleep(LOOK_PERIOD).await;
    }
    Ok(())
}

/// Java's rule: what the slave has is of the master's version or a later one. Versions of before 5.x are all the same, and so is one
/// that this broker began with, having saved nothing before it crashed.
fn is_current(own: DataVersion, slaves: DataVersion) -> bool {
    let order = |version: DataVersion| (version.state_version, version.counter, version.timestamp);
    own.counter == 0 || order(own) <= order(slaves)
}
