//! A look at the half messages that are in doubt: what is due is stored again and asked about, or given up.
//!
//! Java: `TransactionalMessageServiceImpl.check`.

use std::sync::Arc;

use remoting::body::TopicConfig;
use remoting::types::{QueueOffset, Timestamp, TopicName};
use store::Position;

use super::half::{Half, half_topic};
use super::turn::{Fate, Turn, given_up_topic};
use super::{QUEUE, Transactions, group, half_end};
use crate::config::BrokerConfig;
use crate::settle::{Unsettled, settled};

/// Half messages looked at in one go.
const HALVES_MAX: usize = 256;
/// Words of doubts from which on also those that are not to be asked about yet are stored again, next to each other.
const SIZE_MAX: usize = 1 << 20;

/// One look, from its beginning to its end.
#[derive(Clone)]
pub(super) struct Look {
    pub(super) settings: Arc<BrokerConfig>,
    pub(super) began: Timestamp,
    /// Also those that need not be asked about yet are stored again.
    pub(super) gather: bool,
}

impl Transactions {
    /// Looks at everything that is in doubt now.
    pub(super) async fn check(&self) {
        let end = half_end(&self.store);
        let gather = {
            let mut doubts = self.doubts.lock();
            doubts.extend(end);
            doubts.size() > SIZE_MAX
        };
        let look = Look { settings: self.ctx.settings(), began: self.ctx.clock.now(), gather };
        let (mut next, mut unasked) = (QueueOffset(0), 0);
        while !self.ctx.stopping.is_cancelled() {
            let halves = self.doubts.lock().list(next, end, HALVES_MAX);
            let Some(last) = halves.last().copied() else { break };
            let Some(turn) = self.turn(&look, halves).await else { break };
            let (stopped_at, over) = (turn.stopped_at, turn.over);
            match self.carry_out(turn).await {
                Ok(more) => unasked += more,
                Err(err) => {
                    if err.is_news() {
                        tracing::warn!(%err, "half messages are not asked about yet");
                    }
                    break;
                }
            }
            if over {
                break;
            }
            next = stopped_at.unwrap_or(last.after(1));
            tokio::task::yield_now().await;
        }
        if unasked > 0 {
            tracing::warn!(half_messages = unasked, "none of their producers is there to be asked");
        }
        self.commit_offsets();
    }

    /// What is to be done about some half messages; `None` if reading them panicked.
    async fn turn(&self, look: &Look, halves: Vec<QueueOffset>) -> Option<Turn> {
        let now = self.ctx.clock.now();
        if Turn::is_in_memory(&self.store, &halves) {
            return Some(Turn::of(&self.store, look, now, &halves));
        }
        let (store, look) = (Arc::clone(&self.store), look.clone());
        tokio::task::spawn_blocking(move || Turn::of(&store, &look, now, &halves)).await.ok()
    }

    /// Stores copies, and in the same go that they replace what they are copies of: there is never a moment without either
    /// nor, but for a write that is torn, one with both. Says about how many nobody could be asked.
    async fn carry_out(&self, mut turn: Turn) -> Result<usize, Unsettled> {
        if turn.read > 0 {
            self.stats.get(group(), half_topic(), QUEUE, turn.read, turn.read_bytes);
        }
        let mut positions = Vec::new();
        if !turn.batch.is_empty() {
            if turn.looked_at.iter().any(|(_, fate)| *fate == Fate::GivenUp) {
                // Java: `TopicConfigManager.createTopicOfTranCheckMaxTime`.
                self.topics.create_internal(given_up_topic(), 1, TopicConfig::READ | TopicConfig::WRITE, 0);
            }
            let copies = turn.batch.len();
            let (last, end) = self.ops.write(&turn.replaced, |halves| {
                let last = self.push_ops(&mut turn.batch, halves);
                let appended = self.store.append(&mut turn.batch)?;
                positions = appended.positions.to_vec();
                Ok((last, appended.end))
            })?;
            settled(&self.ctx, &self.store, end).await?;
            let ops = positions.split_off(copies);
            self.count_ops(&ops, &last);
        }
        self.doubts.lock().resolve_all(turn.replaced.iter().chain(&turn.gone));
        Ok(self.follow_up(&turn, positions))
    }

    /// Counts the copies, and asks.
    fn follow_up(&self, turn: &Turn, copies: Vec<Position>) -> usize {
        let mut copies = copies.into_iter();
        let (mut unasked, mut given_up) = (0, 0);
        for (record, fate) in &turn.looked_at {
            let Some(half) = Half::parse(record) else { continue };
            let mut stored = |topic: &TopicName| {
                let position = copies.next()?;
                self.stats.put(topic, QUEUE, 1, 1, position.size as u64);
                Some(position)
            };
            let asked = match fate {
                Fate::GivenUp => {
                    stored(given_up_topic());
                    given_up += 1;
                    tracing::info!(key = half.unique_key, topic = half.real_topic, "a transaction is given up");
                    true
                }
                Fate::Moved => stored(half_topic()).is_some(),
                Fate::Again { properties } => {
                    stored(half_topic()).is_some_and(|position| self.ask(&half, properties, &position))
                }
                Fate::AsItIs { position } => self.ask(&half, half.stored.properties, position),
            };
            unasked += usize::from(!asked);
        }
        if given_up > 0 {
            tracing::error!(half_messages = given_up, "given up, as nobody says whether their transactions happened");
        }
        unasked
    }
}
