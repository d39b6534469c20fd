//! Peers: the models at the other end of the worker's connections, playing their scripts.
//!
//! * A *client* plays one [`Visit`] on one connection.
//! * A *session* is a server's side of one connection: it reads requests, and plays the answer its
//!   server gives to each, one after another.
//!
//! A peer acts when it is woken: its time has come, bytes have arrived, or there is room again. It
//! then does all it can without waiting. It never looks into the worker.
//!
//! Where connections are sealed, its script goes through a [`super::toy`] session, or a real one: what it
//! says is sealed as one piece, and what has arrived is opened before it is read.

pub(super) mod seal;
mod sealed;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use super::fabric::{Action, Fabric};
use super::message::{Message, Reader};
use super::peer_calls::End;
use super::script::{Act, Answer, Reading, Visit};
use crate::clock::Instant;
use seal::Seal;
use sealed::Sealed;

/// A request as its server sees it when the head is complete.
#[derive(Debug)]
pub struct Request<'a> {
    pub message: &'a Message,
    /// How many requests this connection has carried before.
    pub earlier: usize,
    /// Which connection of this world it is.
    pub connection: usize,
}

/// A model inference server.
pub(super) struct Server {
    pub address: SocketAddr,
    pub respond: Box<dyn FnMut(&Request<'_>) -> Answer>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.address)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Client,
    Session { server: usize },
}

/// When a request reached a server.
#[derive(Clone, Copy, Debug)]
pub struct Reached {
    pub at: Instant,
    /// Bytes the worker had read from this connection by then.
    pub read_before: u64,
}

#[derive(Debug)]
pub struct Peer {
    role: Role,
    link: Option<usize>,
    acts: VecDeque<Act>,
    /// Bytes of the current `Send` that have left, or of the tunnel that have gone back.
    sent: usize,
    /// When the current `Wait` is over.
    until: Option<Instant>,
    reading: Reading,
    read_again: Instant,
    /// What has arrived, as messages.
    pub reader: Reader,
    /// How the other side ended the connection.
    pub end: End,
    /// Nothing more will happen here.
    pub over: bool,
    /// It broke off by its own script before the other side had ended.
    pub left_first: bool,
    /// It was turned away before there was a connection.
    pub refused: bool,
    /// One entry per request, in the order of `reader.messages`. Of a session.
    pub reached: Vec<Reached>,
    /// When each answer was complete. Of a client.
    pub answered: Vec<Instant>,
    pub ended_at: Option<Instant>,
    /// It has said something that nobody asked for. Of a session.
    pub spoke_up: bool,
    /// Its connection is sealed.
    sealed: Option<Box<Sealed>>,
}

impl Peer {
    fn new(role: Role, reader: Reader, acts: Vec<Act>) -> Peer {
        Peer {
            role,
            link: None,
            acts: acts.into(),
            sent: 0,
            until: None,
            reading: Reading::Eagerly,
            read_again: Instant::ZERO,
            reader,
            end: End::Open,
            over: false,
            left_first: false,
            refused: false,
            reached: Vec::new(),
            answered: Vec::with_capacity(8),
            ended_at: None,
            spoke_up: false,
            sealed: None,
        }
    }

    /// Puts a session on its connection.
    pub(super) fn seal(&mut self, seal: Seal) {
        self.sealed = Some(Box::new(Sealed::new(seal)));
    }

    /// Whether the other side has said farewell, on a sealed connection.
    pub fn heard_farewell(&self) -> bool {
        self.sealed.as_ref().is_some_and(|sealed| sealed.seal.ended())
    }

    /// How much this peer has said in the part `from..to` of all its bytes on the wire. On a sealed
    /// connection it is counted in records, of which a ticket is none.
    pub fn said_between(&self, from: u64, to: u64) -> u64 {
        self.sealed.as_ref().map_or(to - from, |sealed| sealed.said_between(from, to))
    }

    pub(super) fn client(visit: Visit) -> Peer {
        let mut reader = Reader::of_responses();
        reader.body_room = visit.body_room;
        Peer::new(Role::Client, reader, visit.into_acts())
    }

    pub(super) fn session(server: usize, link: usize) -> Peer {
        let peer = Peer::new(Role::Session { server }, Reader::of_requests(), Vec::new());
        Peer { link: Some(link), ..peer }
    }

    pub fn is_client(&self) -> bool {
        self.role == Role::Client
    }

    /// Which server it is a connection of.
    pub fn server(&self) -> Option<usize> {
        match self.role {
            Role::Session { server } => Some(server),
            Role::Client => None,
        }
    }

    pub fn connection(&self) -> Option<usize> {
        self.link
    }

    /// Does all that can be done now.
    pub(super) fn run(&mut self, id: usize, fabric: &mut Fabric, servers: &mut [Server]) {
        if self.over {
            return;
        }
        let Some(link) = self.link.or_else(|| self.connect(id, fabric)) else {
            return;
        };
        self.receive(id, link, fabric);
        self.has_sent_all(link, fabric);
        self.take_request(link, fabric, servers);
        while !self.over && self.act(id, link, fabric) {
            self.acts.pop_front();
            (self.sent, self.until) = (0, None);
            self.take_request(link, fabric, servers);
        }
        if !self.over {
            self.mind_the_end(link, fabric);
        }
    }

    fn connect(&mut self, id: usize, fabric: &mut Fabric) -> Option<usize> {
        self.link = fabric.peer_connect(id, 0);
        if self.link.is_none() {
            (self.over, self.refused) = (true, true);
        }
        self.link
    }

    fn receive(&mut self, id: usize, link: usize, fabric: &mut Fabric) {
        let shaking = self.sealed.as_ref().is_some_and(|sealed| !sealed.seal.established());
        let limit = match self.reading {
            _ if shaking => usize::MAX,
            Reading::Eagerly => usize::MAX,
            Reading::Never => return,
            Reading::Slowly { .. } if fabric.now < self.read_again => {
                return fabric.at(self.read_again, Action::Wake(id));
            }
            Reading::Slowly { bytes, every } => {
                self.read_again = fabric.now + every;
                bytes
            }
        };
        let inbox = self.reader.inbox();
        let taken = match &mut self.sealed {
            None => fabric.peer_take(link, inbox, limit),
            Some(sealed) => sealed.take(link, inbox, limit, fabric),
        };
        if let Some(fault) = self.sealed.as_ref().and_then(|sealed| sealed.fault) {
            self.reader.fault = Some(fault.into());
        }
        if taken == limit {
            fabric.at(self.read_again, Action::Wake(id));
        }
        if taken > 0 {
            self.reader.read_on();
            while self.answered.len() < self.reader.completed() {
                self.answered.push(fabric.now);
            }
        }
        if self.end == End::Open {
            self.end = fabric.peer_sees(link);
            // Without a farewell it may be anybody's FIN.
            if self.end == End::Fin && self.sealed.as_ref().is_none_or(|it| it.seal.ended()) {
                self.reader.end();
            }
            if self.end != End::Open {
                self.ended_at = Some(fabric.now);
            }
        }
    }

    /// A session that is not busy answers the next request.
    fn take_request(&mut self, link: usize, fabric: &Fabric, servers: &mut [Server]) {
        let Role::Session { server } = self.role else {
            return;
        };
        let earlier = self.reached.len();
        if !matches!(self.acts.front(), None | Some(Act::Idle(_))) {
            return;
        }
        let Some(message) = self.reader.messages.get(earlier) else {
            return;
        };
        let read_before = fabric.links[link].inbound.taken;
        self.reached.push(Reached { at: fabric.now, read_before });
        let answer = (servers[server].respond)(&Request { message, earlier, connection: link });
        self.acts = answer.into_acts().into();
        (self.sent, self.until) = (0, None);
    }

    /// Does the first act. True if it is done.
    fn act(&mut self, id: usize, link: usize, fabric: &mut Fabric) -> bool {
        let Some(act) = self.acts.front() else {
            return false;
        };
        match act {
            Act::Send { bytes, fin } => {
                let (bytes, fin) = (Rc::clone(bytes), *fin);
                self.send(link, &bytes, fin, fabric)
            }
            Act::Unasked { bytes, fin } => {
                let inside = self.reader.is_inside_message();
                let spoken = !inside
                    && match &mut self.sealed {
                        None => fabric.peer_speaks_up(link, bytes, *fin),
                        Some(sealed) => sealed.speak_up(link, bytes, *fin, fabric),
                    };
                self.spoke_up |= spoken;
                if !spoken {
                    // A request is on its way: it is answered as if nothing had been planned.
                    self.acts.clear();
                }
                spoken
            }
            Act::Wait(duration) | Act::Idle(duration) => match self.until {
                Some(until) => fabric.now >= until,
                None => {
                    let until = fabric.now + *duration;
                    self.until = Some(until);
                    fabric.at(until, Action::Wake(id));
                    false
                }
            },
            Act::Ask(asked) => {
                self.reader.ask(*asked);
                true
            }
            Act::AwaitAnswers(count) => self.reader.completed() >= *count,
            // A final answer instead of the interim one is an answer too.
            Act::AwaitInterims(count) => {
                self.reader.interims() >= *count || self.reader.completed() > 0
            }
            Act::AwaitRequest => self.request_is_whole(),
            Act::AwaitTunnel(_) if !self.reader.in_tunnel() && self.reader.all_answered() => {
                self.acts = [Act::Close].into();
                false
            }
            Act::AwaitTunnel(count) => {
                self.reader.in_tunnel()
                    && self.reader.messages.last().is_some_and(|tunnel| tunnel.body.len() >= *count)
            }
            Act::AwaitEnd => self.end != End::Open,
            Act::Echo => self.echo(link, fabric),
            Act::Read(reading) => {
                self.reading = *reading;
                fabric.at(fabric.now, Action::Wake(id));
                true
            }
            Act::Ticket | Act::SpoiltRecord => {
                let spoilt = matches!(act, Act::SpoiltRecord);
                if let Some(sealed) = &mut self.sealed {
                    sealed.send_unasked(spoilt, link, fabric);
                }
                true
            }
            Act::Finish | Act::Close | Act::Vanish | Act::Reset => {
                let act = act.clone();
                self.end_with(&act, link, fabric)
            }
        }
    }

    /// Whether all that was said has left. What a plain peer has sent has.
    fn has_sent_all(&mut self, link: usize, fabric: &mut Fabric) -> bool {
        self.sealed.as_mut().is_none_or(|sealed| sealed.flush(link, fabric))
    }

    /// Sends bytes. True if all have left.
    fn send(&mut self, link: usize, bytes: &[u8], fin: bool, fabric: &mut Fabric) -> bool {
        match &mut self.sealed {
            None => self.sent += fabric.peer_send(link, &bytes[self.sent..], fin),
            Some(sealed) => {
                if self.sent == 0 && sealed.say(link, bytes, fin, fabric) {
                    self.sent = bytes.len();
                }
            }
        }
        self.sent == bytes.len() && self.has_sent_all(link, fabric)
    }

    /// Ends its half of the connection, or all of it, in the way of `act`. True if it goes on.
    fn end_with(&mut self, act: &Act, link: usize, fabric: &mut Fabric) -> bool {
        match (act, &mut self.sealed) {
            (Act::Finish, None) => {
                fabric.peer_finish(link);
                return true;
            }
            (Act::Finish, Some(sealed)) => {
                sealed.close();
                return sealed.flush(link, fabric);
            }
            (Act::Reset, _) => fabric.peer_reset(link),
            // A server sees to it that there is room for a farewell; a client that has had enough
            // does not wait.
            (Act::Close, Some(sealed)) => {
                sealed.close();
                if !sealed.flush(link, fabric) && self.role != Role::Client {
                    return false;
                }
                fabric.peer_close(link);
            }
            _ => fabric.peer_close(link),
        }
        self.leave();
        false
    }

    fn leave(&mut self) {
        self.over = true;
        self.left_first = self.end == End::Open;
    }

    fn request_is_whole(&self) -> bool {
        self.reached
            .len()
            .checked_sub(1)
            .and_then(|last| self.reader.messages.get(last))
            .is_some_and(|request| request.complete)
    }

    /// Sends back what has come through the tunnel. Done when the other side has finished.
    fn echo(&mut self, link: usize, fabric: &mut Fabric) -> bool {
        if !self.reader.in_tunnel() {
            self.reader.upgrade();
            self.reader.read_on();
        }
        let Some(tunnel) = self.reader.messages.last() else {
            return true;
        };
        let rest = &tunnel.body[self.sent..];
        match &mut self.sealed {
            _ if rest.is_empty() => {}
            None => self.sent += fabric.peer_send(link, rest, false),
            Some(sealed) => {
                if sealed.say(link, rest, false, fabric) {
                    self.sent += rest.len();
                }
            }
        }
        let whole = self.sent == tunnel.body.len();
        self.has_sent_all(link, fabric) && self.end != End::Open && whole
    }

    /// The other side has ended the connection: so does a peer that has nothing left to say.
    fn mind_the_end(&mut self, link: usize, fabric: &mut Fabric) {
        // A tunnel that is cut has no more to give.
        let cut = self.sealed.as_ref().is_some_and(|sealed| !sealed.seal.ended());
        let busy_tunnel = self.reader.in_tunnel() && !self.acts.is_empty() && !cut;
        match self.end {
            End::Open => return,
            End::Fin if busy_tunnel => return,
            End::Fin => fabric.peer_close(link),
            End::Reset => fabric.peer_reset(link),
        }
        self.over = true;
    }
}
