//! The task that keeps a slave's tables those of its master, and tells the master what it missed.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use remoting::body::TableNews;
use remoting::client::{Client, ClientConfig};
use remoting::connection::CallError;
use remoting::header::NoHeader;
use remoting::protocol::ResponseCode;
use remoting::protocol::offset::UpdateConsumerOffset;
use remoting::protocol::slave::CopyTables;
use remoting::router::Router;
use store::Store;
use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::behind::Behind;
use super::java::{self, AskError};
use super::tables::{Delivered, Tables};
use crate::context::Mastery;
use crate::offset::OwnOffset;

/// How long a master of ours may wait for something to change.
const WAIT: Duration = Duration::from_secs(10);
/// Longest wait for its answer beyond that; whole tables may be long.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause between two questions to a master of ours, whose tables may change all the time.
const PAUSE: Duration = Duration::from_millis(500);
/// The same to a Java master: it is asked this often for what it has delivered.
const JAVA_PAUSE: Duration = Duration::from_secs(3);
/// And this often for everything, as a slave of Java's asks. Java: `BrokerController.initializeBrokerScheduledTasks`.
const JAVA_PERIOD: Duration = Duration::from_secs(60);
/// Until a master that does not answer is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Until offsets that the master did not take are handed to it again: it may not know their group or topic, and create none by itself.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// Time between two looks whether the log has what the master delivered.
const LOOK_PERIOD: Duration = Duration::from_millis(200);
/// Longest wait for the master to take an offset.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(3);
/// Offsets on their way at a time.
const HAND_OVER_MAX: usize = 100;

pub(super) struct Copying {
    tables: Tables,
    store: Arc<Store>,
    master: Mastery,
    /// This slave may have delivered what its master does not know of yet.
    may_act: bool,
    client: Client,
    stopping: CancellationToken,
}

/// What is known of the master that answers.
enum Known {
    Nothing,
    /// It hears first what was delivered while it was away. One of ours does not tell its tables before that.
    Returning,
    /// It is ours, and has told us everything up to here.
    Ours {
        seen: String,
    },
    /// It is to be asked for everything again at this time.
    Java {
        all_at: Instant,
    },
}

impl Copying {
    pub(super) fn new(
        tables: Tables,
        store: Arc<Store>,
        master: Mastery,
        may_act: bool,
        stopping: CancellationToken,
    ) -> Self {
        let client = Client::new(ClientConfig::default(), Arc::new(Router::default()), CancellationToken::new());
        Self { tables, store, master, may_act, client, stopping }
    }

    /// Copies until the broker stops.
    pub(super) async fn run(self) {
        let stopping = self.stopping.clone();
        let mut at = self.master.at().subscribe();
        let mut known = Known::Nothing;
        let mut behind = Behind::default();
        let mut hand_over_at = Instant::now();
        // Offsets were handed over last, and the master's tables are to be taken first.
        let mut was_handed = false;
        while !stopping.is_cancelled() {
            let addr = at.borrow_and_update().as_ref().and_then(|master| master.addr.clone());
            let answer = {
                let mut asking = pin!(self.ask(addr.as_deref(), &known));
                loop {
                    tokio::select! {
                        () = stopping.cancelled() => break None,
                        // Another master, or none was known yet.
                        _ = at.changed() => break None,
                        answer = &mut asking => break Some(answer),
                        () = sleep(LOOK_PERIOD), if !behind.is_empty() => self.take_delivered(&mut behind).await,
                    }
                }
            };
            let Some(answer) = answer else {
                known = Known::Nothing;
                continue;
            };
            let pause = match answer {
                Ok((mut news, next)) => {
                    if self.master.set_answers(true) {
                        tracing::info!(master = addr, "the master answers");
                    }
                    // A Java master's offsets are known to be behind ours only when it has just told them.
                    let may_hand_over = news.offsets.is_some() || matches!(next, Known::Ours { .. });
                    if may_hand_over
                        && !std::mem::take(&mut was_handed)
                        && Instant::now() >= hand_over_at
                        && let Some(addr) = &addr
                    {
                        let handed = tokio::select! {
                            () = stopping.cancelled() => break,
                            _ = at.changed() => Handed::All,
                            handed = self.hand_over(addr) => handed,
                        };
                        if matches!(handed, Handed::Refused) {
                            hand_over_at = Instant::now() + REFUSED_PAUSE;
                        }
                        if !matches!(handed, Handed::Nothing) {
                            // The news are from before: they may lack a group that the master has just heard of.
                            (known, was_handed) = (Known::Nothing, true);
                            continue;
                        }
                    }
                    Delivered::of(&mut news).into_iter().for_each(|delivered| behind.push(delivered));
                    self.take(news).await;
                    self.take_delivered(&mut behind).await;
                    known = next;
                    if matches!(known, Known::Java { .. }) { JAVA_PAUSE } else { PAUSE }
                }
                Err(err) => {
                    known = Known::Nothing;
                    if self.master.set_answers(false) {
                        tracing::warn!(master = addr, %err, "the master does not tell its tables; it is asked until it does");
                    } else {
                        tracing::debug!(master = addr, %err, "the master does not tell its tables");
                    }
                    RETRY_PAUSE
                }
            };
            tokio::select! {
                () = stopping.cancelled() => break,
                _ = at.changed() => known = Known::Nothing,
                () = sleep(pause) => {}
            }
        }
        self.client.close().await;
    }

    /// The master's news, and what is known then. Does not end before its place is known. Cancel-safe.
    async fn ask(&self, addr: Option<&str>, known: &Known) -> Result<(TableNews, Known), AskError> {
        let Some(addr) = addr else { return std::future::pending().await };
        if let Known::Java { all_at } = known
            && Instant::now() < *all_at
        {
            return Ok((java::delivered_news(&self.client, addr).await?, Known::Java { all_at: *all_at }));
        }
        let seen = if let Known::Ours { seen } = known { Some(seen.clone()) } else { None };
        let request = CopyTables { seen, wait_ms: Some(WAIT.as_millis() as i64) };
        let answer = self.client.call(addr, &request, Bytes::new(), WAIT + PATIENCE).await?;
        if answer.code() == ResponseCode::REQUEST_CODE_NOT_SUPPORTED {
            let ask = java::Ask { client: &self.client, addr, within: PATIENCE };
            if self.may_act && ask.delivers().await? == Some(false) {
                return Ok((TableNews::default(), Known::Returning));
            }
            let everything = java::everything(&self.client, addr).await?;
            return Ok((everything, Known::Java { all_at: Instant::now() + JAVA_PERIOD }));
        }
        let (_, body) = answer.success::<NoHeader>()?;
        // Whole tables may be tens of megabytes of text.
        let reading = tokio::task::spawn_blocking(move || TableNews::from_body(&body));
        let news = reading.await.expect("reading tables does not panic")?;
        if news.returning {
            return Ok((TableNews::default(), Known::Returning));
        }
        let seen = news.seen.clone();
        Ok((news, Known::Ours { seen }))
    }

    async fn take(&self, news: TableNews) {
        if news.is_empty() {
            return;
        }
        let tables = self.tables.clone();
        let taking = tokio::task::spawn_blocking(move || tables.take(news));
        taking.await.expect("taking tables over does not panic");
    }

    /// Takes over what the master delivered, as far as this slave has it, too.
    async fn take_delivered(&self, behind: &mut Behind) {
        let Some(delivered) = behind.reached(self.store.confirmed().0) else { return };
        let tables = self.tables.clone();
        let taking = tokio::task::spawn_blocking(move || tables.take_delivered(delivered));
        taking.await.expect("taking tables over does not panic");
    }

    /// Tells the master what groups committed here while it did not answer. Cancel-safe: what was on its way is handed over again.
    async fn hand_over(&self, addr: &str) -> Handed {
        let mut handed = Handed::Nothing;
        for some in self.tables.offsets.own().chunks(HAND_OVER_MAX) {
            let outcomes = join_all(some.iter().map(|own| self.hand_over_one(addr, own))).await;
            for (own, outcome) in some.iter().zip(outcomes) {
                let OwnOffset { group, topic, queue, offset } = own;
                if matches!(handed, Handed::Nothing) {
                    handed = Handed::All;
                }
                match outcome {
                    Ok(None) => {
                        tracing::info!(%group, %topic, %queue, %offset, "the master has what was committed here");
                        self.tables.offsets.disown(own);
                    }
                    // It has more, or an administrator has put the group elsewhere.
                    Ok(Some(remark)) => {
                        tracing::info!(%group, %topic, %queue, %offset, remark, "the master has another offset");
                        self.tables.offsets.disown(own);
                    }
                    Err(err) => {
                        tracing::debug!(%group, %topic, %queue, %offset, %err, "the master does not take an offset yet");
                        handed = Handed::Refused;
                    }
                }
            }
        }
        handed
    }

    /// What the master remarks.
    async fn hand_over_one(&self, addr: &str, own: &OwnOffset) -> Result<Option<String>, CallError> {
        let OwnOffset { group, topic, queue, offset } = own.clone();
        let commit = UpdateConsumerOffset {
            consumer_group: group,
            topic,
            queue_id: queue,
            commit_offset: offset,
            forward: Some(true),
        };
        let answer = self.client.call(addr, &commit, Bytes::new(), HAND_OVER_TIMEOUT).await?;
        let remark = answer.0.remark.clone().filter(|remark| !remark.is_empty());
        answer.success::<NoHeader>()?;
        Ok(remark)
    }
}

/// What became of the offsets that the master may not have.
enum Handed {
    /// There are none.
    Nothing,
    /// It has all of them, or others in their place.
    All,
    /// It did not take some.
    Refused,
}
