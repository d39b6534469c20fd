//! The calls a worker makes, as the kernel would answer them, with the faults a kernel may add.
//!
//! Every call is counted in the ledger and noted in the trace. A fault that makes a call return
//! less than it could is always followed by an edge: a kernel that says "not now" promises to
//! call back, and a worker may rely on that promise.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

use super::fabric::{Action, Fabric, Manner};
use super::link::{Bits, Link, Phase};
use super::trace::Note;
use crate::reactor::net::Event;
use crate::reactor::token::Token;

/// EMFILE: no more descriptors.
const TOO_MANY_FILES: i32 = 24;
/// ENOBUFS: the kernel has no memory for another socket.
const NO_BUFFER_SPACE: i32 = 105;

/// How long an edge that follows a fault may be held back.
const EDGE_DELAY_MAX: Duration = Duration::from_millis(2);

/// What came of an accept.
pub(super) enum Accepted {
    Link(usize),
    Drained,
    Aborted,
    Exhausted(Error),
}

impl Fabric {
    // Streams.

    pub fn read(&mut self, link: usize, into: &mut [u8]) -> Result<usize> {
        self.ledger.counts.reads += 1;
        if into.is_empty() {
            self.ledger.violation(format!("#{link}: a read into no room tells nothing"));
        }
        self.arrival_in_call(link);
        let state = &mut self.links[link];
        if state.inbound.arrived() == 0 {
            let result = state.read_nothing();
            return self.answered(link, "read", result);
        }
        // Once told that the end is there, a worker reads until it sees it: saying "not now"
        // without a new edge would be a lie, and Linux does not tell it.
        let may_stall = !state.worker.told_read_closed && !state.worker.gone;
        if may_stall && self.random.chance(self.faults.read_would_block) {
            self.edge_later(Action::Readable(link));
            return self.answered(link, "read", Err(Error::from(ErrorKind::WouldBlock)));
        }
        let most = self.links[link].inbound.arrived().min(into.len());
        let short = most > 1 && self.random.chance(self.faults.short_read);
        let room = if short { self.random.between(1..=most - 1) } else { most };
        let state = &mut self.links[link];
        let length = state.inbound.take(&mut into[..room]);
        if state.peer.blocked {
            state.peer.blocked = false;
            self.woken.extend(state.peer.peer);
        }
        if short {
            self.raise(link, Bits::READABLE);
        }
        self.ledger.counts.bytes_read += length as u64;
        self.note(Note::Read { link, length, room: into.len() });
        self.answered(link, "read", Ok(length))
    }

    pub fn peek(&mut self, link: usize, into: &mut [u8]) -> Result<usize> {
        self.ledger.counts.peeks += 1;
        self.arrival_in_call(link);
        let state = &mut self.links[link];
        let result = match state.inbound.peek(into) {
            0 => state.read_nothing(),
            length => Ok(length),
        };
        match result {
            // Looking moves nothing.
            Ok(length) => self.note(Note::Peeked { link, length }),
            Err(_) => return self.answered(link, "peek", result),
        }
        result
    }

    pub fn write(&mut self, link: usize, from: &[impl Deref<Target = [u8]>]) -> Result<usize> {
        self.ledger.counts.writes += 1;
        let offered: usize = from.iter().map(|part| part.len()).sum();
        if offered == 0 {
            self.ledger.violation(format!("#{link}: a write of nothing"));
        }
        self.arrival_in_call(link);
        let state = &mut self.links[link];
        if let Some(kind) = state.write_refused() {
            return self.answered(link, "write", Err(Error::from(kind)));
        }
        let free = state.outbound.free();
        if free == 0 {
            state.worker.turned_away = true;
            return self.answered(link, "write", Err(Error::from(ErrorKind::WouldBlock)));
        }
        if self.random.chance(self.faults.write_would_block) {
            self.turn_away(link);
            return self.answered(link, "write", Err(Error::from(ErrorKind::WouldBlock)));
        }
        let mut length = offered.min(free);
        if length > 1 && self.random.chance(self.faults.short_write) {
            length = self.random.between(1..=length - 1);
            self.turn_away(link);
        } else if length < offered {
            self.links[link].worker.turned_away = true;
        }
        self.transmit(link, from, length);
        self.ledger.counts.bytes_written += length as u64;
        self.note(Note::Wrote { link, length, offered });
        self.answered(link, "write", Ok(length))
    }

    /// The last bytes of a connection. A kernel may keep them until the FIN.
    pub fn write_last(&mut self, link: usize, from: &[u8]) -> Result<usize> {
        let written = self.write(link, &[from]);
        if matches!(written, Ok(length) if length == from.len()) {
            self.parting.push(link);
        }
        written
    }

    /// Looks whether whoever has written its last bytes has parted: they would be late.
    pub fn look_for_the_parted(&mut self) {
        for link in std::mem::take(&mut self.parting) {
            let Link { worker, outbound, .. } = &self.links[link];
            if worker.phase == Phase::Open && !worker.gone && !outbound.fin_sent {
                self.ledger.violation(format!("#{link}: the last bytes are written, and no FIN"));
            }
        }
    }

    /// Puts the first `length` bytes of `from` on the way, in one segment or several.
    fn transmit(&mut self, link: usize, from: &[impl Deref<Target = [u8]>], length: usize) {
        let mut left = length;
        for part in from {
            let mut rest = &part[..part.len().min(left)];
            left -= rest.len();
            while !rest.is_empty() {
                let split = rest.len() > 1 && self.random.chance(self.faults.split);
                let cut = if split { self.random.between(1..=rest.len() - 1) } else { rest.len() };
                let (segment, later) = rest.split_at(cut);
                let at = self.now + self.latency();
                let at = self.links[link].outbound.send(segment, false, at);
                self.at(at, Action::ArriveOut(link));
                rest = later;
            }
        }
    }

    /// Acknowledgements are not simulated.
    pub fn delay_acks(&mut self) {
        self.ledger.counts.options += 1;
    }

    pub fn shutdown_write(&mut self, link: usize) -> Result<()> {
        self.ledger.counts.shutdowns += 1;
        self.ledger.progress();
        self.note(Note::ShutDown { link });
        let state = &self.links[link];
        if state.worker.gone || state.worker.phase != Phase::Open {
            return Err(Error::from(ErrorKind::NotConnected));
        }
        self.send_fin(link);
        Ok(())
    }

    pub fn reset_on_drop(&mut self, link: usize) {
        self.links[link].worker.reset_on_drop = true;
    }

    /// The stream is dropped: FIN behind the last bytes; RST if told so, or if bytes have arrived
    /// that nobody read, for then the peer must learn that it was not heard.
    pub fn drop_stream(&mut self, link: usize) {
        let state = &mut self.links[link];
        let was = std::mem::replace(&mut state.worker.phase, Phase::Dropped);
        let reset = state.worker.reset_on_drop || state.inbound.arrived() > 0;
        let (token, gone) = (state.worker.token, state.worker.gone);
        state.inbound.take_to(&mut Vec::new(), usize::MAX);
        self.note(Note::Dropped { link, reset });
        if was == Phase::Dropped {
            self.ledger.violation(format!("#{link}: a descriptor was closed twice"));
        }
        self.ledger.closed_one();
        if let Some(token) = token {
            if self.dropped.len() == 8 {
                self.dropped.pop_front();
            }
            self.dropped.push_back(token);
        }
        if was == Phase::Open && !gone {
            if reset { self.send_reset_out(link) } else { self.send_fin(link) }
        }
    }

    fn send_fin(&mut self, link: usize) {
        if !self.links[link].outbound.fin_sent {
            let at = self.now + self.latency();
            let at = self.links[link].outbound.send(&[], true, at);
            self.at(at, Action::ArriveOut(link));
        }
    }

    // Connections.

    pub fn accept(&mut self, listener: usize) -> Accepted {
        let Some(&link) = self.listeners[listener].backlog.front() else {
            self.ledger.counts.drained += 1;
            return Accepted::Drained;
        };
        if self.random.chance(self.faults.accept_exhausted) {
            let (what, code) = match self.random.chance(500) {
                true => ("accept is out of descriptors", TOO_MANY_FILES),
                false => ("accept is out of memory", NO_BUFFER_SPACE),
            };
            self.note(Note::Fault { what });
            return Accepted::Exhausted(Error::from_raw_os_error(code));
        }
        self.listeners[listener].backlog.pop_front();
        if self.random.chance(self.faults.accept_aborted) {
            self.note(Note::Fault { what: "a connection died in the backlog" });
            self.links[link].worker.phase = Phase::Dropped;
            self.send_reset_out(link);
            self.ledger.progress();
            return Accepted::Aborted;
        }
        self.ledger.counts.accepts += 1;
        self.ledger.opened_one();
        self.links[link].worker.phase = Phase::Open;
        self.note(Note::Accepted { link });
        Accepted::Link(link)
    }

    /// The listeners close; who waits in a backlog is refused by the kernel.
    pub fn close_listeners(&mut self) {
        for index in 0..self.listeners.len() {
            self.listeners[index].closed = true;
            for link in std::mem::take(&mut self.listeners[index].backlog) {
                self.links[link].worker.phase = Phase::Dropped;
                self.send_reset_out(link);
            }
        }
    }

    pub fn connect(&mut self, address: SocketAddr) -> Result<usize> {
        self.ledger.counts.connects += 1;
        self.ledger.progress();
        if self.random.chance(self.faults.connect_exhausted) {
            self.note(Note::Fault { what: "connect is out of descriptors" });
            return Err(ErrorKind::OutOfMemory.into());
        }
        let manner = self.servers.iter().find(|(served, _)| *served == address);
        let manner = match manner.map_or(Manner::Refuse, |(_, manner)| *manner) {
            Manner::Serve if self.random.chance(self.faults.connect_refused) => Manner::Refuse,
            Manner::Serve if self.random.chance(self.faults.connect_silent) => Manner::Silent,
            manner => manner,
        };
        let at_once = self.random.chance(self.faults.connect_at_once);
        if manner == Manner::Refuse && at_once {
            return Err(Error::from(ErrorKind::ConnectionRefused));
        }
        let link = self.links.len();
        let capacity = self.capacities();
        self.links.push(Link::new(address, Phase::Connecting, capacity));
        self.ledger.opened_one();
        self.note(Note::Connecting { link });
        let at = self.now + self.latency();
        match manner {
            Manner::Serve if at_once => self.stand(link),
            Manner::Serve => self.at(at, Action::Stand(link)),
            Manner::Refuse => self.at(at, Action::Refuse(link)),
            Manner::Silent => {}
        }
        Ok(link)
    }

    pub fn register(&mut self, link: usize, token: Token) {
        self.ledger.counts.registers += 1;
        self.note(Note::Registered { link, token });
        if self.links[link].worker.token.is_some() {
            self.ledger.violation(format!("#{link}: registered twice"));
        }
        let same = |other: &Link| {
            other.worker.token == Some(token) && other.worker.phase != Phase::Dropped
        };
        if self.links.iter().any(same) {
            self.ledger.violation(format!("#{link}: {token:?} names another live socket"));
        }
        self.links[link].worker.token = Some(token);
        let state = self.links[link].state();
        if state != Bits::NONE {
            self.raise(link, state);
        }
    }

    // Events.

    /// Appends what there is to tell. False if there is nothing.
    pub fn tell(&mut self, events: &mut Vec<Event>) -> bool {
        let before = events.len();
        if self.listed.len() > 1 && self.random.chance(self.faults.shuffle) {
            let first = self.random.below(self.listed.len());
            self.listed.rotate_left(first);
            let second = self.random.below(self.listed.len());
            self.listed.swap(0, second);
        }
        while events.len() - before < self.faults.batch_max {
            let Some(link) = self.listed.pop_front() else {
                break;
            };
            self.tell_of(link, events);
        }
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            if std::mem::take(&mut listener.news) {
                events.push(event(Token::listener(index), Bits::READABLE));
            }
        }
        self.tell_lies(events);
        self.ledger.counts.events += (events.len() - before) as u64;
        events.len() > before
    }

    fn tell_of(&mut self, link: usize, events: &mut Vec<Event>) {
        let state = &mut self.links[link];
        let mut bits = std::mem::replace(&mut state.worker.news, Bits::NONE);
        state.worker.listed = false;
        if self.faults.mask == super::faults::EventMask::State {
            bits = state.state();
            // Looking and finding no room is what makes the kernel call back (tcp_poll).
            state.worker.turned_away |= !bits.contains(Bits::WRITABLE);
        }
        let Some(token) = state.worker.token else {
            return;
        };
        if state.worker.phase == Phase::Dropped || bits == Bits::NONE {
            return;
        }
        state.worker.told_read_closed |= bits.contains(Bits::READ_CLOSED);
        self.note(Note::Told { link, token, bits });
        events.push(event(token, bits));
        if self.random.chance(self.faults.duplicate_event) {
            events.push(event(token, bits));
        }
    }

    /// Events with nothing behind them, which a poller may always send.
    fn tell_lies(&mut self, events: &mut Vec<Event>) {
        if self.random.chance(self.faults.stale_event) && !self.dropped.is_empty() {
            let token = self.dropped[self.random.below(self.dropped.len())];
            self.note(Note::ToldStale { token });
            events.push(event(token, Bits::ALL));
        }
        if self.random.chance(self.faults.spurious_event) && !self.links.is_empty() {
            let link = self.random.below(self.links.len());
            let bits = *self.random.pick(&[
                Bits::READABLE,
                Bits::WRITABLE,
                Bits::READABLE | Bits::WRITABLE,
            ]);
            let worker = &self.links[link].worker;
            if let (Some(token), Phase::Open) = (worker.token, worker.phase) {
                self.note(Note::Told { link, token, bits });
                events.push(event(token, bits));
            }
        }
    }

    // Faults.

    fn arrival_in_call(&mut self, link: usize) {
        if self.random.chance(self.faults.arrival_in_call) {
            self.arrive_in(link, true);
        }
    }

    /// The writer was turned away for a reason of the kernel's own, and is called back later.
    fn turn_away(&mut self, link: usize) {
        self.links[link].worker.turned_away = true;
        self.edge_later(Action::Writable(link));
    }

    fn edge_later(&mut self, action: Action) {
        let delay = self.random.duration(Duration::ZERO..=EDGE_DELAY_MAX);
        self.at(self.now + delay, action);
    }

    fn answered(
        &mut self,
        link: usize,
        call: &'static str,
        result: Result<usize>,
    ) -> Result<usize> {
        match &result {
            Ok(0) => self.note(Note::ReadEnd { link }),
            // Only bytes are progress: an end can be read, and a failure be met, over and over.
            Ok(_) => self.ledger.progress(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.ledger.counts.would_block += 1;
                self.note(Note::WouldBlock { link, call });
            }
            Err(error) => self.note(Note::Failed { link, call, kind: error.kind() }),
        }
        result
    }
}

fn event(token: Token, bits: Bits) -> Event {
    Event {
        token,
        readable: bits.contains(Bits::READABLE),
        writable: bits.contains(Bits::WRITABLE),
        read_closed: bits.contains(Bits::READ_CLOSED),
        errored: bits.contains(Bits::ERRORED),
    }
}
