//! The effective configuration as TOML, with every default and limit filled in.
//!
//! What is printed compiles to the same snapshot, but for the queries of `trace.export` and `wake`, and
//! for keys that stand in the file as the value of a field: this is shown to whoever may look.
//!
//! Absent on purpose: everything that is not in the snapshot, the operator's comments among it.

mod cors;
mod gate;
mod observing;
mod plugins;
mod policy;
mod process;
mod registry;
mod tls;

use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub(super) use self::gate::holder;
pub use self::registry::registry_keys;
use super::bounds;
use super::snapshot::unix_path::shown_address;
use super::snapshot::{
    AcceptEncoding, AcceptMode, AccessFormat, AccessLog, AccessTarget, Chain, CommitAt, Discover,
    DiscoverySource, ExchangeTimeouts, Forwarded, HalfClose, HeaderRules, Heartbeat, HostField,
    Link, Listed, Route, Snapshot, Target, Upstream, Workers,
};
use super::units::{show_duration, show_size};
use crate::escape::acts;

/// The configuration, and behind it, as comments, what it can cost.
pub fn effective(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, so the result says nothing.
    let _ = write(snapshot, &mut out);
    out
}

fn write(snapshot: &Snapshot, out: &mut String) -> fmt::Result {
    server(snapshot, out)?;
    snapshot.server.tls.iter().try_for_each(|tls| tls::server(tls, out))?;
    gate::gate(&snapshot.gate, out)?;
    process::process(&snapshot.process, out)?;
    admin(snapshot, out)?;
    access_log(snapshot, out)?;
    observing::trace(&snapshot.trace, out)?;
    observing::recorder(&snapshot.recorder, out)?;
    observing::usage(&snapshot.usage, out)?;
    observing::prices(snapshot.prices.as_deref(), out)?;
    limits(snapshot, out)?;
    timeouts(snapshot, out)?;
    plugins::plugins(&snapshot.plugins, out)?;
    for one in &snapshot.upstreams {
        upstream(one, snapshot, out)?;
    }
    for one in &snapshot.routes {
        route(one, snapshot, out)?;
    }
    costs(snapshot, out)
}

fn server(snapshot: &Snapshot, out: &mut String) -> fmt::Result {
    let server = &snapshot.server;
    let plain = server.listen.iter().enumerate().filter(|(place, _)| !snapshot.is_sealed(*place));
    let listen = plain.map(|(_, address)| quoted(&shown_address(*address)));
    writeln!(out, "# The effective configuration: every default and limit filled in.\n")?;
    writeln!(out, "[server]")?;
    entry(out, "listen", list(listen))?;
    for &address in &server.listen {
        families(snapshot, address, out)?;
    }
    match &server.workers {
        Workers::Pinned(cpus) => entry(out, "cpus", list(cpus.iter()))?,
        Workers::Unpinned(count) => entry(out, "workers", count)?,
    }
    let half_close = match server.half_close {
        HalfClose::Cancel => "cancel",
        HalfClose::Allow => "allow",
        HalfClose::Probe => "probe",
    };
    let accept = match server.accept {
        AcceptMode::Reuseport => "reuseport",
        AcceptMode::Balanced => "balanced",
    };
    let forwarded = match server.forwarded {
        Forwarded::Append => "append",
        Forwarded::Replace => "replace",
        Forwarded::Off => "off",
    };
    entry(out, "half_close", quoted(half_close))?;
    entry(out, "accept", quoted(accept))?;
    entry(out, "spin", quoted(&show_duration(server.spin)))?;
    entry(out, "coalesce", timeout(server.coalesce))?;
    entry(out, "forwarded", quoted(forwarded))?;
    entry(out, "watch", timeout(server.watch))?;
    entry(out, "resolve", timeout(server.resolve))?;
    let servers = server.dns.servers.iter().map(|server| quoted(&server.to_string()));
    entry(out, "dns.servers", list(servers))?;
    entry(out, "list_models", quoted(&show_duration(server.list_models)))?;
    let Some(keepalive) = server.tcp_keepalive else {
        return entry(out, "tcp_keepalive", quoted("off"));
    };
    entry(out, "tcp_keepalive.idle", quoted(&show_duration(keepalive.idle)))?;
    entry(out, "tcp_keepalive.interval", quoted(&show_duration(keepalive.interval)))?;
    entry(out, "tcp_keepalive.probes", keepalive.probes)
}

fn admin(snapshot: &Snapshot, out: &mut String) -> fmt::Result {
    let admin = &snapshot.admin;
    let listen = admin.listen.map_or("off".to_owned(), |address| address.to_string());
    writeln!(out, "\n[admin]")?;
    entry(out, "listen", quoted(&listen))?;
    if let Some(address) = admin.listen {
        families(snapshot, address, out)?;
    }
    if !admin.hosts.is_empty() {
        let hosts: Vec<String> = admin.hosts.iter().map(|host| quoted(host)).collect();
        entry(out, "hosts", format!("[{}]", hosts.join(", ")))?;
    }
    entry(out, "playground", admin.playground)?;
    if let Some(settings) = &admin.tls {
        tls::admin(settings, out)?;
    }
    match &admin.token {
        Some(token) if token.file.is_empty() => writeln!(out, "# token: made at the start"),
        Some(token) => entry(out, "token_file", quoted(&token.file)),
        None => writeln!(out, "# token_file: none"),
    }
}

fn access_log(snapshot: &Snapshot, out: &mut String) -> fmt::Result {
    let AccessLog { target, format } = &snapshot.access_log;
    let target = match target {
        AccessTarget::Off => "off",
        AccessTarget::Stdout => "stdout",
        AccessTarget::Stderr => "stderr",
        AccessTarget::File(path) => path,
    };
    let format = match format {
        AccessFormat::Json => "json",
        AccessFormat::Logfmt => "logfmt",
    };
    writeln!(out, "\n[access_log]")?;
    entry(out, "to", quoted(target))?;
    entry(out, "format", quoted(format))
}

/// What `[::]` means: with some programs IPv4 too, with some not.
fn families(snapshot: &Snapshot, address: SocketAddr, out: &mut String) -> fmt::Result {
    match address.ip() {
        IpAddr::V6(ip) if ip.is_unspecified() => {
            let both = snapshot.takes_both_families(address);
            writeln!(out, "# {address}: {}", if both { "IPv6 and IPv4" } else { "IPv6 only" })
        }
        _ => Ok(()),
    }
}

fn limits(snapshot: &Snapshot, out: &mut String) -> fmt::Result {
    let limits = &snapshot.limits;
    let body = limits.body_bytes.map_or("unlimited".to_owned(), show_size);
    let replay = match limits.replay_bytes {
        0 => "off".to_owned(),
        bytes => show_size(bytes as u64),
    };
    writeln!(out, "\n[limits]")?;
    entry(out, "connections", limits.connections)?;
    entry(out, "handshakes", limits.handshakes)?;
    entry(out, "head_bytes", quoted(&show_size(limits.head_bytes as u64)))?;
    entry(out, "headers", limits.headers)?;
    entry(out, "response_head_bytes", quoted(&show_size(limits.response_head_bytes as u64)))?;
    entry(out, "response_headers", limits.response_headers)?;
    entry(out, "body_bytes", quoted(&body))?;
    entry(out, "replay_bytes", quoted(&replay))?;
    entry(out, "model_search_bytes", quoted(&show_size(limits.model_search_bytes as u64)))?;
    entry(out, "stored_responses", limits.stored_responses)?;
    entry(out, "translate_bytes", quoted(&show_size(limits.translate_bytes as u64)))?;
    entry(out, "requests_per_connection", limits.requests_per_connection)?;
    entry(out, "buffer_bytes", quoted(&show_size(limits.buffer_bytes as u64)))?;
    entry(out, "continue_bytes", quoted(&show_size(limits.continue_bytes as u64)))
}

fn timeouts(snapshot: &Snapshot, out: &mut String) -> fmt::Result {
    let timeouts = &snapshot.timeouts;
    writeln!(out, "\n[timeouts]")?;
    entry(out, "head", timeout(timeouts.head))?;
    entry(out, "client_idle", timeout(timeouts.client_idle))?;
    entry(out, "drain", timeout(timeouts.drain))?;
    for (key, value) in exchange(&timeouts.exchange) {
        entry(out, key, value)?;
    }
    Ok(())
}

fn upstream(upstream: &Upstream, snapshot: &Snapshot, out: &mut String) -> fmt::Result {
    let host = match &upstream.host {
        HostField::Preserve => "preserve",
        HostField::Endpoint => "endpoint",
        HostField::Fixed(name) => name,
    };
    let pool = &upstream.pool;
    writeln!(out, "\n[[upstream]]")?;
    entry(out, "name", quoted(&upstream.name))?;
    if let Some(discover) = &upstream.discover {
        self::discover(discover, upstream.found.len(), out)?;
    }
    if !upstream.listed.is_empty() {
        writeln!(out, "endpoints = [")?;
        upstream.listed.iter().try_for_each(|listed| self::listed(listed, out))?;
        writeln!(out, "]")?;
    }
    entry(out, "host", quoted(host))?;
    upstream.tls.iter().try_for_each(|tls| tls::upstream(tls, out))?;
    entry(out, "service", quoted(upstream.service.name()))?;
    written(&upstream.request_headers, out)?;
    if let Some(model) = &upstream.model {
        entry(out, "model", quoted(model))?;
    }
    policy::models(&upstream.models, out)?;
    entry(out, "stored", timeout(upstream.stored))?;
    if let Some(translates) = &upstream.translate_to {
        policy::translates(translates, out)?;
    }
    entry(out, "prefill", quoted(upstream.prefill.name()))?;
    entry(out, "delayed_acks", upstream.delayed_acks)?;
    let everywhere = exchange(&snapshot.timeouts.exchange);
    for ((key, here), (_, everywhere)) in exchange(&upstream.timeouts).into_iter().zip(everywhere) {
        if here != everywhere {
            entry(out, &format!("timeouts.{key}"), here)?;
        }
    }
    entry(out, "pool.idle_per_endpoint", pool.idle_per_endpoint)?;
    entry(out, "pool.connections", pool.connections)?;
    entry(out, "pool.idle_timeout", quoted(&show_duration(pool.idle_timeout)))?;
    entry(out, "pool.max_age", timeout(pool.max_age))?;
    entry(out, "pool.max_requests", pool.max_requests)?;
    entry(out, "pool.replay_stale_post", pool.replay_stale_post)?;
    policy::policies(upstream, out)?;
    plugins::of_upstream(upstream, snapshot, out)
}

fn discover(discover: &Discover, found: usize, out: &mut String) -> fmt::Result {
    let Discover { source, dialing, base, belief } = discover;
    let keys = match source {
        DiscoverySource::Dns(name) => vec![("dns", quoted(name))],
        DiscoverySource::Srv(name) => vec![("srv", quoted(name))],
        DiscoverySource::File(path) => vec![("file", quoted(&path.display().to_string()))],
        registry => registry_keys(registry),
    };
    writeln!(out, "# {found} endpoints are told now")?;
    for (key, value) in keys {
        entry(out, &format!("discover.{key}"), value)?;
    }
    entry(out, "discover.scheme", quoted(if dialing.is_some() { "https" } else { "http" }))?;
    entry(out, "discover.base", quoted(if base.is_empty() { "/" } else { base }))?;
    entry(out, "discover.shrink", belief.shrink)?;
    entry(out, "discover.confirm", quoted(&show_duration(belief.confirm)))?;
    entry(out, "discover.empty", quoted(if belief.empty { "obey" } else { "keep" }))
}

fn listed(listed: &Listed, out: &mut String) -> fmt::Result {
    let Listed { authority, base, is_name, addresses, weight, tls, priority: _ } = listed;
    let address = match tls {
        Some(_) => quoted(&format!("https://{authority}{base}")),
        None if base.is_empty() => quoted(authority),
        None => quoted(&format!("http://{authority}{base}")),
    };
    write!(out, "    {{ address = {address}, weight = {weight} }},")?;
    match (is_name, addresses.is_empty()) {
        (false, _) => {}
        (true, true) => write!(out, " # has no address now: down")?,
        (true, false) => {
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            write!(out, " # {}", addresses.join(", "))?;
        }
    }
    writeln!(out)
}

fn route(route: &Route, snapshot: &Snapshot, out: &mut String) -> fmt::Result {
    writeln!(out, "\n[[route]]")?;
    entry(out, "path", quoted(&route.path.to_string()))?;
    if route.methods.is_empty() {
        writeln!(out, "# methods: every one")?;
    } else {
        entry(out, "methods", list(route.methods.iter().map(|method| quoted(method))))?;
    }
    if let Some(when) = &route.when {
        policy::when(when, out)?;
    }
    match &route.target {
        Target::Chain(chain) => self::chain(chain, snapshot, out)?,
        Target::Service(service) => writeln!(out, "# answered inside this process: {service:?}")?,
        Target::Models(models) => {
            policy::model_route(models, snapshot, out)?;
            entry(out, "server_timing", route.server_timing)?;
            entry(out, "keys", quoted(gate::mode(route.keys)))?;
            return overrides(route, snapshot, out);
        }
    }
    if let Some(name) = &route.model_in_path {
        entry(out, "model", quoted(&format!("{{{name}}}")))?;
    }
    match &route.rewrite {
        None => {}
        Some(rewrite) => entry(out, "rewrite", quoted(&rewrite.to_string()))?,
    }
    written(&route.request_headers, out)?;
    written(&route.response_headers, out)?;
    let commit = match route.commit {
        CommitAt::FirstEvent => "first_event",
        CommitAt::Head => "head",
    };
    entry(out, "commit", quoted(commit))?;
    match route.heartbeat {
        Some(Heartbeat { every, before_head: true }) => {
            entry(out, "heartbeat.every", timeout(Some(every)))?;
            entry(out, "heartbeat.before_head", true)?;
        }
        heartbeat => {
            entry(out, "heartbeat", timeout(heartbeat.map(|heartbeat| heartbeat.every)))?;
        }
    }
    policy::continues(route, out)?;
    entry(out, "server_timing", route.server_timing)?;
    let accept_encoding = match route.accept_encoding {
        AcceptEncoding::Client => "client",
        AcceptEncoding::Identity => "identity",
    };
    entry(out, "accept_encoding", quoted(accept_encoding))?;
    entry(out, "include_usage", route.include_usage)?;
    entry(out, "decode_requests", route.decode_requests)?;
    entry(out, "keys", quoted(gate::mode(route.keys)))?;
    cors::cors(route.cors.as_deref(), out)?;
    plugins::of_route(route, snapshot, out)?;
    overrides(route, snapshot, out)?;
    match &route.target {
        Target::Chain(Chain { fallback: Some(fallback), .. }) => policy::fallback(fallback, out),
        _ => Ok(()),
    }
}

fn written(rules: &HeaderRules, out: &mut String) -> fmt::Result {
    rules.written.iter().try_for_each(|(key, value)| entry(out, key, value))
}

fn chain(chain: &Chain, snapshot: &Snapshot, out: &mut String) -> fmt::Result {
    let name =
        |link: &Link| snapshot.upstreams.get(link.upstream).map_or("?", |upstream| &upstream.name);
    match &chain.links[..] {
        [one] => entry(out, "upstream", quoted(name(one)))?,
        all => entry(out, "upstream", list(all.iter().map(|link| quoted(name(link)))))?,
    }
    let own = |link: &&Link| {
        snapshot.upstreams.get(link.upstream).is_some_and(|upstream| upstream.model != link.model)
    };
    if let Some(model) = chain.links.iter().find(own).and_then(|link| link.model.as_ref()) {
        entry(out, "model", quoted(model))?;
    }
    match chain.larger.and_then(|larger| chain.links.get(larger)) {
        Some(larger) => entry(out, "larger", quoted(name(larger))),
        None => Ok(()),
    }
}

/// The timeouts a route overrides: where it differs from `[timeouts]`, or one of its links from
/// that link's upstream. Of any other override it makes no difference whether it is written.
fn overrides(route: &Route, snapshot: &Snapshot, out: &mut String) -> fmt::Result {
    let links: &[Link] = match &route.target {
        Target::Chain(chain) => &chain.links,
        Target::Service(_) | Target::Models(_) => &[],
    };
    let everywhere = exchange(&snapshot.timeouts.exchange);
    for (index, (key, here)) in exchange(&route.timeouts).into_iter().enumerate() {
        let differs = links.iter().any(|link| {
            let upstream = snapshot.upstreams.get(link.upstream);
            upstream.is_some_and(|upstream| {
                exchange(&link.timeouts)[index] != exchange(&upstream.timeouts)[index]
            })
        });
        if differs || here != everywhere[index].1 {
            entry(out, &format!("timeouts.{key}"), here)?;
        }
    }
    Ok(())
}

fn costs(snapshot: &Snapshot, out: &mut String) -> fmt::Result {
    let workers = bounds::worker_count(snapshot);
    let each = bounds::worker_memory(snapshot);
    let connections = snapshot.limits.connections;
    let small = show_size(bounds::CONNECTION_BYTES);
    let buffers = show_size(snapshot.limits.buffer_bytes as u64);
    let continues = match bounds::continue_memory(snapshot) {
        0 => String::new(),
        bytes => format!(" + {} to continue streams", show_size(bytes)),
    };
    let undecided = match bounds::undecided_memory(snapshot) {
        0 => String::new(),
        bytes => format!(" + {} of heads that wait for a model", show_size(bytes)),
    };
    let decoders = match bounds::decoder_memory(snapshot) {
        0 => String::new(),
        bytes => format!(" + {} to read compressed answers", show_size(bytes)),
    };
    let sessions = match bounds::session_memory(snapshot) {
        0 => String::new(),
        bytes => format!(" + {} of TLS sessions", rounded(bytes)),
    };
    let stored = bounds::stored_memory(snapshot);
    let shared = match stored {
        0 => String::new(),
        bytes => format!(", with {} of stored responses", show_size(bytes)),
    };
    let all = workers.saturating_mul(connections as u64);
    let (worker, total) =
        (rounded(each), rounded(each.saturating_mul(workers).saturating_add(stored)));
    writeln!(out, "\n# At most, with every limit reached:")?;
    writeln!(out, "#   workers            {workers}")?;
    writeln!(out, "#   client connections {connections} per worker, {all} in all")?;
    writeln!(
        out,
        "#   memory             {worker} per worker \
         ({connections} connections x {small} + {buffers} of buffers{continues}{undecided}{decoders}\
          {sessions})"
    )?;
    writeln!(
        out,
        "#                      {total} in all{shared}; the kernel's socket buffers come on top"
    )?;
    let (needed, least) =
        (bounds::descriptors_needed(snapshot), bounds::descriptors_least(snapshot));
    writeln!(out, "#   file descriptors   {needed}, and not fewer than {least}")
}

/// A size for people: three digits are enough to plan with.
pub fn rounded(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.into_iter().find(|&(_, factor)| bytes >= factor) {
        Some((unit, factor)) => format!("{:.1} {unit}", bytes as f64 / factor as f64),
        None => format!("{bytes} B"),
    }
}

/// Their keys, and their values as they are written.
fn exchange(timeouts: &ExchangeTimeouts) -> [(&'static str, String); 9] {
    [
        ("body", timeout(timeouts.body)),
        ("client_write", timeout(timeouts.client_write)),
        ("connect", timeout(timeouts.connect)),
        ("ttft", timeout(timeouts.ttft)),
        ("response", timeout(timeouts.response)),
        ("inter_event", timeout(timeouts.inter_event)),
        ("progress", quoted(timeouts.progress.name())),
        ("total", timeout(timeouts.total)),
        ("tunnel_idle", timeout(timeouts.tunnel_idle)),
    ]
}

fn entry(out: &mut String, key: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(out, "{key} = {value}")
}

fn timeout(timeout: Option<Duration>) -> String {
    quoted(&timeout.map_or("off".to_owned(), show_duration))
}

pub(super) fn list(elements: impl Iterator<Item = impl fmt::Display>) -> String {
    let elements: Vec<String> = elements.map(|element| element.to_string()).collect();
    format!("[{}]", elements.join(", "))
}

/// A key, in quotes where it needs them.
pub(super) fn key(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !text.is_empty() && text.chars().all(bare) { text.to_owned() } else { quoted(text) }
}

/// A TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if acts(c) && c <= '\u{ffff}' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if acts(c) => out.push_str(&format!("\\U{:08X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
