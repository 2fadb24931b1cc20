//! How many messages of each topic wait: `config/timermetrics`. Java: `TimerMetrics`.

use std::collections::HashMap;

use parking_lot::Mutex;
use remoting::body::{DataVersion, TimerMetric, TimerMetrics, fastjson};
use remoting::types::{Timestamp, TopicName};

use crate::persist::{Home, LoadError, TableFile};

const FILE: &str = "timermetrics";

pub(super) struct Metrics {
    table: Mutex<TimerMetrics>,
    file: TableFile,
}

/// By how much the messages of each topic have become more.
pub(super) type Changes = HashMap<TopicName, i64>;

impl Metrics {
    pub(super) fn load(home: &Home, now: Timestamp) -> Result<Self, LoadError> {
        let saved = home
            .load(FILE)?
            .unwrap_or_else(|| TimerMetrics { data_version: DataVersion::new(now), ..TimerMetrics::default() });
        Ok(Self { table: Mutex::new(saved), file: home.file(FILE) })
    }

    pub(super) fn add(&self, changes: Changes, now: Timestamp) {
        if changes.is_empty() {
            return;
        }
        let mut table = self.table.lock();
        for (topic, change) in changes {
            let metric = table.timing_count.entry(topic).or_default();
            *metric = TimerMetric { count: metric.count + change, time_stamp: now };
        }
        table.data_version = table.data_version.next(now);
        drop(table);
        self.file.changed();
    }

    /// A topic was deleted.
    pub(super) fn forget(&self, topic: &str) {
        self.table.lock().timing_count.remove(topic);
        self.file.changed();
    }

    pub(super) fn snapshot(&self) -> TimerMetrics {
        self.table.lock().clone()
    }

    /// All that wait.
    pub(super) fn pending(&self) -> i64 {
        self.table.lock().timing_count.values().map(|metric| metric.count.max(0)).sum()
    }

    /// Takes over what waits at the master. Java: `SlaveSynchronize.syncTimerMetrics`.
    pub(super) fn copy(&self, master: TimerMetrics) {
        let mut table = self.table.lock();
        if table.data_version != master.data_version {
            *table = master;
            drop(table);
            self.file.changed();
        }
    }

    /// Grows with every change.
    pub(super) fn step(&self) -> u64 {
        self.file.step()
    }

    pub(super) fn encode(&self) -> String {
        fastjson::write(&*self.table.lock())
    }

    pub(super) fn save_or_log(&self) {
        self.file.save_or_log("the timer's figures could not be saved", || self.encode());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_file_is_read_and_written_in_its_form() {
        let folder = tempfile::tempdir().unwrap();
        // Of 5.5.0.
        let text = r#"{"dataVersion":{"counter":79,"stateVersion":0,"timestamp":1795255460084},"timingCount":{"FixTimer":{"count":5,"timeStamp":1795255406085}}}"#;
        std::fs::write(folder.path().join("timermetrics"), text).unwrap();
        let metrics = Metrics::load(&folder.path().into(), Timestamp(1)).unwrap();
        assert_eq!(metrics.encode(), text);
        metrics.add(Changes::from([("FixTimer".into(), -2), ("T".into(), 1)]), Timestamp(7));
        metrics.file.save(|| metrics.encode()).unwrap();
        let again = Metrics::load(&folder.path().into(), Timestamp(9)).unwrap();
        let expect = r#"{"dataVersion":{"counter":80,"stateVersion":0,"timestamp":7},"timingCount":{"FixTimer":{"count":3,"timeStamp":7},"T":{"count":1,"timeStamp":7}}}"#;
        assert_eq!(again.encode(), expect);
        again.forget("FixTimer");
        assert!(!again.encode().contains("FixTimer"));
    }
}
