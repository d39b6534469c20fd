//! What servers and clients write seldom, and what would be lost if nobody thought of it.

use serde_json::{Value, json};

use super::{
    BadAnswer, CHAT_TO_GEMINI, CHAT_TO_MESSAGES, CHAT_TO_OLLAMA, CHAT_TO_TRITON, MESSAGES_TO_CHAT,
    Pair, Translator, asked, chunks, events, memo, named, refused, request, told, told_in,
};
use crate::http::coding::Coding;

fn chat_with_calls(ids: &[&str]) -> Value {
    let calls: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "function": {"name": "f", "arguments": "{}"}}))
        .collect();
    let results = ids
        .iter()
        .map(|id| json!({"role": "tool", "tool_call_id": id, "content": format!("of {id}")}));
    let mut messages = vec![
        json!({"role": "user", "content": "go"}),
        json!({"role": "assistant", "tool_calls": calls}),
    ];
    messages.extend(results);
    json!({"model": "m", "messages": messages})
}

#[test]
fn ids_of_calls_stay_apart() {
    let body = asked(CHAT_TO_MESSAGES, &chat_with_calls(&["a.b", "a:b", "a_b", "a_b_2"]));
    let calls = body["messages"][1]["content"].as_array().unwrap();
    let results = body["messages"][2]["content"].as_array().unwrap();
    let mut ids: Vec<&str> = calls.iter().map(|call| call["id"].as_str().unwrap()).collect();
    let answered: Vec<&str> =
        results.iter().map(|result| result["tool_use_id"].as_str().unwrap()).collect();
    assert_eq!(ids, answered);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "{ids:?}");
    assert_eq!(calls[0]["id"], "a_b");
}

/// Ids that are made to be in each other's way cost no time that grows with their square.
#[test]
fn ids_that_collide_are_told_apart_at_once() {
    let taken = (1..=6_000).map(|number| format!("a_b_{number}"));
    let colliding =
        (0..6_000).map(|number| format!("a{}b", char::from_u32(0x4e00 + number).unwrap()));
    let ids: Vec<String> = taken.chain(colliding).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let body = asked(CHAT_TO_MESSAGES, &chat_with_calls(&ids));
    assert_eq!(body["messages"][1]["content"].as_array().map(Vec::len), Some(12_000));
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}]}).to_string();
    let marked = format!("\u{feff}{body}");
    let read = |body: &str| request(CHAT_TO_MESSAGES, body.as_bytes(), None).map(|it| it.body);
    assert_eq!(read(&marked), read(&body));
    assert!(read(&marked).is_ok() && read(&format!("\u{feff}{marked}")).is_err());
    let answer = json!({"choices": [{"message": {"content": "b"}, "finish_reason": "stop"}]});
    let told = told_document(&format!("\u{feff}{answer}"));
    assert!(told.contains(r#""text":"b""#), "{told}");
}

/// A document of OpenAI chat, as Anthropic's client gets it.
fn told_document(body: &str) -> String {
    let mut translator = Translator::of_document(MESSAGES_TO_CHAT, &memo(), 200, 1, "x", 4096);
    let mut out = Vec::new();
    translator.feed(body.as_bytes(), &mut out).unwrap();
    translator.end(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn numbers_of_requests_keep_their_spelling() {
    let body = r#"{"model":"m","max_tokens":1e2,"seed_of_ours":123456789012345678901234567890,"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{\"id\":98765432109876543210987,\"x\":1.50}"}}]},{"role":"tool","tool_call_id":"c","content":"r"}]}"#;
    let there = request(CHAT_TO_MESSAGES, body.as_bytes(), None).unwrap();
    let text = String::from_utf8(there.body.clone()).unwrap();
    for number in ["1e2", "123456789012345678901234567890", "98765432109876543210987", "1.50"] {
        assert!(text.contains(number), "{number} in {text}");
    }
    let back = request(MESSAGES_TO_CHAT, &there.body, None).unwrap();
    let text = String::from_utf8(back.body).unwrap();
    assert!(text.contains(r#"{\"id\":98765432109876543210987,\"x\":1.50}"#), "{text}");
    assert!(text.contains("1e2"), "{text}");
}

#[test]
fn neighbours_that_become_one_agree_on_what_nobody_knows() {
    let body = |first: Value, second: Value| {
        json!({"model": "m", "messages": [
            {"role": "user", "content": "a", "own": first}, {"role": "user", "content": "b", "own": second},
        ]})
    };
    assert_eq!(asked(CHAT_TO_MESSAGES, &body(json!(1), json!(1)))["messages"][0]["own"], 1);
    assert_eq!(refused(CHAT_TO_MESSAGES, &body(json!(1), json!(2))).field, "messages[1].own");
}

#[test]
fn a_client_of_messages_has_one_answer() {
    let body = |n: u64| json!({"model": "m", "max_tokens": 1, "n": n, "messages": [{"role": "user", "content": "a"}]});
    assert!(asked(MESSAGES_TO_CHAT, &body(1)).get("n").is_none());
    assert_eq!(refused(MESSAGES_TO_CHAT, &body(2)).field, "n");
}

#[test]
fn a_call_that_is_cut_is_no_whole_one() {
    let call = |arguments: &str| {
        let piece =
            json!({"index": 0, "id": "t", "function": {"name": "f", "arguments": arguments}});
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]})
    };
    let ended =
        |reason: &str| json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]});
    let stream = |arguments: &str, reason: &str| chunks(&[call(arguments), ended(reason)]);
    assert!(told(MESSAGES_TO_CHAT, &stream("{\"a\":1}", "tool_calls")).is_ok());
    assert!(told(MESSAGES_TO_CHAT, &stream("{\"a\":", "length")).is_ok());
    let (out, bad) = told(MESSAGES_TO_CHAT, &stream("{\"a\":", "tool_calls")).unwrap_err();
    assert!(matches!(bad, BadAnswer::Malformed(_)), "{bad:?}");
    assert!(!out.contains("content_block_stop"), "{out}");

    let stream = |arguments: &str, reason: &str| {
        let block = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
        let delta = json!({"type": "input_json_delta", "partial_json": arguments});
        named(&[
            json!({"type": "message_start", "message": {}}),
            json!({"type": "content_block_start", "index": 0, "content_block": block}),
            json!({"type": "content_block_delta", "index": 0, "delta": delta}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": reason}}),
            json!({"type": "message_stop"}),
        ])
    };
    assert!(told(CHAT_TO_MESSAGES, &stream("{\"a\":1}", "tool_use")).is_ok());
    assert!(told(CHAT_TO_MESSAGES, &stream("{\"a\":", "max_tokens")).is_ok());
    let (out, bad) = told(CHAT_TO_MESSAGES, &stream("{\"a\":", "tool_use")).unwrap_err();
    assert!(matches!(bad, BadAnswer::Malformed(_)), "{bad:?}");
    assert!(!out.contains("[DONE]"), "{out}");
}

fn as_stream(pair: Pair, body: &Value) -> String {
    let translator = Translator::of_document(pair, &memo(), 200, 1, "x", 1 << 16);
    let mut translator = translator.told_as_stream();
    assert_eq!(translator.content_type(), pair.asked().stream_type());
    assert!(!translator.is_stream());
    let mut out = Vec::new();
    translator.feed(body.to_string().as_bytes(), &mut out).unwrap();
    assert!(out.is_empty());
    translator.end(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn what_is_no_answer_is_not_told_as_a_stream() {
    for body in ["{}", "null", "[]", r#"{"choices":[]}"#, r#"{"detail":"Not found"}"#] {
        for pair in [MESSAGES_TO_CHAT, CHAT_TO_MESSAGES] {
            let translator = Translator::of_document(pair, &memo(), 200, 1, "x", 1 << 16);
            let (mut translator, mut out) = (translator.told_as_stream(), Vec::new());
            translator.feed(body.as_bytes(), &mut out).unwrap();
            assert!(translator.end(&mut out).is_err(), "{body} {pair:?}");
            assert_eq!(out, b"", "{body} {pair:?}");
        }
    }
}

#[test]
fn a_stream_of_another_dialect_is_no_empty_answer() {
    let tokens = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n";
    for stream in [tokens, "data: {\"detail\":\"died\"}\n\n"] {
        let (out, bad) = told(CHAT_TO_TRITON, stream).unwrap_err();
        assert!(matches!(bad, BadAnswer::Malformed(_)) && out.is_empty(), "{bad:?}: {out}");
    }
}

#[test]
fn a_model_stands_in_a_path_as_one_name() {
    use crate::service::translate::members::want_path_name;

    for good in ["m", "org/model", "models/gemini-2.5-pro", "a.b", "..a"] {
        assert!(want_path_name(good).is_ok(), "{good}");
    }
    let long = "m".repeat(257);
    for bad in
        ["", ".", "..", "a/..", "../a", "a/../../b", "models/", "/a", "a//b", "a\\..\\b", &long]
    {
        assert!(want_path_name(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_document_is_told_as_the_stream_that_it_would_have_been() {
    let message = json!({"id": "msg_1", "type": "message", "content": [
            {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a \"b\"\n"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}},
        ], "stop_reason": "tool_use", "usage": {"input_tokens": 3, "output_tokens": 4}});
    let stream = as_stream(CHAT_TO_MESSAGES, &message);
    let events_of_chat = events(&stream);
    let deltas: Vec<&Value> =
        events_of_chat.iter().map(|(_, data)| &data["choices"][0]["delta"]).collect();
    assert!(deltas.iter().any(|delta| delta["content"] == "a \"b\"\n"), "{stream}");
    assert!(deltas.iter().any(|delta| delta["reasoning_content"] == "hm"), "{stream}");
    assert!(stream.contains(r#""arguments":"{\"x\":1}""#), "{stream}");
    assert!(stream.contains(r#""finish_reason":"tool_calls""#), "{stream}");
    assert!(stream.contains(r#""completion_tokens":4"#), "{stream}");
    assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");

    let choice = json!({"message": {"content": "hello"}, "finish_reason": "stop"});
    let completion = json!({"id": "c1", "choices": [choice],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4}});
    let stream = as_stream(MESSAGES_TO_CHAT, &completion);
    let names: Vec<String> = events(&stream).into_iter().map(|(name, _)| name).collect();
    let expected = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names, expected, "{stream}");
    assert!(stream.contains(r#""output_tokens":4"#), "{stream}");

    let failed = as_stream(MESSAGES_TO_CHAT, &json!({"error": {"message": "no", "code": 429}}));
    assert_eq!(events(&failed)[0].1["error"]["type"], "rate_limit_error");
}

#[test]
fn an_error_that_nobody_can_read_keeps_its_status() {
    let translator = Translator::of_document(CHAT_TO_MESSAGES, &memo(), 429, 1, "x", 4);
    let mut translator = translator.told_by_status();
    let mut out = Vec::new();
    translator.feed(b"\x1f\x8b\x08 and so on", &mut out).unwrap();
    translator.end(&mut out).unwrap();
    let error: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(error["error"]["code"], "rate_limit_exceeded");
}

/// `{"error":{"message":"too many","code":429}}`
const ZIPPED_ERROR: &[u8] = &[
    31, 139, 8, 0, 0, 0, 0, 0, 2, 255, 171, 86, 74, 45, 42, 202, 47, 82, 178, 170, 86, 202, 77, 45,
    46, 78, 76, 79, 85, 178, 82, 42, 201, 207, 87, 200, 77, 204, 171, 84, 210, 81, 74, 206, 79, 1,
    138, 152, 24, 89, 214, 214, 2, 0, 19, 161, 171, 62, 43, 0, 0, 0,
];

#[test]
fn an_answer_in_a_coding_that_nobody_asked_for_is_read() {
    let told = |body: &[u8], cut: usize| {
        let translator = Translator::of_document(CHAT_TO_MESSAGES, &memo(), 429, 1, "x", 1 << 10);
        let mut translator = translator.unpacking(Coding::Gzip);
        let mut out = Vec::new();
        for piece in [&body[..cut], &body[cut..]] {
            translator.feed(piece, &mut out).unwrap();
        }
        translator.end(&mut out).unwrap();
        let error: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(error["error"]["code"], "rate_limit_exceeded");
        error["error"]["message"].as_str().unwrap().to_owned()
    };
    for cut in 0..ZIPPED_ERROR.len() {
        assert_eq!(told(ZIPPED_ERROR, cut), "too many");
    }
    // What cannot be undone keeps its status.
    assert!(told(b"no gzip at all", 3).contains("429"));
    // A window of a gigabyte, and what follows in many pieces.
    let of_error = Translator::of_document(CHAT_TO_MESSAGES, &memo(), 429, 1, "x", 1 << 10);
    let mut of_error = of_error.unpacking(Coding::Zstd);
    let mut out = Vec::new();
    for byte in [&b"\x28\xb5\x2f\xfd\x00\xa0"[..], &[0; 100]].concat() {
        of_error.feed(&[byte], &mut out).unwrap();
    }
    of_error.end(&mut out).unwrap();
    assert!(String::from_utf8_lossy(&out).contains("429"));
    let of_stream = Translator::of_stream(CHAT_TO_MESSAGES, &memo(), 1, "x");
    let mut of_stream = of_stream.unpacking(Coding::Gzip);
    let bad = of_stream.feed(b"no gzip at all", &mut Vec::new()).unwrap_err();
    assert!(matches!(bad, BadAnswer::Malformed(_)), "{bad:?}");
}

#[test]
fn a_call_has_a_name_and_an_object_for_its_arguments_and_a_text_is_one() {
    let malformed = |pair: Pair, body: Value| {
        let mut translator = Translator::of_document(pair, &memo(), 200, 7, "x", 1 << 16);
        let mut out = Vec::new();
        translator.feed(body.to_string().as_bytes(), &mut out).unwrap();
        assert!(translator.end(&mut out).is_err(), "{pair:?} {body}");
    };
    for function in [
        json!({"arguments": {}}),
        json!({"name": ""}),
        json!({"name": "f", "arguments": [1]}),
        json!({"name": "f", "arguments": "{\"x\": "}),
    ] {
        let message = json!({"tool_calls": [{"function": function}]});
        malformed(CHAT_TO_OLLAMA, json!({"message": message, "done": true}));
        let line = format!("{}\n", json!({"message": message, "done": true}));
        assert!(told(CHAT_TO_OLLAMA, &line).is_err(), "{line}");
    }
    for call in [json!({"args": {}}), json!({"name": ""}), json!({"name": "f", "args": [1]})] {
        let candidate =
            json!({"content": {"parts": [{"functionCall": call}]}, "finishReason": "STOP"});
        malformed(CHAT_TO_GEMINI, json!({"candidates": [candidate]}));
        let event = format!("data: {}\n\n", json!({"candidates": [candidate]}));
        assert!(told(CHAT_TO_GEMINI, &event).is_err(), "{event}");
    }
    for block in [
        json!({"type": "tool_use", "id": "t", "input": {}}),
        json!({"type": "tool_use", "name": "f", "input": "x"}),
    ] {
        malformed(CHAT_TO_MESSAGES, json!({"content": [block], "stop_reason": "tool_use"}));
    }
    for content in [json!(7), json!([{"type": "text", "text": "a"}]), json!({"a": 1})] {
        malformed(CHAT_TO_OLLAMA, json!({"message": {"content": content}, "done": true}));
        let part = json!({"text": content});
        malformed(CHAT_TO_GEMINI, json!({"candidates": [{"content": {"parts": [part]}}]}));
        malformed(CHAT_TO_MESSAGES, json!({"content": [{"type": "text", "text": content}]}));
    }
}

#[test]
fn arguments_that_break_off_are_no_whole_call() {
    let document = |reason: &str| {
        let call = json!({"id": "a", "function": {"name": "f", "arguments": "{\"x\": [1"}});
        let choice = json!({"message": {"tool_calls": [call]}, "finish_reason": reason});
        let body = json!({"choices": [choice]}).to_string();
        let mut translator =
            Translator::of_document(Pair::RESPONSES_TO_CHAT, &memo(), 200, 7, "x", 1 << 16);
        translator.feed(body.as_bytes(), &mut Vec::new()).unwrap();
        translator.end(&mut Vec::new())
    };
    assert!(matches!(document("tool_calls"), Err(BadAnswer::Malformed(_))));
    // It has become too long, and says so.
    assert_eq!(document("length"), Ok(()));
    // A server that says nothing but that it is done.
    let stream = named(&[
        json!({"type": "message_start", "message": {"id": "m"}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{\"x\":"}}),
        json!({"type": "message_stop"}),
    ]);
    assert!(matches!(told(CHAT_TO_MESSAGES, &stream), Err((_, BadAnswer::Malformed(_)))));
}

/// Found by `tests/fuzz`: the line of data was taken for all of the event where it came in one piece.
#[test]
fn an_event_with_an_error_and_data_is_told_alike_at_any_cut() {
    let stream = "error: {\"message\":\"no\"}\ndata: {\"type\":\"a\"}\n\n";
    let whole = told(CHAT_TO_MESSAGES, stream);
    assert!(
        whole.as_ref().is_ok_and(|told| told.contains("no") && told.contains("a")),
        "{whole:?}"
    );
    for cut in 0..=stream.len() {
        let (front, back) = stream.as_bytes().split_at(cut);
        assert_eq!(told_in(CHAT_TO_MESSAGES, &[front, back]), whole, "{cut}");
    }
}
