//! Which configuration is obeyed, where it comes from, and why a later one is not.
//!
//! Written by whoever reads the configuration, read by the admin pages.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::http::timestamp;

/// What is known of the configuration.
#[derive(Debug, Default)]
pub struct ConfigState {
    told: Mutex<Told>,
    accepted: AtomicU64,
    refused: AtomicU64,
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
}

impl ConfigState {
    /// `generation`, read from `source`, is in force from now on (Unix seconds).
    pub fn obey(&self, source: String, generation: u32, now: u64) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        *self.told() = Told { source, generation, since: now, ..Told::default() };
    }

    /// What was read now is not obeyed, for these reasons.
    pub fn refuse(&self, reasons: &[String], now: u64) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told();
        (told.reasons, told.refused_at) = (reasons.to_vec(), now);
    }

    /// As a page of the admin address.
    pub fn document(&self) -> Value {
        let told = self.told();
        let refused = (!told.reasons.is_empty())
            .then(|| json!({ "at": timestamp::written(told.refused_at), "reasons": told.reasons }));
        json!({
            "source": told.source,
            "generation": told.generation,
            "since": timestamp::written(told.since),
            "in_force": refused.is_none(),
            "refused": refused,
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

    fn told(&self) -> MutexGuard<'_, Told> {
        // Nobody panics while it is held.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
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
    }
}
