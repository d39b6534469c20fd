//! The thread that watches a store: it says when something has changed, and writes what became of it.

use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use super::canary::{self, attendance::Attendance};
use super::status::StatusLine;
use super::{may_pass, range_of};
use crate::control::etcd::{Etcd, EtcdFailure, Put, WatchEvent};
use crate::lifecycle::Chore;
use crate::lifecycle::place::StorePlace;
use crate::server::Control;

/// How long nothing may change before what has changed is read.
const QUIET: Duration = Duration::from_millis(100);
/// Who changes something all the time does not keep the rest from being read.
const QUIET_MAX: Duration = Duration::from_secs(1);
/// How often the thread looks whether it has something to write.
const LOOK: Duration = Duration::from_millis(250);
/// How often the store is asked whether it is there. A member that hangs, or has lost the others,
/// says nothing on a watch.
const PROBE: Duration = Duration::from_secs(5);
/// Without a word from the gateway its status is gone after this.
const LEASE_SECONDS: u64 = 20;
/// The pause after the first failure; it doubles with each.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);

pub(super) struct Watcher {
    place: StorePlace,
    /// This gateway's, in the status key.
    name: String,
    told: Receiver<StatusLine>,
    chores: Sender<Chore>,
    etcd: Etcd,
    /// Changes up to this revision are known to the lifecycle.
    known: i64,
    /// What is to be in the status key.
    status: Option<StatusLine>,
    /// It is not there yet.
    unwritten: bool,
    lease: Option<i64>,
    /// The user may not write it: said once.
    mute: bool,
    /// The store is away: said once.
    away: bool,
    control: Control,
    /// What is done about a canary.
    attendance: Attendance,
}

impl Watcher {
    pub fn new(
        place: StorePlace,
        name: String,
        told: Receiver<StatusLine>,
        chores: Sender<Chore>,
        control: Control,
        attendance: Attendance,
    ) -> Watcher {
        let etcd = Etcd::new(place.etcd.clone());
        Watcher {
            place,
            name,
            told,
            chores,
            etcd,
            // What was read at the start was the parts alone: all is looked at once more.
            known: 0,
            status: None,
            unwritten: false,
            lease: None,
            mute: false,
            away: false,
            control,
            attendance,
        }
    }

    /// Until the gateway ends.
    pub fn run(&mut self) {
        let mut pause = PAUSE;
        loop {
            let began = Instant::now();
            let Err(ended) = self.follow();
            match ended {
                Ended::Gateway => return,
                Ended::Anew => {
                    thread::sleep(LOOK);
                    continue;
                }
                Ended::Failed(failure) => self.note_failure(&failure),
            }
            if began.elapsed() > PAUSE_MAX {
                pause = PAUSE;
            }
            if self.wait(pause).is_err() {
                return;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Catches up with the store, and watches it until something is wrong.
    fn follow(&mut self) -> Result<Never, Ended> {
        let (first, end) = range_of(&self.place.prefix);
        let now = self.etcd.revision(&first)?;
        if std::mem::take(&mut self.away) {
            log::info!("{}: the store answers again", self.place);
        }
        if now != self.known {
            // Something has changed, here or elsewhere in the store. One that has gone back is another
            // store, or an older copy of this one.
            self.publish(now)?;
        }
        let canary = canary::key(&self.place);
        let behind = format!("{canary}\0");
        let parts = (first.as_str(), end.as_str());
        let mut watch = match self.etcd.range(&canary, &behind, 1) {
            // Whoever may not read it takes no part.
            Err(EtcdFailure::Denied(_)) => self.etcd.watch_all(&[parts], self.known + 1)?,
            Err(failure @ EtcdFailure::Away(..)) => return Err(failure.into()),
            // One that cannot be read is told by whoever reads it.
            _ => self.etcd.watch_all(&[parts, (&canary, &behind)], self.known + 1)?,
        };
        let member = self.etcd.member().to_owned();
        let mut probed = Instant::now();
        loop {
            match watch.next(LOOK).map_err(interrupted)? {
                WatchEvent::Changed(revision) => {
                    let mut last = revision;
                    let until = Instant::now() + QUIET_MAX;
                    while Instant::now() < until {
                        match watch.next(QUIET).map_err(interrupted)? {
                            WatchEvent::Changed(revision) => last = revision,
                            WatchEvent::Silence => break,
                            WatchEvent::Nothing(_) => {}
                            WatchEvent::Compacted => return Err(Ended::Anew),
                        }
                    }
                    self.publish(last)?;
                }
                WatchEvent::Compacted => {
                    log::info!("{}: changes were compacted away: read anew", self.place);
                    return Err(Ended::Anew);
                }
                WatchEvent::Nothing(revision) => self.known = self.known.max(revision),
                WatchEvent::Silence => {}
            }
            self.write_status()?;
            // One that drains has a successor, which speaks for both.
            if !self.control.is_draining() {
                self.attendance.attend(&mut self.etcd, Instant::now())?;
            }
            if probed.elapsed() >= PROBE {
                probed = Instant::now();
                self.etcd.revision(&first)?;
                self.keep_lease()?;
                if self.etcd.member() != member {
                    // The watched one does not answer, and need not know of any change.
                    return Err(Ended::Anew);
                }
            }
        }
    }

    /// Has the configuration read again: it knows everything up to this revision then.
    fn publish(&mut self, revision: i64) -> Result<(), Ended> {
        self.known = revision;
        self.chores.send(Chore::Changed).map_err(|_| Ended::Gateway)
    }

    /// Takes note of what became of what was read.
    fn hear(&mut self) -> Result<(), Ended> {
        loop {
            match self.told.try_recv() {
                Ok(status) => {
                    self.attendance.note(&status, Instant::now());
                    (self.status, self.unwritten) = (Some(status), true);
                }
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(Ended::Gateway),
            }
        }
    }

    /// Waits for the store, and looks after a candidate meanwhile.
    fn wait(&mut self, pause: Duration) -> Result<(), Ended> {
        let until = Instant::now() + pause;
        loop {
            self.attend_alone()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(LOOK));
        }
    }

    /// A candidate that serves worse is given up, though the store is away.
    fn attend_alone(&mut self) -> Result<(), Ended> {
        self.hear()?;
        match !self.control.is_draining() && self.attendance.gives_up(Instant::now()) {
            true => self.chores.send(Chore::Retreat).map_err(|_| Ended::Gateway),
            false => Ok(()),
        }
    }

    /// Writes the latest status, if there is one that the store does not have.
    fn write_status(&mut self) -> Result<(), Ended> {
        self.hear()?;
        let now = Instant::now();
        self.unwritten |= self.attendance.is_report_due(now) && !self.control.is_draining();
        let Some(status) = self.status.as_ref().filter(|_| self.unwritten && !self.mute) else {
            return Ok(());
        };
        let key = format!("{}/.status/{}", self.place.prefix, self.name);
        let value = status.json(&self.name, self.attendance.report(now).as_ref());
        let lease = match self.lease {
            Some(lease) => Ok(lease),
            None => self.etcd.lease(LEASE_SECONDS),
        };
        let written = lease.and_then(|lease| {
            self.lease = Some(lease);
            let put = Put { key: &key, value: value.as_bytes(), lease: Some(lease) };
            self.etcd.commit(&[], &[put], &[])
        });
        match written {
            Ok(_) => self.unwritten = false,
            Err(EtcdFailure::Denied(why)) => {
                self.mute = true;
                log::warn!("{}: this gateway's status is not told there: {why}", self.place);
            }
            // It may have lost its lease meanwhile.
            Err(EtcdFailure::Refused(_)) => self.lease = None,
            Err(failure) => return Err(failure.into()),
        }
        Ok(())
    }

    fn keep_lease(&mut self) -> Result<(), Ended> {
        let Some(lease) = self.lease else { return Ok(()) };
        if !self.etcd.keep_alive(lease)? {
            // One that drains has a successor, whose status is there already.
            (self.lease, self.unwritten) = (None, !self.control.is_draining());
        }
        Ok(())
    }

    fn note_failure(&mut self, failure: &EtcdFailure) {
        if !std::mem::replace(&mut self.away, true) {
            let why =
                if may_pass(failure) { "the store is away" } else { "the store is not watched" };
            log::error!("{}: {why}: {failure}; what is in force stays", self.place);
        }
    }
}

/// Why a watch is over.
enum Ended {
    /// Nobody wants to know any more.
    Gateway,
    /// It has to begin anew.
    Anew,
    Failed(EtcdFailure),
}

impl From<EtcdFailure> for Ended {
    fn from(failure: EtcdFailure) -> Ended {
        Ended::Failed(failure)
    }
}

/// A watch whose member goes away is begun with another one: only that tells whether the store is
/// there.
fn interrupted(failure: EtcdFailure) -> Ended {
    if may_pass(&failure) { Ended::Anew } else { Ended::Failed(failure) }
}

/// There is none.
enum Never {}
