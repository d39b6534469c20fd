//! A watch: one answer that does not end, a line of JSON for each set of changes.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::message::number;
use super::{ANSWER_BYTES_MAX, EtcdFailure};
use crate::control::client::{Answer, AskFailure, Lines};

/// What a watch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// Keys have changed; the revision of the last change that is known.
    Changed(i64),
    /// Nothing has, up to this revision.
    Nothing(i64),
    /// What was asked for has been compacted away: everything has to be read anew.
    Compacted,
    /// No word within the patience.
    Silence,
}

/// A running watch.
pub struct Watch {
    lines: Lines,
}

impl Watch {
    pub(super) fn begin(answer: Answer) -> Result<Watch, EtcdFailure> {
        Ok(Watch { lines: answer.lines(ANSWER_BYTES_MAX) })
    }

    /// The next thing that it says, if that comes within `patience`. After an error it is over.
    pub fn next(&mut self, patience: Duration) -> Result<WatchEvent, EtcdFailure> {
        let line = match self.lines.next(Instant::now() + patience) {
            Ok(Some(line)) => line,
            Err(AskFailure::Timeout) => return Ok(WatchEvent::Silence),
            Ok(None) => return Err(ended("the watch was ended")),
            Err(failure) => return Err(ended(&failure.to_string())),
        };
        let told: Value = serde_json::from_slice(&line)
            .map_err(|error| EtcdFailure::Unreadable(error.to_string()))?;
        if !told["error"].is_null() {
            return Err(ended(&told["error"].to_string()));
        }
        let result = &told["result"];
        let revision = number(&result["header"]["revision"]).unwrap_or(0);
        if number(&result["compact_revision"]).is_some_and(|compacted| compacted > 0) {
            return Ok(WatchEvent::Compacted);
        }
        if result["canceled"].as_bool() == Some(true) {
            let why = result["cancel_reason"].as_str().unwrap_or("it was cancelled");
            // Where the user may not read these keys.
            return match why.contains("permission denied") {
                true => Err(EtcdFailure::Denied(why.to_owned())),
                false => Err(ended(why)),
            };
        }
        match result["events"].as_array().is_some_and(|events| !events.is_empty()) {
            true => Ok(WatchEvent::Changed(revision)),
            false => Ok(WatchEvent::Nothing(revision)),
        }
    }
}

fn ended(why: &str) -> EtcdFailure {
    EtcdFailure::Away("the watched member".into(), why.to_owned())
}
