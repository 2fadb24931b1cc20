//! Waiting until something is so.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Runner;
use crate::migrate::MigrateError;

/// Between two lines where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// What a look found.
pub(super) enum Look<T> {
    Reached(T),
    /// What is still missing, for the person who waits.
    NotYet(String),
}

impl<T> Look<T> {
    /// Who cannot be asked is not there yet.
    pub(super) fn not_yet(why: impl Display) -> Self {
        Self::NotYet(why.to_string())
    }
}

impl Runner<'_> {
    /// Looks again and again; tells now and then what is missing.
    ///
    /// # Errors
    /// That of a look, or it took longer than `--patience`.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        mut look: impl AsyncFnMut() -> Result<Look<T>, MigrateError>,
    ) -> Result<T, MigrateError> {
        let begun = Instant::now();
        let mut line = Line::new();
        loop {
            let missing = match look().await? {
                Look::Reached(found) => return Ok(found),
                Look::NotYet(missing) => missing,
            };
            if begun.elapsed() >= self.pace.patience {
                drop(line);
                let (what, waited) = (what.to_owned(), self.pace.patience);
                return Err(MigrateError::Patience { what, waited, missing });
            }
            line.show(&format!("{what}: {missing} ({} s)", begun.elapsed().as_secs()));
            sleep(self.pace.look).await;
        }
    }
}

/// A line that is written over on a terminal; elsewhere it is written now and then.
struct Line {
    terminal: bool,
    shown: bool,
    told: Option<Instant>,
}

impl Line {
    fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), shown: false, told: None }
    }

    fn show(&mut self, text: &str) {
        // Progress is not worth failing for.
        if self.terminal {
            self.shown = true;
            let _ = write!(io::stderr().lock(), "\r  {text}\u{1b}[K");
        } else if self.told.is_none_or(|told| told.elapsed() >= LINES) {
            self.told = Some(Instant::now());
            let _ = writeln!(io::stderr().lock(), "  {text}");
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr().lock(), "\r\u{1b}[K");
        }
    }
}
