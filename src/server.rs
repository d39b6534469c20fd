//! A server: listeners, worker threads, and their common fate.
//!
//! Starting is all or nothing: every address is bound and every poller made before the first
//! worker runs. Workers share nothing but mailboxes; when one of them fails, the others are
//! stopped, because a process with a dead core would answer some clients and hang the rest.
//!
//! A second descriptor of every listener is kept for a successor. It is closed before the workers are
//! told to drain: as long as one is open, the kernel goes on queueing connections.
//!
//! The admin address outlives the workers, so that a drain can be watched, unless a successor has
//! taken it over.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use crate::config::bounds::{descriptors_least, descriptors_needed};
use crate::config::snapshot::{
    AcceptMode, AccessFormat, AccessLog, AccessTarget, Snapshot, Workers,
};
use crate::control::admin;
pub use crate::control::admin::Reloaded;
use crate::control::health::{Change, HealthChecks, Target};
use crate::control::lookout;
use crate::control::spans::Exporter;
use crate::gateway::command::{Command, Idle};
use crate::gateway::fleet::Fleet;
use crate::gateway::{Setup, worker};
use crate::measure::journal::Journal;
use crate::measure::stats::Counters;
use crate::observe::access::Format;
use crate::observe::keeper::Keeper;
use crate::observe::logger;
use crate::observe::recordings::Recordings;
use crate::proxy::health::Look;
use crate::proxy::load::Loads;
use crate::reactor::mailbox::{Mailbox, Sender, mailbox};
use crate::sys::{self, Families, Inherited, Linux, Listeners, TcpStream};

type Post = Sender<Command<TcpStream>>;

/// Running workers.
pub struct Server {
    addresses: Vec<SocketAddr>,
    workers: Vec<JoinHandle<io::Result<()>>>,
    control: Control,
    counters: Vec<Arc<Counters>>,
    /// The thread of the admin address, where there is one.
    admin: Option<admin::Thread>,
    /// Sends spans, where they go anywhere.
    exporter: Option<Exporter>,
}

/// Tells the workers of a server what to do, from any thread.
#[derive(Clone)]
pub struct Control {
    posts: Vec<Post>,
    draining: Arc<AtomicBool>,
    listeners: Arc<Mutex<Listeners>>,
    /// Those of the latest generation.
    loads: Arc<Mutex<Loads>>,
    /// Active health checks; `None`: they have not begun.
    checks: Arc<Mutex<Option<HealthChecks>>>,
    /// Whose ports may be looked at.
    watched: lookout::Known,
    /// How to have the configuration read again.
    reloader: Arc<OnceLock<admin::Reload>>,
    /// Where there is an admin address.
    admin: Option<admin::Remote>,
}

impl Control {
    /// Finish what is in flight, take nothing new.
    pub fn drain(&self) {
        self.close();
        self.tell(|| Command::Drain(Idle::Leave));
    }

    /// The same, with a successor behind the doors: nobody has to hurry out.
    pub fn retire(&self) {
        self.close();
        self.tell(|| Command::Drain(Idle::MayAsk));
        self.admin.iter().for_each(admin::Remote::retire);
    }

    /// Abort everything.
    pub fn stop(&self) {
        self.close();
        self.tell(|| Command::Stop);
    }

    /// Obey this generation from the next request on.
    pub fn reload(&self, snapshot: &Arc<Snapshot>) -> Result<(), StartError> {
        raise_descriptor_limit(snapshot)?;
        let mut loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        *loads = loads.follow(snapshot);
        self.watch_ports(snapshot);
        self.tell(|| Command::Reload(Arc::clone(snapshot), loads.clone()));
        self.admin.iter().for_each(|admin| admin.reload(snapshot));
        self.check_health(snapshot).map_err(StartError::System)
    }

    /// Looks at the ports of this generation's endpoints, where a worker asks for it.
    fn watch_ports(&self, snapshot: &Snapshot) {
        let endpoints = snapshot.upstreams.iter().flat_map(|upstream| &upstream.endpoints);
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        *watched = endpoints.map(|endpoint| endpoint.id).collect();
    }

    /// Tells the workers when a port answers again.
    fn start_lookout(&self) -> io::Result<mpsc::Sender<Look>> {
        let posts = self.posts.clone();
        lookout::start(Arc::clone(&self.watched), move |look: Look| {
            for post in &posts {
                let _ = post.send(Command::Reachable(look.upstream, look.endpoint));
            }
        })
    }

    /// Lets the admin address ask for a reload. The first to come is the one.
    pub fn on_reload(&self, reload: admin::Reload) {
        let _ = self.reloader.set(reload);
    }

    /// Checks the endpoints of this generation from now on, and tells every worker what is found.
    fn check_health(&self, snapshot: &Snapshot) -> io::Result<()> {
        let targets: Vec<_> = snapshot.upstreams.iter().flat_map(Target::of).collect();
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *checks {
            Some(checks) => checks.retarget(targets),
            None if targets.is_empty() => Ok(()),
            None => {
                let posts = self.posts.clone();
                let publish = move |change: Change| {
                    let Change { target, verdict, failure } = change;
                    let Target { upstream: (id, name), endpoint, address, .. } = &*target;
                    match failure {
                        Some(why) => log::warn!("{name}: {address} is {verdict}: {why}"),
                        None => log::info!("{name}: {address} is {verdict}"),
                    }
                    for post in &posts {
                        // A worker that has ended needs no verdicts.
                        let _ = post.send(Command::Health(*id, *endpoint, verdict));
                    }
                };
                let seed = sys::random_seed();
                *checks = Some(HealthChecks::start(targets, seed, publish)?);
                Ok(())
            }
        }
    }

    /// Whether new work is not welcome any more: what a readiness probe is told.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The listening sockets, to be passed on. None any more once it drains.
    pub fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.draining.store(true, Ordering::Relaxed);
        *self.listeners() = Listeners::default();
    }

    fn tell(&self, command: impl Fn() -> Command<TcpStream>) {
        for worker in &self.posts {
            // A worker that is gone needs to be told nothing.
            let _ = worker.send(command());
        }
    }
}

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    Listen { address: SocketAddr, error: io::Error },
    Admin { address: SocketAddr, error: io::Error },
    AccessLog(io::Error),
    Descriptors { needed: u64, limit: u64 },
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Listen { address, error } | StartError::Admin { address, error } => {
                let port = address.port();
                match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        write!(f, "cannot listen on {address}: port {port} is taken")
                    }
                    _ => write!(f, "cannot listen on {address}: {error}"),
                }
            }
            StartError::Descriptors { needed, limit } => write!(
                f,
                "the configured limits need {needed} file descriptors and the process may have \
                 {limit}: raise the hard limit (ulimit -Hn, LimitNOFILE=) or allow fewer \
                 connections"
            ),
            StartError::AccessLog(error) => write!(f, "cannot open the access log: {error}"),
            StartError::System(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl StartError {
    /// Which of these settings, named as its user knows them, the error is about.
    pub fn setting<'a>(
        &self,
        listen: &'a str,
        admin: &'a str,
        connections: Option<&'a str>,
    ) -> Option<&'a str> {
        match self {
            StartError::Admin { .. } => Some(admin),
            StartError::Listen { .. } => Some(listen),
            StartError::Descriptors { .. } => connections,
            StartError::AccessLog(_) | StartError::System(_) => None,
        }
    }
}

/// What one worker's thread is made from.
struct Seat {
    net: Linux,
    mailbox: Mailbox<Command<TcpStream>>,
    counters: Arc<Counters>,
    cpu: Option<usize>,
}

/// Starts the workers that `snapshot` asks for. `name` tells threads apart.
pub fn start(name: &str, snapshot: Arc<Snapshot>) -> Result<Server, StartError> {
    start_on(name, snapshot, &mut Inherited::default())
}

/// The same, on listeners that were given to us as far as there are any.
pub fn start_on(
    name: &str,
    snapshot: Arc<Snapshot>,
    inherited: &mut Inherited,
) -> Result<Server, StartError> {
    raise_descriptor_limit(&snapshot)?;
    let cpus: Vec<Option<usize>> = match &snapshot.server.workers {
        Workers::Pinned(cpus) => cpus.iter().copied().map(Some).collect(),
        Workers::Unpinned(count) => vec![None; *count],
    };
    let families = |address| match snapshot.takes_both_families(address) {
        true => Families::Both,
        false => Families::Own,
    };
    let mut addresses = Vec::new();
    let mut kept = Listeners::default();
    let mut listeners: Vec<Vec<_>> = cpus.iter().map(|_| Vec::new()).collect();
    for &address in &snapshot.server.listen {
        let failed = |error| StartError::Listen { address, error };
        let bound = inherited.listen(address, cpus.len(), families(address)).map_err(failed)?;
        addresses.extend(bound.iter().flatten().find_map(|listener| listener.local_addr().ok()));
        for (worker, mut bound) in listeners.iter_mut().zip(bound) {
            for listener in &bound {
                kept.workers.push(listener.try_clone().map_err(failed)?);
            }
            worker.append(&mut bound);
        }
    }
    open_access_log(&snapshot.access_log)?;
    let exporter = Exporter::start(&snapshot.trace).map_err(StartError::System)?;
    let recordings = snapshot
        .recorder
        .streams
        .map(|streams| Arc::new(Recordings::new(sys::now, streams, snapshot.recorder.keep)));
    let journal = journal(&snapshot, exporter.as_ref(), recordings.clone());
    let desk = match snapshot.admin.listen {
        None => None,
        Some(address) => {
            let failed = |error| StartError::Admin { address, error };
            let listener = inherited.listen_admin(address, families(address)).map_err(failed)?;
            kept.admin = Some(listener.try_clone().map_err(failed)?);
            Some(admin::Desk::new(listener).map_err(failed)?)
        }
    };
    let mut posts = Vec::new();
    let mut seats = Vec::new();
    for (cpu, listeners) in cpus.into_iter().zip(listeners) {
        let net = Linux::new(listeners).map_err(StartError::System)?;
        let (post, mailbox) = mailbox(net.waker());
        posts.push(post);
        seats.push(Seat { net, mailbox, counters: Arc::default(), cpu });
    }
    let counters: Vec<_> = seats.iter().map(|seat| Arc::clone(&seat.counters)).collect();
    let request_loads = Loads::new(&snapshot, seats.len());
    let draining = Arc::<AtomicBool>::default();
    let reloader = Arc::<OnceLock<admin::Reload>>::default();
    let fleet = admin::Fleet {
        posts: posts.clone(),
        counters: counters.clone(),
        draining: Arc::clone(&draining),
        reload: Arc::clone(&reloader),
        recordings,
        spans: exporter.as_ref().map(|exporter| Arc::clone(&exporter.queue.counts)),
    };
    let remote = desk.as_ref().map(|desk| desk.remote(fleet));
    let control = Control {
        posts,
        draining,
        listeners: Arc::new(Mutex::new(kept)),
        loads: Arc::new(Mutex::new(request_loads.clone())),
        checks: Arc::default(),
        watched: Arc::default(),
        reloader,
        admin: remote.clone(),
    };
    control.watch_ports(&snapshot);
    let lookout = control.start_lookout().map_err(StartError::System)?;
    let loads: Arc<[AtomicUsize]> = seats.iter().map(|_| AtomicUsize::new(0)).collect();
    let balanced = snapshot.server.accept == AcceptMode::Balanced;
    let several = seats.len() > 1;
    let workers = seats.into_iter().enumerate().map(|(index, seat)| {
        let fleet = several.then(|| Fleet {
            balance: balanced.then(|| Arc::clone(&loads)),
            mailboxes: control.posts.clone(),
            index,
        });
        let (snapshot, control) = (Arc::clone(&snapshot), control.clone());
        let (loads, journal) = (request_loads.clone(), journal.clone());
        let lookout = lookout.clone();
        thread::Builder::new()
            .name(format!("{name}-{index}"))
            .spawn(move || seat.work(snapshot, loads, fleet, (journal, lookout), &control))
    });
    let workers = workers.collect::<io::Result<Vec<_>>>();
    let stopped = |error| {
        control.stop();
        StartError::System(error)
    };
    let workers = workers.map_err(stopped)?;
    let admin = desk.zip(remote).map(|(desk, remote)| desk.open(&snapshot, &remote));
    let admin = admin.transpose().map_err(stopped)?;
    control.check_health(&snapshot).map_err(stopped)?;
    Ok(Server { addresses, workers, control, counters, admin, exporter })
}

/// Opens the access log.
fn open_access_log(access_log: &AccessLog) -> Result<(), StartError> {
    let target = match &access_log.target {
        AccessTarget::Off => return Ok(()),
        AccessTarget::Stdout => logger::Target::Stdout,
        AccessTarget::Stderr => logger::Target::Stderr,
        AccessTarget::File(path) => logger::Target::File(path.into()),
    };
    let format = match access_log.format {
        AccessFormat::Json => Format::Json,
        AccessFormat::Logfmt => Format::Logfmt,
    };
    logger::access_to(&target, format).map_err(StartError::AccessLog)
}

/// Who keeps the records of exchanges.
fn journal(
    snapshot: &Snapshot,
    exporter: Option<&Exporter>,
    recordings: Option<Arc<Recordings>>,
) -> Option<Arc<dyn Journal>> {
    let log = snapshot.access_log.target != AccessTarget::Off;
    let spans = exporter.map(|exporter| exporter.queue.clone());
    let wanted = log || spans.is_some() || recordings.is_some();
    wanted.then(|| Arc::new(Keeper { log, spans, recordings }) as Arc<dyn Journal>)
}

fn raise_descriptor_limit(snapshot: &Snapshot) -> Result<(), StartError> {
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

/// Stops all workers when the thread that holds it panics.
struct StopAllOnPanic<'a>(&'a Control);

impl Drop for StopAllOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

impl Seat {
    fn work(
        self,
        snapshot: Arc<Snapshot>,
        loads: Loads,
        fleet: Option<Fleet<TcpStream>>,
        (journal, lookout): (Option<Arc<dyn Journal>>, mpsc::Sender<Look>),
        control: &Control,
    ) -> io::Result<()> {
        let _guard = StopAllOnPanic(control);
        let Seat { net, mailbox, counters, cpu } = self;
        if let Some(cpu) = cpu
            && let Err(error) = sys::pin_to_cpu(cpu)
        {
            log::warn!("cannot pin a worker to cpu {cpu}: {error}; it runs unpinned");
        }
        let seed = sys::random_seed();
        let lookout = Some(lookout);
        let setup = Setup { snapshot, loads, seed, counters, mailbox, fleet, journal, lookout };
        let ended = worker(net, setup).run();
        if let Err(error) = &ended {
            log::error!("a worker's poller failed: {error}; the server stops");
            control.stop();
        }
        ended
    }
}

impl Server {
    /// The addresses in use; port 0 has become a real one.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Where the admin pages are, if they are anywhere.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// One per worker.
    pub fn counters(&self) -> &[Arc<Counters>] {
        &self.counters
    }

    /// Waits until every worker has ended.
    pub fn join(self) -> io::Result<()> {
        let mut ended = Ok(());
        for worker in self.workers {
            let result =
                worker.join().unwrap_or_else(|_| Err(io::Error::other("a worker panicked")));
            ended = ended.and(result);
        }
        if let Some(exporter) = self.exporter {
            exporter.stop();
        }
        // To the last: who drains wants to be watched.
        if let Some(admin) = self.admin {
            ended = ended.and(admin.stop());
        }
        ended
    }
}
