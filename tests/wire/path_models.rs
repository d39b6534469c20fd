//! Requests that name their model in the path: they go by it, and it is what they are counted under.

use serde_json::{Value, json};

use crate::admin::Watched;
use crate::harness::chat::expect_code;
use crate::harness::{Config, Gateway, Message, Peer, Upstream};
use crate::usage::{numbers, row, usage};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: own\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What `upstream` reads of a request, which is answered.
fn served(client: &mut Peer, request: &str, upstream: &Upstream) -> Message {
    client.send(request);
    let mut server = upstream.accept();
    let got = server.read_request();
    server.send(OK);
    assert_eq!(client.read_response().text(), "ok");
    got
}

fn upstreams(first: &Upstream, second: &Upstream, routes: &str) -> Gateway {
    let upstream = |name: &str, upstream: &Upstream| {
        format!("[[upstream]]\nname = \"{name}\"\nendpoints = [\"{}\"]\n", upstream.address())
    };
    Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n{}{}{routes}",
        upstream("first", first),
        upstream("second", second),
    ))
}

#[test]
fn the_dialect_of_a_path_tells_where_the_model_is() {
    let (first, second) = (Upstream::listen(), Upstream::listen());
    let gateway = upstreams(
        &first,
        &second,
        "[[route]]\npath = \"/*\"\nwhen = { model = [\"gemini-2*\", \"iris\"] }\nupstream = \"first\"\n\
         [[route]]\npath = \"/*\"\nwhen = { model = \"llama\" }\nupstream = \"second\"\n",
    );
    for (path, upstream) in [
        ("/v1beta/models/gemini-2.5-flash:generateContent", &first),
        ("/v2/models/iris/infer", &first),
        ("/v2/models/llama/generate", &second),
    ] {
        // What the body says is for its server.
        for body in ["{\"a\":1}", "{\"model\":\"other\"}"] {
            let got = served(&mut gateway.connect(), &post(path, body), upstream);
            assert_eq!(got.start, format!("POST {path} HTTP/1.1"));
            assert_eq!(got.text(), body);
        }
    }
    let mut client = gateway.connect();
    client.send(post("/v2/models/other/infer", "{\"model\":\"llama\"}"));
    let answer = client.read_response();
    assert_eq!(answer.status(), 404);
    assert!(answer.text().contains("other"), "{answer:?}");
    first.expect_nobody();
    second.expect_nobody();
}

#[test]
fn a_name_in_the_path_of_a_route_is_the_model_of_its_requests() {
    let (first, second) = (Upstream::listen(), Upstream::listen());
    let route = "[[route]]\npath = \"/openai/deployments/{deployment}/*\"\nmodel = \"{deployment}\"\n\
                 rewrite = \"/v1/*\"\n";
    let gateway = upstreams(
        &first,
        &second,
        &format!(
            "{route}when = {{ model = \"gpt-4*\" }}\nupstream = \"first\"\n\
             {route}when = {{ model = \"llama\" }}\nupstream = \"second\"\n"
        ),
    );
    let path = |name: &str| format!("/openai/deployments/{name}/chat/completions?api-version=1");
    for (name, upstream) in [("gpt-4o", &first), ("gpt%2D4o", &first), ("llama", &second)] {
        let body = "{\"messages\":[],\"model\":\"gpt-3\"}";
        let got = served(&mut gateway.connect(), &post(&path(name), body), upstream);
        assert_eq!(got.start, "POST /v1/chat/completions?api-version=1 HTTP/1.1");
        // The body names it too, as servers look there.
        let name = name.replace("%2D", "-");
        assert_eq!(got.text(), body.replace("gpt-3", &name));
        // A body without one stays as it is.
        let got = served(&mut gateway.connect(), &post(&path(&name), "{\"a\":1}"), upstream);
        assert_eq!(got.text(), "{\"a\":1}");
    }
    let mut client = gateway.connect();
    client.send(post(&path("other"), "{\"model\":\"llama\"}"));
    expect_code(&mut client, 404, "model_not_found");
    first.expect_nobody();
    second.expect_nobody();
}

#[test]
fn a_request_whose_path_names_the_model_is_translated_and_counted_under_it() {
    let server = Upstream::listen();
    let watched = Watched::with(Config {
        route: "path = \"/openai/deployments/{deployment}/*\"\nmodel = \"{deployment}\"\n\
                rewrite = \"/v1/*\""
            .into(),
        upstream: "translate_to = \"anthropic\"".into(),
        ..Config::to(server.address())
    });
    let mut client = watched.gateway.connect();
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5});
    client.send(post("/openai/deployments/claude-4/chat/completions", &body.to_string()));
    let mut peer = server.accept();
    let got = peer.read_request();
    assert!(got.start.starts_with("POST /v1/messages "), "{}", got.start);
    assert_eq!(got.json()["model"], "claude-4");
    let answer: Value = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-served",
        "content": [{"type": "text", "text": "Hello."}], "stop_reason": "end_turn",
        "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 5},
    });
    let answer = answer.to_string();
    peer.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
        answer.len()
    ));
    assert_eq!(client.read_response().json()["choices"][0]["message"]["content"], "Hello.");
    let page = usage(&watched, 1);
    let row = row(&page, json!("claude-4"));
    assert_eq!(numbers(row)[..4], [1, 9, 0, 5]);
    assert_eq!(row["model"], "claude-served");
}
