//! The long form: `GROUP_ROUNDS=100 cargo test --workspace --test group_faults`.
#![expect(clippy::print_stdout, reason = "tells how it goes, and the figures")]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::{Plan, Report};
use crate::clients::Client;
use crate::cluster::Layout;
use crate::program::{self, chosen, number};
use crate::scenario::Run;
use crate::stage::Stage;
use crate::target::Target;

/// Runs `GROUP_ROUNDS` rounds (18) of the seed `GROUP_SEED` (any) on a group of each of `COMPAT_TARGETS` (`java` and
/// `ferromq`), with Java clients that look at the name server every `GROUP_POLL_MS` (30,000, as they do by default), and with
/// `followersTakeWrites` in our group if `GROUP_FOLLOWERS_TAKE_WRITES` is `true`.
/// The figures are also left in `target/compat/group-faults.md`.
pub fn main() -> ExitCode {
    program::ended(run_all())
}

fn run_all() -> Result<ExitCode> {
    let targets = chosen("COMPAT_TARGETS", &[Target::Java, Target::Ferromq], |target| target.name())?;
    let rounds = usize::try_from(number("GROUP_ROUNDS", 18)?).context("count the rounds")?;
    let plan =
        Plan { rounds, seed: number("GROUP_SEED", fastrand::u64(..))?, poll_ms: number("GROUP_POLL_MS", 30_000)? };
    let needs_ferromq = targets.iter().any(|target| target.needs_ferromq());
    program::run(needs_ferromq, async |stage| all(stage, &targets, plan).await)
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
    program::on_cluster(stage, target, layout, &format!("group-faults-{target}"), async |cluster| {
        cluster.start().await?;
        let run = Run { cluster: cluster.clone(), client: Client::Java55, tag: "faults".to_owned(), company: None };
        super::run(&run, plan, |line| println!("{target}, {line}")).await
    })
    .await
}
