//! How much memory this process may use.

use std::fs;
use std::path::{Path, PathBuf};

/// Where control groups are, of the second version, and of the first for memory; and the files with the limit of a group and with
/// what it uses, the page cache of its files included.
const GROUPS: [(&str, &str, &str); 2] = [
    ("/sys/fs/cgroup", "memory.max", "memory.current"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
];

/// So many percent of the memory, in bytes.
pub(crate) fn percent(percent: u32) -> i64 {
    i64::try_from(bytes() / 100 * u64::from(percent)).unwrap_or(i64::MAX)
}

/// Physical memory, or what the container or control group of this process may use of it.
fn bytes() -> u64 {
    bound().map_or_else(physical, |bound| bound.limit)
}

fn physical() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(info.mem_unit.into())
}

/// A control group that may not use all memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) limit: u64,
    use_file: PathBuf,
}

impl Bound {
    pub(crate) fn used(&self) -> Option<u64> {
        fs::read_to_string(&self.use_file).ok()?.trim().parse().ok()
    }
}

/// The tightest bound of this process.
pub(crate) fn bound() -> Option<Bound> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let bounds = bounds(&groups, |path| fs::read_to_string(path).ok());
    bounds.filter(|bound| bound.limit < physical()).min_by_key(|bound| bound.limit)
}

/// Those of the groups that `/proc/self/cgroup` names, and of those around them. In a container its names may be those of the
/// machine, where only the container's own group can be seen, as the first one.
fn bounds(groups: &str, read: impl Fn(&Path) -> Option<String>) -> impl Iterator<Item = Bound> {
    let (version_2, version_1) = (line(groups, |kinds| kinds.is_empty()), line(groups, |kinds| kinds == "memory"));
    let files = GROUPS.into_iter().zip([version_2, version_1]).flat_map(|((root, limit, used), group)| {
        let group = Path::new(group.trim_start_matches('/')).to_owned();
        let around = group.ancestors().map(|group| Path::new(root).join(group));
        around.map(|group| (group.join(limit), group.join(used))).collect::<Vec<_>>()
    });
    files.filter_map(move |(limit, use_file)| Some(Bound { limit: read(&limit)?.trim().parse().ok()?, use_file }))
}

/// The group of a line whose controllers are these.
fn line(groups: &str, is_for: impl Fn(&str) -> bool) -> &str {
    let lines = groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    lines.filter(|(kinds, _)| kinds.split(',').any(&is_for)).map(|(_, group)| group).next().unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits_of(groups: &str, files: &[(&str, &str)]) -> Vec<u64> {
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        };
        bounds(groups, read).map(|bound| bound.limit).collect()
    }

    #[test]
    fn the_group_of_the_process_and_those_around_it_count() {
        let files = [
            ("/sys/fs/cgroup/system.slice/broker.service/memory.max", "2147483648\n"),
            ("/sys/fs/cgroup/system.slice/memory.max", "max\n"),
            ("/sys/fs/cgroup/other/memory.max", "5\n"),
        ];
        assert_eq!(limits_of("0::/system.slice/broker.service\n", &files), [2 << 30]);
    }

    #[test]
    fn both_versions_are_known_and_what_a_container_sees_is_enough() {
        let groups = "7:cpu,cpuacct:/a\n5:memory:/docker/c0ffee\n0::/\n";
        let limit = "/sys/fs/cgroup/memory/docker/c0ffee/memory.limit_in_bytes";
        assert_eq!(limits_of(groups, &[(limit, "4096")]), [4096]);
        assert_eq!(limits_of(groups, &[("/sys/fs/cgroup/memory/memory.limit_in_bytes", "8192")]), [8192]);
        assert_eq!(limits_of("", &[("/sys/fs/cgroup/memory.max", "1024")]), [1024]);
        assert!(limits_of(groups, &[]).is_empty());
    }
}
