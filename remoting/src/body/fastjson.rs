//! Java's JSON dialect (fastjson): written for peers that expect it, read leniently from peers that send it.
//!
//! It differs from JSON in that numeric map keys are bare (`{0:"a"}`) and that objects may be map keys (`{{"topic":"T"}:5}`).
//! The reader also takes single quotes, bare names and trailing commas. Java: `RemotingSerializable`.

use std::fmt;
use std::io::{self, Write};

use serde::de::DeserializeOwned;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::ser::{CharEscape, Formatter};

/// Reads a body.
///
/// # Errors
/// [`serde_json::Error`] if it is neither JSON nor Java's dialect of it, or not of the type.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    // Most bodies are plain JSON; only those that are not pay for the second look.
    serde_json::from_slice(body).or_else(|err| match strict(body) {
        Some(text) => serde_json::from_str(&text),
        None => Err(err),
    })
}

/// Writes Java's plain dialect: no white space, bare numeric keys, objects as keys.
pub fn write<T: Serialize>(body: &T) -> String {
    write_with(body, Plain::default())
}

/// Writes standard JSON as Java does for clients that ask for it: numeric keys quoted, non-ASCII as `\uXXXX`, `/` as `\/`.
pub fn write_standard<T: Serialize>(body: &T) -> String {
    write_with(body, Standard)
}

fn write_with<T: Serialize>(body: &T, formatter: impl Formatter) -> String {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    body.serialize(&mut serializer).expect("bodies are plain data, written to memory");
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// A key that is an object: Java's `Map<MessageQueue, …>`.
///
/// Travels through serde as a text that begins with [`OBJECT_KEY`]; [`Plain`] writes it as the object that it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey<T>(pub T);

/// Of the private use area, so that no key of Java's begins with it.
const OBJECT_KEY: char = '\u{E000}';

impl<T: Serialize> Serialize for ObjectKey<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object = serde_json::to_string(&self.0).map_err(S::Error::custom)?;
        serializer.serialize_str(&format!("{OBJECT_KEY}{object}"))
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for ObjectKey<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        serde_json::from_str(text.strip_prefix(OBJECT_KEY).unwrap_or(&text)).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Writes keys bare that are numbers or objects.
#[derive(Default)]
struct Plain {
    key: KeyState,
}

#[derive(Default, PartialEq, Eq)]
enum KeyState {
    /// Not in a key.
    #[default]
    Outside,
    /// In a key of which nothing is written yet, so that it may turn out a number or an object.
    Begun,
    Quoted,
    Object,
    Number,
}

impl Plain {
    fn number(&mut self) {
        if self.key == KeyState::Begun {
            self.key = KeyState::Number;
        }
    }
}

impl Formatter for Plain {
    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.key = KeyState::Begun;
        if first { Ok(()) } else { writer.write_all(b",") }
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.key = KeyState::Outside;
        Ok(())
    }

    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.key == KeyState::Begun { Ok(()) } else { writer.write_all(b"\"") }
    }

    fn end_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        match self.key {
            KeyState::Outside | KeyState::Quoted => writer.write_all(b"\""),
            KeyState::Begun => writer.write_all(b"\"\""),
            KeyState::Object | KeyState::Number => Ok(()),
        }
    }

    fn write_i32<W: ?Sized + Write>(&mut self, writer: &mut W, value: i32) -> io::Result<()> {
        self.number();
        write!(writer, "{value}")
    }

    fn write_i64<W: ?Sized + Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        self.number();
        write!(writer, "{value}")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut fragment = fragment;
        if self.key == KeyState::Begun {
            match fragment.strip_prefix(OBJECT_KEY) {
                Some(object) => {
                    self.key = KeyState::Object;
                    fragment = object;
                }
                None => {
                    self.key = KeyState::Quoted;
                    writer.write_all(b"\"")?;
                }
            }
        }
        writer.write_all(fragment.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        if self.key == KeyState::Begun {
            self.key = KeyState::Quoted;
            writer.write_all(b"\"")?;
        }
        if self.key == KeyState::Object {
            // The object's own text was escaped once more to travel as a key.
            return match escape {
                CharEscape::Quote => writer.write_all(b"\""),
                CharEscape::ReverseSolidus => writer.write_all(b"\\"),
                other => Standard.write_char_escape(writer, other),
            };
        }
        Standard.write_char_escape(writer, escape)
    }
}

/// Java's `WriteMapNullValue`-free browser form of standard JSON.
struct Standard;

impl Formatter for Standard {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for unit in fragment.encode_utf16() {
            match u8::try_from(unit) {
                Ok(b'/') => writer.write_all(b"\\/")?,
                Ok(ascii @ 0..0x80) => writer.write_all(&[ascii])?,
                _ => write!(writer, "\\u{unit:04X}")?,
            }
        }
        Ok(())
    }
}

/// Objects and arrays inside one another; deeper bodies are refused.
const DEPTH_MAX: usize = 64;

/// Rewrites Java's dialect as strict JSON; `None` if it is neither. Linear in the input.
fn strict(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let mut rewrite = Rewrite { rest: text, out: String::with_capacity(text.len() + 16), in_key: false };
    rewrite.value(0)?;
    rewrite.blank();
    rewrite.rest.is_empty().then_some(rewrite.out)
}

struct Rewrite<'a> {
    rest: &'a str,
    out: String,
    /// Inside a key that is an object. Such keys do not nest: each level would double the text's backslashes.
    in_key: bool,
}

impl<'a> Rewrite<'a> {
    fn blank(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    /// Takes a character if it is next.
    fn take(&mut self, expected: char) -> bool {
        self.blank();
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.blank();
        match self.rest.chars().next()? {
            '{' => self.object(depth),
            '[' => self.array(depth),
            '"' | '\'' => self.text(),
            _ => {
                let word = self.word()?;
                self.out.push_str(word);
                Some(())
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.take('[');
        self.out.push('[');
        let mut first = true;
        while !self.take(']') {
            if !std::mem::take(&mut first) {
                self.out.push(',');
            }
            self.value(depth + 1)?;
            if !self.take(',') {
                return self.take(']').then(|| self.out.push(']'));
            }
        }
        self.out.push(']');
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.take('{');
        self.out.push('{');
        let mut first = true;
        while !self.take('}') {
            if !std::mem::take(&mut first) {
                self.out.push(',');
            }
            self.key(depth)?;
            if !self.take(':') {
                return None;
            }
            self.out.push(':');
            self.value(depth + 1)?;
            if !self.take(',') {
                return self.take('}').then(|| self.out.push('}'));
            }
        }
        self.out.push('}');
        Some(())
    }

    /// A quoted text, a bare word or number, or an object, which becomes a text that holds its JSON.
    fn key(&mut self, depth: usize) -> Option<()> {
        self.blank();
        match self.rest.chars().next()? {
            '"' | '\'' => self.text(),
            '{' if self.in_key => None,
            '{' => {
                let start = self.out.len();
                self.in_key = true;
                self.value(depth + 1)?;
                self.in_key = false;
                let object = self.out.split_off(start);
                self.out.push_str(&serde_json::to_string(&object).ok()?);
                Some(())
            }
            _ => {
                let word = self.word()?;
                self.out.push('"');
                self.out.push_str(word);
                self.out.push('"');
                Some(())
            }
        }
    }

    /// A quoted text, either quote; written with double quotes.
    fn text(&mut self) -> Option<()> {
        let quote = self.rest.chars().next()?;
        self.out.push('"');
        let mut escaped = false;
        for (at, char) in self.rest.char_indices().skip(1) {
            match char {
                _ if escaped => {
                    escaped = false;
                    if char == '\'' {
                        self.out.pop();
                    }
                    self.out.push(char);
                }
                '\\' => {
                    escaped = true;
                    self.out.push(char);
                }
                _ if char == quote => {
                    self.rest = &self.rest[at + quote.len_utf8()..];
                    self.out.push('"');
                    return Some(());
                }
                '"' => self.out.push_str("\\\""),
                control if control < ' ' => {
                    fmt::Write::write_fmt(&mut self.out, format_args!("\\u{:04X}", control as u32)).ok()?;
                }
                _ => self.out.push(char),
            }
        }
        None
    }

    /// A bare number, literal or name.
    fn word(&mut self) -> Option<&'a str> {
        let ends = |char: char| !(char.is_ascii_alphanumeric() || matches!(char, '_' | '$' | '.' | '-' | '+'));
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::body::MessageQueue;

    #[test]
    fn bare_numbers_and_objects_are_keys() {
        let numbers = BTreeMap::from([(0_i64, "1.1.1.1:10911"), (1, "1.1.1.2:10911")]);
        assert_eq!(write(&numbers), r#"{0:"1.1.1.1:10911",1:"1.1.1.2:10911"}"#);
        assert_eq!(write_standard(&BTreeMap::from([(0_i64, "a/ä")])), r#"{"0":"a\/\u00E4"}"#);
        let queue = MessageQueue { broker_name: "b\"\\".into(), queue_id: 0.into(), topic: "T".into() };
        let queues = BTreeMap::from([(ObjectKey(queue), 5)]);
        assert_eq!(write(&queues), r#"{{"brokerName":"b\"\\","queueId":0,"topic":"T"}:5}"#);
        assert_eq!(read::<BTreeMap<ObjectKey<MessageQueue>, i32>>(write(&queues).as_bytes()).expect("a map"), queues);
        let texts = BTreeMap::from([("", 1), ("\"", 2), ("a\"b", 3)]);
        assert_eq!(write(&texts), r#"{"":1,"\"":2,"a\"b":3}"#);
    }

    #[test]
    fn the_lenient_reader_takes_what_java_takes() {
        let check = |text: &str, json: Value| assert_eq!(read::<Value>(text.as_bytes()).expect(text), json, "{text}");
        check("{0:1,1:[true,null,],}", serde_json::json!({"0": 1, "1": [true, null]}));
        check(r#"{'a':'it\'s','b':'\'','c':'q\"'}"#, serde_json::json!({"a": "it's", "b": "'", "c": "q\""}));
        check("{name : 'x' , $ref:'$.a' }", serde_json::json!({"name": "x", "$ref": "$.a"}));
        check(r#"{{"q":0}:7}"#, serde_json::json!({"{\"q\":0}": 7}));
        check("{'a':'\u{1}'}", serde_json::json!({"a": "\u{1}"}));
    }

    #[test]
    fn what_is_not_json_is_an_error() {
        for text in ["", "{", "{a}", "{a:}", "[1", "{'a", "{a:1}}", "{:1}", &"[".repeat(100_000), &"{{".repeat(1000)] {
            assert!(read::<Value>(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text in "[\\[\\]{}:,'\"\\\\a0. \\PC]{0,60}") {
            let _ = read::<Value>(text.as_bytes());
        }

        #[test]
        fn maps_survive(map: BTreeMap<i64, String>) {
            prop_assert_eq!(read::<BTreeMap<i64, String>>(write(&map).as_bytes()).expect("a map"), map.clone());
            prop_assert_eq!(serde_json::from_str::<BTreeMap<i64, String>>(&write_standard(&map)).expect("a map"), map);
        }
    }
}
