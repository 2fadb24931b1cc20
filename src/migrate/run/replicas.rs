//! Whether a broker has what it is to have: slaves as their master, a broker as the one before it.

use tokio::time::Instant;

use super::Runner;
use super::wait::Look;
use crate::migrate::desk::AskError;
use crate::migrate::notes::{Lacks, Note, end, note, samples_at};
use crate::migrate::{MigrateError, say};
use crate::progress::Bar;

impl Runner<'_> {
    /// The slave has all of the log that the master had when this began.
    pub(super) async fn level(&self, set: &str, slave: &str) -> Result<(), MigrateError> {
        let what = format!("the slave at {slave} is to be level");
        let goal = self
            .until(&what, async || match self.master_of(set).await {
                None => Ok(Look::not_yet(format!("no name server knows a master of {set}"))),
                Some(master) => Ok(end(self.desk, &master).await.map_or_else(Look::not_yet, Look::Reached)),
            })
            .await?;
        let mut bar = Bar::new("catch up");
        let mut first = None;
        self.until(&what, async || {
            let now = match end(self.desk, slave).await {
                Ok(now) => now,
                Err(err) => return Ok(Look::not_yet(err)),
            };
            if now >= goal {
                return Ok(Look::Reached(()));
            }
            let first = *first.get_or_insert(now);
            bar.show(now.abs_diff(first), goal.abs_diff(first));
            Ok(Look::not_yet(format!("it lacks {} of the log", bytes(goal - now))))
        })
        .await
    }

    pub(super) async fn note(&mut self, set: &str, at: &str) -> Result<(), MigrateError> {
        let Some(at) = self.whoever(set, at).await else {
            say(&format!("  no name server knows a master of {set}: there is nothing to write down"));
            return Ok(());
        };
        let note = note(self.desk, &at, self.pace.samples).await?;
        let (count, topics, samples) = (note.count(), note.topics.len(), note.samples.len());
        say(&format!("  {count} messages in {topics} topics, {} groups, {samples} samples", note.groups.len()));
        self.state.notes.insert(set.to_owned(), note);
        self.save()
    }

    /// Members take commits whoever leads, and keep them when they are stopped.
    pub(super) async fn share(&self, set: &str, members: &[String]) -> Result<(), MigrateError> {
        let Some(note) = self.state.notes.get(set) else { return Ok(()) };
        for at in members {
            let known = match self.desk.consumer_offsets(at).await {
                Ok(known) => known.offset_table,
                Err(err) => {
                    say(&format!("  not to {at}: {err}"));
                    continue;
                }
            };
            let (mut put, mut refused) = (0, Vec::new());
            for (key, queue, offset) in note.offsets_behind(&known) {
                let Some((topic, group)) = key.rsplit_once('@') else { continue };
                match self.desk.put_forward(at, group, topic, queue, offset).await {
                    Ok(()) => put += 1,
                    Err(err) => refused.push(err.to_string()),
                }
            }
            let why = refused.first().map_or_else(String::new, |why| format!(": {why}"));
            say(&format!("  {put} offsets to {at}, {} refused{why}", refused.len()));
        }
        Ok(())
    }

    /// The broker has what was written down. Consumers' offsets that are behind are put forward: a slave learns of them late.
    pub(super) async fn check(&self, set: &str, at: &str) -> Result<(), MigrateError> {
        let Some(before) = self.state.notes.get(set) else { return Ok(()) };
        let mut told = false;
        let lacks = self
            .until(&format!("{set} is to have what was written down"), async || {
                let Some(at) = self.whoever(set, at).await else {
                    return Ok(Look::not_yet(format!("no name server knows a master of {set}")));
                };
                let lacks = match lacks(self.desk, before, &at).await {
                    Ok(lacks) => lacks,
                    Err(err) => return Ok(Look::not_yet(err)),
                };
                if let Err(err) = self.put_forward(&at, &lacks, &mut told).await {
                    return Ok(Look::not_yet(err));
                }
                Ok(if lacks.is_serious() { Look::not_yet(sentence(&lacks)) } else { Look::Reached(lacks) })
            })
            .await?;
        report(&lacks);
        say(&format!("  all there: {} messages or more, {} samples alike", before.count(), before.samples.len()));
        Ok(())
    }

    /// The broker, or the master of its set if none is named.
    pub(super) async fn whoever(&self, set: &str, at: &str) -> Option<String> {
        if at.is_empty() { self.master_of(set).await } else { Some(at.to_owned()) }
    }

    /// Puts the offsets of consumers that are behind forward. It may still have to learn of a group or topic.
    async fn put_forward(&self, at: &str, lacks: &Lacks, told: &mut bool) -> Result<(), AskError> {
        for (key, queue, offset) in &lacks.offsets {
            let Some((topic, group)) = key.rsplit_once('@') else { continue };
            self.desk.put_forward(at, group, topic, *queue, *offset).await?;
        }
        if !lacks.offsets.is_empty() && !*told {
            *told = true;
            say(&format!("  {} offsets of consumers were behind, and are put forward", lacks.offsets.len()));
        }
        Ok(())
    }

    /// The slave has what the master had a little before.
    pub(super) async fn compare(&self, set: &str, slave: &str) -> Result<(), MigrateError> {
        let (began, mut told) = (Instant::now(), false);
        let mut of_master: Option<(Note, Instant)> = None;
        let lacks = self
            .until(&format!("the slave at {slave} is to have what the master has"), async || {
                if of_master.as_ref().is_none_or(|(_, at)| at.elapsed() >= self.pace.copied) {
                    let Some(master) = self.master_of(set).await else {
                        return Ok(Look::not_yet(format!("no name server knows a master of {set}")));
                    };
                    match note(self.desk, &master, self.pace.samples).await {
                        Ok(note) => of_master = Some((note, Instant::now())),
                        Err(err) => return Ok(Look::not_yet(err)),
                    }
                }
                let Some((before, _)) = &of_master else { return Ok(Look::not_yet("the master is asked")) };
                let lacks = match lacks(self.desk, before, slave).await {
                    Ok(lacks) => lacks,
                    Err(err) => return Ok(Look::not_yet(err)),
                };
                if began.elapsed() >= self.pace.offsets_copied
                    && let Err(err) = self.put_forward(slave, &lacks, &mut told).await
                {
                    return Ok(Look::not_yet(err));
                }
                Ok(if lacks.is_serious() { Look::not_yet(sentence(&lacks)) } else { Look::Reached(lacks) })
            })
            .await?;
        report(&lacks);
        say(&format!("  alike, as far as {} samples, offsets, topics and groups tell", self.pace.samples));
        Ok(())
    }
}

/// What a broker lacks now of what was written down.
pub(crate) async fn lacks(desk: &crate::migrate::desk::Desk, before: &Note, at: &str) -> Result<Lacks, AskError> {
    let samples = samples_at(desk, at, before).await?;
    Ok(before.lacking_in(&note(desk, at, 0).await?, &samples))
}

/// What is missing, for a person.
pub(crate) fn sentence(lacks: &Lacks) -> String {
    let Lacks { messages, tables, offsets, .. } = lacks;
    let offsets = offsets.iter().map(|(key, queue, offset)| format!("{key} queue {queue} is not at {offset} yet"));
    let all: Vec<_> = messages.iter().chain(tables).cloned().chain(offsets).collect();
    crate::migrate::checks::some(all.iter().map(String::as_str))
}

/// What is not as it was, though nothing is lost by it.
fn report(lacks: &Lacks) {
    if !lacks.trimmed.is_empty() {
        let queues = crate::migrate::checks::some(lacks.trimmed.iter().map(String::as_str));
        say(&format!("  old messages are not there: {queues}"));
    }
    if !lacks.delays.is_empty() {
        say(&format!("  delay levels {:?} are behind: some delayed messages come twice", lacks.delays));
    }
}

fn bytes(count: i64) -> String {
    const MIB: i64 = 1 << 20;
    if count < MIB { format!("{count} bytes") } else { format!("{} MiB", count / MIB) }
}
