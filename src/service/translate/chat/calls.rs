//! Calls that come in pieces, put together.
//!
//! * A call begins with its name. Ids and indexes may be missing from later pieces, and an index may
//!   stand for a second call, which tells by its id.
//! * Bounded: no more is held than [`HELD_BYTES_MAX`] bytes and [`CALLS_MAX`] calls.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::super::BadAnswer;
use super::super::events::EVENT_BYTES_MAX;
use super::super::raw::{inside, malformed, meaning, some_text};
use super::super::tree;
use super::brackets::Brackets;
use super::chunk::CallPiece;
use crate::http::json::escape;

const HELD_BYTES_MAX: usize = EVENT_BYTES_MAX;
const CALLS_MAX: usize = 1_024;

/// A call, and what its teller notes of it.
#[derive(Debug, Default)]
pub struct PartialCall<S> {
    index: Option<u64>,
    /// As the server calls it; empty: it does not.
    pub id: String,
    pub name: String,
    /// Pieces of the arguments that have not been told: insides of JSON strings.
    pub held: String,
    pub arguments: Brackets,
    pub state: S,
}

/// The calls of one answer.
#[derive(Debug)]
pub struct CallTable<S> {
    calls: Vec<PartialCall<S>>,
}

impl<S> Default for CallTable<S> {
    fn default() -> CallTable<S> {
        CallTable { calls: Vec::new() }
    }
}

impl<S: Default> CallTable<S> {
    /// Takes a piece. Returns the place of its call, and how many bytes of arguments have come with it.
    pub fn take(&mut self, piece: &CallPiece<'_>) -> Result<(usize, usize), BadAnswer> {
        let id = piece.id.and_then(inside).map(meaning).unwrap_or_default();
        let function = piece.function.as_ref();
        let name = function.and_then(|function| function.name).and_then(inside).map(meaning);
        let name = name.unwrap_or_default();
        let place = match self.place_of(piece.index, &id, &name) {
            Some(place) => place,
            None if self.calls.len() == CALLS_MAX => {
                return Err(BadAnswer::TooLong(HELD_BYTES_MAX));
            }
            None => {
                self.calls.push(PartialCall { index: piece.index, ..PartialCall::default() });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[place];
        if call.id.is_empty() {
            call.id = id;
        }
        if call.name.is_empty() {
            call.name = name;
        }
        let Some(text) = written(function.and_then(|function| function.arguments))? else {
            return Ok((place, 0));
        };
        call.arguments.feed(&text);
        call.held.push_str(&text);
        let held: usize = self.calls.iter().map(|call| call.held.len()).sum();
        match held > HELD_BYTES_MAX {
            true => Err(BadAnswer::TooLong(HELD_BYTES_MAX)),
            false => Ok((place, text.len())),
        }
    }

    /// The call that a piece belongs to.
    fn place_of(&self, index: Option<u64>, id: &str, name: &str) -> Option<usize> {
        let same = |call: &&PartialCall<S>| match index {
            Some(index) => call.index == Some(index),
            None => id.is_empty() || call.id == id,
        };
        let at = self.calls.iter().rposition(|call| same(&call))?;
        let call = &self.calls[at];
        let another = !name.is_empty() && !id.is_empty() && !call.id.is_empty() && call.id != id;
        // A name behind whole arguments begins a call too, where nobody gives ids.
        let again = id.is_empty() && !name.is_empty() && call.arguments.is_whole();
        (!another && !again).then_some(at)
    }
}

impl<S> CallTable<S> {
    /// Whether there is one.
    pub fn any(&self) -> bool {
        !self.calls.is_empty()
    }

    /// The call at a place that was given out.
    pub fn get_mut(&mut self, place: usize) -> &mut PartialCall<S> {
        &mut self.calls[place]
    }

    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, PartialCall<S>> {
        self.calls.iter_mut()
    }

    /// Whether the arguments of one have begun and not ended, as far as they have come.
    pub fn are_cut(&self) -> bool {
        self.calls.iter().any(|call| call.arguments.are_cut())
    }
}

/// What a piece says of the arguments, as the inside of a JSON string. Ollama has sent objects.
fn written(arguments: Option<&RawValue>) -> Result<Option<Cow<'_, str>>, BadAnswer> {
    match arguments {
        Some(object) if object.get().starts_with('{') => {
            tree::parse(object.get().as_bytes()).map_err(|it| malformed(&it))?;
            let mut inside = Vec::new();
            escape(object.get(), &mut inside);
            Ok(String::from_utf8(inside).ok().map(Cow::Owned))
        }
        arguments => Ok(some_text(arguments, "arguments")?.map(Cow::Borrowed)),
    }
}
