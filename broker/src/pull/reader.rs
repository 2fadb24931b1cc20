//! Serves one pull: checks it, reads for it, answers it or lets it wait.

use std::sync::Arc;

use remoting::protocol::ResponseCode;
use remoting::protocol::pull::PullMessage;
use remoting::types::QueueOffset;
use store::{ReadOutcome, ReadRequest, Store};

use super::answer::{self, Answer};
use super::checks::Admitted;
use super::cold::{self, Places};
use super::cold_flow::ColdFlow;
use super::request::Pull;
use super::waiting::Waiting;
use crate::client::Clients;
use crate::context::Context;
use crate::group::GroupTable;
use crate::offset::{Commit, Offsets, Progress};
use crate::stats::Stats;
use crate::topic::TopicTable;

pub(super) struct Reader {
    pub(super) ctx: Context,
    pub(super) store: Arc<Store>,
    pub(super) topics: Arc<TopicTable>,
    pub(super) groups: Arc<GroupTable>,
    pub(super) clients: Arc<Clients>,
    pub(super) offsets: Arc<Offsets>,
    pub(super) stats: Arc<Stats>,
    /// Pulls that wait for a message.
    pub(super) waiting: Waiting,
    pub(super) cold: Places,
    pub(super) cold_flow: Arc<ColdFlow>,
}

/// Which time a pull is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It may wait, and commits what it brings.
    First,
    /// It has waited, and has committed before.
    Last,
}

impl Reader {
    pub(super) fn new(
        ctx: Context,
        store: Arc<Store>,
        topics: Arc<TopicTable>,
        groups: Arc<GroupTable>,
        clients: Arc<Clients>,
        offsets: Arc<Offsets>,
        stats: Arc<Stats>,
    ) -> Self {
        let (waiting, cold) = (Waiting::default(), Places::new(cold::READERS_MAX));
        let cold_flow = ColdFlow::new(ctx.clone());
        Self { ctx, store, topics, groups, clients, offsets, stats, waiting, cold, cold_flow }
    }

    pub(super) fn serve(self: &Arc<Self>, pull: Pull) {
        let settings = self.ctx.settings();
        let admitted = match self.check(&pull, &settings) {
            Ok(admitted) => admitted,
            Err(err) => return answer::refuse(&pull.peer, pull.to, &err),
        };
        let header = &pull.header;
        let progress = self.offsets.progress(&header.consumer_group, &header.topic);
        let start = progress.begin(header.queue_id);
        if let Some(to) = start.reset.filter(|_| settings.use_server_side_reset_offset) {
            return self.hand_out_reset(&pull, &admitted, &progress, to);
        }
        if start.cold && !self.has_read_too_much(&pull, &settings) {
            return self.serve_cold(pull, admitted);
        }
        match admitted.filter.with(|filter| self.store.read_now(&request(&pull), filter)) {
            Some(outcome) if self.may_have(&pull, &outcome, &settings) => {
                self.finish(pull, &admitted, &progress, outcome, false, Turn::First);
            }
            _ => self.serve_cold(pull, admitted),
        }
    }

    pub(super) fn read(&self, pull: &Pull, admitted: &Admitted) -> ReadOutcome {
        admitted.filter.with(|filter| self.store.read(&request(pull), filter))
    }

    /// `cold`: the messages, or those behind them, were not in memory. Java: `DefaultPullMessageResultHandler.handle`.
    pub(super) fn finish(
        self: &Arc<Self>,
        pull: Pull,
        admitted: &Admitted,
        progress: &Progress,
        outcome: ReadOutcome,
        cold: bool,
        turn: Turn,
    ) {
        let header = &pull.header;
        let mut answer = Answer::of(&pull, admitted, &outcome);
        if self.ctx.settings().slave_read_enable {
            answer.suggest(&pull, admitted, &self.ctx, outcome.suggest_slave);
        }
        let commit = pull.commit().filter(|_| turn == Turn::First);
        let committed = progress.pull(header.queue_id, answer.next(), commit, cold);
        if let Some(commit) = commit {
            if committed == Commit::Done {
                self.offsets.note_own(&header.consumer_group, &header.topic, header.queue_id, commit);
            }
            self.offsets.changed();
        }
        match answer.code {
            ResponseCode::SUCCESS => {
                self.count(&pull, &outcome);
                self.watch_fall_behind(&pull, &outcome);
                answer.send(&pull, answer::body(outcome.messages));
            }
            ResponseCode::PULL_NOT_FOUND if turn == Turn::First && pull.patience().is_some() => self.suspend(pull),
            _ => answer.send(&pull, ()),
        }
    }

    fn count(&self, pull: &Pull, outcome: &ReadOutcome) {
        let PullMessage { consumer_group: group, topic, queue_id, .. } = &pull.header;
        let (messages, bytes) = (outcome.count as u64, outcome.bytes as u64);
        self.stats.get(group, topic, *queue_id, messages, bytes);
        self.stats.get_latency(group, topic, *queue_id, pull.began.elapsed().as_millis() as u64);
        if outcome.suggest_slave {
            self.stats.get_from_disk(group, topic, messages, bytes);
        }
    }

    /// The group goes on elsewhere. What the pull would commit is from before the reset, and is not.
    pub(super) fn hand_out_reset(&self, pull: &Pull, admitted: &Admitted, progress: &Progress, to: QueueOffset) {
        let header = &pull.header;
        let (group, topic, queue) = (&header.consumer_group, &header.topic, header.queue_id);
        tracing::info!(%group, %topic, %queue, %to, "a reset is handed out");
        progress.pull(header.queue_id, to, None, false);
        Answer::reset(admitted, to, self.offsets.bounds(topic, queue)).send(pull, ());
    }
}

fn request(pull: &Pull) -> ReadRequest<'_> {
    let header = &pull.header;
    ReadRequest {
        topic: &header.topic,
        queue_id: header.queue_id,
        offset: pull.from,
        // One message always fits, also for who asks for none.
        max_messages: usize::try_from(header.max_msg_nums).unwrap_or(0).max(1),
        // Java reads this field and goes by its own limits; nobody but the client can know how much it can hold.
        max_bytes: header.max_msg_bytes.filter(|bytes| *bytes > 0).map_or(usize::MAX, |bytes| bytes as usize),
    }
}
