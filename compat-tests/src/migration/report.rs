//! What clients felt of each step.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::load::Flow;
use crate::clients::Client;
use crate::faults::checker::Repeats;

/// A migration that was done.
#[derive(Default)]
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    /// Messages that were acknowledged, by kind.
    pub(super) acknowledged: Vec<(Flow, usize)>,
    pub(super) repeats: Repeats,
}

/// One step.
pub(super) struct Row {
    pub(super) what: String,
    pub(super) took_ms: i64,
    /// Longest time without an acknowledged plain message, in milliseconds, by client.
    pub(super) pauses: BTreeMap<Client, i64>,
    /// Since the start, before the step and after it.
    pub(super) before: Repeats,
    pub(super) now: Repeats,
    /// Who was killed in it.
    pub(super) killed: Vec<String>,
}

impl Row {
    fn seconds(&self) -> String {
        format!("{}.{}", self.took_ms / 1000, self.took_ms % 1000 / 100)
    }

    fn delivered_again(&self) -> usize {
        self.now.delivered - self.before.delivered
    }

    fn stored_again(&self) -> usize {
        self.now.stored - self.before.stored
    }

    pub(super) fn in_words(&self) -> String {
        let pauses: Vec<_> = self.pauses.iter().map(|(client, pause)| format!("{pause} ms ({client})")).collect();
        let (again, twice) = (self.delivered_again(), self.stored_again());
        let killed: String = self.killed.iter().map(|killed| format!("; {killed}")).collect();
        format!(
            "{} took {} s, at most without an answer {}; {again} delivered again, {twice} stored twice{killed}",
            self.what,
            self.seconds(),
            pauses.join(", ")
        )
    }
}

impl Report {
    /// A table in Markdown under a heading.
    pub(super) fn markdown(&self, heading: &str) -> String {
        let counts: Vec<_> = self.acknowledged.iter().map(|(flow, count)| format!("{count} {}", flow.name())).collect();
        let Repeats { delivered, stored } = self.repeats;
        let mut text = format!(
            "## {heading}\n\n{} messages acknowledged, none lost or out of order; {delivered} delivered again, {stored} stored \
             twice.\n\n| step | s | longest pause, ms | delivered again | stored twice | killed |\n\
             | --- | ---: | --- | ---: | ---: | --- |\n",
            counts.join(", ")
        );
        for row in &self.rows {
            let pauses: Vec<_> = row.pauses.iter().map(|(client, pause)| format!("{client}: {pause}")).collect();
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} |",
                row.what,
                row.seconds(),
                pauses.join(", "),
                row.delivered_again(),
                row.stored_again(),
                row.killed.join("; ")
            );
        }
        text + "\n"
    }
}
