//! `sluicegate run`: the gateway.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::check::{tell_refused, tell_warnings};
use super::confine::{self, confine_files};
use super::{Exit, RunArguments, complain};
use crate::config::parts::ConfigText;
use crate::config::snapshot::Snapshot;
use crate::config::snapshot::unix_path::{UNIX_PREFIX, shown_address};
use crate::config::{bounds, folder_of, show};
use crate::lifecycle::place::{ConfigPlace, StorePlace, read_file};
use crate::lifecycle::source::{Source, compile};
use crate::lifecycle::store::StoreSource;
use crate::lifecycle::{Chore, FileWatch, Lifecycle, Obeyed};
use crate::observe::logger;
use crate::server::{self, Control, FleetPlace, Server};
use crate::sys::{self, Inherited, Order, Predecessor, ServiceState, Signals, notify};

pub fn execute(arguments: &RunArguments) -> Exit {
    match load_and_serve(arguments) {
        Ok(exit) => exit,
        Err(Refused) => Exit::Failure,
    }
}

/// The reason has been told.
struct Refused;

fn load_and_serve(arguments: &RunArguments) -> Result<Exit, Refused> {
    // The process may begin anew here, with all that it was given.
    confine_files(arguments);
    // First of all: the sockets have numbers that nothing else may have taken.
    let (predecessor, inherited) = inherit().map_err(|error| {
        complain(&format!("the listening sockets cannot be taken over: {error}"));
        Refused
    })?;
    let place = &arguments.config;
    let begun = match place {
        ConfigPlace::File(path) => begin_with_file(path),
        ConfigPlace::Store(store) => begin_with_store(store, arguments.last_good.clone()),
    };
    let mut obeyed = begun.map_err(|reasons| {
        let _ = tell_refused(place, &reasons);
        Refused
    })?;
    let signals =
        sys::on_reopen(logger::reopen).and_then(|()| Signals::of_a_service()).map_err(|error| {
            complain(&no_signals(&error));
            Refused
        })?;
    obeyed.ask_sources();
    let snapshot = Arc::clone(&obeyed.snapshot);
    let store = match place {
        ConfigPlace::File(_) => None,
        ConfigPlace::Store(store) => Some(store.clone()),
    };
    let known_as = FleetPlace { store, name: arguments.gateway.clone() };
    let server = start(place, &snapshot, inherited, known_as)?;
    let name = arguments.gateway.clone().unwrap_or_else(sys::process_name);
    let lifecycle = Lifecycle::start(server.control(), obeyed, name);
    let lifecycle = lifecycle.map_err(|error| {
        complain(&format!("cannot start: {error}"));
        Refused
    })?;
    let asked = lifecycle.clone();
    server.control().on_reload(Box::new(move |asker| {
        // It lives as long as the process.
        let _ = asked.send(Chore::ReloadFor(asker));
    }));
    announce(&server, &snapshot);
    confine::tell(&snapshot, place);
    // Whoever holds a generation holds its plugins.
    drop(snapshot);
    match predecessor.map(Predecessor::dismiss) {
        None => notify(ServiceState::Ready),
        // The predecessor is the service until it hears of us; it tells that we are.
        Some(Ok(())) => {}
        Some(Err(error)) => {
            log::warn!("the predecessor cannot be told that we serve: {error}");
            notify(ServiceState::Successor(std::process::id()));
        }
    }
    Ok(serve_with(vec![server], signals, move |request| {
        // It lives as long as the process.
        let _ = lifecycle.send(request);
    }))
}

/// From a file.
fn begin_with_file(path: &Path) -> Result<Obeyed, Vec<String>> {
    // Looked at before it is read: what changes in between is a change.
    let source = Source::File(FileWatch::of(path));
    let text = read_file(path)?;
    begin(source, text, folder_of(path))
}

/// From a store; from the copy of what was good last, where the store has nothing that is good.
fn begin_with_store(place: &StorePlace, last_good: Option<PathBuf>) -> Result<Obeyed, Vec<String>> {
    let folder = std::env::current_dir().unwrap_or_default();
    let mut store = StoreSource::new(place.clone(), last_good);
    let read = store.read();
    let copy = store.last_good();
    let refused = match read {
        Ok(text) => match begin(Source::Store(Box::new(store.clone())), text, folder.clone()) {
            Ok(obeyed) => {
                if let Some(text) = &obeyed.read {
                    store.keep(text);
                }
                return Ok(obeyed);
            }
            Err(reasons) => reasons,
        },
        Err(reasons) => reasons,
    };
    let Some((path, copy)) = copy else { return Err(refused) };
    refused.iter().for_each(|reason| log::error!("{reason}"));
    log::warn!("starting with the last good configuration, {}", path.display());
    let begun = begin(Source::Store(Box::new(store)), copy?, folder)?;
    Ok(Obeyed { read: None, refused, ..begun })
}

/// Compiles what was read, and tells what is odd about it.
fn begin(source: Source, text: ConfigText, folder: PathBuf) -> Result<Obeyed, Vec<String>> {
    let loaded = compile(&text, folder.clone())?;
    let _ = tell_warnings(&text, &loaded.warnings);
    loaded.notes.iter().for_each(|note| log::info!("{note}"));
    let snapshot = Arc::new(loaded.snapshot);
    Ok(Obeyed { snapshot, source, folder, read: Some(text), refused: Vec::new() })
}

/// Listeners that a predecessor or a service manager has for us.
fn inherit() -> io::Result<(Option<Predecessor>, Inherited)> {
    Ok(match Predecessor::find()? {
        Some((predecessor, inherited)) => (Some(predecessor), inherited),
        None => (None, Inherited::from_service_manager()?),
    })
}

fn start(
    place: &ConfigPlace,
    snapshot: &Arc<Snapshot>,
    mut inherited: Inherited,
    known_as: FleetPlace,
) -> Result<Server, Refused> {
    let confined = |made: &[PathBuf]| confine::confine(snapshot, made);
    let started =
        server::start_on("worker", Arc::clone(snapshot), &mut inherited, known_as, confined);
    let server = started.map_err(|error| {
        match error.setting("[server] listen", "[admin] listen", Some("[limits] connections")) {
            Some(key) => complain(&format!("{error} ({key} in {place})")),
            None => complain(&error),
        }
        Refused
    })?;
    for address in inherited.close_rest() {
        log::warn!(
            "the socket on {} that we were given is not in the configuration: closed",
            shown_address(address)
        );
    }
    Ok(server)
}

/// Says what is served. By then all of it is: a reload can be asked for as well.
fn announce(server: &Server, snapshot: &Snapshot) {
    for (place, address) in server.addresses().iter().enumerate() {
        let scheme = if snapshot.is_sealed(place) { "https" } else { "http" };
        match shown_address(*address) {
            unix if unix.starts_with(UNIX_PREFIX) => log::info!("listening on {unix}"),
            address => log::info!("listening on {scheme}://{address}"),
        }
    }
    if let Some(address) = server.admin_address() {
        let scheme = if snapshot.admin.tls.is_some() { "https" } else { "http" };
        log::info!("admin on {scheme}://{address}");
    }
    let workers = bounds::worker_count(snapshot);
    let memory = show::rounded(workers.saturating_mul(bounds::worker_memory(snapshot)));
    log::info!("workers: {workers}; memory for connections and buffers: at most {memory}");
}

/// To be called before anything is started that a signal should end in good order.
pub(super) fn catch_termination() -> Result<Signals, String> {
    sys::on_reopen(logger::reopen).map_err(|error| no_signals(&error))?;
    Signals::that_end().map_err(|error| no_signals(&error))
}

fn no_signals(error: &io::Error) -> String {
    format!("signals cannot be handled: {error}")
}

/// Serves until a signal ends it: the first one drains, the second aborts.
///
/// The servers end in order, each drained when the one before it is gone: a gateway before the
/// servers behind it.
pub(super) fn serve(servers: Vec<Server>, signals: Signals) -> Exit {
    serve_with(servers, signals, |_| {})
}

/// The same; signals that do not end it are requests to `look_after`.
fn serve_with(
    servers: Vec<Server>,
    signals: Signals,
    look_after: impl Fn(Chore) + Send + 'static,
) -> Exit {
    let controls: Vec<Control> = servers.iter().map(Server::control).collect();
    let aborted = Arc::new(AtomicBool::new(false));
    let abort = Arc::clone(&aborted);
    let mut ending = false;
    let handled = signals.then(move |order| match order {
        Order::Reload => look_after(Chore::Reload),
        Order::HandOver => look_after(Chore::HandOver),
        Order::End if !std::mem::replace(&mut ending, true) => {
            log::info!("draining; a second signal aborts");
            notify(ServiceState::Stopping);
            controls.iter().take(1).for_each(Control::drain);
        }
        Order::End => {
            log::warn!("aborting");
            abort.store(true, Ordering::Relaxed);
            controls.iter().for_each(Control::stop);
        }
    });
    if let Err(error) = handled {
        complain(&no_signals(&error));
        return Exit::Failure;
    }
    let mut ended = Exit::Success;
    for (index, server) in servers.into_iter().enumerate() {
        if index > 0 {
            server.control().drain();
        }
        if let Err(error) = server.join() {
            complain(&error);
            ended = Exit::Failure;
        }
    }
    if aborted.load(Ordering::Relaxed) { Exit::Failure } else { ended }
}
