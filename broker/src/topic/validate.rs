//! What topics and groups may be called, and which topics are the broker's own. Java: `TopicValidator`, `MixAll`.

use std::collections::BTreeSet;

use remoting::types::TopicName;

use crate::config::BrokerConfig;
use crate::context::{Context, Identity};

pub(crate) const RETRY_PREFIX: &str = "%RETRY%";
pub(crate) const DLQ_PREFIX: &str = "%DLQ%";
/// Of topics that are light queues, and of groups that read them. Java: `MixAll.LMQ_PREFIX`.
pub(crate) const LIGHT_PREFIX: &str = store::LIGHT_PREFIX;
/// Every topic that begins so is a system topic.
const SYSTEM_PREFIX: &str = "rmq_sys_";
/// Groups of the system, created on demand also where creation is off.
const SYSTEM_GROUP_PREFIX: &str = "CID_RMQ_SYS_";

/// The template of topics that are created by sending to them.
pub(crate) const TEMPLATE_TOPIC: &str = "TBW102";
pub(crate) const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
pub(crate) const BENCHMARK_TOPIC: &str = "BenchmarkTest";
pub(crate) const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
pub(crate) const OP_HALF_TOPIC: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
pub(crate) const ROCKSDB_HALF_TOPIC: &str = "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC";
pub(crate) const ROCKSDB_OP_HALF_TOPIC: &str = "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC";
pub(crate) const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
pub(crate) const CHECK_MAX_TIME_TOPIC: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
pub(crate) const SELF_TEST_TOPIC: &str = "SELF_TEST_TOPIC";
pub(crate) const OFFSET_MOVED_TOPIC: &str = "OFFSET_MOVED_EVENT";
pub(crate) const CHECKPOINT_TOPIC: &str = "CHECKPOINT_TOPIC";
pub(crate) const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";

const SYSTEM_TOPICS: [&str; 13] = [
    TEMPLATE_TOPIC,
    SCHEDULE_TOPIC,
    BENCHMARK_TOPIC,
    HALF_TOPIC,
    TRACE_TOPIC,
    OP_HALF_TOPIC,
    CHECK_MAX_TIME_TOPIC,
    SELF_TEST_TOPIC,
    OFFSET_MOVED_TOPIC,
    CHECKPOINT_TOPIC,
    ROCKSDB_HALF_TOPIC,
    ROCKSDB_OP_HALF_TOPIC,
    TIMER_TOPIC,
];

const UNSENDABLE_TOPICS: [&str; 8] = [
    SCHEDULE_TOPIC,
    HALF_TOPIC,
    OP_HALF_TOPIC,
    CHECK_MAX_TIME_TOPIC,
    SELF_TEST_TOPIC,
    OFFSET_MOVED_TOPIC,
    ROCKSDB_HALF_TOPIC,
    ROCKSDB_OP_HALF_TOPIC,
];

const TOPIC_CHARS_MAX: usize = 127;
const RETRY_TOPIC_CHARS_MAX: usize = 255;
/// Room is left for the retry and dead-letter topics made of it.
const GROUP_CHARS_MAX: usize = 120;

/// A name that cannot be; its text is the remark Java gives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("The specified {what} is blank.")]
    Blank { what: &'static str },
    #[error("The specified {what}: {name}, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")]
    Characters { what: &'static str, name: String },
    #[error("The specified {what}: {name}, is longer than {what} max length: {max}")]
    Length { what: &'static str, name: String, max: usize },
    #[error(
        "The specified topic is DLQ or Retry topic: {name}, and it's longer than topic max length: {RETRY_TOPIC_CHARS_MAX}"
    )]
    RetryLength { name: String },
}

/// # Errors
/// [`NameError`]. Java: `TopicValidator.validateTopic`.
pub(crate) fn check_topic(topic: &str) -> Result<(), NameError> {
    check_characters("topic", topic)?;
    let chars = topic.len();
    if is_retry_or_dead_letter(topic) {
        if chars > RETRY_TOPIC_CHARS_MAX {
            return Err(NameError::RetryLength { name: topic.to_owned() });
        }
    } else if chars > TOPIC_CHARS_MAX {
        return Err(NameError::Length { what: "topic", name: topic.to_owned(), max: TOPIC_CHARS_MAX });
    }
    Ok(())
}

/// # Errors
/// [`NameError`]. Java: `TopicValidator.validateGroup`.
pub(crate) fn check_group(group: &str) -> Result<(), NameError> {
    check_characters("group", group)?;
    if group.len() > GROUP_CHARS_MAX {
        return Err(NameError::Length { what: "group", name: group.to_owned(), max: GROUP_CHARS_MAX });
    }
    Ok(())
}

/// After this, characters and bytes are the same number.
fn check_characters(what: &'static str, name: &str) -> Result<(), NameError> {
    if name.trim().is_empty() {
        return Err(NameError::Blank { what });
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'|' | b'_' | b'-')) {
        return Err(NameError::Characters { what, name: name.to_owned() });
    }
    Ok(())
}

/// Whether clients may send to the topic. Java: `TopicValidator.isNotAllowedSendTopic`.
pub(crate) fn is_sendable(topic: &str) -> bool {
    !UNSENDABLE_TOPICS.contains(&topic)
}

/// Java: `MixAll.isSysConsumerGroup`.
pub(crate) fn is_system_group(group: &str) -> bool {
    group.starts_with(SYSTEM_GROUP_PREFIX)
}

/// The retry topic of a group. Java: `MixAll.getRetryTopic`.
pub(crate) fn retry_topic(group: &str) -> TopicName {
    format!("{RETRY_PREFIX}{group}").into()
}

/// The dead-letter topic of a group. Java: `MixAll.getDLQTopic`.
pub(crate) fn dead_letter_topic(group: &str) -> TopicName {
    format!("{DLQ_PREFIX}{group}").into()
}

/// The two retry topics of POP.
pub(crate) fn pop_retry_topics(group: &str, topic: &str) -> [TopicName; 2] {
    [true, false].map(|v2| pop_retry_topic(group, topic, v2))
}

/// The retry topic of POP; version 2 is that of 5.x. Java: `KeyBuilder.buildPopRetryTopic`.
pub(crate) fn pop_retry_topic(group: &str, topic: &str, v2: bool) -> TopicName {
    format!("{RETRY_PREFIX}{group}{}{topic}", if v2 { '+' } else { '_' }).into()
}

/// Names of system topics that depend on what the broker is called.
pub(crate) struct OwnTopics {
    pub(crate) cluster: TopicName,
    pub(crate) broker: TopicName,
    pub(crate) reply: TopicName,
    pub(crate) revive: TopicName,
    pub(crate) sync_member: TopicName,
}

impl OwnTopics {
    pub(crate) fn of(identity: &Identity) -> Self {
        Self::named(&identity.cluster, &identity.name)
    }

    fn named(cluster: &str, broker: &str) -> Self {
        Self {
            cluster: TopicName::new(cluster),
            broker: TopicName::new(broker),
            reply: format!("{cluster}_REPLY_TOPIC").into(),
            revive: format!("rmq_sys_REVIVE_LOG_{cluster}").into(),
            sync_member: format!("rmq_sys_SYNC_BROKER_MEMBER_{broker}").into(),
        }
    }
}

/// Whether a topic belongs to a broker of this name in this cluster, of whatever settings: not so a topic for traces that has another
/// name than usual. Java: `TopicValidator.isSystemTopic`.
pub fn is_system_topic(topic: &str, cluster: &str, broker: &str) -> bool {
    let OwnTopics { cluster, broker, reply, revive, sync_member } = OwnTopics::named(cluster, broker);
    let own = [cluster, broker, reply, revive, sync_member];
    topic.starts_with(SYSTEM_PREFIX) || SYSTEM_TOPICS.contains(&topic) || own.iter().any(|name| name == topic)
}

/// Whether messages come back to consumers by this topic, or end there. Java: `MixAll`.
pub fn is_retry_or_dead_letter(topic: &str) -> bool {
    topic.starts_with(RETRY_PREFIX) || topic.starts_with(DLQ_PREFIX)
}

/// The topics that belong to the broker itself. Java: `TopicValidator.SYSTEM_TOPIC_SET`.
#[derive(Clone, Debug)]
pub(crate) struct SystemTopics {
    names: BTreeSet<TopicName>,
}

impl SystemTopics {
    pub(crate) fn of(ctx: &Context) -> Self {
        Self::new(&ctx.identity, &ctx.settings())
    }

    fn new(identity: &Identity, settings: &BrokerConfig) -> Self {
        let own = OwnTopics::of(identity);
        let mut names: BTreeSet<_> = SYSTEM_TOPICS.into_iter().map(TopicName::new).collect();
        names.extend([own.cluster, own.broker, own.reply, own.revive, own.sync_member]);
        if settings.trace_topic_enable {
            names.insert(settings.msg_trace_topic_name.clone());
        }
        Self { names }
    }

    /// Java: `TopicValidator.isSystemTopic`.
    pub(crate) fn contains(&self, topic: &str) -> bool {
        topic.starts_with(SYSTEM_PREFIX) || self.names.contains(topic)
    }

    pub(crate) fn names(&self) -> &BTreeSet<TopicName> {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(checked: Result<(), NameError>) -> String {
        checked.map_or_else(|err| err.to_string(), |()| String::new())
    }

    #[test]
    fn topic_names_are_refused_in_javas_words() {
        let check = |topic: &str, expect: &str| assert_eq!(refusal(check_topic(topic)), expect);
        check("Order-1_%|x", "");
        check(&"a".repeat(127), "");
        check(&format!("%RETRY%{}", "a".repeat(248)), "");
        check("", "The specified topic is blank.");
        check("  ", "The specified topic is blank.");
        check("a+b", "The specified topic: a+b, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$");
        check("tää", "The specified topic: tää, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$");
        let long = "a".repeat(128);
        check(&long, &format!("The specified topic: {long}, is longer than topic max length: 127"));
        let long = format!("%DLQ%{}", "a".repeat(251));
        check(
            &long,
            &format!("The specified topic is DLQ or Retry topic: {long}, and it's longer than topic max length: 255"),
        );
    }

    #[test]
    fn group_names_are_refused_in_javas_words() {
        let check = |group: &str, expect: &str| assert_eq!(refusal(check_group(group)), expect);
        check(&"g".repeat(120), "");
        check(" ", "The specified group is blank.");
        let long = "g".repeat(121);
        check(&long, &format!("The specified group: {long}, is longer than group max length: 120"));
        check("a.b", "The specified group: a.b, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$");
    }

    #[test]
    fn clients_send_to_no_internal_topic() {
        for topic in ["SCHEDULE_TOPIC_XXXX", "RMQ_SYS_TRANS_HALF_TOPIC", "OFFSET_MOVED_EVENT", "SELF_TEST_TOPIC"] {
            assert!(!is_sendable(topic), "{topic}");
        }
        for topic in ["TBW102", "BenchmarkTest", "RMQ_SYS_TRACE_TOPIC", "%RETRY%g", "%DLQ%g", "rmq_sys_x", "T"] {
            assert!(is_sendable(topic), "{topic}");
        }
    }
}
