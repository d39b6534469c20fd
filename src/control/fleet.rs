//! The fleet: keeps this gateway's place among others in a store, and its shares of their limits.
//!
//! | file | knows |
//! |---|---|
//! | `limits` | the shares, as the gate keeps them |
//! | `load` | what this gateway is busy with |
//! | `verdicts` | what is found here of endpoints, and who looks again when others say that one fails |
//! | `seat` | the keys in the store: lease, report, holdings |
//!
//! A thread looks at the store about once a second. What follows is decided by [`crate::fleet`]; here it is
//! read and written.
//!
//! * Nothing on the data path waits for it: shares are words that the workers read.
//! * A store that is away changes nothing that is in force, and is asked again by and by.
//! * The first shares are waited for when a gateway starts, for [`PATIENCE`] at most: so its first request
//!   meets one.

pub mod limits;
mod load;
mod seat;
mod verdicts;

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use self::load::LoadMeter;
use self::seat::{Failed, FleetSeat};
pub use self::verdicts::VerdictSources;
use crate::config::snapshot::{Gate, Snapshot};
use crate::config::store::StorePlace;
use crate::measure::stats::Counters;
use crate::observe::fleet::FleetState;
use crate::observe::obeyed::ConfigState;
use crate::proxy::random::Random;
use crate::sys;

/// How long a start or a reload waits for its shares.
const PATIENCE: Duration = Duration::from_secs(2);
/// From one look to the next, where limits are shared.
const ROUND: Duration = Duration::from_secs(1);
/// The same, while somebody waits for a share.
const SOON: Duration = Duration::from_millis(100);
/// The pause after the first failure; it doubles with each, up to a quarter of the lease.
const PAUSE: Duration = Duration::from_millis(250);

/// Which gateway this is, and where its configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct FleetPlace {
    /// Where the configuration is in a store.
    pub store: Option<StorePlace>,
    /// Without a name of `[fleet]`.
    pub name: Option<String>,
}

/// What a member says of itself, and whom it asks for that.
pub struct FleetSources {
    pub counters: Vec<Arc<Counters>>,
    pub config: Arc<ConfigState>,
    pub state: Arc<FleetState>,
    /// Where the admin pages are.
    pub admin: Option<String>,
    pub verdicts: VerdictSources,
}

enum Order {
    /// These limits from now on. Whoever waits is told when they are in force.
    Follow(Arc<Gate>, Sender<()>),
    Drain,
    End,
}

/// Keeps the place of this gateway, from another thread.
#[derive(Debug)]
pub struct FleetKeeper {
    orders: Sender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl FleetKeeper {
    /// Takes a place, where there is a fleet. An error: there is one, and no store.
    pub fn start(
        snapshot: &Snapshot,
        place: FleetPlace,
        sources: FleetSources,
    ) -> io::Result<Option<FleetKeeper>> {
        let Some(settings) = snapshot.gate.fleet.clone() else { return Ok(None) };
        let Some(store) = settings.store.or(place.store) else {
            let why = "[fleet] needs a store, since the configuration is a file";
            return Err(io::Error::other(why));
        };
        let name = settings.name.or(place.name).unwrap_or_else(sys::process_name);
        let id = format!("{name}:{:08x}", sys::random_seed() as u32);
        let load = LoadMeter::new(sources.counters, sources.config, name, sources.admin);
        let verdicts = settings.hints.then_some(sources.verdicts);
        let mut seat = FleetSeat::new(store, id, settings.ttl, load, sources.state);
        seat.share_verdicts(verdicts);
        let (orders, ordered) = mpsc::channel();
        let (first, looked) = mpsc::channel();
        let gate = Arc::clone(&snapshot.gate.gate);
        let keep = move || {
            seat.follow(&gate);
            keep(&mut seat, settings.ttl, &ordered, first);
        };
        let thread = thread::Builder::new().name("fleet".into()).spawn(keep)?;
        // It says so whatever becomes of it.
        let _ = looked.recv_timeout(PATIENCE);
        Ok(Some(FleetKeeper { orders, thread: Mutex::new(Some(thread)) }))
    }

    /// Shares the limits of this generation. They are in force when it returns, if the store answers.
    pub fn follow(&self, snapshot: &Snapshot) {
        let (done, followed) = mpsc::channel();
        let order = Order::Follow(Arc::clone(&snapshot.gate.gate), done);
        if self.orders.send(order).is_ok() {
            let waited = followed.recv_timeout(PATIENCE);
            if waited.is_err() {
                log::info!(
                    "fleet: the shares are not settled yet; keys go on with those that they have"
                );
            }
        }
    }

    /// Nothing new comes in: others may have the shares.
    pub fn drain(&self) {
        // A thread that has ended shares nothing.
        let _ = self.orders.send(Order::Drain);
    }

    /// Leaves the fleet.
    pub fn finish(&self) {
        let _ = self.orders.send(Order::End);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A panic of the thread has been told.
        let _ = thread.map(JoinHandle::join);
    }
}

/// Looks at the store, again and again, until the gateway ends.
fn keep(seat: &mut FleetSeat, ttl: Duration, orders: &Receiver<Order>, first: Sender<()>) {
    let mut random = Random::new(sys::random_seed());
    let mut pause = PAUSE;
    let mut waiting = vec![(first, sys::now())];
    loop {
        let looked = seat.look(&mut random);
        // Others make room in their next round, or when streams end.
        let ready = looked.is_err() || seat.has_shares();
        waiting.retain(|(waiter, since)| {
            if ready {
                // It may have lost its patience.
                let _ = waiter.send(());
            }
            !ready && sys::now() - *since < PATIENCE
        });
        let next = match looked {
            Ok(()) if !waiting.is_empty() => SOON,
            Ok(()) if seat.shares() => ROUND.min(ttl / 4),
            Ok(()) => ttl / 4,
            Err(Failed) => pause,
        };
        pause = if looked.is_ok() { PAUSE } else { (pause * 2).min(ttl / 4) };
        match orders.recv_timeout(random.jittered(next)) {
            Ok(Order::Follow(gate, waiter)) => {
                seat.follow(&gate);
                waiting.push((waiter, sys::now()));
            }
            Ok(Order::Drain) => seat.drain(),
            Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => return seat.leave(),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}
