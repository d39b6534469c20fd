//! `sluicegate completions` and `sluicegate man`: made from the definition of the commands, so that they
//! cannot say something else.

use std::io::{self, Write};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, Exit};

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
    /// The command whose page it is; without it the page of the program
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}

pub fn completions(arguments: &CompletionsArguments) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "sluicegate", &mut text);
    told(io::stdout().write_all(&text))
}

pub fn man(arguments: &ManArguments) -> Exit {
    let mut program = Arguments::command();
    program.build();
    let page: Command = match &arguments.command {
        None => program,
        Some(name) => match program.find_subcommand(name) {
            // Its page is found as `man sluicegate-run`: `build` has said that.
            Some(command) => command.clone(),
            None => {
                super::complain(&format!("there is no command {name:?}"));
                return Exit::Failure;
            }
        },
    };
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
