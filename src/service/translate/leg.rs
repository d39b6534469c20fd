//! Legs: each translates between OpenAI chat and one other dialect. A pair of dialects is one of them, or two
//! with OpenAI chat in the middle.
//!
//! | leg | request | stream, document |
//! |---|---|---|
//! | from X | a client of X asks, a server of OpenAI chat is asked | OpenAI chat is told as X |
//! | to X | a client of OpenAI chat asks, a server of X is asked | X is told as OpenAI chat |
//!
//! Each is a folder: `ask` and `rules` for requests, `tell` for streams, `document` for answers in one piece.
//! To add one, copy a folder, and give it an arm in each function below.

use serde_json::Value;

use super::events::Frames;
use super::rules::{Members, ObjectRules};
use super::tree::Numbers;
use super::{AnswerContext, Asking, BadAnswer, Teller, Untranslatable};
use super::{from_messages, to_messages};
use crate::service::Dialect;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leg {
    FromMessages,
    ToMessages,
}

impl Leg {
    pub const ALL: [Leg; 2] = [Leg::FromMessages, Leg::ToMessages];

    /// The dialect of the client, if that is not OpenAI chat.
    pub fn asked(self) -> Option<Dialect> {
        match self {
            Leg::FromMessages => Some(Dialect::Anthropic),
            Leg::ToMessages => None,
        }
    }

    /// The dialect of the server, if that is not OpenAI chat.
    pub fn served(self) -> Option<Dialect> {
        match self {
            Leg::ToMessages => Some(Dialect::Anthropic),
            Leg::FromMessages => None,
        }
    }

    /// What becomes of the members of a request.
    pub fn rules(self) -> &'static [&'static ObjectRules] {
        match self {
            Leg::FromMessages => from_messages::rules::OBJECTS,
            Leg::ToMessages => to_messages::rules::OBJECTS,
        }
    }

    /// Writes a request.
    pub fn ask(self, request: Value, asking: &mut Asking<'_>) -> Result<Members, Untranslatable> {
        match self {
            Leg::FromMessages => from_messages::ask::translate(request, asking),
            Leg::ToMessages => to_messages::ask::translate(request, asking),
        }
    }

    /// What parts the server's stream into events.
    pub fn frames(self) -> Frames {
        Frames::events()
    }

    /// What tells a stream.
    pub fn teller(self, context: &AnswerContext) -> Box<dyn Teller> {
        match self {
            Leg::FromMessages => Box::new(from_messages::tell::ChatAsMessages::new(context)),
            Leg::ToMessages => Box::new(to_messages::tell::MessagesAsChat::new(context)),
        }
    }

    /// Tells a document that reports no error.
    pub fn document(
        self,
        context: &AnswerContext,
        document: Value,
        numbers: &mut Numbers,
    ) -> Result<Value, BadAnswer> {
        match self {
            Leg::FromMessages => from_messages::document::translate(context, document, numbers),
            Leg::ToMessages => to_messages::document::translate(context, &document, numbers),
        }
    }
}
