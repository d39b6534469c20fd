//! Streams and documents of Ollama, Gemini, TGI and Triton, told as OpenAI chat.

use serde_json::{Value, json};

use super::{
    BadAnswer, CHAT_TO_GEMINI, CHAT_TO_OLLAMA, CHAT_TO_TGI, CHAT_TO_TRITON, Pair, Translator,
    events, memo, told,
};

/// What a client of OpenAI chat reads: text, thinking, calls, reason, usage.
fn read(stream: &str) -> Value {
    assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
    let (mut text, mut thought, mut calls) = (String::new(), String::new(), Vec::<Value>::new());
    let (mut reason, mut usage) = (Value::Null, Value::Null);
    for (_, data) in events(stream) {
        let choice = &data["choices"][0];
        text += choice["delta"]["content"].as_str().unwrap_or_default();
        thought += choice["delta"]["reasoning_content"].as_str().unwrap_or_default();
        for piece in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            if piece["function"]["name"].is_string() {
                assert_eq!(piece["index"], calls.len());
                calls.push(piece.clone());
            } else {
                let call = &mut calls[piece["index"].as_u64().unwrap() as usize]["function"];
                let more = piece["function"]["arguments"].as_str().unwrap();
                call["arguments"] = (call["arguments"].as_str().unwrap().to_owned() + more).into();
            }
        }
        if choice["finish_reason"].is_string() {
            reason = choice["finish_reason"].clone();
        }
        if data["usage"].is_object() {
            usage = data["usage"].clone();
        }
    }
    json!({"text": text, "thought": thought, "calls": calls, "reason": reason, "usage": usage})
}

fn lines(data: &[Value]) -> String {
    data.iter().map(|data| format!("{data}\n")).collect()
}

fn sse(data: &[Value]) -> String {
    data.iter().map(|data| format!("data: {data}\r\n\r\n")).collect()
}

fn document(pair: Pair, body: &Value) -> Result<Value, BadAnswer> {
    let mut translator = Translator::of_document(pair, &memo(), 200, 7, "x", 1 << 16);
    let mut out = Vec::new();
    translator.feed(body.to_string().as_bytes(), &mut out)?;
    translator.end(&mut out)?;
    Ok(serde_json::from_slice(&out).unwrap())
}

fn ollama(message: Value, more: Value) -> Value {
    let mut line = json!({"model": "served", "created_at": "2025-01-01T00:00:00Z", "message": message, "done": false});
    line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    line
}

#[test]
fn ollamas_lines_are_chunks() {
    let said = |text: &str| ollama(json!({"role": "assistant", "content": text}), json!({}));
    let call = json!({"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}});
    let end = json!({"done": true, "done_reason": "stop", "prompt_eval_count": 9, "eval_count": 4,
        "total_duration": 5});
    let stream = lines(&[
        ollama(json!({"role": "assistant", "content": "", "thinking": "hm"}), json!({})),
        said("a \"b\""),
        said("\u{1f600}"),
        ollama(json!({"role": "assistant", "content": "", "tool_calls": [call]}), json!({})),
        ollama(json!({"role": "assistant", "content": ""}), end),
    ]);
    let out = told(CHAT_TO_OLLAMA, &stream).unwrap();
    assert!(out.contains(r#""model":"served""#), "{out}");
    let got = read(&out);
    assert_eq!((&got["text"], &got["thought"]), (&json!("a \"b\"\u{1f600}"), &json!("hm")));
    assert_eq!(got["calls"][0]["function"], json!({"name": "f", "arguments": "{\"x\":1}"}));
    assert_eq!(got["reason"], "tool_calls");
    assert_eq!(
        (&got["usage"]["prompt_tokens"], &got["usage"]["completion_tokens"]),
        (&json!(9), &json!(4))
    );
    // The last line needs no end of its own, and a stream needs a last line.
    assert_eq!(told(CHAT_TO_OLLAMA, stream.trim_end()).unwrap(), out);
    let cut = lines(&[said("a")]);
    assert_eq!(told(CHAT_TO_OLLAMA, &cut).unwrap_err().1, BadAnswer::Unfinished);
    let failed = lines(&[said("a"), json!({"error": "out of memory"})]);
    assert!(told(CHAT_TO_OLLAMA, &failed).unwrap().contains("out of memory"));
    let whole = ollama(
        json!({"role": "assistant", "content": "hello", "thinking": "hm"}),
        json!({"done": true, "done_reason": "length", "prompt_eval_count": 9, "eval_count": 4}),
    );
    let answer = document(CHAT_TO_OLLAMA, &whole).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "hello");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["total_tokens"], 13);
}

/// Servers that speak Ollama's dialect beside OpenAI's write arguments as OpenAI does.
#[test]
fn ollamas_arguments_may_be_a_text() {
    let end = json!({"done": true, "done_reason": "stop"});
    let call = |arguments: &str| json!({"function": {"name": "f", "arguments": arguments}});
    let calls = [call("{\"x\": \"a\\\"b\"}"), call("")];
    let message = json!({"role": "assistant", "content": "", "tool_calls": calls});
    let line = ollama(message, end);
    let read = [
        read(&told(CHAT_TO_OLLAMA, &lines(std::slice::from_ref(&line))).unwrap())["calls"].clone(),
        document(CHAT_TO_OLLAMA, &line).unwrap()["choices"][0]["message"]["tool_calls"].clone(),
    ];
    for calls in read {
        assert_eq!(calls[0]["function"]["arguments"], "{\"x\": \"a\\\"b\"}", "{calls}");
        assert_eq!(calls[1]["function"]["arguments"], "{}", "{calls}");
    }
}

/// What `/api/generate` says has no message: it is no empty answer.
#[test]
fn a_stream_without_a_message_is_none_of_ollamas_chats() {
    let generated = lines(&[
        json!({"model": "m", "response": "hello", "done": false}),
        json!({"model": "m", "response": "", "done": true, "done_reason": "stop"}),
    ]);
    let (out, bad) = told(CHAT_TO_OLLAMA, &generated).unwrap_err();
    assert_eq!((&*out, bad), ("", BadAnswer::Malformed("has no `message`".into())));
}

fn gemini(parts: Value, more: Value) -> Value {
    let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": 0});
    candidate.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"candidates": [candidate], "modelVersion": "gemini-2.5-flash", "responseId": "r1",
           "usageMetadata": {"promptTokenCount": 12, "cachedContentTokenCount": 4, "candidatesTokenCount": 5,
                             "thoughtsTokenCount": 3, "totalTokenCount": 20}})
}

#[test]
fn geminis_parts_are_deltas() {
    let mut first = gemini(json!([{"text": "hm", "thought": true}]), json!({}));
    first.as_object_mut().unwrap().remove("usageMetadata");
    let call = json!({"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "sig"});
    let stream = sse(&[
        first,
        gemini(json!([{"text": "a "}, {"text": "b"}]), json!({})),
        gemini(json!([call]), json!({"finishReason": "STOP"})),
    ]);
    let out = told(CHAT_TO_GEMINI, &stream).unwrap();
    let got = read(&out);
    assert_eq!((&got["text"], &got["thought"]), (&json!("a b"), &json!("hm")));
    assert_eq!(got["calls"][0]["function"], json!({"name": "f", "arguments": "{\"x\":1}"}));
    assert_eq!(got["calls"][0]["extra_content"]["google"]["thought_signature"], "sig");
    assert_eq!(got["reason"], "tool_calls");
    let usage = json!({"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3}});
    assert_eq!(got["usage"], usage);
    assert!(out.contains(r#""id":"r1""#) && out.contains("gemini-2.5-flash"), "{out}");

    let blocked = sse(&[json!({"promptFeedback": {"blockReason": "SAFETY"}})]);
    assert_eq!(read(&told(CHAT_TO_GEMINI, &blocked).unwrap())["reason"], "content_filter");
    for (reason, expected) in
        [("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("NEW", "stop")]
    {
        let stream = sse(&[gemini(json!([{"text": "a"}]), json!({ "finishReason": reason }))]);
        assert_eq!(read(&told(CHAT_TO_GEMINI, &stream).unwrap())["reason"], expected);
    }
    let cut = sse(&[gemini(json!([{"text": "a"}]), json!({}))]);
    assert_eq!(told(CHAT_TO_GEMINI, &cut).unwrap_err().1, BadAnswer::Unfinished);
    let unknown = sse(&[gemini(json!([{"executableCode": {}}]), json!({}))]);
    assert!(matches!(told(CHAT_TO_GEMINI, &unknown).unwrap_err().1, BadAnswer::Unknown(_)));
    let malformed = sse(&[gemini(json!([]), json!({"finishReason": "MALFORMED_FUNCTION_CALL"}))]);
    assert!(told(CHAT_TO_GEMINI, &malformed).unwrap().contains("\"error\""));
    let error =
        json!({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}});
    assert!(told(CHAT_TO_GEMINI, &sse(&[error])).unwrap().contains("rate_limit_exceeded"));

    let call = json!({"functionCall": {"id": "c7", "name": "f", "args": {}}});
    let whole = gemini(
        json!([{"text": "hm", "thought": true}, {"text": "hello"}, call]),
        json!({"finishReason": "STOP"}),
    );
    let answer = document(CHAT_TO_GEMINI, &whole).unwrap();
    let message = &answer["choices"][0]["message"];
    assert_eq!(
        (&message["content"], &message["reasoning_content"]),
        (&json!("hello"), &json!("hm"))
    );
    assert_eq!(
        (&message["tool_calls"][0]["id"], &answer["choices"][0]["finish_reason"]),
        (&json!("c7"), &json!("tool_calls"))
    );
    assert_eq!(answer["usage"]["completion_tokens"], 8);
}

#[test]
fn tgis_tokens_are_deltas() {
    let token = |text: &str, special: bool| {
        json!({"index": 1, "token": {"id": 5, "text": text, "logprob": -0.5, "special": special},
        "generated_text": null, "details": null})
    };
    let mut last = token("</s>", true);
    last["generated_text"] = "a b".into();
    last["details"] = json!({"finish_reason": "eos_token", "generated_tokens": 3, "input_length": 9, "seed": null});
    let stream = sse(&[token("a", false), token(" b", false), last]).replace("data: ", "data:");
    let got = read(&told(CHAT_TO_TGI, &stream).unwrap());
    assert_eq!((&got["text"], &got["reason"]), (&json!("a b"), &json!("stop")));
    assert_eq!(
        (&got["usage"]["prompt_tokens"], &got["usage"]["completion_tokens"]),
        (&json!(9), &json!(3))
    );
    let cut = sse(&[token("a", false)]);
    assert_eq!(told(CHAT_TO_TGI, &cut).unwrap_err().1, BadAnswer::Unfinished);
    let failed = sse(&[
        token("a", false),
        json!({"error": "Model is overloaded", "error_type": "overloaded"}),
    ]);
    let told_so = told(CHAT_TO_TGI, &failed).unwrap();
    assert!(told_so.contains("Model is overloaded"), "{told_so}");
    assert!(told_so.contains(r#""code":"overloaded""#), "{told_so}");
    let details = json!({"finish_reason": "length", "generated_tokens": 3, "prefill": [{}, {}]});
    let whole = json!({"generated_text": "hello", "details": details});
    let answer = document(CHAT_TO_TGI, &whole).unwrap();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["prompt_tokens"], 2);
}

#[test]
fn tritons_outputs_are_deltas() {
    let output =
        |text: &str| json!({"model_name": "llm", "model_version": "1", "text_output": text});
    let stream = sse(&[output("a"), output(" b"), output("")]);
    let got = read(&told(CHAT_TO_TRITON, &stream).unwrap());
    assert_eq!((&got["text"], &got["reason"]), (&json!("a b"), &json!("stop")));
    // Nobody counts.
    assert_eq!(got["usage"], Value::Null);
    let mut last = output("");
    last["details"] = json!({"finish_reason": "length"});
    assert_eq!(
        read(&told(CHAT_TO_TRITON, &sse(&[output("a"), last])).unwrap())["reason"],
        "length"
    );
    assert_eq!(told(CHAT_TO_TRITON, "").unwrap_err().1, BadAnswer::Unfinished);
    let failed = told(CHAT_TO_TRITON, &sse(&[output("a"), json!({"error": "no memory"})])).unwrap();
    assert!(failed.contains("no memory") && !failed.contains("[DONE]"), "{failed}");
    let answer = document(CHAT_TO_TRITON, &output("hello")).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "hello");
    assert_eq!(answer["usage"], Value::Null);
}

#[test]
fn documents_of_another_shape_are_no_answers() {
    for pair in [CHAT_TO_OLLAMA, CHAT_TO_GEMINI, CHAT_TO_TGI, CHAT_TO_TRITON] {
        for body in [json!({}), json!([1]), json!({"object": "chat.completion"})] {
            assert!(
                matches!(document(pair, &body), Err(BadAnswer::Malformed(_))),
                "{pair:?} {body}"
            );
        }
        assert!(matches!(told(pair, "data: [1]\n\n").unwrap_err().1, BadAnswer::Malformed(_)));
    }
}
