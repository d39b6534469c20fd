//! Inference services: what their dialects say with bytes.
//!
//! | file       | knows                                                                            |
//! |------------|----------------------------------------------------------------------------------|
//! | `observer` | whether a stream is whole, failed or cut short, and what it cost                  |
//! | `decoding` | a compressed answer, watched through a decoder beside its bytes                |
//! | `plain`    | the same for an answer that can be read as it comes                               |
//! | `marks`    | the fields of each dialect that tell, in a stream and in a document                |
//! | `fault`    | the error event and the heartbeat of a dialect                                    |
//! | `request`  | what a request asks for: model, streaming, where the prompt begins                |
//! | `naming`   | where a request names its model, if there is one way to read it                   |
//! | `refusal`  | why a server refused: too long for its context, or against a policy               |
//! | `model`    | the name of the model that answered                                               |
//! | `listing`  | lists of models: read of a server, written in each form                            |
//! | `openai`   | the events and documents of OpenAI's two older shapes                             |
//! | `canned`   | a predefined answer in every dialect                                              |
//! | `continuation` | what has been said of an answer, and the request for the rest of it           |
//! | `translate` | a request and its answer in another dialect, where the configuration asks for it  |
//!
//! `docs/services.md` has the table of what marks what in which dialect, with its sources.
//!
//! * Bytes in, bytes out. Any cut of an input into pieces gives the same answers.
//! * What cannot be told is `None` or generic, and nothing is done to a stream nobody understands.
//!
//! Absent on purpose: sockets, clocks, and the decision what to do about an ending: `proxy` decides.

pub mod canned;
pub mod continuation;
pub mod decoding;
pub mod fault;
pub mod listing;
mod marks;
pub mod model;
pub mod naming;
pub mod observer;
pub mod openai;
pub mod plain;
pub mod refusal;
pub mod request;
pub mod translate;

#[cfg(test)]
mod tests;

pub use self::observer::Observer;
pub use self::plain::{Completion, Ending, Told, Truncation, Usage};

/// How requests are written and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `/v1/chat/completions`
    OpenAiChat,
    /// `/v1/completions`
    OpenAiCompletions,
    /// `/v1/responses`
    OpenAiResponses,
    /// `/v1/messages`
    Anthropic,
    /// Text Generation Inference's own: `/generate`, `/generate_stream`
    Tgi,
    /// Ollama's own: `/api/chat`, `/api/generate`. Streams are lines of JSON.
    Ollama,
    /// Google's `…/models/NAME:generateContent`, `:streamGenerateContent`
    Gemini,
    /// The open inference protocol, version 2: `/v2/models/NAME/infer`. Documents, no streams.
    KServe,
    /// Triton's own: `/v2/models/NAME/generate`, `/generate_stream`
    Triton,
    /// llama.cpp's own: `/completion`
    LlamaCpp,
    /// SGLang's own: `/generate`
    Sglang,
    /// Plain text in pieces, without events.
    Text,
    /// Anything else: nothing is known of it.
    Generic,
}

/// What a route is told to speak (`service` in the configuration).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The path tells.
    Auto,
    OpenAi,
    Anthropic,
    Tgi,
    Ollama,
    /// Nothing is assumed.
    None,
}

impl Setting {
    pub const ALL: [Setting; 6] = [
        Setting::Auto,
        Setting::OpenAi,
        Setting::Anthropic,
        Setting::Tgi,
        Setting::Ollama,
        Setting::None,
    ];

    /// As it stands in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Setting::Auto => "auto",
            Setting::OpenAi => "openai",
            Setting::Anthropic => "anthropic",
            Setting::Tgi => "tgi",
            Setting::Ollama => "ollama",
            Setting::None => "none",
        }
    }

    pub fn from_name(name: &str) -> Option<Setting> {
        Setting::ALL.into_iter().find(|setting| setting.name() == name)
    }
}

/// The ends of the paths that tell. Ends, because services are mounted below prefixes: Azure's
/// `/openai/deployments/NAME/chat/completions`, Groq's `/openai/v1/…`, a route of ours.
const ENDS: &[(&str, Dialect)] = &[
    ("/chat/completions", Dialect::OpenAiChat),
    ("/v1/completions", Dialect::OpenAiCompletions),
    ("/v1/responses", Dialect::OpenAiResponses),
    ("/openai/responses", Dialect::OpenAiResponses),
    ("/v1/messages", Dialect::Anthropic),
    ("/api/chat", Dialect::Ollama),
    ("/api/generate", Dialect::Ollama),
];

/// Whole paths: names that others use too, below prefixes of theirs (Triton's
/// `/v2/models/NAME/generate_stream`).
const WHOLE: &[(&str, Dialect)] =
    &[("/generate_stream", Dialect::Tgi), ("/generate", Dialect::Tgi)];

/// More ends, for upstreams that say what they speak.
const OPENAI_ENDS: &[(&str, Dialect)] =
    &[("/completions", Dialect::OpenAiCompletions), ("/responses", Dialect::OpenAiResponses)];
const ANTHROPIC_ENDS: &[(&str, Dialect)] = &[("/messages", Dialect::Anthropic)];
const TGI_ENDS: &[(&str, Dialect)] =
    &[("/generate_stream", Dialect::Tgi), ("/generate", Dialect::Tgi)];

impl Dialect {
    /// The dialect that is expected of the answer to a request for `path`, which has no query. It is
    /// no more than that: a stream is taken for what its events say ([`Observer::dialect`]).
    ///
    /// A setting other than `auto` chooses among the paths that its servers have: TGI, Ollama and
    /// Anthropic answer OpenAI's paths in OpenAI's way. Whatever else they answer is generic.
    pub fn of(setting: Setting, path: &str) -> Dialect {
        let path = match path {
            "/" => path,
            _ => path.strip_suffix('/').unwrap_or(path),
        };
        let end_of = |ends: &[(&str, Dialect)]| {
            let known = ends.iter().find(|(end, _)| path.ends_with(end));
            known.map(|(_, dialect)| *dialect)
        };
        let whole = WHOLE.iter().find(|(whole, _)| path == *whole).map(|(_, dialect)| *dialect);
        let told = end_of(ENDS).or(whole).unwrap_or(Dialect::Generic);
        let openai = matches!(
            told,
            Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::OpenAiResponses
        );
        let chosen = match setting {
            Setting::Auto => Some(told),
            _ if openai && setting != Setting::None => Some(told),
            Setting::OpenAi => end_of(OPENAI_ENDS),
            Setting::Anthropic => end_of(ANTHROPIC_ENDS),
            Setting::Tgi if path == "/" => Some(Dialect::Tgi),
            Setting::Tgi => end_of(TGI_ENDS),
            Setting::Ollama => matches!(told, Dialect::Ollama | Dialect::Anthropic).then_some(told),
            Setting::None => None,
        };
        chosen.unwrap_or(Dialect::Generic)
    }

    pub fn name(self) -> &'static str {
        match self {
            Dialect::OpenAiChat => "openai-chat",
            Dialect::OpenAiCompletions => "openai-completions",
            Dialect::OpenAiResponses => "openai-responses",
            Dialect::Anthropic => "anthropic",
            Dialect::Tgi => "tgi",
            Dialect::Ollama => "ollama",
            Dialect::Gemini => "gemini",
            Dialect::KServe => "kserve",
            Dialect::Triton => "triton",
            Dialect::LlamaCpp => "llama.cpp",
            Dialect::Sglang => "sglang",
            Dialect::Text => "text",
            Dialect::Generic => "generic",
        }
    }

    /// The media type of its streams.
    pub fn stream_type(self) -> &'static str {
        match self {
            Dialect::Ollama => "application/x-ndjson",
            Dialect::Text => "text/plain",
            _ => "text/event-stream",
        }
    }

    /// Whether a request for `path` wants a stream, given the `stream` of its body.
    pub fn streams(self, path: &str, asked: Option<bool>) -> bool {
        match self {
            Dialect::Tgi if path.ends_with("/generate_stream") => true,
            Dialect::Tgi if path.ends_with("/generate") => false,
            // "stream: true by default", ollama/ollama api/types.go.
            Dialect::Ollama => asked.unwrap_or(true),
            _ => asked.unwrap_or(false),
        }
    }
}
