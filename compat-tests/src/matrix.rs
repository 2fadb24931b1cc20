//! The table client × version × scenario × target.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::clients::Client;
use crate::scenario::Scenario;
use crate::target::Target;

/// What became of one scenario with one client on one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    Passed,
    Failed,
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

    /// The table as a Markdown document; the same results give the same text.
    pub fn markdown(&self, scenarios: &[Scenario], targets: &[Target]) -> String {
        let mut text = String::from(
            "# Compatibility\n\n\
             Written by the compatibility tests (`compat-tests/README.md`): stock clients against the Java 5.5.0 name\n\
             server and broker, and against ours. ✓ passed, ✗ failed, n/a the client cannot do this (reasons below),\n\
             – not part of this target.\n\n",
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
        let mut reasons = Vec::new();
        for scenario in scenarios {
            for client in Client::ALL {
                let cells: Vec<_> = targets.iter().map(|&t| self.0.get(&(scenario.name, client, t))).collect();
                if cells.iter().all(Option::is_none) {
                    continue;
                }
                reasons.extend(cells.iter().find_map(|cell| match cell {
                    Some(Cell::Lacking(reason)) => Some(format!("- {} with {client}: {reason}\n", words(scenario))),
                    _ => None,
                }));
                let shown = cells.iter().map(|cell| match cell {
                    Some(Cell::Passed) => "✓",
                    Some(Cell::Failed) => "✗",
                    Some(Cell::Lacking(_)) => "n/a",
                    None => "–",
                });
                row(&mut [words(scenario), client.to_string()].into_iter().chain(shown.map(str::to_owned)));
            }
        }
        if !reasons.is_empty() {
            text.push_str("\nNot applicable:\n\n");
            text.extend(reasons);
        }
        text
    }
}

fn words(scenario: &Scenario) -> String {
    scenario.name.replace('_', " ")
}
