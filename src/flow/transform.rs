//! Transform: an answer that becomes another one on its way, between what was read and what is written.
//!
//! The server's bytes are shown to it as to any watcher; what it makes of them is taken from it behind
//! each read, and leaves as one chunk.
//!
//! ```text
//!   the server's payload ──▶ a translator ──▶ a plugin ──▶ another plugin ──▶ what the client gets
//!                            └──────────── each one is a Transform ────────┘
//! ```
//!
//! * What it holds is bounded by its transforms, and what it has made is taken at each read.
//! * Behind a fault it makes nothing more.

use std::fmt;

use crate::flow::moved::Broken;
use crate::http::reply;
use crate::plugins::seat::PluginStop;
use crate::service::include_usage::UsageHider;
use crate::service::translate::{BadAnswer, Translator};
use crate::wire::buffers::BufferPool;
use crate::wire::outbox::Outbox;

/// Room for the line in front of a chunk.
const LINE: usize = reply::CHUNK_LINE_MAX;

/// Makes another answer of one: a translator, a plugin that changes events, what takes an event out.
pub trait Transform: fmt::Debug {
    /// Takes the next bytes of the payload, and appends what it makes of them to `out`. Behind an error it
    /// is not asked again; what was made before it stands.
    fn feed(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Untransformed>;
    /// The payload is complete.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Untransformed>;
    /// Whether what it has made so far ends between two events, so that something can stand here.
    fn at_boundary(&self) -> bool;
    /// Whether the answer has to be all here before there is anything of it.
    fn collects(&self) -> bool;
    /// The media type of what it makes; `None`: that of what it gets.
    fn content_type(&self) -> Option<&'static str>;
}

/// Why a transform goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untransformed {
    /// What has come cannot be said in the dialect of the client.
    Untranslatable(BadAnswer),
    /// A plugin has ended the exchange.
    Plugin(PluginStop),
}

impl From<Untransformed> for Broken {
    fn from(untransformed: Untransformed) -> Broken {
        match untransformed {
            Untransformed::Untranslatable(BadAnswer::Unfinished) => Broken::Unfinished,
            Untransformed::Untranslatable(why) => Broken::Untranslatable(why),
            Untransformed::Plugin(stop) => Broken::Plugin(stop),
        }
    }
}

impl Transform for Translator {
    fn feed(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Untransformed> {
        Translator::feed(self, payload, out).map_err(Untransformed::Untranslatable)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Untransformed> {
        Translator::end(self, out).map_err(Untransformed::Untranslatable)
    }

    /// It writes whole events.
    fn at_boundary(&self) -> bool {
        true
    }

    fn collects(&self) -> bool {
        !self.is_stream()
    }

    fn content_type(&self) -> Option<&'static str> {
        Some(Translator::content_type(self))
    }
}

impl Transform for UsageHider {
    fn feed(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Untransformed> {
        UsageHider::feed(self, payload, out);
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Untransformed> {
        UsageHider::end(self, out);
        Ok(())
    }

    fn at_boundary(&self) -> bool {
        self.is_between_events()
    }

    fn collects(&self) -> bool {
        false
    }

    fn content_type(&self) -> Option<&'static str> {
        None
    }
}

/// Two transforms, one behind the other.
#[derive(Debug)]
pub struct Chained {
    front: Box<dyn Transform>,
    back: Box<dyn Transform>,
    /// What the front makes, on its way; kept for its capacity.
    between: Vec<u8>,
}

impl Chained {
    pub fn new(front: Box<dyn Transform>, back: Box<dyn Transform>) -> Chained {
        Chained { front, back, between: Vec::new() }
    }

    /// Passes on what the front has made, and then tells what became of the front.
    fn pass_on(
        &mut self,
        fed: Result<(), Untransformed>,
        out: &mut Vec<u8>,
    ) -> Result<(), Untransformed> {
        let passed = match self.between.is_empty() {
            true => Ok(()),
            false => self.back.feed(&self.between, out),
        };
        self.between.clear();
        passed.and(fed)
    }
}

impl Transform for Chained {
    fn feed(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Untransformed> {
        let fed = self.front.feed(payload, &mut self.between);
        self.pass_on(fed, out)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Untransformed> {
        let ended = self.front.end(&mut self.between);
        self.pass_on(ended, out)?;
        self.back.end(out)
    }

    fn at_boundary(&self) -> bool {
        self.back.at_boundary()
    }

    fn collects(&self) -> bool {
        self.front.collects() || self.back.collects()
    }

    fn content_type(&self) -> Option<&'static str> {
        self.back.content_type().or_else(|| self.front.content_type())
    }
}

/// An answer that is transformed, under way.
#[derive(Debug)]
pub struct Transforming {
    transform: Box<dyn Transform>,
    /// What it has made since it was last asked, behind room for the line of a chunk; kept for its
    /// capacity.
    made: Vec<u8>,
    fault: Option<Untransformed>,
    /// The client is sent chunks, and not bytes until the connection ends.
    chunked: bool,
    /// The server's body is complete.
    ended: bool,
}

impl Transforming {
    /// `chunked`: the client is sent chunks.
    pub fn new(transform: Box<dyn Transform>, chunked: bool) -> Transforming {
        Transforming { transform, made: vec![0; LINE], fault: None, chunked, ended: false }
    }

    /// Whether the answer has to be all here before there is anything of it.
    pub fn collects(&self) -> bool {
        self.transform.collects()
    }

    /// The media type of what the client gets; `None`: the server's.
    pub fn content_type(&self) -> Option<&'static str> {
        self.transform.content_type()
    }

    /// Whether the client is sent chunks.
    pub fn is_chunked(&self) -> bool {
        self.chunked
    }

    /// Whether what the client has ends between two events.
    pub fn at_boundary(&self) -> bool {
        self.transform.at_boundary()
    }

    pub(crate) fn feed(&mut self, data: &[u8]) {
        if self.fault.is_none() {
            self.fault = self.transform.feed(data, &mut self.made).err();
        }
    }

    pub(crate) fn end(&mut self) {
        if self.fault.is_none() && !self.ended {
            self.fault = self.transform.end(&mut self.made).err();
        }
    }

    /// What is left to be said of an answer that is whole, though its message has no end.
    pub(crate) fn last_events(&mut self) -> Vec<u8> {
        self.end();
        self.ended = true;
        self.made.split_off(LINE)
    }

    /// Puts what was made into `outbox`. An error: what came behind that cannot be transformed. It is told
    /// once.
    pub(crate) fn put(
        &mut self,
        outbox: &mut Outbox,
        buffers: &mut BufferPool,
    ) -> Result<(), Untransformed> {
        let length = self.made.len() - LINE;
        if length > 0 {
            let mut start = LINE;
            if self.chunked {
                let mut line = [0; LINE];
                let line = reply::chunk_line(length, &mut line);
                start -= line.len();
                self.made[start..LINE].copy_from_slice(line);
                self.made.extend_from_slice(b"\r\n");
            }
            outbox.push(&self.made[start..], buffers);
            self.made.truncate(LINE);
        }
        self.fault.take().map_or(Ok(()), Err)
    }

    /// Puts the end of the message behind all that was made, once.
    pub(crate) fn put_end(&mut self, outbox: &mut Outbox, buffers: &mut BufferPool) {
        if !std::mem::replace(&mut self.ended, true) && self.chunked {
            outbox.push(reply::LAST_CHUNK, buffers);
        }
    }
}
