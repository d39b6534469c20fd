//! What is known of each dialect: a folder for each, and the list of all.
//!
//! A folder says everything that the gateway knows of one dialect, as an implementation of
//! [`Knowledge`]: which paths it is expected of, what its events and documents mean, and how an
//! error, a heartbeat and a predefined answer are written in it. To add one, copy a folder and add
//! its line to the list below: `docs/services.md`, "Add a service".
//!
//! * Nobody outside these folders asks which dialect it is where he wants to know a fact of it.
//! * What every dialect has in common stands in `service`; a folder knows no other folder, but for
//!   those whose dialects are spoken by the same servers.
//!
//! Absent on purpose: translation, which is about two dialects at once.

#[macro_use]
mod list;
pub(in crate::service) mod document_words;
mod knowledge;
pub(in crate::service) mod words;
pub(in crate::service) mod writing;

pub(in crate::service) mod anthropic;
pub(in crate::service) mod generic;
pub(in crate::service) mod ollama;
pub(in crate::service) mod openai;
pub(in crate::service) mod responses;
pub(in crate::service) mod tgi;

use super::Setting;
use super::continuation::Prefill;
use crate::http::reply::ErrorForm;

pub(in crate::service) use self::knowledge::{Dispatched, Knowledge, StreamGrammar};

dialects! { $
    /// `/v1/chat/completions`
    OpenAiChat in openai,
    /// `/v1/completions`
    OpenAiCompletions in openai,
    /// `/v1/responses`
    OpenAiResponses in responses,
    /// `/v1/messages`
    Anthropic in anthropic,
    /// Text Generation Inference's own: `/generate`, `/generate_stream`
    Tgi in tgi,
    /// Ollama's own: `/api/chat`, `/api/generate`. Streams are lines of JSON.
    Ollama in ollama,
    /// Google's `…/models/NAME:generateContent`, `:streamGenerateContent`
    Gemini in generic,
    /// The open inference protocol, version 2: `/v2/models/NAME/infer`. Documents, no streams.
    KServe in generic,
    /// Triton's own: `/v2/models/NAME/generate`, `/generate_stream`
    Triton in generic,
    /// llama.cpp's own: `/completion`
    LlamaCpp in generic,
    /// SGLang's own: `/generate`
    Sglang in generic,
    /// Plain text in pieces, without events.
    Text in generic,
    /// Anything else: nothing is known of it.
    Generic in generic,
}

impl Dialect {
    /// The dialect that is expected of the answer to a request for `path`, which has no query. It is
    /// no more than that: a stream is taken for what its events say
    /// ([`Observer::dialect`](super::Observer::dialect)).
    ///
    /// A setting other than `auto` chooses among the paths that its servers have: TGI, Ollama and
    /// Anthropic answer OpenAI's paths in OpenAI's way. Whatever else they answer is generic.
    pub fn of(setting: Setting, path: &str) -> Dialect {
        let path = match path {
            "/" => path,
            _ => path.strip_suffix('/').unwrap_or(path),
        };
        let mut all = Dialect::ALL.iter().copied();
        all.find(|dialect| known!(*dialect, D => D::is_expected(setting, path)))
            .unwrap_or(Dialect::Generic)
    }

    pub fn name(self) -> &'static str {
        known!(self, D => D::NAME)
    }

    /// The media type of its streams.
    pub fn stream_type(self) -> &'static str {
        match self.stream_grammar() {
            StreamGrammar::Events => "text/event-stream",
            StreamGrammar::Lines => "application/x-ndjson",
        }
    }

    /// Whether its streams are lines of JSON, and not event streams.
    pub fn speaks_in_lines(self) -> bool {
        self.stream_grammar() == StreamGrammar::Lines
    }

    pub(in crate::service) fn stream_grammar(self) -> StreamGrammar {
        known!(self, D => D::STREAM)
    }

    /// Whether a request for `path` wants a stream, given the `stream` of its body.
    pub fn streams(self, path: &str, asked: Option<bool>) -> bool {
        known!(self, D => D::streams(path, asked))
    }

    /// Whether an answer may have several choices, told apart by their index.
    pub fn has_choices(self) -> bool {
        known!(self, D => D::CHOICES)
    }

    /// Whether a request may have a list of prompts, each of which is answered.
    pub fn takes_several_prompts(self) -> bool {
        known!(self, D => D::SEVERAL_PROMPTS)
    }

    /// What a server has to take for a stream of this dialect to be continued. `None`: it cannot be.
    pub fn continued_by(self) -> Option<Prefill> {
        known!(self, D => D::CONTINUED_BY)
    }

    /// The shape in which its clients read an error.
    pub fn error_form(self) -> ErrorForm {
        known!(self, D => D::ERROR_FORM)
    }

    /// `gen_ai.operation.name` and `gen_ai.provider.name` of OpenTelemetry's conventions.
    pub fn operation(self) -> Option<(&'static str, &'static str)> {
        known!(self, D => D::OPERATION)
    }
}
