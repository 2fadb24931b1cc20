//! A bar on the standard error, for work that takes a while in front of somebody.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const WIDTH: usize = 40;
const REDRAW: Duration = Duration::from_millis(100);

/// Wiped on drop. Nothing is drawn unless the standard error is a terminal.
pub(crate) struct Bar {
    what: &'static str,
    shown: bool,
    terminal: bool,
    drawn: Instant,
}

impl Bar {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, shown: false, terminal: io::stderr().is_terminal(), drawn: Instant::now() }
    }

    pub(crate) fn show(&mut self, done: u64, total: u64) {
        if !self.terminal || self.drawn.elapsed() < REDRAW {
            return;
        }
        self.drawn = Instant::now();
        self.shown = true;
        self.draw(&line(self.what, done, total));
    }

    fn draw(&self, line: &str) {
        // A terminal that is gone needs no bar.
        let _ = write!(io::stderr().lock(), "\r{line}\u{1b}[K");
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.shown {
            self.draw("");
        }
    }
}

fn line(what: &str, done: u64, total: u64) -> String {
    let share = if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
    let filled = (share * WIDTH as f64) as usize;
    format!("{what} [{}{}] {:3.0} %", "=".repeat(filled), " ".repeat(WIDTH - filled), share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_bar_fills_up_and_never_overflows() {
        assert_eq!(line("verify", 0, 4), format!("verify [{}]   0 %", " ".repeat(40)));
        assert_eq!(line("verify", 1, 4), format!("verify [{}{}]  25 %", "=".repeat(10), " ".repeat(30)));
        assert_eq!(line("verify", 5, 4), format!("verify [{}] 100 %", "=".repeat(40)));
        assert_eq!(line("verify", 0, 0), format!("verify [{}] 100 %", "=".repeat(40)));
    }
}
