//! `config/consumerOffset.json` or, where there are light queues, `config/lmqConsumerOffset.json`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use remoting::body::{ConsumerOffsets, DataVersion, LightConsumerOffsets, fastjson};
use remoting::config::SaveError;
use remoting::header::NoHeader;
use remoting::protocol::offset::GetAllConsumerOffset;
use remoting::router::{Call, Handle, Reply};
use remoting::types::Timestamp;

use super::table::{self, Table};
use super::{OffsetError, Offsets};
use crate::persist::{Home, TableFile};

pub(crate) const FILE: &str = "consumerOffset.json";
const LIGHT_FILE: &str = "lmqConsumerOffset.json";

/// Java's file: `{"dataVersion":{…},"offsetTable":{"topic@group":{queue:offset}}}`.
///
/// What Java 5.5 writes beside these two members (`groupTopicMap`, `pullOffsetTable`) it never reads, so neither is
/// written here.
///
/// With `enableLmq`, Java uses another file instead, with the offsets of the groups of light queues in a member of their own
/// (`lmqOffsetTable`), and loses what the first one has. Here, a start that finds no such file goes on with the first.
pub(super) struct OffsetFile {
    file: TableFile,
    light: bool,
    commits: AtomicU64,
    version: Mutex<Version>,
}

struct Version {
    current: DataVersion,
    /// Commits that it counts.
    commits: u64,
}

impl OffsetFile {
    pub(super) fn load(home: &Home, light: bool, now: Timestamp) -> Result<(Self, Table), OffsetError> {
        let saved: Option<LightConsumerOffsets> = if light { home.load(LIGHT_FILE)? } else { None };
        let saved = saved.map_or_else(|| home.load(FILE), |saved| Ok(Some(saved)))?;
        let new = || LightConsumerOffsets { data_version: DataVersion::new(now), ..LightConsumerOffsets::default() };
        let LightConsumerOffsets { data_version, lmq_offset_table, offset_table } = saved.unwrap_or_else(new);
        let table = Table::from_java(offset_table);
        if light {
            table.add_light(lmq_offset_table);
        }
        let file = home.file(if light { LIGHT_FILE } else { FILE });
        let version = Mutex::new(Version { current: data_version, commits: 0 });
        Ok((Self { file, light, commits: AtomicU64::new(0), version }, table))
    }

    /// Notes that something committed has changed.
    pub(super) fn changed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.file.changed();
    }

    /// Notes that the table is the master's of this version.
    pub(super) fn copied(&self, current: DataVersion) {
        let mut version = self.version.lock();
        *version = Version { current, commits: self.commits.load(Ordering::Relaxed) };
        self.file.changed();
    }

    pub(super) fn step(&self) -> u64 {
        self.file.step()
    }

    /// Something was set back or removed: copies of an earlier version must not be taken for as good.
    pub(super) fn moved(&self, now: Timestamp) {
        let mut version = self.version.lock();
        version.current = version.current.next(now);
        drop(version);
        self.changed();
    }

    /// Time between two saves, if `interval` is wanted of a disk.
    pub(super) fn pace(&self, interval: Duration) -> Duration {
        self.file.pace(interval)
    }

    /// Whether a save has a group agree on the table.
    pub(super) fn is_agreed_on(&self) -> bool {
        self.file.is_agreed_on()
    }

    /// Writes the table if it has changed. Blocks.
    ///
    /// # Errors
    /// [`SaveError`]; the next save tries again.
    pub(super) fn save(&self, encode: impl FnOnce() -> String) -> Result<(), SaveError> {
        self.file.save(encode)
    }

    /// Grows by one for every `step` commits. Java: `consumerOffsetUpdateVersionStep`.
    fn version(&self, step: i64, now: Timestamp) -> DataVersion {
        let step = u64::try_from(step).unwrap_or(1).max(1);
        let commits = self.commits.load(Ordering::Relaxed);
        let mut version = self.version.lock();
        let grown = commits.saturating_sub(version.commits) / step;
        if grown > 0 {
            version.commits += grown * step;
            version.current.counter += grown as i64;
            version.current.timestamp = now;
        }
        version.current
    }
}

impl Offsets {
    pub(crate) fn version(&self) -> DataVersion {
        let step = self.ctx.settings().consumer_offset_update_version_step;
        self.file.version(step, self.ctx.clock.now())
    }

    /// The whole table in Java's form.
    pub(super) fn to_java(&self) -> String {
        let data_version = self.version();
        let mut offset_table = self.table.to_java();
        if !self.file.light {
            return fastjson::write(&ConsumerOffsets { data_version, offset_table });
        }
        let lmq_offset_table = table::take_light(&mut offset_table);
        fastjson::write(&LightConsumerOffsets { data_version, lmq_offset_table, offset_table })
    }
}

impl Handle<GetAllConsumerOffset> for Offsets {
    type Error = OffsetError;

    /// For a slave, which replaces its own table by this one. Java: `AdminBrokerProcessor.getAllConsumerOffset`.
    async fn handle(&self, _: Call<GetAllConsumerOffset>) -> Result<Reply<NoHeader>, OffsetError> {
        Ok(Reply::done().body(self.to_java()))
    }
}
