//! A server: listeners, worker threads, and their common fate.
//!
//! Starting is all or nothing (`start`): every address is bound and every poller made before the first
//! worker runs. Workers share nothing but mailboxes; when one of them fails, the others are
//! stopped, because a process with a dead core would answer some clients and hang the rest.
//!
//! A second descriptor of every listener is kept for a successor. It is closed before the workers are
//! told to drain: as long as one is open, the kernel goes on queueing connections.
//!
//! The admin address outlives the workers, so that a drain can be watched, unless a successor has
//! taken it over.

mod start;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;

use crate::config::snapshot::unix_path::{UNIX_PREFIX, shown_address};
use crate::config::snapshot::{Snapshot, Upstream, UpstreamId};
use crate::control::admin;
pub use crate::control::admin::{Reloaded, StoreChanges, StoreHistory};
use crate::control::authoriser::AuthoriserPool;
use crate::control::fleet::FleetKeeper;
pub use crate::control::fleet::FleetPlace;
use crate::control::health::{Change, CheckTarget, HealthChecks};
use crate::control::issuers::IssuerWatch;
use crate::control::lookout;
use crate::control::models::{KnownModels, Models};
use crate::control::spans::Exporter;
use crate::control::spent::SpentKeeper;
use crate::control::wake::ServerStarter;
use crate::gateway::command::{Command, Idle};
use crate::measure::stats::Counters;
use crate::observe::discovered::DiscoveryState;
use crate::observe::obeyed::ConfigState;
use crate::proxy::health::DownEndpoint;
use crate::proxy::load::{Loads, MemberSet};
use crate::reactor::mailbox::{Latest, Sender};
use crate::sys::{self, Listeners, TcpStream};

use self::start::raise_descriptor_limit;
pub use self::start::{start, start_on};

type Post = Sender<Command<TcpStream>>;
type MembersOnTheWay = BTreeMap<UpstreamId, Vec<Arc<Latest<Arc<MemberSet>>>>>;

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
    /// One per worker.
    counters: Vec<Arc<Counters>>,
    draining: Arc<AtomicBool>,
    listeners: Arc<Mutex<Listeners>>,
    /// Those of the latest generation.
    loads: Arc<Mutex<Loads>>,
    /// The endpoints of each upstream on their way to each worker.
    members: Arc<Mutex<MembersOnTheWay>>,
    /// What sources say of endpoints.
    discovered: Arc<DiscoveryState>,
    /// Active health checks; `None`: they have not begun.
    checks: Arc<Mutex<Option<HealthChecks>>>,
    /// The lists of models; `None`: no route has told one.
    models: KnownModels,
    /// Whose ports may be looked at.
    watched: lookout::Known,
    /// The latest generation, with the endpoints that it has now.
    obeyed: Arc<Mutex<Arc<Snapshot>>>,
    /// Starts servers; `None`: none is to be started, or all have ended.
    waker: Arc<Mutex<Option<ServerStarter>>>,
    /// How to have the configuration read again.
    reloader: Arc<OnceLock<admin::Reload>>,
    /// How to ask the store of the configuration for its history.
    store_history: Arc<OnceLock<admin::StoreHistory>>,
    /// Which configuration is obeyed.
    config: Arc<ConfigState>,
    /// Where there is an admin address.
    admin: Option<admin::Remote>,
    /// Keeps what keys have spent, where that is to be kept.
    spent: Option<Arc<SpentKeeper>>,
    /// Keeps this gateway's place among others, where there are others.
    fleet: Option<Arc<FleetKeeper>>,
    /// Reads the keys of issuers.
    issuers: Arc<IssuerWatch>,
    /// Asks the authoriser.
    authoriser: Arc<AuthoriserPool>,
}

impl Control {
    /// Finish what is in flight, take nothing new.
    pub fn drain(&self) {
        self.close();
        self.tell(|| Command::Drain(Idle::Leave));
    }

    /// The same, with a successor behind the doors: nobody has to hurry out.
    pub fn retire(&self) {
        // First: from here on the process is not ready, and its address is the successor's.
        self.admin.iter().for_each(admin::Remote::retire);
        self.spent.iter().for_each(|spent| spent.retire());
        self.close();
        self.tell(|| Command::Drain(Idle::MayAsk));
    }

    /// Abort everything.
    pub fn stop(&self) {
        self.close();
        self.tell(|| Command::Stop);
    }

    /// Obey this generation from the next request on.
    pub fn reload(&self, snapshot: &Arc<Snapshot>) -> Result<(), StartError> {
        raise_descriptor_limit(snapshot)?;
        // Before a worker tells a list of the new generation.
        self.list_models(snapshot).map_err(StartError::System)?;
        // Before a worker asks for a share of a key that is new. It waits for a thread that looks at the loads.
        self.fleet.iter().for_each(|fleet| fleet.follow(snapshot));
        let mut loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        *loads = loads.follow(snapshot);
        let is_here = |id| snapshot.upstreams.iter().any(|upstream| upstream.id == id);
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|id, _| is_here(*id));
        drop(members);
        self.watch_ports(snapshot);
        self.wake_servers(snapshot, &loads).map_err(StartError::System)?;
        self.spent.iter().for_each(|spent| spent.follow(snapshot));
        self.issuers.follow(snapshot).map_err(StartError::System)?;
        self.authoriser.follow(snapshot).map_err(StartError::System)?;
        self.tell(|| Command::Reload(Arc::clone(snapshot), loads.clone()));
        self.admin.iter().for_each(|admin| admin.reload(snapshot));
        self.check_health(snapshot).map_err(StartError::System)
    }

    /// An upstream has these endpoints from now on. A worker that is behind gets the latest of them alone.
    pub fn set_members(&self, upstream: &Upstream) {
        let mut loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
        let set = Arc::new(loads.follow_members(upstream));
        drop(loads);
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let places = || self.posts.iter().map(|_| Arc::default()).collect();
        let places: &Vec<_> = members.entry(upstream.id).or_insert_with(places);
        for (post, place) in self.posts.iter().zip(places) {
            if place.put(Arc::clone(&set)) {
                // A worker that is gone needs to be told nothing.
                let _ = post.send(Command::Members(upstream.id, Arc::clone(place)));
            }
        }
    }

    /// The same for all but the workers, with the whole configuration.
    pub fn show(&self, snapshot: &Arc<Snapshot>) -> io::Result<()> {
        self.list_models(snapshot)?;
        self.watch_ports(snapshot);
        let loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.wake_servers(snapshot, &loads)?;
        self.admin.iter().for_each(|admin| admin.reload(snapshot));
        self.check_health(snapshot)
    }

    /// Where it is told what sources say of endpoints.
    pub fn discovered(&self) -> &DiscoveryState {
        &self.discovered
    }

    /// Looks at the ports of this generation's endpoints, where a worker asks for it.
    fn watch_ports(&self, snapshot: &Arc<Snapshot>) {
        *self.obeyed.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(snapshot);
        let endpoints = snapshot.upstreams.iter().flat_map(|upstream| &upstream.endpoints);
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        *watched = endpoints.map(|endpoint| endpoint.id).collect();
    }

    /// Tells the workers when a port answers again.
    fn start_lookout(&self) -> io::Result<mpsc::Sender<DownEndpoint>> {
        let posts = self.posts.clone();
        lookout::start(Arc::clone(&self.watched), move |look: DownEndpoint| {
            for post in &posts {
                let _ = post.send(Command::Reachable(look.upstream, look.endpoint));
            }
        })
    }

    /// Starts and stops the servers of this generation from now on, as they are asked for.
    fn wake_servers(&self, snapshot: &Snapshot, loads: &Loads) -> io::Result<()> {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if waker.is_none() && snapshot.upstreams.iter().any(|upstream| upstream.wake.is_some()) {
            let posts = self.posts.clone();
            *waker = Some(ServerStarter::start(move |upstream| {
                for post in &posts {
                    // A worker that has ended waits for nobody.
                    let _ = post.send(Command::Woken(upstream));
                }
            })?);
        }
        if let Some(waker) = &*waker {
            waker.follow(snapshot, loads);
        }
        Ok(())
    }

    /// Ends the servers that were started here, and waits for that.
    fn end_servers(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(waker);
    }

    /// Fills the lists of models of this generation, and asks for what is to be in them.
    fn list_models(&self, snapshot: &Arc<Snapshot>) -> io::Result<()> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *models {
            Some(models) => models.follow(snapshot),
            None if snapshot.model_routes().next().is_none() => Ok(()),
            None => {
                *models = Some(Models::start(snapshot, sys::random_seed())?);
                Ok(())
            }
        }
    }

    /// Where it is told which configuration is obeyed.
    pub fn config(&self) -> &ConfigState {
        &self.config
    }

    /// What the workers have done, one each.
    pub fn counters(&self) -> &[Arc<Counters>] {
        &self.counters
    }

    /// Lets the admin address ask for a reload. The first to come is the one.
    pub fn on_reload(&self, reload: admin::Reload) {
        let _ = self.reloader.set(reload);
    }

    /// Lets the admin address ask a store for its history. The first to come is the one.
    pub fn on_store_history(&self, history: admin::StoreHistory) {
        let _ = self.store_history.set(history);
    }

    /// Checks the endpoints of this generation from now on, and tells every worker what is found.
    fn check_health(&self, snapshot: &Snapshot) -> io::Result<()> {
        let plugins = &snapshot.plugins.active;
        let targets = snapshot.upstreams.iter();
        let targets: Vec<_> = targets.flat_map(|it| CheckTarget::of(it, plugins)).collect();
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *checks {
            Some(checks) => checks.retarget(targets),
            None if targets.is_empty() => Ok(()),
            None => {
                let posts = self.posts.clone();
                let publish = move |change: Change| {
                    let Change { target, verdict, failure } = change;
                    let CheckTarget { upstream: (id, name), endpoint, address, .. } = &*target;
                    let address = shown_address(*address);
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
        self.fleet.iter().for_each(|fleet| fleet.drain());
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
    Listen {
        address: SocketAddr,
        error: io::Error,
    },
    Admin {
        address: SocketAddr,
        error: io::Error,
    },
    AccessLog(io::Error),
    /// It cannot give up what it is to give up.
    Process(String),
    Descriptors {
        needed: u64,
        limit: u64,
    },
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Listen { address, error } | StartError::Admin { address, error } => {
                let port = address.port();
                let address = shown_address(*address);
                match error.kind() {
                    io::ErrorKind::AddrInUse if address.starts_with(UNIX_PREFIX) => {
                        write!(f, "cannot listen on {address}: somebody does, or it is no socket")
                    }
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
            StartError::Process(reason) => f.write_str(reason),
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
            StartError::AccessLog(_) | StartError::Process(_) | StartError::System(_) => None,
        }
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
        self.control.spent.iter().for_each(|spent| spent.finish());
        self.control.fleet.iter().for_each(|fleet| fleet.finish());
        self.control.end_servers();
        self.control.issuers.stop();
        self.control.authoriser.stop();
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
