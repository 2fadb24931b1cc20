//! The topics every broker has from its first start. Java: `TopicConfigManager.init`.

use super::READ_WRITE;
use super::validate::{
    BENCHMARK_TOPIC, HALF_TOPIC, OFFSET_MOVED_TOPIC, OP_HALF_TOPIC, OwnTopics, ROCKSDB_HALF_TOPIC,
    ROCKSDB_OP_HALF_TOPIC, SCHEDULE_TOPIC, SELF_TEST_TOPIC, TEMPLATE_TOPIC, TIMER_TOPIC,
};
use crate::config::BrokerConfig;
use crate::context::Identity;
use remoting::body::TopicConfig;

const BENCHMARK_QUEUES: i32 = 1024;
const CLUSTER_QUEUES: i32 = 16;
/// One per delay level.
const SCHEDULE_QUEUES: i32 = 18;

/// In no particular order; what a saved table says about one of them counts more.
pub(super) fn topics(identity: &Identity, settings: &BrokerConfig) -> Vec<TopicConfig> {
    let own = OwnTopics::of(identity);
    let placement = |enabled: bool| if enabled { TopicConfig::INHERIT | READ_WRITE } else { TopicConfig::INHERIT };
    let one = |topic: &str| TopicConfig::new(topic, 1, READ_WRITE);
    let mut topics = vec![
        one(SELF_TEST_TOPIC),
        TopicConfig::new(BENCHMARK_TOPIC, BENCHMARK_QUEUES, READ_WRITE),
        TopicConfig::new(own.cluster, CLUSTER_QUEUES, placement(settings.cluster_topic_enable)),
        TopicConfig::new(own.broker, 1, placement(settings.broker_topic_enable)),
        one(OFFSET_MOVED_TOPIC),
        TopicConfig::new(SCHEDULE_TOPIC, SCHEDULE_QUEUES, READ_WRITE),
        one(&own.reply),
        TopicConfig::new(own.revive, settings.revive_queue_num, READ_WRITE),
        TopicConfig::new(own.sync_member, 1, TopicConfig::INHERIT),
        one(HALF_TOPIC),
        one(OP_HALF_TOPIC),
        one(ROCKSDB_HALF_TOPIC),
        one(ROCKSDB_OP_HALF_TOPIC),
    ];
    if settings.timer_wheel_enable {
        topics.push(one(TIMER_TOPIC));
    }
    if settings.auto_create_topic_enable {
        topics.push(TopicConfig::new(
            TEMPLATE_TOPIC,
            settings.default_topic_queue_nums,
            TopicConfig::INHERIT | READ_WRITE,
        ));
    }
    if settings.trace_topic_enable {
        topics.push(one(&settings.msg_trace_topic_name));
    }
    topics
}
