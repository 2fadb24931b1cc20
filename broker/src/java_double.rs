//! How Java spells a `double`.

use std::fmt;

/// A number as `Double.toString` writes it: always with a fraction, very large and very small ones with an exponent.
pub(crate) struct JavaDouble(pub(crate) f64);

impl fmt::Display for JavaDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_infinite() {
            return f.write_str(if self.0 > 0.0 { "Infinity" } else { "-Infinity" });
        }
        if self.0 == 0.0 || self.0.is_nan() || (1e-3..1e7).contains(&self.0.abs()) {
            return write!(f, "{:?}", self.0);
        }
        let text = format!("{:E}", self.0);
        match text.split_once('E') {
            Some((digits, exponent)) if !digits.contains('.') => write!(f, "{digits}.0E{exponent}"),
            _ => f.write_str(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelled_as_java_does() {
        let check = |value, expect| assert_eq!(JavaDouble(value).to_string(), expect);
        check(0.0, "0.0");
        check(10.5, "10.5");
        check(-3.0, "-3.0");
        check(0.001, "0.001");
        check(0.0005, "5.0E-4");
        check(9_999_999.0, "9999999.0");
        check(1e7, "1.0E7");
        check(12_345_678.5, "1.23456785E7");
        check(f64::MAX, "1.7976931348623157E308");
        check(f64::NAN, "NaN");
        check(f64::NEG_INFINITY, "-Infinity");
    }
}
