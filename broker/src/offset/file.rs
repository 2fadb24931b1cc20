//! `config/consumerOffset.json`.

use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use remoting::body::{ConsumerOffsets, DataVersion, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::offset::GetAllConsumerOffset;
use remoting::router::{Call, Handle, Reply};
use remoting::types::Timestamp;

use super::table::Table;
use super::{OffsetError, Offsets};
use crate::persist;

/// Java's file: `{"dataVersion":{…},"offsetTable":{"topic@group":{queue:offset}}}`. What Java 5.5 writes beside these two
/// members (`groupTopicMap`, `pullOffsetTable`) it never reads, so neither is written here.
pub(super) struct OffsetFile {
    path: PathBuf,
    saved: Mutex<Saved>,
}

/// Held while saving, so that an older table never replaces a newer one.
struct Saved {
    /// Changes of the table that the file holds.
    changes: u64,
    version: DataVersion,
}

impl OffsetFile {
    pub(super) fn load(config_dir: &Path, now: Timestamp) -> Result<(Self, Table), OffsetError> {
        let path = config_dir.join("consumerOffset.json");
        let offsets = match persist::load(&path) {
            Some(text) => fastjson::read(text.as_bytes())
                .map_err(|cause| OffsetError::Parse { path: path.display().to_string(), cause })?,
            None => ConsumerOffsets { data_version: DataVersion::new(now), ..ConsumerOffsets::default() },
        };
        let saved = Mutex::new(Saved { changes: 0, version: offsets.data_version });
        Ok((Self { path, saved }, Table::from_java(offsets.offset_table)))
    }

    pub(super) fn save(&self, table: &Table, version_step: i64, now: Timestamp) -> Result<(), OffsetError> {
        let mut saved = self.saved.lock();
        // Before the table is read: what changes meanwhile is saved again next time.
        let changes = table.changes();
        if changes == saved.changes {
            return Ok(());
        }
        let version = version_after(&saved, changes, version_step, now);
        let offsets = ConsumerOffsets { data_version: version, offset_table: table.to_java() };
        persist::save(&self.path, &fastjson::write(&offsets))?;
        *saved = Saved { changes, version };
        Ok(())
    }

    fn version(&self) -> DataVersion {
        self.saved.lock().version
    }
}

/// Counts one version for every `step` commits. Java: `consumerOffsetUpdateVersionStep`.
fn version_after(saved: &Saved, changes: u64, step: i64, now: Timestamp) -> DataVersion {
    let step = u64::try_from(step).unwrap_or(1).max(1);
    let versions = (changes / step - saved.changes / step) as i64;
    match versions {
        0 => saved.version,
        _ => DataVersion { counter: saved.version.counter + versions, timestamp: now, ..saved.version },
    }
}

impl Handle<GetAllConsumerOffset> for Offsets {
    type Error = OffsetError;

    /// For a slave, which replaces its own table by this one. Java: `AdminBrokerProcessor.getAllConsumerOffset`.
    async fn handle(&self, _: Call<GetAllConsumerOffset>) -> Result<Reply<NoHeader>, OffsetError> {
        let offsets = ConsumerOffsets { data_version: self.file.version(), offset_table: self.table.to_java() };
        Ok(Reply::done().body(fastjson::write(&offsets)))
    }
}
