//! A stream of TGI's, told as one of OpenAI chat.
//!
//! ```text
//!   first event                 a chunk with the role
//!   token.text                  delta.content, unless it is special
//!   token.logprob, top_tokens   logprobs beside it, if they were asked for
//!   generated_text, details     finish_reason, usage if it was asked for, [DONE]
//!   error                       an error event
//! ```

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::chat::logprobs;
use super::super::chat::writer::{ChatWriter, Progress, Said};
use super::super::errors::ServerError;
use super::super::events::StreamPart;
use super::super::raw::{inside, malformed, some_text};
use super::super::reasons::{self, TokenCounts};
use super::super::tree::Numbers;
use super::super::{AnswerContext, BadAnswer, Teller};

/// An event. Members that nobody here knows tell nothing.
#[derive(Debug, Deserialize)]
struct TgiEvent<'e> {
    #[serde(borrow, default)]
    token: Option<TgiToken<'e>>,
    #[serde(borrow, default)]
    top_tokens: Option<&'e RawValue>,
    #[serde(borrow, default)]
    generated_text: Option<&'e RawValue>,
    #[serde(borrow, default)]
    details: Option<TgiDetails<'e>>,
    #[serde(borrow, default)]
    error: Option<&'e RawValue>,
}

#[derive(Debug, Deserialize)]
struct TgiToken<'e> {
    #[serde(borrow, default)]
    text: Option<&'e RawValue>,
    #[serde(borrow, default)]
    logprob: Option<&'e RawValue>,
    /// A mark of the model's, which is no part of the text.
    #[serde(default)]
    special: bool,
}

#[derive(Debug, Deserialize)]
struct TgiDetails<'e> {
    #[serde(borrow, default)]
    finish_reason: Option<&'e RawValue>,
    #[serde(default)]
    generated_tokens: u64,
    #[serde(default)]
    input_length: Option<u64>,
}

/// Tells one stream.
#[derive(Debug)]
pub struct TgiAsChat {
    writer: ChatWriter,
    /// The client wants to know how likely its tokens were.
    logprobs: bool,
}

impl TgiAsChat {
    pub fn new(context: &AnswerContext) -> TgiAsChat {
        TgiAsChat { writer: ChatWriter::new(context), logprobs: context.memo.logprobs }
    }

    fn event(&mut self, name: &[u8], data: &[u8], out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        let event: TgiEvent<'_> = match data.trim_ascii_start().first() {
            Some(b'{') => serde_json::from_slice(data).map_err(|error| malformed(&error))?,
            _ => return Err(BadAnswer::Malformed("has an event that is no JSON object".into())),
        };
        if name == b"error" || event.error.is_some() {
            self.writer.fail(&ServerError::read(0, data), out);
            return Ok(());
        }
        if event.token.is_some() || event.generated_text.is_some() {
            self.writer.begin(None, None, out);
        }
        if let Some(token) = event.token.filter(|token| !token.special) {
            self.token(&token, event.top_tokens, out)?;
        }
        if event.generated_text.is_some() || event.details.is_some() {
            let details = event.details.as_ref();
            let reason = details.and_then(|details| details.finish_reason).and_then(inside);
            self.writer.finish(reasons::of_tgi(reason.unwrap_or_default()), out);
            let tokens = details.map(|details| TokenCounts {
                input: details.input_length.unwrap_or(0),
                output: details.generated_tokens,
                ..TokenCounts::default()
            });
            self.writer.conclude(tokens.as_ref(), out);
        }
        Ok(())
    }

    fn token(
        &mut self,
        token: &TgiToken<'_>,
        top: Option<&RawValue>,
        out: &mut Vec<u8>,
    ) -> Result<(), BadAnswer> {
        let text = some_text(token.text, "text")?;
        if !self.logprobs {
            text.into_iter().for_each(|text| self.writer.says(Said::Text, text, out));
            return Ok(());
        }
        let mut numbers = Numbers::default();
        let mut tree =
            |raw: Option<&RawValue>| raw.and_then(|raw| numbers.parse(raw.get().as_bytes()).ok());
        let top = tree(top).map(|top| Value::Array(vec![top]));
        let token = json!({"text": tree(token.text), "logprob": tree(token.logprob)});
        let list = logprobs::of_tgi(&[token], top.as_ref()).map(|list| numbers.text(&list));
        let text = text.unwrap_or_default();
        match list {
            Some(list) => self.writer.says_with(Said::Text, text, &list, out),
            None => self.writer.says(Said::Text, text, out),
        }
        Ok(())
    }
}

impl Teller for TgiAsChat {
    fn part<'e>(
        &mut self,
        part: StreamPart<'e>,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'e str>, BadAnswer> {
        match part {
            _ if self.writer.progress() == Progress::Over => {}
            StreamPart::Event { name, data } => self.event(name, data, out)?,
            StreamPart::Done => {}
            StreamPart::Comment => self.writer.ping(out),
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
