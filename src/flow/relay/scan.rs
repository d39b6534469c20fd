//! Clearing: bytes that were read are shown to the scanner and the watchers, and go their way by the
//! mode of their flow.

use super::{Broken, Flow, Mode};
use crate::flow::watchers::BodyWatcher;
use crate::http::body::{Body, Framing};
use crate::http::chunk::ChunkError;
use crate::http::reply;
use crate::reactor::net::Stream;
use crate::wire::buffer::Buffer;
use crate::wire::outbox::Outbox;
use crate::wire::socket::{Desk, Socket};

/// Clears what has been read and puts it on its way; what is to be kept waits for [`keep_cleared`].
pub(super) fn scan<A: Stream, W: BodyWatcher>(
    source: &mut Socket<A>,
    outbox: &mut Outbox,
    flow: &mut Flow<W>,
    desk: &mut Desk,
) -> Result<(), Broken> {
    let Some(buffer) = &mut source.inbound else { return Ok(()) };
    let (input, Flow { body, mode, watch, .. }) = (buffer.unscanned(), flow);
    if input.is_empty() || body.is_complete() {
        return Ok(());
    }
    let scanned = match mode {
        Mode::Transform => return scan_transformed(buffer, outbox, (body, watch), desk),
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
        return Err(watch.refusal());
    }
    if let Err(unfinished) = ended {
        return Err(hold_end_back(unfinished, cleared, buffer, body, *mode));
    }
    if *mode == Mode::Chunk && matches!(body.framing(), Framing::Length(_)) && body.is_complete() {
        outbox.push(reply::LAST_CHUNK, &mut desk.buffers);
    }
    match mode {
        Mode::Splice | Mode::Keep => buffer.clear(cleared),
        Mode::Payload | Mode::Chunk | Mode::Transform => buffer.discard(cleared),
        Mode::Rechunk => {
            buffer.discard(cleared);
            if body.is_complete() {
                outbox.push(reply::LAST_CHUNK, &mut desk.buffers);
            }
            if !outbox.may_keep(0) || !desk.buffers.may_keep() {
                outbox.forget(&mut desk.buffers);
            }
        }
    }
    Ok(())
}

/// Keeps what was cleared, where the mode says so.
#[inline]
pub(super) fn keep_cleared(
    inbound: &mut Option<Buffer>,
    mode: &mut Mode,
    outbox: &mut Outbox,
    desk: &mut Desk,
) {
    if *mode == Mode::Keep {
        keep(inbound, mode, outbox, desk);
    }
}

/// Keeps what was cleared of a request, behind what was kept before, if it may be kept: it is copied, unless
/// it fills its buffer. Then that is kept as it is.
#[inline(never)]
fn keep(inbound: &mut Option<Buffer>, mode: &mut Mode, outbox: &mut Outbox, desk: &mut Desk) {
    let Some(buffer) = inbound else { return };
    let cleared = buffer.pending().len();
    if cleared == 0 {
        return;
    }
    if !outbox.may_keep(cleared) || !desk.buffers.may_keep() {
        outbox.forget(&mut desk.buffers);
        *mode = Mode::Splice;
        return;
    }
    match inbound.take_if(|buffer| buffer.is_well_filled() && outbox.may_adopt()) {
        Some(whole) => outbox.adopt(whole, &mut desk.buffers),
        None => {
            let Some(buffer) = inbound else { return };
            outbox.push(buffer.pending(), &mut desk.buffers);
            buffer.sent(cleared);
        }
    }
}

/// The same of a body that is translated: what its transform makes of it goes to `outbox`.
fn scan_transformed<W: BodyWatcher>(
    buffer: &mut Buffer,
    outbox: &mut Outbox,
    (body, watch): (&mut Body, &mut W),
    desk: &mut Desk,
) -> Result<(), Broken> {
    let scanned = body.scan(buffer.unscanned(), |data| watch.feed(data));
    let ended = match scanned {
        Ok(cleared) => {
            buffer.discard(cleared);
            if body.is_complete() { watch.end(body.framing()) } else { Ok(()) }
        }
        Err(error) => Err(Broken::Framing(error)),
    };
    put_transformed(watch, body.is_complete() && ended.is_ok(), outbox, desk)?;
    ended
}

/// The source has ended its connection, and by that the body.
pub(super) fn end_by_close<W: BodyWatcher>(
    flow: &mut Flow<W>,
    outbox: &mut Outbox,
    desk: &mut Desk,
) -> Result<(), Broken> {
    flow.body.on_eof().map_err(|_| Broken::Truncated)?;
    flow.watch.end(flow.body.framing())?;
    match flow.mode {
        Mode::Chunk => outbox.push(reply::LAST_CHUNK, &mut desk.buffers),
        Mode::Transform => put_transformed(&mut flow.watch, true, outbox, desk)?,
        Mode::Splice | Mode::Keep | Mode::Rechunk | Mode::Payload => {}
    }
    Ok(())
}

/// Passes on what was made of the bytes that were read; `complete`: they were the last.
pub(super) fn put_transformed<W: BodyWatcher>(
    watch: &mut W,
    complete: bool,
    outbox: &mut Outbox,
    desk: &mut Desk,
) -> Result<(), Broken> {
    let Some(transform) = watch.transform() else { return Ok(()) };
    if complete {
        transform.end();
    }
    transform.put(outbox, &mut desk.buffers)?;
    if complete {
        transform.put_end(outbox, &mut desk.buffers);
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
        Mode::Payload | Mode::Chunk | Mode::Rechunk | Mode::Transform => buffer.discard(passed),
    }
    unfinished
}
