//! How far the timer of a group's leader is, so that the next leader delivers what is left and not all of it again.
//!
//! Each leader has a wheel and a log of its own, made of the timer topic, which all have. What the one before enrolled and
//! delivered is known from two numbers that go through the group's log every second: the messages of the timer topic before
//! `queueOffset` were enrolled, and those of the slots before `slot` delivered. What was delivered since they were told is
//! delivered twice.

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

/// Nothing, for a broker of its own.
#[derive(Default)]
pub(super) struct Handover {
    before: Option<Done>,
    file: Option<TableFile>,
    told: Mutex<Option<Done>>,
}

impl Handover {
    pub(super) fn open(home: &Home) -> Result<Self, LoadError> {
        if !home.is_of_group() {
            return Ok(Self::default());
        }
        let before = home.load::<Saved>(FILE)?.map(|saved| saved.timer);
        Ok(Self { before, file: Some(home.file(FILE)), told: Mutex::new(before) })
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

    /// Tells the group how far the timer is. With nothing enrolled there is nothing to tell. Blocks.
    pub(super) fn tell(&self, done: Done, pending: i64) -> Result<(), SaveError> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut told = self.told.lock();
        let is_news = told.is_none_or(|told| told.queue_offset != done.queue_offset || (pending > 0 && told != done));
        if is_news {
            file.changed();
            file.save(|| serde_json::to_string(&Saved { timer: done }).expect("numbers are JSON"))?;
            *told = Some(done);
        }
        Ok(())
    }
}
