//! Scenarios × clients × targets as tests, shared clusters among them, and the matrix at the end.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

use crate::clients::Client;
use crate::cluster::{Cluster, Layout, Stage};
use crate::logs::{self, Watch};
use crate::matrix::{Cell, Matrix};
use crate::scenario::{Run, Scenario, tag};
use crate::target::{Server, Target};

/// Scenarios at a time, on our broker: they mostly wait. Those that start brokers, or run on Java's, count for
/// [`HEAVY`]: two cores have enough to do with half as many of them, and more make their timings worse.
const AT_A_TIME: usize = 8;
const HEAVY: u32 = 2;

/// So many scenarios may fail on our servers at the first try; the table tells which, and why.
const SECOND_TRIES: usize = 2;

/// How the path of a failure's logs is introduced.
const LOGS_ARE_IN: &str = "logs are in";
/// Characters of a failure in the table.
const WHY_MAX: usize = 500;

/// Longest time of one scenario.
const SCENARIO_LIMIT: Duration = Duration::from_secs(400);

/// One run of the suite.
struct Suite {
    runtime: Runtime,
    stage: Arc<Stage>,
    shared: BTreeMap<Target, OnceCell<Arc<Cluster>>>,
    matrix: Mutex<Matrix>,
    /// For scenarios to run at the same time.
    places: Semaphore,
    /// Those left for scenarios on ours.
    second_tries: Semaphore,
    /// Tags of all tests, to tell whose log line it is.
    tags: Vec<String>,
}

/// Runs the tests the command line and the environment ask for:
/// `COMPAT_TARGETS` and `COMPAT_CLIENTS` (names with commas), `COMPAT_PLACE` (`containers` or `loopback`).
pub fn main(scenarios: &[Scenario]) -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(AT_A_TIME);
    match run(&args, scenarios) {
        Ok(code) => code,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Arguments, scenarios: &[Scenario]) -> Result<ExitCode> {
    let targets = chosen("COMPAT_TARGETS", &Target::ALL, |target| target.name())?;
    let clients = chosen("COMPAT_CLIENTS", &Client::ALL, |client| client.name())?;
    let loopback = match env::var("COMPAT_PLACE").as_deref() {
        Err(_) | Ok("containers") => false,
        Ok("loopback") => true,
        Ok(other) => bail!("COMPAT_PLACE is `{other}`, not `containers` or `loopback`"),
    };
    let tests = planned(scenarios, &targets, &clients);
    let suite: Arc<OnceLock<Suite>> = Arc::default();
    let trials = tests.iter().map(|&test| trial(test, suite.clone())).collect();
    if !args.list {
        let stage = Stage::new(loopback, targets.iter().any(|target| target.needs_ferromq()))?;
        let made = Suite {
            runtime: Runtime::new().context("start the runtime")?,
            stage: Arc::new(stage),
            shared: targets.iter().map(|&target| (target, OnceCell::new())).collect(),
            matrix: Mutex::default(),
            places: Semaphore::new(AT_A_TIME),
            second_tries: Semaphore::new(SECOND_TRIES),
            tags: scenarios.iter().flat_map(|s| clients.iter().map(|&c| tag(s, c))).collect(),
        };
        made.end_when_interrupted();
        ensure!(suite.set(made).is_ok(), "the suite runs once");
    }

    let conclusion = libtest_mimic::run(args, trials);
    if let Some(suite) = suite.get() {
        suite.finish()?;
        let whole = args.filter.is_none() && args.skip.is_empty() && !loopback;
        let whole = whole && targets.len() == Target::ALL.len() && clients.len() == Client::ALL.len();
        suite.write_matrix(scenarios, &targets, whole)?;
    }
    Ok(conclusion.exit_code())
}

/// One scenario with one client on one target.
#[derive(Clone, Copy)]
struct Test {
    scenario: Scenario,
    client: Client,
    target: Target,
}

/// Everything to run. Tests with clusters of their own are spread evenly among the others: they take long and start
/// many processes.
fn planned(scenarios: &[Scenario], targets: &[Target], clients: &[Client]) -> Vec<Test> {
    let mut tests = Vec::new();
    for &target in targets {
        for &scenario in scenarios.iter().filter(|scenario| scenario.runs_on(target)) {
            for &client in clients.iter().filter(|client| scenario.clients.contains(client)) {
                tests.push(Test { scenario, client, target });
            }
        }
    }
    let (alone, sharing): (Vec<Test>, Vec<Test>) = tests.into_iter().partition(|test| test.scenario.own.is_some());
    let total = alone.len() + sharing.len();
    let (share, mut alone, mut sharing) = (alone.len(), alone.into_iter(), sharing.into_iter());
    let mut spread = Vec::with_capacity(total);
    for place in 0..total {
        let owes_alone = (place + 1) * share / total > place * share / total;
        let next = if owes_alone { alone.next() } else { sharing.next() };
        spread.extend(next);
    }
    spread
}

fn trial(test: Test, suite: Arc<OnceLock<Suite>>) -> Trial {
    let name = format!("{}/{}/on-{}", test.scenario.name, test.client, test.target);
    Trial::ignorable_test(name.clone(), move || {
        let suite = suite.get().ok_or("the suite is not set up")?;
        let lacking = test.scenario.lacking.iter().find(|(client, _)| *client == test.client);
        if let Some((_, reason)) = lacking {
            suite.note(test, Cell::Lacking(reason));
            return Ok(Completion::ignored_with(*reason));
        }
        match suite.runtime.block_on(suite.run(test, &name)) {
            Ok(cell) => {
                suite.note(test, cell);
                Ok(Completion::Completed)
            }
            Err(err) => {
                suite.note(test, Cell::Failed(why(&err)));
                Err(Failed::from(format!("{err:#}")))
            }
        }
    })
}

impl Suite {
    async fn run(&self, test: Test, name: &str) -> Result<Cell> {
        let is_heavy = test.scenario.own.is_some() || test.target.broker() == Server::Java;
        let Err(err) = self.run_in(if is_heavy { HEAVY } else { 1 }, test, name, "").await else {
            return Ok(Cell::Passed);
        };
        // Stock clients on a busy machine lose a thing now and then, on Java's servers, too, where it is the scenario that is
        // tested. On ours that may be our doing, so it is an exception there.
        let forgiven = test.target == Target::Java || self.second_tries.try_acquire().map(|one| one.forget()).is_ok();
        if !forgiven {
            return Err(err);
        }
        eprintln!("{name} is tried again with nothing beside it: {err:#}");
        self.run_in(AT_A_TIME as u32, test, name, "-again").await?;
        Ok(Cell::PassedAgain(why(&err)))
    }

    /// `try_tag` makes the names of a second try its own.
    async fn run_in(&self, places: u32, test: Test, name: &str, try_tag: &str) -> Result<()> {
        let scenario = &test.scenario;
        let places = self.places.acquire_many(places).await?;
        let cluster = match scenario.own {
            Some(layout) => Arc::new(Cluster::prepare(&self.stage, test.target, layout).await?),
            None => self.shared(test.target).await?,
        };
        let run = Run::new(cluster.clone(), test.client, scenario, try_tag);
        let outcome = self.run_on(&cluster, test, name, run).await;
        drop(places);
        if scenario.own.is_some() {
            cluster.remove().await?;
            // Stores of finished clusters add up; what is left over is removed with the run.
            let _ = tokio::fs::remove_dir_all(cluster.dir()).await;
        }
        outcome
    }

    async fn run_on(&self, cluster: &Arc<Cluster>, test: Test, name: &str, run: Run) -> Result<()> {
        let scenario = &test.scenario;
        let watch = Watch::start(cluster.own_logs());
        let steps = async {
            if scenario.own.is_some() {
                cluster.start().await?;
            }
            (scenario.steps)(run).await
        };
        let outcome = timeout(SCENARIO_LIMIT, steps).await;
        let mut outcome = outcome.unwrap_or_else(|_| bail!("not over after {SCENARIO_LIMIT:?}"));
        if outcome.is_ok() {
            outcome = self.check_lines(test, &watch);
        }
        if let Err(err) = &outcome {
            let kept = logs::keep(&self.stage.artifacts.cache, cluster.dir(), name, &format!("{err:#}\n"))?;
            outcome = outcome.with_context(|| format!("{LOGS_ARE_IN} {}", kept.display()));
        }
        outcome
    }

    /// On SIGINT and SIGTERM nothing of ours stays behind.
    fn end_when_interrupted(&self) {
        let stage = self.stage.clone();
        // Lives as long as the process; the runtime owns it.
        self.runtime.spawn(async move {
            let Ok(mut terminated) = signal(SignalKind::terminate()) else { return };
            tokio::select! {
                _ = terminated.recv() => {}
                _ = ctrl_c() => {}
            }
            stage.abandon().await;
            std::process::exit(130);
        });
    }

    async fn shared(&self, target: Target) -> Result<Arc<Cluster>> {
        let cell = self.shared.get(&target).context("find the target's cluster")?;
        let start = async || {
            let cluster = Arc::new(Cluster::prepare(&self.stage, target, Layout::WITH_TIMER).await?);
            let Err(err) = cluster.start().await else { return Ok(cluster) };
            let name = format!("shared-{target}");
            let kept = logs::keep(&self.stage.artifacts.cache, cluster.dir(), &name, &format!("{err:#}\n"))?;
            cluster.remove().await?;
            Err(err.context(format!("start the shared cluster, logs are in {}", kept.display())))
        };
        cell.get_or_try_init(start).await.cloned()
    }

    /// A line that names another test is that one's; one that names none counts against all that run.
    fn check_lines(&self, test: Test, watch: &Watch) -> Result<()> {
        let own = tag(&test.scenario, test.client);
        let complaints = watch.complaints(|line| {
            let excused = logs::ALLOWED.iter().chain(test.scenario.allowed_lines).any(|(text, _)| line.contains(text));
            excused || (!line.contains(&own) && self.tags.iter().any(|tag| line.contains(tag)))
        });
        ensure!(complaints.is_empty(), "unexpected lines in our servers' logs:\n{}", complaints.join("\n"));
        Ok(())
    }

    fn note(&self, test: Test, cell: Cell) {
        if let Ok(mut matrix) = self.matrix.lock() {
            matrix.set(test.scenario.name, test.client, test.target, cell);
        }
    }

    fn finish(&self) -> Result<()> {
        for cluster in self.shared.values().filter_map(OnceCell::get) {
            self.runtime.block_on(cluster.remove())?;
        }
        self.stage.clear();
        Ok(())
    }

    /// A whole run writes `docs/compatibility.md`; every run leaves its table in `target/compat/matrix.md`.
    fn write_matrix(&self, scenarios: &[Scenario], targets: &[Target], whole: bool) -> Result<()> {
        let Ok(matrix) = self.matrix.lock() else { bail!("a test broke the matrix") };
        let text = matrix.markdown(scenarios, targets);
        fs::write(self.stage.artifacts.cache.join("matrix.md"), &text).context("write matrix.md")?;
        if whole {
            let docs = self.stage.artifacts.workspace.join("docs");
            fs::create_dir_all(&docs).context("create docs")?;
            fs::write(docs.join("compatibility.md"), &text).context("write docs/compatibility.md")?;
        }
        Ok(())
    }
}

/// What went wrong, in one line, without where logs are.
fn why(err: &anyhow::Error) -> String {
    let causes = err.chain().map(ToString::to_string).filter(|cause| !cause.starts_with(LOGS_ARE_IN));
    let text = causes.collect::<Vec<_>>().join(": ");
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(WHY_MAX).collect()
}

/// The values a comma-separated environment variable names; all of them without it.
fn chosen<T: Copy>(variable: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Result<Vec<T>> {
    let Ok(wanted) = env::var(variable) else { return Ok(all.to_vec()) };
    wanted
        .split(',')
        .map(|wanted| {
            let known = || all.iter().map(|&value| name(value)).collect::<Vec<_>>().join(", ");
            let found = all.iter().copied().find(|&value| name(value) == wanted.trim());
            found.with_context(|| format!("{variable} has `{wanted}`, not one of {}", known()))
        })
        .collect()
}
