//! The table client × version × scenario × target.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::clients::Client;
use crate::plan::test_name;
use crate::scenario::Scenario;
use crate::target::Target;

/// What became of one scenario with one client on one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    Passed,
    /// In the second try; with what went wrong in the first.
    PassedAgain(String),
    /// With what went wrong.
    Failed(String),
    /// The client cannot do this, for the reason given.
    Lacking(&'static str),
}

/// Results of a run.
#[derive(Debug, Default)]
pub struct Matrix(BTreeMap<(&'static str, Client, Target), Cell>);

impl Matrix {
    pub fn set(&mut self, scenario: &'static str, client: Client, target: Target, cell: Cell) {
        self.0.insert((scenario, client, target), cell);
    }

    /// All that passed, as [`crate::plan`] names tests.
    pub(crate) fn passed(&self, target: Target) -> BTreeSet<String> {
        let passed = self
            .0
            .iter()
            .filter(|((_, _, on), cell)| *on == target && matches!(cell, Cell::Passed | Cell::PassedAgain(_)));
        passed.map(|((scenario, client, _), _)| test_name(scenario, *client, target)).collect()
    }

    /// The table as a Markdown document; the same results give the same text.
    pub fn markdown(&self, scenarios: &[Scenario], targets: &[Target]) -> String {
        let mut text = String::from(
            "# Compatibility\n\n\
             Written by the compatibility tests (`compat-tests/README.md`): stock clients against the Java 5.5.0 name\n\
             server and broker, and against ours. ✓ passed, ✓² passed when it was tried again with nothing\n\
             beside it, ✗ failed, n/a the client cannot do this, – not part of this target. Java is asked again only when\n\
             what it is asked has changed, so its ✓ may be of an earlier run of the very same tests.\n\n",
        );
        let mut row = |cells: &mut dyn Iterator<Item = String>| {
            for cell in cells {
                // Writing to a String cannot fail.
                let _ = write!(text, "| {cell} ");
            }
            text.push_str("|\n");
        };
        row(&mut ["scenario", "client"].into_iter().chain(targets.iter().map(|t| t.name())).map(str::to_owned));
        row(&mut std::iter::repeat_n("---".to_owned(), targets.len() + 2));
        let (mut lacking, mut again, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for scenario in scenarios {
            for client in Client::ALL {
                let cells: Vec<_> = targets.iter().map(|&t| self.0.get(&(scenario.name, client, t))).collect();
                if cells.iter().all(Option::is_none) {
                    continue;
                }
                let with = format!("{} with {client}", words(scenario));
                if let Some(Cell::Lacking(reason)) =
                    cells.iter().flatten().find(|cell| matches!(cell, Cell::Lacking(_)))
                {
                    lacking.push(format!("- {with}: {reason}\n"));
                }
                for (target, cell) in targets.iter().zip(&cells) {
                    match cell {
                        Some(Cell::PassedAgain(why)) => again.push(format!("- {with} on {target}: {why}\n")),
                        Some(Cell::Failed(why)) => failed.push(format!("- {with} on {target}: {why}\n")),
                        _ => {}
                    }
                }
                let shown = cells.iter().map(|cell| match cell {
                    Some(Cell::Passed) => "✓",
                    Some(Cell::PassedAgain(_)) => "✓²",
                    Some(Cell::Failed(_)) => "✗",
                    Some(Cell::Lacking(_)) => "n/a",
                    None => "–",
                });
                row(&mut [words(scenario), client.to_string()].into_iter().chain(shown.map(str::to_owned)));
            }
        }
        for (heading, lines) in [("Not applicable", lacking), ("First tries that failed", again), ("Failed", failed)] {
            if !lines.is_empty() {
                let _ = write!(text, "\n{heading}:\n\n");
                text.extend(lines);
            }
        }
        text
    }
}

fn words(scenario: &Scenario) -> String {
    scenario.name.replace('_', " ")
}
