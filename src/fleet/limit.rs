//! Which limits are shared, and how much of each somebody holds.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value, json};

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitKind {
    /// Requests a minute.
    Requests,
    /// Tokens a minute.
    Tokens,
    /// Requests under way at once.
    Concurrency,
}

impl LimitKind {
    pub const ALL: [LimitKind; 3] =
        [LimitKind::Requests, LimitKind::Tokens, LimitKind::Concurrency];

    /// As it is written in the store, on pages and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            LimitKind::Requests => "requests",
            LimitKind::Tokens => "tokens",
            LimitKind::Concurrency => "concurrency",
        }
    }

    fn of(name: &str) -> Option<LimitKind> {
        LimitKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One limit of one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitId {
    pub key: String,
    pub kind: LimitKind,
}

impl fmt::Display for LimitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?}", self.kind.name(), self.key)
    }
}

/// A number for each of some limits: how much is held, asked for, or allowed.
pub type Amounts = BTreeMap<LimitId, u64>;

/// `{"team-a": {"requests": 40}}`
pub fn amounts_json(amounts: &Amounts) -> Value {
    let mut keys: Map<String, Value> = Map::new();
    for (LimitId { key, kind }, amount) in amounts {
        let row = keys.entry(key.clone()).or_insert_with(|| json!({}));
        row[kind.name()] = json!(amount);
    }
    Value::Object(keys)
}

/// More than any limit may be, so that it grants nothing, and little enough that sums of it have room.
const AMOUNT_MAX: u64 = 1 << 40;

/// The same, read. What is no number counts as more than there is: who may hold anything may hold all.
/// Kinds that we do not know are another version's affair.
pub fn amounts_of(told: &Value) -> Amounts {
    let keys = told.as_object().into_iter().flatten();
    let each = keys.flat_map(|(key, row)| {
        let kinds = row.as_object().into_iter().flatten();
        kinds.filter_map(|(kind, amount)| {
            let id = LimitId { key: key.clone(), kind: LimitKind::of(kind)? };
            Some((id, amount.as_u64().unwrap_or(AMOUNT_MAX).min(AMOUNT_MAX)))
        })
    });
    each.collect()
}
