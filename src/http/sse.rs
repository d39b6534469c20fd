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
//! What the events *say* is for a [`Watcher`], which is shown the names and the data as they go by.
//!
//! Absent on purpose: the events. Not one byte is kept.

#[cfg(test)]
mod tests;

/// The payload that ends a stream of completions, by convention of the inference APIs.
const DONE: &[u8] = b"[DONE]";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Is shown what the fields of an event say.
///
/// The data of an event may come in any pieces and over several lines, except that an object which
/// is all of it, and lies in one piece with the end of its event, is shown at once.
pub trait Watcher {
    /// Some of the value of an `event` field.
    fn name(&mut self, part: &[u8]);
    fn name_end(&mut self);
    /// All the data of an event: one line, which begins with `{`.
    fn object(&mut self, line: &[u8]);
    /// Some of a `data` line.
    fn data(&mut self, part: &[u8]);
    /// A `data` line has ended, other than the mark `[DONE]`: of several a line feed joins them.
    fn data_end(&mut self);
    /// The event is complete. `has_data`: somebody will be handed it. Returns whether it counts as
    /// a data event.
    fn dispatched(&mut self, has_data: bool) -> bool;
}

/// Watches nothing.
impl Watcher for () {
    fn name(&mut self, _part: &[u8]) {}
    fn name_end(&mut self) {}
    fn object(&mut self, _line: &[u8]) {}
    fn data(&mut self, _part: &[u8]) {}
    fn data_end(&mut self) {}

    fn dispatched(&mut self, has_data: bool) -> bool {
        has_data
    }
}

/// The fields whose values matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Data,
    Event,
}

impl Field {
    fn spelling(self) -> &'static [u8] {
        match self {
            Field::Data => b"data",
            Field::Event => b"event",
        }
    }
}

/// Where the observer stands in a line. `matched` counts bytes of the expected text seen so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Only at the start of the stream.
    ByteOrderMark {
        matched: u8,
    },
    LineStart,
    /// In a field name that may still become this field's.
    Name {
        field: Field,
        matched: u8,
    },
    /// After the colon; one space here is not part of the value.
    Colon(Field),
    /// In the name of the event.
    EventName,
    /// In data that may still become `[DONE]`.
    Value {
        matched: u8,
    },
    /// In data that cannot.
    OtherValue,
    /// In a field that does not matter.
    OtherField,
    Comment,
}

/// Follows one event stream through any pieces it comes in.
#[derive(Clone, Debug)]
pub struct EventObserver {
    data_events: u32,
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
        self.data_events.into()
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
        self.feed_to(data, &mut ());
    }

    /// Takes the next bytes of the stream, and shows `watcher` what they say.
    pub fn feed_to(&mut self, data: &[u8], watcher: &mut impl Watcher) {
        let mut rest = data;
        while let Some((&byte, after)) = rest.split_first() {
            rest = match self.place {
                Place::OtherValue | Place::EventName | Place::OtherField | Place::Comment => {
                    let end = memchr::memchr2(b'\n', b'\r', rest);
                    let part = &rest[..end.unwrap_or(rest.len())];
                    match self.place {
                        Place::OtherValue => watcher.data(part),
                        Place::EventName => watcher.name(part),
                        _ => {}
                    }
                    let Some(end) = end else { return };
                    self.end_line(rest[end], watcher);
                    &rest[end + 1..]
                }
                Place::LineStart if byte == b'e' => match self.event_line(rest, watcher) {
                    Some(after) => after,
                    None => {
                        self.step(byte, watcher);
                        after
                    }
                },
                // Nearly every line of a stream of tokens.
                Place::LineStart if byte == b'd' => match object_line(rest) {
                    Some(line) => match self.object(line, watcher) {
                        Some(after) => after,
                        None => return,
                    },
                    None => {
                        self.step(byte, watcher);
                        after
                    }
                },
                _ => match self.step(byte, watcher) {
                    true => after,
                    false => rest,
                },
            };
        }
    }

    /// A whole `event` line, as servers write it. Returns what comes behind it.
    fn event_line<'d>(&mut self, line: &'d [u8], watcher: &mut impl Watcher) -> Option<&'d [u8]> {
        let name = line.strip_prefix(b"event: ")?;
        let end = memchr::memchr2(b'\n', b'\r', name)?;
        self.open_event(false);
        watcher.name(&name[..end]);
        watcher.name_end();
        self.after_cr = name[end] == b'\r';
        Some(&name[end + 1..])
    }

    /// A `data` line with an object, of which `rest` is the beginning. Returns what comes behind
    /// the line, `None` if its end has not come.
    fn object<'d>(&mut self, rest: &'d [u8], watcher: &mut impl Watcher) -> Option<&'d [u8]> {
        let first = !self.event_has_data;
        self.open_event(true);
        let Some(end) = memchr::memchr2(b'\n', b'\r', rest) else {
            self.after_cr = false;
            self.place = Place::OtherValue;
            watcher.data(rest);
            return None;
        };
        let (line, after) = rest.split_at(end);
        // As nearly every event ends: the blank line has come with it.
        let blank = after.strip_prefix(b"\n\n").or_else(|| after.strip_prefix(b"\r\n\r\n"));
        if let Some(after) = blank.filter(|_| first) {
            watcher.object(line);
            self.after_cr = false;
            self.dispatch(watcher);
            return Some(after);
        }
        watcher.data(line);
        watcher.data_end();
        self.after_cr = after[0] == b'\r';
        Some(&after[1..])
    }

    /// One byte where the line may still become something that matters. Returns whether the byte
    /// has been dealt with; if not, it belongs to what begins here.
    fn step(&mut self, byte: u8, watcher: &mut impl Watcher) -> bool {
        let after_cr = std::mem::replace(&mut self.after_cr, false);
        match (self.place, byte) {
            (Place::LineStart, b'\n') if after_cr => {}
            (_, b'\n' | b'\r') => self.end_line(byte, watcher),
            (Place::ByteOrderMark { matched }, _) => match follow(BYTE_ORDER_MARK, matched, byte) {
                Some(3) => self.place = Place::LineStart,
                Some(matched) => self.place = Place::ByteOrderMark { matched },
                // Half a mark is the start of a field with an odd name.
                None if matched > 0 => self.other_field(),
                None => self.start_line(byte),
            },
            (Place::LineStart, _) => self.start_line(byte),
            (Place::Name { field, matched }, b':')
                if usize::from(matched) == field.spelling().len() =>
            {
                self.open_event(field == Field::Data);
                self.place = Place::Colon(field);
            }
            (Place::Name { field, matched }, _) => match follow(field.spelling(), matched, byte) {
                Some(matched) => self.place = Place::Name { field, matched },
                None => self.other_field(),
            },
            (Place::Colon(field), _) => {
                self.place = match field {
                    Field::Data => Place::Value { matched: 0 },
                    Field::Event => Place::EventName,
                };
                return byte == b' ';
            }
            (Place::Value { matched }, _) => match follow(DONE, matched, byte) {
                Some(matched) => self.place = Place::Value { matched },
                None => {
                    watcher.data(&DONE[..matched.into()]);
                    self.place = Place::OtherValue;
                    return false;
                }
            },
            (Place::EventName | Place::OtherValue | Place::OtherField | Place::Comment, _) => {}
        }
        true
    }

    fn start_line(&mut self, byte: u8) {
        match byte {
            b':' => self.place = Place::Comment,
            b'd' => self.place = Place::Name { field: Field::Data, matched: 1 },
            b'e' => self.place = Place::Name { field: Field::Event, matched: 1 },
            _ => self.other_field(),
        }
    }

    fn other_field(&mut self) {
        self.open_event(false);
        self.place = Place::OtherField;
    }

    fn open_event(&mut self, has_data: bool) {
        self.event_open = true;
        self.event_has_data |= has_data;
    }

    /// A blank line ends the event, if there is one.
    fn dispatch(&mut self, watcher: &mut impl Watcher) {
        if self.event_open {
            let counts = watcher.dispatched(self.event_has_data);
            self.data_events = self.data_events.saturating_add(counts.into());
        }
        self.event_open = false;
        self.event_has_data = false;
    }

    /// A line end: `byte` is LF, or a CR that an LF may still follow.
    fn end_line(&mut self, byte: u8, watcher: &mut impl Watcher) {
        match self.place {
            Place::LineStart | Place::ByteOrderMark { matched: 0 } => self.dispatch(watcher),
            // A name without a colon is a field with an empty value.
            Place::Name { field, matched } => {
                let whole = usize::from(matched) == field.spelling().len();
                self.open_event(whole && field == Field::Data);
                if whole && field == Field::Data {
                    watcher.data_end();
                }
            }
            Place::Value { matched } if usize::from(matched) == DONE.len() => self.saw_done = true,
            Place::ByteOrderMark { .. } => self.open_event(false),
            Place::EventName | Place::Colon(Field::Event) => watcher.name_end(),
            Place::Value { matched } => {
                watcher.data(&DONE[..matched.into()]);
                watcher.data_end();
            }
            Place::OtherValue | Place::Colon(Field::Data) => watcher.data_end(),
            Place::OtherField | Place::Comment => {}
        }
        self.place = Place::LineStart;
        self.after_cr = byte == b'\r';
    }
}

/// What stands behind `data:` if that is the beginning of an object.
fn object_line(line: &[u8]) -> Option<&[u8]> {
    let value = line.strip_prefix(b"data:")?;
    let value = value.strip_prefix(b" ").unwrap_or(value);
    (value.first() == Some(&b'{')).then_some(value)
}

/// One more byte of an expected text: how much of it has been seen now, or `None` if it differs.
fn follow(expected: &[u8], matched: u8, byte: u8) -> Option<u8> {
    (expected.get(usize::from(matched)) == Some(&byte)).then_some(matched + 1)
}
