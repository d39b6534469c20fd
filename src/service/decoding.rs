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
    /// What its decoder takes, once it has told how much that is.
    memory: Option<Allotment>,
    purse: Purse,
    /// Reads what was decoded.
    pub(super) observer: PlainObserver,
    model: AnswerText,
    /// A part of the answer has come, and that was told.
    told: bool,
}

#[derive(Debug)]
enum State {
    Unbegun(Coding),
    Decoding(BodyDecoder),
    /// It is not watched any further.
    Lost,
}

impl Decoding {
    pub(super) fn new(coding: Coding, observer: PlainObserver, purse: &Purse) -> Decoding {
        Decoding {
            state: State::Unbegun(coding),
            memory: None,
            purse: purse.clone(),
            observer,
            model: AnswerText::model(),
            told: false,
        }
    }

    /// Takes the next bytes as they came.
    #[inline(never)]
    pub(super) fn feed(&mut self, data: &[u8]) {
        if let State::Unbegun(coding) = self.state
            && !data.is_empty()
        {
            self.state = State::Decoding(BodyDecoder::new(coding));
        }
        let Decoding { state, memory, purse, observer, model, told: _ } = self;
        let State::Decoding(decoder) = state else { return };
        let may_have = |bytes| {
            *memory = purse.allot(bytes);
            memory.is_some()
        };
        let fed = decoder.feed(data, may_have, |piece| {
            observer.feed(piece);
            model.feed(piece);
        });
        if fed.is_err() {
            (*state, *memory) = (State::Lost, None);
        }
    }

    /// Whether the first part of the answer of a stream has come since this was asked last.
    pub(super) fn begins(&mut self) -> bool {
        let begins = !self.told && self.observer.is_stream() && self.observer.saw_answer();
        self.told |= begins;
        begins
    }

    /// Whether what it says is not known.
    pub(super) fn is_blind(&self) -> bool {
        matches!(self.state, State::Lost) || self.observer.is_blind()
    }

    /// The body has ended. What was lost on the way counts as whole.
    pub(super) fn end(&mut self) -> Ending {
        match self.state {
            State::Lost | State::Unbegun(_) => Ending::Whole,
            State::Decoding(_) => self.observer.end(),
        }
    }

    /// The model, as far as the answer has named it.
    pub(super) fn model(&self) -> Option<&str> {
        self.model.name()
    }
}
