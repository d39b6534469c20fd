//! A configuration in a store: read whole, watched, and told about.
//!
//! ```text
//!   store thread ── watch ──▶ quiet for a moment ──▶ Chore::Changed ──▶ lifecycle: read, check, apply
//!        ▲                                                                   │
//!        └───────────── what became of it: the status key ◀──────────────────┘
//! ```
//!
//! | key below the prefix | holds |
//! |---|---|
//! | `config`, `upstreams/NAME`, `routes/NAME`, `prices/NAME`, `keys/NAME` | the parts of the configuration |
//! | `.status/GATEWAY` | which revision is in force in one gateway, and why a later one is not |
//! | `.head`, `.history/NUMBER` | who changed what, and when ([`record`]) |
//!
//! * What is in force stays, whatever becomes of the store: away, empty, or with something in it that
//!   is refused.
//! * A good configuration is kept on disk, so that a gateway can start without the store.
//! * The thread of the store may block. Nobody waits for it.

pub mod record;
mod status;
mod watching;

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::{io, thread};

use self::status::StatusLine;
use self::watching::Watcher;
use super::Chore;
use super::place::{Read, StorePlace, read_file};
use crate::config::parts::ConfigText;
pub use crate::control::etcd::EtcdFailure;
use crate::control::etcd::{Etcd, StoredKey};
use crate::files;

/// Parts of one configuration.
pub const PARTS_MAX: usize = 4096;

/// The parts of a configuration lie between these keys. What begins with a dot lies before them.
pub fn range_of(prefix: &str) -> (String, String) {
    (format!("{prefix}//"), format!("{prefix}0"))
}

/// The configuration that entries of a store make, or every reason why they make none.
pub fn text_of(place: &StorePlace, entries: &[StoredKey]) -> Read {
    if entries.is_empty() {
        return Err(vec![format!("{place}: there is no configuration here")]);
    }
    let above = place.prefix.len() + 1;
    let parts =
        entries.iter().map(|entry| (entry.key.get(above..).unwrap_or(""), &entry.value[..]));
    ConfigText::of_parts(&place.to_string(), parts)
}

/// A configuration in a store.
#[derive(Clone)]
pub struct StoreSource {
    place: StorePlace,
    etcd: Etcd,
    /// Where the last good configuration is kept.
    last_good: Option<PathBuf>,
    /// The last change of a part that was read.
    revision: i64,
    /// To the thread that watches, once there is one.
    status: Option<Sender<StatusLine>>,
}

impl StoreSource {
    pub fn new(place: StorePlace, last_good: Option<PathBuf>) -> StoreSource {
        let etcd = Etcd::new(place.etcd.clone());
        StoreSource { place, etcd, last_good, revision: 0, status: None }
    }

    pub fn place(&self) -> &StorePlace {
        &self.place
    }

    /// The configuration that the store has now.
    pub fn read(&mut self) -> Read {
        let (first, end) = range_of(&self.place.prefix);
        let listing = self
            .etcd
            .range(&first, &end, PARTS_MAX)
            .map_err(|failure| vec![format!("{}: {failure}", self.place)])?;
        self.revision = listing.entries.iter().map(|entry| entry.revision).max().unwrap_or(0);
        text_of(&self.place, &listing.entries)
    }

    /// The configuration that was good last, if there is a copy of it.
    pub fn last_good(&self) -> Option<(PathBuf, Read)> {
        let path = self.last_good.clone().filter(|path| path.exists())?;
        let read = read_file(&path);
        Some((path, read))
    }

    /// Keeps a configuration that is in force.
    pub fn keep(&self, text: &ConfigText) {
        let Some(path) = &self.last_good else { return };
        let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = folder.and_then(|()| files::replace(path, text.text())) {
            log::error!("{}: the last good configuration is not kept: {error}", path.display());
        }
    }

    /// Watches the store from now on, on a thread of its own, for whoever does these chores.
    pub fn watch(&mut self, name: String, chores: Sender<Chore>) -> io::Result<()> {
        let (status, told) = channel();
        let mut watcher = Watcher::new(self.place.clone(), name, told, chores, self.revision);
        thread::Builder::new().name("store".into()).spawn(move || watcher.run())?;
        self.status = Some(status);
        Ok(())
    }

    /// Tells the store what became of what was read last.
    pub fn tell(&self, generation: u32, refused: &[String]) {
        let Some(status) = &self.status else { return };
        // The thread lives as long as the process.
        let _ = status.send(StatusLine::new(generation, self.revision, refused));
    }
}

/// Whether a failure is the store's, and may pass by itself.
pub(super) fn may_pass(failure: &EtcdFailure) -> bool {
    matches!(failure, EtcdFailure::Away(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_in_their_range_and_what_begins_with_a_dot_does_not() {
        let (first, end) = range_of("/p");
        for (key, lies) in [
            ("/p/config", true),
            ("/p/upstreams/a", true),
            ("/p/.head", false),
            ("/p/.status/x", false),
            ("/p2/config", false),
            ("/p", false),
            ("/o/config", false),
        ] {
            assert_eq!((first.as_str()..end.as_str()).contains(&key), lies, "{key}");
        }
    }
}
