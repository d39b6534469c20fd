//! A file that lists endpoints, looked at every second.
//!
//! JSON or TOML, by its ending:
//!
//! ```text
//!   ["10.0.0.1:8000", { "address": "10.0.0.2:8000", "weight": 2, "priority": 1, "zone": "b" }]
//!
//!   endpoints = ["10.0.0.1:8000", { address = "10.0.0.2:8000", weight = 2 }]
//! ```
//!
//! A file that cannot be read, or is half written, is in trouble: the set that it had stays. Asked for by
//! its content, not by its time stamp: it is small, and the same for a writer in place, one that renames and
//! a mounted ConfigMap.

use std::path::PathBuf;
use std::time::Duration;

use super::{FoundMember, Provider, Stop, Trouble};
use crate::config::members;
use crate::files;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);
const BYTES_MAX: u64 = 1 << 20;

pub(super) struct FileProvider {
    path: PathBuf,
    /// What it held when it was last told.
    known: Option<Vec<u8>>,
}

impl FileProvider {
    pub fn new(path: PathBuf) -> FileProvider {
        FileProvider { path, known: None }
    }
}

impl Provider for FileProvider {
    fn watch(&mut self, stop: &Stop) -> Result<Vec<FoundMember>, Trouble> {
        loop {
            let trouble = |reason: String| Trouble { reason, again: Some(LOOK) };
            let bytes =
                files::read(&self.path, BYTES_MAX).map_err(|why| trouble(why.to_string()))?;
            if self.known.as_ref() != Some(&bytes) {
                let is_toml = self.path.extension().is_some_and(|ending| ending == "toml");
                let found = members::read(&bytes, is_toml).map_err(trouble)?;
                self.known = Some(bytes);
                return Ok(found);
            }
            if stop.wait(LOOK) {
                return Ok(Vec::new());
            }
        }
    }
}
