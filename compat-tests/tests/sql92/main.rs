//! Java's SQL 92 filter and ours agree on thousands of generated expressions and messages: on what is an expression, on
//! the words of a refusal, and on what an expression is for a message.
//!
//! Needs the jars that `compat-tests/setup/prepare.sh` fetches, and a JDK. `SQL92_SEED` and `SQL92_ROUNDS` change what is
//! tried; a failure names the case.

mod generate;

use std::env;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::thread;

use broker::Expression;
use compat_tests::artifacts::{Artifacts, JAVA_SERVER};

use self::generate::{Case, cases};

#[test]
fn javas_filter_and_ours_agree() {
    let seed = setting("SQL92_SEED", 92);
    let cases = cases(seed, setting("SQL92_ROUNDS", 5000) as usize);
    let answers = ask_java(&cases);
    let mut answers = answers.iter().map(String::as_str);
    let mut next = || answers.next().expect("Java answers every line");
    let mut unlike = Vec::new();
    let (mut refused, mut verdicts) = (0, 0);
    for Case { expression, messages } in &cases {
        let java = next();
        match Expression::compile(expression) {
            Ok(compiled) if java == "ok" => {
                for message in messages {
                    let (java, ours) = (next(), format!("{:?}", compiled.verdict(message)));
                    verdicts += 1;
                    if java != ours {
                        unlike.push(format!("{expression:?} on {message:?}: {java} in Java, {ours} here"));
                    }
                }
            }
            Ok(_) => unlike.push(format!("{expression:?}: refused in Java, taken here: {}", words(java))),
            Err(err) if java == "ok" => {
                for _ in messages {
                    next();
                }
                unlike.push(format!("{expression:?}: taken in Java, refused here: {err}"));
            }
            Err(err) => {
                refused += 1;
                for _ in messages {
                    next();
                }
                // Java adds a list of all that it would have taken.
                let (java, ours) = (words(java), err.to_string());
                // It looks at all that stands behind a plus sign before it builds any of it.
                let ahead = java.contains("Encountered \" \"+\" \"+ \"\"");
                if !java.starts_with(&ours) && !ahead {
                    unlike.push(format!("{expression:?}: refused in other words\n  Java: {java}\n  ours: {ours}"));
                }
            }
        }
    }
    assert!(
        unlike.is_empty(),
        "seed {seed}, {} unlike, the first of them\n{}",
        unlike.len(),
        unlike[..unlike.len().min(20)].join("\n")
    );
    // A generator that makes only one kind of case would prove little.
    assert!(refused > cases.len() / 20 && verdicts > cases.len(), "{refused} refused, {verdicts} verdicts");
}

fn setting(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// One line for each expression and each message, in order.
fn ask_java(cases: &[Case]) -> Vec<String> {
    let artifacts = Artifacts::find().expect("prepared");
    let mut java: Child = Command::new("java")
        .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &artifacts.server_class_path(JAVA_SERVER)])
        .arg(artifacts.workspace.join("compat-tests/clients/filter/Filter.java"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start java");
    let mut to = java.stdin.take().expect("piped");
    let from = BufReader::new(java.stdout.take().expect("piped"));
    let reader = thread::spawn(move || from.lines().collect::<Result<Vec<_>, _>>());
    let mut lines = String::new();
    for Case { expression, messages } in cases {
        lines += &format!("E {}\n", hex(expression));
        messages.iter().for_each(|message| lines += &format!("M {}\n", hex(message)));
    }
    to.write_all(lines.as_bytes()).expect("ask java");
    drop(to);
    let answers = reader.join().expect("the reader ends").expect("java answers");
    assert!(java.wait().expect("java ends").success());
    answers
}

/// Of Java's refusal.
fn words(answer: &str) -> String {
    let hex = answer.strip_prefix("no ").unwrap_or_default().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(&String::from_utf8_lossy(pair), 16).expect("hexadecimal");
    String::from_utf8(hex.chunks(2).map(byte).collect()).expect("UTF-8")
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes all");
        hex
    })
}
