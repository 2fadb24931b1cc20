//! How far the timer of another broker is that served before, so that this one delivers what is left and not all of it again:
//! of a group's leader, or of a slave's master.
//!
//! Each leader has a wheel and a log of its own, made of the timer topic, which all have. What the one before enrolled and
//! delivered is known from two numbers that go through the group's log every second: the messages of the timer topic before
//! `queueOffset` were enrolled, and those of the slots before `slot` delivered. What was delivered since they were told is
//! delivered twice. A slave writes the same down of its master, which tells it every moment.

use parking_lot::Mutex;
use remoting::config::SaveError;
use remoting::types::QueueOffset;
use serde::{Deserialize, Serialize};
use store::timer::TimerFiles;

use crate::persist::{Home, LoadError, TableFile};

const FILE: &str = "timerProgress.json";

/// A message that was rolled was enrolled some time after it was stored, so its slot is known this exactly.
const ROLL_UNCERTAINTY_MS: i64 = 3_600_000;

/// What the leader before has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Done {
    pub(super) queue_offset: QueueOffset,
    pub(super) slot: i64,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    timer: Done,
}

pub(super) struct Handover {
    before: Option<Done>,
    file: Option<TableFile>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    done: Option<Done>,
    /// How often it was told since nothing waits: what was delivered last is known to be once the slot behind it is told.
    idle: u32,
}

/// So often is told how far an idle timer is.
const IDLE_MAX: u32 = 2;

impl Handover {
    /// `tells`: others may go on from where this broker is.
    pub(super) fn open(home: &Home, tells: bool) -> Result<Self, LoadError> {
        let before = home.load::<Saved>(FILE)?.map(|saved| saved.timer);
        let file = tells.then(|| home.file(FILE));
        let told = Told { done: before, idle: 0 };
        Ok(Self { before, file, told: Mutex::new(told) })
    }

    /// What was told last.
    pub(super) fn told(&self) -> Option<Done> {
        self.told.lock().done
    }

    /// Passes over the slots that were delivered.
    pub(super) fn take_up(&self, files: &mut TimerFiles) {
        if let Some(done) = self.before.filter(|done| done.slot > files.cursor().slot) {
            tracing::info!(?done, own = ?files.cursor(), "the timer goes on where the leader before it was");
            files.move_to(done.slot);
        }
    }

    /// Whether a message of the timer topic that is due in `slot` was delivered or rolled already.
    pub(super) fn was_done(&self, offset: QueueOffset, slot: i64, roll: bool, precision_ms: i64) -> bool {
        let uncertainty = if roll { ROLL_UNCERTAINTY_MS / precision_ms } else { 0 };
        self.before.is_some_and(|done| offset < done.queue_offset && slot < done.slot - uncertainty)
    }

    /// Tells the others how far the timer is. With nothing enrolled for a while there is nothing to tell. Blocks.
    pub(super) fn tell(&self, done: Done, pending: i64) -> Result<(), SaveError> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut told = self.told.lock();
        let is_enrolled = told.done.is_none_or(|told| told.queue_offset != done.queue_offset);
        if pending > 0 || is_enrolled {
            told.idle = 0;
        }
        if is_enrolled || (told.done != Some(done) && told.idle < IDLE_MAX) {
            file.changed();
            file.save(|| serde_json::to_string(&Saved { timer: done }).expect("numbers are JSON"))?;
            told.done = Some(done);
            told.idle += u32::from(pending <= 0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_delivered_last_is_told_though_nothing_waits_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::from(folder.path());
        let handover = Handover::open(&home, true).unwrap();
        let tell = |queue_offset, slot, pending| {
            handover.tell(Done { queue_offset: QueueOffset(queue_offset), slot }, pending).unwrap();
            let before = Handover::open(&home, false).unwrap().before.unwrap();
            (before.queue_offset.0, before.slot)
        };
        assert_eq!(tell(1, 10, 1), (1, 10));
        assert_eq!(tell(1, 11, 1), (1, 11));
        assert_eq!(tell(1, 11, 0), (1, 11));
        assert_eq!(tell(1, 12, 0), (1, 12));
        assert_eq!(tell(1, 13, 0), (1, 13));
        assert_eq!(tell(1, 14, 0), (1, 13), "nothing happens");
        assert_eq!(tell(2, 15, 1), (2, 15));
        let next = Handover::open(&home, false).unwrap();
        assert!(next.was_done(QueueOffset(1), 14, false, 1000) && !next.was_done(QueueOffset(1), 15, false, 1000));
        assert!(!next.was_done(QueueOffset(2), 14, false, 1000), "it was not enrolled");
    }
}
