//! The objects of OpenAI's API, event by event.

use super::*;

const WITH_USAGE: &str = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;

#[test]
fn a_chat_stream_has_role_content_finish_and_done() {
    let events = play(&format!("{CHAT}?tokens=3"), STREAMED).events();
    assert_eq!(events.len(), 6);
    let deltas: Vec<&Value> =
        events[..5].iter().map(|event| &event["choices"][0]["delta"]).collect();
    assert_eq!(deltas[0], &serde_json::json!({"role": "assistant", "content": ""}));
    assert_eq!(deltas[1], &serde_json::json!({"content": "Water "}));
    assert_eq!(deltas[2], &serde_json::json!({"content": "finds "}));
    assert_eq!(deltas[3], &serde_json::json!({"content": "its "}));
    assert_eq!(deltas[4], &serde_json::json!({}));
    assert_eq!(events[5], "[DONE]");
    for (index, event) in events[..5].iter().enumerate() {
        assert_eq!(event["object"], "chat.completion.chunk");
        assert_eq!(event["model"], "m");
        assert_eq!(event["created"], EPOCH + 7000);
        assert_eq!(event["id"], events[0]["id"]);
        assert_eq!(event["system_fingerprint"], "fp_mock");
        assert!(event.get("usage").is_none());
        let choices = event["choices"].as_array().expect("choices");
        assert_eq!(choices.len(), 1);
        assert_eq!(choices[0]["index"], 0);
        let finish = if index == 4 { Value::from("stop") } else { Value::Null };
        assert_eq!(choices[0]["finish_reason"], finish);
    }
}

#[test]
fn a_completions_stream_has_text_finish_and_done() {
    let events = play(&format!("{COMPLETIONS}?tokens=2"), STREAMED).events();
    assert_eq!(events.len(), 4);
    assert_eq!(spoken(&events), "Water finds ");
    for event in &events[..3] {
        assert_eq!(event["object"], "text_completion");
        assert!(event["id"].as_str().expect("an id").starts_with("cmpl-"));
        assert!(event["choices"][0]["text"].is_string());
        assert!(event["choices"][0].get("delta").is_none());
    }
    assert_eq!(events[1]["choices"][0]["finish_reason"], Value::Null);
    assert_eq!(events[2]["choices"][0]["finish_reason"], "stop");
    assert_eq!(events[3], "[DONE]");
}

#[test]
fn usage_comes_last_with_empty_choices_if_asked_for() {
    for target in [CHAT, COMPLETIONS] {
        let events = play(&format!("{target}?tokens=5"), WITH_USAGE).events();
        let [rest @ .., usage, done] = &events[..] else { panic!("{events:?}") };
        assert_eq!(done, "[DONE]");
        assert_eq!(usage["choices"], serde_json::json!([]));
        assert_eq!(usage["usage"]["completion_tokens"], 5);
        let prompt = usage["usage"]["prompt_tokens"].as_u64().expect("a count");
        assert_eq!(prompt, WITH_USAGE.len().div_ceil(4) as u64);
        assert_eq!(usage["usage"]["total_tokens"], prompt + 5);
        assert_eq!(usage["id"], rest[0]["id"]);
        assert!(rest.iter().all(|event| event.get("usage") == Some(&Value::Null)));
    }
}

#[test]
fn without_stream_the_answer_is_one_object() {
    let played = play(&format!("{CHAT}?tokens=4"), PLAIN);
    let answer = played.json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "m");
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["role"], "assistant");
    assert_eq!(choice["message"]["content"], "Water finds its way ");
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(answer["usage"]["completion_tokens"], 4);
    // It comes when the last of its tokens would have.
    assert_eq!(played.head.as_ref().expect("a head").0, Duration::from_millis(150));

    let answer = play(&format!("{COMPLETIONS}?tokens=4"), PLAIN).json();
    assert_eq!(answer["object"], "text_completion");
    assert_eq!(answer["choices"][0]["text"], "Water finds its way ");
    assert_eq!(answer["usage"]["completion_tokens"], 4);
}

#[test]
fn a_long_answer_comes_in_pieces() {
    let played = play(&format!("{CHAT}?tokens=1000&token_bytes=100&rate=0"), PLAIN);
    assert!(played.data.len() > 5);
    assert!(played.data.iter().all(|(_, data)| data.len() <= 16 * 1024));
    let content = &played.json()["choices"][0]["message"]["content"];
    assert_eq!(content.as_str().map(str::len), Some(100_000));
}

#[test]
fn the_request_bounds_the_tokens() {
    for field in ["max_tokens", "max_completion_tokens"] {
        let body = format!(r#"{{"stream":true,"{field}":3}}"#);
        let events = play(CHAT, &body).events();
        assert_eq!(spoken(&events), "Water finds its ");
        let finish = &events[events.len() - 2];
        assert_eq!(finish["choices"][0]["finish_reason"], "length");

        let body = format!(r#"{{"{field}":3}}"#);
        let answer = play(CHAT, &body).json();
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
        assert_eq!(answer["usage"]["completion_tokens"], 3);
    }
    let roomy = r#"{"stream":true,"max_tokens":null,"max_completion_tokens":1000}"#;
    let events = play(CHAT, roomy).events();
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "stop");
}

#[test]
fn any_model_name_survives() {
    let name = "a\"b\\c\n\u{1}é\u{2028}\r\n\r\ndata: x";
    let body = serde_json::json!({ "model": name, "stream": true }).to_string();
    let events = play(CHAT, &body).events();
    assert!(events[..events.len() - 1].iter().all(|event| event["model"] == name));
}

#[test]
fn each_answer_has_an_id_of_its_own() {
    let service = service(Settings::default(), CHAT);
    let ids: Vec<Value> = (0..3)
        .map(|_| {
            let request = Request::bare("POST", CHAT, None);
            let mut responder = service.respond(&request, START);
            responder.on_body(STREAMED.as_bytes());
            responder.on_request_end(START);
            play_late(&mut *responder, Duration::ZERO).events()[0]["id"].clone()
        })
        .collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    assert_eq!(ids[0], "chatcmpl-0000000000000001");
}

#[test]
fn models_and_health_answer_at_once() {
    let models = play("/v1/models", "").json();
    assert_eq!(models["object"], "list");
    assert_eq!(models["data"][0]["id"], "mock");
    assert_eq!(models["data"][0]["object"], "model");
    assert_eq!(models["data"][0]["created"], EPOCH);
    assert_eq!(models["data"][0]["owned_by"], "sluicegate");
    assert_eq!(play("/health", "").json(), serde_json::json!({"status": "ok"}));
}
