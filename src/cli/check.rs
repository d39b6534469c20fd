//! `sluicegate check`: what a configuration means, or all that is wrong with it.
//!
//! The effective configuration goes to standard output and is itself a configuration; warnings and
//! errors go to standard error, each beginning with `FILE:LINE:`.

use std::fmt::Display;
use std::io::{self, Write};

use clap::Args;

use super::Exit;
use super::confine::foreseen;
use crate::config::parts::ConfigText;
use crate::config::upgrade::advice::advice;
use crate::config::{Loaded, Problem, show, upgrade};
use crate::escape::escaped;
use crate::lifecycle::place::{ConfigPlace, read_file};
use crate::lifecycle::source::compile;
use crate::lifecycle::store::StoreSource;

/// `sluicegate check`
#[derive(Args, Clone, Debug)]
pub struct CheckArguments {
    /// The configuration to check: a file, or etcd://[USER@]HOST:PORT[,HOST:PORT]/PREFIX
    #[arg(long, value_name = "PLACE")]
    pub config: ConfigPlace,
    /// Tell what this program takes otherwise than earlier ones did, in place of the configuration
    #[arg(long)]
    pub upgrade: bool,
}

/// Checks the configuration and tells what came of it.
pub fn execute(arguments: &CheckArguments) -> Exit {
    let place = &arguments.config;
    if arguments.upgrade
        && let Ok(text) = read(place)
        && let Err(error) = tell_upgrade(&text)
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        return Exit::Failure;
    }
    match load(place) {
        Ok(_) if arguments.upgrade => Exit::Success,
        Ok((text, loaded)) => match tell_accepted(place, &text, &loaded) {
            Ok(()) => Exit::Success,
            // Whoever reads us, `head` for one, has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
            Err(_) => Exit::Failure,
        },
        Err(reasons) => {
            // Told or not, it is refused: the exit code says so to whoever closed the stream.
            let _ = tell_refused(place, &reasons);
            Exit::Failure
        }
    }
}

/// Reads and compiles what is there now; `doctor` does alike.
pub fn load(place: &ConfigPlace) -> Result<(ConfigText, Loaded), Vec<String>> {
    let text = read(place)?;
    let loaded = compile(&text, place.folder())?;
    Ok((text, loaded))
}

fn read(place: &ConfigPlace) -> Result<ConfigText, Vec<String>> {
    match place {
        ConfigPlace::File(path) => read_file(path),
        ConfigPlace::Store(store) => StoreSource::new(store.clone(), None).read(),
    }
}

/// Tells what of a text is not as it was; of one with broken syntax nothing, as the check tells that.
fn tell_upgrade(text: &ConfigText) -> io::Result<()> {
    let Ok(found) = advice(text.text(), upgrade::CHANGES) else { return Ok(()) };
    let mut out = io::stdout().lock();
    for problem in found.refused.iter().chain(&found.different) {
        writeln!(out, "{}", text.tell(problem))?;
    }
    out.flush()
}

/// Tells why a configuration was refused, one line for each problem; `run` says it alike.
pub fn tell_refused(place: &dyn Display, reasons: &[String]) -> io::Result<()> {
    let mut err = io::stderr().lock();
    for reason in reasons {
        writeln!(err, "error: {reason}")?;
    }
    let errors = if reasons.len() == 1 { "error" } else { "errors" };
    writeln!(err, "{}: refused, {} {errors}", escaped(&place.to_string()), reasons.len())
}

/// Tells what is odd about a configuration that was accepted; `run` says it alike.
pub fn tell_warnings(text: &ConfigText, warnings: &[Problem]) -> io::Result<()> {
    let mut err = io::stderr().lock();
    warnings.iter().try_for_each(|warning| writeln!(err, "warning: {}", text.tell(warning)))
}

fn tell_accepted(place: &ConfigPlace, text: &ConfigText, loaded: &Loaded) -> io::Result<()> {
    tell_warnings(text, &loaded.warnings)?;
    let mut err = io::stderr().lock();
    let foreseen = foreseen(&loaded.snapshot, place);
    foreseen.iter().try_for_each(|told| writeln!(err, "warning: {}", escaped(told)))?;
    loaded.notes.iter().try_for_each(|note| writeln!(err, "note: {note}"))?;
    let mut out = io::stdout().lock();
    out.write_all(show::effective(&loaded.snapshot).as_bytes())?;
    out.flush()
}
