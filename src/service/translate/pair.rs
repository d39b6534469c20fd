//! Pairs: what a client asks in, and what its server is asked in.

use super::Translated;
use super::leg::Leg;
use crate::http::head::Media;
use crate::http::rewrite::KeyField;
use crate::service::Dialect;

/// A pair of dialects between which can be translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    asked: Dialect,
    served: Dialect,
}

impl Pair {
    pub const CHAT_TO_MESSAGES: Pair =
        Pair { asked: Dialect::OpenAiChat, served: Dialect::Anthropic };
    pub const MESSAGES_TO_CHAT: Pair =
        Pair { asked: Dialect::Anthropic, served: Dialect::OpenAiChat };

    /// `None`: nothing is to be translated, or nobody can.
    pub fn of(asked: Dialect, served: Dialect) -> Option<Pair> {
        let known = |dialect, end: fn(Leg) -> Option<Dialect>| {
            dialect == Dialect::OpenAiChat
                || Leg::ALL.into_iter().any(|leg| end(leg) == Some(dialect))
        };
        let both = known(asked, Leg::asked) && known(served, Leg::served);
        (both && asked != served).then_some(Pair { asked, served })
    }

    /// All there are.
    pub fn all() -> impl Iterator<Item = Pair> {
        let ends = |end: fn(Leg) -> Option<Dialect>| {
            let legs = Leg::ALL.into_iter().filter_map(end);
            std::iter::once(Dialect::OpenAiChat).chain(legs)
        };
        ends(Leg::asked).flat_map(move |asked| {
            ends(Leg::served).filter_map(move |served| Pair::of(asked, served))
        })
    }

    /// What the client speaks.
    pub fn asked(self) -> Dialect {
        self.asked
    }

    /// What the server speaks.
    pub fn served(self) -> Dialect {
        self.served
    }

    /// From the client to OpenAI chat, if that is another dialect.
    pub(super) fn leg_from(self) -> Option<Leg> {
        Leg::ALL.into_iter().find(|leg| leg.asked() == Some(self.asked))
    }

    /// From OpenAI chat to the server, if that is another dialect.
    pub(super) fn leg_to(self) -> Option<Leg> {
        Leg::ALL.into_iter().find(|leg| leg.served() == Some(self.served))
    }

    /// The path and query that the server is asked for. `path`: what the configuration says, with the
    /// upstream's own query if it has one.
    pub fn target(self, path: Option<&str>, request: &Translated) -> String {
        let _ = request;
        let own = match self.served {
            Dialect::Anthropic => "/v1/messages",
            _ => "/v1/chat/completions",
        };
        path.unwrap_or(own).to_owned()
    }

    /// Whether a successful answer of this media type is the server's stream.
    pub fn streams_as(self, media: Media) -> bool {
        match self.served {
            Dialect::Ollama => media == Media::JsonLines,
            _ => media == Media::EventStream,
        }
    }

    /// A field that the server wants in a request: name and value.
    pub fn field(self) -> Option<(&'static str, &'static str)> {
        (self.served == Dialect::Anthropic).then_some(("anthropic-version", "2023-06-01"))
    }

    /// Where the server looks for its key.
    pub fn key_field(self) -> KeyField {
        match self.served {
            Dialect::Anthropic => KeyField::Bare("x-api-key"),
            _ => KeyField::Authorization,
        }
    }

    /// Fields of the client's request that mean nothing to the server, in lower case.
    pub fn withheld_fields(self) -> &'static [&'static str] {
        match self.asked {
            Dialect::Anthropic => &[
                "anthropic-version",
                "anthropic-beta",
                "anthropic-dangerous-direct-browser-access",
            ],
            _ => &["openai-organization", "openai-project", "openai-beta"],
        }
    }
}
