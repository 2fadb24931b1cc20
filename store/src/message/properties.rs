//! The properties text of a record: `name 0x01 value 0x02 name 0x01 value …`.
//!
//! The last separator may be missing (Java 4.9.1–5.1.4 leaves it out). Readers drop items without `0x01` and items with an
//! empty name or value; of equal names the last counts.
//!
//! Java: `MessageDecoder.messageProperties2String`, `MessageDecoder.string2messageProperties`.

/// Between a name and its value.
pub const NAME_VALUE_SEPARATOR: char = '\u{1}';
/// After a value.
pub const SEPARATOR: char = '\u{2}';

/// Names that RocketMQ gives a meaning. Java: `MessageConst`.
pub mod name {
    pub const KEYS: &str = "KEYS";
    pub const TAGS: &str = "TAGS";
    pub const WAIT_STORE_MSG_OK: &str = "WAIT";
    pub const DELAY_TIME_LEVEL: &str = "DELAY";
    pub const RETRY_TOPIC: &str = "RETRY_TOPIC";
    pub const REAL_TOPIC: &str = "REAL_TOPIC";
    pub const REAL_QUEUE_ID: &str = "REAL_QID";
    pub const TRANSACTION_PREPARED: &str = "TRAN_MSG";
    pub const PRODUCER_GROUP: &str = "PGROUP";
    pub const TRANSACTION_ID: &str = "__transactionId__";
    pub const TRANSACTION_CHECK_TIMES: &str = "TRANSACTION_CHECK_TIMES";
    pub const CHECK_IMMUNITY_TIME: &str = "CHECK_IMMUNITY_TIME_IN_SECONDS";
    pub const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
    pub const RECONSUME_TIME: &str = "RECONSUME_TIME";
    pub const MAX_RECONSUME_TIMES: &str = "MAX_RECONSUME_TIMES";
    pub const MSG_REGION: &str = "MSG_REGION";
    pub const TRACE_SWITCH: &str = "TRACE_ON";
    pub const UNIQ_KEY: &str = "UNIQ_KEY";
    pub const CLUSTER: &str = "CLUSTER";
    pub const INNER_NUM: &str = "INNER_NUM";
    pub const INNER_BASE: &str = "INNER_BASE";
    /// Names of light queues. Java: `PROPERTY_INNER_MULTI_DISPATCH`.
    pub const MULTI_DISPATCH: &str = "INNER_MULTI_DISPATCH";
    /// The offsets of the message there. Java: `PROPERTY_INNER_MULTI_QUEUE_OFFSET`.
    pub const MULTI_QUEUE_OFFSET: &str = "INNER_MULTI_QUEUE_OFFSET";
    pub const DLQ_ORIGIN_TOPIC: &str = "DLQ_ORIGIN_TOPIC";
    pub const DLQ_ORIGIN_MESSAGE_ID: &str = "DLQ_ORIGIN_MESSAGE_ID";
    /// The client id of the producer that waits for a reply. Java: `PROPERTY_MESSAGE_REPLY_TO_CLIENT`.
    pub const REPLY_TO_CLIENT: &str = "REPLY_TO_CLIENT";
    /// A number; messages of higher ones are popped first. Java: `PROPERTY_PRIORITY`.
    pub const PRIORITY: &str = "_SYS_MSG_PRIORITY_";
    pub const SHARDING_KEY: &str = "__SHARDINGKEY";
    pub const PUSH_REPLY_TIME: &str = "PUSH_REPLY_TIME";
    pub const CRC32: &str = "__CRC32#";
}

/// Every name and value in order; what Java's decoder drops is dropped here too.
pub fn iter(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(SEPARATOR)
        .filter_map(|item| item.split_once(NAME_VALUE_SEPARATOR))
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
}

/// The value of `name`; the last one if it is there twice.
///
/// Every message sent passes here: one walk over the bytes, which looks closely only where an item of this name may begin.
pub fn get<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let bytes = text.as_bytes();
    let (mut found, mut start) = (None, 0);
    let mut item_ends_at = |end: usize| {
        // Separators are ASCII, so an item begins and ends between characters.
        if bytes.get(start) == name.as_bytes().first() {
            let value = text[start..end].strip_prefix(name).and_then(|rest| rest.strip_prefix(NAME_VALUE_SEPARATOR));
            found = value.filter(|value| !value.is_empty()).or(found);
        }
        start = end + 1;
    };
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == SEPARATOR as u8 {
            item_ends_at(at);
        }
    }
    if bytes.last().is_some_and(|last| *last != SEPARATOR as u8) {
        item_ends_at(bytes.len());
    }
    found
}

/// Adds or replaces one property, keeping the others and their order.
pub fn set(text: &str, name: &str, value: &str) -> String {
    let mut builder = Builder::with_capacity(text.len() + name.len() + value.len() + 3);
    builder.extend_without(text, &[name]).push(name, value);
    builder.finish()
}

/// Removes one property, keeping the others and their order.
pub fn remove(text: &str, name: &str) -> String {
    let mut builder = Builder::with_capacity(text.len());
    builder.extend_without(text, &[name]);
    builder.finish()
}

/// Writes a properties text as Java 5.2 and later do, with a separator after the last value.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    text: String,
}

impl Builder {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes) }
    }

    /// Appends one property. The caller sees to it that names are unique: readers take the last.
    pub fn push(&mut self, name: &str, value: &str) -> &mut Self {
        self.text.push_str(name);
        self.text.push(NAME_VALUE_SEPARATOR);
        self.text.push_str(value);
        self.text.push(SEPARATOR);
        self
    }

    /// Appends an encoded text as it is.
    pub fn extend(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        if !text.is_empty() && !text.ends_with(SEPARATOR) {
            self.text.push(SEPARATOR);
        }
        self
    }

    /// Appends an encoded text without the properties named.
    pub fn extend_without(&mut self, text: &str, names: &[&str]) -> &mut Self {
        for (name, value) in iter(text).filter(|(name, _)| !names.contains(name)) {
            self.push(name, value);
        }
        self
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_endings_read_the_same() {
        for text in ["A\u{1}1\u{2}B\u{1}2", "A\u{1}1\u{2}B\u{1}2\u{2}"] {
            assert_eq!(iter(text).collect::<Vec<_>>(), [("A", "1"), ("B", "2")]);
        }
    }

    #[test]
    fn broken_items_are_dropped_and_the_last_of_a_name_counts() {
        let text = "A\u{1}1\u{2}nothing\u{2}EMPTY\u{1}\u{2}\u{1}x\u{2}TWO\u{1}x\u{1}y\u{2}A\u{1}2\u{2}";
        assert_eq!(iter(text).collect::<Vec<_>>(), [("A", "1"), ("TWO", "x\u{1}y"), ("A", "2")]);
        assert_eq!(get(text, "A"), Some("2"));
        assert_eq!(get(text, "EMPTY"), None);
        assert_eq!(get("", "A"), None);
    }

    #[test]
    fn set_replaces_and_remove_forgets() {
        let text = "A\u{1}1\u{2}B\u{1}2";
        assert_eq!(set(text, "A", "3"), "B\u{1}2\u{2}A\u{1}3\u{2}");
        assert_eq!(remove(text, "B"), "A\u{1}1\u{2}");
        assert_eq!(set("", "A", "1"), "A\u{1}1\u{2}");
    }
}
