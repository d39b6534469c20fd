#![forbid(unsafe_code)]
//! Arguments → command → exit code.

use std::process::ExitCode;

use sluicegate::cli::{self, Arguments, Exit};

fn main() -> ExitCode {
    let arguments = Arguments::read();
    match cli::start_log(&arguments) {
        Ok(()) => {
            let exit = arguments.command.execute();
            cli::end_log();
            exit.into()
        }
        Err(error) => {
            eprintln!("error: the log cannot be started: {error}");
            Exit::Failure.into()
        }
    }
}
