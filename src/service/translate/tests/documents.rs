use serde_json::{Value, json};

use super::super::{BadAnswer, Pair, Translator};
use super::memo;
use super::{CHAT_TO_MESSAGES, MESSAGES_TO_CHAT};

fn document(pair: Pair, status: u16, body: &str) -> Result<Value, BadAnswer> {
    let mut translator = Translator::of_document(pair, &memo(), status, 1_700_000_000, "x1", 4096);
    let mut out = Vec::new();
    for piece in body.as_bytes().chunks(7) {
        translator.feed(piece, &mut out)?;
        assert!(out.is_empty(), "a document is written at its end");
    }
    translator.end(&mut out)?;
    Ok(serde_json::from_slice(&out).expect("it is JSON"))
}

fn message() -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": ""},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_1", "name": "w", "input": {"city": "Bern"}}],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 20, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 10, "output_tokens": 12}})
}

fn completion() -> Value {
    json!({"id": "msg_1", "object": "chat.completion", "created": 1_700_000_000, "model": "claude",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "I look.", "refusal": null,
            "reasoning_content": "Hm.", "tool_calls": [{"id": "toolu_1", "type": "function",
                "function": {"name": "w", "arguments": "{\"city\":\"Bern\"}"}}]},
            "logprobs": null, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42,
            "prompt_tokens_details": {"cached_tokens": 10}}})
}

#[test]
fn an_answer_is_translated_both_ways() {
    assert_eq!(document(CHAT_TO_MESSAGES, 200, &message().to_string()), Ok(completion()));
    assert_eq!(document(MESSAGES_TO_CHAT, 200, &completion().to_string()), Ok(message()));
}

#[test]
fn why_an_answer_ended() {
    for (reason, expected) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "length"),
        ("model_context_window_exceeded", "length"),
        ("new_reason", "stop"),
    ] {
        let mut message = message();
        message["stop_reason"] = reason.into();
        let got = document(CHAT_TO_MESSAGES, 200, &message.to_string()).unwrap();
        assert_eq!(got["choices"][0]["finish_reason"], expected, "{reason}");
    }
    for (choice, reason, sequence) in [
        (json!({"finish_reason": "stop"}), "end_turn", Value::Null),
        (json!({"finish_reason": "length"}), "max_tokens", Value::Null),
        (json!({"finish_reason": "content_filter"}), "refusal", Value::Null),
        (json!({"finish_reason": "stop", "stop_reason": "END"}), "stop_sequence", json!("END")),
        (json!({"finish_reason": "stop", "stop_reason": 128001}), "end_turn", Value::Null),
        (json!({"finish_reason": "stop", "message": {"refusal": "no"}}), "refusal", Value::Null),
        (
            json!({"finish_reason": "stop", "message": {"tool_calls": [{"id": "a", "function": {"name": "f"}}]}}),
            "tool_use",
            Value::Null,
        ),
    ] {
        let got =
            document(MESSAGES_TO_CHAT, 200, &json!({"choices": [choice]}).to_string()).unwrap();
        assert_eq!(
            (&got["stop_reason"], &got["stop_sequence"]),
            (&json!(reason), &sequence),
            "{choice}"
        );
        assert_eq!((&got["id"], &got["model"]), (&json!("msg_x1"), &json!("asked")));
    }
}

#[test]
fn errors_are_translated_by_what_they_say_and_by_their_status() {
    let anthropic = |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}});
    for (status, body, kind, message) in [
        (
            404,
            r#"{"object":"error","message":"m","type":"NotFoundError","param":null,"code":404}"#,
            "not_found_error",
            "m",
        ),
        (422, r#"{"detail":"m"}"#, "invalid_request_error", "m"),
        (400, r#"{"error":"m"}"#, "invalid_request_error", "m"),
        (
            429,
            r#"{"error":{"message":"m","type":"tokens","code":"rate_limit_exceeded"}}"#,
            "rate_limit_error",
            "m",
        ),
        (503, "<html>", "overloaded_error", "<html>"),
        // OpenAI calls nearly everything an invalid request.
        (
            401,
            r#"{"error":{"message":"m","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            "authentication_error",
            "m",
        ),
        (
            404,
            r#"{"error":{"message":"m","type":"invalid_request_error","code":"model_not_found"}}"#,
            "not_found_error",
            "m",
        ),
        (
            500,
            r#"{"error":{"message":"m","type":"invalid_request_error"}}"#,
            "invalid_request_error",
            "m",
        ),
        (502, "", "api_error", "The server answered with status 502."),
        (200, r#"{"error":{"message":"m","code":429}}"#, "rate_limit_error", "m"),
    ] {
        assert_eq!(
            document(MESSAGES_TO_CHAT, status, body),
            Ok(anthropic(kind, message)),
            "{body}"
        );
    }
    let got = document(CHAT_TO_MESSAGES, 529, &anthropic("overloaded_error", "m").to_string());
    assert_eq!(
        got,
        Ok(
            json!({"error": {"message": "m", "type": "server_error", "param": null, "code": "overloaded"}})
        )
    );
}

#[test]
fn what_is_no_answer_is_told_so() {
    let unknown = |what: &str| Err(BadAnswer::Unknown(what.into()));
    let chat = |message: Value| {
        json!({"choices": [{"message": message, "finish_reason": "stop"}]}).to_string()
    };
    assert_eq!(
        document(CHAT_TO_MESSAGES, 200, r#"{"content":[{"type":"server_tool_use"}]}"#),
        unknown("a block `server_tool_use`")
    );
    assert_eq!(
        document(MESSAGES_TO_CHAT, 200, &chat(json!({"audio": {"id": "x"}}))),
        unknown("a `audio` in a message")
    );
    assert_eq!(
        document(MESSAGES_TO_CHAT, 200, r#"{"choices":[{},{}]}"#),
        unknown("a second choice")
    );
    let calls = json!({"tool_calls": [{"function": {"name": "f", "arguments": "{"}}]});
    for (pair, body) in [
        (CHAT_TO_MESSAGES, "{}".to_owned()),
        (MESSAGES_TO_CHAT, "{}".into()),
        (CHAT_TO_MESSAGES, "x".into()),
        (MESSAGES_TO_CHAT, r#"{"choices":[]}"#.into()),
        (MESSAGES_TO_CHAT, chat(calls)),
    ] {
        let got = document(pair, 200, &body);
        assert!(matches!(got, Err(BadAnswer::Malformed(_))), "{body}: {got:?}");
    }
    assert_eq!(document(CHAT_TO_MESSAGES, 200, &"x".repeat(4097)), Err(BadAnswer::TooLong(4096)));
}
