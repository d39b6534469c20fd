//! The historian: a thread that looks at the workers' counters once a second.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::WorkerHandles;
use crate::config::snapshot::Snapshot;
use crate::observe::history::History;

/// How often.
const PERIOD: Duration = Duration::from_secs(1);

/// The configuration that is followed: it names the upstreams.
pub(super) type Followed = Arc<Mutex<Arc<Snapshot>>>;

/// Ends the thread when it is dropped.
#[derive(Debug)]
pub(super) struct Historian {
    _ends: mpsc::Sender<()>,
}

impl Historian {
    pub fn start(
        workers: WorkerHandles,
        history: Arc<History>,
        followed: Followed,
    ) -> io::Result<Historian> {
        let (ends, ended) = mpsc::channel::<()>();
        // What the first second brings is a difference to this.
        history.tick(&workers.counters, &in_flight(&workers, &followed));
        let look = move || {
            let mut due = Instant::now() + PERIOD;
            let left = |due: Instant| due.saturating_duration_since(Instant::now());
            while ended.recv_timeout(left(due)) == Err(RecvTimeoutError::Timeout) {
                due = (due + PERIOD).max(Instant::now());
                history.tick(&workers.counters, &in_flight(&workers, &followed));
            }
        };
        thread::Builder::new().name("history".into()).spawn(look)?;
        Ok(Historian { _ends: ends })
    }
}

/// How many exchanges are under way at each upstream.
fn in_flight(workers: &WorkerHandles, followed: &Followed) -> Vec<(String, u32)> {
    let snapshot = Arc::clone(&followed.lock().unwrap_or_else(PoisonError::into_inner));
    let loads = workers.loads.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let upstreams = snapshot.upstreams.iter();
    upstreams.map(|upstream| (upstream.name.clone(), loads.of(upstream).0.total())).collect()
}
