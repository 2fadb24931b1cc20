//! `deleteWhen`: the hours in which old files go.

use std::str::FromStr;

use jiff::tz::TimeZone;
use remoting::types::Timestamp;
use thiserror::Error;

/// Hours of the day, local time, as a set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours(u32);

/// The text names no hours.
#[derive(Debug, Error)]
#[error("is not a list of hours like 04 or 02;14")]
pub struct BadHours;

const HOURS_PER_DAY: u32 = 24;

impl Default for Hours {
    /// `04`.
    fn default() -> Self {
        Self(1 << 4)
    }
}

impl FromStr for Hours {
    type Err = BadHours;

    /// Hours separated by `;`, as `04` or `4`. Java: `UtilAll.isItTimeToDo`.
    fn from_str(text: &str) -> Result<Self, BadHours> {
        let mut hours = 0;
        for hour in text.split(';').map(str::trim).filter(|hour| !hour.is_empty()) {
            let hour: u32 = hour.parse().map_err(|_| BadHours)?;
            if hour >= HOURS_PER_DAY {
                return Err(BadHours);
            }
            hours |= 1 << hour;
        }
        if hours == 0 { Err(BadHours) } else { Ok(Self(hours)) }
    }
}

impl Hours {
    /// Whether `at` lies in one of them, in the machine's time zone.
    pub(crate) fn include(self, at: Timestamp) -> bool {
        self.include_in(at, TimeZone::system())
    }

    fn include_in(self, at: Timestamp, zone: TimeZone) -> bool {
        let Ok(at) = jiff::Timestamp::from_millisecond(at.0) else { return false };
        self.0 & 1 << at.to_zoned(zone).hour() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_those_of_the_local_day() {
        let hours: Hours = "04; 14".parse().expect("hours");
        let at = |hour: i64| Timestamp(1_700_006_400_000 + hour * 3_600_000);
        let zone = |hours| TimeZone::fixed(jiff::tz::offset(hours));
        let included =
            |hours_east| (0..24).filter(|hour| hours.include_in(at(*hour), zone(hours_east))).collect::<Vec<_>>();
        assert_eq!(included(0), [4, 14]);
        assert_eq!(included(8), [6, 20]);
    }

    #[test]
    fn what_is_no_list_of_hours_is_refused() {
        assert_eq!("4".parse::<Hours>().expect("hours"), Hours::default());
        for text in ["", ";", "24", "-1", "4,5", "four"] {
            assert!(text.parse::<Hours>().is_err(), "{text}");
        }
    }
}
