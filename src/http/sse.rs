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
    /// An `event` field begins; then comes its value, and its end.
    fn name_start(&mut self);
    fn name(&mut self, part: &[u8]);
    /// The value has ended: it is the name of the event, whatever an earlier field said. An empty
    /// one means that the event has no name.
    fn name_end(&mut self);
    /// A field `error` begins, which event streams do not have. Its value is shown as data is.
    fn error_line(&mut self);
    /// All the data of an event: one line, which begins with `{`.
    fn object(&mut self, line: &[u8]);
    /// Some of a `data` line.
    fn data(&mut self, part: &[u8]);
    /// A `data` line has ended, other than the mark `[DONE]`: of several a line feed joins them.
    fn data_end(&mut self);
    /// A `data` line was exactly `[DONE]`.
    fn done(&mut self);
    /// A comment begins.
    fn comment(&mut self) {}
    /// The event is complete. `has_data`: somebody will be handed it. Returns whether it counts as
    /// a data event.
    fn dispatched(&mut self, has_data: bool) -> bool;
}

/// Watches nothing.
impl Watcher for () {
    fn name_start(&mut self) {}
    fn error_line(&mut self) {}
    fn done(&mut self) {}
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
    /// No field of an event stream, and llama.cpp's way to report an error in one.
    Error,
}

impl Field {
    fn spelling(self) -> &'static [u8] {
        match self {
            Field::Data => b"data",
            Field::Event => b"event",
            Field::Error => b"error",
        }
    }
}

/// Where the observer stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Only at the start of the stream.
    ByteOrderMark,
    LineStart,
    /// In a field name that may still become this field's.
    NameOfData,
    NameOfEvent,
    NameOfError,
    /// After the colon; one space here is not part of the value.
    ColonOfData,
    ColonOfEvent,
    ColonOfError,
    /// In the name of the event.
    EventName,
    /// In data that may still become `[DONE]`.
    Value,
    /// In data that cannot.
    OtherValue,
    /// In a field that does not matter.
    OtherField,
    Comment,
}

impl Place {
    /// The field whose name this may become.
    fn name(self) -> Option<Field> {
        match self {
            Place::NameOfData => Some(Field::Data),
            Place::NameOfEvent => Some(Field::Event),
            Place::NameOfError => Some(Field::Error),
            _ => None,
        }
    }
}

/// What has come since the last blank line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Nothing,
    Fields,
    /// Fields, and one of them was `data`.
    Data,
}

/// What the last byte of a stream was a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A line end, or the end of the byte order mark: a line begins behind it.
    LineStart,
    /// What is, or may become, `data`, `event`, `error`, the colon behind it, or the byte order mark.
    Name,
    /// The value of a `data` or `error` field, or the space before it.
    Data,
    /// The value of an `event` field, or the space before it.
    EventName,
    Comment,
    /// Any other field.
    OtherField,
}

/// Follows one event stream through any pieces it comes in. In this order it takes eight bytes, and
/// leaves an unused value in the last of them to whoever has it or something else.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct EventObserver {
    data_events: u32,
    place: Place,
    /// Bytes of the expected text seen so far, in a name, in data, in the byte order mark.
    matched: u8,
    event: Open,
    /// The last byte was CR: an LF right behind it belongs to the same line end.
    after_cr: bool,
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
            place: Place::ByteOrderMark,
            matched: 0,
            event: Open::Nothing,
            after_cr: false,
        }
    }

    /// Events dispatched so far that carried data.
    pub fn data_events(&self) -> u64 {
        self.data_events.into()
    }

    /// Whether an event of ours written here would stand by itself: at the start of a line, with
    /// no field waiting for its blank line.
    pub fn at_boundary(&self) -> bool {
        let line_start = match self.place {
            Place::LineStart => true,
            Place::ByteOrderMark => self.matched == 0,
            _ => false,
        };
        line_start && self.event == Open::Nothing
    }

    /// What the last byte was a part of.
    pub fn part(&self) -> Part {
        match self.place {
            Place::LineStart => Part::LineStart,
            Place::ByteOrderMark if self.matched == 0 => Part::LineStart,
            Place::ByteOrderMark
            | Place::NameOfData
            | Place::NameOfEvent
            | Place::NameOfError
            | Place::ColonOfData
            | Place::ColonOfEvent
            | Place::ColonOfError => Part::Name,
            Place::Value | Place::OtherValue => Part::Data,
            Place::EventName => Part::EventName,
            Place::Comment => Part::Comment,
            Place::OtherField => Part::OtherField,
        }
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
        watcher.name_start();
        watcher.name(&name[..end]);
        watcher.name_end();
        self.after_cr = name[end] == b'\r';
        Some(&name[end + 1..])
    }

    /// A `data` line with an object, of which `rest` is the beginning. Returns what comes behind
    /// the line, `None` if its end has not come.
    fn object<'d>(&mut self, rest: &'d [u8], watcher: &mut impl Watcher) -> Option<&'d [u8]> {
        let first = self.event != Open::Data;
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
            (Place::ByteOrderMark, _) => match follow(BYTE_ORDER_MARK, self.matched, byte) {
                Some(3) => self.place = Place::LineStart,
                Some(matched) => self.matched = matched,
                // Half a mark is the start of a field with an odd name.
                None if self.matched > 0 => self.other_field(),
                None => self.start_line(byte, watcher),
            },
            (Place::LineStart, _) => self.start_line(byte, watcher),
            (Place::NameOfEvent, b'r') if self.matched == 1 => {
                (self.place, self.matched) = (Place::NameOfError, 2);
            }
            (Place::NameOfData | Place::NameOfEvent | Place::NameOfError, _) => {
                self.step_name(byte, watcher);
            }
            (Place::ColonOfData | Place::ColonOfEvent | Place::ColonOfError, _) => {
                self.matched = 0;
                self.place = match self.place {
                    Place::ColonOfData => Place::Value,
                    Place::ColonOfEvent => Place::EventName,
                    _ => Place::OtherValue,
                };
                return byte == b' ';
            }
            (Place::Value, _) => match follow(DONE, self.matched, byte) {
                Some(matched) => self.matched = matched,
                None => {
                    watcher.data(&DONE[..self.matched.into()]);
                    self.place = Place::OtherValue;
                    return false;
                }
            },
            (Place::EventName | Place::OtherValue | Place::OtherField | Place::Comment, _) => {}
        }
        true
    }

    /// One byte of a field's name, or the colon behind it.
    fn step_name(&mut self, byte: u8, watcher: &mut impl Watcher) {
        let Some(field) = self.place.name() else { return };
        if byte != b':' || !self.is_name_of(field) {
            match follow(field.spelling(), self.matched, byte) {
                Some(matched) => self.matched = matched,
                None => self.other_field(),
            }
            return;
        }
        self.open_event(field == Field::Data);
        match field {
            Field::Data => self.place = Place::ColonOfData,
            Field::Event => {
                self.place = Place::ColonOfEvent;
                watcher.name_start();
            }
            Field::Error => {
                self.place = Place::ColonOfError;
                watcher.error_line();
            }
        }
    }

    fn start_line(&mut self, byte: u8, watcher: &mut impl Watcher) {
        self.matched = 1;
        match byte {
            b':' => {
                watcher.comment();
                self.place = Place::Comment;
            }
            b'd' => self.place = Place::NameOfData,
            b'e' => self.place = Place::NameOfEvent,
            _ => self.other_field(),
        }
    }

    fn other_field(&mut self) {
        self.open_event(false);
        self.place = Place::OtherField;
    }

    fn is_name_of(&self, field: Field) -> bool {
        usize::from(self.matched) == field.spelling().len()
    }

    fn open_event(&mut self, has_data: bool) {
        if has_data {
            self.event = Open::Data;
        } else if self.event == Open::Nothing {
            self.event = Open::Fields;
        }
    }

    /// A blank line ends the event, if there is one.
    fn dispatch(&mut self, watcher: &mut impl Watcher) {
        if self.event != Open::Nothing {
            let counts = watcher.dispatched(self.event == Open::Data);
            self.data_events = self.data_events.saturating_add(counts.into());
        }
        self.event = Open::Nothing;
    }

    /// A line end: `byte` is LF, or a CR that an LF may still follow.
    fn end_line(&mut self, byte: u8, watcher: &mut impl Watcher) {
        match self.place {
            Place::LineStart => self.dispatch(watcher),
            Place::ByteOrderMark if self.matched == 0 => self.dispatch(watcher),
            Place::ByteOrderMark => self.open_event(false),
            Place::NameOfData | Place::NameOfEvent | Place::NameOfError => self.end_name(watcher),
            Place::Value if usize::from(self.matched) == DONE.len() => watcher.done(),
            Place::EventName | Place::ColonOfEvent => watcher.name_end(),
            Place::Value => {
                watcher.data(&DONE[..self.matched.into()]);
                watcher.data_end();
            }
            Place::OtherValue | Place::ColonOfData | Place::ColonOfError => watcher.data_end(),
            Place::OtherField | Place::Comment => {}
        }
        self.place = Place::LineStart;
        self.after_cr = byte == b'\r';
    }
}

impl EventObserver {
    /// A line ends in a field's name: without a colon it is a field with an empty value.
    fn end_name(&mut self, watcher: &mut impl Watcher) {
        let whole = self.place.name().filter(|field| self.is_name_of(*field));
        self.open_event(whole == Some(Field::Data));
        match whole {
            Some(Field::Data) => watcher.data_end(),
            Some(Field::Event) => {
                watcher.name_start();
                watcher.name_end();
            }
            _ => {}
        }
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
