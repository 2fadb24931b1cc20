//! What fastjson reads and JSON does not allow, rewritten as JSON: bare numbers, bare names and objects as keys, single
//! quotes, commas at the end.
//!
//! Members that are null are left out, as Java's own writer leaves them out. `{"$ref":"$.path"}`, which older Java writes
//! for an object it has written before, stays what it is: no peer shares objects in a body that we read.

use std::fmt;

/// Objects and arrays inside one another; deeper bodies are refused.
const DEPTH_MAX: usize = 64;

/// Rewrites Java's dialect as strict JSON; `None` if it is neither. Linear in the input.
pub(super) fn to_json(body: &[u8]) -> Option<String> {
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
            first &= !self.member(depth, first)?;
            if !self.take(',') {
                return self.take('}').then(|| self.out.push('}'));
            }
        }
        self.out.push('}');
        Some(())
    }

    /// Whether there is anything of the member to see.
    fn member(&mut self, depth: usize, first: bool) -> Option<bool> {
        let start = self.out.len();
        if !first {
            self.out.push(',');
        }
        self.key(depth)?;
        if !self.take(':') {
            return None;
        }
        self.out.push(':');
        let value = self.out.len();
        self.value(depth + 1)?;
        let null = &self.out[value..] == "null";
        if null {
            self.out.truncate(start);
        }
        Some(!null)
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
