//! All migrations: `cargo test --workspace --test migration`.
#![expect(clippy::print_stdout, reason = "tells how it goes, and the figures")]

use std::env;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::fleet::Fleet;
use super::hooks;
use super::journey::Journey;
use super::kills::Kills;
use super::load::Load;
use super::report::Report;
use super::shapes::Shape;
use super::tool::Tool;
use crate::clients::Client;
use crate::cluster::Cluster;
use crate::logs::{self, Watch};
use crate::program::{self, chosen, number};
use crate::scenario::Run;
use crate::stage::Stage;
use crate::target::{Server, Target};

/// To whom a cluster is migrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// Nobody: the clients and the checker are proved.
    Nobody,
    /// Java: the steps are proved.
    Java,
    Ferromq,
}

impl To {
    const ALL: [Self; 3] = [Self::Nobody, Self::Java, Self::Ferromq];

    fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Java => "java",
            Self::Ferromq => "ferromq",
        }
    }
}

/// Who takes the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// This program, with mqadmin.
    Hand,
    /// `ferromq migrate`.
    Tool,
}

impl By {
    const ALL: [Self; 2] = [Self::Hand, Self::Tool];

    fn name(self) -> &'static str {
        match self {
            Self::Hand => "hand",
            Self::Tool => "tool",
        }
    }
}

/// What happens to processes meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    Calm,
    Kills,
}

impl Meanwhile {
    const ALL: [Self; 2] = [Self::Calm, Self::Kills];

    fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Kills => "kills",
        }
    }
}

/// One migration there and back.
#[derive(Clone, Copy, Debug)]
struct Plan {
    shape: Shape,
    to: To,
    by: By,
    meanwhile: Meanwhile,
    seed: u64,
    poll_ms: u64,
}

/// Migrates each of `MIGRATION_SHAPES` (all) to each of `MIGRATION_TO` (`java` and `ferromq`; also `nobody`), and back, by each of
/// `MIGRATION_BY` (`hand` and `tool`), with each of `MIGRATION_MEANWHILE` (`calm` and `kills`), the kills drawn from
/// `MIGRATION_SEED` (any), with Java clients that look at the name server every `MIGRATION_POLL_MS` (30,000, as they do by
/// default). The figures are also left in `target/compat/migration.md`.
pub fn main() -> ExitCode {
    let mut words = env::args().skip(1);
    if let (Some(hooks::VERB), Some(port)) = (words.next().as_deref(), words.next()) {
        return hooks::ask(&port);
    }
    program::ended(run_all())
}

fn run_all() -> Result<ExitCode> {
    let shapes = chosen("MIGRATION_SHAPES", &Shape::ALL, Shape::name)?;
    let to = match env::var("MIGRATION_TO") {
        Ok(_) => chosen("MIGRATION_TO", &To::ALL, To::name)?,
        Err(_) => vec![To::Java, To::Ferromq],
    };
    let by = chosen("MIGRATION_BY", &By::ALL, By::name)?;
    let meanwhile = chosen("MIGRATION_MEANWHILE", &Meanwhile::ALL, Meanwhile::name)?;
    let (seed, poll_ms) = (number("MIGRATION_SEED", fastrand::u64(..))?, number("MIGRATION_POLL_MS", 30_000)?);
    let mut plans = Vec::new();
    for &shape in &shapes {
        for &to in &to {
            for &by in &by {
                plans.extend(meanwhile.iter().map(|&meanwhile| Plan { shape, to, by, meanwhile, seed, poll_ms }));
            }
        }
    }
    plans.retain(Plan::can_be);
    ensure!(!plans.is_empty(), "nothing is chosen that can be done");
    program::run(to.contains(&To::Ferromq), async |stage| all(stage, &plans).await)
}

/// Goes on after one that failed, and fails in the end.
async fn all(stage: &Arc<Stage>, plans: &[Plan]) -> Result<()> {
    let (mut text, mut failed) = (String::new(), Vec::new());
    for plan in plans {
        let name = plan.name();
        println!("{name}: begins");
        let (target, layout) = (Target::Java, plan.shape.layout());
        let migrated =
            program::on_cluster(stage, target, layout, &name, async |cluster| there_and_back(cluster, *plan).await);
        match migrated.await {
            Ok(report) => text += &report.markdown(&name),
            Err(err) => {
                println!("{name}: FAILED: {err:#}");
                failed.push(name);
            }
        }
    }
    print!("{text}");
    fs::write(stage.artifacts.cache.join("migration.md"), text).context("write migration.md")?;
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

async fn there_and_back(cluster: &Arc<Cluster>, plan: Plan) -> Result<Report> {
    let Plan { shape, poll_ms, .. } = plan;
    let fleet = Fleet::new(cluster.clone())?;
    let watch = Watch::start(cluster.own_logs());
    shape.begin(&fleet).await?;
    let run = Run { cluster: cluster.clone(), client: Client::Java55, tag: "migration".to_owned(), company: None };
    let load = Load::start(&run, &fleet, shape.timed(), poll_ms).await?;
    let name = plan.name();
    let mut say = |line: &str| println!("{name}: {line}");
    let mut journey = Journey::new(&fleet, load, &mut say);
    journey.step("nothing happens", async |_| Ok(())).await?;
    if plan.meanwhile == Meanwhile::Kills {
        fleet.expose_to(Kills::of_seed(plan.seed));
    }
    match (plan.to, plan.by) {
        (To::Nobody, _) => journey.step("nothing happens again", async |_| Ok(())).await?,
        (To::Java, _) => shape.forward(&mut journey, shape.make()).await?,
        (To::Ferromq, By::Hand) => {
            shape.forward(&mut journey, Server::Ferromq).await?;
            shape.back(&mut journey).await?;
        }
        (To::Ferromq, By::Tool) => {
            let tool = Tool::plan(&fleet, shape, poll_ms).await?;
            tool.forward(&mut journey).await?;
            tool.back(&mut journey).await?;
        }
    }
    let report = journey.end().await?;
    let complaints = watch.complaints(|line| plan.allows(line));
    ensure!(complaints.is_empty(), "unexpected lines in our servers' logs:\n{}", complaints.join("\n"));
    Ok(report)
}

impl Plan {
    fn name(&self) -> String {
        let Self { shape, to, by, meanwhile, seed, .. } = self;
        let seed = if *meanwhile == Meanwhile::Kills { format!("-{seed}") } else { String::new() };
        format!("{}-to-{}-by-{}-{}{seed}", shape.name(), to.name(), by.name(), meanwhile.name())
    }

    /// Whether our servers may write this line.
    fn allows(&self, line: &str) -> bool {
        let (writes, names): (&[_], &[_]) = match self.meanwhile {
            Meanwhile::Kills => (&logs::KILLED_WHILE_WRITING, &logs::NAME_SERVER_GOES),
            Meanwhile::Calm => (&[], &[]),
        };
        let (shape, more): (&[_], &[_]) = match self.shape {
            Shape::OldPair | Shape::Pair => (&logs::MASTER_GOES, &[]),
            Shape::Masters => (&[], &[]),
            Shape::Group => (&logs::GROUP_FAULTS, &[logs::GROUP_ENDS]),
        };
        let allowed = logs::ALLOWED.iter().chain(&logs::MIGRATION).chain(writes).chain(names).chain(shape).chain(more);
        allowed.into_iter().any(|(text, _)| line.contains(text))
    }

    /// Java's groups become nothing else of Java's, the tool makes nothing Java's that was not ours, and nobody kills where nobody acts.
    fn can_be(&self) -> bool {
        match self.to {
            To::Nobody => self.by == By::Hand && self.meanwhile == Meanwhile::Calm,
            To::Java => self.by == By::Hand && self.shape != Shape::Group,
            To::Ferromq => true,
        }
    }
}
