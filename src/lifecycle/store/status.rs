//! What a gateway tells the store of itself.

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::canary::SeenCanary;
use super::canary::attendant::Report;
use super::canary::meter::Totals;
use crate::http::timestamp;
use crate::sys;

/// Sentences told; of more, how many there are.
const SENTENCES_MAX: usize = 20;
/// Bytes of each.
const SENTENCE_BYTES_MAX: usize = 512;

/// What became of the parts that a gateway has read last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusLine {
    /// In force.
    generation: u32,
    /// The last change of a part that was read.
    revision: i64,
    /// Why what was read is not in force; empty: it is.
    refused: Vec<String>,
    problems: usize,
    /// The canary that is under way.
    canary: Option<Arc<SeenCanary>>,
    /// The number of the canary whose candidate is in force; `None`: parts are.
    obeyed: Option<u64>,
    /// Why the candidate that was read is not in force.
    refusal: Option<String>,
    /// When the canary was read, and what was counted by then.
    mark: Option<Arc<(Instant, Totals)>>,
}

impl StatusLine {
    pub fn new(generation: u32, revision: i64, refused: &[String]) -> StatusLine {
        let short = |sentence: &String| {
            let ends = sentence.char_indices().map(|(at, _)| at).chain([sentence.len()]);
            let end = ends.take_while(|end| *end <= SENTENCE_BYTES_MAX).last().unwrap_or(0);
            sentence[..end].to_owned()
        };
        StatusLine {
            generation,
            revision,
            refused: refused.iter().take(SENTENCES_MAX).map(short).collect(),
            problems: refused.len(),
            canary: None,
            obeyed: None,
            refusal: None,
            mark: None,
        }
    }

    /// The same, with the canary that is under way, the number of the one whose candidate is in force,
    /// and why the one that was read is not; `mark`: when that was, and what was counted by then.
    pub fn with_canary(
        self,
        canary: Option<Arc<SeenCanary>>,
        obeyed: Option<u64>,
        refusal: Option<String>,
        mark: Option<Arc<(Instant, Totals)>>,
    ) -> StatusLine {
        StatusLine { canary, obeyed, refusal, mark, ..self }
    }

    /// When the canary was read, just before it came into force, and what was counted by then.
    pub fn mark(&self) -> Option<&(Instant, Totals)> {
        self.mark.as_deref()
    }

    pub fn canary(&self) -> Option<&Arc<SeenCanary>> {
        self.canary.as_ref()
    }

    /// Whether the candidate of this canary is in force.
    pub fn obeys(&self, number: u64) -> bool {
        self.obeyed == Some(number)
    }

    /// Why the candidate that was read is not in force.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// As it stands in the store.
    pub fn json(&self, gateway: &str, canary: Option<&Report>) -> String {
        let obeys = if self.obeyed.is_some() { "candidate" } else { "parts" };
        json!({
            "gateway": gateway,
            "version": env!("CARGO_PKG_VERSION"),
            "generation": self.generation,
            "revision": self.revision,
            "in_force": self.problems == 0,
            "problems": self.problems,
            "refused": self.refused,
            "obeys": obeys,
            "canary": canary,
            "at": timestamp::written(sys::time_of_day().as_secs()),
        })
        .to_string()
    }
}
