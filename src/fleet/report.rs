//! What a member says of itself.

use serde_json::{Value, json};

use super::hints::{BrokenEndpoints, broken_json, broken_of};
use super::limit::{Amounts, amounts_json, amounts_of};
use super::view::Asking;

/// A text of another member is cut here.
const TEXT_MAX: usize = 128;

/// The report of a member.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberReport {
    pub name: String,
    pub version: String,
    /// Of its configuration, counted by itself.
    pub generation: u32,
    /// Of its configuration, counted by the store that it comes from.
    pub revision: Option<i64>,
    /// Where its admin pages are.
    pub admin: Option<String>,
    /// It takes nothing new.
    pub draining: bool,
    /// Unix seconds.
    pub started: u64,
    /// Unix milliseconds by its own clock, when it said this.
    pub at: u64,
    pub streams: u64,
    pub requests_per_second: f64,
    pub tokens_per_second: f64,
    pub workers: u64,
    /// Streams of its fullest worker against the mean; `None`: there is no stream.
    pub skew: Option<f64>,
    pub demand: Amounts,
    /// The endpoints that it calls broken.
    pub broken: BrokenEndpoints,
}

impl MemberReport {
    /// As it stands in the store.
    pub fn json(&self) -> Value {
        let MemberReport { name, version, generation, revision, admin, draining, .. } = self;
        json!({
            "name": name, "version": version, "generation": generation, "revision": revision,
            "admin": admin, "draining": draining, "started": self.started, "at": self.at,
            "load": {
                "streams": self.streams,
                "requests_per_second": self.requests_per_second,
                "tokens_per_second": self.tokens_per_second,
            },
            "workers": { "count": self.workers, "skew": self.skew },
            "demand": amounts_json(&self.demand),
            "broken": broken_json(&self.broken),
        })
    }

    /// The same, read. `None`: no gateway has written it. What is missing or odd is nothing.
    pub fn of(text: &[u8]) -> Option<MemberReport> {
        let told: Value = serde_json::from_slice(text).ok()?;
        let name = text_of(&told["name"])?;
        let (load, workers) = (&told["load"], &told["workers"]);
        let rate = |value: &Value| value.as_f64().filter(|rate| *rate >= 0.0).unwrap_or(0.0);
        Some(MemberReport {
            name,
            version: text_of(&told["version"]).unwrap_or_default(),
            generation: told["generation"].as_u64().and_then(|it| it.try_into().ok()).unwrap_or(0),
            revision: told["revision"].as_i64(),
            admin: text_of(&told["admin"]),
            draining: told["draining"].as_bool().unwrap_or(false),
            started: told["started"].as_u64().unwrap_or(0),
            at: told["at"].as_u64().unwrap_or(0),
            streams: load["streams"].as_u64().unwrap_or(0),
            requests_per_second: rate(&load["requests_per_second"]),
            tokens_per_second: rate(&load["tokens_per_second"]),
            workers: workers["count"].as_u64().unwrap_or(0),
            skew: workers["skew"].as_f64(),
            demand: amounts_of(&told["demand"]),
            broken: broken_of(&told["broken"]),
        })
    }

    /// What matters to others that divide a limit.
    pub fn asking(&self) -> Asking {
        Asking { demand: self.demand.clone(), draining: self.draining }
    }
}

fn text_of(value: &Value) -> Option<String> {
    value.as_str().map(|text| text.chars().take(TEXT_MAX).collect())
}
