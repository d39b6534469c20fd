//! A request to OpenAI chat completions, written as one to Anthropic messages.

use serde_json::{Value, json};

use super::super::members::{
    content_of, members_of, take_flag, take_list, take_number, take_stops, take_text, want_text,
};
use super::super::rules::{Members, add_kept, nothing_left};
use super::super::{Asking, Untranslatable};
use super::{content, rules};

/// Anthropic wants a bound, and OpenAI's clients rarely give one.
const MAX_TOKENS_DEFAULT: u32 = 4096;

/// Writes the request.
pub fn translate(request: Value, asking: &mut Asking<'_>) -> Result<Members, Untranslatable> {
    let (mut asked, kept) = rules::REQUEST.sift(request, "")?;
    let model = asking.model(want_text(&mut asked, "model", "")?);
    let mut out = Members::new();
    out.insert("model".into(), model.into());
    out.insert("max_tokens".into(), max_tokens(&mut asked)?);
    let messages = take_list(&mut asked, "messages", "")?;
    let messages = messages.ok_or_else(|| Untranslatable::member("", "messages", "is missing"))?;
    let mut talk = content::Talk::new(&mut asking.numbers);
    for (index, message) in messages.into_iter().enumerate() {
        talk.message(message, &format!("messages[{index}]"))?;
    }
    let (system, turns) = talk.end();
    if !system.is_empty() {
        out.insert("system".into(), content_of(system));
    }
    out.insert("messages".into(), Value::Array(turns.into_iter().map(Value::Object).collect()));
    tools(&mut asked, &mut out)?;
    output(&mut asked, &mut out)?;
    let stop = take_stops(&mut asked, "stop")?;
    if !stop.is_empty() {
        out.insert("stop_sequences".into(), json!(stop));
    }
    asking.memo.stop = stop;
    let stream = take_flag(&mut asked, "stream", "")?;
    if let Some(stream) = stream {
        out.insert("stream".into(), stream.into());
    }
    asking.stream = stream.unwrap_or(false);
    asking.memo.include_usage = include_usage(&mut asked)?;
    if let Some(temperature) = take_number(&mut asked, "temperature", "")? {
        let too_high = temperature.as_f64().is_some_and(|temperature| temperature > 1.0);
        out.insert("temperature".into(), if too_high { json!(1) } else { temperature });
    }
    if let Some(top_p) = take_number(&mut asked, "top_p", "")? {
        out.insert("top_p".into(), top_p);
    }
    whose(&mut asked, &mut out)?;
    nothing_left(&asked, "")?;
    add_kept(&mut out, kept, "")?;
    Ok(out)
}

fn max_tokens(asked: &mut Members) -> Result<Value, Untranslatable> {
    let older = take_number(asked, "max_tokens", "")?;
    let newer = take_number(asked, "max_completion_tokens", "")?;
    Ok(newer.or(older).unwrap_or_else(|| MAX_TOKENS_DEFAULT.into()))
}

fn include_usage(asked: &mut Members) -> Result<bool, Untranslatable> {
    let at = "stream_options";
    let Some(options) = asked.remove(at) else { return Ok(false) };
    let mut options = rules::STREAM_OPTIONS.sift_whole(options, at)?;
    Ok(take_flag(&mut options, "include_usage", at)?.unwrap_or(false))
}

/// On whose behalf, and how soon.
fn whose(asked: &mut Members, out: &mut Members) -> Result<(), Untranslatable> {
    let user = take_text(asked, "user", "")?;
    let identifier = take_text(asked, "safety_identifier", "")?;
    if let Some(user) = user.or(identifier) {
        out.insert("metadata".into(), json!({ "user_id": user }));
    }
    let tier = match take_text(asked, "service_tier", "")?.as_deref() {
        None => return Ok(()),
        Some("auto") => "auto",
        Some("default") => "standard_only",
        Some(_) => {
            return Err(Untranslatable::member("", "service_tier", "is unknown to Anthropic"));
        }
    };
    out.insert("service_tier".into(), tier.into());
    Ok(())
}

/// The tools, and which of them may or must be called.
fn tools(asked: &mut Members, out: &mut Members) -> Result<(), Untranslatable> {
    let mut tools = Vec::new();
    for (index, tool) in take_list(asked, "tools", "")?.unwrap_or_default().into_iter().enumerate()
    {
        tools.push(Value::Object(declared(tool, &format!("tools[{index}]"))?));
    }
    let parallel = take_flag(asked, "parallel_tool_calls", "")?;
    let mut choice = match asked.remove("tool_choice") {
        Some(choice) => Some(chosen(choice)?),
        None if parallel == Some(false) && !tools.is_empty() => {
            Some(members_of(json!({"type": "auto"})))
        }
        None => None,
    };
    if let (Some(choice), Some(parallel)) = (&mut choice, parallel) {
        // With `none` there is nothing that could be parallel.
        if choice["type"] != "none" {
            choice.insert("disable_parallel_tool_use".into(), (!parallel).into());
        }
    }
    if !tools.is_empty() {
        out.insert("tools".into(), Value::Array(tools));
    }
    if let Some(choice) = choice {
        out.insert("tool_choice".into(), Value::Object(choice));
    }
    Ok(())
}

fn declared(tool: Value, at: &str) -> Result<Members, Untranslatable> {
    let (mut tool, kept) = rules::TOOL.sift(tool, at)?;
    let kind = take_text(&mut tool, "type", at)?;
    if kind.is_some_and(|kind| kind != "function") {
        return Err(Untranslatable::member(at, "type", "is no `function`"));
    }
    let at_function = format!("{at}.function");
    let function = tool.remove("function").unwrap_or_default();
    let (mut function, more) = rules::FUNCTION.sift(function, &at_function)?;
    let mut out = Members::new();
    out.insert("name".into(), want_text(&mut function, "name", &at_function)?.into());
    if let Some(description) = take_text(&mut function, "description", &at_function)? {
        out.insert("description".into(), description.into());
    }
    let schema = function.remove("parameters");
    let schema = schema.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    out.insert("input_schema".into(), schema);
    if take_flag(&mut function, "strict", &at_function)? == Some(true) {
        out.insert("strict".into(), true.into());
    }
    add_kept(&mut out, more, &at_function)?;
    add_kept(&mut out, kept, at)?;
    Ok(out)
}

fn chosen(choice: Value) -> Result<Members, Untranslatable> {
    let at = "tool_choice";
    let choice = match choice {
        Value::String(choice) => match choice.as_str() {
            "auto" => json!({"type": "auto"}),
            "none" => json!({"type": "none"}),
            "required" => json!({"type": "any"}),
            _ => return Err(Untranslatable::new(at, "is unknown to Anthropic")),
        },
        Value::Object(choice) => {
            if choice.get("type").is_none_or(|kind| kind != "function") {
                return Err(Untranslatable::member(at, "type", "is no `function`"));
            }
            let name = choice.get("function").and_then(|function| function.get("name"));
            match name.and_then(Value::as_str) {
                Some(name) => json!({"type": "tool", "name": name}),
                None => return Err(Untranslatable::member(at, "function.name", "is missing")),
            }
        }
        _ => return Err(Untranslatable::new(at, "is neither a string nor an object")),
    };
    Ok(members_of(choice))
}

/// The form of the answer, and how much is thought before it.
fn output(asked: &mut Members, out: &mut Members) -> Result<(), Untranslatable> {
    let mut config = Members::new();
    match take_text(asked, "reasoning_effort", "")?.as_deref() {
        None => {}
        Some("none") => {
            out.insert("thinking".into(), json!({"type": "disabled"}));
        }
        Some(effort) => {
            let effort = match effort {
                "minimal" => "low",
                "low" | "medium" | "high" | "xhigh" | "max" => effort,
                _ => {
                    let why = "is unknown to Anthropic";
                    return Err(Untranslatable::member("", "reasoning_effort", why));
                }
            };
            out.insert("thinking".into(), json!({"type": "adaptive"}));
            config.insert("effort".into(), effort.into());
        }
    }
    if let Some(format) = asked.remove("response_format")
        && let Some(schema) = schema(format)?
    {
        config.insert("format".into(), json!({"type": "json_schema", "schema": schema}));
    }
    if !config.is_empty() {
        out.insert("output_config".into(), Value::Object(config));
    }
    Ok(())
}

/// The schema that an answer has to keep to. `None`: it is plain text.
fn schema(format: Value) -> Result<Option<Value>, Untranslatable> {
    let at = "response_format";
    let mut format = rules::RESPONSE_FORMAT.sift_whole(format, at)?;
    match want_text(&mut format, "type", at)?.as_str() {
        "text" => Ok(None),
        "json_schema" => {
            let at = "response_format.json_schema";
            let format = format.remove("json_schema").unwrap_or_default();
            let mut format = rules::JSON_SCHEMA.sift_whole(format, at)?;
            let schema = format.remove("schema");
            schema.map(Some).ok_or_else(|| Untranslatable::member(at, "schema", "is missing"))
        }
        _ => Err(Untranslatable::member(at, "type", "is neither `json_schema` nor `text`")),
    }
}
