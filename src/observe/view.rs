//! The live view: what the dashboard and `sluicegate top` show, once a second.
//!
//! Rates and percentiles are those of a window of the last ten seconds, made from the differences
//! of what the workers have counted: the workers keep no windows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::metrics::merged;
use super::reading::{Reading, Tokens};
use crate::clock::Instant;
use crate::config::snapshot::unix_path::shown_address;
use crate::measure::histogram::Sample;
use crate::measure::live::{EndpointState, LiveStream, StreamKey, Survey, UpstreamState};
use crate::measure::stall::Owner;
use crate::measure::stats::Counters;
use crate::proxy::breaker::Standing;
use crate::proxy::endpoints::View;
use crate::proxy::exchange::Phase;
use crate::proxy::health::HealthStatus;
use crate::proxy::wake::ServerStanding;

/// How far back rates and percentiles look.
const WINDOW: Duration = Duration::from_secs(10);

/// Names an exchange among all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId {
    pub worker: usize,
    pub key: StreamKey,
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let StreamKey { connection, request } = self.key;
        write!(f, "{}-{connection:x}-{request}", self.worker)
    }
}

impl std::str::FromStr for StreamId {
    type Err = ();

    fn from_str(text: &str) -> Result<StreamId, ()> {
        let mut parts = text.split('-');
        let (Some(worker), Some(connection), Some(request), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        Ok(StreamId {
            worker: worker.parse().map_err(drop)?,
            key: StreamKey {
                connection: u64::from_str_radix(connection, 16).map_err(drop)?,
                request: request.parse().map_err(drop)?,
            },
        })
    }
}

/// One viewer and its window.
#[derive(Debug, Default)]
pub struct Viewer {
    readings: VecDeque<Reading>,
}

/// What there is to see at a moment.
pub struct Scene<'a> {
    pub now: Instant,
    pub counters: &'a [Arc<Counters>],
    /// Of the workers that answered, by their number.
    pub surveys: &'a [(usize, Survey)],
    pub is_ready: bool,
    pub uptime: Duration,
}

impl Viewer {
    pub fn new() -> Viewer {
        Viewer::default()
    }

    /// What is to be shown, as one object.
    pub fn look(&mut self, scene: &Scene<'_>) -> Value {
        let reading = Reading::take(scene.now, scene.counters);
        while self.readings.len() > 1
            && self.readings.front().is_some_and(|first| scene.now - first.at > WINDOW)
        {
            self.readings.pop_front();
        }
        let value = shown(self.readings.front().unwrap_or(&reading), &reading, scene);
        self.readings.push_back(reading);
        value
    }
}

fn shown(before: &Reading, after: &Reading, scene: &Scene<'_>) -> Value {
    let seconds = (after.at - before.at).as_secs_f64();
    let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    let (was, is) = (before.total(), after.total());
    let sum = |value: fn(&Counters) -> u64| -> u64 {
        scene.counters.iter().map(|counters| value(counters)).sum()
    };
    let workers = after.workers.iter().zip(&before.workers).zip(scene.counters).enumerate();
    let workers: Vec<Value> = workers
        .map(|(worker, ((is, was), counters))| {
            let (tokens, estimated) = is.since(was);
            json!({
                "worker": worker,
                "tokens_per_second": round(per_second(tokens)),
                "tokens_estimated": estimated,
                "events_per_second": round(per_second(is.events - was.events)),
                "active": counters.exchanges_active(),
                "clients": counters.downstreams_open.get(),
                "buffers": counters.buffers_out.get(),
                "answered": scene.surveys.iter().any(|(index, _)| *index == worker),
            })
        })
        .collect();
    let (tokens, estimated) = is.since(&was);
    let (tokens_in_all, estimated_in_all) = is.since(&Tokens::default());
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": scene.is_ready,
        "uptime_seconds": scene.uptime.as_secs(),
        "window_seconds": seconds,
        "tokens_per_second": round(per_second(tokens)),
        "tokens_per_second_estimated": estimated,
        "events_per_second": round(per_second(is.events - was.events)),
        "exchanges_per_second": round(per_second(is.exchanges - was.exchanges)),
        "bytes_per_second": round(per_second(after.written - before.written)),
        "tokens": tokens_in_all,
        "tokens_estimated": estimated_in_all,
        "events": is.events,
        "exchanges": is.exchanges,
        "active": sum(Counters::exchanges_active),
        "clients": sum(|c| c.downstreams_open.get()),
        "upstream_connections": sum(|c| c.upstreams_open.get()),
        "ttft": percentiles(&before.first_event, &after.first_event),
        "itl": percentiles(&before.event_gap, &after.event_gap),
        "lag": percentiles(&before.turn_time, &after.turn_time),
        "waited_ms": waited(before, after),
        "faults": {
            "client": sum(|c| c.client_faults.get() + c.client_gone.get()),
            "upstream": sum(|c| c.upstream_faults.get()),
            "gateway": sum(|c| c.local_faults.get()),
        },
        "workers": workers,
        "upstreams": upstreams(scene.surveys),
        "streams": streams(scene.surveys),
    })
}

/// How long exchanges have waited in the window, by for whom.
fn waited(before: &Reading, after: &Reading) -> Value {
    let spent = |owner: Owner| {
        let nanos = after.waited[owner as usize].saturating_sub(before.waited[owner as usize]);
        (owner.name().to_owned(), Value::from(nanos / 1_000_000))
    };
    Value::Object(Owner::ALL.into_iter().map(spent).collect())
}

/// A tenth is as much as anybody reads.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// In microseconds: of the window, or since the start if nothing happened in it; `null` if
/// nothing ever did.
fn percentiles(before: &Sample, after: &Sample) -> Value {
    let window = after.since(before);
    let recent = window.count() > 0;
    let sample = if recent { &window } else { after };
    json!({
        "recent": recent || after.count() == 0,
        "count": sample.count(),
        "p50": sample.quantile(0.5),
        "p90": sample.quantile(0.9),
        "p99": sample.quantile(0.99),
    })
}

/// Every upstream, over all workers.
pub fn upstreams(surveys: &[(usize, Survey)]) -> Value {
    let endpoint = |endpoint: &EndpointState| {
        let View {
            breaker, active, draining, loading, up, weight_share, outstanding, ttft, ..
        } = endpoint.view;
        json!({
            "endpoint": endpoint.name,
            "address": endpoint.address.map(shown_address),
            "weight": endpoint.weight,
            "weight_share": f64::from(weight_share) / 1000.0,
            "up": up,
            "draining": draining,
            "loading": loading,
            "health": health(active),
            "breaker": breaker.map(Standing::name),
            "in_flight": outstanding,
            "ttft_ms": ttft.map(millis),
        })
    };
    let upstream = |upstream: UpstreamState| {
        json!({
            "name": upstream.name,
            "open": upstream.open,
            "idle": upstream.idle,
            "waiting": upstream.waiting,
            "awaiting_model": upstream.awaiting_model,
            "server": upstream.server.map(ServerStanding::name),
            "endpoints": upstream.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        })
    };
    merged(surveys).into_iter().map(upstream).collect()
}

fn health(verdict: HealthStatus) -> &'static str {
    match verdict {
        HealthStatus::Unknown => "unknown",
        HealthStatus::Well => "well",
        HealthStatus::Unwell => "unwell",
    }
}

/// The table of streams, the oldest first.
pub fn streams(surveys: &[(usize, Survey)]) -> Value {
    let rows = surveys
        .iter()
        .flat_map(|(worker, survey)| survey.streams.iter().map(move |stream| (*worker, stream)));
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|(_, stream)| std::cmp::Reverse(stream.age));
    rows.into_iter().map(|(worker, stream)| row(worker, stream)).collect()
}

fn row(worker: usize, stream: &LiveStream) -> Value {
    json!({
        "id": StreamId { worker, key: stream.key }.to_string(),
        "request_id": stream.request_id.to_string(),
        "worker": worker,
        "client": stream.client.to_string(),
        "key": stream.key_name,
        "route": stream.route,
        "upstream": stream.endpoint.as_ref().map(|(upstream, _)| upstream),
        "endpoint": stream.endpoint.as_ref().map(|(_, endpoint)| endpoint),
        "model_asked": stream.asked,
        "model": stream.model,
        "phase": phase(stream.phase),
        "attached_us": stream.reached.attached.map(micros),
        "connected_us": stream.reached.connected.map(micros),
        "request_written_us": stream.reached.request_written.map(micros),
        "first_byte_us": stream.reached.first_byte.map(micros),
        "first_event_us": stream.reached.first_event.map(micros),
        "age_ms": millis(stream.age),
        "status": Some(stream.status).filter(|status| *status != 0),
        "tokens": stream.tokens.or(Some(stream.events).filter(|events| *events > 0)),
        "tokens_estimated": stream.tokens.is_none(),
        "events": stream.events,
        "bytes": stream.bytes,
        "gap_ms": millis(stream.silence),
        "waits_for": stream.waits_for.name(),
        "waited_ms": {
            "upstream": millis(stream.waited[Owner::Upstream as usize]),
            "client": millis(stream.waited[Owner::Client as usize]),
            "gateway": millis(stream.waited[Owner::Gateway as usize]),
        },
        "buffered_bytes": stream.buffered,
    })
}

/// The phase's name, the same wherever it is told.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Gathering => "reading request",
        Phase::Queued => "queued",
        Phase::AwaitingModel => "awaiting model",
        Phase::Pausing => "pausing before a retry",
        Phase::Connecting => "connecting",
        Phase::WritingRequest => "sending request",
        Phase::AwaitingFirst => "awaiting first token",
        Phase::Streaming => "streaming",
        Phase::Tunnel => "tunnel",
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let key = StreamKey { connection: 0x4000_0001_0000_002a, request: 3 };
        let id = StreamId { worker: 1, key };
        assert_eq!(id.to_string(), "1-400000010000002a-3");
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "1", "1-2", "1-x-3", "1-2-3-4", "-1-2-3", "1-2-99999999999"] {
            assert_eq!(wrong.parse::<StreamId>(), Err(()), "{wrong:?}");
        }
    }

    #[test]
    fn rates_are_those_of_the_window() {
        let counters = [Arc::new(Counters::default())];
        let mut viewer = Viewer::new();
        let mut look = |seconds: u64| {
            viewer.look(&Scene {
                now: Instant::from_nanos(seconds * 1_000_000_000),
                counters: &counters,
                surveys: &[],
                is_ready: true,
                uptime: Duration::from_secs(seconds),
            })
        };
        let first = look(0);
        assert_eq!(first["tokens_per_second"], 0.0);
        assert_eq!(first["itl"]["p50"], Value::Null);
        assert_eq!(look(1)["window_seconds"], 1.0);
        for second in 2..30 {
            look(second);
        }
        assert_eq!(look(30)["window_seconds"], 10.0);
    }
}
