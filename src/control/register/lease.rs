//! The thread that keeps a key in the store, under a lease.
//!
//! Nothing here ends a server: a store that is away is asked again, by and by less often, and a lease
//! that was lost is followed by another one.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::control::etcd::{Etcd, EtcdFailure, Put};
use crate::proxy::random::Random;

/// The pause after the first failure; it doubles with each.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Whether the key is to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    There,
    Gone,
}

/// A key, and what is to be in it.
pub struct LeasedKey {
    etcd: Etcd,
    key: String,
    value: String,
    seconds: u64,
    /// What the store has given.
    lease: Option<i64>,
    /// The key was written under that lease.
    written: bool,
    /// The store is away: said once.
    away: bool,
    random: Random,
}

impl LeasedKey {
    pub fn new(etcd: Etcd, key: String, value: String, seconds: u64, seed: u64) -> LeasedKey {
        // A member that hangs must not take the time that the lease has.
        let etcd = etcd.within(Duration::from_secs(seconds) / 3);
        let (lease, written, away, random) = (None, false, false, Random::new(seed));
        LeasedKey { etcd, key, value, seconds, lease, written, away, random }
    }

    /// Keeps the key as it is wished, until nobody wishes any more. `gone` is called each time that
    /// the store has confirmed that it is gone.
    pub fn keep(&mut self, wishes: &Receiver<Wish>, gone: impl Fn()) {
        let mut wish = Wish::Gone;
        let mut told = true;
        let (mut pause, mut due) = (PAUSE, Instant::now());
        loop {
            let wait = match wish {
                Wish::Gone if told => Duration::from_secs(3_600),
                _ => due.saturating_duration_since(Instant::now()),
            };
            match wishes.recv_timeout(wait) {
                Ok(new) => {
                    told &= new == wish;
                    (wish, pause) = (new, PAUSE);
                    // The latest counts.
                    while let Ok(later) = wishes.try_recv() {
                        wish = later;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let done = match wish {
                Wish::There => self.hold(),
                Wish::Gone => self.let_go(),
            };
            match done {
                Ok(()) => {
                    self.note_answer();
                    pause = PAUSE;
                    due = Instant::now()
                        + self.random.jittered(Duration::from_secs(self.seconds) / 3);
                    if wish == Wish::Gone && !std::mem::replace(&mut told, true) {
                        gone();
                    }
                }
                Err(failure) => {
                    self.note_failure(&failure);
                    due = Instant::now() + self.random.jittered(pause);
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Sees to it that the key is there, and stays for the time of the lease.
    fn hold(&mut self) -> Result<(), EtcdFailure> {
        if let Some(lease) = self.lease {
            if !self.etcd.keep_alive(lease)? {
                log::warn!("{}: its lease was lost", self.key);
                (self.lease, self.written) = (None, false);
            } else if self.written && !self.is_there()? {
                log::warn!("{}: somebody has taken it out", self.key);
                self.written = false;
            }
        }
        let lease = match self.lease {
            Some(lease) => lease,
            None => *self.lease.insert(self.etcd.lease(self.seconds)?),
        };
        if !self.written {
            let put = Put { key: &self.key, value: self.value.as_bytes(), lease: Some(lease) };
            match self.etcd.commit(&[], &[put], &[]) {
                Ok(_) => {}
                Err(failure) => {
                    // The lease may be what is wrong.
                    if matches!(failure, EtcdFailure::Refused(_)) {
                        self.lease = None;
                    }
                    return Err(failure);
                }
            }
            self.written = true;
            log::info!("{}: registered, on a lease of {} s", self.key, self.seconds);
        }
        Ok(())
    }

    /// A store that was restored from a copy has the lease and not the key.
    fn is_there(&mut self) -> Result<bool, EtcdFailure> {
        let end = format!("{}\0", self.key);
        Ok(!self.etcd.range(&self.key, &end, 1)?.entries.is_empty())
    }

    fn let_go(&mut self) -> Result<(), EtcdFailure> {
        let Some(lease) = self.lease else { return Ok(()) };
        match self.etcd.revoke(lease) {
            // A lease that the store does not know has ended.
            Ok(()) | Err(EtcdFailure::Refused(_)) => {}
            Err(failure) => return Err(failure),
        }
        (self.lease, self.written) = (None, false);
        log::info!("{}: withdrawn", self.key);
        Ok(())
    }

    fn note_answer(&mut self) {
        if std::mem::take(&mut self.away) {
            log::info!("{}: the store answers again", self.key);
        }
    }

    fn note_failure(&mut self, failure: &EtcdFailure) {
        if !std::mem::replace(&mut self.away, true) {
            log::error!("{}: {failure}; it is tried again", self.key);
        }
    }
}
