//! Holding back what is sent, so that the disk and the wire are left to clients, too.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Who was quiet may send so much at once afterwards.
const BURST: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
pub(super) struct Pace {
    /// What was sent so far fills the time until then.
    full_until: Mutex<Option<Instant>>,
}

impl Pace {
    /// Returns when `bytes` more may be sent at `rate` bytes per second; 0: at once.
    pub(super) async fn take(&self, bytes: u64, rate: u64) {
        if rate == 0 {
            return;
        }
        let turn = {
            let now = Instant::now();
            let mut full_until = self.full_until.lock();
            let turn = full_until.map_or(now, |until| until.max(now));
            *full_until = Some(turn + Duration::from_secs_f64(bytes as f64 / rate as f64));
            turn
        };
        if turn > Instant::now() + BURST {
            sleep_until(turn).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_more_is_sent_than_may_be() {
        let (pace, began) = (Pace::default(), Instant::now());
        for _ in 0..100 {
            pace.take(1000, 10_000).await;
        }
        let took = began.elapsed();
        assert!((Duration::from_millis(9800)..Duration::from_millis(10_000)).contains(&took), "{took:?}");
        pace.take(u64::MAX, 0).await;
        assert_eq!(began.elapsed(), took);
    }
}
