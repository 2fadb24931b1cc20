//! What administrators and their tools ask of a broker: one file per family of `mqadmin` commands.
//!
//! Each family was given what it needs and nothing else; [`Admin`] only holds them together.
//! Java: `AdminBrokerProcessor`.

mod clean;
mod config;
mod connections;
mod consumption;
mod error;
mod groups;
mod live_config;
mod page;
mod relay;
mod runtime;
mod statistics;
mod topic_info;
mod topics;

use std::sync::Arc;

pub(crate) use error::AdminError;
pub(crate) use live_config::LiveConfig;
use remoting::router::Router;
use store::Store;

use self::clean::Cleaning;
use self::config::Settings;
use self::connections::Connections;
use self::consumption::Consumption;
use self::groups::Groups;
use self::relay::Relay;
use self::runtime::Runtime;
use self::statistics::Statistics;
use self::topic_info::TopicInfo;
use self::topics::Topics;
use crate::client::Clients;
use crate::context::Context;
use crate::delay::{Delays, Timers};
use crate::group::GroupTable;
use crate::offset::Offsets;
use crate::register::Registrar;
use crate::stats::Stats;
use crate::topic::TopicTable;

/// What the families are made of; each takes the few it needs.
pub(crate) struct Parts {
    pub(crate) ctx: Context,
    pub(crate) config: Arc<LiveConfig>,
    pub(crate) store: Arc<Store>,
    pub(crate) topics: Arc<TopicTable>,
    pub(crate) groups: Arc<GroupTable>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) offsets: Arc<Offsets>,
    pub(crate) delays: Arc<Delays>,
    pub(crate) timers: Arc<Timers>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) registrar: Arc<Registrar>,
}

/// All families.
pub(crate) struct Admin {
    topics: Arc<Topics>,
    topic_info: Arc<TopicInfo>,
    groups: Arc<Groups>,
    consumption: Arc<Consumption>,
    connections: Arc<Connections>,
    relay: Arc<Relay>,
    settings: Arc<Settings>,
    runtime: Arc<Runtime>,
    statistics: Arc<Statistics>,
    cleaning: Arc<Cleaning>,
}

impl Admin {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { ctx, config, store, topics, groups, clients, offsets, delays, timers, stats, registrar } = parts;
        let consumption = Consumption {
            ctx: ctx.clone(),
            store: Arc::clone(&store),
            topics: Arc::clone(&topics),
            groups: Arc::clone(&groups),
            clients: Arc::clone(&clients),
            offsets: Arc::clone(&offsets),
            stats: Arc::clone(&stats),
        };
        Self {
            topics: Arc::new(Topics {
                ctx: ctx.clone(),
                topics: Arc::clone(&topics),
                offsets: Arc::clone(&offsets),
                store: Arc::clone(&store),
                stats: Arc::clone(&stats),
                timers: Arc::clone(&timers),
                registrar: Arc::clone(&registrar),
            }),
            topic_info: Arc::new(TopicInfo {
                ctx: ctx.clone(),
                topics: Arc::clone(&topics),
                store: Arc::clone(&store),
                stats: Arc::clone(&stats),
            }),
            groups: Arc::new(Groups {
                ctx: ctx.clone(),
                groups: Arc::clone(&groups),
                offsets: Arc::clone(&offsets),
                stats: Arc::clone(&stats),
            }),
            consumption: Arc::new(consumption),
            connections: Arc::new(Connections { clients: Arc::clone(&clients) }),
            relay: Arc::new(Relay {
                ctx: ctx.clone(),
                clients,
                topics: Arc::clone(&topics),
                groups,
                store: Arc::clone(&store),
            }),
            settings: Arc::new(Settings::new(ctx.clone(), config, Arc::clone(&topics), registrar)),
            statistics: Arc::new(Statistics { stats: Arc::clone(&stats) }),
            cleaning: Arc::new(Cleaning { topics, store: Arc::clone(&store) }),
            runtime: Arc::new(Runtime { ctx, store, delays, timers, stats }),
        }
    }
}

pub(crate) fn routes(admin: &Admin, router: &mut Router) {
    topics::routes(&admin.topics, router);
    topic_info::routes(&admin.topic_info, router);
    groups::routes(&admin.groups, router);
    consumption::routes(&admin.consumption, router);
    connections::routes(&admin.connections, router);
    relay::routes(&admin.relay, router);
    config::routes(&admin.settings, router);
    runtime::routes(&admin.runtime, router);
    statistics::routes(&admin.statistics, router);
    clean::routes(&admin.cleaning, router);
}

#[cfg(test)]
mod tests;
