//! A stream cut into whole events: of `text/event-stream`, or lines of JSON.
//!
//! An event that lies in one piece is shown where it lies; the pieces of any other are gathered, up to
//! [`EVENT_BYTES_MAX`]. So any cut of a stream shows the same events, and what is shown, piece behind piece, is the
//! stream.
//!
//! * What ends an event is the empty line of the event stream format (WHATWG HTML §9.2.6), whichever of the
//!   three line ends is used; of lines of JSON, the line feed.
//! * Nothing is copied of an event that comes whole and whose data is one line.

use memchr::{memchr, memchr2};

/// A longer event is not gathered: it passes in pieces.
pub const EVENT_BYTES_MAX: usize = 1 << 20;

/// How events are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFraming {
    /// `text/event-stream`
    Sse,
    /// A JSON text a line.
    Lines,
}

/// What goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamPiece<'p> {
    Event {
        name: &'p [u8],
        data: &'p [u8],
        raw: &'p [u8],
    },
    /// Nothing that a client hears of: comments, empty lines.
    Other(&'p [u8]),
    /// A piece of an event that is too long to be gathered.
    Long(&'p [u8]),
}

/// Cuts a stream.
#[derive(Debug)]
pub struct EventCutter {
    framing: EventFraming,
    /// What has come of an event that is not whole.
    pending: Vec<u8>,
    /// The data of an event that has several lines of it.
    joined: Vec<u8>,
    /// Bytes of a line have come.
    in_line: bool,
    /// The last byte was a CR, which may be one half of a line end.
    behind_cr: bool,
    /// What comes is the rest of an event that is too long.
    long: bool,
}

impl EventCutter {
    pub fn new(framing: EventFraming) -> EventCutter {
        EventCutter {
            framing,
            pending: Vec::new(),
            joined: Vec::new(),
            in_line: false,
            behind_cr: false,
            long: false,
        }
    }

    /// Whether the last piece that was shown ended between two events.
    pub fn at_boundary(&self) -> bool {
        !self.long
    }

    /// Takes the next bytes, and shows `on` what has become whole.
    #[inline]
    pub fn feed(&mut self, payload: &[u8], mut on: impl FnMut(StreamPiece<'_>)) {
        if let Some(line) = self.single_line(payload) {
            return show_line(line, payload, &mut self.joined, &mut on);
        }
        let mut rest = payload;
        while !rest.is_empty() {
            let Some(length) = self.event_end(rest) else { break };
            let (event, behind) = rest.split_at(length);
            rest = behind;
            if std::mem::take(&mut self.long) {
                on(StreamPiece::Long(event));
            } else if self.pending.is_empty() {
                show(self.framing, event, &mut self.joined, &mut on);
            } else {
                let mut whole = std::mem::take(&mut self.pending);
                whole.extend_from_slice(event);
                show(self.framing, &whole, &mut self.joined, &mut on);
                whole.clear();
                self.pending = whole;
            }
        }
        if !rest.is_empty() {
            self.gather(rest, on);
        }
    }

    /// The line of the one event of the stream that this is, if it is: so most tokens come.
    #[inline]
    fn single_line<'p>(&self, payload: &'p [u8]) -> Option<&'p [u8]> {
        let between = self.pending.is_empty() && !self.in_line && !self.behind_cr && !self.long;
        if !between || self.framing != EventFraming::Sse {
            return None;
        }
        let line = payload.strip_suffix(b"\n\n")?;
        (!line.is_empty() && memchr2(b'\n', b'\r', line).is_none()).then_some(line)
    }

    /// The stream has ended. An event that lacks its end is one: some clients take it.
    pub fn end(&mut self, mut on: impl FnMut(StreamPiece<'_>)) {
        let rest = std::mem::take(&mut self.pending);
        if !rest.is_empty() {
            show(self.framing, &rest, &mut self.joined, &mut on);
        }
    }

    #[cold]
    fn gather(&mut self, rest: &[u8], mut on: impl FnMut(StreamPiece<'_>)) {
        if !self.long && self.pending.len() + rest.len() > EVENT_BYTES_MAX {
            self.long = true;
            on(StreamPiece::Long(&std::mem::take(&mut self.pending)));
        }
        match self.long {
            true => on(StreamPiece::Long(rest)),
            false => self.pending.extend_from_slice(rest),
        }
    }

    /// How many of these bytes belong to the event that ends in them; `None`: none does.
    fn event_end(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.framing == EventFraming::Lines {
            return memchr(b'\n', bytes).map(|at| at + 1);
        }
        let mut at = 0;
        // The other half of a line end that has been counted.
        if std::mem::take(&mut self.behind_cr) && bytes[0] == b'\n' {
            at = 1;
            if !self.in_line && self.pending.is_empty() && !self.long {
                // It ended an event, which was shown.
                return Some(1);
            }
        }
        loop {
            let Some(found) = memchr2(b'\n', b'\r', &bytes[at..]) else {
                self.in_line |= at < bytes.len();
                return None;
            };
            let is_empty = found == 0 && !self.in_line;
            self.in_line = false;
            let cr = bytes[at + found] == b'\r';
            at += found + 1;
            if cr {
                match bytes.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.behind_cr = true,
                }
            }
            if is_empty {
                return Some(at);
            }
        }
    }
}

/// Shows an event of one line.
#[inline]
fn show_line(line: &[u8], raw: &[u8], joined: &mut Vec<u8>, on: &mut impl FnMut(StreamPiece<'_>)) {
    match value_of(line, b"data") {
        Some(data) => on(StreamPiece::Event { name: b"", data, raw }),
        None => show(EventFraming::Sse, raw, joined, on),
    }
}

/// Shows what stands in a whole event.
fn show(
    framing: EventFraming,
    raw: &[u8],
    joined: &mut Vec<u8>,
    on: &mut impl FnMut(StreamPiece<'_>),
) {
    if framing == EventFraming::Lines {
        let data = raw.trim_ascii();
        return match data.is_empty() {
            true => on(StreamPiece::Other(raw)),
            false => on(StreamPiece::Event { name: b"", data, raw }),
        };
    }
    let (mut name, mut data): (&[u8], Option<&[u8]>) = (b"", None);
    let (mut says, mut several) = (false, false);
    // A byte order mark may stand in front of the first event.
    let mut rest = raw.strip_prefix("\u{feff}".as_bytes()).unwrap_or(raw);
    while !rest.is_empty() {
        let at = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = &rest[..at];
        rest = rest.get(at + 1..).unwrap_or_default();
        if line.is_empty() || line[0] == b':' {
            continue;
        }
        says = true;
        if let Some(value) = value_of(line, b"data") {
            if data.is_none() {
                data = Some(value);
                continue;
            }
            if !several {
                several = true;
                joined.clear();
                joined.extend_from_slice(data.unwrap_or_default());
            }
            joined.push(b'\n');
            joined.extend_from_slice(value);
        } else if let Some(value) = value_of(line, b"event") {
            name = value;
        }
    }
    match says {
        true => {
            let data = if several { joined } else { data.unwrap_or_default() };
            on(StreamPiece::Event { name, data, raw });
        }
        false => on(StreamPiece::Other(raw)),
    }
}

/// The value of a line, if it is of this field.
#[inline]
fn value_of<'l>(line: &'l [u8], field: &[u8]) -> Option<&'l [u8]> {
    let value = line.strip_prefix(field)?;
    match value.split_first() {
        None => Some(b""),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown of a stream that comes in these pieces.
    fn shown(framing: EventFraming, pieces: &[&[u8]]) -> (Vec<String>, Vec<u8>) {
        let (mut told, mut passed) = (Vec::new(), Vec::new());
        let mut cutter = EventCutter::new(framing);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut on = |piece: StreamPiece<'_>| match piece {
            StreamPiece::Event { name, data, raw } => {
                passed.extend_from_slice(raw);
                told.push(format!("{}|{}", text(name), text(data)));
            }
            StreamPiece::Other(raw) | StreamPiece::Long(raw) => passed.extend_from_slice(raw),
        };
        for piece in pieces {
            cutter.feed(piece, &mut on);
        }
        cutter.end(&mut on);
        (told, passed)
    }

    #[test]
    fn any_cut_shows_the_same_events_and_loses_no_byte() {
        use EventFraming::{Lines, Sse};
        for (framing, stream, expected) in [
            (Sse, "data: 1\n\ndata: 2\n\n", &["|1", "|2"][..]),
            (Sse, "event: a\ndata:x\ndata: y\n\n: ping\n\nid: 3\ndata\n\n", &["a|x\ny", "|"]),
            (Sse, "data: 1\r\n\r\ndata: 2\r\n\r\n", &["|1", "|2"]),
            (Sse, "data: 1\r\rdata: 2\r\r", &["|1", "|2"]),
            (Sse, "\u{feff}data: 1\n\n\n\ndata: 2\r\n\n", &["|1", "|2"]),
            (
                Sse,
                "data: {\"a\":\"é\"}\n\ndata: [DONE]\n\ndata: cut",
                &["|{\"a\":\"é\"}", "|[DONE]", "|cut"],
            ),
            (Sse, "error: busy\n\nevent: end\n\n", &["|", "end|"]),
            (Lines, "{\"a\":1}\n\n{\"b\":2}\r\n{\"c\"", &["|{\"a\":1}", "|{\"b\":2}", "|{\"c\""]),
        ] {
            let bytes = stream.as_bytes();
            for cut in 0..=bytes.len() {
                let (told, passed) = shown(framing, &[&bytes[..cut], &bytes[cut..]]);
                assert_eq!(told, expected, "{stream:?} cut at {cut}");
                assert_eq!(passed, bytes, "{stream:?} cut at {cut}");
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            let (told, passed) = shown(framing, &single);
            assert_eq!(
                (told.as_slice(), passed.as_slice()),
                (&expected.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()[..], bytes)
            );
        }
    }

    #[test]
    fn an_event_that_is_too_long_passes_in_pieces() {
        let mut cutter = EventCutter::new(EventFraming::Sse);
        let (mut long, mut events) = (0, 0);
        let piece = vec![b'x'; 64 << 10];
        for _ in 0..32 {
            cutter.feed(&piece, |piece| match piece {
                StreamPiece::Long(raw) => long += raw.len(),
                other => panic!("{other:?}"),
            });
            assert!(cutter.pending.len() <= EVENT_BYTES_MAX);
        }
        assert!(!cutter.at_boundary());
        cutter.feed(b"\n\ndata: 1\n\n", |piece| match piece {
            StreamPiece::Long(raw) => long += raw.len(),
            StreamPiece::Event { data, .. } => events += usize::from(data == b"1"),
            other => panic!("{other:?}"),
        });
        assert!(cutter.at_boundary());
        assert_eq!((long, events), (32 * piece.len() + 2, 1));
    }
}
