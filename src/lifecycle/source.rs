//! The configuration of a gateway, read and watched at its place.

use std::fmt;
use std::path::PathBuf;

use super::place::{Read, read_file};
use super::store::StoreSource;
use super::watch::FileWatch;
use crate::config::parts::ConfigText;
use crate::config::snapshot::{FleetSettings, Snapshot};
use crate::config::{self, Loaded, Problem};

/// A configuration's place, read and watched.
pub enum Source {
    File(FileWatch),
    Store(Box<StoreSource>),
}

impl Source {
    /// The text that it holds now.
    pub fn read(&mut self) -> Read {
        match self {
            Source::File(watch) => {
                // Looked at before it is read: what changes in between is a change.
                *watch = FileWatch::of(watch.path());
                read_file(watch.path())
            }
            Source::Store(store) => store.read(),
        }
    }

    /// Whether a file is to be read again. A store tells by itself.
    pub fn has_changed(&mut self) -> bool {
        match self {
            Source::File(watch) => watch.has_changed(),
            Source::Store(_) => false,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(watch) => watch.path().display().fmt(f),
            Source::Store(store) => store.place().fmt(f),
        }
    }
}

/// Problems as they are told to a person, a line each.
pub fn told(text: &ConfigText, problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| text.tell(problem)).collect()
}

/// Compiles a text for this machine; why not, a line each.
pub fn compile(text: &ConfigText, folder: PathBuf) -> Result<Loaded, Vec<String>> {
    let loaded = config::parse(text.text(), &config::Environment::in_folder(folder))
        .map_err(|problems| told(text, &problems))?;
    match &loaded.snapshot.gate.fleet {
        Some(FleetSettings { store: None, .. }) if !text.is_of_store() => {
            Err(vec!["[fleet] needs a store, since the configuration is a file".to_owned()])
        }
        _ => Ok(loaded),
    }
}

/// Compiles a text as what is to follow a configuration in force; why not, a line each.
pub fn follow(
    text: &ConfigText,
    running: &Snapshot,
    folder: PathBuf,
) -> Result<Loaded, Vec<String>> {
    config::reload(text.text(), running, &config::Environment::in_folder(folder))
        .map_err(|problems| told(text, &problems))
}
