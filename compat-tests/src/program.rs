//! What programs of this crate have in common: values of the environment, a run with everything removed after it, and a cluster
//! whose logs are kept if something goes wrong.

use std::env;
use std::future::pending;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::runtime::Runtime;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::{Cluster, Layout};
use crate::logs;
use crate::stage::Stage;
use crate::target::Target;

/// How a program ends, which tells what went wrong.
pub(crate) fn ended(outcome: Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|err| {
        eprintln!("error: {err:#}");
        ExitCode::FAILURE
    })
}

/// Does `work` in containers, with our binary if it needs that. Nothing stays behind, also when it fails or is interrupted.
///
/// # Errors
/// If it fails, is interrupted, or the set-up is missing.
pub(crate) fn run(needs_ferromq: bool, work: impl AsyncFnOnce(&Arc<Stage>) -> Result<()>) -> Result<ExitCode> {
    let runtime = Runtime::new().context("start the runtime")?;
    let stage = Arc::new(Stage::new(false, needs_ferromq)?);
    runtime.block_on(async {
        let mut work = pin!(work(&stage));
        let outcome = tokio::select! {
            outcome = &mut work => outcome,
            () = interrupted() => {
                // The work goes on meanwhile: machines that are about to start are waited for, and removed, too.
                tokio::select! {
                    () = stage.abandon() => {}
                    () = async { drop(work.await); pending().await } => {}
                }
                bail!("interrupted");
            }
        };
        stage.abandon().await;
        outcome.map(|()| ExitCode::SUCCESS)
    })
}

/// Does `work` on a new cluster, which is removed after it. If it fails, its logs are kept under `name`.
///
/// # Errors
/// If it fails, or the cluster's machines do not come up.
pub(crate) async fn on_cluster<T>(
    stage: &Arc<Stage>,
    target: Target,
    layout: Layout,
    name: &str,
    work: impl AsyncFnOnce(&Arc<Cluster>) -> Result<T>,
) -> Result<T> {
    let cluster = Arc::new(Cluster::prepare(stage, target, layout).await?);
    let outcome = work(&cluster).await;
    if let Err(err) = &outcome {
        match logs::keep(&stage.artifacts.cache, cluster.dir(), name, &format!("{err:#}\n")) {
            Ok(kept) => eprintln!("{name}: logs are in {}", kept.display()),
            Err(err) => eprintln!("{name}: logs are not kept: {err:#}"),
        }
    }
    cluster.remove().await;
    // Stores are large. What is left over is removed with the run.
    let _ = tokio::fs::remove_dir_all(cluster.dir()).await;
    outcome
}

/// Comes with SIGINT or SIGTERM.
pub(crate) async fn interrupted() {
    let Ok(mut terminated) = signal(SignalKind::terminate()) else { return pending().await };
    tokio::select! {
        _ = terminated.recv() => {}
        _ = ctrl_c() => {}
    }
}

/// The values a comma-separated environment variable names; all of them without it.
///
/// # Errors
/// If there is no such value.
pub(crate) fn chosen<T: Copy>(variable: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Result<Vec<T>> {
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

/// The number that an environment variable has.
///
/// # Errors
/// If it has something else.
pub(crate) fn number(variable: &str, otherwise: u64) -> Result<u64> {
    let Ok(text) = env::var(variable) else { return Ok(otherwise) };
    text.parse().with_context(|| format!("{variable} is `{text}`, not a number"))
}
