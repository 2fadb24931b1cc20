//! The disk operations whose failure the store must survive, or whose effect a crash may undo, behind a trait so that tests
//! can make them fail, and forget.

use std::fmt::Debug;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FallocateFlags;

use crate::signal::Signal;

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    ForDisk,
    None,
}

/// The disk as the store's writers see it.
pub(crate) trait Files: Debug + Send + Sync {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Writes all of both parts, one behind the other, the first at `offset`.
    fn write_parts_at(&self, file: &File, parts: [&[u8]; 2], mut offset: u64) -> io::Result<()> {
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            self.write_at(file, part, offset)?;
            offset += part.len() as u64;
        }
        Ok(())
    }

    /// Returns once the written bytes of `file` are on disk.
    fn sync_data(&self, file: &File) -> io::Result<()>;

    /// As [`create_sized`].
    fn create_sized(&self, path: &Path, bytes: u64, reserve: bool) -> io::Result<File> {
        create_sized(path, bytes, reserve)
    }

    /// As [`zero_range`].
    fn zero_range(&self, file: &File, from: u64, end: u64) -> io::Result<()> {
        zero_range(file, from, end)
    }

    /// As [`remove_file`].
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        remove_file(path)
    }

    /// Gives a file another name in its folder, where nothing has that.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// As [`sync_dir`].
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        sync_dir(dir)
    }

    /// Returns once all that was written to the file system of `dir` is on disk, where that can be had in one call.
    ///
    /// # Errors
    /// `Unsupported` if it cannot; else the disk failed.
    fn sync_file_system(&self, dir: &Path) -> io::Result<()> {
        let _ = dir;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What tells a file or folder, as it is now, from every other and from itself after a change.
    fn stamp(&self, path: &Path) -> io::Result<Stamp> {
        let found = fs::metadata(path)?;
        let changed_ns = changed_ns(&found);
        Ok(Stamp { device: found.dev(), inode: found.ino(), changed_ns })
    }

    /// What tells this boot of the machine from all others: what was written since is there, whatever became of processes.
    ///
    /// # Errors
    /// It cannot be told.
    fn boot(&self) -> io::Result<String> {
        Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
    }

    /// As [`moment_after_all`].
    fn moment_after_all(&self, file: &File) -> io::Result<i64> {
        moment_after_all(file)
    }

    /// Takes the blocks of the first `bytes` of `file` from the disk now, so that writing them cannot run out of space. A
    /// file system that cannot do that is left as it is.
    fn reserve(&self, file: &File, bytes: u64) -> io::Result<()> {
        reserve_blocks(file, bytes)
    }

    /// Used share of the disk that holds `path`, 0 to 1; −1 if that cannot be told.
    /// Java: `UtilAll.getDiskPartitionSpaceUsedPercent`.
    fn used_share(&self, path: &Path) -> f64 {
        match rustix::fs::statvfs(path) {
            Ok(disk) if disk.f_blocks > 0 => {
                let used = disk.f_blocks.saturating_sub(disk.f_bfree) as f64;
                // As `df` has it: what is kept for root counts neither as used nor as free.
                used / (used + disk.f_bavail as f64)
            }
            _ => -1.0,
        }
    }

    /// Bytes of the disk that holds `path`; 0 if that cannot be told.
    fn capacity(&self, path: &Path) -> u64 {
        rustix::fs::statvfs(path).map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize))
    }
}

/// A file or folder at one time. Nobody can set `changed_ns`, when its content, its name, its owner or its modes were changed
/// last: not who copies it, nor who sets its other times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Nanoseconds since 1970.
    pub(crate) changed_ns: i64,
}

impl Stamp {
    /// Whether both are of one file that was not changed between. The device may have got another number.
    pub(crate) fn is_same_file_unchanged(&self, other: &Self) -> bool {
        (self.inode, self.changed_ns) == (other.inode, other.changed_ns)
    }
}

fn changed_ns(found: &Metadata) -> i64 {
    found.ctime().saturating_mul(1_000_000_000).saturating_add(found.ctime_nsec())
}

/// A moment, in nanoseconds since 1970, that is later than the time of every change before this call to the file system that
/// holds `file`, and not later than that of any change after it. Writes to the start of the file.
///
/// # Errors
/// The file system's clock stands still, or I/O fails.
pub(crate) fn moment_after_all(file: &File) -> io::Result<i64> {
    /// The clock of a file system may go in steps as long as this.
    const STEP_MAX: Duration = Duration::from_secs(2);
    const PAUSE: Duration = Duration::from_millis(1);
    let touch = || {
        file.write_all_at(&[0], 0)?;
        Ok::<_, io::Error>(changed_ns(&file.metadata()?))
    };
    let (before, since) = (touch()?, Instant::now());
    loop {
        let now = touch()?;
        if now > before {
            return Ok(now);
        }
        if since.elapsed() > STEP_MAX {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the file system's clock stands still"));
        }
        Signal::default().wait(Some(PAUSE));
    }
}

/// Whether a write failed because the disk, or what this user may take of it, is full.
pub(crate) fn is_out_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The machine's disk.
#[derive(Debug)]
pub(crate) struct RealFiles;

impl Files for RealFiles {
    fn sync_file_system(&self, dir: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(dir)?)?)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn write_parts_at(&self, file: &File, parts: [&[u8]; 2], offset: u64) -> io::Result<()> {
        if parts[0].is_empty() || parts[1].is_empty() {
            return file.write_all_at(if parts[0].is_empty() { parts[1] } else { parts[0] }, offset);
        }
        write_all_vectored_at(file, &mut parts.map(IoSlice::new), offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

fn write_all_vectored_at(file: &File, mut parts: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    while !parts.is_empty() {
        match rustix::io::pwritev(file, parts, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                IoSlice::advance_slices(&mut parts, written);
                offset += written as u64;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Creates `path` with `bytes` zero bytes; with `reserve`, their blocks are taken from the disk now, so that writing them
/// cannot run out of space. A file system that cannot reserve gives a sparse file.
pub(crate) fn create_sized(path: &Path, bytes: u64, reserve: bool) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    let sized = if reserve { reserve_blocks(&file, bytes) } else { Ok(()) };
    let sized = sized.and_then(|()| file.set_len(bytes));
    if let Err(error) = sized {
        // A file of another size would keep the store from opening. If this fails as well, the file is empty, which is
        // taken away at the next start.
        let _ = file.set_len(0);
        let _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(file)
}

fn reserve_blocks(file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes the bytes of `file` from `from` to `end` read as zero, cheaply where the file system can.
pub(crate) fn zero_range(file: &File, from: u64, end: u64) -> io::Result<()> {
    if from >= end {
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE, from, end - from) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_zeros(file, from, end),
        Err(error) => Err(error.into()),
    }
}

fn write_zeros(file: &File, from: u64, end: u64) -> io::Result<()> {
    const CHUNK: usize = 64 << 10;
    let (zeros, mut found) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut at = from;
    while at < end {
        let len = CHUNK.min(usize::try_from(end - at).unwrap_or(CHUNK));
        // Holes of a sparse file stay holes.
        file.read_exact_at(&mut found[..len], at)?;
        if found[..len] != zeros[..len] {
            file.write_all_at(&zeros[..len], at)?;
        }
        at += len as u64;
    }
    Ok(())
}

/// Whether the bytes of `file` from `from` to `end` read as zero, as far as that can be told cheaply: free space behind what
/// was written was never given to the file.
pub(crate) fn is_zero_behind(file: &File, from: u64, end: u64) -> io::Result<bool> {
    const BLOCK_BYTES: u64 = 4096;
    let block_end = from.next_multiple_of(BLOCK_BYTES).min(end);
    if block_end < end {
        match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(block_end)) {
            Ok(data) if data < end => return Ok(false),
            Ok(_) | Err(rustix::io::Errno::NXIO) => {}
            Err(_) => return Ok(false),
        }
    }
    let mut rest = vec![0; usize::try_from(block_end.saturating_sub(from)).unwrap_or(0)];
    file.read_exact_at(&mut rest, from)?;
    Ok(rest.iter().all(|byte| *byte == 0))
}

/// Makes creations, renames and removals in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Removes a file; one that is not there is as good as removed.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
