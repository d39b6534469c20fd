//! Which configuration is obeyed, where it comes from, and why a later one is not.
//!
//! Written by whoever reads the configuration, read by the admin pages.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::http::timestamp;

/// What is known of the configuration.
#[derive(Debug, Default)]
pub struct ConfigState {
    told: Mutex<Told>,
    accepted: AtomicU64,
    refused: AtomicU64,
    promoted: AtomicU64,
    stopped: AtomicU64,
    /// Of the store that it comes from; 0: it comes from none.
    revision: AtomicI64,
}

/// A change that goes to a share of the gateways first, as one of them sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryState {
    /// Of the change.
    pub number: u64,
    /// Those that try it.
    pub gateways: Vec<String>,
    /// This gateway obeys it.
    pub obeyed: bool,
    /// What became of it; `None`: it is under way.
    pub decided: Option<CanaryEnd>,
}

/// How a canary ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryEnd {
    /// It is in force everywhere; `false`: it was stopped.
    pub promoted: bool,
    pub by: String,
    pub why: String,
}

/// Reads that are remembered.
const READS: usize = 50;

/// One time that a configuration was read.
#[derive(Debug)]
struct ConfigRead {
    /// The how many-th it was.
    number: u64,
    /// Unix seconds.
    at: u64,
    source: String,
    /// `None`: it was refused.
    generation: Option<u32>,
    reasons: Vec<String>,
}

#[derive(Debug, Default)]
struct Told {
    /// The file, or the store and its prefix.
    source: String,
    generation: u32,
    /// Unix seconds when it was read.
    since: u64,
    /// Why what was read last is not obeyed; empty: it is.
    reasons: Vec<String>,
    /// Unix seconds when that was read.
    refused_at: u64,
    /// The last one there was.
    canary: Option<CanaryState>,
    /// The last reads, the oldest first.
    reads: VecDeque<ConfigRead>,
    count: u64,
}

impl ConfigState {
    /// `generation`, read from `source`, is in force from now on (Unix seconds).
    pub fn obey(&self, source: String, generation: u32, now: u64) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told();
        told.note(now, source.clone(), Some(generation), &[]);
        let Told { reads, count, canary, .. } = std::mem::take(&mut *told);
        *told = Told { source, generation, since: now, reads, count, canary, ..Told::default() };
    }

    /// The canary in the store stands so now; one that ends is counted.
    pub fn follow_canary(&self, canary: Option<CanaryState>) {
        let mut told = self.told();
        if let (Some(was), Some(is)) = (&told.canary, &canary)
            && let Some(CanaryEnd { promoted, .. }) = &is.decided
            && was.number == is.number
            && was.decided.is_none()
        {
            let count = if *promoted { &self.promoted } else { &self.stopped };
            count.fetch_add(1, Ordering::Relaxed);
        }
        told.canary = canary;
    }

    /// What is in force is of this revision of its store.
    pub fn note_revision(&self, revision: i64) {
        self.revision.store(revision, Ordering::Relaxed);
    }

    /// The revision of its store that is in force, where it comes from one.
    pub fn revision(&self) -> Option<i64> {
        Some(self.revision.load(Ordering::Relaxed)).filter(|revision| *revision > 0)
    }

    /// What was read now is not obeyed, for these reasons.
    pub fn refuse(&self, reasons: &[String], now: u64) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told();
        (told.reasons, told.refused_at) = (reasons.to_vec(), now);
        let source = told.source.clone();
        told.note(now, source, None, reasons);
    }

    /// As a page of the admin address.
    pub fn document(&self) -> Value {
        let told = self.told();
        let refused = (!told.reasons.is_empty())
            .then(|| json!({ "at": timestamp::written(told.refused_at), "reasons": told.reasons }));
        let canary = told.canary.as_ref().map(|canary| {
            let CanaryState { number, gateways, obeyed, decided } = canary;
            let state = match decided {
                None => "running",
                Some(CanaryEnd { promoted: true, .. }) => "promoted",
                Some(_) => "stopped",
            };
            json!({
                "number": number,
                "state": state,
                "gateways": gateways,
                "obeyed": obeyed,
                "by": decided.as_ref().map(|end| &end.by),
                "why": decided.as_ref().map(|end| &end.why),
            })
        });
        json!({
            "source": told.source,
            "generation": told.generation,
            "since": timestamp::written(told.since),
            "in_force": refused.is_none(),
            "refused": refused,
            "canary": canary,
            "history": told.reads.iter().rev().map(ConfigRead::shown).collect::<Vec<_>>(),
        })
    }

    /// The generation in force, and whether it is what was read last.
    pub fn in_force(&self) -> (u32, bool) {
        let told = self.told();
        (told.generation, told.reasons.is_empty())
    }

    /// How often a configuration was read, by what became of it.
    pub fn reads(&self) -> [(&'static str, u64); 2] {
        [
            ("accepted", self.accepted.load(Ordering::Relaxed)),
            ("refused", self.refused.load(Ordering::Relaxed)),
        ]
    }

    /// The number of the change that is obeyed before the others; 0: there is none.
    pub fn candidate(&self) -> u64 {
        let told = self.told();
        told.canary.as_ref().filter(|canary| canary.obeyed).map_or(0, |canary| canary.number)
    }

    /// Canaries whose end was seen, by how they ended.
    pub fn canaries(&self) -> [(&'static str, u64); 2] {
        [
            ("promoted", self.promoted.load(Ordering::Relaxed)),
            ("stopped", self.stopped.load(Ordering::Relaxed)),
        ]
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Nobody panics while it is held.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn note(&mut self, at: u64, source: String, generation: Option<u32>, reasons: &[String]) {
        self.count += 1;
        let reasons = reasons.to_vec();
        self.reads.push_back(ConfigRead { number: self.count, at, source, generation, reasons });
        if self.reads.len() > READS {
            self.reads.pop_front();
        }
    }
}

impl ConfigRead {
    fn shown(&self) -> Value {
        json!({
            "number": self.number,
            "at": timestamp::written(self.at),
            "source": self.source,
            "generation": self.generation,
            "reasons": self.reasons,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_told_until_something_is_obeyed() {
        let state = ConfigState::default();
        state.obey("etcd:/p".into(), 0, 1);
        state.refuse(&["etcd:/p/config:1: no".into()], 2);
        assert_eq!((state.in_force(), state.reads()[1].1), ((0, false), 1));
        let told = state.document();
        assert_eq!(told["refused"]["reasons"][0], "etcd:/p/config:1: no");
        assert_eq!(told["refused"]["at"], "1970-01-01T00:00:02Z");
        state.obey("etcd:/p".into(), 1, 3);
        let told = state.document();
        assert_eq!((&told["in_force"], &told["refused"]), (&json!(true), &Value::Null));
        assert_eq!(
            (state.in_force(), state.reads()),
            ((1, true), [("accepted", 2), ("refused", 1)])
        );
        let reads = told["history"].as_array().expect("a list");
        let generations: Vec<_> = reads.iter().map(|read| read["generation"].as_u64()).collect();
        assert_eq!(generations, [Some(1), None, Some(0)]);
        assert_eq!(reads[1]["reasons"][0], "etcd:/p/config:1: no");
        (0..2 * READS as u64).for_each(|now| state.refuse(&["no".into()], now));
        let told = state.document();
        assert_eq!(told["history"].as_array().map(Vec::len), Some(READS));
        assert_eq!(told["history"][0]["number"], 103);
    }
    #[test]
    fn a_canary_is_told_and_its_end_is_counted_once() {
        let state = ConfigState::default();
        let canary = |number, obeyed, decided| {
            Some(CanaryState { number, gateways: vec!["a".into()], obeyed, decided })
        };
        let end = |promoted| Some(CanaryEnd { promoted, by: "a".into(), why: "faults".into() });
        // An end that was there before us is nobody's news.
        state.follow_canary(canary(1, false, end(true)));
        assert_eq!(state.canaries(), [("promoted", 0), ("stopped", 0)]);
        state.follow_canary(canary(2, true, None));
        state.obey("etcd:/p".into(), 1, 3);
        assert_eq!(
            (state.candidate(), &state.document()["canary"]["state"]),
            (2, &json!("running"))
        );
        for _ in 0..2 {
            state.follow_canary(canary(2, false, end(false)));
        }
        assert_eq!((state.candidate(), state.canaries()[1].1), (0, 1));
        let told = &state.document()["canary"];
        assert_eq!((&told["state"], &told["why"]), (&json!("stopped"), &json!("faults")));
        state.follow_canary(None);
        assert_eq!(state.document()["canary"], Value::Null);
    }
}
