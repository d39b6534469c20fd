//! `sluicegate bench --api`: what its arguments mean.
//!
//! The table goes to standard output, progress to standard error. A key comes from the environment alone:
//! an argument would be seen by everybody who lists processes, and no report holds it.

mod idle;
mod written;

use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::BenchArguments;
use super::parse::{duration, positive, rate};
use super::refused::Stop;
use crate::bench::inference::api::{Api, Style};
use crate::bench::inference::arrivals::Process;
use crate::bench::inference::endpoint::{Endpoint, Named};
use crate::bench::inference::figures::{self, LevelReport};
use crate::bench::inference::lengths::Lengths;
use crate::bench::inference::load::{Plan, Progress};
use crate::bench::inference::objectives::Objectives;
use crate::bench::inference::report::{self, EndpointReport, LoadReport, Report};
use crate::bench::inference::workload::{Prefix, Source, Workload};
use crate::bench::inference::{files as load_files, measure, print};
use crate::bench::machine::Machine;
use crate::files;
use crate::http::timestamp;
use crate::sys;

const HEADING: &str = "Inference APIs (with --api)";
/// As much of a file of prompts, or of a trace, as is read.
const FILE_MAX: u64 = 1 << 30;
/// Requests in flight of an open loop, where nobody says otherwise.
const OPEN_IN_FLIGHT_MAX: usize = 4_096;
/// A year.
const TRACE_SECONDS_MAX: f64 = 366.0 * 86_400.0;
const TRACE_TOO_LONG: &str = "the trace would last for more than a year: look at the unit of its moments, and at --trace-speed";

/// The arguments that only a load of an inference API has.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = HEADING)]
pub struct InferenceArguments {
    /// Load an inference API as its users do. --url is its base (http://host:8000, https://host/v1) or the
    /// whole path
    #[arg(long, value_enum, requires = "url", conflicts_with_all = [
        "stand", "compare", "shape", "rate", "tokens", "token_bytes", "bytes", "rounds", "server",
        "method", "body", "pid", "hgrm", "plot", "full_handshakes",
    ])]
    pub api: Option<ApiName>,
    /// The model to ask for
    #[arg(long, value_name = "NAME", requires = "api")]
    model: Option<String>,
    /// Path and query of the requests, in place of the API's own
    #[arg(long, value_name = "PATH", requires = "api")]
    path: Option<String>,
    /// Environment variable that holds the API key
    #[arg(long, value_name = "VARIABLE", requires = "api")]
    key_env: Option<String>,
    /// Name to ask for by TLS (SNI) and to be proved, in place of the URL's host
    #[arg(long, value_name = "NAME", requires = "api")]
    server_name: Option<String>,
    /// Ask for answers in one piece
    #[arg(long, requires = "api")]
    no_stream: bool,
    /// Tokens of each prompt: 512, uniform:LOW..HIGH, normal:MEAN,DEVIATION[,LOW..HIGH], lognormal:…
    /// [default: 512]
    #[arg(long, value_name = "LENGTHS", requires = "api", conflicts_with_all = ["prompts", "trace"])]
    prompt_tokens: Option<Lengths>,
    /// Tokens of each answer at most, written as those of prompts
    /// [default: 128]
    #[arg(long, value_name = "LENGTHS", requires = "api", conflicts_with = "trace")]
    output_tokens: Option<Lengths>,
    /// Ask for exactly so many tokens (min_tokens, ignore_eos), where the server knows that
    #[arg(long, requires = "api")]
    exact_output: bool,
    /// Part of each prompt that is the same as in others, 0 to 1: what prefix caches are for
    #[arg(long, value_name = "SHARE", requires = "api", value_parser = share)]
    shared_prefix: Option<f64>,
    /// How many different shared beginnings there are
    #[arg(long, value_name = "COUNT", default_value_t = 1, requires = "shared_prefix",
          value_parser = clap::value_parser!(u32).range(1..))]
    prefix_groups: u32,
    /// Prompts from a file: JSONL with `prompt` or `messages` (and `output_len`), or ShareGPT's JSON
    #[arg(long, value_name = "FILE", requires = "api", conflicts_with_all = ["shared_prefix", "trace"])]
    prompts: Option<PathBuf>,
    /// Replay a trace, when and how long: Mooncake's JSONL or Azure's CSV
    #[arg(long, value_name = "FILE", requires = "api", conflicts_with_all = ["open", "sweep", "shared_prefix"])]
    trace: Option<PathBuf>,
    /// Replay so many times as fast
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, requires = "trace", value_parser = positive)]
    trace_speed: f64,
    /// How requests of an open loop are due: poisson, constant, gamma:BURSTINESS, burst:ON,OFF
    /// [default: poisson]
    #[arg(long, value_name = "PROCESS", requires = "api", conflicts_with = "trace")]
    arrivals: Option<Arriving>,
    /// Levels of load, one after another: concurrency=1,2,4,8 or rate=1,2,4
    #[arg(long, value_name = "LEVELS", requires = "api", conflicts_with_all = ["open"])]
    sweep: Option<Sweep>,
    /// End each level after so many requests
    #[arg(long, value_name = "COUNT", requires = "api", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// How long requests under way are waited for at the end of a level
    #[arg(long, value_name = "DURATION", default_value = "60s", requires = "api", value_parser = duration)]
    grace: Duration,
    /// Objectives that make an answer good: ttft=500ms,itl=50ms,max-gap=1s,e2e=10s
    #[arg(long, value_name = "LIMITS", requires = "api", value_parser = objectives)]
    slo: Option<Objectives>,
    /// The same seed asks the same, at the same instants
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "api")]
    seed: u64,
    /// Do not ask OpenAI's streams for their usage, for a server that refuses to be asked
    #[arg(long, requires = "api", conflicts_with = "no_stream")]
    no_usage: bool,
    /// Field in which OpenAI's chat is told the tokens at most [default: max_tokens]
    #[arg(long, value_name = "NAME", requires = "api")]
    limit_field: Option<String>,
    /// Members put over the body of each request, a JSON object; `null` takes one away
    #[arg(long, value_name = "JSON", requires = "api", value_parser = object)]
    extra_body: Option<Members>,
    /// Write a line for each level here
    #[arg(long, value_name = "FILE", requires = "api")]
    csv: Option<PathBuf>,
    /// Write a page with plots here
    #[arg(long, value_name = "FILE", requires = "api")]
    html: Option<PathBuf>,
    /// Write a line of JSON for each request here
    #[arg(long, value_name = "FILE", requires = "api")]
    records: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ApiName {
    /// POST /v1/chat/completions
    #[value(alias = "openai", alias = "chat")]
    OpenaiChat,
    /// POST /v1/completions
    #[value(alias = "completions")]
    OpenaiCompletions,
    /// POST /v1/responses
    #[value(alias = "responses")]
    OpenaiResponses,
    /// POST /v1/messages
    #[value(alias = "messages")]
    Anthropic,
    /// POST /api/chat
    #[value(alias = "ollama")]
    OllamaChat,
    /// POST /api/generate
    OllamaGenerate,
    /// POST /generate_stream, or /generate
    Tgi,
}

impl From<ApiName> for Api {
    fn from(name: ApiName) -> Api {
        match name {
            ApiName::OpenaiChat => Api::OpenaiChat,
            ApiName::OpenaiCompletions => Api::OpenaiCompletions,
            ApiName::OpenaiResponses => Api::OpenaiResponses,
            ApiName::Anthropic => Api::Anthropic,
            ApiName::OllamaChat => Api::OllamaChat,
            ApiName::OllamaGenerate => Api::OllamaGenerate,
            ApiName::Tgi => Api::Tgi,
        }
    }
}

/// A process without its rate.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Arriving {
    Constant,
    Gamma(f64),
    Burst(Duration, Duration),
}

#[derive(Clone, Debug, PartialEq)]
enum Sweep {
    Concurrency(Vec<usize>),
    Rate(Vec<f64>),
}

/// An object of JSON.
#[derive(Clone, Debug)]
struct Members(Map<String, Value>);

impl FromStr for Arriving {
    type Err = String;

    fn from_str(text: &str) -> Result<Arriving, String> {
        match text.split_once(':') {
            None if text == "poisson" => Ok(Arriving::Gamma(1.0)),
            None if text == "constant" => Ok(Arriving::Constant),
            Some(("gamma", burstiness)) => positive(burstiness).map(Arriving::Gamma),
            Some(("burst", times)) => {
                let (on, off) = times.split_once(',').ok_or("a burst is written burst:ON,OFF")?;
                let (on, off) = (duration(on)?, duration(off)?);
                if on.is_zero() {
                    return Err("a burst has to last".to_owned());
                }
                Ok(Arriving::Burst(on, off))
            }
            _ => Err("must be poisson, constant, gamma:BURSTINESS or burst:ON,OFF".to_owned()),
        }
    }
}

impl Arriving {
    fn at(self, rate: f64) -> Process {
        match self {
            Arriving::Constant => Process::Constant { rate },
            Arriving::Gamma(burstiness) => Process::Gamma { rate, burstiness },
            Arriving::Burst(on, off) => Process::Burst { rate, on, off },
        }
    }
}

impl FromStr for Sweep {
    type Err = String;

    fn from_str(text: &str) -> Result<Sweep, String> {
        let (name, values) = text.split_once('=').unwrap_or((text, ""));
        let values = values.split(',').map(str::trim);
        match name {
            "concurrency" => {
                let count = |text: &str| text.parse().ok().filter(|count: &usize| *count > 0);
                let all: Option<Vec<usize>> = values.map(count).collect();
                all.map(Sweep::Concurrency).ok_or("concurrency is a list of counts".to_owned())
            }
            "rate" => values.map(rate).collect::<Result<_, _>>().map(Sweep::Rate),
            _ => Err("must be concurrency=1,2,4… or rate=1,2,4…".to_owned()),
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|share: &f64| (0.0..=1.0).contains(share));
    number.ok_or_else(|| "must be a number from 0 to 1".to_owned())
}

fn objectives(text: &str) -> Result<Objectives, String> {
    Objectives::read(text, duration)
}

fn object(text: &str) -> Result<Members, String> {
    let value = serde_json::from_str(text).map_err(|why| format!("no JSON: {why}"))?;
    match value {
        Value::Object(members) => Ok(Members(members)),
        _ => Err("must be an object, {…}".to_owned()),
    }
}

/// Loads the API, prints, writes the files.
pub fn run(arguments: &BenchArguments, api: Api) -> Result<(), Stop> {
    let own = &arguments.inference;
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    arguments.refuse_idle(api).map_err(Stop::Arguments)?;
    let endpoint = arguments.endpoint(api, since_1970)?;
    let (workload, prompts) = own.workload()?;
    let mut plans = arguments.plans(&workload)?;
    arguments.have_folders()?;
    grant(&mut plans, arguments.connections.is_some())?;
    let machine = Machine::look();
    if let Some(cpu) = arguments.cpu {
        sys::pin_to_cpu(cpu).map_err(|error| format!("cannot pin to core {cpu}: {error}"))?;
    }
    let show = io::stderr().is_terminal();
    let mut progress = |level: usize, at: Progress| {
        if let Some(plan) = plans.get(level).filter(|_| show) {
            show_progress(&figures::label(plan), at);
        }
    };
    let measured = measure(&plans, &endpoint, &workload, &mut progress);
    if show {
        eprint!("\r\x1b[K");
    }
    let seen = measured.map_err(|error| format!("the generator failed: {error}"))?;
    let each = plans.iter().zip(&seen);
    let mut levels: Vec<LevelReport> =
        each.map(|(plan, seen)| LevelReport::new(plan, seen, own.slo.as_ref())).collect();
    figures::mark_saturation(&mut levels);
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        started_at: timestamp::written(since_1970.as_secs()),
        machine,
        endpoint: EndpointReport {
            api: api.name(),
            url: endpoint.url.clone(),
            path: endpoint.path.clone(),
            model: endpoint.style.model.clone(),
            stream: endpoint.style.stream,
            tls: endpoint.is_sealed(),
        },
        load: own.load_report(&plans, prompts, &workload),
        saturated_at: levels.iter().find(|level| level.saturated).map(|level| level.label.clone()),
        warnings: report::doubts(&levels),
        levels,
    };
    match io::stdout().write_all(print::text(&report).as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(error.to_string().into());
        }
        _ => {}
    }
    arguments.write(&report, &seen)?;
    match report.levels.iter().find(|level| level.requests.succeeded == 0) {
        Some(level) => {
            Err(format!("{} answered no request at {}", endpoint.url, level.label).into())
        }
        None => Ok(()),
    }
}

/// Sees to descriptors for all that may be in flight. Where an open loop has nobody's bound but ours, it has
/// what the machine grants.
fn grant(plans: &mut [Plan], wanted: bool) -> Result<(), String> {
    const ASIDE: usize = 64;
    let most = plans.iter().map(|plan| plan.in_flight_max).max().unwrap_or(1);
    let needed = (most + ASIDE) as u64;
    let Err(limit) = sys::raise_descriptor_limit(needed) else { return Ok(()) };
    let bound = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(ASIDE);
    let may_shrink = !wanted && bound > 0 && plans.iter().all(|plan| plan.process.is_open());
    if !may_shrink || sys::raise_descriptor_limit(limit).is_err() {
        return Err(format!("{needed} file descriptors are needed and {limit} allowed (-c)"));
    }
    plans.iter_mut().for_each(|plan| plan.in_flight_max = plan.in_flight_max.min(bound));
    Ok(())
}

impl BenchArguments {
    fn endpoint(&self, api: Api, now: Duration) -> Result<Endpoint, String> {
        let own = &self.inference;
        let style = Style {
            // One that has to be named is.
            model: own.model.clone().unwrap_or_default(),
            stream: !own.no_stream,
            exact: own.exact_output,
            usage: !own.no_usage,
            limit_field: own.limit_field.clone().unwrap_or_else(|| "max_tokens".to_owned()),
            extra: own.extra_body.clone().map(|members| members.0).unwrap_or_default(),
        };
        let key = own.key_env.as_deref().map(key).transpose()?;
        let named = Named {
            // No caller gets here without one.
            url: self.url.clone().unwrap_or_default(),
            path: own.path.clone(),
            fields: self.header.clone(),
            ca: self.ca.clone(),
            server_name: own.server_name.clone(),
        };
        Endpoint::new(api, style, &named, key.as_deref(), now)
    }

    fn plans(&self, workload: &Workload) -> Result<Vec<Plan>, String> {
        let own = &self.inference;
        let arrivals = own.arrivals.unwrap_or(Arriving::Gamma(1.0));
        let processes: Vec<Process> = match (&own.sweep, &workload.source) {
            (_, Source::Recorded(rows)) => {
                let due = rows.iter().map(|row| row.at.as_secs_f64() / own.trace_speed);
                if due.clone().any(|seconds| seconds > TRACE_SECONDS_MAX) {
                    return Err(TRACE_TOO_LONG.to_owned());
                }
                vec![Process::Trace(due.map(Duration::from_secs_f64).collect())]
            }
            (Some(Sweep::Concurrency(all)), _) => {
                all.iter().map(|count| Process::Closed { concurrency: *count }).collect()
            }
            (Some(Sweep::Rate(all)), _) => all.iter().map(|rate| arrivals.at(*rate)).collect(),
            (None, _) => vec![match self.open {
                Some(rate) => arrivals.at(rate),
                None => Process::Closed { concurrency: self.connections.unwrap_or(1) },
            }],
        };
        let counted = own.requests.is_some() || own.trace.is_some();
        let unless_counted = |seconds| (!counted).then_some(Duration::from_secs(seconds));
        let plan = |process: Process| Plan {
            in_flight_max: match process {
                Process::Closed { concurrency } => concurrency,
                _ => self.connections.unwrap_or(OPEN_IN_FLIGHT_MAX),
            },
            process,
            requests: own.requests,
            duration: self.duration.or(unless_counted(30)),
            warm_up: self.warm_up.or(unless_counted(2)).unwrap_or_default(),
            silence: self.timeout.unwrap_or(Duration::from_secs(120)),
            grace: own.grace,
        };
        Ok(processes.into_iter().map(plan).collect())
    }
}

impl InferenceArguments {
    fn output_tokens(&self) -> Lengths {
        self.output_tokens.clone().unwrap_or_else(|| Lengths::fixed(128))
    }

    /// What is asked, and what it is called.
    fn workload(&self) -> Result<(Workload, String), String> {
        let told = |path: &Path, why: String| format!("{}: {why}", path.display());
        let (source, name) = match (&self.prompts, &self.trace) {
            (Some(path), _) => {
                let samples =
                    load_files::prompts(&text_of(path)?).map_err(|why| told(path, why))?;
                (Source::Samples(samples.into()), path.display().to_string())
            }
            (None, Some(path)) => {
                let rows = load_files::trace(&text_of(path)?).map_err(|why| told(path, why))?;
                (Source::Recorded(Arc::from(rows)), path.display().to_string())
            }
            (None, None) => {
                let share = self.shared_prefix.unwrap_or(0.0);
                let prefix = Prefix { share, groups: self.prefix_groups };
                let prompt = self.prompt_tokens.clone().unwrap_or_else(|| Lengths::fixed(512));
                let name = format!("of {prompt} tokens");
                (Source::Made { prompt, prefix }, name)
            }
        };
        Ok((Workload { source, output: self.output_tokens(), seed: self.seed }, name))
    }

    fn load_report(&self, plans: &[Plan], prompts: String, workload: &Workload) -> LoadReport {
        let first = plans.first();
        let of_trace = matches!(workload.source, Source::Recorded(_));
        LoadReport {
            prompts,
            output_tokens: match of_trace {
                true => "as recorded".to_owned(),
                false => self.output_tokens().to_string(),
            },
            prefix_share: self.shared_prefix,
            prefix_groups: self.shared_prefix.map(|_| self.prefix_groups),
            seed: self.seed,
            requests: self.requests,
            duration_seconds: first.and_then(|plan| plan.duration).map(|it| it.as_secs_f64()),
            warm_up_seconds: first.map_or(0.0, |plan| plan.warm_up.as_secs_f64()),
            timeout_seconds: first.map_or(0.0, |plan| plan.silence.as_secs_f64()),
            in_flight_max: plans.iter().map(|plan| plan.in_flight_max).max().unwrap_or(0),
        }
    }
}

/// The key in this variable. No message has it.
fn key(variable: &str) -> Result<String, String> {
    let key = env::var(variable).map_err(|_| format!("the variable {variable} is not set"))?;
    let key = key.trim().to_owned();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("the variable {variable} holds no key: visible ASCII is wanted"));
    }
    Ok(key)
}

fn text_of(path: &Path) -> Result<String, String> {
    let bytes = files::read(path, FILE_MAX).map_err(|why| format!("{}: {why}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| format!("{}: it is not UTF-8", path.display()))
}

fn show_progress(level: &str, at: Progress) {
    eprint!(
        "\r\x1b[K{level}: {:.0} s, {} in flight, {} waiting, {} answered, {} failed",
        at.elapsed.as_secs_f64(),
        at.in_flight,
        at.waiting,
        at.answered,
        at.failed,
    );
}
