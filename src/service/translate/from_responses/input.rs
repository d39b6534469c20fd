//! The items of a conversation of OpenAI responses, as messages of OpenAI chat.
//!
//! What an assistant thought, said and called in one turn are items of their own, and one message of chat.

use serde_json::{Value, json};

use super::super::Untranslatable;
use super::super::members::{content_of, members_of, plain_text, take_text, text_block, want_text};
use super::super::rules::{Members, add_kept, nothing_kept, nothing_left};
use super::rules;

/// The messages of a request.
pub fn messages(
    instructions: Option<String>,
    input: Option<Value>,
) -> Result<Vec<Members>, Untranslatable> {
    let mut script = Script::default();
    if let Some(instructions) = instructions.filter(|text| !text.is_empty()) {
        script.push(members_of(json!({"role": "system", "content": instructions})));
    }
    match input {
        Some(Value::String(text)) => {
            script.push(members_of(json!({"role": "user", "content": text})));
        }
        Some(Value::Array(items)) => {
            for (index, item) in items.into_iter().enumerate() {
                script.item(item, &format!("input[{index}]"))?;
            }
        }
        Some(_) => return Err(Untranslatable::new("input", "is neither text nor an array")),
        None => return Err(Untranslatable::new("input", "is missing")),
    }
    script.forget_lone_thinking();
    Ok(script.messages)
}

#[derive(Default)]
struct Script {
    messages: Vec<Members>,
}

impl Script {
    fn push(&mut self, message: Members) {
        self.forget_lone_thinking();
        self.messages.push(message);
    }

    /// The last message, if it is the assistant's.
    fn assistant(&mut self) -> Option<&mut Members> {
        self.messages.last_mut().filter(|message| message["role"] == "assistant")
    }

    /// What was thought and led to nothing is no message.
    fn forget_lone_thinking(&mut self) {
        if self.assistant().is_some_and(|message| is_lone_thinking(message)) {
            self.messages.pop();
        }
    }

    fn item(&mut self, item: Value, at: &str) -> Result<(), Untranslatable> {
        let (mut item, kept) = rules::ITEM.sift(item, at)?;
        let kind = take_text(&mut item, "type", at)?;
        match kind.as_deref().unwrap_or("message") {
            "message" => self.message(&mut item, kept, at)?,
            "function_call" => self.call(&mut item, kept, at)?,
            "function_call_output" => {
                let id = want_text(&mut item, "call_id", at)?;
                let content = output(item.remove("output"), &format!("{at}.output"))?;
                let mut message =
                    members_of(json!({"role": "tool", "tool_call_id": id, "content": content}));
                add_kept(&mut message, kept, at)?;
                self.push(message);
            }
            "reasoning" => {
                nothing_kept(&kept, at)?;
                self.thinking(item.remove("content"), at)?;
            }
            kind => return Err(unknown_kind(kind, at)),
        }
        nothing_left(&item, at)
    }

    fn message(
        &mut self,
        item: &mut Members,
        kept: Members,
        at: &str,
    ) -> Result<(), Untranslatable> {
        let role = match want_text(item, "role", at)?.as_str() {
            "developer" | "system" => "system",
            "user" => "user",
            "assistant" => "assistant",
            _ => return Err(Untranslatable::member(at, "role", "is unknown to OpenAI chat")),
        };
        let (mut parts, mut refusal) = (Vec::new(), String::new());
        match item.remove("content") {
            Some(Value::String(text)) => parts.push(text_block(text)),
            Some(Value::Array(list)) => {
                for (index, part) in list.into_iter().enumerate() {
                    let at = format!("{at}.content[{index}]");
                    parts.extend(self::part(part, role, &mut refusal, &at)?);
                }
            }
            Some(_) => {
                return Err(Untranslatable::member(at, "content", "is neither text nor an array"));
            }
            None => return Err(Untranslatable::member(at, "content", "is missing")),
        }
        let content = match role {
            "user" => content_of(parts),
            _ => joined(parts),
        };
        let mut message = members_of(json!({"role": role, "content": content}));
        if !refusal.is_empty() {
            message.insert("refusal".into(), refusal.into());
        }
        add_kept(&mut message, kept, at)?;
        match self.assistant().filter(|before| role == "assistant" && is_lone_thinking(before)) {
            Some(before) => before.extend(message),
            None => self.push(message),
        }
        Ok(())
    }

    fn call(&mut self, item: &mut Members, kept: Members, at: &str) -> Result<(), Untranslatable> {
        let id = want_text(item, "call_id", at)?;
        let name = want_text(item, "name", at)?;
        let arguments = take_text(item, "arguments", at)?.unwrap_or_default();
        let function = json!({"name": name, "arguments": arguments});
        let mut call = members_of(json!({"id": id, "type": "function", "function": function}));
        add_kept(&mut call, kept, at)?;
        if self.assistant().is_none() {
            self.push(members_of(json!({"role": "assistant", "content": null})));
        }
        if let Some(message) = self.assistant() {
            let calls = message.entry("tool_calls").or_insert_with(|| json!([]));
            if let Some(calls) = calls.as_array_mut() {
                calls.push(Value::Object(call));
            }
        }
        Ok(())
    }

    fn thinking(&mut self, content: Option<Value>, at: &str) -> Result<(), Untranslatable> {
        let parts = match content {
            None => return Ok(()),
            Some(Value::Array(parts)) => parts,
            Some(_) => return Err(Untranslatable::member(at, "content", "is no array")),
        };
        let mut text = String::new();
        for (index, part) in parts.into_iter().enumerate() {
            let at = format!("{at}.content[{index}]");
            let mut part = rules::SUMMARY.sift_whole(part, &at)?;
            match want_text(&mut part, "type", &at)?.as_str() {
                "reasoning_text" => text.push_str(&want_text(&mut part, "text", &at)?),
                kind => return Err(unknown_kind(kind, &at)),
            }
        }
        if !text.is_empty() {
            let message = json!({"role": "assistant", "content": null, "reasoning_content": text});
            self.push(members_of(message));
        }
        Ok(())
    }
}

fn is_lone_thinking(message: &Members) -> bool {
    message.len() == 3 && message.contains_key("reasoning_content") && message["content"].is_null()
}

fn unknown_kind(kind: &str, at: &str) -> Untranslatable {
    let why = format!("is `{kind}`, which cannot be translated here");
    Untranslatable::member(at, "type", &why)
}

/// Texts as one, which every template of a model can read; parts that say more stay parts.
fn joined(parts: Vec<Members>) -> Value {
    let texts: Option<Vec<&str>> = parts.iter().map(plain_text).collect();
    match texts {
        Some(texts) => texts.concat().into(),
        None => content_of(parts),
    }
}

/// A part of a message. What is refused stands beside its content.
fn part(
    part: Value,
    role: &str,
    refusal: &mut String,
    at: &str,
) -> Result<Option<Members>, Untranslatable> {
    let (mut part, kept) = rules::PART.sift(part, at)?;
    let kind = want_text(&mut part, "type", at)?;
    let mut block = match (kind.as_str(), role) {
        ("input_text" | "output_text" | "text", _) => text_block(want_text(&mut part, "text", at)?),
        ("refusal", "assistant") => {
            refusal.push_str(&want_text(&mut part, "refusal", at)?);
            nothing_kept(&kept, at)?;
            return nothing_left(&part, at).map(|()| None);
        }
        ("input_image", "user") => {
            let mut image = members_of(json!({"url": want_text(&mut part, "image_url", at)?}));
            if let Some(detail) = part.remove("detail") {
                image.insert("detail".into(), detail);
            }
            members_of(json!({"type": "image_url", "image_url": image}))
        }
        ("input_file", "user") => {
            let mut file = Members::new();
            for name in ["file_data", "filename", "file_id"] {
                if let Some(text) = take_text(&mut part, name, at)? {
                    file.insert(name.into(), text.into());
                }
            }
            members_of(json!({"type": "file", "file": file}))
        }
        ("input_audio", "user") => {
            let audio = part.remove("input_audio").unwrap_or_default();
            members_of(json!({"type": "input_audio", "input_audio": audio}))
        }
        _ => return Err(unknown_kind(&kind, at)),
    };
    nothing_left(&part, at)?;
    add_kept(&mut block, kept, at)?;
    Ok(Some(block))
}

/// The result of a call, as a text.
fn output(output: Option<Value>, at: &str) -> Result<String, Untranslatable> {
    match output {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(parts)) => {
            let mut texts = Vec::new();
            for (index, part) in parts.into_iter().enumerate() {
                let at = format!("{at}[{index}]");
                let mut part = rules::PART.sift_whole(part, &at)?;
                match want_text(&mut part, "type", &at)?.as_str() {
                    "input_text" | "output_text" | "text" => {
                        texts.push(want_text(&mut part, "text", &at)?);
                    }
                    kind => return Err(unknown_kind(kind, &at)),
                }
                nothing_left(&part, &at)?;
            }
            Ok(texts.join("\n"))
        }
        Some(_) => Err(Untranslatable::new(at, "is neither text nor an array")),
        None => Err(Untranslatable::new(at, "is missing")),
    }
}
