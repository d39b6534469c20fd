//! A body that is read and not passed on yet: a response before its first event, a request that may
//! have to be sent again.

use super::scan::{end_by_close, keep_cleared, put_transformed, scan};
use super::{Broken, Budget, Flow, ResponseWatchers, Rest};
use crate::reactor::net::Stream;
use crate::service::Told;
use crate::wire::buffers::BufferPool;
use crate::wire::outbox::Outbox;
use crate::wire::socket::{Desk, Fill, Socket};

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
    flow: &mut Flow<ResponseWatchers>,
    budget: &mut Budget,
    desk: &mut Desk,
) -> Result<Held, Broken> {
    let observed = flow.watch.observer.is_some();
    // A document that is translated has a bound of its own.
    let collects = flow.watch.transform.as_ref().is_some_and(|transform| transform.collects());
    let most = match (collects, observed) {
        (true, _) => u64::MAX,
        (false, true) => PRELUDE_MAX,
        (false, false) => HELD_MAX,
    };
    loop {
        match scan(source, outbox, flow, desk) {
            // The model has said all, so that is passed on; the next read meets the fault again.
            Err(Broken::Framing(_)) if flow.said_all() => return Ok(Held::Event),
            scanned => scanned?,
        }
        if let Some(observer) = &flow.watch.observer {
            match observer.document() {
                Some(Told::Failed) => return Ok(Held::Failed),
                Some(Told::Answer) if !collects => return Ok(Held::Answer),
                Some(Told::Nothing) | None if !collects && observer.data_events() > 0 => {
                    return Ok(Held::Event);
                }
                Some(Told::Nothing | Told::Answer) | None => {}
            }
        }
        if flow.body.is_complete() {
            if !collects {
                return Ok(Held::Empty);
            }
            // One without a byte was not scanned.
            put_transformed(&mut flow.watch, true, outbox, desk)?;
            return Ok(Held::Answer);
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
                end_by_close(flow, outbox, desk)?;
                return Ok(if collects { Held::Answer } else { Held::Empty });
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
        keep_cleared(&mut source.inbound, &mut flow.mode, outbox, desk);
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
