//! The JSON of etcd's gateway: bytes are base64, numbers of 64 bits are texts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::EtcdFailure;

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    pub key: String,
    pub value: Vec<u8>,
    /// The revision of the store that changed it last.
    pub revision: i64,
}

/// What a range of keys holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The revision of the store at which it held this.
    pub revision: i64,
    /// In the order of their keys.
    pub entries: Vec<StoredKey>,
}

/// A key that is to have this value, for as long as its lease lasts.
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    pub key: &'a str,
    pub value: &'a [u8],
    pub lease: Option<i64>,
}

/// What must not have changed.
#[derive(Clone, Copy, Debug)]
pub enum Unchanged<'a> {
    /// The last change of this key is of this revision; 0: it is not there.
    Key(&'a str, i64),
    /// No key from the first one on and below the second one was written after this revision.
    Range(&'a str, &'a str, i64),
}

impl Unchanged<'_> {
    pub(super) fn message(&self) -> Value {
        match self {
            Unchanged::Key(key, revision) => json!({
                "key": encoded(key), "target": "MOD", "result": "EQUAL",
                "mod_revision": revision.to_string(),
            }),
            Unchanged::Range(first, end, revision) => json!({
                "key": encoded(first), "range_end": encoded(end), "target": "MOD",
                "result": "LESS", "mod_revision": (revision + 1).to_string(),
            }),
        }
    }
}

impl Put<'_> {
    pub(super) fn message(&self) -> Value {
        let (key, value) = (encoded(self.key), STANDARD.encode(self.value));
        match self.lease {
            Some(lease) => json!({ "key": key, "value": value, "lease": lease.to_string() }),
            None => json!({ "key": key, "value": value }),
        }
    }
}

impl Listing {
    pub(super) fn read(answer: &Value) -> Result<Listing, EtcdFailure> {
        Listing::read_with(answer, |bytes| {
            String::from_utf8(bytes)
                .map_err(|_| EtcdFailure::Unreadable("a key is not valid UTF-8".into()))
        })
    }

    /// The same, where a key may be anything.
    pub(super) fn read_any(answer: &Value) -> Result<Listing, EtcdFailure> {
        Listing::read_with(answer, |bytes| Ok(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn read_with(
        answer: &Value,
        name: impl Fn(Vec<u8>) -> Result<String, EtcdFailure>,
    ) -> Result<Listing, EtcdFailure> {
        let revision = number(&answer["header"]["revision"])
            .ok_or_else(|| EtcdFailure::Unreadable("no revision".into()))?;
        let empty = Vec::new();
        // What is empty is left out.
        let entries = answer["kvs"].as_array().unwrap_or(&empty).iter().map(|told| {
            let revision = number(&told["mod_revision"]).unwrap_or(0);
            let key = name(decoded(&told["key"])?)?;
            Ok(StoredKey { key, value: decoded(&told["value"])?, revision })
        });
        Ok(Listing { revision, entries: entries.collect::<Result<_, _>>()? })
    }
}

/// A key as it is written in a question.
pub(super) fn encoded(key: &str) -> String {
    STANDARD.encode(key)
}

fn decoded(told: &Value) -> Result<Vec<u8>, EtcdFailure> {
    STANDARD
        .decode(told.as_str().unwrap_or_default())
        .map_err(|error| EtcdFailure::Unreadable(error.to_string()))
}

/// A number of 64 bits, a text or not.
pub(super) fn number(told: &Value) -> Option<i64> {
    told.as_i64().or_else(|| told.as_str()?.parse().ok())
}

pub(super) fn text_of(told: &Value) -> String {
    told.as_str().unwrap_or_default().to_owned()
}

/// What an answer with another status than 200 means. gRPC's codes stand in `code`.
pub(super) fn refusal(member: &str, status: u16, text: &[u8]) -> EtcdFailure {
    /// `UNKNOWN`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNAVAILABLE`.
    const AWAY: [i64; 4] = [2, 4, 13, 14];
    /// `PERMISSION_DENIED`, `UNAUTHENTICATED`.
    const DENIED: [i64; 2] = [7, 16];

    let told: Value = serde_json::from_slice(text).unwrap_or_default();
    let (code, error) = (number(&told["code"]), text_of(&told["error"]));
    let error = if error.is_empty() { text_of(&told["message"]) } else { error };
    let Some(code) = code else {
        return match status {
            500..=599 => EtcdFailure::Away(member.to_owned(), format!("status {status}")),
            _ => EtcdFailure::Unreadable(format!("{member} answers with status {status}")),
        };
    };
    // Wrong passwords are told as wrong arguments.
    let wrong = error.contains("authentication") || error.contains("user name is empty");
    if DENIED.contains(&code) || wrong {
        EtcdFailure::Denied(error)
    } else if AWAY.contains(&code) {
        EtcdFailure::Away(member.to_owned(), error)
    } else {
        EtcdFailure::Refused(error)
    }
}
