//! The command line behind `ferromq group`.

use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};
use remoting::types::MemberNumber;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum GroupArgs {
    One { act: Act, at: At, credentials: Option<PathBuf> },
    Spread(Spread),
}

/// Leads of all groups that name servers know are spread over machines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    pub(crate) name_servers: String,
    /// Groups of this cluster alone.
    pub(crate) cluster: Option<String>,
    pub(crate) dry_run: bool,
    pub(crate) credentials: Option<PathBuf>,
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
    let (mut broker, mut name_servers, mut broker_name, mut options) = (None, None, None, Options::default());
    let mut words = Vec::new();
    let say = |err: lexopt::Error| err.to_string();
    while let Some(arg) = parser.next().map_err(say)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Short('b') | Arg::Long("brokerAddr") => broker = Some(text(parser)?),
            Arg::Short('n') | Arg::Long("namesrvAddr") => name_servers = Some(text(parser)?),
            Arg::Long("brokerName") => broker_name = Some(text(parser)?),
            Arg::Long("json") => options.json = true,
            Arg::Long("learner") => options.learner = true,
            Arg::Long("cluster") => options.cluster = Some(text(parser)?),
            Arg::Long("dry-run") => options.dry_run = true,
            Arg::Long("credentials") => options.credentials = Some(text(parser)?.into()),
            Arg::Value(word) => words.push(word.string().map_err(say)?),
            other => return Err(say(other.unexpected())),
        }
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    options.check(&words)?;
    if words[..] == ["spread"] {
        let (None, Some(name_servers), None) = (broker, name_servers, broker_name) else {
            return Err("spread looks at the groups that name servers know: -n host:port".to_owned());
        };
        let Options { cluster, dry_run, credentials, .. } = options;
        return Ok(Some(GroupArgs::Spread(Spread { name_servers, cluster, dry_run, credentials })));
    }
    let credentials = options.credentials.take();
    let act = act(&words, options)?;
    let at = match (broker, name_servers, broker_name) {
        (Some(broker), None, None) => At::Broker(broker),
        (None, Some(name_servers), Some(broker_name)) => At::Set { name_servers, broker_name },
        (None, None, None) => return Err("which group? Name a broker of it: -b host:port".to_owned()),
        (Some(_), ..) => return Err("name a broker with -b, or find one with -n and --brokerName, not both".to_owned()),
        (None, ..) => return Err("-n and --brokerName find a broker together".to_owned()),
    };
    Ok(Some(GroupArgs::One { act, at, credentials }))
}

/// Reads what follows `ready`, the address of a broker; `None`: help is asked for.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn parse_ready(parser: &mut Parser) -> Result<Option<String>, String> {
    let mut broker = None;
    while let Some(arg) = parser.next().map_err(|err| err.to_string())? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Short('b') | Arg::Long("brokerAddr") => broker = Some(text(parser)?),
            Arg::Value(_) => return Err("ready wants nothing but -b host:port".to_owned()),
            other => return Err(other.unexpected().to_string()),
        }
    }
    broker.map(Some).ok_or_else(|| "which broker? -b host:port".to_owned())
}

fn text(parser: &mut Parser) -> Result<String, String> {
    parser.value().and_then(|value| value.string()).map_err(|err| err.to_string())
}

/// What goes with one command or another.
#[derive(Default)]
struct Options {
    json: bool,
    learner: bool,
    cluster: Option<String>,
    dry_run: bool,
    /// A file of the form of RocketMQ's `tools.yml`.
    credentials: Option<PathBuf>,
}

impl Options {
    /// # Errors
    /// One of them is for another command.
    fn check(&self, words: &[&str]) -> Result<(), String> {
        let wrong = if self.json && *words != ["status"] {
            "--json is for status"
        } else if self.learner && words.first() != Some(&"add") {
            "--learner is for add"
        } else if (self.cluster.is_some() || self.dry_run) && *words != ["spread"] {
            "--cluster and --dry-run are for spread"
        } else {
            return Ok(());
        };
        Err(wrong.to_owned())
    }
}

const COMMANDS: &str = "status, add, promote, remove, transfer and spread";

fn act(words: &[&str], Options { json, learner, .. }: Options) -> Result<Act, String> {
    let number = |name: &str| name.parse::<MemberNumber>().map_err(|err| format!("{name:?} is no member: {err}"));
    Ok(match *words {
        ["status"] => Act::Status { json },
        ["add", member, address] => Act::Add { member: number(member)?, address: address.to_owned(), learner },
        ["promote", member] => Act::Promote(number(member)?),
        ["remove", member] => Act::Remove(number(member)?),
        ["transfer", member] => Act::Transfer(number(member)?),
        ["add", ..] => {
            return Err("add whom? Its name and where the others reach it, such as add n3 10.0.0.4:40911".to_owned());
        }
        [word @ ("promote" | "remove" | "transfer"), ..] => return Err(format!("{word} wants one member, such as n1")),
        [word @ ("status" | "spread"), ..] => return Err(format!("{word} wants nothing but options")),
        [] => return Err(format!("which group command? There are {COMMANDS}")),
        [word, ..] => return Err(format!("there is no group command {word:?}; the commands are {COMMANDS}")),
    })
}
