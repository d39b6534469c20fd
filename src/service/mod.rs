//! Inference services: what their dialects say with bytes.
//!
//! | file       | knows                                                                            |
//! |------------|----------------------------------------------------------------------------------|
//! | `observer` | whether a stream is whole, failed or cut short, and what it cost                  |
//! | `decoding` | a compressed answer, watched through a decoder beside its bytes                |
//! | `plain`    | the same for an answer that can be read as it comes                               |
//! | `dialects` | what is known of each dialect: a folder for each, and the list of all             |
//! | `marks`    | how the fields that tell are read, in a stream and in a document                  |
//! | `fault`    | the error event and the heartbeat of a dialect                                    |
//! | `request`  | what a request asks for: model, streaming, where the prompt begins                |
//! | `naming`   | where a request names its model, if there is one way to read it                   |
//! | `refusal`  | why a server refused: too long for its context, or against a policy               |
//! | `model`    | the name of the model that answered                                               |
//! | `listing`  | lists of models: read of a server, written in each form                            |
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
mod dialects;
pub mod fault;
pub mod include_usage;
pub mod listing;
mod marks;
pub mod model;
pub mod naming;
pub mod observer;
pub mod plain;
pub mod refusal;
pub mod request;
pub mod translate;

#[cfg(test)]
mod tests;

pub use self::dialects::Dialect;
pub use self::dialects::openai::write as openai;
pub use self::observer::Observer;
pub use self::plain::{Completion, Ending, Told, Truncation, Usage};

/// What a route is told to speak (`service` in the configuration).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The path tells.
    Auto,
    OpenAi,
    Anthropic,
    Tgi,
    Ollama,
    Gemini,
    /// Version 2 of the open inference protocol, and Triton's extension.
    KServe,
    /// The same.
    Triton,
    LlamaCpp,
    Sglang,
    /// Every answer may be a stream of plain text.
    Text,
    /// Nothing is assumed.
    None,
}

impl Setting {
    pub const ALL: [Setting; 12] = [
        Setting::Auto,
        Setting::OpenAi,
        Setting::Anthropic,
        Setting::Tgi,
        Setting::Ollama,
        Setting::Gemini,
        Setting::KServe,
        Setting::Triton,
        Setting::LlamaCpp,
        Setting::Sglang,
        Setting::Text,
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
            Setting::Gemini => "gemini",
            Setting::KServe => "kserve",
            Setting::Triton => "triton",
            Setting::LlamaCpp => "llama.cpp",
            Setting::Sglang => "sglang",
            Setting::Text => "text",
            Setting::None => "none",
        }
    }

    /// Whether its servers have a list of models that can be asked for in a way known here.
    pub fn lists_models(self) -> bool {
        match self {
            // Of such a server nothing is assumed, and so not that it has a list.
            Setting::None | Setting::Text => false,
            // Theirs have other paths and forms.
            Setting::Gemini | Setting::KServe | Setting::Triton => false,
            Setting::Auto
            | Setting::OpenAi
            | Setting::Anthropic
            | Setting::Tgi
            | Setting::Ollama
            | Setting::LlamaCpp
            | Setting::Sglang => true,
        }
    }

    /// What its servers are asked for by a GET, to see whether they are well: where `/health` is not
    /// theirs, what is.
    pub fn health_path(self) -> &'static str {
        match self {
            Setting::Ollama => "/api/version",
            Setting::KServe | Setting::Triton => "/v2/health/ready",
            _ => "/health",
        }
    }

    pub fn from_name(name: &str) -> Option<Setting> {
        Setting::ALL.into_iter().find(|setting| setting.name() == name)
    }
}
