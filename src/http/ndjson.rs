//! A stream of JSON texts, one a line (`application/x-ndjson`), watched and never touched.
//!
//! Lines end in LF. A line of nothing but white space is no event; a last line without its LF is
//! one if it could be a whole object, since readers of lines take it for one.
//!
//! * Any cut of the stream into pieces gives the same counts.
//!
//! Absent on purpose: the events, and comments; this format has none.

use super::sse::Watcher;

/// Follows one stream of lines through any pieces it comes in. Packed, because the record it belongs
/// to is full to the byte.
#[derive(Clone, Copy, Debug, Default)]
#[repr(Rust, packed)]
pub struct LineObserver {
    lines: u32,
    /// The last byte of this line that is no white space.
    last: Option<u8>,
    /// Something of this line has come.
    line_open: bool,
}

impl LineObserver {
    pub const fn new() -> LineObserver {
        LineObserver { lines: 0, last: None, line_open: false }
    }

    /// Lines so far that were events.
    pub fn data_events(&self) -> u64 {
        self.lines.into()
    }

    /// Whether a line of ours written here would stand by itself.
    pub fn at_boundary(&self) -> bool {
        !self.line_open
    }

    /// Takes the next bytes of the stream, and shows `watcher` what they say.
    pub fn feed_to(&mut self, data: &[u8], watcher: &mut impl Watcher) {
        let mut rest = data;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let part = &rest[..end.unwrap_or(rest.len())];
            if let Some(last) = part.trim_ascii_end().last() {
                self.last = Some(*last);
            }
            let Some(end) = end else {
                self.line_open = true;
                return watcher.data(part);
            };
            match (self.line_open, part.first()) {
                (false, Some(b'{')) => watcher.object(part),
                _ => {
                    watcher.data(part);
                    watcher.data_end();
                }
            }
            self.dispatch(watcher);
            rest = &rest[end + 1..];
        }
    }

    /// The stream has ended.
    pub fn end(&mut self, watcher: &mut impl Watcher) {
        if self.last == Some(b'}') {
            watcher.data_end();
            self.dispatch(watcher);
        }
    }

    fn dispatch(&mut self, watcher: &mut impl Watcher) {
        let event = self.last.take().is_some();
        self.lines = self.lines.saturating_add(watcher.dispatched(event).into());
        self.line_open = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::every_cut;

    /// Events, at a boundary before the end, events after it.
    fn observe(pieces: &[&[u8]]) -> (u64, bool, u64) {
        let mut observer = LineObserver::new();
        pieces.iter().for_each(|piece| observer.feed_to(piece, &mut ()));
        let (events, boundary) = (observer.data_events(), observer.at_boundary());
        observer.end(&mut ());
        (events, boundary, observer.data_events())
    }

    #[test]
    fn any_split_of_lines_is_seen_alike() {
        for (stream, expected) in [
            (&b""[..], (0, true, 0)),
            (b"{}\n", (1, true, 1)),
            (b"{}\r\n{}\n", (2, true, 2)),
            (b"{}\n{}", (1, false, 2)),
            (b"{}\n{} \t", (1, false, 2)),
            (b"{}\n{\"a\"", (1, false, 1)),
            (b"\n \r\n{}\n\n", (1, true, 1)),
            (b"{}\n ", (1, false, 1)),
            (b"null\n", (1, true, 1)),
            // A byte that is no white space makes a line an event, whichever it is.
            (b"\0\n", (1, true, 1)),
            (b"{}\0\n{}\0 \r\n", (2, true, 2)),
            (b"{}\n{}\0", (1, false, 1)),
        ] {
            for pieces in every_cut(stream) {
                assert_eq!(observe(&pieces), expected, "{:?}", stream.escape_ascii().to_string());
            }
        }
    }
}
