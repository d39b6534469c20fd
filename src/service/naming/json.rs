//! The outermost `model` of a JSON object.
//!
//! What lies deeper is passed over by its brackets alone, at any depth. That finds the outermost
//! members of every text that is JSON; of a text that is none nothing is promised but that a reader
//! which takes more than JSON (comments, bare keys, other quotes) finds no member that is not found
//! here: their marks are refused wherever they stand.

use super::spelling::{Key, Spelling};
use super::{MODEL, NAME_BYTES_MAX, Name, Seen};

const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

#[derive(Clone, Copy, Debug)]
enum State {
    /// In front of the object. So many bytes of a byte order mark have come.
    Start {
        mark: u8,
    },
    /// There as well, behind bytes that some leave out, or that are half of a character.
    StartOdd,
    /// In the object, behind its brace.
    KeyOrEnd,
    /// Behind a comma.
    Key,
    InKey {
        spelling: Spelling,
    },
    KeyEscape {
        spelling: Spelling,
    },
    KeyHex {
        spelling: Spelling,
        value: u16,
        digits: u8,
    },
    Colon {
        key: Key,
    },
    Value {
        key: Key,
    },
    /// In the name itself.
    Name,
    NameEscape,
    /// In a string, at this depth.
    String {
        depth: u32,
    },
    Escape {
        depth: u32,
    },
    /// Between brackets.
    Deep {
        depth: u32,
    },
    /// In a number or a literal.
    Scalar,
    /// Behind a value.
    After,
    /// Behind the object.
    Done,
    /// This is no object, and names nothing.
    Nothing,
    Refused,
}

/// Follows one text.
#[derive(Debug)]
pub(super) struct Json {
    state: State,
    /// A member `model` has come.
    named: bool,
    /// The body says that it is JSON: what is neither an object nor a bare scalar is refused.
    claimed: bool,
    /// Bytes fed before this piece.
    base: usize,
    name: Name,
}

impl Json {
    pub(super) fn new() -> Json {
        Json::behind(0)
    }

    /// Of a body that says that it is JSON, or says nothing of itself.
    pub(super) fn claimed() -> Json {
        Json { claimed: true, ..Json::new() }
    }

    /// Behind so many blanks.
    pub(super) fn behind(blanks: usize) -> Json {
        let name = Name { at: 0, written: Vec::new() };
        Json { state: State::Start { mark: 0 }, named: false, claimed: false, base: blanks, name }
    }

    /// Whether it is none whose members could be read.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self.state, State::Nothing)
    }

    /// The text has ended. Whether it was whole.
    pub(super) fn end(&mut self) -> bool {
        use State::*;
        matches!(self.state, Start { mark: 0 | 3 } | StartOdd | Done | Nothing)
    }

    pub(super) fn feed(&mut self, data: &[u8], on: &mut impl FnMut(Seen)) {
        let mut at = 0;
        while at < data.len() {
            at = match self.state {
                State::Nothing => break,
                State::Refused => return,
                State::Name => self.name(data, at, on),
                State::String { depth } => self.string(data, at, depth),
                State::Key | State::KeyOrEnd if data[at] == b'"' => self.key(data, at, on),
                State::Deep { depth } => self.deep(data, at, depth, on),
                State::Scalar if is_scalar(data[at]) => {
                    at + data[at..].iter().take_while(|&&byte| is_scalar(byte)).count()
                }
                State::Scalar | State::After if data[at] == b',' => {
                    self.state = State::Key;
                    at + 1
                }
                _ => {
                    self.step(data[at], self.base + at, on);
                    at + 1
                }
            };
        }
        self.base += data.len();
    }

    /// One byte outside of strings that are passed over.
    fn step(&mut self, byte: u8, place: usize, on: &mut impl FnMut(Seen)) {
        use State::*;
        let blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.state = match self.state {
            state @ (Start { mark: 0 | 3 }
            | KeyOrEnd
            | Key
            | Colon { .. }
            | Value { .. }
            | After
            | Done)
                if blank =>
            {
                state
            }
            Start { mark } => self.begun(start(mark, byte, false), byte),
            StartOdd => self.begun(start(0, byte, true), byte),
            KeyOrEnd if byte == b'}' => Done,
            KeyOrEnd | Key if byte == b'"' => InKey { spelling: Spelling::new() },
            InKey { spelling } if byte == b'"' => self.keyed(spelling.key(MODEL)),
            InKey { spelling } if byte == b'\\' => KeyEscape { spelling },
            InKey { mut spelling } => {
                spelling.push(byte, MODEL);
                InKey { spelling }
            }
            KeyEscape { spelling } if byte == b'u' => KeyHex { spelling, value: 0, digits: 0 },
            KeyEscape { mut spelling } => {
                // Some take any character for itself behind a backslash.
                let blank = matches!(byte, b'b' | b'f' | b'n' | b'r' | b't');
                spelling.push_escaped(if blank { 0 } else { byte.into() }, MODEL);
                InKey { spelling }
            }
            KeyHex { mut spelling, value, digits } => match char::from(byte).to_digit(16) {
                Some(digit) if digits == 3 => {
                    spelling.push_escaped(value << 4 | digit as u16, MODEL);
                    InKey { spelling }
                }
                Some(digit) => {
                    KeyHex { spelling, value: value << 4 | digit as u16, digits: digits + 1 }
                }
                None => Refused,
            },
            Colon { key } if byte == b':' => Value { key },
            Value { key } => self.value(key, byte, place),
            NameEscape => {
                self.name.written.push(byte);
                Name
            }
            Escape { depth } => String { depth },
            Scalar | After if byte == b',' => Key,
            Scalar | After if byte == b'}' => Done,
            Scalar if blank => After,
            Scalar if is_scalar(byte) => Scalar,
            _ => Refused,
        };
        if let Refused = self.state {
            on(Seen::Ambiguous);
        }
    }

    /// At the first quote of a key. One that is all here and has no escape is read at once, and what stands
    /// behind it, where that is a colon and a value. Returns where to go on.
    fn key(&mut self, data: &[u8], at: usize, on: &mut impl FnMut(Seen)) -> usize {
        let rest = &data[at + 1..];
        let end = quote_or_escape(rest).filter(|&length| rest[length] == b'"');
        let known = end.and_then(|end| Some((end, Key::of_unescaped(&rest[..end], MODEL)?)));
        let Some((length, key)) = known else {
            self.state = State::InKey { spelling: Spelling::new() };
            return at + 1;
        };
        let behind = at + 1 + length + 1;
        self.state = self.keyed(key);
        if let (State::Colon { key }, [b':', byte @ (b'"' | b'{' | b'['), ..]) =
            (self.state, &data[behind..])
        {
            self.state = self.value(key, *byte, self.base + behind + 1);
        }
        match self.state {
            State::Colon { .. } => return behind,
            State::Refused => on(Seen::Ambiguous),
            _ => {}
        }
        behind + 2
    }

    /// Behind a key.
    fn keyed(&mut self, key: Key) -> State {
        let again = key == Key::Same && std::mem::replace(&mut self.named, true);
        if again || key == Key::Perhaps { State::Refused } else { State::Colon { key } }
    }

    /// The first byte of a member's value.
    fn value(&mut self, key: Key, byte: u8, place: usize) -> State {
        match (key, byte) {
            (Key::Same, b'"') => {
                self.name.at = place + 1;
                State::Name
            }
            // It names none, as if it were not there; what is neither that nor a string is no name.
            (Key::Same, b'n') => State::Scalar,
            (Key::Same, _) => State::Refused,
            (_, b'"') => State::String { depth: 0 },
            (_, b'{' | b'[') => State::Deep { depth: 1 },
            (_, byte) if is_scalar(byte) => State::Scalar,
            _ => State::Refused,
        }
    }

    /// Inside the name. Returns where to go on.
    fn name(&mut self, data: &[u8], at: usize, on: &mut impl FnMut(Seen)) -> usize {
        let end = quote_or_escape(&data[at..]).map_or(data.len(), |it| at + it);
        if self.name.written.len() + (end - at) > NAME_BYTES_MAX {
            self.state = State::Refused;
            on(Seen::Ambiguous);
            return data.len();
        }
        self.name.written.extend_from_slice(&data[at..end]);
        match data.get(end) {
            None => return end,
            Some(b'"') => {
                self.state = State::After;
                let written = std::mem::take(&mut self.name.written);
                on(Seen::Name(Name { at: self.name.at, written }));
            }
            Some(&escape) => {
                self.name.written.push(escape);
                self.state = State::NameEscape;
            }
        }
        end + 1
    }

    /// Between brackets. Returns where to go on.
    fn deep(
        &mut self,
        data: &[u8],
        mut at: usize,
        mut depth: u32,
        on: &mut impl FnMut(Seen),
    ) -> usize {
        while let Some(&byte) = data.get(at) {
            at += 1;
            match byte {
                b'"' => match quote_or_escape(&data[at..]) {
                    Some(length) if data[at + length] == b'"' => at += length + 1,
                    _ => {
                        self.state = State::String { depth };
                        return at;
                    }
                },
                b'}' | b']' if depth == 1 => {
                    self.state = State::After;
                    return at;
                }
                b'}' | b']' => depth -= 1,
                b'{' | b'[' if depth < u32::MAX => depth += 1,
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' => {}
                byte if is_scalar(byte) => {}
                _ => {
                    self.state = State::Refused;
                    on(Seen::Ambiguous);
                    return at;
                }
            }
        }
        self.state = State::Deep { depth };
        at
    }

    /// In front of an object readers differ in what they pass over: comments, `)]}'`, the bracket of a
    /// list of one. A body that says it is JSON has none of that, unless somebody is to read it so.
    fn begun(&self, state: State, byte: u8) -> State {
        match (state, byte) {
            (State::Nothing, b'/' | b'#' | b'[' | b')' | b';' | b'\'' | b'(') if self.claimed => {
                State::Refused
            }
            (state, _) => state,
        }
    }

    /// Inside a string that is passed over. Returns where to go on.
    fn string(&mut self, data: &[u8], at: usize, depth: u32) -> usize {
        let Some(length) = quote_or_escape(&data[at..]) else { return data.len() };
        self.state = match data[at + length] {
            b'\\' => State::Escape { depth },
            _ if depth == 0 => State::After,
            _ => State::Deep { depth },
        };
        at + length + 1
    }
}

/// In front of the object, behind so many bytes of a byte order mark. `odd`: something else has come.
fn start(mark: u8, byte: u8, odd: bool) -> State {
    match byte {
        b'{' if !odd && matches!(mark, 0 | 3) => State::KeyOrEnd,
        // UTF-16, UTF-32, a second mark, blanks that only some take for such.
        b'{' => State::Refused,
        byte if !odd && BYTE_ORDER_MARK.get(usize::from(mark)) == Some(&byte) => {
            State::Start { mark: mark + 1 }
        }
        0..=b' ' | 0x7f.. => State::StartOdd,
        _ => State::Nothing,
    }
}

/// Where the first quote stands, or the first backslash.
pub(super) fn quote_or_escape(text: &[u8]) -> Option<usize> {
    /// Most strings of a request are shorter than what it costs to begin a wide search.
    const SHORT: usize = 4 * 8;
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    const QUOTES: u64 = ONES * b'"' as u64;
    const ESCAPES: u64 = ONES * b'\\' as u64;
    // The high bit of the first byte that is zero, and of some behind it.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (short, rest) = text.split_at(text.len().min(SHORT));
    let (words, last) = short.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ QUOTES) | zeros(word ^ ESCAPES);
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    if let Some(at) = last.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        return Some(short.len() - last.len() + at);
    }
    memchr::memchr2(b'"', b'\\', rest).map(|at| short.len() + at)
}

/// Whether a byte may be one of a number or a literal.
pub(super) fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}
