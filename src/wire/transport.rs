//! Transport: what lies between the bytes of a connection and the bytes on its wire.
//!
//! ```text
//!   inbound  ◀── plain ── open ◀── sealed ◀── read      Stream, Readiness
//!   outbox   ─── plain ── seal ──▶ out ─────▶ write
//! ```
//!
//! A [`Session`] seals and opens; the real one is TLS. It does no I/O, knows no socket and reads no
//! clock. A [`Transport`] is a session with the bytes it works on: [`crate::wire::socket::Socket`]
//! reads them and writes them. A plain connection has none, and pays a compare.
//!
//! * Readiness goes on judging raw reads: the session lies above the stream.
//! * Plaintext may wait where no edge will tell of it: [`Transport::waits`] does.
//! * What is wrong is told behind what was right: all plaintext in front of it is given first.
//! * No more is sealed before the wire has taken what was: one record, or a few, wait in `out`.

use std::fmt;
use std::io::{self, ErrorKind};

use crate::wire::buffer::{Buffer, CAPACITY};
use crate::wire::buffers::BufferPool;
use crate::wire::outbox::Outbox;

/// The longest record that is taken: TLS has up to 16 KiB of text and what is around it.
pub const RECORD_MAX: usize = 2 * CAPACITY;

/// What a record that a session makes may be longer than the plaintext in it: header, nonce, tag, type, and
/// what the session has to say in front of it.
pub const RECORD_OVERHEAD: usize = 128;

/// What ends a session: a record that cannot be opened, an alert, a certificate that is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    pub cause: AlertCause,
    /// One clause, for the log and for clients: "the certificate has expired".
    pub why: &'static str,
}

/// What of the peer is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertCause {
    /// Its certificate is not valid any more, or not yet.
    Expired,
    /// Its certificate is for another name.
    WrongName,
    /// Nobody whom we believe has signed its certificate.
    UnknownIssuer,
    /// Its certificate is not good for another reason.
    BadCertificate,
    /// It does not accept our certificate, or wants one: whatever was sent, it has heard nothing.
    RefusedUs,
    /// What it says is no record, not the record that may come here, or an alert.
    Protocol,
}

impl Alert {
    /// Of bytes that are no records, or not those that may come here.
    pub const fn protocol(why: &'static str) -> Alert {
        Alert { cause: AlertCause::Protocol, why }
    }
}

impl From<Alert> for io::Error {
    fn from(alert: Alert) -> io::Error {
        io::Error::new(ErrorKind::InvalidData, alert.why)
    }
}

/// What one call of [`Session::open`] came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsealed {
    /// Sealed bytes that are done with.
    pub taken: usize,
    /// Bytes of plaintext that were given.
    pub given: usize,
    /// Another call may give more without another byte from the wire, if it has room.
    pub more: bool,
    /// The peer has said that no more will come (`close_notify`).
    pub ended: bool,
}

/// One side of a session, client or server. Bytes in, bytes out.
pub trait Session {
    /// Opens what lies at the front of `sealed`, and puts plaintext at the front of `plain`. The
    /// session may work in `sealed`: what it does not take it is shown again, with more behind it.
    /// Plaintext that finds no room is given by the next call, and `more` says so. An error ends the
    /// session; what lies in front of it has been given by an earlier call.
    fn open(&mut self, sealed: &mut [u8], plain: &mut [u8]) -> Result<Unsealed, Alert>;

    /// Seals all of `plain`. The session is established, and not closed.
    fn seal(&mut self, plain: &[u8], into: &mut Wire<'_>);

    /// Puts out what the session itself has to say: its part of the handshake, an alert.
    fn speak(&mut self, into: &mut Wire<'_>);

    /// Says that no more will come (`close_notify`): called once, behind the last plaintext.
    fn close(&mut self, into: &mut Wire<'_>);

    /// Whether the handshake is over: plaintext can be sealed and opened.
    fn is_established(&self) -> bool;

    /// Who the peer has proved to be by a certificate, once the handshake is over.
    fn peer(&self) -> Option<&str> {
        None
    }
}

/// Makes sessions for the connections that clients open. Shared by all workers, and part of a
/// configuration: another configuration has another one.
pub trait Acceptor: fmt::Debug + Send + Sync {
    fn accept(&self) -> Box<dyn Session>;
}

/// Makes sessions for connections to one server, under one identity.
pub trait Dialer: fmt::Debug + Send + Sync {
    fn dial(&self) -> Box<dyn Session>;
}

/// Makes all sessions of a worker in place of its configuration: those of a simulation. `None`: the
/// connection is plain.
pub trait Sessions {
    /// For a connection that a client has opened.
    fn accept(&mut self) -> Option<Box<dyn Session>>;
    /// For a connection to a server.
    fn connect(&mut self) -> Option<Box<dyn Session>>;
}

/// Where the sessions of a worker come from.
pub struct Sealing {
    /// In place of those of the configuration.
    own: Option<Box<dyn Sessions + Send>>,
    /// Some connection has had a session.
    is_on: bool,
}

impl Sealing {
    pub fn new(own: Option<Box<dyn Sessions + Send>>) -> Sealing {
        Sealing { is_on: own.is_some(), own }
    }

    /// Whether any connection may be sealed.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// For a connection that a client has opened, at a listener with this acceptor.
    pub fn accept(&mut self, acceptor: Option<&dyn Acceptor>) -> Option<Box<dyn Session>> {
        if let Some(own) = &mut self.own {
            return own.accept();
        }
        let session = acceptor?.accept();
        self.is_on = true;
        Some(session)
    }

    /// For a connection to a server that is dialled like this.
    pub fn connect(&mut self, dialer: Option<&dyn Dialer>) -> Option<Box<dyn Session>> {
        if let Some(own) = &mut self.own {
            return own.connect();
        }
        let session = dialer?.dial();
        self.is_on = true;
        Some(session)
    }
}

/// Where a session puts sealed bytes.
pub struct Wire<'a> {
    out: &'a mut Outbox,
    pool: &'a mut BufferPool,
}

impl Wire<'_> {
    pub fn push(&mut self, sealed: &[u8]) {
        self.out.push(sealed, self.pool);
    }

    /// Room for a record of up to [`CAPACITY`] bytes, behind what was put out before. A session that
    /// seals into it, and not into memory of its own, saves a copy.
    pub fn room(&mut self, at_least: usize) -> &mut [u8] {
        self.out.room(at_least, self.pool)
    }

    /// So many bytes of the room that was just given are a record, or some.
    pub fn made(&mut self, count: usize) {
        self.out.made(count);
    }
}

/// What a session puts out in this call: for peers of a simulation and for tests, which have no outbox.
pub fn put_out(call: impl FnOnce(&mut Wire<'_>)) -> Vec<u8> {
    let (mut out, mut pool) = (Outbox::default(), BufferPool::new(1 << 22));
    call(&mut Wire { out: &mut out, pool: &mut pool });
    out.pieces().flatten().copied().collect()
}

/// A session, and the sealed bytes on both sides of it.
pub struct Transport {
    session: Box<dyn Session>,
    /// Read and not opened: a part of a record, or records whose plaintext found no room.
    pub(super) sealed: Option<Buffer>,
    /// Sealed and not written.
    pub(super) out: Outbox,
    /// Plaintext may be had without another read.
    more: bool,
    /// The peer's `close_notify` has been opened.
    pub(super) ended: bool,
    /// Ours has been sealed.
    closed: bool,
    /// FIN follows when `out` is written.
    pub(super) fin_due: bool,
    failed: Option<Alert>,
    /// It stands in the heavy lane.
    pub(super) queued: bool,
}

impl Transport {
    pub(super) fn new(session: Box<dyn Session>) -> Transport {
        Transport {
            session,
            sealed: None,
            out: Outbox::default(),
            more: false,
            ended: false,
            closed: false,
            fin_due: false,
            failed: None,
            queued: false,
        }
    }

    pub(super) fn is_established(&self) -> bool {
        self.session.is_established()
    }

    /// Whether a read gives something that no edge will tell of: plaintext, the end, an error.
    pub(super) fn waits(&self) -> bool {
        self.more || self.ended || self.failed.is_some()
    }

    /// Opens what has been read, as far as there is room in `plain`. Returns the bytes given.
    pub(super) fn open(&mut self, plain: &mut [u8], pool: &mut BufferPool) -> usize {
        let mut all = 0;
        while !self.ended && self.failed.is_none() {
            let sealed = self.sealed.as_mut().map_or(&mut [][..], Buffer::unscanned_mut);
            match self.session.open(sealed, &mut plain[all..]) {
                Ok(Unsealed { taken, given, more, ended }) => {
                    self.take(taken, pool);
                    (self.more, self.ended) = (more, ended);
                    all += given;
                    // Without room for it, more can wait for ever.
                    if !more || (taken == 0 && given == 0) {
                        break;
                    }
                }
                Err(alert) => {
                    (self.more, self.failed) = (false, Some(alert));
                }
            }
        }
        all
    }

    /// The first `count` sealed bytes are done with. An empty buffer goes home.
    pub(super) fn take(&mut self, count: usize, pool: &mut BufferPool) {
        if let Some(buffer) = &mut self.sealed {
            buffer.discard(count);
        }
        self.release(pool);
    }

    /// Gives the buffer of sealed bytes home, if it is empty.
    pub(super) fn release(&mut self, pool: &mut BufferPool) {
        if self.sealed.as_ref().is_some_and(Buffer::is_empty)
            && let Some(buffer) = self.sealed.take()
        {
            pool.give(buffer);
        }
    }

    /// Has the session say what it has to say itself.
    pub(super) fn speak(&mut self, pool: &mut BufferPool) {
        self.session.speak(&mut Wire { out: &mut self.out, pool });
    }

    pub(super) fn seal(&mut self, plain: &[u8], pool: &mut BufferPool) {
        debug_assert!(!self.closed, "nothing follows a close_notify");
        self.session.seal(plain, &mut Wire { out: &mut self.out, pool });
    }

    /// Seals `close_notify`, once, if the handshake has come so far.
    pub(super) fn close(&mut self, pool: &mut BufferPool) {
        if self.session.is_established() && !std::mem::replace(&mut self.closed, true) {
            self.session.close(&mut Wire { out: &mut self.out, pool });
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Why nothing more can be opened, if it is an error.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.failed.map(io::Error::from)
    }

    pub(super) fn alert(&self) -> Option<Alert> {
        self.failed
    }

    pub(super) fn peer(&self) -> Option<&str> {
        self.session.peer()
    }

    /// Gives every buffer home.
    pub(super) fn give_buffers_home(&mut self, pool: &mut BufferPool) {
        if let Some(buffer) = self.sealed.take() {
            pool.give(buffer);
        }
        self.out.clear(pool);
    }
}
