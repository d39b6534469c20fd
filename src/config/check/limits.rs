//! `[limits]`: what one worker holds at most, and how the defaults shrink to the machine.
//!
//! * A default adapts to what the process may have: descriptors ([`fit`]), memory ([`read`]). It says
//!   so in one note.
//! * What is written is taken as it is. If it cannot be had, the start is refused.

use std::ops::RangeInclusive;

use super::super::file::Section;
use super::super::problem::Report;
use super::super::snapshot::{Limits, ServerSettings, Snapshot};
use super::super::units::show_size;
use super::super::{Environment, bounds, defaults};
use super::{CONNECTIONS, HANDSHAKES, REQUESTS, bytes, usize_of};
use crate::http::head::FIELDS_MAX;

const STORED: RangeInclusive<u64> = 1_000..=100_000_000;
/// Buffers are never made fewer than this for want of memory.
const BUFFERS_LEAST: u64 = 8 << 20;
/// The buffers of all workers together take this share of the memory, by default.
const MEMORY_SHARE: u64 = 4;
/// A fitted pool keeps this share of a worker's descriptors idle, by default.
const IDLE_SHARE: u64 = 4;

/// Which of the keys that depend on descriptors stand in the file.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub connections: bool,
    /// For each upstream: `pool.connections`, `pool.idle_per_endpoint`.
    pub pools: Vec<(bool, bool)>,
}

/// The section, and whether `connections` stands in it.
pub(super) fn read(
    mut section: Section<'_>,
    server: &ServerSettings,
    environment: &Environment,
    report: &mut Report,
) -> (Limits, Written) {
    let default = defaults::LIMITS;
    let head = 1 << 10..=1 << 20;
    let held = 1 << 14..=1 << 30;
    let fields = 1..=FIELDS_MAX as u64;
    let head_bytes = bytes(&mut section, "head_bytes", head.clone(), default.head_bytes, report);
    let headers = section.count("headers", fields.clone(), default.headers, report);
    // Who takes more of clients takes as much of servers.
    let most = default.response_head_bytes.max(head_bytes);
    let response_head_bytes = bytes(&mut section, "response_head_bytes", head, most, report);
    let most = default.response_headers.max(headers);
    let response_headers = section.count("response_headers", fields, most, report);
    let connections = section.take("connections");
    let replay = section.take("replay_bytes");
    let replay = replay.and_then(|field| field.size(0..=1 << 30, Some("off"), report));
    let replay = replay.map(|size| usize_of(size.unwrap_or(0)));
    let search = written(&mut section, "model_search_bytes", held.clone(), report);
    let translate = written(&mut section, "translate_bytes", held, report);
    // Where these are written, they fit into the buffers of a small machine as well.
    let asked = replay.max(search.map(|bytes| 2 * bytes)).max(translate.map(|bytes| 2 * bytes));
    let least = asked.unwrap_or(0).max(2 * head_bytes);
    let buffer_bytes = buffer_bytes(&mut section, server, environment, least, report);
    // An eighth of the buffers, where they are fewer.
    let eighth = |default: usize| default.min(buffer_bytes / 8);
    let stored = default.stored_responses;
    let limits = Limits {
        connections: connections
            .as_ref()
            .and_then(|field| field.count(CONNECTIONS, report))
            .unwrap_or(default.connections),
        fitted_to: None,
        handshakes: section.count("handshakes", HANDSHAKES, default.handshakes, report),
        idle_keeps_place: default.idle_keeps_place,
        head_bytes,
        headers,
        response_head_bytes,
        response_headers,
        body_bytes: body_bytes(&mut section, report),
        replay_bytes: replay.unwrap_or_else(|| eighth(default.replay_bytes)),
        requests_per_connection: section.count(
            "requests_per_connection",
            REQUESTS,
            default.requests_per_connection,
            report,
        ),
        buffer_bytes,
        model_search_bytes: search.unwrap_or_else(|| eighth(default.model_search_bytes)),
        stored_responses: section.count("stored_responses", STORED, stored, report),
        translate_bytes: translate.unwrap_or_else(|| eighth(default.translate_bytes)),
        continue_bytes: bytes(
            &mut section,
            "continue_bytes",
            1 << 16..=1 << 40,
            default.continue_bytes,
            report,
        ),
    };
    leave_room(&limits, &section, report);
    section.finish(report);
    (limits, Written { connections: connections.is_some(), pools: Vec::new() })
}

/// What one request may hold leaves room in the buffers for others.
fn leave_room(limits: &Limits, section: &Section<'_>, report: &mut Report) {
    if limits.replay_bytes > limits.buffer_bytes {
        let place = section.place_of("replay_bytes");
        report.error(&place, "is more than buffer_bytes: no request of that size could be kept");
    }
    let held = [
        ("model_search_bytes", limits.model_search_bytes),
        ("translate_bytes", limits.translate_bytes),
    ];
    for (key, _) in held.into_iter().filter(|(_, bytes)| *bytes > limits.buffer_bytes / 2) {
        report.error(
            &section.place_of(key),
            "is more than half of buffer_bytes: what is held would leave no room for answers",
        );
    }
    // A head is read into one buffer that grows, beside the buffers of those who are answered.
    let heads =
        [("head_bytes", limits.head_bytes), ("response_head_bytes", limits.response_head_bytes)];
    for (key, bytes) in heads {
        // Where both are the same, it was told of the first.
        let told = key != "head_bytes" && bytes == limits.head_bytes;
        if bytes > limits.buffer_bytes / 2 && !told {
            let place = section.place_of(key);
            report.error(
                &place,
                "is more than half of buffer_bytes: a head of that size could wait for ever for room",
            );
        }
    }
}

fn body_bytes(section: &mut Section<'_>, report: &mut Report) -> Option<u64> {
    let size = section
        .take("body_bytes")
        .and_then(|field| field.size(1..=1 << 50, Some("unlimited"), report));
    size.unwrap_or(defaults::LIMITS.body_bytes)
}

/// A size that has no default of its own.
fn written(
    section: &mut Section<'_>,
    key: &'static str,
    range: RangeInclusive<u64>,
    report: &mut Report,
) -> Option<usize> {
    section.take(key).and_then(|field| field.size(range, None, report)).flatten().map(usize_of)
}

fn buffer_bytes(
    section: &mut Section<'_>,
    server: &ServerSettings,
    environment: &Environment,
    least: usize,
    report: &mut Report,
) -> usize {
    let range = 64 * bounds::BUFFER_BYTES..=1 << 40;
    let Some(field) = section.take("buffer_bytes") else {
        return fitting_buffers(server, environment, least, report);
    };
    let bytes = field.size(range, None, report).flatten();
    bytes.map_or(defaults::LIMITS.buffer_bytes, usize_of)
}

/// The default of `buffer_bytes`: less than usual where all workers together would take more than a
/// share of the memory, and not less than what is written elsewhere needs.
fn fitting_buffers(
    server: &ServerSettings,
    environment: &Environment,
    least: usize,
    report: &mut Report,
) -> usize {
    let usual = defaults::LIMITS.buffer_bytes;
    let Some(memory) = environment.memory else { return usual };
    let workers = bounds::workers_of(server).max(1);
    let share = (memory / MEMORY_SHARE / workers).max(BUFFERS_LEAST) >> 20 << 20;
    let fitting = usize_of(share).max(least).min(usual.max(least));
    if fitting < usual {
        let (fitting, usual) = (show_size(fitting as u64), show_size(usual as u64));
        report.note(format!(
            "limits.buffer_bytes is {fitting} for each worker, not {usual}: \
             {workers} of them may take a quarter of {} of memory",
            super::super::show::rounded(memory)
        ));
    }
    fitting
}

/// Shrinks the connections that are not written to the descriptors that the process can have, so
/// that every client may have a stream.
pub(super) fn fit(
    snapshot: &mut Snapshot,
    written: &Written,
    environment: &Environment,
    report: &mut Report,
) {
    if written.connections {
        return;
    }
    let needed = bounds::descriptors_needed(snapshot);
    let granted = (environment.descriptors)(needed);
    if granted >= needed {
        return;
    }
    let usual = snapshot.limits.connections;
    snapshot.limits.fitted_to = Some(granted);
    let worker = granted.saturating_sub(bounds::descriptors_apart(snapshot))
        / bounds::worker_count(snapshot).max(1);
    let endpoints: usize = snapshot.upstreams.iter().map(|one| one.endpoints.len()).sum();
    let idle = usize_of(worker / IDLE_SHARE) / endpoints.max(1);
    for (upstream, (_, idle_written)) in snapshot.upstreams.iter_mut().zip(&written.pools) {
        if !idle_written {
            upstream.pool.idle_per_endpoint = upstream.pool.idle_per_endpoint.min(idle.max(1));
        }
    }
    let left = worker.saturating_sub(bounds::idle_connections(snapshot));
    let connections = usize_of(left / 2).clamp(1, usual);
    snapshot.limits.connections = connections;
    for (upstream, (pool_written, idle_written)) in
        snapshot.upstreams.iter_mut().zip(&written.pools)
    {
        if !pool_written {
            upstream.pool.connections = connections.max(match idle_written {
                true => upstream.pool.idle_per_endpoint,
                false => 1,
            });
            let most = upstream.pool.connections;
            upstream.pool.idle_per_endpoint = upstream.pool.idle_per_endpoint.min(most);
        }
    }
    report.note(format!(
        "limits.connections is {connections} for each worker, not {usual}: the process may have \
         {granted} descriptors (for more, raise ulimit -Hn or LimitNOFILE=)"
    ));
}
