//! Relay: moves one flow of bytes from the socket it arrives on to the socket it leaves by.
//!
//! The same function serves a request on its way up and a response on its way down. Bytes are
//! written to the client from the very buffer the upstream was read into: no copy in user space.
//!
//! ```text
//!   source.inbound:  sent ── cleared ── received          sink.outbox: head, re-framed body
//!                     └ spliced ┘└ scanner ┘                            └ goes first
//! ```
//!
//! * The source is read only when everything read before has been written: back-pressure is
//!   structural, and one slow reader holds one buffer. The kernel's own hysteresis (a writable edge
//!   comes when a third of the send buffer has drained) keeps a slow client from costing a wake-up
//!   per acknowledged segment.
//! * Nothing is forwarded before the scanner has cleared it, and nothing past the end of the
//!   message ever is. Partial chunks are forwarded as they come.
//! * A frame that fits one read costs one read and one write. No probe for `WouldBlock`.

use scan::{end_by_close, keep_cleared, scan};

pub use crate::flow::budget::Budget;
pub use crate::flow::moved::{Broken, Moved, Rest};
use crate::flow::named::Named;
pub use crate::flow::watchers::{BodyWatcher, ResponseWatchers};
use crate::http::body::{Body, Framing};
use crate::reactor::net::Stream;
use crate::wire::socket::{Desk, Fill, Socket};

mod hold;
mod questions;
mod scan;

pub use hold::{HELD_MAX, Held, PRELUDE_MAX, hold, keep};

/// How the bytes of a body reach the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As they are, out of the source's buffer.
    Splice,
    /// As they are, copied into the sink's outbox and kept there: the request may be sent again.
    /// Turns into `Splice` when it holds as much as it may.
    Keep,
    /// The payload in chunks of our own: the source ends by its length, or closes its connection.
    Chunk,
    /// The payload of a request in chunks of our own, because its first chunks were joined to replace
    /// something in them. It is kept as with `Keep`.
    Rechunk,
    /// What its transform makes of the payload: it is translated.
    Transform,
    /// The payload alone: the sink reads until close, or the payload is framed later, when enough of it
    /// is here.
    Payload,
}

/// Where a flow stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowState {
    Open,
    /// All of it has been read, cleared and written.
    Done,
    /// Broken off before its end: the sink takes no more.
    Cut,
}

/// One direction of an exchange, and its watcher.
#[derive(Debug)]
#[repr(C)]
pub struct Flow<W = Named> {
    // First, because it lies beside other fields that a token touches.
    pub state: FlowState,
    pub mode: Mode,
    pub body: Body,
    pub watch: W,
}

impl Flow {
    /// A request.
    pub fn new(framing: Framing, mode: Mode) -> Flow {
        Flow { state: FlowState::Open, mode, body: Body::new(framing), watch: Named::default() }
    }
}

impl<W: BodyWatcher> Flow<W> {
    #[inline]
    pub fn is_open(&self) -> bool {
        self.state == FlowState::Open
    }
}

impl Flow<ResponseWatchers> {
    /// A response that nobody watches yet.
    pub fn of_response(framing: Framing, mode: Mode) -> Flow<ResponseWatchers> {
        let (body, watch) = (Body::of_response(framing), ResponseWatchers::default());
        Flow { state: FlowState::Open, mode, body, watch }
    }
}

/// Moves bytes of `flow` from `source` to `sink` until one of them, or the budget, says wait.
/// `length_max` bounds the payload of the message.
#[inline]
pub fn relay<A: Stream, B: Stream, W: BodyWatcher>(
    source: &mut Socket<A>,
    sink: &mut Socket<B>,
    flow: &mut Flow<W>,
    length_max: u64,
    budget: &mut Budget,
    desk: &mut Desk,
) -> Result<Moved, Broken> {
    match source.is_sealed() || sink.is_sealed() {
        false => relay_as::<false, A, B, W>(source, sink, flow, length_max, budget, desk),
        true => relay_as::<true, A, B, W>(source, sink, flow, length_max, budget, desk),
    }
}

/// `SEALED`: one of the sockets has a session. Asked once, and not at each step.
fn relay_as<const SEALED: bool, A: Stream, B: Stream, W: BodyWatcher>(
    source: &mut Socket<A>,
    sink: &mut Socket<B>,
    flow: &mut Flow<W>,
    length_max: u64,
    budget: &mut Budget,
    desk: &mut Desk,
) -> Result<Moved, Broken> {
    let mut moved = Moved { read: 0, written: 0, rest: Rest::SourceEmpty };
    loop {
        // Before the first read there is nearly always nothing left to write.
        if source.inbound.is_some() || sink.has_unsent_as::<SEALED>() {
            match scan_and_write(source, sink, flow, length_max, desk) {
                Ok(written) => moved.written += written,
                Err(broken) => {
                    sink.wrote_before_failing |= moved.written > 0;
                    return Err(broken);
                }
            }
            let waiting = sink.has_unsent_as::<SEALED>()
                || source.inbound.as_ref().is_some_and(|buffer| !buffer.pending().is_empty());
            source.release_inbound(desk);
            if waiting {
                moved.rest = Rest::SinkFull;
                return Ok(moved);
            }
        }
        if flow.is_open() && flow.body.is_complete() {
            flow.state = FlowState::Done;
        }
        moved.rest = match flow.state {
            FlowState::Open if !source.readable_as::<SEALED>() => Rest::SourceEmpty,
            FlowState::Open if budget.is_spent() => Rest::Budget,
            FlowState::Open => match source.fill_flow(budget.bytes, desk).map_err(Broken::Read)? {
                Fill::Bytes(count) => {
                    moved.read += count;
                    budget.spend(count);
                    continue;
                }
                Fill::Sealed(count) => {
                    budget.spend(count);
                    continue;
                }
                Fill::Closed => {
                    end_by_close(flow, &mut sink.outbox, desk)?;
                    continue;
                }
                Fill::WouldBlock | Fill::Full => Rest::SourceEmpty,
                Fill::Dry => Rest::dry(&desk.buffers),
            },
            FlowState::Done | FlowState::Cut => Rest::Ended,
        };
        return Ok(moved);
    }
}

/// Clears what has been read, and writes what may be written: so many bytes. In line: a call costs 50 instructions.
#[inline(always)]
fn scan_and_write<A: Stream, B: Stream, W: BodyWatcher>(
    source: &mut Socket<A>,
    sink: &mut Socket<B>,
    flow: &mut Flow<W>,
    length_max: u64,
    desk: &mut Desk,
) -> Result<usize, Broken> {
    if flow.is_open() {
        let scanned = scan(source, &mut sink.outbox, flow, desk);
        if scanned.is_err() {
            // What came before the fault is the client's; a failure to write it adds nothing.
            let _ = sink.flush(source.inbound.as_mut(), desk);
        }
        scanned?;
        keep_cleared(&mut source.inbound, &mut flow.mode, &mut sink.outbox, desk);
        if flow.body.received() > length_max {
            return Err(Broken::TooLong);
        }
    }
    let spliced = source.inbound.as_mut();
    let flushed = match flow.body.is_complete() {
        true => sink.flush_end(spliced, desk),
        false => sink.flush(spliced, desk),
    };
    flushed.map_err(Broken::Write)
}
