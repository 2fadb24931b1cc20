//! Waiting until a new member has the log.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use remoting::body::RaftFill;
use remoting::protocol::raft::GroupChange;
use remoting::types::MemberNumber;
use tokio::time::sleep;

use super::text::filled;
use super::{Desk, ToolError};
use crate::progress::Bar;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// How long the group may not answer.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// A member that has got nothing for so long is spoken of.
const STALL: Duration = Duration::from_secs(15);
/// Between two lines where there is no terminal.
const LINES: Duration = Duration::from_secs(5);

impl Desk<'_> {
    /// Promotes a learner once it has caught up.
    pub(super) async fn catch_up(&self, member: MemberNumber) -> Result<(), ToolError> {
        let mut progress = Progress::new(member);
        let mut heard = Instant::now();
        loop {
            match self.look(member, &mut progress).await {
                Ok(true) => return Ok(()),
                Ok(false) | Err(ToolError::Behind { .. }) => heard = Instant::now(),
                // The lead may pass on meanwhile.
                Err(ToolError::NoLeader { .. } | ToolError::Unreachable { .. }) if heard.elapsed() < SILENCE_MAX => {}
                Err(err) => return Err(err),
            }
            sleep(LOOK).await;
        }
    }

    /// Whether it has been promoted.
    async fn look(&self, member: MemberNumber, progress: &mut Progress) -> Result<bool, ToolError> {
        let status = self.status().await?;
        let Some(standing) = status.member(member) else {
            // A member that does not lead may not know yet.
            return match status.leader {
                Some(leader) if leader == status.number => Err(ToolError::Removed { member }),
                _ => Ok(false),
            };
        };
        if standing.is_voter && !status.changing {
            return Ok(true);
        }
        let Some(entries) = standing.entries else { return Ok(false) };
        match &standing.fill {
            Some(fill) => progress.show_fill(fill),
            None => progress.show(entries, status.entries, &standing.address),
        }
        // The leader refuses while the member lacks too much.
        self.change(GroupChange::Promote, member, None).await.map(|()| true)
    }
}

/// A bar on a terminal, else a line now and then.
struct Progress {
    member: MemberNumber,
    bar: Bar,
    terminal: bool,
    told: Option<Instant>,
    entries: u64,
    moved: Instant,
}

impl Progress {
    fn new(member: MemberNumber) -> Self {
        let terminal = io::stderr().is_terminal();
        Self { member, bar: Bar::new("catch up"), terminal, told: None, entries: 0, moved: Instant::now() }
    }

    fn show(&mut self, entries: u64, all: u64, address: &str) {
        let member = self.member;
        if entries > self.entries {
            (self.entries, self.moved) = (entries, Instant::now());
        }
        self.bar.show(entries, all);
        if !self.terminal && self.told.is_none_or(|told| told.elapsed() >= LINES) {
            self.told = Some(Instant::now());
            self.say(&format!("{member} has {entries} of {all} entries"));
        }
        if self.moved.elapsed() >= STALL {
            self.moved = Instant::now();
            self.say(&format!(
                "{member} has got nothing for {} s: its broker must run with dLegerSelfId={member} and the same dLegerGroup, \
                 and the leader must reach it at {address}. This waits on; if you end it, {member} stays a learner",
                STALL.as_secs()
            ));
        }
    }

    /// It gets files first.
    fn show_fill(&mut self, fill: &RaftFill) {
        self.moved = Instant::now();
        self.bar.show(fill.done, fill.total);
        if !self.terminal && self.told.is_none_or(|told| told.elapsed() >= LINES) {
            self.told = Some(Instant::now());
            self.say(&format!("{} gets files first: {}", self.member, filled(fill)));
        }
    }

    fn say(&self, line: &str) {
        // In the place of the bar, which comes again below.
        let (begin, end) = if self.terminal { ("\r", "\u{1b}[K") } else { ("", "") };
        // Progress is not worth failing for.
        let _ = writeln!(io::stderr().lock(), "{begin}{line}{end}");
    }
}
