//! The commands of an operator that start and stop processes, and running them.
//!
//! ```text
//! # Comments and empty lines are left out.
//! [brokers]                     # all brokers that have no section of their own, or lack the act in it
//! stop-java = ssh root@$MIGRATE_HOST systemctl stop rocketmq-broker
//! [10.0.0.11:10911]             # one broker or name server, by its address
//! start-ferromq = ssh root@10.0.0.11 systemctl start ferromq-broker
//! [name servers]                # as [brokers]
//! [set broker-r]                # the broker set that takes the place of a DLedger group
//! ```
//!
//! A command is one line, for `sh -c`, whose environment tells what is wanted ([`Wanted`]).

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

/// Between two looks whether a command has ended.
const LOOK: Duration = Duration::from_millis(50);
/// A command ends within this; one that starts a process leaves it in the background.
const COMMAND_MAX: Duration = Duration::from_secs(300);

/// What is done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    StopJava,
    StartJava,
    StopFerromq,
    StartFerromq,
}

const ACTS: [Act; 4] = [Act::StopJava, Act::StartJava, Act::StopFerromq, Act::StartFerromq];

impl Act {
    fn name(self) -> &'static str {
        match self {
            Self::StopJava => "stop-java",
            Self::StartJava => "start-java",
            Self::StopFerromq => "stop-ferromq",
            Self::StartFerromq => "start-ferromq",
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whom a section is for.
pub(crate) const BROKERS: &str = "brokers";
pub(crate) const NAME_SERVERS: &str = "name servers";

/// A hooks file that cannot be used, or a command that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HookError {
    #[error("read {path}: {cause}")]
    Read { path: String, cause: std::io::Error },
    #[error("{path}, line {line}: {reason}")]
    Line { path: String, line: usize, reason: String },
    #[error("start {command:?}: {cause}")]
    Start { command: String, cause: std::io::Error },
    #[error("{command:?} ended with {status}")]
    Failed { command: String, status: String },
    #[error("{command:?} did not end within {within:?}: what it starts has to go on in the background")]
    Late { command: String, within: Duration },
}

/// A command is told this, by its environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// `MIGRATE_ADDRESS`, `MIGRATE_HOST` and `MIGRATE_PORT`: of the process; empty for a broker set that is yet to be.
    pub(crate) address: String,
    /// `MIGRATE_CLUSTER`
    pub(crate) cluster: String,
    /// `MIGRATE_NAMESRV`: addresses joined by `;`.
    pub(crate) name_servers: String,
    /// `MIGRATE_SET`: the broker name; empty for a name server.
    pub(crate) set: String,
    /// `MIGRATE_ROLE`: `ASYNC_MASTER`, `SYNC_MASTER` or `SLAVE`, the role that the process has or is to have; empty for a name server.
    pub(crate) role: String,
    /// `MIGRATE_BROKER_ID`, likewise.
    pub(crate) broker_id: String,
    /// `MIGRATE_STORE`: the `storePathRootDir` that the Java broker told.
    pub(crate) store: String,
    /// `MIGRATE_CONFIG`: a file with settings for Ferromq in this role, made of those of the Java broker.
    pub(crate) config: String,
}

/// Sections, and in each the command for an act.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Hooks(BTreeMap<String, BTreeMap<Act, String>>);

impl Hooks {
    /// # Errors
    /// [`HookError`] that names the line.
    pub(crate) fn read(path: &Path) -> Result<Self, HookError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|cause| HookError::Read { path: shown.clone(), cause })?;
        Self::parse(&text).map_err(|(line, reason)| HookError::Line { path: shown, line, reason })
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut sections = BTreeMap::<String, BTreeMap<Act, String>>::new();
        let mut section = None;
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(head) = line.strip_prefix('[') {
                let name = head.split_once(']').map(|(name, _)| name.trim());
                let name =
                    name.filter(|name| !name.is_empty()).ok_or((number, "a section is [host:port]".to_owned()))?;
                section = Some(sections.entry(name.to_owned()).or_default());
                continue;
            }
            let pair = line.split_once('=').map(|(act, command)| (act.trim(), command.trim()));
            let (act, command) = pair.filter(|(_, command)| !command.is_empty()).ok_or_else(|| {
                (number, "this is neither a section nor an act with its command, such as stop-java = …".to_owned())
            })?;
            let known = ACTS.iter().find(|known| known.name() == act).ok_or_else(|| {
                (number, format!("there is no act {act:?}; the acts are {}", ACTS.map(Act::name).join(", ")))
            })?;
            let section = section.as_mut().ok_or_else(|| (number, format!("{act} is in no section")))?;
            if section.insert(*known, command.to_owned()).is_some() {
                return Err((number, format!("{act} is there twice in its section")));
            }
        }
        Ok(Self(sections))
    }

    /// The command for an act on the process of a section, or else on all of its kind.
    pub(crate) fn command(&self, section: &str, kind: &str, act: Act) -> Option<&str> {
        let in_section = |section: &str| self.0.get(section)?.get(&act).map(String::as_str);
        in_section(section).or_else(|| in_section(kind))
    }
}

/// A process of this machine: its number, and when it was started, in clock ticks since the machine was, as numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pid {
    pub(crate) number: u32,
    started: u64,
}

impl Pid {
    fn of(number: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        // Behind the name, which may hold anything: the state, and 18 numbers before the one that is wanted.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let has_ended = fields.next()? == "Z";
        let started = fields.nth(18)?.parse().ok()?;
        (!has_ended).then_some(Self { number, started })
    }

    pub(crate) fn runs(&self) -> bool {
        Self::of(self.number).as_ref() == Some(self)
    }
}

/// A command that was started. It goes on if nobody waits for its end.
pub(crate) struct Running {
    command: String,
    child: Child,
}

impl Running {
    /// What it prints goes to the standard error.
    ///
    /// # Errors
    /// [`HookError::Start`].
    pub(crate) fn start(command: &str, act: Act, wanted: &Wanted) -> Result<Self, HookError> {
        let (host, port) = wanted.address.rsplit_once(':').unwrap_or((&wanted.address, ""));
        let child = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .env("MIGRATE_ACT", act.name())
            .env("MIGRATE_ADDRESS", &wanted.address)
            .env("MIGRATE_HOST", host)
            .env("MIGRATE_PORT", port)
            .env("MIGRATE_CLUSTER", &wanted.cluster)
            .env("MIGRATE_NAMESRV", &wanted.name_servers)
            .env("MIGRATE_SET", &wanted.set)
            .env("MIGRATE_ROLE", &wanted.role)
            .env("MIGRATE_BROKER_ID", &wanted.broker_id)
            .env("MIGRATE_STORE", &wanted.store)
            .env("MIGRATE_CONFIG", &wanted.config)
            .spawn();
        let command = command.to_owned();
        match child {
            Ok(child) => Ok(Self { command, child }),
            Err(cause) => Err(HookError::Start { command, cause }),
        }
    }

    /// `None` if it has ended.
    pub(crate) fn pid(&self) -> Option<Pid> {
        Pid::of(self.child.id())
    }

    /// # Errors
    /// [`HookError`] if it fails or takes too long.
    pub(crate) async fn end(mut self) -> Result<(), HookError> {
        let deadline = Instant::now() + COMMAND_MAX;
        loop {
            let command = || self.command.clone();
            match self.child.try_wait().map_err(|cause| HookError::Start { command: command(), cause })? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(HookError::Failed { command: command(), status: status.to_string() }),
                None if Instant::now() >= deadline => {
                    // It is gone already if this fails.
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    return Err(HookError::Late { command: self.command, within: COMMAND_MAX });
                }
                None => sleep(LOOK).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_its_own_command_or_that_of_its_kind() {
        let text = "\
# ours
[brokers]
stop-java = stop all   # the rest of the line is the command's
start-ferromq=ssh $MIGRATE_HOST 'a=b'

[10.0.0.1:10911]  one of them
stop-java = stop one
";
        let hooks = Hooks::parse(text).unwrap();
        let check = |section, act, expect| assert_eq!(hooks.command(section, BROKERS, act), expect, "{section} {act}");
        check("10.0.0.1:10911", Act::StopJava, Some("stop one"));
        check("10.0.0.1:10911", Act::StartFerromq, Some("ssh $MIGRATE_HOST 'a=b'"));
        check("10.0.0.2:10911", Act::StopJava, Some("stop all   # the rest of the line is the command's"));
        check("10.0.0.2:10911", Act::StartJava, None);
        assert_eq!(hooks.command("10.0.0.3:9876", NAME_SERVERS, Act::StopJava), None);
    }

    #[test]
    fn what_is_wrong_in_a_hooks_file_is_said() {
        let check = |text: &str, line: usize, expect: &str| {
            assert_eq!(Hooks::parse(text).unwrap_err(), (line, expect.to_owned()), "{text}");
        };
        check("stop-java = x", 1, "stop-java is in no section");
        check("[brokers\n", 1, "a section is [host:port]");
        check(
            "[brokers]\nstop = x",
            2,
            "there is no act \"stop\"; the acts are stop-java, start-java, stop-ferromq, start-ferromq",
        );
        let neither = "this is neither a section nor an act with its command, such as stop-java = …";
        check("[brokers]\n\nstop-java", 3, neither);
        check("[brokers]\nstop-java =", 2, neither);
        check("[brokers]\nstop-java = a\nstop-java = b", 3, "stop-java is there twice in its section");
    }

    #[tokio::test]
    async fn a_command_is_told_what_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        let wanted = Wanted { address: "10.0.0.1:10911".into(), role: "SLAVE".into(), ..Wanted::default() };
        let command = format!("echo $MIGRATE_ACT $MIGRATE_HOST $MIGRATE_PORT $MIGRATE_ROLE > {}", told.display());
        Running::start(&command, Act::StartJava, &wanted).unwrap().end().await.unwrap();
        assert_eq!(std::fs::read_to_string(&told).unwrap(), "start-java 10.0.0.1 10911 SLAVE\n");
        let err = Running::start("exit 3", Act::StopJava, &wanted).unwrap().end().await.unwrap_err();
        assert_eq!(err.to_string(), "\"exit 3\" ended with exit status: 3");
    }

    #[test]
    fn a_command_that_nobody_waits_for_is_known_until_it_ends() {
        let mut running = Running::start("exec sleep 600", Act::StopJava, &Wanted::default()).unwrap();
        let pid = running.pid().unwrap();
        assert!(pid.runs());
        assert!(!Pid { started: pid.started + 1, ..pid }.runs(), "it is another one");
        running.child.kill().unwrap();
        while pid.runs() {
            std::thread::yield_now();
        }
        assert_eq!(running.pid(), None, "it has ended, and nobody has asked how");
        running.child.wait().unwrap();
    }
}
