//! The shape of the last delta: the next one is mostly the same but for its text.
//!
//! ```text
//!   {"id":"c1","choices":[{"index":0,"delta":{"content":"  wat er  "},"finish_reason":null}]}
//!   └──────────────────────── before ─────────────────────┘└text┘└─────────── after ─────────┘
//! ```
//!
//! Whoever has understood one delta has understood every other that differs in the inside of that one
//! string: *before* ends inside it, and *after* begins with its closing quote. So the next delta costs
//! two comparisons and a look at its text; any other event is parsed, and becomes the shape.
//!
//! * A text is taken only if it is the inside of a JSON string: no quote, no control character, no
//!   escape that means nothing, UTF-8.
//! * No allocation, once both buffers are as long as a delta.

/// The shape of a delta, and what its text is.
#[derive(Debug)]
pub struct TextTemplate<K> {
    kind: Option<K>,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl<K> Default for TextTemplate<K> {
    fn default() -> TextTemplate<K> {
        TextTemplate { kind: None, before: Vec::new(), after: Vec::new() }
    }
}

impl<K: Copy> TextTemplate<K> {
    /// The text of a delta of this shape, as it is written, and what it is.
    #[inline]
    pub fn text<'e>(&self, data: &'e [u8]) -> Option<(K, &'e str)> {
        let kind = self.kind?;
        let text = data.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        inside_of_string(text).map(|text| (kind, text))
    }

    /// Takes the shape of a delta whose text, the inside of a string, is a part of `data`.
    pub fn learn(&mut self, kind: K, data: &[u8], text: &str) {
        let start = (text.as_ptr() as usize).wrapping_sub(data.as_ptr() as usize);
        let (Some(before), Some(after)) = (data.get(..start), data.get(start + text.len()..))
        else {
            return self.forget();
        };
        self.kind = Some(kind);
        self.before.clear();
        self.before.extend_from_slice(before);
        self.after.clear();
        self.after.extend_from_slice(after);
    }

    /// No event is of this shape any more.
    pub fn forget(&mut self) {
        self.kind = None;
    }
}

/// `text`, if it can stand between the quotes of a JSON string (RFC 8259 §7).
fn inside_of_string(text: &[u8]) -> Option<&str> {
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'"' | 0..=0x1f => return None,
            b'\\' => match rest.next()? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                b'u' => {
                    for _ in 0..4 {
                        rest.next().filter(|digit| digit.is_ascii_hexdigit())?;
                    }
                }
                _ => return None,
            },
            _ => {}
        }
    }
    std::str::from_utf8(text).ok()
}
