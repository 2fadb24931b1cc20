//! Writing what lies so in another broker's log: the log of a [slave](crate::copy).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use remoting::types::Timestamp;

use super::{CommitLog, Tail};
use crate::error::AppendError;
use crate::mmap::Writer;
use crate::segments;

impl Tail {
    /// Writes whole records behind the last one and shows them to readers; `hand_over` is told before anybody can confirm
    /// them. They fit into the file; where they end it, the next one follows. `stored`: time of the last one.
    ///
    /// # Errors
    /// They cannot be written; nothing has changed.
    pub(crate) fn copy(
        &mut self,
        log: &CommitLog,
        records: [&[u8]; 2],
        stored: Timestamp,
        hand_over: impl FnOnce(),
    ) -> Result<(), AppendError> {
        let mut before = Vec::new();
        let written = self.writer.write_parts(&*log.files, records).and_then(|()| {
            if self.writer.left() == 0 {
                before.push(self.leave(log)?);
            }
            Ok(())
        });
        if let Err(error) = written {
            self.take_back(log, before, records[0].len() + records[1].len())?;
            return Err(error.into());
        }
        self.publish(log, before);
        hand_over();
        log.moved(self, stored);
        Ok(())
    }

    /// Ends the file with a blank record and what lies behind it, zeros for the rest, and goes on in the next.
    ///
    /// # Errors
    /// As for [`Self::copy`].
    pub(crate) fn copy_blank(&mut self, log: &CommitLog, blank: &[u8]) -> Result<(), AppendError> {
        let (mut before, file) = (Vec::new(), Arc::clone(self.writer.file()));
        let written = self.writer.write(&*log.files, blank).and_then(|()| {
            // They are zeros, unless another broker has used the file: it is written to no more, and is to be equal.
            log.files.zero_range(file.file(), self.writer.position() as u64, file.len() as u64)?;
            before.push(self.leave(log)?);
            Ok(())
        });
        if let Err(error) = written {
            self.take_back(log, before, blank.len())?;
            return Err(error.into());
        }
        self.publish(log, before);
        log.moved(self, Timestamp(log.end_timestamp.load(Ordering::Acquire)));
        Ok(())
    }

    /// Has a log that holds nothing begin at `start`, behind where it begins now.
    ///
    /// # Errors
    /// [`AppendError::Poisoned`] if the store can no longer be used; else nothing has changed.
    pub(crate) fn begin_at(&mut self, log: &CommitLog, start: i64) -> Result<(), AppendError> {
        if self.writer.end() == start {
            return Ok(());
        }
        log.remove_preallocated()?;
        // One file takes the place of the other in one step: two would leave a gap, and none a log that begins at 0.
        let (old, path) = (Arc::clone(self.writer.file()), segments::path_of(&log.dir, start));
        let writer = Writer::new(&path, start, old.file().try_clone()?, 0)?;
        log.files.rename(old.path(), &path)?;
        self.writer = writer;
        self.asked_for_next = false;
        *log.segments.write() = [Arc::clone(self.writer.file())].into();
        log.end.store(start, Ordering::SeqCst);
        log.on_disk.advance(start);
        log.files.sync_dir(&log.dir).map_err(|_| AppendError::Poisoned)
    }
}
