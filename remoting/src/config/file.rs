//! Small files that are replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that could not be replaced; the old one is as it was.
#[derive(Debug, thiserror::Error)]
#[error("save {}: {cause}", .path.display())]
pub struct SaveError {
    pub path: PathBuf,
    pub cause: io::Error,
}

/// Replaces a file so that a crash leaves the old or the new one, never a part; the old one is kept as `<file>.bak`.
///
/// Blocks for as long as the disk takes.
///
/// # Errors
/// [`SaveError`]. Java: `MixAll.string2File`, which has a moment without either file.
pub fn save_text(path: &Path, text: &str) -> Result<(), SaveError> {
    replace(path, text).map_err(|cause| SaveError { path: path.to_owned(), cause })
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let fresh = beside(path, ".tmp");
    let mut file = File::create(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    match fs::copy(path, beside(path, ".bak")) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    fs::rename(&fresh, path)?;
    File::open(folder)?.sync_all()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_kept_as_backup() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/kv.json");
        for text in ["one", "two", "three"] {
            save_text(&path, text).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert_eq!(fs::read_to_string(beside(&path, ".bak")).unwrap(), "two");
        assert!(!beside(&path, ".tmp").exists());
    }
}
