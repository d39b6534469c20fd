//! Who changed a configuration in a store, and to what.
//!
//! | key | holds |
//! |---|---|
//! | `.head` | the number of the last change: each change wants the head that it has read |
//! | `.history/0000000042` | a change: its number, who, when, why, and all parts as it left them |
//! | `.canary` | a change that is tried, with the number that it has in the history once it is decided |
//!
//! A change is one transaction: head, history and parts, or none of them. It is lost to whoever has
//! changed the head, a part or the canary in between, with this program or with another one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use super::canary::Parts;
use super::canary::{self, Canary, CanaryOutcome, Decision, HeldCanary};
use super::{PARTS_MAX, name_below, range_of, text_of};
use crate::config::parts::ConfigText;
use crate::control::etcd::{Etcd, EtcdFailure, Listing, Put, StoredKey, Unchanged};
use crate::http::timestamp;
use crate::lifecycle::place::StorePlace;
use crate::sys;

/// Changes that are kept.
const KEPT: u64 = 100;
/// The bytes of one change: etcd takes 1.5 MiB in a request, and each part goes twice.
const CHANGE_BYTES_MAX: usize = 512 << 10;
/// Keys that one change may write and take out: etcd takes 128 operations, and some are ours.
const CHANGE_KEYS_MAX: usize = 120;

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
    /// What became of it, if it went to a share of the gateways first. One that was stopped has left
    /// the parts as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Decision>,
    /// The revision of the store that it is.
    #[serde(skip)]
    pub revision: i64,
}

impl ChangeRecord {
    /// It was tried, and is in force nowhere.
    pub fn was_stopped(&self) -> bool {
        self.canary.as_ref().is_some_and(|decision| decision.outcome == CanaryOutcome::Stopped)
    }
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
    pub canary: HeldCanary,
}

/// How a change is to be tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// How many of a hundred gateways try it.
    pub share: u8,
    /// Seconds without complaint after which it is promoted.
    pub watch_seconds: u64,
    /// Requests that those who try it have to have answered by then.
    pub requests_min: u64,
    /// Those that can try it.
    pub gateways: Vec<String>,
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
    /// The change of this number is tried by a share of the gateways: it has to be decided first.
    UnderWay(u64),
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
        let key = canary::key(place);
        let held = etcd.range(&key, &format!("{key}\0"), 1)?.entries;
        let canary = HeldCanary::of(held.first());
        let Listing { entries, revision } = etcd.range(&first, &end, PARTS_MAX)?;
        let head_revision = head.map_or(0, |entry| entry.revision);
        let place = place.clone();
        Ok(StoreContents { place, etcd, entries, revision, head: number, head_revision, canary })
    }

    /// The parts as texts. What is no text is told by its name.
    pub fn parts(&self) -> Result<Parts, String> {
        let place = &self.place;
        let part = |entry: &StoredKey| {
            let name = name_below(place, entry).to_owned();
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
        if let Some(canary) = self.canary.running() {
            return Ok(PushOutcome::UnderWay(canary.number));
        }
        let changed = self.changed_by(&parts);
        if changed.is_empty() {
            return Ok(PushOutcome::Nothing);
        }
        let number = self.next_number()?;
        let Author { by, message } = author;
        let (at, canary) = (now(), None);
        let record = ChangeRecord { number, by, at, message, changed, parts, canary, revision: 0 };
        let mut writes = Writes::default();
        writes.put(head_key(&self.place), number.to_string());
        self.write(writes, &record)
    }

    /// Has these parts tried by a share of the gateways, as a change that is decided later.
    pub fn begin_canary(
        &mut self,
        parts: Parts,
        author: Author,
        trial: &Trial,
    ) -> Result<(PushOutcome, Vec<String>), EtcdFailure> {
        if let Some(canary) = self.canary.running() {
            return Ok((PushOutcome::UnderWay(canary.number), Vec::new()));
        }
        let changed = self.changed_by(&parts);
        if changed.is_empty() {
            return Ok((PushOutcome::Nothing, Vec::new()));
        }
        let number = self.next_number()?;
        let gateways = canary::chosen(&trial.gateways, number, trial.share);
        let Author { by, message } = author;
        let revision_of =
            |entry: &StoredKey| (name_below(&self.place, entry).to_owned(), entry.revision);
        let canary = Canary {
            number,
            by,
            at: now(),
            message,
            share: trial.share,
            watch_seconds: trial.watch_seconds,
            requests_min: trial.requests_min,
            gateways: gateways.clone(),
            changed,
            parts,
            base: self.entries.iter().map(revision_of).collect(),
            decided: None,
        };
        // What could not be written in the end is not begun.
        let text = json_of(&canary)?;
        is_short_enough(&text, canary.changed.len())?;
        let mut writes = Writes::default();
        writes.put(head_key(&self.place), number.to_string());
        writes.put(canary::key(&self.place), text);
        Ok((self.commit(&writes, number)?, gateways))
    }

    /// Makes the candidate the parts, for all gateways.
    pub fn promote(&mut self, decision: Decision) -> Result<PushOutcome, EtcdFailure> {
        let Some(canary) = self.canary.running().cloned() else { return Ok(PushOutcome::Nothing) };
        // Somebody has changed something since it was begun, and may have been right.
        if !canary.holds_on(&self.place, &self.entries) || self.head != canary.number {
            return Ok(PushOutcome::Lost);
        }
        let mut writes = Writes::default();
        writes.put(canary::key(&self.place), json_of(&canary.decided(decision.clone()))?);
        // Compared, and written as it is: one more change of it is one that is lost.
        writes.put(head_key(&self.place), canary.number.to_string());
        let changed = self.changed_by(&canary.parts);
        let Canary { number, by, message, parts, .. } = canary;
        let (at, canary) = (now(), Some(decision));
        let record = ChangeRecord { number, by, at, message, changed, parts, canary, revision: 0 };
        self.write(writes, &record)
    }

    /// Ends the canary that is under way; the parts stay. A key that is no canary is taken out.
    pub fn abort(&mut self, decision: Decision) -> Result<PushOutcome, EtcdFailure> {
        let revision = self.canary.revision;
        match &self.canary.canary {
            Ok(None) => Ok(PushOutcome::Nothing),
            Ok(Some(canary)) if canary.decided.is_some() => Ok(PushOutcome::Nothing),
            Ok(Some(canary)) => {
                let stopped = stop(&mut self.etcd, &self.place, canary, revision, decision)?;
                Ok(stopped.map_or(PushOutcome::Lost, |revision| {
                    PushOutcome::Made(canary.number, revision)
                }))
            }
            Err(_) => {
                let key = canary::key(&self.place);
                let gone = self.etcd.commit(&[Unchanged::Key(&key, revision)], &[], &[&key])?;
                Ok(gone.map_or(PushOutcome::Lost, |revision| PushOutcome::Made(0, revision)))
            }
        }
    }

    /// The names of the parts that these would write or take out.
    fn changed_by(&self, parts: &Parts) -> Vec<String> {
        let held: BTreeMap<&str, &StoredKey> =
            self.entries.iter().map(|entry| (name_below(&self.place, entry), entry)).collect();
        let differs = |name: &str, text: &str| {
            held.get(name).is_none_or(|entry| entry.value != text.as_bytes())
        };
        let written = parts.iter().filter(|(name, text)| differs(name, text));
        let written = written.map(|(name, _)| name.clone());
        let gone = held.keys().filter(|name| !parts.contains_key(**name));
        written.chain(gone.map(|name| (*name).to_owned())).collect()
    }

    fn next_number(&self) -> Result<u64, EtcdFailure> {
        self.head.checked_add(1).ok_or_else(|| {
            EtcdFailure::Refused(format!("{}/.head has no number behind it", self.place.prefix))
        })
    }

    /// Writes a change, and the parts as it leaves them, with what else is to be written.
    fn write(
        &mut self,
        mut writes: Writes,
        record: &ChangeRecord,
    ) -> Result<PushOutcome, EtcdFailure> {
        let (place, number) = (&self.place, record.number);
        let text = json_of(record)?;
        is_short_enough(&text, record.changed.len())?;
        writes.put(history_key(place, number), text);
        for name in &record.changed {
            let key = format!("{}/{name}", place.prefix);
            match record.parts.get(name) {
                Some(text) => writes.put(key, text.clone()),
                None => writes.deletes.push(key),
            }
        }
        writes.deletes.extend(outdated(place, number));
        self.commit(&writes, number)
    }

    fn commit(&mut self, writes: &Writes, number: u64) -> Result<PushOutcome, EtcdFailure> {
        let (head_key, canary_key) = (head_key(&self.place), canary::key(&self.place));
        let (first, end) = range_of(&self.place.prefix);
        let unless = [
            Unchanged::Key(&head_key, self.head_revision),
            Unchanged::Key(&canary_key, self.canary.revision),
            Unchanged::Range(&first, &end, self.revision),
        ];
        Ok(match writes.commit(&mut self.etcd, &unless)? {
            Some(revision) => PushOutcome::Made(number, revision),
            None => PushOutcome::Lost,
        })
    }
}

/// What one transaction writes and takes out.
#[derive(Default)]
struct Writes {
    puts: Vec<(String, String)>,
    deletes: Vec<String>,
}

impl Writes {
    fn put(&mut self, key: String, text: String) {
        self.puts.push((key, text));
    }

    fn commit(
        &self,
        etcd: &mut Etcd,
        unless: &[Unchanged<'_>],
    ) -> Result<Option<i64>, EtcdFailure> {
        let puts = self.puts.iter();
        let puts: Vec<Put<'_>> =
            puts.map(|(key, text)| Put { key, value: text.as_bytes(), lease: None }).collect();
        let deletes: Vec<&str> = self.deletes.iter().map(String::as_str).collect();
        etcd.commit(unless, &puts, &deletes)
    }
}

/// Ends a canary, whose key is of this revision; the parts stay as they are. The revision of the store,
/// or `None`: somebody else has decided it.
pub fn stop(
    etcd: &mut Etcd,
    place: &StorePlace,
    canary: &Canary,
    revision: i64,
    decision: Decision,
) -> Result<Option<i64>, EtcdFailure> {
    let key = canary::key(place);
    let mut writes = Writes::default();
    writes.put(key.clone(), json_of(&canary.decided(decision.clone()))?);
    let Canary { number, by, message, changed, parts, .. } = canary.clone();
    let (at, canary) = (decision.at.clone(), Some(decision));
    let record = ChangeRecord { number, by, at, message, changed, parts, canary, revision: 0 };
    let text = json_of(&record)?;
    // What something else has written may be longer: then it is stopped all the same.
    if text.len() <= CHANGE_BYTES_MAX {
        writes.put(history_key(place, number), text);
        writes.deletes.extend(outdated(place, number));
    }
    writes.commit(etcd, &[Unchanged::Key(&key, revision)])
}

/// The change that is kept no more when the one of this number is written.
fn outdated(place: &StorePlace, number: u64) -> Option<String> {
    number.checked_sub(KEPT).map(|number| history_key(place, number))
}

fn json_of(record: &impl Serialize) -> Result<String, EtcdFailure> {
    serde_json::to_string(record).map_err(|error| EtcdFailure::Refused(error.to_string()))
}

fn is_short_enough(record: &str, keys: usize) -> Result<(), EtcdFailure> {
    if record.len() > CHANGE_BYTES_MAX {
        let bytes = record.len();
        return Err(EtcdFailure::Refused(format!(
            "all parts together have {bytes} bytes, and a change may have {CHANGE_BYTES_MAX}"
        )));
    }
    if keys > CHANGE_KEYS_MAX {
        return Err(EtcdFailure::Refused(format!(
            "{keys} parts are to be changed, and a change may have {CHANGE_KEYS_MAX}"
        )));
    }
    Ok(())
}

/// RFC 3339.
fn now() -> String {
    timestamp::written(sys::time_of_day().as_secs())
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
