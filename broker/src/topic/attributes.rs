//! Attributes of topics and groups: `+key=value,-key` as tools send it, checked against the keys there are.
//!
//! Java: `AttributeParser`, `AttributeUtil`, `TopicAttributes`. Refusals carry Java's words.

use std::collections::{BTreeMap, BTreeSet};

/// An attribute that may be set.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub(crate) key: &'static str,
    /// Whether it may be changed after the creation.
    pub(crate) changeable: bool,
    pub(crate) rule: Rule,
}

/// What values an attribute takes.
#[derive(Debug)]
pub(crate) enum Rule {
    OneOf(&'static [&'static str]),
    Within(i64, i64),
    Boolean,
    Text,
}

pub(crate) const MESSAGE_TYPE: &str = "message.type";
/// Java: `TopicAttributes.CLEANUP_POLICY_ATTRIBUTE`.
pub(crate) const CLEANUP_POLICY: &str = "cleanup.policy";
pub(super) const MIXED: &str = "MIXED";
/// Hours for which the topic keeps messages, if they are fewer than those of the log; −1 and 0: as long as the log.
pub(crate) const RESERVE_TIME: &str = "reserve.time";

/// Java: `TopicAttributes.ALL`.
pub(super) const TOPIC_ATTRIBUTES: &[Attribute] = &[
    Attribute { key: "queue.type", changeable: false, rule: Rule::OneOf(&["BatchCQ", "SimpleCQ"]) },
    Attribute { key: CLEANUP_POLICY, changeable: false, rule: Rule::OneOf(&["DELETE", "COMPACTION"]) },
    Attribute {
        key: MESSAGE_TYPE,
        changeable: true,
        rule: Rule::OneOf(&["UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION", "PRIORITY", "LITE", MIXED]),
    },
    Attribute { key: RESERVE_TIME, changeable: true, rule: Rule::Within(-1, i64::MAX) },
    Attribute { key: "lite.topic.expiration", changeable: true, rule: Rule::Within(-1, 30 * 24 * 60) },
];

/// Values that Java takes and that would be a promise we do not keep, with the reason.
const NOT_KEPT: &[(&str, &str, &str)] = &[
    (CLEANUP_POLICY, "COMPACTION", "queues are not compacted here: consumers would get all messages of a key"),
    (MESSAGE_TYPE, "LITE", "lite topics are not there yet: no proxy could consume them"),
];

/// Why attributes are refused; its text is the remark Java gives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    #[error("add/alter attribute format is wrong: {0}")]
    AddFormat(String),
    #[error("delete attribute format is wrong: {0}")]
    DeleteFormat(String),
    #[error("key duplication: {0}")]
    Repeated(String),
    #[error("kv string format wrong.")]
    Key,
    #[error("alter duplication key. key: {0}")]
    AlteredTwice(String),
    #[error("only add attribute is supported while creating topic. key: {0}")]
    OnlyAddAtCreation(String),
    #[error("attempt to delete a nonexistent key: {0}")]
    DeletedIsAbsent(String),
    #[error("wrong format key: {0}")]
    NoSign(String),
    #[error("unsupported key: {0}")]
    Unsupported(String),
    #[error("attempt to update an unchangeable attribute. key: {0}")]
    Unchangeable(String),
    #[error("value is not in set: [{}]", .0.join(", "))]
    NotOneOf(&'static [&'static str]),
    #[error("value is not in range({0}, {1})")]
    NotWithin(i64, i64),
    #[error("For input string: \"{0}\"")]
    NotANumber(String),
    #[error("boolean attribute format is wrong.")]
    NotABoolean,
    /// Java takes it.
    #[error("{key}={value} is not supported: {reason}")]
    NotKept { key: &'static str, value: &'static str, reason: &'static str },
}

/// Changes by key, the sign included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AttributeChanges(BTreeMap<String, String>);

impl AttributeChanges {
    /// Reads `+key=value,-key`.
    ///
    /// # Errors
    /// [`AttributeError`]. Java: `AttributeParser.parseToMap`.
    pub(crate) fn parse(text: &str) -> Result<Self, AttributeError> {
        let mut changes = BTreeMap::new();
        for item in text.split(',').filter(|_| !text.is_empty()) {
            let (key, value) = match item.split_once('=') {
                Some((key, value)) if key.contains('+') => (key, value),
                Some((key, _)) => return Err(AttributeError::AddFormat(key.to_owned())),
                None if item.contains('-') => (item, ""),
                None => return Err(AttributeError::DeleteFormat(item.to_owned())),
            };
            if changes.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(AttributeError::Repeated(key.to_owned()));
            }
        }
        Ok(Self(changes))
    }

    /// Keys with their signs, as bodies carry them.
    pub(crate) fn signed(changes: BTreeMap<String, String>) -> Self {
        Self(changes)
    }

    pub(super) fn adds(&self, key: &str, value: &str) -> bool {
        self.0.get(&format!("+{key}")).is_some_and(|added| added == value)
    }

    /// The attributes after the changes; `current` is `None` at the creation.
    ///
    /// # Errors
    /// [`AttributeError`]. Java: `AttributeUtil.alterCurrentAttributes`.
    pub(crate) fn apply(
        &self,
        known: &[Attribute],
        current: Option<&BTreeMap<String, String>>,
    ) -> Result<BTreeMap<String, String>, AttributeError> {
        let mut altered = BTreeSet::new();
        let mut result = current.cloned().unwrap_or_default();
        for (signed, value) in &self.0 {
            let (sign, key) = split_sign(signed)?;
            if !altered.insert(key) {
                return Err(AttributeError::AlteredTwice(key.to_owned()));
            }
            match (sign, current) {
                ('+', _) => {
                    let attribute = changeable(known, key, current.is_none())?;
                    attribute.rule.check(value)?;
                    check_kept(key, value)?;
                    result.insert(key.to_owned(), value.clone());
                }
                (_, None) => return Err(AttributeError::OnlyAddAtCreation(key.to_owned())),
                ('-', Some(_)) => {
                    if result.remove(key).is_none() {
                        return Err(AttributeError::DeletedIsAbsent(key.to_owned()));
                    }
                    changeable(known, key, false)?;
                }
                (_, Some(_)) => return Err(AttributeError::NoSign(key.to_owned())),
            }
        }
        Ok(result)
    }
}

fn check_kept(key: &str, value: &str) -> Result<(), AttributeError> {
    let broken = NOT_KEPT.iter().find(|(known, not_kept, _)| (*known, *not_kept) == (key, value));
    broken.map_or(Ok(()), |&(key, value, reason)| Err(AttributeError::NotKept { key, value, reason }))
}

fn split_sign(signed: &str) -> Result<(char, &str), AttributeError> {
    let mut rest = signed.chars();
    let sign = rest.next().ok_or(AttributeError::Key)?;
    let key = rest.as_str();
    if key.is_empty() || key.contains(['+', '-']) {
        return Err(AttributeError::Key);
    }
    Ok((sign, key))
}

fn changeable<'a>(known: &'a [Attribute], key: &str, creation: bool) -> Result<&'a Attribute, AttributeError> {
    let attribute = known.iter().find(|attribute| attribute.key == key);
    let attribute = attribute.ok_or_else(|| AttributeError::Unsupported(key.to_owned()))?;
    if !creation && !attribute.changeable {
        return Err(AttributeError::Unchangeable(key.to_owned()));
    }
    Ok(attribute)
}

impl Rule {
    fn check(&self, value: &str) -> Result<(), AttributeError> {
        match self {
            Self::OneOf(values) if !values.contains(&value) => Err(AttributeError::NotOneOf(values)),
            Self::Within(min, max) => {
                let number: i64 = value.parse().map_err(|_| AttributeError::NotANumber(value.to_owned()))?;
                let within = (*min..=*max).contains(&number);
                within.then_some(()).ok_or(AttributeError::NotWithin(*min, *max))
            }
            Self::Boolean if !["true", "false"].iter().any(|word| value.eq_ignore_ascii_case(word)) => {
                Err(AttributeError::NotABoolean)
            }
            Self::OneOf(_) | Self::Boolean | Self::Text => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(text: &str, current: Option<&[(&str, &str)]>) -> String {
        let current =
            current.map(|pairs| pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect());
        let changes = AttributeChanges::parse(text);
        let result = changes.and_then(|changes| changes.apply(TOPIC_ATTRIBUTES, current.as_ref()));
        result.map_or_else(
            |err| format!("! {err}"),
            |attributes| attributes.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" "),
        )
    }

    #[test]
    fn a_new_topic_takes_added_attributes_only() {
        let check = |text: &str, expect: &str| assert_eq!(apply(text, None), expect, "{text}");
        check("", "");
        check("+message.type=FIFO,+cleanup.policy=DELETE", "cleanup.policy=DELETE message.type=FIFO");
        let reason = "queues are not compacted here: consumers would get all messages of a key";
        check("+cleanup.policy=COMPACTION", &format!("! cleanup.policy=COMPACTION is not supported: {reason}"));
        let reason = "lite topics are not there yet: no proxy could consume them";
        check("+message.type=LITE", &format!("! message.type=LITE is not supported: {reason}"));
        check("+message.type=PRIORITY", "message.type=PRIORITY");
        check("-message.type", "! only add attribute is supported while creating topic. key: message.type");
        check("message.type=FIFO", "! add/alter attribute format is wrong: message.type");
        check("message.type", "! delete attribute format is wrong: message.type");
        check("+message.type=FIFO,+message.type=DELAY", "! key duplication: +message.type");
        check("+colour=red", "! unsupported key: colour");
        check("+=red", "! kv string format wrong.");
        check("++a=red", "! kv string format wrong.");
        check("+queue.type=Fast", "! value is not in set: [BatchCQ, SimpleCQ]");
        check("+lite.topic.expiration=43201", "! value is not in range(-1, 43200)");
        check("+lite.topic.expiration=soon", "! For input string: \"soon\"");
    }

    #[test]
    fn an_old_topic_keeps_what_is_not_named() {
        let current: &[_] = &[("message.type", "FIFO"), ("queue.type", "SimpleCQ")];
        let check = |text: &str, expect: &str| assert_eq!(apply(text, Some(current)), expect, "{text}");
        check("", "message.type=FIFO queue.type=SimpleCQ");
        check("+message.type=DELAY", "message.type=DELAY queue.type=SimpleCQ");
        check("-message.type", "queue.type=SimpleCQ");
        check("-reserve.time", "! attempt to delete a nonexistent key: reserve.time");
        check("+queue.type=BatchCQ", "! attempt to update an unchangeable attribute. key: queue.type");
        check("-queue.type", "! attempt to update an unchangeable attribute. key: queue.type");
        check("+message.type=DELAY,-message.type", "! alter duplication key. key: message.type");
    }
}
