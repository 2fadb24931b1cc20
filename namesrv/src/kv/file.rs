//! `kvConfig.json`. Java: `KVConfigSerializeWrapper`.

use std::io;
use std::path::{Path, PathBuf};

use remoting::body::fastjson;
use remoting::config::{SaveError, save_text};
use serde::{Deserialize, Serialize};

use super::Tables;

/// Why the key-value settings cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("read {}: {cause}", .path.display())]
    Read { path: PathBuf, cause: io::Error },
    #[error("{}: {cause}", .path.display())]
    Form { path: PathBuf, cause: serde_json::Error },
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Form {
    config_table: Tables,
}

/// No file is no settings. Java leaves a moment in which only the backup is there, so that is looked for, too.
pub(super) fn load(path: &Path) -> Result<Tables, LoadError> {
    let mut backup = path.as_os_str().to_owned();
    backup.push(".bak");
    for path in [path, Path::new(&backup)] {
        match std::fs::read(path) {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => {
                let form: Form =
                    fastjson::read(&bytes).map_err(|cause| LoadError::Form { path: path.into(), cause })?;
                return Ok(form.config_table);
            }
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(LoadError::Read { path: path.into(), cause }),
        }
    }
    Ok(Tables::default())
}

pub(super) fn save(path: &Path, tables: &Tables) -> Result<(), SaveError> {
    save_text(path, &fastjson::write(&Form { config_table: tables.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_form_reads_and_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kvConfig.json");
        assert_eq!(load(&path).unwrap(), Tables::default());

        let text = r#"{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"broker-a:4"},"empty":{}}}"#;
        std::fs::write(&path, text).unwrap();
        let tables = load(&path).unwrap();
        assert_eq!(tables["ORDER_TOPIC_CONFIG"]["T"], "broker-a:4");
        save(&path, &tables).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);

        std::fs::remove_file(&path).unwrap();
        assert_eq!(load(&path).unwrap(), tables, "from the backup");
    }

    #[test]
    fn a_file_of_another_form_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kvConfig.json");
        std::fs::write(&path, "{\"configTable\":[1]}").unwrap();
        assert!(load(&path).is_err());
    }
}
