//! What is to be done about a half message in doubt.

use remoting::types::Timestamp;
use tokio::time::Duration;

use super::half::Half;
use crate::config::BrokerConfig;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its producers are asked, for the so many-th time.
    Ask { times: i32 },
    /// It said itself for how long not to ask, and that has not passed.
    Immune,
    /// Neither it nor what was stored behind it has had the time to be resolved.
    Fresh,
    /// It was asked about too often, or is so old that the log will not keep it; the number of checks it goes with.
    GiveUp { times: i32 },
}

/// `began`: when this look at all half messages began.
///
/// Java: `TransactionalMessageServiceImpl.check`, `needDiscard`, `needSkip`.
pub(super) fn judge(half: &Half<'_>, began: Timestamp, now: Timestamp, settings: &BrokerConfig) -> Verdict {
    // What is no number counts as −1.
    let asked = half.check_times.map_or(0, |text| text.parse().unwrap_or(-1));
    if half.check_times.is_some() && asked >= settings.transaction_check_max {
        return Verdict::GiveUp { times: asked };
    }
    let times = asked.saturating_add(1);
    let age_ms = now.0.saturating_sub(half.stored.born_timestamp.0);
    if age_ms > millis(*settings.file_reserved_time) {
        return Verdict::GiveUp { times };
    }
    if half.stored.store_timestamp >= began {
        return Verdict::Fresh;
    }
    let timeout_ms = millis(*settings.transaction_time_out);
    match half.immunity {
        Some(text) if age_ms <= immunity_ms(text, timeout_ms) => Verdict::Immune,
        // One from the future: its producer's clock is wrong, so its age says nothing.
        None if (0..=timeout_ms).contains(&age_ms) => Verdict::Fresh,
        _ => Verdict::Ask { times },
    }
}

/// Java: `TransactionalMessageServiceImpl.getImmunityTime`.
fn immunity_ms(text: &str, timeout_ms: i64) -> i64 {
    match text.parse::<i64>() {
        Ok(-1) | Err(_) => timeout_ms,
        Ok(seconds) => seconds.saturating_mul(1000),
    }
}

/// Whether the producer may no longer say by itself what became of the transaction: it was told that it would be asked from
/// this age on.
///
/// Java: `EndTransactionProcessor.rejectCommitOrRollback`, `TransactionalMessageUtil.getImmunityTime`.
pub(super) fn is_too_late(half: &Half<'_>, now: Timestamp, settings: &BrokerConfig) -> bool {
    let Some(text) = half.immunity else { return false };
    let timeout_ms = millis(*settings.transaction_time_out);
    let immunity_ms = text.parse::<i64>().unwrap_or(0).saturating_mul(1000).max(timeout_ms);
    now.0.saturating_sub(half.stored.born_timestamp.0) > immunity_ms
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use remoting::types::{Host, PhysicalOffset, QueueOffset};
    use store::message::{Message, encode_at};

    use super::super::{QUEUE, half_topic};
    use super::*;

    /// Born 10 s ago and stored then, looked at now.
    fn check(properties: &str, change: impl FnOnce(&mut BrokerConfig), born_ms: i64, expect: Verdict, too_late: bool) {
        let (mut settings, now) = (BrokerConfig::default(), Timestamp(1_000_000_000));
        change(&mut settings);
        let text = properties.replace('=', "\u{1}").replace(';', "\u{2}");
        let host = Host { ip: [127, 0, 0, 1].into(), port: 1 };
        let born_timestamp = Timestamp(now.0 - born_ms);
        let message = Message { properties: &text, born_timestamp, ..Message::new(half_topic(), QUEUE, b"x", host) };
        let mut record = Vec::new();
        encode_at(&mut record, &message, QueueOffset(0), PhysicalOffset(0), Timestamp(now.0 - 10_000));
        let half = Half::parse(&record).unwrap();
        assert_eq!(judge(&half, now, now, &settings), expect, "{properties} {born_ms}");
        assert_eq!(is_too_late(&half, now, &settings), too_late, "{properties} {born_ms}");
        let early = judge(&half, Timestamp(now.0 - 10_000), now, &settings);
        let given_up = matches!(expect, Verdict::GiveUp { .. });
        assert_eq!(early, if given_up { expect } else { Verdict::Fresh }, "stored since the look began");
    }

    #[test]
    fn producers_are_asked_by_javas_rules() {
        let (ask, give_up) = (|times| Verdict::Ask { times }, |times| Verdict::GiveUp { times });
        const HOUR_MS: i64 = 3_600_000;
        check("", |_| {}, 6001, ask(1), false);
        check("", |_| {}, 6000, Verdict::Fresh, false);
        check("", |_| {}, -1, ask(1), false);
        check("", |settings| settings.transaction_time_out = remoting::config::Millis::new(0), 1, ask(1), false);
        check("TRANSACTION_CHECK_TIMES=14;", |_| {}, 7000, ask(15), false);
        check("TRANSACTION_CHECK_TIMES=15;", |_| {}, 7000, give_up(15), false);
        check("TRANSACTION_CHECK_TIMES=15;", |_| {}, 0, give_up(15), false);
        check("TRANSACTION_CHECK_TIMES=2;", |settings| settings.transaction_check_max = 2, 7000, give_up(2), false);
        check("TRANSACTION_CHECK_TIMES=x;", |_| {}, 7000, ask(0), false);
        check("", |_| {}, 72 * HOUR_MS + 1, give_up(1), false);
        check("CHECK_IMMUNITY_TIME_IN_SECONDS=60;", |_| {}, 60_000, Verdict::Immune, false);
        check("CHECK_IMMUNITY_TIME_IN_SECONDS=60;", |_| {}, 60_001, ask(1), true);
        check("CHECK_IMMUNITY_TIME_IN_SECONDS=60;", |_| {}, -1, Verdict::Immune, false);
        // The producer may speak until the ordinary time has passed; it is asked sooner, if it wishes so.
        check("CHECK_IMMUNITY_TIME_IN_SECONDS=1;", |_| {}, 2000, ask(1), false);
        check("CHECK_IMMUNITY_TIME_IN_SECONDS=-1;", |_| {}, 2000, Verdict::Immune, false);
        check("CHECK_IMMUNITY_TIME_IN_SECONDS=soon;", |_| {}, 6001, ask(1), true);
    }
}
