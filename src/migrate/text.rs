//! A plan and its progress, in words.

use std::path::Path;

use serde_json::json;

use super::checks::{Finding, Weight};
use super::run::Runner;
use super::state::{At, State};
use super::survey::Survey;
use crate::group_tool::table;

/// What was found, and what would be done.
pub(super) fn plan(survey: &Survey, findings: &[Finding], runner: &Runner<'_>, path: &Path) -> String {
    let mut text = cluster(survey);
    text.push('\n');
    for Finding { check, weight, at, what } in findings {
        text += &format!("{weight}: {at}: {what} [{check}]\n");
    }
    text.push('\n');
    for (number, standing) in (1..).zip(&runner.state.stages) {
        text += &format!("stage {number}: {} ({})\n", standing.stage, word(standing.at));
        for (at, step) in (1..).zip(standing.stage.forward()) {
            text += &format!("  {at:>2}. {step}\n");
            if let Some(how) = runner.how(&step) {
                text += &format!("       {how}\n");
            }
        }
    }
    if runner.state.stages.is_empty() {
        text += "there is nothing to do: all of it is Ferromq\n";
    }
    let blocks = findings.iter().filter(|finding| finding.weight == Weight::Blocks).count();
    text += &match blocks {
        0 => format!("\nNothing is in the way. Nothing was touched; the plan is in {}\n", path.display()),
        _ => format!("\n{blocks} findings are in the way. Nothing was touched; the plan is in {}\n", path.display()),
    };
    text
}

fn cluster(survey: &Survey) -> String {
    let mut rows = vec![["", "at", "is", "version", "log"].map(str::to_owned)];
    let make = |make: Option<super::desk::Make>| make.map_or_else(|| "?".to_owned(), |make| make.to_string());
    for server in &survey.name_servers {
        let what = "name server".to_owned();
        rows.push([what, server.address.clone(), make(server.make), String::new(), String::new()]);
    }
    for set in &survey.sets {
        for broker in &set.brokers {
            let what = format!("{} {}", set.name, broker.id);
            let log = format!("{} to {}", broker.log.0, broker.log.1);
            rows.push([what, broker.address.clone(), make(broker.make), broker.version.clone(), log]);
        }
    }
    format!("cluster {}\n{}", survey.cluster, table(rows.into_iter()))
}

/// How far each stage is.
pub(super) fn progress(state: &State) -> String {
    let lines = (1..).zip(&state.stages);
    lines.map(|(number, standing)| format!("stage {number}: {} ({})\n", standing.stage, word(standing.at))).collect()
}

fn word(at: At) -> String {
    match at {
        At::ToDo => "to do".to_owned(),
        At::Doing(step) => format!("at step {}", step + 1),
        At::Done => "done".to_owned(),
        At::Undoing { step, .. } => format!("being taken back, at step {} of that", step + 1),
    }
}

pub(super) fn json(survey: &Survey, findings: &[Finding], state: &State) -> String {
    let steps = |standing: &super::state::Standing| {
        standing.stage.forward().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let stage = |(number, standing): (usize, &super::state::Standing)| {
        json!({
            "stage": number, "what": standing.stage.to_string(), "set": standing.stage.set(),
            "at": word(standing.at), "steps": steps(standing),
        })
    };
    let stages: Vec<_> = (1..).zip(&state.stages).map(stage).collect();
    let json = json!({ "cluster": survey, "findings": findings, "stages": stages });
    format!("{json:#}\n")
}
