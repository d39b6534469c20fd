//! CPU and memory of a process, as the kernel accounts for them.
//!
//! * CPU comes from `schedstat` of every thread, in nanoseconds of time on a core: user, kernel and
//!   the interrupts that hit it. `stat` counts in hundredths of a second and would be too coarse.
//! * Memory is PSS from `smaps_rollup`: pages shared with others count in part. Socket buffers are
//!   the kernel's and are in no process.
//! * A thread that ends takes its account with it, so a process that starts threads for its work
//!   looks cheaper than it is.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Time of one or more threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// On a core.
    pub running: Duration,
    /// Ready to run, while somebody else had the core.
    pub waiting: Duration,
}

impl CpuTime {
    pub fn since(self, earlier: CpuTime) -> CpuTime {
        CpuTime {
            running: self.running.saturating_sub(earlier.running),
            waiting: self.waiting.saturating_sub(earlier.waiting),
        }
    }
}

/// All threads of a process; `None` if there is no such process, or we may not look.
pub fn cpu_of(pid: u32) -> Option<CpuTime> {
    let mut total = CpuTime::default();
    let mut threads = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        // A thread may end between the listing and here.
        if let Some(time) = read_schedstat(&task.path().join("schedstat")) {
            total.running += time.running;
            total.waiting += time.waiting;
            threads += 1;
        }
    }
    (threads > 0).then_some(total)
}

/// The calling thread.
pub fn own_cpu() -> Option<CpuTime> {
    read_schedstat(Path::new("/proc/thread-self/schedstat"))
}

/// Proportional set size in bytes.
pub fn memory_of(pid: u32) -> Option<u64> {
    parse_pss(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
}

fn read_schedstat(path: &Path) -> Option<CpuTime> {
    parse_schedstat(&fs::read_to_string(path).ok()?)
}

/// `running waiting timeslices`, the first two in nanoseconds.
fn parse_schedstat(text: &str) -> Option<CpuTime> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    let running = Duration::from_nanos(numbers.next()?.ok()?);
    let waiting = Duration::from_nanos(numbers.next()?.ok()?);
    Some(CpuTime { running, waiting })
}

fn parse_pss(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedstat_is_read() {
        let time = parse_schedstat("320966 36851 1\n").expect("three numbers");
        assert_eq!((time.running.as_nanos(), time.waiting.as_nanos()), (320_966, 36_851));
        assert_eq!(parse_schedstat("12"), None);
        assert_eq!(parse_schedstat("a b c"), None);
    }

    #[test]
    fn proportional_memory_is_found_among_the_rest() {
        let rollup = "560da70f1000-7ffe ---p 00000000 00:00 0 [rollup]\n\
                      Rss:                1732 kB\nPss:                 234 kB\nPss_Dirty: 1 kB\n";
        assert_eq!(parse_pss(rollup), Some(234 * 1024));
        assert_eq!(parse_pss("Rss: 1 kB\n"), None);
    }

    #[test]
    fn this_process_has_an_account_and_a_process_that_cannot_be_has_none() {
        let pid = std::process::id();
        assert!(cpu_of(pid).is_some() && own_cpu().is_some());
        assert!(memory_of(pid).is_some_and(|bytes| bytes > 0));
        assert_eq!((cpu_of(u32::MAX), memory_of(u32::MAX)), (None, None));
    }
}
