//! The steps as `ferromq migrate` takes them, stage by stage, with hooks that start and stop the processes.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::process::{Child, Command};

use super::fleet::Fleet;
use super::hooks::Hooks;
use super::journey::Journey;
use super::shapes::Shape;
use crate::moving::NEXT_BROKER;
use crate::target::BROKER;

/// Seconds in which nothing is sent to a broker that is drained.
const QUIET_SECONDS: u64 = 4;

/// `ferromq migrate` of one cluster.
pub(super) struct Tool {
    program: String,
    /// With its state, its output, and the hooks file.
    dir: PathBuf,
    hooks: Hooks,
    /// How often clients look for routes, in seconds.
    route_poll: u64,
    stages: Vec<String>,
}

impl Tool {
    /// Has it plan the migration of this cluster, whose clients look for routes every `poll_ms`.
    pub(super) async fn plan(fleet: &Fleet, shape: Shape, poll_ms: u64) -> Result<Self> {
        let dir = fleet.cluster.dir().join("migrate");
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        let hooks = Hooks::listen(shape.make()).await?;
        hooks.write(&dir.join("hooks"))?;
        let program = fleet.cluster.stage().ferromq()?;
        // Go's clients look every 30 s, whatever others do.
        let route_poll = poll_ms.div_ceil(1000).max(30);
        let mut tool = Self { program, dir, hooks, route_poll, stages: Vec::new() };
        let name_servers = fleet.cluster.name_servers();
        let mut args = vec!["plan", "-n", &name_servers];
        let into = format!("{BROKER}={NEXT_BROKER}");
        match shape {
            Shape::OldPair | Shape::Pair => args.extend(["--masters", "switch"]),
            Shape::Masters => {}
            Shape::Group => args.extend(["--into", &into]),
        }
        let status = tool.command(&args)?.stdout(tool.output("out")?).status().await.context("run migrate plan")?;
        ensure!(status.success(), "migrate plan ended with {status}; see {}", tool.dir.display());
        let text = fs::read_to_string(tool.state()).context("read what was planned")?;
        let plan: Value = serde_json::from_str(&text).with_context(|| format!("read the plan {text}"))?;
        let stages = plan["stages"].as_array().with_context(|| format!("find the stages of {text}"))?;
        let words = |stage: &Value| {
            let words = ["kind", "set", "address"].into_iter().filter_map(|word| stage[word].as_str());
            words.collect::<Vec<_>>().join(" ")
        };
        tool.stages = stages.iter().map(words).collect();
        ensure!(!tool.stages.is_empty(), "a plan without stages: {text}");
        Ok(tool)
    }

    fn state(&self) -> PathBuf {
        self.dir.join("state.json")
    }

    /// Everything becomes ours, and is then compared.
    pub(super) async fn forward(&self, journey: &mut Journey<'_>) -> Result<()> {
        for (number, title) in (1..).zip(&self.stages) {
            let number: usize = number;
            let act = async |fleet: &Fleet| self.run(fleet, &["run", "--until", &number.to_string()]).await;
            journey.step(&format!("stage {number}, {title}"), act).await?;
        }
        journey.step("verification", async |fleet| self.run(fleet, &["verify"]).await).await
    }

    /// And Java's again.
    pub(super) async fn back(&self, journey: &mut Journey<'_>) -> Result<()> {
        for (number, title) in (0..).zip(&self.stages).collect::<Vec<_>>().into_iter().rev() {
            let number: usize = number;
            let act = async |fleet: &Fleet| self.run(fleet, &["rollback", "--to", &number.to_string()]).await;
            journey.step(&format!("back from stage {}, {title}", number + 1), act).await?;
        }
        Ok(())
    }

    /// Runs one command to its end, and does what its hooks want. If there are faults, it is killed at times, and run again.
    async fn run(&self, fleet: &Fleet, args: &[&str]) -> Result<()> {
        let mut tool = self.start(args)?;
        loop {
            tokio::select! {
                ended = tool.wait() => {
                    let status = ended.context("wait for migrate")?;
                    if status.success() {
                        return Ok(());
                    }
                    bail!("migrate {args:?} ended with {status}; see {}", self.dir.display());
                }
                done = self.hooks.serve(fleet) => {
                    let what = done?;
                    if fleet.kills_tool(&what) {
                        tool.kill().await.context("kill migrate")?;
                        tool = self.start(args)?;
                    }
                }
            }
        }
    }

    fn start(&self, args: &[&str]) -> Result<Child> {
        let mut command = self.command(args)?;
        command.arg("--yes").arg("--hooks").arg(self.dir.join("hooks"));
        command.arg("--route-poll").arg(self.route_poll.to_string()).arg("--quiet").arg(QUIET_SECONDS.to_string());
        command.stdout(self.output("out")?).spawn().with_context(|| format!("start migrate {args:?}"))
    }

    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command.arg("migrate").args(args).arg("--state").arg(self.state());
        command.stdin(Stdio::null()).stderr(self.output("err")?).kill_on_drop(true);
        Ok(command)
    }

    fn output(&self, end: &str) -> Result<File> {
        let path = self.dir.join(format!("migrate.{end}"));
        File::options().create(true).append(true).open(&path).with_context(|| format!("open {}", path.display()))
    }
}
