//! What brokers and tools ask about replication: `EXCHANGE_BROKER_HA_INFO`, `GET_BROKER_HA_STATUS` (`mqadmin haStatus`),
//! `RESET_MASTER_FLUSH_OFFSET`. Java: `AdminBrokerProcessor`.

use std::convert::Infallible;
use std::sync::Arc;

use remoting::body::{HaClientRuntimeInfo, HaConnectionRuntimeInfo, HaRuntimeInfo, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::ha::{ExchangeHaInfo, ExchangeHaInfoReply, GetBrokerHaStatus, ResetMasterFlushOffset};
use remoting::router::{Call, Handle, Reply, Router};
use remoting::types::PhysicalOffset;
use store::Store;
use tokio::sync::watch;

use super::feeder::{Feeder, SlaveStatus};
use super::figures::tell;
use super::follower::{FollowStatus, Follower, MasterAt};
use crate::config::BrokerConfig;
use crate::context::Identity;
use crate::metrics::Registry;

/// What a broker is in its set.
pub(crate) enum Side {
    Master(Arc<Feeder>),
    Slave {
        follower: Arc<Follower>,
        /// Where the follower is told of its master: a master that returns names itself.
        redirect: watch::Sender<Option<MasterAt>>,
    },
}

/// The replication of a broker, to those who ask about it.
pub(crate) struct Replication {
    pub(super) side: Side,
    identity: Arc<Identity>,
    settings: watch::Receiver<Arc<BrokerConfig>>,
    store: Arc<Store>,
    /// Where the log ended at the start. Java: `brokerInitMaxOffset`.
    began_at: PhysicalOffset,
}

pub(crate) fn routes(replication: &Arc<Replication>, router: &mut Router) {
    router
        .on::<ExchangeHaInfo>(replication)
        .on::<GetBrokerHaStatus>(replication)
        .on::<ResetMasterFlushOffset>(replication);
}

impl Replication {
    /// Of a store that was just opened.
    pub(crate) fn new(
        side: Side,
        identity: Arc<Identity>,
        store: Arc<Store>,
        settings: watch::Receiver<Arc<BrokerConfig>>,
    ) -> Arc<Self> {
        let began_at = store.max_physical_offset();
        Arc::new(Self { side, identity, settings, store, began_at })
    }

    /// Shows its figures.
    pub(crate) fn add_to(self: &Arc<Self>, registry: &mut Registry) {
        let this = Arc::clone(self);
        registry.add(move |page| tell(&this, page));
    }

    /// Java: `DefaultHAService.getRuntimeInfo`.
    fn status(&self) -> HaRuntimeInfo {
        match &self.side {
            Side::Master(feeder) => of_master(self.store.max_physical_offset(), &feeder.slaves()),
            Side::Slave { follower, .. } => of_slave(follower.status()),
        }
    }
}

fn of_master(end: PhysicalOffset, slaves: &[SlaveStatus]) -> HaRuntimeInfo {
    let connection = |slave: &SlaveStatus| HaConnectionRuntimeInfo {
        addr: slave.remote.to_string(),
        diff: slave.behind,
        in_sync: slave.in_sync,
        slave_ack_offset: slave.ack,
        transfer_from_where: slave.next,
        transferred_byte_in_second: signed(slave.bytes_per_second),
    };
    HaRuntimeInfo {
        ha_connection_info: slaves.iter().map(connection).collect(),
        in_sync_slave_nums: i32::try_from(slaves.iter().filter(|slave| slave.in_sync).count()).unwrap_or(i32::MAX),
        master: true,
        master_commit_log_max_offset: end,
        ..HaRuntimeInfo::default()
    }
}

fn of_slave(status: FollowStatus) -> HaRuntimeInfo {
    let client = HaClientRuntimeInfo {
        last_read_timestamp: status.last_read,
        last_write_timestamp: status.last_write,
        master_addr: status.master.map(|master| master.ha_addr),
        master_flush_offset: status.master_flush_offset,
        max_offset: status.end,
        transferred_byte_in_second: signed(status.bytes_per_second),
    };
    HaRuntimeInfo { ha_client_runtime_info: client, ..HaRuntimeInfo::default() }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Handle<GetBrokerHaStatus> for Replication {
    type Error = Infallible;

    async fn handle(&self, _: Call<GetBrokerHaStatus>) -> Result<Reply<NoHeader>, Infallible> {
        Ok(Reply::done().body(fastjson::write(&self.status())))
    }
}

impl Handle<ExchangeHaInfo> for Replication {
    type Error = Infallible;

    /// Java: `updateBrokerHaInfo`.
    async fn handle(&self, call: Call<ExchangeHaInfo>) -> Result<Reply<ExchangeHaInfoReply>, Infallible> {
        let ExchangeHaInfo { master_ha_address, master_flush_offset, master_address } = call.header;
        let mut reply =
            ExchangeHaInfoReply { master_ha_address: None, master_flush_offset: None, master_address: None };
        match (&self.side, master_ha_address) {
            (Side::Master(_), None) => {
                reply.master_ha_address = Some(self.identity.ha_addr.clone());
                reply.master_flush_offset = Some(self.began_at);
                reply.master_address = Some(self.identity.addr());
            }
            (Side::Slave { follower, redirect }, Some(ha_addr)) => {
                let at = MasterAt { ha_addr, addr: master_address };
                let is_news = redirect.send_if_modified(|now| {
                    let is_news = now.as_ref() != Some(&at);
                    *now = Some(at.clone());
                    is_news
                });
                if is_news {
                    tracing::info!(master = at.ha_addr, "a master names itself");
                }
                let unknown = follower.status().master_flush_offset.0 == 0;
                if unknown
                    && self.settings.borrow().sync_master_flush_offset_when_startup
                    && let Some(offset) = master_flush_offset
                {
                    follower.set_master_flush_offset(offset);
                }
            }
            // A master is told of another: it does not follow anybody.
            (Side::Master(_), Some(_)) | (Side::Slave { .. }, None) => {}
        }
        Ok(reply.into())
    }
}

impl Handle<ResetMasterFlushOffset> for Replication {
    type Error = Infallible;

    async fn handle(&self, call: Call<ResetMasterFlushOffset>) -> Result<Reply<NoHeader>, Infallible> {
        if let (Side::Slave { follower, .. }, Some(offset)) = (&self.side, call.header.master_flush_offset) {
            follower.set_master_flush_offset(offset);
        }
        Ok(Reply::done())
    }
}
