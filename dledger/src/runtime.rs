//! What members run on: tokio. In simulations chance, pauses and deaths are the simulation's.

use std::io;

use tokio::task::{AbortHandle, JoinSet, spawn_blocking};

#[cfg(not(test))]
pub(crate) use openraft_rt_tokio::TokioRuntime as Runtime;

#[cfg(test)]
pub(crate) use crate::sim::Runtime;

/// Does what waits for the disk, where it keeps nobody from other work.
///
/// # Errors
/// It panicked, or tokio ends.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    #[cfg(test)]
    if crate::sim::is_running() {
        return Ok(work());
    }
    spawn_blocking(work).await.map_err(io::Error::from)
}

/// Spawns a task of the member that this is called by.
pub(crate) fn spawn(tasks: &mut JoinSet<()>, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
    #[cfg(test)]
    let task = crate::sim::with_member(task);
    let spawned = tasks.spawn(task);
    #[cfg(test)]
    crate::sim::belongs_to_member(&spawned);
    spawned
}
