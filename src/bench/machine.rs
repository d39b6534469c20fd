//! The machine under the measurement: what a reader needs to know before believing a number.

use std::fs;

use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// As the kernel calls it.
    pub cpu: Option<String>,
    pub cores: usize,
    /// The cores this process may run on.
    pub allowed: Vec<usize>,
    pub kernel: Option<String>,
    /// Of the first allowed core; `None` where frequency is not the kernel's business, as in most
    /// virtual machines.
    pub governor: Option<String>,
}

impl Machine {
    pub fn look() -> Machine {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let online = line("/sys/devices/system/cpu/online");
        let allowed = allowed(&status);
        let first = allowed.first().copied().unwrap_or(0);
        Machine {
            cpu: field(&cpuinfo, "model name"),
            cores: online.map_or(0, |list| cpu_list(&list).len()).max(1),
            kernel: line("/proc/sys/kernel/osrelease"),
            governor: line(&format!("/sys/devices/system/cpu/cpu{first}/cpufreq/scaling_governor")),
            allowed,
        }
    }
}

fn line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// The value of the first `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

fn allowed(status: &str) -> Vec<usize> {
    field(status, "Cpus_allowed_list").map(|list| cpu_list(&list)).unwrap_or_default()
}

/// `0-2,5` as the kernel writes sets of cores.
fn cpu_list(text: &str) -> Vec<usize> {
    let ranges = text.split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.trim().parse::<usize>().ok()?..=last.trim().parse().ok()?)
    });
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_cores_are_read() {
        assert_eq!(cpu_list("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(cpu_list("7"), [7]);
        assert_eq!(cpu_list(""), [0_usize; 0]);
        let status = "Name:\tx\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n";
        assert_eq!(allowed(status), [0, 1]);
    }

    #[test]
    fn this_machine_has_cores_and_a_kernel() {
        let machine = Machine::look();
        assert!(machine.cores >= 1 && !machine.allowed.is_empty(), "{machine:?}");
        assert!(machine.kernel.is_some_and(|kernel| !kernel.is_empty()));
    }
}
