//! `sluicegate check`: what a configuration means, or all that is wrong with it.
//!
//! The effective configuration goes to standard output and is itself a configuration; warnings and
//! errors go to standard error, each beginning with `FILE:LINE:`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::Exit;
use crate::config::{self, Loaded, Problem, show};
use crate::escape::escaped;

/// `sluicegate check`
#[derive(Args, Clone, Debug)]
pub struct CheckArguments {
    /// The configuration to check
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Checks the file and tells what came of it.
pub fn execute(arguments: &CheckArguments) -> Exit {
    let path = &arguments.config;
    match config::load(path) {
        Ok(loaded) => match tell_accepted(path, &loaded) {
            Ok(()) => Exit::Success,
            // Whoever reads us, `head` for one, has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
            Err(_) => Exit::Failure,
        },
        Err(problems) => {
            // Told or not, it is refused: the exit code says so to whoever closed the stream.
            let _ = tell_refused(path, &problems);
            Exit::Failure
        }
    }
}

/// Tells why a configuration was refused, one line for each problem; `run` says it alike.
pub fn tell_refused(path: &Path, problems: &[Problem]) -> io::Result<()> {
    let mut err = io::stderr().lock();
    for problem in problems {
        writeln!(err, "error: {}", problem.in_file(path))?;
    }
    let errors = if problems.len() == 1 { "error" } else { "errors" };
    let file = path.display().to_string();
    writeln!(err, "{}: refused, {} {errors}", escaped(&file), problems.len())
}

/// Tells what is odd about a configuration that was accepted; `run` says it alike.
pub fn tell_warnings(path: &Path, warnings: &[Problem]) -> io::Result<()> {
    let mut err = io::stderr().lock();
    warnings.iter().try_for_each(|warning| writeln!(err, "warning: {}", warning.in_file(path)))
}

fn tell_accepted(path: &Path, loaded: &Loaded) -> io::Result<()> {
    tell_warnings(path, &loaded.warnings)?;
    let mut out = io::stdout().lock();
    out.write_all(show::effective(&loaded.snapshot).as_bytes())?;
    out.flush()
}
