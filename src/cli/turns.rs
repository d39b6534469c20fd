//! `sluicegate turns`: the turns of one worker in a small simulated world, drawn.
//!
//! The text goes to standard output. No network is touched, and no clock is read: the same arguments
//! give the same text.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::{Exit, complain};
use crate::turns::scenarios::{self, Played};
use crate::turns::{page, text};

/// `sluicegate turns`
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("what").required(true).args(["scenario", "seed", "list"]))]
pub struct TurnsArguments {
    /// What to play: a name from --list
    #[arg(value_name = "SCENARIO")]
    pub scenario: Option<String>,
    /// Play a small world that is drawn from this number
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Name the scenarios, and end
    #[arg(long)]
    pub list: bool,
    /// Show every turn, and not only those that the scenario is about
    #[arg(long, conflicts_with = "list")]
    pub all: bool,
    /// Write a page to step through in a browser, and print no text
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    pub html: Option<PathBuf>,
}

pub fn execute(arguments: &TurnsArguments) -> Exit {
    match run(arguments) {
        Ok(()) => Exit::Success,
        Err(reason) => {
            complain(&reason);
            Exit::Failure
        }
    }
}

fn run(arguments: &TurnsArguments) -> Result<(), String> {
    if arguments.list {
        return print(&list());
    }
    let played = match (&arguments.scenario, arguments.seed) {
        (Some(name), _) => scenarios::play(name).ok_or_else(|| unknown(name))??,
        (None, seed) => scenarios::play_seed(seed.unwrap_or_default())?,
    };
    match &arguments.html {
        Some(file) => write_page(file, &played),
        None => print(&text::draw(&played, arguments.all)),
    }
}

fn write_page(file: &PathBuf, played: &Played) -> Result<(), String> {
    let page = page::draw(played);
    fs::write(file, page).map_err(|error| format!("{}: {error}", file.display()))
}

fn list() -> String {
    let lines = scenarios::ALL.iter().map(|it| format!("{:<15}{}\n", it.name, it.title));
    lines.collect()
}

fn unknown(name: &str) -> String {
    let names: Vec<&str> = scenarios::ALL.iter().map(|scenario| scenario.name).collect();
    format!("there is no scenario {name:?}; there are {}", names.join(", "))
}

fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads us, `head` for one, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| error.to_string()),
    }
}
