//! Requests to OpenAI chat, served by Ollama, Gemini, TGI and Triton.

use serde_json::{Value, json};

use super::{CHAT_TO_GEMINI, CHAT_TO_OLLAMA, CHAT_TO_TGI, CHAT_TO_TRITON, asked, refused};

fn with(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
    let (Some(into), Value::Object(more)) = (body.as_object_mut(), more) else { unreachable!() };
    into.extend(more);
    body
}

/// A conversation with something of everything.
fn talk() -> Value {
    json!([
        {"role": "developer", "content": "Rules."},
        {"role": "user", "content": [
            {"type": "text", "text": "Look: "},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
            {"type": "text", "text": "nice?"},
        ]},
        {"role": "assistant", "content": "I look.", "reasoning_content": "hm", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1e2}"},
             "extra_content": {"google": {"thought_signature": "sig"}}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "{\"y\":2.50}"},
        {"role": "tool", "tool_call_id": "c2", "content": "two"},
        {"role": "assistant", "content": null, "refusal": "No."},
    ])
}

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"x": {"type": "integer"}}});
    json!([{"type": "function",
            "function": {"name": "f", "description": "d", "parameters": schema, "strict": true}}])
}

#[test]
fn ollama_has_options_and_plain_texts() {
    let body = asked(
        CHAT_TO_OLLAMA,
        &with(json!({
            "messages": talk(), "tools": tools(), "max_tokens": 5, "temperature": 0.5, "top_p": 0.9,
            "seed": 7, "stop": ["x"], "reasoning_effort": "xhigh", "options": {"num_ctx": 99},
            "keep_alive": "5m", "user": "u", "n": 1,
        })),
    );
    let function = json!({"name": "f", "description": "d", "parameters": tools()[0]["function"]["parameters"]});
    let expected = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Rules."},
            {"role": "user", "content": "Look: nice?", "images": ["AA"]},
            {"role": "assistant", "thinking": "hm", "content": "I look.", "tool_calls": [
                {"id": "c1", "function": {"name": "f", "arguments": {"x": 100.0}}},
                {"id": "c2", "function": {"name": "g", "arguments": {}}},
            ]},
            {"role": "tool", "tool_name": "f", "tool_call_id": "c1", "content": "{\"y\":2.50}"},
            {"role": "tool", "tool_name": "g", "tool_call_id": "c2", "content": "two"},
            {"role": "assistant", "content": "No."},
        ],
        "stream": false,
        "tools": [{"type": "function", "function": function}],
        "think": "high",
        "options": {"num_predict": 5, "temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["x"],
                    "num_ctx": 99},
        "keep_alive": "5m",
    });
    assert_eq!(body, expected);
    let form = |format: Value| asked(CHAT_TO_OLLAMA, &with(json!({ "response_format": format })));
    assert_eq!(form(json!({"type": "json_object"}))["format"], "json");
    let schema = json!({"name": "a", "schema": {"type": "object"}, "strict": true});
    let schema = form(json!({"type": "json_schema", "json_schema": schema}));
    assert_eq!(schema["format"], json!({"type": "object"}));
    let none = asked(CHAT_TO_OLLAMA, &with(json!({"tools": tools(), "tool_choice": "none"})));
    assert!(none.get("tools").is_none());
    assert_eq!(asked(CHAT_TO_OLLAMA, &with(json!({"stream": true})))["stream"], true);
}

#[test]
fn gemini_has_contents_and_a_configuration() {
    let body = asked(
        CHAT_TO_GEMINI,
        &with(json!({
            "messages": talk(), "tools": tools(), "max_completion_tokens": 5, "temperature": 0.5,
            "top_p": 0.9, "top_k": 40, "stop": "x", "reasoning_effort": "low", "stream": true,
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
            "safetySettings": [{"category": "C", "threshold": "BLOCK_NONE"}],
            "generationConfig": {"mediaResolution": "LOW"},
        })),
    );
    let schema = &tools()[0]["function"]["parameters"];
    let expected = json!({
        "systemInstruction": {"parts": [{"text": "Rules."}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "Look: "}, {"inlineData": {"mimeType": "image/png", "data": "AA"}}, {"text": "nice?"},
            ]},
            {"role": "model", "parts": [
                {"text": "I look."},
                {"functionCall": {"name": "f", "args": {"x": 100.0}, "id": "c1"}, "thoughtSignature": "sig"},
                {"functionCall": {"name": "g", "args": {}, "id": "c2"}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "c1", "name": "f", "response": {"y": 2.5}}},
                {"functionResponse": {"id": "c2", "name": "g", "response": {"result": "two"}}},
            ]},
            {"role": "model", "parts": [{"text": "No."}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": schema}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "maxOutputTokens": 5, "temperature": 0.5, "topP": 0.9, "topK": 40, "stopSequences": ["x"],
            "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 1024},
            "mediaResolution": "LOW",
        },
        "safetySettings": [{"category": "C", "threshold": "BLOCK_NONE"}],
    });
    assert_eq!(body, expected);
}

#[test]
fn servers_of_prompts_get_the_one_text() {
    let more = json!({"max_tokens": 5, "temperature": 0, "top_p": 1, "top_k": 9, "stop": ["x"], "typical_p": 0.9,
        "seed": 3});
    let body = asked(CHAT_TO_TGI, &with(more.clone()));
    let expected = json!({"inputs": "Hello", "parameters": {
        "details": true, "return_full_text": false, "max_new_tokens": 5, "top_k": 9, "seed": 3,
        "stop": ["x"], "typical_p": 0.9,
    }});
    assert_eq!(body, expected);
    let warm = asked(CHAT_TO_TGI, &with(json!({"temperature": 0.7, "top_p": 0.9})));
    assert_eq!(
        (&warm["parameters"]["do_sample"], &warm["parameters"]["top_p"]),
        (&json!(true), &json!(0.9))
    );
    let body = asked(CHAT_TO_TRITON, &with(more));
    let expected = json!({"text_input": "Hello", "parameters": {
        "stream": false, "exclude_input_in_output": true, "max_tokens": 5, "temperature": 0, "top_p": 1,
        "top_k": 9, "seed": 3, "stop": ["x"], "typical_p": 0.9,
    }});
    assert_eq!(body, expected);
    let schema =
        json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}});
    let body = asked(CHAT_TO_TGI, &with(json!({ "response_format": schema })));
    assert_eq!(body["parameters"]["grammar"], json!({"type": "json", "value": {"type": "object"}}));
}

#[test]
fn what_they_cannot_say_is_refused_by_its_name() {
    let image =
        json!([{"role": "user", "content": [{"type": "image_url", "image_url": "https://x"}]}]);
    let orphan = json!([{"role": "tool", "tool_call_id": "c9", "content": "r"}]);
    let two = json!([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]);
    for (pair, more, field) in [
        (CHAT_TO_OLLAMA, json!({"n": 2}), "n"),
        (CHAT_TO_OLLAMA, json!({"tools": tools(), "tool_choice": "required"}), "tool_choice"),
        (
            CHAT_TO_OLLAMA,
            json!({"tools": tools(), "parallel_tool_calls": false}),
            "parallel_tool_calls",
        ),
        (CHAT_TO_OLLAMA, json!({"messages": image}), "messages[0].content[0].image_url.url"),
        (CHAT_TO_OLLAMA, json!({"messages": orphan}), "messages[0].tool_call_id"),
        (
            CHAT_TO_OLLAMA,
            json!({"temperature": 1, "options": {"temperature": 0}}),
            "options.temperature",
        ),
        (CHAT_TO_OLLAMA, json!({"reasoning_effort": "low", "think": true}), "think"),
        (CHAT_TO_GEMINI, json!({"logit_bias": {"1": 2}}), "logit_bias"),
        (CHAT_TO_GEMINI, json!({"messages": orphan}), "messages[0].tool_call_id"),
        (CHAT_TO_GEMINI, json!({"model": ".."}), "model"),
        (CHAT_TO_GEMINI, json!({"generationConfig": 1}), "generationConfig"),
        (CHAT_TO_TGI, json!({"messages": two}), "messages"),
        (CHAT_TO_TGI, json!({"tools": tools()}), "tools"),
        (CHAT_TO_TGI, json!({"presence_penalty": 1}), "presence_penalty"),
        (CHAT_TO_TGI, json!({"response_format": {"type": "json_object"}}), "response_format.type"),
        (CHAT_TO_TRITON, json!({"messages": two}), "messages"),
        (
            CHAT_TO_TRITON,
            json!({"messages": [{"role": "system", "content": "s"}]}),
            "messages[0].role",
        ),
        (CHAT_TO_TRITON, json!({"model": ""}), "model"),
        (
            CHAT_TO_TRITON,
            json!({"response_format": {"type": "json_object"}}),
            "response_format.type",
        ),
    ] {
        assert_eq!(refused(pair, &with(more.clone())).field, field, "{more}");
    }
}
