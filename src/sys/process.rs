//! What a process asks of the system for itself: a core per worker, and enough descriptors.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, getrlimit, kill_process_group, setrlimit,
    test_kill_process_group, waitpgid,
};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::signals::Order;
use crate::clock::Instant;

/// Unix seconds at the zero of the clock that [`super::now`] reads.
pub fn epoch() -> u64 {
    time_of_day().saturating_sub(super::now() - Instant::ZERO).as_secs()
}

/// The name of the host, if it has one that can stand in a key.
pub fn host_name() -> Option<String> {
    use std::io::Read;
    let mut name = String::new();
    let file = std::fs::File::open("/proc/sys/kernel/hostname").ok()?;
    file.take(256).read_to_string(&mut name).ok()?;
    let name = name.trim();
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (!name.is_empty() && name.bytes().all(good)).then(|| name.to_owned())
}

/// A name that no other process has at this moment: the host's, and the process id.
pub fn process_name() -> String {
    format!("{}-{}", host_name().unwrap_or_else(|| "host".to_owned()), std::process::id())
}

/// The time since 1970.
pub fn time_of_day() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Pins the calling thread to one core.
pub fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Raises RLIMIT_NOFILE to at least `needed`: the soft limit, and the hard one too where the
/// process may (CAP_SYS_RESOURCE). Gives back the limit in force if that is not enough.
pub fn raise_descriptor_limit(needed: u64) -> Result<(), u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed);
    if enough(current) {
        return Ok(());
    }
    let maximum = if enough(maximum) { maximum } else { Some(needed) };
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum });
    raised.map_err(|_| getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX))
}

/// Tells the process group of this leader to end; `kill`: ends it.
pub fn end_group(leader: u32, kill: bool) {
    let signal = if kill { Signal::KILL } else { Signal::TERM };
    if let Some(group) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // It may have ended by itself, which is as good.
        let _ = kill_process_group(group, signal);
    }
}

/// Reaps what has ended of the process group of this leader and is a child of ours, as all orphans are of the first
/// process of a container. Whether anybody is left.
pub fn reap_group(leader: u32) -> bool {
    let Some(group) = i32::try_from(leader).ok().and_then(Pid::from_raw) else { return false };
    while let Ok(Some(_)) = waitpgid(group, WaitOptions::NOHANG) {}
    test_kill_process_group(group).is_ok()
}

/// Passes a signal on to the process group of this leader.
pub fn order_group(leader: u32, order: Order) {
    let signal = match order {
        Order::End => Signal::TERM,
        Order::Reload => Signal::HUP,
        Order::HandOver => Signal::USR2,
    };
    if let Some(group) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, signal);
    }
}

/// A number that differs from one worker and one start of the process to the next. Not a secret.
pub fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // The standard library seeds this from the system's randomness.
    RandomState::new().hash_one(0)
}

/// A secret nobody can guess: 128 random bits in hex.
pub fn random_token() -> io::Result<String> {
    use std::io::Read;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
