//! Masks: a stream without its text, byte for byte as long as with it.
//!
//! What a recording is needed for survives: events, fields, numbers, the words of the inference
//! APIs, the place and the length of everything. The text of a conversation becomes as many `x`.
//!
//! ```text
//!   data: {"choices":[{"delta":{"content":"Hello"},"finish_reason":null}]}
//!   data: {"choices":[{"delta":{"content":"xxxxx"},"finish_reason":null}]}
//! ```
//!
//! * Valid JSON stays valid JSON. What is no JSON has no structure that could be told from text,
//!   and all of it is masked.

use super::redact::WORDS;

/// What stands in the place of a byte of text.
const MASK: u8 = b'x';

/// Masks an event stream, or lines of JSON. `cut`: it begins somewhere inside a line.
pub fn masked(stream: &[u8], cut: bool) -> Vec<u8> {
    let mut out = stream.to_vec();
    for (index, line) in out.split_inclusive_mut(|&byte| byte == b'\n').enumerate() {
        let end = line.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
        let line = &mut line[..end];
        if index == 0 && cut { line.fill(MASK) } else { mask_line(line) }
    }
    out
}

fn mask_line(line: &mut [u8]) {
    let Some(colon) = memchr::memchr(b':', line) else { return mask_payload(line) };
    let (name, value) = line.split_at_mut(colon);
    match &*name {
        b"data" => mask_payload(&mut value[1..]),
        b"event" | b"retry" => {}
        b"" | b"id" => value[1..].fill(MASK),
        // No field of an event: a line of JSON.
        _ => mask_payload(line),
    }
}

fn mask_payload(payload: &mut [u8]) {
    let start = payload.iter().position(|byte| *byte != b' ').unwrap_or(payload.len());
    match &payload[start..] {
        b"" | b"[DONE]" => {}
        [b'{' | b'[', ..] => mask_json(&mut payload[start..]),
        _ => payload[start..].fill(MASK),
    }
}

/// Where a walk through a JSON text is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A value of a field whose text is a word of the API.
    Word,
    Anything,
}

fn mask_json(text: &mut [u8]) {
    let mut next = Next::Anything;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => {
                let end = end_of_string(text, at + 1);
                let behind = text[end.min(text.len())..].iter().skip(1);
                let is_name =
                    behind.clone().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                let inside = at + 1..end.min(text.len());
                if is_name {
                    let is_word = WORDS.iter().any(|word| word.as_bytes() == &text[inside.clone()]);
                    next = if is_word { Next::Word } else { Next::Anything };
                } else if std::mem::replace(&mut next, Next::Anything) == Next::Anything {
                    text[inside].fill(MASK);
                }
                at = end + 1;
                continue;
            }
            b':' | b' ' | b'\t' => {}
            b'{' | b'}' | b'[' | b']' | b',' => next = Next::Anything,
            _ => {
                next = Next::Anything;
                let end = text[at..].iter().position(|byte| b"\":{}[], \t".contains(byte));
                let end = end.map_or(text.len(), |end| at + end);
                let word = &mut text[at..end];
                if !is_literal(word) {
                    word.fill(MASK);
                }
                at = end;
                continue;
            }
        }
        at += 1;
    }
}

/// A number, `true`, `false` or `null`.
fn is_literal(word: &[u8]) -> bool {
    let of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    matches!(word, b"true" | b"false" | b"null")
        || word.iter().any(u8::is_ascii_digit) && word.iter().all(of_number)
}

/// Where the quote that ends a string is, or the end of the text.
fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return at,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_masked_and_everything_keeps_its_length() {
        for (line, expected) in [
            ("data: [DONE]", "data: [DONE]"),
            ("event: message_start", "event: message_start"),
            ("", ""),
            (": a comment", ":xxxxxxxxxx"),
            ("id: secret", "id:xxxxxxx"),
            ("data: plain words", "data: xxxxxxxxxxx"),
            ("plain words", "xxxxxxxxxxx"),
            (r#"data:{"a":"b"}"#, r#"data:{"a":"x"}"#),
            (
                r#"data: {"type":"text","delta":{"content":"say \"hi\" \u00e9"},"n":-1.5e3}"#,
                r#"data: {"type":"text","delta":{"content":"xxxxxxxxxxxxxxxxx"},"n":-1.5e3}"#,
            ),
            (
                r#"{"model" : "m","response":"secret","done":false,"context":[1,2]}"#,
                r#"{"model" : "m","response":"xxxxxx","done":false,"context":[1,2]}"#,
            ),
            // A word of the API is a string; anything else in its place may be anything.
            (r#"{"type":{"a":"b"},"role":["c"]}"#, r#"{"type":{"a":"x"},"role":["x"]}"#),
            (r#"data: {"content":"cut of"#, r#"data: {"content":"xxxxxx"#),
            (r#"data: {"content":"cut\"#, r#"data: {"content":"xxxx"#),
            (r#"data: {secret: "x"}"#, r#"data: {xxxxxx: "x"}"#),
        ] {
            let whole = format!("{line}\r\n");
            let got = masked(whole.as_bytes(), false);
            assert_eq!(String::from_utf8_lossy(&got), format!("{expected}\r\n"));
        }
    }

    #[test]
    fn a_line_that_begins_before_the_recording_is_text() {
        let got = masked(b"ecret\"}\n\ndata: {\"a\":1}\n", true);
        assert_eq!(got, b"xxxxxxx\n\ndata: {\"a\":1}\n");
    }

    #[test]
    fn no_bytes_can_break_it() {
        for byte in 0..=255u8 {
            for template in [&b"data: {\"a\":\"?\"}\n"[..], b"?", b"{?", b"data: {\"?", b"\"?\\"] {
                let bytes: Vec<u8> =
                    template.iter().map(|it| if *it == b'?' { byte } else { *it }).collect();
                assert_eq!(masked(&bytes, false).len(), bytes.len());
            }
        }
    }
}
