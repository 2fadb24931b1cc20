//! Old log goes: each member has its own retention, which says what may.
//!
//! ```text
//! store: "these files would go" ─▶ the state keeps what they changed ─▶ openraft forgets the entries ─▶ they are released
//! ```
//!
//! Entries go that are agreed on and applied, and never the last one of these, so no log is ever empty. openraft waits with
//! it while a member that follows still needs them. If the disk is nearly full nobody is waited for: a member that is too far
//! behind then is [filled](crate::fill).
//!
//! Where messages from before the group lie before its entries, the first entry goes as soon as there is a second one, as far as
//! openraft knows: so a member that has nothing is filled with files, and gets these messages, too. The files stay.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::metrics::RaftMetrics;
use store::{Expendable, RaftLog};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use crate::fill::Supply;
use crate::quarantine::Inquiry;
use crate::runtime;
use crate::types::{Id, Raft, Types};

/// Entry 0 goes, as far as openraft knows. Nobody has to do without it, so it is not urgent.
const ALL_BUT_THE_FIRST: Expendable = Expendable { first_kept: 1, at_once: false };
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
                if supply.files.purged().is_none() && has_older(&supply.log) {
                    have_files_sent(&raft, &supply, &network).await;
                }
                continue;
            }
        }
        let offer = *offers.borrow_and_update();
        let Some(offer) = offer else { continue };
        match forget(&raft, &supply, &network, offer).await {
            Ok(true) => info!(first_kept = offer.first_kept, "older entries of the log go"),
            Ok(false) => {}
            Err(error) => warn!(%error, "old entries of the log stay; tried again"),
        }
    }
}

/// Whether the log has, or had, anything before its first entry.
pub(crate) fn has_older(log: &RaftLog) -> bool {
    log.begin().is_some_and(|begin| begin.0 > 0)
}

/// Has who lacks the first entry be filled, so that what lies before it comes along.
async fn have_files_sent(raft: &Raft, supply: &Supply, network: &impl Inquiry) {
    // The group may be made at this moment.
    let is_made = until(raft, |now| covers(now.last_applied, ALL_BUT_THE_FIRST.first_kept)).await;
    if !is_made {
        return;
    }
    match forget(raft, supply, network, ALL_BUT_THE_FIRST).await {
        Ok(true) => info!("new members will be sent files, as the log begins with messages from before the group"),
        Ok(false) => {}
        Err(error) => warn!(%error, "the group takes no new members yet; tried again"),
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

fn covers(id: Option<Id>, index: u64) -> bool {
    id.is_some_and(|id| id.index >= index)
}

/// Whether these entries are gone now, as far as openraft knows, and were not before.
async fn forget(raft: &Raft, supply: &Supply, network: &impl Inquiry, offer: Expendable) -> io::Result<bool> {
    let Expendable { first_kept, at_once } = offer;
    let Some(last_gone) = first_kept.checked_sub(1) else { return Ok(false) };
    if covers(supply.files.purged(), last_gone) {
        return Ok(false);
    }
    // It is asked for again.
    if !covers(raft.metrics().borrow_watched().last_applied, first_kept) {
        return Ok(false);
    }
    let state = Arc::clone(&supply.state);
    runtime::blocking(move || state.keep(first_kept)).await??;
    raft.trigger().snapshot().await.map_err(io::Error::other)?;
    if !until(raft, |now| covers(now.snapshot, last_gone)).await {
        return Ok(false);
    }
    raft.trigger().purge_log(last_gone).await.map_err(io::Error::other)?;
    let mut is_gone = until(raft, |now| covers(now.purged, last_gone)).await;
    if !is_gone && at_once {
        warn!(first_kept, "the disk is nearly full: members that lack older entries are not waited for");
        network.leave_behind(first_kept);
        is_gone = until(raft, |now| covers(now.purged, last_gone)).await;
    }
    Ok(is_gone)
}

/// Whether that is so before long.
pub(crate) async fn until(raft: &Raft, reached: impl Fn(&RaftMetrics<Types>) -> bool) -> bool {
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
