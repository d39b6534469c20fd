//! Who changed a configuration in a store, and to what.
//!
//! | key | holds |
//! |---|---|
//! | `.head` | the number of the last change: each change wants the head that it has read |
//! | `.history/0000000042` | a change: its number, who, when, why, and all parts as it left them |
//!
//! A change is one transaction: head, history and parts, or none of them. It is lost to whoever has
//! changed the head or a part in between, with this program or with another one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{PARTS_MAX, range_of, text_of};
use crate::config::parts::ConfigText;
use crate::control::etcd::{Etcd, EtcdFailure, Listing, Put, StoredKey, Unchanged};
use crate::http::timestamp;
use crate::lifecycle::place::StorePlace;
use crate::sys;

/// Changes that are kept.
const KEPT: u64 = 100;
/// The bytes of one change: etcd takes 1.5 MiB in a request, and each part goes twice.
const CHANGE_BYTES_MAX: usize = 512 << 10;

/// The parts of a configuration, by name.
pub type Parts = BTreeMap<String, String>;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    pub number: u64,
    pub by: String,
    /// RFC 3339.
    pub at: String,
    pub message: String,
    /// The names of the parts that it has written or taken out.
    pub changed: Vec<String>,
    /// All parts as it left them.
    pub parts: Parts,
    /// The revision of the store that it is.
    #[serde(skip)]
    pub revision: i64,
}

/// What a store holds, and the revisions that a change of it has to find again.
#[derive(Clone, Debug)]
pub struct StoreContents {
    place: StorePlace,
    etcd: Etcd,
    pub entries: Vec<StoredKey>,
    /// Of the store, when it held this.
    revision: i64,
    head: u64,
    head_revision: i64,
}

/// Who makes a change, and why.
#[derive(Clone, Debug)]
pub struct Author {
    pub by: String,
    pub message: String,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// It is the change of this number, and of this revision of the store.
    Made(u64, i64),
    /// Everything is so already.
    Nothing,
    /// Somebody else has changed something since it was read.
    Lost,
}

impl StoreContents {
    pub fn read(place: &StorePlace) -> Result<StoreContents, EtcdFailure> {
        let mut etcd = Etcd::new(place.etcd.clone());
        let (first, end) = range_of(&place.prefix);
        let head_key = head_key(place);
        // The head first: what is changed between the two is a change that is lost.
        let head = etcd.range(&head_key, &format!("{head_key}\0"), 1)?.entries.pop();
        let number = head.as_ref().and_then(|entry| std::str::from_utf8(&entry.value).ok());
        let number = match (&head, number.and_then(|text| text.trim().parse().ok())) {
            (None, _) => 0,
            (Some(_), Some(number)) => number,
            (Some(_), None) => {
                let head = format!("{head_key} is no number: it was written by something else");
                return Err(EtcdFailure::Refused(head));
            }
        };
        let Listing { entries, revision } = etcd.range(&first, &end, PARTS_MAX)?;
        let head_revision = head.map_or(0, |entry| entry.revision);
        let place = place.clone();
        Ok(StoreContents { place, etcd, entries, revision, head: number, head_revision })
    }

    /// The parts as texts. What is no text is told by its name.
    pub fn parts(&self) -> Result<Parts, String> {
        let place = &self.place;
        let above = place.prefix.len() + 1;
        let part = |entry: &StoredKey| {
            let name = entry.key.get(above..).unwrap_or("").to_owned();
            match String::from_utf8(entry.value.clone()) {
                Ok(text) => Ok((name, text)),
                Err(_) => Err(format!("{place}/{name}: this is not valid UTF-8")),
            }
        };
        self.entries.iter().map(part).collect()
    }

    /// The configuration that it makes, if it makes one.
    pub fn text(&self) -> Option<ConfigText> {
        text_of(&self.place, &self.entries).ok()
    }

    /// Makes these the parts, in one change.
    pub fn change(&mut self, parts: Parts, author: Author) -> Result<PushOutcome, EtcdFailure> {
        let place = &self.place;
        let above = place.prefix.len() + 1;
        let name_of = |entry: &StoredKey| entry.key.get(above..).unwrap_or("").to_owned();
        let held: BTreeMap<String, &StoredKey> =
            self.entries.iter().map(|entry| (name_of(entry), entry)).collect();
        let differs = |name: &String, text: &String| {
            held.get(name).is_none_or(|entry| entry.value != text.as_bytes())
        };
        let written: Vec<&String> =
            parts.iter().filter(|(name, text)| differs(name, text)).map(|(name, _)| name).collect();
        let gone: Vec<&String> = held.keys().filter(|name| !parts.contains_key(*name)).collect();
        if written.is_empty() && gone.is_empty() {
            return Ok(PushOutcome::Nothing);
        }
        let number = self.head.checked_add(1).ok_or_else(|| {
            EtcdFailure::Refused(format!("{}/.head has no number behind it", place.prefix))
        })?;
        let changed = written.iter().chain(&gone).map(|name| (*name).clone()).collect();
        let Author { by, message } = author;
        let at = timestamp::written(sys::time_of_day().as_secs());
        let record =
            ChangeRecord { number, by, at, message, changed, parts: parts.clone(), revision: 0 };
        let record = serde_json::to_string(&record)
            .map_err(|error| EtcdFailure::Refused(error.to_string()))?;
        if record.len() > CHANGE_BYTES_MAX {
            let bytes = record.len();
            return Err(EtcdFailure::Refused(format!(
                "all parts together have {bytes} bytes, and a change may have {CHANGE_BYTES_MAX}"
            )));
        }
        let key = |name: &str| format!("{}/{name}", place.prefix);
        let written: Vec<(String, &str)> =
            written.iter().map(|name| (key(name), parts[*name].as_str())).collect();
        let outdated = number.checked_sub(KEPT).map(|number| history_key(place, number));
        let (head_key, history_key) = (head_key(place), history_key(place, number));
        let told = number.to_string();
        let mut puts = vec![
            Put { key: &head_key, value: told.as_bytes(), lease: None },
            Put { key: &history_key, value: record.as_bytes(), lease: None },
        ];
        puts.extend(written.iter().map(|(key, text)| Put {
            key,
            value: text.as_bytes(),
            lease: None,
        }));
        let mut deletes: Vec<String> = gone.iter().map(|name| key(name)).collect();
        deletes.extend(outdated);
        let deletes: Vec<&str> = deletes.iter().map(String::as_str).collect();
        let (first, end) = range_of(&place.prefix);
        let unless = [
            Unchanged::Key(&head_key, self.head_revision),
            Unchanged::Range(&first, &end, self.revision),
        ];
        Ok(match self.etcd.commit(&unless, &puts, &deletes)? {
            Some(revision) => PushOutcome::Made(number, revision),
            None => PushOutcome::Lost,
        })
    }
}

/// The changes that are kept, the oldest first.
pub fn history(place: &StorePlace) -> Result<Vec<ChangeRecord>, EtcdFailure> {
    let mut etcd = Etcd::new(place.etcd.clone());
    let first = format!("{}/.history/", place.prefix);
    let end = format!("{}/.history0", place.prefix);
    let entries = etcd.range(&first, &end, 2 * usize::try_from(KEPT).unwrap_or(0))?.entries;
    // What somebody else has put there is no change.
    Ok(entries
        .iter()
        .filter_map(|entry| {
            let change: ChangeRecord = serde_json::from_slice(&entry.value).ok()?;
            Some(ChangeRecord { revision: entry.revision, ..change })
        })
        .collect())
}

/// What the gateways say of themselves, each in JSON; the latest change of a part that was read by
/// each is its `revision`.
pub fn statuses(place: &StorePlace) -> Result<Vec<serde_json::Value>, EtcdFailure> {
    let mut etcd = Etcd::new(place.etcd.clone());
    let first = format!("{}/.status/", place.prefix);
    let end = format!("{}/.status0", place.prefix);
    let entries = etcd.range(&first, &end, PARTS_MAX)?.entries;
    Ok(entries.iter().filter_map(|entry| serde_json::from_slice(&entry.value).ok()).collect())
}

fn head_key(place: &StorePlace) -> String {
    format!("{}/.head", place.prefix)
}

fn history_key(place: &StorePlace, number: u64) -> String {
    format!("{}/.history/{number:010}", place.prefix)
}
