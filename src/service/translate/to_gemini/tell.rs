//! A stream of Gemini's, told as one of OpenAI chat.
//!
//! ```text
//!   first event                    a chunk with the role; so begins each candidate
//!   part text                      delta.content
//!   part text with thought         delta.reasoning_content
//!   part functionCall              delta.tool_calls, each whole
//!   logprobsResult                 logprobs beside the first text of its event, or alone
//!   finishReason, usageMetadata    finish_reason, usage if it was asked for, [DONE]
//!   promptFeedback.blockReason     finish_reason content_filter
//! ```

use serde_json::json;

use super::super::chat::logprobs;
use super::super::chat::writer::{ChatWriter, Progress, Said};
use super::super::documents::{nameless, no_arguments};
use super::super::errors::ServerError;
use super::super::events::StreamPart;
use super::super::raw::{inside, meaning, some_text, value};
use super::super::reasons::{self, TokenCounts};
use super::super::tree::Numbers;
use super::super::{AnswerContext, BadAnswer, Teller};
use super::event::{self, FunctionCall, GeminiCandidate, GeminiEvent, GeminiPart};
use crate::http::json::escape;

/// Tells one stream.
#[derive(Debug)]
pub struct GeminiAsChat {
    writer: ChatWriter,
    tokens: TokenCounts,
    /// How many candidates there may be.
    choices: u64,
}

impl GeminiAsChat {
    pub fn new(context: &AnswerContext) -> GeminiAsChat {
        let choices = context.memo.choices.max(1);
        GeminiAsChat { writer: ChatWriter::new(context), tokens: TokenCounts::default(), choices }
    }

    fn event(&mut self, name: &[u8], data: &[u8], out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        let event = GeminiEvent::read(data)?;
        if name == b"error" || event.error.is_some() {
            self.writer.fail(&ServerError::read(0, data), out);
            return Ok(());
        }
        if let Some(usage) = event.usage_metadata.and_then(value) {
            event::count(&usage, &mut self.tokens);
        }
        let blocked = event.prompt_feedback.as_ref().and_then(|feedback| feedback.block_reason);
        let candidates = event.candidates.as_deref().unwrap_or_default();
        if (blocked.is_some() || !candidates.is_empty())
            && self.writer.progress() == Progress::Before
        {
            let text = |raw| Option::and_then(raw, inside).map(meaning);
            let (id, model) = (text(event.response_id), text(event.model_version));
            self.writer.begin(id.as_deref(), model.as_deref(), out);
        }
        for candidate in candidates {
            self.candidate(candidate, out)?;
        }
        if blocked.is_some() {
            self.writer.finish("content_filter", out);
        }
        let whole = blocked.is_some() || self.writer.finished() == self.choices;
        if event.usage_metadata.is_some() && whole {
            self.writer.conclude(Some(&self.tokens), out);
        }
        Ok(())
    }

    fn candidate(
        &mut self,
        candidate: &GeminiCandidate<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), BadAnswer> {
        if candidate.index >= self.choices {
            return Err(BadAnswer::Unknown("a second candidate".into()));
        }
        self.writer.turn_to(candidate.index, out);
        let mut numbers = Numbers::default();
        let logprobs =
            candidate.logprobs_result.and_then(|it| numbers.parse(it.get().as_bytes()).ok());
        let logprobs = logprobs.as_ref().and_then(logprobs::of_gemini);
        let mut logprobs = logprobs.map(|list| numbers.text(&list));
        let parts = candidate.content.as_ref().and_then(|content| content.parts.as_deref());
        for part in parts.unwrap_or_default() {
            self.says(part, &mut logprobs, out)?;
        }
        if let Some(alone) = logprobs {
            self.writer.says_with(Said::Text, "", &alone, out);
        }
        let Some(reason) = candidate.finish_reason.and_then(inside) else { return Ok(()) };
        if event::is_fault(reason) {
            let message = format!("The model has ended with {reason}.");
            self.writer.fail(&ServerError { kind: "api_error", message }, out);
            return Ok(());
        }
        let reason = reasons::of_gemini(reason, self.writer.has_calls());
        self.writer.finish(reason, out);
        Ok(())
    }

    /// `logprobs`: of the text that comes next.
    fn says(
        &mut self,
        part: &GeminiPart<'_>,
        logprobs: &mut Option<String>,
        out: &mut Vec<u8>,
    ) -> Result<(), BadAnswer> {
        if let Some(name) = part.unknown() {
            return Err(BadAnswer::Unknown(format!("a part `{name}`")));
        }
        if let Some(text) = some_text(part.text, "text")? {
            match logprobs.take_if(|_| !part.thought) {
                Some(logprobs) => self.writer.says_with(Said::Text, text, &logprobs, out),
                None if part.thought => self.writer.says(Said::Thinking, text, out),
                None => self.writer.says(Said::Text, text, out),
            }
        }
        let Some(FunctionCall { id, name, args }) = &part.function_call else { return Ok(()) };
        let name = inside(name).map(meaning).filter(|name| !name.is_empty());
        let name = name.ok_or_else(nameless)?;
        let args = args.map_or("{}", |args| args.get());
        if !args.starts_with('{') {
            return Err(no_arguments(&name));
        }
        let id = id.and_then(inside).map(meaning).filter(|id| !id.is_empty());
        let signature = part.thought_signature.and_then(inside).map(meaning);
        let more =
            signature.map(|it| ("extra_content", json!({"google": {"thought_signature": it}})));
        let number = self.writer.call(id, &name, more, out);
        let mut arguments = Vec::new();
        escape(args, &mut arguments);
        self.writer.says(Said::Arguments(number), &String::from_utf8_lossy(&arguments), out);
        Ok(())
    }
}

impl Teller for GeminiAsChat {
    fn part<'e>(
        &mut self,
        part: StreamPart<'e>,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'e str>, BadAnswer> {
        match part {
            _ if self.writer.progress() == Progress::Over => {}
            StreamPart::Event { name, data } => self.event(name, data, out)?,
            // Gemini's streams have no such mark.
            StreamPart::Done => {}
            StreamPart::Comment => self.writer.ping(out),
        }
        Ok(None)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        match self.writer.progress() {
            Progress::Before | Progress::Under => Err(BadAnswer::Unfinished),
            Progress::Finished => {
                self.writer.conclude(Some(&self.tokens), out);
                Ok(())
            }
            Progress::Over => Ok(()),
        }
    }
}
