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
pub(in crate::service) mod gemini;
pub(in crate::service) mod generic;
pub(in crate::service) mod kserve;
pub(in crate::service) mod llama_cpp;
pub(in crate::service) mod ollama;
pub(in crate::service) mod openai;
pub(in crate::service) mod responses;
pub(in crate::service) mod sglang;
pub(in crate::service) mod text;
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
    Gemini in gemini,
    /// The open inference protocol, version 2: `/v2/models/NAME/infer`. Documents, no streams.
    KServe in kserve,
    /// Triton's own: `/v2/models/NAME/generate`, `/generate_stream`
    Triton in kserve,
    /// llama.cpp's own: `/completion`
    LlamaCpp in llama_cpp,
    /// SGLang's own: `/generate`
    Sglang in sglang,
    /// Plain text in pieces, without events.
    Text in text,
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
        Dialect::expected(setting, path).unwrap_or(Dialect::Generic)
    }

    pub fn name(self) -> &'static str {
        known!(self, D => D::NAME)
    }

    /// The media type of its streams.
    pub fn stream_type(self) -> &'static str {
        match self.stream_grammar() {
            StreamGrammar::Events => "text/event-stream",
            StreamGrammar::Lines => "application/x-ndjson",
            StreamGrammar::Text => "text/plain; charset=utf-8",
        }
    }

    /// Whether its streams are event streams.
    pub fn speaks_in_events(self) -> bool {
        self.stream_grammar() == StreamGrammar::Events
    }

    /// Whether its streams are lines of JSON.
    pub fn speaks_in_lines(self) -> bool {
        self.stream_grammar() == StreamGrammar::Lines
    }

    /// Whether its streams are plain text, without events.
    pub fn speaks_in_text(self) -> bool {
        self.stream_grammar() == StreamGrammar::Text
    }

    /// Whether its streams have no mark of their end, so that HTTP alone tells it.
    pub fn ends_with_http(self) -> bool {
        known!(self, D => !D::HAS_END)
    }

    /// Whether a page of HTML is none of its answers. A server of plain text may call that so.
    pub fn has_no_pages(self) -> bool {
        self != Dialect::Generic && !self.speaks_in_text()
    }

    /// The model that `path` names, where requests of this dialect name it there.
    pub fn model_in(self, path: &str) -> Option<&str> {
        known!(self, D => D::model_in(path))
    }

    pub(in crate::service) fn stream_grammar(self) -> StreamGrammar {
        known!(self, D => D::STREAM)
    }

    /// Whether a request for `path` wants a stream that this dialect has, given its `query` and the
    /// `stream` of its body.
    pub fn streams(self, path: &str, query: &str, asked: Option<bool>) -> bool {
        known!(self, D => D::streams(path, query, asked))
    }

    /// Whether a request may want a stream that does not say `stream`: by its path, or by itself.
    pub fn may_stream_unasked(self) -> bool {
        known!(self, D => D::STREAMS_UNASKED)
    }

    /// Whether a request says how many choices its answer is to have: `n`.
    pub fn has_choices(self) -> bool {
        known!(self, D => D::CHOICES_ASKED)
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
