//! A whole answer of OpenAI chat, read and written.

use serde_json::{Value, json};

use super::super::documents::{name_of_call, text};
use super::super::reasons::TokenCounts;
use super::super::rules::asks_nothing;
use super::super::tree;
use super::super::{AnswerContext, BadAnswer};

/// What an answer says.
#[derive(Debug)]
pub struct Answer<'v> {
    pub model: Option<&'v str>,
    pub thought: Option<&'v str>,
    pub text: Option<&'v str>,
    pub refusal: Option<&'v str>,
    pub calls: Vec<AnswerCall<'v>>,
    /// How likely its tokens were, in a list.
    pub logprobs: Option<&'v Value>,
    /// Its `finish_reason`.
    pub reason: &'v str,
}

#[derive(Debug)]
pub struct AnswerCall<'v> {
    pub id: Option<&'v str>,
    pub name: &'v str,
    pub arguments: String,
}

/// The one choice of a document.
pub fn choice(document: &Value) -> Result<&Value, BadAnswer> {
    match document.get("choices").and_then(Value::as_array).map(Vec::as_slice) {
        Some([choice]) => Ok(choice),
        Some([_, _, ..]) => Err(BadAnswer::Unknown("a second choice".into())),
        _ => Err(BadAnswer::Malformed("has no choice".into())),
    }
}

/// Refuses a message that says what no other dialect can.
pub fn all_is_known(message: &Value) -> Result<(), BadAnswer> {
    for name in ["audio", "function_call", "images"] {
        if message.get(name).is_some_and(|part| !asks_nothing(part)) {
            return Err(BadAnswer::Unknown(format!("a `{name}` in a message")));
        }
    }
    match message.get("content") {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(_) => Err(BadAnswer::Unknown("a `content` that is no text".into())),
    }
}

/// Reads a document.
pub fn read(document: &Value) -> Result<Answer<'_>, BadAnswer> {
    let choice = choice(document)?;
    let message = choice.get("message").unwrap_or(&Value::Null);
    all_is_known(message)?;
    let reason = text(choice, "finish_reason").unwrap_or_default();
    let mut calls = Vec::new();
    for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        let function = call.get("function").unwrap_or(&Value::Null);
        let name = name_of_call(function)?;
        let arguments = match function.get("arguments") {
            Some(Value::String(text)) if !text.trim().is_empty() => {
                let cut = tree::parse(text.as_bytes()).is_err_and(|error| error.is_eof());
                if cut && reason != "length" {
                    return Err(BadAnswer::Malformed("ends inside the arguments of a call".into()));
                }
                text.clone()
            }
            Some(object @ Value::Object(_)) => object.to_string(),
            _ => "{}".into(),
        };
        calls.push(AnswerCall { id: text(call, "id"), name, arguments });
    }
    Ok(Answer {
        model: text(document, "model"),
        thought: text(message, "reasoning_content").or_else(|| text(message, "reasoning")),
        text: text(message, "content"),
        refusal: text(message, "refusal"),
        calls,
        logprobs: choice
            .get("logprobs")
            .and_then(|it| it.get("content"))
            .filter(|it| it.is_array()),
        reason,
    })
}

/// A whole answer, written.
#[derive(Debug)]
pub struct WrittenCompletion<'c> {
    context: &'c AnswerContext,
    pub id: Option<String>,
    pub model: Option<String>,
    /// Of the choice that is being told.
    pub text: Option<String>,
    pub thought: Option<String>,
    /// How likely its tokens were, in a list.
    pub logprobs: Option<Value>,
    calls: Vec<Value>,
    /// The choices that are done.
    choices: Vec<Value>,
    /// Calls of those.
    called: usize,
}

impl<'c> WrittenCompletion<'c> {
    pub fn new(context: &'c AnswerContext) -> WrittenCompletion<'c> {
        WrittenCompletion {
            context,
            id: None,
            model: None,
            text: None,
            thought: None,
            logprobs: None,
            calls: Vec::new(),
            choices: Vec::new(),
            called: 0,
        }
    }

    /// A call. `more`: what else is said of it, in an object.
    pub fn call(&mut self, id: Option<&str>, name: &str, arguments: &str, more: Value) {
        let made = || format!("call_{}_{}", self.context.id, self.called + self.calls.len());
        let id = id.map_or_else(made, str::to_owned);
        let function = json!({"name": name, "arguments": arguments});
        let mut call = json!({"id": id, "type": "function", "function": function});
        if let (Some(call), Value::Object(more)) = (call.as_object_mut(), more) {
            call.extend(more);
        }
        self.calls.push(call);
    }

    /// Whether the choice that is being told has calls in it.
    pub fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// The choice is done: what follows is of the next one.
    pub fn end_choice(&mut self, reason: &str) {
        let mut message =
            json!({"role": "assistant", "content": self.text.take(), "refusal": null});
        if let Some(thought) = self.thought.take() {
            message["reasoning_content"] = thought.into();
        }
        if !self.calls.is_empty() {
            self.called += self.calls.len();
            message["tool_calls"] = std::mem::take(&mut self.calls).into();
        }
        let logprobs = self.logprobs.take();
        let logprobs = logprobs.map(|content| json!({"content": content, "refusal": null}));
        let index = self.choices.len();
        self.choices.push(
            json!({"index": index, "message": message, "logprobs": logprobs, "finish_reason": reason}),
        );
    }

    /// The document, with the choice that is being told as its last. `tokens`: what it cost, if anybody knows.
    pub fn finish(mut self, reason: &str, tokens: Option<&TokenCounts>) -> Value {
        self.end_choice(reason);
        self.written(tokens)
    }

    /// The document, with the choices that are done.
    pub fn written(self, tokens: Option<&TokenCounts>) -> Value {
        let WrittenCompletion { context, id, model, choices, .. } = self;
        json!({
            "id": id.unwrap_or_else(|| format!("chatcmpl-{}", context.id)),
            "object": "chat.completion",
            "created": context.created,
            "model": model.as_deref().unwrap_or(&context.memo.model),
            "choices": choices,
            "usage": tokens.map(TokenCounts::chat),
        })
    }
}
