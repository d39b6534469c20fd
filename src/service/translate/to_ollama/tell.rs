//! A stream of Ollama's, told as one of OpenAI chat.
//!
//! ```text
//!   first line                 a chunk with the role
//!   message.content            delta.content
//!   message.thinking           delta.reasoning_content
//!   message.tool_calls         delta.tool_calls, each whole
//!   logprobs                   logprobs beside the text, or alone; not those of what is thought
//!   done with done_reason      finish_reason, usage if it was asked for, [DONE]
//!   error                      an error event
//! ```

use std::borrow::Cow;

use super::super::chat::writer::{ChatWriter, Progress, Said};
use super::super::documents::{nameless, no_arguments, written_arguments};
use super::super::errors::ServerError;
use super::super::events::StreamPart;
use super::super::raw::{inside, meaning, some_text};
use super::super::reasons::{self, TokenCounts};
use super::super::{AnswerContext, BadAnswer, Teller};
use super::line::OllamaLine;
use crate::http::json::escape;

/// Tells one stream.
#[derive(Debug)]
pub struct OllamaAsChat {
    writer: ChatWriter,
    tokens: TokenCounts,
}

impl OllamaAsChat {
    pub fn new(context: &AnswerContext) -> OllamaAsChat {
        OllamaAsChat { writer: ChatWriter::new(context), tokens: TokenCounts::default() }
    }

    fn line(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        let line = OllamaLine::read(data)?;
        if line.error.is_some() {
            self.writer.fail(&ServerError::read(0, data), out);
            return Ok(());
        }
        if self.writer.progress() == Progress::Before {
            // A stream of `/api/generate`, which would be an answer without a word.
            match line.message {
                None if line.done => {
                    return Err(BadAnswer::Malformed("has no `message`".into()));
                }
                None => return Ok(()),
                Some(_) => {}
            }
            let model = line.model.and_then(inside).map(meaning).filter(|model| !model.is_empty());
            self.writer.begin(None, model.as_deref(), out);
        }
        if let Some(message) = &line.message {
            if message.images.is_some_and(|images| !matches!(images.get(), "null" | "[]")) {
                return Err(BadAnswer::Unknown("`images` in a message".into()));
            }
            let thought = some_text(message.thinking, "thinking")?;
            let text = some_text(message.content, "content")?;
            if let Some(thought) = thought {
                self.writer.says(Said::Thinking, thought, out);
            }
            match (text, line.logprobs()) {
                (None, Some(_)) if thought.is_some() => {}
                (text, Some(logprobs)) => {
                    self.writer.says_with(Said::Text, text.unwrap_or_default(), &logprobs, out);
                }
                (Some(text), None) => self.writer.says(Said::Text, text, out),
                (None, None) => {}
            }
        }
        for call in line.calls()? {
            let id = call.id.and_then(inside).map(meaning).filter(|id| !id.is_empty());
            let name = inside(call.function.name).map(meaning).filter(|name| !name.is_empty());
            let name = name.ok_or_else(nameless)?;
            let told = match call.function.arguments.and_then(inside) {
                // A text with an object in it, as OpenAI has it.
                Some(text) => match written_arguments(&meaning(text), &name)? {
                    "{}" => Cow::Borrowed("{}"),
                    _ => Cow::Borrowed(text),
                },
                None => {
                    let object = call.function.arguments.map(|object| object.get());
                    let object = object.filter(|object| *object != "null").unwrap_or("{}");
                    if !object.starts_with('{') {
                        return Err(no_arguments(&name));
                    }
                    let mut escaped = Vec::new();
                    escape(object, &mut escaped);
                    Cow::Owned(String::from_utf8_lossy(&escaped).into_owned())
                }
            };
            let number = self.writer.call(id, &name, None, out);
            self.writer.says(Said::Arguments(number), &told, out);
        }
        line.count(&mut self.tokens);
        if line.done {
            let reason = line.done_reason.and_then(inside).unwrap_or("stop");
            let reason = reasons::of_ollama(reason, self.writer.has_calls());
            self.writer.finish(reason, out);
            self.writer.conclude(Some(&self.tokens), out);
        }
        Ok(())
    }
}

impl Teller for OllamaAsChat {
    fn part<'e>(
        &mut self,
        part: StreamPart<'e>,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'e str>, BadAnswer> {
        match part {
            StreamPart::Event { data, .. } if self.writer.progress() != Progress::Over => {
                self.line(data, out)?;
            }
            _ => {}
        }
        Ok(None)
    }

    fn end(&mut self, _: &mut Vec<u8>) -> Result<(), BadAnswer> {
        match self.writer.progress() {
            Progress::Over => Ok(()),
            _ => Err(BadAnswer::Unfinished),
        }
    }
}
