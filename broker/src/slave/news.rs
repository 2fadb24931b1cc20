//! What a master tells its slaves of its tables: what changed since they last asked.
//!
//! A slave's question waits until something has changed; meanwhile a few counters are compared now and then. Topics and
//! offsets are told by what changed of them, the other tables as a whole, as they are small or change seldom.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use remoting::body::TableNews;
use remoting::header::NoHeader;
use remoting::protocol::slave::CopyTables;
use remoting::router::{Call, Handle, Reply, Router};
use store::Store;
use tokio::time::{Duration, Instant, sleep};

use super::tables::{Tables, numbers};
use crate::context::Context;

/// Time between two looks for changes while a slave waits.
const LOOK_PERIOD: Duration = Duration::from_millis(200);
/// Longest wait of a slave.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Answers slaves.
pub(crate) struct News {
    ctx: Context,
    store: Arc<Store>,
    tables: Tables,
    /// Counters begin anew with each of these, so those of another one say nothing.
    run: u64,
    /// The broker has heard from its slaves what it missed.
    is_current: AtomicBool,
}

/// How often each table had changed when a slave was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    topics: u64,
    groups: u64,
    offsets: u64,
    delays: u64,
    modes: u64,
    metrics: u64,
    /// Flushes of the timer.
    timer: u64,
    /// Offsets that change from now on are of this era or a later one.
    era: u64,
}

impl Seen {
    /// For the slave to keep.
    fn text(&self, run: u64) -> String {
        let Self { topics, groups, offsets, delays, modes, metrics, timer, era } = self;
        format!("{run}.{topics}.{groups}.{offsets}.{delays}.{modes}.{metrics}.{timer}.{era}")
    }
}

pub(crate) fn routes(news: &Arc<News>, router: &mut Router) {
    router.on::<CopyTables>(news);
}

impl News {
    pub(crate) fn new(ctx: Context, store: Arc<Store>, tables: Tables) -> Arc<Self> {
        Arc::new(Self { ctx, store, tables, run: rand::random(), is_current: AtomicBool::new(false) })
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// From now on the tables are told. What slaves delivered before that a master must not undo.
    pub(crate) fn start(&self) {
        self.is_current.store(true, Ordering::Relaxed);
    }

    /// `None`: it is not of this run.
    fn parse(&self, text: &str) -> Option<Seen> {
        let numbers: Option<Vec<u64>> = text.split('.').map(|number| number.parse().ok()).collect();
        let [run, topics, groups, offsets, delays, modes, metrics, timer, era] = numbers?.try_into().ok()?;
        (run == self.run).then_some(Seen { topics, groups, offsets, delays, modes, metrics, timer, era })
    }

    fn is_news_for(&self, seen: Option<Seen>) -> bool {
        seen.is_none_or(|seen| seen != Seen { era: seen.era, ..self.tables.now() })
    }
}

impl Handle<CopyTables> for News {
    type Error = Infallible;

    async fn handle(&self, call: Call<CopyTables>) -> Result<Reply<NoHeader>, Infallible> {
        if !self.is_current.load(Ordering::Relaxed) {
            return Ok(Reply::done().body(TableNews { returning: true, ..TableNews::default() }.to_body()));
        }
        let CopyTables { seen, wait_ms } = &call.header;
        let seen = seen.as_deref().and_then(|text| self.parse(text));
        let wait = wait_ms.and_then(|millis| u64::try_from(millis).ok()).map_or(Duration::ZERO, Duration::from_millis);
        let until = Instant::now() + wait.min(WAIT_MAX);
        while !self.is_news_for(seen) && Instant::now() < until {
            tokio::select! {
                () = call.closed() => break,
                () = self.ctx.stopping.cancelled() => break,
                () = sleep(LOOK_PERIOD) => {}
            }
        }
        let (tables, store, run) = (self.tables.clone(), Arc::clone(&self.store), self.run);
        // Whole tables may be tens of megabytes of text.
        let telling = tokio::task::spawn_blocking(move || {
            let (seen, mut news) = tables.news(seen);
            news.seen = seen.text(run);
            // What was delivered is in the log before it counts as delivered.
            news.log_end = Some(store.max_physical_offset().0);
            news.to_body()
        });
        Ok(Reply::done().body(telling.await.expect("telling tables does not panic")))
    }
}

impl Tables {
    fn now(&self) -> Seen {
        Seen {
            topics: self.topics.step(),
            groups: self.groups.changes(),
            offsets: self.offsets.step(),
            delays: self.delays.step(),
            modes: self.assignments.step(),
            metrics: self.timers.step(),
            timer: self.timers.checkpoint().changes.unsigned_abs(),
            era: 0,
        }
    }

    /// What changed since, or all there is; and the counters to go on from. Walks over all offsets.
    fn news(&self, seen: Option<Seen>) -> (Seen, TableNews) {
        // Read before what they count: what changes meanwhile is told again next time.
        let mut now = self.now();
        let is_news = |of: fn(&Seen) -> u64| seen.as_ref().is_none_or(|seen| of(seen) != of(&now));
        let mut news = TableNews {
            delays: is_news(|seen| seen.delays).then(|| self.delays.snapshot()),
            groups: is_news(|seen| seen.groups).then(|| self.groups.snapshot()),
            modes: is_news(|seen| seen.modes).then(|| self.assignments.modes()),
            timer: Some(numbers(&self.timers.checkpoint())),
            timer_metrics: is_news(|seen| seen.metrics).then(|| self.timers.metrics()),
            ..TableNews::default()
        };
        let (topics, offsets) = (is_news(|seen| seen.topics), is_news(|seen| seen.offsets));
        now.era = seen.map_or(0, |seen| seen.era);
        if topics {
            let (step, topics) = self.topics.news(seen.map(|seen| seen.topics));
            now.topics = step;
            news.topics = Some(topics);
        }
        if offsets {
            let (era, offsets) = self.offsets.news(seen.map(|seen| seen.era));
            now.era = era;
            news.offsets = Some(offsets);
        }
        (now, news)
    }
}
