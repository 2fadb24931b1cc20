//! How far each level is, and its file.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use remoting::body::{DataVersion, DelayOffsets, fastjson};
use remoting::types::{QueueOffset, Timestamp};

use crate::persist::{Home, LoadError, TableFile};

const FILE: &str = "delayOffset.json";

/// `config/delayOffset.json` in memory. Java: `ScheduleMessageService.offsetTable`.
pub(super) struct Progress {
    table: Mutex<Table>,
    file: TableFile,
}

struct Table {
    /// By level, the first entry of its queue that was not delivered.
    offsets: BTreeMap<i32, i64>,
    version: DataVersion,
    /// Deliveries since the version last grew.
    deliveries: i64,
}

impl Progress {
    pub(super) fn load(home: &Home, now: Timestamp) -> Result<Self, LoadError> {
        let saved: DelayOffsets = home
            .load(FILE)?
            .unwrap_or_else(|| DelayOffsets { data_version: DataVersion::new(now), ..DelayOffsets::default() });
        let table = Table { offsets: saved.offset_table, version: saved.data_version, deliveries: 0 };
        Ok(Self { table: Mutex::new(table), file: home.file(FILE) })
    }

    /// `None`: the level never delivered anything.
    pub(super) fn offset(&self, level: i32) -> Option<QueueOffset> {
        self.table.lock().offsets.get(&level).copied().map(QueueOffset)
    }

    pub(super) fn offsets(&self) -> Vec<(i32, QueueOffset)> {
        self.table.lock().offsets.iter().map(|(level, offset)| (*level, QueueOffset(*offset))).collect()
    }

    pub(super) fn set(&self, level: i32, offset: QueueOffset) {
        self.table.lock().offsets.insert(level, offset.0);
        self.file.changed();
    }

    /// Moves a level on by what it delivered. The version grows every `step` messages.
    ///
    /// Java: `ScheduleMessageService.updateOffset`.
    pub(super) fn delivered(&self, level: i32, next: QueueOffset, messages: usize, step: i64, now: Timestamp) {
        let mut table = self.table.lock();
        table.offsets.insert(level, next.0);
        table.deliveries += messages as i64;
        if table.deliveries >= step {
            table.deliveries = 0;
            table.version = table.version.next(now);
        }
        drop(table);
        self.file.changed();
    }

    /// On the wire and in the file.
    pub(super) fn encode(&self) -> String {
        fastjson::write(&self.snapshot())
    }

    pub(super) fn snapshot(&self) -> DelayOffsets {
        let table = self.table.lock();
        DelayOffsets { data_version: table.version, offset_table: table.offsets.clone() }
    }

    /// Takes over how far another broker of the set is, level by level where that is further: what was delivered stays so.
    pub(super) fn copy(&self, other: DelayOffsets) {
        let mut table = self.table.lock();
        for (level, offset) in other.offset_table {
            let known = table.offsets.entry(level).or_insert(offset);
            *known = offset.max(*known);
        }
        table.version = other.data_version;
        drop(table);
        self.file.changed();
    }

    /// Grows with every change.
    pub(super) fn step(&self) -> u64 {
        self.file.step()
    }

    /// Time between two saves, if `interval` is wanted of a disk.
    pub(super) fn pace(&self, interval: Duration) -> Duration {
        self.file.pace(interval)
    }

    pub(super) fn save_or_log(&self) {
        let means = "the progress of delay levels could not be saved; a restart would deliver again";
        self.file.save_or_log(means, || self.encode());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_survives_in_javas_file() {
        let folder = tempfile::tempdir().unwrap();
        let progress = Progress::load(&folder.path().into(), Timestamp(5)).unwrap();
        assert_eq!(progress.offset(1), None);
        progress.delivered(1, QueueOffset(3), 3, 4, Timestamp(6));
        progress.delivered(17, QueueOffset(1), 1, 4, Timestamp(7));
        let text = r#"{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":7},"offsetTable":{1:3,17:1}}"#;
        assert_eq!(progress.encode(), text);
        progress.file.save(|| progress.encode()).unwrap();
        let again = Progress::load(&folder.path().into(), Timestamp(8)).unwrap();
        assert_eq!(again.encode(), text);
        assert_eq!(again.offsets(), [(1, QueueOffset(3)), (17, QueueOffset(1))]);
    }

    #[test]
    fn the_file_of_a_java_broker_is_read() {
        let folder = tempfile::tempdir().unwrap();
        // Of 5.5.0; 4.9.7 writes no version.
        for text in [
            "{\n\t\"dataVersion\":{\n\t\t\"counter\":25,\n\t\t\"stateVersion\":0,\n\t\t\"timestamp\":1795255804827\n\t},\n\t\"offsetTable\":{\n\t\t1:8,\n\t\t18:0\n\t}\n}",
            "{\n\t\"offsetTable\":{1:8,18:0\n\t}\n}",
        ] {
            std::fs::write(folder.path().join("delayOffset.json"), text).unwrap();
            let progress = Progress::load(&folder.path().into(), Timestamp(0)).unwrap();
            assert_eq!(progress.offsets(), [(1, QueueOffset(8)), (18, QueueOffset(0))], "{text}");
        }
    }
}
