//! The messages of OpenAI chat, as contents of Gemini's.

use serde_json::{Value, json};

use super::super::Untranslatable;
use super::super::chat::request::{
    CallNames, EarlierCall, MessagePart, take_calls, take_content, text_of,
};
use super::super::members::{members_of, take_text, want_text};
use super::super::rules::{Members, add_kept, nothing_kept, nothing_left};
use super::super::tree::Numbers;
use super::rules;

/// A conversation, as far as its messages have come.
#[derive(Debug)]
pub struct Script<'n> {
    system: Vec<Value>,
    contents: Vec<Members>,
    /// The last content holds results of calls, and more of them belong there.
    answers: bool,
    names: CallNames,
    numbers: &'n mut Numbers,
}

impl Script<'_> {
    pub fn new(numbers: &mut Numbers) -> Script<'_> {
        let (system, contents, names) = (Vec::new(), Vec::new(), CallNames::default());
        Script { system, contents, answers: false, names, numbers }
    }

    /// Writes it into a request.
    pub fn end(self, out: &mut Members) {
        if !self.system.is_empty() {
            out.insert("systemInstruction".into(), json!({ "parts": self.system }));
        }
        out.insert("contents".into(), self.contents.into_iter().map(Value::Object).collect());
    }

    /// Takes the next message, which stands at `at`.
    pub fn message(&mut self, message: Value, at: &str) -> Result<(), Untranslatable> {
        let (mut message, kept) = rules::MESSAGE.sift(message, at)?;
        let role = want_text(&mut message, "role", at)?;
        let said = take_content(&mut message, &rules::PART, role == "user", at)?;
        if role == "tool" {
            return self.result(message, said, &kept, at);
        }
        let mut parts: Vec<Value> = said.into_iter().filter_map(part).collect();
        match role.as_str() {
            "system" | "developer" => {
                nothing_kept(&kept, at)?;
                self.system.append(&mut parts);
                return nothing_left(&message, at);
            }
            "user" => {}
            "assistant" => {
                let refusal = take_text(&mut message, "refusal", at)?.unwrap_or_default();
                parts.extend(part(MessagePart::Text(refusal)));
                let (names, numbers) = (&mut self.names, &mut *self.numbers);
                let calls = take_calls(&mut message, &rules::TOOL_CALL, names, numbers, at)?;
                for call in calls {
                    parts.push(called(call, at)?);
                }
            }
            _ => return Err(Untranslatable::member(at, "role", "is unknown to Gemini")),
        }
        nothing_left(&message, at)?;
        if parts.is_empty() {
            return nothing_kept(&kept, at);
        }
        let role = if role == "assistant" { "model" } else { "user" };
        let mut content = members_of(json!({"role": role, "parts": parts}));
        add_kept(&mut content, kept, at)?;
        self.contents.push(content);
        self.answers = false;
        Ok(())
    }

    /// All results of a turn's calls stand in one content.
    fn result(
        &mut self,
        mut message: Members,
        said: Vec<MessagePart>,
        kept: &Members,
        at: &str,
    ) -> Result<(), Untranslatable> {
        let id = want_text(&mut message, "tool_call_id", at)?;
        let name = self.names.of_result(&id, at)?;
        nothing_left(&message, at)?;
        nothing_kept(kept, at)?;
        let text = text_of(said);
        // Gemini wants an object.
        let object = self.numbers.parse(text.as_bytes()).ok().filter(Value::is_object);
        let response = object.unwrap_or_else(|| json!({ "result": text }));
        let part = json!({"functionResponse": {"id": id, "name": name, "response": response}});
        let last = self.contents.last_mut().filter(|_| self.answers);
        match last.and_then(|last| last.get_mut("parts")).and_then(Value::as_array_mut) {
            Some(parts) => parts.push(part),
            None => self.contents.push(members_of(json!({"role": "user", "parts": [part]}))),
        }
        self.answers = true;
        Ok(())
    }
}

fn part(part: MessagePart) -> Option<Value> {
    match part {
        MessagePart::Text(text) if text.is_empty() => None,
        MessagePart::Text(text) => Some(json!({ "text": text })),
        MessagePart::Image(kind, data) => {
            Some(json!({"inlineData": {"mimeType": kind, "data": data}}))
        }
    }
}

fn called(call: EarlierCall, at: &str) -> Result<Value, Untranslatable> {
    let EarlierCall { id, name, arguments, mut more } = call;
    let mut function = members_of(json!({"name": name, "args": arguments}));
    if let Some(id) = id {
        function.insert("id".into(), id.into());
    }
    let mut part = json!({ "functionCall": function });
    if let Some(extra) = more.remove("extra_content") {
        let at = format!("{at}.tool_calls[].extra_content");
        let mut extra = rules::EXTRA_CONTENT.sift_whole(extra, &at)?;
        if let Some(google) = extra.remove("google") {
            let at = format!("{at}.google");
            let mut google = rules::GOOGLE.sift_whole(google, &at)?;
            if let Some(signature) = take_text(&mut google, "thought_signature", &at)? {
                part["thoughtSignature"] = signature.into();
            }
        }
    }
    Ok(part)
}
