//! A request to OpenAI chat completions, written as one to Triton's generate extension.
//!
//! Parameters stand in `parameters`, as the open inference protocol has them. Triton looks there for the tensors
//! of a model by their names too, and hands its backend the rest.

use serde_json::{Value, json};

use super::super::chat::prompt::take_prompt;
use super::super::chat::request::{TextForm, take_bound, take_form, take_stream};
use super::super::members::{members_of, take_number, take_stops, want_path_name, want_text};
use super::super::rules::{Members, add_kept, nothing_left};
use super::super::{Asking, Untranslatable};
use super::rules;

const NUMBERS: &[&str] =
    &["temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty"];

/// Writes the request. The model stands in its path.
pub fn translate(request: Value, asking: &mut Asking<'_>) -> Result<Members, Untranslatable> {
    let (mut asked, kept) = rules::REQUEST.sift(request, "")?;
    let model = want_text(&mut asked, "model", "")?;
    want_path_name(&asking.model(model))?;
    let prompt = take_prompt(&mut asked)?;
    let stream = take_stream(&mut asked, asking)?;
    // vLLM's backend begins a document with the prompt otherwise.
    let mut parameters = members_of(json!({"stream": stream, "exclude_input_in_output": true}));
    if let Some(bound) = take_bound(&mut asked)? {
        parameters.insert("max_tokens".into(), bound);
    }
    for name in NUMBERS {
        if let Some(number) = take_number(&mut asked, name, "")? {
            parameters.insert((*name).into(), number);
        }
    }
    asking.memo.stop = take_stops(&mut asked, "stop")?;
    if !asking.memo.stop.is_empty() {
        parameters.insert("stop".into(), json!(asking.memo.stop));
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
    Ok(members_of(json!({"text_input": prompt, "parameters": parameters})))
}
