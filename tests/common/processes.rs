//! Processes of the real binary, what they log and what is in their files.
#![allow(dead_code, reason = "no test needs all of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use remoting::client::Client;
use remoting::protocol::ResponseCode;
use rustix::process::{Pid, Signal, kill_process};

use super::{Process, update_topic};

/// A `broker` or a `namesrv` with these settings. They are in its folder, and so is what it [logs](log_of), of all its lives.
/// `level` as `RUST_LOG` has it.
pub(crate) fn start(kind: &str, folder: &Path, settings: &str, level: Option<&str>) -> Process {
    fs::create_dir_all(folder).expect("a folder");
    let file = folder.join(format!("{kind}.conf"));
    fs::write(&file, settings).expect("the settings");
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).expect("a log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferromq"));
    command.arg(kind).arg("-c").arg(file).env_remove("RUST_LOG").envs(level.map(|level| ("RUST_LOG", level)));
    // What no setting names is there, too.
    command.env("HOME", folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Process(command.spawn().expect("the process"))
}

impl Process {
    /// As SIGTERM, at which it closes everything; how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.0), Signal::TERM).expect("it is asked to stop");
        self.0.wait().expect("it ends")
    }
}

/// What has been logged in this folder.
pub(crate) fn log_of(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// Lines of a log that a person would have to look at.
pub(crate) fn errors_in(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains(" ERROR ") || line.contains("panicked")).collect()
}

/// What is in the files of a folder, by name.
pub(crate) fn files_in(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        Some((entry.file_name().into_string().ok()?, fs::read(entry.path()).ok()?))
    };
    entries.filter_map(file).collect()
}

/// Creates the topic, as often as it takes for the broker to be up.
pub(crate) async fn until_up(
    client: &Client,
    broker: &str,
    (topic, queues): (&str, i32),
    answer_max: Duration,
    log: impl Fn() -> String,
) {
    let (header, since) = (update_topic(topic, queues), Instant::now());
    loop {
        match client.call(broker, &header, Bytes::new(), answer_max).await {
            Ok(answer) if answer.code() == ResponseCode::SUCCESS => return,
            outcome => assert!(since.elapsed() < 3 * answer_max, "{outcome:?}\n{}", log()),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
