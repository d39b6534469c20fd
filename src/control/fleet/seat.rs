//! The keys of this gateway in the store of its fleet, and what is read of the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::limits::GateLimits;
use super::load::LoadMeter;
use super::verdicts::VerdictSources;
use crate::clock::Instant;
use crate::config::snapshot::Gate;
use crate::config::store::StorePlace;
use crate::control::etcd::{Etcd, EtcdFailure, Listing, Put, StoredKey, Unchanged};
use crate::fleet::hints::{BrokenEndpoints, Hints};
use crate::fleet::limit::Amounts;
use crate::fleet::member::{FleetMember, FleetStep, HoldingsWrite, Unless};
use crate::fleet::report::MemberReport;
use crate::fleet::view::{Era, FleetView, era_json, era_of, holdings_json, holdings_of};
use crate::observe::fleet::{ClockDifference, FleetKnowledge, FleetState, SeenMember};
use crate::proxy::random::Random;
use crate::sys;

/// Members that are read, at most. Each has two keys.
const MEMBERS_MAX: usize = 2_000;
/// How often a round is tried again at once, when others have written at the same time.
const TRIES: usize = 5;
const SOON: Duration = Duration::from_millis(20);
/// A report in which only the load is another is not written more often: a store keeps every change until
/// it is compacted.
const NEWS: Duration = Duration::from_secs(10);
/// One in which other endpoints are broken is written as soon as that is known, but not sooner than so long after
/// the last: who flaps does not write all the time.
const VERDICT_NEWS: Duration = Duration::from_secs(2);

/// The store does not answer, or will not. It has been told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed;

pub(super) struct FleetSeat {
    place: StorePlace,
    etcd: Etcd,
    ttl: Duration,
    member: FleetMember,
    limits: GateLimits,
    load: LoadMeter,
    /// What the store has given, and when it was last kept alive.
    lease: Option<(i64, Instant)>,
    /// What was said last, on that lease, and when.
    said: Option<(MemberReport, Instant)>,
    draining: bool,
    /// `None`: what is found of endpoints is kept to ourselves.
    verdicts: Option<VerdictSources>,
    broken: BrokenEndpoints,
    hints: Hints,
    known: FleetKnowledge,
    state: Arc<FleetState>,
}

impl FleetSeat {
    pub fn new(
        place: StorePlace,
        id: String,
        ttl: Duration,
        load: LoadMeter,
        state: Arc<FleetState>,
    ) -> FleetSeat {
        // A member of the store that hangs must not take the time that the lease has.
        let etcd = Etcd::new(place.etcd.clone()).within(ttl / 3);
        let known = FleetKnowledge {
            store: place.written(),
            own: id.clone(),
            ttl_seconds: ttl.as_secs(),
            ..FleetKnowledge::default()
        };
        state.put(known.clone());
        FleetSeat {
            etcd,
            ttl,
            member: FleetMember::new(id, ttl),
            limits: GateLimits::default(),
            load,
            lease: None,
            said: None,
            draining: false,
            verdicts: None,
            broken: BrokenEndpoints::new(),
            hints: Hints::default(),
            known,
            state,
            place,
        }
    }

    /// Tells others what is found of endpoints, and hears what they say.
    pub fn share_verdicts(&mut self, verdicts: Option<VerdictSources>) {
        self.known.shares_verdicts = verdicts.is_some();
        self.verdicts = verdicts;
    }

    /// Shares the limits of this gate from now on.
    pub fn follow(&mut self, gate: &Gate) {
        self.member.follow(self.limits.follow(gate));
    }

    /// Whether any limit is shared.
    pub fn shares(&self) -> bool {
        !self.member.limits().is_empty()
    }

    /// Whether there is a share of each.
    pub fn has_shares(&self) -> bool {
        self.known.in_force.values().all(|share| *share > 0)
    }

    pub fn drain(&mut self) {
        self.draining = true;
        self.member.drain();
    }

    /// Looks at the store once, and does what follows.
    pub fn look(&mut self, random: &mut Random) -> Result<(), Failed> {
        self.limits.observe(self.member.limits(), sys::now());
        self.observe_endpoints();
        let looked = self.round(random);
        if looked.is_ok() {
            self.weigh_hints();
        }
        let rounds = &mut self.known.rounds;
        match &looked {
            Ok(true) => rounds.done += 1,
            Ok(false) => rounds.contended += 1,
            Err(_) => rounds.failed += 1,
        }
        let away = looked.is_err();
        match (std::mem::replace(&mut self.known.away, away), &looked) {
            (false, Err(failure)) => {
                let place = &self.place.prefix;
                log::error!(
                    "fleet of {place}: the store is away: {failure}; shares stay as they are"
                );
            }
            (true, Ok(_)) => log::info!("fleet of {}: the store answers again", self.place.prefix),
            _ => {}
        }
        if away {
            self.member.cut_off(&mut self.limits, sys::now());
        }
        let standing = self.member.standing();
        (self.known.settling, self.known.in_force) = (standing.settling, standing.in_force);
        self.known.limits = self.member.limits().clone();
        self.state.put(self.known.clone());
        looked.map(drop).map_err(|_| Failed)
    }

    fn observe_endpoints(&mut self) {
        if let Some(verdicts) = &self.verdicts {
            self.broken = verdicts.broken(&verdicts.known(), sys::now());
        }
    }

    /// What the others say of endpoints, as it was read.
    fn weigh_hints(&mut self) {
        let Some(verdicts) = &self.verdicts else { return };
        let known = verdicts.known();
        let others = self.known.members.iter().filter(|(id, _)| **id != self.known.own);
        let told = others.map(|(_, member)| &member.report.broken);
        let beside = |name: &_| known.beside(name);
        let (news, hints) = self.hints.weigh(told, &self.broken, beside, sys::now());
        for (upstream, endpoint) in &news {
            log::info!("{upstream}: other gateways call {endpoint} broken; it is looked at");
        }
        verdicts.look_at(&known, &news);
        self.known.hints_heard += news.len() as u64;
        self.known.hints = hints;
    }

    /// Ends the lease, and our keys with it: others need not wait for its end.
    pub fn leave(&mut self) {
        if let Some((lease, _)) = self.lease.take() {
            // It ends by itself otherwise.
            let _ = self.etcd.revoke(lease);
        }
    }

    /// `false`: others have written at the same time, again and again.
    fn round(&mut self, random: &mut Random) -> Result<bool, EtcdFailure> {
        let lease = self.hold_lease()?;
        let told = self.say(lease);
        self.forget_lease_if(&told)?;
        for _ in 0..TRIES {
            let view = self.read()?;
            let now = sys::now();
            match self.member.round(&view, &mut self.limits, now) {
                FleetStep::Nothing => return Ok(true),
                FleetStep::Begin(unless) => {
                    let id = format!("{:016x}", random.draw() ^ sys::random_seed());
                    log::info!("fleet of {}: shares are counted anew", self.place.prefix);
                    self.put_era(&id, false, unless)?;
                }
                FleetStep::Settle(era) => self.put_era(&era.id, true, era.revision)?,
                FleetStep::Write(write) => {
                    let written = self.write(&write, lease);
                    if self.forget_lease_if(&written)? {
                        self.member.committed(&mut self.limits, sys::now());
                        self.known.holdings.insert(self.known.own.clone(), write.amounts);
                        return Ok(true);
                    }
                    if let Some(less) = self.member.refused(&write, &view) {
                        let written = self.write(&less, lease);
                        let is_written = self.forget_lease_if(&written)?;
                        self.member.decided(is_written);
                    }
                    thread::sleep(random.jittered(SOON));
                }
            }
        }
        Ok(false)
    }

    /// A lease that is ours, kept alive in time.
    fn hold_lease(&mut self) -> Result<i64, EtcdFailure> {
        let now = sys::now();
        if let Some((lease, kept)) = self.lease {
            if now - kept < self.ttl / 3 {
                return Ok(lease);
            }
            if self.etcd.keep_alive(lease)? {
                self.lease = Some((lease, now));
                return Ok(lease);
            }
            log::warn!("fleet of {}: the lease of this gateway was lost", self.place.prefix);
        }
        (self.lease, self.said) = (None, None);
        let lease = self.etcd.lease(self.ttl.as_secs())?;
        self.lease = Some((lease, now));
        Ok(lease)
    }

    /// What was written; the lease may be why it was refused, and is not used again then.
    fn forget_lease_if<T: Clone>(
        &mut self,
        written: &Result<T, EtcdFailure>,
    ) -> Result<T, EtcdFailure> {
        if let Err(EtcdFailure::Refused(_)) = written {
            (self.lease, self.said) = (None, None);
        }
        written.clone()
    }

    /// Writes the report, if there is news.
    fn say(&mut self, lease: i64) -> Result<(), EtcdFailure> {
        let now = sys::now();
        let due = self.said.as_ref().is_none_or(|(said, at)| {
            let differs = differs(&said.demand, self.limits.demands());
            let verdicts = said.broken != self.broken && now - *at >= VERDICT_NEWS;
            differs || verdicts || said.draining != self.draining || now - *at >= NEWS
        });
        if !due {
            return Ok(());
        }
        let report = self.load.report(now, (self.limits.demands(), &self.broken), self.draining);
        if let Some((said, at)) = &mut self.said
            && (MemberReport { at: said.at, ..report.clone() }) == *said
        {
            *at = now;
            return Ok(());
        }
        let key = format!("{}/.fleet/members/{}", self.place.prefix, self.known.own);
        let value = report.json().to_string();
        let put = Put { key: &key, value: value.as_bytes(), lease: Some(lease) };
        self.etcd.commit(&[], &[put], &[])?;
        self.said = Some((report, now));
        Ok(())
    }

    fn put_era(&mut self, id: &str, settled: bool, unless: i64) -> Result<(), EtcdFailure> {
        let key = format!("{}/.fleet/era", self.place.prefix);
        let value = era_json(id, settled);
        let put = Put { key: &key, value: value.as_bytes(), lease: None };
        self.etcd.commit(&[Unchanged::Key(&key, unless)], &[put], &[]).map(drop)
    }

    /// `false`: what must not have happened has.
    fn write(&mut self, write: &HoldingsWrite, lease: i64) -> Result<bool, EtcdFailure> {
        let prefix = &self.place.prefix;
        let (first, end) = (format!("{prefix}/.fleet/shares/"), format!("{prefix}/.fleet/shares0"));
        let (key, era) = (format!("{first}{}", self.known.own), format!("{prefix}/.fleet/era"));
        let value = holdings_json(&write.amounts);
        let put = Put { key: &key, value: value.as_bytes(), lease: Some(lease) };
        let unless = match write.unless {
            Unless::OwnWritten(revision) => vec![Unchanged::Key(&key, revision)],
            Unless::AnyWritten(revision, of_era) => {
                vec![Unchanged::Range(&first, &end, revision), Unchanged::Key(&era, of_era)]
            }
        };
        Ok(self.etcd.commit(&unless, &[put], &[])?.is_some())
    }

    /// What the store holds now.
    fn read(&mut self) -> Result<FleetView, EtcdFailure> {
        let prefix = format!("{}/.fleet", self.place.prefix);
        let (first, end) = (format!("{prefix}/"), format!("{prefix}0"));
        let listing = self.etcd.range_of_any(&first, &end, 2 * MEMBERS_MAX + 1)?;
        let (view, reports) = view_of(&listing, &first);
        self.note(&view, reports);
        Ok(view)
    }

    /// Keeps what is shown of the others.
    fn note(&mut self, view: &FleetView, reports: BTreeMap<String, (MemberReport, i64)>) {
        let now = sys::now();
        let gap = self.known.read.replace(now).map_or(self.ttl, |before| now - before);
        let here = sys::time_of_day().as_millis() as f64 / 1e3;
        let mut before = std::mem::take(&mut self.known.members);
        for (id, (report, revision)) in reports {
            let seen = match before.remove(&id) {
                Some(seen) if seen.revision == revision => seen,
                _ => {
                    // It was written at some time since the last look.
                    let half = gap.as_secs_f64() / 2.0;
                    let ahead = report.at as f64 / 1e3 - here + half;
                    let within = ahead.abs() <= half;
                    let clock = (id != self.known.own).then_some(ClockDifference {
                        ahead_seconds: if within { 0.0 } else { ahead },
                        give_or_take_seconds: half,
                    });
                    SeenMember { report, revision, seen: now, clock }
                }
            };
            self.known.members.insert(id, seen);
        }
        let held = view.holdings.iter().map(|(id, it)| (id.clone(), it.amounts.clone()));
        self.known.holdings = held.collect();
    }
}

/// Whether others would divide by this otherwise: by more than an eighth.
fn differs(said: &Amounts, now: &Amounts) -> bool {
    let far = |said: u64, now: u64| said.abs_diff(now) > said / 8;
    said.len() != now.len()
        || now.iter().any(|(id, now)| said.get(id).is_none_or(|said| far(*said, *now)))
}

/// What a listing of the fleet's keys says. What no gateway has written is left out.
fn view_of(listing: &Listing, first: &str) -> (FleetView, BTreeMap<String, (MemberReport, i64)>) {
    let mut view = FleetView { revision: listing.revision, ..FleetView::default() };
    let mut reports = BTreeMap::new();
    for StoredKey { key, value, revision } in &listing.entries {
        let Some(name) = key.strip_prefix(first) else { continue };
        if name == "era" {
            // One that cannot be read is begun anew, and settled in the usual time.
            let unread = || Era { id: format!("?{revision}"), settled: false, revision: *revision };
            view.era = Some(era_of(value, *revision).unwrap_or_else(unread));
        } else if let Some(id) = name.strip_prefix("shares/") {
            view.holdings.extend(holdings_of(value, *revision).map(|it| (id.to_owned(), it)));
        } else if let Some(id) = name.strip_prefix("members/")
            && let Some(report) = MemberReport::of(value)
        {
            view.asking.insert(id.to_owned(), report.asking());
            reports.insert(id.to_owned(), (report, *revision));
        }
    }
    (view, reports)
}
