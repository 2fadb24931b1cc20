//! Appends of tasks that must not write a thing twice: they wait until it is settled what became of it.

use remoting::types::PhysicalOffset;
use store::{AppendBatch, AppendError, Confirmation, Position, Store};
use thiserror::Error;

use crate::context::Context;

/// A batch is not known to be stored.
#[derive(Debug, Error)]
pub(crate) enum Unsettled {
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A flush failed, the store or the broker stops, or another broker leads the group.
    #[error("it was written, but is not confirmed to this broker")]
    Unconfirmed,
}

impl Unsettled {
    /// False if it tells of nothing but an end that was logged where it was noticed: of the store, or of the lead.
    pub(crate) fn is_news(&self) -> bool {
        !matches!(self, Self::Unconfirmed | Self::Append(AppendError::Closed | AppendError::NotLeader))
    }
}

/// Returns once everything before `end` is confirmed.
///
/// # Errors
/// [`Unsettled::Unconfirmed`] if it never will be, or the broker stops.
pub(crate) async fn settled(ctx: &Context, store: &Store, end: PhysicalOffset) -> Result<(), Unsettled> {
    let mut confirmation = store.confirmation(end).await;
    // Stored, only not on disk or at others: a second copy would not be there sooner.
    while confirmation == Confirmation::FlushTimeout {
        confirmation = tokio::select! {
            again = store.confirmation(end) => again,
            () = ctx.stopping.cancelled() => Confirmation::Failed,
        };
    }
    if confirmation == Confirmation::Confirmed { Ok(()) } else { Err(Unsettled::Unconfirmed) }
}

/// Stores the messages of the batch, which may be none, and returns once they are confirmed.
///
/// # Errors
/// As [`Store::append`] and [`settled`].
pub(crate) async fn append_settled(
    ctx: &Context,
    store: &Store,
    batch: &mut AppendBatch,
) -> Result<Vec<Position>, Unsettled> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let appended = store.append(batch)?;
    settled(ctx, store, appended.end).await?;
    Ok(appended.positions.to_vec())
}
