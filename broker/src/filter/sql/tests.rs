use proptest::prelude::*;

use super::*;

/// A message in tests: each property as `name=value`.
fn properties(text: &str) -> String {
    let mut properties = store::message::properties::Builder::new();
    for (name, value) in text.split_terminator(';').filter_map(|item| item.split_once('=')) {
        properties.push(name, value);
    }
    properties.finish()
}

fn check(expression: &str, message: &str, expect: Verdict) {
    let compiled = Expression::compile(expression).unwrap_or_else(|err| panic!("{expression}: {err}"));
    assert_eq!(compiled.verdict(&properties(message)), expect, "{expression} on {message}");
}

fn check_refused(expression: &str, words: &str) {
    let refused = Expression::compile(expression).map(|_| ()).map_err(|err| err.to_string());
    assert_eq!(refused, Err(words.to_owned()), "{expression}");
}

use Verdict::{False, Illegal, True, Unknown};

#[test]
fn numbers_compare_with_texts_that_are_numbers_of_their_kind() {
    check("a > 5", "a=6", True);
    check("a > 5", "a=5", False);
    check("a > 5", "a=5.5", Illegal);
    check("a > 5.0", "a=5.5", True);
    check("a > 5.0", "a= 6d ", True);
    check("a = 5", "a=+5", True);
    check("a = 5", "a=5x", Illegal);
    check("a > 2147483648", "a=2147483649", True);
    check("a > 5", "a=2147483649", Illegal);
    check("a > b", "a=10;b=9.5", True);
    check("a > b", "a=x;b=1", Illegal);
    check("a < 5.0", "a=-Infinity", True);
    check("a > -5", "a=-4", True);
    check("a = 'x' OR a > 5", "a=x", True);
    check("a > 5 OR a = 'x'", "a=x", Illegal);
}

#[test]
fn what_is_missing_makes_it_unknown() {
    check("a > 5", "", Unknown);
    check("NOT (a > 5)", "", Unknown);
    check("a > 5 OR b = 1", "b=1", True);
    check("a > 5 AND b = 1", "b=1", Unknown);
    check("a > 5 AND b = 1", "b=2", False);
    check("a IS NULL", "", True);
    check("a IS NULL", "a=1", False);
    check("a IS NOT NULL", "a=1", True);
    check("a = b", "", True);
    check("a = b", "a=1", False);
    check("a = b", "b=1", Unknown);
    check("a <> b", "b=1", Unknown);
    check("a <> b", "a=1", True);
    check("a BETWEEN 1 AND b", "a=2", Unknown);
    check("a BETWEEN 1 AND b", "a=0", False);
    check("a IN ('x')", "", Unknown);
    check("a NOT IN ('x')", "", Unknown);
    check("NULL", "", Unknown);
    check("a", "a=true", False);
    check("NOT a", "a=1", True);
    check("a NOT CONTAINS 'x'", "", False);
}

#[test]
fn lists_ranges_and_parts_of_texts() {
    check("a BETWEEN 1 AND 3", "a=3", True);
    check("a BETWEEN 1 AND 3", "a=4", False);
    check("a NOT BETWEEN 1 AND 3", "a=4", True);
    check("a NOT BETWEEN 3 AND 1", "a=2", True);
    check("a IN ('x', 'it''s')", "a=it's", True);
    check("a NOT IN ('x', 'y')", "a=z", True);
    check("a IN ('i','h','g','f','e','d','c','b','a')", "a=c", True);
    check("a IN ('i','h','g','f','e','d','c','b','a')", "a=cc", False);
    check("a CONTAINS 'bc'", "a=abcd", True);
    check("a STARTSWITH 'ab' and a endswith 'cd'", "a=abcd", True);
    check("a NOT ENDSWITH 'x'", "a=abcd", True);
    check("a CONTAINS ''", "a=abcd", False);
    check("TRUE = a", "a=true", Illegal);
    check("a = TRUE", "a=tRuE", True);
    check("-a IS NULL", "a=5", True);
    check("5 = TRUE", "", False);
}

#[test]
fn what_follows_a_whole_expression_is_not_read() {
    check("a = 007", "a=0", True);
    check("a = 1 b !", "a=1", True);
    check("a = 1)", "a=1", True);
    check("/* why */ a = -- so\n 1", "a=1", True);
    check("a = 1 -- no end of line", "a=1", True);
}

#[test]
fn refusals_have_javas_words() {
    let parse = "org.apache.rocketmq.filter.parser.ParseException: ";
    let runtime = "java.lang.RuntimeException: ";
    check_refused("", &format!("{parse}Encountered \"<EOF>\" at line 0, column 0."));
    check_refused("a >\n b AND And c", &format!("{parse}Encountered \" \"AND\" \"And \"\" at line 2, column 8."));
    check_refused("5", &format!("{parse}Expression will not result in a boolean value: 5"));
    check_refused("a > 'x'", &format!("{runtime}Value ''x'' cannot be compared."));
    check_refused(
        "a > (b = 1 AND c IN ('x'))",
        &format!("{runtime}Value '((b == 1) && c IN ( x ))' cannot be compared."),
    );
    check_refused("a = NULL", &format!("{runtime}'NULL' cannot be compared."));
    check_refused("TRUE = 5", &format!("{runtime}'TRUE' cannot be compared with '5'"));
    check_refused(
        "a BETWEEN 5 AND 1.5",
        &format!("{runtime}Illegal values of between, left value(5) must less than or equal to right value(1.5)"),
    );
    check_refused("5 IN ('x')", &format!("{runtime}Expected a property for In expression, got: 5"));
    check_refused("a > 0.0", &format!("{runtime}0.0 is less than 4.9E-324"));
    check_refused("a > 1e999", &format!("{runtime}1e999 is greater than 1.7976931348623157E308"));
    check_refused(
        "a = 9223372036854775808",
        "java.lang.NumberFormatException: For input string: \"9223372036854775808\"",
    );
    check_refused(
        "a ! b",
        "org.apache.rocketmq.filter.parser.TokenMgrError: Lexical error at line 1, column 3.  Encountered: \"!\" (33), after : \"\"",
    );
}

#[test]
fn depth_and_width_are_bounded() {
    let nested = |levels: usize| format!("{}a = 1{}", "(".repeat(levels), ")".repeat(levels));
    check(&nested(90), "a=1", True);
    check_refused(&nested(100_000), "the expression is nested deeper than 100 levels");
    check_refused(&format!("{}a", "NOT ".repeat(100_000)), "the expression is nested deeper than 100 levels");
    check_refused(&format!("a{}", " IS NULL".repeat(100_000)), "the expression is nested deeper than 100 levels");
    check(&format!("a = 1{}", " OR a = 2".repeat(10_000)), "a=2", True);
    let wide: Vec<_> = (0..1001).map(|number| format!("a{number} = 1")).collect();
    check_refused(&wide.join(" OR "), "the expression reads more than 1000 properties");
    check(&wide[..1000].join(" OR "), "a999=1", True);
}

proptest! {
    #[test]
    fn no_text_and_no_message_panics(text in "[ab15.'() <>=+,eE!\u{e9}-]{0,40}|(a|NOT|IN|IS|NULL|AND|OR|BETWEEN|\\(|\\)|=|>| |'x'|7|-){0,20}", value in "\\PC{0,8}") {
        if let Ok(expression) = Expression::compile(&text) {
            expression.verdict(&format!("a\u{1}{value}\u{2}b\u{1}5\u{2}"));
        }
    }
}
