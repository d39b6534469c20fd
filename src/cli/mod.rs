//! Commands: what the arguments of each mean.
//!
//! One file a command. This one owns the arguments, the exit codes and the log; `main.rs` only puts
//! them together. What a command prints for its caller goes to standard output; what is said to a
//! person (problems, warnings, the log) goes to standard error.
//!
//! Absent on purpose: arguments that change the configuration of a gateway. The file is the whole
//! truth, and `check` shows it.

pub mod admin;
pub mod bench;
pub mod cert;
pub mod check;
pub mod config;
mod confine;
pub mod dashboard;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod generate;
pub mod init;
pub mod key;
pub mod mock;
pub mod register;
pub mod run;
pub mod top;
pub mod turns;

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand};
use log::LevelFilter;

use crate::escape::escaped_lines;
use crate::lifecycle::place::ConfigPlace;
use crate::observe::logger;

/// What can be left out when the program is compiled, as far as it was not.
const FEATURES: [&str; 0] = [];

/// The version, the commit that it was made from where that is known, and its features.
fn version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let commit = option_env!("SLUICEGATE_COMMIT").unwrap_or("unknown");
        let features = if FEATURES.is_empty() { "none".into() } else { FEATURES.join(", ") };
        format!("{} (commit {commit}; features: {features})", env!("CARGO_PKG_VERSION"))
    });
    &TEXT
}

const EXIT_CODES: &str = "\
Exit codes:
  0  the command did what it was asked to do
  1  it could not: the configuration was refused, an address is taken, a limit cannot be had
  2  the arguments were not understood";

const DOCTOR: &str = "\
Exit codes:
  0  nothing has to be changed; what could be better is told all the same
  1  something has to be changed, or the configuration was refused
  2  the arguments were not understood";

const SIGNALS: &str = "\
Exit codes:
  0  it was told to stop, and drained
  1  it could not start, or a second signal cut the drain short
  2  the arguments were not understood

Signals:
  SIGINT, SIGTERM  accept no more, let the streams end within timeouts.drain, exit 0
  a second one     abort what is left, exit 1";

const REGISTER: &str = "\
Exit codes:
  the server's own; 128 and the number of a signal that has ended it
  0  without a server of its own: it was told to stop, and the key is gone
  1  it could not begin, or the server was never well
  2  the arguments were not understood

Signals:
  SIGINT, SIGTERM  withdraw, drain, end the server
  a second one     end the server at once; a third one kills it
  SIGHUP, SIGUSR2  passed on to the server";

const RUN: &str = "\
Exit codes:
  0  it was told to stop, or has handed over, and drained
  1  it could not start, or a second signal cut the drain short
  2  the arguments were not understood

Signals:
  SIGHUP           read the configuration again; streams notice nothing
  SIGUSR2          start this program anew, hand the listening sockets over to it, drain
  SIGINT, SIGTERM  accept no more, let the streams end within timeouts.drain, exit 0
  a second one     abort what is left, exit 1";

/// A streaming inference gateway: every token is at the client in the turn it arrives.
#[derive(Debug, Parser)]
#[command(name = "sluicegate", version = version(), propagate_version = true)]
#[command(after_help = EXIT_CODES)]
pub struct Arguments {
    /// How much is logged to standard error: off, error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info")]
    pub log_level: LevelFilter,
    #[command(subcommand)]
    pub command: Command,
}

impl Arguments {
    /// What was written, or the end of the process with what is wrong with it. A password in a place, where
    /// none belongs, is not repeated: complaints end in journals.
    pub fn read() -> Arguments {
        Arguments::try_parse().unwrap_or_else(|error| {
            let told = error.render().to_string();
            let masked = without_passwords(&told);
            if masked == told {
                error.exit();
            }
            complain(&masked.trim_start_matches("error: ").trim_end());
            std::process::exit(error.exit_code())
        })
    }
}

/// The text with `…` in the place of each password of a URL.
fn without_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = behind.find(|c: char| c.is_whitespace() || c == '\'').unwrap_or(behind.len());
        rest = behind;
        let user = behind[..end].rsplit_once('@').map_or("", |(user, _)| user);
        if let Some((name, _)) = user.split_once(':') {
            out.push_str(name);
            out.push_str(":…");
            rest = &behind[user.len()..];
        }
    }
    out.push_str(rest);
    out
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway
    #[command(after_help = RUN)]
    Run(RunArguments),
    /// Check a configuration: print all of it with every default filled in, or every mistake in it
    #[command(after_help = EXIT_CODES)]
    Check(check::CheckArguments),
    /// Read and change a configuration that stands in a store
    #[command(after_help = EXIT_CODES)]
    Config(config::ConfigArguments),
    /// Run an inference server, and tell gateways of it by a store for as long as it is well
    #[command(after_help = REGISTER)]
    Register(register::RegisterArguments),
    /// Write a configuration for the servers that are there, and show how to use it
    #[command(after_help = EXIT_CODES)]
    Init(init::InitArguments),
    /// Look at the machine, and at the servers of a configuration, and say what to change
    #[command(after_help = DOCTOR)]
    Doctor(doctor::DoctorArguments),
    /// Explain an error of the gateway's: its cause and its cure
    #[command(after_help = EXIT_CODES)]
    Explain(explain::ExplainArguments),
    /// Run the gateway and a mock inference server behind it, and show how to try them
    #[command(after_help = SIGNALS)]
    Demo(DemoArguments),
    /// Run the mock inference server alone
    #[command(after_help = SIGNALS)]
    Mock(MockArguments),
    /// Measure latency, throughput, CPU and memory of a gateway or any server behind HTTP/1.1
    #[command(after_help = EXIT_CODES)]
    Bench(bench::BenchArguments),
    /// Make a certificate for trying TLS
    #[command(after_help = EXIT_CODES)]
    Cert(cert::CertArguments),
    /// Make, list, revoke and rotate the keys that clients come with
    #[command(after_help = EXIT_CODES)]
    Key(key::KeyArguments),
    /// Open the dashboard of a running gateway in a browser, or say where it is
    #[command(after_help = EXIT_CODES)]
    Dashboard(dashboard::DashboardArguments),
    /// Watch a running gateway in the terminal
    #[command(after_help = EXIT_CODES)]
    Top(top::TopArguments),
    /// Print what a shell needs to complete the arguments of this program
    #[command(after_help = EXIT_CODES)]
    Completions(generate::CompletionsArguments),
    /// Print the manual page of the program, or of one of its commands
    #[command(after_help = EXIT_CODES)]
    Man(generate::ManArguments),
    /// Show what the event loop does, turn by turn, in a small simulated world
    #[command(after_help = EXIT_CODES)]
    Turns(turns::TurnsArguments),
}

impl Command {
    /// Whether it has workers, whose turns are not for waiting.
    fn serves(&self) -> bool {
        matches!(self, Command::Run(_) | Command::Demo(_) | Command::Mock(_))
    }

    /// Does it.
    pub fn execute(self) -> Exit {
        match self {
            Command::Run(arguments) => run::execute(&arguments),
            Command::Check(arguments) => check::execute(&arguments),
            Command::Config(arguments) => config::execute(&arguments),
            Command::Register(arguments) => register::execute(&arguments),
            Command::Doctor(arguments) => doctor::execute(&arguments),
            Command::Explain(arguments) => explain::execute(&arguments),
            Command::Init(arguments) => init::execute(&arguments),
            Command::Demo(arguments) => demo::execute(&arguments),
            Command::Mock(arguments) => mock::execute(&arguments),
            Command::Bench(arguments) => bench::execute(&arguments),
            Command::Cert(arguments) => cert::execute(&arguments),
            Command::Key(arguments) => key::execute(&arguments),
            Command::Dashboard(arguments) => dashboard::execute(&arguments),
            Command::Top(arguments) => top::execute(&arguments),
            Command::Completions(arguments) => generate::completions(&arguments),
            Command::Man(arguments) => generate::man(&arguments),
            Command::Turns(arguments) => turns::execute(&arguments),
        }
    }
}

/// `sluicegate run`
#[derive(Args, Clone, Debug)]
pub struct RunArguments {
    /// The configuration: a file, or etcd://[USER@]HOST:PORT[,HOST:PORT]/PREFIX (etcds:// under TLS);
    /// there is none by default
    #[arg(long, value_name = "PLACE")]
    pub config: ConfigPlace,
    /// With a store: keeps the last good configuration here, to start from when the store is away
    #[arg(long, value_name = "FILE")]
    pub last_good: Option<PathBuf>,
    /// With a store: the name of this gateway in it [default: the host's name and the process id]
    #[arg(long, value_name = "NAME", value_parser = gateway_name)]
    pub gateway: Option<String>,
}

/// A name that can be the last part of a key.
fn gateway_name(told: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match (1..=64).contains(&told.len()) && told.bytes().all(good) {
        true => Ok(told.to_owned()),
        false => Err("letters, digits, '.', '_' and '-', up to 64 of them".to_owned()),
    }
}

/// `sluicegate demo`
#[derive(Args, Clone, Debug)]
pub struct DemoArguments {
    /// Where the gateway listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where the mock inference server listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub mock_listen: SocketAddr,
    /// Speak TLS, with a certificate that is made for it
    #[arg(long)]
    pub tls: bool,
    /// Where the dashboard is [default: 127.0.0.1:9090, or any port if that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,
    #[command(flatten)]
    pub mock: mock::MockFlags,
}

/// `sluicegate mock`
#[derive(Args, Clone, Debug)]
pub struct MockArguments {
    /// Where the mock inference server listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub listen: SocketAddr,
    /// Connections it holds at once
    #[arg(long, value_name = "COUNT", default_value_t = 12_000)]
    pub connections: usize,
    /// Answer everything with this recording of a failed stream; no other flag shapes it then
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    #[command(flatten)]
    pub mock: mock::MockFlags,
}

/// How a command ended. Arguments that are not understood end with 2 before there is a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Success,
    Failure,
    /// Of `config diff`, whose `Failure` says that there is a difference: nothing could be compared.
    NotCompared,
    /// The arguments cannot be meant together.
    NotUnderstood,
    /// As the server that was run has ended.
    Code(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        match exit {
            Exit::Success => ExitCode::SUCCESS,
            Exit::Failure => ExitCode::FAILURE,
            Exit::NotCompared => ExitCode::from(3),
            Exit::NotUnderstood => ExitCode::from(2),
            Exit::Code(code) => ExitCode::from(code),
        }
    }
}

/// Tells a person why a command fails.
fn complain(reason: &dyn Display) {
    eprintln!("error: {}", escaped_lines(&reason.to_string()));
}

/// Sends the log to standard error from here on. What serves must not wait for a line to be
/// written, so there a thread of its own writes them; the other commands write their few lines
/// themselves.
pub fn start_log(arguments: &Arguments) -> io::Result<()> {
    let level = arguments.log_level;
    if let Command::Turns(_) = arguments.command {
        // Its worker would log of a world that there is not.
        return Ok(());
    }
    if arguments.command.serves() {
        return logger::start(level);
    }
    logger::start_unqueued(level)
}

/// Waits, for a moment, until everything is written.
pub fn end_log() {
    log::logger().flush();
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_password_in_a_place_is_not_repeated() {
        for (told, shown) in [
            ("'etcd://u:pw@h:1/p' for", "'etcd://u:…@h:1/p' for"),
            ("a etcds://u:p:w/x@y@h http://v:pw@g", "a etcds://u:…@h http://v:…@g"),
            ("etcd://u@h:1/p, https://h:1/", "etcd://u@h:1/p, https://h:1/"),
            ("'://:pw@", "'://:…@"),
        ] {
            assert_eq!(without_passwords(told), shown);
        }
    }

    #[test]
    fn the_arguments_are_consistent() {
        // clap finds contradictions only when asked, and only outside release builds.
        Arguments::command().debug_assert();
        for augment in [
            RunArguments::augment_args,
            config::ConfigArguments::augment_args,
            DemoArguments::augment_args,
            MockArguments::augment_args,
            register::RegisterArguments::augment_args,
            doctor::DoctorArguments::augment_args,
            explain::ExplainArguments::augment_args,
            generate::CompletionsArguments::augment_args,
            generate::ManArguments::augment_args,
            init::InitArguments::augment_args,
            bench::BenchArguments::augment_args,
            cert::CertArguments::augment_args,
            top::TopArguments::augment_args,
            turns::TurnsArguments::augment_args,
        ] {
            augment(clap::Command::new("command")).debug_assert();
        }
    }
}
