//! Requests that lease nothing: is there something to pop, how many wait for it, and what would they get.
//!
//! Java: `NotificationProcessor`, `PollingInfoProcessor`, `PeekMessageProcessor`.

use bytes::Bytes;
use remoting::connection::Peer;
use remoting::protocol::ResponseCode;
use remoting::protocol::pop::{NotificationReply, PeekMessage, PollingInfo, PollingInfoReply, PopMessageReply};
use remoting::router::{Call, Handle, Reply};
use remoting::types::{GroupName, QueueId, QueueOffset, Timestamp, TopicName};
use store::{Everything, ReadRequest, ReadStatus};

use super::names::retry_topics_on;
use super::request::{ANY_QUEUE, Key, Notice};
use super::suspend::bounds;
use super::take::Wait;
use super::waiting::Waiter;
use super::{PopError, Pops, answer};
use crate::persist::blocking;
use crate::pull::fetch;
use crate::topic::validate::pop_retry_topic;

impl Pops {
    pub(super) fn serve_notice(&self, notice: Notice) {
        let header = &notice.header;
        let asked = (&header.consumer_group, &header.topic, header.queue_id);
        if let Err(err) = self.check_look(asked, &notice.peer) {
            return answer::refuse(&notice.peer, notice.to, &err);
        }
        let (available, wait) = self.available(&notice);
        if available > 0 {
            return tell(&notice, true, false);
        }
        if header.poll_time <= 0 || notice.expires <= self.ctx.clock.now() {
            return tell(&notice, false, false);
        }
        let (key, busy) = (notice.key.clone(), notice.peer.busy());
        let waiter = Waiter { what: notice, busy };
        match self.waiting.add_notice(waiter, bounds(&self.ctx.settings())) {
            Some(refused) => tell(&refused.what, false, true),
            None => self.watch(&key, &wait),
        }
    }

    /// Tells as many as there are messages. Java wakes one for each message that arrives.
    pub(super) fn notify(&self, key: &Key) {
        let mut told = 0;
        while let Some(waiter) = self.waiting.take_notice(key) {
            let (available, wait) = self.available(&waiter.what);
            if available > told {
                told += 1;
                tell(&waiter.what, true, false);
                continue;
            }
            if let Some(refused) = self.waiting.add_notice(waiter, bounds(&self.ctx.settings())) {
                tell(&refused.what, false, true);
            }
            return self.watch(key, &wait);
        }
    }

    pub(super) fn end_notice(&self, waiter: &Waiter<Notice>) {
        let (available, _) = self.available(&waiter.what);
        tell(&waiter.what, available > 0, false);
    }

    /// How many messages there are to be popped, and what to wait for if there are none.
    fn available(&self, notice: &Notice) -> (i64, Wait) {
        let header = &notice.header;
        let (group, now) = (&header.consumer_group, self.ctx.clock.now());
        let (mut available, mut wait) = (0, Wait::default());
        for (topic, queue) in self.queues_to_look_at(&header.topic, group, header.queue_id) {
            if notice.ordered {
                let attempt = header.attempt_id.as_deref();
                if let Some(until) = self.book.blocked_until(attempt, (&topic, group, queue), 0, now) {
                    wait.until_at_most(until);
                    continue;
                }
            }
            let (offset, max) = self.span_left(group, &topic, queue);
            available += (max.0 - offset.0).max(0);
            wait.growth.push((topic, queue, offset.max(max)));
        }
        (available, wait)
    }

    /// Also retry topics that are not there yet.
    fn queues_to_look_at(&self, topic: &TopicName, group: &GroupName, queue: QueueId) -> Vec<(TopicName, QueueId)> {
        let mut all = self.own_queues(topic, queue);
        for retry in retry_topics_on(group, topic, &self.ctx.settings()) {
            let queues = self.topics.get(&retry).map_or(1, |config| config.read_queue_nums);
            all.extend((0..queues).map(|queue| (retry.clone(), QueueId(queue))));
        }
        all
    }

    fn own_queues(&self, topic: &TopicName, queue: QueueId) -> Vec<(TopicName, QueueId)> {
        if queue > ANY_QUEUE {
            return vec![(topic.clone(), queue)];
        }
        let queues = self.topics.get(topic).map_or(0, |config| config.read_queue_nums);
        (0..queues).map(|queue| (topic.clone(), QueueId(queue))).collect()
    }

    /// Where a group goes on in a queue, and where that ends.
    fn span_left(&self, group: &GroupName, topic: &TopicName, queue: QueueId) -> (QueueOffset, QueueOffset) {
        let (min, max) = self.offsets.bounds(topic, queue);
        (self.offsets.get(group, topic, queue).filter(|offset| offset.0 >= 0).unwrap_or(min), max)
    }

    fn peek(&self, asked: &PeekMessage) -> Reply<PopMessageReply> {
        let group = &asked.consumer_group;
        let mut places = self.own_queues(&asked.topic, asked.queue_id);
        let retry = pop_retry_topic(group, &asked.topic, self.ctx.settings().enable_retry_topic_v2);
        let retries = self.topics.get(&retry).map_or(0, |config| config.read_queue_nums);
        places.extend((0..retries).map(|queue| (retry.clone(), QueueId(queue))));

        let mut room = usize::try_from(asked.max_msg_nums).unwrap_or(0);
        let (mut rest, mut messages) = (0, Vec::new());
        for (topic, queue) in places {
            let (offset, max) = self.span_left(group, &topic, queue);
            rest += (max.0 - offset.0).max(0);
            if room == 0 {
                continue;
            }
            let request =
                ReadRequest { topic: &topic, queue_id: queue, offset, max_messages: room, max_bytes: usize::MAX };
            let mut outcome = self.store.read(&request, &Everything);
            if matches!(outcome.status, ReadStatus::OffsetTooSmall | ReadStatus::OffsetOverflowBadly) {
                outcome = self.store.read(&ReadRequest { offset: outcome.next_offset, ..request }, &Everything);
            }
            outcome.messages.iter().for_each(|messages| fetch(messages));
            room -= outcome.count.min(room);
            self.stats.get(group, &topic, queue, outcome.count as u64, outcome.bytes as u64);
            messages.extend(outcome.messages.into_iter().map(Bytes::from));
        }
        let reply = PopMessageReply {
            pop_time: Timestamp(0),
            invisible_time: 0,
            revive_queue: 0,
            rest_num: rest,
            start_offset_info: None,
            msg_offset_info: None,
            order_count_info: None,
        };
        if messages.is_empty() {
            let remark = ReadStatus::NoMessageInQueue.java_name();
            return Reply::new(reply).code(ResponseCode::PULL_NOT_FOUND).remark(remark);
        }
        Reply::new(reply).remark(ReadStatus::Found.java_name()).body(messages)
    }
}

fn tell(notice: &Notice, has_msg: bool, polling_full: bool) {
    let reply = NotificationReply { has_msg, polling_full };
    let peer: &Peer = &notice.peer;
    peer.replies(|out| out.reply(notice.to, ResponseCode::SUCCESS, None, &reply, ()));
}

impl Handle<PollingInfo> for Pops {
    type Error = PopError;

    async fn handle(&self, call: Call<PollingInfo>) -> Result<Reply<PollingInfoReply>, PopError> {
        let PollingInfo { consumer_group: group, topic, queue_id } = call.header;
        self.check_look((&group, &topic, queue_id), &call.peer)?;
        let waiting = self.waiting.pops(&Key { topic, group }, queue_id.max(ANY_QUEUE));
        Ok(PollingInfoReply { polling_num: i32::try_from(waiting).unwrap_or(i32::MAX) }.into())
    }
}

impl Handle<PeekMessage> for Pops {
    type Error = PopError;

    async fn handle(&self, call: Call<PeekMessage>) -> Result<Reply<PopMessageReply>, PopError> {
        let header = call.header;
        self.check_look((&header.consumer_group, &header.topic, header.queue_id), &call.peer)?;
        // The messages may be old ones.
        Ok(blocking(|| self.peek(&header)))
    }
}
