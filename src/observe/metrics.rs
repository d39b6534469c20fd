//! Every metric: its name, its meaning, and where its value comes from.
//!
//! * Labels are bounded by the program or its configuration; of names of models, which clients choose,
//!   there are `usage.series` at most.
//! * A value is read from counters a worker writes anyway, or from the answer of a survey.

mod authoriser;
mod configuration;
mod discovery;
mod fleet;
pub mod plugins;
mod pools;
mod usage;

use std::fmt;
use std::sync::Arc;

pub use self::pools::{LearntModels, merged};

use super::discovered::DiscoveryState;
use super::exposition::{MetricType, Page, Unit};
use super::fleet::FleetKnowledge;
use super::keeper::SpanCounts;
use super::logger;
use super::obeyed::ConfigState;
use super::recordings::Recordings;
use super::usage::UsageBook;
use crate::config::snapshot::ActivePlugin;
use crate::measure::counter::Counter;
use crate::measure::histogram::{Histogram, Sample};
use crate::measure::hops::HOPS;
use crate::measure::live::Survey;
use crate::measure::stall::Owner;
use crate::measure::stats::Counters;
use crate::responder::admin::Exposition;

/// What a page of metrics is made from.
pub struct Sources<'a> {
    /// One per worker.
    pub counters: &'a [Arc<Counters>],
    /// Of the workers that answered.
    pub surveys: &'a [(usize, Survey)],
    pub is_ready: bool,
    pub config: &'a ConfigState,
    /// What sources say of endpoints, and the Unix second now.
    pub discovery: (&'a DiscoveryState, u64),
    /// `None`: this gateway knows of no other.
    pub fleet: Option<&'a FleetKnowledge>,
    /// `None`: they go nowhere.
    pub spans: Option<&'a SpanCounts>,
    /// `None`: nothing is recorded.
    pub recordings: Option<&'a Recordings>,
    /// `None`: nothing is added up.
    pub usage: Option<&'a UsageBook>,
    /// Those of the configuration in force.
    pub plugins: &'a [ActivePlugin],
    /// Of the upstreams that are asked for their models, and have answered.
    pub models: &'a [LearntModels],
}

type Value = fn(&Counters) -> u64;

/// Counters told per worker.
const PER_WORKER: &[(&str, &str, Value)] = &[
    ("sluicegate_events_total", "Events the poller has told.", |c| c.events.get()),
    ("sluicegate_stale_events_total", "Events for sockets that were gone already: dropped.", |c| {
        c.stale_events.get()
    }),
    ("sluicegate_standstills_total", "Times that nothing ran: stopped, or no CPU.", |c| {
        c.standstills.get()
    }),
    ("sluicegate_empty_polls_total", "Polls that told nothing: timers, mail, spinning.", |c| {
        c.empty_polls.get()
    }),
    ("sluicegate_pauses_total", "Sleeps before a poll, under `coalesce`.", |c| c.pauses.get()),
    (
        "sluicegate_would_block_total",
        "System calls that had nothing to do (EAGAIN); a token costs none.",
        |c| c.would_block.get(),
    ),
    (
        "sluicegate_budget_spent_total",
        "Drives that used up their budget and went on in the next turn.",
        |c| c.budget_spent.get(),
    ),
    ("sluicegate_buffer_waits_total", "Drives that found no buffer and waited for one.", |c| {
        c.buffers_dry.get()
    }),
    (
        "sluicegate_heads_shed_total",
        "Unfinished request heads refused because others waited for their buffers.",
        |c| c.heads_shed.get(),
    ),
    (
        "sluicegate_silent_shed_total",
        "Client connections closed because nothing was said on them and others waited outside.",
        |c| c.silent_shed.get(),
    ),
    ("sluicegate_client_handshakes_total", "Finished TLS handshakes with clients.", |c| {
        c.client_handshakes.get()
    }),
    ("sluicegate_client_handshakes_failed_total", "Failed TLS handshakes with clients.", |c| {
        c.client_handshakes_failed.get()
    }),
    ("sluicegate_upstream_handshakes_total", "Finished TLS handshakes with servers.", |c| {
        c.upstream_handshakes.get()
    }),
    ("sluicegate_tokens_proven_total", "Tokens of clients that were proven.", |c| {
        c.tokens_proven.get()
    }),
    ("sluicegate_tokens_refused_total", "Tokens of clients that were refused.", |c| {
        c.tokens_refused.get()
    }),
    (
        "sluicegate_auth_questions_total",
        "Questions left for the authoriser, one for all requests that wait for its answer.",
        |c| c.auth_questions.get(),
    ),
    (
        "sluicegate_auth_remembered_total",
        "Requests judged by an answer of the authoriser from before.",
        |c| c.auth_remembered.get(),
    ),
    ("sluicegate_read_bytes_total", "Bytes read, from clients and servers.", |c| {
        c.bytes_read.get()
    }),
    ("sluicegate_written_bytes_total", "Bytes written, to clients and servers.", |c| {
        c.bytes_written.get()
    }),
    ("sluicegate_connections_accepted_total", "Client connections taken.", |c| {
        c.downstreams_accepted.get()
    }),
    (
        "sluicegate_connections_refused_total",
        "Client connections turned away because of their address.",
        |c| c.connections_refused.get(),
    ),
    (
        "sluicegate_accept_pauses_total",
        "Times accepting rested because descriptors or memory had run out.",
        |c| c.accepts_exhausted.get(),
    ),
    ("sluicegate_exchanges_total", "Requests that became an exchange.", |c| c.exchanges.get()),
    (
        "sluicegate_answers_4xx_total",
        "Whole answers with a status of 400 to 499: a server would not have the request.",
        |c| c.answers_4xx.get(),
    ),
    ("sluicegate_answers_cut_total", "Answers that were cut short after they had begun.", |c| {
        c.aborted.get()
    }),
    ("sluicegate_data_events_total", "Data events of event streams passed on.", |c| {
        c.data_events.get()
    }),
];

/// Gauges told per worker.
const WORKER_GAUGES: &[(&str, &str, Value)] = &[
    ("sluicegate_client_connections", "Client connections open, idle ones included.", |c| {
        c.downstreams_open.get()
    }),
    ("sluicegate_upstream_connections", "Connections to servers open, idle ones included.", |c| {
        c.upstreams_open.get()
    }),
    ("sluicegate_exchanges_active", "Exchanges in progress.", Counters::exchanges_active),
    ("sluicegate_buffers_in_use", "Buffers that hold bytes.", |c| c.buffers_out.get()),
];

type Recorded = fn(&Counters) -> &Histogram;

/// Histograms, summed over the workers.
const HISTOGRAMS: &[(&str, Unit, &str, Recorded)] = &[
    (
        "gen_ai_server_time_to_first_token_seconds",
        Unit::Time,
        "Of streams, from the request written to the first data event.",
        |c| &c.first_event,
    ),
    (
        "gen_ai_server_request_duration_seconds",
        Unit::Time,
        "Whole exchanges, from the request head to their end, good or bad.",
        |c| &c.exchange_time,
    ),
    (
        "gen_ai_server_time_per_output_token_seconds",
        Unit::Time,
        "Between two tokens of one answer, on its average, after the first.",
        |c| &c.output_token_time,
    ),
    (
        "sluicegate_queue_wait_seconds",
        Unit::Time,
        "In the queue of an upstream, of those exchanges that got out of it to be served.",
        |c| &c.queue_wait,
    ),
    (
        "sluicegate_relay_seconds",
        Unit::Time,
        "From the poll that told of bytes to the end of its turn, by which they are written; one \
         turn in 64.",
        |c| &c.relay_time,
    ),
    ("sluicegate_event_gap_seconds", Unit::Time, "Between data events of one stream.", |c| {
        &c.event_gap
    }),
];

/// The whole page.
pub fn page(sources: &Sources<'_>, form: Exposition) -> String {
    let mut page = Page::new(form);
    process(&mut page, sources);
    system_calls(&mut page, sources.counters);
    for (name, help, value) in PER_WORKER {
        per_worker(&mut page, name, MetricType::Counter, help, sources.counters, *value);
    }
    for (name, help, value) in WORKER_GAUGES {
        per_worker(&mut page, name, MetricType::Gauge, help, sources.counters, *value);
    }
    loops(&mut page, sources.counters);
    authoriser::write(&mut page, sources.counters);
    exchanges(&mut page, sources.counters);
    usage::write(&mut page, sources.usage);
    plugins::write(&mut page, sources.plugins);
    pools::write(&mut page, sources);
    discovery::write(&mut page, sources.discovery.0, sources.discovery.1);
    fleet::write(&mut page, sources.fleet);
    page.finish()
}

fn process(page: &mut Page, sources: &Sources<'_>) {
    page.family("sluicegate_build_info", MetricType::Gauge, "The version that runs; always 1.");
    page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family(
        "sluicegate_ready",
        MetricType::Gauge,
        "1 while new work is welcome, 0 in a drain.",
    );
    page.sample(&[], u8::from(sources.is_ready));
    configuration::write(page, sources.config);
    page.family("sluicegate_workers", MetricType::Gauge, "Workers.");
    page.sample(&[], sources.counters.len());
    page.family(
        "sluicegate_log_lines_dropped_total",
        MetricType::Counter,
        "Lines of the log that found its queue full, or could not be written.",
    );
    page.sample(&[], logger::dropped());
    page.family(
        "sluicegate_spans_total",
        MetricType::Counter,
        "Spans, by what became of them; dropped are counted as exchanges.",
    );
    let counts = sources.spans.map_or_else(|| SpanCounts::default().all(), SpanCounts::all);
    for (result, count) in counts {
        page.sample(&[("result", result)], count);
    }
    page.family(
        "sluicegate_recordings_total",
        MetricType::Counter,
        "Recordings of failed streams; missed: streams that found no place, recordings lost.",
    );
    let counts = sources.recordings.map_or([("kept", 0), ("missed", 0)], Recordings::counts);
    for (result, count) in counts {
        page.sample(&[("result", result)], count);
    }
    page.family(
        "sluicegate_models",
        MetricType::Gauge,
        "Models that the servers of an upstream have, where a route tells them.",
    );
    for learnt in sources.models {
        page.sample(&[("upstream", &learnt.upstream)], learnt.count);
    }
    page.family(
        "sluicegate_models_age_seconds",
        MetricType::Gauge,
        "Since a server of the upstream has last said which models it has.",
    );
    for learnt in sources.models {
        page.sample(&[("upstream", &learnt.upstream)], learnt.age.as_secs());
    }
}

fn system_calls(page: &mut Page, counters: &[Arc<Counters>]) {
    page.family(
        "sluicegate_system_calls_total",
        MetricType::Counter,
        "System calls by kind; a token costs one read and one write.",
    );
    for (worker, counters) in counters.iter().enumerate() {
        let calls: [(&str, &Counter); 7] = [
            ("poll", &counters.polls),
            ("read", &counters.reads),
            ("write", &counters.writes),
            ("peek", &counters.peeks),
            ("accept", &counters.accepts),
            ("connect", &counters.connects),
            ("register", &counters.registers),
        ];
        for (call, counter) in calls {
            page.sample(&[("worker", &worker.to_string()), ("call", call)], counter.get());
        }
    }
}

fn per_worker(
    page: &mut Page,
    name: &'static str,
    kind: MetricType,
    help: &str,
    counters: &[Arc<Counters>],
    value: Value,
) {
    page.family(name, kind, help);
    for (worker, counters) in counters.iter().enumerate() {
        page.sample(&[("worker", &worker.to_string())], value(counters));
    }
}

fn loops(page: &mut Page, counters: &[Arc<Counters>]) {
    page.family(
        "sluicegate_loop_lag_seconds",
        MetricType::Histogram,
        "How long busy turns (4 events and more) took: what an event waits for at most.",
    );
    for (worker, counters) in counters.iter().enumerate() {
        let labels = [("worker", &*worker.to_string())];
        page.histogram(&labels, Unit::Time, &sample([counters], |c| &c.turn_time));
    }
    page.family("sluicegate_turn_events", MetricType::Histogram, "Events of one turn.");
    page.histogram(&[], Unit::Count, &sample(counters, |c| &c.turn_events));
}

/// The sum of one histogram over some workers.
pub fn sample<'a>(
    counters: impl IntoIterator<Item = &'a Arc<Counters>>,
    recorded: impl Fn(&Counters) -> &Histogram,
) -> Sample {
    let mut sample = Sample::default();
    for counters in counters {
        recorded(counters).add_to(&mut sample);
    }
    sample
}

fn exchanges(page: &mut Page, counters: &[Arc<Counters>]) {
    for (name, unit, help, recorded) in HISTOGRAMS {
        page.family(name, MetricType::Histogram, help);
        page.histogram(&[], *unit, &sample(counters, recorded));
    }
    page.family(
        "gen_ai_client_token_usage",
        MetricType::Histogram,
        "Tokens of one exchange, where its server has told.",
    );
    let tokens: [(&str, Recorded); 2] =
        [("input", |c| &c.tokens_in), ("output", |c| &c.tokens_out)];
    for (kind, recorded) in tokens {
        let labels = [("gen_ai_token_type", kind)];
        page.histogram(&labels, Unit::Count, &sample(counters, recorded));
    }
    page.family(
        "sluicegate_hop_seconds",
        MetricType::Histogram,
        "The steps of exchanges, each from the end of the one before it.",
    );
    for (index, hop) in HOPS.into_iter().enumerate() {
        let sample = sample(counters, |c| &c.hops[index]);
        page.histogram(&[("hop", hop)], Unit::Time, &sample);
    }
    page.family(
        "sluicegate_exchange_ends_total",
        MetricType::Counter,
        "Why exchanges ended, and requests refused before they became one.",
    );
    let mut ends: Vec<(&str, u64)> = Vec::new();
    for counters in counters {
        for (index, (reason, count)) in counters.ends.iter().enumerate() {
            match ends.get_mut(index) {
                Some((_, total)) => *total += count,
                None => ends.push((reason, count)),
            }
        }
    }
    for (reason, count) in ends {
        page.sample(&[("reason", reason)], count);
    }
    page.family(
        "sluicegate_waited_seconds_total",
        MetricType::Counter,
        "How long exchanges have waited, by for whom.",
    );
    for owner in Owner::ALL {
        let nanos: u64 = counters.iter().map(|c| c.waited[owner as usize].get()).sum();
        page.sample(&[("owner", owner.name())], Seconds(nanos));
    }
    page.family(
        "sluicegate_faults_total",
        MetricType::Counter,
        "Exchanges that failed, by who is to blame.",
    );
    let total = |value: Value| counters.iter().map(|counters| value(counters)).sum::<u64>();
    page.sample(&[("owner", "client")], total(|c| c.client_faults.get() + c.client_gone.get()));
    page.sample(&[("owner", "upstream")], total(|c| c.upstream_faults.get()));
    page.sample(&[("owner", "gateway")], total(|c| c.local_faults.get()));
}

/// Nanoseconds as seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::snapshot::EndpointId;
    use crate::measure::live::{EndpointState, UpstreamState};
    use crate::proxy::breaker::Standing;
    use crate::proxy::endpoints::View;
    use crate::proxy::health::HealthStatus;

    /// (name, type) of every family of the page.
    fn families() -> Vec<(String, String)> {
        let view = View {
            endpoint: EndpointId::default(),
            breaker: Some(Standing::Closed),
            active: HealthStatus::Unknown,
            draining: false,
            loading: false,
            up: true,
            weight_share: 1000,
            outstanding: 1,
            ttft: None,
        };
        let endpoint = EndpointState { name: "b:1".into(), address: None, weight: 1, view };
        let upstream = UpstreamState {
            name: "a".into(),
            open: 2,
            idle: 1,
            waiting: 0,
            awaiting_model: 0,
            server: Some(crate::proxy::wake::ServerStanding::Awake),
            endpoints: vec![endpoint],
        };
        let survey = Survey { active: 0, streams: Vec::new(), upstreams: vec![upstream] };
        let counters = [Arc::default()];
        let sources = Sources {
            counters: &counters,
            surveys: &[(0, survey)],
            is_ready: true,
            config: &ConfigState::default(),
            discovery: (&DiscoveryState::default(), 0),
            fleet: Some(&FleetKnowledge { shares_verdicts: true, ..FleetKnowledge::default() }),
            spans: None,
            recordings: None,
            usage: None,
            models: &[],
            plugins: &[],
        };
        let page = page(&sources, Exposition::Prometheus);
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
    }

    #[test]
    fn every_metric_is_documented_and_every_documented_metric_is_there() {
        let documentation = include_str!("../../docs/operations.md");
        let (_, section) = documentation.split_once("\n## Metrics\n").expect("the section");
        let section = section.split("\n## ").next().unwrap_or_default();
        let documented: Vec<(String, String)> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .map(|(name, rest)| (name.into(), rest.split(' ').next().unwrap_or_default().into()))
            .collect();
        assert_eq!(documented, families());
    }

    #[test]
    fn names_follow_the_conventions() {
        for (name, kind) in families() {
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
            assert!(name.starts_with("sluicegate_") || name.starts_with("gen_ai_"), "{name}");
        }
    }
}
