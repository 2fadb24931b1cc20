//! The command line behind `ferromq migrate`.

use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MigrateArgs {
    pub(crate) act: Act,
    /// Of the cluster; those that are asked, and those that are swapped.
    pub(crate) name_servers: Option<String>,
    pub(crate) cluster: Option<String>,
    /// What is planned and how far it is.
    pub(crate) state: PathBuf,
    pub(crate) hooks: Option<PathBuf>,
    /// Nobody is asked before a stage.
    pub(crate) yes: bool,
    pub(crate) json: bool,
    /// Checks whose findings do not stop a run.
    pub(crate) accept: Vec<String>,
    /// Consumer groups and topics that are not waited for when a set is drained.
    pub(crate) leave: Vec<String>,
    pub(crate) scope: Scope,
    pub(crate) pace: Pace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Plan,
    /// Up to and with this stage, or all.
    Run {
        until: Option<usize>,
    },
    Verify,
    /// All stages behind this one, the last first.
    Rollback {
        to: usize,
    },
}

/// What is moved and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Broker sets; empty: all.
    pub(crate) sets: Vec<String>,
    pub(crate) keep_name_servers: bool,
    pub(crate) masters: Masters,
    /// For the broker set of a DLedger group, the name of the set that takes its place.
    pub(crate) into: Vec<(String, String)>,
}

/// How the master of a set with slaves becomes Ferromq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Masters {
    /// On its own folder and address.
    InPlace,
    /// A slave becomes the master and the master a slave.
    Switch,
}

/// How long things take, and how much is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Clients look at the name servers this often.
    pub(crate) route_poll: Duration,
    /// A set is quiet once no message came for so long.
    pub(crate) quiet: Duration,
    /// A wait that is longer ends the run; a later one goes on.
    pub(crate) patience: Duration,
    /// Messages of each set that are compared.
    pub(crate) samples: usize,
    /// Between two looks.
    pub(crate) look: Duration,
    /// What clients have on the way when they learn of a new route, and what a process still answers that was told to stop.
    pub(crate) margin: Duration,
    /// A broker that has started registers within this.
    pub(crate) registered: Duration,
    /// Within this, a slave has asked its master for everything. Java's ask for offsets every 10 s, for topics and groups every minute.
    pub(crate) copied: Duration,
    /// A slave that has no offsets of consumers by then will not get them: one of Java 5.5.0 cannot read those of such a master.
    pub(crate) offsets_copied: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            route_poll: Duration::from_secs(30),
            quiet: Duration::from_secs(5),
            patience: Duration::from_secs(600),
            samples: 100,
            look: Duration::from_millis(500),
            margin: Duration::from_secs(2),
            registered: Duration::from_secs(5),
            copied: Duration::from_secs(75),
            offsets_copied: Duration::from_secs(25),
        }
    }
}

const COMMANDS: &str = "plan, run, verify and rollback";

/// Reads what follows `migrate`; `None`: help is asked for.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn parse(parser: &mut Parser) -> Result<Option<MigrateArgs>, String> {
    let say = |err: lexopt::Error| err.to_string();
    let (mut word, mut until, mut to, mut masters) = (None, None, None, None);
    let mut args = MigrateArgs {
        act: Act::Plan,
        name_servers: None,
        cluster: None,
        state: PathBuf::from("migration.json"),
        hooks: None,
        yes: false,
        json: false,
        accept: Vec::new(),
        leave: Vec::new(),
        scope: Scope { sets: Vec::new(), keep_name_servers: false, masters: Masters::InPlace, into: Vec::new() },
        pace: Pace::default(),
    };
    while let Some(arg) = parser.next().map_err(say)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Short('n') | Arg::Long("namesrvAddr") => args.name_servers = Some(text(parser)?),
            Arg::Long("cluster") => args.cluster = Some(text(parser)?),
            Arg::Long("state") => args.state = parser.value().map_err(say)?.into(),
            Arg::Long("hooks") => args.hooks = Some(parser.value().map_err(say)?.into()),
            Arg::Long("yes") => args.yes = true,
            Arg::Long("json") => args.json = true,
            Arg::Long("accept") => args.accept.extend(list(&text(parser)?)),
            Arg::Long("leave") => args.leave.extend(list(&text(parser)?)),
            Arg::Long("sets") => args.scope.sets.extend(list(&text(parser)?)),
            Arg::Long("keep-name-servers") => args.scope.keep_name_servers = true,
            Arg::Long("masters") => masters = Some(text(parser)?),
            Arg::Long("into") => args.scope.into.push(pair(&text(parser)?)?),
            Arg::Long("until") => until = Some(number(parser)?),
            Arg::Long("to") => to = Some(number(parser)?),
            Arg::Long("route-poll") => args.pace.route_poll = seconds(parser)?,
            Arg::Long("quiet") => args.pace.quiet = seconds(parser)?,
            Arg::Long("patience") => args.pace.patience = seconds(parser)?,
            Arg::Long("samples") => args.pace.samples = number(parser)?,
            Arg::Value(value) if word.is_none() => word = Some(value.string().map_err(say)?),
            other => return Err(say(other.unexpected())),
        }
    }
    args.scope.masters = match masters.as_deref() {
        None | Some("in-place") => Masters::InPlace,
        Some("switch") => Masters::Switch,
        Some(other) => return Err(format!("--masters is in-place or switch, not {other:?}")),
    };
    args.act = match word.as_deref() {
        Some("plan") => Act::Plan,
        Some("run") => Act::Run { until },
        Some("verify") => Act::Verify,
        Some("rollback") => Act::Rollback { to: to.unwrap_or(0) },
        Some(word) => return Err(format!("there is no migrate command {word:?}; the commands are {COMMANDS}")),
        None => return Err(format!("which migrate command? There are {COMMANDS}")),
    };
    check(&args, until, to, masters.is_some())?;
    Ok(Some(args))
}

/// # Errors
/// An option is for another command, or one is missing.
fn check(args: &MigrateArgs, until: Option<usize>, to: Option<usize>, masters: bool) -> Result<(), String> {
    let plans = args.act == Act::Plan;
    let scoped = masters || args.scope.keep_name_servers || !args.scope.sets.is_empty() || !args.scope.into.is_empty();
    let wrong = if plans && args.name_servers.is_none() {
        "plan looks at a cluster through its name servers: -n host:port"
    } else if !plans && (scoped || args.cluster.is_some()) {
        "--sets, --keep-name-servers, --masters, --into and --cluster are for plan"
    } else if !plans && args.name_servers.is_some() {
        "-n is for plan: the state file knows the name servers"
    } else if until.is_some() && !matches!(args.act, Act::Run { .. }) {
        "--until is for run"
    } else if to.is_some() && !matches!(args.act, Act::Rollback { .. }) {
        "--to is for rollback"
    } else if args.json && !matches!(args.act, Act::Plan | Act::Verify) {
        "--json is for plan and verify"
    } else {
        return Ok(());
    };
    Err(wrong.to_owned())
}

fn text(parser: &mut Parser) -> Result<String, String> {
    parser.value().and_then(|value| value.string()).map_err(|err| err.to_string())
}

fn number(parser: &mut Parser) -> Result<usize, String> {
    parser.value().and_then(|value| value.parse()).map_err(|err| err.to_string())
}

fn seconds(parser: &mut Parser) -> Result<Duration, String> {
    parser.value().and_then(|value| value.parse()).map(Duration::from_secs).map_err(|err| err.to_string())
}

fn list(text: &str) -> Vec<String> {
    text.split([',', ';']).map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

/// `broker-a=broker-r`
fn pair(text: &str) -> Result<(String, String), String> {
    let sides = text.split_once('=').map(|(from, to)| (from.trim().to_owned(), to.trim().to_owned()));
    let sides = sides.filter(|(from, to)| !from.is_empty() && !to.is_empty() && from != to);
    sides.ok_or_else(|| format!("--into wants two broker sets, such as broker-a=broker-r, not {text:?}"))
}
