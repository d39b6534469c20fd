//! How long something took, and how much of it the machine is to blame for.
//!
//! An upper bound of time is a claim about the gateway, and on a busy machine every thread waits for
//! a CPU. The kernel counts these waits, so a test can leave them out: [`Stopwatch::spent`] says how
//! long something took beside them. A lower bound needs none of it, and goes by the clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::process::Pid;

/// Started before what it measures.
pub struct Stopwatch {
    began: Instant,
    process: Pid,
    waits: HashMap<String, u64>,
}

impl Stopwatch {
    /// Leaves out what the threads of `process`, a gateway or a mock, wait for a CPU, and those of the
    /// tests.
    pub fn of(process: Pid) -> Stopwatch {
        Stopwatch { waits: waits(process), process, began: Instant::now() }
    }

    pub fn began(&self) -> Instant {
        self.began
    }

    /// By the clock.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Until now, waits for a CPU left out.
    pub fn spent(&self) -> Duration {
        self.spent_until(Instant::now())
    }

    /// Until `end`, a moment before now, waits for a CPU left out.
    pub fn spent_until(&self, end: Instant) -> Duration {
        end.saturating_duration_since(self.began).saturating_sub(self.waited())
    }

    /// What all these threads have waited for a CPU until now.
    pub fn waited(&self) -> Duration {
        let waited = waits(self.process).into_iter().map(|(thread, now)| {
            now.saturating_sub(self.waits.get(&thread).copied().unwrap_or_default())
        });
        Duration::from_nanos(waited.sum())
    }
}

/// For each thread, the nanoseconds in which it could have run and had no CPU.
fn waits(process: Pid) -> HashMap<String, u64> {
    let mut waits = HashMap::new();
    for process in ["self".to_owned(), process.as_raw_nonzero().to_string()] {
        // It may have ended.
        let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { continue };
        for thread in threads.flatten() {
            let stat = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let waited = stat.split_whitespace().nth(1).and_then(|waited| waited.parse().ok());
            let name = thread.path().to_string_lossy().into_owned();
            waits.insert(name, waited.unwrap_or_default());
        }
    }
    waits
}
