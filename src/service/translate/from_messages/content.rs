//! The turns of Anthropic's conversation, as messages of OpenAI chat.

use serde_json::{Value, json};

use super::super::Untranslatable;
use super::super::members::{
    content_of, members_of, plain_text, take_flag, take_list, text_block, want_text,
};
use super::super::rules::{Members, add_kept, nothing_kept, nothing_left};
use super::super::tree::Numbers;
use super::rules;

/// Appends the messages of a request.
pub fn translate(
    asked: &mut Members,
    numbers: &Numbers,
    out: &mut Vec<Members>,
) -> Result<(), Untranslatable> {
    let messages = take_list(asked, "messages", "")?;
    let messages = messages.ok_or_else(|| Untranslatable::member("", "messages", "is missing"))?;
    let last = messages.len();
    for (index, message) in messages.into_iter().enumerate() {
        let at = format!("messages[{index}]");
        let (mut message, kept) = rules::MESSAGE.sift(message, &at)?;
        let role = want_text(&mut message, "role", &at)?;
        let mut turn = Turn::default();
        turn.content(message.remove("content").unwrap_or_default(), &role, numbers, &at)?;
        match role.as_str() {
            "user" => turn.user(kept, &at, out)?,
            "assistant" if index + 1 == last => {
                let why =
                    "is `assistant` in the last message, which OpenAI's servers do not go on with";
                return Err(Untranslatable::member(&at, "role", why));
            }
            "assistant" => turn.assistant(kept, &at, out)?,
            // Anthropic's newest models take instructions between the turns.
            "system" => turn.system(kept, &at, out)?,
            _ => return Err(Untranslatable::member(&at, "role", "is unknown to OpenAI")),
        }
    }
    Ok(())
}

/// Takes the type of a block, which has to be this one.
pub fn want_kind(block: &mut Members, kind: &str, at: &str) -> Result<(), Untranslatable> {
    match want_text(block, "type", at)? {
        found if found == kind => Ok(()),
        found => Err(unknown_kind(&found, at)),
    }
}

fn unknown_kind(kind: &str, at: &str) -> Untranslatable {
    let why = format!("is `{kind}`, which cannot be translated here");
    Untranslatable::member(at, "type", &why)
}

/// What the blocks of one turn say.
#[derive(Default)]
struct Turn {
    /// Texts and images, in the parts of OpenAI.
    parts: Vec<Members>,
    /// Messages of the role `tool`.
    results: Vec<Members>,
    /// Images of results, which such a message cannot hold.
    images: Vec<Members>,
    calls: Vec<Value>,
    thinking: String,
}

impl Turn {
    fn content(
        &mut self,
        content: Value,
        role: &str,
        numbers: &Numbers,
        at: &str,
    ) -> Result<(), Untranslatable> {
        match content {
            Value::String(text) => self.parts.push(text_block(text)),
            Value::Array(blocks) => {
                for (index, block) in blocks.into_iter().enumerate() {
                    self.block(block, role, numbers, &format!("{at}.content[{index}]"))?;
                }
            }
            _ => return Err(Untranslatable::member(at, "content", "is neither text nor an array")),
        }
        Ok(())
    }

    fn block(
        &mut self,
        block: Value,
        role: &str,
        numbers: &Numbers,
        at: &str,
    ) -> Result<(), Untranslatable> {
        let (mut block, kept) = rules::BLOCK.sift(block, at)?;
        let kind = want_text(&mut block, "type", at)?;
        match (kind.as_str(), role) {
            ("text", _) => {
                let mut part = text_block(want_text(&mut block, "text", at)?);
                add_kept(&mut part, kept, at)?;
                self.parts.push(part);
            }
            ("image", "user") => {
                let mut part = image(&mut block, at)?;
                add_kept(&mut part, kept, at)?;
                self.parts.push(part);
            }
            ("tool_use", "assistant") => {
                let id = want_text(&mut block, "id", at)?;
                let name = want_text(&mut block, "name", at)?;
                let input = block.remove("input").unwrap_or_else(|| json!({}));
                let function = json!({"name": name, "arguments": numbers.text(&input)});
                let mut call =
                    members_of(json!({"id": id, "type": "function", "function": function}));
                add_kept(&mut call, kept, at)?;
                self.calls.push(Value::Object(call));
            }
            ("tool_result", "user") => self.result(&mut block, kept, at)?,
            ("thinking", "assistant") => {
                self.thinking.push_str(&want_text(&mut block, "thinking", at)?);
                nothing_kept(&kept, at)?;
            }
            ("redacted_thinking", "assistant") => {}
            _ => return Err(unknown_kind(&kind, at)),
        }
        nothing_left(&block, at)
    }

    fn result(
        &mut self,
        block: &mut Members,
        kept: Members,
        at: &str,
    ) -> Result<(), Untranslatable> {
        let id = want_text(block, "tool_use_id", at)?;
        let mut texts = Vec::new();
        match block.remove("content") {
            None => {}
            Some(Value::String(text)) => texts.push(text),
            Some(Value::Array(blocks)) => {
                for (index, block) in blocks.into_iter().enumerate() {
                    let at = format!("{at}.content[{index}]");
                    let (mut block, kept) = rules::RESULT_BLOCK.sift(block, &at)?;
                    match want_text(&mut block, "type", &at)?.as_str() {
                        "text" => texts.push(want_text(&mut block, "text", &at)?),
                        "image" => self.images.push(image(&mut block, &at)?),
                        kind => return Err(unknown_kind(kind, &at)),
                    }
                    nothing_left(&block, &at)?;
                    nothing_kept(&kept, &at)?;
                }
            }
            Some(_) => {
                return Err(Untranslatable::member(at, "content", "is neither text nor an array"));
            }
        }
        let mut text = texts.join("\n");
        if take_flag(block, "is_error", at)? == Some(true) && !text.starts_with("Error") {
            text.insert_str(0, "Error: ");
        }
        let mut message = members_of(json!({"role": "tool", "tool_call_id": id, "content": text}));
        add_kept(&mut message, kept, at)?;
        self.results.push(message);
        Ok(())
    }

    /// Results come first: they have to follow the calls at once.
    fn user(self, kept: Members, at: &str, out: &mut Vec<Members>) -> Result<(), Untranslatable> {
        let Turn { parts, results, mut images, .. } = self;
        out.extend(results);
        images.extend(parts);
        if !images.is_empty() {
            let mut message = members_of(json!({"role": "user", "content": content_of(images)}));
            add_kept(&mut message, kept, at)?;
            out.push(message);
        } else {
            nothing_kept(&kept, at)?;
        }
        Ok(())
    }

    fn assistant(
        self,
        kept: Members,
        at: &str,
        out: &mut Vec<Members>,
    ) -> Result<(), Untranslatable> {
        let Turn { parts, calls, thinking, .. } = self;
        let content = match joined(parts, "") {
            Value::String(text) if text.is_empty() && !calls.is_empty() => Value::Null,
            content => content,
        };
        let mut message = members_of(json!({"role": "assistant", "content": content}));
        if !thinking.is_empty() {
            message.insert("reasoning_content".into(), thinking.into());
        }
        if !calls.is_empty() {
            message.insert("tool_calls".into(), Value::Array(calls));
        }
        add_kept(&mut message, kept, at)?;
        out.push(message);
        Ok(())
    }

    fn system(self, kept: Members, at: &str, out: &mut Vec<Members>) -> Result<(), Untranslatable> {
        let content = joined(self.parts, "\n");
        let mut message = members_of(json!({"role": "system", "content": content}));
        add_kept(&mut message, kept, at)?;
        out.push(message);
        Ok(())
    }
}

/// Texts as one, which every template of a model can read; parts that say more stay parts.
fn joined(parts: Vec<Members>, between: &str) -> Value {
    let texts: Option<Vec<&str>> = parts.iter().map(plain_text).collect();
    match texts {
        Some(texts) => texts.join(between).into(),
        None => content_of(parts),
    }
}

fn image(block: &mut Members, at: &str) -> Result<Members, Untranslatable> {
    let at = format!("{at}.source");
    let source = block.remove("source").unwrap_or_default();
    let mut source = rules::SOURCE.sift_whole(source, &at)?;
    let url = match want_text(&mut source, "type", &at)?.as_str() {
        "base64" => {
            let kind = want_text(&mut source, "media_type", &at)?;
            let data = want_text(&mut source, "data", &at)?;
            format!("data:{kind};base64,{data}")
        }
        "url" => want_text(&mut source, "url", &at)?,
        kind => return Err(unknown_kind(kind, &at)),
    };
    nothing_left(&source, &at)?;
    Ok(members_of(json!({"type": "image_url", "image_url": {"url": url}})))
}
