//! A string read out of JSON, kept within a bound.

/// The inside of one JSON string, decoded as it comes, of at most `N` bytes.
///
/// A text that is longer, is no UTF-8, or holds an escape that means nothing, is no text at all:
/// half a name is another name.
#[derive(Clone, Debug)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: u16,
    place: Place,
    /// The first half of a surrogate pair, whose second must follow at once.
    high: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Plain,
    Backslash,
    Hex { value: u16, digits: u8 },
    Broken,
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Text<N> {
        Text::new()
    }
}

impl<const N: usize> Text<N> {
    pub const fn new() -> Text<N> {
        assert!(N <= u16::MAX as usize);
        Text { bytes: [0; N], length: 0, place: Place::Plain, high: None }
    }

    /// Takes some of the string, as written.
    pub fn push(&mut self, written: &[u8]) {
        for &byte in written {
            self.place = self.step(byte).unwrap_or(Place::Broken);
        }
    }

    /// The whole text.
    pub fn as_str(&self) -> Option<&str> {
        if self.place != Place::Plain || self.high.is_some() {
            return None;
        }
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).ok()
    }

    fn step(&mut self, byte: u8) -> Option<Place> {
        if self.high.is_some() && self.place == Place::Plain && byte != b'\\' {
            return None;
        }
        match self.place {
            Place::Plain if byte == b'\\' => Some(Place::Backslash),
            Place::Plain => self.put(&[byte]),
            Place::Backslash => {
                if self.high.is_some() && byte != b'u' {
                    return None;
                }
                match byte {
                    b'"' | b'\\' | b'/' => self.put(&[byte]),
                    b'b' => self.put(b"\x08"),
                    b'f' => self.put(b"\x0c"),
                    b'n' => self.put(b"\n"),
                    b'r' => self.put(b"\r"),
                    b't' => self.put(b"\t"),
                    b'u' => Some(Place::Hex { value: 0, digits: 0 }),
                    _ => None,
                }
            }
            Place::Hex { value, digits } => {
                let digit = char::from(byte).to_digit(16)? as u16;
                let value = value << 4 | digit;
                if digits < 3 {
                    return Some(Place::Hex { value, digits: digits + 1 });
                }
                self.unit(value)
            }
            Place::Broken => None,
        }
    }

    /// One UTF-16 code unit, from an escape.
    fn unit(&mut self, unit: u16) -> Option<Place> {
        let high = self.high.take();
        if high.is_none() && (0xd800..0xdc00).contains(&unit) {
            self.high = Some(unit);
            return Some(Place::Plain);
        }
        let units = high.into_iter().chain([unit]);
        let mut characters = char::decode_utf16(units);
        let character = characters.next()?.ok()?;
        self.put(character.encode_utf8(&mut [0; 4]).as_bytes())
    }

    fn put(&mut self, bytes: &[u8]) -> Option<Place> {
        let start = usize::from(self.length);
        self.bytes.get_mut(start..start + bytes.len())?.copy_from_slice(bytes);
        self.length += bytes.len() as u16;
        Some(Place::Plain)
    }
}
