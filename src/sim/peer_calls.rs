//! The calls that peers make on their ends of the connections.
//!
//! A peer has a kernel of its own, which is simpler: it always takes what there is room for, and
//! tells the truth. Whatever a peer sends, the network may still cut, delay or lose.

use std::net::Ipv4Addr;

use super::fabric::{Action, Fabric};
use super::link::{Link, Phase};
use super::trace::Note;

/// What a peer sees of the end of a connection, once it has taken every byte before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Open,
    Fin,
    Reset,
}

impl Fabric {
    /// A client connects to a listener. `None`: refused.
    pub fn peer_connect(&mut self, peer: usize, listener: usize) -> Option<usize> {
        if self.listeners.get(listener).is_none_or(|listener| listener.closed) {
            return None;
        }
        let link = self.links.len();
        let address = (Ipv4Addr::new(192, 0, 2, 1), 10_000 + (link % 50_000) as u16).into();
        let capacity = self.capacities();
        self.links.push(Link::new(address, Phase::Backlog, capacity));
        self.links[link].peer.peer = Some(peer);
        self.note(Note::PeerConnected { link, peer });
        self.listeners[listener].backlog.push_back(link);
        self.listeners[listener].news = true;
        Some(link)
    }

    /// Sends as much as there is room for; with the last of it a FIN, if `fin`. The bytes travel
    /// in one segment unless the world splits what is sent.
    pub fn peer_send(&mut self, link: usize, bytes: &[u8], fin: bool) -> usize {
        if self.links[link].inbound.fin_sent || self.links[link].peer.closed {
            return bytes.len();
        }
        let length = bytes.len().min(self.links[link].inbound.free());
        let fin = fin && length == bytes.len();
        if length < bytes.len() {
            self.links[link].peer.blocked = true;
        }
        if length == 0 && !fin {
            return 0;
        }
        self.note(Note::PeerSent { link, length, fin });
        let mut rest = &bytes[..length];
        loop {
            let split = rest.len() > 1 && self.random.chance(self.faults.split);
            let part = if split { self.random.between(1..=rest.len() - 1) } else { rest.len() };
            let (segment, later) = rest.split_at(part);
            let at = self.now + self.latency();
            let at = self.links[link].inbound.send(segment, fin && later.is_empty(), at);
            self.at(at, Action::ArriveIn(link));
            rest = later;
            if rest.is_empty() {
                return length;
            }
        }
    }

    /// Sends bytes that arrive at once, unless something from the worker is on its way.
    /// False if it did not.
    pub fn peer_speaks_up(&mut self, link: usize, bytes: &[u8], fin: bool) -> bool {
        let state = &self.links[link];
        let quiet = state.outbound.is_empty() && state.inbound.is_empty();
        if !quiet || state.inbound.free() < bytes.len() || state.inbound.fin_sent {
            return false;
        }
        self.note(Note::PeerSent { link, length: bytes.len(), fin });
        self.links[link].inbound.send(bytes, fin, self.now);
        while self.arrive_in(link, false) {}
        true
    }

    /// Takes at most `limit` bytes that have arrived.
    pub fn peer_take(&mut self, link: usize, into: &mut Vec<u8>, limit: usize) -> usize {
        let taken = self.links[link].outbound.take_to(into, limit);
        if taken > 0 {
            self.room(link, self.links[link].outbound.roomy());
        }
        taken
    }

    pub fn peer_sees(&self, link: usize) -> End {
        let state = &self.links[link];
        match () {
            () if state.outbound.arrived() > 0 => End::Open,
            () if state.peer.reset => End::Reset,
            () if state.outbound.fin_arrived => End::Fin,
            () => End::Open,
        }
    }

    /// Sends FIN, and goes on reading.
    pub fn peer_finish(&mut self, link: usize) {
        if !self.links[link].inbound.fin_sent && !self.links[link].peer.reset {
            self.peer_send(link, &[], true);
        }
    }

    /// Closes the socket, as a process does that is done or dies: FIN if all was read, else RST.
    pub fn peer_close(&mut self, link: usize) {
        if self.links[link].peer.closed {
            return;
        }
        if self.links[link].outbound.arrived() > 0 {
            return self.peer_reset(link);
        }
        self.note(Note::PeerClosed { link });
        self.peer_finish(link);
        self.links[link].peer.closed = true;
    }

    pub fn peer_reset(&mut self, link: usize) {
        let peer = &mut self.links[link].peer;
        if !peer.closed {
            peer.closed = true;
            let reset = peer.reset;
            self.note(Note::PeerReset { link });
            if !reset {
                self.send_reset_in(link);
            }
        }
    }
}
