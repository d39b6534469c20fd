//! Usage: what requests have cost, told by route, upstream and model, and that it adds up.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::admin::Watched;
use crate::harness::{Config, Peer, Upstream};
use crate::tracing::Scratch;

fn document(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn events(events: &[&str]) -> String {
    let mut answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                      Transfer-Encoding: chunked\r\n\r\n"
        .to_owned();
    for event in events {
        let event = format!("{event}\n\n");
        answer += &format!("{:x}\r\n{event}\r\n", event.len());
    }
    answer + "0\r\n\r\n"
}

/// What a server of all three dialects says to a request.
fn answer(path: &str, streams: bool) -> String {
    match (path, streams) {
        ("/v1/chat/completions", false) => document(
            r#"{"object":"chat.completion","model":"gpt-x","choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":30,"prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":20}}}"#,
        ),
        ("/v1/chat/completions", true) => events(&[
            r#"data: {"model":"gpt-x","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#,
            r#"data: {"model":"gpt-x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"data: {"model":"gpt-x","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#,
            "data: [DONE]",
        ]),
        ("/v1/messages", false) => document(
            r#"{"type":"message","model":"claude-x","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":1,"output_tokens":9}}"#,
        ),
        ("/v1/messages", true) => events(&[
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-x\",\"usage\":{\"input_tokens\":20,\"output_tokens\":1}}}",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}",
            "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":11}}",
            "event: message_stop\ndata: {\"type\":\"message_stop\"}",
        ]),
        ("/api/chat", false) => document(
            r#"{"model":"llama-x","message":{"role":"assistant","content":"a"},"done":true,"prompt_eval_count":3,"eval_count":4}"#,
        ),
        // It does not count: its lines stand for tokens.
        ("/api/chat", true) => {
            let line = r#"{"model":"llama-x","message":{"content":"a"},"done":false}"#;
            let lines = format!(
                "{line}\n{line}\n{}\n",
                r#"{"model":"llama-x","done":true,"message":{"content":""}}"#
            );
            document(&lines).replace("application/json", "application/x-ndjson")
        }
        _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
    }
}

fn server() -> SocketAddr {
    Upstream::serve(|mut peer| {
        while let Some(request) = peer.next_request() {
            let path = request.start.split(' ').nth(1).unwrap_or_default().to_owned();
            let streams = request.text().contains("\"stream\":true");
            peer.send(answer(&path, streams));
        }
    })
}

fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn ask(client: &mut Peer, path: &str, model: &str, stream: bool) {
    client.send(post(path, &format!("{{\"model\":\"{model}\",\"stream\":{stream}}}")));
    client.read_response();
}

/// The page, once it tells of so many requests.
pub fn usage(watched: &Watched, requests: u64) -> Value {
    watched.wait("/usage", |answer| {
        let page = answer.json();
        (page["total"]["requests"] == requests).then_some(page)
    })
}

/// The row of a model.
pub fn row(page: &Value, asked: Value) -> &Value {
    let rows = page["series"].as_array().expect("rows");
    let found: Vec<&Value> = rows.iter().filter(|row| row["model_asked"] == asked).collect();
    assert_eq!(found.len(), 1, "{asked}: {page:#}");
    found[0]
}

/// These numbers of a row, in this order.
pub fn numbers(row: &Value) -> [u64; 7] {
    let fields = [
        "requests",
        "tokens_in",
        "tokens_cached",
        "tokens_out",
        "tokens_reasoning",
        "tokens_estimated",
        "requests_estimated",
    ];
    fields.map(|field| row[field].as_u64().unwrap_or_else(|| panic!("{field}: {row:#}")))
}

#[test]
fn usage_adds_up_over_streams_and_documents_of_three_dialects() {
    let watched = Watched::with(Config::to(server()));
    let mut client = watched.gateway.connect();
    for (path, model) in
        [("/v1/chat/completions", "gpt"), ("/v1/messages", "claude"), ("/api/chat", "llama")]
    {
        for stream in [false, true, true] {
            ask(&mut client, path, model, stream);
        }
    }
    // Names that no server has open no rows.
    for number in 0..3 {
        ask(&mut client, "/v1/none", &format!("stranger-{number}"), false);
    }
    let page = usage(&watched, 12);
    assert_eq!(numbers(row(&page, json!("gpt"))), [3, 114, 40, 36, 20, 0, 0]);
    assert_eq!(row(&page, json!("gpt"))["model"], "gpt-x");
    assert_eq!(numbers(row(&page, json!("claude"))), [3, 56, 5, 31, 0, 0, 0]);
    assert_eq!(numbers(row(&page, json!("llama"))), [3, 3, 0, 10, 0, 6, 2]);
    let other = row(&page, json!("other"));
    assert_eq!(
        (numbers(other), &other["errors"]),
        ([3, 0, 0, 0, 0, 0, 0], &json!({ "request_refused": 3 }))
    );
    assert_eq!((&other["route"], &other["upstream"]), (&json!("/*"), &json!("scripted")));
    // The rows add up to the total, and the metrics to both.
    let rows = page["series"].as_array().expect("rows");
    let sums = rows
        .iter()
        .map(numbers)
        .fold([0; 7], |sums, row| std::array::from_fn(|index| sums[index] + row[index]));
    assert_eq!(numbers(&page["total"]), sums);
    assert_eq!(page["missed"], 0);
    let metrics = watched.get("/metrics");
    let sum = |wanted: &[&str]| -> u64 {
        let lines = metrics.text().lines().filter(|line| wanted.iter().all(|it| line.contains(it)));
        lines
            .map(|line| {
                line.rsplit(' ').next().and_then(|it| it.parse::<u64>().ok()).expect("a number")
            })
            .sum()
    };
    assert_eq!(sum(&["sluicegate_model_requests_total{"]), 12);
    for (kind, index) in
        [("input", 1), ("cached", 2), ("output", 3), ("reasoning", 4), ("estimated", 5)]
    {
        let kind = format!("gen_ai_token_type=\"{kind}\"");
        assert_eq!(sum(&["sluicegate_model_tokens_total{", &kind]), sums[index], "{kind}");
    }
    assert_eq!(sum(&["sluicegate_model_errors_total{", "reason=\"request_refused\""]), 3);
}

#[test]
fn strangers_cannot_make_the_page_grow() {
    let config = Config::to(server());
    let watched = Watched::with(Config { more: "[usage]\nseries = 2\n".into(), ..config });
    let mut client = watched.gateway.connect();
    for number in 0..40 {
        ask(&mut client, "/v1/messages", &format!("name-{number}"), false);
    }
    let page = usage(&watched, 40);
    assert_eq!(page["series"].as_array().map(Vec::len), Some(3));
    assert_eq!(numbers(row(&page, json!("other"))), [38, 608, 190, 342, 0, 0, 0]);
}

#[test]
fn a_stream_that_its_client_leaves_is_an_estimate_whatever_was_counted_by_then() {
    let server = Upstream::listen();
    let watched = Watched::before(&server);
    let mut client = watched.gateway.connect();
    client.send(post("/v1/messages", r#"{"model":"claude","stream":true}"#));
    let mut peer = server.accept();
    peer.read_request();
    let whole = answer("/v1/messages", true);
    let start = whole.find("event: content_block_delta").expect("a delta");
    let start =
        whole[..start].rfind("\r\n").and_then(|end| whole[..end].rfind("\r\n")).expect("a chunk")
            + 2;
    peer.send(&whole[..start]);
    for _ in 0..5 {
        let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n";
        peer.send(format!("{:x}\r\n{delta}\r\n", delta.len()));
    }
    while String::from_utf8_lossy(client.received()).matches("text_delta").count() < 5 {
        client.receive(Duration::from_millis(50));
    }
    drop(client);
    let page = usage(&watched, 1);
    let row = row(&page, json!("claude"));
    // Its server had counted 1.
    assert_eq!(numbers(row), [1, 20, 0, 5, 0, 5, 1]);
    assert_eq!(row["errors"], json!({ "client_gone": 1 }));
    assert_eq!(row["tokens_wasted"], json!({}), "the client has them");
}

#[test]
fn tokens_that_no_client_got_are_told_where_they_were_paid_for() {
    // The first server counts the prompt and dies; the second answers.
    let first = Upstream::listen();
    let second = server();
    let config = Config {
        upstream: "retry = { attempts = 1 }\nbreaker = \"off\"".into(),
        route: "path = \"/other\"".into(),
        more: format!(
            "[[upstream]]\nname = \"spare\"\nendpoints = [\"{second}\"]\n\
             [[route]]\npath = \"/v1/*\"\nupstream = [\"scripted\", \"spare\"]\n"
        ),
        ..Config::to(first.address())
    };
    let watched = Watched::with(config);
    let mut client = watched.gateway.connect();
    client.send(post("/v1/messages", r#"{"model":"claude","stream":true}"#));
    let mut peer = first.accept();
    peer.read_request();
    let whole = answer("/v1/messages", true);
    let delta = whole.find("event: content_block_delta").expect("a delta");
    let end =
        whole[..delta].rfind("\r\n").and_then(|end| whole[..end].rfind("\r\n")).expect("a chunk")
            + 2;
    peer.send(&whole[..end]);
    // Behind a FIN every byte is read; a RST may take with it what was not.
    peer.finish();
    client.read_response();
    let page = usage(&watched, 1);
    let rows = page["series"].as_array().expect("rows");
    let of = |upstream: &str| rows.iter().find(|row| row["upstream"] == upstream).expect("a row");
    assert_eq!(of("scripted")["tokens_wasted"], json!({ "retry": { "in": 20, "out": 1 } }));
    assert_eq!((&of("scripted")["requests"], &of("spare")["requests"]), (&json!(0), &json!(1)));
    assert_eq!(page["total"]["tokens_wasted"], json!({ "retry": { "in": 20, "out": 1 } }));
    let metrics = watched.get("/metrics");
    let line = metrics.text().lines().find(|line| {
        line.starts_with("sluicegate_model_tokens_wasted_total{") && line.contains("\"input\"")
    });
    assert!(line.is_some_and(|line| line.contains("reason=\"retry\"") && line.ends_with(" 20")));
}

#[test]
fn what_tokens_cost_is_told_to_the_last_digit() {
    let log = Scratch::new("prices");
    let more = format!(
        "[access_log]\nto = \"{}\"\n\
         [usage]\ncurrency = \"EUR\"\n\
         [[price]]\nmodel = \"gpt-*\"\ninput = 2.50\ncached = 1.25\noutput = 10.00\n\
         [[price]]\nmodel = \"claude\"\ninput = 0.000001\noutput = 3\n",
        log.path().display()
    );
    let watched = Watched::with(Config { more, ..Config::to(server()) });
    let mut client = watched.gateway.connect();
    ask(&mut client, "/v1/chat/completions", "best", false);
    for _ in 0..3 {
        ask(&mut client, "/v1/messages", "claude", true);
    }
    ask(&mut client, "/api/chat", "llama", false);
    let page = usage(&watched, 5);
    assert_eq!(page["currency"], "EUR");
    assert_eq!(row(&page, json!("best"))["cost"], "0.0005");
    // By the model that was asked for, as the one that has answered has no price.
    assert_eq!(row(&page, json!("claude"))["cost"], "0.00009900006");
    assert_eq!(row(&page, json!("llama"))["cost"], "0");
    assert_eq!(page["total"]["cost"], "0.00059900006");
    assert_eq!(page["total"]["requests_unpriced"], 1);
    let lines = log.lines(5);
    assert_eq!((&lines[0]["cost"], &lines[1]["cost"]), (&json!("0.0005"), &json!("0.00003300002")));
    assert_eq!(lines[4].get("cost"), None);
    let metrics = watched.get("/metrics");
    let cost = metrics
        .text()
        .lines()
        .find(|line| line.starts_with("sluicegate_model_cost_total{") && line.contains("\"best\""));
    assert!(cost.is_some_and(|it| it.contains("currency=\"EUR\"") && it.ends_with(" 0.0005")));
    let shown = watched.get("/config");
    assert!(shown.text().contains("[[price]]\nmodel = [\"gpt-*\"]\ninput = 2.5\n"), "{shown:?}");
}

/// The first events of a stream, which cost and say nothing yet.
fn prelude() -> String {
    let whole = answer("/v1/messages", true);
    let delta = whole.find("event: content_block_delta").expect("a delta");
    let end = whole[..delta].rfind("\r\n").and_then(|end| whole[..end].rfind("\r\n"));
    whole[..end.expect("a chunk") + 2].to_owned()
}

#[test]
fn what_a_held_answer_has_cost_is_wasted_when_its_client_leaves_or_it_fails() {
    for (reason, total) in [("cancel", "off"), ("failed", "400ms")] {
        let (first, spare) = (Upstream::listen(), Upstream::listen());
        let config = Config {
            // Another upstream may do better, so that nothing of the prelude is passed on.
            upstream: "retry = { attempts = 1 }\nbreaker = \"off\"".into(),
            timeouts: format!("total = \"{total}\""),
            route: "path = \"/other\"".into(),
            more: format!(
                "[[upstream]]\nname = \"spare\"\nendpoints = [\"{}\"]\n\
                 [[route]]\npath = \"/v1/*\"\nupstream = [\"scripted\", \"spare\"]\n",
                spare.address()
            ),
            ..Config::to(first.address())
        };
        let watched = Watched::with(config);
        let mut client = watched.gateway.connect();
        client.send(post("/v1/messages", r#"{"model":"claude","stream":true}"#));
        let mut peer = first.accept();
        peer.read_request();
        peer.send(prelude());
        if reason == "cancel" {
            // Its events come with its head.
            watched.wait("/streams", |answer| {
                (answer.json()["streams"][0]["status"] == 200).then_some(())
            });
            drop(client);
        } else {
            assert_eq!(client.read_response().status(), 504);
        }
        let page = usage(&watched, 1);
        let wasted = &page["total"]["tokens_wasted"];
        assert_eq!(*wasted, json!({ reason: { "in": 20, "out": 1 } }), "{page:#}");
        assert_eq!(numbers(&page["total"])[1..4], [0, 0, 0], "and in no other number");
        spare.expect_nobody();
    }
}

#[test]
fn the_prompt_of_a_stream_that_is_continued_elsewhere_is_paid_for_twice() {
    let (first, second) = (Upstream::listen(), Upstream::listen());
    let config = Config {
        upstream: "retry = { attempts = 1 }\nbreaker = \"off\"".into(),
        route: "path = \"/other\"".into(),
        more: format!(
            "[[upstream]]\nname = \"spare\"\nendpoints = [\"{}\"]\n\
             [[route]]\npath = \"/v1/*\"\nupstream = [\"scripted\", \"spare\"]\ncontinue = {{}}\n",
            second.address()
        ),
        ..Config::to(first.address())
    };
    let watched = Watched::with(config);
    let mut client = watched.gateway.connect();
    let asked = r#"{"model":"llama","prompt":"Sing: ","max_tokens":16,"stream":true}"#;
    client.send(post("/v1/completions", asked));
    let mut peer = first.accept();
    peer.read_request();
    let told = r#"data: {"model":"llama-x","choices":[{"index":0,"text":"la","finish_reason":null}],"usage":{"prompt_tokens":20,"completion_tokens":1}}"#;
    let rest = r#"data: {"model":"llama-x","choices":[{"index":0,"text":"lu","finish_reason":"stop"}],"usage":{"prompt_tokens":21,"completion_tokens":1}}"#;
    peer.send(events(&[told]).trim_end_matches("0\r\n\r\n"));
    client.read_until("\"la\"");
    peer.finish();
    let mut peer = second.accept();
    assert!(peer.read_request().text().contains("Sing: la"), "it is asked for the rest");
    peer.send(events(&[rest, "data: [DONE]"]));
    client.read_until("[DONE]");
    let page = usage(&watched, 1);
    assert_eq!(page["total"]["tokens_wasted"], json!({ "continuation": { "in": 20, "out": 0 } }));
    let of = |upstream: &str| {
        let rows = page["series"].as_array().expect("rows");
        rows.iter().find(|row| row["upstream"] == upstream).expect("a row").clone()
    };
    assert_eq!(of("scripted")["tokens_wasted"]["continuation"]["in"], 20);
    assert_eq!(of("spare")["requests"], 1);
}
