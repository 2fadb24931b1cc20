//! Pulls: consumers ask for the messages of a queue, and wait for them if there are none.
//!
//! ```text
//! request ─ checks ─ read ─┬─ found ─▶ answer, in slices of the log
//!                          ├─ nothing yet ─ wait for an arrival ─ checks ─ read ─▶ answer
//!                          └─ not in memory ─ its group may ─ a blocking reader ─▶ answer
//! ```

mod answer;
mod checks;
mod cold;
mod cold_flow;
mod error;
mod fall_behind;
mod reader;
mod request;
mod suspend;
mod waiting;

use std::sync::Arc;

pub(crate) use cold::fetch;
pub(crate) use cold_flow::LimitError;
pub(crate) use error::PullError;
use remoting::connection::Peer;
use remoting::frame::RemotingCommand;
use remoting::protocol::RequestCode;
use remoting::router::{HandleBatch, Router};
use store::{Arrivals, Store};

use self::reader::Reader;
use self::request::Pull;
use crate::client::Clients;
use crate::context::Context;
use crate::group::GroupTable;
use crate::offset::Offsets;
use crate::stats::Stats;
use crate::topic::TopicTable;

/// The requests of this feature. Java does not answer them on its fast port.
pub(crate) const CODES: [RequestCode; 2] = [RequestCode::PULL_MESSAGE, RequestCode::LITE_PULL_MESSAGE];

/// Java: `PullMessageProcessor`.
pub(crate) struct Pulls {
    reader: Arc<Reader>,
}

pub(crate) fn routes(pulls: &Arc<Pulls>, router: &mut Router) {
    router.on_batch(&CODES, pulls);
    cold_flow::routes(&pulls.reader.cold_flow, router);
}

impl Pulls {
    pub(crate) fn new(
        ctx: Context,
        store: Arc<Store>,
        topics: Arc<TopicTable>,
        groups: Arc<GroupTable>,
        clients: Arc<Clients>,
        offsets: Arc<Offsets>,
        stats: Arc<Stats>,
    ) -> Arc<Self> {
        Arc::new(Self { reader: Arc::new(Reader::new(ctx, store, topics, groups, clients, offsets, stats)) })
    }

    /// Begins to serve the pulls that wait. The store reports each grown queue once, so whoever else waits for queues is
    /// told from here by `tell`, which must not block.
    pub(crate) fn start(&self, tell: impl Fn(&Arrivals) + Send + 'static) {
        self.reader.cold_flow.start();
        self.reader.ctx.tasks.spawn(Arc::clone(&self.reader).serve_waiting(tell));
    }
}

impl HandleBatch for Pulls {
    fn handle_batch(&self, commands: &mut Vec<RemotingCommand>, peer: &Peer) {
        for command in commands.drain(..) {
            match Pull::of(command, peer) {
                Ok(pull) => self.reader.serve(pull),
                Err((to, err)) => answer::refuse(peer, to, &err),
            }
        }
    }
}

#[cfg(test)]
mod tests;
