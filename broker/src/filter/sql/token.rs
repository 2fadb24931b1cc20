//! Cuts an expression into tokens, each when it is asked for: what is never read may be anything.

use std::fmt;

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_until, take_while};
use nom::character::complete::{char, digit1, one_of, satisfy};
use nom::combinator::{eof, map, not, opt, peek, recognize, value};
use nom::multi::many0_count;
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use super::SqlError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Word(Word),
    /// Digits, without the `L` that may follow them.
    Decimal(&'a str),
    Float(&'a str),
    /// With its quotes.
    Text(&'a str),
    Name(&'a str),
    Sign(Sign),
    End,
}

/// Reserved words, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Not,
    And,
    Or,
    Between,
    In,
    True,
    False,
    Null,
    Is,
    Contains,
    StartsWith,
    EndsWith,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Open,
    Comma,
    Close,
    Plus,
    Minus,
}

const WORDS: [(&str, Word); 12] = [
    ("NOT", Word::Not),
    ("AND", Word::And),
    ("OR", Word::Or),
    ("BETWEEN", Word::Between),
    ("IN", Word::In),
    ("TRUE", Word::True),
    ("FALSE", Word::False),
    ("NULL", Word::Null),
    ("IS", Word::Is),
    ("CONTAINS", Word::Contains),
    ("STARTSWITH", Word::StartsWith),
    ("ENDSWITH", Word::EndsWith),
];

/// Where a token begins, both from 1; a tab reaches to the next column that 8 divides. Java: `SimpleCharStream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    line: usize,
    column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What is left to be cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens<'a> {
    rest: &'a str,
    at: Place,
    /// Of the last character that was read.
    last: Place,
}

/// A token, its text and its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) token: Token<'a>,
    image: &'a str,
    at: Place,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { rest: text, at: Place { line: 1, column: 1 }, last: Place { line: 0, column: 0 } }
    }

    /// The next token; at the end [`Token::End`], again and again.
    ///
    /// # Errors
    /// [`SqlError::Lexical`].
    pub(super) fn next(&mut self) -> Result<Found<'a>, SqlError> {
        let (rest, _) = blank(self.rest).expect("what is no blank is left");
        self.pass(rest);
        let (left, token) = token(rest).map_err(|_| self.at.lexical_error(rest))?;
        // Java has the end where the text was.
        let at = if token == Token::End { self.last } else { self.at };
        let found = Found { token, image: &rest[..rest.len() - left.len()], at };
        self.pass(left);
        Ok(found)
    }

    fn pass(&mut self, left: &'a str) {
        let passed = &self.rest[..self.rest.len() - left.len()];
        let next = self.at.behind(passed);
        match passed.char_indices().next_back() {
            Some((last, '\n' | '\r')) => self.last = self.at.behind(&passed[..last]),
            Some(_) => self.last = next.before(),
            None => {}
        }
        self.at = next;
        self.rest = left;
    }
}

impl Found<'_> {
    /// This token does not belong here.
    pub(super) fn unexpected(&self) -> SqlError {
        let found = match self.token {
            Token::End => "<EOF>".to_owned(),
            token => format!(" {} \"{} \"", kind(token, self.image), escaped(self.image)),
        };
        SqlError::Syntax { at: self.at, found }
    }
}

/// Java: `SelectorParserConstants.TOKEN_IMAGE`.
fn kind(token: Token<'_>, image: &str) -> String {
    match token {
        Token::Decimal(_) => "<DECIMAL_LITERAL>".to_owned(),
        Token::Float(_) => "<FLOATING_POINT_LITERAL>".to_owned(),
        Token::Text(_) => "<STRING_LITERAL>".to_owned(),
        Token::Name(_) => "<ID>".to_owned(),
        Token::Word(_) | Token::Sign(_) | Token::End => format!("\"{}\"", image.to_ascii_uppercase()),
    }
}

impl Place {
    fn behind(self, text: &str) -> Self {
        let Self { mut line, mut column } = self;
        let mut after_return = false;
        for c in text.chars() {
            match c {
                // The second half of a line's end.
                '\n' if after_return => {}
                '\n' | '\r' => (line, column) = (line + 1, 1),
                '\t' => column += 8 - (column - 1) % 8,
                _ => column += c.len_utf16(),
            }
            after_return = c == '\r';
        }
        Self { line, column }
    }

    fn before(self) -> Self {
        Self { column: self.column - 1, ..self }
    }

    /// Nothing that begins here is a token: as far as it could have become one, and what stood in the way.
    fn lexical_error(self, rest: &str) -> SqlError {
        let begun = match rest.as_bytes() {
            // Without its closing quote or mark.
            [b'\'', ..] | [b'/', b'*', ..] => rest,
            [b'/', ..] => "/",
            // A point that begins no number.
            [b'.', ..] => ".",
            _ => "",
        };
        let wrong = rest[begun.len()..].chars().next();
        // Java looks at what comes behind the wrong character, too, and then only misses that.
        let tried = &rest[..begun.len() + wrong.map_or(0, char::len_utf8)];
        let after = |text: &str| if tried.chars().nth(1).is_some() { escaped(text) } else { String::new() };
        match wrong {
            Some(wrong) if tried.len() < rest.len() => SqlError::Lexical {
                // A tab stands where it ends.
                at: if wrong == '\t' { self.behind(tried).before() } else { self.behind(begun) },
                found: format!("\"{}\" ({}), ", escaped(&wrong.to_string()), u32::from(wrong)),
                after: after(begun),
            },
            _ => {
                let end = self.behind(tried);
                let column = if tried.ends_with(['\n', '\r']) { 0 } else { end.column };
                SqlError::Lexical { at: Place { column, ..end }, found: "<EOF> ".to_owned(), after: after(tried) }
            }
        }
    }
}

/// Java: `ParseException.add_escapes`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut units = [0; 2];
    for c in text.chars() {
        match c {
            '\0' => {}
            '\u{8}' => escaped.push_str("\\b"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\u{c}' => escaped.push_str("\\f"),
            '\r' => escaped.push_str("\\r"),
            '"' | '\'' | '\\' => escaped.extend(['\\', c]),
            ' '..='~' => escaped.push(c),
            _ => c.encode_utf16(&mut units).iter().for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    escaped
}

/// White space and comments; a comment to the end of a line needs that end.
fn blank(input: &str) -> IResult<&str, usize> {
    let line_end = alt((tag("\r\n"), tag("\n"), tag("\r")));
    let line = recognize((tag("--"), opt(is_not("\r\n")), line_end));
    let block = recognize((tag("/*"), take_until("*/"), tag("*/")));
    many0_count(alt((recognize(one_of(" \t\n\r\u{c}")), line, block))).parse(input)
}

fn token(input: &str) -> IResult<&str, Token<'_>> {
    alt((value(Token::End, eof), number, text, map(sign, Token::Sign), word_or_name)).parse(input)
}

fn number(input: &str) -> IResult<&str, Token<'_>> {
    let exponent = || (one_of("eE"), opt(one_of("+-")), digit1);
    let float = alt((
        recognize((digit1, char('.'), opt(digit1), opt(exponent()))),
        recognize((char('.'), digit1, opt(exponent()))),
        recognize((digit1, exponent())),
    ));
    // A zero stands alone: what follows it is another number.
    let zero = tag("0");
    let decimal = terminated(recognize((peek(not(zero)), digit1)), opt(one_of("lL")));
    alt((map(float, Token::Float), map(tag("0"), Token::Decimal), map(decimal, Token::Decimal))).parse(input)
}

/// A quote inside is written twice. Where the text ends inside, the last quote that could have been the closing one is.
fn text(input: &str) -> IResult<&str, Token<'_>> {
    let inside = recognize(many0_count(alt((is_not("'"), tag("''")))));
    let whole = recognize((char('\''), inside, char('\'')));
    map(alt((whole, cut_short)), Token::Text).parse(input)
}

fn cut_short(input: &str) -> IResult<&str, &str> {
    let (_, first) = char('\'').parse(input)?;
    let last_pair = input[first.len_utf8()..].rfind("''");
    let end = last_pair.map_or(0, |at| first.len_utf8() + at + 1);
    if end == 0 {
        return Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Eof)));
    }
    Ok((&input[end..], &input[..end]))
}

fn sign(input: &str) -> IResult<&str, Sign> {
    alt((
        value(Sign::Equal, char('=')),
        value(Sign::NotEqual, tag("<>")),
        value(Sign::GreaterEqual, tag(">=")),
        value(Sign::Greater, char('>')),
        value(Sign::LessEqual, tag("<=")),
        value(Sign::Less, char('<')),
        value(Sign::Open, char('(')),
        value(Sign::Comma, char(',')),
        value(Sign::Close, char(')')),
        value(Sign::Plus, char('+')),
        value(Sign::Minus, char('-')),
    ))
    .parse(input)
}

fn word_or_name(input: &str) -> IResult<&str, Token<'_>> {
    let first = satisfy(|c| c.is_ascii_alphabetic() || c == '_' || c == '$');
    let further = take_while(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$');
    let (rest, name) = recognize(preceded(peek(first), further)).parse(input)?;
    let word = WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(name));
    Ok((rest, word.map_or(Token::Name(name), |(_, word)| Token::Word(*word))))
}
