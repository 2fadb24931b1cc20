//! Attributes a group may have. Java: `SubscriptionGroupAttributes.ALL`.

use crate::topic::{Attribute, Rule};

/// Percent of a group's pops of a topic with priorities that go by them.
pub(crate) const PRIORITY_FACTOR: &str = "priority.factor";

pub(super) const GROUP_ATTRIBUTES: &[Attribute] = &[
    Attribute { key: PRIORITY_FACTOR, changeable: true, rule: Rule::Within(0, 100) },
    Attribute { key: "lite.bind.topic", changeable: true, rule: Rule::Text },
    Attribute { key: "lite.sub.model", changeable: true, rule: Rule::OneOf(&["Shared", "Exclusive"]) },
    Attribute { key: "lite.sub.reset.offset.exclusive", changeable: true, rule: Rule::Boolean },
    Attribute { key: "lite.sub.reset.offset.unsubscribe", changeable: true, rule: Rule::Boolean },
    Attribute { key: "lite.sub.client.quota", changeable: true, rule: Rule::Within(-1, i64::MAX) },
    Attribute { key: "lite.sub.client.max.event.cnt", changeable: true, rule: Rule::Within(10, i64::MAX) },
    Attribute { key: "lite.sub.wildcard", changeable: true, rule: Rule::Text },
];
