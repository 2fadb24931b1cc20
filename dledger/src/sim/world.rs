//! What a simulated life leaves behind: its history, and the first thing that went wrong.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lines of history that are shown when something went wrong.
const LINES_MAX: usize = 400;

pub(super) struct World {
    began: Instant,
    /// Lines are printed at once: for lives that do not end.
    is_told: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    digest: Digest,
    lines: VecDeque<String>,
    wrong: Option<String>,
}

/// Of a whole history: two are equal if everything happened in the same order at the same times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// FNV-1a.
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl World {
    /// Its time begins now.
    pub(super) fn new() -> Arc<Self> {
        let is_told = std::env::var_os("SIM_TELL").is_some();
        Arc::new(Self { began: Instant::now(), is_told, state: Mutex::default() })
    }

    /// Since it began.
    pub(super) fn time(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn note(&self, what: fmt::Arguments<'_>) {
        let line = format!("{:>8.3} {what}", self.time().as_secs_f64());
        if self.is_told {
            eprintln!("{line}");
        }
        let mut state = self.state.lock();
        state.digest.take(line.as_bytes());
        if state.lines.len() == LINES_MAX {
            state.lines.pop_front();
        }
        state.lines.push_back(line);
    }

    /// Notes what must not be; the first of its kind counts.
    pub(super) fn wrong(&self, what: String) {
        self.note(format_args!("WRONG: {what}"));
        self.state.lock().wrong.get_or_insert(what);
    }

    pub(super) fn check(&self, what: Result<(), String>) {
        if let Err(what) = what {
            self.wrong(what);
        }
    }

    pub(super) fn is_wrong(&self) -> bool {
        self.state.lock().wrong.is_some()
    }

    pub(super) fn digest(&self) -> Digest {
        self.state.lock().digest
    }

    /// What went wrong, and the history before it.
    pub(super) fn verdict(&self) -> Option<(String, Vec<String>)> {
        let state = self.state.lock();
        state.wrong.clone().map(|wrong| (wrong, state.lines.iter().cloned().collect()))
    }
}

/// Notes a line of history.
macro_rules! note {
    ($world:expr, $($what:tt)*) => { $world.note(format_args!($($what)*)) };
}
pub(super) use note;
