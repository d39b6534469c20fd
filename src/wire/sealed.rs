//! Sealed: what a socket does where a session lies between its bytes and the wire.
//!
//! * One raw read and what it leads to is a fill; one piece of `out` is a write. A token costs one of
//!   each, as on a plain connection.
//! * A read that brings no plaintext (a ticket, a part of a record) is [`Fill::Sealed`]: nobody has
//!   said anything.
//! * A FIN without `close_notify` is an error: somebody else may have cut the connection.
//! * Plaintext stays in the outbox until it is sealed, and is sealed when the wire has taken what was
//!   sealed before it. So a request that is kept is kept in plain, and goes to another server under
//!   other keys.

use std::io::{self, ErrorKind};

use crate::reactor::net::Stream;
use crate::wire::buffer::{Buffer, CAPACITY};
use crate::wire::socket::{Desk, Fill, Socket};
use crate::wire::transport::{Alert, RECORD_MAX, RECORD_OVERHEAD, Session, Transport};

/// Raw reads that an idle connection gets: who sends more tickets than that at once is not idle.
const RAW_READS_MAX: usize = 16;

/// How far one step of a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// The next move is the peer's, or the kernel's.
    Waits,
    /// More may be here: another step, in another turn.
    More,
    /// There is no buffer for a read.
    Dry,
    Done,
}

/// One raw read.
enum Raw {
    Bytes(usize),
    Fin,
    WouldBlock,
    Dry,
}

impl<S> Socket<S> {
    /// Whether a session lies between its bytes and the wire.
    #[inline]
    pub fn is_sealed(&self) -> bool {
        self.transport.is_some()
    }

    /// As [`Socket::readable`]. `SEALED`: it may have a session.
    #[inline]
    pub fn readable_as<const SEALED: bool>(&self) -> bool {
        self.ready.readable() || (SEALED && self.is_sealed() && self.has_plaintext())
    }

    /// As [`Socket::has_unsent`]. `SEALED`: it may have a session.
    #[inline]
    pub fn has_unsent_as<const SEALED: bool>(&self) -> bool {
        !self.outbox.is_empty() || (SEALED && self.is_sealed() && self.has_sealed())
    }

    /// Whether the session gives something without a read.
    #[cold]
    #[inline(never)]
    fn has_plaintext(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| transport.waits())
    }

    /// Whether sealed bytes wait to be written.
    #[cold]
    #[inline(never)]
    fn has_sealed(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| !transport.out.is_empty())
    }
}

impl<S: Stream> Socket<S> {
    /// Puts a session on a connection that was just born.
    pub fn begin_session(&mut self, session: Box<dyn Session>, desk: &mut Desk) {
        let mut transport = Box::new(Transport::new(session));
        transport.speak(&mut desk.buffers);
        self.transport = Some(transport);
    }

    /// Whether a handshake has to be finished before anything can be said.
    pub fn is_shaking_hands(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| !transport.is_established())
    }

    /// Marks it as standing in the heavy lane, if there is a step to make. Returns whether it did not
    /// stand there.
    pub fn enter_heavy_lane(&mut self) -> bool {
        let Some(transport) = &mut self.transport else { return false };
        let unsaid = self.ready.writable() && !transport.out.is_empty();
        let due = self.ready.readable() || unsaid || transport.waits();
        due && !std::mem::replace(&mut transport.queued, true)
    }

    /// One step of the handshake: says what is to be said, reads once, and answers.
    pub fn shake_hands(&mut self, desk: &mut Desk) -> io::Result<Handshake> {
        if let Some(transport) = &mut self.transport {
            transport.queued = false;
        }
        if !desk.buffers.may_read() {
            return Ok(Handshake::Dry);
        }
        self.write_out(false, desk)?;
        let read = if self.ready.readable() { self.read_raw(true, desk)? } else { Raw::WouldBlock };
        let Some(transport) = &mut self.transport else { return Ok(Handshake::Done) };
        // What comes behind the last message of the handshake has no room here, and waits.
        transport.open(&mut [], &mut desk.buffers);
        let (failure, established) = (transport.failure(), transport.is_established());
        let ended = transport.ended;
        transport.speak(&mut desk.buffers);
        self.write_out(false, desk)?;
        match (failure, read) {
            (Some(failure), _) => Err(failure),
            (None, _) if ended => Err(ErrorKind::UnexpectedEof.into()),
            (None, _) if established => Ok(Handshake::Done),
            (None, Raw::Fin) => Err(ErrorKind::UnexpectedEof.into()),
            (None, Raw::Dry) => Ok(Handshake::Dry),
            (None, Raw::Bytes(_)) if self.ready.readable() => Ok(Handshake::More),
            (None, Raw::Bytes(_) | Raw::WouldBlock) => Ok(Handshake::Waits),
        }
    }

    /// Reads once, and opens nothing: something in plain may stand in front of the handshake.
    pub fn read_unopened(&mut self, desk: &mut Desk) -> io::Result<Handshake> {
        if let Some(transport) = &mut self.transport {
            transport.queued = false;
        }
        if !desk.buffers.may_read() {
            return Ok(Handshake::Dry);
        }
        if !self.ready.readable() {
            return Ok(Handshake::Waits);
        }
        match self.read_raw(true, desk)? {
            Raw::Fin => Err(ErrorKind::UnexpectedEof.into()),
            Raw::Dry => Ok(Handshake::Dry),
            Raw::Bytes(_) if self.ready.readable() => Ok(Handshake::More),
            Raw::Bytes(_) | Raw::WouldBlock => Ok(Handshake::Waits),
        }
    }

    /// What has been read and not opened.
    pub fn unopened(&self) -> &[u8] {
        let sealed = self.transport.as_ref().and_then(|transport| transport.sealed.as_ref());
        sealed.map_or(&[], Buffer::unscanned)
    }

    /// The first `count` bytes of it are no records, and are done with.
    pub fn discard_unopened(&mut self, count: usize, desk: &mut Desk) {
        if let Some(transport) = &mut self.transport {
            transport.take(count, &mut desk.buffers);
        }
    }

    /// As [`Socket::fill`]: gives what waits already, else reads once and opens what has come.
    #[cold]
    #[inline(never)]
    pub(super) fn fill_sealed(&mut self, desk: &mut Desk) -> io::Result<Fill> {
        // Asked before a buffer is taken: who is refused waits for as many as it would have found.
        let may_take = desk.buffers.may_read();
        let mut buffer = match self.inbound.take() {
            Some(buffer) => buffer,
            None if may_take => desk.buffers.take(),
            None => return Ok(Fill::Dry),
        };
        let fill = self.fill_plain(&mut buffer, may_take, desk);
        self.inbound = Some(buffer);
        self.release_inbound(desk);
        fill
    }

    fn fill_plain(
        &mut self,
        plain: &mut Buffer,
        may_take: bool,
        desk: &mut Desk,
    ) -> io::Result<Fill> {
        if plain.room().is_empty() {
            return Ok(Fill::Full);
        }
        if let Some(fill) = self.open_into(plain, desk)? {
            return Ok(fill);
        }
        if !self.ready.readable() {
            return Ok(Fill::WouldBlock);
        }
        match self.read_raw(may_take, desk)? {
            Raw::Bytes(count) => Ok(self.open_into(plain, desk)?.unwrap_or(Fill::Sealed(count))),
            Raw::Fin => Err(ErrorKind::UnexpectedEof.into()),
            Raw::WouldBlock => Ok(Fill::WouldBlock),
            Raw::Dry => Ok(Fill::Dry),
        }
    }

    /// Opens what has been read. `None`: there is no plaintext in it.
    fn open_into(&mut self, plain: &mut Buffer, desk: &mut Desk) -> io::Result<Option<Fill>> {
        let Some(transport) = &mut self.transport else { return Ok(None) };
        let given = transport.open(plain.room(), &mut desk.buffers);
        let (failure, ended) = (transport.failure(), transport.ended);
        plain.received(given);
        // An alert, or an answer to a change of keys. If it fails, the next write tells.
        let _ = self.say(desk);
        match failure {
            _ if given > 0 => Ok(Some(Fill::Bytes(given))),
            Some(failure) => Err(failure),
            None if ended => Ok(Some(Fill::Closed)),
            None => Ok(None),
        }
    }

    /// One read from the wire, behind what is sealed already, into a buffer that it `may_take`.
    fn read_raw(&mut self, may_take: bool, desk: &mut Desk) -> io::Result<Raw> {
        let Socket { stream, ready, transport, reset, .. } = self;
        let Some(transport) = transport else { return Ok(Raw::WouldBlock) };
        let full = transport.sealed.as_mut().is_none_or(|buffer| !buffer.compact());
        if full && !may_take {
            return Ok(Raw::Dry);
        }
        let buffer = transport.sealed.get_or_insert_with(|| desk.buffers.take());
        if !desk.buffers.make_room_for_record(buffer, RECORD_MAX) {
            return Err(Alert::protocol("a record longer than any may be").into());
        }
        let room = buffer.room();
        let offered = room.len();
        let result = loop {
            desk.tally.reads.add(1);
            match stream.read(room) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        ready.after_read(offered, &result);
        let read = match result {
            Ok(0) if *reset => Err(ErrorKind::ConnectionReset.into()),
            Ok(0) => Ok(Raw::Fin),
            Ok(count) => {
                buffer.received(count);
                desk.tally.bytes_read.add(count as u64);
                Ok(Raw::Bytes(count))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                desk.tally.would_block.add(1);
                Ok(Raw::WouldBlock)
            }
            Err(error) => Err(error),
        };
        transport.release(&mut desk.buffers);
        read
    }

    /// As [`Socket::flush`]: seals what waits, as the wire takes it. `last`: nothing follows, so
    /// `close_notify` leaves with it.
    #[cold]
    #[inline(never)]
    pub(super) fn flush_sealed(
        &mut self,
        mut spliced: Option<&mut Buffer>,
        last: bool,
        desk: &mut Desk,
    ) -> io::Result<usize> {
        let mut total = 0;
        loop {
            match self.write_out(last, desk) {
                Ok(count) => total += count,
                Err(error) => {
                    self.wrote_before_failing |= total > 0;
                    return Err(error);
                }
            }
            let Some(transport) = &mut self.transport else { return Ok(total) };
            if !transport.out.is_empty() || !transport.is_established() {
                return Ok(total);
            }
            // A head and the first bytes of its body leave together.
            while transport.out.held() < CAPACITY {
                let made = self.outbox.pending();
                if !made.is_empty() {
                    let count = made.len();
                    transport.seal(made, &mut desk.buffers);
                    self.outbox.sent(count, &mut desk.buffers);
                } else if let Some(buffer) = &mut spliced
                    && !buffer.pending().is_empty()
                {
                    // One whole record in one buffer, and one write: a whole buffer of plaintext
                    // would be two of each.
                    let count = buffer.pending().len().min(CAPACITY - RECORD_OVERHEAD);
                    transport.seal(&buffer.pending()[..count], &mut desk.buffers);
                    buffer.sent(count);
                } else {
                    if last {
                        transport.close(&mut desk.buffers);
                    }
                    break;
                }
            }
            if transport.out.is_empty() {
                return Ok(total);
            }
        }
    }

    /// Writes what is sealed until all is written or the kernel has no room. Returns the bytes
    /// written. `last`: the end of `out` is the end of the connection, if `close_notify` is in it.
    fn write_out(&mut self, last: bool, desk: &mut Desk) -> io::Result<usize> {
        let Socket { stream, ready, transport, reset, .. } = self;
        let Some(transport) = transport else { return Ok(0) };
        let mut total = 0;
        while ready.writable() && !transport.out.is_empty() {
            let bytes = transport.out.pending();
            let parts = (last || transport.fin_due) && transport.is_closed();
            let result = match parts && transport.out.is_last() {
                true => stream.write_last(bytes),
                false => stream.write(bytes),
            };
            desk.tally.writes.add(1);
            ready.after_write(bytes.len(), &result);
            match result {
                Ok(count) => {
                    transport.out.sent(count, &mut desk.buffers);
                    desk.tally.bytes_written.add(count as u64);
                    total += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    desk.tally.would_block.add(1);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    *reset |= error.kind() == ErrorKind::ConnectionReset;
                    self.wrote_before_failing |= total > 0;
                    return Err(error);
                }
            }
        }
        if transport.fin_due && transport.out.is_empty() {
            transport.fin_due = false;
            stream.shutdown_write()?;
        }
        Ok(total)
    }

    /// Writes what the session has to say itself, and nothing else: whoever flushes wants to know what
    /// of its bytes has left. Behind others' bytes it waits for their flush.
    fn say(&mut self, desk: &mut Desk) -> io::Result<()> {
        let Some(transport) = &mut self.transport else { return Ok(()) };
        let behind = !transport.out.is_empty();
        transport.speak(&mut desk.buffers);
        if behind { Ok(()) } else { self.write_out(false, desk).map(drop) }
    }

    /// Sends FIN, and `close_notify` in front of it where records are sealed. What was said is whole:
    /// a connection that is cut inside its bytes gets no `close_notify`.
    pub fn shutdown_write(&mut self, desk: &mut Desk) -> io::Result<()> {
        let cut = self.has_unsent() && !self.is_shutting_down();
        if let Some(transport) = &mut self.transport
            && !cut
            && transport.is_established()
        {
            transport.close(&mut desk.buffers);
            transport.fin_due = true;
            return self.write_out(true, desk).map(drop);
        }
        self.stream.shutdown_write()
    }

    /// Says `close_notify`, if all that was said before it is out, for a connection that is dropped now:
    /// the peer then knows that nobody has cut it. What the kernel does not take at once is left unsaid.
    #[inline]
    pub fn bid_farewell(&mut self, desk: &mut Desk) {
        if self.is_sealed() {
            self.write_farewell(desk);
        }
    }

    #[cold]
    #[inline(never)]
    fn write_farewell(&mut self, desk: &mut Desk) {
        let mute = self.ready.errored() || self.has_unsent();
        if let Some(transport) = &mut self.transport
            && !mute
            && !transport.is_closed()
            && transport.is_established()
        {
            transport.close(&mut desk.buffers);
            // If it fails, so does the connection, which is over.
            let _ = self.write_out(true, desk);
        }
    }

    /// Whether a FIN waits for the kernel to take what is in front of it.
    pub fn is_shutting_down(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| transport.fin_due)
    }

    /// Goes on with that.
    pub fn go_on_shutting_down(&mut self, desk: &mut Desk) -> io::Result<()> {
        if self.is_shutting_down() { self.write_out(true, desk).map(drop) } else { Ok(()) }
    }

    /// Whether something has come that somebody has said. Records are opened to find out: a ticket
    /// says nothing. What was said is lost, so this is for connections on which nobody may speak.
    pub fn has_spoken(&mut self, desk: &mut Desk) -> bool {
        match self.transport {
            None => self.ready.readable(),
            Some(_) => self.hears(true, desk),
        }
    }

    /// What has ended its session, if that is broken.
    pub fn alert(&self) -> Option<Alert> {
        self.transport.as_ref().and_then(|transport| transport.alert())
    }

    /// Who the peer has proved to be by a certificate.
    pub fn peer(&self) -> Option<&str> {
        self.transport.as_ref().and_then(|transport| transport.peer())
    }

    /// Whether a part of a record has come, and the rest has not.
    pub fn is_inside_record(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| transport.sealed.is_some())
    }

    /// As [`Socket::has_spoken`]; reads from the wire only if it `may_read`.
    #[cold]
    #[inline(never)]
    pub(super) fn hears(&mut self, may_read: bool, desk: &mut Desk) -> bool {
        let mut heard = [0; 16];
        for _ in 0..RAW_READS_MAX {
            let Some(transport) = &mut self.transport else { return true };
            let given = transport.open(&mut heard, &mut desk.buffers);
            if given > 0 || transport.waits() || self.say(desk).is_err() {
                return true;
            }
            if !may_read || !self.ready.readable() {
                return false;
            }
            if !desk.buffers.may_read() {
                return true;
            }
            match self.read_raw(true, desk) {
                Ok(Raw::Bytes(_)) => {}
                Ok(Raw::WouldBlock) => return false,
                Ok(Raw::Fin | Raw::Dry) | Err(_) => return true,
            }
        }
        true
    }
}
