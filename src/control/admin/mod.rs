//! The admin address, on a thread of its own.
//!
//! It has a reactor of its own, the same [`Worker`] that moves tokens, on a listener of its own: one
//! HTTP implementation in the house, and a scrape never shares a turn with a token.
//!
//! | file | owns |
//! |---|---|
//! | `clerk` | how to reach the workers, and since when they run |
//! | `office` | what the admin pages ask of the process, answered |
//! | `inquiry` | answers that the workers have to give, gathered |
//! | `feeds` | the live view and the tail of a stream |
//! | `playground` | a request of the dashboard's, put to the gateway itself |
//! | `historian` | a thread that looks at the counters once a second |
//!
//! * The workers are read through their counters and asked by mailbox. Nothing here can make one
//!   wait, and a worker that does not answer is left out after half a second.
//! * It tells of this process. In a drain it stays to the last, since who drains wants to be watched;
//!   after a hand-over the address is the successor's, and whoever still looks at us is sent there.

mod clerk;
mod feeds;
mod historian;
mod inquiry;
mod office;
mod playground;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::config::bounds::{ADMIN_CONNECTIONS, ADMIN_HEALTH_PLACES};
use crate::config::defaults;
use crate::config::snapshot::{
    DnsSettings, Forwarded, Generation, HalfClose, Limits, PluginTable, ServerSettings, ServerTls,
    Snapshot, Timeouts, Workers,
};
use crate::control::models::KnownModels;
use crate::gateway::command::{Command, Idle};
use crate::gateway::{Setup, worker};
use crate::measure::stats::Counters;
use crate::observe::discovered::DiscoveryState;
use crate::observe::fleet::FleetState;
use crate::observe::history::History;
use crate::observe::keeper::SpanCounts;
use crate::observe::obeyed::ConfigState;
use crate::observe::recent::RecentExchanges;
use crate::observe::recordings::Recordings;
use crate::observe::usage::UsageBook;
use crate::proxy::load::Loads;
use crate::reactor::mailbox::{Mailbox, Sender, mailbox};
use crate::responder::admin::{PLAYGROUND_BYTES, Policy, Process, routes};
use crate::sys::{self, Linux, TcpStream};

use self::clerk::Clerk;
use self::historian::{Followed, Historian};
use self::office::Office;

/// What became of a reload: the generation that is in force, or why it is still the old one.
pub type Reloaded = Result<u32, Vec<String>>;

/// Has the configuration read again, and tells what became of it.
pub type Reload = Box<dyn Fn(mpsc::Sender<Reloaded>) + Send + Sync>;

/// Who has changed what in the store that the configuration comes from, or why that is not known.
pub type StoreChanges = Result<serde_json::Value, String>;

/// Asks the store, and tells what it says.
pub type StoreHistory = Box<dyn Fn(mpsc::Sender<StoreChanges>) + Send + Sync>;

/// How to reach the workers of a process.
#[derive(Clone)]
pub struct WorkerHandles {
    pub posts: Vec<Sender<Command<TcpStream>>>,
    pub counters: Vec<Arc<Counters>>,
    /// The first address that the gateway listens on, and whether clients speak TLS there.
    pub door: Option<(SocketAddr, bool)>,
    /// No new work is welcome.
    pub draining: Arc<AtomicBool>,
    /// How to have the configuration read again; empty: it was made by the program.
    pub reload: Arc<OnceLock<Reload>>,
    /// How to ask the store for its history; empty: the configuration comes from none.
    pub store_history: Arc<OnceLock<StoreHistory>>,
    /// The streams that have failed, where they are recorded.
    pub recordings: Option<Arc<Recordings>>,
    /// Which configuration is obeyed.
    pub config: Arc<ConfigState>,
    /// What sources say of endpoints.
    pub discovered: Arc<DiscoveryState>,
    /// What is known of the other gateways.
    pub known_fleet: Arc<FleetState>,
    /// What requests have cost.
    pub usage: Option<Arc<UsageBook>>,
    /// The last hour.
    pub history: Option<Arc<History>>,
    /// The exchanges that ended last.
    pub recent: Option<Arc<RecentExchanges>>,
    /// The exchanges under way, of the latest generation.
    pub loads: Arc<Mutex<Loads>>,
    /// What became of spans, where they go anywhere.
    pub spans: Option<Arc<SpanCounts>>,
    /// Which models the servers have, where a route tells them.
    pub models: KnownModels,
}

/// The admin address, bound, and nobody behind it yet.
pub struct BoundAdmin {
    address: SocketAddr,
    net: Linux,
    post: Sender<Command<TcpStream>>,
    mailbox: Mailbox<Command<TcpStream>>,
}

/// Tells the admin thread what to do, from any thread.
#[derive(Clone)]
pub struct Remote {
    address: SocketAddr,
    post: Sender<Command<TcpStream>>,
    clerk: Arc<Clerk>,
    /// The generation that is told of.
    followed: Followed,
}

/// The running admin thread.
pub struct Thread {
    pub address: SocketAddr,
    post: Sender<Command<TcpStream>>,
    clerk: Arc<Clerk>,
    thread: JoinHandle<io::Result<()>>,
    historian: Option<Historian>,
}

impl BoundAdmin {
    pub fn new(listener: TcpListener) -> io::Result<BoundAdmin> {
        let address = listener.local_addr()?;
        let net = Linux::new(vec![listener])?;
        let (post, mailbox) = mailbox(net.waker());
        Ok(BoundAdmin { address, net, post, mailbox })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn remote(&self, workers: WorkerHandles, snapshot: &Arc<Snapshot>) -> Remote {
        let clerk = Arc::new(Clerk::new(workers, sys::now()));
        let followed = Arc::new(Mutex::new(Arc::clone(snapshot)));
        Remote { address: self.address, post: self.post.clone(), clerk, followed }
    }

    /// Opens it.
    pub fn open(self, snapshot: &Arc<Snapshot>, remote: &Remote) -> io::Result<Thread> {
        let BoundAdmin { address, net, post, mailbox } = self;
        let pages = remote.pages(snapshot);
        let workers = &remote.clerk.workers;
        let historian = workers.history.as_ref().map(|history| {
            let followed = Arc::clone(&remote.followed);
            Historian::start(workers.clone(), Arc::clone(history), followed)
        });
        let historian = historian.transpose()?;
        let setup = Setup {
            loads: Loads::new(&pages, 1),
            snapshot: Arc::new(pages),
            seed: sys::random_seed(),
            counters: Arc::default(),
            mailbox,
            crew: None,
            journal: None,
            lookout: None,
            sessions: None,
            nudge: None,
            sealed_listeners: vec![snapshot.admin.tls.is_some()],
        };
        let thread =
            thread::Builder::new().name("admin".into()).spawn(move || worker(net, setup).run())?;
        Ok(Thread { address, post, clerk: Arc::clone(&remote.clerk), thread, historian })
    }
}

impl Remote {
    /// Tells of this generation from the next request on, and asks for its token.
    pub fn reload(&self, snapshot: &Arc<Snapshot>) {
        *self.followed.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(snapshot);
        let pages = self.pages(snapshot);
        let loads = Loads::new(&pages, 1);
        // A thread that is gone needs to be told nothing.
        let _ = self.post.send(Command::Reload(Arc::new(pages), loads));
    }

    /// Leaves the address to the successor.
    pub fn retire(&self) {
        self.clerk.retire();
        let _ = self.post.send(Command::Drain(Idle::Leave));
    }

    /// The pages of a process that obeys `snapshot`.
    fn pages(&self, snapshot: &Arc<Snapshot>) -> Snapshot {
        let policy = Policy {
            token: snapshot.admin.token.as_ref().map(|token| token.secret.clone()),
            loopback: self.address.ip().is_loopback(),
            hosts: snapshot.admin.hosts.clone(),
            proven: snapshot.admin.tls.as_ref().is_some_and(ServerTls::asks_all_for_certificates),
        };
        let office = Office::new(Arc::clone(&self.clerk), Arc::clone(snapshot));
        let process: Arc<dyn Process> = Arc::new(office);
        let tls = snapshot.admin.tls.clone();
        pages((self.address, tls), &process, &policy)
    }
}

impl Thread {
    /// Closes the admin address and ends the thread. One that has left it to a successor ends by
    /// itself, within [`FAREWELL`]: somebody who came just before is still being answered.
    pub fn stop(self) -> io::Result<()> {
        if !self.clerk.is_retired() {
            // A thread that is gone needs to be told nothing.
            let _ = self.post.send(Command::Stop);
        }
        drop(self.historian);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the admin thread panicked")))
    }
}

/// How long a live view goes on behind a hand-over, and whoever else is there: its viewer comes back
/// to the successor.
const FAREWELL: Duration = Duration::from_secs(1);

/// The configuration of this thread's own reactor.
fn pages(
    (address, tls): (SocketAddr, Option<ServerTls>),
    process: &Arc<dyn Process>,
    policy: &Policy,
) -> Snapshot {
    Snapshot {
        generation: Generation::default(),
        server: ServerSettings {
            tls,
            listen: vec![address],
            workers: Workers::Unpinned(1),
            half_close: HalfClose::Cancel,
            accept: defaults::ACCEPT,
            spin: defaults::SPIN,
            coalesce: defaults::COALESCE,
            forwarded: Forwarded::Off,
            watch: None,
            resolve: None,
            dns: DnsSettings::default(),
            list_models: defaults::LIST_MODELS,
            tcp_keepalive: Some(defaults::TCP_KEEPALIVE),
        },
        admin: defaults::ADMIN,
        access_log: defaults::ACCESS_LOG,
        trace: defaults::trace(),
        recorder: defaults::RECORDER,
        usage: defaults::usage(),
        prices: None,
        gate: defaults::gate(),
        process: defaults::PROCESS,
        plugins: PluginTable::default(),
        limits: Limits {
            connections: ADMIN_CONNECTIONS,
            idle_keeps_place: false,
            body_bytes: Some(PLAYGROUND_BYTES as u64),
            buffer_bytes: 16 << 20,
            continue_bytes: 0,
            ..defaults::LIMITS
        },
        timeouts: Timeouts { drain: Some(FAREWELL), ..defaults::TIMEOUTS },
        upstreams: Vec::new(),
        stored: None,
        files: Vec::new(),
        routes: routes(process, policy, ADMIN_CONNECTIONS - ADMIN_HEALTH_PLACES),
    }
}
