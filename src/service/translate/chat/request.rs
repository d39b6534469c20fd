//! Parts of a request of OpenAI chat, read for whoever writes them in another dialect.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::members::{members_of, take_flag, take_list, take_number, take_text, want_text};
use super::super::rules::{Members, ObjectRules, nothing_kept, nothing_left};
use super::super::tree::Numbers;
use super::super::{Asking, Untranslatable};
use super::rules;

/// How many tokens the answer may have: the newer name comes first.
pub fn take_bound(asked: &mut Members) -> Result<Option<Value>, Untranslatable> {
    let older = take_number(asked, "max_tokens", "")?;
    let newer = take_number(asked, "max_completion_tokens", "")?;
    Ok(newer.or(older))
}

/// Whether a stream is asked for, and how it is to be written.
pub fn take_stream(asked: &mut Members, asking: &mut Asking<'_>) -> Result<bool, Untranslatable> {
    asking.stream = take_flag(asked, "stream", "")?.unwrap_or(false);
    let at = "stream_options";
    if let Some(options) = asked.remove(at) {
        let mut options = rules::STREAM_OPTIONS.sift_whole(options, at)?;
        asking.memo.include_usage |= take_flag(&mut options, "include_usage", at)?.unwrap_or(false);
    }
    Ok(asking.stream)
}

/// More choices than OpenAI's own servers give.
const CHOICES_MAX: u64 = 128;

/// How many choices the answer is to have.
pub fn take_choices(asked: &mut Members, asking: &mut Asking<'_>) -> Result<u64, Untranslatable> {
    let count = take_number(asked, "n", "")?;
    let count = count.map_or(Some(1), |count| count.as_u64());
    let Some(count) = count.filter(|count| (1..=CHOICES_MAX).contains(count)) else {
        let why = format!("is no whole number from 1 to {CHOICES_MAX}");
        return Err(Untranslatable::new("n", &why));
    };
    asking.memo.choices = count;
    Ok(count)
}

/// Whether the answer is to tell how likely its tokens were, and of how many others for each.
pub fn take_logprobs(
    asked: &mut Members,
    asking: &mut Asking<'_>,
) -> Result<Option<u64>, Untranslatable> {
    let wanted = take_flag(asked, "logprobs", "")?.unwrap_or(false);
    let top = take_number(asked, "top_logprobs", "")?;
    let top = top.map_or(Some(0), |top| top.as_u64());
    let Some(top) = top else {
        return Err(Untranslatable::new("top_logprobs", "is no whole number"));
    };
    if top > 0 && !wanted {
        return Err(Untranslatable::new("top_logprobs", "stands without `logprobs`"));
    }
    asking.memo.logprobs = wanted;
    Ok(wanted.then_some(top))
}

/// The form of an answer.
#[derive(Debug)]
pub enum TextForm {
    Text,
    Json,
    Schema(Value),
}

/// Takes `response_format`.
pub fn take_form(asked: &mut Members) -> Result<TextForm, Untranslatable> {
    let at = "response_format";
    let Some(format) = asked.remove(at) else { return Ok(TextForm::Text) };
    let mut format = rules::RESPONSE_FORMAT.sift_whole(format, at)?;
    match want_text(&mut format, "type", at)?.as_str() {
        "text" => Ok(TextForm::Text),
        "json_object" => Ok(TextForm::Json),
        "json_schema" => {
            let at = "response_format.json_schema";
            let format = format.remove("json_schema").unwrap_or_default();
            let mut format = rules::JSON_SCHEMA.sift_whole(format, at)?;
            let schema = format.remove("schema");
            let schema = schema.ok_or_else(|| Untranslatable::member(at, "schema", "is missing"));
            schema.map(TextForm::Schema)
        }
        _ => Err(Untranslatable::member(at, "type", "cannot be translated")),
    }
}

/// Takes the messages, which have to be there.
pub fn take_messages(asked: &mut Members) -> Result<Vec<Value>, Untranslatable> {
    let messages = take_list(asked, "messages", "")?;
    messages.ok_or_else(|| Untranslatable::member("", "messages", "is missing"))
}

/// A part of what a message says.
#[derive(Debug)]
pub enum MessagePart {
    Text(String),
    /// Media type, and data in base64.
    Image(String, String),
}

/// Takes `content`. `part`: the rules of its parts; `images`: whether there may be any.
pub fn take_content(
    message: &mut Members,
    part: &ObjectRules,
    images: bool,
    at: &str,
) -> Result<Vec<MessagePart>, Untranslatable> {
    match message.remove("content") {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![MessagePart::Text(text)]),
        Some(Value::Array(list)) => {
            let parts = list.into_iter().enumerate().map(|(index, value)| {
                message_part(value, part, images, &format!("{at}.content[{index}]"))
            });
            parts.collect()
        }
        Some(_) => Err(Untranslatable::member(at, "content", "is neither text nor an array")),
    }
}

fn message_part(
    value: Value,
    rules: &ObjectRules,
    images: bool,
    at: &str,
) -> Result<MessagePart, Untranslatable> {
    let mut part = rules.sift_whole(value, at)?;
    let kind = want_text(&mut part, "type", at)?;
    let told = match kind.as_str() {
        "text" | "refusal" => MessagePart::Text(want_text(&mut part, &kind, at)?),
        "image_url" if images => image(part.remove("image_url").unwrap_or_default(), at)?,
        _ => {
            let why = format!("is `{kind}`, which cannot be translated here");
            return Err(Untranslatable::member(at, "type", &why));
        }
    };
    nothing_left(&part, at)?;
    Ok(told)
}

fn image(image: Value, at: &str) -> Result<MessagePart, Untranslatable> {
    let at = format!("{at}.image_url");
    let mut image = match image {
        Value::String(url) => members_of(json!({ "url": url })),
        image => rules::IMAGE_URL.sift_whole(image, &at)?,
    };
    let url = want_text(&mut image, "url", &at)?;
    match url.strip_prefix("data:").and_then(base64) {
        Some((kind, data)) => Ok(MessagePart::Image(kind.to_owned(), data.to_owned())),
        None => Err(Untranslatable::member(&at, "url", "is no `data:` URL in base64")),
    }
}

/// Media type and data of what stands behind `data:` (RFC 2397).
pub fn base64(url: &str) -> Option<(&str, &str)> {
    let (kind, data) = url.split_once(',')?;
    let kind = kind.strip_suffix(";base64")?;
    let kind = kind.split(';').next().unwrap_or_default();
    (!kind.is_empty()).then_some((kind, data))
}

/// The texts of parts, one behind the other.
pub fn text_of(parts: Vec<MessagePart>) -> String {
    let texts = parts.into_iter().filter_map(|part| match part {
        MessagePart::Text(text) => Some(text),
        MessagePart::Image(..) => None,
    });
    texts.collect()
}

/// A call of an earlier turn.
#[derive(Debug)]
pub struct EarlierCall {
    pub id: Option<String>,
    pub name: String,
    pub arguments: Value,
    /// The other members that its rules have.
    pub more: Members,
}

/// Takes `tool_calls`. `call`: the rules of each.
pub fn take_calls(
    message: &mut Members,
    call: &ObjectRules,
    names: &mut CallNames,
    numbers: &mut Numbers,
    at: &str,
) -> Result<Vec<EarlierCall>, Untranslatable> {
    let mut calls = Vec::new();
    let list = take_list(message, "tool_calls", at)?.unwrap_or_default();
    for (index, value) in list.into_iter().enumerate() {
        let at = format!("{at}.tool_calls[{index}]");
        let mut more = call.sift_whole(value, &at)?;
        want_function(&mut more, &at)?;
        let id = take_text(&mut more, "id", &at)?;
        let at_function = format!("{at}.function");
        let function = more.remove("function").unwrap_or_default();
        let mut function = rules::CALLED.sift_whole(function, &at_function)?;
        let name = want_text(&mut function, "name", &at_function)?;
        let written = take_text(&mut function, "arguments", &at_function)?.unwrap_or_default();
        let arguments = match written.trim() {
            "" => Some(json!({})),
            written => numbers.parse(written.as_bytes()).ok().filter(Value::is_object),
        };
        let arguments = arguments.ok_or_else(|| {
            Untranslatable::member(&at_function, "arguments", "is no JSON object")
        })?;
        if let Some(id) = &id {
            names.0.insert(id.clone(), name.clone());
        }
        calls.push(EarlierCall { id, name, arguments, more });
    }
    Ok(calls)
}

/// Takes the type of a tool or a call, which has to be the only one there is.
fn want_function(from: &mut Members, at: &str) -> Result<(), Untranslatable> {
    match take_text(from, "type", at)? {
        Some(kind) if kind != "function" => {
            Err(Untranslatable::member(at, "type", "is no `function`"))
        }
        _ => Ok(()),
    }
}

/// The names of the functions that were called, by the ids of the calls.
#[derive(Debug, Default)]
pub struct CallNames(HashMap<String, String>);

impl CallNames {
    /// The function whose result a message is.
    pub fn of_result(&self, id: &str, at: &str) -> Result<&str, Untranslatable> {
        let why = "is the id of no call before it";
        let name = self.0.get(id).map(String::as_str);
        name.ok_or_else(|| Untranslatable::member(at, "tool_call_id", why))
    }
}

/// A tool that may be called.
#[derive(Debug)]
pub struct DeclaredTool {
    pub name: String,
    pub description: Option<String>,
    pub parameters: Option<Value>,
}

/// Takes the tools.
pub fn take_tools(asked: &mut Members) -> Result<Vec<DeclaredTool>, Untranslatable> {
    let mut tools = Vec::new();
    for (index, tool) in take_list(asked, "tools", "")?.unwrap_or_default().into_iter().enumerate()
    {
        let at = format!("tools[{index}]");
        let mut tool = rules::TOOL.sift_whole(tool, &at)?;
        want_function(&mut tool, &at)?;
        let at = format!("{at}.function");
        let function = tool.remove("function").unwrap_or_default();
        let (mut function, kept) = rules::FUNCTION.sift(function, &at)?;
        nothing_kept(&kept, &at)?;
        tools.push(DeclaredTool {
            name: want_text(&mut function, "name", &at)?,
            description: take_text(&mut function, "description", &at)?,
            parameters: function.remove("parameters"),
        });
    }
    Ok(tools)
}

/// Which of the tools may or must be called.
#[derive(Debug, PartialEq, Eq)]
pub enum ToolChoice {
    Auto,
    None,
    Required,
    Function(String),
}

/// Takes `tool_choice`.
pub fn take_choice(asked: &mut Members) -> Result<ToolChoice, Untranslatable> {
    let at = "tool_choice";
    match asked.remove(at) {
        None => Ok(ToolChoice::Auto),
        Some(Value::String(choice)) => match choice.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(Untranslatable::new(at, "cannot be translated")),
        },
        Some(Value::Object(choice)) => {
            if choice.get("type").is_none_or(|kind| kind != "function") {
                return Err(Untranslatable::member(at, "type", "is no `function`"));
            }
            let name = choice.get("function").and_then(|function| function.get("name"));
            match name.and_then(Value::as_str) {
                Some(name) => Ok(ToolChoice::Function(name.to_owned())),
                None => Err(Untranslatable::member(at, "function.name", "is missing")),
            }
        }
        Some(_) => Err(Untranslatable::new(at, "is neither a string nor an object")),
    }
}
