//! Doing stages, there and back: the state is saved before each step, and what is about to be done is said before it is.

mod groups;
mod name_servers;
mod processes;
mod replicas;
mod wait;
mod writes;

pub(crate) use replicas::{lacks, sentence};

use std::path::PathBuf;

use super::args::{MigrateArgs, Pace};
use super::desk::Desk;
use super::hooks::Hooks;
use super::plan::{Stage, Step};
use super::state::{At, State};
use super::{MigrateError, ask, say};

/// Does steps.
pub(crate) struct Runner<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) state: State,
    pub(crate) path: PathBuf,
    pub(crate) hooks: Hooks,
    pub(crate) pace: Pace,
    pub(crate) yes: bool,
    /// Consumer groups and topics that are not waited for when a set is drained.
    pub(crate) leave: Vec<String>,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(desk: &'a Desk, state: State, args: &MigrateArgs) -> Result<Self, MigrateError> {
        let hooks = args.hooks.as_deref().map(Hooks::read).transpose()?.unwrap_or_default();
        let (path, pace, yes, leave) = (args.state.clone(), args.pace, args.yes, args.leave.clone());
        Ok(Self { desk, state, path, hooks, pace, yes, leave })
    }

    /// Does the stages that are left, up to and with this one.
    pub(crate) async fn run(&mut self, until: Option<usize>) -> Result<(), MigrateError> {
        let count = self.state.stages.len();
        if let Some(stage) = until.filter(|until| *until == 0 || *until > count) {
            return Err(MigrateError::NoStage { stage, count });
        }
        self.until_told_is_so().await?;
        for number in 1..=until.unwrap_or(count) {
            match self.state.stages[number - 1].at {
                At::Done => {}
                At::Undoing { .. } => return Err(MigrateError::BeingUndone { stage: number }),
                At::ToDo => {
                    self.agree(number, false).await?;
                    self.forward(number, 0).await?;
                }
                At::Doing(step) => {
                    self.agree(number, false).await?;
                    self.forward(number, step).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes back all stages behind this one, the last first.
    pub(crate) async fn roll_back(&mut self, to: usize) -> Result<(), MigrateError> {
        let count = self.state.stages.len();
        if to > count {
            return Err(MigrateError::NoStage { stage: to, count });
        }
        self.until_told_is_so().await?;
        for number in (to + 1..=count).rev() {
            let standing = &self.state.stages[number - 1];
            let (begun, step) = match standing.at {
                At::ToDo => continue,
                At::Undoing { begun, step } => (begun, step),
                At::Doing(_) | At::Done => (standing.begun(), 0),
            };
            self.agree(number, true).await?;
            let steps = standing_steps(&self.state.stages[number - 1].stage, begun, true);
            for (at, wanted) in steps.iter().enumerate().skip(step) {
                self.perform((number, at, steps.len()), wanted, At::Undoing { begun, step: at }).await?;
            }
            self.finish(number, At::ToDo, "taken back")?;
        }
        Ok(())
    }

    async fn forward(&mut self, number: usize, from: usize) -> Result<(), MigrateError> {
        let steps = standing_steps(&self.state.stages[number - 1].stage, 0, false);
        for (at, wanted) in steps.iter().enumerate().skip(from) {
            self.perform((number, at, steps.len()), wanted, At::Doing(at)).await?;
        }
        self.finish(number, At::Done, "done")
    }

    fn finish(&mut self, number: usize, at: At, word: &str) -> Result<(), MigrateError> {
        self.state.stages[number - 1].at = at;
        self.state.log(format!("stage {number} is {word}"));
        self.save()?;
        say(&format!("stage {number} is {word}"));
        Ok(())
    }

    /// Shows what a stage is going to do, and asks whether to.
    async fn agree(&self, number: usize, back: bool) -> Result<(), MigrateError> {
        let standing = &self.state.stages[number - 1];
        let from = match standing.at {
            At::Doing(step) if !back => step,
            At::Undoing { step, .. } => step,
            _ => 0,
        };
        let head = if back { "take back" } else { "do" };
        say(&format!("stage {number} of {}: {head}: {}", self.state.stages.len(), standing.stage));
        let steps = standing_steps(&standing.stage, standing.begun(), back);
        for (at, step) in steps.iter().enumerate().skip(from) {
            let how = self.how(step).map_or_else(String::new, |how| format!("\n       {how}"));
            say(&format!("  {:>2}. {step}{how}", at + 1));
        }
        if self.yes || ask("go on? [y/N] ").await? { Ok(()) } else { Err(MigrateError::NotAgreed) }
    }

    /// One step of so many; the state says that it is being done before it is.
    async fn perform(
        &mut self,
        (number, at, count): (usize, usize, usize),
        step: &Step,
        standing: At,
    ) -> Result<(), MigrateError> {
        self.state.stages[number - 1].at = standing;
        self.state.log(format!("stage {number}: {step}"));
        self.save()?;
        say(&format!("stage {number}, step {} of {count}: {step}", at + 1));
        let done = match step {
            Step::NoteNameServer { address } => self.note_name_server(address).await,
            Step::SettleNameServer { address } => self.settle_name_server(address).await,
            Step::Stop { process, make } => self.stop(process, *make).await,
            Step::Start { process, make } => self.start(process, *make).await,
            Step::Wipe { set } => self.wipe(set).await,
            Step::Forbid { address } => self.forbid(address).await,
            Step::Permit { address } => self.permit(address).await,
            Step::Drain { set, address, must } => self.drain(set, address, *must).await,
            Step::Level { set, slave } => self.level(set, slave).await,
            Step::Note { set, address } => self.note(set, address).await,
            Step::Share { set, members } => self.share(set, members).await,
            Step::Recheck { members, .. } => self.recheck(members).await,
            Step::Check { set, address } => self.check(set, address).await,
            Step::Compare { set, slave } => self.compare(set, slave).await,
            Step::Restore { set, address } => self.restore(set, address).await,
            Step::StartSet { set } => self.start_set(set).await,
            Step::StopSet { set } => self.stop_set(set).await,
            Step::CopySettings { from, into } => self.copy_settings(from, into).await,
            Step::DrainOut { set } => self.drain_out(set).await,
        };
        if self.state.told.take().is_some() {
            self.save()?;
        }
        done
    }

    fn save(&self) -> Result<(), MigrateError> {
        self.state.save(&self.path)
    }
}

fn standing_steps(stage: &Stage, begun: usize, back: bool) -> Vec<Step> {
    if back { stage.back(begun) } else { stage.forward() }
}

#[cfg(test)]
mod tests;
