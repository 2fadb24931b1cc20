//! Transactions: a message is stored but shown to nobody until its producer says that what it is about has happened.
//!
//! ```text
//! send ─▶ half message ─▶ END_TRANSACTION ─┬ commit ───▶ a copy in its own topic ─┐
//!            │    ▲                         └ rollback ────────────────────────────┴▶ op message: it is resolved
//!            │    └ stored again, and a producer of the group is asked (CHECK_TRANSACTION_STATE)
//!            └ asked about too often, or too old ─▶ TRANS_CHECK_MAX_TIME_TOPIC ─ RESUME_CHECK_HALF_MESSAGE ─▶ half message
//! ```
//!
//! Topics, with Java's bytes, so that a Java broker goes on where this one stopped and the other way round:
//! - `RMQ_SYS_TRANS_HALF_TOPIC`, queue 0: half messages. Topic and queue of their own are in their properties.
//! - `RMQ_SYS_TRANS_OP_HALF_TOPIC`, queue 0: op messages, each a list of queue offsets of half messages that are resolved:
//!   committed, rolled back, replaced by a copy that is asked about, or given up. Many share one, which is written when it is
//!   full or `transactionOpBatchInterval` has passed ([`ops`]).
//! - Two offsets of the group `CID_RMQ_SYS_TRANS`: no half message before the one needs a look, and all that op messages
//!   say of the rest stands behind the other.
//!
//! In memory is one bit for each half message in doubt ([`doubts`]); resolved ones cost nothing, and a look for those that
//! are due ([`check`]) passes over them unread. A look stores each half message that it asks about again, so the
//! offsets follow the end of the queue and the retention of the log does not take what is in doubt.
//!
//! A start reads the op messages behind the offset ([`recover`]), and then the end of the log: what was committed, but in no
//! op message yet, says so itself (it names the half message), and a copy that its original does not know of yet replaces it.
//! So what was committed before a `kill -9` is asked about no more. A rollback of the last moments may be asked about
//! again. As with Java, a message is delivered twice if its producer commits both a half message and the copy of it that
//! was asked about meanwhile, or commits one half message twice.
//!
//! Java: `TransactionalMessageServiceImpl`, `TransactionalMessageBridge`, `EndTransactionProcessor`,
//! `TransactionalOpBatchService`, `DefaultTransactionalMessageCheckListener`.

mod ask;
mod check;
mod doubts;
mod elsewhere;
mod end;
mod half;
mod judge;
mod ops;
mod recover;
mod resume;
mod turn;

use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;
use remoting::protocol::RequestCode;
use remoting::protocol::transaction::ResumeCheckHalfMessage;
use remoting::router::Router;
use remoting::types::{GroupName, PhysicalOffset, QueueId, QueueOffset, TopicName};
use store::Store;
use tokio::time::{Duration, Instant, sleep};

use self::doubts::Doubts;
pub(crate) use self::end::EndError;
pub(crate) use self::half::half_topic;
use self::ops::Ops;
pub(crate) use self::resume::ResumeError;
use crate::client::Clients;
use crate::context::{Context, Role};
use crate::delay::Waits;
use crate::offset::Offsets;
use crate::slave::Outlet;
use crate::stats::Stats;
use crate::topic::{TopicTable, validate};

/// All half messages and all op messages are in this queue of their topics.
pub(crate) const QUEUE: QueueId = QueueId(0);

/// Pause after the store refused op messages.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Shortest time between two looks at what is in doubt.
const CHECK_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Ends transactions, and finds out about those that nobody ends.
pub(crate) struct Transactions {
    ctx: Context,
    store: Arc<Store>,
    topics: Arc<TopicTable>,
    clients: Arc<Clients>,
    offsets: Arc<Offsets>,
    stats: Arc<Stats>,
    waits: Waits,
    doubts: Mutex<Doubts>,
    ops: Ops,
    outlet: Outlet,
    /// The end of the log when it was opened.
    opened_at: PhysicalOffset,
    /// For what ends later than the call that began it.
    me: Weak<Self>,
}

pub(crate) fn routes(transactions: &Arc<Transactions>, router: &mut Router) {
    router.on_batch(&[RequestCode::END_TRANSACTION], transactions);
    router.on::<ResumeCheckHalfMessage>(transactions);
}

impl Transactions {
    /// `store` must have been opened just now: what it holds is what the last run left.
    pub(crate) fn new(
        ctx: Context,
        store: Arc<Store>,
        topics: Arc<TopicTable>,
        clients: Arc<Clients>,
        offsets: Arc<Offsets>,
        stats: Arc<Stats>,
        waits: Waits,
    ) -> Arc<Self> {
        let start = |topic: &TopicName| {
            let min = store.min_offset(topic, QUEUE).unwrap_or_default();
            let max = store.max_offset(topic, QUEUE).unwrap_or_default();
            // Without an offset, all there is; and a log that lost its end may have an offset behind that.
            offsets.get(group(), topic, QUEUE).unwrap_or(min).clamp(min, max)
        };
        let doubts = Doubts::new(start(half_topic()), start(op_topic()));
        let opened_at = store.max_physical_offset();
        let (doubts, ops, outlet) = (Mutex::new(doubts), Ops::default(), Outlet::of(&ctx));
        Arc::new_cyclic(|me| {
            let me = me.clone();
            Self { ctx, store, topics, clients, offsets, stats, waits, doubts, ops, outlet, opened_at, me }
        })
    }

    /// Looks after transactions until the broker stops; what is resolved is written down before it ends.
    pub(crate) fn start(self: &Arc<Self>) {
        self.ctx.tasks.spawn(Arc::clone(self).run());
    }

    async fn run(self: Arc<Self>) {
        if let Err(err) = self.recover().await {
            tracing::error!(%err, "the half messages of the last run could not be looked at: none are asked about");
            return;
        }
        if self.outlet.is_elsewhere() {
            return self.move_elsewhere().await;
        }
        let mut next_check = Instant::now() + self.check_interval();
        while !self.ctx.stopping.is_cancelled() {
            let (interval, size) = {
                let settings = self.ctx.settings();
                (*settings.transaction_op_batch_interval, settings.transaction_op_msg_max_size)
            };
            tokio::select! {
                () = self.ctx.stopping.cancelled() => {}
                // Not cancelled on the way: what is taken out to be written must be written.
                () = self.ops.due(interval, size) => {
                    if !self.write_ops().await {
                        tokio::select! {
                            () = self.ctx.stopping.cancelled() => {}
                            () = sleep(RETRY_PAUSE) => {}
                        }
                    }
                }
                () = tokio::time::sleep_until(next_check) => {
                    if *self.ctx.role.borrow() == Role::Master {
                        self.check().await;
                    }
                    next_check = Instant::now() + self.check_interval();
                }
            }
        }
        self.write_ops().await;
        self.commit_offsets();
    }

    fn check_interval(&self) -> Duration {
        (*self.ctx.settings().transaction_check_interval).max(CHECK_INTERVAL_MIN)
    }

    /// Notes for the next start where it has to begin.
    fn commit_offsets(&self) {
        let (half, op) = self.doubts.lock().starts();
        for (topic, offset) in [(half_topic(), half), (op_topic(), op)] {
            if self.offsets.get(group(), topic, QUEUE) != Some(offset) {
                self.offsets.commit(group(), topic, QUEUE, offset);
            }
        }
    }
}

/// Java: `TopicValidator.RMQ_SYS_TRANS_OP_HALF_TOPIC`.
fn op_topic() -> &'static TopicName {
    static TOPIC: LazyLock<TopicName> = LazyLock::new(|| TopicName::new(validate::OP_HALF_TOPIC));
    &TOPIC
}

/// The group whose offsets in both topics are kept. Java: `MixAll.CID_SYS_RMQ_TRANS`.
fn group() -> &'static GroupName {
    static GROUP: LazyLock<GroupName> = LazyLock::new(|| GroupName::new("CID_RMQ_SYS_TRANS"));
    &GROUP
}

/// The queue offset of the next half message.
fn half_end(store: &Store) -> QueueOffset {
    store.max_offset(half_topic(), QUEUE).unwrap_or_default()
}

#[cfg(test)]
mod tests;
