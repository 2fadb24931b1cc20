//! Op messages: which half messages are resolved, many in one message.
//!
//! ```text
//! topic RMQ_SYS_TRANS_OP_HALF_TOPIC, queue 0, tag `d`, body `12,13,17,`: queue offsets of half messages
//! ```
//! Java 4.9 writes one offset in each and no comma. Java: `TransactionalOpBatchService`, `TransactionalMessageBridge`.

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use remoting::types::{Host, QueueOffset, Timestamp};
use store::message::properties::{self, name};
use store::message::{Message, StoredMessage};
use store::{AppendBatch, AppendError, IllegalMessage, Position};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant, sleep_until};

use super::{QUEUE, Transactions, op_topic};
use crate::settle::{Unsettled, settled};

/// Java: `TransactionalMessageUtil.REMOVE_TAG`.
const REMOVE_TAG: &str = "d";
/// Resolved half messages that wait to be written down; of more, the next start has to find out again. There are so many
/// only if the store takes nothing.
const PENDING_MAX: usize = 1 << 20;

/// What is resolved and not written down yet.
#[derive(Debug)]
pub(super) struct Ops {
    /// Whoever resolves holds it for reading, from the commit's append to [`Ops::add`]; whoever writes op messages holds it for
    /// writing. So an op message in the log has before it no commit that neither it nor an earlier one names.
    order: RwLock<()>,
    pending: Mutex<Pending>,
    changed: Notify,
}

#[derive(Debug)]
struct Pending {
    halves: Vec<QueueOffset>,
    /// Of their text.
    bytes: usize,
    /// So many are written at once.
    full: usize,
    written: Instant,
}

/// The right to store commits: nobody writes op messages meanwhile.
pub(super) type Order<'a> = RwLockReadGuard<'a, ()>;

impl Default for Ops {
    fn default() -> Self {
        let pending = Pending { halves: Vec::new(), bytes: 0, full: usize::MAX, written: Instant::now() };
        Self { order: RwLock::default(), pending: Mutex::new(pending), changed: Notify::new() }
    }
}

impl Ops {
    pub(super) fn order(&self) -> Order<'_> {
        self.order.read()
    }

    /// These are resolved.
    pub(super) fn add(&self, _: &Order<'_>, halves: &[QueueOffset]) {
        let mut pending = self.pending.lock();
        let fit = halves.len().min(PENDING_MAX.saturating_sub(pending.halves.len()));
        let first = pending.halves.is_empty();
        pending.halves.extend_from_slice(&halves[..fit]);
        pending.bytes += halves[..fit].iter().map(|half| text_bytes(*half)).sum::<usize>();
        let full = pending.bytes >= pending.full;
        drop(pending);
        if first || full {
            self.changed.notify_one();
        }
    }

    /// Returns when something has to be written: `interval` after the last time, or when there are `size` bytes. Cancel-safe.
    pub(super) async fn due(&self, interval: Duration, size: usize) {
        loop {
            let (waiting, full, at) = {
                let mut pending = self.pending.lock();
                pending.full = size;
                (!pending.halves.is_empty(), pending.bytes >= size, pending.written + interval)
            };
            if waiting && (full || at <= Instant::now()) {
                return;
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(at), if waiting => {}
            }
        }
    }

    /// Takes what waits, to be written with `more`, and keeps others from storing commits until `append` is back. What was
    /// not written waits again.
    ///
    /// # Errors
    /// Those of `append`.
    pub(super) fn write<T>(
        &self,
        more: &[QueueOffset],
        append: impl FnOnce(&[QueueOffset]) -> Result<T, AppendError>,
    ) -> Result<T, AppendError> {
        let _alone = self.order.write();
        let mut taken = {
            let mut pending = self.pending.lock();
            (pending.bytes, pending.written) = (0, Instant::now());
            std::mem::take(&mut pending.halves)
        };
        let waited = taken.len();
        taken.extend_from_slice(more);
        append(&taken).inspect_err(|_| {
            taken.truncate(waited);
            let mut pending = self.pending.lock();
            // Nobody has added anything meanwhile.
            pending.bytes = taken.iter().map(|half| text_bytes(*half)).sum();
            pending.halves = taken;
        })
    }

    /// How many half messages wait to be written down.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.pending.lock().halves.len()
    }
}

impl Transactions {
    /// These are in doubt no more, which is yet to be written down.
    pub(super) fn note_resolved(&self, order: &Order<'_>, halves: &[QueueOffset]) {
        if halves.is_empty() {
            return;
        }
        self.ops.add(order, halves);
        self.doubts.lock().resolve_all(halves);
    }

    /// Writes down what is resolved; false if it could not be done.
    pub(super) async fn write_ops(&self) -> bool {
        let mut batch = self.store.batch();
        let written = self.ops.write(&[], |halves| {
            if halves.is_empty() {
                return Ok(None);
            }
            let last = self.push_ops(&mut batch, halves);
            let appended = self.store.append(&mut batch)?;
            Ok(Some((appended.positions.to_vec(), last, appended.end)))
        });
        let settled = async {
            if let Some((positions, last, end)) = written? {
                settled(&self.ctx, &self.store, end).await?;
                self.count_ops(&positions, &last);
            }
            Ok::<_, Unsettled>(())
        };
        let settled = settled.await;
        if let Err(err) = &settled
            && err.is_news()
        {
            tracing::warn!(%err, "it is not written down yet which transactions have ended");
        }
        settled.is_ok()
    }

    /// Puts op messages into the batch that resolve `halves`; the last half message of each.
    pub(super) fn push_ops(&self, batch: &mut AppendBatch, halves: &[QueueOffset]) -> Vec<QueueOffset> {
        let settings = self.ctx.settings();
        // Some bytes more may be written.
        let size = settings.transaction_op_msg_max_size.min(settings.max_message_size / 2);
        let (host, now) = (self.ctx.identity.host, self.ctx.clock.now());
        let mut last = Vec::new();
        let mut rest = halves;
        while !rest.is_empty() {
            let (body, taken) = body_of(rest, size);
            match push(batch, &body, host, now) {
                Ok(()) => last.extend(rest[..taken].iter().max()),
                // Messages may be no larger than a few bytes here. The next start finds out again.
                Err(err) => tracing::error!(%err, "which transactions have ended cannot be written down"),
            }
            rest = &rest[taken..];
        }
        last
    }

    /// Op messages were stored.
    pub(super) fn count_ops(&self, positions: &[Position], last: &[QueueOffset]) {
        let bytes = positions.iter().map(|position| position.size as u64).sum();
        self.stats.put(op_topic(), QUEUE, positions.len() as u64, positions.len() as u64, bytes);
        let mut doubts = self.doubts.lock();
        for (position, half_max) in positions.iter().zip(last) {
            doubts.note_op(position.queue_offset, *half_max);
        }
    }
}

/// Text of some offsets, at least one and up to `size` bytes, and how many.
fn body_of(halves: &[QueueOffset], size: usize) -> (String, usize) {
    /// Bodies above would not fit into every store.
    const SIZE_MAX: usize = 32 << 10;
    let mut body = String::new();
    let mut taken = 0;
    for half in halves {
        body.push_str(&half.to_string());
        body.push(',');
        taken += 1;
        if body.len() >= size.min(SIZE_MAX) {
            break;
        }
    }
    (body, taken)
}

fn push(batch: &mut AppendBatch, body: &str, host: Host, now: Timestamp) -> Result<(), IllegalMessage> {
    let mut properties = properties::Builder::new();
    properties.push(name::WAIT_STORE_MSG_OK, "true").push(name::TAGS, REMOVE_TAG);
    let message = Message {
        born_timestamp: now,
        properties: properties.as_str(),
        ..Message::new(op_topic(), QUEUE, body.as_bytes(), host)
    };
    batch.push(&message)
}

/// The half messages that an op message resolves; what is no number is left out.
pub(super) fn resolved_by(op: &StoredMessage<'_>) -> Vec<QueueOffset> {
    if op.property(name::TAGS) != Some(REMOVE_TAG) {
        return Vec::new();
    }
    let text = std::str::from_utf8(op.body).unwrap_or("");
    text.split(',').filter_map(|half| half.parse().ok()).map(QueueOffset).collect()
}

/// Of the offset and its comma.
fn text_bytes(half: QueueOffset) -> usize {
    half.0.unsigned_abs().checked_ilog10().map_or(1, |tens| tens as usize + 1) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(range: std::ops::Range<i64>) -> Vec<QueueOffset> {
        range.map(QueueOffset).collect()
    }

    #[test]
    fn bodies_are_javas_and_end_when_they_are_full() {
        assert_eq!(body_of(&offsets(8..12), 4096), ("8,9,10,11,".to_owned(), 4));
        assert_eq!(body_of(&offsets(8..12), 5), ("8,9,10,".to_owned(), 3));
        assert_eq!(body_of(&offsets(8..12), 0), ("8,".to_owned(), 1));
        let many = offsets(0..100_000);
        let (body, taken) = body_of(&many, usize::MAX);
        assert!(body.len() < 33_000 && taken < many.len(), "{taken}");
        for half in [0, 9, 10, 99, 100, 12345] {
            assert_eq!(text_bytes(QueueOffset(half)), format!("{half},").len());
        }
    }

    #[test]
    fn what_could_not_be_written_waits_again() {
        let ops = Ops::default();
        ops.add(&ops.order(), &offsets(0..3));
        let failed = ops.write(&offsets(7..8), |halves| {
            assert_eq!(halves, [0, 1, 2, 7].map(QueueOffset));
            Err::<(), _>(AppendError::Closed)
        });
        assert!(failed.is_err());
        assert_eq!((ops.waiting(), ops.pending.lock().bytes), (3, 6));
        ops.write(&[], |halves| {
            assert_eq!(halves, offsets(0..3));
            Ok(())
        })
        .unwrap();
        assert_eq!((ops.waiting(), ops.pending.lock().bytes), (0, 0));
    }

    #[test]
    fn what_waits_is_bounded() {
        let ops = Ops::default();
        ops.add(&ops.order(), &vec![QueueOffset(1); PENDING_MAX - 1]);
        ops.add(&ops.order(), &offsets(0..3));
        assert_eq!(ops.waiting(), PENDING_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn op_messages_are_due_when_they_are_full_or_old() {
        let ops = Ops::default();
        let interval = Duration::from_secs(3);
        let waits = async |ops: &Ops, size| {
            let began = Instant::now();
            ops.due(interval, size).await;
            began.elapsed()
        };
        ops.add(&ops.order(), &offsets(0..2));
        assert_eq!(waits(&ops, 4096).await, interval);
        assert_eq!(waits(&ops, 4).await, Duration::ZERO);
        ops.write(&[], |_| Ok(())).unwrap();
        tokio::time::advance(interval).await;
        ops.add(&ops.order(), &offsets(0..1));
        assert_eq!(waits(&ops, 4096).await, Duration::ZERO, "the first one after a pause does not wait");
    }
}
