//! Unique keys for messages whose producers gave them none.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

use arc_swap::ArcSwap;
use jiff::tz::TimeZone;
use remoting::types::{Clock, Host, Timestamp};

/// Makes keys in the form of Java's clients, from which tools read the time: upper-case hex of
/// `[ip: 4 or 16][process id: u16][a number of this start: u32][ms since the month began: u32][counter: u16]`.
///
/// Java: `MessageClientIDSetter.createUniqID`.
#[derive(Debug)]
pub(crate) struct UniqueKeys {
    /// The part that stays the same.
    prefix: String,
    counter: AtomicU16,
    clock: Clock,
    zone: TimeZone,
    /// The last month that was asked for, in ms since 1970.
    month: ArcSwap<Range<i64>>,
}

impl UniqueKeys {
    pub(crate) fn new(host: Host, clock: Clock, zone: TimeZone) -> Self {
        let process = (std::process::id() & 0xFFFF) as u16;
        let start: u32 = rand::random();
        let ip = match host.ip {
            IpAddr::V4(ip) => format!("{:08X}", ip.to_bits()),
            IpAddr::V6(ip) => format!("{:032X}", ip.to_bits()),
        };
        let prefix = format!("{ip}{process:04X}{start:08X}");
        Self { prefix, counter: AtomicU16::new(0), clock, zone, month: ArcSwap::from_pointee(0..0) }
    }

    pub(crate) fn next(&self) -> String {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let now = self.clock.now();
        // 31 days have less than 2^32 ms.
        let millis = (now.0 - self.month_of(now)) as u32;
        format!("{}{millis:08X}{count:04X}", self.prefix)
    }

    /// When the month of `at` began where this machine stands.
    fn month_of(&self, at: Timestamp) -> i64 {
        let known = self.month.load();
        if known.contains(&at.0) {
            return known.start;
        }
        let month = month_of(at, &self.zone).unwrap_or(at.0..at.0);
        let start = month.start;
        self.month.store(month.into());
        start
    }
}

/// `None` for times that no calendar has.
fn month_of(at: Timestamp, zone: &TimeZone) -> Option<Range<i64>> {
    let date = jiff::Timestamp::from_millisecond(at.0).ok()?.to_zoned(zone.clone()).date();
    let first = date.first_of_month();
    let next = date.last_of_month().tomorrow().ok()?;
    let millis = |date: jiff::civil::Date| Some(date.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond());
    Some(millis(first)?..millis(next)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 3600 * 1000;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn keys_have_javas_form_and_differ() {
        let clock = Clock::fixed(at("2025-11-02T00:00:01.002Z"));
        let host = Host { ip: [127, 0, 0, 1].into(), port: 10911 };
        let keys = UniqueKeys::new(host, clock.clone(), TimeZone::UTC);
        let (one, two) = (keys.next(), keys.next());
        assert_eq!(one.len(), 32);
        assert!(one.starts_with("7F000001"), "{one}");
        assert_eq!(&one[20..], format!("{:08X}0000", DAY_MS + 1002));
        assert_eq!(&two[28..], "0001");
        clock.set(at("2025-12-01T00:00:00.005Z"));
        assert_eq!(&keys.next()[20..], "000000050002", "a month later");
        let v6 = UniqueKeys::new(Host { ip: "::1".parse().unwrap(), port: 1 }, Clock::system(), TimeZone::UTC);
        assert_eq!(v6.next().len(), 56);
    }

    #[test]
    fn months_begin_where_the_machine_stands() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let month = month_of(at("2025-10-31T16:00:00Z"), &zone).unwrap();
        assert_eq!(month, at("2025-10-31T16:00:00Z").0..at("2025-11-30T16:00:00Z").0);
        let before = month_of(at("2025-10-31T15:59:59.999Z"), &zone).unwrap();
        assert_eq!(before.end, month.start);
    }
}
