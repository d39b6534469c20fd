//! The messages of OpenAI chat, as turns of Anthropic's conversation.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::super::Untranslatable;
use super::super::members::{content_of, members_of, take_list, take_text, text_block, want_text};
use super::super::rules::{Members, add_kept, nothing_kept, nothing_left};
use super::super::tree::Numbers;
use super::rules;

/// A conversation, as far as its messages have come.
#[derive(Debug)]
pub struct Talk<'n> {
    system: Vec<Members>,
    turns: Vec<Members>,
    ids: CallIds,
    numbers: &'n mut Numbers,
}

impl Talk<'_> {
    pub fn new(numbers: &mut Numbers) -> Talk<'_> {
        Talk { system: Vec::new(), turns: Vec::new(), ids: CallIds::default(), numbers }
    }

    /// The blocks of its `system`, and its turns.
    pub fn end(self) -> (Vec<Members>, Vec<Members>) {
        (self.system, self.turns)
    }

    /// Takes the next message, which stands at `at`.
    pub fn message(&mut self, message: Value, at: &str) -> Result<(), Untranslatable> {
        let (mut message, kept) = rules::MESSAGE.sift(message, at)?;
        let role = want_text(&mut message, "role", at)?;
        let mut blocks = Vec::new();
        match role.as_str() {
            "system" | "developer" => {
                blocks = parts(&mut message, at, false)?;
                match blocks.last_mut() {
                    Some(block) => add_kept(block, kept, at)?,
                    None => nothing_kept(&kept, at)?,
                }
                self.system.append(&mut blocks);
                return nothing_left(&message, at);
            }
            "user" => blocks = parts(&mut message, at, true)?,
            "assistant" => {
                blocks.append(&mut parts(&mut message, at, false)?);
                if let Some(refusal) = take_text(&mut message, "refusal", at)?
                    && !refusal.is_empty()
                {
                    blocks.push(text_block(refusal));
                }
                self.calls(&mut message, at, &mut blocks)?;
            }
            "tool" => blocks.push(self.result(&mut message, at)?),
            _ => return Err(Untranslatable::member(at, "role", "is unknown to Anthropic")),
        }
        nothing_left(&message, at)?;
        let role = if role == "assistant" { "assistant" } else { "user" };
        self.turn(role, blocks, kept, at)
    }

    /// Neighbours of one role are one turn: all results of a turn's calls have to stand in one.
    fn turn(
        &mut self,
        role: &str,
        blocks: Vec<Members>,
        kept: Members,
        at: &str,
    ) -> Result<(), Untranslatable> {
        if blocks.is_empty() && kept.is_empty() {
            return Ok(());
        }
        match self.turns.last_mut() {
            Some(last) if last["role"] == role => {
                // In place: there may be a hundred thousand neighbours.
                let content = last.entry("content").or_insert(Value::Null);
                if let Value::String(text) = content {
                    let block = text_block(std::mem::take(text));
                    *content = Value::Array(vec![Value::Object(block)]);
                }
                match content {
                    Value::Array(list) => list.extend(blocks.into_iter().map(Value::Object)),
                    other => *other = blocks.into_iter().map(Value::Object).collect(),
                }
                for (name, value) in kept {
                    if last.get(&name).is_some_and(|before| *before != value) {
                        let why = "is another one in the message before, which it is joined with";
                        return Err(Untranslatable::member(at, &name, why));
                    }
                    last.insert(name, value);
                }
            }
            _ => {
                let mut turn = members_of(json!({"role": role, "content": content_of(blocks)}));
                add_kept(&mut turn, kept, at)?;
                self.turns.push(turn);
            }
        }
        Ok(())
    }

    fn calls(
        &mut self,
        message: &mut Members,
        at: &str,
        blocks: &mut Vec<Members>,
    ) -> Result<(), Untranslatable> {
        let calls = take_list(message, "tool_calls", at)?.unwrap_or_default();
        for (index, call) in calls.into_iter().enumerate() {
            let at = format!("{at}.tool_calls[{index}]");
            let (mut call, kept) = rules::TOOL_CALL.sift(call, &at)?;
            let kind = take_text(&mut call, "type", &at)?;
            if kind.is_some_and(|kind| kind != "function") {
                return Err(Untranslatable::member(&at, "type", "is no `function`"));
            }
            let id = want_text(&mut call, "id", &at)?;
            let at_function = format!("{at}.function");
            let function = call.remove("function").unwrap_or_default();
            let (mut function, more) = rules::CALLED.sift(function, &at_function)?;
            let name = want_text(&mut function, "name", &at_function)?;
            let arguments =
                take_text(&mut function, "arguments", &at_function)?.unwrap_or_default();
            let input = input(&arguments, self.numbers).ok_or_else(|| {
                Untranslatable::member(&at_function, "arguments", "is no JSON object")
            })?;
            let mut block = members_of(
                json!({"type": "tool_use", "id": self.ids.of(&id), "name": name, "input": input}),
            );
            add_kept(&mut block, more, &at_function)?;
            add_kept(&mut block, kept, &at)?;
            blocks.push(block);
        }
        Ok(())
    }

    fn result(&mut self, message: &mut Members, at: &str) -> Result<Members, Untranslatable> {
        let id = want_text(message, "tool_call_id", at)?;
        let content = content_of(parts(message, at, true)?);
        let mut block = members_of(json!({"type": "tool_result", "tool_use_id": self.ids.of(&id)}));
        if content.as_array().is_none_or(|content| !content.is_empty()) {
            block.insert("content".into(), content);
        }
        Ok(block)
    }
}

/// The blocks of a message's `content`.
fn parts(message: &mut Members, at: &str, images: bool) -> Result<Vec<Members>, Untranslatable> {
    let mut blocks = Vec::new();
    match message.remove("content") {
        None => {}
        Some(Value::String(text)) if text.is_empty() => {}
        Some(Value::String(text)) => blocks.push(text_block(text)),
        Some(Value::Array(parts)) => {
            for (index, part) in parts.into_iter().enumerate() {
                blocks.extend(block(part, &format!("{at}.content[{index}]"), images)?);
            }
        }
        Some(_) => {
            return Err(Untranslatable::member(at, "content", "is neither text nor an array"));
        }
    }
    Ok(blocks)
}

fn block(part: Value, at: &str, images: bool) -> Result<Option<Members>, Untranslatable> {
    let (mut part, kept) = rules::PART.sift(part, at)?;
    let kind = want_text(&mut part, "type", at)?;
    let mut block = match kind.as_str() {
        "text" | "refusal" => {
            let text = want_text(&mut part, &kind, at)?;
            if text.is_empty() {
                return Ok(None);
            }
            text_block(text)
        }
        "image_url" if images => image(part.remove("image_url").unwrap_or_default(), at)?,
        _ => {
            let why = format!("is `{kind}`, which cannot be translated here");
            return Err(Untranslatable::member(at, "type", &why));
        }
    };
    nothing_left(&part, at)?;
    add_kept(&mut block, kept, at)?;
    Ok(Some(block))
}

fn image(image: Value, at: &str) -> Result<Members, Untranslatable> {
    let at = format!("{at}.image_url");
    let (mut image, kept) = match image {
        Value::String(url) => (members_of(json!({ "url": url })), Members::new()),
        image => rules::IMAGE_URL.sift(image, &at)?,
    };
    let url = want_text(&mut image, "url", &at)?;
    let source = if let Some((kind, data)) = url.strip_prefix("data:").and_then(base64) {
        json!({"type": "base64", "media_type": kind, "data": data})
    } else if url.starts_with("https://") || url.starts_with("http://") {
        json!({"type": "url", "url": url})
    } else {
        let why = "is neither an `http:` URL nor a `data:` URL in base64";
        return Err(Untranslatable::member(&at, "url", why));
    };
    let mut block = members_of(json!({"type": "image", "source": source}));
    add_kept(&mut block, kept, &at)?;
    Ok(block)
}

/// Media type and data of what stands behind `data:` (RFC 2397).
fn base64(url: &str) -> Option<(&str, &str)> {
    let (kind, data) = url.split_once(',')?;
    let kind = kind.strip_suffix(";base64")?;
    let kind = kind.split(';').next().unwrap_or_default();
    (!kind.is_empty()).then_some((kind, data))
}

/// The arguments of a call, as an object. Servers write none as an empty text.
fn input(arguments: &str, numbers: &mut Numbers) -> Option<Value> {
    if arguments.trim().is_empty() {
        return Some(json!({}));
    }
    numbers.parse(arguments.as_bytes()).ok().filter(Value::is_object)
}

/// The ids of calls as Anthropic has them. It refuses all but letters, digits, `_` and `-`, and there are
/// servers that write `functions.f:0`.
#[derive(Debug, Default)]
struct CallIds {
    made: HashMap<String, String>,
    taken: HashSet<String>,
    /// The last number that was put behind an id. It never goes back: no ids make anybody search for long.
    number: usize,
}

impl CallIds {
    /// The same for the same, and another one for any other.
    fn of(&mut self, id: &str) -> String {
        if let Some(made) = self.made.get(id) {
            return made.clone();
        }
        let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        let plain: String =
            id.chars().map(|letter| if fits(letter) { letter } else { '_' }).collect();
        let mut made = plain.clone();
        while !self.taken.insert(made.clone()) {
            self.number += 1;
            made = format!("{plain}_{}", self.number);
        }
        self.made.insert(id.to_owned(), made.clone());
        made
    }
}
