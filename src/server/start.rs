//! Starting: from a snapshot to running workers.
//!
//! In the order of what may fail: addresses, what the process gives up, where records go, pollers,
//! threads.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use super::{Control, Post, Server, StartError};
use crate::config::bounds::{descriptors_least, descriptors_needed};
use crate::config::snapshot::unix_path::shown_address;
use crate::config::snapshot::{
    AcceptMode, AccessFormat, AccessLog, AccessTarget, Snapshot, Workers,
};
use crate::control::admin;
use crate::control::fleet::{FleetKeeper, FleetPlace, FleetSources, VerdictSources};
use crate::control::models::KnownModels;
use crate::control::spans::Exporter;
use crate::control::spent::SpentKeeper;
use crate::gateway::command::Command;
use crate::gateway::crew::Crew;
use crate::gateway::nudge::NudgeSender;
use crate::gateway::{Setup, worker};
use crate::measure::journal::Journal;
use crate::measure::stats::Counters;
use crate::observe::access::Format;
use crate::observe::history::History;
use crate::observe::keeper::Keeper;
use crate::observe::logger;
use crate::observe::obeyed::ConfigState;
use crate::observe::recent::RecentExchanges;
use crate::observe::recordings::Recordings;
use crate::observe::usage::{UsageBook, UsageQueue};
use crate::proxy::health::DownEndpoint;
use crate::proxy::load::Loads;
use crate::reactor::mailbox::{Mailbox, mailbox};
use crate::reactor::net::path_of;
use crate::sys::{self, Families, Inherited, Linux, Listeners, TcpStream, keep_alive};

/// Starts the workers that `snapshot` asks for. `name` tells threads apart.
pub fn start(name: &str, snapshot: Arc<Snapshot>) -> Result<Server, StartError> {
    start_on(name, snapshot, &mut Inherited::default(), FleetPlace::default(), |_| Ok(()))
}

/// The same, on listeners that were given to us as far as there are any. `place`: what a fleet knows us by.
/// `bound` is called when all addresses are bound and before anything else is opened or started, with the
/// paths of the Unix sockets that are new; what it refuses is not started. A file that is made behind it
/// belongs to who will have to open it again.
pub fn start_on(
    name: &str,
    snapshot: Arc<Snapshot>,
    inherited: &mut Inherited,
    place: FleetPlace,
    bound: impl FnOnce(&[PathBuf]) -> Result<(), String>,
) -> Result<Server, StartError> {
    raise_descriptor_limit(&snapshot)?;
    let cpus = cpus(&snapshot);
    let Doors { addresses, listeners, mut kept, made } =
        Doors::open(&snapshot, cpus.len(), inherited)?;
    let desk = open_desk(&snapshot, inherited, &mut kept)?;
    bound(&made).map_err(StartError::Process)?;
    let records = Records::open(&snapshot)?;
    let (posts, seats) = seats(cpus, listeners).map_err(StartError::System)?;
    let counters: Vec<_> = seats.iter().map(|seat| Arc::clone(&seat.counters)).collect();
    let loads = first_loads(&snapshot, seats.len());
    let (draining, reloader, store_history) = <(Arc<AtomicBool>, Arc<_>, Arc<_>)>::default();
    let (config, discovered, models) = <(Arc<ConfigState>, Arc<_>, KnownModels)>::default();
    let verdicts = VerdictSources::new(&loads, &snapshot, &posts);
    let handles = admin::WorkerHandles {
        door: addresses.first().map(|address| (*address, snapshot.is_sealed(0))),
        models: Arc::clone(&models),
        posts: posts.clone(),
        counters: counters.clone(),
        draining: Arc::clone(&draining),
        reload: Arc::clone(&reloader),
        store_history: Arc::clone(&store_history),
        recordings: records.recordings,
        config: Arc::clone(&config),
        discovered: Arc::clone(&discovered),
        known_fleet: Arc::default(),
        usage: records.usage,
        history: records.history,
        recent: records.recent,
        loads: Arc::clone(&verdicts.loads),
        spans: records.exporter.as_ref().map(|exporter| Arc::clone(&exporter.queue.counts)),
    };
    let control = Control {
        fleet: take_place(&snapshot, place, &handles, (desk.as_ref(), &verdicts))?,
        admin: desk.as_ref().map(|desk| desk.remote(handles, &snapshot)),
        posts,
        counters: counters.clone(),
        draining,
        listeners: Arc::new(Mutex::new(kept)),
        loads: verdicts.loads,
        checks: verdicts.checks,
        obeyed: verdicts.obeyed,
        models,
        watched: Arc::default(),
        waker: Arc::default(),
        reloader,
        store_history,
        config,
        members: Arc::default(),
        discovered,
        issuers: Arc::default(),
        authoriser: Arc::default(),
        spent: keep_spent(&snapshot).map_err(StartError::System)?,
    };
    let lookout = look_out(&control, &snapshot, &loads).map_err(StartError::System)?;
    let stopped = |error| stop_again(&control, error);
    let work = Work { snapshot, loads, journal: records.journal, lookout };
    let workers = start_workers(name, seats, &work, &control).map_err(stopped)?;
    let admin =
        desk.zip(control.admin.clone()).map(|(desk, remote)| desk.open(&work.snapshot, &remote));
    let admin = admin.transpose().map_err(stopped)?;
    control.check_health(&work.snapshot).map_err(stopped)?;
    Ok(Server { addresses, workers, control, counters, admin, exporter: records.exporter })
}

fn keep_spent(snapshot: &Arc<Snapshot>) -> io::Result<Option<Arc<SpentKeeper>>> {
    Ok(SpentKeeper::start(snapshot, || sys::time_of_day().as_secs())?.map(Arc::new))
}

/// Gateways that know of each other, and start together, do not ask the same endpoint first.
fn first_loads(snapshot: &Snapshot, workers: usize) -> Loads {
    let first_turn = snapshot.gate.fleet.as_ref().map_or(0, |_| sys::random_seed() as usize);
    Loads::beginning_at(first_turn, snapshot, workers)
}

/// One for each worker: the core that it is pinned to, if it is.
fn cpus(snapshot: &Snapshot) -> Vec<Option<usize>> {
    match &snapshot.server.workers {
        Workers::Pinned(cpus) => cpus.iter().copied().map(Some).collect(),
        Workers::Unpinned(count) => vec![None; *count],
    }
}

/// Ends what has begun, since the rest cannot.
fn stop_again(control: &Control, error: io::Error) -> StartError {
    control.stop();
    StartError::System(error)
}

/// Begins to watch whom requests depend on, before there is a worker that could ask.
fn look_out(
    control: &Control,
    snapshot: &Arc<Snapshot>,
    loads: &Loads,
) -> io::Result<mpsc::Sender<DownEndpoint>> {
    control.watch_ports(snapshot);
    control.wake_servers(snapshot, loads)?;
    // What the configuration says is in the lists from the start.
    control.list_models(snapshot)?;
    control.issuers.follow(snapshot)?;
    control.authoriser.follow(snapshot)?;
    control.start_lookout()
}

/// Takes a place among other gateways, where there are some.
fn take_place(
    snapshot: &Snapshot,
    place: FleetPlace,
    workers: &admin::WorkerHandles,
    (desk, verdicts): (Option<&admin::BoundAdmin>, &VerdictSources),
) -> Result<Option<Arc<FleetKeeper>>, StartError> {
    let sources = FleetSources {
        counters: workers.counters.clone(),
        config: Arc::clone(&workers.config),
        state: Arc::clone(&workers.known_fleet),
        admin: desk.map(|desk| shown_address(desk.address())),
        verdicts: verdicts.clone(),
    };
    let keeper = FleetKeeper::start(snapshot, place, sources).map_err(StartError::System)?;
    Ok(keeper.map(Arc::new))
}

/// The addresses of clients, bound.
struct Doors {
    addresses: Vec<SocketAddr>,
    /// Those of each worker, and whether clients speak TLS there.
    listeners: Vec<Vec<(TcpListener, bool)>>,
    /// Second descriptors of all of them, for a successor.
    kept: Listeners,
    /// Paths of the Unix sockets that nobody had given us.
    made: Vec<PathBuf>,
}

impl Doors {
    fn open(
        snapshot: &Snapshot,
        workers: usize,
        inherited: &mut Inherited,
    ) -> Result<Doors, StartError> {
        let listen = &snapshot.server.listen;
        let mut addresses = Vec::new();
        let mut kept = Listeners::default();
        let mut made = Vec::new();
        let mut listeners: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        // Port 0 takes what the others leave.
        let mut order: Vec<usize> = (0..listen.len()).collect();
        order.sort_by_key(|place| listen[*place].port() == 0);
        let mut bound: Vec<Vec<Vec<TcpListener>>> = Vec::new();
        bound.resize_with(listen.len(), Vec::new);
        for place in order {
            let address = listen[place];
            if let Some(path) = path_of(address)
                && !inherited.holds(address)
            {
                made.push(PathBuf::from(path));
            }
            let opened = inherited.listen(address, workers, families(snapshot, address));
            bound[place] = opened.map_err(|error| StartError::Listen { address, error })?;
        }
        for ((place, &address), bound) in listen.iter().enumerate().zip(bound) {
            let failed = |error| StartError::Listen { address, error };
            // A Unix socket has no other address than the one that was asked for.
            let real = bound.iter().flatten().find_map(|listener| listener.local_addr().ok());
            addresses.push(real.unwrap_or(address));
            let sealed = snapshot.is_sealed(place);
            for (worker, bound) in listeners.iter_mut().zip(bound) {
                for listener in &bound {
                    keep_alive(listener, snapshot.server.tcp_keepalive);
                    kept.workers.push(listener.try_clone().map_err(failed)?);
                }
                worker.extend(bound.into_iter().map(|listener| (listener, sealed)));
            }
        }
        Ok(Doors { addresses, listeners, kept, made })
    }
}

/// The admin address, bound, where there is one.
fn open_desk(
    snapshot: &Snapshot,
    inherited: &mut Inherited,
    kept: &mut Listeners,
) -> Result<Option<admin::BoundAdmin>, StartError> {
    let Some(address) = snapshot.admin.listen else { return Ok(None) };
    let failed = |error| StartError::Admin { address, error };
    let listener = inherited.listen_admin(address, families(snapshot, address)).map_err(failed)?;
    kept.admin = Some(listener.try_clone().map_err(failed)?);
    admin::BoundAdmin::new(listener).map(Some).map_err(failed)
}

fn families(snapshot: &Snapshot, address: SocketAddr) -> Families {
    match snapshot.takes_both_families(address) {
        true => Families::Both,
        false => Families::Own,
    }
}

/// Where the records of exchanges go.
struct Records {
    exporter: Option<Exporter>,
    recordings: Option<Arc<Recordings>>,
    usage: Option<Arc<UsageBook>>,
    history: Option<Arc<History>>,
    recent: Option<Arc<RecentExchanges>>,
    journal: Option<Arc<dyn Journal>>,
}

impl Records {
    fn open(snapshot: &Snapshot) -> Result<Records, StartError> {
        open_access_log(&snapshot.access_log)?;
        let exporter = Exporter::start(&snapshot.trace).map_err(StartError::System)?;
        let recordings = snapshot
            .recorder
            .streams
            .map(|streams| Arc::new(Recordings::new(sys::now, streams, snapshot.recorder.keep)));
        // Whoever asks for it asks the admin address.
        let history = snapshot.admin.listen.map(|_| Arc::new(History::new(sys::now)));
        let recent = snapshot.admin.listen.map(|_| Arc::<RecentExchanges>::default());
        let kept = history.clone().zip(recent.clone());
        let usage = kept.map(|(history, recent)| {
            UsageQueue::start(&snapshot.usage, move |record| {
                history.add(record);
                recent.add(record, SystemTime::now());
            })
        });
        let usage = usage.transpose().map_err(StartError::System)?;
        let log = snapshot.access_log.target != AccessTarget::Off;
        let spans = exporter.as_ref().map(|exporter| exporter.queue.clone());
        let keeper = Keeper { log, spans, recordings: recordings.clone(), usage: usage.clone() };
        let journal = keeper.is_wanted().then(|| Arc::new(keeper) as Arc<dyn Journal>);
        let usage = usage.map(|usage| Arc::clone(usage.book()));
        Ok(Records { exporter, recordings, usage, history, recent, journal })
    }
}

/// Opens the access log.
fn open_access_log(access_log: &AccessLog) -> Result<(), StartError> {
    let target = match &access_log.target {
        AccessTarget::Off => return Ok(()),
        AccessTarget::Stdout => logger::LogTarget::Stdout,
        AccessTarget::Stderr => logger::LogTarget::Stderr,
        AccessTarget::File(path) => logger::LogTarget::File(path.into()),
    };
    let format = match access_log.format {
        AccessFormat::Json => Format::Json,
        AccessFormat::Logfmt => Format::Logfmt,
    };
    logger::access_to(&target, format).map_err(StartError::AccessLog)
}

/// What one worker's thread is made from.
struct Seat {
    net: Linux,
    mailbox: Mailbox<Command<TcpStream>>,
    counters: Arc<Counters>,
    cpu: Option<usize>,
    /// Of each listener, whether clients speak TLS there.
    sealed_listeners: Vec<bool>,
}

/// A seat for each worker, and how to reach it.
fn seats(
    cpus: Vec<Option<usize>>,
    listeners: Vec<Vec<(TcpListener, bool)>>,
) -> io::Result<(Vec<Post>, Vec<Seat>)> {
    let mut posts = Vec::new();
    let mut seats = Vec::new();
    for (cpu, listeners) in cpus.into_iter().zip(listeners) {
        let (listeners, sealed_listeners) = listeners.into_iter().unzip();
        let net = Linux::new(listeners)?;
        let (post, mailbox) = mailbox(net.waker());
        posts.push(post);
        seats.push(Seat { net, mailbox, counters: Arc::default(), cpu, sealed_listeners });
    }
    Ok((posts, seats))
}

/// What all workers are given.
#[derive(Clone)]
struct Work {
    snapshot: Arc<Snapshot>,
    loads: Loads,
    journal: Option<Arc<dyn Journal>>,
    lookout: mpsc::Sender<DownEndpoint>,
}

/// Starts a thread for each seat.
fn start_workers(
    name: &str,
    seats: Vec<Seat>,
    work: &Work,
    control: &Control,
) -> io::Result<Vec<JoinHandle<io::Result<()>>>> {
    let placed: Arc<[AtomicUsize]> = seats.iter().map(|_| AtomicUsize::new(0)).collect();
    let balanced = work.snapshot.server.accept == AcceptMode::Balanced;
    let several = seats.len() > 1;
    let workers = seats.into_iter().enumerate().map(|(index, seat)| {
        let crew = several.then(|| {
            Crew::new(balanced.then(|| Arc::clone(&placed)), control.posts.clone(), index)
        });
        let (work, control) = (work.clone(), control.clone());
        let post = control.posts[index].clone();
        thread::Builder::new()
            .name(format!("{name}-{index}"))
            .spawn(move || seat.work(work, crew, post, &control))
    });
    workers.collect()
}

impl Seat {
    fn work(
        self,
        work: Work,
        crew: Option<Crew<TcpStream>>,
        post: Post,
        control: &Control,
    ) -> io::Result<()> {
        let _guard = StopAllOnPanic(control);
        let Seat { net, mailbox, counters, cpu, sealed_listeners } = self;
        if let Some(cpu) = cpu
            && let Err(error) = sys::pin_to_cpu(cpu)
        {
            log::warn!("cannot pin a worker to cpu {cpu}: {error}; it runs unpinned");
        }
        let seed = sys::random_seed();
        let Work { snapshot, loads, journal, lookout } = work;
        let nudge: NudgeSender = Arc::new(move |token| {
            // A worker that is gone drives nobody.
            let _ = post.send(Command::Nudge(token));
        });
        let nudge = Some(nudge);
        let lookout = Some(lookout);
        let setup = Setup {
            snapshot,
            loads,
            seed,
            counters,
            mailbox,
            crew,
            journal,
            lookout,
            sessions: None,
            nudge,
            sealed_listeners,
        };
        let ended = worker(net, setup).run();
        if let Err(error) = &ended {
            log::error!("a worker's poller failed: {error}; the server stops");
            control.stop();
        }
        ended
    }
}

/// Stops all workers when the thread that holds it panics.
struct StopAllOnPanic<'a>(&'a Control);

impl Drop for StopAllOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

pub(super) fn raise_descriptor_limit(snapshot: &Snapshot) -> Result<(), StartError> {
    let (needed, least) = (descriptors_needed(snapshot), descriptors_least(snapshot));
    let Err(limit) = sys::raise_descriptor_limit(needed) else { return Ok(()) };
    if limit < least {
        return Err(StartError::Descriptors { needed: least, limit });
    }
    log::warn!(
        "with every client under way {needed} file descriptors are needed, and the process may have \
         {limit}: whoever comes when they are used up is answered 503 descriptors_exhausted; raise \
         the hard limit (ulimit -Hn, LimitNOFILE=) or lower limits.connections"
    );
    sys::raise_descriptor_limit(limit).map_err(|limit| StartError::Descriptors { needed, limit })
}
