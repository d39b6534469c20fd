//! A stream of Triton's, told as one of OpenAI chat.
//!
//! ```text
//!   first event      a chunk with the role
//!   text_output      delta.content
//!   the end          finish_reason, [DONE]: there is no mark of an end, and nobody counts tokens
//!   error            an error event
//! ```

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::chat::writer::{ChatWriter, Progress, Said};
use super::super::errors::ServerError;
use super::super::events::StreamPart;
use super::super::raw::{inside, malformed, meaning, some_text};
use super::super::{AnswerContext, BadAnswer, Teller};

/// An event. Members that nobody here knows tell nothing.
#[derive(Debug, Deserialize)]
struct TritonEvent<'e> {
    #[serde(borrow, default)]
    model_name: Option<&'e RawValue>,
    #[serde(borrow, default)]
    text_output: Option<&'e RawValue>,
    /// vLLM's backend tells it where it was asked to.
    #[serde(borrow, default)]
    finish_reason: Option<&'e RawValue>,
    /// The open inference protocol tells it here.
    #[serde(borrow, default)]
    details: Option<GenerateDetails<'e>>,
    #[serde(borrow, default)]
    error: Option<&'e RawValue>,
}

#[derive(Debug, Deserialize)]
struct GenerateDetails<'e> {
    #[serde(borrow, default)]
    finish_reason: Option<&'e RawValue>,
}

/// Tells one stream.
#[derive(Debug)]
pub struct TritonAsChat {
    writer: ChatWriter,
    /// The model has run out of tokens.
    too_long: bool,
}

impl TritonAsChat {
    pub fn new(context: &AnswerContext) -> TritonAsChat {
        let writer = ChatWriter::new(context);
        TritonAsChat { writer, too_long: false }
    }

    fn event<'e>(
        &mut self,
        name: &[u8],
        data: &'e [u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<&'e str>, BadAnswer> {
        let event: TritonEvent<'_> = match data.trim_ascii_start().first() {
            Some(b'{') => serde_json::from_slice(data).map_err(|error| malformed(&error))?,
            _ => return Err(BadAnswer::Malformed("has an event that is no JSON object".into())),
        };
        if name == b"error" || event.error.is_some() {
            self.writer.fail(&ServerError::read(0, data), out);
            return Ok(None);
        }
        if event.model_name.is_none() && event.text_output.is_none() {
            // Each of Triton's has both: the end of another dialect's stream would be no end.
            return Err(BadAnswer::Malformed("has an event that is none of Triton's".into()));
        }
        if self.writer.progress() == Progress::Before {
            let model = event.model_name.and_then(inside).map(meaning);
            self.writer.begin(None, model.as_deref().filter(|model| !model.is_empty()), out);
        }
        let reason = event.finish_reason.or(event.details.and_then(|it| it.finish_reason));
        self.too_long |= reason.and_then(inside) == Some("length");
        if let Some(text) = some_text(event.text_output, "text_output")? {
            self.writer.says(Said::Text, text, out);
            return Ok(Some(text).filter(|_| reason.is_none()));
        }
        Ok(None)
    }
}

impl Teller for TritonAsChat {
    fn part<'e>(
        &mut self,
        part: StreamPart<'e>,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'e str>, BadAnswer> {
        match part {
            _ if self.writer.progress() == Progress::Over => {}
            StreamPart::Event { name, data } => return self.event(name, data, out),
            StreamPart::Done => {}
            StreamPart::Comment => self.writer.ping(out),
        }
        Ok(None)
    }

    fn again(&mut self, text: &str, out: &mut Vec<u8>) -> Result<bool, BadAnswer> {
        if !text.is_empty() {
            self.writer.says(Said::Text, text, out);
        }
        Ok(self.writer.progress() == Progress::Under)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        match self.writer.progress() {
            Progress::Before => Err(BadAnswer::Unfinished),
            Progress::Under | Progress::Finished => {
                self.writer.finish(if self.too_long { "length" } else { "stop" }, out);
                self.writer.conclude(None, out);
                Ok(())
            }
            Progress::Over => Ok(()),
        }
    }
}
