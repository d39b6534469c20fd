//! `sluicegate bench`: load a server and tell how it took it.
//!
//! The table goes to standard output, progress and warnings of the moment to standard error. What
//! is measured, and how, is in [`crate::bench`]; what the figures mean, in `docs/benchmarking.md`.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use super::run::catch_termination;
use super::{Exit, complain};
use crate::bench::generator::RoundProgress;
use crate::bench::machine::Machine;
use crate::bench::plan::{Arrivals, Plan, Shape};
use crate::bench::record::Record;
use crate::bench::report::{self, PlanReport, Report};
use crate::bench::stand::{Cores, Stand};
use crate::bench::target::{Asking, Dialect, Sealing, Target};
use crate::bench::{doubt, hgrm, measure, plot, print};
use crate::sys;

mod inference;
mod parse;
mod refused;

use inference::InferenceArguments;
use parse::{Named, Owned, duration, field, pace, picture, rate, size, token};
use refused::{Stop, have_processes, hint};

/// Generator, mock and gateway.
const STAND_THREADS: usize = 3;

/// `sluicegate bench`
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("what").required(true).args(["url", "compare", "stand"]))]
pub struct BenchArguments {
    /// The server to measure
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Servers to measure in turn and compare with the first: NAME=URL,NAME=URL,…
    #[arg(long, value_name = "NAME=URL", value_delimiter = ',')]
    compare: Vec<Named>,
    /// Start the mock and a gateway from this executable, pinned, and measure the mock directly
    /// and through the gateway
    #[arg(long = "self", conflicts_with_all = ["pid", "body", "header", "method"])]
    stand: bool,
    /// What the connections do
    #[arg(long, value_enum, default_value_t = ShapeName::Streams)]
    shape: ShapeName,
    /// Connections open at once [default: 100]; with --api, requests in flight [default: 1, or at most
    /// 4096 where they are due at a rate]
    #[arg(
        long,
        visible_aliases = ["streams", "concurrency"],
        short = 'c',
        value_name = "COUNT",
    )]
    connections: Option<usize>,
    /// Tokens per second of each stream [shapes streams and fairness, our mock; default: 20]
    #[arg(long, value_name = "RATE", value_parser = pace)]
    rate: Option<f64>,
    /// Tokens of each answer; without it a stream lasts for the whole round [our mock]
    #[arg(long, value_name = "COUNT")]
    tokens: Option<u64>,
    /// Bytes of each token [every shape but download, our mock; default: 32]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(21..=65536))]
    token_bytes: Option<u32>,
    /// Bytes of each large body [shapes upload and download; default: 64MiB and 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    bytes: Option<u64>,
    /// Open loop: this many requests per second over all connections, due at a constant rate; with
    /// --api, as --arrivals says
    #[arg(long, visible_alias = "request-rate", value_name = "RATE", value_parser = rate)]
    open: Option<f64>,
    /// How long to measure, in each round [default: 10s]; with --api, at each level [default: 30s, or
    /// until --requests are answered, or the trace ends]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    duration: Option<Duration>,
    /// How long to load before measuring, in each round or at each level [default: 2s; with --requests
    /// or --trace none]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    warm_up: Option<Duration>,
    /// Rounds; targets take turns in each [default: 1, or 3 where targets are compared]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// A request of which nothing is heard for this long has failed [default: 10s; with --api 120s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// What answers: our mock's /stream, which is told what to send and stamps its tokens, or any
    #[arg(long, value_enum, default_value_t = ServerName::Mock)]
    server: ServerName,
    /// Method of the requests
    #[arg(long, value_name = "METHOD", default_value = "POST", value_parser = token)]
    method: String,
    /// A field of the requests, `Name: value`; repeatable
    #[arg(long, value_name = "FIELD", value_parser = field)]
    header: Vec<String>,
    /// Body of the requests
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// Whose signatures are believed of servers that are https:// [default: those that the system trusts]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Never resume a TLS session: each connection has a full handshake
    #[arg(long)]
    full_handshakes: bool,
    /// A process whose CPU and memory are read; NAME=PID for one of several targets
    #[arg(long, value_name = "PID")]
    pid: Vec<Owned>,
    /// Pin the generator to this core
    #[arg(long, value_name = "CORE")]
    cpu: Option<usize>,
    /// Write the whole report here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write percentile distributions, for HdrHistogram's plotters, as files into this folder
    #[arg(long, value_name = "FOLDER")]
    hgrm: Option<PathBuf>,
    /// Draw latency over percentile, a curve for each target: FILE.svg, or FILE.html for every
    /// latency that was measured
    #[arg(long, value_name = "FILE", value_parser = picture)]
    plot: Option<PathBuf>,
    #[command(flatten)]
    inference: Box<InferenceArguments>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ShapeName {
    /// Small requests over kept connections
    Unary,
    /// Streams of tokens at a pace
    Streams,
    /// Streams of tokens as fast as they go
    Firehose,
    /// A connection for every request
    Churn,
    /// Connections that were used once and are kept
    Idle,
    /// Paced streams, timed beside one that comes as fast as it goes
    Fairness,
    /// Large requests with small answers
    Upload,
    /// Small requests with large answers
    Download,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ServerName {
    Mock,
    Any,
}

pub fn execute(arguments: &BenchArguments) -> Exit {
    match run(arguments) {
        Ok(()) => Exit::Success,
        Err(Stop::Arguments(reason)) => {
            complain(&reason);
            Exit::NotUnderstood
        }
        Err(Stop::Failed(reason)) => {
            complain(&reason);
            Exit::Failure
        }
    }
}

fn run(arguments: &BenchArguments) -> Result<(), Stop> {
    if let Some(api) = arguments.inference.api {
        return inference::run(arguments, api.into());
    }
    let plan = arguments.plan().map_err(Stop::Arguments)?;
    if arguments.stand {
        return run_stand(arguments, &plan);
    }
    arguments.refuse_twins().map_err(Stop::Arguments)?;
    let targets = arguments.targets()?;
    arguments.refuse_unseen(plan.shape, &targets).map_err(Stop::Arguments)?;
    have_processes(&targets)?;
    Ok(arguments.measure(&plan, &targets, 1 + arguments.pid.len())?)
}

/// Measures servers of our own, and leaves none behind, whichever way this process is told to end.
fn run_stand(arguments: &BenchArguments, plan: &Plan) -> Result<(), Stop> {
    if arguments.server == ServerName::Any {
        return Err(Stop::Arguments("--self measures our mock (--server mock)".to_owned()));
    }
    let cores = Cores::of(&Machine::look().allowed);
    let stand = Arc::new(Mutex::new(None));
    let at_signal = Arc::clone(&stand);
    let handled = catch_termination()?.then(move |_| {
        drop(lock(&at_signal).take());
        process::exit(1);
    });
    handled.map_err(|error| format!("signals cannot be handled: {error}"))?;
    let targets = {
        let mut guard = lock(&stand);
        let started = Stand::start(arguments.connections(), cores)
            .map_err(|error| format!("cannot start the servers: {error}"))?;
        let started = guard.insert(started);
        let direct = arguments.target("direct", &started.direct_url())?;
        let mut gateway = arguments.target("gateway", &started.gateway_url())?;
        gateway.pid = Some(started.gateway_pid());
        [direct, gateway]
    };
    let arguments =
        BenchArguments { cpu: arguments.cpu.or(Some(cores.generator)), ..arguments.clone() };
    let measured = arguments.measure(plan, &targets, STAND_THREADS);
    drop(lock(&stand).take());
    Ok(measured?)
}

/// A panic of the other holder changes nothing about processes that have to end.
fn lock(stand: &Mutex<Option<Stand>>) -> MutexGuard<'_, Option<Stand>> {
    stand.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<ShapeName> for Shape {
    fn from(name: ShapeName) -> Shape {
        match name {
            ShapeName::Unary => Shape::Unary,
            ShapeName::Streams => Shape::Streams,
            ShapeName::Firehose => Shape::Firehose,
            ShapeName::Churn => Shape::Churn,
            ShapeName::Idle => Shape::Idle,
            ShapeName::Fairness => Shape::Fairness,
            ShapeName::Upload => Shape::Upload,
            ShapeName::Download => Shape::Download,
        }
    }
}

impl BenchArguments {
    fn connections(&self) -> usize {
        self.connections.unwrap_or(100)
    }

    fn plan(&self) -> Result<Plan, String> {
        let shape = Shape::from(self.shape);
        if shape == Shape::Fairness && self.server == ServerName::Any {
            return Err("the shape fairness needs our mock (--server mock)".to_owned());
        }
        let arrivals = match self.open {
            None => Arrivals::Closed,
            Some(rate) if matches!(shape, Shape::Unary | Shape::Churn) => Arrivals::Open { rate },
            Some(_) if self.tokens.is_none() || shape != Shape::Streams => {
                return Err(
                    "--open is for the shapes unary and churn, and for streams with --tokens"
                        .to_owned(),
                );
            }
            Some(rate) => Arrivals::Open { rate },
        };
        self.refuse_idle_of(shape)?;
        let duration = self.duration.unwrap_or(Duration::from_secs(10));
        if self.connections() == 0 || duration.is_zero() {
            return Err("--connections and --duration must be above 0".to_owned());
        }
        Ok(Plan {
            shape,
            connections: self.connections(),
            arrivals,
            warm_up: self.warm_up.unwrap_or(Duration::from_secs(2)),
            duration,
            silence: self.timeout.unwrap_or(Duration::from_secs(10)),
            outlasting: shape.is_stream() && self.tokens.is_none(),
        })
    }

    fn dialect(&self) -> Dialect {
        match self.server {
            ServerName::Any => Dialect::Any,
            ServerName::Mock => Dialect::Mock {
                token_rate: self.rate(),
                tokens: self.tokens,
                token_bytes: self.token_bytes(),
                bulk_bytes: self.bulk_bytes(),
            },
        }
    }

    fn rate(&self) -> f64 {
        self.rate.unwrap_or(20.0)
    }

    fn token_bytes(&self) -> u32 {
        self.token_bytes.unwrap_or(32)
    }

    fn bulk_bytes(&self) -> u64 {
        self.bytes.unwrap_or(Shape::from(self.shape).bulk_bytes())
    }

    fn rounds(&self, targets: usize) -> usize {
        self.rounds.map_or(if targets > 1 { 3 } else { 1 }, |rounds| rounds as usize)
    }

    fn asking(&self) -> Asking {
        Asking {
            method: self.method.clone(),
            fields: self.header.clone(),
            body: self.body.clone().unwrap_or_default().into_bytes(),
            filler: if self.shape == ShapeName::Upload { self.bulk_bytes() } else { 0 },
            sealing: Sealing { ca: self.ca.clone(), afresh: self.full_handshakes },
        }
    }

    fn target(&self, name: &str, url: &str) -> Result<Target, String> {
        Target::new(name, url, self.dialect(), self.shape.into(), &self.asking())
            .map_err(|bad| format!("{url}: {bad}"))
    }

    /// The targets as they were given, each with its process.
    fn targets(&self) -> Result<Vec<Target>, String> {
        let alone = self.url.iter().map(|url| self.target("target", url));
        let compared = self.compare.iter().map(|named| self.target(&named.name, &named.url));
        let mut targets = alone.chain(compared).collect::<Result<Vec<_>, _>>()?;
        for owned in &self.pid {
            let target = match &owned.name {
                None if targets.len() == 1 => targets.first_mut(),
                None => return Err("--pid must be NAME=PID where targets are compared".to_owned()),
                Some(name) => targets.iter_mut().find(|target| target.name == *name),
            };
            let target = target.ok_or("--pid names no target")?;
            target.pid = Some(owned.pid);
        }
        Ok(targets)
    }

    /// Measures, prints, writes the files. `threads`: how many want a core at once, as far as known.
    fn measure(&self, plan: &Plan, targets: &[Target], threads: usize) -> Result<(), String> {
        let needed = self.connections() as u64 + 64;
        sys::raise_descriptor_limit(needed).map_err(|limit| {
            format!("{needed} file descriptors are needed and {limit} allowed (--connections)")
        })?;
        // Before pinning, which would be all that it sees.
        let machine = Machine::look();
        if let Some(cpu) = self.cpu {
            sys::pin_to_cpu(cpu).map_err(|error| format!("cannot pin to core {cpu}: {error}"))?;
        }
        let rounds = self.rounds(targets.len());
        let show = io::stderr().is_terminal();
        let mut progress = |target: &Target, round: usize, at: RoundProgress| {
            if show {
                show_progress(target, round + 1, rounds, at);
            }
        };
        let measured = measure(plan, targets, rounds, &mut progress);
        if show {
            eprint!("\r\x1b[K");
        }
        let measured = measured.map_err(|error| format!("the generator failed: {error}"))?;
        let (reports, records): (Vec<_>, Vec<Record>) = measured.into_iter().unzip();
        let warnings = doubt::doubts(&machine, threads, &reports);
        let report = Report {
            version: env!("CARGO_PKG_VERSION"),
            machine,
            plan: self.plan_report(plan, rounds),
            ratios: report::ratios(&reports),
            targets: reports,
            warnings,
        };
        self.write_files(&report, &records)?;
        match io::stdout().write_all(print::text(&report).as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(error.to_string());
            }
            _ => {}
        }
        match report.targets.iter().find(|target| target.is_empty()) {
            Some(target) => {
                let statuses = target.rounds.iter().map(|round| round.failures.status).sum();
                let hint = hint(self.server, statuses);
                Err(format!("{} answered nothing ({}){hint}", target.name, target.url))
            }
            None => Ok(()),
        }
    }

    fn plan_report(&self, plan: &Plan, rounds: usize) -> PlanReport {
        let mock = self.server == ServerName::Mock;
        let due = match plan.arrivals {
            Arrivals::Closed => None,
            Arrivals::Open { rate } => Some(rate),
        };
        PlanReport {
            shape: plan.shape.name(),
            arrivals: if due.is_some() { "open" } else { "closed" },
            requests_per_second_due: due,
            connections: plan.connections,
            token_rate: (mock && plan.shape.is_paced()).then_some(self.rate()),
            tokens_per_answer: self.tokens.filter(|_| mock && plan.shape.is_stream()),
            token_bytes: mock.then_some(self.token_bytes()),
            bulk_bytes: plan.shape.is_bulk().then(|| self.bulk_bytes()),
            warm_up_seconds: plan.warm_up.as_secs_f64(),
            duration_seconds: plan.duration.as_secs_f64(),
            rounds,
        }
    }

    fn write_files(&self, report: &Report, records: &[Record]) -> Result<(), String> {
        if let Some(path) = &self.json {
            let json = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
            fs::write(path, json + "\n").map_err(|error| format!("{}: {error}", path.display()))?;
        }
        if let Some(path) = &self.plot {
            let pictures = plot::pictures(report, records);
            let page = path.extension().is_some_and(|extension| extension == "html");
            let text = match page {
                true => plot::html("sluicegate bench", &pictures),
                false => pictures.into_iter().next().ok_or("there is no latency to plot")?,
            };
            fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let Some(folder) = &self.hgrm else { return Ok(()) };
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for (target, record) in report.targets.iter().zip(records) {
            for (name, histogram) in report::histograms(record) {
                let path = folder.join(format!("{}-{name}.hgrm", target.name));
                fs::write(&path, hgrm::text(histogram))
                    .map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        Ok(())
    }
}

fn show_progress(target: &Target, round: usize, rounds: usize, at: RoundProgress) {
    const WIDTH: usize = 24;
    let share = at.elapsed.as_secs_f64() / at.total.as_secs_f64().max(1e-9);
    let full = ((share * WIDTH as f64) as usize).min(WIDTH);
    eprint!(
        "\r\x1b[K{:12} round {round}/{rounds} [{}{}] {:.0}/{:.0} s, {} open, {} tokens, {} requests",
        target.name,
        "#".repeat(full),
        "-".repeat(WIDTH - full),
        at.elapsed.as_secs_f64(),
        at.total.as_secs_f64(),
        at.open,
        at.tokens,
        at.requests,
    );
}

#[cfg(test)]
mod tests;
