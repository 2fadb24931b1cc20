//! The command line behind `ferromq group`.

use lexopt::{Arg, Parser, ValueExt};
use remoting::types::MemberNumber;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GroupArgs {
    pub(crate) act: Act,
    pub(crate) at: At,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Status {
        json: bool,
    },
    Add {
        member: MemberNumber,
        /// Where the other members reach it, `host:port`.
        address: String,
        /// It is not promoted.
        learner: bool,
    },
    Promote(MemberNumber),
    Remove(MemberNumber),
    Transfer(MemberNumber),
}

/// Who is asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// A broker of the group, `host:port`.
    Broker(String),
    /// One that name servers know.
    Set { name_servers: String, broker_name: String },
}

/// Reads what follows `group`; `None`: help is asked for.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn parse(parser: &mut Parser) -> Result<Option<GroupArgs>, String> {
    let (mut broker, mut name_servers, mut broker_name, mut json, mut learner) = (None, None, None, false, false);
    let mut words = Vec::new();
    let say = |err: lexopt::Error| err.to_string();
    while let Some(arg) = parser.next().map_err(say)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Short('b') | Arg::Long("brokerAddr") => broker = Some(text(parser)?),
            Arg::Short('n') | Arg::Long("namesrvAddr") => name_servers = Some(text(parser)?),
            Arg::Long("brokerName") => broker_name = Some(text(parser)?),
            Arg::Long("json") => json = true,
            Arg::Long("learner") => learner = true,
            Arg::Value(word) => words.push(word.string().map_err(say)?),
            other => return Err(say(other.unexpected())),
        }
    }
    let act = act(&words, json, learner)?;
    let at = match (broker, name_servers, broker_name) {
        (Some(broker), None, None) => At::Broker(broker),
        (None, Some(name_servers), Some(broker_name)) => At::Set { name_servers, broker_name },
        (None, None, None) => return Err("which group? Name a broker of it: -b host:port".to_owned()),
        (Some(_), ..) => return Err("name a broker with -b, or find one with -n and --brokerName, not both".to_owned()),
        (None, ..) => return Err("-n and --brokerName find a broker together".to_owned()),
    };
    Ok(Some(GroupArgs { act, at }))
}

fn text(parser: &mut Parser) -> Result<String, String> {
    parser.value().and_then(|value| value.string()).map_err(|err| err.to_string())
}

fn act(words: &[String], json: bool, learner: bool) -> Result<Act, String> {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    if json && words[..] != ["status"] {
        return Err("--json is for status".to_owned());
    }
    if learner && words.first() != Some(&"add") {
        return Err("--learner is for add".to_owned());
    }
    let number = |name: &str| name.parse::<MemberNumber>().map_err(|err| format!("{name:?} is no member: {err}"));
    Ok(match words[..] {
        ["status"] => Act::Status { json },
        ["add", member, address] => Act::Add { member: number(member)?, address: address.to_owned(), learner },
        ["promote", member] => Act::Promote(number(member)?),
        ["remove", member] => Act::Remove(number(member)?),
        ["transfer", member] => Act::Transfer(number(member)?),
        ["add", ..] => {
            return Err("add whom? Its name and where the others reach it, such as add n3 10.0.0.4:40911".to_owned());
        }
        [word @ ("promote" | "remove" | "transfer"), ..] => return Err(format!("{word} wants one member, such as n1")),
        ["status", ..] => return Err("status wants nothing but options".to_owned()),
        [] => return Err("which group command: status, add, promote, remove or transfer?".to_owned()),
        [word, ..] => {
            return Err(format!(
                "there is no group command {word:?}; the commands are status, add, promote, remove and transfer"
            ));
        }
    })
}
