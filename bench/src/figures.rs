//! Latencies, medians, and what the system says about a process.

use std::fs;
use std::iter::Sum;
use std::time::Duration;

use anyhow::{Context, Result};

/// Latencies of single sends, in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    pub(crate) fn push(&mut self, latency: Duration) {
        self.0.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The given shares (0 to 1) of all latencies, in microseconds.
    pub(crate) fn shares<const N: usize>(&mut self, shares: [f64; N]) -> [f64; N] {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        shares.map(|share| self.0.get((last as f64 * share).round() as usize).copied().map_or(f64::NAN, f64::from))
    }
}

/// The middle one; NaN of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.retain(|value| !value.is_nan());
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// All resident pages, those of mapped files included; MiB.
    pub(crate) resident_mib: f64,
    /// The largest that ever was; MiB.
    pub(crate) resident_peak_mib: f64,
    /// Pages that belong to no file: the process's own memory, without the page cache it shares; MiB.
    pub(crate) own_mib: f64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).context("read the process's status")?;
        let mib = |name: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib: f64 = line
                .and_then(|rest| rest.trim_start_matches(':').split_whitespace().next()?.parse().ok())
                .unwrap_or(0.0);
            kib / 1024.0
        };
        Ok(Self {
            cpu: cpu(pid)?,
            resident_mib: mib("VmRSS"),
            resident_peak_mib: mib("VmHWM"),
            own_mib: mib("RssAnon"),
        })
    }
}

/// Of several processes together.
impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self::default(), |sum, one| Self {
            cpu: sum.cpu + one.cpu,
            resident_mib: sum.resident_mib + one.resident_mib,
            resident_peak_mib: sum.resident_peak_mib + one.resident_peak_mib,
            own_mib: sum.own_mib + one.own_mib,
        })
    }
}

/// User and system time of all threads, also of those that ended.
fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("read the process's times")?;
    // The name, in parentheses, may hold blanks.
    let (_, rest) = stat.rsplit_once(')').context("the process's times have no name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: u64 =
        fields.get(11..13).context("short times")?.iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}
