//! A request to OpenAI chat completions, written as one of version 2 of the open inference protocol.
//!
//! The prompt is a tensor of one text. What else is asked for are parameters, which the protocol has as
//! single values: strings, numbers and booleans.

use serde_json::{Value, json};

use super::super::chat::prompt::take_prompt;
use super::super::chat::request::{TextForm, take_bound, take_form, take_stream};
use super::super::members::{members_of, take_number, take_stops, want_path_name, want_text};
use super::super::rules::{Members, add_kept, nothing_left};
use super::super::{Asking, Untranslatable};
use super::rules;

/// The tensor with the prompt, where the configuration has no other name for it.
const INPUT: &str = "text_input";

const NUMBERS: &[&str] =
    &["temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty"];

/// Writes the request. The model stands in its path.
pub fn translate(request: Value, asking: &mut Asking<'_>) -> Result<Members, Untranslatable> {
    let (mut asked, kept) = rules::REQUEST.sift(request, "")?;
    let model = want_text(&mut asked, "model", "")?;
    want_path_name(&asking.model(model))?;
    let prompt = take_prompt(&mut asked)?;
    take_stream(&mut asked, asking)?;
    let mut parameters = Members::new();
    if let Some(bound) = take_bound(&mut asked)? {
        parameters.insert("max_tokens".into(), bound);
    }
    for name in NUMBERS {
        if let Some(number) = take_number(&mut asked, name, "")? {
            parameters.insert((*name).into(), number);
        }
    }
    asking.memo.stop = take_stops(&mut asked, "stop")?;
    match asking.memo.stop.as_slice() {
        [] => {}
        [stop] => drop(parameters.insert("stop".into(), stop.as_str().into())),
        _ => {
            let why = "has more than one text, and the protocol's parameters are single values";
            return Err(Untranslatable::new("stop", why));
        }
    }
    if !matches!(take_form(&mut asked)?, TextForm::Text) {
        return Err(Untranslatable::new("response_format.type", "is no `text`"));
    }
    match asked.remove("parameters") {
        None => {}
        Some(Value::Object(own)) => add_kept(&mut parameters, own, "parameters")?,
        Some(_) => return Err(Untranslatable::new("parameters", "is no JSON object")),
    }
    nothing_left(&asked, "")?;
    add_kept(&mut parameters, kept, "")?;
    let name = asking.tensors.input.as_deref().unwrap_or(INPUT);
    asking.memo.output.clone_from(&asking.tensors.output);
    let mut out = members_of(json!({"inputs": [{
        "name": name,
        "shape": [1],
        "datatype": "BYTES",
        // MLServer hands its model a text then, and not bytes. Others pass over it.
        "parameters": {"content_type": "str"},
        "data": [prompt],
    }]}));
    if !parameters.is_empty() {
        out.insert("parameters".into(), Value::Object(parameters));
    }
    Ok(out)
}
