//! `statsAll`: figures over the last minute, hour and day.

use std::sync::Arc;

use remoting::body::fastjson;
use remoting::header::NoHeader;
use remoting::protocol::admin::ViewBrokerStats;
use remoting::router::{Call, Handle, Reply, Router};

use super::AdminError;
use crate::stats::Stats;

pub(super) struct Statistics {
    pub(super) stats: Arc<Stats>,
}

pub(super) fn routes(statistics: &Arc<Statistics>, router: &mut Router) {
    router.on::<ViewBrokerStats>(statistics);
}

impl Handle<ViewBrokerStats> for Statistics {
    type Error = AdminError;

    /// Java: `ViewBrokerStatsData`.
    async fn handle(&self, call: Call<ViewBrokerStats>) -> Result<Reply<NoHeader>, AdminError> {
        let ViewBrokerStats { stats_name: name, stats_key: key } = call.header;
        let Some(data) = self.stats.view(&name, &key) else { return Err(AdminError::StatsUnknown { name, key }) };
        Ok(Reply::done().body(fastjson::write(&data)))
    }
}
