//! What the store holds of a fleet, read at one revision.
//!
//! | key below the prefix | holds | written |
//! |---|---|---|
//! | `.fleet/era` | since when shares are counted, and whether all have said theirs | when there is none |
//! | `.fleet/members/MEMBER` | the report of a member, on its lease | each round |
//! | `.fleet/shares/MEMBER` | its holdings, on its lease | when they change |

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::limit::{Amounts, amounts_json, amounts_of};

/// A number that a store counts its changes with.
pub type Revision = i64;

/// `NAME:INSTANCE`: two processes of one name, as in a hand-over, are two members.
pub type MemberId = String;

/// Since when shares are counted. A store that has lost what it held has none, or another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Era {
    /// Made of chance.
    pub id: String,
    /// Who was there when it began has said by now what it holds.
    pub settled: bool,
    /// The last change of its key.
    pub revision: Revision,
}

/// How much a member holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    pub amounts: Amounts,
    /// The last change of its key.
    pub revision: Revision,
}

/// What a member asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    pub demand: Amounts,
    /// It takes nothing new, and wants no share.
    pub draining: bool,
}

/// What the store holds of a fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetView {
    /// The store's, at which all this was read.
    pub revision: Revision,
    pub era: Option<Era>,
    pub holdings: BTreeMap<MemberId, Holdings>,
    /// Of those that have a report.
    pub asking: BTreeMap<MemberId, Asking>,
}

impl FleetView {
    /// What all others than this member hold of a limit.
    pub(super) fn held_by_others(&self, own: &str, id: &super::limit::LimitId) -> u64 {
        let others = self.holdings.iter().filter(|(member, _)| *member != own);
        let held = others.map(|(_, holdings)| holdings.amounts.get(id).copied().unwrap_or(0));
        held.fold(0, u64::saturating_add)
    }
}

/// The key of an era, in the store.
pub fn era_json(id: &str, settled: bool) -> String {
    json!({ "era": id, "settled": settled }).to_string()
}

/// The same, read. One that cannot be read is none.
pub fn era_of(text: &[u8], revision: Revision) -> Option<Era> {
    let told: Value = serde_json::from_slice(text).ok()?;
    let id = told["era"].as_str()?.to_owned();
    Some(Era { id, settled: told["settled"].as_bool()?, revision })
}

/// The holdings of a member, in the store.
pub fn holdings_json(amounts: &Amounts) -> String {
    json!({ "shares": amounts_json(amounts) }).to_string()
}

/// The same, read. `None`: no gateway has written it.
pub fn holdings_of(text: &[u8], revision: Revision) -> Option<Holdings> {
    let told: Value = serde_json::from_slice(text).ok()?;
    told["shares"].is_object().then(|| Holdings { amounts: amounts_of(&told["shares"]), revision })
}
