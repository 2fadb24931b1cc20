//! `ferromq`: parses the command line, assembles the processes asked for, and runs them until a signal comes.
#![forbid(unsafe_code)]

mod args;
mod ask;
#[cfg(test)]
mod docs;
mod group_tool;
mod migrate;
mod progress;
mod run;
mod settings;
mod store_tool;

use std::io::IsTerminal;
use std::process::ExitCode;

use args::{Args, Asked};
use remoting::config::ConfigError;
use run::StartError;
use settings::Plan;
use tracing_subscriber::EnvFilter;

/// Java's exit code for a command line that it does not understand.
const BAD_FLAG: u8 = 1;
/// Java's exit code for settings that it cannot use and for whatever else goes wrong early, -1.
const BAD_SETTING: u8 = 255;
/// Java's exit code for a process that cannot start, and for name servers or a role that cannot be, -3.
const NOT_STARTED: u8 = 253;

fn main() -> ExitCode {
    match args::parse(std::env::args_os()) {
        Ok(Asked::Help) => run::print(args::HELP),
        Ok(Asked::Version) => run::print(concat!("ferromq ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Asked::Print(args, extent)) => match Plan::of(&args) {
            Ok(plan) => run::print(&plan.print(extent)),
            Err(err) => return refuse(&err),
        },
        Ok(Asked::Store(args)) => return store_tool::run(&args),
        Ok(Asked::Group(args)) => return group_tool::run(args),
        Ok(Asked::Migrate(args)) => return migrate::run(*args),
        Ok(Asked::Ready(broker)) => return group_tool::ready(broker),
        Ok(Asked::Run(args)) => return start(&args),
        Err(err) => return fail(BAD_FLAG, &format!("{err}\n\n{}", args::HELP)),
    }
    ExitCode::SUCCESS
}

fn start(args: &Args) -> ExitCode {
    let plan = match Plan::of(args) {
        Ok(plan) => plan,
        Err(err) => return refuse(&err),
    };
    log_to_stderr();
    for notice in &plan.notices {
        let file = plan.config_file.as_deref().unwrap_or_else(|| "the settings".as_ref());
        tracing::warn!("{}: {notice}", file.display());
    }
    if let (None, Some(_)) = (&plan.broker, &args.name_servers) {
        tracing::warn!("-n does nothing here: name servers do not know of each other");
    }
    match run::run(plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err @ StartError::Runtime(_)) => fail(BAD_SETTING, &err.to_string()),
        Err(err) => fail(NOT_STARTED, &err.to_string()),
    }
}

fn refuse(err: &ConfigError) -> ExitCode {
    let code = match err {
        ConfigError::Wrong { wrong, .. } if ["namesrvAddr", "brokerRole", "brokerId"].contains(&wrong.key.as_str()) => {
            NOT_STARTED
        }
        _ => BAD_SETTING,
    };
    fail(code, &err.to_string())
}

#[expect(clippy::print_stderr, reason = "the reason for an exit code")]
pub(crate) fn fail(code: u8, reason: &str) -> ExitCode {
    eprintln!("ferromq: {reason}");
    ExitCode::from(code)
}

fn log_to_stderr() {
    // What a member cannot reach, openraft says many times a second, and, of a member that stops, whoever asked it something;
    // what follows from it, this broker says.
    let quiet = "info,openraft=error,openraft::raft::raft_inner=off";
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(quiet));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().compact().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr).init();
}
