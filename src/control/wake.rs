//! Wake: starts the server of an upstream for the first request that wants it, and stops it when nobody
//! has used it for long.
//!
//! ```text
//!                 asked for, and nobody of its group runs
//!     Asleep ──────────────────────────────────────────────▶ Starting
//!       ▲  ▲                                                  │    │
//!       │  │ its time is over          ended, or not ready    │    │ it is ready
//!       │  └───────────────── Failed ◀────────── in time ─────┘    ▼
//!       │                                                        Awake
//!       └──────── Stopping ◀─── unused for `idle`, or another of its group is asked for, or the end
//! ```
//!
//! * One thread, so no server is ever started twice, however many workers ask. It waits for no process and
//!   no answer for longer than [`ASK_TIMEOUT`].
//! * Workers learn how a server stands from its gate (`proxy/wake.rs`), and are told when to look.
//! * A server that answers before it was started is somebody else's: it is used, and never stopped.
//! * After a failure the next start waits, a second at first and a minute at most.
//! * Of a group one runs at a time. Who is asked for while another runs waits until that has nothing to
//!   do; from then on nothing new goes there.
//! * Processes are children: they are reaped, and ended with this thread.

mod process;
mod sleeper;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::config::snapshot::{Snapshot, TlsDialer, Upstream, UpstreamId, WakeSettings};
use crate::control::client::host_of;
use crate::http::field_rules::FieldRules;
use crate::proxy::load::{Loads, SharedLoad};
use crate::proxy::wake::WakeGate;

use sleeper::Sleeper;

/// How often servers are looked at, while one of them starts or stops, and else.
const BUSY: Duration = Duration::from_millis(50);
const CALM: Duration = Duration::from_millis(250);
/// How long it is waited for an answer to whether a server is ready.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// The server of an upstream, as the configuration has it.
#[derive(Clone, Debug)]
pub(crate) struct WakeTarget {
    upstream: UpstreamId,
    name: String,
    settings: Arc<WakeSettings>,
    /// Where it may be, and how it is dialled where it speaks TLS.
    places: Vec<(SocketAddr, Option<Arc<TlsDialer>>)>,
    host: String,
    rules: Option<Arc<FieldRules>>,
    gate: Arc<WakeGate>,
    load: SharedLoad,
}

enum Order {
    /// Somebody wants the server of this upstream.
    Wake(UpstreamId),
    /// These are the servers from now on.
    Follow(Vec<WakeTarget>),
    End,
}

/// The thread that starts and stops servers.
pub struct ServerStarter {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

impl WakeTarget {
    fn all(snapshot: &Snapshot, loads: &Loads) -> Vec<WakeTarget> {
        let target = |upstream: &Upstream| {
            let settings = Arc::clone(upstream.wake.as_ref()?);
            let (load, _) = loads.of(upstream);
            let gate = Arc::clone(load.gate()?);
            Some(WakeTarget {
                upstream: upstream.id,
                name: upstream.name.clone(),
                settings,
                places: upstream
                    .endpoints
                    .iter()
                    .filter_map(|one| Some((one.address?, one.tls.clone())))
                    .collect(),
                host: upstream
                    .endpoints
                    .first()
                    .map_or_else(String::new, |one| host_of(upstream, one)),
                rules: upstream.request_headers.rules.clone(),
                gate,
                load,
            })
        };
        snapshot.upstreams.iter().filter_map(target).collect()
    }
}

impl ServerStarter {
    /// Starts the thread, if there is a server to be started. `publish` is called on it: an upstream's
    /// server stands otherwise than before.
    pub fn start(publish: impl Fn(UpstreamId) + Send + 'static) -> io::Result<ServerStarter> {
        let (orders, receiver) = mpsc::channel();
        let thread = thread::Builder::new().name("wake".to_owned()).spawn(move || {
            run(&receiver, &publish);
        })?;
        Ok(ServerStarter { orders, thread: Some(thread) })
    }

    /// Looks after the servers of this generation from now on. One that it does not name is stopped when
    /// its last exchange is over.
    pub fn follow(&self, snapshot: &Snapshot, loads: &Loads) {
        let targets = WakeTarget::all(snapshot, loads);
        for target in &targets {
            let (orders, id) = (self.orders.clone(), target.upstream);
            // It ends with the workers: then nobody asks.
            target.gate.on_ask(move || drop(orders.send(Order::Wake(id))));
        }
        let _ = self.orders.send(Order::Follow(targets));
    }
}

/// Ends all servers that were started here, and waits for that.
impl Drop for ServerStarter {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::End);
        if let Some(thread) = self.thread.take() {
            // It has panicked, and said so.
            let _ = thread.join();
        }
    }
}

fn run(orders: &Receiver<Order>, publish: &dyn Fn(UpstreamId)) {
    let mut sleepers: Vec<Sleeper> = Vec::new();
    let mut ending = false;
    loop {
        let busy = sleepers.iter().any(Sleeper::is_busy);
        let order = match (busy, sleepers.iter().any(Sleeper::is_watched)) {
            (true, _) => orders.recv_timeout(BUSY),
            (false, true) => orders.recv_timeout(CALM),
            (false, false) => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let now = Instant::now();
        match order {
            Ok(Order::Wake(id)) => {
                let wanted = sleepers.iter_mut().find(|sleeper| sleeper.target.upstream == id);
                if let Some(sleeper) = wanted.filter(|_| !ending) {
                    sleeper.ask(now);
                }
            }
            Ok(Order::Follow(targets)) => follow(&mut sleepers, targets, now),
            Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => {
                ending = true;
                sleepers.iter_mut().for_each(|sleeper| sleeper.stop(now, "the gateway ends"));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        for index in 0..sleepers.len() {
            let (before, rest) = sleepers.split_at_mut(index);
            let Some((sleeper, behind)) = rest.split_first_mut() else { continue };
            let others = || before.iter().chain(behind.iter());
            if sleeper.round(&others, now) {
                publish(sleeper.target.upstream);
            }
        }
        sleepers.retain(|sleeper| !sleeper.is_over());
        if ending && !sleepers.iter().any(Sleeper::runs) {
            return;
        }
    }
}

/// Goes on with these servers. What stays keeps how it stands.
fn follow(sleepers: &mut Vec<Sleeper>, targets: Vec<WakeTarget>, now: Instant) {
    for sleeper in sleepers.iter_mut() {
        sleeper.leaves = true;
    }
    for target in targets {
        match sleepers.iter_mut().find(|known| known.target.upstream == target.upstream) {
            Some(known) => {
                // A changed command holds for the next start.
                known.target = target;
                known.leaves = false;
            }
            None => sleepers.push(Sleeper::new(target, now)),
        }
    }
}
