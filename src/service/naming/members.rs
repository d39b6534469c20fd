//! WantedMembers of a JSON object that routes ask for (`when.field`), found as the body goes by.
//!
//! [`super::Finder`] reads the same bytes, and refuses a text that readers cut differently. What is left
//! to do here is to follow the objects on the way to a wanted member, and to pass over all else by its
//! brackets.
//!
//! * A member that comes twice, or whose name some read as a wanted one, is ambiguous, at every step of
//!   the way to it.
//! * Bounded: of a value at most [`VALUE_BYTES_MAX`] bytes are kept, and of objects as many are open as a
//!   path has names.

use super::json::{is_scalar, quote_or_escape};
use super::spelling::{Key, Spelling};
use crate::http::json::Text;

/// A longer value, as it is written, meets no condition.
const VALUE_BYTES_MAX: usize = 1024;

/// The most members that can be looked for in one body.
pub const WANTED_MAX: usize = 64;

/// What is known of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberValue {
    Unread,
    /// It is not there, or is `null`.
    Absent,
    /// A text, decoded; a number, `true` or `false`, as it is written.
    Value(Box<str>),
    /// An object, a list, or a value that is too long to be looked at.
    Other,
}

#[derive(Debug)]
struct Wanted {
    /// The names of the members on the way to it, from the outermost.
    path: Vec<String>,
    found: MemberValue,
    /// One bit for each name of the path that has come.
    seen: u64,
    /// How the key that is being read is spelt, next to the name that is due.
    spelling: Spelling,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In front of the object.
    Start,
    /// In a watched object: behind its brace, or behind a comma.
    Key,
    InKey,
    KeyEscape,
    KeyHex {
        value: u16,
        digits: u8,
    },
    Colon,
    Value,
    /// In a text or a scalar that is kept.
    Text,
    TextEscape,
    Scalar,
    /// In a string that is passed over, below so many brackets.
    String {
        depth: u32,
    },
    Escape {
        depth: u32,
    },
    /// Between brackets that are passed over.
    Deep {
        depth: u32,
    },
    /// Behind a value, in a watched object.
    After,
    Done,
}

/// Follows one body.
#[derive(Debug)]
pub struct WantedMembers {
    wanted: Vec<Wanted>,
    state: State,
    /// Of each watched object which members may lie in it, a bit for each.
    open: Vec<u64>,
    /// Those whose path goes on with the key that was read last.
    matched: u64,
    /// What of a value has come; `None`: more than may be kept.
    value: Option<Vec<u8>>,
    ambiguous: bool,
}

impl WantedMembers {
    /// Looks for the members at these paths, [`WANTED_MAX`] of them at most.
    pub fn new(paths: Vec<Vec<String>>) -> WantedMembers {
        debug_assert!(paths.len() <= WANTED_MAX, "the configuration is checked for it");
        let wanted =
            |path| Wanted { path, found: MemberValue::Unread, seen: 0, spelling: Spelling::new() };
        WantedMembers {
            wanted: paths.into_iter().take(WANTED_MAX).map(wanted).collect(),
            state: State::Start,
            open: Vec::new(),
            matched: 0,
            value: None,
            ambiguous: false,
        }
    }

    /// What is known of the member at this path.
    pub fn get(&self, path: &[String]) -> &MemberValue {
        let wanted = self.wanted.iter().find(|wanted| wanted.path == path);
        wanted.map_or(&MemberValue::Unread, |wanted| &wanted.found)
    }

    /// Whether one has not come.
    pub fn lacks_any(&self) -> bool {
        self.wanted.iter().any(|wanted| wanted.found == MemberValue::Unread)
    }

    /// Whether a wanted member can be read in two ways.
    pub fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }

    /// The body has ended, or is no object: what has not come is not there.
    pub fn end(&mut self) {
        self.state = State::Done;
        for wanted in &mut self.wanted {
            if wanted.found == MemberValue::Unread {
                wanted.found = MemberValue::Absent;
            }
        }
    }

    /// Takes the next bytes of the payload.
    pub fn feed(&mut self, data: &[u8]) {
        let mut at = 0;
        while at < data.len() && !self.ambiguous && self.state != State::Done {
            let rest = &data[at..];
            at += match self.state {
                State::Deep { depth } => self.deep(rest, depth),
                State::String { depth } => self.string(rest, depth),
                State::Text => self.text(rest),
                _ => {
                    // A byte that ends a scalar is looked at once more.
                    usize::from(self.step(rest[0]))
                }
            };
        }
    }

    /// One byte where each one counts. Returns whether it was taken.
    fn step(&mut self, byte: u8) -> bool {
        use State::*;
        let blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.state {
            Start if blank || matches!(byte, 0xef | 0xbb | 0xbf) => {}
            Start if byte == b'{' => self.enter(u64::MAX),
            Start => self.end(),
            Key | Colon | Value | After if blank => {}
            Key if byte == b'"' => {
                self.due().for_each(|wanted| wanted.spelling = Spelling::new());
                self.state = InKey;
            }
            Key | After if byte == b'}' => self.leave(),
            After if byte == b',' => self.state = Key,
            InKey if byte == b'"' => self.keyed(),
            InKey if byte == b'\\' => self.state = KeyEscape,
            InKey => self.spell(|spelling, word| spelling.push(byte, word)),
            KeyEscape if byte == b'u' => self.state = KeyHex { value: 0, digits: 0 },
            KeyEscape => {
                let blank = matches!(byte, b'b' | b'f' | b'n' | b'r' | b't');
                let meant = if blank { 0 } else { byte.into() };
                self.spell(|spelling, word| spelling.push_escaped(meant, word));
                self.state = InKey;
            }
            KeyHex { value, digits } => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default() as u16;
                let value = value << 4 | digit;
                self.state = KeyHex { value, digits: digits + 1 };
                if digits == 3 {
                    self.spell(|spelling, word| spelling.push_escaped(value, word));
                    self.state = InKey;
                }
            }
            Colon if byte == b':' => self.state = Value,
            Value => self.value(byte),
            TextEscape => {
                self.keep(&[byte]);
                self.state = Text;
            }
            Scalar if is_scalar(byte) => self.keep(&[byte]),
            Scalar => {
                let written = self.value.take();
                self.found(scalar(written));
                return false;
            }
            Escape { depth } => self.state = String { depth },
            // What stands here is no JSON, which the finder says too.
            Key | Colon | After => self.ambiguous = true,
            Text | String { .. } | Deep { .. } | Done => {}
        }
        true
    }

    /// Those that may lie in the object that is open, each with the name that is due in it.
    fn due(&mut self) -> impl Iterator<Item = &mut Wanted> {
        let open = self.open.last().copied().unwrap_or_default();
        let all = self.wanted.iter_mut().enumerate();
        all.filter(move |(index, _)| open >> index & 1 == 1).map(|(_, wanted)| wanted)
    }

    fn spell(&mut self, push: impl Fn(&mut Spelling, &[u8])) {
        let depth = self.open.len() - 1;
        for wanted in self.due() {
            push(&mut wanted.spelling, wanted.path[depth].as_bytes());
        }
    }

    /// Behind a key.
    fn keyed(&mut self) {
        let depth = self.open.len() - 1;
        let open = self.open[depth];
        (self.matched, self.state) = (0, State::Colon);
        for (index, wanted) in self.wanted.iter_mut().enumerate() {
            if open >> index & 1 == 0 {
                continue;
            }
            match wanted.spelling.key(wanted.path[depth].as_bytes()) {
                Key::Other => {}
                Key::Same if wanted.seen >> depth & 1 == 0 => {
                    wanted.seen |= 1 << depth;
                    self.matched |= 1 << index;
                }
                Key::Same | Key::Perhaps => self.ambiguous = true,
            }
        }
    }

    /// The first byte of a member's value.
    fn value(&mut self, byte: u8) {
        let depth = self.open.len();
        let ends =
            |(index, wanted): (usize, &Wanted)| u64::from(wanted.path.len() == depth) << index;
        let ends = self.wanted.iter().enumerate().map(ends).fold(0, |all, bit| all | bit);
        let (last, inner) = (self.matched & ends, self.matched & !ends);
        if byte == b'{' && inner != 0 {
            self.resolve(last, &MemberValue::Other);
            return self.enter(inner);
        }
        self.resolve(inner, &MemberValue::Absent);
        self.matched = last;
        self.value = (last != 0).then(Vec::new);
        self.state = match byte {
            b'{' | b'[' => {
                self.resolve(last, &MemberValue::Other);
                State::Deep { depth: 1 }
            }
            b'"' if last == 0 => State::String { depth: 0 },
            b'"' => State::Text,
            _ => {
                self.keep(&[byte]);
                State::Scalar
            }
        };
    }

    /// Behind the brace of an object in which these may lie.
    fn enter(&mut self, members: u64) {
        self.open.push(members);
        self.state = State::Key;
    }

    /// Behind the end of a watched object: what has not come in it is not there.
    fn leave(&mut self) {
        let members = self.open.pop().unwrap_or_default();
        self.resolve(members, &MemberValue::Absent);
        self.state = if self.open.is_empty() { State::Done } else { State::After };
    }

    /// Behind a value that was kept.
    fn found(&mut self, member: MemberValue) {
        self.resolve(self.matched, &member);
        self.state = State::After;
    }

    fn resolve(&mut self, members: u64, member: &MemberValue) {
        for (index, wanted) in self.wanted.iter_mut().enumerate() {
            if members >> index & 1 == 1 && wanted.found == MemberValue::Unread {
                wanted.found = member.clone();
            }
        }
    }

    fn keep(&mut self, data: &[u8]) {
        if let Some(value) = &mut self.value {
            match value.len() + data.len() <= VALUE_BYTES_MAX {
                true => value.extend_from_slice(data),
                false => self.value = None,
            }
        }
    }

    /// Inside a text that is kept. Returns how many bytes were taken.
    fn text(&mut self, data: &[u8]) -> usize {
        let end = quote_or_escape(data).unwrap_or(data.len());
        self.keep(&data[..end]);
        match data.get(end) {
            None => return end,
            Some(b'"') => {
                let written = self.value.take();
                let member = written.map_or(Some(MemberValue::Other), |written| text(&written));
                self.ambiguous |= member.is_none();
                self.found(member.unwrap_or(MemberValue::Other));
            }
            Some(_) => {
                self.keep(b"\\");
                self.state = State::TextEscape;
            }
        }
        end + 1
    }

    /// Inside a string that is passed over.
    fn string(&mut self, data: &[u8], depth: u32) -> usize {
        let Some(length) = quote_or_escape(data) else { return data.len() };
        self.state = match data[length] {
            b'\\' => State::Escape { depth },
            _ if depth == 0 => State::After,
            _ => State::Deep { depth },
        };
        length + 1
    }

    /// Between brackets that are passed over.
    fn deep(&mut self, data: &[u8], mut depth: u32) -> usize {
        for (at, byte) in data.iter().enumerate() {
            match byte {
                b'"' => {
                    self.state = State::String { depth };
                    return at + 1;
                }
                b'}' | b']' if depth == 1 => {
                    self.state = State::After;
                    return at + 1;
                }
                b'}' | b']' => depth -= 1,
                b'{' | b'[' => depth = depth.saturating_add(1),
                _ => {}
            }
        }
        self.state = State::Deep { depth };
        data.len()
    }
}

/// What a text means; `None`: its bytes are none.
fn text(written: &[u8]) -> Option<MemberValue> {
    let mut text: Text<VALUE_BYTES_MAX> = Text::new();
    text.push(written);
    text.as_str().map(|text| MemberValue::Value(text.into()))
}

fn scalar(written: Option<Vec<u8>>) -> MemberValue {
    match written.map(String::from_utf8) {
        Some(Ok(null)) if null == "null" => MemberValue::Absent,
        Some(Ok(written)) => MemberValue::Value(written.into()),
        // Nobody waits for it, or it is too long.
        None | Some(Err(_)) => MemberValue::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    /// What is known of `user`, `metadata.user_id` and `metadata`, in this order, or that it is ambiguous.
    fn read<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> Option<[MemberValue; 3]> {
        let paths = ["user", "metadata.user_id", "metadata"].map(path);
        let mut members = WantedMembers::new(paths.to_vec());
        pieces.for_each(|piece| members.feed(piece));
        let found = paths.map(|path| members.get(&path).clone());
        (!members.is_ambiguous()).then_some(found)
    }

    fn value(text: &str) -> MemberValue {
        MemberValue::Value(text.into())
    }

    #[test]
    fn members_are_found_at_any_split() {
        use MemberValue::{Absent, Other, Unread};
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        for (body, expected) in [
            (r#"{"user":"u-1","n":1"#, [value("u-1"), Unread, Unread]),
            (r#"{"n":[{"user":"x"}],"user":"u-1"}"#, [value("u-1"), Absent, Absent]),
            ("\u{feff}{ \"user\" : 7 , \"x\" : {} }", [value("7"), Absent, Absent]),
            (r#"{"user":true}"#, [value("true"), Absent, Absent]),
            (r#"{"user":null}"#, [Absent, Absent, Absent]),
            (r#"{"user":"a\"\u0062"}"#, [value("a\"b"), Absent, Absent]),
            (r#"{"user":["u"]}"#, [Other, Absent, Absent]),
            (r#"{"user":12"#, [Unread, Unread, Unread]),
            (r#"{"metadata":{"a":{"user_id":1},"user_id":"m"}"#, [Unread, value("m"), Other]),
            (r#"{"metadata":{"a":"}"},"b":"\\"#, [Unread, Absent, Other]),
            (r#"{"metadata":"m","user":""}"#, [value(""), Absent, value("m")]),
            (r#"{"users":"u","use":1,"x":{"user":2}}"#, [Absent, Absent, Absent]),
            (r#"["user"]"#, [Absent, Absent, Absent]),
            ("user=1", [Absent, Absent, Absent]),
            (&format!(r#"{{"user":"{long}"}}"#), [Other, Absent, Absent]),
        ] {
            let bytes = body.as_bytes();
            assert_eq!(read(bytes.chunks(1)), Some(expected.clone()), "{body} bytewise");
            for cut in (0..=bytes.len()).step_by(1 + bytes.len() / 100) {
                let pieces = [&bytes[..cut], &bytes[cut..]];
                assert_eq!(read(pieces.into_iter()), Some(expected.clone()), "{body} at {cut}");
            }
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_ambiguous() {
        for body in [
            r#"{"user":"a","user":"a"}"#,
            r#"{"user":"a","User":"b"}"#,
            r#"{"us\u0065r":"a"}"#,
            r#"{"user\u0000":"a"}"#,
            r#"{"metadata":{"user_id":1,"user_id":1}}"#,
            r#"{"metadata":{},"metadata":{"user_id":1}}"#,
            r#"{"metadata":{"USER_ID":1}}"#,
            r#"{"user":"\ud800"}"#,
        ] {
            assert_eq!(read(std::iter::once(body.as_bytes())), None, "{body}");
            assert_eq!(read(body.as_bytes().chunks(1)), None, "{body} bytewise");
        }
        // As many as there may be of another name.
        assert!(read(std::iter::once(&br#"{"a":1,"a":2,"x":{"user":1,"user":2}}"#[..])).is_some());
    }
}
