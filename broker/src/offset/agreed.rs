//! Answers to commits that wait for the group to agree.
//!
//! A broker of its own answers a commit once it is in the table, as Java does. In a Raft group the answer says that the next
//! leader knows it, too: the commits that came meanwhile are agreed on together. Most clients commit one-way and wait for nothing.

use std::mem;

use parking_lot::Mutex;
use remoting::connection::{Peer, ReplyTo};
use remoting::header::NoHeader;
use remoting::protocol::ResponseCode;
use tokio::sync::Notify;

/// Whoever asked, with the remark of the answer.
pub(super) struct Waiting {
    pub(super) peer: Peer,
    pub(super) to: ReplyTo,
    pub(super) remark: Option<&'static str>,
}

/// Commits that are in the table and not agreed on.
#[derive(Default)]
pub(super) struct Unanswered {
    waiting: Mutex<Vec<Waiting>>,
    came: Notify,
}

impl Unanswered {
    /// The commits of one batch, which are in the table.
    pub(super) fn add(&self, batch: Vec<Waiting>) {
        if !batch.is_empty() {
            self.waiting.lock().extend(batch);
            self.came.notify_one();
        }
    }

    /// Returns when somebody waits. Cancel-safe.
    pub(super) async fn some(&self) {
        self.came.notified().await;
    }

    /// Those who wait now. What they committed is part of whatever is saved from here on.
    pub(super) fn take(&self) -> Vec<Waiting> {
        mem::take(&mut self.waiting.lock())
    }
}

/// Tells everyone the same; `remark` unless an answer has one of its own.
pub(super) fn answer(waiting: Vec<Waiting>, code: ResponseCode, remark: Option<&str>) {
    for Waiting { peer, to, remark: own } in waiting {
        peer.replies(|out| out.reply(to, code, remark.or(own), &NoHeader, ()));
    }
}
