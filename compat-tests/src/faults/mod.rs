//! Rounds of faults in a broker group under the load of stock clients, with everything checked that a client can see.
//!
//! | file | idea |
//! |---|---|
//! | `load` | stock producers and consumers with their usual settings, and what they told since the last look |
//! | `senders` | producers that send one message after the other, and when they were answered |
//! | `checker` | nothing acknowledged is lost, moved or put out of order; no two leaders acknowledge |
//! | `program` | the long form, as a program of its own |
//! | `report` | from a fault to the first acknowledged write, by fault and by client |
//!
//! A round: the group is whole and every producer is served; one member is killed, held still or cut off; every producer
//! is served again; the member returns, and the group is whole again.

pub(crate) mod checker;
pub(crate) mod load;
mod program;
mod report;
pub(crate) mod senders;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};

use self::load::Load;
pub use self::program::main;
pub use self::report::Report;
use crate::cluster::Cluster;
use crate::group::MEMBERS;
use crate::scenario::Run;

/// What is done to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `kill -9`.
    Kill,
    /// `SIGSTOP`: its connections stay open and nothing answers.
    Pause,
    /// `docker network disconnect`: nothing is heard of it.
    Cut,
}

impl Fault {
    const ALL: [Self; 3] = [Self::Kill, Self::Pause, Self::Cut];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill -9",
            Self::Pause => "SIGSTOP",
            Self::Cut => "network cut",
        })
    }
}

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub rounds: usize,
    /// Of the choice of faults and members.
    pub seed: u64,
    /// Milliseconds between two looks of a Java client at the name server; 30,000 by default. Go's is always that.
    pub poll_ms: u64,
}

/// Longest wait for a producer to be served again. Java's clients may need their poll of the name server, and a send that
/// was under way its time.
pub(crate) const SERVED_AGAIN_MAX: Duration = Duration::from_secs(180);
/// Longest wait for the consumers to have had everything, at the end.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(180);
/// Between two looks at what the clients told.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A fault that happened, by the clock of this machine, which is that of all containers: milliseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// It was not before that.
    from: i64,
    /// What was begun after that met the member as it was then.
    over: i64,
}

/// Runs the rounds of `plan`; `say` is told of each.
///
/// # Errors
/// If anything acknowledged is lost, moved or out of order, or the group or a client does not come back.
pub async fn run(run: &Run, plan: Plan, mut say: impl FnMut(&str)) -> Result<Report> {
    let cluster = &run.cluster;
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let mut report = Report::default();
    let mut load = Load::start(run, plan.poll_ms).await?;
    for round in 0..plan.rounds {
        // Every kind of fault at leaders as often as at others.
        let fault = Fault::ALL[round % Fault::ALL.len()];
        let at_leader = (round / Fault::ALL.len()).is_multiple_of(2);
        one(cluster, &mut load, &mut random, fault, at_leader, &mut report)
            .await
            .map(|line| say(&format!("round {round}: {line}")))
            .with_context(|| format!("round {round} of seed {}, {fault}", plan.seed))?;
    }
    load.stop().await?;
    until("the consumers to have all", DRAIN_MAX, &mut load, Load::lacks).await?;
    report.acknowledged = load.acknowledged();
    Ok(report)
}

async fn one(
    cluster: &Cluster,
    load: &mut Load,
    random: &mut fastrand::Rng,
    fault: Fault,
    at_leader: bool,
    report: &mut Report,
) -> Result<String> {
    let leader = cluster.until_whole().await?;
    let whole = now();
    until("all producers to be served", SERVED_AGAIN_MAX, load, |load| load.not_served_since(whole)).await?;
    sleep(Duration::from_millis(random.u64(0..500))).await;

    let victim = if at_leader { leader } else { random.usize(0..MEMBERS) };
    let moment = strike(cluster, load, fault, victim).await?;
    until("all producers to be served again", SERVED_AGAIN_MAX, load, |load| load.not_served_since(moment.over))
        .await?;
    let gaps = load.served_after(moment);
    report.note(fault, victim == leader, &gaps);

    sleep(Duration::from_millis(random.u64(0..1000))).await;
    heal(cluster, fault, victim).await?;
    cluster.until_whole().await?;
    load.look()?;
    let role = if victim == leader { "the leader" } else { "a follower" };
    Ok(format!("{fault} of {role}, n{victim}: served after {}", report::in_words(&gaps)))
}

async fn strike(cluster: &Cluster, load: &mut Load, fault: Fault, victim: usize) -> Result<Moment> {
    match fault {
        Fault::Kill => cluster.strike_member(victim, "KILL").await.map(|(from, over)| Moment { from, over }),
        Fault::Pause => cluster.strike_member(victim, "STOP").await.map(|(from, over)| Moment { from, over }),
        Fault::Cut => {
            let begun = now();
            cluster.cut_member(victim).await?;
            let done = now();
            // Docker does not tell when it was within that time; of a leader, what it acknowledged last does.
            load.look()?;
            let from = load.last_answer_until(done).max(begun);
            Ok(Moment { from, over: from })
        }
    }
}

async fn heal(cluster: &Cluster, fault: Fault, victim: usize) -> Result<()> {
    match fault {
        Fault::Kill => {
            cluster.bury_member(victim).await?;
            cluster.start_member(victim).await
        }
        Fault::Pause => cluster.resume_member(victim).await,
        Fault::Cut => cluster.mend_member(victim).await,
    }
}

/// Clients at work.
pub(crate) trait Look {
    /// Takes in what they told since the last look.
    ///
    /// # Errors
    /// If one is gone, or something is not as it must be.
    fn look(&mut self) -> Result<()>;
}

/// Looks at the clients until `waits_for` has nothing more to tell.
pub(crate) async fn until<L: Look>(
    what: &str,
    limit: Duration,
    load: &mut L,
    waits_for: impl Fn(&L) -> Vec<String>,
) -> Result<()> {
    let end = Instant::now() + limit;
    loop {
        load.look()?;
        let waits = waits_for(load);
        if waits.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("waited {limit:?} for {what}: {}", waits.join(", "));
        }
        sleep(LOOK_AGAIN).await;
    }
}

pub(crate) fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "compared with what the clients' clocks say")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
