//! Stopping and starting, by a hook or by the operator, and seeing that it is so.

use std::collections::BTreeMap;

use remoting::config::{line, save_text};
use tokio::time::sleep;

use super::Runner;
use super::wait::Look;
use crate::migrate::desk::{AskError, Make};
use crate::migrate::hooks::{self, Act, Running, Wanted};
use crate::migrate::plan::{Process, Step};
use crate::migrate::state::{Told, settings_folder};
use crate::migrate::{MigrateError, say};

/// What answers at an address.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    make: Make,
    /// `brokerRole`; empty for a name server.
    role: String,
}

impl Runner<'_> {
    /// How a step is done, if a command or the operator does it.
    pub(crate) fn how(&self, step: &Step) -> Option<String> {
        let (section, kind, act) = match step {
            Step::Stop { process, make } => (process.address.clone(), kind(process), stop_of(*make)),
            Step::Start { process, make } => (process.address.clone(), kind(process), start_of(*make)),
            Step::StartSet { set } => (format!("set {set}"), "", Act::StartFerromq),
            Step::StopSet { set } => (format!("set {set}"), "", Act::StopFerromq),
            _ => return None,
        };
        Some(match self.hooks.command(&section, kind, act) {
            Some(command) => format!("by: {command}"),
            None => format!("by you: [{section}] has no hook {act}"),
        })
    }

    /// Has the process ended that is of this make. One of the other make is not touched.
    pub(super) async fn stop(&mut self, process: &Process, make: Make) -> Result<(), MigrateError> {
        match self.look_at(process).await {
            Ok(found) if found.make != make => {
                say(&format!("  there is a {} already", found.make));
                return Ok(());
            }
            Ok(_) | Err(_) => self.act(process, stop_of(make)).await?,
        }
        self.until(&format!("{process} is to end"), async || {
            Ok(match self.look_at(process).await {
                Err(err) if err.is_gone() => Look::Reached(()),
                Err(err) => Look::not_yet(err),
                Ok(_) => Look::not_yet("it still answers"),
            })
        })
        .await
    }

    /// Has a process of this make, in its role, serve and be known to all name servers that answer.
    pub(super) async fn start(&mut self, process: &Process, make: Make) -> Result<(), MigrateError> {
        match self.look_at(process).await {
            Ok(found) if found.make == make && suits(process, &found) => {
                say("  it serves already");
                // As does one that was told to stop before this was ended in the middle.
                sleep(self.pace.margin).await;
            }
            Ok(found) => {
                return Err(MigrateError::InTheWay {
                    process: process.to_string(),
                    wanted: format!("{make} {}", process.role),
                    found: format!("{} {}", found.make, found.role),
                });
            }
            Err(_) => {}
        }
        let mut asked_for = false;
        loop {
            let goal = format!("{process} is to serve");
            let serves = self.until(&goal, async || match self.look_at(process).await {
                Ok(found) if found.make == make && suits(process, &found) => {
                    Ok(self.unknown(process).await.map_or(Look::Reached(true), Look::NotYet))
                }
                Ok(found) => Ok(Look::not_yet(format!("there is a {} {}", found.make, found.role))),
                Err(err) if err.is_gone() && !asked_for => Ok(Look::Reached(false)),
                Err(err) => Ok(Look::not_yet(err)),
            });
            if serves.await? {
                return Ok(());
            }
            asked_for = true;
            self.act(process, start_of(make)).await?;
        }
    }

    async fn look_at(&self, process: &Process) -> Result<Found, AskError> {
        let at = &process.address;
        if process.is_name_server() {
            return self.desk.cluster_info(at).await.map(|(make, _)| Found { make, role: String::new() });
        }
        let (make, config) = self.desk.config(at).await?;
        Ok(Found { make, role: config.get("brokerRole").cloned().unwrap_or_default() })
    }

    /// Which name server does not know it as what it is to be; those that do not answer are left out.
    async fn unknown(&self, process: &Process) -> Option<String> {
        if process.is_name_server() {
            return None;
        }
        for at in &self.state.name_servers {
            let Ok((_, info)) = self.desk.cluster_info(at).await else { continue };
            let set = info.broker_addr_table.iter().find(|(name, _)| ***name == *process.set).map(|(_, set)| set);
            let id = set.and_then(|set| set.broker_addrs.iter().find(|(_, known)| **known == process.address));
            match id {
                Some((id, _)) if process.role.is_empty() || *id == process.id => {}
                Some((id, _)) => return Some(format!("{at} knows it as broker {id}, not {}", process.id)),
                None => return Some(format!("{at} does not know it yet")),
            }
        }
        None
    }

    /// By its command, or by telling the operator.
    async fn act(&mut self, process: &Process, act: Act) -> Result<(), MigrateError> {
        let wanted = self.wanted(process, act)?;
        match self.hooks.command(&process.address, kind(process), act).map(str::to_owned) {
            Some(command) => self.run_command(&command, act, &wanted).await?,
            None => {
                say(&format!("  please do this now: {act}: {process}; this waits until it is so"));
                if !wanted.config.is_empty() {
                    say(&format!("  settings for it: {}", wanted.config));
                }
                if !wanted.role.is_empty() {
                    say(&format!("  brokerRole={} brokerId={}", wanted.role, wanted.broker_id));
                }
            }
        }
        Ok(())
    }

    /// Runs a hook's command to its end. The state tells of it until the step has ended, as it goes on if this is ended before.
    pub(super) async fn run_command(&mut self, command: &str, act: Act, wanted: &Wanted) -> Result<(), MigrateError> {
        say(&format!("  {command}"));
        let running = Running::start(command, act, wanted)?;
        let starts = matches!(act, Act::StartJava | Act::StartFerromq);
        self.state.told = running.pid().map(|command| Told { command, address: wanted.address.clone(), starts });
        self.save()?;
        Ok(running.end().await?)
    }

    /// What a run that was ended has begun becomes so before anything else is done: a process that was told to stop still serves for a
    /// while, and one that was told to start does not yet.
    pub(super) async fn until_told_is_so(&mut self) -> Result<(), MigrateError> {
        let Some(Told { command, address, starts }) = self.state.told.clone() else { return Ok(()) };
        let goal = format!("{address} is to {}, as the last run said", if starts { "start" } else { "stop" });
        let so = self.until(&goal, async || {
            if command.runs() {
                return Ok(Look::not_yet(format!("its hook, process {}, is at work", command.number)));
            }
            if address.is_empty() {
                return Ok(Look::Reached(()));
            }
            // A name server answers this, too: that it knows no such request.
            let gone = self.desk.config(&address).await.is_err_and(|err| err.is_gone());
            Ok(if gone == starts { Look::not_yet("not yet") } else { Look::Reached(()) })
        });
        match so.await {
            // As it is, then.
            Err(MigrateError::Patience { what, .. }) => say(&format!("  not so: {what}")),
            so => so?,
        }
        self.state.told = None;
        Ok(())
    }

    fn wanted(&self, process: &Process, act: Act) -> Result<Wanted, MigrateError> {
        let mut wanted = self.wanted_of_set(&process.set);
        wanted.address.clone_from(&process.address);
        wanted.store.clone_from(&process.store);
        if !process.is_name_server() {
            wanted.role.clone_from(&process.role);
            wanted.broker_id = process.id.to_string();
            if act == Act::StartFerromq
                && let Some(settings) = self.state.settings.get(&process.address)
            {
                wanted.config = self.write_settings(process, settings)?;
            }
        }
        Ok(wanted)
    }

    pub(super) fn wanted_of_set(&self, set: &str) -> Wanted {
        Wanted {
            cluster: self.state.cluster.clone(),
            name_servers: self.state.name_servers.join(";"),
            set: set.to_owned(),
            ..Wanted::default()
        }
    }

    /// A file with the settings of a broker, in the role that it is to have.
    fn write_settings(&self, process: &Process, settings: &BTreeMap<String, String>) -> Result<String, MigrateError> {
        let mut settings = settings.clone();
        settings.insert("brokerRole".to_owned(), process.role.clone());
        settings.insert("brokerId".to_owned(), process.id.to_string());
        settings.insert("namesrvAddr".to_owned(), self.state.name_servers.join(";"));
        let text: String = settings.iter().map(|(key, value)| line(key, value)).collect();
        let name = format!("{}-{}.properties", process.address.replace(':', "-"), process.role);
        let path = settings_folder(&self.path).join(name);
        let path = std::path::absolute(&path).unwrap_or(path);
        let wrong = |why: String| MigrateError::State { path: path.display().to_string(), why };
        save_text(&path, &text).map_err(|err| wrong(err.to_string()))?;
        Ok(path.display().to_string())
    }
}

fn suits(process: &Process, found: &Found) -> bool {
    process.role.is_empty() || process.role == found.role
}

fn kind(process: &Process) -> &'static str {
    if process.is_name_server() { hooks::NAME_SERVERS } else { hooks::BROKERS }
}

fn stop_of(make: Make) -> Act {
    match make {
        Make::Java => Act::StopJava,
        Make::Ferromq => Act::StopFerromq,
    }
}

fn start_of(make: Make) -> Act {
    match make {
        Make::Java => Act::StartJava,
        Make::Ferromq => Act::StartFerromq,
    }
}
