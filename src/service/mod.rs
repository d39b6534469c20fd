//! Inference services: what their dialects say with bytes.
//!
//! | file       | knows                                                                            |
//! |------------|----------------------------------------------------------------------------------|
//! | `observer` | whether a stream is whole, failed or cut short, and what it cost                  |
//! | `marks`    | the fields of each dialect that tell                                              |
//! | `fault`    | the error event and the heartbeat of a dialect                                    |
//! | `request`  | what a request asks for: model, streaming, where the prompt begins                |
//! | `refusal`  | why a server refused: too long for its context, or against a policy               |
//! | `model`    | the name of the model that answered                                               |
//! | `openai`   | the events and documents of OpenAI's two older shapes                             |
//! | `canned`   | a predefined answer in every dialect                                              |
//! | `continuation` | what has been said of an answer, and the request for the rest of it           |
//!
//! `docs/services.md` has the table of what marks what in which dialect, with its sources.
//!
//! * Bytes in, bytes out. Any cut of an input into pieces gives the same answers.
//! * What cannot be told is `None` or generic, and nothing is done to a stream nobody understands.
//!
//! Absent on purpose: translation from one dialect into another, sockets, clocks, and the decision
//! what to do about an ending: `proxy` decides.

pub mod canned;
pub mod continuation;
pub mod fault;
mod marks;
pub mod model;
pub mod observer;
pub mod openai;
pub mod refusal;
pub mod request;

#[cfg(test)]
mod tests;

pub use self::observer::{Ending, Observer, Truncation, Usage};

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
const PATHS: &[(&str, Dialect)] = &[
    ("/chat/completions", Dialect::OpenAiChat),
    ("/v1/completions", Dialect::OpenAiCompletions),
    ("/v1/responses", Dialect::OpenAiResponses),
    ("/openai/responses", Dialect::OpenAiResponses),
    ("/v1/messages", Dialect::Anthropic),
    ("/generate_stream", Dialect::Tgi),
    ("/api/chat", Dialect::Ollama),
    ("/api/generate", Dialect::Ollama),
];

impl Dialect {
    /// The dialect of a request for `path`, which has no query.
    ///
    /// A setting other than `auto` decides for paths that tell nothing, and among the dialects that
    /// its servers speak: TGI and Ollama answer OpenAI's paths in OpenAI's way.
    pub fn of(setting: Setting, path: &str) -> Dialect {
        let told = Dialect::of_path(path);
        let openai = matches!(
            told,
            Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::OpenAiResponses
        );
        match setting {
            Setting::Auto => told,
            Setting::OpenAi if openai => told,
            Setting::OpenAi if path.ends_with("/responses") => Dialect::OpenAiResponses,
            Setting::OpenAi if path.ends_with("/completions") => Dialect::OpenAiCompletions,
            Setting::OpenAi => Dialect::OpenAiChat,
            Setting::Anthropic => Dialect::Anthropic,
            Setting::Tgi | Setting::Ollama if openai => told,
            Setting::Tgi => Dialect::Tgi,
            Setting::Ollama if told == Dialect::Anthropic => told,
            Setting::Ollama => Dialect::Ollama,
            Setting::None => Dialect::Generic,
        }
    }

    fn of_path(path: &str) -> Dialect {
        let path = path.strip_suffix('/').unwrap_or(path);
        let known = PATHS.iter().find(|(end, _)| path.ends_with(end));
        // TGI's answer in one piece; its name is too common to be looked for below a prefix.
        let tgi = (path == "/generate").then_some(Dialect::Tgi);
        known.map(|(_, dialect)| *dialect).or(tgi).unwrap_or(Dialect::Generic)
    }

    pub fn name(self) -> &'static str {
        match self {
            Dialect::OpenAiChat => "openai-chat",
            Dialect::OpenAiCompletions => "openai-completions",
            Dialect::OpenAiResponses => "openai-responses",
            Dialect::Anthropic => "anthropic",
            Dialect::Tgi => "tgi",
            Dialect::Ollama => "ollama",
            Dialect::Generic => "generic",
        }
    }

    /// The media type of its streams.
    pub fn stream_type(self) -> &'static str {
        match self {
            Dialect::Ollama => "application/x-ndjson",
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
