//! What lies in a store's folders, found without the settings of its broker: sizes are those of the files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Problem;

/// One file of a log or a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) start: i64,
    pub(crate) len: u64,
}

impl Segment {
    pub(crate) fn end(&self) -> i64 {
        self.start + self.len as i64
    }
}

/// Files that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segments {
    pub(crate) list: Vec<Segment>,
}

impl Segments {
    /// Lists a folder; what does not fit is a problem, and left out.
    pub(crate) fn find(dir: &Path, problems: &mut Vec<Problem>) -> io::Result<Self> {
        let mut list = Vec::new();
        for path in entries(dir)?.into_iter().filter(|path| path.is_file()) {
            let len = fs::metadata(&path)?.len();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            match name.parse().ok().filter(|start: &i64| *start >= 0) {
                Some(_) if len == 0 => problems.push(Problem::new(path.display(), "the file is empty")),
                Some(start) => list.push(Segment { path, start, len }),
                None => problems.push(Problem::new(path.display(), "the name is no offset of 20 digits")),
            }
        }
        list.sort_by_key(|segment| segment.start);
        let size = list.first().map_or(0, |first| first.len);
        for segment in list.iter().filter(|segment| segment.len != size) {
            let what = format!("the file has {} bytes, where those before it have {size}", segment.len);
            problems.push(Problem::new(segment.path.display(), what));
        }
        for pair in list.windows(2).filter(|pair| pair[0].end() != pair[1].start) {
            let what = format!("files from {} to {} are missing before it", pair[0].end(), pair[1].start);
            problems.push(Problem::new(pair[1].path.display(), what));
        }
        Ok(Self { list })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.list.iter().map(|segment| segment.len).sum()
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.list.first().map_or(0, |first| first.len)
    }
}

/// Paths in a folder, sorted; none if there is no such folder.
pub(crate) fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = match fs::read_dir(dir) {
        Ok(found) => found.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    found.sort();
    Ok(found)
}

pub(crate) fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
