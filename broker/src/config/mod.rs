//! Settings of a broker, under Java's names and with Java's defaults.
//!
//! A value comes from, the later the stronger: the default, the machine and its environment, the file given with `-c`, a
//! flag. While the broker runs it may be replaced by `UPDATE_BROKER_CONFIG`.

mod inert;
mod machine;
mod peers;
mod settings;
mod store_config;

use std::time::Duration;

use remoting::config::{Config, Inert, Missing, Unfit};
use remoting::signature::Credentials;
use remoting::types::{BrokerId, Host};
use serde::Deserialize;
use store::timer::WINDOW_SLOTS;

pub(crate) use peers::Peers;
pub use settings::{BrokerConfig, BrokerRole, DefaultRequestMode, FlushDiskType, MetricsExporterType};

impl BrokerConfig {
    /// The defaults, with the facts of this machine and its environment.
    pub fn of_this_machine() -> Self {
        let defaults = Self::default();
        Self {
            broker_name: machine::host_name().map_or(defaults.broker_name, Into::into),
            broker_ip1: machine::own_address().map_or(defaults.broker_ip1, |ip| ip.to_string()),
            namesrv_addr: machine::variable("NAMESRV_ADDR"),
            rocketmq_home: machine::variable("ROCKETMQ_HOME").map(Into::into),
            store_path_root_dir: machine::store_folder(),
            ..defaults
        }
    }

    /// Member of the broker set. Java: `BrokerStartup`, where a master's id is 0 whatever the file says.
    pub fn id(&self) -> BrokerId {
        match self.broker_role {
            BrokerRole::AsyncMaster | BrokerRole::SyncMaster => BrokerId::MASTER,
            BrokerRole::Slave => self.broker_id,
        }
    }

    /// The address that clients are told.
    ///
    /// # Errors
    /// [`Unfit`] if `brokerIP1` is no IP address, which message ids need.
    pub fn host(&self) -> Result<Host, Unfit> {
        let ip = self.broker_ip1.trim_matches(['[', ']']).parse();
        let ip = ip.map_err(|_| Unfit::new("brokerIP1", "is not an IP address"))?;
        Ok(Host { ip, port: i32::from(self.listen_port) })
    }

    /// Whether a master asks its slaves what happened while it was away, before it is shown to clients.
    /// Java: `BrokerController.start`, where it is isolated.
    pub(crate) fn hears_slaves_first(&self) -> bool {
        self.enable_slave_acting_master && self.total_replicas > 1 && !self.skip_pre_online
    }

    /// The port that slaves connect to. Java: `BrokerStartup`.
    pub fn ha_port(&self) -> u16 {
        if self.ha_listen_port == 0 { self.listen_port + 1 } else { self.ha_listen_port }
    }

    /// The address that slaves are told, `host:port`.
    pub fn ha_addr(&self) -> String {
        format!("{}:{}", self.broker_ip2.as_ref().unwrap_or(&self.broker_ip1), self.ha_port())
    }

    /// The name servers to register with, `host:port` each.
    pub fn name_servers(&self) -> Vec<String> {
        let list = self.namesrv_addr.as_deref().unwrap_or_default();
        let addresses = list.split([';', ',']).map(str::trim).filter(|address| !address.is_empty());
        addresses.map(str::to_owned).collect()
    }

    /// Labels that all metrics get. Java: `BrokerMetricsManager.init`, which leaves out what it does not understand.
    ///
    /// # Errors
    /// [`Unfit`] if `metricsLabel` holds something else.
    pub(crate) fn metrics_labels(&self) -> Result<Vec<(String, String)>, Unfit> {
        let is_name = |name: &str| {
            let legal = |first: bool, c: char| c == '_' || c.is_ascii_alphabetic() || (!first && c.is_ascii_digit());
            !name.is_empty() && name.chars().enumerate().all(|(at, c)| legal(at == 0, c))
        };
        let pairs = self.metrics_label.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let labels = pairs.map(|pair| pair.split_once(':').filter(|(name, _)| is_name(name)));
        let labels = labels.map(|label| label.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let unfit = || {
            Unfit::new("metricsLabel", "is not of the form name:value,name:value, with names of letters, digits and _")
        };
        labels.collect::<Option<_>>().ok_or_else(unfit)
    }

    /// Who may change the Raft group, if not everybody may. Java: `AuthenticationMetadataManagerImpl.initUser`.
    ///
    /// # Errors
    /// [`Unfit`] if `initAuthenticationUser` is something else than a user.
    pub(crate) fn group_user(&self) -> Result<Option<Credentials>, Unfit> {
        let Some(text) = self.init_authentication_user.as_deref().filter(|text| !text.trim().is_empty()) else {
            return Ok(None);
        };
        let user = serde_json::from_str::<InitialUser>(text).ok();
        let user = user.filter(|user| !user.username.is_empty() && !user.password.is_empty());
        let InitialUser { username, password } = user.ok_or_else(|| {
            Unfit::new("initAuthenticationUser", r#"is not of the form {"username":"admin","password":"secret"}"#)
        })?;
        Ok(Some(Credentials { access_key: username, secret_key: password }))
    }

    /// Time that a slot of the timer stands for. Java: `MessageStoreConfig.setTimerPrecisionMs`.
    pub(crate) fn timer_slot_ms(&self) -> i64 {
        let wanted = Duration::from(self.timer_precision_ms).as_millis();
        [1000, 500, 200].into_iter().find(|step| wanted >= *step as u128).unwrap_or(100)
    }

    /// Slots from now within which a message waits in its own one. Java: `TimerMessageStore.timerRollWindowSlots`.
    pub(crate) fn timer_window_slots(&self) -> i64 {
        let longest = WINDOW_SLOTS - TIMER_BLANK_SLOTS;
        if (2..=longest).contains(&self.timer_roll_window_slot) { self.timer_roll_window_slot } else { longest }
    }
}

/// `initAuthenticationUser`.
#[derive(Deserialize)]
struct InitialUser {
    username: String,
    password: String,
}

/// Slots that stay free between the last one that may be filled and the first that may not be read yet.
/// Java: `TimerMessageStore.TIMER_BLANK_SLOTS`.
pub(crate) const TIMER_BLANK_SLOTS: i64 = 60;

impl Config for BrokerConfig {
    const INERT: &'static [Inert] = inert::INERT;
    const MISSING: &'static [Missing] = inert::MISSING;
    const FROZEN: &'static [&'static str] = &["brokerConfigPath", "rocketmqHome", "configBlackList"];

    fn black_list(&self) -> &str {
        &self.config_black_list
    }

    fn check(&self) -> Result<(), Unfit> {
        let require = |holds: bool, key, reason: &str| if holds { Ok(()) } else { Err(Unfit::new(key, reason)) };
        let ports = 3..=u16::MAX - 1;
        require(
            ports.contains(&self.listen_port),
            "listenPort",
            "leaves no room for the fast port two below it and the port for slaves above it",
        )?;
        require(self.bind_address.parse::<std::net::IpAddr>().is_ok(), "bindAddress", "is not an IP address")?;
        self.host()?;
        let servers = self.name_servers();
        require(
            servers.iter().all(|server| is_host_and_port(server)),
            "namesrvAddr",
            "is not of the form 127.0.0.1:9876;192.168.0.1:9876",
        )?;
        let is_slave = self.broker_role == BrokerRole::Slave;
        require(!is_slave || self.broker_id.0 > 0, "brokerId", "is not above 0, as that of a slave must be")?;
        require(
            !is_slave || !self.enable_dleger_commit_log,
            "brokerRole",
            "is SLAVE, but who leads a Raft group is not settled by settings",
        )?;
        require(
            (0..=7).contains(&self.broker_permission),
            "brokerPermission",
            "is not made of 4 (read) and 2 (write)",
        )?;
        require(!self.broker_name.is_empty(), "brokerName", "is empty")?;
        require(!self.broker_cluster_name.is_empty(), "brokerClusterName", "is empty")?;
        require(self.default_topic_queue_nums > 0, "defaultTopicQueueNums", "is not above 0")?;
        require(
            (1..100).contains(&self.max_error_rate_of_bloom_filter),
            "maxErrorRateOfBloomFilter",
            "is not between 1 and 99",
        )?;
        require(
            (1..=1_000_000).contains(&self.expect_consumer_num_use_filter),
            "expectConsumerNumUseFilter",
            "is not between 1 and 1000000",
        )?;
        self.peers()?;
        self.preferred_leaders()?;
        self.check_ha()?;
        self.group_user()?;
        require(
            !matches!(self.metrics_exporter_type, MetricsExporterType::OtlpGrpc | MetricsExporterType::Log),
            "metricsExporterType",
            "is not there yet: PROM shows metrics to Prometheus, DISABLE to nobody",
        )?;
        self.metrics_labels()?;
        require(self.timer_max_delay_sec > 0, "timerMaxDelaySec", "is not above 0")?;
        self.check_store()
    }
}

impl BrokerConfig {
    fn check_ha(&self) -> Result<(), Unfit> {
        let require = |holds: bool, key, reason: &str| if holds { Ok(()) } else { Err(Unfit::new(key, reason)) };
        let ports = [self.listen_port, self.listen_port - 2];
        require(
            !ports.contains(&self.ha_port()),
            "haListenPort",
            "is a port that clients use: slaves need one of their own",
        )?;
        require(self.in_sync_replicas >= 0, "inSyncReplicas", "is below 0")?;
        require(self.min_in_sync_replicas >= 0, "minInSyncReplicas", "is below 0")?;
        require(
            self.min_in_sync_replicas <= self.in_sync_replicas.max(1),
            "minInSyncReplicas",
            "is above inSyncReplicas",
        )?;
        require(self.ha_transfer_batch_size > 0, "haTransferBatchSize", "is 0: slaves would get nothing")?;
        require(
            self.ha_transfer_batch_size <= HA_BATCH_BYTES_MAX,
            "haTransferBatchSize",
            "is above 4190208, which Java's slaves have no room for",
        )?;
        require(
            !self.ha_flow_control_enable || self.max_ha_transfer_byte_in_second > 0,
            "maxHaTransferByteInSecond",
            "is 0: slaves would get nothing",
        )?;
        require(
            !self.ha_send_heartbeat_interval.is_zero(),
            "haSendHeartbeatInterval",
            "is 0: heartbeats would have no end",
        )?;
        require(
            self.ha_housekeeping_interval > self.ha_send_heartbeat_interval,
            "haHousekeepingInterval",
            "is not above haSendHeartbeatInterval: connections would be closed between two heartbeats",
        )?;
        let master = self.ha_master_address.as_deref();
        require(master.is_none_or(is_host_and_port), "haMasterAddress", "is not of the form 127.0.0.1:10912")
    }
}

/// A Java slave reads 4 MiB at most, and takes a piece when all of it is there; a header is before it.
const HA_BATCH_BYTES_MAX: usize = (4 << 20) - 4096;

pub(crate) fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests;
