//! Requests and answers that are no good: an error in the words of the client's dialect, and nobody is asked.
//!
//! What is refused and by which code stands in `docs/resilience.md`, "Requests that cannot be read".

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Config, Gateway, Peer, Upstream};

const PAGE: &str = include_str!("../../docs/resilience.md");
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const MIB: usize = 1 << 20;
/// Deeper than any reader of JSON that calls itself.
const DEEP: usize = 100_000;

/// A dialect: one of its paths, and where an error of ours has its code. `None`: the error is not in its words.
struct Spoken {
    path: &'static str,
    code: fn(&Value) -> Option<&Value>,
}

fn openai(body: &Value) -> Option<&Value> {
    let error = &body["error"];
    let whole = body.get("type").is_none() && error["message"].is_string();
    (whole && error["type"] == "invalid_request_error").then_some(&error["code"])
}

fn anthropic(body: &Value) -> Option<&Value> {
    let error = &body["error"];
    let whole = body["type"] == "error" && error["message"].is_string();
    (whole && error["type"] != "error").then_some(&error["code"])
}

fn plain(body: &Value) -> Option<&Value> {
    body["error"].is_string().then_some(&body["code"])
}

fn spoken() -> [Spoken; 9] {
    [
        Spoken { path: "/v1/chat/completions", code: openai },
        Spoken { path: "/v1/completions", code: openai },
        Spoken { path: "/v1/responses", code: openai },
        Spoken { path: "/v1/messages", code: anthropic },
        Spoken { path: "/api/chat", code: plain },
        Spoken {
            path: "/v1beta/models/known:generateContent",
            code: |body| {
                let error = &body["error"];
                let whole = error["code"].is_u64() && error["status"].is_string();
                whole.then_some(&error["details"][0]["reason"])
            },
        },
        Spoken {
            path: "/generate_stream",
            code: |body| body["error"].is_string().then_some(&body["error_type"]),
        },
        Spoken { path: "/v2/models/known/generate", code: plain },
        Spoken {
            path: "/completion",
            code: |body| {
                let error = &body["error"];
                error["code"].is_u64().then_some(&error["reason"])
            },
        },
    ]
}

/// The body of a request, and what the page says that it is.
struct Bad {
    name: &'static str,
    body: String,
}

fn bad(name: &'static str, body: impl Into<String>) -> Bad {
    Bad { name, body: body.into() }
}

fn nested() -> String {
    let (open, close) = ("[".repeat(DEEP), "]".repeat(DEEP));
    format!(r#"{{"model":"known","x":{open}{close},"messages":[]}}"#)
}

fn model_last(length: usize) -> String {
    let image = "x".repeat(length);
    format!(r#"{{"messages":[{{"role":"user","content":"{image}"}}],"model":"known"}}"#)
}

fn unreadable() -> Vec<Bad> {
    vec![
        bad("is cut off inside its JSON", r#"{"model":"known","messages":["#),
        bad("has something behind its JSON", r#"{"model":"known","messages":[]}{}"#),
        bad("is a list", "[]"),
        bad("has `model` twice", r#"{"model":"known","model":"other","messages":[]}"#),
        bad("has a `model` that is no text", r#"{"model":7,"messages":[]}"#),
        bad("is in a coding that is not known", "x"),
        bad("is not in the coding that it says", "x"),
    ]
}

/// The cell of a request's row in the page: the status and the code.
fn documented(name: &str, column: usize) -> Option<(u16, &'static str)> {
    let row = PAGE.lines().find_map(|line| line.strip_prefix(&format!("| {name} | ")));
    let row = row.unwrap_or_else(|| panic!("docs/resilience.md has no row {name:?}"));
    let (status, code) = row.split(" | ").nth(column)?.split_once(" `")?;
    Some((status.parse().ok()?, code.split('`').next()?))
}

fn head(path: &str, bad: &Bad) -> String {
    let coding = match bad.name {
        "is in a coding that is not known" => "Content-Encoding: compress\r\n",
        "is not in the coding that it says" => "Content-Encoding: gzip\r\n",
        _ => "",
    };
    format!(
        "POST {path} HTTP/1.1\r\nHost: own\r\nContent-Type: application/json\r\n{coding}Content-Length: {}\r\n\r\n",
        bad.body.len()
    )
}

/// Sends it with its head and behind it, and reads two errors in the dialect's words.
fn expect_refusal(gateway: &Gateway, spoken: &Spoken, bad: &Bad, column: usize) {
    let (status, code) = documented(bad.name, column).expect("it is refused");
    let (head, lines) = (head(spoken.path, bad), gateway.count_in_log(code));
    let refused = |client: &mut Peer| {
        let answer = client.read_response();
        let body = answer.json();
        assert_eq!(answer.status(), status, "{} {}: {body}", spoken.path, bad.name);
        let told = (spoken.code)(&body);
        assert_eq!(told, Some(&code.into()), "{} {}: {body}", spoken.path, bad.name);
    };
    let mut client = gateway.connect();
    client.send(head.clone() + &bad.body);
    refused(&mut client);
    let mut client = gateway.connect();
    client.send(&head);
    // Mostly the gateway has read the head by then, and may have refused it.
    std::thread::sleep(Duration::from_millis(5));
    let _ = client.try_send(&bad.body);
    refused(&mut client);
    gateway.expect_in_log(code, lines + 2);
}

fn by_model(upstream: &Upstream, limits: &str) -> Gateway {
    let config = Config {
        upstream: "model = \"served\"".to_owned(),
        limits: limits.to_owned(),
        route: "when = { model = \"known\" }".to_owned(),
        ..Config::to(upstream.address())
    };
    config.start()
}

/// Where its model decides, in each dialect.
#[test]
fn what_cannot_be_read_is_refused_in_the_words_of_its_path() {
    let upstream = Upstream::listen();
    let gateway = by_model(&upstream, "");
    for spoken in spoken() {
        for bad in unreadable() {
            expect_refusal(&gateway, &spoken, &bad, 0);
        }
    }
    upstream.expect_no_request();
}

/// Where it is translated.
#[test]
fn what_cannot_be_read_is_not_translated_and_told_in_the_words_of_its_path() {
    let upstream = Upstream::listen();
    let deep = bad("is nested more than 128 levels deep", nested());
    for to in ["anthropic", "openai", "ollama"] {
        let config = Config {
            upstream: format!("translate_to = \"{to}\""),
            ..Config::to(upstream.address())
        };
        let gateway = config.start();
        for spoken in spoken() {
            let own = match spoken.path {
                "/v1/chat/completions" => "openai",
                "/v1/messages" => "anthropic",
                "/v1/responses" => "",
                _ => continue,
            };
            if own == to {
                continue;
            }
            for bad in unreadable().iter().chain([&deep]) {
                expect_refusal(&gateway, &spoken, bad, 1);
            }
        }
    }
    upstream.expect_no_request();
}

/// 50 MiB with the model behind them: whoever sends them is told so, and is not cut off before.
#[test]
fn a_long_body_whose_model_comes_last_is_refused_in_the_words_of_its_path() {
    let upstream = Upstream::listen();
    let translates = Config {
        upstream: "translate_to = \"ollama\"".to_owned(),
        ..Config::to(upstream.address())
    };
    let gateways = [by_model(&upstream, ""), translates.start()];
    let long = bad("is 50 MiB long, and `model` comes last", model_last(50 * MIB));
    // Where the path names the model, nobody has to look for it.
    for spoken in spoken().into_iter().filter(|spoken| !spoken.path.contains("/models/")) {
        let translated =
            matches!(spoken.path, "/v1/chat/completions" | "/v1/responses" | "/v1/messages");
        for (column, gateway) in gateways.iter().enumerate().take(1 + usize::from(translated)) {
            let (status, code) = documented(long.name, column).expect("it is refused");
            let mut client = gateway.connect();
            client.send(head(spoken.path, &long));
            // The gateway may have said all it has to say.
            let _ = client.try_send(&long.body);
            let answer = client.read_response();
            let body = answer.json();
            assert_eq!(answer.status(), status, "{}: {body}", spoken.path);
            assert_eq!((spoken.code)(&body), Some(&code.into()), "{}: {body}", spoken.path);
            let bound = gateway.memory_bound();
            assert!(gateway.memory_peak() < bound, "{} of {bound}", gateway.memory_peak());
        }
    }
    upstream.expect_no_request();
}

/// Where nothing but the model is looked for, what stands beside it may be as deep as it likes.
#[test]
fn depth_is_its_servers_matter_where_only_the_model_is_looked_for() {
    assert_eq!(documented("is nested more than 128 levels deep", 0), None);
    let upstream = Upstream::listen();
    let gateway = by_model(&upstream, "");
    for spoken in spoken() {
        let mut client = gateway.connect();
        let body = nested();
        client.send(format!(
            "POST {} HTTP/1.1\r\nHost: own\r\nContent-Length: {}\r\n\r\n{body}",
            spoken.path,
            body.len()
        ));
        let mut server = upstream.accept();
        assert_eq!(
            server.read_request().text(),
            body.replace("known", "served"),
            "{}",
            spoken.path
        );
        server.send(OK);
        assert_eq!(client.read_response().text(), "ok");
        client.finish();
    }
}

/// A block of a type that no translator knows is named, in a request.
#[test]
fn a_block_of_an_unknown_type_is_named_in_the_clients_words() {
    let upstream = Upstream::listen();
    let block = json!([{"type": "hologram", "data": "x"}]);
    let messages = json!([{"role": "user", "content": block}]);
    for (to, spoken) in [
        ("anthropic", &spoken()[0]),
        ("gemini", &spoken()[0]),
        ("tgi", &spoken()[0]),
        ("openai", &spoken()[2]),
        ("anthropic", &spoken()[2]),
        ("openai", &spoken()[3]),
        ("ollama", &spoken()[3]),
    ] {
        let config = Config {
            upstream: format!("translate_to = \"{to}\""),
            ..Config::to(upstream.address())
        };
        let gateway = config.start();
        let body = json!({"model": "m", "max_tokens": 9, "messages": messages});
        let body = match spoken.path {
            "/v1/responses" => json!({"model": "m", "input": messages}),
            _ => body,
        };
        let body = body.to_string();
        let mut client = gateway.connect();
        client.send(format!(
            "POST {} HTTP/1.1\r\nHost: own\r\nContent-Length: {}\r\n\r\n{body}",
            spoken.path,
            body.len()
        ));
        let answer = client.read_response();
        let told = answer.json();
        assert_eq!((answer.status(), (spoken.code)(&told)), (400, Some(&"untranslatable".into())));
        assert!(told.to_string().contains("[0].content[0]"), "{} → {to}: {told}", spoken.path);
    }
    upstream.expect_no_request();
}
