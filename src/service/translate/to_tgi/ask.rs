//! A request to OpenAI chat completions, written as one to TGI.

use serde_json::{Value, json};

use super::super::chat::prompt::take_prompt;
use super::super::chat::request::{
    TextForm, take_bound, take_choices, take_form, take_logprobs, take_stream,
};
use super::super::members::{members_of, take_number, take_stops, want_text};
use super::super::rules::{Members, add_kept, nothing_left};
use super::super::{Asking, Untranslatable};
use super::rules;

/// Writes the request. The model is the server's.
pub fn translate(request: Value, asking: &mut Asking<'_>) -> Result<Members, Untranslatable> {
    let (mut asked, kept) = rules::REQUEST.sift(request, "")?;
    let model = want_text(&mut asked, "model", "")?;
    asking.model(model);
    let inputs = take_prompt(&mut asked)?;
    take_stream(&mut asked, asking)?;
    // Or nobody would know why it ended, and what it cost.
    let mut parameters = members_of(json!({"details": true, "return_full_text": false}));
    if let Some(bound) = take_bound(&mut asked)? {
        parameters.insert("max_new_tokens".into(), bound);
    }
    let is = |number: &Value, other: f64| number.as_f64() == Some(other);
    let temperature = take_number(&mut asked, "temperature", "")?;
    let greedy = temperature.as_ref().is_some_and(|temperature| is(temperature, 0.0));
    if let Some(temperature) = temperature.filter(|_| !greedy) {
        parameters.insert("temperature".into(), temperature);
        parameters.insert("do_sample".into(), true.into());
    }
    if let Some(top_p) = take_number(&mut asked, "top_p", "")?
        && !is(&top_p, 1.0)
    {
        parameters.insert("top_p".into(), top_p);
    }
    for name in ["top_k", "seed", "frequency_penalty"] {
        if let Some(number) = take_number(&mut asked, name, "")? {
            parameters.insert(name.into(), number);
        }
    }
    if let Some(top) = take_logprobs(&mut asked, asking)?
        && top > 0
    {
        parameters.insert("top_n_tokens".into(), top.into());
    }
    if take_choices(&mut asked, asking)? > 1 {
        choices(asking, greedy, &mut parameters)?;
    }
    asking.memo.stop = take_stops(&mut asked, "stop")?;
    if !asking.memo.stop.is_empty() {
        parameters.insert("stop".into(), json!(asking.memo.stop));
    }
    match take_form(&mut asked)? {
        TextForm::Text => {}
        TextForm::Json => {
            let why = "is `json_object`, and TGI wants a schema";
            return Err(Untranslatable::new("response_format.type", why));
        }
        TextForm::Schema(schema) => {
            parameters.insert("grammar".into(), json!({"type": "json", "value": schema}));
        }
    }
    match asked.remove("parameters") {
        None => {}
        Some(Value::Object(own)) => add_kept(&mut parameters, own, "parameters")?,
        Some(_) => return Err(Untranslatable::new("parameters", "is no JSON object")),
    }
    nothing_left(&asked, "")?;
    add_kept(&mut parameters, kept, "")?;
    Ok(members_of(json!({"inputs": inputs, "parameters": parameters})))
}

/// More than one choice: TGI samples so many, and tells all of them where it is asked for details.
fn choices(
    asking: &Asking<'_>,
    greedy: bool,
    parameters: &mut Members,
) -> Result<(), Untranslatable> {
    if asking.stream {
        return Err(Untranslatable::new("n", "is more than 1, and TGI streams one answer"));
    }
    if parameters.contains_key("seed") {
        let why = "stands beside `n`, and TGI takes no seed for more than one answer";
        return Err(Untranslatable::new("seed", why));
    }
    if greedy {
        let why = "is 0 beside `n`, and TGI gives more than one answer only where it samples";
        return Err(Untranslatable::new("temperature", why));
    }
    parameters.insert("best_of".into(), asking.memo.choices.into());
    // Or they would all be the same, and TGI refuses them.
    parameters.insert("do_sample".into(), true.into());
    Ok(())
}
