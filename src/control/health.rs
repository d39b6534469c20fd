//! Active health checks: asks every endpoint how it is, and says when that has changed.
//!
//! A check is a `GET` of `health.path` on a connection of its own: whether an endpoint takes a new
//! connection is half of the question. It never goes through a route, so no model is asked and
//! nothing is counted as traffic. What it means for requests is decided in `proxy::health`.
//!
//! Checks block, so they have threads of their own: one for each endpoint, [`THREADS_MAX`] at most,
//! which take the check that is due next. An endpoint that does not answer holds one thread for
//! `health.timeout`, and that is never longer than its interval; only when more than
//! [`THREADS_MAX`] hang at once do the checks of others come late.
//!
//! The first check of an endpoint is made at once, the next ones an interval apart, a tenth more
//! or less: gateways that were started together do not go on asking together.
//!
//! Invariant: an endpoint is checked by one thread at a time, and its changes are published in
//! their order.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::config::snapshot::{
    ActivePlugin, EndpointId, HealthCheck, TlsDialer, Upstream, UpstreamId,
};
use crate::control::client::{AskFailure, host_of, path_at};
use crate::http::field_rules::FieldRules;
use crate::proxy::health::{Health, HealthStatus};
use crate::proxy::random::Random;

mod check;

#[cfg(test)]
mod tests;

/// Checks that may be under way at once.
pub const THREADS_MAX: usize = 16;

/// From a check to the next, of an endpoint that others say to fail.
const HURRY: Duration = Duration::from_secs(1);

/// An endpoint to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckTarget {
    /// The same endpoint in another generation of the configuration has the same one.
    pub endpoint: EndpointId,
    /// The upstream's id and name.
    pub upstream: (UpstreamId, String),
    pub address: SocketAddr,
    /// How it is dialled where it speaks TLS.
    pub tls: Option<Arc<TlsDialer>>,
    /// What `Host` says.
    pub host: String,
    /// What is changed in the fields of its requests, a key that it wants among it.
    pub rules: Option<Arc<FieldRules>>,
    pub settings: HealthCheck,
    /// The plugin that looks at the answers.
    pub probe: Option<ActivePlugin>,
}

/// A verdict that takes an endpoint out or brings it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub target: Arc<CheckTarget>,
    pub verdict: HealthStatus,
    /// What the last check failed for, if it did.
    pub failure: Option<AskFailure>,
}

/// The running checks.
pub struct HealthChecks {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    board: Mutex<Board>,
    /// The board has changed.
    changed: Condvar,
    publish: Box<dyn Fn(Change) + Send + Sync>,
}

struct Board {
    jobs: Vec<Job>,
    /// Jobs so far, those that are gone included.
    made: u64,
    random: Random,
    stopped: bool,
}

struct Job {
    /// Tells a job from one that had its target before.
    id: u64,
    target: Arc<CheckTarget>,
    health: Health,
    due: Instant,
    running: bool,
    /// So many checks that fail are followed by another one soon.
    hurries: u32,
}

impl CheckTarget {
    /// Every endpoint of an upstream, if it is to be checked at all.
    pub fn of<'s>(
        upstream: &'s Upstream,
        plugins: &'s [ActivePlugin],
    ) -> impl Iterator<Item = CheckTarget> + 's {
        let settings = upstream.health.iter();
        settings.flat_map(move |settings| {
            upstream.endpoints.iter().filter_map(move |endpoint| {
                Some(CheckTarget {
                    endpoint: endpoint.id,
                    upstream: (upstream.id, upstream.name.clone()),
                    // Without one there is nobody to be asked.
                    address: endpoint.address?,
                    tls: endpoint.tls.clone(),
                    host: host_of(upstream, endpoint),
                    rules: upstream.request_headers.rules.clone(),
                    settings: HealthCheck {
                        path: path_at(endpoint, &settings.path),
                        ..settings.clone()
                    },
                    probe: settings.plugin.and_then(|index| plugins.get(index)).cloned(),
                })
            })
        })
    }
}

impl HealthChecks {
    /// Checks these from now on. `publish` is called on a thread of the checks.
    pub fn start(
        targets: impl IntoIterator<Item = CheckTarget>,
        seed: u64,
        publish: impl Fn(Change) + Send + Sync + 'static,
    ) -> io::Result<HealthChecks> {
        let random = Random::new(seed);
        let board = Board { jobs: Vec::new(), made: 0, random, stopped: false };
        let shared = Shared {
            board: Mutex::new(board),
            changed: Condvar::new(),
            publish: Box::new(publish),
        };
        let mut checks = HealthChecks { shared: Arc::new(shared), threads: Vec::new() };
        checks.retarget(targets)?;
        Ok(checks)
    }

    /// Checks these instead. An endpoint that stays keeps its verdict and its place in time, and
    /// what is found of one that is gone is dropped.
    pub fn retarget(&mut self, targets: impl IntoIterator<Item = CheckTarget>) -> io::Result<()> {
        let wanted = {
            let mut board = self.shared.board();
            let mut old = std::mem::take(&mut board.jobs);
            let now = Instant::now();
            for target in targets {
                let kept = old.iter().position(|job| job.target.endpoint == target.endpoint);
                let job = match kept.map(|at| old.swap_remove(at)) {
                    Some(job) => {
                        let due = job.due.min(now + target.settings.interval);
                        Job { target: Arc::new(target), due, ..job }
                    }
                    None => {
                        board.made += 1;
                        Job::new(board.made, target, now)
                    }
                };
                board.jobs.push(job);
            }
            board.jobs.len().min(THREADS_MAX)
        };
        while self.threads.len() < wanted {
            let shared = Arc::clone(&self.shared);
            let name = format!("health-{}", self.threads.len());
            self.threads.push(thread::Builder::new().name(name).spawn(move || shared.work())?);
        }
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Others say that this one fails: it is checked at once, and where that fails, about once a second until
    /// there is a verdict. A check that passes ends that.
    pub fn hurry(&self, endpoint: EndpointId) {
        let mut board = self.shared.board();
        let known = |job: &&mut Job| job.target.endpoint == endpoint;
        if let Some(job) = board.jobs.iter_mut().find(known)
            && job.health.verdict() != HealthStatus::Unwell
        {
            job.hurries = job.target.settings.unhealthy;
            job.due = Instant::now();
            self.shared.changed.notify_all();
        }
    }

    /// The verdicts as they stand: for those who were not there when they changed.
    pub fn verdicts(&self) -> Vec<(Arc<CheckTarget>, HealthStatus)> {
        let board = self.shared.board();
        let verdict = |job: &Job| (Arc::clone(&job.target), job.health.verdict());
        board.jobs.iter().map(verdict).collect()
    }
}

/// Ends the checks. One that is under way is waited for, no longer than its timeout.
impl Drop for HealthChecks {
    fn drop(&mut self) {
        self.shared.board().stopped = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // It has panicked, and said so.
            let _ = thread.join();
        }
    }
}

impl Job {
    fn new(id: u64, target: CheckTarget, due: Instant) -> Job {
        Job { id, target: Arc::new(target), health: Health::new(), due, running: false, hurries: 0 }
    }
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        // Nothing is left half done by a panic: every change of the board is a few stores.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread: the check that is due next, over and over.
    fn work(&self) {
        while let Some((id, target)) = self.next() {
            let started = Instant::now();
            let failure = check::check(&target).err();
            let Some(verdict) = self.conclude(id, failure.is_none(), started) else { continue };
            // Before the job may run again: changes are published in their order.
            if let Some(verdict) = verdict {
                (self.publish)(Change { target, verdict, failure });
            }
            self.check_is_over(id);
        }
    }

    /// Waits for a check to be due. `None`: it is over.
    fn next(&self) -> Option<(u64, Arc<CheckTarget>)> {
        let mut board = self.board();
        loop {
            if board.stopped {
                return None;
            }
            let now = Instant::now();
            let waiting = board.jobs.iter_mut().filter(|job| !job.running);
            let wait = match waiting.min_by_key(|job| job.due) {
                Some(job) if job.due <= now => {
                    job.running = true;
                    return Some((job.id, Arc::clone(&job.target)));
                }
                Some(job) => job.due - now,
                // All are being checked. Whoever ends one tells.
                None => Duration::from_secs(3_600),
            };
            board =
                self.changed.wait_timeout(board, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Counts a check. The new verdict if it has changed; `None` if nobody wants to know.
    fn conclude(&self, id: u64, passed: bool, started: Instant) -> Option<Option<HealthStatus>> {
        let mut board = self.board();
        let Board { jobs, random, stopped, .. } = &mut *board;
        let job = jobs.iter_mut().find(|job| job.id == id && !*stopped)?;
        let settings = &job.target.settings;
        job.hurries = if passed { 0 } else { job.hurries.saturating_sub(1) };
        let pause = if job.hurries > 0 { settings.interval.min(HURRY) } else { settings.interval };
        job.due = started + random.jittered(pause);
        Some(job.health.record(passed, settings))
    }

    fn check_is_over(&self, id: u64) {
        if let Some(job) = self.board().jobs.iter_mut().find(|job| job.id == id) {
            job.running = false;
        }
        self.changed.notify_one();
    }
}
