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
use super::{
    from_messages, from_responses, to_gemini, to_kserve, to_messages, to_ollama, to_tgi, to_triton,
};
use crate::service::Dialect;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leg {
    FromMessages,
    FromResponses,
    ToMessages,
    ToOllama,
    ToGemini,
    ToTgi,
    ToTriton,
    ToKServe,
}

impl Leg {
    pub const ALL: [Leg; 8] = [
        Leg::FromMessages,
        Leg::FromResponses,
        Leg::ToMessages,
        Leg::ToOllama,
        Leg::ToGemini,
        Leg::ToTgi,
        Leg::ToTriton,
        Leg::ToKServe,
    ];

    /// The dialect of the client, if that is not OpenAI chat.
    pub fn asked(self) -> Option<Dialect> {
        match self {
            Leg::FromMessages => Some(Dialect::Anthropic),
            Leg::FromResponses => Some(Dialect::OpenAiResponses),
            _ => None,
        }
    }

    /// The dialect of the server, if that is not OpenAI chat.
    pub fn served(self) -> Option<Dialect> {
        match self {
            Leg::FromMessages | Leg::FromResponses => None,
            Leg::ToMessages => Some(Dialect::Anthropic),
            Leg::ToOllama => Some(Dialect::Ollama),
            Leg::ToGemini => Some(Dialect::Gemini),
            Leg::ToTgi => Some(Dialect::Tgi),
            Leg::ToTriton => Some(Dialect::Triton),
            Leg::ToKServe => Some(Dialect::KServe),
        }
    }

    /// What becomes of the members of a request.
    pub fn rules(self) -> &'static [&'static ObjectRules] {
        match self {
            Leg::FromMessages => from_messages::rules::OBJECTS,
            Leg::FromResponses => from_responses::rules::OBJECTS,
            Leg::ToMessages => to_messages::rules::OBJECTS,
            Leg::ToOllama => to_ollama::rules::OBJECTS,
            Leg::ToGemini => to_gemini::rules::OBJECTS,
            Leg::ToTgi => to_tgi::rules::OBJECTS,
            Leg::ToTriton => to_triton::rules::OBJECTS,
            Leg::ToKServe => to_kserve::rules::OBJECTS,
        }
    }

    /// What members are called by its clients, and by OpenAI chat, where that is not the same.
    pub fn client_names(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Leg::FromMessages => from_messages::rules::NAMES,
            Leg::FromResponses => from_responses::rules::NAMES,
            _ => &[],
        }
    }

    /// Writes a request.
    pub fn ask(self, request: Value, asking: &mut Asking<'_>) -> Result<Members, Untranslatable> {
        match self {
            Leg::FromMessages => from_messages::ask::translate(request, asking),
            Leg::FromResponses => from_responses::ask::translate(request, asking),
            Leg::ToMessages => to_messages::ask::translate(request, asking),
            Leg::ToOllama => to_ollama::ask::translate(request, asking),
            Leg::ToGemini => to_gemini::ask::translate(request, asking),
            Leg::ToTgi => to_tgi::ask::translate(request, asking),
            Leg::ToTriton => to_triton::ask::translate(request, asking),
            Leg::ToKServe => to_kserve::ask::translate(request, asking),
        }
    }

    /// What parts the stream into events.
    pub fn frames(self) -> Frames {
        match self {
            Leg::ToOllama => Frames::lines(),
            _ => Frames::events(),
        }
    }

    /// What tells a stream.
    pub fn teller(self, context: &AnswerContext) -> Box<dyn Teller> {
        match self {
            Leg::FromMessages => Box::new(from_messages::tell::ChatAsMessages::new(context)),
            Leg::FromResponses => Box::new(from_responses::tell::ChatAsResponses::new(context)),
            Leg::ToMessages => Box::new(to_messages::tell::MessagesAsChat::new(context)),
            Leg::ToOllama => Box::new(to_ollama::tell::OllamaAsChat::new(context)),
            Leg::ToGemini => Box::new(to_gemini::tell::GeminiAsChat::new(context)),
            Leg::ToTgi => Box::new(to_tgi::tell::TgiAsChat::new(context)),
            Leg::ToTriton => Box::new(to_triton::tell::TritonAsChat::new(context)),
            Leg::ToKServe => Box::new(to_kserve::tell::InferAsChat),
        }
    }

    /// Tells a document that reports no error.
    pub fn document(
        self,
        context: &AnswerContext,
        document: &Value,
        numbers: &mut Numbers,
    ) -> Result<Value, BadAnswer> {
        match self {
            Leg::FromMessages => from_messages::document::translate(context, document, numbers),
            Leg::FromResponses => from_responses::document::translate(context, document, numbers),
            Leg::ToMessages => to_messages::document::translate(context, document, numbers),
            Leg::ToOllama => to_ollama::document::translate(context, document, numbers),
            Leg::ToGemini => to_gemini::document::translate(context, document, numbers),
            Leg::ToTgi => to_tgi::document::translate(context, document),
            Leg::ToTriton => to_triton::document::translate(context, document),
            Leg::ToKServe => to_kserve::document::translate(context, document),
        }
    }
}
