//! Values, and how Java compares them.

use std::cmp::Ordering;

/// What a part of an expression is for one message, unless it is unknown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(&'a str),
}

/// The two cannot be compared, which ends the whole expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Illegal;

/// Numbers compare as numbers, and a text with a number as that kind of number; what is unlike otherwise is less, in
/// whatever order it comes. Java: `ComparisonExpression.__compare`.
pub(super) fn order(left: Value<'_>, right: Value<'_>) -> Result<Ordering, Illegal> {
    use Value::{Bool, Double, Int, Long, Text};
    Ok(match (left, right) {
        (Bool(left), Bool(right)) => left.cmp(&right),
        (Text(left), Text(right)) => left.encode_utf16().cmp(right.encode_utf16()),
        (Int(left), Int(right)) => left.cmp(&right),
        (Long(left), Long(right)) => left.cmp(&right),
        (Int(left), Long(right)) => i64::from(left).cmp(&right),
        (Long(left), Int(right)) => left.cmp(&i64::from(right)),
        (Double(left), Double(right)) => left.total_cmp(&right),
        (Double(left), Int(right)) => left.total_cmp(&f64::from(right)),
        (Int(left), Double(right)) => f64::from(left).total_cmp(&right),
        (Double(left), Long(right)) => left.total_cmp(&(right as f64)),
        (Long(left), Double(right)) => (left as f64).total_cmp(&right),
        (Text(left), Bool(right)) => left.eq_ignore_ascii_case("true").cmp(&right),
        (Text(left), Int(right)) => whole::<i32>(left)?.cmp(&right),
        (Int(left), Text(right)) => left.cmp(&whole(right)?),
        (Text(left), Long(right)) => whole::<i64>(left)?.cmp(&right),
        (Long(left), Text(right)) => left.cmp(&whole(right)?),
        (Text(left), Double(right)) => double(left)?.total_cmp(&right),
        (Double(left), Text(right)) => left.total_cmp(&double(right)?),
        // Java casts the wrong side here, and fails.
        (Bool(_), Text(_)) => return Err(Illegal),
        (Bool(_), Int(_) | Long(_) | Double(_)) | (Int(_) | Long(_) | Double(_), Bool(_)) => Ordering::Less,
    })
}

/// As [`order`], but two texts compare as numbers. Java: `ComparisonExpression.evaluate`.
pub(super) fn numeric_order(left: Value<'_>, right: Value<'_>) -> Result<Ordering, Illegal> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Ok(double(left)?.total_cmp(&double(right)?)),
        _ => order(left, right),
    }
}

/// Java: `Integer.valueOf`, `Long.valueOf`.
fn whole<T: std::str::FromStr>(text: &str) -> Result<T, Illegal> {
    text.parse().map_err(|_| Illegal)
}

/// Numbers with blanks around and a suffix are numbers, too; only hexadecimal ones are not taken.
/// Java: `Double.valueOf`.
fn double(text: &str) -> Result<f64, Illegal> {
    let text = text.trim_matches(|c| c <= ' ');
    let (unsigned, negative) = match text.strip_prefix('-') {
        Some(unsigned) => (unsigned, true),
        None => (text.strip_prefix('+').unwrap_or(text), false),
    };
    let size = match unsigned {
        // There is one such value, whatever its sign.
        "NaN" => return Ok(f64::NAN),
        "Infinity" => f64::INFINITY,
        _ => {
            let digits = unsigned.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(unsigned);
            // Rust would take the names of the two above in any case, and a second sign.
            if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
                return Err(Illegal);
            }
            digits.parse().map_err(|_| Illegal)?
        }
    };
    Ok(if negative { -size } else { size })
}
