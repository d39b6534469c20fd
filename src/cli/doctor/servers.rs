//! The servers: their names, their health, their models, and how they stream.

use std::panic::resume_unwind;
use std::thread;
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
const COLLECTED: u64 = 5;
/// So many endpoints are looked at at once: one that is silent takes two seconds.
const AT_ONCE: usize = 16;

/// What is found of every endpoint; `request`: whether one is asked for tokens.
pub(super) fn findings(snapshot: &Snapshot, request: bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        snapshot.names().iter().map(|name| look_up(name, snapshot)).collect();
    let endpoints: Vec<(&Upstream, &Endpoint)> = (snapshot.upstreams.iter())
        .flat_map(|upstream| upstream.endpoints.iter().map(move |endpoint| (upstream, endpoint)))
        .collect();
    for some in endpoints.chunks(AT_ONCE) {
        for ((upstream, endpoint), (found, model)) in some.iter().zip(looks(some)) {
            findings.extend(found);
            // One after another: two that share a GPU would wait for each other.
            findings.extend(
                model
                    .filter(|_| request)
                    .and_then(|model| streaming(snapshot, upstream, endpoint, &model)),
            );
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

/// What an endpoint turned out to be, and the model that it can be asked for.
type Look = (Vec<Finding>, Option<String>);

/// Looks at all of them at the same time.
fn looks(endpoints: &[(&Upstream, &Endpoint)]) -> Vec<Look> {
    thread::scope(|scope| {
        let threads: Vec<_> = (endpoints.iter())
            .map(|(upstream, endpoint)| scope.spawn(|| look_at(upstream, endpoint)))
            .collect();
        let ends = threads.into_iter().map(|thread| thread.join());
        ends.map(|end| end.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

fn place_of<'p>(
    upstream: &'p Upstream,
    endpoint: &'p Endpoint,
    host: &'p str,
) -> Option<ServerPlace<'p>> {
    Some(ServerPlace {
        address: endpoint.address?,
        tls: endpoint.tls.as_deref(),
        host,
        base: endpoint.base(),
        key_lines: "",
        rules: upstream.request_headers.rules.as_deref(),
    })
}

fn who(upstream: &Upstream, endpoint: &Endpoint) -> String {
    format!("{}: {}", upstream.name, endpoint.name)
}

fn look_at(upstream: &Upstream, endpoint: &Endpoint) -> Look {
    let (who, host) = (who(upstream, endpoint), host_of(upstream, endpoint));
    // The name was told of.
    let Some(place) = place_of(upstream, endpoint, &host) else { return Look::default() };
    let lines = identify::spoken(upstream).map(|to| identify::lines_of(to.dialect));
    let place = ServerPlace { key_lines: lines.as_deref().unwrap_or_default(), ..place };
    let found = match identify::look(place) {
        Ok(found) => found,
        Err(failure) => return (vec![away(&who, &failure)], None),
    };
    let mut findings = vec![models(&who, &found)];
    findings.extend(health(&who, place, upstream, &found));
    (findings, upstream.model.clone().or(found.models.into_iter().next()))
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
    snapshot: &Snapshot,
    upstream: &Upstream,
    endpoint: &Endpoint,
    model: &str,
) -> Option<Finding> {
    let (who, host) = (who(upstream, endpoint), host_of(upstream, endpoint));
    let place = place_of(upstream, endpoint, &host)?;
    let Some(spoken) = identify::spoken(upstream) else {
        return Some(Finding::note(
            "streaming",
            format!("{who} has no stream that can be asked for: it is not known how it streams"),
            "",
        ));
    };
    let seen = match identify::stream(place, &spoken, model, PATIENCE) {
        Ok(seen) => seen,
        Err(failure) => {
            return Some(Finding::bad(
                "streaming",
                format!("{who}: a request for a few tokens failed: {failure}"),
                "look into the log of the server",
            ));
        }
    };
    Some(streams(&who, snapshot, upstream, seen))
}

fn streams(who: &str, snapshot: &Snapshot, upstream: &Upstream, seen: Streamed) -> Finding {
    let Streamed { status, path, events, first, longest_gap, pieces, is_whole } = seen;
    if status != 200 {
        return Finding::note(
            "streaming",
            format!("{who} answers {status} to a POST {path}: how it streams is not known"),
            "its model may be for something else, it wants a key, or service of the upstream \
             is another dialect",
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
        Finding::note(
            "streaming",
            format!("{what}; without its end"),
            "its streams look cut to clients",
        )
    } else if ttft.is_some_and(|ttft| first > ttft / 2) {
        Finding::note("streaming", what, "a longer timeouts.ttft: this is more than half of it")
    } else {
        Finding::good("streaming", what)
    }
}
