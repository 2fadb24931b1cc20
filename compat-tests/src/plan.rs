//! Scenarios × clients × targets as tests, and which of them share a cluster of their own.

use std::fmt;
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::clients::Client;
use crate::matrix::Cell;
use crate::scenario::Scenario;
use crate::target::{Server, Target};

/// One scenario with one client on one target.
#[derive(Clone, Copy)]
pub(crate) struct Test {
    pub scenario: Scenario,
    pub client: Client,
    pub target: Target,
    /// Why it is not run, if it is not.
    pub spared: Option<Spared>,
}

/// Why a test is not run.
#[derive(Clone, Copy)]
pub(crate) enum Spared {
    /// Its client cannot do this, for the reason given.
    Lacking(&'static str),
    /// It passed, and nothing has changed since.
    Passed,
}

impl Spared {
    pub(crate) fn cell(self) -> Cell {
        match self {
            Self::Lacking(reason) => Cell::Lacking(reason),
            Self::Passed => Cell::Passed,
        }
    }

    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Lacking(reason) => reason,
            Self::Passed => "passed already; COMPAT_TARGETS=java runs it again",
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&test_name(self.scenario.name, self.client, self.target))
    }
}

/// What a test is called.
pub(crate) fn test_name(scenario: &str, client: Client, target: Target) -> String {
    format!("{scenario}/{client}/on-{target}")
}

/// What went wrong with a test.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub text: String,
    /// For the table: shorter, in one line.
    pub why: String,
}

/// Tests that run together: those of one scenario and target if it has a cluster of its own; else one.
pub(crate) struct Party {
    pub tests: Vec<Test>,
    /// What came of each of them at the first try.
    pub outcomes: OnceCell<Vec<Result<(), Failure>>>,
}

impl Party {
    fn new(tests: Vec<Test>) -> Arc<Self> {
        Arc::new(Self { tests, outcomes: OnceCell::new() })
    }

    /// How much of the machine they take, of the suite's places. On our broker they mostly wait. Those that start brokers, or
    /// run on Java's, have more to do, several clients with a Java broker still more, and several brokers most. On a target's
    /// group there is one at a time, beside all places.
    pub(crate) fn places(&self) -> u32 {
        let Test { scenario, target, .. } = self.tests[0];
        let on_java = target.broker() == Server::Java;
        match scenario.own.is_some_and(|layout| layout.brokers() > 1) {
            _ if scenario.in_group => 0,
            true if on_java => 4,
            true => 3,
            false => 1 + u32::from(scenario.own.is_some() || on_java) + u32::from(on_java && self.tests.len() > 1),
        }
    }
}

/// All parties of the tests that are `wanted`; what has `passed` before is not run. Those on groups come first, as they wait for
/// each other. Those with clusters of their own are spread evenly among the others: they take long and start many processes.
pub(crate) fn planned(
    scenarios: &[Scenario],
    targets: &[Target],
    clients: &[Client],
    wanted: impl Fn(&Test) -> bool,
    passed: impl Fn(&Test) -> bool,
) -> Vec<Arc<Party>> {
    let (mut grouped, mut alone, mut sharing) = (Vec::new(), Vec::new(), Vec::new());
    for &target in targets {
        for &scenario in scenarios.iter().filter(|scenario| scenario.runs_on(target)) {
            let clients = clients.iter().filter(|client| scenario.clients.contains(client));
            let tests = clients.map(|&client| {
                let lacking = scenario.lacking.iter().find(|(other, _)| *other == client);
                let test =
                    Test { scenario, client, target, spared: lacking.map(|(_, reason)| Spared::Lacking(reason)) };
                let passed = || passed(&test).then_some(Spared::Passed);
                Test { spared: test.spared.or_else(passed), ..test }
            });
            let (spared, tests): (Vec<Test>, Vec<Test>) = tests.filter(&wanted).partition(|test| test.spared.is_some());
            sharing.extend(spared.into_iter().map(|test| Party::new(vec![test])));
            if scenario.own.is_none() {
                let each = if scenario.in_group { &mut grouped } else { &mut sharing };
                each.extend(tests.into_iter().map(|test| Party::new(vec![test])));
            } else if !tests.is_empty() {
                alone.push(Party::new(tests));
            }
        }
    }
    let total = alone.len() + sharing.len();
    let (share, mut alone, mut sharing) = (alone.len(), alone.into_iter(), sharing.into_iter());
    let mut ordered = grouped;
    for place in 0..total {
        let owes_alone = (place + 1) * share / total > place * share / total;
        let next = if owes_alone { alone.next() } else { sharing.next() };
        ordered.extend(next);
    }
    ordered
}
