//! `ferromq migrate verify`: what can be compared now, without waiting for anything.

use serde::Serialize;

use super::MigrateError;
use super::desk::Desk;
use super::notes::{Lacks, note};
use super::run::{lacks, sentence};
use super::state::State;
use super::survey::{Survey, survey};

/// One comparison.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Compared {
    set: String,
    /// Who was looked at.
    broker: String,
    /// With what: the master, or what was written down of a broker.
    with: String,
    messages: i64,
    samples: usize,
    lacks: Lacks,
    /// It could not be asked.
    wrong: Option<String>,
}

/// Compares the master of each set with what was written down of it, and its slaves with the master.
///
/// # Errors
/// [`MigrateError::Differs`] once what differs is printed.
pub(super) async fn verify(desk: &Desk, state: &State, samples: usize, json: bool) -> Result<String, MigrateError> {
    let survey = survey(desk, &state.name_servers, Some(&state.cluster)).await?;
    let compared = compare(desk, &survey, state, samples).await;
    let text = if json {
        let list = serde_json::to_value(&compared).unwrap_or_default();
        format!("{list:#}\n")
    } else {
        show(&compared)
    };
    if compared.iter().any(Compared::is_wrong) {
        crate::run::print(&text);
        return Err(MigrateError::Differs);
    }
    Ok(text)
}

async fn compare(desk: &Desk, survey: &Survey, state: &State, samples: usize) -> Vec<Compared> {
    let mut compared = Vec::new();
    for set in &survey.sets {
        let Some(master) = set.master() else { continue };
        let mut row = |broker: &str, with: String, messages, samples, found: Result<Lacks, String>| {
            let (lacks, wrong) = match found {
                Ok(lacks) => (lacks, None),
                Err(wrong) => (Lacks::default(), Some(wrong)),
            };
            let (set, broker) = (set.name.clone(), broker.to_owned());
            compared.push(Compared { set, broker, with, messages, samples, lacks, wrong });
        };
        if let Some(before) = state.notes.get(&set.name) {
            let found = lacks(desk, before, &master.address).await.map_err(|err| err.to_string());
            let with = format!("{} as it was written down", before.from);
            row(&master.address, with, before.count(), before.samples.len(), found);
        }
        // A group of Raft compares itself.
        if set.is_dledger() || master.is_set("enableDLegerCommitLog") || set.slaves().next().is_none() {
            continue;
        }
        let of_master = note(desk, &master.address, samples).await;
        for slave in set.slaves() {
            let with = format!("the master at {}", master.address);
            match &of_master {
                Ok(note) => {
                    let found = lacks(desk, note, &slave.address).await.map_err(|err| err.to_string());
                    row(&slave.address, with, note.count(), note.samples.len(), found);
                }
                Err(err) => row(&slave.address, with, 0, 0, Err(err.to_string())),
            }
        }
    }
    compared
}

impl Compared {
    fn is_wrong(&self) -> bool {
        self.wrong.is_some() || self.lacks.is_serious()
    }
}

fn show(compared: &[Compared]) -> String {
    let mut text = String::new();
    for Compared { set, broker, with, messages, samples, lacks, wrong } in compared {
        text += &format!("{set}: {broker} and {with}: ");
        text += &match wrong {
            Some(wrong) => format!("not compared: {wrong}\n"),
            None if lacks.is_serious() => format!("LACKS: {}\n", sentence(lacks)),
            None => format!("alike: {messages} messages by their offsets, {samples} of them by their bytes\n"),
        };
        for trimmed in &lacks.trimmed {
            text += &format!("  old messages are not there: {trimmed}\n");
        }
    }
    if compared.is_empty() {
        text += "there is nothing to compare: no set has a slave, and nothing was written down yet\n";
    }
    text
}
