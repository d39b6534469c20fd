//! The shape of the last delta: the next one is mostly the same but for its text.
//!
//! ```text
//!   event: …\ndata: {"id":"c1","choices":[{"index":0,"delta":{"content":"  wat er  "}}]}\n\n
//!   └──────────────────────────── before ──────────────────────────────┘└text┘└─ after ─┘
//! ```
//!
//! Whoever has understood one delta has understood every other that differs in the inside of that one
//! string: *before* ends inside it, and *after* begins with its closing quote and ends with the event. So the
//! next delta costs two comparisons and a look at its text; any other event is read and parsed, and becomes
//! the shape.
//!
//! * A text is taken only if it is the inside of a JSON string: no quote, no control character, no
//!   escape that means nothing, UTF-8. So an event of this shape has one end, and it is whole.
//! * No allocation, once both buffers are as long as a delta.

use memchr::memchr2;

/// The shape of a delta.
#[derive(Debug, Default)]
pub struct DeltaShape {
    known: bool,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl DeltaShape {
    /// The text of the event of this shape that `bytes` begin with, as it is written, and what comes behind
    /// the event.
    #[inline]
    pub fn text<'e>(&self, bytes: &'e [u8]) -> Option<(&'e str, &'e [u8])> {
        if !self.known {
            return None;
        }
        let rest = bytes.strip_prefix(&*self.before)?;
        let length = length_inside(rest)?;
        let (text, rest) = rest.split_at(length);
        let rest = rest.strip_prefix(&*self.after)?;
        Some((std::str::from_utf8(text).ok()?, rest))
    }

    /// Takes the shape of a delta whose text, the inside of a string, is a part of `event`.
    pub fn learn(&mut self, event: &[u8], text: &str) {
        self.known = false;
        let start = (text.as_ptr() as usize).wrapping_sub(event.as_ptr() as usize);
        let (Some(before), Some(after)) = (event.get(..start), event.get(start + text.len()..))
        else {
            return;
        };
        self.before.clear();
        self.before.extend_from_slice(before);
        self.after.clear();
        self.after.extend_from_slice(after);
        // Behind the closing quote there is something, or the text would have no end.
        self.known = after.first() == Some(&b'"');
    }
}

/// How much of `bytes` can stand between the quotes of a JSON string, up to the second of them (RFC 8259 §7).
fn length_inside(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let next = at + memchr2(b'"', b'\\', &bytes[at..])?;
        if bytes[at..next].iter().any(|byte| *byte < 0x20) {
            return None;
        }
        if bytes[next] == b'"' {
            return Some(next);
        }
        at = next + escape_length(&bytes[next..])?;
    }
}

/// The length of the escape that begins here.
fn escape_length(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => bytes.get(2..6)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_its_text_alone_is_of_the_shape() {
        let event = "data: {\"a\":\"one\",\"b\":\"one\"}\n\n".to_owned();
        let mut shape = DeltaShape::default();
        assert_eq!(shape.text(event.as_bytes()), None);
        let at = event.find("one").unwrap();
        shape.learn(event.as_bytes(), &event[at..at + 3]);
        let of =
            |text: &str, rest: &str| format!("data: {{\"a\":\"{text}\",\"b\":\"one\"}}\n\n{rest}");
        for text in ["", "two", "\u{fc}\u{1f600}", "\\\"", "\\\\", "a\\u00fcb", "x\\n"] {
            let bytes = of(text, "rest").into_bytes();
            assert_eq!(shape.text(&bytes), Some((text, &b"rest"[..])), "{text}");
        }
        for text in ["\"", "\\", "\\x", "\\u00g0", "\n", "\u{1}", "two\",\"c\":\"x"] {
            assert_eq!(shape.text(of(text, "").as_bytes()), None, "{text}");
        }
        let whole = of("two", "");
        for length in 0..whole.len() {
            assert_eq!(shape.text(&whole.as_bytes()[..length]), None, "{length}");
        }
    }
}
