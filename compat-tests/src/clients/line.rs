//! `verb key=value key=value`, values percent-encoded: how client programs are told things.

use std::fmt::{Display, Write as _};

/// A command line or a role with its arguments.
#[derive(Clone, Debug)]
pub struct Line(String);

impl Line {
    pub fn new(verb: &str) -> Self {
        Self(verb.to_owned())
    }

    /// Has a producer send to `topic`: one message with `key`, or with a `count` as many, numbered.
    pub fn send(topic: impl Display, key: impl Display) -> Self {
        Self::new("send").with("topic", topic).with("key", key)
    }

    /// Adds `key=value`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Display) -> Self {
        self.0.push(' ');
        self.0.push_str(key);
        self.0.push('=');
        self.0.push_str(&encode(&value.to_string()));
        self
    }

    /// Adds what another line says after its verb.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for word in other.words().skip(1) {
            self.0.push(' ');
            self.0.push_str(word);
        }
        self
    }

    pub(crate) fn verb(&self) -> &str {
        self.words().next().unwrap_or_default()
    }

    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ')
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// Percent-encodes everything but what names and numbers are made of.
pub(crate) fn encode(value: &str) -> String {
    let mut encoded = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.:;,/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
