//! POP: consumers lease messages for a time instead of owning queues, and acknowledge each one.
//!
//! ```text
//!                ┌──────────── acknowledged in time: done
//! queue ─ pop ─▶ leased ─ over ─▶ retry topic ─ pop ─▶ leased …   `%RETRY%group_topic`, or `group+topic` (version 2)
//!         │      └─ changed: leased anew, acknowledged as it was
//!         └ check point ─▶ timer ─▶ revive log ◀─ timer ◀─ acknowledgements
//! ```
//! **State.** A pop reads from the group's offset, stores a check point of what it found, commits the offset behind that, and
//! only then answers. Check points and acknowledgements go through the timer to a queue of the revive log,
//! `rmq_sys_REVIVE_LOG_<cluster>`, where they come in the order in which leases end: so [`revive`] remembers the leases of
//! some three seconds, however many there are. What is not acknowledged when its lease is over is copied to the
//! group's retry topic, one attempt more, and is popped from there.
//!
//! **Order.** An ordered pop leases a queue as a whole: nobody gets more of it until all is acknowledged, and what is
//! not is given again from the queue itself, not from a retry topic. [`order`] is the book of these leases.
//!
//! **Recovery.** All state is in the log or follows from it; the files `consumerOffset.json` (of groups, and of
//! `CID_RMQ_SYS_REVIVE_GROUP` in the revive log) and `consumerOrderInfo.json` are shortcuts that may be seconds old:
//! - leases behind the saved offsets are read once more ([`recover`], `offset/popped.rs`), so nothing is given again that was
//!   given before;
//! - a lease that was worked off before the crash is found by key to be so ([`again`]).
//!
//! Records are Java's, so a Java broker goes on with this folder, and the other way round.
//!
//! Java: `PopMessageProcessor`, `AckMessageProcessor`, `ChangeInvisibleTimeProcessor`, `PopReviveService`.

mod ack;
mod again;
mod answer;
mod checks;
mod error;
mod handle;
mod in_flight;
mod invisible;
mod look;
mod names;
mod order;
mod record;
mod recover;
mod request;
mod revive;
mod rollback;
mod suspend;
mod take;
mod waiting;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use remoting::config::SaveError;
use remoting::connection::Peer;
use remoting::frame::RemotingCommand;
use remoting::protocol::RequestCode;
use remoting::protocol::pop::{BatchAckMessage, ChangeInvisibleTime, PeekMessage, PollingInfo, PopRollback};
use remoting::router::{HandleBatch, Router};
use remoting::types::{QueueId, Timestamp};
use store::{AppendBatch, Store};
use tokio::sync::Semaphore;

pub(crate) use self::error::PopError;
use self::in_flight::InFlight;
pub(crate) use self::names::REVIVE_GROUP;
use self::order::{Book, Change};
use self::record::Desk;
use self::request::{Notice, Pop};
use self::revive::Log;
use self::take::Patience;
use self::waiting::Waiting;
use crate::client::Clients;
use crate::context::Context;
use crate::group::GroupTable;
use crate::offset::Offsets;
use crate::persist::{Home, LoadError};
use crate::stats::Stats;
use crate::topic::TopicTable;

/// The requests of this feature that come by the dozen.
const BATCHED: [RequestCode; 3] = [RequestCode::POP_MESSAGE, RequestCode::ACK_MESSAGE, RequestCode::NOTIFICATION];

/// The requests of this feature that Java does not answer on its fast port.
pub(crate) const SLOW_CODES: [RequestCode; 4] =
    [RequestCode::POP_MESSAGE, RequestCode::PEEK_MESSAGE, RequestCode::NOTIFICATION, RequestCode::POLLING_INFO];

/// Pops at a time that wait for the disk; further ones queue.
const READERS_MAX: usize = 16;

/// Leases messages and brings them back.
pub(crate) struct Pops {
    ctx: Context,
    store: Arc<Store>,
    topics: Arc<TopicTable>,
    groups: Arc<GroupTable>,
    clients: Arc<Clients>,
    offsets: Arc<Offsets>,
    stats: Arc<Stats>,
    desk: Desk,
    book: Arc<Book>,
    in_flight: InFlight,
    waiting: Waiting,
    batches: Batches,
    /// Places for pops that may wait for the disk.
    cold: Semaphore,
    revive_queues: i32,
    last_revive_queue: AtomicU32,
    logs: Mutex<Vec<Log>>,
    /// Up to when the timer has delivered everything.
    timer: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// When this broker was started.
    began: Timestamp,
    /// For what outlives a call.
    this: Weak<Self>,
}

/// What the feature is given.
pub(crate) struct Parts {
    pub(crate) ctx: Context,
    pub(crate) store: Arc<Store>,
    pub(crate) topics: Arc<TopicTable>,
    pub(crate) groups: Arc<GroupTable>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) offsets: Arc<Offsets>,
    pub(crate) stats: Arc<Stats>,
    /// Up to when the timer has delivered everything.
    pub(crate) timer: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

pub(crate) fn routes(pops: &Arc<Pops>, router: &mut Router) {
    router.on_batch(&BATCHED, pops);
    router.on::<BatchAckMessage>(pops).on::<ChangeInvisibleTime>(pops);
    router.on::<PollingInfo>(pops).on::<PeekMessage>(pops).on::<PopRollback>(pops);
}

impl Pops {
    /// Loads `consumerOrderInfo.json`, and reads on from there in the log. Blocks.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) fn open(parts: Parts, home: impl Into<Home>) -> Result<Arc<Self>, LoadError> {
        let Parts { ctx, store, topics, groups, clients, offsets, stats, timer } = parts;
        let book = Arc::new(Book::load(&home.into())?);
        let saved_with_offsets = Arc::clone(&book);
        offsets.save_book_first(move || saved_with_offsets.save());
        let desk = Desk::new(&ctx.identity, ctx.settings().timer_slot_ms());
        let revive_queues = ctx.settings().revive_queue_num.max(1);
        let done = |queue: QueueId| offsets.get(REVIVE_GROUP, &desk.revive, queue);
        let logs = (0..revive_queues).map(|queue| Log::new(QueueId(queue), done(QueueId(queue)))).collect();
        let began = ctx.clock.now();
        let pops = Arc::new_cyclic(|this| Self {
            ctx,
            store,
            topics,
            groups,
            clients,
            offsets,
            stats,
            desk,
            book,
            in_flight: InFlight::default(),
            waiting: Waiting::default(),
            batches: Batches::default(),
            cold: Semaphore::new(READERS_MAX),
            revive_queues,
            last_revive_queue: AtomicU32::new(0),
            logs: Mutex::new(logs),
            timer,
            began,
            this: this.clone(),
        });
        pops.restore();
        Ok(pops)
    }

    /// Begins to serve what waits, and to bring back what is not acknowledged.
    pub(crate) fn start(self: &Arc<Self>) {
        self.ctx.tasks.spawn(Arc::clone(self).serve_waiting());
        self.ctx.tasks.spawn(Arc::clone(self).revive());
    }

    /// Saves the book of ordered pops. Blocks.
    ///
    /// # Errors
    /// [`SaveError`].
    pub(crate) fn persist(&self) -> Result<(), SaveError> {
        self.book.save()
    }

    fn shared(&self) -> Arc<Self> {
        self.this.upgrade().expect("whoever calls a method holds it")
    }

    fn timer_delivered(&self) -> Timestamp {
        (self.timer)()
    }

    /// In turn, so that all are equally long.
    fn next_revive_queue(&self) -> i32 {
        let next = self.last_revive_queue.fetch_add(1, Ordering::Relaxed);
        // Both are positive.
        (next % self.revive_queues as u32) as i32
    }

    /// The changes of one queue's lease must stay in order.
    fn order_queue(&self, change: &Change) -> i32 {
        let mut hasher = DefaultHasher::new();
        (&change.topic, &change.group, change.queue).hash(&mut hasher);
        // Less than the number of queues.
        (hasher.finish() % self.revive_queues as u64) as i32
    }
}

impl HandleBatch for Pops {
    fn handle_batch(&self, commands: &mut Vec<RemotingCommand>, peer: &Peer) {
        let now = self.ctx.clock.now();
        let mut commands = commands.drain(..).peekable();
        while let Some(command) = commands.next() {
            match command.request_code() {
                RequestCode::POP_MESSAGE => match Pop::of(&command, peer, now) {
                    Ok(pop) => {
                        self.shared().serve(pop, Patience::None);
                    }
                    Err((to, err)) => answer::refuse(peer, to, &err),
                },
                RequestCode::NOTIFICATION => match Notice::of(&command, peer, now) {
                    Ok(notice) => self.serve_notice(notice),
                    Err((to, err)) => answer::refuse(peer, to, &err),
                },
                // Acknowledgements, with all that follow.
                _ => {
                    let is_ack = |next: &RemotingCommand| next.request_code() == RequestCode::ACK_MESSAGE;
                    let others = std::iter::from_fn(|| commands.next_if(is_ack));
                    self.ack_all(std::iter::once(command).chain(others), peer);
                }
            }
        }
    }
}

/// Batches that are not in use.
#[derive(Default)]
struct Batches(Mutex<Vec<AppendBatch>>);

/// More are not kept.
const BATCHES_MAX: usize = 16;

impl Batches {
    fn take(&self, store: &Store) -> AppendBatch {
        self.0.lock().pop().unwrap_or_else(|| store.batch())
    }

    fn give_back(&self, mut batch: AppendBatch) {
        batch.clear();
        let mut batches = self.0.lock();
        if batches.len() < BATCHES_MAX {
            batches.push(batch);
        }
    }
}

#[cfg(test)]
mod tests;
