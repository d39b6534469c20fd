//! Keys of a store: one for each server, below `PREFIX/.endpoints/SERVICE/`.
//!
//! They are listed, and listed again when a watch says that one of them has changed: put, taken out, or
//! gone with its lease. So a watch that was compacted away, or a member that was lost, costs a listing
//! and no change. A member that hangs is found out by a question to the whole store now and then.
//!
//! A key that makes no sense is told once and left out; the others hold.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{FoundMember, Provider, Stop, Trouble};
use crate::config::members;
use crate::config::snapshot::{EtcdSource, MEMBERS_MAX};
use crate::control::etcd::{Etcd, EtcdFailure, StoredKey, Watch, WatchEvent};

/// How often it is looked whether anybody still wants to know.
const LOOK: Duration = Duration::from_millis(250);
/// From one listing to the next, at least: a change is listed at once, and those that follow it together.
pub(super) const LIST: Duration = Duration::from_millis(100);
/// From the beginning of a watch to the next one, at least: one that ends at once is not begun at once.
const BEGIN: Duration = Duration::from_millis(500);
/// How often the store is asked whether it is there.
pub(super) const PROBE: Duration = Duration::from_secs(2);
/// For one member of the store.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);
/// No value of a key is longer.
const VALUE_BYTES_MAX: usize = 64 << 10;

pub(super) struct EtcdProvider {
    etcd: Etcd,
    first: String,
    end: String,
    running: Option<RunningWatch>,
    known: Option<Vec<FoundMember>>,
    /// Keys that make no sense, at the revisions at which that was told.
    told: BTreeSet<(String, i64)>,
}

/// A watch, and the member of the store that it is with.
struct RunningWatch {
    watch: Watch,
    member: String,
    probed: Instant,
    began: Instant,
    listed: Instant,
}

impl EtcdProvider {
    pub fn new(source: &EtcdSource) -> EtcdProvider {
        let EtcdSource { place, service } = source;
        EtcdProvider {
            etcd: Etcd::new(place.etcd.clone()).within(TIMEOUT),
            first: format!("{}/.endpoints/{service}/", place.prefix),
            end: format!("{}/.endpoints/{service}0", place.prefix),
            running: None,
            known: None,
            told: BTreeSet::new(),
        }
    }

    /// Lists the keys. The revision at which the store held them.
    fn list(&mut self) -> Result<(i64, Vec<FoundMember>), EtcdFailure> {
        let listing = self.etcd.range_of_any(&self.first, &self.end, MEMBERS_MAX)?;
        let mut found = Vec::with_capacity(listing.entries.len());
        let mut told = BTreeSet::new();
        for entry in &listing.entries {
            match member(entry) {
                Ok(member) => found.push(member),
                Err(why) => {
                    let here = (entry.key.clone(), entry.revision);
                    if !self.told.contains(&here) {
                        log::warn!("{}: {:?} is no endpoint: {why}", self.first, entry.key);
                    }
                    told.insert(here);
                }
            }
        }
        self.told = told;
        found.sort();
        found.dedup();
        Ok((listing.revision, found))
    }

    /// Waits for a change, and lists. `None`: what is there is known.
    fn step(&mut self, stop: &Stop) -> Result<Option<Vec<FoundMember>>, EtcdFailure> {
        // Whether the store is there, when a watch is over, is found out by listing.
        if !self.change(stop).unwrap_or(false)
            && let Some(ended) = self.running.take()
        {
            stop.wait(BEGIN.saturating_sub(ended.began.elapsed()));
        }
        if stop.is_stopped() {
            return Ok(None);
        }
        let (revision, found) = self.list()?;
        let now = Instant::now();
        match &mut self.running {
            Some(running) => running.listed = now,
            None => {
                let watch = self.etcd.watch(&self.first, &self.end, revision + 1)?;
                let member = self.etcd.member().to_owned();
                self.running =
                    Some(RunningWatch { watch, member, probed: now, began: now, listed: now });
            }
        }
        if self.known.as_ref() == Some(&found) {
            return Ok(None);
        }
        self.known = Some(found.clone());
        Ok(Some(found))
    }

    /// Waits for a change. `false`: there was none, and it is to stop, or has to be listed anew.
    fn change(&mut self, stop: &Stop) -> Result<bool, EtcdFailure> {
        let Some(running) = &mut self.running else { return Ok(false) };
        while !stop.is_stopped() {
            match running.watch.next(LOOK)? {
                WatchEvent::Changed(_) => return running.settle(),
                WatchEvent::Compacted => break,
                WatchEvent::Nothing(_) | WatchEvent::Silence => {}
            }
            if running.probed.elapsed() >= PROBE {
                running.probed = Instant::now();
                self.etcd.revision(&self.first)?;
                if self.etcd.member() != running.member {
                    // The watched one does not answer, and need not know of any change.
                    break;
                }
            }
        }
        Ok(false)
    }
}

impl RunningWatch {
    /// Takes what else changes until the keys may be listed again. `false`: it is over.
    fn settle(&mut self) -> Result<bool, EtcdFailure> {
        loop {
            let left = LIST.saturating_sub(self.listed.elapsed());
            if left.is_zero() {
                return Ok(true);
            }
            if self.watch.next(left)? == WatchEvent::Compacted {
                return Ok(false);
            }
        }
    }
}

/// The member that a key tells of: a JSON object, or an address.
fn member(entry: &StoredKey) -> Result<FoundMember, String> {
    if entry.value.len() > VALUE_BYTES_MAX {
        return Err(format!("it is longer than {} KiB", VALUE_BYTES_MAX >> 10));
    }
    let text =
        std::str::from_utf8(&entry.value).map_err(|error| format!("it is no UTF-8: {error}"))?;
    members::read_one(text)
}

impl Provider for EtcdProvider {
    fn watch(&mut self, stop: &Stop) -> Result<Vec<FoundMember>, Trouble> {
        while !stop.is_stopped() {
            match self.step(stop) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(failure) => {
                    // What comes next is told even if it is what was known: the store is there again.
                    (self.running, self.known) = (None, None);
                    return Err(Trouble::new(failure.to_string()));
                }
            }
        }
        Ok(Vec::new())
    }
}
