//! Redaction: what of an event may be shown to somebody who only wants to know how it goes.
//!
//! Structure stays: which fields there are, numbers, and the few words of the inference APIs that
//! say what kind of event it is. Text becomes its length.

use serde_json::Value;

/// Fields whose text is a word of the API and not of a conversation.
pub(super) const WORDS: &[&str] =
    &["type", "object", "role", "finish_reason", "stop_reason", "event", "model"];

/// One payload of an event, its text replaced.
pub fn redacted(data: &str) -> String {
    if data == "[DONE]" {
        return data.to_owned();
    }
    match serde_json::from_str::<Value>(data) {
        Ok(mut value) => {
            hide(&mut value);
            value.to_string()
        }
        Err(_) => format!("({} bytes)", data.len()),
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::String(text) => *text = format!("({} bytes)", text.len()),
        Value::Array(values) => values.iter_mut().for_each(hide),
        Value::Object(fields) => {
            for (name, value) in fields {
                if !(WORDS.contains(&name.as_str()) && value.is_string()) {
                    hide(value);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Cuts a payload stream into the payloads of its events, and anything else into lines.
#[derive(Debug, Default)]
pub struct Cutter {
    held: Vec<u8>,
}

/// A line is given up as too long to be shown beyond this.
const LINE_BYTES_MAX: usize = 64 << 10;

impl Cutter {
    /// Takes bytes and gives the payload of each `data` line that is complete, with its text or
    /// without.
    pub fn feed(&mut self, data: &[u8], plain: bool, mut give: impl FnMut(String)) {
        self.held.extend_from_slice(data);
        while let Some(end) = memchr::memchr(b'\n', &self.held) {
            let line: Vec<u8> = self.held.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if let Some(payload) = line.strip_prefix("data:") {
                let payload = payload.strip_prefix(' ').unwrap_or(payload);
                give(if plain { payload.to_owned() } else { redacted(payload) });
            }
        }
        if self.held.len() > LINE_BYTES_MAX {
            give(format!("({} bytes without the end of a line)", self.held.len()));
            self.held.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_its_length_and_structure_stays() {
        let event = r#"{"object":"chunk","choices":[{"delta":{"content":"secret"},"finish_reason":null}],"usage":{"total_tokens":3}}"#;
        let shown = redacted(event);
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains(r#""content":"(6 bytes)""#), "{shown}");
        assert!(shown.contains(r#""object":"chunk""#) && shown.contains(r#""total_tokens":3"#));
        assert_eq!(redacted("[DONE]"), "[DONE]");
        assert_eq!(redacted("plain words"), "(11 bytes)");
        // A word of the API is a string; anything else in its place may be anything.
        assert_eq!(redacted(r#"{"type":{"a":"b"}}"#), r#"{"type":{"a":"(1 bytes)"}}"#);
    }

    #[test]
    fn any_cut_gives_the_same_events() {
        let stream = b"data: {\"a\":\"bc\"}\r\n\r\n: comment\nevent: x\ndata:[DONE]\n\n";
        let expected = [r#"{"a":"(2 bytes)"}"#, "[DONE]"];
        for cut in 0..=stream.len() {
            let (mut cutter, mut events) = (Cutter::default(), Vec::new());
            cutter.feed(&stream[..cut], false, |event| events.push(event));
            cutter.feed(&stream[cut..], false, |event| events.push(event));
            assert_eq!(events, expected, "cut at {cut}");
        }
    }
}
