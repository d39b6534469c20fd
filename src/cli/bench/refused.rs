//! Why nothing is measured: arguments that would be ignored or cannot be meant together, and what is not there.

use std::collections::HashSet;

use super::{BenchArguments, ServerName};
use crate::bench::plan::Shape;
use crate::bench::process;
use crate::bench::target::Target;

/// Why nothing was measured, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The arguments cannot be meant: as those that are no arguments at all.
    Arguments(String),
    /// What was wanted could not be had.
    Failed(String),
}

impl From<String> for Stop {
    fn from(reason: String) -> Stop {
        Stop::Failed(reason)
    }
}

/// The first of these sentences that holds.
pub fn refuse(sentences: &[(bool, &str)]) -> Result<(), String> {
    match sentences.iter().find(|(holds, _)| *holds) {
        Some((_, why)) => Err((*why).to_owned()),
        None => Ok(()),
    }
}

impl BenchArguments {
    /// Refuses what would be ignored: whoever has written it expects something of it.
    pub(super) fn refuse_idle_of(&self, shape: Shape) -> Result<(), String> {
        let any = self.server == ServerName::Any;
        refuse(&[
            (self.tokens.is_some() && !shape.is_stream(), "--tokens is for shapes that stream"),
            (
                self.bytes.is_some() && !shape.is_bulk(),
                "--bytes is for the shapes upload and download",
            ),
            (
                self.rate.is_some() && !shape.is_paced(),
                "--rate is the pace of tokens, for the shapes streams and fairness: --open says how \
                 many requests a second are due",
            ),
            (
                self.token_bytes.is_some() && shape == Shape::Download,
                "--token-bytes is not for the shape download: --bytes is its body",
            ),
            (
                any && (self.rate.is_some() || self.tokens.is_some() || self.token_bytes.is_some()),
                "--rate, --tokens and --token-bytes tell our mock what to send: with --server any, \
                 the URL and --body say it",
            ),
            (
                any && self.bytes.is_some() && shape == Shape::Download,
                "--bytes tells our mock what to send: with --server any, the URL says it",
            ),
        ])
    }

    /// Each target has a name of its own, in the table and in the names of files.
    pub(super) fn refuse_twins(&self) -> Result<(), String> {
        let mut seen = HashSet::new();
        match self.compare.iter().find(|named| !seen.insert(&named.name)) {
            Some(named) => Err(format!("--compare has two servers that are named {}", named.name)),
            None => Ok(()),
        }
    }

    /// What a shape measures has to be there.
    pub(super) fn refuse_unseen(&self, shape: Shape, targets: &[Target]) -> Result<(), String> {
        refuse(&[(
            shape == Shape::Idle && targets.iter().all(|target| target.pid.is_none()),
            "the shape idle tells what kept connections cost a process: name it, --pid",
        )])
    }
}

/// The processes whose CPU and memory are read have to be there.
pub fn have_processes(targets: &[Target]) -> Result<(), String> {
    for pid in targets.iter().filter_map(|target| target.pid) {
        if process::cpu_of(pid).is_none() && process::memory_of(pid).is_none() {
            return Err(format!("--pid {pid}: there is no such process, or we may not look at it"));
        }
    }
    Ok(())
}

/// What may be behind a server that answers nothing but errors.
pub fn hint(server: ServerName, statuses: u64) -> &'static str {
    match server {
        ServerName::Mock if statuses > 0 => {
            "; it has answered with errors: what is asked for is told to our mock's /stream, and any \
             other server is measured with --server any"
        }
        _ => "",
    }
}
