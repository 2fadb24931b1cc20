//! A task woken at a steady pace, to some microseconds. Timers of the runtime are up to a millisecond late, which would be
//! counted as latency of the broker.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// Ticks come no faster, so that the generator leaves the broker the processor.
const FINEST: Duration = Duration::from_micros(200);

pub(crate) struct Ticks(AsyncFd<OwnedFd>);

impl Ticks {
    pub(crate) fn every(period: Duration) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let period = Timespec::try_from(period.max(FINEST)).map_err(|_| io::ErrorKind::InvalidInput)?;
        let times = Itimerspec { it_interval: period, it_value: period };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)?;
        #[expect(deprecated, reason = "it is unsound for descriptors that others may close: this one it owns")]
        let timer = AsyncFd::new(timer)?;
        Ok(Self(timer))
    }

    /// Cancel-safe. Ticks that nobody waited for count as one.
    pub(crate) async fn next(&self) -> io::Result<()> {
        loop {
            let mut ready = self.0.readable().await?;
            if let Ok(read) = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut [0; 8])?)) {
                return read.map(drop);
            }
        }
    }
}
