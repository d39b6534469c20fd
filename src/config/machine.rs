//! The machine: what it grants this process of descriptors and of memory.
//!
//! Asked for by the defaults alone. A figure that cannot be found out shrinks nothing.

use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::files;

/// What the kernel tells in one of its files is never longer.
const TEXT_MAX: u64 = 64 << 10;

/// How many descriptors the process can have, if it wants so many: all of them where the hard limit
/// allows it, or can be raised (CAP_SYS_RESOURCE), else what the hard limit says.
pub fn descriptors(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match maximum {
        Some(maximum) if maximum < wanted => {
            let raised = setrlimit(Resource::Nofile, Rlimit { current, maximum: Some(wanted) });
            if raised.is_ok() { wanted } else { maximum }
        }
        _ => wanted,
    }
}

/// Bytes of memory: what the machine has, or less where a cgroup says so. `None`: nobody knows.
pub fn memory() -> Option<u64> {
    let whole = total(&text(Path::new("/proc/meminfo"))?)?;
    let ours = text(Path::new("/proc/self/cgroup")).unwrap_or_default();
    Some(granted(Path::new("/sys/fs/cgroup"), &ours).map_or(whole, |granted| granted.min(whole)))
}

/// `MemTotal` of `/proc/meminfo`, which is in KiB.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The least that a cgroup of ours, or one above it, may have; version 2 first, then version 1.
fn granted(root: &Path, ours: &str) -> Option<u64> {
    let limits = ours.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next().unwrap_or(""), parts.next().unwrap_or("/"));
        let (base, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            one if one.split(',').any(|one| one == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        // In a container the path may be one of the host's, which is not to be seen here.
        let group = base.join(group.trim_start_matches('/'));
        let above = group.ancestors().take_while(|one| one.starts_with(&base));
        above.map(|folder| folder.join(file)).collect::<Vec<PathBuf>>()
    });
    limits.filter_map(|file| text(&file)?.trim().parse().ok()).min()
}

fn text(path: &Path) -> Option<String> {
    String::from_utf8(files::read(path, TEXT_MAX).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(total("MemTotal:       16318440 kB\nMemFree: 1 kB\n"), Some(16318440 * 1024));
        for none in ["", "MemTotal: much", "MemFree: 1 kB\n"] {
            assert_eq!(total(none), None, "{none}");
        }
    }

    #[test]
    fn the_least_of_the_cgroups_above_us_counts() {
        let root = std::env::temp_dir().join(format!("sluicegate-cgroup-{}", std::process::id()));
        let inner = root.join("a/b");
        fs::create_dir_all(&inner).expect("a temporary folder");
        fs::write(root.join("a/memory.max"), "536870912\n").expect("a file");
        fs::write(inner.join("memory.max"), "max\n").expect("a file");
        let old = root.join("memory/c");
        fs::create_dir_all(&old).expect("a temporary folder");
        fs::write(old.join("memory.limit_in_bytes"), "1048576\n").expect("a file");
        assert_eq!(granted(&root, "0::/a/b\n"), Some(512 << 20));
        assert_eq!(granted(&root, "0::/elsewhere\n"), None);
        assert_eq!(granted(&root, "5:cpu,cpuacct:/c\n4:memory:/c\n"), Some(1 << 20));
        fs::remove_dir_all(&root).expect("it was made here");
    }

    #[test]
    fn what_is_there_is_granted() {
        assert_eq!(descriptors(3), 3);
        assert!(memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
