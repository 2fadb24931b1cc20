//! `ferromq migrate`: a running Java cluster becomes one of Ferromq, process by process, and back.
//!
//! ```text
//! name servers, brokers ─ survey ─▶ checks ─▶ findings
//!                            └────▶ plan ──▶ stages ─ steps ─▶ run: hooks or the operator act, it watches and compares
//!                                              └──── state file: how far it is, what was written down
//! ```

mod args;
mod checks;
mod desk;
mod hooks;
mod notes;
mod plan;
mod run;
mod settings;
mod state;
mod survey;
mod text;
mod verify;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use args::Act;
pub(crate) use args::{MigrateArgs, parse};
use checks::{Finding, Weight};
use desk::{AskError, Desk};
use hooks::HookError;
use run::Runner;
use state::{Standing, State};
use survey::survey;

#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrateError {
    #[error("no name server answers: {why}")]
    NoNameServer { why: String },
    #[error("which cluster? --cluster <name>; the name servers know: {known}")]
    WhichCluster { known: String },
    #[error("there is no broker set {set}; the cluster has: {known}")]
    NoSet { set: String, known: String },
    #[error("no name server knows a master of {set}")]
    NoMaster { set: String },
    #[error("{path}: {why}")]
    State { path: String, why: String },
    #[error("{path} is not there: `ferromq migrate plan -n <name servers>` makes it")]
    NoState { path: String },
    #[error("{path} is locked: another `ferromq migrate` is at work with this state")]
    Locked { path: String },
    #[error(
        "nothing was touched: these checks found what would break: {checks}. See `ferromq migrate plan`; if you know better, \
         --accept {checks}"
    )]
    Blocked { checks: String },
    #[error("there is no stage {stage}; there are {count}")]
    NoStage { stage: usize, count: usize },
    #[error("stage {stage} is being taken back: finish that with `ferromq migrate rollback --to {}`", .stage - 1)]
    BeingUndone { stage: usize },
    #[error("it was not agreed to; the state is saved, and the same command goes on")]
    NotAgreed,
    #[error("nobody can be asked, as the standard input is no terminal: --yes goes on without")]
    NobodyToAsk,
    #[error("the {process} is to be a {wanted}, and there is a {found}: stop that first")]
    InTheWay { process: String, wanted: String, found: String },
    #[error(
        "{what}: not within {waited:?}: {missing}. The state is saved: the same command goes on, `rollback` goes back"
    )]
    Patience { what: String, waited: Duration, missing: String },
    #[error("something is missing, see above")]
    Differs,
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Hook(#[from] HookError),
}

/// Does what the command line asks for; plans and comparisons go to the standard output, progress to the standard error.
pub(crate) fn run(args: MigrateArgs) -> ExitCode {
    crate::ask::end(act(args))
}

async fn act(args: MigrateArgs) -> Result<String, MigrateError> {
    let desk = Desk::new();
    let done = act_at(&desk, &args).await;
    desk.close().await;
    done
}

async fn act_at(desk: &Desk, args: &MigrateArgs) -> Result<String, MigrateError> {
    if args.act == Act::Plan {
        return make_plan(desk, args, State::load(&args.state)?).await;
    }
    let missing = || MigrateError::NoState { path: args.state.display().to_string() };
    if !args.state.exists() {
        return Err(missing());
    }
    // Held until this ends, and taken before the state is read.
    let _lock = match args.act {
        Act::Run { .. } | Act::Rollback { .. } => Some(state::lock(&args.state).await?),
        Act::Plan | Act::Verify => None,
    };
    let state = State::load(&args.state)?.ok_or_else(missing)?;
    match args.act {
        Act::Run { until } => {
            unblocked(&state.findings, &args.accept)?;
            let mut runner = Runner::new(desk, state, args)?;
            runner.run(until).await?;
            Ok(text::progress(&runner.state))
        }
        Act::Rollback { to } => {
            let mut runner = Runner::new(desk, state, args)?;
            runner.roll_back(to).await?;
            Ok(text::progress(&runner.state))
        }
        Act::Verify => verify::verify(desk, &state, args.pace.samples, args.json).await,
        Act::Plan => Ok(text::progress(&state)),
    }
}

/// Looks at the cluster; writes the state unless a move has begun, which is shown then.
async fn make_plan(desk: &Desk, args: &MigrateArgs, known: Option<State>) -> Result<String, MigrateError> {
    let begun = known.filter(State::is_begun);
    let name_servers = crate::ask::addresses(args.name_servers.as_deref().unwrap_or_default());
    let survey = survey(desk, &name_servers, args.cluster.as_deref()).await?;
    if let Some(set) = args.scope.sets.iter().find(|wanted| survey.sets.iter().all(|set| set.name != **wanted)) {
        let known = survey.sets.iter().map(|set| set.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(MigrateError::NoSet { set: set.clone(), known });
    }
    let findings = checks::check(&survey, &args.scope);
    let state = match begun {
        Some(state) => state,
        None => {
            let mut state = State::new(survey.cluster.clone(), name_servers);
            state.stages = plan::stages(&survey, &args.scope).into_iter().map(Standing::new).collect();
            state.findings.clone_from(&findings);
            for broker in survey.sets.iter().flat_map(|set| &set.brokers) {
                state.settings.insert(broker.address.clone(), settings::for_ferromq(&broker.config));
            }
            state.save(&args.state)?;
            state
        }
    };
    let hooks = Runner::new(desk, state, args)?;
    Ok(if args.json {
        text::json(&survey, &findings, &hooks.state)
    } else {
        text::plan(&survey, &findings, &hooks, &args.state)
    })
}

/// # Errors
/// A check found what would break, and nobody said that it does not matter.
fn unblocked(findings: &[Finding], accepted: &[String]) -> Result<(), MigrateError> {
    let blocks = |finding: &&Finding| finding.weight == Weight::Blocks && !accepted.contains(&finding.check);
    let mut checks: Vec<_> = findings.iter().filter(blocks).map(|finding| finding.check.as_str()).collect();
    checks.sort_unstable();
    checks.dedup();
    if checks.is_empty() { Ok(()) } else { Err(MigrateError::Blocked { checks: checks.join(",") }) }
}

/// A line for the person who watches.
pub(crate) fn say(line: &str) {
    if cfg!(test) {
        #[expect(clippy::print_stderr, reason = "shown for a test that fails only")]
        return eprintln!("{line}");
    }
    // Progress is not worth failing for.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether the person says yes.
pub(crate) async fn ask(question: &str) -> Result<bool, MigrateError> {
    if !io::stdin().is_terminal() {
        return Err(MigrateError::NobodyToAsk);
    }
    let _ = write!(io::stderr().lock(), "{question}");
    let read = || {
        let mut line = String::new();
        // The end of the input says no.
        io::stdin().read_line(&mut line).map(|_| line).unwrap_or_default()
    };
    let line = tokio::task::spawn_blocking(read).await.unwrap_or_default();
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests;
