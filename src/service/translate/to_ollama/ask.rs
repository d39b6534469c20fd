//! A request to OpenAI chat completions, written as one to Ollama's `/api/chat`.

use serde_json::{Value, json};

use super::super::chat::request::{
    CallNames, MessagePart, TextForm, ToolChoice, take_bound, take_calls, take_choice,
    take_content, take_form, take_logprobs, take_messages, take_stream, take_tools, text_of,
};
use super::super::members::{members_of, take_flag, take_number, take_stops, take_text, want_text};
use super::super::rules::{Members, add_kept, nothing_left};
use super::super::tree::Numbers;
use super::super::{Asking, Untranslatable};
use super::rules;

/// Numbers of a request that are options of Ollama's, by the same names.
const OPTIONS: &[&str] = &[
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "repeat_penalty",
];

/// Writes the request.
pub fn translate(request: Value, asking: &mut Asking<'_>) -> Result<Members, Untranslatable> {
    let (mut asked, kept) = rules::REQUEST.sift(request, "")?;
    let model = asking.model(want_text(&mut asked, "model", "")?);
    let mut out = Members::new();
    out.insert("model".into(), model.into());
    let mut names = CallNames::default();
    let mut messages = Vec::new();
    for (index, message) in take_messages(&mut asked)?.into_iter().enumerate() {
        let at = format!("messages[{index}]");
        messages.push(Value::Object(said(message, &mut names, &mut asking.numbers, &at)?));
    }
    out.insert("messages".into(), Value::Array(messages));
    out.insert("stream".into(), take_stream(&mut asked, asking)?.into());
    tools(&mut asked, &mut out)?;
    match take_form(&mut asked)? {
        TextForm::Text => {}
        TextForm::Json => drop(out.insert("format".into(), "json".into())),
        TextForm::Schema(schema) => drop(out.insert("format".into(), schema)),
    }
    if let Some(effort) = take_text(&mut asked, "reasoning_effort", "")? {
        out.insert("think".into(), think(&effort)?);
    }
    if let Some(top) = take_logprobs(&mut asked, asking)? {
        out.insert("logprobs".into(), true.into());
        if top > 0 {
            out.insert("top_logprobs".into(), top.into());
        }
    }
    let options = options(&mut asked, asking)?;
    if !options.is_empty() {
        out.insert("options".into(), Value::Object(options));
    }
    nothing_left(&asked, "")?;
    add_kept(&mut out, kept, "")?;
    Ok(out)
}

fn think(effort: &str) -> Result<Value, Untranslatable> {
    Ok(match effort {
        "none" => json!(false),
        "minimal" | "low" => json!("low"),
        "medium" => json!("medium"),
        "high" | "xhigh" | "max" => json!("high"),
        _ => return Err(Untranslatable::new("reasoning_effort", "is unknown to Ollama")),
    })
}

fn options(asked: &mut Members, asking: &mut Asking<'_>) -> Result<Members, Untranslatable> {
    let mut options = Members::new();
    if let Some(bound) = take_bound(asked)? {
        options.insert("num_predict".into(), bound);
    }
    for name in OPTIONS {
        if let Some(number) = take_number(asked, name, "")? {
            options.insert((*name).into(), number);
        }
    }
    asking.memo.stop = take_stops(asked, "stop")?;
    if !asking.memo.stop.is_empty() {
        options.insert("stop".into(), json!(asking.memo.stop));
    }
    match asked.remove("options") {
        None => {}
        Some(Value::Object(own)) => add_kept(&mut options, own, "options")?,
        Some(_) => return Err(Untranslatable::new("options", "is no JSON object")),
    }
    Ok(options)
}

/// The tools, and which of them may be called.
fn tools(asked: &mut Members, out: &mut Members) -> Result<(), Untranslatable> {
    let tools = take_tools(asked)?;
    let choice = take_choice(asked)?;
    if !matches!(choice, ToolChoice::Auto | ToolChoice::None) {
        let why = "has Ollama call a tool, which it decides alone";
        return Err(Untranslatable::new("tool_choice", why));
    }
    if take_flag(asked, "parallel_tool_calls", "")? == Some(false) && !tools.is_empty() {
        let why = "is `false`, and Ollama makes as many calls as it likes";
        return Err(Untranslatable::new("parallel_tool_calls", why));
    }
    if tools.is_empty() || choice == ToolChoice::None {
        return Ok(());
    }
    let tools = tools.into_iter().map(|tool| {
        let mut function = members_of(json!({"name": tool.name}));
        if let Some(description) = tool.description {
            function.insert("description".into(), description.into());
        }
        let bare = || json!({"type": "object", "properties": {}});
        function.insert("parameters".into(), tool.parameters.unwrap_or_else(bare));
        json!({"type": "function", "function": function})
    });
    out.insert("tools".into(), tools.collect());
    Ok(())
}

/// One message.
fn said(
    message: Value,
    names: &mut CallNames,
    numbers: &mut Numbers,
    at: &str,
) -> Result<Members, Untranslatable> {
    let (mut message, kept) = rules::MESSAGE.sift(message, at)?;
    let role = match want_text(&mut message, "role", at)?.as_str() {
        "system" | "developer" => "system",
        "user" => "user",
        "assistant" => "assistant",
        "tool" => "tool",
        _ => return Err(Untranslatable::member(at, "role", "is unknown to Ollama")),
    };
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for part in take_content(&mut message, &rules::PART, role == "user", at)? {
        match part {
            MessagePart::Image(_, data) => images.push(Value::String(data)),
            text => texts.push(text),
        }
    }
    let mut text = text_of(texts);
    let mut out = members_of(json!({"role": role}));
    if role == "assistant" {
        text.push_str(&take_text(&mut message, "refusal", at)?.unwrap_or_default());
        let thought = take_text(&mut message, "reasoning_content", at)?;
        let older = take_text(&mut message, "reasoning", at)?;
        if let Some(thought) = thought.or(older).filter(|thought| !thought.is_empty()) {
            out.insert("thinking".into(), thought.into());
        }
        let calls = take_calls(&mut message, &rules::TOOL_CALL, names, numbers, at)?;
        let calls: Vec<Value> = calls
            .into_iter()
            .map(|call| {
                let function = json!({"name": call.name, "arguments": call.arguments});
                match call.id {
                    Some(id) => json!({"id": id, "function": function}),
                    None => json!({ "function": function }),
                }
            })
            .collect();
        if !calls.is_empty() {
            out.insert("tool_calls".into(), Value::Array(calls));
        }
    }
    if role == "tool" {
        let id = want_text(&mut message, "tool_call_id", at)?;
        out.insert("tool_name".into(), names.of_result(&id, at)?.into());
        out.insert("tool_call_id".into(), id.into());
    }
    out.insert("content".into(), text.into());
    if !images.is_empty() {
        out.insert("images".into(), Value::Array(images));
    }
    nothing_left(&message, at)?;
    add_kept(&mut out, kept, at)?;
    Ok(out)
}
