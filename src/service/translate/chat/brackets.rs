//! Whether the arguments of a call, an object that comes in pieces, are whole.

/// Follows the brackets of an object.
#[derive(Clone, Copy, Debug, Default)]
pub struct Brackets {
    depth: u32,
    begun: bool,
    in_string: bool,
    escaped: bool,
}

impl Brackets {
    /// Takes the next piece: the inside of a JSON string, as it is written.
    pub fn feed(&mut self, inside: &str) {
        let mut bytes = inside.bytes();
        while let Some(byte) = bytes.next() {
            self.step(match byte {
                b'\\' => match bytes.next() {
                    Some(byte @ (b'"' | b'\\')) => byte,
                    Some(b'u') => unit(&mut bytes),
                    _ => b' ',
                },
                byte => byte,
            });
        }
    }

    fn step(&mut self, byte: u8) {
        match byte {
            _ if std::mem::take(&mut self.escaped) => {}
            b'\\' => self.escaped = self.in_string,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' | b'[' => {
                self.begun = true;
                self.depth = self.depth.saturating_add(1);
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    pub fn is_whole(self) -> bool {
        self.begun && self.depth == 0
    }

    /// Whether they have begun and not ended.
    pub fn are_cut(self) -> bool {
        self.begun && self.depth > 0
    }
}

/// The character of an escape with a number, if it is one byte long; a space for any other.
fn unit(digits: &mut impl Iterator<Item = u8>) -> u8 {
    let number = digits
        .take(4)
        .try_fold(0, |number, digit| Some(number * 16 + char::from(digit).to_digit(16)?));
    number.and_then(|number| u8::try_from(number).ok()).filter(u8::is_ascii).unwrap_or(b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_texts_do_not_count() {
        for (pieces, whole) in [
            (&[r#"{\"a\":"#, r#"[1,{}]}"#][..], true),
            (&[r#"{\"a\":\"}"#], false),
            (&[r#"{\"a\":\"}\\\""#, r#"}\"}"#], true),
            (&[r#"\u007b\u0022}\u0022"#], false),
            (&[r#"\u007b\u0022}\u0022\u007d "#], true),
            (&["  "], false),
        ] {
            let mut brackets = Brackets::default();
            pieces.iter().for_each(|piece| brackets.feed(piece));
            assert_eq!(brackets.is_whole(), whole, "{pieces:?}");
            assert_eq!(brackets.are_cut(), !whole && pieces != ["  "], "{pieces:?}");
        }
    }
}
