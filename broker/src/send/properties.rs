//! What a send's properties say, found in one pass, and the text that is stored.
//!
//! Java reads them into a map and writes the map out in its own order; here the text is kept as it came and added to,
//! unless something in it must go. Java: `SendMessageProcessor`, `AbstractSendMessageProcessor.buildMsgContext`, `HookUtils`.

use remoting::types::{QueueId, TopicName};
use store::message::properties::{NAME_VALUE_SEPARATOR, SEPARATOR, name};

use crate::config::BrokerConfig;
use crate::delay::Until;
use crate::delay::timing::{self, Timing};

/// Internal to POP; from a client it would be a forgery.
const POP_CK: &str = "POP_CK";

/// What the broker needs to know of the properties of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    pub(crate) unique_key: Option<&'a str>,
    pub(crate) keys: Option<&'a str>,
    /// The text of the delay level.
    pub(crate) delay: Option<&'a str>,
    /// The first half of a transaction.
    pub(crate) prepared: bool,
    /// When it is to be delivered, if at a time of its own.
    pub(crate) timing: Timing<'a>,
    pub(crate) inner_num: bool,
    /// It counts as stored once the broker has it, without slaves (`WAIT=false`).
    pub(crate) waits_for_nobody: bool,
    /// The text of the priority.
    priority: Option<&'a str>,
    /// Messages of the same key stay in order.
    sharded: bool,
    /// The text has something in it that is not stored, so it cannot be kept as it is.
    pub(crate) unclean: bool,
}

impl<'a> Found<'a> {
    /// Java: `MessageDecoder.string2messageProperties`; of equal names the last counts.
    pub(crate) fn in_text(text: &'a str) -> Self {
        let mut found = Self::default();
        for item in Items(text) {
            let Some((key, value)) = item else {
                found.unclean = true;
                continue;
            };
            match key {
                name::UNIQ_KEY => found.unique_key = Some(value),
                name::KEYS => found.keys = Some(value),
                name::DELAY_TIME_LEVEL => found.delay = Some(value),
                name::TRANSACTION_PREPARED => found.prepared = value.eq_ignore_ascii_case("true"),
                name::INNER_NUM => found.inner_num = true,
                name::WAIT_STORE_MSG_OK => found.waits_for_nobody = !value.eq_ignore_ascii_case("true"),
                name::PRIORITY => found.priority = Some(value),
                name::SHARDING_KEY => found.sharded = true,
                POP_CK | name::MSG_REGION | name::TRACE_SWITCH | name::CLUSTER => found.unclean = true,
                _ => found.timing.note(key, value),
            }
        }
        found
    }

    /// What the message's priority means. Java: `TopicMessageType.parseFromMessageProperty`.
    pub(crate) fn priority(&self) -> Priority {
        let priority = self.priority.and_then(|text| text.parse::<i32>().ok()).filter(|priority| *priority >= 0);
        let other_type = self.prepared || self.delay.is_some() || self.timing.is_asked_for() || self.sharded;
        match priority {
            None => Priority::None,
            Some(_) if other_type => Priority::Stray,
            Some(priority) => Priority::Of(priority),
        }
    }

    /// The delay level, 0 without one.
    ///
    /// # Errors
    /// The text, if it is not a number.
    pub(crate) fn delay_level(&self) -> Result<i32, &'a str> {
        self.delay.map_or(Ok(0), |text| text.parse().map_err(|_| text))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    None,
    /// It says which queue the message goes to.
    Of(i32),
    /// The message is of another type, and loses the property.
    Stray,
}

/// The pieces of a properties text; `None` for what Java's reader drops: items without a name or a value.
struct Items<'a>(&'a str);

impl<'a> Iterator for Items<'a> {
    type Item = Option<(&'a str, &'a str)>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0;
        if text.is_empty() {
            return None;
        }
        let bytes = text.as_bytes();
        let (mut at, mut separator) = (0, None);
        while at < bytes.len() && bytes[at] != SEPARATOR as u8 {
            if bytes[at] == NAME_VALUE_SEPARATOR as u8 && separator.is_none() {
                separator = Some(at);
            }
            at += 1;
        }
        self.0 = text.get(at + 1..).unwrap_or("");
        let pair = separator.map(|separator| (&text[..separator], &text[separator + 1..at]));
        Some(pair.filter(|(key, value)| !key.is_empty() && !value.is_empty()))
    }
}

/// What the broker adds to every single message. Java stores region and trace switch because the consumer's trace needs
/// them.
#[derive(Clone, Debug)]
pub(crate) struct Additions {
    text: String,
}

impl Additions {
    pub(crate) fn of(settings: &BrokerConfig, cluster: &str) -> Self {
        let mut text = String::new();
        push(&mut text, name::MSG_REGION, &settings.region_id);
        push(&mut text, name::TRACE_SWITCH, if settings.trace_on { "true" } else { "false" });
        push(&mut text, name::CLUSTER, cluster);
        Self { text }
    }

    /// Writes the text to store for a message that came with `sent`.
    pub(crate) fn compose(&self, out: &mut String, sent: &str, found: &Found<'_>) {
        out.clear();
        if found.unclean {
            extend_without(out, sent, &[POP_CK, name::MSG_REGION, name::TRACE_SWITCH, name::CLUSTER]);
        } else {
            extend(out, sent);
        }
        out.push_str(&self.text);
    }
}

/// Where a message that waits is to go once it is due, and what it waits for until then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detour<'a> {
    pub(crate) until: Until,
    pub(crate) real_topic: &'a str,
    pub(crate) real_queue: QueueId,
}

impl Detour<'_> {
    /// Where a message with the properties `text` waits, and its properties there.
    ///
    /// Java: `HookUtils.transformDelayLevelMessage`, `transformTimerMessage`, and `checkIfTimerMessage`, by which a delay level
    /// beats a timer.
    pub(crate) fn apply(self, text: &str) -> (&'static TopicName, QueueId, String) {
        let (key, value, dropped): (_, _, &[&str]) = match self.until {
            Until::Level(level) => {
                let timer = &[timing::DELAY_SEC, timing::DELAY_MS, timing::DELIVER_MS];
                (name::DELAY_TIME_LEVEL, level.to_string(), timer)
            }
            Until::Slot(begin) => (timing::OUT_MS, begin.to_string(), &[]),
        };
        let (topic, queue_id) = self.until.place();
        (topic, queue_id, detoured(text, (key, &value), self.real_topic, self.real_queue, dropped))
    }
}

/// The properties of a half message whose message has the properties `text`.
///
/// Java: `TransactionalMessageBridge.parseHalfMessageInner`.
pub(crate) fn prepared(text: &str, unique_key: &str, topic: &str, queue_id: QueueId) -> String {
    detoured(text, (name::TRANSACTION_ID, unique_key), topic, queue_id, &[])
}

/// The properties of a message that is stored elsewhere first: with `added`, with where it belongs, without those `dropped`.
fn detoured(text: &str, added: (&str, &str), topic: &str, queue_id: QueueId, dropped: &[&str]) -> String {
    let (key, value) = added;
    let mut out = String::with_capacity(text.len() + value.len() + topic.len() + 64);
    let replaced = [key, name::REAL_TOPIC, name::REAL_QUEUE_ID];
    for (key, value) in Items(text).flatten().filter(|(key, _)| !replaced.contains(key) && !dropped.contains(key)) {
        push(&mut out, key, value);
    }
    push(&mut out, key, value);
    push(&mut out, name::REAL_TOPIC, topic);
    push(&mut out, name::REAL_QUEUE_ID, &queue_id.to_string());
    out
}

/// Appends one property.
pub(crate) fn push(out: &mut String, key: &str, value: &str) {
    out.push_str(key);
    out.push(NAME_VALUE_SEPARATOR);
    out.push_str(value);
    out.push(SEPARATOR);
}

fn extend(out: &mut String, text: &str) {
    out.push_str(text);
    if !text.is_empty() && !text.ends_with(SEPARATOR) {
        out.push(SEPARATOR);
    }
}

/// Appends a text without the properties named, and without what readers drop.
pub(crate) fn extend_without(out: &mut String, text: &str, names: &[&str]) {
    for (key, value) in Items(text).flatten().filter(|(key, _)| !names.contains(key)) {
        push(out, key, value);
    }
}

#[cfg(test)]
mod tests {
    use remoting::types::Timestamp;

    use super::*;

    /// Texts are easier to read with visible separators.
    fn visible(text: &str) -> String {
        text.replace('\u{1}', "=").replace('\u{2}', ";")
    }

    fn encoded(text: &str) -> String {
        text.replace('=', "\u{1}").replace(';', "\u{2}")
    }

    fn composed(sent: &str) -> String {
        let additions = Additions::of(&BrokerConfig::default(), "DefaultCluster");
        let (sent, mut out) = (encoded(sent), "left over".to_owned());
        additions.compose(&mut out, &sent, &Found::in_text(&sent));
        visible(&out)
    }

    const ADDED: &str = "MSG_REGION=DefaultRegion;TRACE_ON=true;CLUSTER=DefaultCluster;";

    #[test]
    fn properties_are_kept_as_they_came_and_added_to() {
        for (sent, stored) in [
            ("", ""),
            ("a=1;UNIQ_KEY=7F;名=値;", "a=1;UNIQ_KEY=7F;名=値;"),
            ("a=1;b=2", "a=1;b=2;"),
            ("a=1=2;", "a=1=2;"),
        ] {
            assert_eq!(composed(sent), format!("{stored}{ADDED}"), "{sent}");
        }
    }

    #[test]
    fn what_the_broker_says_itself_replaces_what_the_client_says() {
        for (sent, stored) in [
            ("CLUSTER=other;a=1;", "a=1;"),
            ("a=1;MSG_REGION=r;TRACE_ON=false;b=2", "a=1;b=2;"),
            ("POP_CK=forged;a=1;", "a=1;"),
            ("XPOP_CK=mine;a=1;", "XPOP_CK=mine;a=1;"),
            ("a=;b;=c;;d=1;", "d=1;"),
        ] {
            assert_eq!(composed(sent), format!("{stored}{ADDED}"), "{sent}");
        }
    }

    #[test]
    fn the_broker_finds_what_it_acts_on() {
        let text = encoded("UNIQ_KEY=1;KEYS=k j;DELAY=3;TRAN_MSG=TRUE;TIMER_DELAY_SEC=5;INNER_NUM=2;UNIQ_KEY=2;x=y");
        let expect = Found {
            unique_key: Some("2"),
            keys: Some("k j"),
            delay: Some("3"),
            prepared: true,
            timing: Timing::in_text(&text),
            inner_num: true,
            ..Found::default()
        };
        assert_eq!(Found::in_text(&text), expect);
        assert!(expect.timing.is_timed());
        assert_eq!(Found::in_text(""), Found::default());
    }

    #[test]
    fn a_delay_level_is_a_number() {
        for (text, level) in
            [("a=1;", Ok(0)), ("DELAY=18;", Ok(18)), ("DELAY=-1", Ok(-1)), ("DELAY=soon;", Err("soon"))]
        {
            assert_eq!(Found::in_text(&encoded(text)).delay_level(), level, "{text}");
        }
    }

    #[test]
    fn messages_that_wait_know_where_they_belong() {
        let text = encoded("a=1;DELAY=99;REAL_TOPIC=old;REAL_QID=7;TIMER_DELAY_SEC=5;b=2;");
        let detour = Detour { until: Until::Level(18), real_topic: "T", real_queue: QueueId(3) };
        let (topic, queue_id, properties) = detour.apply(&text);
        assert_eq!((topic.as_str(), queue_id), ("SCHEDULE_TOPIC_XXXX", QueueId(17)));
        assert_eq!(visible(&properties), "a=1;b=2;DELAY=18;REAL_TOPIC=T;REAL_QID=3;");
        let detour = Detour { until: Until::Slot(Timestamp(5000)), ..detour };
        let expect = "a=1;DELAY=99;TIMER_DELAY_SEC=5;b=2;TIMER_OUT_MS=5000;REAL_TOPIC=T;REAL_QID=3;";
        let (topic, queue_id, properties) = detour.apply(&text);
        assert_eq!((topic.as_str(), queue_id), ("rmq_sys_wheel_timer", QueueId(0)));
        assert_eq!(visible(&properties), expect);
        let half = encoded("a=1;__transactionId__=old;DELAY=2;REAL_QID=7;");
        let expect = "a=1;DELAY=2;__transactionId__=K;REAL_TOPIC=T;REAL_QID=3;";
        assert_eq!(visible(&prepared(&half, "K", "T", QueueId(3))), expect);
    }
}
