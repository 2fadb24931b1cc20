//! Tells the members of a group to rebalance.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use remoting::protocol::callback::NotifyConsumerIdsChanged;
use remoting::types::GroupName;
use tokio::sync::Notify;
use tokio::time::{Duration, sleep};

use super::Clients;

/// Groups whose members are to be told. One told twice within a moment is told once, so that a thousand clients that
/// come back together do not cause a million notices.
#[derive(Default)]
pub(super) struct Notifier {
    changed: Mutex<HashSet<GroupName>>,
    wake: Notify,
}

/// Period of notices when they need not come at once. Java: `DefaultConsumerIdsChangeListener`.
const LAZY_PERIOD: Duration = Duration::from_secs(15);

impl Notifier {
    pub(super) fn changed(&self, group: &GroupName) {
        if self.changed.lock().insert(group.clone()) {
            self.wake.notify_one();
        }
    }

    fn take(&self) -> HashSet<GroupName> {
        std::mem::take(&mut *self.changed.lock())
    }
}

impl Clients {
    /// Sends notices until the broker stops.
    pub(super) async fn run_notices(self: Arc<Self>) {
        loop {
            let next = async {
                self.notifier.wake.notified().await;
                if !self.ctx.settings().real_time_notify_consumer_change {
                    sleep(LAZY_PERIOD).await;
                }
            };
            tokio::select! {
                () = self.ctx.stopping.cancelled() => return,
                () = next => self.send_notices(),
            }
        }
    }

    pub(super) fn send_notices(&self) {
        for name in self.notifier.take() {
            let wanted = self.ctx.settings().notify_consumer_ids_changed_enable
                && self.groups.get(&name).is_none_or(|config| config.notify_consumer_ids_changed_enable);
            let Some(group) = self.consumers.group(&name) else { continue };
            if !wanted || group.is_broadcasting() {
                continue;
            }
            let notice = NotifyConsumerIdsChanged { consumer_group: name };
            for member in group.members() {
                // A member that does not read is not waited for; it asks by itself every 20 s.
                member.peer.one_way(&notice, Bytes::new());
            }
        }
    }
}
