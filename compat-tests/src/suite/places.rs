//! How many tests run at a time: as many as keep the processors busy.
//!
//! Most of a test is waiting, but starting brokers and clients is not, and how much of either is under way changes all the
//! time. So there are more places while processors are idle, and fewer while much more is wanted of them than there is, which
//! would only make timings worse.

use std::fs;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::sleep;

use crate::times::numbers;

/// At the beginning.
const FIRST: usize = 12;
const LEAST: usize = 6;
/// More clients and brokers than that want more memory than ordinary machines have.
pub(super) const MOST: usize = 48;
/// Between two changes. What a test starts shows within a few of them.
const PERIOD: Duration = Duration::from_secs(2);
/// In each of them.
const LOOKS: u32 = 20;
/// There may be more above this part of idle time,
const IDLE: f64 = 0.1;
/// and fewer above so many tasks for each processor that run or want to.
const CROWD: f64 = 6.0;

pub(super) struct Places {
    free: Semaphore,
    counts: Mutex<Counts>,
    /// For those who want to be alone, one at a time.
    alone: tokio::sync::Mutex<()>,
}

struct Counts {
    /// Taken and free.
    all: usize,
    /// To go when they are given back.
    fewer: usize,
    /// Somebody counts on the number.
    fixed: bool,
}

/// Places that are given back when this is dropped.
pub(super) struct Taken<'a> {
    places: &'a Places,
    permit: Option<SemaphorePermit<'a>>,
    /// If these are all.
    turn: Option<tokio::sync::MutexGuard<'a, ()>>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let (Some(mut permit), Ok(mut counts)) = (self.permit.take(), self.places.counts.lock()) else { return };
        counts.fixed &= self.turn.is_none();
        let gone = counts.fewer.min(permit.num_permits());
        counts.fewer -= gone;
        counts.all -= gone;
        if let Some(gone) = permit.split(gone) {
            gone.forget();
        }
    }
}

impl Places {
    pub(super) fn new() -> Self {
        let counts = Counts { all: FIRST, fewer: 0, fixed: false };
        Self { free: Semaphore::new(FIRST), counts: Mutex::new(counts), alone: tokio::sync::Mutex::default() }
    }

    /// Waits for so many places.
    pub(super) async fn take(&self, count: u32) -> Taken<'_> {
        self.taken(count, None).await
    }

    /// Waits until nobody else has a place.
    pub(super) async fn take_all(&self) -> Taken<'_> {
        let turn = self.alone.lock().await;
        let all = self.fix();
        self.taken(all, Some(turn)).await
    }

    async fn taken<'a>(&'a self, count: u32, turn: Option<tokio::sync::MutexGuard<'a, ()>>) -> Taken<'a> {
        // It is never closed.
        Taken { places: self, permit: self.free.acquire_many(count).await.ok(), turn }
    }

    /// The number of places, which stays as it is.
    fn fix(&self) -> u32 {
        let Ok(mut counts) = self.counts.lock() else { return 0 };
        (counts.fixed, counts.fewer) = (true, 0);
        counts.all as u32
    }

    /// Looks at the machine as long as this is polled.
    pub(super) async fn follow_machine(&self) {
        let processors = thread::available_parallelism().map_or(1, usize::from) as f64;
        let mut before = Machine::now();
        loop {
            let mut wanting = 0;
            for _ in 0..LOOKS {
                sleep(PERIOD / LOOKS).await;
                wanting += Machine::now().map_or(0, |now| now.wanting);
            }
            let now = Machine::now();
            if let (Some(now), Some(before)) = (&now, &before) {
                self.adapt(now.idle_since(before), f64::from(wanting) / f64::from(LOOKS) / processors);
            }
            before = now;
        }
    }

    /// `idle`: a part of 1. `crowd`: tasks for each processor.
    fn adapt(&self, idle: f64, crowd: f64) {
        let Ok(mut counts) = self.counts.lock() else { return };
        if counts.fixed {
            return;
        }
        if crowd > CROWD {
            if counts.all - counts.fewer > LEAST {
                counts.fewer += 1;
            }
        } else if counts.fewer > 0 {
            counts.fewer -= usize::from(idle > IDLE);
        } else if idle > IDLE && counts.all < MOST {
            counts.all += 1;
            self.free.add_permits(1);
        }
    }
}

/// What the kernel says of the machine.
struct Machine {
    /// Ticks of processors so far. What gives way to everything else counts as idle, and waiting for the disk does not.
    idle: u64,
    all: u64,
    /// Tasks that run or want to.
    wanting: u32,
}

impl Machine {
    fn now() -> Option<Self> {
        Self::read(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn read(stat: &str) -> Option<Self> {
        let ticks = numbers(stat.lines().next()?);
        let [_, nice, _, idle, ..] = ticks[..] else { return None };
        let wanting = numbers(stat.lines().find(|line| line.starts_with("procs_running"))?);
        Some(Self { idle: nice + idle, all: ticks.iter().take(8).sum(), wanting: *wanting.first()? as u32 })
    }

    fn idle_since(&self, then: &Self) -> f64 {
        let all = self.all.saturating_sub(then.all).max(1);
        self.idle.saturating_sub(then.idle) as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(places: &Places) -> usize {
        places.counts.lock().unwrap().all
    }

    #[tokio::test]
    async fn there_are_more_while_processors_are_idle_and_fewer_in_a_crowd() {
        let places = Places::new();
        (0..100).for_each(|_| places.adapt(0.5, 1.0));
        assert_eq!(all(&places), MOST);
        (0..100).for_each(|_| places.adapt(0.05, 2.0));
        assert_eq!(all(&places), MOST, "as it is well");
        let taken = places.take(MOST as u32).await;
        (0..100).for_each(|_| places.adapt(0.0, 20.0));
        assert_eq!(all(&places), MOST, "all are taken");
        drop(taken);
        assert_eq!((all(&places), places.free.available_permits()), (LEAST, LEAST));
    }

    #[tokio::test]
    async fn who_wants_to_be_alone_gets_all_of_them_and_the_number_stays() {
        let places = Places::new();
        let taken = places.take(4).await;
        (0..4).for_each(|_| places.adapt(0.0, 20.0));
        let alone = async {
            let _alone = places.take_all().await;
            (0..4).for_each(|_| places.adapt(0.5, 1.0));
            (all(&places), places.free.available_permits())
        };
        let (seen, ()) = tokio::join!(alone, async { drop(taken) });
        assert_eq!(seen, (FIRST, 0));
        assert_eq!(places.free.available_permits(), FIRST);
        places.adapt(0.5, 1.0);
        assert_eq!(all(&places), FIRST + 1);
    }

    #[test]
    fn what_gives_way_counts_as_idle() {
        let stat = |user, nice, idle| format!("cpu  {user} {nice} 10 {idle} 0 0 0 0 0 0\ncpu0 1 1\nprocs_running 7\n");
        let then = Machine::read(&stat(100, 0, 0)).unwrap();
        let now = Machine::read(&stat(150, 30, 20)).unwrap();
        assert!((now.idle_since(&then) - 0.5).abs() < 1e-9);
        assert_eq!(now.wanting, 7);
        assert!(Machine::read("cpu 1 2\n").is_none());
    }
}
