//! The name of the model that answered, which need not be the one that was asked for.
//!
//! Not part of the observer: the name stands in the first event and is of no interest afterwards.

use crate::http::json::{Found, Text, Walker, Word, Words};

/// A longer name is not kept.
pub const MODEL_BYTES_MAX: usize = 64;

const WORDS: Words = Words::new(&["message", "model", "response"]);
const MESSAGE: Word = WORDS.word("message");
const MODEL: Word = WORDS.word("model");
const RESPONSE: Word = WORDS.word("response");

/// Reads the beginning of an answer, a stream or a document, until it has named its model.
#[derive(Clone, Debug, Default)]
pub struct ModelName {
    /// None before the first `{`.
    walker: Option<Walker>,
    name: Text<MODEL_BYTES_MAX>,
    named: bool,
}

impl ModelName {
    pub fn new() -> ModelName {
        ModelName::default()
    }

    /// Whether nothing more will be found: the caller may stop feeding.
    pub fn is_settled(&self) -> bool {
        self.named || self.walker.as_ref().is_some_and(Walker::is_over)
    }

    /// Takes the next bytes of the body.
    pub fn feed(&mut self, data: &[u8]) {
        let start = match self.walker {
            Some(_) => Some(0),
            None => memchr::memchr(b'{', data),
        };
        if let Some(start) = start.filter(|_| !self.is_settled()) {
            let ModelName { walker, name, named } = self;
            let walker = walker.get_or_insert_default();
            walker.feed(&WORDS, &data[start..], |path, _, found| match (path, found) {
                _ if *named => {}
                ([MODEL] | [MESSAGE | RESPONSE, MODEL], Found::Text(text)) => name.push(text),
                ([MODEL] | [MESSAGE | RESPONSE, MODEL], Found::StringEnd(_)) => *named = true,
                _ => {}
            });
        }
    }

    pub fn name(&self) -> Option<&str> {
        self.name.as_str().filter(|name| self.named && !name.is_empty())
    }
}
