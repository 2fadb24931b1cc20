//! Many requests, each of another queue.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use remoting::frame::RemotingCommand;
use remoting::header::EncodeHeader;
use remoting::protocol::{RequestCode, ResponseCode};
use tokio::task::JoinSet;

use super::consume;
use crate::target::BROKER;
use crate::wire::{Wire, all, records, refusal};

pub(super) const CONNECTIONS: usize = 4;
const IN_FLIGHT: usize = 64;

/// Divides the queues among the connections.
pub(super) async fn on_all_connections<F, Done>(queues: usize, work: F) -> Result<()>
where
    F: Fn(Range<usize>) -> Done,
    Done: Future<Output = Result<()>> + std::marker::Send + 'static,
{
    let mut connections = JoinSet::new();
    let each = queues / CONNECTIONS;
    for first in (0..queues).step_by(each) {
        connections.spawn(work(first..first + each));
    }
    all(connections).await.map(drop)
}

/// So many requests, each of which must succeed.
pub(super) async fn pipelined<H: EncodeHeader>(
    count: usize,
    code: RequestCode,
    header: impl Fn(usize) -> H,
    look: impl Fn(&RemotingCommand) -> Result<()>,
) -> Result<()> {
    let mut wire = Wire::connect(BROKER).await?;
    let (mut asked, mut answered, mut answers, mut again) = (0, 0, Vec::new(), Vec::new());
    while answered < count {
        while asked < count && asked - answered < IN_FLIGHT {
            again.push(asked);
            asked += 1;
        }
        again.drain(..).for_each(|at| wire.push(code, at, &header(at), b"x"));
        wire.flush().await?;
        wire.answers(&mut answers).await?;
        for answer in answers.drain(..) {
            match answer.response_code() {
                ResponseCode::SUCCESS => {
                    look(&answer).with_context(|| format!("{code} of queue {}", answer.opaque.0))?;
                    answered += 1;
                }
                // As stock clients do: a busy broker is asked again.
                ResponseCode::SYSTEM_BUSY => again.push(answer.opaque.0 as usize),
                _ => bail!("{code}: {}", refusal(&answer)),
            }
        }
    }
    Ok(())
}

/// A pull of the first message of each queue, which must be there. `place`: topic and number of a queue.
pub(super) async fn pull_one_of_each(
    queues: Range<usize>,
    group: &str,
    place: impl Fn(usize) -> (String, usize),
) -> Result<()> {
    let pull = |at: usize| {
        let (topic, queue) = place(queues.start + at);
        let mut consume = consume(&topic, group);
        consume.pull_messages = 1;
        consume.header(queue, 0)
    };
    let one = |body: &[u8]| {
        ensure!(records(body).count() == 1, "a pull brought {} messages", records(body).count());
        Ok(())
    };
    pipelined(queues.len(), RequestCode::PULL_MESSAGE, pull, |answer| one(&answer.body)).await
}
