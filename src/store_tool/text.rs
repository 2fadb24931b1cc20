//! What was found, in words.

use std::io::{self, Write};

use store::import::{ImportOptions, Imported};
use store::inspect::{Inspection, Problem, Verified};

use super::config_files::Configs;

pub(super) fn inspection(store: &Inspection, configs: &Configs, out: &mut dyn Write) -> io::Result<()> {
    head(store, out)?;
    let log = &store.log;
    writeln!(
        out,
        "commit log: {} of {} bytes, from {} to {} (the end of the last file)",
        count(log.files, "file"),
        log.file_bytes,
        log.min,
        log.capacity
    )?;
    writeln!(out, "queues: {}", store.queues.len())?;
    for queue in &store.queues {
        let kind = if queue.batches { ", of inner batches" } else { "" };
        writeln!(
            out,
            "  {}: offsets {} to {}, {} in {}{kind}",
            queue.name(),
            queue.min,
            queue.max,
            count(queue.units, "unit"),
            count(queue.files, "file")
        )?;
    }
    writeln!(out, "indexes: {}", store.indexes.len())?;
    for index in &store.indexes {
        let slots = index.slots.map_or_else(String::new, |slots| format!(", {slots} slots"));
        writeln!(
            out,
            "  {}: {}{slots}, records {} to {}, times {} to {}",
            index.file,
            if index.entries == 1 { "1 entry".to_owned() } else { format!("{} entries", index.entries) },
            index.begin_offset,
            index.end_offset,
            index.begin_time,
            index.end_time
        )?;
    }
    match &store.checkpoint {
        Some(checkpoint) => writeln!(
            out,
            "checkpoint: log flushed up to time {}, queues up to time {} and record {}, index up to time {}, confirmed up to {}",
            checkpoint.log_flushed_time,
            checkpoint.queues_flushed_time,
            checkpoint.queues_flushed_offset,
            checkpoint.index_flushed_time,
            checkpoint.confirmed_offset
        )?,
        None => writeln!(out, "checkpoint: none")?,
    }
    for (what, number) in [("topics", configs.topics), ("groups", configs.groups)] {
        if let Some(number) = number {
            writeln!(out, "{what}: {number}")?;
        }
    }
    if let Some(roster) = &store.roster {
        let what = roster.queues.map_or_else(|| "damaged".to_owned(), |queues| count(queues, "queue"));
        writeln!(out, "noted by the last stop: {what}, {} bytes", roster.bytes)?;
    }
    writeln!(out, "others:")?;
    for other in &store.others {
        let files = if other.files == 1 { String::new() } else { format!(" in {} files", other.files) };
        writeln!(out, "  {}: {} bytes{files}", other.path, other.bytes)?;
    }
    problems(store.problems.iter().chain(&configs.problems), out)
}

pub(super) fn imported(imported: &Imported, options: &ImportOptions, out: &mut dyn Write) -> io::Result<()> {
    let verb = if options.dry_run { "would make" } else { "made" };
    writeln!(
        out,
        "{verb} {} of the member {} in {}",
        options.config.root.display(),
        imported.member,
        options.from.display()
    )?;
    let last = imported.last.map_or_else(String::new, |(index, term)| format!(" up to entry {index} of term {term}"));
    let agreed =
        imported.committed.map_or_else(String::new, |committed| format!("; {committed} was noted as agreed on"));
    writeln!(out, "messages: {}{last}{agreed}", imported.records)?;
    if imported.old_records > 0 {
        writeln!(out, "messages from before the group: {}", imported.old_records)?;
    }
    if imported.empty_entries > 0 {
        writeln!(out, "entries without a message, left out: {}", imported.empty_entries)?;
    }
    writeln!(out, "commit log: from {} to {}", imported.begin, imported.end)?;
    writeln!(out, "queues: {}, and {} that keep their next offset only", imported.queues, imported.kept_queues)?;
    writeln!(out, "timer log: {}", count(imported.timers, "unit"))?;
    writeln!(out, "config: {}", imported.tables.join(", "))?;
    let (log, queues) = (imported.commit_log_file_bytes, imported.consume_queue_file_bytes);
    write!(out, "settings it needs: mappedFileSizeCommitLog={log} mappedFileSizeConsumeQueue={queues}")?;
    match imported.index {
        Some((slots, entries)) => writeln!(out, " maxHashSlotNum={slots} maxIndexNum={entries}")?,
        None => writeln!(out)?,
    }
    imported.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))
}

pub(super) fn verified(store: &Inspection, verified: &Verified, out: &mut dyn Write) -> io::Result<()> {
    head(store, out)?;
    writeln!(
        out,
        "checked {} up to {}, {} of {}, and {} index entries",
        count(verified.log.records, "record"),
        verified.log.end,
        count(verified.units, "unit"),
        count(store.queues.len(), "queue"),
        verified.index_entries
    )?;
    for note in &verified.notes {
        writeln!(out, "note: {note}")?;
    }
    problems(&verified.problems, out)?;
    let more = verified.problem_count.saturating_sub(verified.problems.len() as u64);
    match (verified.problem_count, more) {
        (0, _) => writeln!(out, "all is well"),
        (number, 0) => writeln!(out, "{} found", count(number, "problem")),
        (number, more) => writeln!(out, "{} found, {more} of them not shown", count(number, "problem")),
    }
}

fn head(store: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: a store in {}", store.root.display(), store.kind)?;
    match (store.running, store.abort) {
        (true, _) => writeln!(out, "a broker is running on it: what it writes now may look wrong"),
        (false, true) => writeln!(out, "the broker did not stop cleanly"),
        (false, false) => Ok(()),
    }
}

fn problems<'a>(problems: impl IntoIterator<Item = &'a Problem>, out: &mut dyn Write) -> io::Result<()> {
    problems.into_iter().try_for_each(|problem| writeln!(out, "PROBLEM {problem}"))
}

fn count(number: impl TryInto<u64>, what: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
