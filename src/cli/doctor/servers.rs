//! The servers: their names, their health, their models, and how they stream.

use std::time::{Duration, Instant};

use super::Finding;
use crate::config::names;
use crate::config::snapshot::{Endpoint, Snapshot, Upstream};
use crate::control::identify::{
    self, AskFailure, FoundServer, ServerKind, ServerPlace, Streamed, host_of,
};

/// For one real request: a model that is loaded takes a while.
const PATIENCE: Duration = Duration::from_secs(120);
/// A look-up that takes longer delays a start.
const SLOW_LOOK_UP: Duration = Duration::from_millis(500);
/// Events that come in one read may have been made at once. So many were collected.
const COLLECTED: usize = 5;

/// What is found of every endpoint; `request`: whether one is asked for tokens.
pub(super) fn findings(snapshot: &Snapshot, request: bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        snapshot.names().iter().map(|name| look_up(name, snapshot)).collect();
    for upstream in &snapshot.upstreams {
        for endpoint in &upstream.endpoints {
            findings.extend(endpoint_of(snapshot, upstream, endpoint, request));
        }
    }
    findings
}

fn look_up(name: &str, snapshot: &Snapshot) -> Finding {
    let began = Instant::now();
    let found = names::system(name, &snapshot.server.dns);
    let took = began.elapsed();
    match found {
        Err(error) => Finding::bad(
            "names",
            format!("{name} has no address: {error}"),
            "see /etc/hosts and /etc/resolv.conf; until it has one its endpoint is down",
        ),
        Ok(addresses) => {
            let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            let what = format!("{name} is {}, found in {took:.0?}", shown.join(", "));
            match took > SLOW_LOOK_UP {
                true => Finding::note("names", what, "a name server in /etc/resolv.conf is slow"),
                false => Finding::good("names", what),
            }
        }
    }
}

fn endpoint_of(
    snapshot: &Snapshot,
    upstream: &Upstream,
    endpoint: &Endpoint,
    request: bool,
) -> Vec<Finding> {
    let who = format!("{}: {}", upstream.name, endpoint.name);
    // The name was told of.
    let Some(address) = endpoint.address else { return Vec::new() };
    let host = host_of(upstream, endpoint);
    let rules = upstream.request_headers.rules.as_deref();
    let place = ServerPlace {
        address,
        tls: endpoint.tls.as_deref(),
        host: &host,
        base: endpoint.base(),
        key_lines: "",
        rules,
    };
    let found = match identify::look(place) {
        Ok(found) => found,
        Err(failure) => return vec![away(&who, &failure)],
    };
    let mut findings = vec![models(&who, &found)];
    findings.extend(health(&who, place, upstream, &found));
    let model = upstream.model.as_ref().or(found.models.first());
    match model {
        Some(model) if request => {
            findings.push(streaming(
                &who,
                snapshot,
                upstream,
                identify::stream(place, model, PATIENCE),
            ));
        }
        Some(_) | None => {}
    }
    findings
}

/// Nobody was found there.
fn away(who: &str, failure: &AskFailure) -> Finding {
    let (what, change) = match failure {
        AskFailure::Tls(_) => (
            format!("{who}: {failure}"),
            "mend its certificate, or tls of the upstream: docs/tls.md tells who is believed",
        ),
        AskFailure::Timeout => (
            format!("{who} takes connections and does not answer"),
            "it may hang, or be something else than an HTTP server: look into its log",
        ),
        _ => (
            format!("{who} does not answer as an HTTP server: {failure}"),
            "start it, or mend its address in endpoints",
        ),
    };
    Finding::bad("servers", what, change)
}

fn models(who: &str, found: &FoundServer) -> Finding {
    let title = found.kind.title();
    match &found.models[..] {
        _ if found.wants_key => Finding::note(
            "servers",
            format!("{who} is {title}, and wants a key"),
            "clients send their own, or api_key of the upstream does",
        ),
        [] => Finding::note(
            "servers",
            format!("{who} is {title}, and tells no model"),
            "load one, or see whether it is the server that you mean",
        ),
        models => Finding::good("servers", format!("{who} is {title}, with {}", models.join(", "))),
    }
}

fn health(
    who: &str,
    place: ServerPlace<'_>,
    upstream: &Upstream,
    found: &FoundServer,
) -> Option<Finding> {
    let Some(check) = &upstream.health else {
        let path = found.health?;
        return (found.kind != ServerKind::Unknown).then(|| {
            Finding::note(
                "health",
                format!("{who} has {path}, and is not checked"),
                format!("health = {{ path = \"{path}\" }}, to know early when it is down"),
            )
        });
    };
    let path = &check.path;
    let status = match place.get(path) {
        Ok(_) => 200,
        Err(AskFailure::Status(status)) => status,
        Err(failure) => {
            return Some(Finding::bad(
                "health",
                format!("{who}{path}: {failure}"),
                "mend the server",
            ));
        }
    };
    Some(match check.statuses.contains(&status) {
        true => Finding::good("health", format!("{who}{path} says {status}")),
        false => Finding::bad(
            "health",
            format!("{who}{path} says {status}: no request is sent there"),
            "mend the server, or health.path and health.status",
        ),
    })
}

fn streaming(
    who: &str,
    snapshot: &Snapshot,
    upstream: &Upstream,
    asked: Result<Streamed, AskFailure>,
) -> Finding {
    let seen = match asked {
        Ok(seen) => seen,
        Err(failure) => {
            return Finding::bad(
                "streaming",
                format!("{who}: a request for a few tokens failed: {failure}"),
                "look into the log of the server",
            );
        }
    };
    let Streamed { status, events, first, longest_gap, pieces, is_whole } = seen;
    if status != 200 {
        return Finding::note(
            "streaming",
            format!("{who} answers {status} to a chat: how it streams is not known"),
            "its model may be for something else, or it wants a key",
        );
    }
    let what = format!(
        "{who}: first token after {first:.0?}, {events} events, longest gap {longest_gap:.0?}"
    );
    let ttft = upstream.timeouts.ttft.or(snapshot.timeouts.exchange.ttft);
    if events == 0 {
        Finding::bad(
            "streaming",
            format!("{who} answered a request for a stream without one event"),
            "it may not stream, or something in between collects its answer",
        )
    } else if pieces == 1 && events >= COLLECTED {
        Finding::note(
            "streaming",
            format!("{what}; all of them at once"),
            "something between here and the model collects the stream: proxy_buffering off in nginx",
        )
    } else if !is_whole {
        Finding::note("streaming", format!("{what}; no [DONE]"), "its streams look cut to clients")
    } else if ttft.is_some_and(|ttft| first > ttft / 2) {
        Finding::note("streaming", what, "a longer timeouts.ttft: this is more than half of it")
    } else {
        Finding::good("streaming", what)
    }
}
