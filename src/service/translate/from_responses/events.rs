//! The events of a stream of OpenAI responses, numbered and written.

use std::io::Write;

use serde_json::Value;

use super::items::PartKind;
use crate::http::json::escape;

/// Writes events.
#[derive(Debug, Default)]
pub struct EventWriter {
    /// The number of the next one.
    sequence: u64,
    /// A delta of the part that is open, up to its text, and behind it up to its number.
    before: Vec<u8>,
    after: &'static str,
}

impl EventWriter {
    /// An event with these members, which are written as they stand.
    pub fn write(&mut self, name: &str, members: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: {\"type\":\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\",");
        out.extend_from_slice(members.as_bytes());
        self.end(out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        // A vector takes all that it is given.
        let written = write!(out, ",\"sequence_number\":{}}}\n\n", self.sequence);
        debug_assert!(written.is_ok());
        self.sequence += 1;
    }

    /// An item begins, or is done.
    pub fn item(&mut self, name: &str, index: u64, item: &str, out: &mut Vec<u8>) {
        self.write(name, &format!("\"output_index\":{index},\"item\":{item}"), out);
    }

    /// A part of an item begins, or is done. `at`: the numbers of both.
    pub fn part(&mut self, name: &str, id: &str, at: (u64, u64), part: &str, out: &mut Vec<u8>) {
        self.write(name, &format!("{},\"part\":{part}", place(id, at)), out);
    }

    /// The deltas that follow are of this part.
    pub fn set_delta(&mut self, kind: PartKind, id: &str, at: (u64, u64)) {
        let (stem, place) = (kind.stem(), place(id, at));
        let start = format!(
            "event: response.{stem}.delta\ndata: {{\"type\":\"response.{stem}.delta\",{place},\"delta\":\""
        );
        self.before.clear();
        self.before.extend_from_slice(start.as_bytes());
        self.after = if kind == PartKind::Text { "\",\"logprobs\":[]" } else { "\"" };
    }

    /// Some text of the part. It is the inside of a JSON string.
    pub fn delta(&mut self, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.before);
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(self.after.as_bytes());
        self.end(out);
    }

    /// The same of a part with text, and how likely its tokens were: the inside of a list.
    pub fn delta_with(&mut self, text: &str, logprobs: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.before);
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(format!("\",\"logprobs\":[{logprobs}]").as_bytes());
        self.end(out);
    }

    /// All that the part has said. `said`: its text, and how likely the tokens of it were.
    pub fn text_done(
        &mut self,
        kind: PartKind,
        id: &str,
        at: (u64, u64),
        said: (&str, &str),
        out: &mut Vec<u8>,
    ) {
        let (text, logprobs) = said;
        let logprobs = match kind {
            PartKind::Text => format!(",\"logprobs\":[{logprobs}]"),
            _ => String::new(),
        };
        let members = format!("{},\"{}\":\"{text}\"{logprobs}", place(id, at), kind.member());
        self.write(&format!("response.{}.done", kind.stem()), &members, out);
    }

    /// Some arguments of a call, and all of them: insides of JSON strings.
    pub fn arguments_delta(&mut self, id: &str, index: u64, arguments: &str, out: &mut Vec<u8>) {
        let members = format!("{},\"delta\":\"{arguments}\"", item_place(id, index));
        self.write("response.function_call_arguments.delta", &members, out);
    }

    pub fn arguments_done(
        &mut self,
        id: &str,
        index: u64,
        name: &str,
        arguments: &str,
        out: &mut Vec<u8>,
    ) {
        let (place, name) = (item_place(id, index), Value::from(name));
        let members = format!("{place},\"name\":{name},\"arguments\":\"{arguments}\"");
        self.write("response.function_call_arguments.done", &members, out);
    }
}

fn item_place(id: &str, index: u64) -> String {
    let mut escaped = Vec::new();
    escape(id, &mut escaped);
    format!("\"item_id\":\"{}\",\"output_index\":{index}", String::from_utf8_lossy(&escaped))
}

fn place(id: &str, (index, part): (u64, u64)) -> String {
    format!("{},\"content_index\":{part}", item_place(id, index))
}
