//! The TLS session of one connection: rustls behind [`Session`].
//!
//! The unbuffered interface of rustls is used: records are opened where they lie in our buffer, and
//! sealed into our outbox. The buffered interface would copy what was read into a buffer of its own
//! first, and what is sealed into a queue of its own behind.
//!
//! ```text
//!   open    sealed ── process ──▶ record ──▶ plain       what finds no room there waits in `rest`
//!   seal    plain  ── encrypt ──▶ the room of the outbox
//!   speak   own ────────────────▶ outbox                 handshake, tickets, alerts, answers to KeyUpdate
//! ```
//!
//! * Records leave in the order in which they were sealed: `own` goes in front of whatever is sealed
//!   next, since their numbers are part of the seal.
//! * rustls keeps no copy of a handshake message that has come in part: it wants to be shown the part
//!   again. Such a part is taken into `held`, so that sealing, which has no sealed bytes to show, can show
//!   it too, and a message may be longer than the buffer.
//! * Nothing here panics on what a peer sends.
//!
//! Absent on purpose: early data. What a client sends in it can be replayed by whoever recorded it.

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, UnbufferedStatus, WriteTraffic};
use rustls::{CommonState, Error};

use super::certificate;
use super::failure::{alert_of, reply_to_plain_http};
use crate::wire::transport::{Alert, RECORD_OVERHEAD, Session, Unsealed, Wire};

/// The most plaintext of one record.
const FRAGMENT_MAX: usize = 16 * 1024;
/// A record header: type, version, length.
const RECORD_HEADER: usize = 5;
/// Room of a whole buffer.
const BUFFER: usize = crate::wire::buffer::CAPACITY;
/// More of a handshake message than this is not held: rustls refuses longer ones too.
const HELD_MAX: usize = 80 * 1024;
/// The same of a client whose handshake is over: a KeyUpdate, cut as fine as it may be, is shorter. Handshakes
/// are few at once, and connections many.
const HELD_BY_CLIENT_MAX: usize = 512;

/// One side of a connection, as rustls has it.
pub(super) trait Engine: 'static {
    type Data;
    fn process<'c, 'i>(&'c mut self, sealed: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn common(&self) -> &CommonState;
    /// The side that answers plain HTTP in place of a first record, and asks for certificates.
    const IS_SERVER: bool;
}

impl Engine for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    const IS_SERVER: bool = true;

    fn process<'c, 'i>(&'c mut self, sealed: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(sealed)
    }

    fn common(&self) -> &CommonState {
        self
    }
}

impl Engine for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    const IS_SERVER: bool = false;

    fn process<'c, 'i>(&'c mut self, sealed: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(sealed)
    }

    fn common(&self) -> &CommonState {
        self
    }
}

/// One side of a TLS session.
pub(super) struct TlsSession<E> {
    engine: E,
    /// Said by the session itself, and not put out yet.
    own: Vec<u8>,
    /// Plaintext of the last record that found no room, from `given` on.
    rest: Vec<u8>,
    given: usize,
    /// A handshake message of which a part is here.
    held: Vec<u8>,
    /// Something was read.
    begun: bool,
    established: bool,
    ended: bool,
    failed: Option<Alert>,
    peer: Option<Box<str>>,
}

/// What one look at sealed bytes came to.
enum Seen {
    /// A record of plaintext, of which so much was given.
    Plain(usize),
    Ended,
    Nothing,
}

/// Whether there is a whole record at the front.
fn has_record(sealed: &[u8]) -> bool {
    let Some(&[_, _, _, high, low]) = sealed.first_chunk::<RECORD_HEADER>() else { return false };
    sealed.len() >= RECORD_HEADER + usize::from(u16::from_be_bytes([high, low]))
}

impl<E: Engine> TlsSession<E> {
    pub(super) fn new(engine: E) -> TlsSession<E> {
        let mut session = TlsSession {
            engine,
            own: Vec::new(),
            rest: Vec::new(),
            given: 0,
            held: Vec::new(),
            begun: false,
            established: false,
            ended: false,
            failed: None,
            peer: None,
        };
        // A client begins.
        let _ = session.look(&mut [], &mut []);
        session
    }

    /// Looks at sealed bytes until there is plaintext, an end or nothing more in them. Returns how many of
    /// them are done with.
    fn look(&mut self, sealed: &mut [u8], plain: &mut [u8]) -> (usize, Result<Seen, Alert>) {
        let mut taken = 0;
        let seen = loop {
            let UnbufferedStatus { discard, state } = self.engine.process(&mut sealed[taken..]);
            let seen = match state {
                Ok(ConnectionState::EncodeTlsData(mut message)) => {
                    encode(&mut self.own, |room| message.encode(room).ok());
                    None
                }
                Ok(ConnectionState::TransmitTlsData(message)) => {
                    message.done();
                    None
                }
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    let mut given = 0;
                    while let Some(Ok(record)) = traffic.next_record() {
                        let fits = record.payload.len().min(plain.len() - given);
                        let (now, later) = record.payload.split_at(fits);
                        plain[given..given + fits].copy_from_slice(now);
                        self.rest.extend_from_slice(later);
                        given += fits;
                    }
                    Some(Ok(Seen::Plain(given)))
                }
                // It is never offered, so a client that sends some is refused by rustls.
                Ok(ConnectionState::ReadEarlyData(_)) => {
                    Some(Err(Alert::protocol("early data, which was not offered")))
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Some(Ok(Seen::Ended)),
                Ok(_) => Some(Ok(Seen::Nothing)),
                Err(error) => Some(Err(alert_of(&error))),
            };
            taken += discard;
            if let Some(seen) = seen {
                break seen;
            }
        };
        if seen.is_err() {
            self.take_alert();
        }
        (taken, seen)
    }

    /// The alert that rustls has made of an error is our last word.
    fn take_alert(&mut self) {
        while self.engine.common().wants_write() {
            // What waits to be encoded comes before any look at the input.
            let UnbufferedStatus { state, .. } = self.engine.process(&mut []);
            let Ok(ConnectionState::EncodeTlsData(mut message)) = state else { return };
            encode(&mut self.own, |room| message.encode(room).ok());
        }
    }

    fn note_establishment(&mut self) {
        self.established = !self.engine.common().is_handshaking();
        if self.established {
            let chain = self.engine.common().peer_certificates();
            let first = chain.and_then(|chain| chain.first()).filter(|_| E::IS_SERVER);
            self.peer = first.and_then(|first| certificate::identity(first));
        }
    }

    /// Gives what found no room before.
    fn give_rest(&mut self, plain: &mut [u8], more_behind: bool) -> Unsealed {
        let rest = &self.rest[self.given..];
        let fits = rest.len().min(plain.len());
        plain[..fits].copy_from_slice(&rest[..fits]);
        self.given += fits;
        let left = self.given < self.rest.len();
        if !left {
            (self.rest, self.given) = (Vec::new(), 0);
        }
        Unsealed { taken: 0, given: fits, more: left || more_behind, ended: false }
    }

    /// Seals one piece into the room of the outbox. Returns how much of `plain` that was; 0: nothing more
    /// can be sealed.
    fn seal_piece(&mut self, plain: &[u8], into: &mut Wire<'_>) -> usize {
        let wanted = (plain.len() + RECORD_OVERHEAD).min(BUFFER);
        let room = into.room(wanted);
        let piece = plain.len().min(room.len() - RECORD_OVERHEAD).min(FRAGMENT_MAX);
        let sealed = self.with_traffic(|traffic| traffic.encrypt(&plain[..piece], room).ok());
        into.made(sealed.unwrap_or(0));
        if sealed.is_none() {
            // The keys have sealed as much as they may (TLS 1.2): rustls lets nothing follow.
            self.failed = Some(Alert::protocol("no more can be sealed with these keys"));
            return 0;
        }
        piece
    }

    /// Has something sealed. `None`: the session is not so far, or over.
    fn with_traffic<T>(
        &mut self,
        seal: impl FnOnce(&mut WriteTraffic<'_, E::Data>) -> Option<T>,
    ) -> Option<T> {
        loop {
            let UnbufferedStatus { state, .. } = self.engine.process(&mut self.held);
            match state.ok()? {
                ConnectionState::WriteTraffic(mut traffic) => return seal(&mut traffic),
                // What was encoded is in `own`, and that has been put out.
                ConnectionState::TransmitTlsData(message) => message.done(),
                _ => return None,
            }
        }
    }

    fn put_own(&mut self, into: &mut Wire<'_>) {
        if !self.own.is_empty() {
            into.push(&self.own);
            self.own = Vec::new();
        }
    }
}

/// Appends what rustls encodes, whatever room it wants.
fn encode(own: &mut Vec<u8>, mut into: impl FnMut(&mut [u8]) -> Option<usize>) {
    let start = own.len();
    let mut room = 1024;
    loop {
        own.resize(start + room, 0);
        if let Some(count) = into(&mut own[start..]) {
            own.truncate(start + count);
            return;
        }
        if room > 1 << 20 {
            own.truncate(start);
            return;
        }
        room *= 4;
    }
}

impl<E: Engine> Session for TlsSession<E> {
    fn open(&mut self, sealed: &mut [u8], plain: &mut [u8]) -> Result<Unsealed, Alert> {
        if let Some(alert) = self.failed {
            return Err(alert);
        }
        if !self.rest.is_empty() {
            return Ok(self.give_rest(plain, has_record(sealed)));
        }
        if self.ended {
            return Ok(Unsealed { taken: sealed.len(), ended: true, ..Unsealed::default() });
        }
        if !self.begun && !sealed.is_empty() {
            self.begun = true;
            if E::IS_SERVER && sealed[0].is_ascii_uppercase() {
                self.own.extend_from_slice(reply_to_plain_http());
                let alert = Alert::protocol("plain HTTP on a TLS port");
                self.failed = Some(alert);
                return Err(alert);
            }
        }
        let (taken, seen) = if self.held.is_empty() {
            self.look(sealed, plain)
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(sealed);
            let (done, seen) = self.look(&mut held, plain);
            held.drain(..done);
            self.held = held;
            (sealed.len(), seen)
        };
        if !self.established {
            self.note_establishment();
        }
        let behind = &mut sealed[taken..];
        match seen {
            Ok(Seen::Plain(given)) => {
                let more = !self.rest.is_empty() || has_record(behind) || has_record(&self.held);
                Ok(Unsealed { taken, given, more, ended: false })
            }
            Ok(Seen::Ended) => {
                self.ended = true;
                Ok(Unsealed { taken: sealed.len(), ended: true, ..Unsealed::default() })
            }
            Ok(Seen::Nothing) => {
                let mut taken = taken;
                if has_record(behind) {
                    // Seen, and not done with: a part of a message.
                    self.held.extend_from_slice(behind);
                    taken = sealed.len();
                }
                let most =
                    if E::IS_SERVER && self.established { HELD_BY_CLIENT_MAX } else { HELD_MAX };
                if self.held.len() > most {
                    let alert = Alert::protocol("a handshake message longer than any may be");
                    self.failed = Some(alert);
                    return Err(alert);
                }
                Ok(Unsealed { taken, ..Unsealed::default() })
            }
            Err(alert) => {
                self.failed = Some(alert);
                Err(alert)
            }
        }
    }

    fn seal(&mut self, plain: &[u8], into: &mut Wire<'_>) {
        self.put_own(into);
        let mut rest = plain;
        while !rest.is_empty() && self.failed.is_none() {
            let count = self.seal_piece(rest, into);
            rest = &rest[count..];
        }
    }

    fn speak(&mut self, into: &mut Wire<'_>) {
        self.put_own(into);
    }

    fn close(&mut self, into: &mut Wire<'_>) {
        self.put_own(into);
        // What has failed has had its last word, and is not to be shown bytes any more.
        if self.failed.is_some() || !self.established {
            return;
        }
        let room = into.room(RECORD_OVERHEAD);
        let sealed = self.with_traffic(|traffic| traffic.queue_close_notify(room).ok());
        into.made(sealed.unwrap_or(0));
    }

    fn is_established(&self) -> bool {
        self.established
    }

    fn peer(&self) -> Option<&str> {
        self.peer.as_deref()
    }
}

/// A session that could not be begun: it says so as soon as it is asked.
pub(super) struct StillbornSession(Alert);

impl StillbornSession {
    pub(super) fn new(error: &Error) -> StillbornSession {
        StillbornSession(alert_of(error))
    }
}

impl Session for StillbornSession {
    fn open(&mut self, _: &mut [u8], _: &mut [u8]) -> Result<Unsealed, Alert> {
        Err(self.0)
    }

    fn seal(&mut self, _: &[u8], _: &mut Wire<'_>) {}

    fn speak(&mut self, _: &mut Wire<'_>) {}

    fn close(&mut self, _: &mut Wire<'_>) {}

    fn is_established(&self) -> bool {
        false
    }
}
