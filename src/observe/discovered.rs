//! What sources tell of endpoints, for the admin pages.
//!
//! Written by whoever judges what is told, read by the admin pages.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::http::timestamp;

/// How the source of one upstream stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceState {
    /// As the configuration names it.
    pub source: String,
    /// Endpoints that are in force.
    pub members: usize,
    /// Endpoints in a set that is doubted; `None`: none is.
    pub doubted: Option<usize>,
    /// Endpoints that come and go, and are not in force for now.
    pub paused: usize,
    /// Unix seconds of the last set; 0: there was none.
    pub told_at: u64,
    /// Why nothing is known since, and from when on (Unix seconds).
    pub failing: Option<(String, u64)>,
    /// Sets that were told, and failures, so far.
    pub told: u64,
    pub failed: u64,
}

/// The sources of all upstreams, by their names.
#[derive(Debug, Default)]
pub struct DiscoveryState(Mutex<BTreeMap<String, SourceState>>);

impl DiscoveryState {
    pub fn set(&self, upstream: &str, state: SourceState) {
        self.states().insert(upstream.to_owned(), state);
    }

    /// Forgets those that are not among these.
    pub fn keep(&self, is_kept: impl Fn(&str) -> bool) {
        self.states().retain(|upstream, _| is_kept(upstream));
    }

    pub fn all(&self) -> Vec<(String, SourceState)> {
        self.states().iter().map(|(name, state)| (name.clone(), state.clone())).collect()
    }

    /// As a page of the admin address, at this Unix second; `null`: no upstream has a source.
    pub fn document(&self, now: u64) -> Value {
        let states = self.all();
        if states.is_empty() {
            return Value::Null;
        }
        let one = |(upstream, state): &(String, SourceState)| {
            let told_at = Some(state.told_at).filter(|told_at| *told_at > 0);
            json!({
                "upstream": upstream,
                "source": state.source,
                "endpoints": state.members,
                "doubted": state.doubted,
                "paused": state.paused,
                "told_at": told_at.map(timestamp::written),
                "age_seconds": told_at.map(|told_at| now.saturating_sub(told_at)),
                "error": state.failing.as_ref().map(|(reason, _)| reason),
                "error_since": state.failing.as_ref().map(|(_, since)| timestamp::written(*since)),
            })
        };
        states.iter().map(one).collect()
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<String, SourceState>> {
        // Nobody panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_fails_says_since_when_and_how_old_its_set_is() {
        let state = DiscoveryState::default();
        assert_eq!(state.document(9), Value::Null);
        let one = SourceState {
            source: "dns:llama:80".into(),
            members: 3,
            doubted: Some(1),
            told_at: 5,
            failing: Some(("no answer".into(), 7)),
            ..SourceState::default()
        };
        state.set("a", one);
        state.set("b", SourceState::default());
        state.keep(|upstream| upstream == "a");
        let told = state.document(9);
        assert_eq!((&told[0]["age_seconds"], &told[0]["doubted"]), (&json!(4), &json!(1)));
        assert_eq!(told[0]["error_since"], "1970-01-01T00:00:07Z");
        assert_eq!(told.as_array().map(Vec::len), Some(1));
    }
}
