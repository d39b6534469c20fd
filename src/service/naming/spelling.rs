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
    /// What a key is that has no escape in it, by as much of it as tells. `None`: some leave a byte of it
    /// out, so that the others may make the word.
    #[inline]
    pub(super) fn of_unescaped(key: &[u8], word: &[u8]) -> Option<Key> {
        let same =
            key.iter().zip(word).take_while(|(byte, letter)| byte.eq_ignore_ascii_case(letter));
        let same = same.count();
        match key.get(same) {
            Some(byte) if byte.is_ascii_graphic() => Some(Key::Other),
            Some(_) => None,
            None if same < word.len() => Some(Key::Other),
            None if key == word => Some(Key::Same),
            None => Some(Key::Perhaps),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_key_tells_what_all_of_it_does() {
        let bytes = b"model MODEL\0\xc3n\t";
        let mut keys: Vec<Vec<u8>> = vec![Vec::new(), b"messages".into(), b"models".into()];
        // The word with a byte left out, put in, or another one.
        for at in 0..=5 {
            for &byte in bytes {
                let (front, back) = b"model".split_at(at);
                keys.push([front, &[byte], back].concat());
                keys.push([front, &[byte], back.get(1..).unwrap_or_default()].concat());
            }
            keys.push(b"model"[..at].into());
        }
        let mut told = 0;
        for key in &keys {
            if let Some(found) = Key::of_unescaped(key, b"model") {
                assert_eq!(found, Spelling::of(key, b"model"), "{key:?}");
                told += 1;
            }
        }
        assert!(told * 2 > keys.len(), "{told} of {}", keys.len());
    }
}
