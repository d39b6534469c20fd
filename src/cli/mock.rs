//! `sluicegate mock`: the mock inference server alone.
//!
//! The flags are the query parameters of `docs/mock.md` by the same names, and are checked by the
//! same code; here they set the defaults.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::run::{catch_termination, serve};
use super::{Exit, MockArguments, complain};
use crate::config::defaults;
use crate::config::snapshot::{
    Generation, Limits, PluginTable, Route, ServerSettings, Snapshot, Timeouts, Workers,
};
use crate::files;
use crate::responder::mock::{self, Invalid, Settings};
use crate::responder::replay::{FILE_BYTES_MAX, RecordedAnswer};
use crate::server::{self, Server, StartError};
use crate::sys;

pub fn execute(arguments: &MockArguments) -> Exit {
    let started = catch_termination().and_then(|termination| {
        let MockArguments { listen, connections, replay, mock } = arguments;
        let routes = match replay {
            Some(file) => vec![recording(file)?.route()],
            None => routes(mock).map_err(|failed| failed.told("--listen", None))?,
        };
        let server = start_with(*listen, *connections, routes)
            .map_err(|failed| failed.told("--listen", Some("--connections")))?;
        Ok((server, termination))
    });
    match started {
        Ok((server, termination)) => {
            for address in server.addresses() {
                log::info!("mock inference server on http://{address}");
            }
            serve(vec![server], termination)
        }
        Err(reason) => {
            complain(&reason);
            Exit::Failure
        }
    }
}

/// Why there is no mock.
pub(super) enum Failed {
    Flags(Invalid),
    Start(StartError),
}

impl Failed {
    /// The reason, with the flag that could help.
    pub fn told(&self, listen: &str, connections: Option<&str>) -> String {
        match self {
            Failed::Flags(invalid) => invalid.to_string(),
            Failed::Start(error) => match error.setting(listen, "--admin-listen", connections) {
                Some(flag) => format!("{error} ({flag})"),
                None => error.to_string(),
            },
        }
    }
}

/// Starts a mock on one unpinned worker.
pub(super) fn start(
    listen: SocketAddr,
    connections: usize,
    flags: &MockFlags,
) -> Result<Server, Failed> {
    start_with(listen, connections, routes(flags)?)
}

/// The mock's own answers.
fn routes(flags: &MockFlags) -> Result<Vec<Route>, Failed> {
    let mut settings = flags.settings().map_err(Failed::Flags)?;
    settings.epoch = sys::epoch();
    Ok(mock::routes(settings))
}

/// A recorded answer.
fn recording(file: &Path) -> Result<RecordedAnswer, String> {
    let named = |reason: &dyn Display| format!("{}: {reason}", file.display());
    let read = files::read(file, FILE_BYTES_MAX);
    let bytes = read.map_err(|unread| named(&unread))?;
    let text = String::from_utf8(bytes).map_err(|_| named(&"it is not valid UTF-8"))?;
    RecordedAnswer::parse(&text).map_err(|reason| named(&reason))
}

fn start_with(
    listen: SocketAddr,
    connections: usize,
    routes: Vec<Route>,
) -> Result<Server, Failed> {
    let snapshot = Snapshot {
        generation: Generation::default(),
        server: ServerSettings {
            tls: None,
            list_models: defaults::LIST_MODELS,
            listen: vec![listen],
            workers: Workers::Unpinned(1),
            half_close: defaults::HALF_CLOSE,
            accept: defaults::ACCEPT,
            spin: defaults::SPIN,
            coalesce: defaults::COALESCE,
            forwarded: defaults::FORWARDED,
            watch: defaults::WATCH,
            resolve: None,
            dns: Default::default(),
            tcp_keepalive: Some(defaults::TCP_KEEPALIVE),
        },
        admin: defaults::ADMIN,
        access_log: defaults::ACCESS_LOG,
        trace: defaults::trace(),
        recorder: defaults::RECORDER,
        usage: defaults::usage(),
        prices: None,
        gate: defaults::gate(),
        process: defaults::PROCESS,
        plugins: PluginTable::default(),
        limits: Limits { connections, ..defaults::LIMITS },
        timeouts: Timeouts {
            // A pool in front of it decides how long a connection may be idle.
            client_idle: Some(Duration::from_secs(10 * 60)),
            drain: Some(Duration::from_secs(1)),
            ..defaults::TIMEOUTS
        },
        upstreams: Vec::new(),
        stored: None,
        files: Vec::new(),
        routes,
    };
    server::start("mock", Arc::new(snapshot)).map_err(Failed::Start)
}

/// How the mock answers. A query parameter of the same name overrides a flag for one request.
#[derive(Args, Clone, Debug, Default)]
pub struct MockFlags {
    /// Tokens per second and stream; 0: as fast as it goes [default: 2 for /stream, 20 for /v1]
    #[arg(long, value_name = "RATE", value_parser = |value: &str| checked("rate", value))]
    rate: Option<String>,
    /// Tokens of an answer [default: 4 for /stream, 16 for /v1]
    #[arg(long, value_name = "COUNT", value_parser = |value: &str| checked("tokens", value))]
    tokens: Option<String>,
    /// Bytes of each token's text [default: a word each]
    #[arg(long, value_name = "BYTES", value_parser = |value: &str| checked("token_bytes", value))]
    token_bytes: Option<String>,
    /// Delay before the first token, such as 250ms [default: none]
    #[arg(long, value_name = "DURATION", value_parser = |value: &str| checked("first_token", value))]
    first_token: Option<String>,
    /// Begin each token with the clock's nanoseconds, 20 digits and a space
    #[arg(long)]
    stamp: bool,
    /// Announce the length of /stream's answer, which then goes without chunks
    #[arg(long)]
    known_length: bool,
    /// Answer with this error status
    #[arg(long, value_name = "STATUS", value_parser = |value: &str| checked("status", value))]
    status: Option<String>,
    /// Seconds of a Retry-After beside --status
    #[arg(long, value_name = "SECONDS", value_parser = |value: &str| checked("retry_after", value))]
    retry_after: Option<String>,
    /// Bytes of the error body beside --status
    #[arg(long, value_name = "BYTES", value_parser = |value: &str| checked("huge_error", value))]
    huge_error: Option<String>,
    /// Stall inside the error body beside --status, after this many bytes
    #[arg(long, value_name = "BYTES", value_parser = |value: &str| checked("stall_error", value))]
    stall_error: Option<String>,
    /// Refuse the prompt: context_length or content_filter
    #[arg(long, value_name = "REASON", value_parser = |value: &str| checked("refuse", value))]
    refuse: Option<String>,
    /// Answer with a web page, as 200 or as --status
    #[arg(long)]
    html: bool,
    /// Let faults strike only every so many-th request [default: each]
    #[arg(long, value_name = "COUNT", value_parser = |value: &str| checked("every", value))]
    every: Option<String>,
    /// Reset the connection before any byte of the response
    #[arg(long)]
    reset: bool,
    /// Never answer
    #[arg(long)]
    silent: bool,
    /// Close the connection after this many tokens, without the end of the message
    #[arg(long, value_name = "COUNT", value_parser = |value: &str| checked("cut", value))]
    cut: Option<String>,
    /// Reset the connection after this many tokens
    #[arg(long, value_name = "COUNT", value_parser = |value: &str| checked("reset_after", value))]
    reset_after: Option<String>,
    /// Send nothing more after this many tokens
    #[arg(long, value_name = "COUNT", value_parser = |value: &str| checked("stall", value))]
    stall: Option<String>,
    /// Break the chunked framing after this many tokens
    #[arg(long, value_name = "COUNT", value_parser = |value: &str| checked("bad_chunk", value))]
    bad_chunk: Option<String>,
    /// Break the JSON of the event after this many tokens
    #[arg(long, value_name = "COUNT", value_parser = |value: &str| checked("malformed", value))]
    malformed: Option<String>,
    /// Send only SSE comments after this many tokens
    #[arg(long, value_name = "COUNT", value_parser = |value: &str| checked("comments", value))]
    comments: Option<String>,
    /// End the stream with an error event after this many tokens
    #[arg(long, value_name = "COUNT", value_parser = |value: &str| checked("error_event", value))]
    error_event: Option<String>,
    /// Leave out the final `data: [DONE]`
    #[arg(long)]
    no_done: bool,
    /// Leave out the event with the finish_reason
    #[arg(long)]
    no_finish: bool,
    /// Close the connection behind each answer, unannounced
    #[arg(long)]
    hang_up: bool,
}

impl MockFlags {
    /// The settings these flags ask for. [`Settings::epoch`] is left to the caller, who has a clock.
    pub fn settings(&self) -> Result<Settings, Invalid> {
        let mut settings = Settings::default();
        for (name, value) in self.given() {
            settings.set(name, value)?;
        }
        settings.check()?;
        Ok(settings)
    }

    fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let values = [
            ("rate", &self.rate),
            ("tokens", &self.tokens),
            ("token_bytes", &self.token_bytes),
            ("first_token", &self.first_token),
            ("status", &self.status),
            ("retry_after", &self.retry_after),
            ("huge_error", &self.huge_error),
            ("stall_error", &self.stall_error),
            ("refuse", &self.refuse),
            ("every", &self.every),
            ("cut", &self.cut),
            ("reset_after", &self.reset_after),
            ("stall", &self.stall),
            ("bad_chunk", &self.bad_chunk),
            ("malformed", &self.malformed),
            ("comments", &self.comments),
            ("error_event", &self.error_event),
        ];
        let switches = [
            ("stamp", self.stamp),
            ("known_length", self.known_length),
            ("reset", self.reset),
            ("silent", self.silent),
            ("no_done", self.no_done),
            ("no_finish", self.no_finish),
            ("html", self.html),
            ("hang_up", self.hang_up),
        ];
        let values = values.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let switches = switches.into_iter().filter(|(_, on)| *on).map(|(name, _)| (name, "1"));
        values.chain(switches)
    }
}

/// Accepts a flag's value if the parameter of that name would; clap tells which flag it was.
fn checked(name: &str, value: &str) -> Result<String, String> {
    match Settings::default().set(name, value) {
        Ok(()) => Ok(value.to_owned()),
        Err(invalid) => {
            Err(invalid.expected().map_or(invalid.to_string(), |it| format!("must be {it}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser, Debug)]
    struct Command {
        #[command(flatten)]
        flags: MockFlags,
    }

    fn flags(arguments: &[&str]) -> Result<Command, clap::Error> {
        Command::try_parse_from([&["mock"], arguments].concat())
    }

    #[test]
    fn flags_are_the_parameters_of_a_query() {
        let every = [
            ("--rate", "1.5"),
            ("--tokens", "9"),
            ("--token-bytes", "30"),
            ("--first-token", "250ms"),
            ("--status", "429"),
            ("--retry-after", "3"),
            ("--huge-error", "4"),
            ("--stall-error", "5"),
            ("--refuse", "content_filter"),
            ("--every", "2"),
            ("--bad-chunk", "5"),
            ("--cut", "1"),
            ("--reset-after", "2"),
            ("--stall", "3"),
            ("--malformed", "4"),
            ("--comments", "5"),
            ("--error-event", "6"),
        ];
        let switches = [
            "--stamp",
            "--known-length",
            "--reset",
            "--silent",
            "--no-done",
            "--no-finish",
            "--html",
            "--hang-up",
        ];
        let arguments: Vec<&str> =
            every.iter().flat_map(|(name, value)| [*name, *value]).chain(switches).collect();
        let given = flags(&arguments).expect("flags").flags.settings().expect("settings");

        let values = every.iter().map(|(name, value)| format!("{}={value}", &name[2..]));
        let query: Vec<String> = values.chain(switches.map(|name| name[2..].to_owned())).collect();
        assert_eq!(Ok(given), Settings::default().overridden(&query.join("&")));
    }

    #[test]
    fn no_flags_are_the_defaults() {
        assert_eq!(flags(&[]).expect("flags").flags.settings(), Ok(Settings::default()));
    }

    #[test]
    fn a_bad_value_names_its_flag() {
        let error = flags(&["--first-token", "soon"]).expect_err("no duration").to_string();
        assert!(error.contains("--first-token") && error.contains("must be a duration"), "{error}");
        let contradiction = flags(&["--stamp", "--token-bytes", "3"]).expect("flags").flags;
        assert_eq!(contradiction.settings().expect_err("no room").name(), "token_bytes");
    }

    /// What the documents tell a reader to type has to be understood.
    #[test]
    fn documented_commands_are_understood() {
        const DOCUMENTS: [&str; 2] =
            [include_str!("../../docs/mock.md"), include_str!("../../docs/resilience.md")];
        let mut seen = 0;
        for rest in DOCUMENTS.iter().flat_map(|text| text.split("sluicegate mock --").skip(1)) {
            let command = rest.split(['`', '\n']).next().unwrap_or_default();
            let arguments: Vec<&str> = command.split_whitespace().collect();
            let first = format!("--{}", arguments[0]);
            let arguments = [&["mock", &first], &arguments[1..]].concat();
            let understood = Whole::try_parse_from(&arguments);
            let flags = understood.unwrap_or_else(|error| panic!("{command}: {error}")).mock.mock;
            assert!(flags.settings().is_ok(), "{command}: {:?}", flags.settings());
            seen += 1;
        }
        assert!(seen > 20, "the documents have {seen} commands");
    }

    #[derive(Parser, Debug)]
    struct Whole {
        #[command(flatten)]
        mock: MockArguments,
    }
}
