//! Who has changed what in the store, told when the admin address asks for it.
//!
//! * The store is asked on a thread of its own: neither a worker nor whoever looks after the configuration waits.
//! * One question is under way at a time; whoever asks meanwhile gets its answer.
//! * What a change has left is not told: a configuration may be long, and `sluicegate config` shows it.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::{Value, json};

use super::super::place::StorePlace;
use super::record::{ChangeRecord, history};
use crate::server::{StoreChanges, StoreHistory};

type Askers = Mutex<Vec<Sender<StoreChanges>>>;

/// Asks this store whenever somebody wants to know.
pub fn on_demand(place: StorePlace) -> StoreHistory {
    let askers = Arc::new(Askers::default());
    Box::new(move |asker| {
        let mut waiting = lock(&askers);
        waiting.push(asker);
        if waiting.len() > 1 {
            return;
        }
        let (place, all) = (place.clone(), Arc::clone(&askers));
        let ask = move || {
            let told = history(&place).map_err(|failure| format!("{place}: {failure}"));
            let told = told.map(|changes| document(&place, &changes));
            for asker in lock(&all).drain(..) {
                // Who does not wait any more needs to be told nothing.
                let _ = asker.send(told.clone());
            }
        };
        if thread::Builder::new().name("store-history".into()).spawn(ask).is_err() {
            // Without a thread there is no answer, and the next to ask tries again.
            waiting.clear();
        }
    })
}

fn lock(askers: &Askers) -> MutexGuard<'_, Vec<Sender<StoreChanges>>> {
    askers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The changes, the latest first.
fn document(place: &StorePlace, changes: &[ChangeRecord]) -> Value {
    let row = |change: &ChangeRecord| {
        json!({
            "number": change.number,
            "revision": change.revision,
            "at": change.at,
            "by": change.by,
            "message": change.message,
            "changed": change.changed,
            "canary": change.canary,
        })
    };
    json!({
        "store": place.to_string(),
        "changes": changes.iter().rev().map(row).collect::<Vec<_>>(),
    })
}
