//! One step of a migration after the other, with the clients looked at all the time: after each everybody is served again, and has
//! had everything.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::sleep;

use super::fleet::Fleet;
use super::load::{Load, Owed, Since};
use super::report::{Report, Row};
use crate::faults::{DRAIN_MAX, LOOK_AGAIN, Look, SERVED_AGAIN_MAX, now, until};

/// What consumers have had so long before a step is not delivered to them again by it: clients tell their offsets every 5 s, brokers
/// save them every 5 s, slaves ask for them every 10 s (Java 4.9) or 60 s (Java 5), and a queue that is given to another client may
/// be asked for 20 s later.
const SETTLED_MS: i64 = 100_000;
/// With nobody sending, nothing comes any more for so long.
const QUIET: Duration = Duration::from_secs(10);

/// The way of a cluster from one make to another and back.
pub(super) struct Journey<'a> {
    pub(super) fleet: &'a Fleet,
    load: Load,
    report: Report,
    say: &'a mut dyn FnMut(&str),
    /// When the step before this one began.
    began_before: i64,
}

impl<'a> Journey<'a> {
    pub(super) fn new(fleet: &'a Fleet, load: Load, say: &'a mut dyn FnMut(&str)) -> Self {
        Self { fleet, load, report: Report::default(), say, began_before: now() }
    }

    /// Does what `act` does, and waits until everybody is served again and has had all that was acknowledged.
    pub(super) async fn step(&mut self, what: &str, act: impl AsyncFnOnce(&Fleet) -> Result<()>) -> Result<()> {
        self.taken(what, act).await.with_context(|| format!("step `{what}`"))
    }

    async fn taken(&mut self, what: &str, act: impl AsyncFnOnce(&Fleet) -> Result<()>) -> Result<()> {
        let (fleet, began, before) = (self.fleet, now(), self.load.repeats());
        self.load.settle(self.began_before - SETTLED_MS);
        self.began_before = began;
        tokio::select! {
            done = act(fleet) => done?,
            failed = watch(&mut self.load) => return failed,
        }
        let over = now();
        self.served_since(over).await?;
        let owed = self.load.owed();
        self.until_had(&owed, Since::TheStart).await?;
        let (now, pauses) = (self.load.repeats(), self.load.longest_pauses(began));
        let killed = fleet.killed();
        let row = Row { what: what.to_owned(), took_ms: over - began, pauses, before, now, killed };
        (self.say)(&row.in_words());
        self.report.rows.push(row);
        Ok(())
    }

    /// Ends the load once all of it was consumed, also by somebody who comes only now.
    pub(super) async fn end(mut self) -> Result<Report> {
        self.load.stop().await?;
        let mut owed = self.load.owed();
        self.until_had(&owed, Since::TheStart).await?;
        self.load.read_all_again().await?;
        owed.keep(&self.fleet.sets());
        self.until_had(&owed, Since::TheEnd).await?;
        let had = self.load.repeats();
        sleep(QUIET).await;
        self.load.look()?;
        if self.load.repeats() != had {
            bail!("messages come again although nothing happens: {had:?}, then {:?}", self.load.repeats());
        }
        self.report.acknowledged = self.load.acknowledged();
        self.report.repeats = had;
        Ok(self.report)
    }

    /// Waits until every producer was answered to something it began after `moment`.
    async fn served_since(&mut self, moment: i64) -> Result<()> {
        until("all producers to be served", SERVED_AGAIN_MAX, &mut self.load, |load| load.not_served_since(moment))
            .await
    }

    async fn until_had(&mut self, owed: &Owed, since: Since) -> Result<()> {
        until("the consumers to have all", DRAIN_MAX, &mut self.load, |load| load.lacks(owed, since)).await
    }
}

/// Ends only when something is not as it must be.
async fn watch(load: &mut Load) -> Result<()> {
    loop {
        load.look()?;
        sleep(LOOK_AGAIN).await;
    }
}
