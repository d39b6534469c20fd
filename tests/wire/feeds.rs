//! Event streams that are no inference: feeds, which are silent until something happens; and how
//! long an answer may take that is no stream at all.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Config, Gateway, Message, Peer, Upstream};

const LISTEN: &str = "GET /mcp HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LAST_CHUNK: &str = "0\r\n\r\n";
/// Timers that a feed would not live through, were they its.
const SHORT: &str = "ttft = \"1s\"\ninter_event = \"1s\"";
/// Longer than that.
const LONG: Duration = Duration::from_millis(2200);
/// Everything that has the head of a stream held back on other routes.
const RESCUE: &str = "retry = { attempts = 3 }\nbreaker = { consecutive = 1 }";

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

fn post(path: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{fields}\r\n{body}")
}

fn code(response: &Message) -> (u16, String) {
    (response.status(), response.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
}

/// A gateway with two endpoints that are one server, so that there is always somebody else to ask.
fn twofold(upstream: &Upstream, other: &Upstream, timeouts: &str) -> Gateway {
    let mut config = Config::to(upstream.address());
    config.endpoint = format!("{}\", \"{}", upstream.address(), other.address());
    config.upstream = format!("{RESCUE}\nbalance = \"round_robin\"");
    config.timeouts = timeouts.to_owned();
    config.start()
}

/// The server that was asked.
fn whichever(upstreams: [&Upstream; 2]) -> Peer {
    loop {
        for upstream in upstreams {
            if let Some(peer) = upstream.accept_within(Duration::from_millis(20)) {
                return peer;
            }
        }
    }
}

#[test]
fn a_feed_passes_at_once_and_may_be_silent() {
    let (one, other) = (Upstream::listen(), Upstream::listen());
    let gateway = twofold(&one, &other, SHORT);
    let mut client = gateway.connect();
    client.send(LISTEN);
    let mut server = whichever([&one, &other]);
    server.read_request();
    server.send(EVENTS);
    // The head does not wait for an event, and neither does a comment.
    assert_eq!(client.read_head().status(), 200);
    server.send(chunk(": here\n\n"));
    client.read_until(": here\n\n");
    thread::sleep(LONG);
    server.send(chunk("data: 1\n\n"));
    client.read_until("data: 1\n\n");
    thread::sleep(LONG);
    server.send(chunk("data: 2\n\n"));
    client.read_until("data: 2\n\n");
    server.send(LAST_CHUNK);
    client.read_until(LAST_CHUNK);
    assert_eq!(gateway.count_in_log("timeout"), 0, "{:?}", gateway.log());
    // And what a client waits for has its timers all the same, at the same server.
    assert_eq!(gateway.count_in_log("is out for"), 0);
}

#[test]
fn a_feed_that_is_dead_ends_after_tunnel_idle() {
    let upstream = Upstream::listen();
    let timeouts = format!("{SHORT}\ntunnel_idle = \"1500ms\"");
    let gateway = Config { timeouts, ..Config::to(upstream.address()) }.start();
    let mut client = gateway.connect();
    client.send(LISTEN);
    let mut server = upstream.accept();
    server.read_request();
    server.send(EVENTS);
    client.read_head();
    for _ in 0..4 {
        thread::sleep(Duration::from_millis(500));
        server.send(chunk(": ping\n\n"));
        client.read_until(": ping\n\n");
    }
    let last = Instant::now();
    client.read_end();
    assert!(last.elapsed() > Duration::from_millis(1400), "{:?}", last.elapsed());
    gateway.wait_for_log("tunnel_idle");
}

#[test]
fn whoever_asks_for_an_answer_is_held_to_it() {
    // The same server, the same type, another question: a model that says nothing.
    let (one, other) = (Upstream::listen(), Upstream::listen());
    let gateway = twofold(&one, &other, SHORT);
    let mut client = gateway.connect();
    client.send(post("/v1/chat/completions", "", "{\"stream\":true}"));
    for _ in 0..2 {
        let mut server = whichever([&one, &other]);
        server.read_request();
        server.send(format!("{EVENTS}{}", chunk(": ping\n\n")));
        thread::spawn(move || server.wait_end());
    }
    assert_eq!(code(&client.read_response()), (504, "ttft_timeout".into()));
}

#[test]
fn any_byte_is_progress_where_the_operator_says_so() {
    let (one, other) = (Upstream::listen(), Upstream::listen());
    let gateway = twofold(&one, &other, &format!("{SHORT}\nprogress = \"bytes\""));
    let mut client = gateway.connect();
    client.send(post("/v1/chat/completions", "", "{\"stream\":true}"));
    let mut server = whichever([&one, &other]);
    server.read_request();
    server.send(EVENTS);
    let asked = Instant::now();
    // It thinks for seven seconds under pings: they are held back, let go after five, and never cut.
    let thinking = thread::spawn(move || {
        while asked.elapsed() < Duration::from_secs(7) {
            server.send(chunk(": ping\n\n"));
            thread::sleep(Duration::from_millis(50));
        }
        server
    });
    assert_eq!(client.read_head().status(), 200);
    let passed = asked.elapsed();
    assert!(passed > Duration::from_millis(4500), "held back where it can be rescued: {passed:?}");
    assert!(passed < Duration::from_millis(6900), "let go in time: {passed:?}");
    let mut server = thinking.join().expect("it thinks");
    server.send(chunk(
        "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\n",
    ));
    server.send(format!("{}{LAST_CHUNK}", chunk("data: [DONE]\n\n")));
    client.read_until(LAST_CHUNK);
}

#[test]
fn a_document_has_a_time_of_its_own_and_is_not_made_twice() {
    let requests = [
        post("/v1/chat/completions", "", "{\"stream\":false}"),
        post("/v1/chat/completions", "", "{\"messages\":[]}"),
        post("/v1/images/generations", "Accept: application/json\r\n", "{\"prompt\":\"a cat\"}"),
        post("/v1/embeddings", "", "{\"input\":\"x\"}"),
        post("/v1/audio/transcriptions", "Content-Type: multipart/form-data\r\n", "--b"),
        post("/mcp", "Accept: application/json, text/event-stream\r\n", "{\"method\":\"x\"}"),
    ];
    thread::scope(|scope| {
        for request in requests {
            scope.spawn(move || expect_document(&request));
        }
    });
}

fn expect_document(request: &str) {
    let (one, other) = (Upstream::listen(), Upstream::listen());
    let gateway = twofold(&one, &other, &format!("{SHORT}\nresponse = \"5s\""));
    let mut client = gateway.connect();
    client.send(request);
    let mut server = whichever([&one, &other]);
    server.read_request();
    // Longer than `ttft`: it is waited for, and answered once.
    thread::sleep(LONG);
    server.send(OK);
    assert_eq!(client.read_response().text(), "ok", "{request}");
    // And again, for longer than a document may take.
    client.send(request);
    let mut server = whichever_or(server, [&one, &other]);
    let written = Instant::now();
    server.read_request();
    let refusal = client.read_response();
    assert_eq!(code(&refusal), (504, "response_timeout".into()), "{request}");
    assert!(written.elapsed() > Duration::from_millis(4500), "{request}");
    one.expect_no_request();
    other.expect_no_request();
}

/// The server that was asked next: on the connection there is, or on a new one.
fn whichever_or(mut known: Peer, upstreams: [&Upstream; 2]) -> Peer {
    loop {
        known.receive(Duration::from_millis(20));
        if !known.unread().is_empty() {
            return known;
        }
        for upstream in upstreams {
            if let Some(peer) = upstream.accept_within(Duration::from_millis(20)) {
                return peer;
            }
        }
    }
}

#[test]
fn what_comes_decides_where_it_is_known() {
    // A document was asked for, and the head of a stream comes: from then on it is one.
    let upstream = Upstream::listen();
    let timeouts = format!("{SHORT}\nresponse = \"15s\"");
    let gateway = Config { timeouts, ..Config::to(upstream.address()) }.start();
    let mut client = gateway.connect();
    client.send(post("/v1/chat/completions", "", "{\"stream\":false}"));
    let mut server = upstream.accept();
    server.read_request();
    thread::sleep(LONG);
    server.send(EVENTS);
    let since = Instant::now();
    client.read_end();
    assert!(since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
    gateway.wait_for_log("ttft_timeout");
    // And the other way: a stream was asked for, and the head of a document comes.
    let mut client = gateway.connect();
    client.send(post("/v1/chat/completions", "", "{\"stream\":true}"));
    let mut server = upstream.accept();
    server.read_request();
    server.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n");
    thread::sleep(LONG);
    server.send("{}");
    assert_eq!(client.read_response().text(), "{}");
}

#[test]
fn a_request_that_was_not_kept_may_be_for_a_document() {
    let upstream = Upstream::listen();
    let config = Config {
        timeouts: SHORT.to_owned(),
        limits: "replay_bytes = \"off\"".to_owned(),
        ..Config::to(upstream.address())
    };
    let gateway = config.start();
    let mut client = gateway.connect();
    client.send(post("/v1/chat/completions", "", "{\"stream\":true}"));
    let mut server = upstream.accept();
    server.read_request();
    thread::sleep(LONG);
    server.send(OK);
    assert_eq!(client.read_response().text(), "ok");
}
