//! The translation of one answer, leg by leg, from the server to the client.
//!
//! ```text
//!   server's bytes ─▶ Frames ─▶ Teller ─▶ (chunks of OpenAI chat ─▶ Frames ─▶ Teller) ─▶ client's bytes
//! ```
//!
//! * What the second leg reads was written by the first: whole events, taken at once.
//! * Behind an error nothing more is written.

use super::chat::writer;
use super::documents::{self, ToldDocument};
use super::events::{Frames, StreamPart};
use super::leg::Leg;
use super::template::DeltaShape;
use super::{AnswerContext, BadAnswer, Memo, Pair, Teller};
use crate::http::coding::{BodyDecoder, Coding};
use crate::service::Dialect;

/// Translates one answer.
#[derive(Debug)]
pub struct Translator {
    form: Form,
    content_type: &'static str,
    /// Of an answer in a coding, though nobody has asked for one.
    unpacking: Option<Box<Unpacking>>,
    /// Why nothing more is written.
    failed: Option<BadAnswer>,
}

/// The most memory that an answer may take to be decoded. Nobody has asked for its coding, so servers that
/// choose one are few, and no purse pays for them.
const UNPACKING_BYTES: usize = 5 << 20;

/// Decodes an answer on its way into a translation.
#[derive(Debug)]
struct Unpacking {
    decoder: BodyDecoder,
}

#[derive(Debug)]
enum Form {
    Stream(Box<Stages>),
    Document(Box<Collected>),
}

/// One leg of a stream.
#[derive(Debug)]
struct Stage {
    frames: Frames,
    teller: Box<dyn Teller>,
    shape: DeltaShape,
    understood: Understood,
}

/// Whether the events of a stream are of the dialect that it is read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Understood {
    /// There was none.
    NoneCame,
    /// Events came, and none of them said anything.
    Nothing,
    Something,
}

impl Stage {
    fn new(leg: Leg, context: &AnswerContext) -> Stage {
        let (frames, teller) = (leg.frames(), leg.teller(context));
        Stage { frames, teller, shape: DeltaShape::default(), understood: Understood::NoneCame }
    }

    fn feed(&mut self, mut payload: &[u8], out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        if self.frames.at_boundary() {
            // Nearly every read is one event, or some, that are of the shape of the one before.
            while let Some((text, rest)) = self.shape.text(payload) {
                if !self.teller.again(text, out)? {
                    break;
                }
                payload = rest;
            }
        }
        if payload.is_empty() { Ok(()) } else { self.read(payload, out) }
    }

    /// The same, event by event.
    #[inline(never)]
    fn read(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        let whole = self.frames.at_boundary();
        let (mut shown, mut text) = (0, None);
        let Stage { teller, understood, .. } = self;
        let fed = self.frames.feed(payload, |part| {
            shown += 1;
            // It may lie in the payload, or where its pieces were gathered.
            text = understood.part(part, &mut **teller, out)?;
            Ok(())
        });
        fed.map_err(|why| self.understood.fault(why))?;
        // The shape is that of a read with one event.
        let text = text.filter(|_| whole && shown == 1 && self.frames.at_boundary());
        if let Some((at, length)) = text {
            let start = at.wrapping_sub(payload.as_ptr() as usize);
            let text = start.checked_add(length).and_then(|end| payload.get(start..end));
            if let Some(text) = text.and_then(|text| std::str::from_utf8(text).ok()) {
                self.shape.learn(payload, text);
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        let Stage { teller, understood, .. } = self;
        let fed = self.frames.end(|part| understood.part(part, &mut **teller, out).map(drop));
        let ended = fed.and_then(|()| self.teller.end(out));
        ended.map_err(|why| self.understood.fault(why))
    }
}

impl Understood {
    /// Shows a teller a part of the stream. Returns where the text of a delta lies, and how long it is.
    #[inline]
    fn part(
        &mut self,
        part: StreamPart<'_>,
        teller: &mut dyn Teller,
        out: &mut Vec<u8>,
    ) -> Result<Option<(usize, usize)>, BadAnswer> {
        let (is_event, before) = (matches!(part, StreamPart::Event { .. }), out.len());
        let text = teller.part(part, out)?.map(|text| (text.as_ptr() as usize, text.len()));
        if is_event && *self != Understood::Something {
            *self = match out.len() > before {
                true => Understood::Something,
                false => Understood::Nothing,
            };
        }
        Ok(text)
    }

    /// A stream of which nothing was understood is in another dialect, and not unfinished.
    fn fault(self, why: BadAnswer) -> BadAnswer {
        match (self, why) {
            (Understood::Nothing, BadAnswer::Unfinished) => BadAnswer::Malformed(
                "has no event of the dialect that the server was asked in".to_owned(),
            ),
            (_, why) => why,
        }
    }
}

/// The legs of a stream, the server's first.
#[derive(Debug)]
struct Stages {
    first: Option<Stage>,
    second: Option<Stage>,
    /// What the first has written for the second; kept for its capacity.
    between: Vec<u8>,
}

impl Stages {
    fn of(pair: Pair, context: &AnswerContext) -> Stages {
        let stage = |leg: Option<Leg>| leg.map(|leg| Stage::new(leg, context));
        let (first, second) = (stage(pair.leg_to()), stage(pair.leg_from()));
        Stages { first, second, between: Vec::new() }
    }

    fn feed(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        match (&mut self.first, &mut self.second) {
            (Some(only), None) | (None, Some(only)) => only.feed(payload, out),
            (Some(first), Some(second)) => {
                self.between.clear();
                let fed = first.feed(payload, &mut self.between);
                // What was written before a fault stands.
                second.feed(&self.between, out)?;
                fed
            }
            // A pair has a leg.
            (None, None) => Ok(()),
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        if let (Some(first), Some(second)) = (&mut self.first, &mut self.second) {
            self.between.clear();
            let ended = first.end(&mut self.between);
            second.feed(&self.between, out)?;
            ended?;
        }
        let last = self.second.as_mut().or(self.first.as_mut());
        last.map_or(Ok(()), |last| last.end(out))
    }
}

/// A document that is gathered, and written at its end.
#[derive(Debug)]
struct Collected {
    pair: Pair,
    context: AnswerContext,
    status: u16,
    body: Vec<u8>,
    bytes_max: usize,
    told: Told,
}

/// What becomes of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Document,
    /// The events of the stream that it would have been.
    Stream,
    /// Nobody can read it: its status speaks alone.
    ByStatus,
}

impl Translator {
    /// Of an event stream. `created`: Unix seconds; `id`: what is unique to the exchange, for ids that
    /// the server does not give.
    pub fn of_stream(pair: Pair, memo: &Memo, created: u64, id: &str) -> Translator {
        let context = AnswerContext { memo: memo.clone(), created, id: id.to_owned() };
        Translator {
            form: Form::Stream(Box::new(Stages::of(pair, &context))),
            content_type: pair.asked().stream_type(),
            unpacking: None,
            failed: None,
        }
    }

    /// Of a document with this status, of at most `bytes_max` bytes: an answer, or an error. It is
    /// written at its end.
    pub fn of_document(
        pair: Pair,
        memo: &Memo,
        status: u16,
        created: u64,
        id: &str,
        bytes_max: usize,
    ) -> Translator {
        let context = AnswerContext { memo: memo.clone(), created, id: id.to_owned() };
        let (body, told) = (Vec::new(), Told::Document);
        let collected = Collected { pair, context, status, body, bytes_max, told };
        Translator {
            form: Form::Document(Box::new(collected)),
            content_type: "application/json",
            unpacking: None,
            failed: None,
        }
    }

    /// The same for a client that waits for a stream, and gets one.
    pub fn told_as_stream(mut self) -> Translator {
        if let Form::Document(collected) = &mut self.form {
            collected.told = Told::Stream;
            self.content_type = collected.pair.asked().stream_type();
        }
        self
    }

    /// The same of an answer in this coding.
    pub fn unpacking(mut self, coding: Coding) -> Translator {
        self.unpacking = Some(Box::new(Unpacking { decoder: BodyDecoder::new(coding) }));
        self
    }

    /// The same where nobody can read the document, because it is in a coding: all that is told of it is its
    /// status.
    pub fn told_by_status(mut self) -> Translator {
        if let Form::Document(collected) = &mut self.form {
            collected.told = Told::ByStatus;
        }
        self
    }

    /// Takes the next bytes of the body, and writes the events that have become whole. Behind an error
    /// it fails for good; what was written before it stands.
    pub fn feed(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let fed = match &mut self.unpacking {
            None => self.form.feed(payload, out),
            Some(unpacking) => unpacking.feed(payload, &mut self.form, out),
        };
        self.noting(fed)
    }

    /// The server's body is complete. A stream that was not finished by its model is an error.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let ended = match &mut self.form {
            Form::Stream(stages) => stages.end(out),
            Form::Document(collected) => collected.end(out),
        };
        self.noting(ended)
    }

    fn noting(&mut self, result: Result<(), BadAnswer>) -> Result<(), BadAnswer> {
        if let Err(failed) = &result {
            self.failed = Some(failed.clone());
        }
        result
    }

    /// Whether something may be written before all of the answer is here.
    pub fn is_stream(&self) -> bool {
        matches!(self.form, Form::Stream(_))
    }

    /// The media type of what is written.
    pub fn content_type(&self) -> &'static str {
        self.content_type
    }
}

impl Form {
    #[inline]
    fn feed(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        match self {
            Form::Stream(stages) => stages.feed(payload, out),
            Form::Document(collected) => collected.feed(payload),
        }
    }
}

impl Unpacking {
    fn feed(
        &mut self,
        payload: &[u8],
        form: &mut Form,
        out: &mut Vec<u8>,
    ) -> Result<(), BadAnswer> {
        let mut fed = Ok(());
        let decoded = self.decoder.feed(
            payload,
            |bytes| bytes <= UNPACKING_BYTES,
            |piece| {
                if fed.is_ok() {
                    fed = form.feed(piece, out);
                }
            },
        );
        match form {
            _ if decoded.is_ok() => fed,
            // What an error says is lost, and that it is one is not.
            Form::Document(collected) if collected.status >= 400 => {
                collected.told = Told::ByStatus;
                collected.body.clear();
                Ok(())
            }
            _ => Err(BadAnswer::Malformed("is in a coding that cannot be undone".into())),
        }
    }
}

impl Collected {
    fn feed(&mut self, payload: &[u8]) -> Result<(), BadAnswer> {
        if self.told == Told::ByStatus {
            return Ok(());
        }
        if self.body.len() + payload.len() > self.bytes_max {
            return Err(BadAnswer::TooLong(self.bytes_max));
        }
        self.body.extend_from_slice(payload);
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), BadAnswer> {
        let Collected { pair, context, status, body, told, .. } = self;
        let (first, second) = (pair.leg_to(), pair.leg_from());
        if *told != Told::Stream {
            let legs = first.into_iter().chain(second);
            let document = documents::translate(legs, context, *status, body)?;
            documents::write(&document, *pair, out);
            return Ok(());
        }
        // A chunk of OpenAI chat tells everything that a document does.
        let mut chunks = Vec::new();
        match documents::translate(first.into_iter(), context, *status, body)? {
            ToldDocument::Answer(completion, numbers) => {
                // Of a server that speaks OpenAI chat nobody has read it before.
                let choices = completion["choices"].as_array().map_or(0, Vec::len);
                if choices == 0 {
                    return Err(BadAnswer::Malformed("has no `choices`".to_owned()));
                }
                if choices as u64 > context.memo.choices.max(1) {
                    return Err(BadAnswer::Unknown("a second choice".to_owned()));
                }
                let mut context = context.clone();
                context.memo.include_usage |= second.is_some();
                writer::stream_of(&completion, &numbers, &context, &mut chunks);
            }
            ToldDocument::Error(error) => error.event(Dialect::OpenAiChat, &mut chunks),
        }
        match second.map(|leg| Stage::new(leg, context)) {
            Some(mut stage) => {
                stage.feed(&chunks, out)?;
                stage.end(out)
            }
            None => {
                out.extend_from_slice(&chunks);
                Ok(())
            }
        }
    }
}
