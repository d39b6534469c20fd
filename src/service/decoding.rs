//! A compressed answer, watched through a decoder beside its bytes.
//!
//! * The memory of all decoders of a worker is limited by one purse. An answer that finds it empty, wants
//!   a window that is too large, or cannot be decoded is not watched any further, and passes all the same.
//! * Nothing can be written into such an answer, so it is no stream that heartbeats, error events and
//!   continuations know.

use super::continuation::{Allotment, Purse};
use super::model::AnswerText;
use super::plain::{Ending, PlainObserver};
use crate::http::coding::{BodyDecoder, Coding};

/// What the decoders of one worker may hold together.
pub const DECODERS_BYTES: usize = 64 << 20;

/// One compressed answer. Boxed, for most are not.
#[derive(Debug)]
pub struct Decoding {
    state: State,
    /// Reads what was decoded.
    pub(super) observer: PlainObserver,
    model: AnswerText,
}

#[derive(Debug)]
enum State {
    /// Its first byte tells how much memory it takes.
    Unbegun {
        coding: Coding,
        purse: Purse,
    },
    Decoding {
        decoder: BodyDecoder,
        _memory: Allotment,
    },
    /// It is not watched any further.
    Lost,
}

impl Decoding {
    pub(super) fn new(coding: Coding, observer: PlainObserver, purse: &Purse) -> Decoding {
        let state = State::Unbegun { coding, purse: purse.clone() };
        Decoding { state, observer, model: AnswerText::model() }
    }

    /// Takes the next bytes as they came.
    #[inline(never)]
    pub(super) fn feed(&mut self, data: &[u8]) {
        if let (State::Unbegun { coding, purse }, Some(first)) = (&self.state, data.first()) {
            let memory = coding.memory(*first).and_then(|bytes| purse.allot(bytes));
            self.state = match memory {
                Some(memory) => {
                    State::Decoding { decoder: BodyDecoder::new(*coding), _memory: memory }
                }
                None => State::Lost,
            };
        }
        let Decoding { state, observer, model } = self;
        let State::Decoding { decoder, .. } = state else { return };
        let fed = decoder.feed(data, |piece| {
            observer.feed(piece);
            model.feed(piece);
        });
        if fed.is_err() {
            *state = State::Lost;
        }
    }

    /// Whether what it says is not known.
    pub(super) fn is_blind(&self) -> bool {
        matches!(self.state, State::Lost) || self.observer.is_blind()
    }

    /// The body has ended. What was lost on the way counts as whole.
    pub(super) fn end(&mut self) -> Ending {
        match self.state {
            State::Lost | State::Unbegun { .. } => Ending::Whole,
            State::Decoding { .. } => self.observer.end(),
        }
    }

    /// The model, as far as the answer has named it.
    pub(super) fn model(&self) -> Option<&str> {
        self.model.name()
    }
}
