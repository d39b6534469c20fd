//! Requests to the open inference protocol, and its answers, told as OpenAI chat.

use serde_json::{Value, json};

use super::{
    BadAnswer, Memo, Pair, TensorNames, Translator, asked, events, memo, refused, request_in,
};
use crate::service::Dialect;

const CHAT_TO_KSERVE: Pair = Pair::new(Dialect::OpenAiChat, Dialect::KServe);

fn chat(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi."}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn named(input: Option<&str>, output: Option<&str>) -> TensorNames {
    TensorNames { input: input.map(str::to_owned), output: output.map(str::to_owned) }
}

fn answer(output: Option<&str>, body: &Value, as_stream: bool) -> Result<String, BadAnswer> {
    let memo = Memo { output: output.map(str::to_owned), ..memo() };
    let mut translator = Translator::of_document(CHAT_TO_KSERVE, &memo, 200, 7, "x", 1 << 16);
    if as_stream {
        translator = translator.told_as_stream();
    }
    let mut out = Vec::new();
    translator.feed(body.to_string().as_bytes(), &mut out)?;
    translator.end(&mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn text(name: &str, data: Value) -> Value {
    json!({"name": name, "shape": [1, 1], "datatype": "BYTES", "data": data})
}

#[test]
fn a_prompt_is_a_tensor_of_one_text() {
    let body = chat(json!({"max_tokens": 5, "temperature": 0.5, "stop": ["END"], "stream": true,
        "min_p": 0.1, "parameters": {"own": true}}));
    let input = |name: &str| {
        json!({"name": name, "shape": [1], "datatype": "BYTES",
        "parameters": {"content_type": "str"}, "data": ["Hi."]})
    };
    let parameters =
        json!({"max_tokens": 5, "temperature": 0.5, "stop": "END", "min_p": 0.1, "own": true});
    let expected = json!({"inputs": [input("text_input")], "parameters": parameters});
    assert_eq!(asked(CHAT_TO_KSERVE, &body), expected);
    assert_eq!(asked(CHAT_TO_KSERVE, &chat(json!({}))), json!({"inputs": [input("text_input")]}));

    let tensors = named(Some("args"), Some("out"));
    let body = chat(json!({})).to_string();
    let translated = request_in(CHAT_TO_KSERVE, body.as_bytes(), None, &tensors).unwrap();
    let written: Value = serde_json::from_slice(&translated.body).unwrap();
    assert_eq!(written["inputs"][0]["name"], "args");
    assert_eq!(translated.memo.output.as_deref(), Some("out"));
    assert_eq!(CHAT_TO_KSERVE.target(None, &translated), "/v2/models/m/infer");

    for (more, field) in [
        (json!({"stop": ["a", "b"]}), "stop"),
        (json!({"n": 2}), "n"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"response_format": {"type": "json_object"}}), "response_format.type"),
        (json!({"parameters": {"max_tokens": 1}, "max_tokens": 2}), "parameters.max_tokens"),
        (json!({"messages": [{"role": "system", "content": "s"}]}), "messages[0].role"),
        (json!({"model": ".."}), "model"),
    ] {
        assert_eq!(refused(CHAT_TO_KSERVE, &chat(more.clone())).field, field, "{more}");
    }
}

#[test]
fn the_text_of_the_answer_is_the_only_one_or_the_one_that_is_named() {
    let body = |outputs: Value| json!({"model_name": "echo", "id": "q", "outputs": outputs});
    let number = json!({"name": "score", "shape": [1], "datatype": "FP32", "data": [0.5]});
    let reason = text("finish_reason", json!(["length"]));
    for (output, outputs, expected) in [
        (None, json!([text("text_output", json!(["Hello."]))]), "stop"),
        (None, json!([number, text("any", json!([["Hello."]])), reason]), "length"),
        (Some("b"), json!([text("a", json!(["x"])), text("b", json!(["Hello."]))]), "stop"),
    ] {
        let out = answer(output, &body(outputs.clone()), false).unwrap();
        let told: Value = serde_json::from_str(&out).unwrap();
        let choice = &told["choices"][0];
        assert_eq!(choice["message"]["content"], "Hello.", "{outputs}");
        assert_eq!((&choice["finish_reason"], &told["model"]), (&json!(expected), &json!("echo")));
        assert_eq!(told["usage"], Value::Null, "nobody counts");
    }
    let unknown =
        |outputs: Value| matches!(answer(None, &body(outputs), false), Err(BadAnswer::Unknown(_)));
    assert!(unknown(json!([text("a", json!(["x"])), text("b", json!(["y"]))])), "which one?");
    assert!(unknown(json!([text("a", json!(["x", "y"]))])), "two answers");
    let mut packed = text("a", json!(["eA=="]));
    packed["parameters"] = json!({"content_type": "base64"});
    assert!(unknown(json!([packed])), "packed");
    for outputs in
        [json!([]), json!([number]), json!([text("a", json!([]))]), json!([text("a", json!([1]))])]
    {
        let told = answer(None, &body(outputs.clone()), false);
        assert!(matches!(told, Err(BadAnswer::Malformed(_))), "{outputs}");
    }
    let missing = answer(Some("z"), &body(json!([text("a", json!(["x"]))])), false);
    assert!(matches!(missing, Err(BadAnswer::Malformed(_))));
    assert!(matches!(answer(None, &json!({"a": 1}), false), Err(BadAnswer::Malformed(_))));
}

#[test]
fn a_client_that_wants_a_stream_gets_one_of_one_piece() {
    let body = json!({"model_name": "echo", "outputs": [text("text_output", json!(["a \"b\""]))]});
    let out = answer(None, &body, true).unwrap();
    let told = events(&out);
    assert_eq!(told[0].1["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(told[1].1["choices"][0]["delta"]["content"], "a \"b\"");
    assert_eq!(told[2].1["choices"][0]["finish_reason"], "stop");
    assert_eq!(told.last().unwrap().1, "[DONE]");
    let failed = answer(None, &json!({"error": "no such model"}), true).unwrap();
    assert!(failed.contains("no such model") && !failed.contains("[DONE]"), "{failed}");
    // It has no streams of its own.
    let mut translator = Translator::of_stream(CHAT_TO_KSERVE, &memo(), 7, "x");
    assert!(translator.feed(b"data: {}\n\n", &mut Vec::new()).is_err());
}
