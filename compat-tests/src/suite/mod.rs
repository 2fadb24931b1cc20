//! A run of the tests: shared clusters among them, second tries, and the matrix at the end.

mod places;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail, ensure};
use futures_util::future::join_all;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{sleep, timeout};

use self::places::Places;
use crate::clients::Client;
use crate::cluster::{Cluster, Layout};
use crate::company::Member;
use crate::logs::{self, Watch};
use crate::matrix::{Cell, Matrix};
use crate::plan::{Failure, Party, Test, planned};
use crate::program::{self, chosen, interrupted};
use crate::proven::Proven;
use crate::scenario::{Run, Scenario, tag};
use crate::stage::Stage;
use crate::target::Target;
use crate::times::Times;

/// So many scenarios may fail on our servers at the first try; the table tells which, and why.
const SECOND_TRIES: usize = 4;

/// How the path of a failure's logs is introduced.
const LOGS_ARE_IN: &str = "logs are in";
/// Characters of a failure in the table.
const WHY_MAX: usize = 500;

/// Longest time of one scenario.
const SCENARIO_LIMIT: Duration = Duration::from_secs(400);

/// Between the return of a leader that was killed and the kill of the next one.
const LEADS_FOR: Duration = Duration::from_secs(20);

/// What scenarios that share a cluster run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brokers {
    /// One; or as many as a scenario asks for.
    Any,
    /// A group, and scenarios with a cluster of their own do not run.
    Group,
    /// The same, and its leader is killed again and again.
    FailingGroup,
    /// Only scenarios of broker sets run.
    Sets,
}

impl Brokers {
    fn are_group(self) -> bool {
        matches!(self, Self::Group | Self::FailingGroup)
    }
}

/// One run of the suite.
struct Suite {
    runtime: Runtime,
    stage: Arc<Stage>,
    shared: BTreeMap<Target, OnceCell<Arc<Cluster>>>,
    groups: BTreeMap<Target, OnceCell<Arc<Cluster>>>,
    brokers: Brokers,
    /// For scenarios on a target's group: one at a time.
    turns: BTreeMap<Target, tokio::sync::Mutex<()>>,
    matrix: Mutex<Matrix>,
    proven: Proven,
    times: Mutex<Times>,
    /// For tests to run at the same time, beside those on groups.
    places: Arc<Places>,
    /// Those left for scenarios on ours.
    second_tries: Semaphore,
    /// Tags of all tests, to tell whose log line it is.
    tags: Vec<String>,
}

/// Runs the tests the command line and the environment ask for:
/// `COMPAT_TARGETS` and `COMPAT_CLIENTS` (names with commas), `COMPAT_PLACE` (`containers` or `loopback`) and
/// `COMPAT_BROKERS` (`any`; or `group` for those that share a cluster, on a broker group; or `failing-group`, of which the leader
/// is killed all the time; or `sets`, for the scenarios `of_sets` alone). What Java has passed it is asked again if `COMPAT_TARGETS`
/// names it.
pub fn main(scenarios: &[Scenario], of_sets: &[Scenario]) -> ExitCode {
    let mut args = Arguments::from_args();
    program::ended(run(&mut args, scenarios, of_sets))
}

fn run(args: &mut Arguments, scenarios: &[Scenario], of_sets: &[Scenario]) -> Result<ExitCode> {
    let targets = chosen("COMPAT_TARGETS", &Target::ALL, |target| target.name())?;
    let clients = chosen("COMPAT_CLIENTS", &Client::ALL, |client| client.name())?;
    let loopback = match env::var("COMPAT_PLACE").as_deref() {
        Err(_) | Ok("containers") => false,
        Ok("loopback") => true,
        Ok(other) => bail!("COMPAT_PLACE is `{other}`, not `containers` or `loopback`"),
    };
    let (brokers, scenarios) = match env::var("COMPAT_BROKERS").as_deref() {
        Err(_) | Ok("any") => (Brokers::Any, [scenarios, of_sets].concat()),
        Ok("group") => (Brokers::Group, scenarios.to_vec()),
        Ok("failing-group") => (Brokers::FailingGroup, scenarios.to_vec()),
        Ok("sets") => (Brokers::Sets, of_sets.to_vec()),
        Ok(other) => bail!("COMPAT_BROKERS is `{other}`, not `any`, `group`, `failing-group` or `sets`"),
    };
    let suite: Arc<OnceLock<Suite>> = Arc::default();
    // Parties are made of what will run, so the filter is asked first.
    let wanted = |test: &Test| {
        let left_out = brokers.are_group() && test.scenario.own.is_some();
        !left_out && !args.is_filtered_out(&Trial::test(test.to_string(), || Ok(())))
    };
    let proven = Proven::read()?;
    // Who names Java wants to see it pass.
    let named = env::var_os("COMPAT_TARGETS").is_some();
    let passed = |test: &Test| !named && !loopback && !brokers.are_group() && proven.has(test);
    let parties = planned(&scenarios, &targets, &clients, wanted, passed);
    let trials = parties.iter().flat_map(|party| (0..party.tests.len()).map(|number| trial(party, number, &suite)));
    let trials = trials.collect();
    // A test has a thread while it waits for its party, or for its turn on a group.
    let on_groups = parties.iter().filter(|party| party.places() == 0).count();
    args.test_threads.get_or_insert(on_groups + places::MOST * Client::MESSAGING.len());
    if !args.list {
        let stage = Stage::new(loopback, targets.iter().any(|target| target.needs_ferromq()))?;
        let made = Suite {
            runtime: Runtime::new().context("start the runtime")?,
            stage: Arc::new(stage),
            shared: targets.iter().map(|&target| (target, OnceCell::new())).collect(),
            groups: targets.iter().map(|&target| (target, OnceCell::new())).collect(),
            brokers,
            turns: targets.iter().map(|&target| (target, tokio::sync::Mutex::default())).collect(),
            matrix: Mutex::default(),
            proven,
            times: Mutex::new(Times::start()),
            places: Arc::new(Places::new()),
            second_tries: Semaphore::new(SECOND_TRIES),
            tags: scenarios.iter().flat_map(|s| clients.iter().map(|&c| tag(s, c))).collect(),
        };
        made.end_when_interrupted();
        let places = made.places.clone();
        // Lives as long as the process; the runtime owns it.
        made.runtime.spawn(async move { places.follow_machine().await });
        ensure!(suite.set(made).is_ok(), "the suite runs once");
    }

    let conclusion = libtest_mimic::run(args, trials);
    if let Some(suite) = suite.get() {
        suite.finish()?;
        let all = args.filter.is_none() && args.skip.is_empty() && !loopback && brokers == Brokers::Any;
        let all = all && clients.len() == Client::ALL.len();
        suite.write_matrix(&scenarios, &targets, all && targets.len() == Target::ALL.len())?;
        if !loopback && !brokers.are_group() {
            suite.note_proven(all && targets.contains(&Target::Java))?;
        }
    }
    Ok(conclusion.exit_code())
}

fn trial(party: &Arc<Party>, number: usize, suite: &Arc<OnceLock<Suite>>) -> Trial {
    let (party, suite) = (party.clone(), suite.clone());
    let test = party.tests[number];
    Trial::ignorable_test(test.to_string(), move || {
        let suite = suite.get().ok_or("the suite is not set up")?;
        if let Some(spared) = test.spared {
            suite.note(test, spared.cell());
            return Ok(Completion::ignored_with(spared.reason()));
        }
        match suite.runtime.block_on(suite.run(&party, number)) {
            Ok(cell) => {
                suite.note(test, cell);
                Ok(Completion::Completed)
            }
            Err(failure) => {
                suite.note(test, Cell::Failed(failure.why));
                Err(Failed::from(failure.text))
            }
        }
    })
}

impl Suite {
    /// Runs one test of a party, and so all of them if it is the first.
    async fn run(&self, party: &Party, number: usize) -> Result<Cell, Failure> {
        let test = party.tests[number];
        let outcomes = party.outcomes.get_or_init(|| self.run_together(party.places(), &party.tests, "")).await;
        let Err(first) = &outcomes[number] else { return Ok(Cell::Passed) };
        // Stock clients on a busy machine lose a thing now and then, on Java's servers, too, where it is the scenario that is
        // tested. On ours that may be our doing, so it is an exception there.
        let forgiven = test.target == Target::Java || self.second_tries.try_acquire().map(|one| one.forget()).is_ok();
        if !forgiven {
            return Err(first.clone());
        }
        eprintln!("{test} is tried again with nothing beside it: {}", first.text);
        self.run_together(0, &[test], "-again").await.remove(0)?;
        Ok(Cell::PassedAgain(first.why.clone()))
    }

    /// Runs the tests of a party, which differ in their clients only. `try_tag` makes the names of a second try its own, which
    /// has nothing beside it.
    async fn run_together(&self, places: u32, tests: &[Test], try_tag: &str) -> Vec<Result<(), Failure>> {
        match self.run_on_a_cluster(places, tests, try_tag).await {
            Ok(outcomes) => outcomes.into_iter().map(|outcome| outcome.map_err(|err| failure(&err))).collect(),
            Err(err) => vec![Err(failure(&err)); tests.len()],
        }
    }

    async fn run_on_a_cluster(&self, places: u32, tests: &[Test], try_tag: &str) -> Result<Vec<Result<()>>> {
        let Test { scenario, target, .. } = tests[0];
        let is_alone = !try_tag.is_empty();
        let mut turns = Vec::new();
        for (of, turn) in &self.turns {
            if is_alone || (scenario.in_group && *of == target) {
                turns.push(turn.lock().await);
            }
        }
        let places = if is_alone { self.places.take_all().await } else { self.places.take(places).await };
        let began = Instant::now();
        let Some(layout) = scenario.own else {
            let cluster = match scenario.in_group {
                true => self.group(target).await?,
                false => self.shared(target).await?,
            };
            let outcomes = self.run_on(&cluster, tests, try_tag).await?;
            self.note_times(&tests[0].to_string(), began, None);
            return Ok(outcomes);
        };
        let cluster = Arc::new(Cluster::prepare(&self.stage, target, layout).await?);
        let outcomes = self.run_on(&cluster, tests, try_tag).await;
        drop(places);
        self.note_times(&format!("{}/on-{target}", scenario.name), began, Some(&cluster));
        cluster.remove().await;
        // Stores of finished clusters add up; what is left over is removed with the run.
        let _ = tokio::fs::remove_dir_all(cluster.dir()).await;
        outcomes
    }

    /// Runs tests side by side, each with its limit.
    async fn run_on(&self, cluster: &Arc<Cluster>, tests: &[Test], try_tag: &str) -> Result<Vec<Result<()>>> {
        let watch = Watch::start(cluster.own_logs());
        let mut started = Ok(());
        let mut members = Vec::new();
        if tests[0].scenario.own.is_some() {
            started = timeout(SCENARIO_LIMIT, cluster.start()).await.unwrap_or_else(|_| late());
            members = Member::company(tests.len());
        } else if tests[0].scenario.in_group {
            let whole = timeout(SCENARIO_LIMIT, cluster.make_whole()).await;
            started = whole.unwrap_or_else(|_| late().map(|()| 0)).map(drop);
        }
        let outcomes: Vec<Result<()>> = match started {
            Err(err) => tests.iter().map(|_| Err(Error::msg(format!("{err:#}")))).collect(),
            Ok(()) => {
                let runs = tests.iter().map(|test| {
                    let run = Run::new(cluster.clone(), test.client, &test.scenario, try_tag, members.pop());
                    timeout(SCENARIO_LIMIT, (test.scenario.steps)(run))
                });
                join_all(runs).await.into_iter().map(|outcome| outcome.unwrap_or_else(|_| late())).collect()
            }
        };
        let judged = outcomes.into_iter().zip(tests).map(|(outcome, test)| {
            let Err(err) = outcome.and_then(|()| self.check_lines(*test, &watch)) else { return Ok(Ok(())) };
            let cache = &self.stage.artifacts.cache;
            let kept = logs::keep(cache, cluster.dir(), &test.to_string(), &format!("{err:#}\n"))?;
            Ok(Err(err.context(format!("{LOGS_ARE_IN} {}", kept.display()))))
        });
        judged.collect()
    }

    fn note_times(&self, what: &str, began: Instant, cluster: Option<&Cluster>) {
        if let Ok(mut times) = self.times.lock() {
            times.note(what, began.elapsed(), cluster.map(Cluster::cpu_times));
        }
    }

    /// On SIGINT and SIGTERM nothing of ours stays behind.
    fn end_when_interrupted(&self) {
        let stage = self.stage.clone();
        // Lives as long as the process; the runtime owns it.
        self.runtime.spawn(async move {
            interrupted().await;
            stage.abandon().await;
            std::process::exit(130);
        });
    }

    async fn shared(&self, target: Target) -> Result<Arc<Cluster>> {
        let cell = self.shared.get(&target).context("find the target's cluster")?;
        let layout = Layout { group: self.brokers.are_group(), ..Layout::WITH_TIMER };
        let start = async || {
            let cluster = self.start(target, layout).await?;
            if self.brokers == Brokers::FailingGroup {
                let (runtime, cluster) = (self.runtime.handle().clone(), Arc::downgrade(&cluster));
                // Ends with the cluster.
                thread::spawn(move || runtime.block_on(kill_leaders(cluster)));
            }
            Ok(cluster)
        };
        cell.get_or_try_init(start).await.cloned()
    }

    async fn group(&self, target: Target) -> Result<Arc<Cluster>> {
        let cell = self.groups.get(&target).context("find the target's group")?;
        cell.get_or_try_init(|| self.start(target, Layout::GROUP)).await.cloned()
    }

    async fn start(&self, target: Target, layout: Layout) -> Result<Arc<Cluster>> {
        let cluster = Arc::new(Cluster::prepare(&self.stage, target, layout).await?);
        let Err(err) = cluster.start().await else { return Ok(cluster) };
        let name = format!("shared-{}{target}", if layout.group { "group-" } else { "" });
        let kept = logs::keep(&self.stage.artifacts.cache, cluster.dir(), &name, &format!("{err:#}\n"))?;
        cluster.remove().await;
        Err(err.context(format!("start the shared cluster, logs are in {}", kept.display())))
    }

    /// A line that names another test is that one's; one that names none counts against all that run.
    fn check_lines(&self, test: Test, watch: &Watch) -> Result<()> {
        let own = tag(&test.scenario, test.client);
        let complaints = watch.complaints(|line| {
            let faults: &[_] = if self.brokers == Brokers::FailingGroup { &logs::GROUP_FAULTS } else { &[] };
            let allowed = logs::ALLOWED.iter().chain(test.scenario.allowed_lines).chain(faults);
            let excused = allowed.into_iter().any(|(text, _)| line.contains(text));
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
        for (target, cluster) in self.shared.iter().filter_map(|(target, cell)| Some((target, cell.get()?))) {
            if let Ok(mut times) = self.times.lock() {
                times.note_shared(*target, cluster.cpu_times());
            }
            self.runtime.block_on(cluster.remove());
        }
        for cluster in self.groups.values().filter_map(OnceCell::get) {
            self.runtime.block_on(cluster.remove());
        }
        if let Ok(times) = self.times.lock() {
            fs::write(self.stage.artifacts.cache.join("times.md"), times.markdown()).context("write times.md")?;
        }
        self.runtime.block_on(self.stage.abandon());
        Ok(())
    }

    /// `all`: that Java can be asked.
    fn note_proven(&self, all: bool) -> Result<()> {
        let Ok(matrix) = self.matrix.lock() else { bail!("a test broke the matrix") };
        self.proven.add(matrix.passed(Target::Java), all)
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

/// Kills a group's leader again and again, as long as somebody uses the group.
async fn kill_leaders(cluster: Weak<Cluster>) {
    loop {
        sleep(LEADS_FOR).await;
        let Some(cluster) = cluster.upgrade() else { return };
        if let Err(err) = cluster.lose_leader().await {
            eprintln!("the group's leader was not killed, or it does not come back: {err:#}");
            return;
        }
    }
}

fn late() -> Result<()> {
    bail!("not over after {SCENARIO_LIMIT:?}")
}

fn failure(err: &Error) -> Failure {
    Failure { text: format!("{err:#}"), why: why(err) }
}

/// What went wrong, in one line, without where logs are.
fn why(err: &Error) -> String {
    let causes = err.chain().map(ToString::to_string).filter(|cause| !cause.starts_with(LOGS_ARE_IN));
    let text = causes.collect::<Vec<_>>().join(": ");
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(WHY_MAX).collect()
}
