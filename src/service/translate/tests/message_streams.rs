//! Streams of Anthropic messages, told to a client of OpenAI's.

use serde_json::{Value, json};

use super::super::{BadAnswer, Memo, Translator};
use super::CHAT_TO_MESSAGES;
use super::{events, named, told};

fn start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "claude", "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 20, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 10, "output_tokens": 1}}})
}

fn block(index: u64, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u64, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn stop(index: u64) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn end(reason: &str) -> [Value; 2] {
    [
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
            "usage": {"output_tokens": 12}}),
        json!({"type": "message_stop"}),
    ]
}

fn text(text: &str) -> Vec<Value> {
    vec![
        start(),
        block(0, json!({"type": "text", "text": ""})),
        delta(0, json!({"type": "text_delta", "text": text})),
    ]
}

/// Delta and reason of each chunk, or its usage.
fn outline(stream: &str) -> Vec<Value> {
    let line = |(name, data): (String, Value)| {
        assert_eq!(name, "", "OpenAI's events have no names");
        if data.is_string() {
            return data;
        }
        assert_eq!(data["object"], "chat.completion.chunk");
        assert_eq!(
            (&data["id"], &data["model"], &data["created"]),
            (&json!("msg_1"), &json!("claude"), &json!(1_700_000_000))
        );
        match data["choices"].as_array().unwrap().as_slice() {
            [choice] => {
                assert_eq!((&choice["index"], &data["usage"]), (&json!(0), &Value::Null));
                match choice["finish_reason"].as_str() {
                    Some(reason) => json!([choice["delta"], reason]),
                    None => choice["delta"].clone(),
                }
            }
            _ => data["usage"].clone(),
        }
    };
    events(stream).into_iter().map(line).collect()
}

#[test]
fn an_answer_with_thinking_text_and_calls() {
    // As Anthropic writes it.
    let mut stream = vec![
        start(),
        block(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        json!({"type": "ping"}),
        delta(0, json!({"type": "thinking_delta", "thinking": "Let me"})),
        delta(0, json!({"type": "thinking_delta", "thinking": " see"})),
        delta(0, json!({"type": "signature_delta", "signature": "sig"})),
        stop(0),
        block(1, json!({"type": "redacted_thinking", "data": "x"})),
        stop(1),
        block(2, json!({"type": "text", "text": ""})),
        delta(2, json!({"type": "text_delta", "text": "I \"look\"\n"})),
        delta(2, json!({"type": "text_delta", "text": "\u{e9}"})),
        stop(2),
        block(3, json!({"type": "tool_use", "id": "toolu_1", "name": "w", "input": {}})),
        delta(3, json!({"type": "input_json_delta", "partial_json": ""})),
        delta(3, json!({"type": "input_json_delta", "partial_json": "{\"city\":"})),
        delta(3, json!({"type": "input_json_delta", "partial_json": " \"Bern\"}"})),
        stop(3),
        block(4, json!({"type": "tool_use", "id": "toolu_2", "name": "v", "input": {}})),
        stop(4),
        json!({"type": "something_new", "x": 1}),
    ];
    stream.extend(end("tool_use"));
    let got = told(CHAT_TO_MESSAGES, &named(&stream)).unwrap();
    let call = |index: u64, id: &str, name: &str| json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}]});
    let more = |index: u64, text: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]});
    assert_eq!(
        outline(&got),
        [
            json!({"role": "assistant", "content": ""}),
            json!({"reasoning_content": "Let me"}),
            json!({"reasoning_content": " see"}),
            json!({"content": "I \"look\"\n"}),
            json!({"content": "\u{e9}"}),
            call(0, "toolu_1", "w"),
            more(0, "{\"city\":"),
            more(0, " \"Bern\"}"),
            call(1, "toolu_2", "v"),
            // A client reads the arguments as JSON.
            more(1, "{}"),
            json!([{}, "tool_calls"]),
            json!({"prompt_tokens": 33, "completion_tokens": 12, "total_tokens": 45,
                "prompt_tokens_details": {"cached_tokens": 10}}),
            json!("[DONE]"),
        ]
    );
    assert_eq!(got.matches(": ping\n\n").count(), 1);
}

#[test]
fn usage_is_told_to_who_asked_for_it() {
    let mut stream = text("a");
    stream.extend([stop(0)].into_iter().chain(end("end_turn")));
    let mut translator = Translator::of_stream(CHAT_TO_MESSAGES, &Memo::default(), 1, "x");
    let mut out = Vec::new();
    translator.feed(named(&stream).as_bytes(), &mut out).unwrap();
    translator.end(&mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(!out.contains("usage"), "{out}");
    assert!(out.ends_with("\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"), "{out}");
}

#[test]
fn a_stream_is_whole_with_its_reason() {
    let mut stream = text("a");
    stream.push(stop(0));
    let without = named(&stream);
    stream.push(end("max_tokens")[0].clone());
    let got = told(CHAT_TO_MESSAGES, &named(&stream)).unwrap();
    assert!(got.contains("\"finish_reason\":\"length\"") && got.ends_with("data: [DONE]\n\n"));
    let (out, bad) = told(CHAT_TO_MESSAGES, &without).unwrap_err();
    assert_eq!(bad, BadAnswer::Unfinished);
    assert!(!out.contains("[DONE]"));
}

#[test]
fn a_call_may_come_at_once() {
    let mut stream = vec![
        start(),
        block(0, json!({"type": "tool_use", "id": "a", "name": "f", "input": {"x": "\u{1}\"y"}})),
        stop(0),
    ];
    stream.extend(end("tool_use"));
    let got = told(CHAT_TO_MESSAGES, &named(&stream)).unwrap();
    let arguments = &outline(&got)[2]["tool_calls"][0]["function"]["arguments"];
    let arguments: Value = serde_json::from_str(arguments.as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"x": "\u{1}\"y"}));
}

/// As Anthropic's own SDK reads it: what a call begins with stands where no piece of its arguments comes.
#[test]
fn a_call_that_is_told_whole_and_in_pieces_is_told_once() {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {"x": 1}});
    let piece =
        |index, text: &str| delta(index, json!({"type": "input_json_delta", "partial_json": text}));
    let mut stream =
        vec![start(), block(0, call("a")), piece(0, ""), piece(0, "{\"x\""), piece(0, ":2}")];
    stream.extend([stop(0), block(1, call("b")), piece(1, ""), stop(1)]);
    // A server that ends no block.
    stream.extend([block(2, call("c")), block(3, call("d"))]);
    stream.extend(end("tool_use"));
    let got = told(CHAT_TO_MESSAGES, &named(&stream)).unwrap();
    let mut arguments = vec![String::new(); 4];
    for delta in outline(&got) {
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().unwrap() as usize;
            arguments[index] += call["function"]["arguments"].as_str().unwrap_or_default();
        }
    }
    assert_eq!(arguments, [r#"{"x":2}"#, r#"{"x":1}"#, r#"{"x":1}"#, r#"{"x":1}"#]);
}

#[test]
fn errors_are_told_in_openais_words() {
    for (kind, expected, code) in [
        ("overloaded_error", "server_error", json!("overloaded")),
        ("api_error", "server_error", Value::Null),
        ("rate_limit_error", "rate_limit_error", json!("rate_limit_exceeded")),
        ("invalid_request_error", "invalid_request_error", Value::Null),
    ] {
        let mut stream = text("a");
        stream.push(json!({"type": "error", "error": {"type": kind, "message": "m"}}));
        let got = told(CHAT_TO_MESSAGES, &named(&stream)).unwrap();
        let (_, last) = events(&got).pop().unwrap();
        assert_eq!(
            last,
            json!({"error": {"message": "m", "type": expected, "param": null, "code": code}})
        );
    }
}

#[test]
fn what_is_no_answer_is_told_so() {
    let unknown = |what: &str| BadAnswer::Unknown(what.into());
    let cases = [
        (
            block(1, json!({"type": "server_tool_use", "id": "a"})),
            unknown("a block `server_tool_use`"),
        ),
        (delta(0, json!({"type": "new_delta"})), unknown("a delta `new_delta`")),
        (
            delta(0, json!({"type": "thinking_delta", "thinking": "x"})),
            unknown("a delta `thinking_delta`"),
        ),
        (delta(0, json!({"type": "text_delta", "text": 1})), unknown("a `delta` that is no text")),
    ];
    for (event, expected) in cases {
        let mut stream = text("a");
        stream.push(event);
        assert_eq!(told(CHAT_TO_MESSAGES, &named(&stream)).unwrap_err().1, expected);
    }
    for events in [vec![delta(0, json!({"type": "text_delta", "text": "x"}))], {
        let mut stream = text("a");
        stream.push(delta(3, json!({"type": "text_delta", "text": "x"})));
        stream
    }] {
        let bad = told(CHAT_TO_MESSAGES, &named(&events)).unwrap_err().1;
        assert!(matches!(bad, BadAnswer::Malformed(_)), "{bad:?}");
    }
}
