use serde_json::{Value, json};

use super::super::{Memo, Pair, request};
use super::CHAT_TO_MESSAGES;
use super::{asked, refused};

fn with(members: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

#[test]
fn a_conversation_with_tools_becomes_turns_that_alternate() {
    let body = json!({
        "model": "claude", "stream": true, "stream_options": {"include_usage": true},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Metric."}]},
            {"role": "user", "content": "Weather in Bern and Rome?", "name": "ann"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "w", "arguments": "{\"city\":\"Bern\"}"}},
                {"id": "functions.w:1", "type": "function", "function": {"name": "w", "arguments": ""}}
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            {"role": "tool", "tool_call_id": "functions.w:1", "content": [{"type": "text", "text": "sun"}]},
            {"role": "user", "content": "And?"}
        ],
        "tools": [{"type": "function", "function": {"name": "w", "description": "d", "strict": true,
            "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}}],
        "tool_choice": "required", "parallel_tool_calls": false
    });
    let got = request(CHAT_TO_MESSAGES, body.to_string().as_bytes(), Some("served")).unwrap();
    assert!(got.stream);
    assert_eq!(got.memo, Memo { model: "claude".into(), include_usage: true, ..Memo::default() });
    let expected = json!({
        "model": "served", "max_tokens": 4096,
        "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Metric."}],
        "messages": [
            {"role": "user", "content": "Weather in Bern and Rome?"},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "call_1", "name": "w", "input": {"city": "Bern"}},
                {"type": "tool_use", "id": "functions_w_1", "name": "w", "input": {}}
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "rain"},
                {"type": "tool_result", "tool_use_id": "functions_w_1", "content": "sun"},
                {"type": "text", "text": "And?"}
            ]}
        ],
        "tools": [{"name": "w", "description": "d", "strict": true,
            "input_schema": {"type": "object", "properties": {"z": {}, "a": {}}}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        "stream": true
    });
    let body: Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(body, expected);
    // A schema keeps the order of its properties.
    let text = String::from_utf8(got.body).unwrap();
    assert!(text.find("\"z\"").unwrap() < text.find("\"a\"").unwrap());
}

#[test]
fn images_are_a_source() {
    let part = |url: &str| json!({"type": "image_url", "image_url": {"url": url, "detail": "low"}});
    let body = |url: &str| {
        json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "what?"}, part(url)]}]})
    };
    let source =
        |url: &str| asked(CHAT_TO_MESSAGES, &body(url))["messages"][0]["content"][1].clone();
    assert_eq!(
        source("data:image/png;base64,AAAA"),
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}})
    );
    assert_eq!(
        source("https://x/y.png"),
        json!({"type": "image", "source": {"type": "url", "url": "https://x/y.png"}})
    );
    for url in ["data:image/png,AAAA", "file:///etc/passwd", "data:;base64,AA"] {
        assert_eq!(
            refused(CHAT_TO_MESSAGES, &body(url)).field,
            "messages[0].content[1].image_url.url",
            "{url}"
        );
    }
}

/// What is put into a request, and what comes out of it.
#[test]
fn each_parameter_is_translated() {
    let cases = [
        (json!({"temperature": 1.7}), json!({"temperature": 1})),
        (
            json!({"temperature": 0.2, "top_p": 0.9, "top_k": 5}),
            json!({"temperature": 0.2, "top_p": 0.9, "top_k": 5}),
        ),
        (json!({"max_tokens": 7}), json!({"max_tokens": 7})),
        (json!({"max_tokens": 7, "max_completion_tokens": 9}), json!({"max_tokens": 9})),
        (json!({"stop": "a"}), json!({"stop_sequences": ["a"]})),
        (json!({"stop": ["a", "b"]}), json!({"stop_sequences": ["a", "b"]})),
        (json!({"user": "u", "safety_identifier": "s"}), json!({"metadata": {"user_id": "u"}})),
        (json!({"safety_identifier": "s"}), json!({"metadata": {"user_id": "s"}})),
        (json!({"service_tier": "default"}), json!({"service_tier": "standard_only"})),
        (
            json!({"reasoning_effort": "minimal"}),
            json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ),
        (json!({"reasoning_effort": "none"}), json!({"thinking": {"type": "disabled"}})),
        (json!({"response_format": {"type": "text"}}), json!({})),
        (
            json!({"response_format": {"type": "json_schema", "json_schema":
            {"name": "n", "strict": true, "schema": {"type": "object"}}}}),
            json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}),
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f"}}], "parallel_tool_calls": false}),
            json!({"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
                "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}}),
        ),
        (
            json!({"tool_choice": {"type": "function", "function": {"name": "f"}}}),
            json!({"tool_choice": {"type": "tool", "name": "f"}}),
        ),
        (
            json!({"tool_choice": "none", "parallel_tool_calls": true}),
            json!({"tool_choice": {"type": "none"}}),
        ),
        // What asks for nothing, and hints.
        (
            json!({"n": 1, "logprobs": false, "top_logprobs": 0, "presence_penalty": 0, "frequency_penalty": 0.0,
            "store": false, "logit_bias": {}, "functions": [], "audio": null, "modalities": ["text"],
            "metadata": {"a": "b"}, "prompt_cache_key": "k", "seed": null, "verbosity": "medium"}),
            json!({}),
        ),
        // What nobody knows.
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 2000}, "vendor": [1]}),
            json!({"thinking": {"type": "enabled", "budget_tokens": 2000}, "vendor": [1]}),
        ),
    ];
    for (members, expected) in cases {
        let mut whole = json!({"model": "m", "max_tokens": 4096,
            "messages": [{"role": "user", "content": "hi"}]});
        whole.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
        assert_eq!(asked(CHAT_TO_MESSAGES, &with(members.clone())), whole, "{members}");
    }
}

#[test]
fn what_cannot_be_said_is_refused_by_its_name() {
    let cases = [
        (json!({"n": 2}), "n"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"seed": 0}), "seed"),
        (json!({"store": true}), "store"),
        (json!({"presence_penalty": 0.1}), "presence_penalty"),
        (json!({"functions": [{}]}), "functions"),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"service_tier": "flex"}), "service_tier"),
        (json!({"response_format": {"type": "json_object"}}), "response_format.type"),
        (json!({"reasoning_effort": "huge"}), "reasoning_effort"),
        (json!({"stop": [1]}), "stop"),
        (json!({"stream": 1}), "stream"),
        (json!({"tool_choice": {"type": "allowed_tools"}}), "tool_choice.type"),
        (json!({"tools": [{"type": "custom", "custom": {}}]}), "tools[0].type"),
        (json!({"messages": 3}), "messages"),
        (json!({"messages": [{"role": "function", "content": "x"}]}), "messages[0].role"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}),
            "messages[0].content[0].type",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}),
            "messages[0].content[0].type",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x", "tool_calls": [{}]}]}),
            "messages[0].tool_calls",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "function":
            {"name": "f", "arguments": "[]"}}]}]}),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            json!({"system": "s", "messages": [{"role": "system", "content": "t"}, {"role": "user", "content": "x"}]}),
            "system",
        ),
    ];
    for (members, field) in cases {
        let why = refused(CHAT_TO_MESSAGES, &with(members.clone()));
        assert_eq!(why.field, field, "{members}");
        assert!(why.to_string().starts_with(&format!("`{field}` ")), "{why}");
    }
    for body in ["", "[1]", "{", "\"x\"", "\u{0}"] {
        for pair in Pair::all() {
            let why = request(pair, body.as_bytes(), None).unwrap_err();
            assert_eq!(why.field, "", "{body}");
            assert!(why.to_string().starts_with("The request body is no JSON"), "{why}");
        }
    }
}
