//! Every limit, unit, default and cross-check: from fields to a [`Snapshot`].
//!
//! A mistake is noted and its default put in its place, so that one run finds all mistakes; the
//! snapshot made that way is given out only if none was noted. Defaults stand in `defaults`, limits
//! stand here beside the key they belong to.

mod address;
mod admin;
mod authoriser;
mod chain;
mod cors;
mod discover;
mod endpoint;
mod fallback;
mod gate;
mod headers;
mod issuers;
mod limits;
mod models;
mod observing;
mod path;
mod plugins;
mod policy;
mod process;
mod registry;
mod route;
mod tls;
mod translate;
mod upstream;
mod wake;
mod when;
mod words;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

pub(super) use fallback::ANSWER_MAX;
pub(super) use gate::keys_of_text;

use self::words::{field_name, is_token, unknown_name};
use super::file::{Document, Field, Section, Switch};
use super::problem::{Problem, Report};
use super::snapshot::{
    AcceptMode, ExchangeTimeouts, Forwarded, Generation, HalfClose, Keepalive, PluginTable,
    ProgressBy, ServerSettings, Snapshot, StoredResponses, Timeouts, Upstream, Workers,
};
use super::{Environment, Loaded, defaults};

const CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;
const HANDSHAKES: RangeInclusive<u64> = 1..=100_000;
const REQUESTS: RangeInclusive<u64> = 1..=u32::MAX as u64;
const WORKERS: RangeInclusive<u64> = 1..=1_024;
const WATCH: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3_600);
const RESOLVE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3_600);
const FIELD_NAME_MAX: usize = 64;
const SPIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(1);
/// In seconds: what the kernel takes.
const KEEPALIVE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);
const COALESCE: RangeInclusive<Duration> = Duration::from_micros(10)..=Duration::from_millis(10);

/// Compiles the document, or tells everything that is wrong with it.
pub(super) fn compile(
    document: &Document<'_>,
    environment: &Environment,
) -> Result<Loaded, Vec<Problem>> {
    let mut report = Report::default();
    let mut root = document.root();
    let server = server(root.table("server", &mut report), environment, &mut report);
    let process = process::read(root.table("process", &mut report), &mut report);
    let admin = admin::admin(root.table("admin", &mut report), &server, environment, &mut report);
    let access_log =
        admin::access_log(root.table("access_log", &mut report), environment, &mut report);
    let trace = observing::trace(root.table("trace", &mut report), &mut report);
    let recorder = observing::recorder(root.table("recorder", &mut report), &mut report);
    let usage = observing::usage(root.table("usage", &mut report), &mut report);
    let prices = observing::prices(root.tables("price", &mut report), &mut report);
    let (gate, keys) = issuers::gate(&mut root, environment, &mut report);
    let section = root.table("limits", &mut report);
    let (limits, mut written) = limits::read(section, &server, environment, &mut report);
    let timeouts = timeouts(root.table("timeouts", &mut report), &mut report);
    let allow = plugins::allowed(root.table("plugins", &mut report), environment, &mut report);
    let plugins =
        plugins::all(root.tables("plugin", &mut report), &allow, environment, &mut report);
    let upstreams = root.tables("upstream", &mut report);
    let given = upstream::Given {
        server: &server,
        limits: &limits,
        timeouts: &timeouts,
        environment,
        plugins: &plugins,
        keys: gate.keys,
    };
    let drafts = upstream::all(upstreams, &given, &mut report);
    let routes = root.tables("route", &mut report);
    if routes.is_empty() {
        let place = root.place_of("route");
        report.error(&place, "at least one [[route]] is required; without it nothing is forwarded");
    }
    let routes = route::all(routes, &drafts, &given, &mut report);
    issuers::cross_check(&gate, &keys, (&server, &routes), prices.as_deref(), &mut report);
    upstream::warn(&drafts, &routes, (&server, &gate), &mut report);
    root.finish(&mut report);
    let names = upstream::names(&drafts);
    written.pools = drafts.iter().map(|draft| draft.pool_written).collect();
    let upstreams: Vec<Upstream> = drafts.into_iter().map(|draft| draft.upstream).collect();
    let stores = upstreams.iter().any(|upstream| upstream.stored.is_some()) && report.is_good();
    let stored = stores.then(|| Arc::new(StoredResponses::new(limits.stored_responses)));
    let mut snapshot = Snapshot {
        generation: Generation::default(),
        server,
        gate,
        process: defaults::PROCESS,
        admin,
        access_log,
        trace,
        recorder,
        usage,
        prices,
        limits,
        timeouts,
        plugins: PluginTable { allow, active: Vec::new() },
        upstreams,
        stored,
        routes,
        files: Vec::new(),
    };
    process.settle(&mut snapshot, &mut report);
    meet_machine(&mut snapshot, plugins, names, &written, environment, &mut report);
    snapshot.begin();
    report.conclude(snapshot)
}

/// What depends on the machine and on others: names, limits that fit, plugins, files.
fn meet_machine(
    snapshot: &mut Snapshot,
    plugins: Vec<plugins::PluginDraft>,
    names: Vec<upstream::Name>,
    written: &limits::Written,
    environment: &Environment,
    report: &mut Report,
) {
    // A file that is refused anyway need not wait for name servers.
    let names = if report.is_good() { names } else { Vec::new() };
    upstream::look_up(snapshot, &names, environment, report);
    limits::fit(snapshot, written, environment, report);
    plugins::load(plugins, snapshot, environment, report);
    snapshot.files = environment.named_files();
}

fn server(
    mut section: Section<'_>,
    environment: &Environment,
    report: &mut Report,
) -> ServerSettings {
    let (listen, tls) = tls::listeners_of(&mut section, environment, report);
    let workers = workers(&mut section, environment, report);
    let half_close =
        [("cancel", HalfClose::Cancel), ("allow", HalfClose::Allow), ("probe", HalfClose::Probe)];
    let accept = [("reuseport", AcceptMode::Reuseport), ("balanced", AcceptMode::Balanced)];
    let forwarded =
        [("append", Forwarded::Append), ("replace", Forwarded::Replace), ("off", Forwarded::Off)];
    let coalesce = section.take("coalesce");
    let resolve = section.take("resolve").and_then(|field| field.duration_or_off(RESOLVE, report));
    let resolve = resolve.unwrap_or(defaults::RESOLVE);
    let server = ServerSettings {
        listen,
        tls,
        workers,
        half_close: section.choice("half_close", &half_close, defaults::HALF_CLOSE, report),
        accept: section.choice("accept", &accept, defaults::ACCEPT, report),
        spin: section.duration("spin", SPIN, defaults::SPIN, report),
        coalesce: coalesce
            .as_ref()
            .and_then(|field| field.duration_or_off(COALESCE, report))
            .unwrap_or(defaults::COALESCE),
        forwarded: section.choice("forwarded", &forwarded, defaults::FORWARDED, report),
        watch: section
            .take("watch")
            .and_then(|field| field.duration_or_off(WATCH, report))
            .unwrap_or(defaults::WATCH),
        resolve,
        dns: discover::dns(section.table("dns", report), resolve, report),
        list_models: section.duration(
            "list_models",
            models::REFRESH,
            defaults::LIST_MODELS,
            report,
        ),
        tcp_keepalive: keepalive(&mut section, report),
    };
    if let (Some(field), Some(_), false) = (&coalesce, server.coalesce, server.spin.is_zero()) {
        report.error(
            field.place(),
            "spin and coalesce exclude each other: \
             spin keeps a worker awake to be early, coalesce lets it sleep to be late",
        );
    }
    section.finish(report);
    server
}

fn keepalive(server: &mut Section<'_>, report: &mut Report) -> Option<Keepalive> {
    let mut section = match server.switch("tcp_keepalive", report) {
        Switch::Off => return None,
        Switch::Absent(section) | Switch::On(section) => section,
    };
    let default = defaults::TCP_KEEPALIVE;
    let keepalive = Keepalive {
        idle: section.duration("idle", KEEPALIVE, default.idle, report),
        interval: section.duration("interval", KEEPALIVE, default.interval, report),
        probes: section.count("probes", 1..=100, default.probes, report),
    };
    section.finish(report);
    Some(keepalive)
}

fn listeners(field: &Field<'_>, report: &mut Report) -> Option<Vec<SocketAddr>> {
    let fields = field.one_or_list(report)?;
    if fields.is_empty() {
        report.error(field.place(), "must name at least one address");
    }
    unique(&fields, report, |field, report| field.parsed(report, address::listen))
}

fn workers(section: &mut Section<'_>, environment: &Environment, report: &mut Report) -> Workers {
    let cpus = section.take("cpus");
    let workers = section.take("workers");
    if let (Some(_), Some(workers)) = (&cpus, &workers) {
        report.error(
            workers.place(),
            "cpus and workers exclude each other: \
             cpus pins one worker per entry, workers pins none",
        );
    }
    if let Some(cpus) = cpus {
        return Workers::Pinned(pinned(&cpus, environment, report).unwrap_or_default());
    }
    if let Some(workers) = workers {
        return Workers::Unpinned(workers.count(WORKERS, report).unwrap_or(1));
    }
    default_workers(environment)
}

fn pinned(field: &Field<'_>, environment: &Environment, report: &mut Report) -> Option<Vec<usize>> {
    let fields = field.list(report)?;
    if fields.is_empty() {
        report.error(field.place(), "must name at least one CPU; leave it out for the default");
    }
    unique(&fields, report, |field, report| {
        let cpu: usize = field.count(0..=u64::from(u32::MAX), report)?;
        if !environment.cpus.contains(&cpu) {
            let allowed = show_cpus(&environment.cpus);
            report.error(
                field.place(),
                format!(
                    "CPU {cpu} does not exist or is not allowed to this process, \
                     which may run on {allowed}"
                ),
            );
        }
        Some(cpu)
    })
}

/// One pinned worker per core, unless a quota grants fewer cores than it shows: every process under
/// such a quota sees the same low-numbered cores, and all would pin themselves to those.
fn default_workers(environment: &Environment) -> Workers {
    if environment.parallelism < environment.cpus.len() {
        Workers::Unpinned(environment.parallelism.max(1))
    } else {
        Workers::Pinned(environment.cpus.clone())
    }
}

/// `0-3, 6`
fn show_cpus(cpus: &[usize]) -> String {
    let runs = cpus.chunk_by(|left, right| left + 1 == *right);
    let shown = runs.map(|run| match run {
        [one] => one.to_string(),
        _ => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Reads a list whose elements must differ.
fn unique<'d, T: PartialEq>(
    fields: &[Field<'d>],
    report: &mut Report,
    mut read: impl FnMut(&Field<'d>, &mut Report) -> Option<T>,
) -> Option<Vec<T>> {
    let mut values = Vec::with_capacity(fields.len());
    for field in fields {
        let Some(value) = read(field, report) else {
            continue;
        };
        if values.contains(&value) {
            report.error(field.place(), "is in the list already");
        }
        values.push(value);
    }
    Some(values)
}

fn bytes(
    section: &mut Section<'_>,
    key: &'static str,
    range: RangeInclusive<u64>,
    default: usize,
    report: &mut Report,
) -> usize {
    let size = section.take(key).and_then(|field| field.size(range, None, report)).flatten();
    size.map_or(default, usize_of)
}

/// Saturates where addresses are shorter than 64 bits: such a limit is never reached there.
fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn timeouts(mut section: Section<'_>, report: &mut Report) -> Timeouts {
    let default = defaults::TIMEOUTS;
    let ttft = section.timeout("ttft", default.exchange.ttft, report);
    let response = section.take("response").and_then(|field| field.timeout(report));
    let timeouts = Timeouts {
        head: section.timeout("head", default.head, report),
        client_idle: section.timeout("client_idle", default.client_idle, report),
        drain: section.timeout("drain", default.drain, report),
        exchange: ExchangeTimeouts {
            body: section.timeout("body", default.exchange.body, report),
            client_write: section.timeout("client_write", default.exchange.client_write, report),
            connect: section.timeout("connect", default.exchange.connect, report),
            ttft,
            response: response.unwrap_or_else(|| longer(default.exchange.response, ttft)),
            progress: section.choice(
                "progress",
                &ProgressBy::ALL,
                default.exchange.progress,
                report,
            ),
            inter_event: section.timeout("inter_event", default.exchange.inter_event, report),
            total: section.timeout("total", default.exchange.total, report),
            tunnel_idle: section.timeout("tunnel_idle", default.exchange.tunnel_idle, report),
        },
    };
    section.finish(report);
    timeouts
}

/// Of two timeouts the longer one: whoever gives a stream more time to begin, and says nothing of
/// documents, does not give them less.
fn longer(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    Some(one?.max(other?))
}

/// The `timeouts = { … }` of an upstream or a route. `None`: says nothing about this one.
#[derive(Debug, Default)]
struct Overrides {
    body: Option<Option<Duration>>,
    client_write: Option<Option<Duration>>,
    connect: Option<Option<Duration>>,
    ttft: Option<Option<Duration>>,
    response: Option<Option<Duration>>,
    progress: Option<ProgressBy>,
    inter_event: Option<Option<Duration>>,
    total: Option<Option<Duration>>,
    tunnel_idle: Option<Option<Duration>>,
}

impl Overrides {
    fn read(mut section: Section<'_>, report: &mut Report) -> Overrides {
        let progress = section.take("progress");
        let progress = progress.and_then(|field| field.choice(&ProgressBy::ALL, report));
        let mut one = |key| section.take(key).and_then(|field| field.timeout(report));
        let overrides = Overrides {
            body: one("body"),
            client_write: one("client_write"),
            connect: one("connect"),
            ttft: one("ttft"),
            response: one("response"),
            progress,
            inter_event: one("inter_event"),
            total: one("total"),
            tunnel_idle: one("tunnel_idle"),
        };
        for key in ["head", "client_idle", "drain"] {
            section.refuse(
                key,
                "cannot be overridden: it runs while no route is known; set it in [timeouts]",
                report,
            );
        }
        section.finish(report);
        overrides
    }

    /// What is in force on top of what holds without them.
    fn over(&self, below: &ExchangeTimeouts) -> ExchangeTimeouts {
        ExchangeTimeouts {
            body: self.body.unwrap_or(below.body),
            client_write: self.client_write.unwrap_or(below.client_write),
            connect: self.connect.unwrap_or(below.connect),
            ttft: self.ttft.unwrap_or(below.ttft),
            response: self.response.unwrap_or_else(|| {
                self.ttft.map_or(below.response, |ttft| longer(below.response, ttft))
            }),
            progress: self.progress.unwrap_or(below.progress),
            inter_event: self.inter_event.unwrap_or(below.inter_event),
            total: self.total.unwrap_or(below.total),
            tunnel_idle: self.tunnel_idle.unwrap_or(below.tunnel_idle),
        }
    }
}
