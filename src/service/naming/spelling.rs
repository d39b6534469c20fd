//! Whether a key is a certain word, `model` or another, to one server or another.

/// What a key has been so far, character by character, its escapes decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spelling {
    /// So much of the word has come.
    at: u8,
    lost: bool,
    /// Some would not take it for the word.
    odd: bool,
    /// It has ended for whoever ends a text at a NUL.
    cut: bool,
}

/// What a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The word.
    Same,
    /// To some: in another case (Go), with bytes in it that some leave out, or with an escape.
    Perhaps,
    Other,
}

impl Key {
    /// What a key is that is written in visible ASCII, without an escape.
    #[inline]
    pub(super) fn of_plain(key: &[u8], word: &[u8]) -> Key {
        match key.eq_ignore_ascii_case(word) {
            true if key == word => Key::Same,
            true => Key::Perhaps,
            false => Key::Other,
        }
    }
}

impl Spelling {
    pub(super) const fn new() -> Spelling {
        Spelling { at: 0, lost: false, odd: false, cut: false }
    }

    /// The next byte, as it stands in the text.
    pub(super) fn push(&mut self, byte: u8, word: &[u8]) {
        match (word.get(usize::from(self.at)), byte) {
            // Controls, blanks, and what is not ASCII or no character at all: some drop them.
            (letter, 0..=b' ' | 0x7f..) => {
                self.odd = true;
                self.cut |= byte == 0 && letter.is_none() && !self.lost;
            }
            (Some(letter), byte) if byte.eq_ignore_ascii_case(letter) => {
                self.odd |= byte != *letter;
                self.at += 1;
            }
            _ => self.lost = true,
        }
    }

    /// The next character, which was an escape.
    pub(super) fn push_escaped(&mut self, character: u16, word: &[u8]) {
        self.odd = true;
        self.push(u8::try_from(character).unwrap_or(u8::MAX), word);
    }

    pub(super) fn key(&self, word: &[u8]) -> Key {
        match !self.lost && usize::from(self.at) == word.len() {
            _ if self.cut => Key::Perhaps,
            true if self.odd => Key::Perhaps,
            true => Key::Same,
            false => Key::Other,
        }
    }

    /// What a whole key is.
    pub(super) fn of(key: &[u8], word: &[u8]) -> Key {
        let mut spelling = Spelling::new();
        key.iter().for_each(|&byte| spelling.push(byte, word));
        spelling.key(word)
    }
}
