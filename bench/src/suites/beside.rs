//! Two loads at a time, of which neither may wait for the other's work in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, anyhow};

/// What `load` comes to, and what `other` does, which runs until it is told that the load is over, on a thread of its own.
pub(super) async fn beside<T, O: Send + 'static>(
    load: impl Future<Output = Result<T>>,
    other: impl AsyncFnOnce(&AtomicBool) -> Result<O> + Send + 'static,
) -> Result<(T, O)> {
    let over = Arc::new(AtomicBool::new(false));
    let thread = {
        let over = Arc::clone(&over);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(other(&over))
        })
    };
    let loaded = load.await;
    over.store(true, Ordering::Release);
    let other = thread.join().map_err(|_| anyhow!("the thread beside the load panicked"))?;
    Ok((loaded?, other?))
}
