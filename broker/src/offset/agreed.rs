//! Answers to commits that wait for the group to agree.
//!
//! A broker of its own answers a commit once it is in the table, as Java does. In a Raft group the answer says that the next
//! leader knows it, too: the commits that came meanwhile are agreed on together. Most clients commit one-way and wait for nothing.
//!
//! Whoever takes this table's place reads what was saved last. What is committed behind that is refused, so that nobody takes it for kept.

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
    list: Mutex<List>,
    came: Notify,
}

#[derive(Default)]
struct List {
    waiting: Vec<Waiting>,
    /// Nothing is saved any more for those who come.
    is_closed: bool,
}

impl Unanswered {
    /// The commits of one batch, which are in the table.
    ///
    /// # Errors
    /// The list is closed; they are given back.
    pub(super) fn add(&self, batch: Vec<Waiting>) -> Result<(), Vec<Waiting>> {
        let mut list = self.list.lock();
        if list.is_closed {
            return Err(batch);
        }
        list.waiting.extend(batch);
        drop(list);
        self.came.notify_one();
        Ok(())
    }

    /// False if whatever is in the table by now will be saved.
    pub(super) fn is_closed(&self) -> bool {
        self.list.lock().is_closed
    }

    /// Takes nobody any more; those who wait now. To be called before the last save.
    pub(super) fn close(&self) -> Vec<Waiting> {
        let mut list = self.list.lock();
        list.is_closed = true;
        mem::take(&mut list.waiting)
    }

    /// Returns when somebody waits. Cancel-safe.
    pub(super) async fn some(&self) {
        self.came.notified().await;
    }

    /// Those who wait now. What they committed is part of whatever is saved from here on.
    pub(super) fn take(&self) -> Vec<Waiting> {
        mem::take(&mut self.list.lock().waiting)
    }
}

/// They are to commit again: followers try the leader again.
pub(super) fn refuse(late: Vec<Waiting>) {
    let why = "another role of this broker begins, or it stops: commit again";
    answer(late, ResponseCode::SERVICE_NOT_AVAILABLE, Some(why));
}

/// Tells everyone the same; `remark` unless an answer has one of its own.
pub(super) fn answer(waiting: Vec<Waiting>, code: ResponseCode, remark: Option<&str>) {
    for Waiting { peer, to, remark: own } in waiting {
        peer.replies(|out| out.reply(to, code, remark.or(own), &NoHeader, ()));
    }
}
