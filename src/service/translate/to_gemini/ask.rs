//! A request to OpenAI chat completions, written as one to Gemini.

use serde_json::{Value, json};

use super::super::chat::request::{
    TextForm, ToolChoice, take_bound, take_choice, take_choices, take_form, take_logprobs,
    take_messages, take_stream, take_tools,
};
use super::super::members::{
    members_of, take_flag, take_number, take_stops, take_text, want_path_name, want_text,
};
use super::super::rules::{Members, add_kept, nothing_left};
use super::super::{Asking, Untranslatable};
use super::{content, rules};

/// Numbers of a request, and what Gemini calls them.
const NUMBERS: &[(&str, &str)] = &[
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("seed", "seed"),
    ("frequency_penalty", "frequencyPenalty"),
    ("presence_penalty", "presencePenalty"),
];

/// How many tokens may be thought, by the effort. More than these is the highest budget there is.
const BUDGETS: &[(&str, u32)] = &[("none", 0), ("minimal", 1024), ("low", 1024), ("medium", 8192)];
const BUDGET_MAX: u32 = 24_576;

/// Writes the request. The model stands in its path.
pub fn translate(request: Value, asking: &mut Asking<'_>) -> Result<Members, Untranslatable> {
    let (mut asked, kept) = rules::REQUEST.sift(request, "")?;
    let model = want_text(&mut asked, "model", "")?;
    want_path_name(&asking.model(model))?;
    let mut out = Members::new();
    let mut script = content::Script::new(&mut asking.numbers);
    for (index, message) in take_messages(&mut asked)?.into_iter().enumerate() {
        script.message(message, &format!("messages[{index}]"))?;
    }
    script.end(&mut out);
    tools(&mut asked, &mut out)?;
    take_stream(&mut asked, asking)?;
    let config = config(&mut asked, asking)?;
    if !config.is_empty() {
        out.insert("generationConfig".into(), Value::Object(config));
    }
    nothing_left(&asked, "")?;
    add_kept(&mut out, kept, "")?;
    Ok(out)
}

fn config(asked: &mut Members, asking: &mut Asking<'_>) -> Result<Members, Untranslatable> {
    let mut config = Members::new();
    if let Some(bound) = take_bound(asked)? {
        config.insert("maxOutputTokens".into(), bound);
    }
    for (name, theirs) in NUMBERS {
        if let Some(number) = take_number(asked, name, "")? {
            config.insert((*theirs).into(), number);
        }
    }
    let choices = take_choices(asked, asking)?;
    if choices > 1 {
        config.insert("candidateCount".into(), choices.into());
    }
    if let Some(top) = take_logprobs(asked, asking)? {
        config.insert("responseLogprobs".into(), true.into());
        if top > 0 {
            config.insert("logprobs".into(), top.into());
        }
    }
    asking.memo.stop = take_stops(asked, "stop")?;
    if !asking.memo.stop.is_empty() {
        config.insert("stopSequences".into(), json!(asking.memo.stop));
    }
    match take_form(asked)? {
        TextForm::Text => {}
        TextForm::Json => drop(config.insert("responseMimeType".into(), JSON.into())),
        TextForm::Schema(schema) => {
            config.insert("responseMimeType".into(), JSON.into());
            config.insert("responseJsonSchema".into(), schema);
        }
    }
    if let Some(effort) = take_text(asked, "reasoning_effort", "")? {
        let budget = BUDGETS.iter().find(|(known, _)| *known == effort);
        let budget = budget.map_or(BUDGET_MAX, |(_, budget)| *budget);
        let thinking = json!({"includeThoughts": budget > 0, "thinkingBudget": budget});
        config.insert("thinkingConfig".into(), thinking);
    }
    let at = "generationConfig";
    match asked.remove(at) {
        None => {}
        Some(Value::Object(own)) => add_kept(&mut config, own, at)?,
        Some(_) => return Err(Untranslatable::new(at, "is no JSON object")),
    }
    Ok(config)
}

const JSON: &str = "application/json";

/// The tools, and which of them may or must be called.
fn tools(asked: &mut Members, out: &mut Members) -> Result<(), Untranslatable> {
    let tools = take_tools(asked)?;
    let any = !tools.is_empty();
    if take_flag(asked, "parallel_tool_calls", "")? == Some(false) && any {
        let why = "is `false`, and Gemini makes as many calls as it likes";
        return Err(Untranslatable::new("parallel_tool_calls", why));
    }
    if any {
        let declared: Vec<Value> = tools
            .into_iter()
            .map(|tool| {
                let mut function = members_of(json!({"name": tool.name}));
                if let Some(description) = tool.description {
                    function.insert("description".into(), description.into());
                }
                if let Some(schema) = tool.parameters {
                    function.insert("parametersJsonSchema".into(), schema);
                }
                Value::Object(function)
            })
            .collect();
        out.insert("tools".into(), json!([{ "functionDeclarations": declared }]));
    }
    let config = match take_choice(asked)? {
        ToolChoice::Auto => return Ok(()),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Required => json!({"mode": "ANY"}),
        ToolChoice::Function(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    };
    out.insert("toolConfig".into(), json!({ "functionCallingConfig": config }));
    Ok(())
}
