//! Both directions, by what clients and servers of each write.

mod chat_requests;
mod chat_streams;
mod choices;
mod documents;
mod edges;
mod kserve;
mod message_requests;
mod message_streams;
mod other_requests;
mod other_streams;
mod properties;
mod response_requests;
mod response_streams;
mod tables;

use serde_json::Value;

use super::leg::Leg;
use super::*;
use crate::service::Dialect;

const CHAT_TO_MESSAGES: Pair = Pair::CHAT_TO_MESSAGES;
const MESSAGES_TO_CHAT: Pair = Pair::MESSAGES_TO_CHAT;
const CHAT_TO_OLLAMA: Pair = Pair::new(Dialect::OpenAiChat, Dialect::Ollama);
const CHAT_TO_GEMINI: Pair = Pair::new(Dialect::OpenAiChat, Dialect::Gemini);
const CHAT_TO_TGI: Pair = Pair::new(Dialect::OpenAiChat, Dialect::Tgi);
const CHAT_TO_TRITON: Pair = Pair::new(Dialect::OpenAiChat, Dialect::Triton);
const RESPONSES_TO_CHAT: Pair = Pair::RESPONSES_TO_CHAT;
const RESPONSES_TO_MESSAGES: Pair = Pair::RESPONSES_TO_MESSAGES;

/// The request as the server gets it.
fn asked(pair: Pair, body: &Value) -> Value {
    let translated = request(pair, body.to_string().as_bytes(), None).expect("it is translated");
    serde_json::from_slice(&translated.body).expect("it is JSON")
}

/// Why it is not translated.
fn refused(pair: Pair, body: &Value) -> Untranslatable {
    request(pair, body.to_string().as_bytes(), None).expect_err("it is refused")
}

fn memo() -> Memo {
    Memo {
        model: "asked".into(),
        include_usage: true,
        stop: vec!["END".into()],
        logprobs: true,
        ..Memo::default()
    }
}

/// What a stream is told as.
fn told(pair: Pair, stream: &str) -> Result<String, (String, BadAnswer)> {
    told_in(pair, &[stream.as_bytes()])
}

fn told_in(pair: Pair, pieces: &[&[u8]]) -> Result<String, (String, BadAnswer)> {
    let mut translator = Translator::of_stream(pair, &memo(), 1_700_000_000, "x1");
    let mut out = Vec::new();
    let mut result = Ok(());
    for piece in pieces {
        result = result.and_then(|()| translator.feed(piece, &mut out));
    }
    let result = result.and_then(|()| translator.end(&mut out));
    let out = String::from_utf8(out).expect("UTF-8");
    match result {
        Ok(()) => Ok(out),
        Err(bad) => Err((out, bad)),
    }
}

/// The events of a stream: name and data. `[DONE]` is a string.
fn events(stream: &str) -> Vec<(String, Value)> {
    let mut events = Vec::new();
    for event in stream.split("\n\n").filter(|event| !event.is_empty() && !event.starts_with(':')) {
        let (mut name, mut data) = (String::new(), None);
        for line in event.lines() {
            match line.split_once(": ") {
                Some(("event", value)) => name = value.into(),
                Some(("data", "[DONE]")) => data = Some("[DONE]".into()),
                Some(("data", value)) => data = Some(serde_json::from_str(value).expect(value)),
                _ => panic!("no line of an event: {line}"),
            }
        }
        events.push((name, data.expect("an event has data")));
    }
    events
}

/// A stream of events without names.
fn chunks(data: &[Value]) -> String {
    data.iter().map(|data| format!("data: {data}\n\n")).collect::<String>() + "data: [DONE]\n\n"
}

/// A stream of events that are named by their type.
fn named(data: &[Value]) -> String {
    let event =
        |data: &Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    data.iter().map(event).collect()
}
