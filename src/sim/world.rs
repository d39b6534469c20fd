//! The world: a network in memory with its peers, behind the seam of [`reactor::net`].
//!
//! A [`World`] is a handle. The worker owns one as its [`Net`], the test keeps another to add
//! clients, to look at the ledger and to read the trace. [`Socket`]s are handles too.
//!
//! The world moves in one place: [`Net::poll`]. It does what is due, tells the worker what
//! happened, and only when there is nothing to tell lets time jump to the next thing that will
//! happen, or to the end of the poll. A worker that is busy takes no time.
//!
//! [`reactor::net`]: crate::reactor::net

use std::cell::{Ref, RefCell};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::calls::Accepted;
use super::fabric::{Action, Fabric, Manner};
use super::faults::Faults;
use super::ledger::Counts;
use super::peer::seal::{GivenSessions, Seal};
use super::peer::{Peer, Request, Server};
use super::random::Random;
use super::script::{Answer, Visit};
use super::toy::{Manners, Toy, Toys};
use super::trace::Note;
use super::wall::WallClock;
use crate::clock::Instant;
use crate::reactor::net::{Accept, Event, Net, Stream};
use crate::reactor::token::Token;
use crate::wire::transport::Sessions;

/// A handle to one world.
#[derive(Clone, Debug)]
pub struct World {
    state: Rc<RefCell<State>>,
    woken: Arc<AtomicBool>,
}

#[derive(Debug)]
struct State {
    fabric: Fabric,
    peers: Vec<Peer>,
    /// Whose connections are sealed.
    toys: Toys,
    /// In place of toys.
    real: GivenSessions,
    servers: Vec<Server>,
    /// What each poll takes.
    poll_takes: Duration,
    wall: WallClock,
    /// A poll without a timeout found nothing that will ever happen.
    asleep: bool,
}

/// Names a client of this world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientId(usize);

impl World {
    /// A world with a network that makes no mistakes.
    pub fn new(seed: u64) -> World {
        World::with_faults(seed, Faults::none())
    }

    pub fn with_faults(seed: u64, faults: Faults) -> World {
        let fabric = Fabric::new(Random::new(seed), faults);
        let (peers, servers) = (Vec::new(), Vec::new());
        let toys = Toys { clients: None, servers: None, seed: !seed };
        let state = State {
            fabric,
            peers,
            servers,
            toys,
            real: GivenSessions(None),
            poll_takes: Duration::ZERO,
            wall: WallClock::steady(),
            asleep: false,
        };
        World { state: Rc::new(RefCell::new(state)), woken: Arc::new(AtomicBool::new(false)) }
    }

    /// Lets each poll take so long from now on. Without it a worker that polls until an instant,
    /// and does not sleep, polls for ever: its own work takes no time.
    pub fn polls_take(&self, duration: Duration) {
        self.state.borrow_mut().poll_takes = duration;
    }

    /// Gives the world this wall clock. Without it the wall clock began with the world, in 1970.
    pub fn set_wall_clock(&self, wall: WallClock) {
        self.state.borrow_mut().wall = wall;
    }

    /// Sets the wall clock to so much since 1970, now.
    pub fn wall_clock_says(&self, since_1970: Duration) {
        let state = &mut *self.state.borrow_mut();
        state.wall.says(state.fabric.now, since_1970);
    }

    /// Keeps a trace in words.
    pub fn record(&self) {
        self.state.borrow_mut().fabric.trace.record();
    }

    // Peers.

    /// Has clients, or servers, that come from now on speak through sessions.
    pub fn seal(&self, clients: Option<Manners>, servers: Option<Manners>) {
        let toys = &mut self.state.borrow_mut().toys;
        (toys.clients, toys.servers) = (clients, servers);
    }

    /// Has peers that come from now on speak through these sessions in place of toys: clients dial, servers
    /// accept.
    pub fn seal_with(&self, sessions: Box<dyn Sessions>) {
        self.state.borrow_mut().real.0 = Some(sessions);
    }

    /// A server at `address`, that answers as `respond` says.
    pub fn server(
        &self,
        address: SocketAddr,
        manner: Manner,
        respond: impl FnMut(&Request<'_>) -> Answer + 'static,
    ) {
        let state = &mut *self.state.borrow_mut();
        state.fabric.servers.push((address, manner));
        state.servers.push(Server { address, respond: Box::new(respond) });
    }

    /// Changes how a server treats those who connect from now on.
    pub fn set_manner(&self, address: SocketAddr, manner: Manner) {
        let servers = &mut self.state.borrow_mut().fabric.servers;
        servers
            .iter_mut()
            .filter(|(served, _)| *served == address)
            .for_each(|server| server.1 = manner);
    }

    /// A client that will connect and do as its script says.
    pub fn client(&self, visit: Visit) -> ClientId {
        let state = &mut *self.state.borrow_mut();
        let id = state.peers.len();
        let at = state.fabric.now + visit.delay;
        state.fabric.at(at, Action::Wake(id));
        let manners = state.toys.clients.filter(|_| !visit.plain);
        let plain = visit.plain;
        let mut peer = Peer::client(visit);
        if let Some(real) = state.real.0.as_mut().filter(|_| !plain) {
            real.connect().into_iter().for_each(|session| peer.seal(Seal::real(session)));
        } else if let Some(manners) = manners {
            peer.seal(Seal::Toy(Toy::client(manners, state.toys.seed ^ id as u64)));
        }
        state.peers.push(peer);
        ClientId(id)
    }

    /// A client as it stands now.
    pub fn see(&self, client: ClientId) -> Ref<'_, Peer> {
        Ref::map(self.state.borrow(), |state| &state.peers[client.0])
    }

    /// Every session of every server, in the order they came to be.
    pub fn sessions(&self) -> Vec<Ref<'_, Peer>> {
        let count = self.state.borrow().peers.len();
        (0..count)
            .map(|index| Ref::map(self.state.borrow(), |state| &state.peers[index]))
            .filter(|peer| !peer.is_client())
            .collect()
    }

    pub fn clients_are_done(&self) -> bool {
        self.state.borrow().peers.iter().all(|peer| peer.over || !peer.is_client())
    }

    // What a test asks.

    /// The virtual clock, unlike [`Net::now`] without a mark in the ledger.
    pub fn time(&self) -> Instant {
        self.state.borrow().fabric.now
    }

    pub fn counts(&self) -> Counts {
        self.state.borrow().fabric.ledger.counts
    }

    /// Clients that have connected and wait to be accepted.
    pub fn backlog(&self) -> usize {
        self.state.borrow().fabric.listeners.iter().map(|listener| listener.backlog.len()).sum()
    }

    /// How long the worker could have run so far: standstills do not count.
    pub fn lived(&self) -> Duration {
        let fabric = &self.state.borrow().fabric;
        (fabric.now - Instant::ZERO).saturating_sub(fabric.stood_still)
    }

    /// Descriptors that the worker holds.
    pub fn descriptors(&self) -> u64 {
        self.state.borrow().fabric.ledger.open()
    }

    /// What the worker did that no worker may do.
    pub fn violations(&self) -> Vec<String> {
        self.state.borrow().fabric.ledger.violations.clone()
    }

    pub fn is_violated(&self) -> bool {
        !self.state.borrow().fabric.ledger.violations.is_empty()
    }

    /// Nothing will ever happen again: no peer has plans, and the worker has no deadline.
    pub fn is_asleep(&self) -> bool {
        self.state.borrow().asleep
    }

    /// Bytes that the worker has read from a connection.
    pub fn bytes_read_from(&self, connection: usize) -> u64 {
        self.state.borrow().fabric.links[connection].inbound.taken
    }

    /// Changes what may go wrong from now on.
    pub fn change_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state.borrow_mut().fabric.faults);
    }

    pub fn faults(&self) -> Faults {
        self.state.borrow().fabric.faults.clone()
    }

    /// A number that is the same only if all the same things have happened in the same order.
    pub fn digest(&self) -> u64 {
        self.state.borrow().fabric.trace.digest()
    }

    /// What has happened, a line each, if [`World::record`] was called.
    pub fn trace(&self) -> String {
        self.state.borrow().fabric.trace.to_string()
    }

    /// What has happened and when, without the first `seen` notes, if [`World::record`] was called.
    pub fn notes_since(&self, seen: usize) -> Vec<(Instant, Note)> {
        self.state.borrow().fabric.trace.since(seen).to_vec()
    }

    /// Whether clients can connect.
    pub fn is_listening(&self) -> bool {
        self.state.borrow().fabric.listeners.iter().any(|listener| !listener.closed)
    }

    /// Where the peer of a connection is.
    pub fn address_of(&self, connection: usize) -> SocketAddr {
        self.state.borrow().fabric.links[connection].address
    }

    /// Ends the poll from outside, as the mailbox's waker does.
    pub fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let woken = Arc::clone(&self.woken);
        Arc::new(move || woken.store(true, Ordering::SeqCst))
    }

    /// Stops the worker's thread at `at`, as SIGSTOP does, and lets it go on `duration` later. The
    /// poll that is under way ends with no event, whatever has come.
    pub fn freeze_at(&self, at: Instant, duration: Duration) {
        self.state.borrow_mut().fabric.at(at, Action::Freeze(duration));
    }

    /// Ends the poll that is under way at `at`, with no event.
    pub fn ring_at(&self, at: Instant) {
        self.state.borrow_mut().fabric.at(at, Action::Ring);
    }
}

impl State {
    /// Does all that is due, and lets those act who are touched by it.
    fn run_due(&mut self) {
        loop {
            let State { fabric, peers, servers, toys, real, .. } = self;
            if let Some(link) = fabric.newcomers.pop_front() {
                let address = fabric.links[link].address;
                if let Some(server) = servers.iter().position(|server| server.address == address) {
                    fabric.links[link].peer.peer = Some(peers.len());
                    fabric.woken.push_back(peers.len());
                    let mut peer = Peer::session(server, link);
                    if let Some(real) = &mut real.0 {
                        real.accept().into_iter().for_each(|one| peer.seal(Seal::real(one)));
                    } else if let Some(manners) = toys.servers {
                        peer.seal(Seal::Toy(Toy::server(manners, toys.seed ^ peers.len() as u64)));
                    }
                    peers.push(peer);
                }
            } else if let Some(peer) = fabric.woken.pop_front() {
                peers[peer].run(peer, fabric, servers);
            } else if !fabric.step() {
                return;
            }
        }
    }

    /// Lets the world go on until `end`, without the worker.
    fn pass(&mut self, end: Instant) {
        loop {
            self.run_due();
            match self.fabric.next_at() {
                Some(next) if next <= end => self.fabric.advance(next),
                _ => return self.fabric.advance(end),
            }
        }
    }
}

/// Milliseconds, rounded up: what epoll can sleep.
fn as_the_poller_counts(timeout: Duration) -> Duration {
    Duration::from_millis(timeout.as_nanos().div_ceil(1_000_000) as u64)
}

impl Net for World {
    type Stream = Socket;

    fn now(&self) -> Instant {
        let fabric = &mut self.state.borrow_mut().fabric;
        fabric.ledger.counts.clock_reads += 1;
        fabric.now
    }

    fn time_of_day(&self) -> Duration {
        let state = self.state.borrow();
        state.wall.at(state.fabric.now)
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let state = &mut *self.state.borrow_mut();
        state.fabric.ledger.counts.polls += 1;
        state.fabric.ledger.turn();
        state.fabric.look_for_the_parted();
        state.asleep = false;
        if !state.poll_takes.is_zero() {
            state.pass(state.fabric.now + state.poll_takes);
        }
        let deadline = timeout.map(|timeout| state.fabric.now + as_the_poller_counts(timeout));
        loop {
            state.run_due();
            if let Some(duration) = state.fabric.frozen.take() {
                state.fabric.stood_still += duration;
                state.pass(state.fabric.now + duration);
                return Ok(());
            }
            let told = state.fabric.tell(events);
            let rung = std::mem::take(&mut state.fabric.rung);
            let woken = self.woken.swap(false, Ordering::SeqCst);
            if told
                || rung
                || woken
                || deadline.is_some_and(|deadline| state.fabric.now >= deadline)
            {
                return Ok(());
            }
            match (state.fabric.next_at(), deadline) {
                (Some(next), Some(deadline)) => state.fabric.advance(next.min(deadline)),
                (Some(at), None) | (None, Some(at)) => state.fabric.advance(at),
                (None, None) => {
                    state.asleep = true;
                    return Ok(());
                }
            }
        }
    }

    fn pause(&mut self, until: Instant) {
        let state = &mut *self.state.borrow_mut();
        state.pass(until.max(state.fabric.now));
    }

    fn accept(&mut self, listener: usize) -> Accept<Socket> {
        let fabric = &mut self.state.borrow_mut().fabric;
        match fabric.accept(listener) {
            Accepted::Link(link) => {
                let address = fabric.links[link].address;
                Accept::Accepted(Socket { state: Rc::clone(&self.state), link }, address)
            }
            Accepted::Drained => Accept::Drained,
            Accepted::Aborted => Accept::Retry,
            Accepted::Exhausted(error) => Accept::Exhausted(error),
        }
    }

    fn listeners(&self) -> usize {
        self.state.borrow().fabric.listeners.len()
    }

    fn close_listeners(&mut self) {
        self.state.borrow_mut().fabric.close_listeners();
    }

    fn connect(&mut self, address: SocketAddr) -> io::Result<Socket> {
        let link = self.state.borrow_mut().fabric.connect(address)?;
        Ok(Socket { state: Rc::clone(&self.state), link })
    }

    fn register(&mut self, stream: &mut Socket, token: Token) -> io::Result<()> {
        self.state.borrow_mut().fabric.register(stream.link, token);
        Ok(())
    }
}

/// The worker's end of one connection.
#[derive(Debug)]
pub struct Socket {
    state: Rc<RefCell<State>>,
    link: usize,
}

impl Socket {
    /// Which connection of its world this is.
    pub fn connection(&self) -> usize {
        self.link
    }
}

impl Stream for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.state.borrow_mut().fabric.read(self.link, into)
    }

    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.state.borrow_mut().fabric.write(self.link, &[from])
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        self.state.borrow_mut().fabric.write(self.link, from)
    }

    fn write_last(&mut self, from: &[u8]) -> io::Result<usize> {
        self.state.borrow_mut().fabric.write_last(self.link, from)
    }

    fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.state.borrow_mut().fabric.peek(self.link, into)
    }

    fn delay_acks(&mut self) {
        self.state.borrow_mut().fabric.delay_acks();
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.state.borrow_mut().fabric.shutdown_write(self.link)
    }

    fn reset_on_drop(&mut self) {
        self.state.borrow_mut().fabric.reset_on_drop(self.link);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.state.borrow_mut().fabric.drop_stream(self.link);
    }
}
