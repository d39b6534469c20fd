//! Upstreams: their connections, queues, endpoints and breakers, and what was tried again.

use std::time::Duration;

use super::{Page, Sources, Value};
use crate::measure::hops::RETRY_CAUSES;
use crate::measure::live::{EndpointState, Survey, UpstreamState};
use crate::observe::exposition::MetricType;
use crate::proxy::breaker::Standing;
use crate::proxy::wake::ServerStanding;

/// What the servers of an upstream have said of their models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearntModels {
    pub upstream: String,
    pub count: usize,
    /// How long ago.
    pub age: Duration,
}

pub(super) fn write(page: &mut Page, sources: &Sources<'_>) {
    page.family(
        "sluicegate_pool_checkouts_total",
        MetricType::Counter,
        "How requests came by a connection: hit (pooled), miss (opened), wait (queued first); \
         dead ones were found in the pool and closed.",
    );
    let total = |value: Value| sources.counters.iter().map(|counters| value(counters)).sum::<u64>();
    page.sample(&[("result", "hit")], total(|c| c.pool_hits.get()));
    page.sample(&[("result", "miss")], total(|c| c.pool_misses.get()));
    page.sample(&[("result", "dead")], total(|c| c.pool_dead.get()));
    page.sample(&[("result", "wait")], total(|c| c.pool_waits.get()));
    page.family(
        "sluicegate_queue_calls_total",
        MetricType::Counter,
        "Permits that came home to one worker and were offered to another's waiting request.",
    );
    page.sample(&[], total(|c| c.queue_calls.get()));
    page.family(
        "sluicegate_model_waits_total",
        MetricType::Counter,
        "Times that a request began to wait for a model that is being loaded or started.",
    );
    page.sample(&[], total(|c| c.model_waits.get()));
    page.family(
        "sluicegate_stale_replays_total",
        MetricType::Counter,
        "Requests sent again because a pooled connection turned out dead.",
    );
    page.sample(&[], total(|c| c.stale_replays.get()));
    page.family("sluicegate_retries_total", MetricType::Counter, "Further attempts, by where.");
    page.sample(&[("to", "same_upstream")], total(|c| c.retries.get()));
    page.sample(&[("to", "next_upstream")], total(|c| c.failovers.get()));
    page.sample(&[("to", "fallback_answer")], total(|c| c.fallbacks.get()));
    page.family(
        "sluicegate_retry_causes_total",
        MetricType::Counter,
        "Attempts that were given up for another one or for the predefined answer, by why.",
    );
    for (index, cause) in RETRY_CAUSES.into_iter().enumerate() {
        let count: u64 = sources.counters.iter().map(|c| c.retry_causes[index].get()).sum();
        page.sample(&[("cause", cause)], count);
    }
    page.family(
        "sluicegate_continuations_total",
        MetricType::Counter,
        "Streams that broke in the middle: another server was asked for the rest, has gone on with \
         it, or refuses to take a text so far.",
    );
    page.sample(&[("result", "asked")], total(|c| c.continuations_asked.get()));
    page.sample(&[("result", "joined")], total(|c| c.continuations_joined.get()));
    page.sample(&[("result", "refused")], total(|c| c.continuations_refused.get()));
    page.family("sluicegate_breaker_changes_total", MetricType::Counter, "Breakers that changed.");
    page.sample(&[("to", "open")], total(|c| c.breaker_opened.get()));
    page.sample(&[("to", "closed")], total(|c| c.breaker_closed.get()));
    page.family(
        "sluicegate_interjections_total",
        MetricType::Counter,
        "Bytes of our own put into streams: comments that keep them alive, the reason of their end, \
         and interim responses that ask whether a client is there.",
    );
    page.sample(&[("kind", "heartbeat")], total(|c| c.heartbeats.get()));
    page.sample(&[("kind", "error")], total(|c| c.error_events.get()));
    page.sample(&[("kind", "probe")], total(|c| c.half_close_probes.get()));
    upstreams(page, &merged(sources.surveys));
}

fn upstreams(page: &mut Page, upstreams: &[UpstreamState]) {
    if upstreams.is_empty() {
        return;
    }
    page.family("sluicegate_pool_connections", MetricType::Gauge, "Connections to an upstream.");
    for UpstreamState { name, open, idle, .. } in upstreams {
        page.sample(&[("upstream", name), ("state", "busy")], open.saturating_sub(*idle));
        page.sample(&[("upstream", name), ("state", "idle")], idle);
    }
    page.family("sluicegate_queue_length", MetricType::Gauge, "Exchanges in an upstream's queue.");
    for UpstreamState { name, waiting, .. } in upstreams {
        page.sample(&[("upstream", name)], waiting);
    }
    page.family(
        "sluicegate_awaiting_model",
        MetricType::Gauge,
        "Exchanges that wait for the model of an upstream, which is being loaded or started.",
    );
    for UpstreamState { name, awaiting_model, .. } in upstreams {
        page.sample(&[("upstream", name)], awaiting_model);
    }
    page.family(
        "sluicegate_server_state",
        MetricType::Gauge,
        "1 for how the server of an upstream stands that is started when it is asked for.",
    );
    for UpstreamState { name, server, .. } in upstreams {
        for state in ServerStanding::ALL.into_iter().filter(|_| server.is_some()) {
            let labels = [("upstream", &**name), ("state", state.name())];
            page.sample(&labels, u8::from(*server == Some(state)));
        }
    }
    let mut endpoint = |name, help, value: fn(&EndpointState) -> u32| {
        page.family(name, MetricType::Gauge, help);
        for upstream in upstreams {
            for endpoint in &upstream.endpoints {
                let labels = [("upstream", &*upstream.name), ("endpoint", &*endpoint.name)];
                page.sample(&labels, value(endpoint));
            }
        }
    };
    endpoint(
        "sluicegate_endpoint_up",
        "1 if every worker would send a request now, if there is room.",
        |endpoint| u32::from(endpoint.view.up),
    );
    endpoint(
        "sluicegate_endpoint_loading",
        "1 if an endpoint has said that it loads its model, and has not answered since.",
        |endpoint| u32::from(endpoint.view.loading),
    );
    endpoint("sluicegate_endpoint_in_flight", "Exchanges at an endpoint.", |endpoint| {
        endpoint.view.outstanding
    });
    endpoint(
        "sluicegate_endpoint_breaker_open",
        "1 if the breaker of some worker keeps requests away.",
        |endpoint| {
            u32::from(matches!(
                endpoint.view.breaker,
                Some(Standing::Open | Standing::Unauthorized)
            ))
        },
    );
    breakers(page, upstreams);
}

/// Every state of every breaker: 1 for the one it is in.
fn breakers(page: &mut Page, upstreams: &[UpstreamState]) {
    page.family(
        "sluicegate_endpoint_breaker_state",
        MetricType::Gauge,
        "1 for the state an endpoint's breaker is in, with the worker to which it is worst.",
    );
    for upstream in upstreams {
        for endpoint in &upstream.endpoints {
            let Some(breaker) = endpoint.view.breaker else { continue };
            for state in Standing::ALL {
                let labels = [
                    ("upstream", &*upstream.name),
                    ("endpoint", &*endpoint.name),
                    ("state", state.name()),
                ];
                page.sample(&labels, u8::from(state == breaker));
            }
        }
    }
}

/// The upstreams over all workers: what each counts is added, and an endpoint is as bad as it is to
/// the worker to which it is worst.
pub fn merged(surveys: &[(usize, Survey)]) -> Vec<UpstreamState> {
    let mut upstreams: Vec<UpstreamState> = Vec::new();
    for state in surveys.iter().flat_map(|(_, survey)| &survey.upstreams) {
        let Some(known) = upstreams.iter_mut().find(|known| known.name == state.name) else {
            upstreams.push(state.clone());
            continue;
        };
        known.open += state.open;
        known.idle += state.idle;
        known.waiting += state.waiting;
        known.awaiting_model += state.awaiting_model;
        for state in &state.endpoints {
            // A worker may be a generation ahead of another.
            let same = |known: &&mut EndpointState| known.view.endpoint == state.view.endpoint;
            let Some(known) = known.endpoints.iter_mut().find(same) else { continue };
            known.view.up &= state.view.up;
            known.view.loading |= state.view.loading;
            let standings = [known.view.breaker, state.view.breaker];
            known.view.breaker = standings.into_iter().max_by_key(|it| it.map(severity)).flatten();
        }
    }
    upstreams
}

/// How much a breaker keeps away.
fn severity(standing: Standing) -> u8 {
    match standing {
        Standing::Closed => 0,
        Standing::SlowStart => 1,
        Standing::Suspect => 2,
        Standing::HalfOpen => 3,
        Standing::Resting => 4,
        Standing::Open => 5,
        Standing::Unauthorized => 6,
    }
}
