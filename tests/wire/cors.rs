//! Pages in a browser that call: preflights, and what the answers to them say.
//!
//! What a route without `cors` does is told by every other test here: nothing.

use std::time::{Duration, Instant};

use crate::harness::chat::expect_code;
use crate::harness::{Config, Gateway, Message, Peer, Upstream};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const APP: &str = "Origin: https://app.example\r\n";
const EVIL: &str = "Origin: https://evil.example\r\n";
const CORS: &str = "cors = { origins = [\"https://app.example\", \"https://*.corp.example\"] }";
const EXPOSED: &str = "request-id, retry-after, retry-after-ms, server-timing, x-request-id, \
                       x-should-retry, x-sluice-attempts, x-sluice-degraded, x-sluice-upstream";

fn gateway(upstream: &Upstream, route: &str) -> Gateway {
    let route = format!("path = \"/v1/*\"\n{route}");
    Config { route, ..Config::to(upstream.address()) }.start()
}

fn preflight(path: &str, fields: &str) -> String {
    format!(
        "OPTIONS {path} HTTP/1.1\r\nHost: own\r\nAccess-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: authorization,content-type,x-stainless-os\r\n{fields}\r\n"
    )
}

fn post(fields: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: own\r\n{fields}Content-Length: 2\r\n\r\n{{}}"
    )
}

/// What an answer says of CORS: origin, credentials, exposed fields, `Vary`.
fn said(answer: &Message) -> [String; 4] {
    ["allow-origin", "allow-credentials", "expose-headers"]
        .map(|name| format!("access-control-{name}"))
        .iter()
        .map(String::as_str)
        .chain(["vary"])
        .map(|name| answer.all(name).join("|"))
        .collect::<Vec<_>>()
        .try_into()
        .expect("four of them")
}

fn readable() -> [String; 4] {
    ["https://app.example", "", EXPOSED, "Origin"].map(str::to_owned)
}

fn hidden() -> [String; 4] {
    ["", "", "", "Origin"].map(str::to_owned)
}

#[test]
fn a_preflight_is_answered_here_and_the_call_behind_it_is_served() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, &format!("methods = [\"POST\"]\n{CORS}"));
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.send(preflight("/v1/chat/completions", APP));
        let head = client.read_head();
        assert_eq!(head.start, "HTTP/1.1 204 No Content");
        let own: Vec<(&str, &str)> = head
            .fields
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .filter(|(name, _)| !["date", "x-request-id"].contains(name))
            .collect();
        assert_eq!(
            own,
            [
                ("access-control-allow-origin", "https://app.example"),
                ("access-control-allow-methods", "POST"),
                ("access-control-allow-headers", "authorization, content-type, x-stainless-os"),
                ("access-control-max-age", "600"),
                ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
            ]
        );
        client.expect_silence();
    }
    upstream.expect_nobody();
    client.send(post(APP));
    let mut server = upstream.accept();
    let request = server.read_request();
    assert_eq!(request.field("origin"), Some("https://app.example"));
    server.send(OK);
    let answer = client.read_response();
    assert_eq!((said(&answer), answer.text()), (readable(), "ok"));
}

#[test]
fn a_preflight_of_another_page_is_refused_and_told_in_the_log() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, CORS);
    let mut client = gateway.connect();
    for fields in [EVIL, "Origin: https://a b\r\n", &format!("{APP}{APP}"), "Origin:\r\n"] {
        client.send(preflight("/v1/chat/completions", fields));
        let answer = client.read_response();
        assert_eq!((answer.status(), said(&answer)), (403, hidden()), "{fields}");
        assert_eq!(answer.json()["error"]["code"], "origin_not_allowed");
    }
    let line = gateway.wait_for_log("403 origin_not_allowed");
    assert!(line.contains("https://evil.example"), "{line}");
    // A path of nobody's has no page either.
    client.send(preflight("/other", APP));
    let answer = client.read_response();
    assert_eq!((answer.status(), said(&answer)), (404, Default::default()));
    upstream.expect_nobody();
}

#[test]
fn what_is_no_preflight_is_a_request_as_any_other() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, CORS);
    let mut client = gateway.connect();
    let options = "OPTIONS /v1/x HTTP/1.1\r\nHost: own\r\n";
    let mut server: Option<Peer> = None;
    for fields in [
        "".to_owned(),
        APP.to_owned(),
        "Access-Control-Request-Method: POST\r\n".to_owned(),
        format!("{APP}Access-Control-Request-Method: P ST\r\n"),
        format!("{APP}Access-Control-Request-Method: \u{e9}\r\n"),
        format!(
            "{APP}Access-Control-Request-Method: GET\r\nAccess-Control-Request-Method: PUT\r\n"
        ),
    ] {
        client.send(format!("{options}{fields}\r\n"));
        let server = server.get_or_insert_with(|| upstream.accept());
        assert_eq!(server.read_request().start, "OPTIONS /v1/x HTTP/1.1");
        server.send(OK);
        assert_eq!(client.read_response().text(), "ok", "{fields}");
    }
    // Names that are none are not repeated; and a body that comes with a preflight is read and dropped.
    for fields in [
        format!("{APP}Access-Control-Request-Headers: a, b c\r\n"),
        format!("{APP}Access-Control-Request-Headers: {}\r\n", "a,".repeat(10_000)),
        format!("{APP}Access-Control-Request-Private-Network: true\r\nContent-Length: 5\r\n"),
    ] {
        let body = if fields.contains("Length") { "hello" } else { "" };
        client.send(format!("{options}Access-Control-Request-Method: POST\r\n{fields}\r\n{body}"));
        let head = client.read_head();
        assert_eq!(head.status(), 204, "{fields}");
        assert_eq!(head.field("access-control-allow-headers"), None, "{fields}");
        assert_eq!(head.field("access-control-allow-private-network"), None);
    }
}

#[test]
fn what_a_server_says_of_cors_is_said_by_the_route() {
    let theirs = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nServer: vllm\r\n\
                  access_control_allow_origin: *\r\nAccess-Control-Allow-Credentials: true\r\n\
                  Access-Control-Expose-Headers: x\r\nVary: Accept\r\nContent-Length: 2\r\n\r\nok";
    let with = "credentials = true, expose = [\"x-request-id\"], headers = [\"authorization\"]";
    let credentials = format!("cors = {{ origins = [\"https://app.example\"], {with} }}");
    let any = "cors = { origins = [\"*\"], expose = [\"*\"] }";
    for (cors, fields, expected) in [
        (CORS, APP, ["https://app.example", "", EXPOSED, "Accept|Origin"]),
        (CORS, EVIL, ["", "", "", "Accept|Origin"]),
        (CORS, "", ["", "", "", "Accept|Origin"]),
        (&*credentials, APP, ["https://app.example", "true", "x-request-id", "Accept|Origin"]),
        (&*credentials, EVIL, ["", "", "", "Accept|Origin"]),
        (any, APP, ["*", "", "*", "Accept"]),
        (any, "", ["*", "", "*", "Accept"]),
        ("", APP, ["*", "true", "x", "Accept"]),
    ] {
        let upstream = Upstream::listen();
        let gateway = gateway(&upstream, cors);
        let mut client = gateway.connect();
        client.send(post(fields));
        let mut server = upstream.accept();
        server.read_request();
        server.send(theirs);
        let answer = client.read_response();
        assert_eq!(said(&answer), expected.map(str::to_owned), "{cors} {fields}");
        let lookalike = answer.all("access_control_allow_origin").len();
        assert_eq!(lookalike, usize::from(cors.is_empty()));
        assert_eq!((answer.text(), answer.field("server")), ("ok", Some("vllm")));
    }
}

#[test]
fn a_stream_can_be_read_token_by_token() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, CORS);
    let mut client = gateway.connect();
    client.send(post(APP));
    let mut server = upstream.accept();
    server.read_request();
    server.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let token = |word: &str| {
        let data = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{word}\"}}}}]}}\n\n");
        format!("{:x}\r\n{data}\r\n", data.len())
    };
    server.send(token("one"));
    let head = client.read_head();
    assert_eq!(said(&head), readable());
    client.read_until(&token("one"));
    for word in ["two", "three"] {
        // The one before is here long before the next is sent.
        std::thread::sleep(Duration::from_millis(50));
        let sent = Instant::now();
        server.send(token(word));
        client.read_until(&token(word));
        assert!(client.arrival_of(word) >= sent, "{word}");
    }
}

#[test]
fn errors_of_ours_can_be_read() {
    let upstream = Upstream::listen();
    let more = "[[upstream]]\nname = \"gone\"\nendpoints = [\"127.0.0.1:1\"]\nretry = \"off\"\n";
    let route = |path: &str, upstream: &str, lines: &str| {
        format!("[[route]]\npath = \"{path}\"\nupstream = \"{upstream}\"\n{CORS}\n{lines}\n")
    };
    let routes = [
        route("/gone", "gone", ""),
        route("/sorry", "gone", "fallback = { text = \"Sorry.\" }"),
        route("/model", "gone", "when = { model = \"a\" }"),
        route("/posted", "gone", "methods = [\"POST\"]"),
    ]
    .concat();
    let gateway = Config {
        limits: "body_bytes = \"1KiB\"".to_owned(),
        route: format!("path = \"/v1/*\"\n{CORS}"),
        more: format!("{more}{routes}"),
        ..Config::to(upstream.address())
    }
    .start();
    let request = |line: &str, body: &str| {
        let length = body.len();
        format!(
            "{line} HTTP/1.1\r\nHost: own\r\n{APP}Content-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
    };
    for (request, status, code) in [
        (request("POST /gone", "{}"), 502, "upstream_connect"),
        (request("POST /model", "{\"model\":\"b\"}"), 404, "model_not_found"),
        (request("POST /model", ""), 404, "model_not_found"),
        (request("PUT /posted", "{}"), 405, "method_not_allowed"),
        (request("POST /v1/x", &"x".repeat(2_000)), 413, "body_too_large"),
    ] {
        let mut client = gateway.connect();
        client.send(&request);
        let answer = client.read_response();
        assert_eq!((answer.status(), said(&answer)), (status, readable()), "{request}");
        assert_eq!(answer.json()["error"]["code"], code);
    }
    let mut client = gateway.connect();
    client.send(request("POST /sorry", "{}"));
    let answer = client.read_response();
    assert_eq!((answer.text(), said(&answer)), ("Sorry.", readable()));
    assert!(answer.field("x-sluice-degraded").is_some());
    client.send(request("POST /nowhere", "{}"));
    expect_code(&mut client, 404, "no_route");
}

#[test]
fn a_page_that_is_told_to_come_later_can_read_when() {
    let upstream = Upstream::listen();
    let gateway = Config {
        upstream: "admission = { max_concurrency = 1, queue = 0 }".to_owned(),
        route: format!("path = \"/v1/*\"\n{CORS}"),
        ..Config::to(upstream.address())
    }
    .start();
    let mut first = gateway.connect();
    first.send(post(APP));
    let mut server = upstream.accept();
    server.read_request();
    let mut second = gateway.connect();
    second.send(post(APP));
    let answer = second.read_response();
    assert_eq!((answer.status(), said(&answer)), (429, readable()));
    assert!(answer.field("retry-after").is_some());
    server.send(OK);
    assert_eq!(first.read_response().text(), "ok");
}

#[test]
fn a_head_of_ours_can_be_read_before_any_server_has_answered() {
    let upstream = Upstream::listen();
    let route = format!("heartbeat = {{ every = \"1s\", before_head = true }}\n{CORS}");
    let gateway = gateway(&upstream, &route);
    let mut client = gateway.connect();
    let body = "{\"stream\":true}";
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: own\r\n{APP}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut server = upstream.accept();
    server.read_request();
    let head = client.read_head();
    assert_eq!((head.status(), said(&head)), (200, readable()));
}

#[test]
fn where_the_model_decides_all_routes_have_to_allow_the_page() {
    let (big, rest) = (Upstream::listen(), Upstream::listen());
    for (of_rest, allowed) in [(CORS, true), ("", false)] {
        let gateway = Config {
            route: format!("path = \"/v1/*\"\nwhen = {{ model = \"big\" }}\n{CORS}"),
            more: format!(
                "[[upstream]]\nname = \"rest\"\nendpoints = [\"{}\"]\n\
                 [[route]]\npath = \"/*\"\nupstream = \"rest\"\n{of_rest}\n",
                rest.address()
            ),
            ..Config::to(big.address())
        }
        .start();
        let mut client = gateway.connect();
        client.send(preflight("/v1/chat/completions", APP));
        match allowed {
            true => assert_eq!(client.read_head().status(), 204),
            false => expect_code(&mut client, 403, "origin_not_allowed"),
        }
        for (model, upstream, readable) in [("big", &big, true), ("other", &rest, allowed)] {
            let body = format!("{{\"model\":\"{model}\"}}");
            client.send(format!(
                "POST /v1/chat/completions HTTP/1.1\r\nHost: own\r\n{APP}Content-Length: {}\r\n\r\n{body}",
                body.len()
            ));
            let mut server = upstream.accept();
            server.read_request();
            server.send(OK);
            let answer = client.read_response();
            let expected = if readable { self::readable() } else { Default::default() };
            assert_eq!(said(&answer), expected, "{of_rest} {model}");
        }
    }
}
