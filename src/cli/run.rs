//! `sluicegate run`: the gateway.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::check::{tell_refused, tell_warnings};
use super::{Exit, RunArguments};
use crate::config::{self, bounds, show};
use crate::observe::logger;
use crate::server::{self, Control, Server};
use crate::sys::{self, Termination};

pub fn execute(arguments: &RunArguments) -> Exit {
    match load_and_serve(&arguments.config) {
        Ok(exit) => exit,
        Err(Refused) => Exit::Failure,
    }
}

/// The reason has been told.
struct Refused;

fn load_and_serve(path: &Path) -> Result<Exit, Refused> {
    let loaded = config::load(path).map_err(|problems| {
        let _ = tell_refused(path, &problems);
        Refused
    })?;
    let _ = tell_warnings(path, &loaded.warnings);
    let termination = catch_termination().map_err(|reason| {
        eprintln!("error: {reason}");
        Refused
    })?;
    let snapshot = Arc::new(loaded.snapshot);
    let server = server::start("worker", Arc::clone(&snapshot)).map_err(|error| {
        let file = path.display();
        match error.setting("[server] listen", "[admin] listen", Some("[limits] connections")) {
            Some(key) => eprintln!("error: {error} ({key} in {file})"),
            None => eprintln!("error: {error}"),
        }
        Refused
    })?;
    for address in server.addresses() {
        log::info!("listening on http://{address}");
    }
    if let Some(address) = server.admin_address() {
        log::info!("admin on http://{address}");
    }
    let workers = bounds::worker_count(&snapshot);
    let memory = show::rounded(workers.saturating_mul(bounds::worker_memory(&snapshot)));
    log::info!("workers: {workers}; memory for connections and buffers: at most {memory}");
    Ok(serve(vec![server], termination))
}

/// To be called before anything is started that a signal should end in good order.
pub(super) fn catch_termination() -> Result<Termination, String> {
    let handled = sys::on_reopen(logger::reopen).and_then(|()| Termination::catch());
    handled.map_err(|error| format!("signals cannot be handled: {error}"))
}

/// Serves until a signal ends it: the first one drains, the second aborts.
///
/// The servers end in order, each drained when the one before it is gone: a gateway before the
/// servers behind it.
pub(super) fn serve(servers: Vec<Server>, termination: Termination) -> Exit {
    let controls: Vec<Control> = servers.iter().map(Server::control).collect();
    let aborted = Arc::new(AtomicBool::new(false));
    let abort = Arc::clone(&aborted);
    let handled = termination.then(move |signals_before| {
        if signals_before == 0 {
            log::info!("draining; a second signal aborts");
            controls.iter().take(1).for_each(Control::drain);
        } else {
            log::warn!("aborting");
            abort.store(true, Ordering::Relaxed);
            controls.iter().for_each(Control::stop);
        }
    });
    if let Err(error) = handled {
        eprintln!("error: signals cannot be handled: {error}");
        return Exit::Failure;
    }
    let mut ended = Exit::Success;
    for (index, server) in servers.into_iter().enumerate() {
        if index > 0 {
            server.control().drain();
        }
        if let Err(error) = server.join() {
            eprintln!("error: {error}");
            ended = Exit::Failure;
        }
    }
    if aborted.load(Ordering::Relaxed) { Exit::Failure } else { ended }
}
