//! Requests that are asked in one dialect and answered in another: what the server is asked, what the
//! client gets, and when.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::chat::expect_code;
use crate::harness::{Config, End, Gateway, Message, Peer, Upstream};

const STREAM: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
/// What must happen in the turn of its cause takes no longer, on a machine that runs other tests.
const AT_ONCE: Duration = Duration::from_millis(500);

fn gateway(upstream: &Upstream, translate_to: &str, more: &str) -> Gateway {
    let config = Config {
        upstream: format!("translate_to = \"{translate_to}\"\n{more}"),
        ..Config::to(upstream.address())
    };
    config.start()
}

fn post(path: &str, fields: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: own\r\nContent-Type: application/json\r\n{fields}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A chat of OpenAI's.
fn chat(more: Value) -> String {
    let mut body = json!({
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Say hello."},
        ],
    });
    merge(&mut body, more);
    post("/v1/chat/completions?x=1", "Accept-Encoding: gzip\r\n", &body)
}

/// Messages of Anthropic's.
fn messages(more: Value) -> String {
    let mut body = json!({
        "model": "claude",
        "max_tokens": 64,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Say hello."}],
    });
    merge(&mut body, more);
    let fields = "Anthropic-Version: 2023-06-01\r\nAnthropic-Beta: a-2025\r\n";
    post("/v1/messages?beta=true", fields, &body)
}

fn merge(body: &mut Value, more: Value) {
    let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) else { return };
    body.extend(more);
}

fn document(status: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// An event of Anthropic's, in a chunk.
fn event(data: Value) -> String {
    let name = data["type"].as_str().expect("a type").to_owned();
    chunk(&format!("event: {name}\ndata: {data}\n\n"))
}

/// How a stream of Anthropic's begins.
fn begun() -> String {
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-served",
        "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 12, "output_tokens": 1},
    });
    event(json!({"type": "message_start", "message": message}))
        + &event(json!({"type": "content_block_start", "index": 0,
                        "content_block": {"type": "text", "text": ""}}))
}

fn said(text: &str) -> String {
    event(json!({"type": "content_block_delta", "index": 0,
                 "delta": {"type": "text_delta", "text": text}}))
}

/// How it ends.
fn ended() -> String {
    event(json!({"type": "content_block_stop", "index": 0}))
        + &event(json!({"type": "message_delta",
                        "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                        "usage": {"output_tokens": 7}}))
        + &event(json!({"type": "message_stop"}))
        + "0\r\n\r\n"
}

/// A delta of OpenAI's, in a chunk.
fn delta(delta: Value, finish: Value) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    let data = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1,
                      "model": "served", "choices": [choice]});
    chunk(&format!("data: {data}\n\n"))
}

/// The data of the events in a body.
fn data_of(body: &str) -> Vec<Value> {
    let lines = body.lines().filter_map(|line| line.strip_prefix("data: "));
    lines
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).expect(data))
        .collect()
}

/// The text that a client of OpenAI's reads in a stream.
fn text_of_chat(body: &str) -> String {
    let texts = data_of(body).into_iter().map(|event| {
        event["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    });
    texts.collect()
}

/// A request as a server of Anthropic's should get it.
fn expect_messages(request: &Message) -> Value {
    assert_eq!(request.start, "POST /v1/messages HTTP/1.1");
    assert_eq!(request.all("content-length").len(), 1);
    assert_eq!(request.all("content-type"), ["application/json"]);
    assert_eq!(request.all("accept-encoding"), ["identity"]);
    assert_eq!(request.all("anthropic-version"), ["2023-06-01"]);
    assert!(request.field("transfer-encoding").is_none());
    let body = request.json();
    assert!(body["max_tokens"].as_u64().is_some_and(|max| max > 0), "{body}");
    body
}

#[test]
fn a_token_is_translated_in_the_turn_it_comes() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "anthropic", "model = \"claude-served\"");
    let mut client = gateway.connect();
    client.send(chat(json!({"stream": true, "stream_options": {"include_usage": true}})));
    let mut server = upstream.accept();
    let body = expect_messages(&server.read_request());
    assert_eq!(body["model"], "claude-served");
    assert_eq!(body["stream"], true);
    assert_eq!(body["messages"].as_array().map(Vec::len), Some(1), "{body}");
    assert!(body["system"].to_string().contains("Be brief."), "{body}");
    server.send(format!("{STREAM}{}", begun()));
    // Each is with the client before the next one leaves.
    let mut delays: Vec<Duration> = (0..25)
        .map(|number| {
            let token = format!("<token {number}>");
            let sent = Instant::now();
            server.send(said(&token));
            client.read_until(&token);
            client.arrival_of(&token).saturating_duration_since(sent)
        })
        .collect();
    delays.sort();
    println!("median {:?}, worst {:?}", delays[12], delays[24]);
    assert!(delays[6] < Duration::from_millis(20), "{delays:?}");
    server.send(ended());
    let answer = client.reread_response();
    assert_eq!(answer.field("content-type"), Some("text/event-stream"));
    let body = answer.text();
    let events = data_of(body);
    assert_eq!(events[0]["object"], "chat.completion.chunk", "{body}");
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant", "{body}");
    let expected: String = (0..25).map(|number| format!("<token {number}>")).collect();
    assert_eq!(text_of_chat(body), expected);
    let finished = events.iter().any(|event| event["choices"][0]["finish_reason"] == "stop");
    assert!(finished, "{body}");
    let usage = &events.last().expect("events")["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(12), &json!(7)));
    assert!(body.ends_with("data: [DONE]\n\n"), "{body}");
    // Both connections go on.
    client.send(chat(json!({})));
    server.read_request();
}

#[test]
fn a_client_of_messages_is_answered_by_a_server_of_chats() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "openai", "");
    let mut client = gateway.connect();
    client.send(messages(json!({"stream": true})));
    let mut server = upstream.accept();
    let request = server.read_request();
    assert_eq!(request.start, "POST /v1/chat/completions HTTP/1.1");
    for gone in ["anthropic-version", "anthropic-beta"] {
        assert_eq!(request.field(gone), None);
    }
    let body = request.json();
    assert_eq!(body["model"], "claude");
    assert_eq!(body["messages"][0]["role"], "system", "{body}");
    // Or nobody would know what it cost.
    assert_eq!(body["stream_options"]["include_usage"], true, "{body}");
    server.send(STREAM);
    server.send(delta(json!({"role": "assistant", "content": ""}), Value::Null));
    for word in ["Hel", "lo"] {
        server.send(delta(json!({"content": word}), Value::Null));
        client.read_until(&format!("\"{word}\""));
    }
    server.send(delta(json!({}), json!("stop")));
    let usage = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "served",
        "choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 2, "total_tokens": 14}});
    server.send(chunk(&format!("data: {usage}\n\n")) + &chunk("data: [DONE]\n\n") + "0\r\n\r\n");
    let answer = client.reread_response();
    let body = answer.text();
    let names: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let expected = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names, expected, "{body}");
    let events = data_of(body);
    assert_eq!(events[5]["delta"]["stop_reason"], "end_turn");
    assert_eq!(events[5]["usage"]["output_tokens"], 2);
}

#[test]
fn documents_are_translated_both_ways() {
    let upstream = Upstream::listen();
    let to_messages = gateway(&upstream, "anthropic", "");
    let mut client = to_messages.connect();
    client.send(chat(json!({"max_tokens": 5})));
    let mut server = upstream.accept();
    assert_eq!(expect_messages(&server.read_request())["max_tokens"], 5);
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-served",
        "content": [{"type": "text", "text": "Hello."}], "stop_reason": "max_tokens",
        "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 5,
            "cache_read_input_tokens": 3, "cache_creation_input_tokens": 0},
    });
    server.send(document("200 OK", &answer));
    let answer = client.read_response();
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion", "{body}");
    assert_eq!(body["choices"][0]["message"]["content"], "Hello.");
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    // OpenAI counts what came from the cache as a part of the prompt.
    assert_eq!(body["usage"]["prompt_tokens"], 12);
    assert_eq!(body["usage"]["prompt_tokens_details"]["cached_tokens"], 3);

    let upstream = Upstream::listen();
    let to_chat = gateway(&upstream, "openai", "");
    let mut client = to_chat.connect();
    client.send(messages(json!({})));
    let mut server = upstream.accept();
    server.read_request();
    let choice = json!({"index": 0, "finish_reason": "stop",
                        "message": {"role": "assistant", "content": "Hello."}});
    let answer = json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "served",
        "choices": [choice],
        "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}});
    server.send(document("200 OK", &answer));
    let body = client.read_response().json();
    assert_eq!(body["type"], "message", "{body}");
    assert_eq!(body["content"][0], json!({"type": "text", "text": "Hello."}));
    assert_eq!(body["stop_reason"], "end_turn");
    assert_eq!(body["usage"]["input_tokens"], 12);
}

#[test]
fn what_cannot_be_said_is_refused_by_its_name_and_nobody_is_asked() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "anthropic", "");
    let mut client = gateway.connect();
    let asked = [
        (json!({"n": 2}), "n"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}), "messages[0]"),
    ];
    for (index, (more, field)) in asked.into_iter().enumerate() {
        client.send(chat(more));
        let answer = client.read_response();
        assert_eq!(answer.status(), 400, "{answer:?}");
        let error = &answer.json()["error"];
        assert_eq!(error["code"], "untranslatable");
        assert!(error["message"].as_str().is_some_and(|it| it.contains(field)), "{error}");
        gateway.expect_in_log("untranslatable", index + 1);
    }
    client.send(post("/v1/chat/completions", "", &json!([1])));
    expect_code(&mut client, 400, "untranslatable");
    upstream.expect_no_request();
    // The connection goes on.
    client.send(chat(json!({})));
    expect_messages(&upstream.accept().read_request());
}

#[test]
fn a_request_over_the_limit_or_in_a_coding_is_refused() {
    let upstream = Upstream::listen();
    let config = Config {
        upstream: "translate_to = \"anthropic\"".to_owned(),
        limits: "translate_bytes = \"64KiB\"".to_owned(),
        ..Config::to(upstream.address())
    };
    let gateway = config.start();
    let long = json!({"messages": [{"role": "user", "content": "x".repeat(70_000)}]});
    let mut client = gateway.connect();
    client.send(chat(long.clone()));
    expect_code(&mut client, 413, "too_long_to_translate");
    let mut client = gateway.connect();
    let body = json!({"model": "m", "messages": []});
    client.send(post("/v1/chat/completions", "Content-Encoding: gzip\r\n", &body));
    expect_code(&mut client, 400, "body_undecodable");
    upstream.expect_no_request();
    // What is not translated may be as long as it is, and in any coding.
    let mut client = gateway.connect();
    client.send(post("/v1/embeddings", "Content-Encoding: gzip\r\n", &long));
    let request = upstream.accept().read_request();
    assert_eq!(request.start, "POST /v1/embeddings HTTP/1.1");
    assert_eq!(request.field("content-encoding"), Some("gzip"));
}

fn busy() -> String {
    document("503 Service Unavailable", &json!({"error": {"message": "busy"}}))
}

#[test]
fn each_upstream_of_a_chain_is_asked_in_its_own_dialect() {
    let (first, second) = (Upstream::listen(), Upstream::listen());
    let own = "model = \"own\"";
    let anthropic = "translate_to = \"anthropic\"\nmodel = \"claude-served\"";
    let asked = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi."}]});
    let chunked = {
        let body = asked.to_string();
        let (front, back) = body.split_at(20);
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: own\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n{}{}0\r\n\r\n",
            chunk(front),
            chunk(back)
        )
    };
    let sized = post("/v1/chat/completions", "", &asked);
    for (keys, request) in [
        ([anthropic, own], &sized),
        ([anthropic, own], &chunked),
        ([own, anthropic], &sized),
        ([own, anthropic], &chunked),
        (["", anthropic], &chunked),
    ] {
        let gateway = Gateway::chain((&first, keys[0]), (&second, keys[1]));
        let mut client = gateway.connect();
        client.send(request);
        for (upstream, keys, last) in [(&first, keys[0], false), (&second, keys[1], true)] {
            let mut server = upstream.accept();
            let request = server.read_request();
            let body = request.json();
            if keys == anthropic {
                expect_messages(&request);
                assert_eq!(body["model"], "claude-served");
            } else {
                assert_eq!(request.start, "POST /v1/chat/completions HTTP/1.1");
                let model = if keys.is_empty() { "gpt-4o" } else { "own" };
                assert_eq!(body["model"], model);
                assert_eq!(body["messages"], asked["messages"]);
                assert_eq!(body.as_object().map(|it| it.len()), Some(2), "{body}");
            }
            let served = match keys == anthropic {
                true => json!({"id": "msg_1", "type": "message", "role": "assistant",
                    "model": "claude-served", "content": [{"type": "text", "text": "Ho."}],
                    "stop_reason": "end_turn", "stop_sequence": null,
                    "usage": {"input_tokens": 1, "output_tokens": 1}}),
                false => {
                    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "own",
                    "choices": [{"index": 0, "finish_reason": "stop",
                                 "message": {"role": "assistant", "content": "Ho."}}]})
                }
            };
            server.send(if last { document("200 OK", &served) } else { busy() });
        }
        let answer = client.read_response();
        assert_eq!(answer.json()["choices"][0]["message"]["content"], "Ho.", "{answer:?}");
    }
}

#[test]
fn an_error_of_the_servers_is_told_in_the_clients_words() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "anthropic", "");
    let mut client = gateway.connect();
    client.send(chat(json!({"stream": true})));
    let mut server = upstream.accept();
    server.read_request();
    let error = json!({"type": "error", "request_id": "r",
        "error": {"type": "invalid_request_error", "message": "max_tokens: too many"}});
    server.send(document("400 Bad Request", &error));
    let answer = client.read_response();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json()["error"]["message"], "max_tokens: too many");
    assert!(answer.json().get("type").is_none());
    // A page of some proxy's, which is no JSON.
    client.send(chat(json!({})));
    server.read_request();
    let page = "<html>502</html>";
    server.send(format!(
        "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
        page.len()
    ));
    let answer = client.read_response();
    assert_eq!((answer.status(), answer.field("content-type")), (502, Some("application/json")));
    assert!(answer.json()["error"]["message"].is_string(), "{answer:?}");
}

#[test]
fn a_stream_that_breaks_is_told_in_the_clients_words() {
    let overloaded = event(json!({"type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"}}));
    // It says so itself, or is cut between two events, or inside one, or ends without an end.
    for (last, code) in [
        (overloaded + "0\r\n\r\n", "Overloaded"),
        (String::new(), "upstream_truncated"),
        ("40\r\nevent: content_block".to_owned(), "upstream_truncated"),
        ("0\r\n\r\n".to_owned(), "upstream_unfinished"),
    ] {
        let upstream = Upstream::listen();
        let gateway = gateway(&upstream, "anthropic", "");
        let mut client = gateway.connect();
        client.send(chat(json!({"stream": true})));
        let mut server = upstream.accept();
        server.read_request();
        server.send(format!("{STREAM}{}{}", begun(), said("half")));
        client.read_until("half");
        server.send(&last);
        server.finish();
        client.read_until("\"error\"");
        // The server's own end is an end of the message; one of ours is none.
        if code == "Overloaded" {
            client.reread_response();
        } else {
            client.read_end();
        }
        let body = client.transcript();
        assert!(body.contains(code), "{code}: {body}");
        assert!(!body.contains("[DONE]") && !body.contains("event: "), "{body}");
    }
}

#[test]
fn an_answer_that_cannot_be_translated_is_no_answer() {
    let strange = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "hologram", "data": "x"}], "stop_reason": "end_turn",
        "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}});
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "anthropic", "");
    let answers = [
        document("200 OK", &strange),
        document("200 OK", &json!({"choices": []})),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        document("302 Found", &strange),
        document("206 Partial Content", &strange),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: zstd\r\n\
         Content-Length: 2\r\n\r\nok"
            .to_owned(),
    ];
    for answer in answers {
        let mut client = gateway.connect();
        client.send(chat(json!({})));
        let mut server = upstream.accept();
        server.read_request();
        server.send(&answer);
        expect_code(&mut client, 502, "upstream_untranslatable");
    }
    // Another upstream is asked in its place.
    let (first, second) = (Upstream::listen(), Upstream::listen());
    let gateway = Gateway::chain((&first, "translate_to = \"anthropic\""), (&second, ""));
    let mut client = gateway.connect();
    client.send(chat(json!({})));
    let mut server = first.accept();
    server.read_request();
    server.send(document("200 OK", &strange));
    let mut server = second.accept();
    assert!(server.read_request().start.starts_with("POST /v1/chat/completions?x=1 "));
    server.send(document("200 OK", &json!({"choices": []})));
    assert_eq!(client.read_response().json(), json!({"choices": []}));
}

#[test]
fn a_client_of_http_1_0_reads_to_the_end_of_the_connection() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "anthropic", "");
    let mut client = gateway.connect();
    client.send(chat(json!({"stream": true})).replacen("HTTP/1.1", "HTTP/1.0", 1));
    let mut server = upstream.accept();
    server.read_request();
    server.send(format!("{STREAM}{}{}", begun(), said("one")));
    client.read_until("one");
    server.send(ended());
    assert_eq!(client.read_end(), End::Fin);
    let body = client.transcript();
    assert!(body.contains("[DONE]") && !body.contains("0\\r\\n\\r\\n"), "{body}");
}

#[test]
fn a_heartbeat_stands_between_two_events_of_a_translated_stream() {
    let upstream = Upstream::listen();
    let config = Config {
        upstream: "translate_to = \"anthropic\"".to_owned(),
        route: "heartbeat = { every = \"1s\" }".to_owned(),
        ..Config::to(upstream.address())
    };
    let gateway = config.start();
    let mut client = gateway.connect();
    client.send(chat(json!({"stream": true})));
    let mut server = upstream.accept();
    server.read_request();
    let two = said("two");
    let (front, back) = two.split_at(30);
    server.send(format!("{STREAM}{}{}", begun(), said("one")));
    client.read_until("one");
    // Half an event of the server's is none of the client's yet.
    server.send(front);
    client.read_until(": hb\n\n");
    server.send(back);
    client.read_until("two");
    server.send(ended());
    let answer = client.reread_response();
    assert_eq!(text_of_chat(answer.text()), "onetwo");
}

#[test]
fn what_has_no_translation_goes_as_it_came() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "anthropic", "");
    let mut client = gateway.connect();
    let mut server: Option<Peer> = None;
    let own = messages(json!({})).replace("Anthropic-Beta", "X-Beta");
    for request in [
        "GET /v1/models HTTP/1.1\r\nHost: own\r\nAccept-Encoding: gzip\r\n\r\n".to_owned(),
        "GET /v1/chat/completions HTTP/1.1\r\nHost: own\r\n\r\n".to_owned(),
        post("/v1/completions", "", &json!({"prompt": "a"})),
        // It is Anthropic's already.
        own,
    ] {
        client.send(&request);
        let server = server.get_or_insert_with(|| upstream.accept());
        let received = server.read_request();
        let (line, rest) = request.split_once("\r\n").expect("a head");
        assert_eq!(received.start, line);
        assert_eq!(received.text(), rest.split_once("\r\n\r\n").expect("a head").1);
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(client.read_response().text(), "ok");
    }
}

#[test]
fn the_path_and_the_key_are_the_upstreams() {
    let upstream = Upstream::listen();
    let config = Config {
        upstream:
            "translate_to = { dialect = \"anthropic\", path = \"/api/anthropic/v1/messages\" }\n\
                   api_key = { env = \"SLUICEGATE_TEST_KEY\" }"
                .to_owned(),
        ..Config::to(upstream.address())
    };
    let gateway = Gateway::start_with(&config.text(), |command| {
        command.env("SLUICEGATE_TEST_KEY", "sk-own");
    });
    let mut client = gateway.connect();
    let asked =
        chat(json!({})).replacen("Host: own", "Host: own\r\nAuthorization: Bearer theirs", 1);
    client.send(asked);
    let request = upstream.accept().read_request();
    assert_eq!(request.start, "POST /api/anthropic/v1/messages HTTP/1.1");
    assert_eq!(request.all("x-api-key"), ["sk-own"]);
    assert_eq!(request.field("authorization"), None);
}

#[test]
fn a_predefined_answer_speaks_the_clients_dialect() {
    let upstream = Upstream::listen();
    let config = Config {
        upstream: "translate_to = \"openai\"".to_owned(),
        route: "fallback = { text = \"Later.\" }".to_owned(),
        ..Config::to(upstream.address())
    };
    let gateway = config.start();
    let mut client = gateway.connect();
    client.send(messages(json!({"stream": true})));
    let mut server = upstream.accept();
    server.read_request();
    server.send(busy());
    client.read_until("event: message_stop");
    let body = client.transcript();
    assert!(body.contains("Later.") && body.contains("\\\"model\\\":\\\"claude\\\""), "{body}");
}

#[test]
fn a_client_that_leaves_frees_the_server_of_a_translated_stream() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "anthropic", "");
    let mut client = gateway.connect();
    client.send(chat(json!({"stream": true})));
    let mut server = upstream.accept();
    server.read_request();
    server.send(format!("{STREAM}{}{}", begun(), said("one")));
    client.read_until("one");
    let left = Instant::now();
    client.reset();
    server.read_end();
    assert!(left.elapsed() < AT_ONCE * 4, "{:?}", left.elapsed());
}

/// The model has said that it is done, and the server goes without the end of its message.
#[test]
fn a_stream_that_only_lacks_the_end_of_its_message_has_its_last_events() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "openai", "");
    let mut client = gateway.connect();
    client.send(messages(json!({"stream": true})));
    let mut server = upstream.accept();
    server.read_request();
    server.send(STREAM);
    server.send(delta(json!({"role": "assistant", "content": "Hello"}), Value::Null));
    client.read_until("Hello");
    server.send(delta(json!({}), json!("stop")));
    server.finish();
    client.read_until("event: message_stop");
    client.read_end();
    let body = client.transcript();
    assert!(body.contains("end_turn") && !body.contains("event: error"), "{body}");
    gateway.expect_in_log("upstream_unterminated", 1);
}

/// What a parser of JSON takes for its own, and what stands there twice, names no other model than the one
/// that decides about the route.
#[test]
fn a_request_has_one_reading() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "anthropic", "");
    let mut client = gateway.connect();
    let hidden = json!({"$serde_json::private::RawValue": chat(json!({})).split_once("\r\n\r\n")
        .expect("a head").1});
    client.send(post("/v1/chat/completions", "", &hidden));
    expect_code(&mut client, 400, "untranslatable");
    let twice = r#"{"model":"a","model":"b","messages":[{"role":"user","content":"x"}]}"#;
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: own\r\nContent-Length: {}\r\n\r\n{twice}",
        twice.len()
    ));
    expect_code(&mut client, 400, "untranslatable");
    upstream.expect_no_request();
}

/// A worker that translates serves nobody else meanwhile: a hundred thousand neighbours take no time that
/// grows with their square.
#[test]
fn a_long_conversation_is_translated_in_one_piece_of_time() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "anthropic", "");
    let mut client = gateway.connect();
    let spent = |client: &mut Peer, count: usize| {
        let message = json!({"role": "user", "content": "x"});
        client.send(chat(json!({"messages": vec![message; count]})));
        let before = gateway.cpu_time();
        let mut server = upstream.accept();
        expect_messages(&server.read_request());
        server.send(document(
            "200 OK",
            &json!({"id": "m", "type": "message", "role": "assistant",
            "model": "m", "content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn",
            "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}}),
        ));
        server.finish();
        client.read_response();
        gateway.cpu_time().saturating_sub(before)
    };
    let (small, large) = (spent(&mut client, 3_000), spent(&mut client, 60_000));
    // Twenty times as long, and not four hundred times.
    assert!(large < small.max(Duration::from_millis(10)) * 80, "{small:?}, {large:?}");
}

/// Errors of the gateway's own, translated or not, and the code in each of them.
#[test]
fn errors_of_our_own_are_in_the_clients_words() {
    let upstream = Upstream::listen();
    let config = Config {
        upstream: "translate_to = \"openai\"".to_owned(),
        route: "when = { model = \"known\" }\npath = \"/*\"".to_owned(),
        ..Config::to(upstream.address())
    };
    let gateway = config.start();
    let unknown = json!({"model": "unknown", "messages": []});
    for (path, told) in [
        ("/v1/messages", json!({"type": "not_found_error", "code": "model_not_found"})),
        (
            "/v1/chat/completions",
            json!({"type": "invalid_request_error", "code": "model_not_found"}),
        ),
    ] {
        let mut client = gateway.connect();
        client.send(post(path, "", &unknown));
        let answer = client.read_response();
        assert_eq!(answer.status(), 404);
        let body = answer.json();
        let error = &body["error"];
        assert_eq!((&error["type"], &error["code"]), (&told["type"], &told["code"]), "{body}");
        assert_eq!(body.get("type").is_some(), path == "/v1/messages", "{body}");
        assert!(error["message"].as_str().is_some_and(|it| it.contains("unknown")), "{body}");
    }
    let mut client = gateway.connect();
    client.send(post("/api/chat", "", &unknown));
    let body = client.read_response().json();
    assert!(body["error"].is_string() && body["code"] == "model_not_found", "{body}");
    // And what its translation refuses.
    client.send(messages(json!({"model": "known", "mcp_servers": [{"name": "a"}]})));
    let body = client.read_response().json();
    assert_eq!(body["error"]["code"], "untranslatable", "{body}");
    assert_eq!(body["error"]["type"], "invalid_request_error", "{body}");
    assert_eq!(body["type"], "error", "{body}");
}
