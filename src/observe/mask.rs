//! Masks: a stream without its text, byte for byte as long as with it.
//!
//! A mask hides everything and shows what is known to be no text: the grammar of the stream, the
//! structure of JSON, and the words and counts of the inference APIs in their places ([`shape`]).
//!
//! ```text
//!   data: {"choices":[{"delta":{"content":"Hello"},"finish_reason":null}],"seen":[42]}
//!   data: {"choices":[{"delta":{"content":"xxxxx"},"finish_reason":null}],"xxxx":[11]}
//! ```
//!
//! * What a line means is told by the reader of `http`, the one that the exchange itself goes by.
//! * What is no JSON has no structure that could be told from text, and all of it is masked.

mod json;
mod shape;
#[cfg(test)]
mod tests;

use crate::http::ndjson::LineObserver;
use crate::http::sse::{EventObserver, Part};

use self::json::MASK;
use self::shape::{ERROR, ROOT, Shown};

/// The data that ends a stream.
const DONE: &[u8] = b"[DONE]";

/// Masks the data of one event.
pub fn masked_data(data: &[u8]) -> Vec<u8> {
    masked_value(data, &ROOT)
}

fn masked_value(data: &[u8], shape: &'static Shown) -> Vec<u8> {
    match data.trim_ascii_start() {
        [b'{' | b'[', ..] if data != DONE => json::mask(data, shape),
        _ if data == DONE => DONE.to_vec(),
        _ => vec![MASK; data.len()],
    }
}

/// Masks lines of JSON. `cut`: they begin somewhere inside a line.
pub fn masked_lines(stream: &[u8], cut: bool) -> Vec<u8> {
    let mut out = vec![MASK; stream.len()];
    let (mut observer, mut start, mut hidden) = (LineObserver::new(), 0, cut);
    for at in 0..stream.len() {
        observer.feed_to(&stream[at..=at], &mut ());
        let ended = observer.at_boundary();
        if ended || at + 1 == stream.len() {
            let line = start..if ended { at } else { at + 1 };
            if !hidden {
                out[line.clone()].copy_from_slice(&masked_data(&stream[line]));
            }
            if ended {
                out[at] = stream[at];
            }
            (start, hidden) = (at + 1, false);
        }
    }
    out
}

/// Masks an event stream. `cut`: it begins somewhere inside a line.
pub fn masked_events(stream: &[u8], cut: bool) -> Vec<u8> {
    let mut masks = EventMasks {
        stream,
        out: vec![MASK; stream.len()],
        line: Line { start: 0, value: 0, part: Part::OtherField, hidden: cut },
        data: Vec::new(),
        places: Vec::new(),
    };
    let mut observer = EventObserver::new();
    if cut {
        // The line it begins in: a field of which nothing is known.
        observer.feed(b"?");
    }
    for at in 0..stream.len() {
        observer.feed(&stream[at..=at]);
        masks.take(at, observer.part());
        if observer.at_boundary() {
            masks.end_event();
        }
    }
    // What has no line end has been begun.
    masks.end_line(stream.len(), false);
    masks.end_event();
    masks.out
}

/// The line that is read.
struct Line {
    start: usize,
    /// Where the value begins that its field has, if it is `data`, `event` or `error`.
    value: usize,
    /// What its last byte was a part of.
    part: Part,
    /// Nothing of it is shown.
    hidden: bool,
}

struct EventMasks<'s> {
    stream: &'s [u8],
    out: Vec<u8>,
    line: Line,
    /// The data of the event so far, and where in the stream each of its bytes stands: `None` for
    /// the line feeds between its lines.
    data: Vec<u8>,
    places: Vec<Option<usize>>,
}

impl EventMasks<'_> {
    /// The byte at `at` is of `part`.
    fn take(&mut self, at: usize, part: Part) {
        let is_value = |part| matches!(part, Part::Data | Part::EventName);
        match part {
            Part::LineStart => {
                // Else it is the byte order mark that has ended.
                let line_end = matches!(self.stream[at], b'\n' | b'\r');
                match line_end {
                    true => self.end_line(at, true),
                    false => self.show(self.line.start, at),
                }
                self.show(at, at + 1);
                self.line = Line { start: at + 1, value: 0, part: Part::OtherField, hidden: false };
            }
            _ if is_value(part) && !is_value(self.line.part) => {
                // One space behind the colon belongs to the field.
                let space = usize::from(self.stream[at] == b' ');
                self.line.value = at + space;
                self.line.part = part;
            }
            _ => self.line.part = part,
        }
    }

    fn show(&mut self, start: usize, end: usize) {
        self.out[start..end].copy_from_slice(&self.stream[start..end]);
    }

    /// The line has ended before `end`. `whole`: by a line end.
    fn end_line(&mut self, end: usize, whole: bool) {
        let Line { start, value, part, hidden } = self.line;
        let line = &self.stream[start..end];
        if hidden || line.is_empty() {
            return;
        }
        match part {
            // A beginning of `data`, `event` or `error`.
            Part::Name => {
                self.show(start, end);
                if matches!(line, b"data" | b"data:") {
                    self.add_data(end, end);
                }
            }
            // Errors as servers have written them: in a field of that name.
            Part::Data if line.starts_with(b"error") => {
                self.show(start, value);
                let masked = masked_value(&self.stream[value..end], &ERROR);
                self.out[value..end].copy_from_slice(&masked);
            }
            Part::Data => {
                self.show(start, value);
                self.add_data(value, end);
            }
            Part::EventName => {
                self.show(start, value);
                if whole && shape::is_event_name(&self.stream[value..end]) {
                    self.show(value, end);
                }
            }
            Part::Comment => self.show(start, start + 1),
            Part::OtherField | Part::LineStart => self.end_other_line(start, end),
        }
    }

    fn add_data(&mut self, start: usize, end: usize) {
        if !self.places.is_empty() {
            self.data.push(b'\n');
            self.places.push(None);
        }
        self.data.extend_from_slice(&self.stream[start..end]);
        self.places.extend((start..end).map(Some));
    }

    /// A line that no reader of event streams is told of: `id`, `retry`, or something else.
    fn end_other_line(&mut self, start: usize, end: usize) {
        let line = &self.stream[start..end];
        let Some(colon) = memchr::memchr(b':', line) else { return };
        let value = start + colon + 1;
        match &line[..colon] {
            b"id" => self.show(start, value),
            b"retry" => {
                self.show(start, value);
                let pause = line[colon + 1..].trim_ascii();
                if pause.len() <= shape::COUNT_DIGITS_MAX && pause.iter().all(u8::is_ascii_digit) {
                    self.show(value, end);
                }
            }
            // And as a bare line.
            [b'{', ..] => {
                let masked = masked_data(line);
                self.out[start..end].copy_from_slice(&masked);
            }
            _ => {}
        }
    }

    /// The event is complete, or the stream is.
    fn end_event(&mut self) {
        let masked = masked_data(&self.data);
        for (place, byte) in self.places.drain(..).zip(masked) {
            if let Some(place) = place {
                self.out[place] = byte;
            }
        }
        self.data.clear();
    }
}
