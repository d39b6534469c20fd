//! A request to OpenAI responses, written as one to OpenAI chat completions.

use serde_json::{Value, json};

use super::super::members::{
    members_of, take_flag, take_list, take_number, take_text, want_text, wants_newer_bound,
};
use super::super::rules::{Members, add_kept, nothing_left};
use super::super::{Asking, Untranslatable};
use super::{input, response, rules};

/// Of `include`: what an answer may lack.
const ENCRYPTED: &str = "reasoning.encrypted_content";
/// Of `include`: how likely the tokens of the answer were.
const LOGPROBS: &str = "message.output_text.logprobs";

/// Writes the request.
pub fn translate(request: Value, asking: &mut Asking<'_>) -> Result<Members, Untranslatable> {
    asking.memo.echo = response::echo(&request, &asking.numbers);
    let (mut asked, kept) = rules::REQUEST.sift(request, "")?;
    let model = asking.model(want_text(&mut asked, "model", "")?);
    let mut out = Members::new();
    out.insert("model".into(), model.as_str().into());
    let instructions = take_text(&mut asked, "instructions", "")?;
    let messages = input::messages(instructions, asked.remove("input"))?;
    out.insert("messages".into(), Value::Array(messages.into_iter().map(Value::Object).collect()));
    if let Some(bound) = take_number(&mut asked, "max_output_tokens", "")? {
        let name = if wants_newer_bound(&model) { "max_completion_tokens" } else { "max_tokens" };
        out.insert(name.into(), bound);
    }
    tools(&mut asked, &mut out)?;
    if let Some(text) = asked.remove("text") {
        form(text, &mut out)?;
    }
    if let Some(reasoning) = asked.remove("reasoning") {
        let mut reasoning = rules::REASONING.sift_whole(reasoning, "reasoning")?;
        if let Some(effort) = take_text(&mut reasoning, "effort", "reasoning")? {
            out.insert("reasoning_effort".into(), effort.into());
        }
    }
    let stream = take_flag(&mut asked, "stream", "")?;
    if let Some(stream) = stream {
        out.insert("stream".into(), stream.into());
    }
    asking.stream = stream.unwrap_or(false);
    if asking.stream {
        out.insert("stream_options".into(), json!({"include_usage": true}));
    }
    if let Some(options) = asked.remove("stream_options") {
        rules::STREAM_OPTIONS.sift_whole(options, "stream_options")?;
    }
    for name in ["temperature", "top_p"] {
        if let Some(number) = take_number(&mut asked, name, "")? {
            out.insert(name.into(), number);
        }
    }
    let logprobs = keeping(&mut asked)?;
    let top = take_number(&mut asked, "top_logprobs", "")?.filter(|top| top.as_u64() != Some(0));
    if logprobs || top.is_some() {
        out.insert("logprobs".into(), true.into());
        asking.memo.logprobs = true;
    }
    if let Some(top) = top {
        out.insert("top_logprobs".into(), top);
    }
    nothing_left(&asked, "")?;
    add_kept(&mut out, kept, "")?;
    Ok(out)
}

/// What is to be kept of an answer, and of a conversation that becomes too long. Returns whether it is to
/// tell how likely its tokens were.
fn keeping(asked: &mut Members) -> Result<bool, Untranslatable> {
    let mut logprobs = false;
    for (index, wanted) in take_list(asked, "include", "")?.unwrap_or_default().iter().enumerate() {
        logprobs |= wanted == LOGPROBS;
        if wanted != ENCRYPTED && wanted != LOGPROBS {
            let why = format!("is {wanted}, which OpenAI chat does not tell");
            return Err(Untranslatable::new(&format!("include[{index}]"), &why));
        }
    }
    if take_flag(asked, "store", "")? == Some(true) {
        return Err(Untranslatable::new("store", "is `true`, and nothing is stored"));
    }
    if take_text(asked, "truncation", "")?.is_some_and(|truncation| truncation != "disabled") {
        return Err(Untranslatable::new("truncation", "is no `disabled`"));
    }
    match asked.remove("metadata") {
        None | Some(Value::Object(_)) => Ok(logprobs),
        Some(_) => Err(Untranslatable::new("metadata", "is no JSON object")),
    }
}

/// The tools, and which of them may or must be called.
fn tools(asked: &mut Members, out: &mut Members) -> Result<(), Untranslatable> {
    let mut tools = Vec::new();
    for (index, tool) in take_list(asked, "tools", "")?.unwrap_or_default().into_iter().enumerate()
    {
        tools.push(declared(tool, &format!("tools[{index}]"))?);
    }
    let any = !tools.is_empty();
    if any {
        out.insert("tools".into(), Value::Array(tools));
    }
    let at = "tool_choice";
    match asked.remove(at) {
        // Clients send the default where there is nothing to be chosen.
        Some(Value::String(choice)) if choice == "auto" && !any => {}
        Some(Value::String(choice)) if ["auto", "none", "required"].contains(&choice.as_str()) => {
            out.insert(at.into(), choice.into());
        }
        Some(choice @ Value::Object(_)) => {
            let mut choice = rules::TOOL_CHOICE.sift_whole(choice, at)?;
            if want_text(&mut choice, "type", at)? != "function" {
                return Err(Untranslatable::member(at, "type", "is no `function`"));
            }
            let name = want_text(&mut choice, "name", at)?;
            out.insert(at.into(), json!({"type": "function", "function": {"name": name}}));
        }
        None => {}
        Some(_) => return Err(Untranslatable::new(at, "is unknown to OpenAI chat")),
    }
    if let Some(parallel) = take_flag(asked, "parallel_tool_calls", "")?
        && any
    {
        out.insert("parallel_tool_calls".into(), parallel.into());
    }
    Ok(())
}

fn declared(tool: Value, at: &str) -> Result<Value, Untranslatable> {
    let (mut tool, kept) = rules::TOOL.sift(tool, at)?;
    match want_text(&mut tool, "type", at)?.as_str() {
        "function" => {}
        kind => {
            let why = format!("is `{kind}`, a tool that only OpenAI's servers have");
            return Err(Untranslatable::member(at, "type", &why));
        }
    }
    let mut function = Members::new();
    function.insert("name".into(), want_text(&mut tool, "name", at)?.into());
    for name in ["description", "parameters", "strict"] {
        if let Some(value) = tool.remove(name) {
            function.insert(name.into(), value);
        }
    }
    add_kept(&mut function, kept, at)?;
    Ok(json!({"type": "function", "function": function}))
}

/// The form of the answer.
fn form(text: Value, out: &mut Members) -> Result<(), Untranslatable> {
    let mut text = rules::TEXT.sift_whole(text, "text")?;
    if let Some(verbosity) = take_text(&mut text, "verbosity", "text")? {
        out.insert("verbosity".into(), verbosity.into());
    }
    let Some(format) = text.remove("format") else { return Ok(()) };
    let at = "text.format";
    let mut format = rules::FORMAT.sift_whole(format, at)?;
    let format = match want_text(&mut format, "type", at)?.as_str() {
        "text" => return nothing_left(&format, at),
        "json_object" => {
            nothing_left(&format, at)?;
            json!({"type": "json_object"})
        }
        "json_schema" => {
            let mut schema = members_of(json!({"name": want_text(&mut format, "name", at)?}));
            for name in ["description", "schema", "strict"] {
                if let Some(value) = format.remove(name) {
                    schema.insert(name.into(), value);
                }
            }
            json!({"type": "json_schema", "json_schema": schema})
        }
        _ => return Err(Untranslatable::member(at, "type", "is unknown to OpenAI chat")),
    };
    out.insert("response_format".into(), format);
    Ok(())
}
