//! Text in the form of Java's `java.util.Properties`.
//!
//! Unlike Java, text that is valid UTF-8 is read as such, not as ISO-8859-1, and each property knows its line.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;

/// One `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    pub key: String,
    /// Trimmed at both ends: Java keeps trailing blanks and then silently ignores the value of a number.
    pub value: String,
    /// Where it begins, counted from 1.
    pub line: usize,
    /// Its bytes in the text, without the line end.
    span: Range<usize>,
}

/// Properties in the order of their text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    entries: Vec<Property>,
}

/// Text that Java's reader refuses, too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text:?} is not an escape of the form \\uXXXX")]
pub struct BadEscape {
    pub line: usize,
    pub text: String,
}

impl Properties {
    /// # Errors
    /// [`BadEscape`] for a `\u` without four hexadecimal digits; all other text means something.
    ///
    /// Java: `Properties.load`.
    pub fn parse(text: &str) -> Result<Self, BadEscape> {
        let entries = LogicalLines::of(text).map(property).collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// All properties, repeated keys included.
    pub fn iter(&self) -> impl Iterator<Item = &Property> {
        self.entries.iter()
    }

    /// The last property of that key, which is the one that counts.
    pub fn get(&self, key: &str) -> Option<&Property> {
        self.entries.iter().rev().find(|property| property.key == key)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Bytes of a file as text: UTF-8 where they are, else ISO-8859-1 as Java reads them.
pub fn decode_text(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

/// `key=value` and a line end, escaped as far as a reader needs.
pub fn line(key: &str, value: &str) -> String {
    let mut text = String::with_capacity(key.len() + value.len() + 2);
    escape(key, true, &mut text);
    text.push('=');
    escape(value, false, &mut text);
    text.push('\n');
    text
}

/// The text with new values for some keys: their lines are replaced, or added at the end, and all others, comments
/// among them, stay as they are. `None` removes a key.
///
/// # Errors
/// [`BadEscape`] if the text does not parse.
pub fn edit(text: &str, changes: &[(&str, Option<&str>)]) -> Result<String, BadEscape> {
    let properties = Properties::parse(text)?;
    let mut edited = String::with_capacity(text.len() + 64 * changes.len());
    let mut copied = 0;
    for property in properties.iter() {
        let Some((key, value)) = changes.iter().find(|(key, _)| *key == property.key) else { continue };
        edited.push_str(&text[copied..property.span.start]);
        copied = property.span.end;
        // Of a repeated key, the first line takes the value and the others go.
        let first = properties.iter().find(|other| other.key == *key).is_some_and(|other| other.line == property.line);
        match value {
            Some(value) if first => edited.push_str(line(key, value).trim_end_matches('\n')),
            _ => copied += line_end_length(&text[copied..]),
        }
    }
    edited.push_str(&text[copied..]);
    for (key, value) in changes {
        if let (Some(value), None) = (value, properties.get(key)) {
            if !edited.is_empty() && !edited.ends_with('\n') {
                edited.push('\n');
            }
            edited.push_str(&line(key, value));
        }
    }
    Ok(edited)
}

fn line_end_length(rest: &str) -> usize {
    if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with(['\r', '\n'])) }
}

fn escape(text: &str, is_key: bool, out: &mut String) {
    for (at, character) in text.chars().enumerate() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0C' => out.push_str("\\f"),
            ' ' if is_key || at == 0 => out.push_str("\\ "),
            '=' | ':' if is_key => {
                let _ = write!(out, "\\{character}");
            }
            '#' | '!' if is_key && at == 0 => {
                let _ = write!(out, "\\{character}");
            }
            _ => out.push(character),
        }
    }
}

/// Lines joined where a backslash continues them; comments and blank lines are left out.
struct LogicalLines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

struct LogicalLine {
    content: String,
    line: usize,
    span: Range<usize>,
}

impl<'a> LogicalLines<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, at: 0, line: 0 }
    }

    /// The next line as it stands in the text, without its end.
    fn natural(&mut self) -> Option<(usize, &'a str)> {
        if self.at >= self.text.len() {
            return None;
        }
        let start = self.at;
        let rest = &self.text[start..];
        let length = rest.find(['\r', '\n']).unwrap_or(rest.len());
        self.at += length + line_end_length(&rest[length..]);
        self.line += 1;
        Some((start, &rest[..length]))
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = LogicalLine;

    fn next(&mut self) -> Option<LogicalLine> {
        loop {
            let (start, natural) = self.natural()?;
            let first = natural.trim_start_matches(is_blank);
            if first.is_empty() || first.starts_with(['#', '!']) {
                continue;
            }
            let line = self.line;
            let mut end = start + natural.len();
            let mut content = String::from(first);
            while is_continued(&content) {
                content.pop();
                let Some((start, natural)) = self.natural() else { break };
                content.push_str(natural.trim_start_matches(is_blank));
                end = start + natural.len();
            }
            return Some(LogicalLine { content, line, span: start..end });
        }
    }
}

/// An even number of backslashes at the end is so many escaped backslashes.
fn is_continued(line: &str) -> bool {
    (line.len() - line.trim_end_matches('\\').len()) % 2 == 1
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\x0C')
}

fn property(logical: LogicalLine) -> Result<Property, BadEscape> {
    let LogicalLine { content, line, span } = logical;
    let key_end = key_end(&content);
    let after = content[key_end..].trim_start_matches(is_blank);
    let value = after.strip_prefix(['=', ':']).unwrap_or(after).trim_start_matches(is_blank);
    Ok(Property {
        key: unescape(&content[..key_end], line)?,
        value: unescape(value, line)?.trim().to_owned(),
        line,
        span,
    })
}

fn key_end(content: &str) -> usize {
    let mut escaped = false;
    for (at, character) in content.char_indices() {
        if !escaped && (matches!(character, '=' | ':') || is_blank(character)) {
            return at;
        }
        escaped = character == '\\' && !escaped;
    }
    content.len()
}

fn unescape(text: &str, line: usize) -> Result<String, BadEscape> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    // As UTF-16, because an escape may be half of a surrogate pair.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let plain = match character {
            '\\' => match rest.next() {
                Some('u') => {
                    units.push(unit(&mut rest, line)?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0C',
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    Ok(String::from_utf16_lossy(&units))
}

fn unit(rest: &mut std::str::Chars<'_>, line: usize) -> Result<u16, BadEscape> {
    let digits: String = rest.by_ref().take(4).collect();
    let valid = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let unit = u16::from_str_radix(&digits, 16).ok().filter(|_| valid);
    unit.ok_or_else(|| BadEscape { line, text: format!("\\u{digits}") })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: &[(&str, &str, usize)]) {
        let properties = Properties::parse(text).unwrap();
        let read: Vec<_> = properties.iter().map(|one| (one.key.as_str(), one.value.as_str(), one.line)).collect();
        assert_eq!(read, expect, "{text:?}");
    }

    #[test]
    fn text_means_what_java_takes_it_to_mean() {
        check("a=1\nb:2\nc 3\nd\te", &[("a", "1", 1), ("b", "2", 2), ("c", "3", 3), ("d", "e", 4)]);
        check("  a = 1  \r\n\r\n# no\n ! no\nb==2", &[("a", "1", 1), ("b", "=2", 5)]);
        check("a=1,\\\n   2,\\\n   3\nb=4", &[("a", "1,2,3", 1), ("b", "4", 4)]);
        check("a=c:\\\\dir\\\\\nb=2", &[("a", "c:\\dir\\", 1), ("b", "2", 2)]);
        check("a\\ b\\=c=d", &[("a b=c", "d", 1)]);
        check("a=\\u4e2d\\ud83d\\ude00\\t.", &[("a", "中😀\t.", 1)]);
        check("alone", &[("alone", "", 1)]);
        check("a=1\\", &[("a", "1", 1)]);
        check("# a comment is not continued \\\na=1", &[("a", "1", 2)]);
        check("namesrvAddr = 127.0.0.1:9876;127.0.0.2:9876", &[("namesrvAddr", "127.0.0.1:9876;127.0.0.2:9876", 1)]);
    }

    #[test]
    fn a_bad_escape_names_its_line() {
        let err = Properties::parse("a=1\nb=\\u12x4").unwrap_err();
        assert_eq!(err.to_string(), "line 2: \"\\\\u12x4\" is not an escape of the form \\uXXXX");
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let properties = Properties::parse("a=1\na=2").unwrap();
        assert_eq!(properties.get("a").unwrap().value, "2");
    }

    #[test]
    fn text_is_utf8_or_else_latin() {
        assert_eq!(decode_text("\u{FEFF}a=ü".as_bytes()), "a=ü");
        assert_eq!(decode_text(b"a=\xFC"), "a=ü");
    }

    #[test]
    fn an_edit_leaves_everything_else_as_it_was() {
        let text = "# mine\r\na = 1\r\n\r\nb=2\\\n  3\nc=4\na=5";
        let edited = edit(text, &[("a", Some("x y")), ("b", Some(" z")), ("new", Some("9"))]).unwrap();
        assert_eq!(edited, "# mine\r\na=x y\r\n\r\nb=\\ z\nc=4\nnew=9\n");
        assert_eq!(edit("a=1\nb=2\n", &[("a", None), ("c", None)]).unwrap(), "b=2\n");
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(key in "[^\u{0}-\u{8}\u{b}\u{e}-\u{1f}]{1,8}", value in any::<String>()) {
            let read = Properties::parse(&line(&key, &value)).unwrap();
            prop_assert_eq!(read.entries.len(), 1);
            prop_assert_eq!(&read.entries[0].key, &key);
            prop_assert_eq!(&read.entries[0].value, value.trim());
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = Properties::parse(&text);
        }
    }
}
