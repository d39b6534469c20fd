//! Translated requests for several choices and for the probabilities of tokens, and answers of servers that
//! have no streams: on real sockets.

use serde_json::{Value, json};

use crate::harness::chat::{expect_code, sized};
use crate::harness::{Config, Gateway, Upstream};

fn to(upstream: &Upstream, keys: &str) -> Gateway {
    Config { upstream: keys.to_owned(), ..Config::to(upstream.address()) }.start()
}

fn chunk(data: &Value) -> String {
    let event = format!("data: {data}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len())
}

fn events(body: &str) -> Vec<Value> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).expect(data))
        .collect()
}

#[test]
fn two_candidates_are_told_in_turns_and_the_stream_ends_with_the_last() {
    let upstream = Upstream::listen();
    let gateway = to(&upstream, "translate_to = \"gemini\"");
    let mut client = gateway.connect();
    client.send(sized(
        "",
        r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"n":2,"logprobs":true,
            "top_logprobs":1,"messages":[{"role":"user","content":"Hi."}]}"#,
    ));
    let mut server = upstream.accept();
    let config = server.read_request().json()["generationConfig"].clone();
    assert_eq!(config, json!({"candidateCount": 2, "responseLogprobs": true, "logprobs": 1}));
    server.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let usage = json!({"promptTokenCount": 3, "candidatesTokenCount": 4});
    let candidate = |index: u64, text: &str, reason: Value| {
        let token = json!({"token": text, "logProbability": -0.5});
        json!({"candidates": [{"index": index, "content": {"parts": [{"text": text}]},
            "finishReason": reason, "logprobsResult": {"chosenCandidates": [token]}}],
            "usageMetadata": usage})
    };
    // Each leaves in the turn it came, also behind the end of the other.
    for (index, text, reason) in [
        (0, "<one>", Value::Null),
        (1, "<two>", Value::Null),
        (0, "<three>", json!("STOP")),
        (1, "<four>", Value::Null),
        (1, "<five>", json!("MAX_TOKENS")),
    ] {
        server.send(chunk(&candidate(index, text, reason)));
        client.read_until(&format!("\"content\":\"{text}\""));
    }
    server.send("0\r\n\r\n");
    let answer = client.reread_response();
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    let told = events(answer.text());
    let of = |index: u64| {
        let choices =
            told.iter().flat_map(|event| event["choices"].as_array().into_iter().flatten());
        let mine: Vec<&Value> = choices.filter(|choice| choice["index"] == index).collect();
        let text: String =
            mine.iter().map(|it| it["delta"]["content"].as_str().unwrap_or_default()).collect();
        let likely =
            mine.iter().filter(|it| it["logprobs"]["content"][0]["logprob"] == -0.5).count();
        let reason = mine.last().expect("a choice")["finish_reason"].clone();
        (text, likely, reason)
    };
    assert_eq!(of(0), ("<one><three>".into(), 2, json!("stop")));
    assert_eq!(of(1), ("<two><four><five>".into(), 3, json!("length")));
    assert_eq!(told.last().expect("events")["usage"]["completion_tokens"], 4);
}

#[test]
fn sequences_of_tgi_are_choices_and_a_stream_of_them_is_refused() {
    let upstream = Upstream::listen();
    let gateway = to(&upstream, "translate_to = \"tgi\"");
    let mut client = gateway.connect();
    let body = r#"{"model":"m","n":2,"messages":[{"role":"user","content":"Hi."}]}"#;
    client.send(sized("", body));
    let mut server = upstream.accept();
    let asked = server.read_request().json();
    assert_eq!(
        (&asked["parameters"]["best_of"], &asked["parameters"]["do_sample"]),
        (&json!(2), &json!(true))
    );
    let sequence = json!({"generated_text": "b", "finish_reason": "length", "generated_tokens": 1});
    let details = json!({"finish_reason": "eos_token", "generated_tokens": 1, "best_of_sequences": [sequence]});
    let answer = json!({"generated_text": "a", "details": details}).to_string();
    server.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
        answer.len()
    ));
    let told = client.read_response().json();
    assert_eq!(told["choices"][1]["message"]["content"], "b");
    assert_eq!(told["choices"][1]["finish_reason"], "length");
    client.send(sized("", &body.replace("\"n\":2", "\"n\":2,\"stream\":true")));
    expect_code(&mut client, 400, "untranslatable");
}

#[test]
fn a_server_of_tensors_answers_any_client_whole_and_as_a_stream_of_one_piece() {
    let upstream = Upstream::listen();
    let gateway = to(
        &upstream,
        "translate_to = { dialect = \"kserve\", input = \"args\", output = \"out\" }\nmodel = \"own\"",
    );
    let prompt = r#""messages":[{"role":"user","content":"Hi."}]"#;
    for (path, body, text, end) in [
        (
            "/v1/chat/completions",
            format!(r#"{{"model":"m",{prompt}}}"#),
            "\"content\":\"Hello.\"",
            "[DONE]",
        ),
        (
            "/v1/messages",
            format!(r#"{{"model":"m","max_tokens":9,{prompt}}}"#),
            "\"text\":\"Hello.\"",
            "message_stop",
        ),
        (
            "/v1/responses",
            r#"{"model":"m","input":"Hi."}"#.to_owned(),
            "\"text\":\"Hello.\"",
            "response.completed",
        ),
    ] {
        for stream in [false, true] {
            let body = body.replacen('{', &format!("{{\"stream\":{stream},"), 1);
            let mut client = gateway.connect();
            client.send(sized("", &body).replacen("/v1/chat/completions", path, 1));
            let mut server = upstream.accept();
            let request = server.read_request();
            assert_eq!(request.start, "POST /v2/models/own/infer HTTP/1.1");
            let input = &request.json()["inputs"][0];
            assert_eq!((&input["name"], &input["data"]), (&json!("args"), &json!(["Hi."])));
            let other = json!({"name": "other", "shape": [1], "datatype": "BYTES", "data": ["x"]});
            let output =
                json!({"name": "out", "shape": [1, 1], "datatype": "BYTES", "data": ["Hello."]});
            let answer = json!({"model_name": "own", "outputs": [other, output]}).to_string();
            server.send(format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{answer}",
                answer.len()
            ));
            let got = client.read_response();
            let media = if stream { "text/event-stream" } else { "application/json" };
            assert_eq!(got.field("content-type"), Some(media), "{path}");
            assert!(got.text().contains(text), "{path}: {}", got.text());
            assert_eq!(got.text().contains(end), stream, "{path}: {}", got.text());
        }
    }
    // An answer that is not there is none, and an error keeps its status.
    for (status, answer, code) in [
        ("200 OK", r#"{"model_name":"own","outputs":[]}"#, 502),
        ("404 Not Found", r#"{"error":"Model own not found"}"#, 404),
    ] {
        let mut client = gateway.connect();
        client.send(sized("", &format!(r#"{{"model":"m",{prompt}}}"#)));
        let mut server = upstream.accept();
        server.read_request();
        server.send(format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{answer}",
            answer.len()
        ));
        let got = client.read_response();
        assert_eq!(got.status(), code);
        assert!(got.json()["error"]["message"].is_string(), "{}", got.text());
    }
}

#[test]
fn signs_of_life_may_come_before_a_server_of_tensors_has_answered() {
    let upstream = Upstream::listen();
    let config = Config {
        upstream: "translate_to = \"kserve\"".to_owned(),
        route: "heartbeat = { every = \"1s\", before_head = true }".to_owned(),
        ..Config::to(upstream.address())
    };
    let gateway = config.start();
    let mut client = gateway.connect();
    client.send(sized(
        "",
        r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi."}]}"#,
    ));
    let mut server = upstream.accept();
    server.read_request();
    client.read_until("\r\n\r\n");
    let output =
        json!({"name": "text_output", "shape": [1], "datatype": "BYTES", "data": ["Hello."]});
    let answer = json!({"model_name": "m", "outputs": [output]}).to_string();
    // The head alone is no answer yet.
    server.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
        answer.len(),
        &answer[..9]
    ));
    std::thread::sleep(std::time::Duration::from_millis(100));
    server.send(&answer[9..]);
    let got = client.reread_response();
    assert_eq!(got.field("content-type"), Some("text/event-stream"));
    assert!(got.text().contains("\"content\":\"Hello.\""), "{}", got.text());
    assert!(got.text().ends_with("data: [DONE]\n\n"), "{}", got.text());
}
