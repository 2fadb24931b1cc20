//! A bound on the memory of a broker, the page cache of its files included: a control group of its own, of either version.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where systems have the first and the second version of control groups.
const V1: &str = "/sys/fs/cgroup/memory";
const V2: &str = "/sys/fs/cgroup";

/// A group with a limit; it goes when it is dropped, which has to be after its processes are gone.
#[derive(Debug)]
pub(crate) struct MemoryBound(PathBuf);

impl MemoryBound {
    /// # Errors
    /// Control groups are not there, or not for us to make.
    pub(crate) fn new(bytes: u64) -> Result<Self> {
        let v2 = Path::new(V2).join("cgroup.controllers").exists();
        let (root, limit) = if v2 { (V2, "memory.max") } else { (V1, "memory.limit_in_bytes") };
        let dir = Path::new(root).join(format!("ferromq-bench-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("make the control group {}", dir.display()))?;
        let group = Self(dir);
        let path = group.0.join(limit);
        fs::write(&path, bytes.to_string()).with_context(|| format!("write {}", path.display()))?;
        Ok(group)
    }

    /// Puts a process into it. What it has used before stays where it was counted.
    pub(crate) fn take(&self, process: u32) -> Result<()> {
        fs::write(self.0.join("cgroup.procs"), process.to_string()).context("put the broker into its control group")
    }
}

impl Drop for MemoryBound {
    fn drop(&mut self) {
        // Its last process may be going still; what stays behind is an empty group.
        let _ = fs::remove_dir(&self.0);
    }
}
