//! What a gateway does about a canary, carried out: it is asked every now and then by the thread of the
//! store, which may block.
//!
//! Acts are written against the key as it was read. What comes second is lost, and nothing is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::attendant::{Act, Attendant, CLOSELY, Complaint, Report, Sight, YOUNG};
use super::judge::Figures;
use super::meter::{Meter, Totals};
use super::{CanaryOutcome, Decision, SeenCanary};
use crate::control::etcd::{Etcd, EtcdFailure};
use crate::http::timestamp;
use crate::lifecycle::place::StorePlace;
use crate::lifecycle::store::PARTS_MAX;
use crate::lifecycle::store::record::{PushOutcome, StoreContents, stop};
use crate::lifecycle::store::status::StatusLine;
use crate::measure::stats::Counters;
use crate::sys;

/// How often a gateway says what it has measured, and one that tries a candidate asks the others, once it is
/// not [`YOUNG`] any more.
const REPORT: Duration = Duration::from_secs(5);
/// How often the others ask, to see who is silent.
const LOOK: Duration = Duration::from_secs(15);
/// An act that has come to nothing is tried again after this.
const AGAIN: Duration = Duration::from_secs(5);

pub struct Attendance {
    place: StorePlace,
    /// This gateway.
    name: String,
    meter: Meter,
    attendant: Attendant,
    /// The canary that this gateway obeys no more, whatever the store says.
    given_up: Arc<AtomicU64>,
    watched: Option<Watched>,
    /// What all gateways say; `None`: they could not be asked.
    reports: Option<BTreeMap<String, Report>>,
    asked: Option<Instant>,
    reported: Option<Instant>,
    /// The canary of which it was said that it cannot be decided here.
    warned: u64,
}

/// The canary that is under way.
struct Watched {
    seen: Arc<SeenCanary>,
    obeyed: bool,
    /// Why this gateway does not obey the candidate that it has read.
    refused: Option<String>,
    /// Since when it is obeyed here, or known, and what was counted by then.
    mark: (Instant, Totals),
    before: Figures,
    /// Why it was given up without the store.
    alone: Option<String>,
    acted: Option<Instant>,
}

impl Attendance {
    pub fn new(
        place: StorePlace,
        name: String,
        counters: Vec<Arc<Counters>>,
        given_up: Arc<AtomicU64>,
    ) -> Attendance {
        Attendance {
            place,
            attendant: Attendant::new(name.clone()),
            name,
            meter: Meter::new(counters),
            given_up,
            watched: None,
            reports: None,
            asked: None,
            reported: None,
            warned: 0,
        }
    }

    /// The configuration was read again, and this became of it.
    pub fn note(&mut self, status: &StatusLine, now: Instant) {
        let number = status.canary().map(|seen| seen.canary.number);
        let tried = self.watched.as_ref().filter(|watched| watched.obeyed);
        if tried.is_some_and(|tried| Some(tried.seen.canary.number) != number) {
            self.meter.forget();
        }
        let Some(seen) = status.canary().cloned() else {
            (self.watched, self.reports, self.asked) = (None, None, None);
            return;
        };
        let number = seen.canary.number;
        let (obeyed, refused) = (status.obeys(number), status.refusal().map(str::to_owned));
        match &mut self.watched {
            Some(watched) if watched.seen.canary.number == number && watched.obeyed == obeyed => {
                (watched.seen, watched.refused, watched.acted) = (seen, refused, None);
            }
            watched => {
                let alone = watched.take().filter(|it| it.seen.canary.number == number);
                let alone = alone.and_then(|watched| watched.alone);
                // What has ended since it was read is compared already.
                let mark = status.mark().cloned();
                let mark = mark.unwrap_or_else(|| (now, self.meter.totals()));
                let before = self.meter.before(&mark.1);
                let acted = None;
                *watched = Some(Watched { seen, obeyed, refused, mark, before, alone, acted });
                self.reported = None;
            }
        }
    }

    /// Whether the status key is to be written again.
    pub fn is_report_due(&self, now: Instant) -> bool {
        self.watched.as_ref().is_some_and(|watched| {
            self.reported.is_none_or(|last| now.duration_since(last) >= watched.pace(now))
        })
    }

    /// What this gateway says of the canary that is under way.
    pub fn report(&mut self, now: Instant) -> Option<Report> {
        let watched = self.watched.as_ref()?;
        self.reported = Some(now);
        Some(watched.report(&self.meter, now))
    }

    /// Does what is to be done, if the store lets it.
    pub fn attend(&mut self, etcd: &mut Etcd, now: Instant) -> Result<(), EtcdFailure> {
        self.meter.look(now);
        let Some(watched) = &self.watched else { return Ok(()) };
        let tries = watched.seen.canary.is_for(&self.name);
        let pause = if tries { watched.pace(now) } else { LOOK };
        if self.asked.is_none_or(|last| now.duration_since(last) >= pause) {
            self.asked = Some(now);
            self.reports = match reports(etcd, &self.place) {
                Ok(reports) => Some(reports),
                Err(failure @ EtcdFailure::Away(..)) => {
                    self.reports = None;
                    return Err(failure);
                }
                Err(failure) => {
                    log::warn!("{}: what the gateways say cannot be read: {failure}", self.place);
                    None
                }
            };
        }
        if watched.acted.is_some_and(|last| now.duration_since(last) < AGAIN) {
            return Ok(());
        }
        let seen = Arc::clone(&watched.seen);
        match self.decide(now) {
            Act::Nothing => return Ok(()),
            Act::Stop(why) => self.stop(etcd, &seen, why)?,
            Act::Promote => self.promote(etcd, &seen)?,
        }
        self.watched.iter_mut().for_each(|watched| watched.acted = Some(now));
        Ok(())
    }

    fn decide(&mut self, now: Instant) -> Act {
        let Some(watched) = &self.watched else { return Act::Nothing };
        if let Some(why) = &watched.alone {
            return Act::Stop(why.clone());
        }
        let mine = watched.report(&self.meter, now);
        self.attendant.decide(&watched.sight(&mine, self.reports.as_ref()), now)
    }

    /// The same while the store is away: whether the candidate is given up here, although nobody can be
    /// told.
    pub fn gives_up(&mut self, now: Instant) -> bool {
        self.meter.look(now);
        let Some(watched) = &mut self.watched else { return false };
        if watched.alone.is_some() {
            return false;
        }
        let mine = watched.report(&self.meter, now);
        // What the others have said last is old, and better than nothing.
        let sight = watched.sight(&mine, self.reports.as_ref());
        let Complaint::Stands(why) = self.attendant.complaint(&sight, now) else { return false };
        let number = watched.seen.canary.number;
        log::warn!("{}: change {number} is given up here: {why}", self.place);
        self.given_up.store(number, Ordering::Relaxed);
        watched.alone = Some(why);
        true
    }

    fn decision(&self, outcome: CanaryOutcome, why: String) -> Decision {
        let at = timestamp::written(sys::time_of_day().as_secs());
        Decision { outcome, by: self.name.clone(), at, why }
    }

    fn stop(&mut self, etcd: &mut Etcd, seen: &SeenCanary, why: String) -> Result<(), EtcdFailure> {
        let decision = self.decision(CanaryOutcome::Stopped, why);
        let written = stop(etcd, &self.place, &seen.canary, seen.revision, decision);
        self.tell_written(seen, written.map(drop))
    }

    fn promote(&mut self, etcd: &mut Etcd, seen: &SeenCanary) -> Result<(), EtcdFailure> {
        let mut contents = StoreContents::read(&self.place)?;
        if contents.canary.revision != seen.revision {
            return Ok(());
        }
        let why = format!("watched for {} s", seen.canary.watch_seconds);
        match contents.promote(self.decision(CanaryOutcome::Promoted, why)) {
            Err(EtcdFailure::Refused(why)) => {
                self.stop(etcd, seen, format!("it cannot be written: {why}"))
            }
            Ok(PushOutcome::Made(..)) => Ok(()),
            // Another one was first, or the parts have changed: both are seen in a moment.
            Ok(_) => Ok(()),
            Err(failure) => self.tell_written(seen, Err(failure)),
        }
    }

    /// Only a store that is away ends a watch.
    fn tell_written(
        &mut self,
        seen: &SeenCanary,
        written: Result<(), EtcdFailure>,
    ) -> Result<(), EtcdFailure> {
        let number = seen.canary.number;
        match written {
            Ok(()) => Ok(()),
            Err(failure @ EtcdFailure::Away(..)) => Err(failure),
            Err(failure) => {
                if std::mem::replace(&mut self.warned, number) != number {
                    log::warn!("{}: change {number} cannot be decided: {failure}", self.place);
                }
                Ok(())
            }
        }
    }
}

impl Watched {
    /// How often what is measured of it is told, and asked for by who tries it.
    fn pace(&self, now: Instant) -> Duration {
        // A second more than others count: who is told to be young says it closely.
        let is_young = now.saturating_duration_since(self.mark.0) < YOUNG + CLOSELY;
        if is_young { CLOSELY } else { REPORT }
    }

    fn report(&self, meter: &Meter, now: Instant) -> Report {
        let (since, totals) = &self.mark;
        Report {
            number: self.seen.canary.number,
            obeyed: self.obeyed && self.alone.is_none(),
            seconds: now.saturating_duration_since(*since).as_secs(),
            requests: meter.totals().requests().saturating_sub(totals.requests()),
            before: self.before.clone(),
            now: meter.since(&self.mark, now),
        }
    }

    fn sight<'a>(
        &'a self,
        mine: &'a Report,
        others: Option<&'a BTreeMap<String, Report>>,
    ) -> Sight<'a> {
        let SeenCanary { canary, holds, .. } = &*self.seen;
        Sight { canary, holds: *holds, refused: self.refused.as_deref(), mine, others }
    }
}

/// What the gateways say of a canary, by their names. What says something else is left out.
fn reports(etcd: &mut Etcd, place: &StorePlace) -> Result<BTreeMap<String, Report>, EtcdFailure> {
    let first = format!("{}/.status/", place.prefix);
    let end = format!("{}/.status0", place.prefix);
    let entries = etcd.range_of_any(&first, &end, PARTS_MAX)?.entries;
    Ok(entries
        .iter()
        .filter_map(|entry| {
            let mut told: serde_json::Value = serde_json::from_slice(&entry.value).ok()?;
            let report = serde_json::from_value(told.get_mut("canary")?.take()).ok()?;
            Some((entry.key.get(first.len()..)?.to_owned(), report))
        })
        .collect())
}
