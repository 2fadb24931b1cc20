//! Totals at the last two midnights, so that tools can tell yesterday's and today's messages. Java: `BrokerStats`.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use parking_lot::Mutex;
use remoting::types::Timestamp;

use super::Stats;

/// Messages since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) put: u64,
    pub(crate) get: u64,
}

/// Cumulative: a day's messages are the difference of two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DailyTotals {
    pub(crate) yesterday_morning: Totals,
    pub(crate) today_morning: Totals,
    pub(crate) now: Totals,
}

/// What was counted at the last two midnights.
#[derive(Debug, Default)]
pub(super) struct Daily(Mutex<DailyTotals>);

impl Daily {
    pub(super) fn totals(&self, now: Totals) -> DailyTotals {
        DailyTotals { now, ..*self.0.lock() }
    }

    /// Java: `BrokerStats.record`.
    fn midnight(&self, now: Totals) {
        let mut totals = self.0.lock();
        totals.yesterday_morning = totals.today_morning;
        totals.today_morning = now;
    }
}

/// Clocks are set and days are 23 to 25 hours long, so no sleep is longer than this.
const SLEEP_MAX: Duration = Duration::from_secs(10 * 60);

impl Stats {
    pub(super) fn start_daily(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let zone = TimeZone::system();
        self.ctx.tasks.spawn(async move {
            let mut midnight = next_midnight(this.ctx.clock.now(), &zone);
            loop {
                let sleep = midnight.since(this.ctx.clock.now()).min(SLEEP_MAX);
                tokio::select! {
                    () = this.ctx.stopping.cancelled() => return,
                    () = tokio::time::sleep(sleep) => {}
                }
                let now = this.ctx.clock.now();
                if now >= midnight {
                    this.daily.midnight(this.user_totals());
                    midnight = next_midnight(now, &zone);
                }
            }
        });
    }
}

/// The first moment of the next day where the machine stands.
fn next_midnight(now: Timestamp, zone: &TimeZone) -> Timestamp {
    let tomorrow = jiff::Timestamp::from_millisecond(now.0)
        .and_then(|now| now.to_zoned(zone.clone()).tomorrow())
        .and_then(|tomorrow| tomorrow.start_of_day());
    // Only a clock at the end of all calendars has no tomorrow.
    tomorrow
        .map_or_else(|_| now.after(Duration::from_secs(24 * 60 * 60)), |at| Timestamp(at.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn days_begin_where_the_machine_stands() {
        let shanghai = TimeZone::fixed(jiff::tz::offset(8));
        assert_eq!(next_midnight(at("2026-03-01T15:59:59Z"), &shanghai), at("2026-03-01T16:00:00Z"));
        assert_eq!(next_midnight(at("2026-03-01T16:00:00Z"), &shanghai), at("2026-03-02T16:00:00Z"));
        assert_eq!(next_midnight(at("2026-12-31T23:00:00Z"), &TimeZone::UTC), at("2027-01-01T00:00:00Z"));
    }

    #[test]
    fn mornings_move_up_at_midnight() {
        let daily = Daily::default();
        let total = |put| Totals { put, get: put / 2 };
        assert_eq!(daily.totals(total(10)), DailyTotals { now: total(10), ..DailyTotals::default() });
        daily.midnight(total(10));
        daily.midnight(total(25));
        let expect = DailyTotals { yesterday_morning: total(10), today_morning: total(25), now: total(26) };
        assert_eq!(daily.totals(total(26)), expect);
    }
}
