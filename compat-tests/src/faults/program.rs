//! The long form: `GROUP_ROUNDS=100 cargo test -p compat-tests --test group_faults`.
#![expect(clippy::print_stdout, reason = "tells how it goes, and the figures")]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use super::{Plan, Report};
use crate::clients::Client;
use crate::cluster::{Cluster, Layout};
use crate::logs;
use crate::scenario::Run;
use crate::stage::Stage;
use crate::suite::{chosen, interrupted};
use crate::target::Target;

/// Runs `GROUP_ROUNDS` rounds (18) of the seed `GROUP_SEED` (any) on a group of each of `COMPAT_TARGETS` (`java` and
/// `ferromq`), with Java clients that look at the name server every `GROUP_POLL_MS` (30,000, as they do by default), and with
/// `followersTakeWrites` in our group if `GROUP_FOLLOWERS_TAKE_WRITES` is `true`.
/// The figures are also left in `target/compat/group-faults.md`.
pub fn main() -> ExitCode {
    match run_all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_all() -> Result<()> {
    let targets = chosen("COMPAT_TARGETS", &[Target::Java, Target::Ferromq], |target| target.name())?;
    let rounds = usize::try_from(number("GROUP_ROUNDS", 18)?).context("count the rounds")?;
    let plan =
        Plan { rounds, seed: number("GROUP_SEED", fastrand::u64(..))?, poll_ms: number("GROUP_POLL_MS", 30_000)? };
    let stage = Arc::new(Stage::new(false, targets.iter().any(|target| target.needs_ferromq()))?);
    let runtime = Runtime::new().context("start the runtime")?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = all(&stage, &targets, plan) => outcome,
            () = interrupted() => {
                stage.abandon().await;
                anyhow::bail!("interrupted");
            }
        }
    });
    stage.clear();
    outcome
}

async fn all(stage: &Arc<Stage>, targets: &[Target], plan: Plan) -> Result<()> {
    println!("{} rounds of seed {}", plan.rounds, plan.seed);
    let mut text = String::new();
    for &target in targets {
        let report = on(stage, target, plan).await.with_context(|| format!("on {target}"))?;
        let counted =
            format!("{target}: {} messages acknowledged, none lost, moved or out of order", report.acknowledged);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{counted}\n\n{}", report.markdown());
    }
    print!("{text}");
    fs::write(stage.artifacts.cache.join("group-faults.md"), text).context("write group-faults.md")
}

async fn on(stage: &Arc<Stage>, target: Target, plan: Plan) -> Result<Report> {
    let followers_take_writes = env::var("GROUP_FOLLOWERS_TAKE_WRITES").is_ok_and(|value| value == "true");
    let layout = Layout { followers_take_writes, ..Layout::GROUP };
    let cluster = Arc::new(Cluster::prepare(stage, target, layout).await?);
    let outcome = async {
        cluster.start().await?;
        let run = Run { cluster: cluster.clone(), client: Client::Java55, tag: "faults".to_owned(), company: None };
        super::run(&run, plan, |line| println!("{target}, {line}")).await
    }
    .await;
    if let Err(err) = &outcome {
        let kept =
            logs::keep(&stage.artifacts.cache, cluster.dir(), &format!("group-faults-{target}"), &format!("{err:#}\n"));
        eprintln!("logs are in {}", kept?.display());
    }
    cluster.remove().await;
    outcome
}

pub(crate) fn number(variable: &str, otherwise: u64) -> Result<u64> {
    let Ok(text) = env::var(variable) else { return Ok(otherwise) };
    text.parse().with_context(|| format!("{variable} is `{text}`, not a number"))
}
