//! Requests to OpenAI responses, served by OpenAI chat.

use serde_json::{Value, json};

use super::{RESPONSES_TO_CHAT, RESPONSES_TO_MESSAGES, asked, refused};

fn ask(more: Value) -> Value {
    let mut body = json!({"model": "m", "input": "Hello"});
    let (Some(into), Value::Object(more)) = (body.as_object_mut(), more) else { unreachable!() };
    into.extend(more);
    body
}

fn chat(more: Value) -> Value {
    asked(RESPONSES_TO_CHAT, &ask(more))
}

#[test]
fn a_text_is_a_message_of_a_user_behind_the_instructions() {
    let body =
        chat(json!({"instructions": "Be brief.", "max_output_tokens": 5, "temperature": 0.5}));
    assert_eq!(
        body["messages"],
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}])
    );
    assert_eq!((&body["max_tokens"], &body["temperature"]), (&json!(5), &json!(0.5)));
    assert!(body.get("stream").is_none());
    let newer = asked(RESPONSES_TO_CHAT, &ask(json!({"model": "gpt-5", "max_output_tokens": 5})));
    assert_eq!(newer["max_completion_tokens"], 5);
    let stream = chat(json!({"stream": true, "stream_options": {"include_obfuscation": false}}));
    assert_eq!(stream["stream_options"], json!({"include_usage": true}));
}

#[test]
fn the_items_of_one_turn_are_one_message() {
    let input = json!([
        {"role": "developer", "content": [{"type": "input_text", "text": "Rules."}]},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "Look:"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "…"}],
         "content": [{"type": "reasoning_text", "text": "hm"}], "encrypted_content": "x"},
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [
            {"type": "output_text", "text": "I ", "annotations": [], "logprobs": []},
            {"type": "output_text", "text": "look."},
        ]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{\"x\":1}"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": ""},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2",
         "output": [{"type": "input_text", "text": "two"}, {"type": "input_text", "text": "three"}]},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "lost"}]},
    ]);
    let body = chat(json!({"input": input}));
    let expected = json!([
        {"role": "system", "content": "Rules."},
        {"role": "user", "content": [
            {"type": "text", "text": "Look:"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
        ]},
        {"role": "assistant", "content": "I look.", "reasoning_content": "hm", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": "two\nthree"},
    ]);
    assert_eq!(body["messages"], expected, "{body}");
}

#[test]
fn tools_and_forms_are_said_in_the_way_of_chat() {
    let body = chat(json!({
        "tools": [{"type": "function", "name": "f", "description": "d", "strict": true,
                   "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": false,
        "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": true},
                 "verbosity": "low"},
        "reasoning": {"effort": "high", "summary": "auto"},
        "include": ["reasoning.encrypted_content"], "store": false, "truncation": "disabled",
        "metadata": {"a": "b"}, "user": "u", "min_p": 0.1, "previous_response_id": null,
    }));
    let function =
        json!({"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true});
    assert_eq!(body["tools"], json!([{"type": "function", "function": function}]));
    assert_eq!(body["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
    assert_eq!(body["parallel_tool_calls"], false);
    let schema = json!({"name": "a", "schema": {"type": "object"}, "strict": true});
    assert_eq!(body["response_format"], json!({"type": "json_schema", "json_schema": schema}));
    assert_eq!((&body["verbosity"], &body["reasoning_effort"]), (&json!("low"), &json!("high")));
    assert_eq!((&body["user"], &body["min_p"]), (&json!("u"), &json!(0.1)));
    for gone in ["store", "include", "truncation", "metadata", "text", "reasoning"] {
        assert!(body.get(gone).is_none(), "{gone}");
    }
    let plain =
        chat(json!({"text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": []}));
    assert!(plain.get("response_format").is_none() && plain.get("tool_choice").is_none());
}

#[test]
fn what_chat_cannot_say_is_refused_by_its_name() {
    let item = |item: Value| json!({"input": [item]});
    for (more, field) in [
        (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        (json!({"conversation": "c"}), "conversation"),
        (json!({"background": true}), "background"),
        (json!({"store": true}), "store"),
        (json!({"truncation": "auto"}), "truncation"),
        (json!({"prompt": {"id": "p"}}), "prompt"),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
        (json!({"tool_choice": {"type": "allowed_tools"}}), "tool_choice.type"),
        (json!({"text": {"format": {"type": "grammar"}}}), "text.format.type"),
        (json!({"text": {"own": 1}}), "text.own"),
        (item(json!({"type": "item_reference", "id": "x"})), "input[0].type"),
        (item(json!({"type": "computer_call"})), "input[0].type"),
        (item(json!({"role": "critic", "content": "x"})), "input[0].role"),
        (
            item(json!({"role": "user", "content": [{"type": "hologram"}]})),
            "input[0].content[0].type",
        ),
        (
            item(json!({"role": "user", "content": [{"type": "input_image", "file_id": "f"}]})),
            "input[0].content[0].image_url",
        ),
        (item(json!({"type": "function_call", "name": "f"})), "input[0].call_id"),
        (item(json!({"type": "function_call_output", "call_id": "c"})), "input[0].output"),
        (json!({"input": 7}), "input"),
        (json!({"input": null}), "input"),
        (json!({"model": null}), "model"),
    ] {
        assert_eq!(refused(RESPONSES_TO_CHAT, &ask(more.clone())).field, field, "{more}");
    }
}

#[test]
fn two_legs_say_it_in_a_third_dialect() {
    let body = asked(
        RESPONSES_TO_MESSAGES,
        &ask(json!({
            "instructions": "Be brief.", "max_output_tokens": 9,
            "input": [
                {"role": "user", "content": "go"},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"x\":1e2}"},
                {"type": "function_call_output", "call_id": "c1", "output": "one"},
            ],
            "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
            "reasoning": {"effort": "low"},
        })),
    );
    assert_eq!(body["system"], "Be brief.");
    assert_eq!(body["max_tokens"], 9);
    assert_eq!(body["messages"][1]["content"][0]["type"], "tool_use", "{body}");
    assert_eq!(body["messages"][2]["content"][0]["tool_use_id"], "c1");
    assert_eq!(body["tools"][0]["input_schema"], json!({"type": "object"}));
    assert_eq!(body["output_config"]["effort"], "low");
    // What only the second step cannot say is named all the same.
    let file = json!([{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]);
    assert_eq!(
        refused(RESPONSES_TO_MESSAGES, &ask(json!({"input": file}))).field,
        "messages[0].content[0].type"
    );
}
