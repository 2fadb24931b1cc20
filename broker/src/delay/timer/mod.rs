//! Timed messages: they wait for a time of their own, to the millisecond.
//!
//! ```text
//! send ─ admit ─▶ rmq_sys_wheel_timer, queue 0 ─ enrol ─▶ slot of its second ─ due ─▶ the topic and queue of its properties
//!                          ▲                                      │
//!                          └────────── roll: too far ahead ───────┘
//! ```
//! **States.** *Stored*: the message is in the timer topic, with `TIMER_OUT_MS` naming the begin of its slot. *Enrolled*: a unit
//! in the slot's chain points to it (`store::timer`). *Due*: one task walks the chain of the slot that is read and stores the
//! messages again, in the order of their times. *Delivered*: the copy is confirmed, and only then the cursor moves past the unit.
//! A message further ahead than the window (2 days) is enrolled at the window's end and stored in the timer topic once more from
//! there, so that the commit log may forget its older copies. A message that cancels another is enrolled in the same slot; the
//! two meet there.
//!
//! **Times.** A slot is a second (`timerPrecisionMs`), as with Java; the exact time is in the unit, in a field that Java leaves
//! free. Of units that Java enrolled it is not known: they are delivered at the end of their slot, which is when Java would.
//!
//! **Recovery.** After a stop each message is delivered once: the cursor is exact, and a stop waits for the end of a slot that
//! was delivered in part, so that a Java broker may go on. After a crash what the store has and the log has not is enrolled
//! again; what was stored just before the cursor was written is delivered twice, nothing is lost.
//!
//! **Memory** does not depend on how many wait: a bounded part of one slot is held, and the slots changed lately.
//!
//! Java: `TimerMessageStore`.

mod admit;
mod deliver;
mod enrol;
mod flush;
mod follow;
mod handover;
mod metrics;
mod query;
mod reading;
mod recall;
mod run;
pub(crate) mod timing;

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use remoting::protocol::timer::{GetTimerCheckPoint, GetTimerMetrics, SwitchTimerEngine};
use remoting::router::Router;
use remoting::types::{QueueId, Timestamp, TopicName};
use store::timer::{TimerCheckpoint, TimerConfig, TimerFiles};
use store::{Store, StoreError};

use self::follow::Followed;
use self::handover::Handover;
use self::metrics::Metrics;
use self::reading::Reading;
use crate::context::{Context, Role};
use crate::persist::{Home, LoadError};
use crate::slave::Outlet;
use crate::stats::Stats;
use crate::topic::validate::TIMER_TOPIC;

pub(crate) use self::admit::TimerRefusal;
pub(crate) use self::query::TimerQueryError;
pub(crate) use self::recall::{RecallError, Recalls, handle_of, routes as recall_routes};

const QUEUE: QueueId = QueueId(0);
/// Longest time between the decision that a message waits and its store time.
const STORING_MS: i64 = 1000;

/// Takes timed messages and delivers them when they are due.
pub(crate) struct Timers {
    ctx: Context,
    store: Arc<Store>,
    stats: Arc<Stats>,
    metrics: Metrics,
    /// `None`: `timerWheelEnable` is false.
    wheel: Option<Arc<Wheel>>,
    /// Of a slave: its master's.
    followed: Option<Followed>,
    outlet: Outlet,
    tally: Tally,
}

struct Wheel {
    precision_ms: i64,
    /// Slots from now that a message may be enrolled in.
    window_slots: i64,
    state: Mutex<State>,
    handover: Handover,
    /// As of the last flush; for who must not wait for the files.
    checkpoint: Mutex<TimerCheckpoint>,
    flush_failed: AtomicBool,
}

struct State {
    files: TimerFiles,
    reading: Reading,
}

/// What was done since the start.
#[derive(Default)]
struct Tally {
    enrolled: AtomicU64,
    delivered: AtomicU64,
    /// Of the last whole second: enrolled, delivered.
    rates: Mutex<(f64, f64)>,
}

/// The timer could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum TimerError {
    #[error(transparent)]
    Files(#[from] StoreError),
    #[error(transparent)]
    Metrics(#[from] LoadError),
}

pub(crate) fn routes(timers: &Arc<Timers>, router: &mut Router) {
    router.on::<GetTimerCheckPoint>(timers).on::<GetTimerMetrics>(timers).on::<SwitchTimerEngine>(timers);
}

/// Where timed messages wait. Java: `TimerMessageStore.TIMER_TOPIC`.
pub(crate) fn timer_topic() -> &'static TopicName {
    static TOPIC: LazyLock<TopicName> = LazyLock::new(|| TopicName::new(TIMER_TOPIC));
    &TOPIC
}

impl Timers {
    /// Opens the timer's files in the store's folder, and `timermetrics`.
    ///
    /// # Errors
    /// [`TimerError`].
    pub(crate) fn open(
        ctx: Context,
        home: impl Into<Home>,
        store: Arc<Store>,
        stats: Arc<Stats>,
    ) -> Result<Arc<Self>, TimerError> {
        let settings = ctx.settings();
        let home = home.into();
        let metrics = Metrics::load(&home, ctx.clock.now())?;
        let (role, precision_ms) = (*ctx.role.borrow(), settings.timer_slot_ms());
        let followed =
            if role == Role::Slave && !home.is_of_group() { Some(Followed::open(&home, precision_ms)?) } else { None };
        // Only who leads a group keeps a wheel.
        let wheel = if settings.timer_wheel_enable && role.delivers() {
            let config = TimerConfig {
                topic: TIMER_TOPIC.to_owned(),
                log_file_bytes: settings.mapped_file_size_timer_log,
                precision_ms,
            };
            let mut files = TimerFiles::open(&store, &config, ctx.clock.now())?;
            let handover = Handover::open(&home, home.is_of_group() || role != Role::Master)?;
            handover.take_up(&mut files);
            let checkpoint = Mutex::new(files.checkpoint());
            let state = Mutex::new(State { files, reading: Reading::default() });
            let window_slots = settings.timer_window_slots();
            Some(Arc::new(Wheel {
                precision_ms,
                window_slots,
                state,
                handover,
                checkpoint,
                flush_failed: AtomicBool::new(false),
            }))
        } else {
            None
        };
        let outlet = Outlet::of(&ctx);
        Ok(Arc::new(Self { ctx, store, stats, metrics, wheel, followed, outlet, tally: Tally::default() }))
    }

    /// A topic was deleted: nothing is counted for it any more.
    pub(crate) fn topic_deleted(&self, topic: &str) {
        self.metrics.forget(topic);
    }

    /// Up to when all that was due is in its topic, whatever is stored from now on for a time to come. Blocks for as long as
    /// the files are worked on.
    pub(crate) fn delivered_until(&self) -> Timestamp {
        let Some(wheel) = &self.wheel else { return self.ctx.clock.now() };
        let (read, enrolled) = {
            let state = wheel.state.lock();
            (state.files.read_time(), state.files.queue_offset())
        };
        // What is not enrolled yet was not due when it was stored, give or take the time that storing takes.
        let stored = self.store.store_time(timer_topic(), QUEUE, enrolled);
        let read = read.min(self.ctx.clock.now());
        stored.map_or(read, |stored| read.min(Timestamp(stored.0 - STORING_MS)))
    }

    /// For RUNTIME INFO. Blocks for as long as the files are worked on.
    ///
    /// Java: `AdminBrokerProcessor.prepareRuntimeInfo`.
    pub(crate) fn figures(&self) -> TimerFigures {
        let Some(wheel) = &self.wheel else { return TimerFigures::default() };
        let now = self.ctx.clock.now();
        let state = wheel.state.lock();
        let end = self.store.max_offset(timer_topic(), QUEUE).unwrap_or_default();
        let (enqueue_tps, dequeue_tps) = *self.tally.rates.lock();
        TimerFigures {
            read_behind_seconds: now.since(state.files.read_time()).as_secs(),
            offset_behind: (end.0 - state.files.queue_offset().0).max(0),
            pending: state.files.pending(),
            enqueue_tps,
            dequeue_tps,
        }
    }
}

/// How the timer keeps up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TimerFigures {
    pub(crate) read_behind_seconds: u64,
    /// Messages stored and not enrolled.
    pub(crate) offset_behind: i64,
    /// Messages enrolled.
    pub(crate) pending: i64,
    pub(crate) enqueue_tps: f64,
    pub(crate) dequeue_tps: f64,
}

impl Tally {
    fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod crash;
#[cfg(test)]
mod tests;
