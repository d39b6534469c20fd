//! A change that goes to a share of the gateways first: its candidate lies beside the parts, in a key
//! of its own.
//!
//! ```text
//!   push --canary ──▶ running ──┬── watched to its end, or `promote` ──▶ promoted: the parts are it
//!                               └── worse, refused, silent, `abort` ───▶ stopped: the parts stay
//! ```
//!
//! | file | knows |
//! |---|---|
//! | `judge` | whether figures are worse than others: numbers in, a sentence out |
//! | `meter` | the figures of this gateway |
//! | `attendant` | what a gateway does about a canary: what it sees and a moment in, an act out |
//! | `attendance` | the same, carried out on the thread of the store |
//!
//! * There is one at a time. It has a number of its own, that of the change it may become.
//! * Which gateways try it is written down with it. It never changes: one that starts later obeys the
//!   parts.
//! * Nobody leads. Whoever sees something writes it, if the key is as it was read; so a canary ends
//!   once.
//! * It holds only as long as the parts are those that it was made against.

pub(super) mod attendance;
pub mod attendant;
pub mod judge;
pub(super) mod meter;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{PARTS_MAX, name_below};
use crate::control::etcd::StoredKey;
use crate::lifecycle::place::StorePlace;
use crate::proxy::hash::hash;

/// A longer key is no canary: 1 MiB.
const CANARY_BYTES_MAX: usize = 1 << 20;

/// The parts of a configuration, by name.
pub type Parts = BTreeMap<String, String>;

/// A change that is tried, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Of the change.
    pub number: u64,
    pub by: String,
    /// RFC 3339; for people, since clocks may jump and differ.
    pub at: String,
    pub message: String,
    /// How many of a hundred gateways try it.
    pub share: u8,
    /// Seconds without complaint after which it is promoted.
    pub watch_seconds: u64,
    /// Requests that those who try it have to have answered by then, together.
    pub requests_min: u64,
    /// Those that try it.
    pub gateways: Vec<String>,
    /// The names of the parts that it writes or takes out.
    pub changed: Vec<String>,
    /// All parts as it leaves them; empty once it is decided.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: Parts,
    /// The parts that it was made against, each with the revision of its last change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub base: BTreeMap<String, i64>,
    /// What became of it; `None`: it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decision>,
}

/// What became of a canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub outcome: CanaryOutcome,
    /// The gateway, or whoever has used the program.
    pub by: String,
    /// RFC 3339.
    pub at: String,
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CanaryOutcome {
    Promoted,
    Stopped,
}

/// What the key of the canary holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCanary {
    /// Of its last change; 0: it is not there.
    pub revision: i64,
    /// Why it is none, where something else has written it.
    pub canary: Result<Option<Canary>, String>,
}

/// A canary that is under way, as the configuration's reader has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenCanary {
    pub canary: Canary,
    /// Of its key.
    pub revision: i64,
    /// The parts are those that it was made against.
    pub holds: bool,
}

impl Canary {
    /// Whether these are the parts that it was made against.
    pub fn holds_on(&self, place: &StorePlace, entries: &[StoredKey]) -> bool {
        entries.len() == self.base.len()
            && entries
                .iter()
                .all(|entry| self.base.get(name_below(place, entry)) == Some(&entry.revision))
    }

    /// Whether this gateway tries it.
    pub fn is_for(&self, gateway: &str) -> bool {
        self.gateways.iter().any(|name| name == gateway)
    }

    /// The same once it is decided. The parts are in the history then.
    pub fn decided(&self, decision: Decision) -> Canary {
        Canary {
            parts: Parts::new(),
            base: BTreeMap::new(),
            decided: Some(decision),
            ..self.clone()
        }
    }
}

impl HeldCanary {
    pub fn of(entry: Option<&StoredKey>) -> HeldCanary {
        let Some(StoredKey { value, revision, .. }) = entry else {
            return HeldCanary { revision: 0, canary: Ok(None) };
        };
        let canary = match value.len() > CANARY_BYTES_MAX {
            true => Err(format!("it has {} bytes, and may have {CANARY_BYTES_MAX}", value.len())),
            false => serde_json::from_slice(value).map_err(|error| error.to_string()),
        };
        let canary = canary.and_then(|canary: Canary| match canary.gateways.len() > PARTS_MAX {
            true => Err(format!("it names more than {PARTS_MAX} gateways")),
            false => Ok(Some(canary)),
        });
        HeldCanary { revision: *revision, canary }
    }

    /// Whether it is that of the same change.
    pub fn is_of(&self, other: &Canary) -> bool {
        matches!(&self.canary, Ok(Some(canary)) if canary.number == other.number)
    }

    /// The one that is under way.
    pub fn running(&self) -> Option<&Canary> {
        let canary = self.canary.as_ref().ok()?.as_ref()?;
        canary.decided.is_none().then_some(canary)
    }
}

/// Its key.
pub fn key(place: &StorePlace) -> String {
    format!("{}/.canary", place.prefix)
}

/// Those of `gateways` that try the change of this number, if `share` of a hundred do: one at least,
/// and never all. None where there are not two.
pub fn chosen(gateways: &[String], number: u64, share: u8) -> Vec<String> {
    if gateways.len() < 2 {
        return Vec::new();
    }
    let wanted = (gateways.len() * usize::from(share)).div_ceil(100).clamp(1, gateways.len() - 1);
    // Another number chooses others, so that it is not always the same that try.
    let rank = |name: &String| hash(format!("{number}/{name}").as_bytes());
    let mut ranked: Vec<&String> = gateways.iter().collect();
    ranked.sort_by_key(|name| (rank(name), *name));
    let mut chosen: Vec<String> = ranked.into_iter().take(wanted).cloned().collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_one_at_least_and_never_all_and_always_the_same() {
        let names = |count: usize| -> Vec<String> { (0..count).map(|n| format!("g{n}")).collect() };
        for (count, share, tries) in [
            (0, 50, 0),
            (1, 50, 0),
            (2, 1, 1),
            (2, 99, 1),
            (3, 20, 1),
            (3, 99, 2),
            (10, 20, 2),
            (10, 21, 3),
            (100, 5, 5),
        ] {
            let chosen_ones = chosen(&names(count), 7, share);
            assert_eq!(chosen_ones.len(), tries, "{share} % of {count}");
            let mut turned = names(count);
            turned.reverse();
            assert_eq!(chosen(&turned, 7, share), chosen_ones, "in whatever order");
        }
        let all: std::collections::BTreeSet<_> =
            (0..40).flat_map(|number| chosen(&names(5), number, 20)).collect();
        assert_eq!(all.len(), 5, "each has its turn");
    }

    #[test]
    fn what_something_else_has_written_is_no_canary() {
        let held = |value: &[u8]| {
            let value = value.to_vec();
            HeldCanary::of(Some(&StoredKey { key: "/p/.canary".into(), value, revision: 3 }))
        };
        for bad in [&b""[..], b"{}", b"\xff\xfe", b"[1]", b"{\"number\":\"x\"}", &[b'['; 200_000]] {
            assert!(held(bad).canary.is_err() && held(bad).running().is_none());
        }
        let long = held(&vec![b' '; 2 << 20]);
        assert!(long.canary.is_err_and(|why| why.contains("2097152 bytes")));
        assert_eq!(HeldCanary::of(None), HeldCanary { revision: 0, canary: Ok(None) });
    }
}
