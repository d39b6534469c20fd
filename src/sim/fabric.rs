//! The network between the worker and its peers: connections, time, and what is due when.
//!
//! * Time is a number. It moves only in [`Fabric::advance`], which the poll calls when there is
//!   nothing to tell.
//! * What happens next is in one heap, ordered by time and then by the order of scheduling.
//! * Everything random is drawn from one generator, in one order: same seed, same world.
//!
//! This file has what the network does by itself. What the worker does to it is in
//! [`super::calls`], what peers do in [`super::peer_calls`]. Absent on purpose: HTTP. Bytes here
//! have no meaning.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use super::faults::Faults;
use super::ledger::Ledger;
use super::link::{Bits, Link, Phase};
use super::random::Random;
use super::trace::{Direction, Note, Trace};
use crate::clock::Instant;
use crate::reactor::token::Token;

/// Something that will happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Segments of this link may have arrived at the worker.
    ArriveIn(usize),
    ArriveOut(usize),
    ResetIn(usize),
    ResetOut(usize),
    Stand(usize),
    Refuse(usize),
    /// An edge that was held back.
    Readable(usize),
    Writable(usize),
    /// This peer wanted to act now.
    Wake(usize),
    /// The poll is to end, with or without events.
    Ring,
    /// The worker's thread does not run for so long. The poll under way has told nothing by then.
    Freeze(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    at: Instant,
    sequence: u64,
    action: Action,
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// How a server treats those who connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Serve,
    Refuse,
    /// No answer at all: the SYN is dropped.
    Silent,
}

#[derive(Debug, Default)]
pub(super) struct Listener {
    pub backlog: VecDeque<usize>,
    /// A connection has come since the last event.
    pub news: bool,
    pub closed: bool,
}

#[derive(Debug)]
pub(super) struct Fabric {
    pub now: Instant,
    pub random: Random,
    pub faults: Faults,
    pub ledger: Ledger,
    pub trace: Trace,
    pub links: Vec<Link>,
    pub listeners: Vec<Listener>,
    pub servers: Vec<(SocketAddr, Manner)>,
    /// Links with news for the worker.
    pub listed: VecDeque<usize>,
    /// Tokens of sockets dropped lately: a kernel may still have an event for them.
    pub dropped: VecDeque<Token>,
    /// Peers that may have something to do now.
    pub woken: VecDeque<usize>,
    /// Connections that servers have not been told of.
    pub newcomers: VecDeque<usize>,
    /// Connections whose last bytes were written since the poll.
    pub parting: Vec<usize>,
    /// The poll under way is to end.
    pub rung: bool,
    /// And so much later than that the worker runs again.
    pub frozen: Option<Duration>,
    /// How long the worker has been kept from running, in all.
    pub stood_still: Duration,
    schedule: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
}

impl Fabric {
    pub fn new(random: Random, faults: Faults) -> Fabric {
        Fabric {
            now: Instant::from_nanos(1_000_000_000),
            random,
            faults,
            ledger: Ledger::default(),
            trace: Trace::default(),
            links: Vec::new(),
            listeners: vec![Listener::default()],
            servers: Vec::new(),
            listed: VecDeque::new(),
            dropped: VecDeque::new(),
            woken: VecDeque::new(),
            newcomers: VecDeque::new(),
            parting: Vec::new(),
            rung: false,
            frozen: None,
            stood_still: Duration::ZERO,
            schedule: BinaryHeap::new(),
            sequence: 0,
        }
    }

    pub fn note(&mut self, note: Note) {
        self.trace.note(self.now, note);
    }

    pub fn at(&mut self, at: Instant, action: Action) {
        self.sequence += 1;
        self.schedule.push(Reverse(Entry { at, sequence: self.sequence, action }));
    }

    pub fn latency(&mut self) -> Duration {
        let range = self.faults.latency.clone();
        if range.start() == range.end() { *range.start() } else { self.random.duration(range) }
    }

    /// Buffers of a new connection, inbound and outbound.
    pub fn capacities(&mut self) -> (usize, usize) {
        let range = self.faults.capacity.clone();
        if range.start() == range.end() {
            return (*range.start(), *range.start());
        }
        (self.random.between(range.clone()), self.random.between(range))
    }

    pub fn next_at(&self) -> Option<Instant> {
        self.schedule.peek().map(|Reverse(entry)| entry.at)
    }

    /// Lets time pass until `at`.
    pub fn advance(&mut self, at: Instant) {
        debug_assert!(at >= self.now, "time does not go back");
        if at > self.now {
            self.now = at;
            self.ledger.progress();
        }
    }

    /// Does the next thing that is due. False if nothing is.
    pub fn step(&mut self) -> bool {
        let due = self.next_at().is_some_and(|at| at <= self.now);
        let Some(Reverse(entry)) = due.then(|| self.schedule.pop()).flatten() else {
            return false;
        };
        match entry.action {
            Action::ArriveIn(link) => while self.arrive_in(link, false) {},
            Action::ArriveOut(link) => while self.arrive_out(link) {},
            Action::ResetIn(link) => self.reset_in(link),
            Action::ResetOut(link) => self.reset_out(link),
            Action::Stand(link) => self.stand(link),
            Action::Refuse(link) => self.refuse(link),
            Action::Readable(link) => self.raise(link, Bits::READABLE),
            Action::Writable(link) => self.room(link, self.links[link].outbound.free() > 0),
            Action::Wake(peer) => self.woken.push_back(peer),
            Action::Ring => self.rung = true,
            Action::Freeze(duration) => self.frozen = Some(duration),
        }
        true
    }

    // What happens to the worker's end.

    /// News for the worker. A FIN stays news for as long as the socket lives, as RDHUP does.
    pub fn raise(&mut self, link: usize, bits: Bits) {
        let state = &mut self.links[link];
        let fin = bits.contains(Bits::READABLE) && state.inbound.fin_arrived;
        state.worker.news |= if fin { bits | Bits::READ_CLOSED } else { bits };
        if state.worker.token.is_some()
            && state.worker.phase != Phase::Dropped
            && !state.worker.listed
        {
            state.worker.listed = true;
            self.listed.push_back(link);
        }
    }

    /// The next segment arrives at the worker: when due, or (`early`) right now.
    pub fn arrive_in(&mut self, link: usize, early: bool) -> bool {
        let now = self.now;
        let inbound = &mut self.links[link].inbound;
        let arrival = if early { inbound.arrive_early() } else { inbound.arrive(now) };
        let Some(arrival) = arrival else {
            return false;
        };
        let (length, fin) = (arrival.length, arrival.fin);
        self.note(Note::Arrived { link, direction: Direction::In, length, fin });
        if self.links[link].worker.phase == Phase::Dropped {
            self.links[link].inbound.take_to(&mut Vec::new(), usize::MAX);
            if length > 0 {
                self.send_reset_out(link);
            }
        } else {
            self.ledger.counts.arrivals += 1;
            self.raise(link, Bits::READABLE);
        }
        true
    }

    fn reset_in(&mut self, link: usize) {
        if self.links[link].worker.phase == Phase::Dropped || self.links[link].worker.gone {
            return;
        }
        self.note(Note::ResetArrived { link, direction: Direction::In });
        // A RST after a FIN is reported as a broken pipe (linux: net/ipv4/tcp_input.c, tcp_reset).
        let after_fin = self.links[link].inbound.fin_arrived;
        let reason = if after_fin { ErrorKind::BrokenPipe } else { ErrorKind::ConnectionReset };
        self.links[link].break_off(reason);
        self.raise(link, Bits::ALL);
    }

    /// The link's connect succeeds.
    pub fn stand(&mut self, link: usize) {
        if self.links[link].worker.phase == Phase::Connecting {
            self.note(Note::Stands { link });
            self.links[link].worker.phase = Phase::Open;
            self.links[link].worker.turned_away = false;
            self.newcomers.push_back(link);
            self.raise(link, Bits::WRITABLE);
        }
    }

    fn refuse(&mut self, link: usize) {
        if self.links[link].worker.phase == Phase::Connecting {
            self.note(Note::Refused { link });
            self.links[link].break_off(ErrorKind::ConnectionRefused);
            self.raise(link, Bits::ALL);
        }
    }

    /// The peer has taken bytes. Linux calls a writer back only if it had been turned away.
    pub fn room(&mut self, link: usize, enough: bool) {
        let state = &mut self.links[link];
        if state.worker.turned_away && enough && state.worker.phase == Phase::Open {
            state.worker.turned_away = false;
            self.raise(link, Bits::WRITABLE);
        }
    }

    // What happens to the peer's end.

    fn arrive_out(&mut self, link: usize) -> bool {
        let now = self.now;
        let Some(arrival) = self.links[link].outbound.arrive(now) else {
            return false;
        };
        let (length, fin) = (arrival.length, arrival.fin);
        self.note(Note::Arrived { link, direction: Direction::Out, length, fin });
        if self.links[link].peer.closed {
            self.links[link].outbound.take_to(&mut Vec::new(), usize::MAX);
            if length > 0 {
                self.send_reset_in(link);
            }
        } else {
            self.woken.extend(self.links[link].peer.peer);
        }
        true
    }

    fn reset_out(&mut self, link: usize) {
        self.note(Note::ResetArrived { link, direction: Direction::Out });
        let lost = self.random.chance(self.faults.reset_overtakes);
        let state = &mut self.links[link];
        state.outbound.lose(0);
        if lost {
            state.outbound.take_to(&mut Vec::new(), usize::MAX);
        }
        state.peer.reset = true;
        self.woken.extend(state.peer.peer);
    }

    pub fn send_reset_out(&mut self, link: usize) {
        if !self.links[link].peer.closed {
            let at = self.reset_arrival(link, Direction::Out);
            self.at(at, Action::ResetOut(link));
        }
    }

    pub fn send_reset_in(&mut self, link: usize) {
        let at = self.reset_arrival(link, Direction::In);
        self.at(at, Action::ResetIn(link));
    }

    /// When a RST sent now arrives: behind the bytes already sent, unless it costs some of them.
    fn reset_arrival(&mut self, link: usize, direction: Direction) -> Instant {
        let overtakes = self.random.chance(self.faults.reset_overtakes);
        let at = self.now + self.latency();
        let state = &mut self.links[link];
        let pipe = match direction {
            Direction::In => &mut state.inbound,
            Direction::Out => &mut state.outbound,
        };
        if overtakes {
            let keep = self.random.below(pipe.segments() + 1);
            pipe.lose(keep);
        }
        pipe.last_arrival().map_or(at, |last| last.max(at))
    }
}
