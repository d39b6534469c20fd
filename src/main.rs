#![forbid(unsafe_code)]
//! Arguments → command → exit code.

use std::process::ExitCode;

use clap::Parser;
use sluicegate::cli::{self, Arguments, Exit};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match cli::start_log(arguments.log_level) {
        Ok(()) => arguments.command.execute().into(),
        Err(error) => {
            eprintln!("error: the log cannot be started: {error}");
            Exit::Failure.into()
        }
    }
}
