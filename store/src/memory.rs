//! How much memory this process may use.

use std::fs;
use std::path::Path;

/// Where control groups are, of the second version, and of the first for memory; and the file with the limit of a group.
const GROUPS: [(&str, &str); 2] =
    [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")];

/// So many percent of the memory, in bytes.
pub(crate) fn percent(percent: u32) -> i64 {
    i64::try_from(bytes() / 100 * u64::from(percent)).unwrap_or(i64::MAX)
}

/// Physical memory, or what the container or control group of this process may use of it.
fn bytes() -> u64 {
    let info = rustix::system::sysinfo();
    let machine = info.totalram.saturating_mul(info.mem_unit.into());
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limits(&groups, |path| fs::read_to_string(path).ok()).fold(machine, u64::min)
}

/// The limits of the groups that `/proc/self/cgroup` names, and of those around them. In a container its names may be those of
/// the machine, where only the container's own group can be seen, as the first one.
fn limits(groups: &str, read: impl Fn(&Path) -> Option<String>) -> impl Iterator<Item = u64> {
    let (version_2, version_1) = (line(groups, |kinds| kinds.is_empty()), line(groups, |kinds| kinds == "memory"));
    let files = GROUPS.into_iter().zip([version_2, version_1]).flat_map(|((root, file), group)| {
        let group = Path::new(group.trim_start_matches('/')).to_owned();
        let around: Vec<_> = group.ancestors().map(|group| Path::new(root).join(group).join(file)).collect();
        around
    });
    files.filter_map(move |file| read(&file)?.trim().parse().ok())
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
        limits(groups, read).collect()
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
