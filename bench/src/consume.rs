//! Consumers: one connection with a pull outstanding for each of its queues, from an offset to a count of messages.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use remoting::header::DecodeHeader;
use remoting::protocol::offset::{GetMaxOffset, OffsetReply};
use remoting::protocol::pull::{PullMessage, PullMessageReply, PullSysFlag};
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::types::{QueueId, QueueOffset};
use tokio::task::JoinSet;

use crate::wire::{self, Wire};

#[derive(Clone, Debug)]
pub(crate) struct Consume {
    pub(crate) addr: String,
    pub(crate) topic: String,
    pub(crate) group: String,
    /// Where to begin in each queue.
    pub(crate) from: Vec<QueueOffset>,
    pub(crate) connections: usize,
    /// In all, over the queues.
    pub(crate) messages: usize,
    /// Asked for at a time; stock consumers ask for 32.
    pub(crate) pull_messages: i32,
    /// Takes only what matches; `None`: everything. Offsets are then gone through all the same.
    pub(crate) sql: Option<&'static str>,
}

impl Consume {
    /// Takes the messages; how long it took.
    pub(crate) async fn run(&self) -> Result<Duration> {
        let begun = Instant::now();
        let mut connections = JoinSet::new();
        let goals = self.goals().await?;
        for index in 0..self.connections {
            let queues = (index..self.from.len()).step_by(self.connections).collect();
            connections.spawn(self.clone().connection(queues, goals.clone()));
        }
        wire::all(connections).await?;
        Ok(begun.elapsed())
    }

    /// Messages spread evenly over the queues, as the producers spread them.
    async fn goals(&self) -> Result<Vec<i64>> {
        let each = self.messages / self.from.len();
        Ok(self.from.iter().map(|from| from.0 + each as i64).collect())
    }

    async fn connection(self, queues: Vec<usize>, goals: Vec<i64>) -> Result<()> {
        let mut wire = Wire::connect(&self.addr).await?;
        let mut next: Vec<i64> = self.from.iter().map(|from| from.0).collect();
        let mut open = 0;
        for &queue in &queues {
            self.pull(&mut wire, queue, next[queue]);
            open += 1;
        }
        let mut answers = Vec::new();
        while open > 0 {
            wire.flush().await?;
            wire.answers(&mut answers).await?;
            for answer in answers.drain(..) {
                let queue = answer.opaque.0 as usize;
                match answer.response_code() {
                    ResponseCode::SUCCESS | ResponseCode::PULL_NOT_FOUND | ResponseCode::PULL_RETRY_IMMEDIATELY => {}
                    _ => bail!("pull: {}", wire::refusal(&answer)),
                }
                let reply = PullMessageReply::decode(&answer.ext)?;
                if answer.response_code() == ResponseCode::SUCCESS {
                    let count = wire::records(&answer.body).try_fold(0, |count, record| record.map(|_| count + 1))?;
                    if self.sql.is_none() && next[queue] + count != reply.next_begin_offset.0 {
                        bail!(
                            "queue {queue}: {count} messages from {} end at {}",
                            next[queue],
                            reply.next_begin_offset
                        );
                    }
                }
                next[queue] = reply.next_begin_offset.0;
                if next[queue] < goals[queue] {
                    self.pull(&mut wire, queue, next[queue]);
                } else {
                    open -= 1;
                }
            }
        }
        Ok(())
    }

    /// Asks for messages of `queue` from `offset` on; the queue is the opaque of the answer.
    pub(crate) fn pull(&self, wire: &mut Wire, queue: usize, offset: i64) {
        wire.push(RequestCode::PULL_MESSAGE, queue, &self.header(queue, offset), b"");
    }

    pub(crate) fn header(&self, queue: usize, offset: i64) -> PullMessage {
        PullMessage {
            consumer_group: self.group.as_str().into(),
            topic: self.topic.as_str().into(),
            queue_id: QueueId(queue as i32),
            queue_offset: QueueOffset(offset),
            max_msg_nums: self.pull_messages,
            sys_flag: PullSysFlag::SUSPEND | PullSysFlag::SUBSCRIPTION,
            commit_offset: QueueOffset(0),
            suspend_timeout_millis: 15_000,
            subscription: Some(self.sql.unwrap_or("*").to_owned()),
            sub_version: 0,
            expression_type: Some(if self.sql.is_some() { "SQL92" } else { "TAG" }.to_owned()),
            max_msg_bytes: None,
            request_source: None,
            proxy_forward_client_id: None,
        }
    }
}

/// Where each queue of a topic ends now.
pub(crate) async fn ends(addr: &str, topic: &str, queues: usize) -> Result<Vec<QueueOffset>> {
    let mut wire = Wire::connect(addr).await?;
    let mut ends = Vec::new();
    for queue in 0..queues {
        let header = GetMaxOffset { topic: topic.into(), queue_id: QueueId(queue as i32), committed: None };
        wire.push(RequestCode::GET_MAX_OFFSET, 0, &header, b"");
        wire.flush().await?;
        let mut answers = Vec::new();
        wire.answers(&mut answers).await?;
        ends.push(OffsetReply::decode(&answers[0].ext)?.offset);
    }
    Ok(ends)
}
