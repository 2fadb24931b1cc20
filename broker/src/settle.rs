//! Appends of tasks that must not write a thing twice: they wait until it is settled what became of it.

use std::time::Duration;

use remoting::types::PhysicalOffset;
use store::{AppendBatch, AppendError, Confirmation, Position, Store};
use tokio::time::sleep;

use crate::context::Context;

/// Pause between two looks at a flush that takes too long.
const FLUSH_LOOK_PERIOD: Duration = Duration::from_millis(100);

/// Returns once everything before `end` is confirmed.
///
/// # Errors
/// [`AppendError::Poisoned`] if it never will be, or the broker stops.
pub(crate) async fn settled(ctx: &Context, store: &Store, end: PhysicalOffset) -> Result<(), AppendError> {
    if store.confirmation(end).await == Confirmation::FlushTimeout {
        // Stored, only not on disk: a second copy would not be there sooner.
        while store.confirmed() < end && !ctx.stopping.is_cancelled() {
            sleep(FLUSH_LOOK_PERIOD).await;
        }
    }
    if store.confirmed() < end { Err(AppendError::Poisoned) } else { Ok(()) }
}

/// Stores the messages of the batch, which may be none, and returns once they are confirmed.
///
/// # Errors
/// As [`Store::append`] and [`settled`].
pub(crate) async fn append_settled(
    ctx: &Context,
    store: &Store,
    batch: &mut AppendBatch,
) -> Result<Vec<Position>, AppendError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let appended = store.append(batch)?;
    settled(ctx, store, appended.end).await?;
    Ok(appended.positions.to_vec())
}
