//! What this gateway knows of its fleet.
//!
//! Written by the thread that keeps the store, read by the admin pages. Whatever is told of another member is
//! as old as is said beside it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::Instant;
use crate::fleet::hints::{Hint, broken_json};
use crate::fleet::limit::{Amounts, LimitId, amounts_json};
use crate::fleet::report::MemberReport;
use crate::fleet::view::{MemberId, Revision};
use crate::http::timestamp;

/// Clocks that differ by no more than a reading takes are taken for the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockDifference {
    /// How far the other one is ahead of ours.
    pub ahead_seconds: f64,
    /// It may be off by so much, either way.
    pub give_or_take_seconds: f64,
}

/// A member, as it was last seen.
#[derive(Clone, Debug)]
pub struct SeenMember {
    pub report: MemberReport,
    /// The change of the store that brought it, and when it was first seen.
    pub revision: Revision,
    pub seen: Instant,
    /// `None`: it is this gateway.
    pub clock: Option<ClockDifference>,
}

/// What is known.
#[derive(Clone, Debug, Default)]
pub struct FleetKnowledge {
    pub store: String,
    pub own: MemberId,
    pub ttl_seconds: u64,
    /// The store does not answer, or is not asked any more.
    pub away: bool,
    /// When everything was read last.
    pub read: Option<Instant>,
    pub settling: bool,
    pub members: BTreeMap<MemberId, SeenMember>,
    pub holdings: BTreeMap<MemberId, Amounts>,
    /// The limits that are shared, and what of them is in force here.
    pub limits: Amounts,
    pub in_force: Amounts,
    pub rounds: RoundCounts,
    /// Whether verdicts about endpoints are told and heard.
    pub shares_verdicts: bool,
    /// The endpoints that others call broken.
    pub hints: Vec<Hint>,
    /// So many were heard so far, that were not known here.
    pub hints_heard: u64,
}

/// What became of looking at the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundCounts {
    pub done: u64,
    /// Others have written at the same time, again and again.
    pub contended: u64,
    pub failed: u64,
}

/// What a gateway knows of its fleet, for many threads.
#[derive(Debug, Default)]
pub struct FleetState(Mutex<Option<FleetKnowledge>>);

impl FleetState {
    /// This is known from now on.
    pub fn put(&self, known: FleetKnowledge) {
        *self.known() = Some(known);
    }

    /// What is known at `now`; `None`: there is no fleet. What has not been read anew for as long as a lease
    /// lasts is out of date, whatever keeps it from being read.
    pub fn read(&self, now: Instant) -> Option<FleetKnowledge> {
        let mut known = self.known().clone()?;
        let lease = Duration::from_secs(known.ttl_seconds);
        known.away |= known.read.is_some_and(|read| now.since(read) > lease);
        Some(known)
    }

    /// As a page of the admin address.
    pub fn document(&self, now: Instant) -> Value {
        match self.read(now) {
            None => json!({ "configured": false, "members": [], "limits": [], "hints": null }),
            Some(known) => known.document(now),
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<FleetKnowledge>> {
        // Nobody panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FleetKnowledge {
    fn document(&self, now: Instant) -> Value {
        let reports = || self.members.values().map(|member| &member.report);
        let newest = reports().filter_map(|report| report.revision).max();
        // What others say may be anything.
        let streams = reports().map(|report| report.streams).fold(0, u64::saturating_add);
        let mean = streams as f64 / self.members.len().max(1) as f64;
        let members = self.members.iter().map(|(id, member)| {
            let MemberReport { name, version, generation, revision, admin, draining, .. } =
                &member.report;
            let report = &member.report;
            let clock = member.clock.map(|clock| {
                json!({
                    "ahead_seconds": round(clock.ahead_seconds),
                    "give_or_take_seconds": round(clock.give_or_take_seconds),
                })
            });
            json!({
                "id": id,
                "name": name,
                "self": *id == self.own,
                "version": version,
                "generation": generation,
                "revision": revision,
                "revision_behind": newest.zip(*revision).map(|(newest, own)| newest.saturating_sub(own)),
                "admin": admin,
                "draining": draining,
                "started": timestamp::written(report.started),
                "said_seconds_ago": round((now - member.seen).as_secs_f64()),
                "clock": clock,
                "load": {
                    "streams": report.streams,
                    "requests_per_second": round(report.requests_per_second),
                    "tokens_per_second": round(report.tokens_per_second),
                    "against_mean": (mean > 0.0).then(|| round(report.streams as f64 / mean)),
                },
                "workers": { "count": report.workers, "skew": report.skew.map(round) },
                "shares": self.holdings.get(id).map(amounts_json),
                "demand": amounts_json(&report.demand),
                "broken": broken_json(&report.broken),
            })
        });
        let limits = self.limits.iter().map(|(id, limit)| {
            json!({
                "key": id.key,
                "limit_of": id.kind.name(),
                "limit": limit,
                "in_force_here": self.in_force.get(id),
                "held": self.held(id),
                "demand": reports().filter_map(|report| report.demand.get(id)).fold(0, |sum: u64, it| sum.saturating_add(*it)),
            })
        });
        json!({
            "configured": true,
            "store": self.store,
            "away": self.away,
            "known_seconds_ago": self.read.map(|at| round((now - at).as_secs_f64())),
            "settling": self.settling,
            "ttl_seconds": self.ttl_seconds,
            "self": self.own,
            "members": members.collect::<Vec<_>>(),
            "limits": limits.collect::<Vec<_>>(),
            "hints": self.shares_verdicts.then(|| self.hints()),
        })
    }

    fn hints(&self) -> Vec<Value> {
        let hint = |hint: &Hint| {
            let (upstream, endpoint) = &hint.endpoint;
            json!({
                "upstream": upstream, "endpoint": endpoint,
                "told_by": hint.told_by, "heard": hint.heard,
            })
        };
        self.hints.iter().map(hint).collect()
    }

    /// What all members hold of a limit.
    fn held(&self, id: &LimitId) -> u64 {
        let held = self.holdings.values().filter_map(|amounts| amounts.get(id));
        held.fold(0, |sum: u64, amount| sum.saturating_add(*amount))
    }
}

/// To a hundredth.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_any_more_is_away() {
        let state = FleetState::default();
        let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
        assert_eq!(state.document(at(0))["configured"], false);
        let read = Some(at(10));
        state.put(FleetKnowledge { ttl_seconds: 5, read, ..FleetKnowledge::default() });
        assert_eq!(
            [14, 15, 16].map(|second| state.document(at(second))["away"] == true),
            [false, false, true]
        );
    }

    #[test]
    fn numbers_of_strangers_have_room_in_sums() {
        let report =
            MemberReport { streams: u64::MAX, revision: Some(i64::MIN), ..MemberReport::default() };
        let newest = MemberReport { revision: Some(i64::MAX), ..report.clone() };
        let seen = |report: MemberReport| SeenMember {
            report,
            revision: Revision::default(),
            seen: Instant::from_nanos(0),
            clock: None,
        };
        let members = [("a", report), ("b", newest)];
        let members = members.map(|(id, report)| (id.to_owned(), seen(report))).into();
        let state = FleetState::default();
        state.put(FleetKnowledge { members, ..FleetKnowledge::default() });
        let told = state.document(Instant::from_nanos(1));
        assert_eq!(told["members"].as_array().map(Vec::len), Some(2));
    }
}
