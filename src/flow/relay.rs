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

pub use crate::flow::budget::Budget;
pub use crate::flow::moved::{Broken, Moved, Rest};
use crate::flow::named::Named;
use crate::flow::tap::Tap;
use crate::http::body::{Body, Framing};
use crate::http::chunk::ChunkError;
use crate::http::reply;
use crate::reactor::net::Stream;
use crate::service::{Ending, Observer, Told};
use crate::wire::buffer::Buffer;
use crate::wire::outbox::Outbox;
use crate::wire::pool::BufferPool;
use crate::wire::socket::{Desk, Fill, Socket};

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

/// Watches a body go by.
pub trait Watch {
    /// The next bytes of its payload.
    fn feed(&mut self, data: &[u8]);
    /// The body is complete by its `framing`. An error: it is not whole all the same.
    fn end(&mut self, framing: Framing) -> Result<(), Broken>;
    /// Whether the bytes that were shown must not be passed on.
    #[inline]
    fn refuses(&self) -> bool {
        false
    }
}

impl Watch for Named {
    #[inline]
    fn feed(&mut self, data: &[u8]) {
        if let Some(naming) = &mut self.0 {
            naming.feed(data);
        }
    }

    fn end(&mut self, _: Framing) -> Result<(), Broken> {
        if let Some(naming) = &mut self.0 {
            naming.end();
        }
        match self.refuses() {
            true => Err(Broken::Unfinished),
            false => Ok(()),
        }
    }

    #[inline]
    fn refuses(&self) -> bool {
        self.0.as_ref().is_some_and(|naming| naming.refuses())
    }
}

/// The watchers of a response.
#[derive(Debug, Default)]
pub struct Watched {
    /// Reads a stream of events as its client does.
    pub observer: Option<Observer>,
    /// A copy for listeners.
    pub tap: Option<Box<Tap>>,
}

impl Watch for Watched {
    #[inline]
    fn feed(&mut self, data: &[u8]) {
        if let Some(observer) = &mut self.observer {
            observer.feed(data);
        }
        if let Some(tap) = &mut self.tap {
            tap.feed(data);
        }
    }

    fn end(&mut self, framing: Framing) -> Result<(), Broken> {
        let Some(observer) = &mut self.observer else { return Ok(()) };
        match observer.end() {
            // A document that has come to its announced length is whole, whatever it looks like.
            Ending::Truncated(_)
                if matches!(framing, Framing::Length(_)) && !observer.is_stream() =>
            {
                Ok(())
            }
            Ending::Truncated(_) => Err(Broken::Unfinished),
            Ending::Whole | Ending::Failed => Ok(()),
        }
    }
}

impl Flow {
    /// A request.
    pub fn new(framing: Framing, mode: Mode) -> Flow {
        Flow { state: FlowState::Open, mode, body: Body::new(framing), watch: Named::default() }
    }
}

impl<W: Watch> Flow<W> {
    #[inline]
    pub fn is_open(&self) -> bool {
        self.state == FlowState::Open
    }
}

impl Flow<Watched> {
    /// A response that nobody watches yet.
    pub fn of_response(framing: Framing, mode: Mode) -> Flow<Watched> {
        let (body, watch) = (Body::of_response(framing), Watched::default());
        Flow { state: FlowState::Open, mode, body, watch }
    }

    /// How far it has come: data events where it is watched, bytes of payload elsewhere.
    #[inline]
    pub fn progress(&self) -> u64 {
        let events = self.watch.observer.as_ref().and_then(Observer::progress);
        events.unwrap_or(self.body.received())
    }

    /// Whether it is a stream that is whole by its own marks, in chunks that are.
    fn said_all(&self) -> bool {
        self.body.at_boundary() && self.watch.observer.as_ref().is_some_and(Observer::is_whole)
    }

    /// Whether every byte of it is progress.
    pub fn is_measured_in_bytes(&self) -> bool {
        self.watch.observer.as_ref().is_none_or(|observer| observer.progress().is_none())
    }

    /// Whether it is a stream of events that is watched.
    #[inline]
    pub fn is_stream(&self) -> bool {
        self.watch.observer.as_ref().is_some_and(Observer::is_stream)
    }
}

/// Moves bytes of `flow` from `source` to `sink` until one of them, or the budget, says wait.
/// `length_max` bounds the payload of the message.
pub fn relay<A: Stream, B: Stream, W: Watch>(
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
        if source.inbound.is_some() || sink.has_unsent() {
            match scan_and_write(source, sink, flow, length_max, desk) {
                Ok(written) => moved.written += written,
                Err(broken) => {
                    sink.wrote_before_failing |= moved.written > 0;
                    return Err(broken);
                }
            }
            let waiting = sink.has_unsent()
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
            FlowState::Open if !source.readable() => Rest::SourceEmpty,
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
                    flow.body.on_eof().map_err(|_| Broken::Truncated)?;
                    flow.watch.end(flow.body.framing())?;
                    if flow.mode == Mode::Chunk {
                        sink.outbox.push(reply::LAST_CHUNK, &mut desk.buffers);
                    }
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

/// Clears what has been read, and writes what may be written. Returns how many bytes were.
#[inline]
fn scan_and_write<A: Stream, B: Stream, W: Watch>(
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

/// What has come of a response that is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Its first event that says something is here: a part of the answer, its end, an error.
    Event,
    /// It is a document, and there is an answer in it.
    Answer,
    /// It is a document that says that the request has failed.
    Failed,
    /// As much as may be held back: it has to be passed on.
    Full,
    /// Nothing that matters yet.
    Waiting(Rest),
    /// It is complete, and no event has said anything.
    Empty,
}

/// The most payload of a document that is held back.
pub const HELD_MAX: u64 = 8 * 1024;
/// The most payload of a stream that is held back: some servers repeat the instructions and tools of
/// the request, twice, before their model begins.
pub const PRELUDE_MAX: u64 = 128 * 1024;

/// Reads a response that is held back: until its first event that says something, the first sign of an
/// answer in a document, or its end. Nothing is written, so the attempt can still be taken back. Bytes
/// that are framed anew go to `outbox`.
pub fn hold<A: Stream>(
    source: &mut Socket<A>,
    outbox: &mut Outbox,
    flow: &mut Flow<Watched>,
    budget: &mut Budget,
    desk: &mut Desk,
) -> Result<Held, Broken> {
    let observed = flow.watch.observer.is_some();
    let most = if observed { PRELUDE_MAX } else { HELD_MAX };
    loop {
        match scan(source, outbox, flow, desk) {
            // The model has said all, so that is passed on; the next read meets the fault again.
            Err(Broken::Framing(_)) if flow.said_all() => return Ok(Held::Event),
            scanned => scanned?,
        }
        if let Some(observer) = &flow.watch.observer {
            match observer.document() {
                Some(Told::Failed) => return Ok(Held::Failed),
                Some(Told::Answer) => return Ok(Held::Answer),
                Some(Told::Nothing) | None if observer.data_events() > 0 => return Ok(Held::Event),
                Some(Told::Nothing) | None => {}
            }
        }
        if flow.body.is_complete() {
            return Ok(Held::Empty);
        }
        if flow.body.received() > most {
            return Ok(Held::Full);
        }
        if !source.readable() {
            return Ok(Held::Waiting(Rest::SourceEmpty));
        }
        if budget.is_spent() {
            return Ok(Held::Waiting(Rest::Budget));
        }
        match source.fill(desk).map_err(Broken::Read)? {
            Fill::Bytes(count) | Fill::Sealed(count) => budget.spend(count),
            Fill::Closed => {
                flow.body.on_eof().map_err(|_| Broken::Truncated)?;
                flow.watch.end(flow.body.framing())?;
                if flow.mode == Mode::Chunk {
                    outbox.push(reply::LAST_CHUNK, &mut desk.buffers);
                }
                return Ok(Held::Empty);
            }
            Fill::WouldBlock => return Ok(Held::Waiting(Rest::SourceEmpty)),
            Fill::Full if observed && put_aside(source, outbox, desk) => {}
            Fill::Full => return Ok(Held::Full),
            Fill::Dry => return Ok(Held::Waiting(Rest::dry(&desk.buffers))),
        }
    }
}

/// Makes room for more of a stream that is held back: moves what was read into `outbox`, behind its
/// head. Returns whether there was memory for that.
fn put_aside<A: Stream>(source: &mut Socket<A>, outbox: &mut Outbox, desk: &mut Desk) -> bool {
    let Some(buffer) = &mut source.inbound else { return false };
    let length = buffer.pending().len();
    if length == 0 || !desk.buffers.may_keep() {
        return false;
    }
    outbox.push(buffer.pending(), &mut desk.buffers);
    buffer.sent(length);
    true
}

/// Reads a request into `outbox`, where it is kept, until as much of it is there as is `wanted`, or
/// all of it, or it is too long to be kept: then it returns [`Rest::Ended`].
pub fn keep<A: Stream>(
    source: &mut Socket<A>,
    outbox: &mut Outbox,
    flow: &mut Flow,
    wanted: impl Fn(&Flow, &Outbox, &BufferPool) -> bool,
    budget: &mut Budget,
    desk: &mut Desk,
) -> Result<Rest, Broken> {
    loop {
        scan(source, outbox, flow, desk)?;
        source.release_inbound(desk);
        let enough = flow.body.is_complete() || !outbox.keeps();
        if enough || wanted(flow, outbox, &desk.buffers) {
            return Ok(Rest::Ended);
        }
        if !source.readable() {
            return Ok(Rest::SourceEmpty);
        }
        if budget.is_spent() {
            return Ok(Rest::Budget);
        }
        match source.fill(desk).map_err(Broken::Read)? {
            Fill::Bytes(count) | Fill::Sealed(count) => budget.spend(count),
            Fill::Closed => return Err(Broken::Truncated),
            Fill::WouldBlock | Fill::Full => return Ok(Rest::SourceEmpty),
            Fill::Dry => return Ok(Rest::dry(&desk.buffers)),
        }
    }
}

/// Clears what has been read and puts it on its way.
fn scan<A: Stream, W: Watch>(
    source: &mut Socket<A>,
    outbox: &mut Outbox,
    flow: &mut Flow<W>,
    desk: &mut Desk,
) -> Result<(), Broken> {
    let Some(buffer) = &mut source.inbound else { return Ok(()) };
    let input = buffer.unscanned();
    if input.is_empty() || flow.body.is_complete() {
        return Ok(());
    }
    let Flow { body, mode, watch, .. } = flow;
    let scanned = match mode {
        Mode::Splice | Mode::Keep => body.scan(input, |data| watch.feed(data)),
        Mode::Payload => body.scan(input, |data| {
            watch.feed(data);
            outbox.push(data, &mut desk.buffers);
        }),
        Mode::Chunk | Mode::Rechunk => body.scan(input, |data| {
            watch.feed(data);
            if watch.refuses() {
                return;
            }
            let mut line = [0; reply::CHUNK_LINE_MAX];
            outbox.push(reply::chunk_line(data.len(), &mut line), &mut desk.buffers);
            outbox.push(data, &mut desk.buffers);
            outbox.push(b"\r\n", &mut desk.buffers);
        }),
    };
    let cleared = match scanned {
        Ok(cleared) => cleared,
        Err(error) => return Err(refuse(error, buffer, body, *mode)),
    };
    let ended = if body.is_complete() { watch.end(body.framing()) } else { Ok(()) };
    if watch.refuses() {
        // These bytes are neither passed on nor left in the buffer: `body` has gone past them, and
        // what is left of them would be read as the next request.
        buffer.clear(cleared);
        buffer.sent(buffer.pending().len());
        return Err(Broken::Unfinished);
    }
    if let Err(unfinished) = ended {
        return Err(hold_end_back(unfinished, cleared, buffer, body, *mode));
    }
    if *mode == Mode::Chunk && matches!(body.framing(), Framing::Length(_)) && body.is_complete() {
        outbox.push(reply::LAST_CHUNK, &mut desk.buffers);
    }
    match mode {
        Mode::Splice => buffer.clear(cleared),
        Mode::Payload | Mode::Chunk => buffer.discard(cleared),
        Mode::Rechunk => {
            buffer.discard(cleared);
            if body.is_complete() {
                outbox.push(reply::LAST_CHUNK, &mut desk.buffers);
            }
            if !outbox.may_keep(0) || !desk.buffers.may_keep() {
                outbox.forget(&mut desk.buffers);
            }
        }
        Mode::Keep => {
            if outbox.may_keep(cleared) && desk.buffers.may_keep() {
                outbox.push(&input[..cleared], &mut desk.buffers);
                buffer.discard(cleared);
            } else {
                outbox.forget(&mut desk.buffers);
                *mode = Mode::Splice;
                buffer.clear(cleared);
            }
        }
    }
    Ok(())
}

/// Passes on what is whole of the bytes that were refused.
#[cold]
fn refuse(error: ChunkError, buffer: &mut Buffer, body: &Body, mode: Mode) -> Broken {
    // The sink gets what was shown to the watchers, or they would count more than it has.
    if mode == Mode::Splice {
        buffer.clear(body.whole_before_refusal());
    }
    Broken::Framing(error)
}

/// Passes on what has come of a body. Its end is held back, so that no client takes it for whole.
#[cold]
fn hold_end_back(
    unfinished: Broken,
    cleared: usize,
    buffer: &mut Buffer,
    body: &Body,
    mode: Mode,
) -> Broken {
    let passed = cleared - (body.tail().length as usize).min(cleared);
    match mode {
        Mode::Splice | Mode::Keep => buffer.clear(passed),
        Mode::Payload | Mode::Chunk | Mode::Rechunk => buffer.discard(passed),
    }
    unfinished
}
