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

    /// What it lists, if it holds something else than before.
    fn look(&mut self) -> Result<Option<Vec<FoundMember>>, String> {
        let bytes = files::read(&self.path, BYTES_MAX).map_err(|why| why.to_string())?;
        if self.known.as_ref() == Some(&bytes) {
            return Ok(None);
        }
        let is_toml = self.path.extension().is_some_and(|ending| ending == "toml");
        let found = members::read(&bytes, is_toml)?;
        self.known = Some(bytes);
        Ok(Some(found))
    }
}

impl Provider for FileProvider {
    fn watch(&mut self, stop: &Stop) -> Result<Vec<FoundMember>, Trouble> {
        loop {
            match self.look() {
                Ok(None) => {}
                Ok(Some(found)) => return Ok(found),
                Err(reason) => {
                    // That it is a list again is news, whatever it says.
                    self.known = None;
                    return Err(Trouble { reason, again: Some(LOOK) });
                }
            }
            if stop.wait(LOOK) {
                return Ok(Vec::new());
            }
        }
    }
}
