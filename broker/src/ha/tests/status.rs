//! What brokers and tools are told.

use remoting::body::{HaRuntimeInfo, fastjson};
use remoting::protocol::ha::{ExchangeHaInfo, GetBrokerHaStatus, ResetMasterFlushOffset};
use remoting::router::Handle;

use super::*;
use crate::testing::{Surroundings, call, peer};

const NOBODY: ExchangeHaInfo =
    ExchangeHaInfo { master_ha_address: None, master_flush_offset: None, master_address: None };

async fn status(replication: &Replication) -> HaRuntimeInfo {
    let Ok(reply) = replication.handle(call(GetBrokerHaStatus {}, "", &peer(1))).await;
    fastjson::read(&reply.content()).unwrap()
}

#[tokio::test]
async fn a_master_tells_of_its_slaves_and_of_itself() {
    let surroundings = Surroundings::new();
    let log = Log::new();
    log.append(0..3);
    let began_at = log.end();
    let master = Master::of(&log, |_| {});
    let side = Side::Master(Arc::clone(&master.feeder));
    let identity = Arc::clone(&surroundings.ctx.identity);
    let replication = Replication::new(side, identity, Arc::clone(&log.store), master.settings.subscribe());
    log.append(3..4);
    let mut slave = Wire::connect(master.addr);
    slave.report(began_at.0);
    slave.piece().unwrap();
    let seen = status(&replication).await;
    assert_eq!((seen.master, seen.in_sync_slave_nums, seen.master_commit_log_max_offset), (true, 1, log.end()));
    let of_slave = &seen.ha_connection_info[0];
    assert_eq!(of_slave.addr, slave.0.local_addr().unwrap().to_string());
    assert_eq!((of_slave.slave_ack_offset, of_slave.transfer_from_where), (began_at, log.end()));
    assert_eq!((of_slave.diff, of_slave.in_sync), (log.end().0 - began_at.0, true));

    let Ok(reply) = replication.handle(call(NOBODY, "", &peer(1))).await;
    let said = reply.header().unwrap();
    assert_eq!(said.master_ha_address.as_deref(), Some("127.0.0.1:10912"));
    assert_eq!((said.master_address.as_deref(), said.master_flush_offset), (Some("127.0.0.1:10911"), Some(began_at)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slave_is_told_of_its_master_and_tells_how_it_follows() {
    let surroundings = Surroundings::new();
    let (ours, theirs) = (Log::new(), Log::new());
    theirs.append(0..3);
    let master = Master::of(&theirs, |_| {});
    let settings = settings(|settings| settings.sync_master_flush_offset_when_startup = true);
    let redirect = watch::Sender::new(None);
    let clock = Clock::fixed(Timestamp(1_700_000_000_000));
    let follower = Follower::start(&ours.store, settings.subscribe(), clock, redirect.subscribe()).unwrap();
    let side = Side::Slave { follower: Arc::clone(&follower), redirect };
    let identity = Arc::clone(&surroundings.ctx.identity);
    let replication = Replication::new(side, identity, Arc::clone(&ours.store), settings.subscribe());

    let Ok(reply) = replication.handle(call(NOBODY, "", &peer(1))).await;
    assert_eq!(reply.header().unwrap().master_ha_address, None, "it is no master");
    let exchange = ExchangeHaInfo {
        master_ha_address: Some(master.addr.to_string()),
        master_flush_offset: Some(PhysicalOffset(5)),
        master_address: None,
    };
    let Ok(_) = replication.handle(call(exchange, "", &peer(1))).await;
    caught_up(&follower).await;
    let seen = status(&replication).await;
    let client = seen.ha_client_runtime_info;
    assert_eq!((seen.master, client.master_addr), (false, Some(master.addr.to_string())));
    assert_eq!((client.max_offset, client.master_flush_offset), (theirs.end(), PhysicalOffset(5)));
    assert_eq!(client.last_read_timestamp, Timestamp(1_700_000_000_000));

    let reset = ResetMasterFlushOffset { master_flush_offset: Some(PhysicalOffset(9)) };
    let Ok(_) = replication.handle(call(reset, "", &peer(1))).await;
    assert_eq!(status(&replication).await.ha_client_runtime_info.master_flush_offset, PhysicalOffset(9));
    follower.stop();
}
