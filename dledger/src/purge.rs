//! Old log goes: each member has its own retention, which says what may.
//!
//! ```text
//! store: "these files would go" ─▶ the state keeps what they changed ─▶ openraft forgets the entries ─▶ they are released
//! ```
//!
//! Entries go that are agreed on and applied, and never the last one of these, so no log is ever empty. openraft waits with
//! it while a member that follows still needs them. If the disk is nearly full nobody is waited for: a member that is too far
//! behind then is [filled](crate::fill).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::metrics::RaftMetrics;
use store::Expendable;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use crate::fill::Supply;
use crate::quarantine::Inquiry;
use crate::runtime;
use crate::types::{Id, Raft, Types};

/// Longest wait for openraft, which may wait for other members.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at what is kept for members that were filled.
const TIDY: Duration = Duration::from_secs(5);

/// Has entries go as retention asks for it.
pub(crate) async fn purge(raft: Raft, supply: Supply, network: impl Inquiry) {
    let mut offers = supply.log.expendable();
    let mut ticks = interval(TIDY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            changed = offers.changed() => if changed.is_err() { return },
            _ = ticks.tick() => {
                tidy(&raft, &supply).await;
                continue;
            }
        }
        let offer = *offers.borrow_and_update();
        if let Some(offer) = offer
            && let Err(error) = forget(&raft, &supply, &network, offer).await
        {
            warn!(%error, "old entries of the log stay; tried again");
        }
    }
}

/// Lets go what fills have left.
async fn tidy(raft: &Raft, supply: &Supply) {
    supply.fills.tidy();
    if raft.metrics().borrow_watched().current_leader.is_none() {
        return;
    }
    let supply = supply.clone();
    match runtime::blocking(move || supply.tidy_staging()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "drop what came of a fill"),
        Err(error) => warn!(%error, "drop what came of a fill"),
    }
}

async fn forget(raft: &Raft, supply: &Supply, network: &impl Inquiry, offer: Expendable) -> io::Result<()> {
    let Expendable { first_kept, at_once } = offer;
    let Some(last_gone) = first_kept.checked_sub(1) else { return Ok(()) };
    let covers = |id: Option<Id>, index: u64| id.is_some_and(|id| id.index >= index);
    if covers(supply.files.purged(), last_gone) {
        return Ok(());
    }
    // It is asked for again.
    if !covers(raft.metrics().borrow_watched().last_applied, first_kept) {
        return Ok(());
    }
    let state = Arc::clone(&supply.state);
    runtime::blocking(move || state.keep(first_kept)).await??;
    raft.trigger().snapshot().await.map_err(io::Error::other)?;
    if !until(raft, |now| covers(now.snapshot, last_gone)).await {
        return Ok(());
    }
    raft.trigger().purge_log(last_gone).await.map_err(io::Error::other)?;
    let mut is_gone = until(raft, |now| covers(now.purged, last_gone)).await;
    if !is_gone && at_once {
        warn!(first_kept, "the disk is nearly full: members that lack older entries are not waited for");
        network.leave_behind(first_kept);
        is_gone = until(raft, |now| covers(now.purged, last_gone)).await;
    }
    if is_gone {
        info!(first_kept, "older entries of the log go");
    }
    Ok(())
}

/// Whether that is so before long.
async fn until(raft: &Raft, reached: impl Fn(&RaftMetrics<Types>) -> bool) -> bool {
    let mut metrics = raft.metrics();
    let reaching = async {
        while !reached(&metrics.borrow_and_update()) {
            if metrics.changed().await.is_err() {
                return false;
            }
        }
        true
    };
    timeout(PATIENCE, reaching).await.unwrap_or(false)
}
