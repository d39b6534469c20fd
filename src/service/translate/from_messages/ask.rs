//! A request to Anthropic messages, written as one to OpenAI chat completions.

use serde_json::{Value, json};

use super::super::members::{
    members_of, take_flag, take_list, take_number, take_stops, take_text, want_text,
    wants_newer_bound,
};
use super::super::rules::{Members, add_kept, nothing_kept, nothing_left};
use super::super::{Asking, Untranslatable};
use super::{content, rules};

/// OpenAI refuses a longer `user`, and some clients put three ids into one.
const USER_BYTES_MAX: usize = 64;

/// The effort of a budget below so many tokens. Beyond them it is high.
const EFFORTS: &[(u64, &str)] = &[(4_096, "low"), (16_384, "medium")];

/// Writes the request.
pub fn translate(request: Value, asking: &mut Asking<'_>) -> Result<Members, Untranslatable> {
    let (mut asked, kept) = rules::REQUEST.sift(request, "")?;
    let model = asking.model(want_text(&mut asked, "model", "")?);
    let mut messages = system(&mut asked)?;
    content::translate(&mut asked, &asking.numbers, &mut messages)?;
    let mut out = Members::new();
    out.insert("model".into(), model.as_str().into());
    out.insert("messages".into(), Value::Array(messages.into_iter().map(Value::Object).collect()));
    if let Some(bound) = take_number(&mut asked, "max_tokens", "")? {
        let name = if wants_newer_bound(&model) { "max_completion_tokens" } else { "max_tokens" };
        out.insert(name.into(), bound);
    }
    tools(&mut asked, &mut out)?;
    output(&mut asked, &mut out)?;
    let stop = take_stops(&mut asked, "stop_sequences")?;
    if !stop.is_empty() {
        out.insert("stop".into(), json!(stop));
    }
    asking.memo.stop = stop;
    let stream = take_flag(&mut asked, "stream", "")?;
    if let Some(stream) = stream {
        out.insert("stream".into(), stream.into());
    }
    asking.stream = stream.unwrap_or(false);
    if stream == Some(true) {
        out.insert("stream_options".into(), json!({"include_usage": true}));
    }
    for name in ["temperature", "top_p"] {
        if let Some(number) = take_number(&mut asked, name, "")? {
            out.insert(name.into(), number);
        }
    }
    whose(&mut asked, &mut out)?;
    edits(&mut asked)?;
    nothing_left(&asked, "")?;
    add_kept(&mut out, kept, "")?;
    Ok(out)
}

fn system(asked: &mut Members) -> Result<Vec<Members>, Untranslatable> {
    let text = match asked.remove("system") {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) => text,
        Some(Value::Array(blocks)) => {
            let mut texts = Vec::new();
            for (index, block) in blocks.into_iter().enumerate() {
                let at = format!("system[{index}]");
                let (mut block, kept) = rules::SYSTEM.sift(block, &at)?;
                content::want_kind(&mut block, "text", &at)?;
                texts.push(want_text(&mut block, "text", &at)?);
                nothing_kept(&kept, &at)?;
            }
            texts.join("\n")
        }
        Some(_) => return Err(Untranslatable::new("system", "is neither text nor an array")),
    };
    match text.is_empty() {
        true => Ok(Vec::new()),
        false => Ok(vec![members_of(json!({"role": "system", "content": text}))]),
    }
}

/// The tools, and which of them may or must be called.
fn tools(asked: &mut Members, out: &mut Members) -> Result<(), Untranslatable> {
    let mut tools = Vec::new();
    for (index, tool) in take_list(asked, "tools", "")?.unwrap_or_default().into_iter().enumerate()
    {
        tools.push(declared(tool, &format!("tools[{index}]"))?);
    }
    if !tools.is_empty() {
        out.insert("tools".into(), Value::Array(tools));
    }
    let at = "tool_choice";
    let Some(choice) = asked.remove(at) else { return Ok(()) };
    let mut choice = rules::TOOL_CHOICE.sift_whole(choice, at)?;
    let chosen = match want_text(&mut choice, "type", at)?.as_str() {
        "auto" => json!("auto"),
        "none" => json!("none"),
        "any" => json!("required"),
        "tool" => {
            let name = want_text(&mut choice, "name", at)?;
            json!({"type": "function", "function": {"name": name}})
        }
        _ => return Err(Untranslatable::member(at, "type", "is unknown to OpenAI")),
    };
    out.insert(at.into(), chosen);
    if let Some(disabled) = take_flag(&mut choice, "disable_parallel_tool_use", at)? {
        out.insert("parallel_tool_calls".into(), (!disabled).into());
    }
    nothing_left(&choice, at)
}

fn declared(tool: Value, at: &str) -> Result<Value, Untranslatable> {
    let (mut tool, kept) = rules::TOOL.sift(tool, at)?;
    if let Some(kind) = take_text(&mut tool, "type", at)?
        && kind != "custom"
    {
        let why = format!("is `{kind}`, a tool that only Anthropic's servers have");
        return Err(Untranslatable::member(at, "type", &why));
    }
    let mut function = Members::new();
    function.insert("name".into(), want_text(&mut tool, "name", at)?.into());
    if let Some(description) = take_text(&mut tool, "description", at)? {
        function.insert("description".into(), description.into());
    }
    if let Some(schema) = tool.remove("input_schema") {
        function.insert("parameters".into(), schema);
    }
    if let Some(strict) = take_flag(&mut tool, "strict", at)? {
        function.insert("strict".into(), strict.into());
    }
    add_kept(&mut function, kept, at)?;
    Ok(json!({"type": "function", "function": function}))
}

/// The form of the answer, and how much is thought before it.
fn output(asked: &mut Members, out: &mut Members) -> Result<(), Untranslatable> {
    let at = "output_config";
    let mut config = match asked.remove(at) {
        Some(config) => rules::OUTPUT_CONFIG.sift_whole(config, at)?,
        None => Members::new(),
    };
    let by_budget = match asked.remove("thinking") {
        Some(thinking) => effort_of(thinking)?,
        None => None,
    };
    let effort = match take_text(&mut config, "effort", at)?.as_deref() {
        Some("max") => Some("xhigh".to_owned()),
        Some(effort @ ("low" | "medium" | "high" | "xhigh")) => Some(effort.to_owned()),
        Some(_) => return Err(Untranslatable::member(at, "effort", "is unknown to OpenAI")),
        None => by_budget.map(str::to_owned),
    };
    if let Some(effort) = effort {
        out.insert("reasoning_effort".into(), effort.into());
    }
    let newer = config.remove("format").map(|format| (format, "output_config.format"));
    let older = asked.remove("output_format").map(|format| (format, "output_format"));
    if let Some((mut format, at)) = newer.or(older) {
        if format["type"] != "json_schema" {
            return Err(Untranslatable::member(at, "type", "is no `json_schema`"));
        }
        let Some(schema) = format.get_mut("schema").map(Value::take) else {
            return Err(Untranslatable::member(at, "schema", "is missing"));
        };
        let format = json!({"name": "answer", "schema": schema, "strict": true});
        let format = json!({"type": "json_schema", "json_schema": format});
        out.insert("response_format".into(), format);
    }
    Ok(())
}

fn effort_of(thinking: Value) -> Result<Option<&'static str>, Untranslatable> {
    let at = "thinking";
    let mut thinking = rules::THINKING.sift_whole(thinking, at)?;
    let budget = take_number(&mut thinking, "budget_tokens", at)?;
    match want_text(&mut thinking, "type", at)?.as_str() {
        "enabled" => {
            let budget = budget.and_then(|budget| budget.as_u64()).unwrap_or(u64::MAX);
            let effort = EFFORTS.iter().find(|(below, _)| budget < *below);
            Ok(Some(effort.map_or("high", |(_, effort)| effort)))
        }
        // What a server does by itself.
        "adaptive" | "disabled" => Ok(None),
        _ => Err(Untranslatable::member(at, "type", "is unknown to OpenAI")),
    }
}

/// On whose behalf, and how soon.
fn whose(asked: &mut Members, out: &mut Members) -> Result<(), Untranslatable> {
    if let Some(metadata) = asked.remove("metadata") {
        let mut metadata = rules::METADATA.sift_whole(metadata, "metadata")?;
        let user = take_text(&mut metadata, "user_id", "metadata")?;
        if let Some(user) = user.filter(|user| user.len() <= USER_BYTES_MAX) {
            out.insert("user".into(), user.into());
        }
    }
    let tier = match take_text(asked, "service_tier", "")?.as_deref() {
        None => return Ok(()),
        Some("auto") => "auto",
        Some("standard_only") => "default",
        Some(_) => return Err(Untranslatable::member("", "service_tier", "is unknown to OpenAI")),
    };
    out.insert("service_tier".into(), tier.into());
    Ok(())
}

/// What is to be forgotten of the conversation. Only thinking may be: that is no part of what is said.
fn edits(asked: &mut Members) -> Result<(), Untranslatable> {
    let at = "context_management";
    let Some(mut management) = asked.remove(at) else { return Ok(()) };
    let edits = management.get_mut("edits").map(Value::take).unwrap_or_default();
    for (index, edit) in edits.as_array().into_iter().flatten().enumerate() {
        let kind = edit.get("type").and_then(Value::as_str).unwrap_or_default();
        if !kind.starts_with("clear_thinking_") {
            let at = format!("{at}.edits[{index}]");
            return Err(Untranslatable::member(&at, "type", "cannot be translated"));
        }
    }
    Ok(())
}
