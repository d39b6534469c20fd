//! Streams of OpenAI chat, told to a client of Anthropic's.

use serde_json::{Value, json};

use super::super::{BadAnswer, EVENT_BYTES_MAX, Translator};
use super::MESSAGES_TO_CHAT;
use super::{chunks, events, memo, told};

fn chunk(delta: Value) -> Value {
    json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "served",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": null}]})
}

fn finish(reason: &str) -> Value {
    let mut last = chunk(json!({}));
    last["choices"][0]["finish_reason"] = reason.into();
    last
}

/// The types of the events, with what matters of each.
fn outline(stream: &str) -> Vec<String> {
    let line = |(name, data): (String, Value)| {
        assert_eq!(data["type"], name.as_str(), "an event is named by its type");
        let index = data["index"].as_u64().map_or(String::new(), |index| format!(" {index}"));
        let what = match name.as_str() {
            "content_block_start" => data["content_block"].to_string(),
            "content_block_delta" => {
                let delta = &data["delta"];
                let text = ["text", "thinking", "partial_json"]
                    .into_iter()
                    .find_map(|it| delta[it].as_str());
                format!("{} {}", delta["type"].as_str().unwrap(), text.unwrap())
            }
            "message_delta" => data["delta"].to_string(),
            "error" => data["error"].to_string(),
            _ => String::new(),
        };
        format!("{name}{index} {what}").trim_end_matches(' ').replace("content_block_", "")
    };
    events(stream).into_iter().map(line).collect()
}

#[test]
fn an_answer_with_thinking_text_and_calls() {
    // As vLLM writes it.
    let stream = chunks(&[
        chunk(json!({"role": "assistant", "content": ""})),
        chunk(json!({"reasoning_content": "Let me"})),
        chunk(json!({"reasoning_content": " see"})),
        chunk(json!({"content": "I \"look\"\n"})),
        chunk(
            json!({"content": null, "tool_calls": [{"index": 0, "id": "call_a", "type": "function",
            "function": {"name": "w", "arguments": ""}}]}),
        ),
        chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"city\":"}}]})),
        chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": " \"Bern\"}"}}]})),
        chunk(json!({"tool_calls": [{"index": 1, "id": "call_b", "type": "function",
            "function": {"name": "v", "arguments": "{}"}}]})),
        finish("tool_calls"),
        json!({"id": "c1", "object": "chat.completion.chunk", "model": "served", "choices": [], "usage":
            {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42,
             "prompt_tokens_details": {"cached_tokens": 10}}}),
    ]);
    let got = told(MESSAGES_TO_CHAT, &stream).unwrap();
    assert_eq!(
        outline(&got),
        [
            "message_start",
            r#"start 0 {"type":"thinking","thinking":"","signature":""}"#,
            "delta 0 thinking_delta Let me",
            "delta 0 thinking_delta  see",
            "stop 0",
            r#"start 1 {"type":"text","text":""}"#,
            "delta 1 text_delta I \"look\"\n",
            "stop 1",
            r#"start 2 {"type":"tool_use","id":"call_a","name":"w","input":{}}"#,
            r#"delta 2 input_json_delta {"city":"#,
            r#"delta 2 input_json_delta  "Bern"}"#,
            "stop 2",
            r#"start 3 {"type":"tool_use","id":"call_b","name":"v","input":{}}"#,
            "delta 3 input_json_delta {}",
            "stop 3",
            r#"message_delta {"stop_reason":"tool_use","stop_sequence":null}"#,
            "message_stop",
        ]
    );
    let events = events(&got);
    assert_eq!(
        events[0].1["message"],
        json!({"id": "c1", "type": "message", "role": "assistant", "model": "served", "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 0,
            "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}})
    );
    assert_eq!(
        events[events.len() - 2].1["usage"],
        json!({"input_tokens": 20, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 10,
            "output_tokens": 12})
    );
}

/// What servers write otherwise, and what of it matters.
#[test]
fn quirks_of_servers() {
    let text = |text: &str| format!("delta 0 text_delta {text}");
    let end = |reason: &str| {
        vec![
            "stop 0".to_owned(),
            format!(r#"message_delta {{"stop_reason":"{reason}","stop_sequence":null}}"#),
            "message_stop".into(),
        ]
    };
    let whole = |texts: &[&str], reason: &str| {
        let start = ["message_start", r#"start 0 {"type":"text","text":""}"#].map(str::to_owned);
        let texts = texts.iter().map(|it| text(it));
        start.into_iter().chain(texts).chain(end(reason)).collect::<Vec<_>>()
    };
    let data = |data: &Value| format!("data: {data}\n\n");
    let hi = data(&chunk(json!({"content": "hi"})));
    let stop = data(&finish("stop"));
    let cases = [
        ("no [DONE] behind a reason", format!("{hi}{stop}"), whole(&["hi"], "end_turn")),
        ("[DONE] without a reason", format!("{hi}data: [DONE]\n\n"), whole(&["hi"], "end_turn")),
        (
            "without a space, with CR LF",
            format!("{hi}{stop}").replace("data: ", "data:").replace('\n', "\r\n"),
            whole(&["hi"], "end_turn"),
        ),
        (
            "Azure's first chunk",
            format!(
                "data: {{\"id\":\"\",\"model\":\"\",\"choices\":[],\"prompt_filter_results\":[]}}\n\n{hi}{stop}"
            ),
            whole(&["hi"], "end_turn"),
        ),
        (
            "nulls and empty texts",
            format!(
                "{}{hi}{}{stop}",
                data(&chunk(
                    json!({"role": "assistant", "content": null, "tool_calls": null, "refusal": null})
                )),
                data(&chunk(json!({"content": "", "reasoning_content": null, "tool_calls": []})))
            ),
            whole(&["hi"], "end_turn"),
        ),
        (
            "the text in the last delta",
            {
                let mut last = chunk(json!({"content": "!"}));
                last["choices"][0]["finish_reason"] = "length".into();
                last["usage"] = json!({"prompt_tokens": 1, "completion_tokens": 2});
                format!("{hi}{}", data(&last))
            },
            whole(&["hi", "!"], "max_tokens"),
        ),
        (
            "two choices in one event",
            {
                let mut both = chunk(json!({"content": "a"}));
                let second = chunk(json!({"content": "b"}))["choices"][0].clone();
                both["choices"].as_array_mut().unwrap().push(second);
                format!("{}{0}{hi}{stop}", data(&both))
            },
            whole(&["a", "b", "a", "b", "hi"], "end_turn"),
        ),
        ("more behind the end", format!("{hi}{stop}{hi}{stop}"), whole(&["hi"], "end_turn")),
        (
            "an empty finish_reason",
            format!("{}{stop}", hi.replace("null}]", "\"\"}]")),
            whole(&["hi"], "end_turn"),
        ),
        (
            "a reason that nobody knows",
            format!("{hi}{}", data(&finish("eos"))),
            whole(&["hi"], "end_turn"),
        ),
        (
            "content_filter",
            format!("{hi}{}", data(&finish("content_filter"))),
            whole(&["hi"], "refusal"),
        ),
        (
            "a refusal",
            format!("{}{stop}", data(&chunk(json!({"refusal": "no"})))),
            whole(&["no"], "refusal"),
        ),
        (
            "a delta over two lines",
            hi.replace("\"choices\"", "\ndata: \"choices\"") + &stop,
            whole(&["hi"], "end_turn"),
        ),
    ];
    for (what, stream, expected) in cases {
        let got = told(MESSAGES_TO_CHAT, &stream).unwrap_or_else(|bad| panic!("{what}: {bad:?}"));
        assert_eq!(outline(&got), expected, "{what}");
    }
}

#[test]
fn calls_that_come_mixed_or_unnumbered_are_told_in_order() {
    let call = |call: Value| chunk(json!({ "tool_calls": [call] }));
    let named = |index: Option<u64>, id: &str, arguments: &str| {
        call(json!({"index": index, "id": id, "function": {"name": "f", "arguments": arguments}}))
    };
    let more =
        |index: u64, text: &str| call(json!({"index": index, "function": {"arguments": text}}));
    let cases = [
        (
            "mixed",
            vec![
                named(Some(0), "a", "{\"x"),
                named(Some(1), "b", "{\"y"),
                more(0, "\":1}"),
                more(1, "\":2}"),
            ],
        ),
        (
            "one index for two",
            vec![named(Some(0), "a", "{\"x\":1}"), named(Some(0), "b", "{\"y\":2}")],
        ),
        ("no index", vec![named(None, "a", "{\"x\":1}"), named(None, "b", "{\"y\":2}")]),
        (
            "the name again",
            vec![
                named(Some(0), "a", ""),
                named(Some(0), "a", "{\"x\":1}"),
                named(Some(1), "b", "{\"y\":2}"),
            ],
        ),
        (
            "objects",
            vec![
                call(
                    json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": 1}}}),
                ),
                call(
                    json!({"index": 1, "id": "b", "function": {"name": "f", "arguments": {"y": 2}}}),
                ),
            ],
        ),
        (
            "both at once",
            vec![chunk(json!({"tool_calls": [
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{\"x\":1}"}},
            {"index": 1, "id": "b", "function": {"name": "f", "arguments": "{\"y\":2}"}}]}))],
        ),
    ];
    for (what, mut stream) in cases {
        // Ollama ends an answer with calls so.
        stream.push(finish("stop"));
        let got = told(MESSAGES_TO_CHAT, &chunks(&stream))
            .unwrap_or_else(|bad| panic!("{what}: {bad:?}"));
        let mut blocks: Vec<(String, String)> = Vec::new();
        let mut stops = 0;
        for (_, event) in events(&got) {
            match event["type"].as_str().unwrap() {
                "content_block_start" => {
                    assert_eq!(stops, blocks.len(), "{what}: one block is open at a time");
                    blocks.push((
                        event["content_block"]["id"].as_str().unwrap().into(),
                        String::new(),
                    ));
                }
                "content_block_delta" => {
                    let text = event["delta"]["partial_json"].as_str().unwrap();
                    blocks.last_mut().unwrap().1.push_str(text);
                }
                "content_block_stop" => stops += 1,
                "message_delta" => assert_eq!(event["delta"]["stop_reason"], "tool_use"),
                _ => {}
            }
        }
        let expected =
            [("a", "{\"x\":1}"), ("b", "{\"y\":2}")].map(|(id, it)| (id.to_owned(), it.to_owned()));
        assert_eq!((blocks.as_slice(), stops), (expected.as_slice(), 2), "{what}");
    }
}

#[test]
fn the_sequence_that_stopped_a_text_is_told() {
    for member in ["stop_reason", "matched_stop"] {
        let mut last = finish("stop");
        last["choices"][0][member] = "END".into();
        let got = told(MESSAGES_TO_CHAT, &chunks(&[chunk(json!({"content": "a"})), last])).unwrap();
        assert!(got.contains(r#"{"stop_reason":"stop_sequence","stop_sequence":"END"}"#), "{got}");
    }
}

#[test]
fn errors_are_told_in_anthropics_words() {
    let cases = [
        (
            r#"data: {"error":{"message":"m","type":"BadRequestError","param":null,"code":400}}"#,
            "invalid_request_error",
        ),
        (r#"data: {"error":{"message":"m","type":"server_error","code":503}}"#, "overloaded_error"),
        (
            r#"data: {"error":{"message":"m","type":"x","code":"rate_limit_exceeded"}}"#,
            "rate_limit_error",
        ),
        (r#"data: {"object":"error","message":"m","type":"x","code":404}"#, "not_found_error"),
        (r#"error: {"code":500,"message":"m","type":"server_error"}"#, "api_error"),
        ("event: error\ndata: {\"message\":\"m\"}", "api_error"),
    ];
    for (event, kind) in cases {
        let hi = format!("data: {}\n\n", chunk(json!({"content": "hi"})));
        let got = told(MESSAGES_TO_CHAT, &format!("{hi}{event}\n\n{hi}data: [DONE]\n\n")).unwrap();
        let error = json!({"type": kind, "message": "m"});
        assert_eq!(outline(&got).last().unwrap(), &format!("error {error}"), "{event}");
    }
}

#[test]
fn comments_are_pings() {
    let hi = format!("data: {}\n\n", chunk(json!({"content": "hi"})));
    let stream = format!(": OPENROUTER PROCESSING\n\n{hi}: hb\n\n{hi}data: [DONE]\n\n");
    let got = told(MESSAGES_TO_CHAT, &stream).unwrap();
    assert_eq!(got.matches("event: ping\ndata: {\"type\": \"ping\"}\n\n").count(), 2);
}

#[test]
fn what_is_no_answer_is_told_so() {
    let hi = format!("data: {}\n\n", chunk(json!({"content": "hi"})));
    let event = |data: Value| format!("{hi}data: {data}\n\n");
    let mut second = chunk(json!({"content": "x"}));
    second["choices"][0]["index"] = 1.into();
    let unknown = |what: &str| BadAnswer::Unknown(what.into());
    let cases = [
        (hi.clone(), BadAnswer::Unfinished),
        (String::new(), BadAnswer::Unfinished),
        ("data: [DONE]\n\n".into(), BadAnswer::Unfinished),
        (event(second), unknown("a second choice")),
        (event(chunk(json!({"audio": {"data": "x"}}))), unknown("a `audio` in a delta")),
        (
            event(chunk(json!({"content": [{"type": "thinking"}]}))),
            unknown("a `content` that is no text"),
        ),
    ];
    for (stream, expected) in cases {
        assert_eq!(told(MESSAGES_TO_CHAT, &stream).unwrap_err().1, expected, "{stream}");
    }
    for data in ["x", "[1]", "{\"choices\":1}", "{\"choices\":[{\"delta\":{\"content\":\"a}"] {
        let bad = told(MESSAGES_TO_CHAT, &format!("{hi}data: {data}\n\n{hi}")).unwrap_err();
        assert!(matches!(bad.1, BadAnswer::Malformed(_)), "{data}: {bad:?}");
        assert_eq!(bad.0.matches("text_delta").count(), 1, "nothing is written behind it");
    }
}

#[test]
fn memory_is_bounded() {
    let mut translator = Translator::of_stream(MESSAGES_TO_CHAT, &memo(), 1, "x");
    let mut out = Vec::new();
    let piece = [b'x'; 4096];
    assert_eq!(translator.feed(b"data: {", &mut out), Ok(()));
    for _ in 0..EVENT_BYTES_MAX / piece.len() - 1 {
        assert_eq!(translator.feed(&piece, &mut out), Ok(()));
    }
    assert_eq!(translator.feed(&piece, &mut out), Err(BadAnswer::TooLong(EVENT_BYTES_MAX)));
    assert_eq!(translator.end(&mut out), Err(BadAnswer::TooLong(EVENT_BYTES_MAX)));
    assert!(out.is_empty());
}
