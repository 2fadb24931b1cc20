//! Deleted files of the log, from the removal of their name until their space is given back.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::Retention;
use crate::mmap::MappedFile;

/// Bytes given back at once. Freeing a file of 1 GiB in one go keeps the file system's journal, and with it every flush
/// of the log, busy for as long as that takes.
const STEP_BYTES: u64 = 64 << 20;
/// Pause between two steps.
const STEP_PAUSE: Duration = Duration::from_millis(10);

/// Files without a name. Readers may hold slices of them, and a mapped file must not shrink under its readers: the process
/// would die of it. So each stays whole until the last slice is gone; then nobody can come to it any more, it is unmapped
/// and shrunk from its end, here, and not on the thread that happened to drop the last slice.
#[derive(Debug, Default)]
pub(super) struct Graves(Vec<Grave>);

#[derive(Debug)]
struct Grave {
    file: Arc<MappedFile>,
    since: Instant,
    reported: bool,
}

impl Graves {
    pub(super) fn add(&mut self, file: Arc<MappedFile>) {
        self.0.push(Grave { file, since: Instant::now(), reported: false });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives back the space of those that nobody reads any more, and reports those that are read for too long.
    ///
    /// `pause` waits between two steps; it says whether to go on taking small ones.
    pub(super) fn give_back(&mut self, settings: &Retention, mut pause: impl FnMut(Duration) -> bool) {
        for Grave { file, since, mut reported } in std::mem::take(&mut self.0) {
            let path = file.path().to_owned();
            match MappedFile::unmap(file) {
                Ok(file) => {
                    if let Err(error) = shrink(&file, &mut pause) {
                        // It goes in one step then, when it is closed.
                        info!(path = %path.display(), %error, "shrink a deleted file");
                    }
                }
                Err(file) => {
                    if !reported && since.elapsed() >= settings.readers_patience {
                        warn!(path = %path.display(), "a deleted file is still being read: its space is not free yet");
                        reported = true;
                    }
                    self.0.push(Grave { file, since, reported });
                }
            }
        }
    }
}

fn shrink(file: &File, pause: &mut impl FnMut(Duration) -> bool) -> io::Result<()> {
    let mut left = file.metadata()?.len();
    while left > STEP_BYTES {
        left -= STEP_BYTES;
        file.set_len(left)?;
        if !pause(STEP_PAUSE) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_that_is_read_stays_whole_until_its_last_slice_is_gone() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("0");
        let len = 2 * STEP_BYTES + 1;
        let mut file = File::create(&path).expect("a file");
        file.write_all(b"still here").expect("written");
        file.set_len(len).expect("sparse");
        let mapped = MappedFile::open(&path, 0).expect("mapped");
        let handle = File::open(&path).expect("a handle");
        let slice = mapped.slice(0..10).expect("a slice");
        std::fs::remove_file(&path).expect("removed");

        let mut graves = Graves::default();
        graves.add(mapped);
        let mut steps = 0;
        let mut count = |_| {
            steps += 1;
            true
        };
        graves.give_back(&Retention::default(), &mut count);
        assert_eq!((handle.metadata().expect("a file").len(), graves.is_empty()), (len, false));
        assert_eq!(slice, "still here");
        drop(slice);
        graves.give_back(&Retention::default(), &mut count);
        assert_eq!((handle.metadata().expect("a file").len(), graves.is_empty(), steps), (1, true, 2));
    }
}
