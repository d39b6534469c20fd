//! What a configuration can cost at most: memory and file descriptors.

use super::snapshot::{
    AcceptEncoding, ENTRY_BYTES, Route, ServerSettings, Snapshot, Upstream, When, Workers,
};
use crate::service::decoding::DECODERS_BYTES;

/// The size of one pooled buffer.
pub const BUFFER_BYTES: u64 = 16 << 10;

/// Memory of one client connection and the upstream connection it may lead to, without buffers:
/// two slots, their timers and their places in the queues. Rounded up generously.
pub const CONNECTION_BYTES: u64 = 2 << 10;

/// Memory of one TLS session, its keys and names among it: about half of that, and the certificates that
/// the peer has shown. Rounded up generously.
pub const SESSION_BYTES: u64 = 8 << 10;

/// Descriptors of the process itself: standard streams, pollers, wakers, listeners, signals, logs.
const DESCRIPTORS_APART: u64 = 64;

/// Client connections of the admin address, where there is one.
pub const ADMIN_CONNECTIONS: usize = 256;
/// Of these, so many are left to the health pages: no other page is answered on them.
pub const ADMIN_HEALTH_PLACES: usize = 64;

/// How many workers there will be.
pub fn worker_count(snapshot: &Snapshot) -> u64 {
    workers_of(&snapshot.server)
}

pub(super) fn workers_of(server: &ServerSettings) -> u64 {
    match &server.workers {
        Workers::Pinned(cpus) => cpus.len() as u64,
        Workers::Unpinned(count) => *count as u64,
    }
}

/// The most memory one worker may take to continue streams.
pub fn continue_memory(snapshot: &Snapshot) -> u64 {
    match snapshot.routes.iter().any(|route| route.continues.is_some()) {
        true => snapshot.limits.continue_bytes as u64,
        false => 0,
    }
}

/// The most memory one worker may take for the heads of requests whose model, or field, has not come: each lies
/// beside its draft, which is as long and lies in buffers.
pub fn undecided_memory(snapshot: &Snapshot) -> u64 {
    let limits = &snapshot.limits;
    match snapshot.routes.iter().any(|route| route.when.as_deref().is_some_and(When::asks_body)) {
        true => {
            let heads = (limits.connections as u64).saturating_mul(limits.head_bytes as u64);
            heads.min(limits.buffer_bytes as u64)
        }
        false => 0,
    }
}

/// The most memory one worker may take to decode compressed answers that it watches.
pub fn decoder_memory(snapshot: &Snapshot) -> u64 {
    let asks = |route: &Route| route.accept_encoding == AcceptEncoding::Client;
    match snapshot.routes.iter().any(asks) {
        true => DECODERS_BYTES as u64,
        false => 0,
    }
}

/// What all workers share to find stored responses again.
pub fn stored_memory(snapshot: &Snapshot) -> u64 {
    snapshot.stored.as_ref().map_or(0, |stored| (stored.capacity() * ENTRY_BYTES) as u64)
}

/// The most memory one worker may take for TLS sessions, with clients and with servers.
pub fn session_memory(snapshot: &Snapshot) -> u64 {
    let mut endpoints = snapshot.upstreams.iter().flat_map(|upstream| &upstream.endpoints);
    let servers = endpoints.any(|endpoint| endpoint.tls.is_some());
    let sides = u64::from(snapshot.server.tls.is_some()) + u64::from(servers);
    (snapshot.limits.connections as u64).saturating_mul(sides * SESSION_BYTES)
}

/// The most memory one worker may take for connections and their bytes. The kernel's own socket
/// buffers come on top.
pub fn worker_memory(snapshot: &Snapshot) -> u64 {
    let limits = &snapshot.limits;
    (limits.connections as u64)
        .saturating_mul(CONNECTION_BYTES)
        .saturating_add(limits.buffer_bytes as u64)
        .saturating_add(continue_memory(snapshot))
        .saturating_add(undecided_memory(snapshot))
        .saturating_add(decoder_memory(snapshot))
        .saturating_add(session_memory(snapshot))
}

/// File descriptors needed with every worker full: each client leads to one upstream connection,
/// tunnels included, and the pools hold what they may hold.
pub fn descriptors_needed(snapshot: &Snapshot) -> u64 {
    let clients = snapshot.limits.connections as u64;
    descriptors(snapshot, clients.saturating_mul(2))
}

/// File descriptors without which it makes no sense to begin: every client can be heard, and the
/// pools hold what they may hold. Whoever has more clients under way than there are descriptors left
/// for is told so, one by one.
pub fn descriptors_least(snapshot: &Snapshot) -> u64 {
    descriptors(snapshot, snapshot.limits.connections as u64)
}

fn descriptors(snapshot: &Snapshot, connections: u64) -> u64 {
    let worker = connections.saturating_add(idle_connections(snapshot));
    worker.saturating_mul(worker_count(snapshot)).saturating_add(descriptors_apart(snapshot))
}

/// What the pools of a worker may keep idle.
pub(super) fn idle_connections(snapshot: &Snapshot) -> u64 {
    let idle = |upstream: &Upstream| {
        let endpoints = upstream.endpoints.len() as u64;
        let idle = endpoints.saturating_mul(upstream.pool.idle_per_endpoint as u64);
        idle.min(upstream.pool.connections as u64)
    };
    snapshot.upstreams.iter().map(idle).fold(0, u64::saturating_add)
}

/// What the process has besides the connections of its workers. Where descriptors are few, no more
/// than an eighth of them is kept for the admin address.
pub(super) fn descriptors_apart(snapshot: &Snapshot) -> u64 {
    let most = ADMIN_CONNECTIONS as u64;
    let admin = snapshot.limits.fitted_to.map_or(most, |granted| most.min(granted / 8));
    DESCRIPTORS_APART + snapshot.admin.listen.map_or(0, |_| admin)
}
