//! Names: the names of endpoints are looked up again and again, for as long as they are configured.
//!
//! A name is asked for again when its time to live is over, after a second at least and after
//! `server.resolve` at most; one that has no address yet after a second, and then by and by less often, and not
//! before its zone says so. All a tenth more or less. What was found goes to whoever looks after the configuration; a look-up that fails changes
//! nothing there, and is told once, until one succeeds again.
//!
//! Look-ups block, so they have threads of their own, [`THREADS_MAX`] at most, which take the one
//! that is due next. A name server that does not answer holds up the names it is asked for, and no
//! others while there is a thread left.
//!
//! Invariant: a name is looked up by one thread at a time, so its answers come in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::dns::{LookedUp, LookupFailure};
use crate::proxy::random::Random;

#[cfg(test)]
mod tests;

/// What becomes of a look-up.
pub type Lookup = Result<LookedUp<SocketAddr>, LookupFailure>;

/// No name is looked up more often, whatever its time to live.
const AGAIN_MIN: Duration = Duration::from_secs(1);
/// Look-ups that may be under way at once.
const THREADS_MAX: usize = 4;
/// When a name without an address is looked up again, at first.
const SOON: Duration = Duration::from_secs(1);

/// The running look-ups.
pub struct Names {
    shared: Arc<Shared>,
    threads: usize,
}

struct Shared {
    board: Mutex<Board>,
    /// The board has changed.
    changed: Condvar,
    resolve: Box<dyn Fn(&str) -> Lookup + Send + Sync>,
    publish: Box<dyn Fn(String, Vec<SocketAddr>) + Send + Sync>,
}

struct Board {
    jobs: BTreeMap<String, Job>,
    /// `None`: names are looked up when the configuration is read, and not again.
    interval: Option<Duration>,
    random: Random,
    stopped: bool,
}

struct Job {
    /// It has had an address.
    known: bool,
    /// The last look-up has failed, and that has been told.
    failing: bool,
    /// The pause before the next one, while it has no address.
    pause: Duration,
    due: Instant,
    running: bool,
    /// It is still configured.
    wanted: bool,
}

impl Names {
    /// `publish` is called on a thread of the look-ups, with what was found.
    pub fn new(
        seed: u64,
        resolve: impl Fn(&str) -> Lookup + Send + Sync + 'static,
        publish: impl Fn(String, Vec<SocketAddr>) + Send + Sync + 'static,
    ) -> Names {
        let random = Random::new(seed);
        let board = Board { jobs: BTreeMap::new(), interval: None, random, stopped: false };
        let shared = Shared {
            board: Mutex::new(board),
            changed: Condvar::new(),
            resolve: Box::new(resolve),
            publish: Box::new(publish),
        };
        Names { shared: Arc::new(shared), threads: 0 }
    }

    /// Looks these up from now on, each every `interval`. They have just been looked up, those in
    /// `unknown` in vain.
    pub fn follow(
        &mut self,
        names: BTreeSet<String>,
        unknown: &BTreeSet<String>,
        interval: Option<Duration>,
    ) -> io::Result<()> {
        let wanted = {
            let mut board = self.shared.board();
            let Board { jobs, random, .. } = &mut *board;
            let now = Instant::now();
            for (name, job) in jobs.iter_mut() {
                job.wanted = names.contains(name);
            }
            jobs.retain(|_, job| job.wanted || job.running);
            for name in names {
                let known = !unknown.contains(&name);
                let interval = interval.unwrap_or(SOON);
                let pause = if known { interval } else { SOON.min(interval) };
                let due = now + random.jittered(pause);
                let (running, wanted) = (false, true);
                let new = Job { known, failing: !known, pause: SOON, due, running, wanted };
                let job = jobs.entry(name).or_insert(new);
                job.known |= known;
                job.due = job.due.min(due);
            }
            board.interval = interval;
            match interval {
                Some(_) => board.jobs.len().min(THREADS_MAX),
                None => 0,
            }
        };
        while self.threads < wanted {
            let shared = Arc::clone(&self.shared);
            let name = format!("names-{}", self.threads);
            thread::Builder::new().name(name).spawn(move || shared.work())?;
            self.threads += 1;
        }
        self.shared.changed.notify_all();
        Ok(())
    }
}

/// Ends the look-ups. One that is under way cannot be called off; its thread ends when it does.
impl Drop for Names {
    fn drop(&mut self) {
        self.shared.board().stopped = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        // Nothing is left half done by a panic: every change of the board is a few stores.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread: the name that is due next, over and over.
    fn work(&self) {
        while let Some(name) = self.next() {
            let found = (self.resolve)(&name);
            self.conclude(&name, &found);
            if let Ok(found) = found {
                (self.publish)(name.clone(), found.records);
            }
            // Only now may it be looked up again: answers are published in their order.
            self.look_up_is_over(&name);
            self.changed.notify_one();
        }
    }

    /// Waits for a name to be due. `None`: it is over.
    fn next(&self) -> Option<String> {
        let mut board = self.board();
        loop {
            if board.stopped {
                return None;
            }
            let now = Instant::now();
            let asked = board.interval.is_some();
            let waiting =
                board.jobs.iter_mut().filter(|(_, job)| asked && job.wanted && !job.running);
            let wait = match waiting.min_by_key(|(_, job)| job.due) {
                Some((name, job)) if job.due <= now => {
                    job.running = true;
                    return Some(name.clone());
                }
                Some((_, job)) => job.due - now,
                // Whoever ends one, or brings one, tells.
                None => Duration::from_secs(3_600),
            };
            board =
                self.changed.wait_timeout(board, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn look_up_is_over(&self, name: &str) {
        let mut board = self.board();
        match board.jobs.get_mut(name) {
            Some(job) if job.wanted => job.running = false,
            _ => drop(board.jobs.remove(name)),
        }
    }

    /// Says when the name is due again, and tells of a change.
    fn conclude(&self, name: &str, lookup: &Lookup) {
        let mut board = self.board();
        let Board { jobs, interval, random, .. } = &mut *board;
        let (Some(job), Some(interval)) = (jobs.get_mut(name), *interval) else { return };
        job.known |= lookup.is_ok();
        let failure = lookup.as_ref().err();
        let bounded = |ttl: Duration| ttl.max(AGAIN_MIN).min(interval);
        let pause = match (lookup, job.known) {
            (Ok(found), _) => found.ttl.map_or(interval, bounded),
            (Err(LookupFailure::Nothing(again)), true) => bounded(*again),
            (Err(LookupFailure::Failed(_)), true) => interval,
            (Err(failure), false) => {
                let pause = job.pause.min(interval);
                job.pause = pause * 2;
                match failure {
                    LookupFailure::Nothing(again) => pause.max(bounded(*again)),
                    LookupFailure::Failed(_) => pause,
                }
            }
        };
        job.due = Instant::now() + random.jittered(pause);
        match failure {
            Some(error) if !std::mem::replace(&mut job.failing, true) => log::warn!(
                "the name {name:?} cannot be looked up: {error}; the addresses it had are kept"
            ),
            None if std::mem::replace(&mut job.failing, false) => {
                log::info!("the name {name:?} is found");
            }
            _ => {}
        }
    }
}
