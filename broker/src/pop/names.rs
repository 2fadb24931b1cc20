//! Names that POP gives things.

use remoting::types::TopicName;

use crate::config::BrokerConfig;
use crate::topic::validate::{RETRY_PREFIX, pop_retry_topic};

/// Its offsets in the revive log are how far that was worked off. Java: `PopAckConstants.REVIVE_GROUP`.
pub(crate) const REVIVE_GROUP: &str = "CID_RMQ_SYS_REVIVE_GROUP";

/// The revive queue in the handles of ordered pops. Java: `KeyBuilder.POP_ORDER_REVIVE_QUEUE`.
pub(super) const ORDER_QUEUE: i32 = 999;

/// What a queue that is popped belongs to, as handles spell it. Java: `ExtraInfoUtil.getRetry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    RetryV1,
    RetryV2,
}

impl Kind {
    pub(super) fn of(topic: &str) -> Self {
        match topic.strip_prefix(RETRY_PREFIX) {
            None => Self::Normal,
            Some(rest) if rest.contains('+') => Self::RetryV2,
            Some(_) => Self::RetryV1,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Normal => "0",
            Self::RetryV1 => "1",
            Self::RetryV2 => "2",
        }
    }

    /// The topic of this kind that belongs to `topic`. Java: `ExtraInfoUtil.getRealTopic`.
    pub(super) fn topic(text: &str, topic: &TopicName, group: &str) -> Option<TopicName> {
        match text {
            "0" => Some(topic.clone()),
            "1" => Some(pop_retry_topic(group, topic, false)),
            "2" => Some(pop_retry_topic(group, topic, true)),
            _ => None,
        }
    }
}

/// The retry topics that are popped along with a topic; a retry topic has none.
pub(super) fn retry_topics_on(group: &str, topic: &str, settings: &BrokerConfig) -> impl Iterator<Item = TopicName> {
    let v2_on = settings.enable_retry_topic_v2;
    let v1_on = !v2_on || settings.retrieve_message_from_pop_retry_topic_v1;
    let versions = [(true, v2_on), (false, v1_on)].into_iter();
    let versions = versions.filter(|(_, on)| *on && !topic.starts_with(RETRY_PREFIX));
    versions.map(|(v2, _)| pop_retry_topic(group, topic, v2))
}

/// The topic that a group pops with this one; itself, if it is no retry topic. Java: `KeyBuilder.parseNormalTopic`.
pub(super) fn normal_topic<'a>(topic: &'a str, group: &str) -> &'a str {
    let own = topic.strip_prefix(RETRY_PREFIX).and_then(|rest| rest.strip_prefix(group));
    own.and_then(|rest| rest.strip_prefix(['+', '_'])).unwrap_or(topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_topics_lead_back_to_the_topic() {
        for v2 in [false, true] {
            let retry = pop_retry_topic("g_1", "my_topic", v2);
            assert_eq!(normal_topic(&retry, "g_1"), "my_topic");
            let kind = Kind::of(&retry);
            assert_eq!(kind, if v2 { Kind::RetryV2 } else { Kind::RetryV1 });
            assert_eq!(Kind::topic(kind.text(), &"my_topic".into(), "g_1"), Some(retry));
        }
        assert_eq!(normal_topic("T", "g"), "T");
        assert_eq!(normal_topic("%RETRY%g", "g"), "%RETRY%g");
        assert_eq!(Kind::topic("3", &"T".into(), "g"), None);
    }
}
