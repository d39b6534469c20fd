//! Plugins: foreign code that sees requests and answers on their way.

mod built;
mod remote;
mod watched;

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use self::built::Built;
use crate::harness::{Config, End, Gateway, Message, Peer, Upstream, signal, sluicegate};
use crate::reload::{streams, watch_stream};

const STREAM: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const AT_ONCE: Duration = Duration::from_millis(500);

/// A gateway whose one route has the plugin.
fn gateway(upstream: &Upstream, built: &Built, config: &str, more: &str) -> Gateway {
    Gateway::start(&text(upstream.address(), built, config, more))
}

fn text(upstream: std::net::SocketAddr, built: &Built, config: &str, more: &str) -> String {
    let config = Config {
        route: "plugins = [\"it\"]".to_owned(),
        more: built.section(config, more),
        ..Config::to(upstream)
    };
    config.text()
}

fn chat(fields: &str) -> String {
    let body = json!({ "model": "m", "stream": true, "messages": [] }).to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: own\r\nContent-Type: application/json\r\n{fields}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

fn delta(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// Answers a request with this stream, an event a chunk.
fn answer(server: &mut Peer, events: &[&str]) -> Message {
    let request = server.read_request();
    server.send(STREAM);
    for event in events {
        server.send(chunk(event));
    }
    server.send("0\r\n\r\n");
    request
}

fn error_code(message: &Message) -> (u16, String, String) {
    let error = message.json()["error"].clone();
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    (message.status(), text("code"), text("message"))
}

#[test]
fn who_looks_at_events_changes_no_byte() {
    let built = Built::of_c("looks", "src/plugin/examples/tally/tally.c", &[]);
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, &built, "", "");
    let mut client = gateway.connect();
    client.send(chat(""));
    let mut server = upstream.accept();
    server.read_request();
    // An event in two chunks, a comment, two events in one.
    let first = delta("Hel");
    let (one, two) = first.split_at(20);
    let pieces = [
        one.to_owned(),
        two.to_owned(),
        ": hi\n\n".to_owned(),
        [&delta("lo"), STOP, DONE].concat(),
    ];
    server.send(STREAM);
    for piece in &pieces {
        let sent = Instant::now();
        server.send(chunk(piece));
        client.read_until(&chunk(piece));
        assert!(sent.elapsed() < AT_ONCE, "it is passed on at once");
    }
    server.send("0\r\n\r\n");
    client.read_until("0\r\n\r\n");
    let body: String = pieces.iter().map(|piece| chunk(piece)).collect();
    let received = String::from_utf8_lossy(client.received()).into_owned();
    assert!(received.ends_with(&format!("\r\n\r\n{body}0\r\n\r\n")), "{received}");
    gateway.wait_for_log("plugin it: 4 events, status 200");
}

#[test]
fn the_example_in_rust_masks_words() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, &Built::mask(), "sesame, secret", "");
    gateway.wait_for_log("plugin it: masks 2 words");
    let mut client = gateway.connect();
    client.send(chat("Accept-Encoding: gzip\r\n"));
    let (hello, open) = (delta("hello"), delta("open sesame, secret sesame"));
    let request = answer(&mut upstream.accept(), &[&hello, &open, STOP, DONE]);
    assert_eq!(request.all("accept-encoding"), ["identity"]);
    let response = client.read_response();
    assert_eq!(response.field("x-masked"), Some("yes"));
    assert_eq!(response.field("content-type"), Some("text/event-stream"));
    let masked = delta("open ******, ****** ******");
    assert_eq!(response.text(), [&hello, &masked, STOP, DONE].concat());
}

#[test]
fn a_changed_stream_is_changed_at_any_cut_and_at_once() {
    let built = Built::script("changes", &["-DCHANGES=1"]);
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, &built, "event=drop event=add", "");
    let mut client = gateway.connect();
    client.send(chat(""));
    let mut server = upstream.accept();
    server.read_request();
    server.send(STREAM);
    let stream = [&delta("a")[..], &delta("b"), ": c\n\n", &delta("d"), STOP, DONE].concat();
    for byte in stream.as_bytes().chunks(7) {
        server.send(chunk(&String::from_utf8_lossy(byte)));
        thread::sleep(Duration::from_millis(1));
    }
    server.send("0\r\n\r\n");
    let added = ": one\n\n";
    let expected =
        [&delta("a")[..], added, ": c\n\n", &delta("d"), added, STOP, added, DONE, added];
    let response = client.read_response();
    assert_eq!(response.text(), expected.concat());
    assert_eq!(response.field("x-tag"), Some("one"));
}

#[test]
fn a_request_is_refused_answered_and_rewritten() {
    let tally = Built::of_c("refuses", "src/plugin/examples/tally/tally.c", &[]);
    let upstream = Upstream::listen();
    let gate = gateway(&upstream, &tally, "X-Key", "");
    let mut client = gate.connect();
    client.send(chat(""));
    let (status, code, message) = error_code(&client.read_response());
    assert_eq!((status, code.as_str()), (403, "plugin_refused"));
    assert_eq!(message, "a field is missing that this gateway wants");
    // The connection stays.
    client.send(chat("x-key: canned\r\n"));
    let canned = client.read_response();
    assert_eq!((canned.status(), canned.text()), (200, "{\"canned\":true}"));
    assert_eq!(canned.field("content-type"), Some("application/json"));
    client.send(chat("x-key: 1\r\n"));
    answer(&mut upstream.accept(), &[STOP, DONE]);
    assert_eq!(client.read_response().status(), 200);

    let script = Built::script("rewrites", &[]);
    let gate = gateway(&upstream, &script, "request=target request=field request=body", "");
    for chunked in [false, true] {
        let mut client = gate.connect();
        match chunked {
            false => client.send(chat("X-Gone: 1\r\nContent-MD5: x\r\n")),
            true => client.send(
                "POST /v1/chat/completions HTTP/1.1\r\nHost: own\r\nX-Gone: 1\r\n\
                 Transfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n0\r\n\r\n",
            ),
        }
        let request = answer(&mut upstream.accept(), &[STOP, DONE]);
        assert!(request.start.starts_with("POST /other?x=y HTTP/1.1"), "{}", request.start);
        let body = "{\"model\":\"other\",\"from\":\"one\"}";
        assert_eq!(request.text(), body);
        assert_eq!(request.all("content-length"), [body.len().to_string()]);
        for gone in ["x-gone", "transfer-encoding", "content-md5"] {
            assert_eq!(request.field(gone), None, "{gone}");
        }
        assert_eq!(request.field("x-set"), Some("yes"));
        assert_eq!(client.read_response().status(), 200);
    }
}

#[test]
fn a_plugin_chooses_among_the_upstreams_of_its_route() {
    let built = Built::script("chooses", &[]);
    let (first, second) = (Upstream::listen(), Upstream::listen());
    let start = |config: &str, more: &str| {
        Gateway::start(&format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n\
             [[upstream]]\nname = \"first\"\nendpoints = [\"{}\"]\n\
             [[upstream]]\nname = \"second\"\nendpoints = [\"{}\"]\n\
             [[route]]\npath = \"/*\"\nupstream = [\"first\", \"second\"]\nplugins = [\"it\"]\n{}",
            first.address(),
            second.address(),
            built.section(config, more),
        ))
    };
    let gateway = start("request=upstream", "");
    let mut client = gateway.connect();
    client.send(chat(""));
    answer(&mut second.accept(), &[STOP, DONE]);
    assert_eq!(client.read_response().status(), 200);
    gateway.wait_for_log("on_response_head 1 status=200 events=0 second");
    // One that the route does not have: a failure of the plugin.
    let gateway = start("request=nobody", "");
    let mut client = gateway.connect();
    client.send(chat(""));
    assert_eq!(error_code(&client.read_response()).1, "plugin_failed");
    gateway.wait_for_log("plugin it: on_request chooses an upstream that is none of its route's");
    let gateway = start("request=nobody", "fail = \"open\"");
    let mut client = gateway.connect();
    client.send(chat(""));
    answer(&mut first.accept(), &[STOP, DONE]);
    assert_eq!(client.read_response().status(), 200);
}

#[test]
fn a_hook_that_fails_ends_one_exchange_or_is_passed_over() {
    let built = Built::script("fails", &[]);
    let upstream = Upstream::listen();
    let gate = gateway(&upstream, &built, "request=fail", "");
    let mut client = gate.connect();
    client.send(chat(""));
    let (status, code, _) = error_code(&client.read_response());
    assert_eq!((status, code.as_str()), (502, "plugin_failed"));
    gate.wait_for_log("plugin it: on_request failed with error code -7: as it was told");
    gate.wait_for_log("plugin it: one: on_end 1 status=502 code=plugin_failed");

    let gate = gateway(&upstream, &built, "request=framing", "");
    let mut client = gate.connect();
    client.send(chat(""));
    assert_eq!(error_code(&client.read_response()).1, "plugin_failed");

    let gate = gateway(&upstream, &built, "head=refuse", "");
    let mut client = gate.connect();
    client.send(chat(""));
    // What follows its head may find nobody any more.
    let mut server = upstream.accept();
    server.read_request();
    server.send(STREAM);
    let refused = error_code(&client.read_response());
    assert_eq!(refused, (451, "plugin_refused".into(), "not this answer".into()));

    // In the middle of a stream that it looks at.
    let gate = gateway(&upstream, &built, "event=fail", "");
    let mut client = gate.connect();
    client.send(chat(""));
    let mut server = upstream.accept();
    server.read_request();
    server.send(STREAM);
    server.send(chunk(&delta("a")));
    client.read_until(&delta("a"));
    server.send(chunk(&delta("b")));
    client.wait_end();
    let seen = String::from_utf8_lossy(client.received()).into_owned();
    assert!(seen.contains("\"code\":\"plugin_failed\""), "{seen}");
    assert!(!seen.contains("\"content\":\"b") && !seen.ends_with("0\r\n\r\n"), "{seen}");

    let gate = gateway(&upstream, &built, "event=fail head=fail request=fail", "fail = \"open\"");
    let mut client = gate.connect();
    client.send(chat(""));
    answer(&mut upstream.accept(), &[&delta("a"), &delta("b"), STOP, DONE]);
    let response = client.read_response();
    assert_eq!(response.text(), [&delta("a"), &delta("b"), STOP, DONE].concat());
}

#[test]
fn a_client_that_leaves_is_told_of() {
    let built = Built::script("leaves", &[]);
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, &built, "", "");
    let mut client = gateway.connect();
    client.send(chat(""));
    let mut server = upstream.accept();
    server.read_request();
    server.send(STREAM);
    server.send(chunk(&delta("a")));
    client.read_until(&delta("a"));
    client.reset();
    assert!(server.wait_end().is_some());
    gateway.wait_for_log("plugin it: one: on_cancel 1 code=client_gone");
    gateway.wait_for_log("plugin it: one: on_end 1 status=499 code=client_gone");
}

#[test]
fn what_cannot_be_cut_into_events_is_not_shown_and_passes() {
    let built = Built::script("unshown", &[]);
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, &built, "event=log", "");
    for (head, events) in [
        ("Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\n", 2),
        ("Content-Type: application/octet-stream\r\n", 3),
        ("Content-Type: text/event-stream\r\n", 0),
    ] {
        let mut client = gateway.connect();
        client.send("GET /feed HTTP/1.1\r\nHost: own\r\n\r\n");
        let mut server = upstream.accept();
        server.read_request();
        server.send(format!("HTTP/1.1 200 OK\r\n{head}Transfer-Encoding: chunked\r\n\r\n"));
        server.send(format!("{}0\r\n\r\n", chunk("data: shown\n\n")));
        assert_eq!(client.read_response().text(), "data: shown\n\n");
        gateway.wait_for_log(&format!("status=200 events={events}"));
    }
    gateway.wait_for_log("on_end 3 ");
    assert_eq!(gateway.count_in_log("plugin it: shown"), 1);
}

#[test]
fn a_plugin_stands_on_the_clients_side_of_a_translation() {
    let built = Built::script("translated", &["-DCHANGES=1"]);
    let upstream = Upstream::listen();
    let config = Config {
        upstream: "translate_to = \"anthropic\"".to_owned(),
        route: "plugins = [\"it\"]".to_owned(),
        more: built.section("event=add", ""),
        ..Config::to(upstream.address())
    };
    let gateway = config.start();
    let mut client = gateway.connect();
    let body = json!({ "model": "m", "stream": true, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}] });
    let body = body.to_string();
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: own\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let event = |name: &str, data: &str| format!("event: {name}\ndata: {data}\n\n");
    let events = [
        event(
            "message_start",
            r#"{"type":"message_start","message":{"id":"m1","role":"assistant","content":[],"model":"c","usage":{"input_tokens":1,"output_tokens":1}}}"#,
        ),
        event(
            "content_block_start",
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        ),
        event(
            "content_block_delta",
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#,
        ),
        event("content_block_stop", r#"{"type":"content_block_stop","index":0}"#),
        event(
            "message_delta",
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#,
        ),
        event("message_stop", r#"{"type":"message_stop"}"#),
    ];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let request = answer(&mut upstream.accept(), &events);
    assert!(request.start.starts_with("POST /v1/messages"), "{}", request.start);
    gateway.wait_for_log("on_request 1 {\"model\":\"m\",");
    let text = client.read_response().text().to_owned();
    assert!(text.contains("\"content\":\"Hello\""), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n: one\n\n"), "{text}");
    let events = text.matches("data: ").count();
    assert_eq!(text.matches(": one\n\n").count(), events, "{text}");
}

#[test]
fn a_bad_plugin_is_refused_and_the_old_one_serves_on() {
    let built = Built::script("bad", &[]);
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, &built, "", "");
    let good = text(upstream.address(), &built, "", "");
    let other =
        Built::of_c("bad-symbol", "tests/wire/plugins/script.c", &["-Dsluicegate_plugin=x"]);
    let old = Built::of_c(
        "bad-version",
        "tests/wire/plugins/script.c",
        &["-DTAG=\"old\"", "-USG_VERSION"],
    );
    drop(old);
    let hash = built.sha256();
    for (text, expected) in [
        (good.replace(&hash, &hash.replace(['0', '1'], "2")), format!("has the SHA-256 {hash}")),
        (text(upstream.address(), &other, "", ""), "has no symbol sluicegate_plugin".to_owned()),
        (good.replace("config = \"\"", "config = \"open=fail\""), "open() returned -5".to_owned()),
        (
            good.replace("config = \"\"", "config = \"test=fail\""),
            "does not pass its self-test: on_request failed with error code -6".to_owned(),
        ),
        (
            good.replace("allow = [", "allow = [\"/elsewhere/\"] # "),
            "is not in plugins.allow".to_owned(),
        ),
    ] {
        gateway.rewrite(&text);
        signal(&gateway, Signal::HUP);
        gateway.wait_for_log("refused; generation 0 stays");
        gateway.wait_for_log(&expected);
        let file = std::env::temp_dir().join(format!("bad-plugin-{}.toml", std::process::id()));
        std::fs::write(&file, &text).expect("a temporary file");
        let checked = sluicegate(&["check", "--config", &file.display().to_string()]);
        assert_eq!(checked.status.code(), Some(1));
        assert!(checked.stderr.contains(&expected), "{}", checked.stderr);
        let _ = std::fs::remove_file(file);
    }
    let mut client = gateway.connect();
    client.send(chat(""));
    answer(&mut upstream.accept(), &[STOP, DONE]);
    assert_eq!(client.read_response().field("x-tag"), Some("one"));
}

/// The objects that were loaded, by what the kernel knows.
fn mapped(gateway: &Gateway) -> usize {
    let pid = gateway.pid().as_raw_nonzero();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("a process has maps");
    let inodes = maps.lines().filter(|line| line.contains("sluicegate-plugin"));
    let inodes: std::collections::BTreeSet<_> =
        inodes.filter_map(|line| line.split_whitespace().nth(4)).collect();
    inodes.len()
}

#[test]
fn a_plugin_is_swapped_while_streams_run() {
    const EVENTS: usize = 100;
    let first = Built::script("swapped", &["-DCHANGES=1", "-DTAG=\"old\""]);
    let upstream = streams(EVENTS);
    let gateway = Gateway::start(&text(upstream, &first, "event=add", "fail = \"open\""));
    let viewers: Vec<_> = (0..8).map(|_| watch_stream(&gateway, "/old", EVENTS)).collect();
    let mut old = gateway.connect();
    old.send("GET /old HTTP/1.1\r\nHost: x\r\n\r\n");
    old.read_until(": old\n\n");
    // The same path holds another object now.
    let second = Built::script("swapped", &["-DCHANGES=1", "-DTAG=\"new\""]);
    gateway.rewrite(&text(upstream, &second, "event=add", "fail = \"open\""));
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("generation 1 is in force");
    assert_eq!(mapped(&gateway), 2, "both are loaded");
    let mut new = gateway.connect();
    new.send("GET /new HTTP/1.1\r\nHost: x\r\n\r\n");
    new.read_until(": new\n\n");
    assert_eq!(gateway.count_in_log("old: close"), 0, "its streams run");
    old.read_until("0\r\n\r\n");
    let seen = String::from_utf8_lossy(old.received()).into_owned();
    assert_eq!((seen.matches(": old\n\n").count(), seen.matches(": new").count()), (EVENTS, 0));
    for viewer in viewers {
        let late = viewer.join().expect("the stream is whole");
        assert!(late < Duration::from_millis(250), "an event was late by {late:?}");
    }
    gateway.wait_for_log("plugin it: old: close");
    gateway.wait_for_log("is closed and unloaded");
    let deadline = Instant::now() + Duration::from_secs(5);
    while mapped(&gateway) > 1 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(mapped(&gateway), 1, "the old one is gone");
    new.read_until("0\r\n\r\n");
    // A reload that leaves the plugin as it is does not open it again.
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("generation 2 is in force");
    assert_eq!(gateway.count_in_log("new: close"), 0);
}

#[test]
fn a_plugin_that_is_too_slow_is_put_in_quarantine_until_a_reload() {
    let built = Built::script("slow", &[]);
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, &built, "event=slow", "budget_us = 1000");
    let many: Vec<String> = (0..12).map(|number| delta(&number.to_string())).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut client = gateway.connect();
    client.send(chat(""));
    let mut server = upstream.accept();
    server.read_request();
    server.send(STREAM);
    for event in &many {
        if server.try_send(chunk(event)).is_err() {
            break;
        }
    }
    client.wait_end();
    gateway.wait_for_log("plugin it is in quarantine: ten of its last hundred calls");
    gateway.wait_for_log("its budget is 1000 us");
    let mut client = gateway.connect();
    client.send(chat(""));
    let (status, code, _) = error_code(&client.read_response());
    assert_eq!((status, code.as_str()), (503, "plugin_quarantined"));
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("generation 1 is in force");
    let mut client = gateway.connect();
    client.send(chat(""));
    answer(&mut upstream.accept(), &[STOP, DONE]);
    assert_eq!(client.read_response().status(), 200);
}

#[test]
fn a_stream_that_a_plugin_cuts_tells_why() {
    let built = Built::script("cuts", &["-DCHANGES=1"]);
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, &built, "event=fail", "");
    let mut client = gateway.connect();
    client.send(chat(""));
    let mut server = upstream.accept();
    server.read_request();
    server.send(STREAM);
    server.send(chunk(&delta("a")));
    client.read_until(&delta("a"));
    server.send(chunk(&delta("b")));
    assert!(matches!(client.read_end(), End::Fin | End::Reset));
    let seen = String::from_utf8_lossy(client.received()).into_owned();
    assert!(seen.contains("\"code\":\"plugin_failed\""), "{seen}");
    assert!(!seen.contains("\"content\":\"b\"") && !seen.ends_with("0\r\n\r\n"), "{seen}");
    gateway.wait_for_log("plugin_failed, cut short");
}
