//! Tap: a copy of what one response carries, for listeners.
//!
//! Almost no stream has one. Without it a token costs a test of a null pointer; with it, an
//! allocation and a send that never blocks. A listener that is slower than its stream misses
//! pieces, and is told how many; the stream does not notice. Where another server continues a stream,
//! its listeners stay.

use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::flow::plugged::Lookers;
use crate::measure::live::{Piece, PieceClock};
use crate::measure::reel::Reel;
use crate::plugins::seat::PluginStop;
use crate::service::continuation::Transcript;
use crate::service::model::AnswerText;

/// Listeners of one stream at a time.
const LISTENERS_MAX: usize = 4;
/// Pieces that wait for one listener.
const PIECES: usize = 256;

/// Who is told under which id a server has stored its answer.
pub trait StoredNote: fmt::Debug {
    fn is_stored(&self, id: &str);
}

/// The worker's end.
#[derive(Debug, Default)]
pub struct Tap {
    listeners: Vec<Listener>,
    /// Keeps the end of the stream, in case it fails.
    reel: Option<Reel>,
    /// Looks for the name of the model.
    model: Option<AnswerText>,
    /// Looks for the id under which the server has stored its answer, and who is told of it.
    stored: Option<(AnswerText, Box<dyn StoredNote>)>,
    /// Writes down the text, where another server may have to continue the stream.
    pub transcript: Option<Box<Transcript>>,
    /// Plugins that look at events.
    pub lookers: Option<Box<Lookers>>,
}

#[derive(Debug)]
struct Listener {
    clock: PieceClock,
    pieces: SyncSender<Piece>,
    missed: u64,
}

impl Tap {
    /// The tap of a response that begins; `None` where nothing wants one: no reel, no text that
    /// the answer names, no transcript, no listener. `before`: the tap of the stream that this response continues.
    pub fn new(
        before: Option<Box<Tap>>,
        reel: Option<Reel>,
        names_model: bool,
        stored: Option<Box<dyn StoredNote>>,
        transcript: Option<Box<Transcript>>,
    ) -> Option<Box<Tap>> {
        let wanted = reel.is_some() || names_model || stored.is_some() || transcript.is_some();
        let mut tap = before.or_else(|| wanted.then(Box::default))?;
        tap.reel = tap.reel.take().or(reel);
        tap.model = names_model.then(AnswerText::model);
        tap.stored = stored.map(|note| (AnswerText::stored_id(), note));
        tap.transcript = transcript;
        tap.lookers = None;
        Some(tap)
    }

    /// The model, once the answer has named it. The search for it ends then.
    pub fn model(&mut self) -> Option<Box<str>> {
        let settled = self.model.as_ref().is_some_and(AnswerText::is_settled);
        let model = self.model.take_if(|_| settled)?;
        Some(model.name()?.into())
    }

    pub fn has_reel(&self) -> bool {
        self.reel.is_some()
    }

    pub fn take_reel(&mut self) -> Option<Reel> {
        self.reel.take()
    }

    /// One more listener, for whom `clock` is read with each piece; `None`: there are enough.
    pub fn listen(&mut self, clock: PieceClock) -> Option<Receiver<Piece>> {
        if self.listeners.len() == LISTENERS_MAX {
            return None;
        }
        let (pieces, heard) = sync_channel(PIECES);
        self.listeners.push(Listener { clock, pieces, missed: 0 });
        Some(heard)
    }

    /// The next bytes of the payload.
    pub fn feed(&mut self, data: &[u8]) {
        if let Some(model) = &mut self.model {
            model.feed(data);
        }
        if let Some((id, note)) = &mut self.stored {
            id.feed(data);
            if id.is_settled() {
                // Before its client has it, and asks another worker for what goes on from it.
                id.name().into_iter().for_each(|id| note.is_stored(id));
                self.stored = None;
            }
        }
        if let Some(reel) = &mut self.reel {
            reel.feed(data);
        }
        if let Some(transcript) = &mut self.transcript {
            transcript.feed(data);
        }
        if let Some(lookers) = &mut self.lookers {
            lookers.feed(data);
        }
        self.listeners.retain_mut(|listener| {
            let (at, missed) = ((listener.clock)(), listener.missed);
            let piece = Piece { at, data: data.to_vec(), missed };
            match listener.pieces.try_send(piece) {
                Ok(()) => listener.missed = 0,
                Err(TrySendError::Full(_)) => listener.missed += 1,
                Err(TrySendError::Disconnected(_)) => return false,
            }
            true
        });
    }

    /// Why the stream must not go on, if a plugin has said so.
    #[inline]
    pub fn stop(&self) -> Option<PluginStop> {
        self.lookers.as_ref()?.stop()
    }

    /// Whether nothing wants the stream any more, so that the tap can go.
    pub fn is_idle(&self) -> bool {
        self.listeners.is_empty()
            && self.reel.is_none()
            && self.model.is_none()
            && self.stored.is_none()
            && self.transcript.is_none()
            && self.lookers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> crate::clock::Instant {
        crate::clock::Instant::from_nanos(7)
    }

    #[test]
    fn a_slow_listener_misses_pieces_and_is_told_how_many() {
        let mut tap = Tap::default();
        let heard = tap.listen(clock).expect("the first");
        for _ in 0..PIECES + 3 {
            tap.feed(b"x");
        }
        let pieces: Vec<_> = heard.try_iter().collect();
        assert_eq!((pieces.len(), pieces[0].missed), (PIECES, 0));
        tap.feed(b"y");
        assert_eq!(heard.try_recv(), Ok(Piece { at: clock(), data: b"y".to_vec(), missed: 3 }));
    }

    #[test]
    fn a_listener_that_left_is_forgotten_and_there_are_few() {
        let mut tap = Tap::default();
        let all: Vec<_> = (0..LISTENERS_MAX).map(|_| tap.listen(clock).expect("room")).collect();
        assert!(tap.listen(clock).is_none());
        drop(all);
        tap.feed(b"x");
        assert!(tap.is_idle());
    }
}
