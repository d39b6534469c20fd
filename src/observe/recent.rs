//! Recent: the exchanges that ended last, and the last of each error.
//!
//! Fed by the thread that adds usage up, read by the admin pages. What is told of an exchange is its line of
//! the access log: the same names, the same meaning, no text of a conversation.
//!
//! * At most [`KEPT`] exchanges, and [`EXAMPLES`] of each code of the closed list; a record is a few
//!   hundred bytes, so all of it is about a megabyte.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::{Value, json};

use super::access::{self, Format};
use crate::http::explained;
use crate::measure::journal::Record;

/// Exchanges that are kept, whatever became of them.
pub const KEPT: usize = 256;
/// Exchanges that are kept of each code.
pub const EXAMPLES: usize = 8;

/// The exchanges that ended last.
#[derive(Debug, Default)]
pub struct RecentExchanges {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    all: VecDeque<Over>,
    failed: BTreeMap<&'static str, Failed>,
}

#[derive(Debug, Default)]
struct Failed {
    count: u64,
    examples: VecDeque<Over>,
}

/// An exchange, and when it ended.
type Over = (SystemTime, Arc<Record>);

impl RecentExchanges {
    /// Keeps an exchange that is over.
    pub fn add(&self, record: &Arc<Record>, now: SystemTime) {
        let mut kept = self.kept();
        push(&mut kept.all, (now, Arc::clone(record)), KEPT);
        if let Some(code) = record.failure() {
            let failed = kept.failed.entry(code).or_default();
            failed.count += 1;
            push(&mut failed.examples, (now, Arc::clone(record)), EXAMPLES);
        }
    }

    /// The exchanges, the latest first. `request_id`: those of this name alone.
    pub fn exchanges(&self, request_id: Option<&str>) -> Value {
        let kept = self.kept();
        let wanted = |(_, record): &&Over| {
            request_id.is_none_or(|wanted| record.request_id.to_string() == wanted)
        };
        let all: Vec<Over> = kept.all.iter().rev().filter(wanted).cloned().collect();
        drop(kept);
        json!({ "kept": KEPT, "exchanges": all.iter().map(told).collect::<Vec<_>>() })
    }

    /// Each error that has happened, the most frequent first, with its last examples and what
    /// `sluicegate explain` says. `ends`: how often exchanges and refused requests have ended so.
    pub fn errors(&self, ends: &BTreeMap<&'static str, u64>) -> Value {
        let kept = self.kept();
        let failed: BTreeMap<_, _> = kept
            .failed
            .iter()
            .map(|(code, failed)| (*code, (failed.count, Vec::from(failed.examples.clone()))))
            .collect();
        drop(kept);
        let mut codes: BTreeMap<&'static str, (u64, Vec<Over>)> = failed;
        for (code, count) in ends {
            // A whole answer that refuses is no end of its own; the rest is counted there, too.
            let known = codes.entry(code).or_default();
            known.0 = known.0.max(*count);
        }
        let mut codes: Vec<_> = codes.into_iter().filter(|(_, (count, _))| *count > 0).collect();
        codes.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        let code = |(code, (count, examples)): &(&str, (u64, Vec<Over>))| {
            json!({
                "code": code,
                "count": count,
                "hint": explained::hint(code),
                "explanation": explained::explanation(code),
                "examples": examples.iter().rev().map(told).collect::<Vec<_>>(),
            })
        };
        json!({ "examples_kept": EXAMPLES, "codes": codes.iter().map(code).collect::<Vec<_>>() })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nobody panics while it is held.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push(kept: &mut VecDeque<Over>, over: Over, most: usize) {
    if kept.len() == most {
        kept.pop_front();
    }
    kept.push_back(over);
}

/// As the access log has it.
fn told((time, record): &Over) -> Value {
    let line = access::line(*time, record, Format::Json);
    serde_json::from_str(&line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::spans::tests::record;

    #[test]
    fn the_last_of_all_and_of_each_code_are_kept() {
        let recent = RecentExchanges::default();
        let now = SystemTime::UNIX_EPOCH;
        for _ in 0..EXAMPLES + 2 {
            recent.add(&Arc::new(record("upstream_truncated", 200)), now);
        }
        recent.add(&Arc::new(record("complete", 500)), now);
        for _ in 0..KEPT {
            recent.add(&Arc::new(record("complete", 200)), now);
        }
        let all = recent.exchanges(None);
        assert_eq!(all["exchanges"].as_array().map(Vec::len), Some(KEPT));
        assert!(
            all["exchanges"].as_array().is_some_and(|all| all.iter().all(|it| it["status"] == 200))
        );
        assert_eq!(all["exchanges"][0]["time"], "1970-01-01T00:00:00.000000Z");
        let ends = BTreeMap::from([("upstream_truncated", 11), ("bad_head", 3), ("no_route", 0)]);
        let errors = recent.errors(&ends);
        let counts: Vec<_> = errors["codes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|code| (code["code"].as_str(), code["count"].as_u64()))
            .collect();
        assert_eq!(
            counts,
            [
                (Some("upstream_truncated"), Some(11)),
                (Some("bad_head"), Some(3)),
                (Some("upstream_status"), Some(1)),
            ]
        );
        let first = &errors["codes"][0];
        assert_eq!(first["examples"].as_array().map(Vec::len), Some(EXAMPLES));
        assert!(first["explanation"].as_str().is_some_and(|text| text.contains("**Cure.**")));
    }

    #[test]
    fn one_exchange_is_found_by_its_name() {
        let recent = RecentExchanges::default();
        let record = Arc::new(record("complete", 200));
        recent.add(&record, SystemTime::UNIX_EPOCH);
        let name = record.request_id.to_string();
        let count = |name: &str| recent.exchanges(Some(name))["exchanges"].as_array().map(Vec::len);
        assert_eq!((count(&name), count("another")), (Some(1), Some(0)));
    }
}
