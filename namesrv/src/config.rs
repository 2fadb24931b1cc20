//! Settings of a name server, in Java's `NamesrvConfig` and `NettyServerConfig` and here in one struct.

use std::env;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use remoting::config::{Config, Inert, Millis, Missing, Seconds, Unfit};

remoting::config! {
    /// Settings of a name server; [`NamesrvConfig::of_this_machine`] is where a start begins.
    pub struct NamesrvConfig {
        /// Port for brokers and clients.
        listen_port: u16 = 9876, "listenPort", important, restart;
        /// Address to listen on.
        bind_address: String = "0.0.0.0".to_owned(), "bindAddress", important, restart;
        /// Connections that wait to be accepted.
        server_socket_backlog: u32 = 1024, "serverSocketBacklog", restart;
        /// A connection without traffic for this long is closed; a broker that owns it counts as gone.
        server_channel_max_idle_time_seconds: Seconds = Seconds::new(120), "serverChannelMaxIdleTimeSeconds", restart;
        /// Where RocketMQ is installed; only told to tools that ask. Unless set, the environment's `ROCKETMQ_HOME`.
        rocketmq_home: Option<PathBuf> = None, "rocketmqHome", restart, machine;
        /// File of the key-value settings. Unless set, `namesrv/kvConfig.json` in the home folder, or in `./data` for
        /// `ferromq standalone`.
        kv_config_path: PathBuf = "namesrv/kvConfig.json".into(), "kvConfigPath", important, restart, machine;
        /// File that changes at run time are written to: the one given with `-c`, if one was.
        config_store_path: PathBuf = "namesrv/namesrv.properties".into(), "configStorePath", restart, machine;
        /// Keys that cannot be changed at run time, separated by `;`.
        config_black_list: String = "configBlackList;configStorePath;kvConfigPath".to_owned(), "configBlackList";
        /// Time between two looks for brokers that were not heard from.
        scan_not_active_broker_interval: Millis = Millis::new(5000), "scanNotActiveBrokerInterval";
        /// Name the queues of an ordered topic in its route, as the key-value settings say.
        order_message_enable: bool = false, "orderMessageEnable";
        /// Tell brokers the ordered topics when they register.
        return_order_topic_config_to_broker: bool = true, "returnOrderTopicConfigToBroker";
        /// Show the smallest slave of a set without a master as its master, if the set agrees.
        support_acting_master: bool = false, "supportActingMaster";
        /// Tell the members of a broker set when the smallest id among them changes.
        notify_min_broker_id_changed: bool = false, "notifyMinBrokerIdChanged";
        /// Answer the list of all topics.
        enable_all_topic_list: bool = true, "enableAllTopicList";
        /// Answer the lists of some topics: of a cluster, of units.
        enable_topic_list: bool = true, "enableTopicList";
        /// Forget a broker's topics that its registration no longer names.
        delete_topic_with_broker_registration: bool = false, "deleteTopicWithBrokerRegistration";
        /// Answer no route until `waitSecondsForService` after the start, by when all brokers have registered.
        need_wait_for_service: bool = false, "needWaitForService";
        /// See `needWaitForService`.
        wait_seconds_for_service: Seconds = Seconds::new(45), "waitSecondsForService";
    }
}

impl NamesrvConfig {
    /// The defaults, with the facts of this machine and its environment.
    pub fn of_this_machine() -> Self {
        let defaults = Self::default();
        let home = env::home_dir().unwrap_or_default();
        Self {
            rocketmq_home: env::var_os("ROCKETMQ_HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
            kv_config_path: home.join(&defaults.kv_config_path),
            config_store_path: home.join(&defaults.config_store_path),
            ..defaults
        }
    }

    /// Where to listen.
    ///
    /// # Errors
    /// [`Unfit`] if `bindAddress` is no IP address.
    pub fn listen(&self) -> Result<SocketAddr, Unfit> {
        let ip: IpAddr = self.bind_address.parse().map_err(|_| Unfit::new("bindAddress", "is not an IP address"))?;
        Ok(SocketAddr::new(ip, self.listen_port))
    }
}

impl Config for NamesrvConfig {
    const INERT: &'static [Inert] = INERT;
    const MISSING: &'static [Missing] = MISSING;
    const FROZEN: &'static [&'static str] = &["configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome"];

    fn black_list(&self) -> &str {
        &self.config_black_list
    }

    fn check(&self) -> Result<(), Unfit> {
        if self.scan_not_active_broker_interval.is_zero() {
            return Err(Unfit::new("scanNotActiveBrokerInterval", "is not above 0"));
        }
        self.listen().map(drop)
    }
}

const INERT: &[Inert] = &[
    Inert {
        reason: "requests run on the runtime's workers, not in a pool and queue for each kind of request",
        keys: &[
            "clientRequestThreadPoolNums",
            "clientRequestThreadPoolQueueCapacity",
            "defaultThreadPoolNums",
            "defaultThreadPoolQueueCapacity",
            "unRegisterBrokerQueueCapacity",
        ],
    },
    Inert {
        reason: "one task serves a connection; Netty's threads, buffers and limits have no counterpart",
        keys: &[
            "channelNotActiveInterval",
            "clientAsyncSemaphoreValue",
            "clientCallbackExecutorThreads",
            "clientChannelMaxIdleTimeSeconds",
            "clientCloseSocketIfTimeout",
            "clientOnewaySemaphoreValue",
            "clientPooledByteBufAllocatorEnable",
            "clientSocketRcvBufSize",
            "clientSocketSndBufSize",
            "clientWorkerThreads",
            "connectTimeoutMillis",
            "disableCallbackExecutor",
            "disableNettyWorkerGroup",
            "enableReconnectForGoAway",
            "enableShutdownGracefully",
            "maxReconnectIntervalTimeSeconds",
            "scanAvailableNameSrv",
            "serverAsyncSemaphoreValue",
            "serverCallbackExecutorThreads",
            "serverNettyWorkerGroupEnable",
            "serverOnewaySemaphoreValue",
            "serverPooledByteBufAllocatorEnable",
            "serverSelectorThreads",
            "serverSocketRcvBufSize",
            "serverSocketSndBufSize",
            "serverWorkerThreads",
            "shutdownWaitTimeSeconds",
            "socksProxyConfig",
            "useEpollNativeSelector",
            "writeBufferHighWaterMark",
            "writeBufferLowWaterMark",
        ],
    },
    Inert { reason: "it names an environment for `clusterTest`", keys: &["productEnvName"] },
];

const MISSING: &[Missing] = &[
    Missing { feature: "a controller inside the name server", keys: &[("enableControllerInNamesrv", "false")] },
    Missing { feature: "looking unknown topics up in another environment", keys: &[("clusterTest", "false")] },
    Missing { feature: "TLS", keys: &[("useTLS", "false")] },
];

#[cfg(test)]
mod tests {
    use remoting::config::{Loader, Properties, Settings};

    use super::*;

    fn load(text: &str) -> Result<NamesrvConfig, String> {
        let mut loader = Loader::from_properties("namesrv.conf", Properties::parse(text).unwrap());
        let config = loader.apply(NamesrvConfig::default()).map_err(|err| err.to_string())?;
        loader.check(&config).map_err(|err| err.to_string())?;
        Ok(config)
    }

    #[test]
    fn javas_defaults_listen_on_9876() {
        assert_eq!(load("").unwrap().listen().unwrap().to_string(), "0.0.0.0:9876");
        assert_eq!(load("bindAddress=::1\nlistenPort=1").unwrap().listen().unwrap().to_string(), "[::1]:1");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(load("bindAddress=x").unwrap_err().contains("not an IP address"));
        assert!(load("scanNotActiveBrokerInterval=0").unwrap_err().contains("not above 0"));
        assert!(load("enableControllerInNamesrv=true").unwrap_err().contains("not there yet"));
    }

    #[test]
    fn a_key_means_one_thing() {
        let settings = NamesrvConfig::SETTINGS.iter().map(|setting| setting.key);
        let inert = INERT.iter().flat_map(|inert| inert.keys.iter().copied());
        let mut keys: Vec<_> = settings.chain(inert).collect();
        keys.extend(MISSING.iter().flat_map(|missing| missing.keys.iter().map(|(key, _)| *key)));
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }
}
