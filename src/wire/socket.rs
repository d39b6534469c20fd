//! Socket: one stream with its readiness and the bytes that belong to it.
//!
//! The same for both sides of an exchange. Reads, writes and shutdowns of connections happen here, and
//! in [`crate::wire::sealed`] for those that have a session, each with its count and its evidence for
//! [`Readiness`].
//!
//! * What was read and not passed on yet is in `inbound`; what we made and not written yet is in
//!   `outbox`. Both give their buffers home as soon as they are empty.
//! * Where a session seals the bytes, both are plain, and [`crate::wire::sealed`] stands between them and
//!   the wire.
//! * `WouldBlock` never leaves this module as an error.

use std::io::{self, ErrorKind, IoSlice};

use crate::measure::stats::Tally;
use crate::reactor::net::Stream;
use crate::reactor::readiness::Readiness;
use crate::wire::buffer::{Buffer, CAPACITY};
use crate::wire::buffers::BufferPool;
use crate::wire::outbox::Outbox;
use crate::wire::transport::Transport;

mod inbound;

/// Up to so many spliced bytes are copied behind bytes of ours: for about so many, that is cheaper than
/// a call that gathers both.
const JOINED_MAX: usize = 1024;

/// What every system call on a connection needs from its worker.
pub struct Desk {
    pub buffers: BufferPool,
    pub tally: Tally,
}

pub struct Socket<S> {
    pub stream: S,
    pub ready: Readiness,
    pub inbound: Option<Buffer>,
    pub outbox: Outbox,
    /// `None`: the bytes on the wire are the bytes that are read and written here.
    pub(super) transport: Option<Box<Transport>>,
    /// The connection ends behind the message that is being written.
    pub parting: bool,
    /// The last read filled a standard buffer, or more. Never, where a session reads.
    copious: bool,
    /// A write met the RST and used the error up: a read that gives 0 then is no regular end.
    pub(super) reset: bool,
    /// A write has failed behind a write that had not, in one call: the caller does not see the first.
    pub wrote_before_failing: bool,
}

/// The result of one attempt to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    Bytes(usize),
    /// So many sealed bytes, and no plaintext: a ticket, or a part of a record.
    Sealed(usize),
    /// The peer's FIN, or the end of its session.
    Closed,
    WouldBlock,
    /// There is no room in the buffer: its bytes have to be understood first.
    Full,
    /// The pool has no buffer at the moment.
    Dry,
}

impl<S> Socket<S> {
    /// Whether there may be something to read: the kernel may have bytes, or plaintext waits.
    #[inline]
    pub fn readable(&self) -> bool {
        self.readable_as::<true>()
    }

    /// Whether bytes of ours wait to be written, sealed or not.
    #[inline]
    pub fn has_unsent(&self) -> bool {
        self.has_unsent_as::<true>()
    }
}

impl<S: Stream> Socket<S> {
    pub fn new(stream: S) -> Socket<S> {
        Socket {
            stream,
            ready: Readiness::born(),
            inbound: None,
            outbox: Outbox::default(),
            transport: None,
            parting: false,
            copious: false,
            reset: false,
            wrote_before_failing: false,
        }
    }

    /// Reads once, behind what is in `inbound` already.
    pub fn fill(&mut self, desk: &mut Desk) -> io::Result<Fill> {
        if self.transport.is_some() {
            return self.fill_sealed(desk);
        }
        self.fill_with(BufferPool::take, usize::MAX, desk)
    }

    /// Reads once from a body: into a wide buffer where much comes, but about `most` bytes at most.
    pub fn fill_flow(&mut self, most: usize, desk: &mut Desk) -> io::Result<Fill> {
        match self.copious {
            true => self.fill_with(BufferPool::take_for_plenty, most.max(CAPACITY), desk),
            false => self.fill(desk),
        }
    }

    #[inline]
    fn fill_with(
        &mut self,
        take: fn(&mut BufferPool) -> Buffer,
        most: usize,
        desk: &mut Desk,
    ) -> io::Result<Fill> {
        if self.inbound.is_none() {
            if !desk.buffers.may_read() {
                return Ok(Fill::Dry);
            }
            self.inbound = Some(take(&mut desk.buffers));
        }
        let Some(buffer) = &mut self.inbound else { return Ok(Fill::Dry) };
        let offered = buffer.room().len().min(most);
        if offered == 0 {
            return Ok(Fill::Full);
        }
        let result = loop {
            desk.tally.reads.add(1);
            match self.stream.read(&mut buffer.room()[..offered]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.ready.after_read(offered, &result);
        let fill = match result {
            Ok(0) if self.reset => Err(ErrorKind::ConnectionReset.into()),
            Ok(0) => Ok(Fill::Closed),
            Ok(count) => {
                buffer.received(count);
                self.copious = count >= CAPACITY;
                desk.tally.bytes_read.add(count as u64);
                return Ok(Fill::Bytes(count));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                desk.tally.would_block.add(1);
                Ok(Fill::WouldBlock)
            }
            Err(error) => Err(error),
        };
        self.release_inbound(desk);
        fill
    }

    /// Bytes read and not understood yet.
    pub fn unscanned(&self) -> &[u8] {
        self.inbound.as_ref().map_or(&[], Buffer::unscanned)
    }

    /// Writes the outbox, then the cleared bytes of `spliced` (the other side's inbound buffer),
    /// until both are empty or the kernel has no room. Returns the bytes written; whether all went
    /// out is told by [`Socket::ready`] and the two queues.
    pub fn flush(&mut self, spliced: Option<&mut Buffer>, desk: &mut Desk) -> io::Result<usize> {
        self.flush_with(spliced, false, desk)
    }

    /// As [`Socket::flush`], for bytes that end their message. Where they are the last bytes of the
    /// connection they leave with its FIN: once all are out, the caller sends that in the same drive.
    pub fn flush_end(
        &mut self,
        spliced: Option<&mut Buffer>,
        desk: &mut Desk,
    ) -> io::Result<usize> {
        self.flush_with(spliced, self.parting, desk)
    }

    #[inline]
    fn flush_with(
        &mut self,
        mut spliced: Option<&mut Buffer>,
        last: bool,
        desk: &mut Desk,
    ) -> io::Result<usize> {
        if self.transport.is_some() {
            return self.flush_sealed(spliced, last, desk);
        }
        let mut total = 0;
        if !self.outbox.is_empty()
            && let Some(buffer) = &mut spliced
            && buffer.pending().len() <= JOINED_MAX
            && self.outbox.join(buffer.pending())
        {
            buffer.sent(buffer.pending().len());
        }
        while self.ready.writable() {
            let made = self.outbox.pending();
            let passed = spliced.as_ref().map_or(&[][..], |buffer| buffer.pending());
            let offered = made.len() + passed.len();
            if offered == 0 {
                break;
            }
            let result = if made.is_empty() || passed.is_empty() || !self.outbox.is_last() {
                let bytes = if made.is_empty() { passed } else { made };
                match last && bytes.len() == offered && self.outbox.is_last() {
                    true => self.stream.write_last(bytes),
                    false => self.stream.write(bytes),
                }
            } else {
                // A head and the first bytes of its body leave together.
                self.stream.write_vectored(&[IoSlice::new(made), IoSlice::new(passed)])
            };
            desk.tally.writes.add(1);
            // If more segments follow, only this one was offered.
            let offered = if self.outbox.is_last() { offered } else { made.len() };
            self.ready.after_write(offered, &result);
            match result {
                Ok(count) => {
                    let from_outbox = count.min(made.len());
                    self.outbox.sent(from_outbox, &mut desk.buffers);
                    if let Some(buffer) = &mut spliced {
                        buffer.sent(count - from_outbox);
                    }
                    total += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    desk.tally.would_block.add(1);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.reset |= error.kind() == ErrorKind::ConnectionReset;
                    self.wrote_before_failing |= total > 0;
                    desk.tally.bytes_written.add(total as u64);
                    return Err(error);
                }
            }
        }
        desk.tally.bytes_written.add(total as u64);
        Ok(total)
    }

    /// Whether an idle connection is silent: a peek finds neither bytes nor the end of the stream.
    /// Where records come, they are opened: what says nothing is silence.
    pub fn is_silent(&mut self, desk: &mut Desk) -> bool {
        if self.transport.is_some() && self.hears(false, desk) {
            return false;
        }
        desk.tally.peeks.add(1);
        match self.stream.peek(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.ready.nothing_to_read();
                true
            }
            Ok(1..) if self.transport.is_some() => {
                // No event has told of them yet.
                self.ready.suppose_readable();
                !self.hears(true, desk)
            }
            _ => false,
        }
    }

    /// Gives every buffer home; the stream is about to be dropped.
    pub fn give_buffers_home(&mut self, desk: &mut Desk) {
        if let Some(buffer) = self.inbound.take() {
            desk.buffers.give(buffer);
        }
        self.outbox.clear(&mut desk.buffers);
        if let Some(transport) = &mut self.transport {
            transport.give_buffers_home(&mut desk.buffers);
        }
    }
}
