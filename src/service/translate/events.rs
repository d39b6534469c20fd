//! The events of a stream, one whole event at a time.
//!
//! An event that lies in one piece is shown where it lies; the pieces of any other are gathered, up to
//! [`EVENT_BYTES_MAX`]. So any cut of a stream shows the same events.

use memchr::memchr;

use super::BadAnswer;
use crate::http::sse::{EventObserver, Watcher};

/// A longer event ends the translation.
pub const EVENT_BYTES_MAX: usize = 1 << 20;
/// Room for a line of nearly any delta.
const LINE_BYTES: usize = 512;
/// A longer name is none that anybody knows.
const NAME_BYTES_MAX: usize = 64;

/// What goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamPart<'e> {
    /// The data of an event, and its name if it has one.
    Event { name: &'e [u8], data: &'e [u8] },
    /// `data: [DONE]`
    Done,
    /// A comment has begun.
    Comment,
}

/// What parts a stream into events.
#[derive(Debug)]
pub enum Frames {
    Events(Box<EventReader>),
    /// Lines of JSON.
    Lines(LineReader),
}

impl Frames {
    pub fn events() -> Frames {
        Frames::Events(Box::default())
    }

    pub fn lines() -> Frames {
        Frames::Lines(LineReader::default())
    }

    /// Whether an event begins with the next byte.
    pub fn at_boundary(&self) -> bool {
        match self {
            Frames::Events(reader) => reader.observer.at_boundary(),
            Frames::Lines(reader) => reader.pending.is_empty(),
        }
    }

    /// Takes the next bytes, and shows `on` what has become whole.
    pub fn feed(
        &mut self,
        payload: &[u8],
        on: impl FnMut(StreamPart<'_>) -> Result<(), BadAnswer>,
    ) -> Result<(), BadAnswer> {
        match self {
            Frames::Events(reader) => reader.feed(payload, on),
            Frames::Lines(reader) => reader.feed(payload, on),
        }
    }

    /// The body is complete. The last line needs no end.
    pub fn end(
        &mut self,
        on: impl FnMut(StreamPart<'_>) -> Result<(), BadAnswer>,
    ) -> Result<(), BadAnswer> {
        match self {
            Frames::Events(_) => Ok(()),
            Frames::Lines(reader) => reader.end(on),
        }
    }
}

/// Reads lines of JSON, each an event without a name.
#[derive(Debug, Default)]
pub struct LineReader {
    /// What has come of a line that is not whole.
    pending: Vec<u8>,
}

impl LineReader {
    fn feed(
        &mut self,
        mut payload: &[u8],
        mut on: impl FnMut(StreamPart<'_>) -> Result<(), BadAnswer>,
    ) -> Result<(), BadAnswer> {
        while let Some(end) = memchr(b'\n', payload) {
            let (line, rest) = (&payload[..end], &payload[end + 1..]);
            payload = rest;
            if self.pending.is_empty() {
                show_line(line, &mut on)?;
            } else {
                self.hold(line)?;
                let shown = show_line(&self.pending, &mut on);
                self.pending.clear();
                shown?;
            }
        }
        self.hold(payload)
    }

    fn hold(&mut self, part: &[u8]) -> Result<(), BadAnswer> {
        if self.pending.len() + part.len() > EVENT_BYTES_MAX {
            return Err(BadAnswer::TooLong(EVENT_BYTES_MAX));
        }
        if self.pending.capacity() == 0 && !part.is_empty() {
            self.pending.reserve(LINE_BYTES);
        }
        self.pending.extend_from_slice(part);
        Ok(())
    }

    fn end(
        &mut self,
        mut on: impl FnMut(StreamPart<'_>) -> Result<(), BadAnswer>,
    ) -> Result<(), BadAnswer> {
        show_line(&std::mem::take(&mut self.pending), &mut on)
    }
}

fn show_line(
    line: &[u8],
    on: &mut impl FnMut(StreamPart<'_>) -> Result<(), BadAnswer>,
) -> Result<(), BadAnswer> {
    match line.trim_ascii() {
        [] => Ok(()),
        line if line.len() > EVENT_BYTES_MAX => Err(BadAnswer::TooLong(EVENT_BYTES_MAX)),
        data => on(StreamPart::Event { name: b"", data }),
    }
}

/// Reads an event stream.
#[derive(Debug, Default)]
pub struct EventReader {
    observer: EventObserver,
    pending: Pending,
}

/// What has come of an event that is not whole.
#[derive(Debug, Default)]
struct Pending {
    name: Vec<u8>,
    data: Vec<u8>,
    /// A line of data has ended: the next one is joined by a line feed.
    line_ended: bool,
    done: bool,
    error: bool,
    /// The event has been shown already.
    shown: bool,
}

impl EventReader {
    /// Takes the next bytes, and shows `on` what has become whole.
    pub fn feed(
        &mut self,
        payload: &[u8],
        on: impl FnMut(StreamPart<'_>) -> Result<(), BadAnswer>,
    ) -> Result<(), BadAnswer> {
        let mut showing = Showing { pending: &mut self.pending, on, failed: None };
        self.observer.feed_to(payload, &mut showing);
        showing.failed.map_or(Ok(()), Err)
    }
}

/// Shows events to `on` until one fails.
struct Showing<'r, F> {
    pending: &'r mut Pending,
    on: F,
    failed: Option<BadAnswer>,
}

impl<F: FnMut(StreamPart<'_>) -> Result<(), BadAnswer>> Showing<'_, F> {
    fn show(&mut self, part: StreamPart<'_>) {
        if self.failed.is_none() {
            self.failed = (self.on)(part).err();
        }
    }
}

impl<F: FnMut(StreamPart<'_>) -> Result<(), BadAnswer>> Watcher for Showing<'_, F> {
    fn name_start(&mut self) {
        self.pending.name.clear();
    }

    fn name(&mut self, part: &[u8]) {
        let room = NAME_BYTES_MAX.saturating_sub(self.pending.name.len());
        self.pending.name.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn name_end(&mut self) {}

    fn error_line(&mut self) {
        self.pending.error = true;
    }

    fn object(&mut self, line: &[u8]) {
        // A line `error: …` of the same event has come before: its value is data too.
        if self.pending.line_ended || !self.pending.data.is_empty() {
            self.data(line);
            self.data_end();
            return;
        }
        if line.len() > EVENT_BYTES_MAX {
            self.failed.get_or_insert(BadAnswer::TooLong(EVENT_BYTES_MAX));
        } else if self.failed.is_none() {
            let name: &[u8] = if self.pending.error { b"error" } else { &self.pending.name };
            self.failed = (self.on)(StreamPart::Event { name, data: line }).err();
        }
        self.pending.shown = true;
    }

    fn data(&mut self, part: &[u8]) {
        let Pending { data, line_ended, .. } = &mut *self.pending;
        if std::mem::take(line_ended) {
            data.push(b'\n');
        }
        if data.len() + part.len() > EVENT_BYTES_MAX {
            self.failed.get_or_insert(BadAnswer::TooLong(EVENT_BYTES_MAX));
        } else if self.failed.is_none() {
            data.extend_from_slice(part);
        }
    }

    fn data_end(&mut self) {
        self.pending.line_ended = true;
    }

    fn done(&mut self) {
        self.pending.done = true;
    }

    fn comment(&mut self) {
        self.show(StreamPart::Comment);
    }

    fn dispatched(&mut self, has_data: bool) -> bool {
        let mut data = std::mem::take(&mut self.pending.data);
        let mut name = std::mem::take(&mut self.pending.name);
        // A line `error: …`, which is how older llama.cpp reports one.
        if std::mem::take(&mut self.pending.error) {
            name.clear();
            name.extend_from_slice(b"error");
        }
        if !std::mem::take(&mut self.pending.shown) {
            if !data.is_empty() || name == b"error" {
                self.show(StreamPart::Event { name: &name, data: &data });
            } else if self.pending.done {
                self.show(StreamPart::Done);
            }
        }
        data.clear();
        name.clear();
        // Their room is used again.
        *self.pending = Pending { name, data, ..Pending::default() };
        has_data
    }
}
