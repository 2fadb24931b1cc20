//! How full the disks are, and what follows from that.

use super::Retention;
use crate::shared::Shared;

/// Used shares, 0 to 1; −1 where that cannot be told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Space {
    pub(crate) commit_log: f64,
    pub(crate) consume_queue: f64,
    /// The store's own size against its part of the disk, where several stores share one.
    own_part: Option<f64>,
}

/// What a pass has to do for the sake of space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Nothing,
    /// Files that have expired go, whatever the hour.
    Expired,
    /// Files go also before they have expired.
    AtOnce,
}

impl Space {
    pub(super) fn of(shared: &Shared, settings: &Retention) -> Self {
        let (log_dir, queues_dir) = (shared.log.dir(), shared.queues.dir());
        let own_part = (settings.stores_per_disk > 1).then(|| {
            let part = shared.disk.capacity(log_dir) / u64::from(settings.stores_per_disk);
            (shared.log.bytes() + shared.queues.bytes()) as f64 / part.max(1) as f64
        });
        Self {
            commit_log: shared.disk.used_share(log_dir),
            consume_queue: shared.disk.used_share(queues_dir),
            own_part,
        }
    }

    /// What has to be done, and whether appends are to be refused; `was_full`: they are so far.
    ///
    /// Java: `CleanCommitLogService.isSpaceToDelete`.
    pub(super) fn judge(self, settings: &Retention, was_full: bool) -> (Need, bool) {
        let fullest = self.commit_log.max(self.consume_queue);
        if fullest > settings.warning_above() {
            return (Need::AtOnce, true);
        } else if fullest > settings.clean_forcibly_above() {
            // Between the two it stays as it is, so that it does not flutter.
            return (Need::AtOnce, was_full);
        }
        let unknown = self.commit_log < 0.0 || self.consume_queue < 0.0;
        let need = match self.own_part {
            Some(part) if part > settings.own_part_clean_forcibly => Need::AtOnce,
            Some(part) if part > settings.max_used() => Need::Expired,
            None if unknown || fullest > settings.max_used() => Need::Expired,
            _ => Need::Nothing,
        };
        (need, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(commit_log: f64, consume_queue: f64, was_full: bool) -> (Need, bool) {
        let space = Space { commit_log, consume_queue, own_part: None };
        space.judge(&Retention::default(), was_full)
    }

    #[test]
    fn the_fuller_disk_decides_by_javas_levels() {
        assert_eq!(judge(0.5, 0.5, false), (Need::Nothing, false));
        assert_eq!(judge(0.76, 0.5, false), (Need::Expired, false));
        assert_eq!(judge(0.5, 0.76, false), (Need::Expired, false));
        assert_eq!(judge(-1.0, 0.5, false), (Need::Expired, false), "unknown");
        assert_eq!(judge(0.86, 0.5, false), (Need::AtOnce, false));
        assert_eq!(judge(0.5, 0.91, false), (Need::AtOnce, true));
        assert_eq!(judge(0.88, 0.88, true), (Need::AtOnce, true), "full until below the forcible level");
        assert_eq!(judge(0.84, 0.84, true), (Need::Expired, false));
    }

    #[test]
    fn levels_are_taken_within_javas_bounds() {
        let settings = Retention {
            disk_max_used_percent: 100,
            disk_clean_forcibly_percent: 100,
            disk_warning_percent: 1,
            ..Retention::default()
        };
        assert_eq!(
            (settings.max_used(), settings.clean_forcibly_above(), settings.warning_above()),
            (0.95, 0.85, 0.35)
        );
    }

    #[test]
    fn stores_that_share_a_disk_go_by_their_part_of_it() {
        let judge = |part| {
            let space = Space { commit_log: 0.8, consume_queue: 0.8, own_part: Some(part) };
            space.judge(&Retention::default(), false)
        };
        assert_eq!(judge(0.5), (Need::Nothing, false));
        assert_eq!(judge(0.76), (Need::Expired, false));
        assert_eq!(judge(0.81), (Need::AtOnce, false));
    }
}
