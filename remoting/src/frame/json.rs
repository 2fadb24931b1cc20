//! The JSON header, read in one pass straight into its parts.
//!
//! As lenient as peers need: any order, unknown members, a numeric `language`, ext values that are numbers, booleans or null.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{ExtFields, FrameError, RemotingCommand};
use crate::language::LanguageCode;
use crate::types::Opaque;
use crate::version::Version;

pub(super) fn read(header: &[u8]) -> Result<RemotingCommand, FrameError> {
    // Checked as a whole once, not text by text.
    let text = std::str::from_utf8(header).map_err(serde_json::Error::custom)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let command = json.deserialize_map(Header { bytes: header.len() })?;
    json.end()?;
    Ok(command)
}

/// Stock headers have up to 15 ext fields; more grow the vector.
const USUAL_FIELDS: usize = 16;

struct Header {
    bytes: usize,
}

impl<'de> Visitor<'de> for Header {
    type Value = RemotingCommand;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a remoting command header")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<RemotingCommand, M::Error> {
        let mut command = RemotingCommand {
            code: 0,
            language: LanguageCode::OTHER,
            version: Version(0),
            opaque: Opaque(0),
            flag: 0,
            remark: None,
            ext: ExtFields::default(),
            body: Bytes::new(),
        };
        while let Some(member) = map.next_key_seed(MemberName)? {
            match member {
                Member::Code => command.code = map.next_value()?,
                Member::Language => command.language = map.next_value_seed(Language)?,
                Member::Version => command.version = Version(map.next_value()?),
                Member::Opaque => command.opaque = Opaque(map.next_value()?),
                Member::Flag => command.flag = map.next_value()?,
                Member::Remark => command.remark = map.next_value()?,
                Member::ExtFields => command.ext = map.next_value_seed(Ext { bytes: self.bytes })?,
                Member::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(command)
    }
}

enum Member {
    Code,
    Language,
    Version,
    Opaque,
    Flag,
    Remark,
    ExtFields,
    Unknown,
}

struct MemberName;

impl<'de> DeserializeSeed<'de> for MemberName {
    type Value = Member;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Member, D::Error> {
        json.deserialize_identifier(self)
    }
}

impl Visitor<'_> for MemberName {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Member, E> {
        Ok(match name {
            "code" => Member::Code,
            "language" => Member::Language,
            "version" => Member::Version,
            "opaque" => Member::Opaque,
            "flag" => Member::Flag,
            "remark" => Member::Remark,
            "extFields" => Member::ExtFields,
            _ => Member::Unknown,
        })
    }
}

/// A name, a number, or nothing we know.
struct Language;

impl<'de> DeserializeSeed<'de> for Language {
    type Value = LanguageCode;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<LanguageCode, D::Error> {
        json.deserialize_any(self)
    }
}

impl Visitor<'_> for Language {
    type Value = LanguageCode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a language name or number")
    }

    fn visit_str<E>(self, name: &str) -> Result<LanguageCode, E> {
        Ok(LanguageCode::from_name(name).unwrap_or(LanguageCode::OTHER))
    }

    fn visit_u64<E>(self, number: u64) -> Result<LanguageCode, E> {
        Ok(u8::try_from(number).ok().and_then(LanguageCode::from_number).unwrap_or(LanguageCode::OTHER))
    }

    fn visit_i64<E>(self, _: i64) -> Result<LanguageCode, E> {
        Ok(LanguageCode::OTHER)
    }

    fn visit_unit<E>(self) -> Result<LanguageCode, E> {
        Ok(LanguageCode::OTHER)
    }
}

/// The `extFields` object, or null.
struct Ext {
    bytes: usize,
}

impl<'de> DeserializeSeed<'de> for Ext {
    type Value = ExtFields;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<ExtFields, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Ext {
    type Value = ExtFields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_unit<E>(self) -> Result<ExtFields, E> {
        Ok(ExtFields::default())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<ExtFields, M::Error> {
        let mut ext = ExtFields::with_capacity(self.bytes, USUAL_FIELDS);
        // Keys are short: one reused string instead of a borrowed one, which escapes would forbid.
        let mut key = String::new();
        while map.next_key_seed(Text(&mut key))?.is_some() {
            map.next_value_seed(ExtValue { ext: &mut ext, key: &key })?;
        }
        Ok(ext)
    }
}

/// Reads a string into a reused buffer.
struct Text<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Text<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.clear();
        self.0.push_str(text);
        Ok(())
    }
}

/// One ext value under its key; numbers and booleans become their text, null is as absent, nested values are ignored.
struct ExtValue<'a> {
    ext: &'a mut ExtFields,
    key: &'a str,
}

impl<'de> DeserializeSeed<'de> for ExtValue<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ExtValue<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, number, boolean or null")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.ext.push(self.key, text);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.ext.push(self.key, itoa::Buffer::new().format(number));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.ext.push(self.key, itoa::Buffer::new().format(number));
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.ext.push(self.key, &number.to_string());
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.ext.push(self.key, if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<(), S::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
