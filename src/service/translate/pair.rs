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
    pub const CHAT_TO_MESSAGES: Pair = Pair::new(Dialect::OpenAiChat, Dialect::Anthropic);
    pub const MESSAGES_TO_CHAT: Pair = Pair::new(Dialect::Anthropic, Dialect::OpenAiChat);
    pub const RESPONSES_TO_CHAT: Pair = Pair::new(Dialect::OpenAiResponses, Dialect::OpenAiChat);
    pub const RESPONSES_TO_MESSAGES: Pair = Pair::new(Dialect::OpenAiResponses, Dialect::Anthropic);

    pub(super) const fn new(asked: Dialect, served: Dialect) -> Pair {
        Pair { asked, served }
    }

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

    /// The path and query that the server is asked for. `path`: what the configuration says instead, with a
    /// query if the server wants one. Where the path depends on the request (by its model, or by whether a
    /// stream is asked for) it is what stands in front of that part.
    pub fn target(self, path: Option<&str>, request: &Translated) -> String {
        let (path, query) = match path {
            Some(path) => path.split_once('?').unwrap_or((path, "")),
            None => (self.default_path(), ""),
        };
        let mut target = path.to_owned();
        let stream = request.stream;
        match self.served {
            Dialect::Gemini => {
                target += "/models/";
                // Some clients name it as Google's lists do.
                push_encoded(request.model.trim_start_matches("models/"), &mut target);
                target += if stream { ":streamGenerateContent" } else { ":generateContent" };
            }
            Dialect::Triton => {
                target += "/models/";
                push_encoded(&request.model, &mut target);
                target += if stream { "/generate_stream" } else { "/generate" };
            }
            Dialect::KServe => {
                target += "/models/";
                push_encoded(&request.model, &mut target);
                target += "/infer";
            }
            Dialect::Tgi => target += if stream { "/generate_stream" } else { "/generate" },
            _ => {}
        }
        let wanted = if self.served == Dialect::Gemini && stream { "alt=sse" } else { "" };
        for (part, sign) in [(query, '?'), (wanted, if query.is_empty() { '?' } else { '&' })] {
            if !part.is_empty() {
                target.push(sign);
                target += part;
            }
        }
        target
    }

    /// The path that the server is asked for, or what stands in front of it.
    fn default_path(self) -> &'static str {
        match self.served {
            Dialect::Anthropic => "/v1/messages",
            Dialect::Ollama => "/api/chat",
            Dialect::Gemini => "/v1beta",
            Dialect::Triton | Dialect::KServe => "/v2",
            Dialect::Tgi => "",
            _ => "/v1/chat/completions",
        }
    }

    /// Whether a successful answer of this media type is the server's stream.
    pub fn streams_as(self, media: Media) -> bool {
        match self.served {
            Dialect::Ollama => media == Media::JsonLines,
            Dialect::KServe => false,
            _ => media == Media::EventStream,
        }
    }

    /// Whether the server answers in documents alone.
    pub fn answers_whole(self) -> bool {
        self.served == Dialect::KServe
    }

    /// A field that the server wants in a request: name and value.
    pub fn field(self) -> Option<(&'static str, &'static str)> {
        (self.served == Dialect::Anthropic).then_some(("anthropic-version", "2023-06-01"))
    }

    /// Where the server looks for its key.
    pub fn key_field(self) -> KeyField {
        match self.served {
            Dialect::Anthropic => KeyField::Bare("x-api-key"),
            Dialect::Gemini => KeyField::Bare("x-goog-api-key"),
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

/// Appends what is to be one step of a path (RFC 3986 §3.3): all but its unreserved characters encoded.
fn push_encoded(name: &str, path: &mut String) {
    for byte in name.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => path.push(byte.into()),
            byte if byte.is_ascii_alphanumeric() => path.push(byte.into()),
            byte => path.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_has_what_the_request_says() {
        let target = |served, path, model: &str, stream| {
            let request = Translated {
                body: Vec::new(),
                model: model.to_owned(),
                stream,
                memo: Default::default(),
            };
            Pair::new(Dialect::OpenAiChat, served).target(path, &request)
        };
        for (served, path, model, stream, expected) in [
            (Dialect::Anthropic, None, "m", true, "/v1/messages"),
            (Dialect::OpenAiChat, Some("/d/x?api-version=1"), "m", true, "/d/x?api-version=1"),
            (Dialect::Ollama, None, "m", true, "/api/chat"),
            (Dialect::Tgi, None, "m", false, "/generate"),
            (Dialect::Tgi, Some("/tgi?a=b"), "m", true, "/tgi/generate_stream?a=b"),
            (
                Dialect::Gemini,
                None,
                "gemini-2.5-pro",
                false,
                "/v1beta/models/gemini-2.5-pro:generateContent",
            ),
            (
                Dialect::Gemini,
                None,
                "models/g",
                true,
                "/v1beta/models/g:streamGenerateContent?alt=sse",
            ),
            (
                Dialect::Gemini,
                Some("/v1/publishers/google?x=1"),
                "g",
                true,
                "/v1/publishers/google/models/g:streamGenerateContent?x=1&alt=sse",
            ),
            (
                Dialect::Triton,
                None,
                "a/../b?c d\u{fc}",
                false,
                "/v2/models/a%2F..%2Fb%3Fc%20d%C3%BC/generate",
            ),
            (Dialect::Triton, None, "llm", true, "/v2/models/llm/generate_stream"),
            (Dialect::KServe, None, "a/b", true, "/v2/models/a%2Fb/infer"),
            (Dialect::KServe, Some("/own/v2"), "m", false, "/own/v2/models/m/infer"),
        ] {
            assert_eq!(target(served, path, model, stream), expected);
        }
    }
}
