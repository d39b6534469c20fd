//! One connection: a pipe each way, and what either end knows of it.
//!
//! The worker's end follows Linux as an edge-triggered epoll shows it:
//!
//! * *readable* is raised when bytes or a FIN arrive, and at registration if some are there.
//! * *writable* is raised at registration, and then only after a write has been turned away and
//!   room has come back (`turned_away` is the kernel's SOCK_NOSPACE).
//! * A FIN raises readable and read-closed; one that comes behind bytes raises no second edge.
//! * A RST raises everything. Bytes that arrived before it can still be read; then the error is
//!   told once; then reads give 0 and writes fail with EPIPE.
//! * Edges of one socket between two polls are one event.

use std::fmt;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::ops::{BitOr, BitOrAssign};

use super::pipe::Pipe;
use crate::reactor::token::Token;

/// The four facts an event may carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bits(u8);

impl Bits {
    pub const NONE: Bits = Bits(0);
    pub const READABLE: Bits = Bits(1);
    pub const WRITABLE: Bits = Bits(2);
    pub const READ_CLOSED: Bits = Bits(4);
    pub const ERRORED: Bits = Bits(8);
    pub const ALL: Bits = Bits(15);

    pub fn contains(self, other: Bits) -> bool {
        self.0 & other.0 == other.0
    }

    fn when(self, condition: bool) -> Bits {
        if condition { self } else { Bits::NONE }
    }
}

impl BitOr for Bits {
    type Output = Bits;
    fn bitor(self, other: Bits) -> Bits {
        Bits(self.0 | other.0)
    }
}

impl BitOrAssign for Bits {
    fn bitor_assign(&mut self, other: Bits) {
        self.0 |= other.0;
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Bits::READABLE, "readable"),
            (Bits::WRITABLE, "writable"),
            (Bits::READ_CLOSED, "read-closed"),
            (Bits::ERRORED, "errored"),
        ];
        let told = names.iter().filter(|(bit, _)| self.contains(*bit)).map(|(_, name)| *name);
        f.write_str(&told.collect::<Vec<_>>().join("+"))
    }
}

/// Where the worker's end of a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The client has connected; the worker has not accepted.
    Backlog,
    /// The worker has connected; the server has not answered.
    Connecting,
    Open,
    /// The worker has dropped its stream, or never took it.
    Dropped,
}

#[derive(Debug)]
pub(super) struct WorkerEnd {
    pub phase: Phase,
    pub token: Option<Token>,
    /// What has changed since the last event.
    pub news: Bits,
    /// On the list of sockets with news.
    pub listed: bool,
    /// A write was turned away: the next room is worth an edge.
    pub turned_away: bool,
    /// Told by the next call, and then no more.
    pub error: Option<ErrorKind>,
    /// RST or refusal: nothing will come and nothing can go.
    pub gone: bool,
    /// The worker has been told of the FIN, so it will read on until the end.
    pub told_read_closed: bool,
    pub reset_on_drop: bool,
}

#[derive(Debug)]
pub(super) struct PeerEnd {
    /// Which model acts here; none before a server has been told of the connection.
    pub peer: Option<usize>,
    /// The process has closed its socket: what still arrives is answered with a RST.
    pub closed: bool,
    pub reset: bool,
    /// It had more to send than there was room.
    pub blocked: bool,
}

#[derive(Debug)]
pub(super) struct Link {
    /// From the peer to the worker.
    pub inbound: Pipe,
    pub outbound: Pipe,
    pub worker: WorkerEnd,
    pub peer: PeerEnd,
    /// The peer's address.
    pub address: SocketAddr,
}

impl Link {
    pub fn new(address: SocketAddr, phase: Phase, capacity: (usize, usize)) -> Link {
        Link {
            inbound: Pipe::new(capacity.0),
            outbound: Pipe::new(capacity.1),
            worker: WorkerEnd {
                phase,
                token: None,
                news: Bits::NONE,
                listed: false,
                turned_away: false,
                error: None,
                gone: false,
                told_read_closed: false,
                reset_on_drop: false,
            },
            peer: PeerEnd { peer: None, closed: false, reset: false, blocked: false },
            address,
        }
    }

    /// All that is true of the worker's socket now: what epoll reports once an edge made it look.
    pub fn state(&self) -> Bits {
        let worker = &self.worker;
        let writable = worker.phase == Phase::Open && self.outbound.roomy();
        let closed = self.inbound.fin_arrived || worker.gone;
        Bits::READABLE.when(self.inbound.arrived() > 0 || closed)
            | Bits::WRITABLE.when(writable || worker.gone)
            | Bits::READ_CLOSED.when(closed)
            | Bits::ERRORED.when(worker.error.is_some())
    }

    /// The connection is lost, for `reason`.
    pub fn break_off(&mut self, reason: ErrorKind) {
        self.inbound.lose(0);
        self.worker.error = Some(reason);
        self.worker.gone = true;
    }

    /// What a read says when no bytes have arrived. A FIN that came before a RST is still the end,
    /// and not an error (linux: net/ipv4/tcp.c, tcp_recvmsg_locked looks at SOCK_DONE first).
    pub fn read_nothing(&mut self) -> Result<usize> {
        if self.inbound.fin_arrived {
            return Ok(0);
        }
        if let Some(kind) = self.worker.error.take() {
            return Err(Error::from(kind));
        }
        if self.worker.gone { Ok(0) } else { Err(Error::from(ErrorKind::WouldBlock)) }
    }

    /// Why a write cannot even be tried.
    pub fn write_refused(&mut self) -> Option<ErrorKind> {
        if self.worker.phase == Phase::Connecting && !self.worker.gone {
            self.worker.turned_away = true;
            return Some(ErrorKind::WouldBlock);
        }
        if let Some(kind) = self.worker.error.take() {
            return Some(kind);
        }
        (self.worker.gone || self.outbound.fin_sent).then_some(ErrorKind::BrokenPipe)
    }
}
