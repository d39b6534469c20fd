//! Escapes: text of others, made fit for a log, a terminal, a page.
//!
//! A request id, a model's name or a file name may hold characters that act on whatever shows them:
//! that clear the screen, that begin a line in a log, that turn the direction of what stands beside
//! them. They are written as JSON would escape them, `\u001b`. So one function serves lines for
//! people and lines of JSON, whose strings mean the same afterwards.
//!
//! Absent on purpose: quotes and backslashes. Whoever writes JSON has escaped these already.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character acts on what shows it, or shows nothing: the controls (C0, DEL, C1), line and
/// paragraph separators, marks and overrides of direction, and all else of Unicode's format
/// characters that text does without.
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text with all such characters escaped.
pub fn escaped(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~');
    if text.as_bytes().iter().all(is_plain) || !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if acts(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail, so the result says nothing.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The same for a text of several lines, which stay lines.
pub fn escaped_lines(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<Cow<'_, str>> = text.split('\n').map(escaped).collect();
    Cow::Owned(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_acts_is_escaped_and_what_is_read_stays() {
        for (text, shown) in [
            ("", ""),
            ("plain words, \"quoted\" \\", "plain words, \"quoted\" \\"),
            ("\u{e9}\u{4e2d}\u{1f600}", "\u{e9}\u{4e2d}\u{1f600}"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\x1b[2J\0\x07", "\\u001b[2J\\u0000\\u0007"),
            ("\x7f\u{85}\u{9b}31m", "\\u007f\\u0085\\u009b31m"),
            ("\u{202e}txt\u{2066}\u{200f}", "\\u202etxt\\u2066\\u200f"),
            ("\u{2028}\u{2029}\u{feff}", "\\u2028\\u2029\\ufeff"),
            ("\u{e0041}", "\\udb40\\udc41"),
        ] {
            assert_eq!(escaped(text), shown);
            assert_eq!(escaped(&escaped(text)), shown, "once is enough");
        }
        assert_eq!(escaped_lines("a\n\x1bb\r\n"), "a\n\\u001bb\\r\n");
    }

    proptest! {
        #![proptest_config(crate::properties::cases(256))]
        #[test]
        fn json_means_the_same_afterwards(text in any::<String>()) {
            let json = serde_json::Value::from(&*text).to_string();
            let shown = escaped(&json);
            prop_assert!(!shown.contains(acts));
            let back: String = serde_json::from_str(&shown).expect("JSON");
            prop_assert_eq!(back, text);
        }
    }
}
