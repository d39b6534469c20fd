//! `sluicegate explain`: cause and cure of an error, by its code.

use std::io::{self, Write};

use clap::Args;

use super::{Exit, complain};
use crate::http::explained;

/// `sluicegate explain`
#[derive(Args, Clone, Debug)]
pub struct ExplainArguments {
    /// The code of an error, such as no_route; without it all codes are listed
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

pub fn execute(arguments: &ExplainArguments) -> Exit {
    let text = match &arguments.code {
        None => explained::codes().map(|code| format!("{code}\n")).collect(),
        Some(code) => match explained::explanation(code.trim()) {
            Some(text) => plain(code.trim(), text),
            None => {
                complain(&format!(
                    "there is no code {code:?}{}; sluicegate explain lists all of them",
                    meant(code)
                ));
                return Exit::Failure;
            }
        },
    };
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Exit::Success,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
        Err(_) => Exit::Failure,
    }
}

/// For a terminal: without the marks of the page. Links keep their file's name.
fn plain(code: &str, text: &str) -> String {
    let text = text.replace("**", "");
    format!("{code}\n\n{text}\n")
}

/// Codes that have a part of it, as a question.
fn meant(code: &str) -> String {
    let near: Vec<_> = explained::codes()
        .filter(|known| code.len() > 2 && (known.contains(code) || code.contains(known)))
        .collect();
    if near.is_empty() { String::new() } else { format!(" (did you mean {}?)", near.join(", ")) }
}
