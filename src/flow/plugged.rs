//! Plugged: the plugins of an answer, which look at its events, or change them.
//!
//! | a plugin | stands | its bytes |
//! |---|---|---|
//! | looks at events | beside the flow, in the tap ([`Lookers`]) | pass as they came, out of the buffer they were read into |
//! | changes them | in the flow ([`PluginStage`]) | are what it makes of them |
//! | looks, where something changes them | in the flow, behind that | are copied as they come |
//!
//! * An event that is too long to be gathered is not shown. That is a failure of the hook.

use crate::flow::transform::{Transform, Untransformed};
use crate::plugins::events::{EventCutter, EventFraming, StreamPiece};
use crate::plugins::seat::{PluginStop, SharedSeat};
use crate::plugins::{Edits, Hook, PluginEvent, Verdict};

const TOO_LONG: &str = "was not shown an event, which is longer than 1 MiB";

/// Plugins that look at the events of an answer.
#[derive(Debug)]
pub struct Lookers {
    cutter: EventCutter,
    seats: Vec<SharedSeat>,
    edits: Edits,
    /// Events so far.
    count: u64,
    /// Why the answer must not go on.
    stop: Option<PluginStop>,
}

impl Lookers {
    pub fn new(framing: EventFraming, seats: Vec<SharedSeat>) -> Lookers {
        let cutter = EventCutter::new(framing);
        Lookers { cutter, seats, edits: Edits::default(), count: 0, stop: None }
    }

    /// The next bytes of the payload.
    pub fn feed(&mut self, data: &[u8]) {
        let Lookers { cutter, seats, edits, count, stop } = self;
        cutter.feed(data, |piece| {
            if stop.is_some() {
                return;
            }
            let event = match piece {
                StreamPiece::Event { name, data, raw } => {
                    let number = *count;
                    *count += 1;
                    PluginEvent { number, name, data, raw }
                }
                StreamPiece::Other(_) => return,
                StreamPiece::Long(_) => {
                    *stop = seats.iter().find_map(|seat| too_long(seat).err());
                    return;
                }
            };
            for seat in seats.iter() {
                // Never borrowed twice: `SharedSeat`.
                let Ok(mut seat) = seat.try_borrow_mut() else { continue };
                if let Err(why) = seat.on_event(&event, edits) {
                    *stop = Some(why);
                    return;
                }
            }
        });
    }

    /// Why the answer must not go on, if it must not.
    #[inline]
    pub fn stop(&self) -> Option<PluginStop> {
        self.stop
    }
}

#[cold]
fn too_long(seat: &SharedSeat) -> Result<(), PluginStop> {
    match seat.try_borrow_mut() {
        Ok(mut seat) => seat.was_wrong(Hook::Event, TOO_LONG),
        Err(_) => Ok(()),
    }
}

/// A plugin in the flow of an answer.
#[derive(Debug)]
pub struct PluginStage {
    cutter: EventCutter,
    seat: SharedSeat,
    edits: Edits,
    count: u64,
}

impl PluginStage {
    pub fn new(framing: EventFraming, seat: SharedSeat) -> PluginStage {
        let cutter = EventCutter::new(framing);
        PluginStage { cutter, seat, edits: Edits::default(), count: 0 }
    }
}

impl Transform for PluginStage {
    fn feed(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Untransformed> {
        // Of a long event only the first piece is told of.
        let mut staged = Staged { long: !self.cutter.at_boundary(), told: Ok(()), out };
        let PluginStage { cutter, seat, edits, count } = self;
        cutter.feed(payload, |piece| staged.take(piece, seat, edits, count));
        staged.told.map_err(Untransformed::Plugin)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Untransformed> {
        let mut staged = Staged { long: false, told: Ok(()), out };
        let PluginStage { cutter, seat, edits, count } = self;
        cutter.end(|piece| staged.take(piece, seat, edits, count));
        staged.told.map_err(Untransformed::Plugin)
    }

    fn at_boundary(&self) -> bool {
        self.cutter.at_boundary()
    }

    fn collects(&self) -> bool {
        false
    }

    fn content_type(&self) -> Option<&'static str> {
        None
    }
}

/// What a stage makes of the pieces of one feed.
struct Staged<'o> {
    /// The event that passes in pieces has been told of.
    long: bool,
    told: Result<(), PluginStop>,
    out: &'o mut Vec<u8>,
}

impl Staged<'_> {
    fn take(
        &mut self,
        piece: StreamPiece<'_>,
        seat: &SharedSeat,
        edits: &mut Edits,
        count: &mut u64,
    ) {
        if self.told.is_err() {
            return;
        }
        let (name, data, raw) = match piece {
            StreamPiece::Event { name, data, raw } => (name, data, raw),
            StreamPiece::Other(raw) => return self.out.extend_from_slice(raw),
            StreamPiece::Long(raw) => {
                if !std::mem::replace(&mut self.long, true) {
                    self.told = too_long(seat);
                }
                if self.told.is_ok() {
                    self.out.extend_from_slice(raw);
                }
                return;
            }
        };
        self.long = false;
        let event = PluginEvent { number: *count, name, data, raw };
        *count += 1;
        edits.written.clear();
        // Never borrowed twice: `SharedSeat`.
        let Ok(mut seat) = seat.try_borrow_mut() else { return };
        match seat.on_event(&event, edits) {
            Ok(verdict) => {
                if verdict != Verdict::Replace {
                    self.out.extend_from_slice(raw);
                }
                self.out.extend_from_slice(&edits.written);
            }
            Err(stop) => self.told = Err(stop),
        }
    }
}
