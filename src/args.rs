//! The command line: Java's flags, and a word for which process to run.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use lexopt::{Arg, Parser, ValueExt};

use crate::group_tool::{GroupArgs, parse as parse_group, parse_ready};
use crate::migrate::{MigrateArgs, parse as parse_migrate};
use crate::store_tool::{StoreArgs, parse as parse_store};

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Run(Args),
    /// `-p` or `-m`: show the settings and end.
    Print(Args, Extent),
    /// `store`: look at a store's files.
    Store(StoreArgs),
    /// `group`: look at a Raft group, or change it.
    Group(GroupArgs),
    /// `migrate`: a Java cluster becomes one of Ferromq, or goes back.
    Migrate(Box<MigrateArgs>),
    /// `ready`: whether the broker at this address is.
    Ready(String),
    Help,
    Version,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Args {
    pub(crate) command: Command,
    /// `-n`
    pub(crate) name_servers: Option<String>,
    /// `-c`
    pub(crate) config_file: Option<PathBuf>,
}

/// Which process to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// A name server and a broker in one.
    Standalone,
    NameServer,
    Broker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    All,
    Important,
}

pub(crate) const HELP: &str = "\
ferromq: an Apache RocketMQ name server and broker

Usage: ferromq [standalone|namesrv|broker] [options]
       ferromq store inspect|verify|dump <folder> [options]
       ferromq store import <folder> <new folder> [options]
       ferromq group status|add|promote|remove|transfer [member] [address] -b <addr> [options]
       ferromq group spread -n <addr;addr> [options]
       ferromq migrate plan|run|verify|rollback [options]
       ferromq ready -b <addr>

  standalone  a name server on port 9876 and a broker on port 10911, with their data in ./data (the default)
  namesrv     a name server; also when called mqnamesrv
  broker      a broker; also when called mqbroker
  store       reads a store's files, Java's or ours, and changes nothing: inspect prints what is in them, verify checks
              every checksum and reference and ends with 1 if something is wrong, dump prints messages, one a line; import
              makes a store of the files of a Java DLedger member that is stopped
  group       asks a broker of a Raft group: status prints its members, add n3 10.0.0.4:40911 takes one in and waits until
              it has the log, promote n3 gives a learner its vote, remove n3 lets one go, transfer n1 has another one lead;
              spread gives leads away until each machine leads about as many groups as the others
  migrate     moves a running RocketMQ cluster to Ferromq, process by process, and back: plan looks at it through its name
              servers, checks what would break and writes the steps to a state file, run does them, verify compares what
              brokers have, rollback takes steps back; see docs/migration.md
  ready       ends with 0 if a broker serves and, in a Raft group, has what the group has; else says why not and ends with 1

Options:
  -n, --namesrvAddr <addr;addr>  name servers to register with, such as 192.168.0.1:9876;192.168.0.2:9876
  -c, --configFile <file>        settings, in RocketMQ's .properties form and with its names; store import: those of the broker
  -p, --printConfigItem          print all settings and end
  -m, --printImportantConfig     print the important settings and end
  -h, --help                     print this and end
      --json                     store, group status, migrate plan and verify: print JSON; dump prints an object a line
      --running                  store: look also when a broker is running on it
      --commitlog <folder>       store: where the commit log is, if not in the store's folder
      --topic <name>             store dump: messages of this topic only
      --queue <id>               store dump: messages of this queue only
      --from <offset>            store dump: queue offset to begin with; without --topic and --queue, place in the log
      --max <count>              store dump: how many to print
      --data <folder>            store import: where the member's entries are, if not in the store's folder
      --committed                store import: only what the member had noted as agreed on
      --dry-run                  store import: read and check everything, and write nothing
  -b, --brokerAddr <addr>        group: any broker of the group, such as 192.168.0.1:10911; ready: the broker
      --brokerName <name>        group: the broker set to look for at the name servers of -n, in place of -b
      --learner                  group add: do not wait, and give no vote
      --credentials <file>       group: sign changes with the accessKey and secretKey in it, as of RocketMQ's tools.yml
      --cluster <name>           group spread: groups of this cluster only
      --dry-run                  group spread: print what would be done
      --state <file>             migrate: the plan and how far it is, migration.json if not said
      --hooks <file>             migrate: commands that stop and start processes
      --yes                      migrate run, rollback: do not ask before each stage
      --until <stage>            migrate run: end after this stage
      --to <stage>               migrate rollback: the last stage that stays; all are taken back if not said
      --cluster <name>           migrate plan: the cluster, if name servers know several
      --sets <a,b>               migrate plan: these broker sets only
      --keep-name-servers        migrate plan: name servers stay as they are
      --masters <how>            migrate plan: in-place, or switch to a slave
      --into <set=new set>       migrate plan: what takes the place of a DLedger group
      --accept <check,check>     migrate run: go on though these checks found something
      --leave <name,name>        migrate run, rollback: consumer groups and topics that a set is not drained for
      --route-poll <seconds>     migrate run, rollback: how often clients look at name servers, 30 if not said
      --quiet <seconds>          migrate run, rollback: no message for so long is quiet, 5 if not said
      --patience <seconds>       migrate run, rollback: longest wait for anything, 600 if not said
      --samples <count>          migrate: messages of each broker set that are compared byte by byte, 100 if not said
      --version                  print the version and end

RUST_LOG says what is logged to the standard error, such as RUST_LOG=debug or RUST_LOG=warn,broker=info.
";

/// Reads the command line, the name of the program included.
///
/// # Errors
/// What is wrong with it, for a person to read.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Asked, String> {
    let mut parser = Parser::from_iter(args);
    let mut command = parser.bin_name().and_then(command_by_name);
    let (mut name_servers, mut config_file, mut print) = (None, None, None);
    while let Some(arg) = parser.next().map_err(say)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Asked::Help),
            Arg::Long("version") => return Ok(Asked::Version),
            Arg::Short('n') | Arg::Long("namesrvAddr") => {
                name_servers = Some(parser.value().and_then(text).map_err(say)?)
            }
            Arg::Short('c') | Arg::Long("configFile") => {
                config_file = Some(PathBuf::from(parser.value().map_err(say)?))
            }
            Arg::Short('p') | Arg::Long("printConfigItem") => print = Some(Extent::All),
            // All settings hold the important ones.
            Arg::Short('m') | Arg::Long("printImportantConfig") => print = print.or(Some(Extent::Important)),
            Arg::Long("enable-proxy") => return Err("the proxy is not there yet".to_owned()),
            Arg::Value(word) if word == "store" && command.is_none() => return parse_store(&mut parser).map(to_asked),
            Arg::Value(word) if word == "group" && command.is_none() => {
                return parse_group(&mut parser).map(|args| args.map_or(Asked::Help, Asked::Group));
            }
            Arg::Value(word) if word == "migrate" && command.is_none() => {
                let args = parse_migrate(&mut parser)?;
                return Ok(args.map_or(Asked::Help, |args| Asked::Migrate(Box::new(args))));
            }
            Arg::Value(word) if word == "ready" && command.is_none() => {
                return parse_ready(&mut parser).map(|broker| broker.map_or(Asked::Help, Asked::Ready));
            }
            Arg::Value(word) => command = Some(command_word(command, &word)?),
            other => return Err(say(other.unexpected())),
        }
    }
    let args = Args { command: command.unwrap_or(Command::Standalone), name_servers, config_file };
    Ok(match print {
        Some(extent) => Asked::Print(args, extent),
        None => Asked::Run(args),
    })
}

fn to_asked(args: Option<StoreArgs>) -> Asked {
    args.map_or(Asked::Help, Asked::Store)
}

fn say(err: lexopt::Error) -> String {
    err.to_string()
}

fn text(value: OsString) -> Result<String, lexopt::Error> {
    value.string()
}

/// Java's start scripts, as which the program may be linked.
fn command_by_name(program: &str) -> Option<Command> {
    match Path::new(program).file_name().and_then(OsStr::to_str)? {
        "mqnamesrv" => Some(Command::NameServer),
        "mqbroker" => Some(Command::Broker),
        _ => None,
    }
}

fn command_word(known: Option<Command>, word: &OsStr) -> Result<Command, String> {
    let command = match word.to_str() {
        Some("standalone") => Command::Standalone,
        Some("namesrv") => Command::NameServer,
        Some("broker") => Command::Broker,
        _ => {
            return Err(format!(
                "there is no command {word:?}; the commands are standalone, namesrv, broker, store, group, migrate and ready"
            ));
        }
    };
    match known {
        Some(known) if known != command => Err(format!("{word:?} comes too late: this is a {} already", known.word())),
        _ => Ok(command),
    }
}

impl Command {
    fn word(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::NameServer => "namesrv",
            Self::Broker => "broker",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Asked, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn run(command: Command, name_servers: Option<&str>, config_file: Option<&str>) -> Args {
        Args { command, name_servers: name_servers.map(str::to_owned), config_file: config_file.map(PathBuf::from) }
    }

    #[test]
    fn javas_flags_are_understood() {
        let check = |line: &str, expect: Args| assert_eq!(read(line), Ok(Asked::Run(expect)), "{line}");
        check("ferromq", run(Command::Standalone, None, None));
        check("ferromq broker -n a:1;b:2 -c x.conf", run(Command::Broker, Some("a:1;b:2"), Some("x.conf")));
        check("ferromq -n a:1 namesrv", run(Command::NameServer, Some("a:1"), None));
        check("/opt/bin/mqbroker -na:1", run(Command::Broker, Some("a:1"), None));
        check("mqnamesrv --configFile=x.conf", run(Command::NameServer, None, Some("x.conf")));
        check("mqbroker broker --namesrvAddr a:1", run(Command::Broker, Some("a:1"), None));
    }

    #[test]
    fn printing_beats_running() {
        let args = || run(Command::Broker, None, None);
        assert_eq!(read("mqbroker -m"), Ok(Asked::Print(args(), Extent::Important)));
        assert_eq!(read("mqbroker -m -p"), Ok(Asked::Print(args(), Extent::All)));
        assert_eq!(read("mqbroker -p -m"), Ok(Asked::Print(args(), Extent::All)));
        assert_eq!(read("ferromq -p -h"), Ok(Asked::Help));
        assert_eq!(read("ferromq --version"), Ok(Asked::Version));
        assert_eq!(read("ferromq ready -b a:10911"), Ok(Asked::Ready("a:10911".to_owned())));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |line: &str, expect: &str| assert_eq!(read(line).unwrap_err(), expect, "{line}");
        check(
            "ferromq serve",
            "there is no command \"serve\"; the commands are standalone, namesrv, broker, store, group, migrate and ready",
        );
        check("ferromq group status", "which group? Name a broker of it: -b host:port");
        check("ferromq ready", "which broker? -b host:port");
        check("ferromq ready now", "ready wants nothing but -b host:port");
        check(
            "mqbroker group",
            "there is no command \"group\"; the commands are standalone, namesrv, broker, store, group, migrate and ready",
        );
        check("mqbroker namesrv", "\"namesrv\" comes too late: this is a broker already");
        check("ferromq -x", "invalid option '-x'");
        check("ferromq -c", "missing argument for option '-c'");
        check("mqbroker --enable-proxy", "the proxy is not there yet");
    }
}
