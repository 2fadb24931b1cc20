//! Keeps the store's retention as the settings say, which may change while the broker runs.

use std::sync::Arc;

use store::Store;

use crate::context::Context;

/// Starts the task that follows the settings.
pub(crate) fn start(ctx: &Context, store: &Arc<Store>) {
    let (ctx, store) = (ctx.clone(), Arc::clone(store));
    ctx.tasks.clone().spawn(async move {
        let mut settings = ctx.config.clone();
        let mut in_force = settings.borrow_and_update().retention().ok();
        loop {
            tokio::select! {
                () = ctx.stopping.cancelled() => return,
                changed = settings.changed() => if changed.is_err() { return },
            }
            // A change whose values do not fit is refused before it comes here.
            let asked = settings.borrow_and_update().retention().ok();
            if let Some(retention) = asked.clone().filter(|_| asked != in_force) {
                tracing::info!(?retention, "retention follows the settings");
                store.set_retention(retention);
                in_force = asked;
            }
        }
    });
}
