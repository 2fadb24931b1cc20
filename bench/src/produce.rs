//! Producers: a closed loop of connections, each with many sends in flight, or a paced one.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use remoting::header;
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::types::{GroupName, QueueId, Timestamp, TopicName};
use tokio::task::JoinSet;

use crate::figures::Latencies;
use crate::ticks::Ticks;
use crate::wire::{Wire, all, refusal};

header! {
    /// A send under the one-letter names that stock clients use.
    pub(crate) struct Send {
        producer_group: GroupName = "a",
        topic: TopicName = "b",
        default_topic: TopicName = "c",
        default_topic_queue_nums: i32 = "d",
        queue_id: QueueId = "e",
        sys_flag: i32 = "f",
        born_timestamp: Timestamp = "g",
        flag: i32 = "h",
        properties: String = "i",
        reconsume_times: i32 = "j",
        unit_mode: bool = "k",
        max_reconsume_times: Option<i32> = "l",
        batch: bool = "m",
    }
}

pub(crate) const GROUP: &str = "bench_producer";

impl Send {
    /// As stock producers send an ordinary message.
    pub(crate) fn stock(topic: &str, queue: usize, properties: String) -> Self {
        Self {
            producer_group: GROUP.into(),
            topic: topic.into(),
            default_topic: "TBW102".into(),
            default_topic_queue_nums: 4,
            queue_id: QueueId(queue as i32),
            sys_flag: 0,
            born_timestamp: Timestamp(1_700_000_000_000),
            flag: 0,
            properties,
            reconsume_times: 0,
            unit_mode: false,
            max_reconsume_times: None,
            batch: false,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Produce {
    pub(crate) addr: String,
    pub(crate) topic: String,
    pub(crate) queues: usize,
    pub(crate) connections: usize,
    /// Sends in flight on each connection.
    pub(crate) in_flight: usize,
    pub(crate) body_bytes: usize,
    /// In all, over the connections.
    pub(crate) messages: usize,
    /// In all per second; `None`: as fast as answers come.
    pub(crate) per_second: Option<usize>,
    /// With properties for filters: `region`, the same in all, and `n`, from 0 to 99 in turn.
    pub(crate) for_filters: bool,
    /// To be delivered at times of their own.
    pub(crate) due: Option<Due>,
}

/// Delivery times of the messages of each connection, evenly spread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) first: Timestamp,
    pub(crate) over: Duration,
}

#[derive(Debug)]
pub(crate) struct Produced {
    pub(crate) latencies: Latencies,
    pub(crate) elapsed: Duration,
}

impl Produce {
    pub(crate) async fn run(&self) -> Result<Produced> {
        let begun = Instant::now();
        let mut connections = JoinSet::new();
        for index in 0..self.connections {
            connections.spawn(self.clone().connection(index));
        }
        let mut latencies = Latencies::default();
        all(connections).await?.into_iter().for_each(|part| latencies.extend(part));
        Ok(Produced { latencies, elapsed: begun.elapsed() })
    }

    async fn connection(self, index: usize) -> Result<Latencies> {
        let mut wire = Wire::connect(&self.addr).await?;
        let body = vec![b'x'; self.body_bytes];
        let messages = self.messages / self.connections;
        let pace = self.per_second.map(|rate| Duration::from_secs(1).mul_f64(self.connections as f64 / rate as f64));
        let ticks = pace.map(Ticks::every).transpose()?;
        let begun = Instant::now();
        let mut sent_at = vec![begun; messages];
        let (mut sent, mut answered) = (0, 0);
        let mut latencies = Latencies::default();
        let (mut answers, mut again) = (Vec::new(), Vec::new());
        while answered < messages {
            // As a stock producer does: a busy broker is asked again. The latency counts from the first time.
            for number in again.drain(..) {
                wire.push(RequestCode::SEND_MESSAGE_V2, number, &self.header(index, number), &body);
            }
            let due = match pace {
                // A late turn sends all that is due, so a stall shows in the latencies and is not forgiven.
                Some(pace) => (begun.elapsed().as_nanos() / pace.as_nanos()) as usize,
                None => messages,
            };
            while sent < messages && sent < due && sent - answered < self.in_flight {
                sent_at[sent] = match pace {
                    Some(pace) => begun + pace * sent as u32,
                    None => Instant::now(),
                };
                let header = self.header(index, sent);
                wire.push(RequestCode::SEND_MESSAGE_V2, sent, &header, &body);
                sent += 1;
            }
            wire.flush().await?;
            match &ticks {
                None => wire.answers(&mut answers).await?,
                // Cancel-safe: what was read stays in the buffer.
                Some(ticks) => tokio::select! {
                    tick = ticks.next() => tick?,
                    read = wire.answers(&mut answers) => read?,
                },
            }
            let now = Instant::now();
            for answer in answers.drain(..) {
                let number = answer.opaque.0 as usize;
                match answer.response_code() {
                    ResponseCode::SUCCESS => {
                        latencies.push(now.duration_since(sent_at[number]));
                        answered += 1;
                    }
                    ResponseCode::SYSTEM_BUSY => again.push(number),
                    _ => bail!("send: {}", refusal(&answer)),
                }
            }
        }
        Ok(latencies)
    }

    fn header(&self, connection: usize, number: usize) -> Send {
        // What a stock producer sends along: a unique key, the wait flag and a tag.
        let mut properties =
            format!("UNIQ_KEY\u{1}7F000001{connection:08X}{number:016X}\u{2}WAIT\u{1}true\u{2}TAGS\u{1}TagA\u{2}");
        if self.for_filters {
            properties += &format!("region\u{1}east\u{2}n\u{1}{}\u{2}", number % 100);
        }
        if let Some(Due { first, over }) = self.due {
            let share = number as f64 / (self.messages / self.connections) as f64;
            properties += &format!("TIMER_DELIVER_MS\u{1}{}\u{2}", first.after(over.mul_f64(share)));
        }
        Send::stock(&self.topic, (connection + number) % self.queues, properties)
    }
}
