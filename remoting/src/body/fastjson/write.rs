//! Both dialects as Java writes them.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter};

use super::object_key::is_opening;

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

    fn quoted<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.key == KeyState::Begun {
            self.key = KeyState::Quoted;
            writer.write_all(b"\"")?;
        }
        Ok(())
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
        writer.write_all(itoa::Buffer::new().format(value).as_bytes())
    }

    fn write_i64<W: ?Sized + Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        self.number();
        writer.write_all(itoa::Buffer::new().format(value).as_bytes())
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        write_double(writer, value)
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if self.key == KeyState::Begun && is_opening(fragment) {
            self.key = KeyState::Object;
        }
        self.quoted(writer)?;
        writer.write_all(fragment.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        self.quoted(writer)?;
        match (&self.key, escape) {
            // The object's own text was escaped once more to travel as a key.
            (KeyState::Object, CharEscape::Quote) => writer.write_all(b"\""),
            (KeyState::Object, CharEscape::ReverseSolidus) => writer.write_all(b"\\"),
            (_, escape) => Standard.write_char_escape(writer, escape),
        }
    }
}

/// Java: `Double.toString`, which turns to powers of ten earlier than we do.
fn write_double<W: ?Sized + Write>(writer: &mut W, value: f64) -> io::Result<()> {
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return write!(writer, "{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, power)) if !digits.contains('.') => write!(writer, "{digits}.0E{power}"),
        _ => writer.write_all(text.as_bytes()),
    }
}

/// Java: `SerializerFeature.BrowserCompatible`.
struct Standard;

impl Formatter for Standard {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for unit in fragment.encode_utf16() {
            match u8::try_from(unit) {
                Ok(b'/') => writer.write_all(b"\\/")?,
                Ok(ascii @ 0..0x7F) => writer.write_all(&[ascii])?,
                _ => write!(writer, "\\u{unit:04X}")?,
            }
        }
        Ok(())
    }
}
