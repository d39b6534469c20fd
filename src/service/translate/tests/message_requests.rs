use serde_json::{Value, json};

use super::super::request;
use super::{CHAT_TO_MESSAGES, MESSAGES_TO_CHAT};
use super::{asked, refused};

fn with(members: Value) -> Value {
    let mut body =
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

/// As Claude Code asks, made short.
fn conversation() -> Value {
    let cache = json!({"type": "ephemeral"});
    json!({
        "model": "claude", "max_tokens": 32000, "stream": true,
        "system": [{"type": "text", "text": "You are a CLI.", "cache_control": cache},
            {"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Look.", "cache_control": cache},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
                {"type": "redacted_thinking", "data": "xx"},
                {"type": "text", "text": "I read "}, {"type": "text", "text": "it."},
                {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "a"}},
                {"type": "tool_use", "id": "toolu_2", "name": "Read", "input": {"path": "b"}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [
                    {"type": "text", "text": "one"}, {"type": "text", "text": "two"},
                    {"type": "image", "source": {"type": "url", "url": "https://x/i.png"}}]},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "gone", "is_error": true},
                {"type": "text", "text": "Go on."}]}
        ],
        "tools": [{"name": "Read", "description": "d", "cache_control": cache,
            "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "thinking": {"type": "enabled", "budget_tokens": 4096},
        "metadata": {"user_id": "u1"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    })
}

#[test]
fn a_conversation_with_tools_becomes_messages() {
    let expected = json!({
        "model": "claude",
        "messages": [
            {"role": "system", "content": "You are a CLI.\nBe brief."},
            {"role": "user", "content": [{"type": "text", "text": "Look."},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
            {"role": "assistant", "content": "I read it.", "reasoning_content": "Hm.", "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": {"name": "Read", "arguments": "{\"path\":\"a\"}"}},
                {"id": "toolu_2", "type": "function", "function": {"name": "Read", "arguments": "{\"path\":\"b\"}"}}]},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "one\ntwo"},
            {"role": "tool", "tool_call_id": "toolu_2", "content": "Error: gone"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/i.png"}},
                {"type": "text", "text": "Go on."}]}
        ],
        "max_tokens": 32000,
        "tools": [{"type": "function", "function": {"name": "Read", "description": "d",
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}}],
        "tool_choice": "auto", "parallel_tool_calls": false,
        "reasoning_effort": "medium",
        "stream": true, "stream_options": {"include_usage": true},
        "user": "u1"
    });
    assert_eq!(asked(MESSAGES_TO_CHAT, &conversation()), expected);
}

#[test]
fn each_parameter_is_translated() {
    let long = "u".repeat(65);
    let cases = [
        (json!({"stop_sequences": ["a"]}), json!({"stop": ["a"]})),
        (
            json!({"temperature": 1, "top_p": 0.5, "top_k": 3}),
            json!({"temperature": 1, "top_p": 0.5, "top_k": 3}),
        ),
        (json!({"stream": false}), json!({"stream": false})),
        (json!({"metadata": {"user_id": long}}), json!({})),
        (json!({"service_tier": "standard_only"}), json!({"service_tier": "default"})),
        (json!({"thinking": {"type": "disabled"}}), json!({})),
        (
            json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
            json!({"reasoning_effort": "xhigh"}),
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 4095}}),
            json!({"reasoning_effort": "low"}),
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 16384}}),
            json!({"reasoning_effort": "high"}),
        ),
        (
            json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}),
            json!({"response_format": {"type": "json_schema", "json_schema":
                {"name": "answer", "schema": {"type": "object"}, "strict": true}}}),
        ),
        (
            json!({"output_format": {"type": "json_schema", "schema": {}}}),
            json!({"response_format": {"type": "json_schema", "json_schema":
                {"name": "answer", "schema": {}, "strict": true}}}),
        ),
        (json!({"tool_choice": {"type": "any"}}), json!({"tool_choice": "required"})),
        (
            json!({"tool_choice": {"type": "tool", "name": "f"}}),
            json!({"tool_choice": {"type": "function", "function": {"name": "f"}}}),
        ),
        (
            json!({"cache_control": {"type": "ephemeral"}, "mcp_servers": [], "container": null, "min_p": 0.1}),
            json!({"min_p": 0.1}),
        ),
    ];
    for (members, expected) in cases {
        let mut whole =
            json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9});
        whole.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
        assert_eq!(asked(MESSAGES_TO_CHAT, &with(members.clone())), whole, "{members}");
    }
}

#[test]
fn the_bound_has_the_name_that_the_model_wants() {
    for (model, name) in [
        ("gpt-4o", "max_tokens"),
        ("gpt-5.1-mini", "max_completion_tokens"),
        ("o3-mini", "max_completion_tokens"),
        ("openai/gpt-6", "max_completion_tokens"),
        ("olmo-2", "max_tokens"),
        ("gpt-oss-20b", "max_tokens"),
        ("llama", "max_tokens"),
    ] {
        let got =
            request(MESSAGES_TO_CHAT, with(json!({})).to_string().as_bytes(), Some(model)).unwrap();
        let got: Value = serde_json::from_slice(&got.body).unwrap();
        assert_eq!((got[name].as_u64(), got["model"].as_str()), (Some(9), Some(model)));
    }
}

#[test]
fn what_cannot_be_said_is_refused_by_its_name() {
    let block = |block: Value| json!({"messages": [{"role": "user", "content": [block]}]});
    let cases = [
        (block(json!({"type": "document", "source": {}})), "messages[0].content[0].type"),
        (
            block(json!({"type": "image", "source": {"type": "file", "file_id": "f"}})),
            "messages[0].content[0].source.file_id",
        ),
        (
            block(json!({"type": "tool_use", "id": "a", "name": "f", "input": {}})),
            "messages[0].content[0].type",
        ),
        (block(json!({"type": "text", "text": "a", "id": "b"})), "messages[0].content[0].id"),
        (
            block(
                json!({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "document"}]}),
            ),
            "messages[0].content[0].content[0].type",
        ),
        (
            json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}),
            "messages[1].role",
        ),
        (
            json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
            "tools[0].type",
        ),
        (json!({"mcp_servers": [{}]}), "mcp_servers"),
        (json!({"container": "c"}), "container"),
        (
            json!({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}),
            "context_management.edits[0].type",
        ),
        (json!({"thinking": {"type": "new"}}), "thinking.type"),
        (json!({"metadata": {"other": 1}}), "metadata.other"),
        (json!({"system": [{"type": "image"}]}), "system[0].type"),
        (json!({"service_tier": "x"}), "service_tier"),
        (json!({"max_tokens": "9"}), "max_tokens"),
    ];
    for (members, field) in cases {
        assert_eq!(refused(MESSAGES_TO_CHAT, &with(members.clone())).field, field, "{members}");
    }
}

/// What both dialects know survives the way there and back.
#[test]
fn a_request_comes_back_as_it_was() {
    let chat = json!({
        "model": "m", "max_tokens": 5,
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]},
            {"role": "assistant", "content": "b", "tool_calls": [{"id": "c1", "type": "function",
                "function": {"name": "f", "arguments": "{\"x\":1.5}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "r"},
            {"role": "user", "content": "d"}
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": "auto", "parallel_tool_calls": false, "stop": ["x"], "temperature": 0.5,
        "top_p": 0.1, "user": "u", "service_tier": "auto", "reasoning_effort": "high", "stream": false,
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}, "strict": true}},
        "top_k": 4
    });
    assert_eq!(asked(MESSAGES_TO_CHAT, &asked(CHAT_TO_MESSAGES, &chat)), chat);
    let messages = asked(CHAT_TO_MESSAGES, &chat);
    assert_eq!(asked(CHAT_TO_MESSAGES, &asked(MESSAGES_TO_CHAT, &messages)), messages);
}
