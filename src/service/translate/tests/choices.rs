//! Several choices, and how likely their tokens were: asked for, told in streams, told in documents.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    BadAnswer, CHAT_TO_GEMINI, CHAT_TO_MESSAGES, CHAT_TO_OLLAMA, CHAT_TO_TGI, CHAT_TO_TRITON, Leg,
    MESSAGES_TO_CHAT, Memo, Pair, RESPONSES_TO_CHAT, RESPONSES_TO_MESSAGES, Translator, asked,
    chunks, events, memo, refused, request,
};
use crate::service::Dialect;

fn chat(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi."}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn responses(more: Value) -> Value {
    let mut body = json!({"model": "m", "input": "Hi."});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// The memo of an answer with so many choices.
fn wanting(choices: u64) -> Memo {
    Memo { choices, logprobs: true, ..memo() }
}

fn stream(pair: Pair, choices: u64, stream: &str) -> Result<String, BadAnswer> {
    let mut translator = Translator::of_stream(pair, &wanting(choices), 7, "x");
    let mut out = Vec::new();
    translator.feed(stream.as_bytes(), &mut out)?;
    translator.end(&mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn document(pair: Pair, choices: u64, body: &str) -> Result<String, BadAnswer> {
    let mut translator = Translator::of_document(pair, &wanting(choices), 200, 7, "x", 1 << 16);
    let mut out = Vec::new();
    translator.feed(body.as_bytes(), &mut out)?;
    translator.end(&mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn sse(data: &[Value]) -> String {
    data.iter().map(|data| format!("data: {data}\n\n")).collect()
}

/// Of each choice of a stream: its index, text, reason and entries of logprobs.
fn told_choices(stream: &str) -> Vec<(u64, String, String, Vec<Value>)> {
    let mut told: Vec<(u64, String, String, Vec<Value>)> = Vec::new();
    for (_, data) in events(stream) {
        for choice in data["choices"].as_array().into_iter().flatten() {
            let index = choice["index"].as_u64().unwrap();
            let known = told.iter().position(|(known, ..)| *known == index);
            let at = known.unwrap_or_else(|| {
                assert_eq!(choice["delta"]["role"], "assistant", "it begins with its role");
                told.push((index, String::new(), String::new(), Vec::new()));
                told.len() - 1
            });
            let (_, text, reason, logprobs) = &mut told[at];
            assert_eq!(reason, "", "nothing is said behind its end");
            *text += choice["delta"]["content"].as_str().unwrap_or_default();
            *reason += choice["finish_reason"].as_str().unwrap_or_default();
            let list = choice["logprobs"]["content"].as_array();
            logprobs.extend(list.into_iter().flatten().cloned());
        }
    }
    told
}

#[test]
fn choices_and_logprobs_are_asked_for_in_the_servers_words() {
    let body = chat(json!({"n": 3, "logprobs": true, "top_logprobs": 2}));
    let got = asked(CHAT_TO_GEMINI, &body);
    let expected = json!({"candidateCount": 3, "responseLogprobs": true, "logprobs": 2});
    assert_eq!(got["generationConfig"], expected);
    let got = asked(CHAT_TO_GEMINI, &chat(json!({"n": 1, "logprobs": true, "top_logprobs": 0})));
    assert_eq!(got["generationConfig"], json!({"responseLogprobs": true}));

    let got = asked(CHAT_TO_TGI, &body);
    let expected = json!({"details": true, "return_full_text": false, "top_n_tokens": 2,
        "best_of": 3, "do_sample": true});
    assert_eq!(got["parameters"], expected);

    let got = asked(CHAT_TO_OLLAMA, &chat(json!({"logprobs": true, "top_logprobs": 2})));
    assert_eq!((&got["logprobs"], &got["top_logprobs"]), (&json!(true), &json!(2)));
    let got = asked(CHAT_TO_OLLAMA, &chat(json!({"logprobs": false})));
    assert_eq!(got.get("logprobs"), None);

    let include = json!(["reasoning.encrypted_content", "message.output_text.logprobs"]);
    let got = asked(RESPONSES_TO_CHAT, &responses(json!({"include": include, "top_logprobs": 4})));
    assert_eq!((&got["logprobs"], &got["top_logprobs"]), (&json!(true), &json!(4)));
    let got = asked(RESPONSES_TO_CHAT, &responses(json!({"include": include})));
    assert_eq!((&got["logprobs"], got.get("top_logprobs")), (&json!(true), None));
    let got = asked(RESPONSES_TO_CHAT, &responses(json!({"top_logprobs": 0})));
    assert_eq!(got.get("logprobs"), None);

    let body = chat(json!({"n": 2, "logprobs": true})).to_string();
    let memo = request(CHAT_TO_GEMINI, body.as_bytes(), None).unwrap().memo;
    assert_eq!((memo.choices, memo.logprobs), (2, true));
}

#[test]
fn what_a_server_has_no_like_of_is_refused_by_its_name() {
    let to_ollama = Pair::new(Dialect::OpenAiResponses, Dialect::Ollama);
    let logprobs = json!({"include": ["message.output_text.logprobs"]});
    for (pair, body, field) in [
        (CHAT_TO_MESSAGES, chat(json!({"n": 2})), "n"),
        (CHAT_TO_MESSAGES, chat(json!({"logprobs": true})), "logprobs"),
        (CHAT_TO_OLLAMA, chat(json!({"n": 2})), "n"),
        (CHAT_TO_TRITON, chat(json!({"n": 2})), "n"),
        (CHAT_TO_TRITON, chat(json!({"logprobs": true})), "logprobs"),
        (CHAT_TO_TGI, chat(json!({"n": 2, "stream": true})), "n"),
        (CHAT_TO_TGI, chat(json!({"n": 2, "seed": 7})), "seed"),
        (CHAT_TO_TGI, chat(json!({"n": 2, "temperature": 0})), "temperature"),
        (CHAT_TO_GEMINI, chat(json!({"n": 0})), "n"),
        (CHAT_TO_GEMINI, chat(json!({"n": 1.5})), "n"),
        (CHAT_TO_GEMINI, chat(json!({"n": 129})), "n"),
        (CHAT_TO_GEMINI, chat(json!({"n": "2"})), "n"),
        (CHAT_TO_GEMINI, chat(json!({"top_logprobs": 2})), "top_logprobs"),
        (CHAT_TO_GEMINI, chat(json!({"logprobs": true, "top_logprobs": -1})), "top_logprobs"),
        (CHAT_TO_OLLAMA, chat(json!({"logprobs": 1})), "logprobs"),
        (RESPONSES_TO_CHAT, responses(json!({"n": 2})), "n"),
        (RESPONSES_TO_CHAT, responses(json!({"logprobs": true})), "logprobs"),
        (
            RESPONSES_TO_CHAT,
            responses(json!({"include": ["file_search_call.results"]})),
            "include[0]",
        ),
        // By the name that the client has for it.
        (RESPONSES_TO_MESSAGES, responses(logprobs.clone()), "include"),
        (RESPONSES_TO_MESSAGES, responses(json!({"text": {"verbosity": "low"}})), "text.verbosity"),
        (
            MESSAGES_TO_CHAT,
            {
                let mut body = chat(json!({"logprobs": true}));
                body["max_tokens"] = 5.into();
                body
            },
            "logprobs",
        ),
    ] {
        assert_eq!(refused(pair, &body).field, field, "{pair:?} {body}");
    }
    assert_eq!(asked(to_ollama, &responses(logprobs))["logprobs"], true);
    for leg in Leg::ALL {
        let names = leg.client_names();
        assert!(names.iter().all(|(client, way)| client != way), "{names:?}");
    }
}

#[test]
fn geminis_candidates_are_choices_that_may_be_told_in_turns() {
    let candidate = |index: u64, text: &str, more: Value| {
        let mut it = json!({"content": {"parts": [{"text": text}]}, "index": index});
        it.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        it
    };
    let usage = json!({"promptTokenCount": 3, "candidatesTokenCount": 4});
    let event = |candidates: Value| json!({"candidates": candidates, "usageMetadata": usage});
    let logprobs = json!({"logprobsResult": {
        "chosenCandidates": [{"token": "b", "tokenId": 5, "logProbability": -0.25}],
        "topCandidates": [{"candidates": [{"token": "b", "logProbability": -0.25}, {"token": "c"}]}]}});
    let first = candidate(0, "a", json!({}));
    let end = json!({"finishReason": "STOP"});
    let call = json!({"content": {"parts": [{"functionCall": {"name": "f", "args": {}}}]}, "index": 1,
        "finishReason": "STOP"});
    let whole = sse(&[
        event(json!([first, candidate(1, "b", logprobs)])),
        event(json!([candidate(0, "", end.clone())])),
        event(json!([candidate(1, " d", json!({}))])),
        event(json!([call])),
    ]);
    let out = stream(CHAT_TO_GEMINI, 2, &whole).unwrap();
    let told = told_choices(&out);
    let entry = json!({"token": "b", "logprob": -0.25, "bytes": [98], "top_logprobs": [
        {"token": "b", "logprob": -0.25, "bytes": [98]}, {"token": "c", "logprob": 0.0, "bytes": [99]}]});
    assert_eq!(told[0], (0, "a".into(), "stop".into(), vec![]));
    assert_eq!(told[1], (1, "b d".into(), "tool_calls".into(), vec![entry]));
    // What all of them cost is told once, behind the last of them.
    let told = events(&out);
    let counted: Vec<&Value> = told.iter().map(|(_, it)| &it["usage"]).collect();
    assert_eq!(counted.iter().filter(|usage| usage.is_object()).count(), 1);
    assert_eq!(counted[counted.len() - 2]["completion_tokens"], 4);
    assert!(out.ends_with("data: [DONE]\n\n"), "{out}");

    // One that has not ended is no end, and one that nobody asked for is no choice.
    let cut = sse(&[event(json!([candidate(0, "a", end.clone()), candidate(1, "b", json!({}))]))]);
    assert_eq!(stream(CHAT_TO_GEMINI, 2, &cut), Err(BadAnswer::Unfinished));
    let third = sse(&[event(json!([candidate(2, "a", json!({}))]))]);
    assert!(matches!(stream(CHAT_TO_GEMINI, 2, &third), Err(BadAnswer::Unknown(_))));
    // Gemini may give fewer than were asked for.
    let fewer = sse(&[event(json!([candidate(0, "a", end)]))]);
    assert_eq!(told_choices(&stream(CHAT_TO_GEMINI, 2, &fewer).unwrap()).len(), 1);
}

#[test]
fn documents_have_all_their_choices_and_numbers_as_they_were_written() {
    let body = r#"{"candidates":[
        {"content":{"parts":[{"text":"a"}]},"finishReason":"STOP","logprobsResult":
            {"chosenCandidates":[{"token":"a","logProbability":-1.50}]}},
        {"content":{"parts":[{"functionCall":{"name":"f","args":{}}}]},"finishReason":"STOP"}]}"#;
    let out = document(CHAT_TO_GEMINI, 2, body).unwrap();
    assert!(out.contains(r#""logprob":-1.50"#), "{out}");
    let told: Value = serde_json::from_str(&out).unwrap();
    let choices = told["choices"].as_array().unwrap();
    assert_eq!((choices.len(), &choices[1]["index"]), (2, &json!(1)));
    assert_eq!(choices[0]["logprobs"]["content"][0]["top_logprobs"], json!([]));
    assert_eq!(choices[0]["finish_reason"], "stop");
    assert_eq!(
        (&choices[1]["finish_reason"], &choices[1]["logprobs"]),
        (&json!("tool_calls"), &Value::Null)
    );
    assert!(matches!(document(CHAT_TO_GEMINI, 1, body), Err(BadAnswer::Unknown(_))));

    let token = |text: &str, special: bool| json!({"id": 1, "text": text, "logprob": -0.5, "special": special});
    let sequence = |text: &str| {
        json!({"generated_text": text, "finish_reason": "length",
        "generated_tokens": 3, "tokens": [token("x", false), token("</s>", true)]})
    };
    let body = json!({"generated_text": "a", "details": {"finish_reason": "eos_token",
        "generated_tokens": 2, "prefill": [], "tokens": [token("</s>", true), token("a\u{fffd}", false)],
        "top_tokens": [[], [token("a", false), token("b", false)]],
        "best_of_sequences": [sequence("b")]}});
    let out = document(CHAT_TO_TGI, 2, &body.to_string()).unwrap();
    let told: Value = serde_json::from_str(&out).unwrap();
    let first = &told["choices"][0];
    assert_eq!(
        (&first["message"]["content"], &first["finish_reason"]),
        (&json!("a"), &json!("stop"))
    );
    let entry = json!([{"token": "a\u{fffd}", "logprob": -0.5, "bytes": null, "top_logprobs": [
        {"token": "a", "logprob": -0.5, "bytes": [97]}, {"token": "b", "logprob": -0.5, "bytes": [98]}]}]);
    assert_eq!(first["logprobs"]["content"], entry);
    let second = &told["choices"][1];
    assert_eq!(
        (&second["message"]["content"], &second["finish_reason"]),
        (&json!("b"), &json!("length"))
    );
    assert_eq!(second["logprobs"]["content"][0]["token"], "x");
    assert_eq!(told["usage"]["completion_tokens"], 5, "of all of them");
    // Who asks for the best of several in TGI's own words is told one, and what all of them cost.
    let told: Value =
        serde_json::from_str(&document(CHAT_TO_TGI, 1, &body.to_string()).unwrap()).unwrap();
    assert_eq!(told["choices"].as_array().unwrap().len(), 1);
    assert_eq!(told["usage"]["completion_tokens"], 5);
    let mut more = body.clone();
    more["details"]["best_of_sequences"] = json!([sequence("b"), sequence("c")]);
    assert!(matches!(document(CHAT_TO_TGI, 2, &more.to_string()), Err(BadAnswer::Unknown(_))));

    let body =
        r#"{"message":{"content":"a"},"done":true,"logprobs":[{"token":"a","logprob":-0.10}]}"#;
    let out = document(CHAT_TO_OLLAMA, 1, body).unwrap();
    assert!(out.contains(r#""logprob":-0.10"#), "{out}");
}

#[test]
fn tgis_and_ollamas_tokens_leave_with_their_logprobs() {
    let token = |text: &str| {
        json!({"token": {"id": 5, "text": text, "logprob": -0.5, "special": false},
        "top_tokens": [{"text": "z", "logprob": -2.5}]})
    };
    let mut last = token("</s>");
    last["token"]["special"] = true.into();
    last["details"] = json!({"finish_reason": "eos_token", "generated_tokens": 2});
    let told =
        told_choices(&stream(CHAT_TO_TGI, 1, &sse(&[token("a"), token(" b"), last])).unwrap());
    let (_, text, _, entries) = &told[0];
    assert_eq!((text.as_str(), entries.len(), &entries[1]["token"]), ("a b", 2, &json!(" b")));
    assert_eq!(entries[0]["top_logprobs"][0]["token"], "z");

    let line = |message: Value, token: &str| {
        let top = json!([{"token": "z", "logprob": -2.0, "bytes": [122]}]);
        let logprobs =
            json!([{"token": token, "logprob": -0.5, "bytes": [9], "top_logprobs": top}]);
        format!("{}\n", json!({"message": message, "logprobs": logprobs, "done": false}))
    };
    let lines = line(json!({"thinking": "hm", "content": ""}), "hm")
        + &line(json!({"content": "a"}), "a")
        + &line(json!({"content": ""}), " b")
        + "{\"done\":true,\"message\":{\"content\":\"\"}}\n";
    let told = told_choices(&stream(CHAT_TO_OLLAMA, 1, &lines).unwrap());
    let (_, text, _, entries) = &told[0];
    let tokens: Vec<&Value> = entries.iter().map(|entry| &entry["token"]).collect();
    assert_eq!((text.as_str(), tokens), ("a", vec![&json!("a"), &json!(" b")]));
    assert_eq!(
        (&entries[0]["bytes"], &entries[0]["top_logprobs"][0]["bytes"]),
        (&json!([9]), &json!([122]))
    );
}

#[test]
fn clients_of_responses_read_logprobs_with_the_text_and_with_the_whole() {
    let entry =
        |token: &str| json!({"token": token, "logprob": -0.5, "bytes": [1], "top_logprobs": []});
    let chunk = |text: &str, reason: Value| {
        let logprobs = json!({"content": [entry(text)], "refusal": null});
        json!({"choices": [{"index": 0, "delta": {"content": text}, "logprobs": logprobs, "finish_reason": reason}]})
    };
    // Two deltas of one shape are two all the same.
    let whole =
        chunks(&[chunk("a", Value::Null), chunk("a", Value::Null), chunk("b", json!("stop"))])
            .replace(r#""logprobs":{"#, "\"logprobs\":{\n");
    let in_lines = whole.replace(":{\n", ":{\ndata: ");
    for stream_text in [whole.replace(":{\n", ":{"), in_lines] {
        let out = stream(RESPONSES_TO_CHAT, 1, &stream_text).unwrap();
        let mut deltas = Vec::new();
        for (name, data) in events(&out) {
            match name.as_str() {
                "response.output_text.delta" => {
                    assert_eq!(data["logprobs"], json!([entry(data["delta"].as_str().unwrap())]));
                    deltas.push(data["delta"].as_str().unwrap().to_owned());
                }
                "response.output_text.done" => {
                    assert_eq!(data["logprobs"].as_array().unwrap().len(), 3)
                }
                "response.completed" => {
                    let part = &data["response"]["output"][0]["content"][0];
                    assert_eq!(part["logprobs"], json!([entry("a"), entry("a"), entry("b")]));
                }
                _ => {}
            }
        }
        assert_eq!(deltas, ["a", "a", "b"]);
    }
    let body = json!({"choices": [{"message": {"content": "a"}, "finish_reason": "stop",
        "logprobs": {"content": [entry("a")]}}]});
    let out = document(RESPONSES_TO_CHAT, 1, &body.to_string()).unwrap();
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["output"][0]["content"][0]["logprobs"], json!([entry("a")]));
    // Clients with one answer do not read a second one.
    let mut second = chunk("a", Value::Null);
    second["choices"][0]["index"] = 1.into();
    for pair in [RESPONSES_TO_CHAT, MESSAGES_TO_CHAT] {
        let told = stream(pair, 2, &chunks(std::slice::from_ref(&second)));
        assert!(matches!(told, Err(BadAnswer::Unknown(_))));
    }
}

#[test]
fn a_document_for_a_stream_has_its_choices_and_logprobs() {
    let body = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP",
        "logprobsResult":{"chosenCandidates":[{"token":"a","logProbability":-1.50}]}},
        {"content":{"parts":[{"text":"b"}]},"finishReason":"MAX_TOKENS"}]}"#;
    let translator = Translator::of_document(CHAT_TO_GEMINI, &wanting(2), 200, 7, "x", 1 << 16);
    let mut translator = translator.told_as_stream();
    let mut out = Vec::new();
    translator.feed(body.as_bytes(), &mut out).unwrap();
    translator.end(&mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(r#""logprob":-1.50"#), "{out}");
    let told = told_choices(&out);
    assert_eq!((&told[0].1, &*told[0].2, told[0].3.len()), (&"a".to_owned(), "stop", 1));
    assert_eq!((&told[1].1, &*told[1].2, told[1].3.len()), (&"b".to_owned(), "length", 0));
}

/// What servers say of these tokens: the pair, their stream, and the same in a document.
fn said_of(tokens: &[(String, i32)]) -> Vec<(Pair, String, String)> {
    let number = |logprob: i32| f64::from(logprob) / 8.0;
    let text: String = tokens.iter().map(|(text, _)| text.as_str()).collect();
    let ollama =
        |(text, logprob): &(String, i32)| json!({"token": text, "logprob": number(*logprob)});
    let lines: String = tokens
        .iter()
        .map(|it| format!("{}\n", json!({"message": {"content": it.0}, "logprobs": [ollama(it)]})))
        .collect();
    let all: Vec<Value> = tokens.iter().map(ollama).collect();
    let ollama = json!({"message": {"content": text}, "done": true, "logprobs": all});
    let end = "{\"message\":{\"content\":\"\"},\"done\":true}\n";

    let gemini = |tokens: &[(String, i32)], reason: Value| {
        let chosen: Vec<Value> = tokens
            .iter()
            .map(|(text, logprob)| json!({"token": text, "logProbability": number(*logprob)}))
            .collect();
        let text: String = tokens.iter().map(|(text, _)| text.as_str()).collect();
        json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": reason,
            "logprobsResult": {"chosenCandidates": chosen}}]})
    };
    let mut candidates: Vec<Value> =
        tokens.iter().map(|it| gemini(std::slice::from_ref(it), Value::Null)).collect();
    candidates.push(gemini(&[], json!("STOP")));

    let token = |(text, logprob): &(String, i32)| json!({"text": text, "logprob": number(*logprob), "special": false});
    let mut events: Vec<Value> = tokens.iter().map(|it| json!({"token": token(it)})).collect();
    events.push(json!({"details": {"finish_reason": "length", "generated_tokens": 1}}));
    let all: Vec<Value> = tokens.iter().map(token).collect();
    let details = json!({"finish_reason": "length", "generated_tokens": 1, "tokens": all});
    let tgi = json!({"generated_text": text, "details": details});
    vec![
        (CHAT_TO_OLLAMA, lines + end, ollama.to_string()),
        (CHAT_TO_GEMINI, sse(&candidates), gemini(tokens, json!("STOP")).to_string()),
        (CHAT_TO_TGI, sse(&events), tgi.to_string()),
    ]
}

proptest! {
    #![proptest_config(crate::properties::cases(200))]

    #[test]
    fn a_stream_and_a_document_tell_the_same_of_any_tokens(
        tokens in prop::collection::vec((".{0,6}", -100..=0i32), 1..5),
    ) {
        for (pair, streamed, whole) in said_of(&tokens) {
            let told = told_choices(&stream(pair, 1, &streamed).unwrap());
            let whole: Value = serde_json::from_str(&document(pair, 1, &whole).unwrap()).unwrap();
            let choice = &whole["choices"][0];
            let (_, text, reason, entries) = &told[0];
            prop_assert_eq!(text, choice["message"]["content"].as_str().unwrap_or_default());
            prop_assert_eq!(reason, choice["finish_reason"].as_str().unwrap());
            prop_assert_eq!(&Value::Array(entries.clone()), &choice["logprobs"]["content"]);
            prop_assert_eq!(entries.len(), tokens.len());
            for (entry, (text, logprob)) in entries.iter().zip(&tokens) {
                prop_assert_eq!(&entry["token"], text);
                prop_assert_eq!(&entry["logprob"], f64::from(*logprob) / 8.0);
                let bytes = (!text.contains('\u{fffd}')).then(|| json!(text.as_bytes()));
                prop_assert_eq!(&entry["bytes"], &bytes.unwrap_or_default());
            }
        }
    }
}
