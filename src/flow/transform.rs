//! Transform: an answer that is translated on its way, between what was read and what is written.
//!
//! The server's bytes are shown to it as to any watcher; what it makes of them is taken from it behind
//! each read, and leaves as one chunk.
//!
//! * What it holds is bounded by its translator, and what it has made is taken at each read.
//! * Behind a fault it makes nothing more.

use crate::http::reply;
use crate::service::translate::{BadAnswer, Translator};
use crate::wire::buffers::BufferPool;
use crate::wire::outbox::Outbox;

/// The translation of one answer that is under way.
#[derive(Debug)]
pub struct Transform {
    translator: Translator,
    /// What it has made since it was last asked; kept for its capacity.
    made: Vec<u8>,
    fault: Option<BadAnswer>,
    /// The client is sent chunks, and not bytes until the connection ends.
    chunked: bool,
    /// The server's body is complete.
    ended: bool,
}

impl Transform {
    /// `chunked`: the client is sent chunks.
    pub fn new(translator: Translator, chunked: bool) -> Transform {
        Transform { translator, made: Vec::new(), fault: None, chunked, ended: false }
    }

    /// Whether the answer has to be all here before there is anything of it.
    pub fn collects(&self) -> bool {
        !self.translator.is_stream()
    }

    /// The media type of what the client gets.
    pub fn content_type(&self) -> &'static str {
        self.translator.content_type()
    }

    /// Whether the client is sent chunks.
    pub fn is_chunked(&self) -> bool {
        self.chunked
    }

    pub(crate) fn feed(&mut self, data: &[u8]) {
        if self.fault.is_none() {
            self.fault = self.translator.feed(data, &mut self.made).err();
        }
    }

    pub(crate) fn end(&mut self) {
        if self.fault.is_none() && !self.ended {
            self.fault = self.translator.end(&mut self.made).err();
        }
    }

    /// What is left to be said of an answer that is whole, though its message has no end.
    pub(crate) fn last_events(&mut self) -> Vec<u8> {
        self.end();
        self.ended = true;
        std::mem::take(&mut self.made)
    }

    /// Puts what was made into `outbox`. An error: what came behind that cannot be translated. It is told
    /// once.
    pub(crate) fn put(
        &mut self,
        outbox: &mut Outbox,
        buffers: &mut BufferPool,
    ) -> Result<(), BadAnswer> {
        if !self.made.is_empty() {
            if self.chunked {
                let mut line = [0; reply::CHUNK_LINE_MAX];
                outbox.push(reply::chunk_line(self.made.len(), &mut line), buffers);
            }
            outbox.push(&self.made, buffers);
            if self.chunked {
                outbox.push(b"\r\n", buffers);
            }
            self.made.clear();
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
