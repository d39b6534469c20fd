//! A string read out of JSON.

/// The inside of one JSON string, decoded as it comes, of at most `N` bytes.
///
/// A text that is longer, is no UTF-8, or holds an escape that means nothing, is no text at all:
/// half a name is another name.
#[derive(Clone, Debug)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: u16,
    decoder: Decoder,
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Text<N> {
        Text::new()
    }
}

impl<const N: usize> Text<N> {
    pub const fn new() -> Text<N> {
        assert!(N <= u16::MAX as usize);
        Text { bytes: [0; N], length: 0, decoder: Decoder::new() }
    }

    /// Takes some of the string, as written.
    pub fn push(&mut self, written: &[u8]) {
        let Text { bytes, length, decoder } = self;
        decoder.push(written, |decoded| {
            let start = usize::from(*length);
            bytes.get_mut(start..start + decoded.len())?.copy_from_slice(decoded);
            *length += decoded.len() as u16;
            Some(())
        });
    }

    /// The whole text.
    pub fn as_str(&self) -> Option<&str> {
        if !self.decoder.is_whole() {
            return None;
        }
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).ok()
    }
}

/// Takes the escapes out of the inside of one JSON string, in any pieces it comes in.
#[derive(Clone, Debug)]
pub struct Decoder {
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

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

impl Decoder {
    pub const fn new() -> Decoder {
        Decoder { place: Place::Plain, high: None }
    }

    /// Takes some of the string, as written. `put` is given what it means, and says `None` where
    /// there is no room for it.
    pub fn push(&mut self, written: &[u8], mut put: impl FnMut(&[u8]) -> Option<()>) {
        for &byte in written {
            self.place = self.step(byte, &mut put).unwrap_or(Place::Broken);
        }
    }

    /// Whether what has come is a text: no half of an escape, and none that means nothing.
    pub fn is_whole(&self) -> bool {
        self.place == Place::Plain && self.high.is_none()
    }

    fn step(&mut self, byte: u8, put: &mut impl FnMut(&[u8]) -> Option<()>) -> Option<Place> {
        let mut plain = |bytes: &[u8]| put(bytes).map(|()| Place::Plain);
        if self.high.is_some() && self.place == Place::Plain && byte != b'\\' {
            return None;
        }
        match self.place {
            Place::Plain if byte == b'\\' => Some(Place::Backslash),
            Place::Plain => plain(&[byte]),
            Place::Backslash => {
                if self.high.is_some() && byte != b'u' {
                    return None;
                }
                match byte {
                    b'"' | b'\\' | b'/' => plain(&[byte]),
                    b'b' => plain(b"\x08"),
                    b'f' => plain(b"\x0c"),
                    b'n' => plain(b"\n"),
                    b'r' => plain(b"\r"),
                    b't' => plain(b"\t"),
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
                match self.unit(value)? {
                    Some(character) => plain(character.encode_utf8(&mut [0; 4]).as_bytes()),
                    None => Some(Place::Plain),
                }
            }
            Place::Broken => None,
        }
    }

    /// One UTF-16 code unit, from an escape: the character that it completes, if it does.
    fn unit(&mut self, unit: u16) -> Option<Option<char>> {
        let high = self.high.take();
        if high.is_none() && (0xd800..0xdc00).contains(&unit) {
            self.high = Some(unit);
            return Some(None);
        }
        let units = high.into_iter().chain([unit]);
        let mut characters = char::decode_utf16(units);
        characters.next()?.ok().map(Some)
    }
}
