//! What of a topic a group wants: subscriptions, and the choice of messages by them.

mod tag;

pub(crate) use tag::{FilterError, TagFilter, is_same, subscription};
