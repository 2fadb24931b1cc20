//! Storing what producers send: `SEND_MESSAGE`, `SEND_MESSAGE_V2` and `SEND_BATCH_MESSAGE`.
//!
//! ```text
//! sends of one read ─ checks ─ encode ─▶ one AppendBatch ─ append ─▶ confirmed ─▶ one write of all answers
//! ```
//! A send that is refused does not hold up the others; answers have the order of the requests. There is no task, lock or
//! channel per message. [`Writer`] is how other features store a message.
//!
//! Java: `SendMessageProcessor`, `AbstractSendMessageProcessor`, `HookUtils`.

mod answer;
mod batch;
mod checks;
mod client_batch;
mod desk;
mod error;
pub(crate) mod properties;
mod single;
mod tally;
mod unique_key;
mod writer;

use std::sync::Arc;

use jiff::tz::TimeZone;
use parking_lot::Mutex;
use remoting::protocol::RequestCode;
use remoting::router::Router;
use store::Store;

use self::desk::Desk;
use self::unique_key::UniqueKeys;
use crate::client::Locks;
use crate::context::Context;
use crate::delay::Waits;
use crate::group::GroupTable;
use crate::ha::Copies;
use crate::stats::Stats;
use crate::topic::TopicTable;

pub(crate) use self::error::{PutError, SendError};
pub(crate) use self::writer::{Writer, Written, store_one};

/// What [`Sends`] are made of.
pub(crate) struct Parts {
    pub(crate) ctx: Context,
    pub(crate) store: Arc<Store>,
    pub(crate) topics: Arc<TopicTable>,
    pub(crate) groups: Arc<GroupTable>,
    pub(crate) locks: Arc<Locks>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) waits: Waits,
    pub(crate) copies: Copies,
}

/// Takes messages from producers.
pub(crate) struct Sends {
    ctx: Context,
    store: Arc<Store>,
    topics: Arc<TopicTable>,
    groups: Arc<GroupTable>,
    locks: Arc<Locks>,
    stats: Arc<Stats>,
    waits: Waits,
    copies: Copies,
    unique_keys: UniqueKeys,
    /// Those not in use.
    desks: Mutex<Vec<Desk>>,
}

pub(crate) fn routes(sends: &Arc<Sends>, router: &mut Router) {
    let codes = [RequestCode::SEND_MESSAGE, RequestCode::SEND_MESSAGE_V2, RequestCode::SEND_BATCH_MESSAGE];
    router.on_batch(&codes, sends);
}

impl Sends {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { ctx, store, topics, groups, locks, stats, waits, copies } = parts;
        let unique_keys = UniqueKeys::new(ctx.identity.host, ctx.clock.clone(), TimeZone::system());
        Arc::new(Self { ctx, store, topics, groups, locks, stats, waits, copies, unique_keys, desks: Mutex::default() })
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
