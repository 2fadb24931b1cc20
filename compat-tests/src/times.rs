//! Where a run's time went: what each cluster and each test took.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use crate::target::Target;

/// What servers and clients of a cluster took, if the kernel tells.
pub(crate) type CpuTimes = [Option<Duration>; 2];

/// Times of one run.
#[derive(Debug)]
pub(crate) struct Times {
    began: Instant,
    /// CPU time of the whole machine then: busy and idle.
    machine: Option<(Duration, Duration)>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    wall: Duration,
    cpu: Option<CpuTimes>,
}

impl Times {
    pub(crate) fn start() -> Self {
        Self { began: Instant::now(), machine: machine_times(), rows: Vec::new() }
    }

    /// Notes what a test took, with what its cluster took if it was its own.
    pub(crate) fn note(&mut self, name: &str, wall: Duration, cpu: Option<CpuTimes>) {
        self.rows.push(Row { name: name.to_owned(), wall, cpu });
    }

    /// Notes what the cluster took that tests of a target share.
    pub(crate) fn note_shared(&mut self, target: Target, cpu: CpuTimes) {
        self.note(&format!("(shared)/on-{target}"), self.began.elapsed(), Some(cpu));
    }

    /// A Markdown table, the dearest first.
    pub(crate) fn markdown(&self) -> String {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.cpu.map(sum), row.wall)));
        let total: Duration = rows.iter().filter_map(|row| row.cpu.map(sum)).sum();
        let mut text = format!(
            "{:.0} s; {:.0} s of CPU time in containers",
            self.began.elapsed().as_secs_f64(),
            total.as_secs_f64()
        );
        // Writing to a String cannot fail.
        if let (Some((busy, idle)), Some((busy_then, idle_then))) = (machine_times(), self.machine) {
            let (busy, idle) = (busy.saturating_sub(busy_then), idle.saturating_sub(idle_then));
            let _ = write!(
                text,
                "; the machine was busy for {:.0} s of CPU time and idle for {:.0} s",
                busy.as_secs_f64(),
                idle.as_secs_f64()
            );
        }
        text.push_str("\n\n| what | seconds | CPU s | servers | clients |\n| --- | ---: | ---: | ---: | ---: |\n");
        for Row { name, wall, cpu } in rows {
            let _ = write!(text, "| {name} | {:.1} ", wall.as_secs_f64());
            match cpu {
                None => text.push_str("| | | |\n"),
                Some(cpu) => {
                    let _ = write!(text, "| {:.1} ", sum(*cpu).as_secs_f64());
                    for part in cpu {
                        let _ = write!(text, "| {:.1} ", part.unwrap_or_default().as_secs_f64());
                    }
                    text.push_str("|\n");
                }
            }
        }
        text
    }
}

fn sum(cpu: CpuTimes) -> Duration {
    cpu.into_iter().flatten().sum()
}

/// Of a line of `/proc/stat`, which begins with its name.
pub(crate) fn numbers(line: &str) -> Vec<u64> {
    line.split_whitespace().skip(1).map_while(|text| text.parse().ok()).collect()
}

/// CPU time of all processes of the machine so far, and its idle time.
fn machine_times() -> Option<(Duration, Duration)> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks = numbers(stat.lines().next()?);
    let [user, nice, system, idle, wait, interrupts, soft, ..] = ticks[..] else { return None };
    let per_second = rustix::param::clock_ticks_per_second();
    let time = |ticks: u64| Duration::from_millis(ticks * 1000 / per_second);
    Some((time(user + nice + system + interrupts + soft), time(idle + wait)))
}
