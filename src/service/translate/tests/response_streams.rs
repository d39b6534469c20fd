//! Streams and documents of OpenAI chat and Anthropic messages, told as OpenAI responses.

use serde_json::{Value, json};

use super::{
    BadAnswer, Memo, RESPONSES_TO_CHAT, RESPONSES_TO_MESSAGES, Translator, chunks, events, named,
    request, told,
};

fn delta(delta: Value) -> Value {
    json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn finish(reason: &str) -> Value {
    json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

fn usage() -> Value {
    json!({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 2}}})
}

/// The events, whose numbers and names are as they have to be.
fn response_events(stream: &str) -> Vec<Value> {
    let events = events(stream);
    for (number, (name, data)) in events.iter().enumerate() {
        assert_eq!(data["sequence_number"], number, "{stream}");
        assert_eq!(data["type"], name.as_str(), "{stream}");
    }
    events.into_iter().map(|(_, data)| data).collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap().trim_start_matches("response."))
        .collect()
}

#[test]
fn a_text_is_told_with_all_its_events() {
    let stream = chunks(&[
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"content": "a "})),
        delta(json!({"content": "\"b\""})),
        finish("stop"),
        usage(),
    ]);
    let events = response_events(&told(RESPONSES_TO_CHAT, &stream).unwrap());
    let expected = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(names(&events), expected);
    assert_eq!(events[0]["response"]["status"], "in_progress");
    assert_eq!(events[0]["response"]["usage"], Value::Null);
    let id = &events[2]["item"]["id"];
    for event in &events[3..8] {
        assert_eq!((&event["item_id"], &event["output_index"]), (id, &json!(0)), "{event}");
        assert_eq!(event["content_index"], 0);
    }
    assert_eq!((&events[4]["delta"], &events[5]["delta"]), (&json!("a "), &json!("\"b\"")));
    assert_eq!(events[6]["text"], "a \"b\"");
    assert_eq!(events[8]["item"]["content"][0]["text"], "a \"b\"");
    let response = &events[9]["response"];
    assert_eq!(response["status"], "completed");
    assert_eq!(response["model"], "m");
    assert_eq!(response["output"][0], events[8]["item"]);
    assert_eq!(
        response["usage"],
        json!({"input_tokens": 12, "input_tokens_details": {"cached_tokens": 3}, "output_tokens": 7,
               "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 19})
    );
}

#[test]
fn thinking_refusals_and_calls_are_items_and_parts() {
    let piece = |index: u64, id: Option<&str>, name: Option<&str>, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        delta(json!({"tool_calls": [{"index": index, "id": id, "function": function}]}))
    };
    let stream = chunks(&[
        delta(json!({"reasoning_content": "hm"})),
        delta(json!({"content": "I "})),
        delta(json!({"refusal": "no"})),
        piece(0, Some("c1"), Some("f"), ""),
        piece(0, None, None, "{\"x\""),
        piece(1, Some("c2"), Some("g"), "{}"),
        piece(0, None, None, ":1}"),
        piece(2, Some("c3"), Some("h"), ""),
        finish("tool_calls"),
    ]);
    let events = response_events(&told(RESPONSES_TO_CHAT, &stream).unwrap());
    let response = &events.last().unwrap()["response"];
    let output = response["output"].as_array().unwrap();
    let kinds: Vec<&Value> = output.iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call", "function_call", "function_call"]);
    assert_eq!(output[0]["content"], json!([{"type": "reasoning_text", "text": "hm"}]));
    assert_eq!(output[1]["content"][1], json!({"type": "refusal", "refusal": "no"}));
    assert_eq!(
        (&output[2]["call_id"], &output[2]["arguments"]),
        (&json!("c1"), &json!("{\"x\":1}"))
    );
    assert_eq!((&output[3]["name"], &output[3]["arguments"]), (&json!("g"), &json!("{}")));
    assert_eq!(output[4]["arguments"], "{}");
    // Each item begins once and ends once, and what its deltas say is what it holds.
    for (index, item) in output.iter().enumerate() {
        let of = |name: &str| {
            let name = format!("response.{name}");
            let here =
                |event: &&Value| event["type"] == name.as_str() && event["output_index"] == index;
            events.iter().filter(here).cloned().collect::<Vec<Value>>()
        };
        assert_eq!(of("output_item.added").len(), 1);
        assert_eq!(of("output_item.done").len(), 1);
        assert_eq!(&of("output_item.done")[0]["item"], item);
        let deltas = of("function_call_arguments.delta");
        let said: String = deltas.iter().map(|event| event["delta"].as_str().unwrap()).collect();
        assert_eq!(said, item["arguments"].as_str().unwrap_or_default());
    }
}

#[test]
fn why_it_ended_is_the_status() {
    for (reason, name, why) in [
        ("length", "response.incomplete", "max_output_tokens"),
        ("content_filter", "response.incomplete", "content_filter"),
    ] {
        let stream = chunks(&[delta(json!({"content": "a"})), finish(reason)]);
        let events = response_events(&told(RESPONSES_TO_CHAT, &stream).unwrap());
        let last = events.last().unwrap();
        assert_eq!(last["type"], name);
        assert_eq!(last["response"]["incomplete_details"]["reason"], why);
        assert_eq!(last["response"]["output"][0]["status"], "incomplete");
    }
    let cut = "data: ".to_owned() + &delta(json!({"content": "a"})).to_string() + "\n\n";
    assert_eq!(told(RESPONSES_TO_CHAT, &cut).unwrap_err().1, BadAnswer::Unfinished);
    assert_eq!(told(RESPONSES_TO_CHAT, "").unwrap_err().1, BadAnswer::Unfinished);
}

#[test]
fn an_error_fails_the_response() {
    let error = json!({"error": {"message": "too many", "type": "rate_limit_error", "code": 429}});
    let under_way = chunks(&[delta(json!({"content": "a"})), error.clone()]);
    let events = response_events(&told(RESPONSES_TO_CHAT, &under_way).unwrap());
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["status"], "failed");
    let said = json!({"code": "rate_limit_exceeded", "message": "too many"});
    assert_eq!(last["response"]["error"], said);
    let at_once = told(RESPONSES_TO_CHAT, &chunks(&[error])).unwrap();
    let (name, data) = &super::events(&at_once)[0];
    assert_eq!((name.as_str(), &data["error"]["message"]), ("error", &json!("too many")));
}

#[test]
fn a_stream_of_messages_passes_two_legs() {
    let text = |text: &str| {
        let delta = json!({"type": "text_delta", "text": text});
        json!({"type": "content_block_delta", "index": 0, "delta": delta})
    };
    let stream = named(&[
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "c", "usage": {"input_tokens": 3}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        text("a"),
        json!({"type": "ping"}),
        text("b"),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}),
        json!({"type": "message_stop"}),
    ]);
    let out = told(RESPONSES_TO_MESSAGES, &stream).unwrap();
    assert!(out.contains(": ping\n\n"), "{out}");
    let events = response_events(&out);
    let response = &events.last().unwrap()["response"];
    assert_eq!(response["output"][0]["content"][0]["text"], "ab");
    assert_eq!(response["usage"]["input_tokens"], 3);
    assert_eq!(response["usage"]["output_tokens"], 4);
}

#[test]
fn what_was_asked_stands_in_the_answer_again() {
    let body = json!({"model": "m", "input": "a", "instructions": "Be brief.", "temperature": 0.25,
        "metadata": {"k": "v"}, "tools": [{"type": "function", "name": "f"}]});
    let memo = request(RESPONSES_TO_CHAT, body.to_string().as_bytes(), None).unwrap().memo;
    let document = |memo: &Memo, body: &Value| {
        let mut translator = Translator::of_document(RESPONSES_TO_CHAT, memo, 200, 7, "x", 1 << 16);
        let mut out = Vec::new();
        translator.feed(body.to_string().as_bytes(), &mut out).unwrap();
        translator.end(&mut out).unwrap();
        serde_json::from_slice::<Value>(&out).unwrap()
    };
    let call = json!({"id": "c1", "function": {"name": "f", "arguments": "{\"x\":1}"}});
    let message = json!({"content": "hello", "reasoning": "hm", "tool_calls": [call]});
    let completion = json!({"choices": [{"message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2}});
    let response = document(&memo, &completion);
    assert_eq!(response["object"], "response");
    assert_eq!(response["created_at"], 7);
    assert_eq!(response["instructions"], "Be brief.");
    assert_eq!(response["temperature"], 0.25);
    assert_eq!(response["metadata"], json!({"k": "v"}));
    assert_eq!(response["tools"][0]["name"], "f");
    assert_eq!(response["store"], false);
    let output = response["output"].as_array().unwrap();
    assert_eq!(output[0]["content"][0]["text"], "hm");
    assert_eq!(output[1]["content"][0]["text"], "hello");
    assert_eq!((&output[2]["call_id"], &output[2]["name"]), (&json!("c1"), &json!("f")));
    assert_eq!(response["usage"]["total_tokens"], 3);
}
