//! Equal-sized files that follow each other, named by the offset of their first byte.
//!
//! Java: `MappedFileQueue`.

use std::fs;
use std::path::{Path, PathBuf};

use tracing::info;

use crate::error::StoreError;

/// Digits of a file name. Java: `UtilAll.offset2FileName`.
const NAME_DIGITS: usize = 20;

/// Where the file that starts at `start` lies.
pub(crate) fn path_of(dir: &Path, start: i64) -> PathBuf {
    dir.join(format!("{start:0NAME_DIGITS$}"))
}

/// First offset of every file in `dir`, ascending; none if there is no such folder.
///
/// Sub-folders are skipped; an empty last file, which a crash can leave behind, is removed.
///
/// # Errors
/// A file of another size or name, a gap, or failing I/O: such a store is not opened, as Java does not.
pub(crate) fn list(dir: &Path, file_bytes: u64, size_property: &'static str) -> Result<Vec<i64>, StoreError> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", dir)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(StoreError::io("list", dir))?;
        let metadata = entry.metadata().map_err(StoreError::io("look at", entry.path()))?;
        if metadata.is_dir() {
            continue;
        }
        let start = entry.file_name().to_str().and_then(|name| name.parse().ok()).filter(|start: &i64| *start >= 0);
        let start = start.ok_or_else(|| StoreError::FileName { path: entry.path() })?;
        found.push((start, metadata.len(), entry.path()));
    }
    found.sort_unstable();
    if let Some((_, 0, path)) = found.last() {
        info!(path = %path.display(), "remove empty last file");
        fs::remove_file(path).map_err(StoreError::io("remove", path))?;
        found.pop();
    }
    let mut expected = None;
    for (start, len, path) in &found {
        if *len != file_bytes {
            let (path, found) = (path.clone(), *len);
            return Err(StoreError::FileSize { path, found, expected: file_bytes, property: size_property });
        }
        if expected.is_some_and(|expected| expected != *start) {
            return Err(StoreError::Gap { path: path.clone() });
        }
        expected = Some(start + file_bytes as i64);
    }
    Ok(found.into_iter().map(|(start, ..)| start).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_files(names: &[(&str, usize)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, len) in names {
            fs::write(dir.path().join(name), vec![0; *len]).expect("a file");
        }
        dir
    }

    #[test]
    fn files_are_listed_in_order_and_an_empty_last_one_goes() {
        let dir =
            with_files(&[("00000000000000000200", 0), ("00000000000000000100", 100), ("00000000000000000000", 100)]);
        fs::create_dir(dir.path().join("folder")).expect("a folder");
        assert_eq!(list(dir.path(), 100, "p").expect("listed"), [0, 100]);
        assert!(!path_of(dir.path(), 200).exists());
        assert!(list(&dir.path().join("none"), 100, "p").expect("listed").is_empty());
    }

    #[test]
    fn other_sizes_names_and_gaps_are_refused() {
        let size = with_files(&[("00000000000000000000", 99)]);
        assert!(matches!(list(size.path(), 100, "p"), Err(StoreError::FileSize { found: 99, expected: 100, .. })));
        let name = with_files(&[("CURRENT", 100)]);
        assert!(matches!(list(name.path(), 100, "p"), Err(StoreError::FileName { .. })));
        let gap = with_files(&[("00000000000000000000", 100), ("00000000000000000200", 100)]);
        assert!(matches!(list(gap.path(), 100, "p"), Err(StoreError::Gap { .. })));
    }
}
