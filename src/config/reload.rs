//! A reload: the configuration that is to follow the one in force.
//!
//! What sockets, threads and pools of memory were made from cannot change under them. A file that
//! says something else there is refused whole, with the line: half a reload would leave a process
//! that no file describes.

use std::net::SocketAddr;
use std::sync::Arc;

use super::file::Document;
use super::problem::{Problem, Report};
use super::snapshot::{Snapshot, Workers};
use super::{Environment, Loaded, check};

const REASON: &str =
    "cannot change while the gateway runs: restart it, or hand over to a new process (SIGUSR2)";

/// Compiles a text as the generation after `running`; what it says of plugins as it did is not loaded
/// again.
pub fn reload(
    text: &str,
    running: &Snapshot,
    environment: &Environment,
) -> Result<Loaded, Vec<Problem>> {
    let plugins = running.plugins.active.iter().map(|plugin| Arc::clone(&plugin.loaded));
    let environment = Environment { plugins: plugins.collect(), ..environment.clone() };
    let document = Document::parse(text)?;
    let mut loaded = check::compile(&document, &environment)?;
    let mut report = Report::default();
    keep_defaults(&document, running, &mut loaded);
    for (section, key) in fixed(running, &loaded.snapshot) {
        // It was compiled, so the section is a table if it is there.
        let place = document.root().table(section, &mut Report::default()).place_of(key);
        report.error(&place, REASON);
    }
    loaded.snapshot.follow(running);
    let Loaded { snapshot, .. } = report.conclude(loaded.snapshot)?;
    Ok(Loaded { snapshot, warnings: loaded.warnings, notes: loaded.notes })
}

/// A key of `[process]` that is not written stays what it was, whatever it would be at a start: upstreams
/// that start programs come and go, and what a process has given up is gone.
fn keep_defaults(document: &Document<'_>, running: &Snapshot, loaded: &mut Loaded) {
    let is_written = |key: &str| document.seek(key).iter().any(|sought| sought.is_written);
    let (was, is) = (&running.process, &mut loaded.snapshot.process);
    if !is_written("process.no_new_privs") {
        is.no_new_privs = was.no_new_privs;
    }
    if !is_written("process.seccomp") {
        is.seccomp = was.seccomp;
    }
    let (begins, seccomp) = (running.starts_programs().is_none(), is.seccomp);
    if let (true, true, Some(upstream)) = (begins, seccomp, loaded.snapshot.starts_programs()) {
        loaded.notes.push(format!(
            "the program that upstream {upstream:?} starts is denied the system calls that this process \
             is: that began with it and ends with it; a restart ends it, a hand-over does not"
        ));
    }
}

/// The addresses at which clients speak TLS.
fn sealed(snapshot: &Snapshot) -> &[SocketAddr] {
    snapshot.server.tls.as_ref().map_or(&[], |tls| &tls.listen)
}

/// The keys that differ and must not.
fn fixed(running: &Snapshot, next: &Snapshot) -> Vec<(&'static str, &'static str)> {
    let workers = match next.server.workers {
        Workers::Pinned(_) => "cpus",
        Workers::Unpinned(_) => "workers",
    };
    let (old, new) = (&running.server, &next.server);
    let (was, is) = (&running.process, &next.process);
    let changes = [
        ("server", "listen", old.listen != new.listen),
        ("server", "tls", sealed(running) != sealed(next)),
        ("server", workers, old.workers != new.workers),
        ("server", "accept", old.accept != new.accept),
        ("fleet", "store, name, ttl and hints", running.gate.fleet != next.gate.fleet),
        ("gate", "spent_file", running.gate.spent_file != next.gate.spent_file),
        ("process", "user", was.user != is.user),
        ("process", "group", was.group != is.group),
        ("process", "no_new_privs", was.no_new_privs != is.no_new_privs),
        ("process", "seccomp", was.seccomp != is.seccomp),
        ("process", "landlock", was.landlock != is.landlock),
        ("process", "core_dumps", was.core_dumps != is.core_dumps),
        ("admin", "listen", running.admin.listen != next.admin.listen),
        ("admin", "tls", running.admin.tls.is_some() != next.admin.tls.is_some()),
        ("access_log", "to", running.access_log.target != next.access_log.target),
        ("access_log", "format", running.access_log.format != next.access_log.format),
        ("trace", "export", running.trace.export != next.trace.export),
        ("trace", "service", running.trace.service != next.trace.service),
        ("trace", "interval", running.trace.interval != next.trace.interval),
        ("trace", "timeout", running.trace.timeout != next.trace.timeout),
        ("trace", "queue", running.trace.queue != next.trace.queue),
        ("recorder", "streams", running.recorder.streams != next.recorder.streams),
        ("recorder", "keep", running.recorder.keep != next.recorder.keep),
        ("usage", "series", running.usage.series != next.usage.series),
        ("usage", "currency", running.usage.currency != next.usage.currency),
        ("limits", "buffer_bytes", running.limits.buffer_bytes != next.limits.buffer_bytes),
    ];
    let changed = changes.into_iter().filter(|(_, _, differs)| *differs);
    changed.map(|(section, key, _)| (section, key)).collect()
}
