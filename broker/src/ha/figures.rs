//! Figures of replication. Java has none of these.

use std::fmt;

use prometheus_client::registry::Unit;

use super::follower::Following;
use super::status::{Replication, Side};
use crate::metrics::{Named, Page};

const SLAVES: Named = ("rocketmq_ha_slaves", None, "Slaves that are connected");
const IN_SYNC: Named = ("rocketmq_ha_slaves_in_sync", None, "Slaves that lack fewer bytes than haMaxGapNotInSync");
const LAG: Named = ("rocketmq_ha_slave_lag", Some(Unit::Bytes), "Bytes of the log that a slave lacks");
const FOLLOWING: Named = (
    "rocketmq_ha_following",
    None,
    "1 for how this slave is with its master: no_master, connecting, copying, caught_up, refused, or stopped",
);
const SILENCE: Named =
    ("rocketmq_ha_master_silence", Some(Unit::Seconds), "Time since this slave heard something from its master");

pub(super) fn tell(replication: &Replication, page: &mut Page<'_>) -> fmt::Result {
    match &replication.side {
        Side::Master(feeder) => {
            let slaves = feeder.slaves();
            page.gauge(SLAVES, slaves.len() as f64)?;
            page.gauge(IN_SYNC, slaves.iter().filter(|slave| slave.in_sync).count() as f64)?;
            page.gauges(
                LAG,
                slaves.iter().map(|slave| (vec![("slave", slave.remote.to_string())], slave.behind as f64)),
            )
        }
        Side::Slave { follower, .. } => {
            let status = follower.status();
            let word = status.state.word();
            let series =
                Following::WORDS.map(|one| (vec![("state", one.to_owned())], f64::from(u8::from(one == word))));
            page.gauges(FOLLOWING, series)?;
            status.silent_for.map_or(Ok(()), |silence| page.gauge(SILENCE, silence.as_secs_f64()))
        }
    }
}
