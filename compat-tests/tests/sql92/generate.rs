//! Expressions and messages: most make sense, some do not.

use fastrand::Rng;

/// An expression, and the properties of messages as records hold them.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) expression: String,
    pub(crate) messages: Vec<String>,
}

const NAMES: [&str; 6] = ["a", "b", "Color", "_x1", "$y", "TAGS"];
const NUMBERS: [&str; 17] = [
    "0",
    "1",
    "5",
    "007",
    "5L",
    "42",
    "2147483647",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "1.5",
    ".5",
    "5.",
    "1e3",
    "2.5E-2",
    "0.0",
    "1e999",
];
const TEXTS: [&str; 10] =
    ["'x'", "'it''s'", "'red'", "''", "'5'", "'TRUE'", "'\u{e9}\u{4e2d}'", "'a b'", "'-- x'", "'re'"];
/// Of properties.
const VALUES: [&str; 22] = [
    "x",
    "it's",
    "red",
    "5",
    "5.0",
    " 5",
    "+5",
    "-5",
    "1e3",
    "5d",
    "NaN",
    "Infinity",
    "-Infinity",
    "true",
    "TRUE",
    "false",
    "2147483648",
    "9223372036854775808",
    "\u{e9}\u{4e2d}",
    "a b",
    ".5",
    "-0",
];
const SOUP: [&str; 40] = [
    "a",
    "b",
    "5",
    "1.5",
    "'x'",
    "TRUE",
    "NULL",
    "NOT",
    "AND",
    "OR",
    "IN",
    "IS",
    "BETWEEN",
    "CONTAINS",
    "STARTSWITH",
    "(",
    ")",
    ",",
    "=",
    "<>",
    ">",
    ">=",
    "<",
    "<=",
    "+",
    "-",
    "!",
    "!=",
    "'",
    "/*",
    "*/",
    "--",
    "\n",
    "\t",
    ".",
    "%",
    "endswith",
    "\u{e9}",
    "like",
    "\"q\"",
];

pub(crate) fn cases(seed: u64, rounds: usize) -> Vec<Case> {
    let mut rng = Rng::with_seed(seed);
    (0..rounds)
        .map(|round| {
            let mut expression = match round % 10 {
                0 => soup(&mut rng),
                _ => condition(&mut rng, 3),
            };
            if round % 7 == 1 {
                damage(&mut expression, &mut rng);
            }
            let messages = (0..rng.usize(2..6)).map(|_| message(&mut rng)).collect();
            Case { expression, messages }
        })
        .collect()
}

fn message(rng: &mut Rng) -> String {
    let mut properties = String::new();
    for name in NAMES {
        if rng.u8(0..3) > 0 {
            properties += &format!("{name}\u{1}{}\u{2}", pick(rng, &VALUES));
        }
    }
    properties
}

fn condition(rng: &mut Rng, depth: usize) -> String {
    if depth == 0 {
        return comparison(rng);
    }
    let (left, right) = (depth - 1, depth - 1);
    match rng.u8(0..12) {
        0..3 => format!("{} {} {}", condition(rng, left), cased(rng, "AND"), condition(rng, right)),
        3..6 => format!("{} {} {}", condition(rng, left), cased(rng, "OR"), condition(rng, right)),
        6 => format!("({})", condition(rng, left)),
        7 => format!("NOT {}", condition(rng, left)),
        8 => format!("({}) = {}", condition(rng, left), operand(rng)),
        9 => format!("{} IS NULL", condition(rng, left)),
        _ => comparison(rng),
    }
}

fn comparison(rng: &mut Rng) -> String {
    let not = if rng.bool() { "NOT " } else { "" };
    match rng.u8(0..14) {
        0..5 => format!("{} {} {}", operand(rng), pick(rng, &["=", "<>", ">", ">=", "<", "<="]), operand(rng)),
        5..7 => format!("{} {not}{} {} AND {}", name(rng), cased(rng, "BETWEEN"), number(rng), number(rng)),
        7..9 => {
            let list: Vec<&str> = (0..rng.usize(1..12)).map(|_| pick(rng, &TEXTS)).collect();
            format!("{} {not}{} ({})", name(rng), cased(rng, "IN"), list.join(","))
        }
        9 => format!("{} IS {not}NULL", operand(rng)),
        10..12 => {
            let word = pick(rng, &["CONTAINS", "STARTSWITH", "ENDSWITH", "contains"]);
            format!("{} {not}{word} {}", operand(rng), pick(rng, &TEXTS))
        }
        12 => format!("{} BETWEEN {} AND {}", operand(rng), operand(rng), operand(rng)),
        _ => pick(rng, &["TRUE", "FALSE", "NULL", "a", "/* c */ b", "Color -- c\n", "5"]).to_owned(),
    }
}

fn operand(rng: &mut Rng) -> String {
    match rng.u8(0..12) {
        0..6 => name(rng),
        6..9 => number(rng),
        9 => pick(rng, &TEXTS).to_owned(),
        10 => pick(rng, &["TRUE", "FALSE", "NULL", "true"]).to_owned(),
        _ => format!("-{}", name(rng)),
    }
}

fn name(rng: &mut Rng) -> String {
    pick(rng, &NAMES).to_owned()
}

/// Mostly one that fits many properties.
fn number(rng: &mut Rng) -> String {
    let sign = pick(rng, &["", "", "", "-", "+", "- -"]);
    let number = if rng.bool() { pick(rng, &NUMBERS) } else { pick(rng, &["5", "1", "5.5", "0", "1000"]) };
    format!("{sign}{number}")
}

fn soup(rng: &mut Rng) -> String {
    let tokens: Vec<&str> = (0..rng.usize(0..9)).map(|_| pick(rng, &SOUP)).collect();
    tokens.join(pick(rng, &[" ", " ", ""]))
}

/// Takes a piece out, or puts one in.
fn damage(expression: &mut String, rng: &mut Rng) {
    let places: Vec<usize> = expression.char_indices().map(|(at, _)| at).collect();
    let Some(&at) = rng.choice(&places) else { return };
    if rng.bool() {
        expression.remove(at);
    } else {
        expression.insert_str(at, pick(rng, &SOUP));
    }
}

fn cased(rng: &mut Rng, word: &str) -> String {
    match rng.u8(0..3) {
        0 => word.to_lowercase(),
        1 => word[..1].to_owned() + &word[1..].to_lowercase(),
        _ => word.to_owned(),
    }
}

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}
