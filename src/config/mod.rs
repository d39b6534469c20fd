//! Configuration: from a TOML file to one immutable [`snapshot::Snapshot`], or to every reason
//! why not.
//!
//! ```text
//! text ──file──▶ fields with line numbers ──check──▶ Snapshot ──show──▶ text that means the same
//!                         └────────── problem: all that is wrong, at once ──────────┘
//! ```
//!
//! * A configuration is accepted whole or refused whole. Nothing downstream of [`check`] ever meets
//!   a limit that is missing, zero by accident or without a unit.
//! * All mistakes are reported together, each with its line: whoever mends a file by hand should
//!   not have to start the program once per mistake.
//! * What [`show`] prints compiles to the same snapshot it was printed from.
//!
//! * A file that is to replace the one in force ([`reload`]) must not touch what cannot change under
//!   running workers.
//!
//! Absent on purpose: includes and command-line overrides. A secret stands in a file or a variable of
//! its own, which the configuration names. One text, a file or the [`parts`] of a store, is the whole
//! truth, so `check` can show the whole truth.

pub mod bounds;
mod check;
pub mod defaults;
mod file;
pub mod keys_file;
mod machine;
pub mod members;
pub mod names;
pub mod parts;
pub mod problem;
mod reload;
mod secret;
pub mod show;
pub mod snapshot;
pub mod store;
pub mod units;
pub mod upgrade;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

pub use problem::Problem;
pub use reload::reload;
use snapshot::Snapshot;

use crate::files::{self, Unread};
use crate::plugins::{self, loaded::LoadedPlugin};

/// A configuration file larger than this is something else: a device, a log, a model.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// An accepted configuration.
#[derive(Debug)]
pub struct Loaded {
    pub snapshot: Snapshot,
    /// What is legal and yet probably not meant.
    pub warnings: Vec<Problem>,
    /// Which defaults have shrunk to fit the machine, a line for each.
    pub notes: Vec<String>,
}

/// What a configuration is checked against besides itself.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The CPUs this process may run on, ascending.
    pub cpus: Vec<usize>,
    /// How many of them it may keep busy; fewer where a cgroup quota says so.
    pub parallelism: usize,
    /// How many descriptors this process can have, if it wants so many.
    pub descriptors: fn(u64) -> u64,
    /// Bytes of memory that it may use. `None`: nobody knows.
    pub memory: Option<u64>,
    /// Finds the addresses of a `name:port`.
    pub resolve: names::Resolve,
    /// The folder of the configuration, where the relative paths in it begin.
    pub folder: PathBuf,
    /// Reads a file that the configuration names.
    pub read: fn(&Path) -> Result<String, String>,
    /// A variable of the environment, if there is one of that name.
    pub variable: fn(&str) -> Option<String>,
    /// Loads a plugin.
    pub load_plugin: plugins::load::Load,
    /// Those that run: what is the same in the configuration goes on.
    pub plugins: Vec<Arc<LoadedPlugin>>,
    /// The files that the configuration has named so far.
    pub named: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Environment {
    /// The machine we run on.
    pub fn current() -> Environment {
        let parallelism = available_parallelism().map_or(1, usize::from);
        let cpus = allowed_cpus().unwrap_or_else(|| (0..parallelism).collect());
        let resolve = names::system;
        let variable = |name: &str| std::env::var(name).ok();
        let folder = PathBuf::new();
        Environment {
            cpus,
            parallelism,
            descriptors: machine::descriptors,
            memory: machine::memory(),
            resolve,
            folder,
            read: read_named,
            variable,
            load_plugin: plugins::load::load,
            plugins: Vec::new(),
            named: Arc::default(),
        }
    }

    fn named_files(&self) -> Vec<PathBuf> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Where a file is that the configuration names, which is remembered.
    fn file(&self, written: impl AsRef<Path>) -> PathBuf {
        let path = self.folder.join(written);
        self.named.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone());
        path
    }

    /// The same, for a configuration whose relative paths begin in this folder.
    pub fn in_folder(folder: PathBuf) -> Environment {
        Environment { folder, ..Environment::current() }
    }
}

/// The folder of a configuration's file. Absolute, so that what `check` prints means the same wherever
/// it is written to.
pub fn folder_of(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole.parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// Compiles a configuration, or tells everything that is wrong with it, in the order of its lines.
pub fn parse(text: &str, environment: &Environment) -> Result<Loaded, Vec<Problem>> {
    let document = file::Document::parse(text)?;
    check::compile(&document, environment)
}

/// Whether a configuration, of which nothing else is looked at, has `process.landlock`.
pub fn asks_for_landlock(text: &str) -> bool {
    let mut report = problem::Report::default();
    let document = file::Document::parse(text);
    document.is_ok_and(|document| {
        let mut process = document.root().table("process", &mut report);
        process.boolean("landlock", defaults::LANDLOCK, &mut report)
    })
}

/// The text of a configuration's file, or one sentence.
pub fn read(path: &Path) -> Result<String, Problem> {
    use std::io::ErrorKind;

    let failed = |unread: Unread| {
        Problem::of_file(match unread {
            Unread::TooLong => {
                let limit = units::show_size(FILE_BYTES_MAX);
                format!("the file is larger than {limit}; it cannot be a configuration")
            }
            Unread::Kind(kind) => {
                format!("this is {kind}; --config takes the path of a TOML file")
            }
            Unread::Failed(error) => match error.kind() {
                ErrorKind::NotFound => "there is no such file".to_owned(),
                ErrorKind::PermissionDenied => {
                    "the file may not be read by this user (permission denied)".to_owned()
                }
                _ => format!("the file cannot be read: {error}"),
            },
        })
    };
    let bytes = files::read(path, FILE_BYTES_MAX).map_err(failed)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + memchr::memchr_iter(b'\n', good).count();
        Problem {
            line: Some(line),
            key: String::new(),
            reason: "the file is not valid UTF-8, as TOML has to be".to_owned(),
            hint: None,
        }
    })
}

/// The text of a file that the configuration names, or one sentence.
fn read_named(path: &Path) -> Result<String, String> {
    let read = files::read(path, check::ANSWER_MAX as u64 + 1);
    let bytes = read.map_err(|unread| match unread {
        Unread::TooLong => {
            format!("it is longer than {}", units::show_size(check::ANSWER_MAX as u64))
        }
        other => other.to_string(),
    })?;
    String::from_utf8(bytes).map_err(|_| "the file is not valid UTF-8".to_owned())
}

/// `None` where the platform cannot tell, or the machine has more CPUs than a `CpuSet` holds.
#[cfg(target_os = "linux")]
fn allowed_cpus() -> Option<Vec<usize>> {
    use rustix::thread::{CpuSet, sched_getaffinity};

    let set = sched_getaffinity(None).ok()?;
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect();
    (!cpus.is_empty()).then_some(cpus)
}

#[cfg(not(target_os = "linux"))]
fn allowed_cpus() -> Option<Vec<usize>> {
    None
}
