//! Offsets of consumer groups: where each group stands in each queue, and the bounds of the queues themselves.
//!
//! A group commits its offsets every few seconds or along with its pulls; they are kept in memory and saved every
//! `flushConsumerOffsetInterval`. After a crash a group consumes again what it had committed since the last save.

mod agreed;
mod bounds;
mod commit;
mod copy;
mod file;
mod news;
mod own;
mod places;
mod popped;
mod progress;
mod push;
mod query;
mod reset;
mod table;

use std::sync::Arc;

pub(crate) use file::FILE;
pub(crate) use own::OwnOffset;
pub(crate) use popped::Noted;
pub(crate) use progress::{Commit, Progress, Turn};
use remoting::header::HeaderError;
use remoting::protocol::offset::{
    CloneGroupOffset, GetAllConsumerOffset, GetEarliestStoreTime, GetMaxOffset, GetMinOffset, QueryConsumerOffset,
    QueryCorrectionOffset, ResetOffset, SearchOffset,
};
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::router::Router;
use remoting::types::{GroupName, QueueId, QueueOffset, Timestamp, TopicName};
use store::{LIGHT_QUEUE, Store};
use thiserror::Error;
use tokio::task::JoinError;
use tokio::time::{MissedTickBehavior, interval};

use self::agreed::{Unanswered, answer, refuse};
use self::file::OffsetFile;
use self::own::Own;
use self::popped::Popped;
use self::table::Table;
use crate::client::Clients;
use crate::context::{Context, Role};
use crate::group::GroupTable;
use crate::persist::{Home, LoadError, log_unsaved};
use crate::replica::Patch;
use crate::topic::TopicTable;

/// Java: `ConsumerOffsetManager`.
pub(crate) struct Offsets {
    ctx: Context,
    store: Arc<Store>,
    topics: Arc<TopicTable>,
    groups: Arc<GroupTable>,
    clients: Arc<Clients>,
    table: Table,
    file: OffsetFile,
    popped: Popped,
    /// Of a slave.
    own: Option<Own>,
    unanswered: Unanswered,
}

#[derive(Debug, Error)]
pub enum OffsetError {
    #[error("load consumer offsets: {0}")]
    Load(#[from] LoadError),
    #[error("read the queue: {0}")]
    Task(#[from] JoinError),
    #[error("{}: {cause}", .request)]
    Header { request: RequestCode, cause: HeaderError },
    /// Java's remarks, as all that follow.
    #[error("QueueId is null, topic is {0}")]
    NoQueueId(String),
    #[error("Offset is null, topic is {0}")]
    NoOffset(String),
    #[error("Group {0} not exist!")]
    UnknownGroup(GroupName),
    #[error("Topic {0} not exist!")]
    UnknownTopic(TopicName),
    #[error("offsets of too many queues of topic {0}")]
    TooManyQueues(TopicName),
    #[error("Not found, do not set to zero, maybe this group boot first")]
    NotFoundAsAsked,
    #[error("Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first")]
    NotFound,
    #[error("Can not reset offset in slave broker")]
    ResetOnSlave,
    #[error("Topic {0} does not exist")]
    ResetUnknownTopic(TopicName),
    #[error("Group {0} does not exist")]
    ResetUnknownGroup(GroupName),
    #[error("Target offset {target} not in consume queue range [{min}-{max}]")]
    ResetOutOfRange { target: QueueOffset, min: QueueOffset, max: QueueOffset },
    #[error("No queues to reset.")]
    ResetNothing,
    #[error("[reset-offset] reset offset failed, no topic in this broker. topic={0}")]
    PushUnknownTopic(TopicName),
    #[error("THe consumer group <{0}> not exist")]
    PushUnknownGroup(GroupName),
    #[error("the client does not support this feature. version={0}")]
    PushOldClient(String),
    #[error("Consumer not online, so can not reset offset, Group: {group} Topic: {topic} Timestamp: {timestamp}")]
    PushNobody { group: GroupName, topic: TopicName, timestamp: Timestamp },
}

pub(crate) fn routes(offsets: &Arc<Offsets>, router: &mut Router) {
    router.on_batch(&[RequestCode::UPDATE_CONSUMER_OFFSET], offsets);
    router.on::<QueryConsumerOffset>(offsets).on::<GetAllConsumerOffset>(offsets);
    router.on::<SearchOffset>(offsets).on::<GetMaxOffset>(offsets).on::<GetMinOffset>(offsets);
    router.on::<GetEarliestStoreTime>(offsets).on::<ResetOffset>(offsets);
    router.on::<CloneGroupOffset>(offsets).on::<QueryCorrectionOffset>(offsets);
}

impl Offsets {
    /// Loads `consumerOffset.json` or `lmqConsumerOffset.json`, Java's or ours.
    ///
    /// # Errors
    /// [`OffsetError::Load`].
    pub(crate) fn open(
        ctx: Context,
        home: impl Into<Home>,
        store: Arc<Store>,
        topics: Arc<TopicTable>,
        groups: Arc<GroupTable>,
        clients: Arc<Clients>,
    ) -> Result<Arc<Self>, OffsetError> {
        let home = home.into();
        let (file, table) = OffsetFile::load(&home, ctx.settings().enable_lmq, ctx.clock.now())?;
        let popped = Popped::new(&ctx.identity);
        let own = (!home.is_of_group()).then(|| Own::load(&home)).transpose()?;
        let has_master = *ctx.role.borrow() != Role::Master;
        let (own, left) = if has_master { (own, None) } else { (None, own) };
        let this =
            Self { ctx, store, topics, groups, clients, table, file, popped, own, unanswered: Unanswered::default() };
        if let Some(left) = left {
            this.take_along(&left);
        }
        Ok(Arc::new(this))
    }

    /// Where a group goes on: its pending reset, or what it committed.
    pub(crate) fn get(&self, group: &str, topic: &str, queue: QueueId) -> Option<QueueOffset> {
        self.table.find(group, topic)?.get(queue)
    }

    /// Stores what a group has consumed up to, unless a reset is pending.
    pub(crate) fn commit(&self, group: &GroupName, topic: &TopicName, queue: QueueId, offset: QueueOffset) -> Commit {
        let commit = self.progress(group, topic).commit(queue, offset);
        if commit == Commit::Done {
            self.note_own(group, topic, queue, offset);
        }
        self.file.changed();
        commit
    }

    /// Where a group pulls next; [`Offsets::get`] if it did not pull since the start.
    pub(crate) fn pull_offset(&self, group: &str, topic: &str, queue: QueueId) -> Option<QueueOffset> {
        self.table.find(group, topic)?.pulled(queue)
    }

    /// The group's offsets in one topic, for a whole pull with one look-up.
    ///
    /// Of a light queue that has no messages yet nothing is kept: any name is one, and they shall not fill the memory.
    pub(crate) fn progress(&self, group: &GroupName, topic: &TopicName) -> Arc<Progress> {
        if self.topics.is_light(topic) && self.store.max_offset(topic, LIGHT_QUEUE).is_none() {
            return self.table.find(group, topic).unwrap_or_default();
        }
        self.table.progress(group, topic)
    }

    /// To be called after a change through [`Offsets::progress`] that is to be saved.
    pub(crate) fn changed(&self) {
        self.file.changed();
    }

    /// As [`Offsets::changed`], when something was not moved forward but elsewhere.
    fn moved(&self) {
        self.file.moved(self.ctx.clock.now());
    }

    /// Topics the group has committed offsets of.
    pub(crate) fn topics_of(&self, group: &str) -> Vec<TopicName> {
        self.table.topics_of(group)
    }

    /// Groups with committed offsets of the topic.
    pub(crate) fn groups_of(&self, topic: &str) -> Vec<GroupName> {
        self.table.groups_of(topic)
    }

    /// Forgets a group: offsets, pull offsets, pending resets.
    pub(crate) fn remove_group(&self, group: &str) {
        self.table.remove_group(group);
        self.forget_own(|_, other| other == group);
        self.moved();
    }

    /// Forgets a topic, for all groups.
    pub(crate) fn remove_topic(&self, topic: &str) {
        self.table.remove_topic(topic);
        self.forget_own(|other, _| other == topic);
        self.moved();
    }

    /// Saves every `flushConsumerOffsetInterval`, and in a group as soon as somebody waits for it, until the broker stops.
    pub(crate) fn start(self: &Arc<Self>) {
        let this = Arc::clone(self);
        self.ctx.tasks.spawn(async move {
            let mut ticks = interval(this.file.pace(*this.ctx.settings().flush_consumer_offset_interval));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = this.ctx.stopping.cancelled() => break,
                    _ = ticks.tick() => {}
                    () = this.unanswered.some() => {}
                }
                this.persist().await;
            }
            this.close();
        });
    }

    /// Commits that come from now on are refused, as are those that wait for the group. To be called before the last save: who
    /// serves next begins with that.
    pub(crate) fn close(&self) {
        refuse(self.unanswered.close());
    }

    /// Takes over a change of the group's offsets, as followers do.
    ///
    /// # Errors
    /// Its entries are no offsets.
    pub(crate) fn absorb(&self, patch: &Patch) -> serde_json::Result<()> {
        let (set, gone) = patch.entries("offsetTable")?;
        self.table.add(set);
        gone.iter().for_each(|key| self.table.drop(key));
        Ok(())
    }

    /// Saves what has changed since the last time; a failure is logged and tried again at the next one.
    pub(crate) async fn persist(self: &Arc<Self>) {
        let this = Arc::clone(self);
        // Hundreds of thousands of queues are tens of megabytes of text, and the disk may be slow.
        if let Err(err) = tokio::task::spawn_blocking(move || this.save()).await {
            tracing::error!(%err, "saving consumer offsets ended early");
        }
    }

    /// Blocks; [`Offsets::persist`] does not.
    pub(crate) fn save(&self) {
        self.save_as("consumer offsets are not saved");
    }

    /// `means` is what a failure means.
    fn save_as(&self, means: &str) {
        self.save_own();
        let waiting = self.unanswered.take();
        match self.file.save(|| self.with_pops(|| self.to_java())) {
            Ok(()) => answer(waiting, ResponseCode::SUCCESS, None),
            Err(err) => {
                log_unsaved(&err, means);
                answer(waiting, ResponseCode::SYSTEM_ERROR, Some(&format!("the offset is not agreed on: {err}")));
            }
        }
    }
}

#[cfg(test)]
mod tests;
