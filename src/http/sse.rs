//! An event stream (`text/event-stream`), watched and never touched.
//!
//! The observer reads beside the relay. It knows three things at any moment: how many events with
//! data have been dispatched, whether the stream's own end marker went by, and whether a line of
//! ours could be written here without landing inside somebody's event.
//!
//! The grammar is the HTML standard's ("Server-sent events"): lines end in LF, CR or CR LF; a byte
//! order mark may open the stream; a blank line dispatches the event, if it had a `data` field; a
//! line that starts with `:` is a comment and part of no event.
//!
//! * Any cut of the stream into pieces gives the same counts.
//! * Nothing is refused: a stream that is no event stream has no events.
//!
//! Absent on purpose: the events. Not one byte is kept.

#[cfg(test)]
mod tests;

/// The payload that ends a stream of completions, by convention of the inference APIs.
const DONE: &[u8] = b"[DONE]";
const DATA: &[u8] = b"data";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where the observer stands in a line. `matched` counts bytes of the expected text seen so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Only at the start of the stream.
    ByteOrderMark {
        matched: u8,
    },
    LineStart,
    /// In a field name that may still become `data`.
    Name {
        matched: u8,
    },
    /// After `data:`; one space here is not part of the value.
    Colon,
    /// In a value that may still become `[DONE]`.
    Value {
        matched: u8,
    },
    /// In a value that cannot.
    OtherValue,
    /// In a field that is not `data`.
    OtherField,
    Comment,
}

/// Follows one event stream through any pieces it comes in.
#[derive(Clone, Debug)]
pub struct EventObserver {
    data_events: u64,
    place: Place,
    /// A field has come since the last blank line.
    event_open: bool,
    /// One of them was `data`.
    event_has_data: bool,
    /// The last byte was CR: an LF right behind it belongs to the same line end.
    after_cr: bool,
    saw_done: bool,
}

impl Default for EventObserver {
    fn default() -> EventObserver {
        EventObserver::new()
    }
}

impl EventObserver {
    /// An observer at the first byte of a stream.
    pub const fn new() -> EventObserver {
        EventObserver {
            data_events: 0,
            place: Place::ByteOrderMark { matched: 0 },
            event_open: false,
            event_has_data: false,
            after_cr: false,
            saw_done: false,
        }
    }

    /// Events dispatched so far that carried data.
    pub fn data_events(&self) -> u64 {
        self.data_events
    }

    /// Whether a `data` line was exactly `[DONE]`.
    pub fn saw_done(&self) -> bool {
        self.saw_done
    }

    /// Whether an event of ours written here would stand by itself: at the start of a line, with
    /// no field waiting for its blank line.
    pub fn at_boundary(&self) -> bool {
        let line_start =
            matches!(self.place, Place::LineStart | Place::ByteOrderMark { matched: 0 });
        line_start && !self.event_open
    }

    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, data: &[u8]) {
        let mut rest = data;
        while let Some((&byte, after)) = rest.split_first() {
            rest = match self.place {
                Place::OtherValue | Place::OtherField | Place::Comment => {
                    match memchr::memchr2(b'\n', b'\r', rest) {
                        // The usual end of an event: the blank line follows at once.
                        Some(end) if rest[end..].starts_with(b"\n\n") => {
                            self.place = Place::LineStart;
                            self.dispatch();
                            &rest[end + 2..]
                        }
                        Some(end) => {
                            self.end_line(rest[end]);
                            &rest[end + 1..]
                        }
                        None => return,
                    }
                }
                // Nearly every line of a stream of tokens: a `data` field with a JSON object.
                Place::LineStart if starts_a_value(rest) => {
                    self.after_cr = false;
                    self.open_event(true);
                    self.place = Place::OtherValue;
                    &rest[VALUE_START..]
                }
                _ => {
                    self.step(byte);
                    after
                }
            };
        }
    }

    /// One byte where the line may still become something that matters.
    fn step(&mut self, byte: u8) {
        let after_cr = std::mem::replace(&mut self.after_cr, false);
        match (self.place, byte) {
            (Place::LineStart, b'\n') if after_cr => {}
            (_, b'\n' | b'\r') => self.end_line(byte),
            (Place::ByteOrderMark { matched }, _) => match follow(BYTE_ORDER_MARK, matched, byte) {
                Some(3) => self.place = Place::LineStart,
                Some(matched) => self.place = Place::ByteOrderMark { matched },
                // Half a mark is the start of a field with an odd name.
                None if matched > 0 => self.other_field(),
                None => self.start_line(byte),
            },
            (Place::LineStart, _) => self.start_line(byte),
            (Place::Name { matched: 4 }, b':') => {
                self.open_event(true);
                self.place = Place::Colon;
            }
            (Place::Name { matched }, _) => match follow(DATA, matched, byte) {
                Some(matched) => self.place = Place::Name { matched },
                None => self.other_field(),
            },
            (Place::Colon, b' ') => self.place = Place::Value { matched: 0 },
            (Place::Colon, _) => self.value(0, byte),
            (Place::Value { matched }, _) => self.value(matched, byte),
            (Place::OtherValue | Place::OtherField | Place::Comment, _) => {}
        }
    }

    fn start_line(&mut self, byte: u8) {
        match byte {
            b':' => self.place = Place::Comment,
            b'd' => self.place = Place::Name { matched: 1 },
            _ => self.other_field(),
        }
    }

    fn value(&mut self, matched: u8, byte: u8) {
        self.place = match follow(DONE, matched, byte) {
            Some(matched) => Place::Value { matched },
            None => Place::OtherValue,
        };
    }

    fn other_field(&mut self) {
        self.open_event(false);
        self.place = Place::OtherField;
    }

    fn open_event(&mut self, has_data: bool) {
        self.event_open = true;
        self.event_has_data |= has_data;
    }

    /// A blank line ends the event.
    fn dispatch(&mut self) {
        self.data_events += u64::from(self.event_has_data);
        self.event_open = false;
        self.event_has_data = false;
    }

    /// A line end: `byte` is LF, or a CR that an LF may still follow.
    fn end_line(&mut self, byte: u8) {
        match self.place {
            Place::LineStart | Place::ByteOrderMark { matched: 0 } => self.dispatch(),
            // A name without a colon is a field with an empty value.
            Place::Name { matched } => self.open_event(usize::from(matched) == DATA.len()),
            Place::Value { matched } if usize::from(matched) == DONE.len() => self.saw_done = true,
            Place::ByteOrderMark { .. } => self.open_event(false),
            Place::Colon
            | Place::Value { .. }
            | Place::OtherValue
            | Place::OtherField
            | Place::Comment => {}
        }
        self.place = Place::LineStart;
        self.after_cr = byte == b'\r';
    }
}

/// Bytes that [`starts_a_value`] looks at.
const VALUE_START: usize = 7;

/// Whether this is a `data` field whose value goes on and is not the end marker.
fn starts_a_value(line: &[u8]) -> bool {
    match line.first_chunk::<VALUE_START>() {
        Some([b'd', b'a', b't', b'a', b':', b' ', first]) => !matches!(first, b'[' | b'\n' | b'\r'),
        _ => false,
    }
}

/// One more byte of an expected text: how much of it has been seen now, or `None` if it differs.
fn follow(expected: &[u8], matched: u8, byte: u8) -> Option<u8> {
    (expected.get(usize::from(matched)) == Some(&byte)).then_some(matched + 1)
}
