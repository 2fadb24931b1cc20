//! Every setting of a broker, in Java's `BrokerConfig`, `MessageStoreConfig` and `NettyServerConfig` and here in one
//! struct.

use std::path::PathBuf;

use remoting::config::{Hours, Millis, Seconds};
use remoting::types::{BrokerId, BrokerName, ClusterName, Timestamp, TopicName};

remoting::choice! {
    /// What a broker is in its set. Java: `BrokerRole`.
    pub enum BrokerRole {
        /// Answers a send once it has the message itself.
        AsyncMaster = "ASYNC_MASTER",
        /// Answers once the slaves asked for have it, too.
        SyncMaster = "SYNC_MASTER",
        Slave = "SLAVE",
    }
}

remoting::choice! {
    /// When a message counts as stored. Java: `FlushDiskType`.
    pub enum FlushDiskType {
        AsyncFlush = "ASYNC_FLUSH",
        SyncFlush = "SYNC_FLUSH",
    }
}

remoting::choice! {
    /// Who gets metrics. Java: `MetricsExporterType`, which may be given as a number.
    pub enum MetricsExporterType {
        Disable = "DISABLE" | "0",
        OtlpGrpc = "OTLP_GRPC" | "1",
        Prom = "PROM" | "2",
        Log = "LOG" | "3",
    }
}

remoting::choice! {
    /// How a group consumes. Java: `MessageRequestMode`.
    pub enum DefaultRequestMode {
        Pull = "PULL",
        Pop = "POP",
    }
}

remoting::config! {
    /// Settings of a broker; [`BrokerConfig::of_this_machine`] is where a start begins.
    pub struct BrokerConfig {
        // Who it is.

        /// Cluster the broker set belongs to; also becomes a topic.
        broker_cluster_name: ClusterName = "DefaultCluster".into(), "brokerClusterName", important, restart;
        /// Name of the broker set; also becomes a topic. Unless set, the host name.
        broker_name: BrokerName = "DEFAULT_BROKER".into(), "brokerName", important, restart, machine;
        /// Member of the broker set: 0 is the master, which a master role forces.
        broker_id: BrokerId = BrokerId::MASTER, "brokerId", important, restart;
        /// `ASYNC_MASTER`, `SYNC_MASTER`, or `SLAVE` with a `brokerId` above 0, which follows the master of its broker set.
        broker_role: BrokerRole = BrokerRole::AsyncMaster, "brokerRole", important, restart;
        /// What clients may do: 4 read, 2 write, 6 both. 4 drains the broker: its routes lose the write bit.
        broker_permission: i32 = 6, "brokerPermission";
        /// Region named in the answers to sends, for message traces.
        region_id: String = "DefaultRegion".to_owned(), "regionId";
        /// Where RocketMQ is installed; only told to tools that ask. Unless set, the environment's `ROCKETMQ_HOME`.
        rocketmq_home: Option<PathBuf> = None, "rocketmqHome", restart, machine;
        /// The file given with `-c`, which changes at run time are written to.
        broker_config_path: Option<PathBuf> = None, "brokerConfigPath", restart;
        /// Keys that cannot be changed at run time, separated by `;`.
        config_black_list: String = "configBlackList;brokerConfigPath".to_owned(), "configBlackList";

        // The Raft group it may belong to.

        /// Belong to a Raft group, whose log is the commit log.
        enable_dleger_commit_log: bool = false, "enableDLegerCommitLog", important, restart;
        /// Name of the group, the same for all members.
        dleger_group: Option<String> = None, "dLegerGroup", important, restart;
        /// The members that found the group, `n0-host:port;n1-host:port;n2-host:port`: where they reach each other, which is
        /// none of the ports for clients.
        dleger_peers: Option<String> = None, "dLegerPeers", important, restart;
        /// Which of them this is, such as `n0`; a follower has the number behind the letter, plus one, as its broker id.
        dleger_self_id: Option<String> = None, "dLegerSelfId", important, restart;
        /// Members that lead rather than others, such as `n0;n1`, the same for all members: one of them gets the lead once it has
        /// been well and level with the log for 10 s.
        preferred_leader_ids: Option<String> = None, "preferredLeaderIds";
        /// Java's name for `preferredLeaderIds`, which takes several, too.
        preferred_leader_id: Option<String> = None, "preferredLeaderId";
        /// A member whose disk keeps a flush or a write waiting for longer than this gives the lead away, and takes none until
        /// the disk has been quick for 15 times as long. 0: never.
        slow_disk_millis: Millis = Millis::new(2000), "slowDiskMillis";
        /// Show each member to producers as the master of a set of its own, `<brokerName>-n<number>`, on its fast port, that can
        /// be written to only: it passes messages on to the leader. Producers then go on at once when the leader dies,
        /// without waiting for the next route.
        followers_take_writes: bool = false, "followersTakeWrites", restart;
        /// Most bytes per second that a leader sends to members that lack much of the log, whether it is still there or they are
        /// filled with files; all of them together, 0: as many as it can.
        max_raft_fill_byte_in_second: u64 = 100 << 20, "maxRaftFillByteInSecond";
        /// Who may change the members of the group and its leader, as `{"username":"admin","password":"…"}`: `ferromq group` has to sign
        /// with it (`--credentials`). Unless set, whoever reaches the broker may. Nothing else is authenticated yet.
        init_authentication_user: Option<String> = None, "initAuthenticationUser";

        // Slaves.

        /// Copies that a message needs before `SYNC_MASTER` answers its send, that of the master among them. 1 waits for nobody.
        in_sync_replicas: i32 = 1, "inSyncReplicas", important;
        /// Refuse messages while there are fewer copies that are in sync, that of the master among them.
        min_in_sync_replicas: i32 = 1, "minInSyncReplicas", important;
        /// Need no more copies than there are in sync at the moment, and no fewer than `minInSyncReplicas`.
        enable_auto_in_sync_replicas: bool = false, "enableAutoInSyncReplicas", important;
        /// A slave is in sync while it lacks fewer bytes of the log.
        ha_max_gap_not_in_sync: i64 = 256 << 20, "haMaxGapNotInSync";
        /// Longest time a send waits for slaves; then it is answered `FLUSH_SLAVE_TIMEOUT`.
        slave_timeout: Millis = Millis::new(3000), "slaveTimeout";
        /// If set, as in 4.9: sends are answered `SLAVE_NOT_AVAILABLE` at once while too few slaves are connected that lack fewer
        /// bytes. 5.x does not know it, and lets them wait for `slaveTimeout`.
        ha_slave_fallbehind_max: Option<i64> = None, "haSlaveFallbehindMax";
        /// Most bytes of the log in one piece for a slave.
        ha_transfer_batch_size: usize = 32 << 10, "haTransferBatchSize";
        /// Send each slave no more than `maxHaTransferByteInSecond`.
        ha_flow_control_enable: bool = false, "haFlowControlEnable", important;
        /// See `haFlowControlEnable`.
        max_ha_transfer_byte_in_second: u64 = 100 << 20, "maxHaTransferByteInSecond";
        /// Master and slave say something this often, if only that they are there.
        ha_send_heartbeat_interval: Millis = Millis::new(5000), "haSendHeartbeatInterval";
        /// Either closes the connection when it has heard nothing for this long.
        ha_housekeeping_interval: Millis = Millis::new(20_000), "haHousekeepingInterval";
        /// Where the master feeds slaves, `host:port`. Unless set, what name servers tell.
        ha_master_address: Option<String> = None, "haMasterAddress", important;
        /// A slave without a log begins where the last file of the master's does, instead of with the first message that the
        /// master keeps.
        sync_from_last_file: bool = false, "syncFromLastFile", restart;
        /// A slave notes where the log of its master ended when that started, once that tells it.
        sync_master_flush_offset_when_startup: bool = false, "syncMasterFlushOffsetWhenStartup";
        /// Let slaves and followers serve reads, and send readers there that are far behind.
        slave_read_enable: bool = false, "slaveReadEnable";
        /// Move readers of a slave that ask for what it does not have; otherwise they wait or go to the master.
        offset_check_in_slave: bool = false, "offsetCheckInSlave";
        /// While a broker set has no master, have name servers show the slave of the smallest id in its place, for reading.
        enable_slave_acting_master: bool = false, "enableSlaveActingMaster", restart;
        /// A slave that is shown in the place of its master delivers what waits, to the masters of other broker sets: delayed and
        /// timed messages, and those of transactions in doubt.
        enable_remote_escape: bool = false, "enableRemoteEscape", restart;
        /// Brokers of the set. With more than 1 and `enableSlaveActingMaster`, a master that starts first asks the others what
        /// happened while it was away.
        total_replicas: i32 = 1, "totalReplicas", restart;
        /// It does not.
        skip_pre_online: bool = false, "skipPreOnline", restart;
        /// Time between two looks at who is in the set.
        sync_broker_member_group_period: Millis = Millis::new(1000), "syncBrokerMemberGroupPeriod";
        /// With `enableSlaveActingMaster`, name servers hear of a broker this often.
        broker_heartbeat_interval: Millis = Millis::new(1000), "brokerHeartbeatInterval";
        /// With `enableSlaveActingMaster`, name servers forget a broker that was silent for this long.
        broker_not_active_timeout_millis: Millis = Millis::new(10_000), "brokerNotActiveTimeoutMillis";

        // Where it is.

        /// Port for clients; the fast port is two below it.
        listen_port: u16 = 10911, "listenPort", important, restart;
        /// Address to listen on.
        bind_address: String = "0.0.0.0".to_owned(), "bindAddress", restart;
        /// Address that clients are told. Unless set, the address this machine reaches others from.
        broker_ip1: String = "127.0.0.1".to_owned(), "brokerIP1", important, restart, machine;
        /// Address that slaves are told. Unless set, as `brokerIP1`.
        broker_ip2: Option<String> = None, "brokerIP2", restart;
        /// Port that slaves connect to; 0 is one above `listenPort`.
        ha_listen_port: u16 = 0, "haListenPort", restart;
        /// Connections that wait to be accepted.
        server_socket_backlog: u32 = 1024, "serverSocketBacklog", restart;
        /// A connection without traffic for this long is closed.
        server_channel_max_idle_time_seconds: Seconds = Seconds::new(120), "serverChannelMaxIdleTimeSeconds", restart;

        // Name servers.

        /// Name servers as `host:port;host:port`; the broker registers with all. Unless set, the environment's
        /// `NAMESRV_ADDR`; `-n` beats both.
        namesrv_addr: Option<String> = None, "namesrvAddr", important, machine;
        /// Time between two registrations; taken as 10 s to 60 s.
        register_name_server_period: Millis = Millis::new(30_000), "registerNameServerPeriod";
        /// Register at every period, also when nothing changed.
        force_register: bool = true, "forceRegister";
        /// Longest wait for the answer of a name server.
        register_broker_timeout_mills: Millis = Millis::new(24_000), "registerBrokerTimeoutMills";

        // Topics and groups.

        /// Create a topic when the first message for it comes.
        auto_create_topic_enable: bool = true, "autoCreateTopicEnable", important, restart;
        /// Most queues of a topic that is created by sending.
        default_topic_queue_nums: i32 = 8, "defaultTopicQueueNums", restart;
        /// Create a group when its first consumer comes.
        auto_create_subscription_group: bool = true, "autoCreateSubscriptionGroup", important;
        /// Let the topic named after the cluster be written to.
        cluster_topic_enable: bool = true, "clusterTopicEnable", restart;
        /// Let the topic named after the broker be written to.
        broker_topic_enable: bool = true, "brokerTopicEnable", restart;
        /// Create the topic for message traces.
        trace_topic_enable: bool = false, "traceTopicEnable", important, restart;
        /// Topic for message traces.
        msg_trace_topic_name: TopicName = "RMQ_SYS_TRACE_TOPIC".into(), "msgTraceTopicName", important, restart;
        /// Tell clients to trace messages.
        trace_on: bool = true, "traceOn";
        /// Refuse to change system topics.
        validate_system_topic_when_update_topic: bool = true, "validateSystemTopicWhenUpdateTopic";
        /// Accept topics of message type `MIXED`.
        enable_mixed_message_type: bool = false, "enableMixedMessageType";
        /// Delete a topic's retry topics of POP consumers with it.
        clear_retry_topic_when_delete_topic: bool = true, "clearRetryTopicWhenDeleteTopic";
        /// Forget the figures of topics and groups that are deleted.
        auto_delete_unused_stats: bool = true, "autoDeleteUnusedStats";
        /// Create the groups that RocketMQ's own tools use.
        enable_create_sys_group: bool = true, "enableCreateSysGroup", restart;

        // Clients.

        /// Tell the members of a group when one joins or leaves.
        notify_consumer_ids_changed_enable: bool = true, "notifyConsumerIdsChangedEnable";
        /// Tell them at once, not within 15 s.
        real_time_notify_consumer_change: bool = true, "realTimeNotifyConsumerChange";
        /// A client that sent no heartbeat for this long is forgotten.
        channel_expired_timeout: Millis = Millis::new(120_000), "channelExpiredTimeout";
        /// A subscription that no heartbeat named for this long is forgotten.
        subscription_expired_timeout: Millis = Millis::new(600_000), "subscriptionExpiredTimeout";
        /// Keep a table of producers, which transaction checks and `producerConnection` need.
        enable_register_producer: bool = true, "enableRegisterProducer";
        /// Refuse consumers that pull on their own instead of being pushed to.
        reject_pull_consumer_enable: bool = false, "rejectPullConsumerEnable";

        // Sends.

        /// Refuse transactional messages.
        reject_transaction_message: bool = false, "rejectTransactionMessage", important;
        /// Refuse sends before this time, in milliseconds since 1970.
        start_accept_send_request_time_stamp: Timestamp = Timestamp(0), "startAcceptSendRequestTimeStamp";
        /// Largest body of a message, in bytes.
        max_message_size: usize = 4 << 20, "maxMessageSize";

        // Transactions.

        /// A half message of this age is asked about, unless it says another (`CHECK_IMMUNITY_TIME_IN_SECONDS`).
        transaction_time_out: Millis = Millis::new(6000), "transactionTimeOut", important;
        /// How often producers are asked about a half message before it is given up.
        transaction_check_max: i32 = 15, "transactionCheckMax", important;
        /// Time between two looks for half messages to ask about.
        transaction_check_interval: Millis = Millis::new(30_000), "transactionCheckInterval", important;
        /// Longest time until it is written down that a half message was committed or rolled back.
        transaction_op_batch_interval: Millis = Millis::new(3000), "transactionOpBatchInterval";
        /// So many bytes about committed and rolled back half messages are written down at once, in one message.
        transaction_op_msg_max_size: usize = 4096, "transactionOpMsgMaxSize";

        // Pulls.

        /// Let a pull that finds nothing wait for a message.
        long_polling_enable: bool = true, "longPollingEnable";
        /// How long it waits when `longPollingEnable` is false.
        short_polling_time_mills: Millis = Millis::new(1000), "shortPollingTimeMills";
        /// Answer `LITE_PULL_MESSAGE`.
        lite_pull_message_enable: bool = true, "litePullMessageEnable";
        /// Answer `SYSTEM_BUSY` to requests that waited for too long to be worked on.
        broker_fast_failure_enable: bool = true, "brokerFastFailureEnable";
        /// Longest wait of a pull of old messages for one of the threads that read them from disk.
        wait_time_mills_in_pull_queue: Millis = Millis::new(5000), "waitTimeMillsInPullQueue";
        /// Refuse pulls of groups that are too far behind.
        disable_consume_if_consumer_read_slowly: bool = false, "disableConsumeIfConsumerReadSlowly";
        /// Bytes that count as too far behind.
        consumer_fallbehind_threshold: u64 = 16 << 30, "consumerFallbehindThreshold";
        /// Most bytes in one answer, of messages that are likely cached.
        max_transfer_bytes_on_message_in_memory: usize = 256 << 10, "maxTransferBytesOnMessageInMemory", restart;
        /// Most messages in one answer, of messages that are likely cached.
        max_transfer_count_on_message_in_memory: usize = 32, "maxTransferCountOnMessageInMemory", restart;
        /// Most bytes in one answer, of messages that are likely not cached.
        max_transfer_bytes_on_message_in_disk: usize = 64 << 10, "maxTransferBytesOnMessageInDisk", restart;
        /// Most messages in one answer, of messages that are likely not cached.
        max_transfer_count_on_message_in_disk: usize = 8, "maxTransferCountOnMessageInDisk", restart;
        /// Percent of the memory within which the end of the log is taken to be cached.
        access_message_in_memory_max_ratio: u32 = 40, "accessMessageInMemoryMaxRatio";
        /// Put groups off that have read too much from disk within five seconds.
        cold_data_flow_control_enable: bool = false, "coldDataFlowControlEnable";
        /// Bytes that a group may read from disk within five seconds, with `coldDataFlowControlEnable`.
        cg_cold_read_threshold: i64 = 3 << 20, "cgColdReadThreshold";
        /// Bytes that all groups together may read from disk within five seconds, with `coldDataFlowControlEnable`.
        global_cold_read_threshold: i64 = 100 << 20, "globalColdReadThreshold";
        /// Give groups more than `cgColdReadThreshold` while all together read less than they may.
        cold_ctr_strategy_enable: bool = false, "coldCtrStrategyEnable";
        /// Look back on ten periods of five seconds for that, and aim at 80 percent.
        use_pid_cold_ctr_strategy: bool = true, "usePIDColdCtrStrategy";
        /// Bytes of queue entries that one pull may look through.
        max_filter_message_size: usize = 16_000, "maxFilterMessageSize", restart;
        /// Let consumers choose messages by SQL 92 expressions over their properties.
        enable_property_filter: bool = false, "enablePropertyFilter";
        /// Choose also among messages that come again, by what the group wants of the topic they were sent to.
        filter_support_retry: bool = false, "filterSupportRetry";
        /// The expression of a group that has no members is kept this long.
        filter_data_clean_time_span: Millis = Millis::new(24 * 3_600_000), "filterDataCleanTimeSpan";
        /// Groups with expressions that a Java broker on the same files is to expect; it sizes the filter whose places
        /// `consumerFilter.json` holds.
        expect_consumer_num_use_filter: u32 = 32, "expectConsumerNumUseFilter", restart;
        /// Percent of groups that this filter may take for others, 1 to 99.
        max_error_rate_of_bloom_filter: u32 = 20, "maxErrorRateOfBloomFilter", restart;

        /// Store replies to requests, too, beside passing them on to who asked.
        store_reply_message_enable: bool = true, "storeReplyMessageEnable";

        // Pops.

        /// Queues of the revive log, which leases are spread over; those of a folder must not become fewer while
        /// there are leases.
        revive_queue_num: i32 = 8, "reviveQueueNum", restart;
        /// Time between two looks for leases that are over.
        revive_interval: Millis = Millis::new(1000), "reviveInterval", restart;
        /// Name retry topics of pops `%RETRY%group+topic` instead of `%RETRY%group_topic`.
        enable_retry_topic_v2: bool = false, "enableRetryTopicV2";
        /// With `enableRetryTopicV2`, pop from those of the older name as well.
        retrieve_message_from_pop_retry_topic_v1: bool = true, "retrieveMessageFromPopRetryTopicV1";
        /// Percent of the pops that look at the retry topic first; the others look there last.
        pop_from_retry_probability: i32 = 20, "popFromRetryProbability";
        /// The same of topics with priorities (`message.type=PRIORITY`).
        pop_from_retry_probability_for_priority: i32 = 0, "popFromRetryProbabilityForPriority";
        /// Of such a topic, messages of the highest priority are popped first; if this is false, those of the lowest.
        priority_order_asc: bool = true, "priorityOrderAsc";
        /// Give messages of a retry topic under that topic, instead of under the one they were sent to.
        pop_response_return_actual_retry_topic: bool = false, "popResponseReturnActualRetryTopic";
        /// A group that is new to a queue begins at its first message as long as that is likely cached.
        init_pop_offset_by_check_msg_in_mem: bool = true, "initPopOffsetByCheckMsgInMem";
        /// Give no more of a queue to a group that has more than `popInflightMessageThreshold` of its messages under lease.
        enable_pop_message_threshold: bool = false, "enablePopMessageThreshold";
        /// See `enablePopMessageThreshold`.
        pop_inflight_message_threshold: i64 = 10_000, "popInflightMessageThreshold";
        /// Pops of one group that may wait for one queue of a topic, or for any.
        pop_polling_size: usize = 1024, "popPollingSize";
        /// Pops that may wait at a time.
        max_pop_polling_size: usize = 100_000, "maxPopPollingSize";
        /// How groups consume that nobody has set a mode for: `PULL` or `POP`.
        default_message_request_mode: DefaultRequestMode = DefaultRequestMode::Pull, "defaultMessageRequestMode";
        /// Members of such a group that share the queues of one; 0 or less: all share all.
        default_pop_share_queue_num: i32 = -1, "defaultPopShareQueueNum";
        /// Divide queues among the members of a group that ask the broker to; if not, each gets all.
        server_load_balancer_enable: bool = true, "serverLoadBalancerEnable";

        // Offsets, retries and delays.

        /// Time between two saves of consumer offsets.
        flush_consumer_offset_interval: Millis = Millis::new(5000), "flushConsumerOffsetInterval";
        /// Offset commits after which the version of the offset table grows.
        consumer_offset_update_version_step: i64 = 500, "consumerOffsetUpdateVersionStep";
        /// Reset offsets here, instead of telling the consumers to.
        use_server_side_reset_offset: bool = true, "useServerSideResetOffset";
        /// What delay levels 1, 2, … stand for; must be the same on all brokers.
        message_delay_level: String = DELAY_LEVELS.to_owned(), "messageDelayLevel", restart;
        /// Time between two saves of how far each delay level is.
        flush_delay_offset_interval: Millis = Millis::new(10_000), "flushDelayOffsetInterval";
        /// Saves after which the version of the delay offset table grows.
        delay_offset_update_version_step: i64 = 200, "delayOffsetUpdateVersionStep";
        /// Count delayed messages in the figures when they are delivered.
        enable_schedule_message_stats: bool = true, "enableScheduleMessageStats";

        // Timed messages.

        /// Take messages with a delivery time of their own.
        timer_wheel_enable: bool = true, "timerWheelEnable", restart;
        /// Longest time that a message may wait, in seconds; may be years.
        timer_max_delay_sec: i64 = 3 * 24 * 3600, "timerMaxDelaySec";
        /// Time that a slot of the timer stands for; taken as 100, 200, 500 or 1000 ms. Must stay the same while messages wait.
        timer_precision_ms: Millis = Millis::new(1000), "timerPrecisionMs", restart;
        /// Slots from now within which a message waits in its own one; one further ahead is stored again from there. Must be
        /// shorter than messages are kept. Other values than 2 to 604740 are taken as the latter.
        timer_roll_window_slot: i64 = 2 * 24 * 3600, "timerRollWindowSlot", restart;
        /// Size of each file of the timer log, in bytes; must be that of the files there are.
        mapped_file_size_timer_log: u64 = 100 << 20, "mappedFileSizeTimerLog", restart;
        /// Time between two flushes of the timer's files.
        timer_flush_interval_ms: Millis = Millis::new(1000), "timerFlushIntervalMs";
        /// Messages in one slot above which some more, and from twice as many all more, are refused.
        timer_congest_num_each_slot: i64 = i32::MAX as i64, "timerCongestNumEachSlot";
        /// Leave new timed messages where they are, so that none is delivered before this is false again.
        timer_stop_enqueue: bool = false, "timerStopEnqueue";
        /// Let producers take back timed messages.
        recall_message_enable: bool = false, "recallMessageEnable";
        /// A message that takes another one back names its topic, too, so that none of another topic with the same key goes
        /// with it. Either kind is understood, here and, by Java, the one of its own setting.
        append_topic_for_timer_delete_key: bool = false, "appendTopicForTimerDeleteKey";
        /// Let them also while `brokerPermission` forbids writing.
        allow_recall_when_broker_not_writeable: bool = true, "allowRecallWhenBrokerNotWriteable";

        // Figures.

        /// `PROM` shows metrics to Prometheus by HTTP, and whether this broker is ready (`docs/metrics.md`); `DISABLE` shows
        /// none. Java's `OTLP_GRPC` and `LOG` are not there yet.
        metrics_exporter_type: MetricsExporterType = MetricsExporterType::Disable, "metricsExporterType", restart;
        /// Port of that.
        metrics_prom_exporter_port: u16 = 5557, "metricsPromExporterPort", restart;
        /// Address or name to listen on for that. If empty, `brokerIP1`.
        metrics_prom_exporter_host: String = String::new(), "metricsPromExporterHost", restart;
        /// Labels of all metrics besides those that they have, `name:value,name:value`.
        metrics_label: String = String::new(), "metricsLabel", restart;
        /// Show the permission, topics and consumer groups.
        enable_stats_metrics: bool = true, "enableStatsMetrics", restart;
        /// Show what consumers get.
        enable_request_metrics: bool = true, "enableRequestMetrics", restart;
        /// Show which clients are connected.
        enable_connection_metrics: bool = true, "enableConnectionMetrics", restart;
        /// Show how many messages became dead letters.
        enable_lag_and_dlq_metrics: bool = true, "enableLagAndDlqMetrics", restart;
        /// Show the store.
        enable_message_store_metrics: bool = true, "enableMessageStoreMetrics", restart;
        /// Count per queue, not only per topic and group.
        enable_detail_stat: bool = true, "enableDetailStat";

        // Store.

        /// Folder of everything the broker keeps. Unless set, `store` in the home folder, or in `./data` for
        /// `ferromq standalone`.
        store_path_root_dir: PathBuf = "store".into(), "storePathRootDir", important, restart, machine;
        /// Folder of the commit log. Unless set, `commitlog` in `storePathRootDir`.
        store_path_commit_log: Option<PathBuf> = None, "storePathCommitLog", important, restart;
        /// Size of each commit log file, in bytes; must be that of the files there are.
        mapped_file_size_commit_log: u64 = 1 << 30, "mappedFileSizeCommitLog", restart;
        /// Size of each consume queue file, in bytes; must be that of the files there are.
        mapped_file_size_consume_queue: u64 = 6_000_000, "mappedFileSizeConsumeQueue", restart;
        /// Size of each file of a queue of a topic with `queue.type=BatchCQ`, in bytes; must be that of the files there are.
        mapper_file_size_batch_consume_queue: u64 = 13_800_000, "mapperFileSizeBatchConsumeQueue", restart;
        /// `ASYNC_FLUSH` answers a send once the message is written, `SYNC_FLUSH` once it is surely on disk.
        flush_disk_type: FlushDiskType = FlushDiskType::AsyncFlush, "flushDiskType", important, restart;
        /// Time between two looks at what to flush under `ASYNC_FLUSH`.
        flush_interval_commit_log: Millis = Millis::new(500), "flushIntervalCommitLog", important, restart;
        /// Pages of 4 KiB that must wait before a look flushes them.
        flush_commit_log_least_pages: u64 = 4, "flushCommitLogLeastPages", restart;
        /// After this long all is flushed, however little it is.
        flush_commit_log_thorough_interval: Millis = Millis::new(10_000), "flushCommitLogThoroughInterval", restart;
        /// A send waits at most this long for one before it that the disk keeps from being written; those behind it are then
        /// answered `SYSTEM_BUSY` at once, until the disk writes again.
        os_page_cache_busy_time_out_mills: Millis = Millis::new(1000), "osPageCacheBusyTimeOutMills", restart;
        /// Longest time a send waits under `SYNC_FLUSH`; then it is answered `FLUSH_DISK_TIMEOUT`.
        sync_flush_timeout: Millis = Millis::new(5000), "syncFlushTimeout", restart;
        /// As `flushIntervalCommitLog`, for consume queues.
        flush_interval_consume_queue: Millis = Millis::new(1000), "flushIntervalConsumeQueue", restart;
        /// As `flushCommitLogLeastPages`, for consume queues.
        flush_consume_queue_least_pages: u64 = 2, "flushConsumeQueueLeastPages", restart;
        /// As `flushCommitLogThoroughInterval`, for consume queues.
        flush_consume_queue_thorough_interval: Millis = Millis::new(60_000), "flushConsumeQueueThoroughInterval", restart;
        /// Check the body of every message that is walked over after a crash.
        check_crc_on_recover: bool = true, "checkCRCOnRecover", restart;
        /// Store with every message a checksum over all of it, not only over its body.
        enabled_append_prop_crc: bool = false, "enabledAppendPropCRC", restart;
        /// Check that checksum of every message that is walked over after a crash; one without it ends the log.
        force_verify_prop_crc: bool = false, "forceVerifyPropCRC", restart;
        /// Topics and groups named `%LMQ%…` exist without being created; needs `enableMultiDispatch` for messages to get there.
        enable_lmq: bool = false, "enableLmq", restart;
        /// Messages go into the light queues that they name (`INNER_MULTI_DISPATCH`), too; needs `enableLmq`.
        enable_multi_dispatch: bool = false, "enableMultiDispatch", restart;
        /// Count what goes in and out of each light queue, and not only of all together.
        enable_lmq_stats: bool = false, "enableLmqStats", restart;
        /// Keep an index, by which messages are found by key.
        message_index_enable: bool = true, "messageIndexEnable", restart;
        /// Keep it in index files, which is the only kind here.
        index_file_write_enable: bool = true, "indexFileWriteEnable", restart;
        /// Answer queries by key from the index files.
        index_file_read_enable: bool = true, "indexFileReadEnable";
        /// A start waits until the index is complete, instead of completing it while the broker serves.
        message_index_safe: bool = false, "messageIndexSafe", restart;
        /// Slots of each index file; must be those of the files there are.
        max_hash_slot_num: u32 = 5_000_000, "maxHashSlotNum", restart;
        /// Keys in each index file and one more; must be that of the files there are.
        max_index_num: u32 = 20_000_000, "maxIndexNum", restart;
        /// Most messages in the answer to a query by unique key.
        default_query_max_num: i32 = 32, "defaultQueryMaxNum";
        /// Most messages in the answer to any query by key.
        max_msgs_num_batch: usize = 64, "maxMsgsNumBatch";

        // Retention.

        /// A file of the commit log is deleted when it was last written to this many hours ago.
        file_reserved_time: Hours = Hours::new(72), "fileReservedTime";
        /// Hours of the day, local time, in which expired files are deleted without need, separated by `;`.
        delete_when: String = "04".to_owned(), "deleteWhen";
        /// Time between two looks at the disk and at what has expired.
        clean_resource_interval: Millis = Millis::new(10_000), "cleanResourceInterval";
        /// Most files of the commit log that are deleted at one such time.
        delete_file_batch_max: usize = 10, "deleteFileBatchMax";
        /// Pause between two deleted files of the commit log.
        delete_commit_log_files_interval: Millis = Millis::new(100), "deleteCommitLogFilesInterval";
        /// Pause behind each consume queue that files were deleted of.
        delete_consume_queue_files_interval: Millis = Millis::new(100), "deleteConsumeQueueFilesInterval";
        /// A deleted file that is still being read after this is logged; its space is free once it is not.
        destroy_maped_file_interval_forcibly: Millis = Millis::new(120_000), "destroyMapedFileIntervalForcibly";
        /// Time until a deletion that failed is tried again.
        redelete_hanged_file_interval: Millis = Millis::new(120_000), "redeleteHangedFileInterval";
        /// Used percent of the disk above which expired files are deleted at any hour; taken as 10 to 95.
        disk_max_used_space_ratio: u32 = 75, "diskMaxUsedSpaceRatio";
        /// Used percent above which files are deleted also before they have expired; taken as 30 to 85.
        disk_space_clean_forcibly_ratio: u32 = 85, "diskSpaceCleanForciblyRatio";
        /// Used percent above which messages are refused; taken as 35 to 90.
        disk_space_warning_level_ratio: u32 = 90, "diskSpaceWarningLevelRatio";
        /// Delete files before they have expired when the disk is nearly full.
        clean_file_forcibly_enable: bool = true, "cleanFileForciblyEnable";
        /// Brokers that share the disk; above 1, what this one stores is held against its part of the disk.
        replicas_per_disk_partition: u32 = 1, "replicasPerDiskPartition";
        /// Used share of that part, 0 to 1, above which files are deleted also before they have expired.
        logical_disk_space_clean_forcibly_threshold: f64 = 0.8, "logicalDiskSpaceCleanForciblyThreshold";
    }
}

const DELAY_LEVELS: &str = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";
