//! `sluicegate completions` and `sluicegate man`: made from the definition of the commands, so that they
//! cannot say something else.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, Exit, complain};

/// `sluicegate completions`
#[derive(Args, Clone, Debug)]
pub struct CompletionsArguments {
    /// The shell: bash, elvish, fish, powershell or zsh
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `sluicegate man`
#[derive(Args, Clone, Debug)]
pub struct ManArguments {
    /// The command whose page it is, such as run or config push; without it the page of the program
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Write the pages of the program and of all commands into this folder; it is made where there is none
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    pub folder: Option<PathBuf>,
}

pub fn completions(arguments: &CompletionsArguments) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "sluicegate", &mut text);
    told(io::stdout().write_all(&text))
}

pub fn man(arguments: &ManArguments) -> Exit {
    if let Some(folder) = &arguments.folder {
        let made = fs::create_dir_all(folder);
        return match made.and_then(|()| clap_mangen::generate_to(Arguments::command(), folder)) {
            Ok(()) => Exit::Success,
            Err(error) => {
                complain(&format!("no pages can be written to {}: {error}", folder.display()));
                Exit::Failure
            }
        };
    }
    let mut page = Arguments::command();
    page.build();
    for name in &arguments.command {
        // Its page is found as `man sluicegate-run`: `build` has said that.
        let Some(inner) = page.find_subcommand(name) else {
            complain(&format!("there is no command {:?}", arguments.command.join(" ")));
            return Exit::Failure;
        };
        page = inner.clone();
    }
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(page).render(&mut text);
    told(rendered.and_then(|()| io::stdout().write_all(&text)))
}

fn told(written: io::Result<()>) -> Exit {
    match written {
        Ok(()) => Exit::Success,
        // Whoever reads us has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
        Err(_) => Exit::Failure,
    }
}
