//! Requests whose model is replaced: each upstream is asked for its own, or the request is refused.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::chat::{chunked, expect_code, head, sized};
use crate::harness::{Config, Gateway, Message, PATIENCE, Peer, Upstream};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";
const MIB: usize = 1 << 20;
const JSON: &str = "Content-Type: application/json\r\n";
const MULTIPART: &str = "Content-Type: multipart/form-data; boundary=----bound\r\n";

fn gateway(upstream: &Upstream, limits: &str) -> Gateway {
    let config = Config {
        upstream: "model = \"served\"".to_owned(),
        limits: limits.to_owned(),
        ..Config::to(upstream.address())
    };
    config.start()
}

/// A body whose model stands in front of so many bytes, or behind them.
fn long(first: bool, length: usize) -> String {
    let picture = format!(r#""messages":[{{"model":"no","image":"{}"}}]"#, "x".repeat(length));
    match first {
        true => format!(r#"{{"model":"alias",{picture}}}"#),
        false => format!(r#"{{{picture},"model":"alias"}}"#),
    }
}

/// What a server reads as one request, answered with `answer`.
fn serve(upstream: &Upstream, answer: &str) -> Message {
    let mut server = upstream.accept();
    let request = server.read_request();
    server.send(answer);
    request
}

#[test]
fn a_model_is_replaced_in_bodies_of_any_length_and_framing() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "");
    for (first, length) in
        [(true, 0), (false, 0), (true, 40_000), (false, 40_000), (true, 3 * MIB), (false, 3 * MIB)]
    {
        let body = long(first, length);
        let piece = if length == 0 { 1 } else { 10_007 };
        for message in [sized(JSON, &body), chunked(JSON, &body, piece)] {
            let mut client = gateway.connect();
            let sender = std::thread::spawn(move || {
                client.send(message);
                client
            });
            let request = serve(&upstream, OK);
            let mut client = sender.join().expect("it was sent");
            assert!(request.text() == body.replace("alias", "served"), "{first} {length}");
            assert_eq!(client.read_response().text(), "ok");
            // And its connection goes on.
            client.send(sized("", r#"{"model":"alias"}"#));
            assert_eq!(serve(&upstream, OK).text(), r#"{"model":"served"}"#);
            assert_eq!(client.read_response().text(), "ok");
        }
    }
}

#[test]
fn a_body_goes_on_as_soon_as_its_model_is_here() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "");
    let (start, rest) = (r#"{"stream":true,"model":"alias","#, r#""messages":[]}"#);
    let length = start.len() + rest.len();
    for chunks in [false, true] {
        let mut client = gateway.connect();
        let framing = match chunks {
            false => format!("Content-Length: {length}\r\n"),
            true => "Transfer-Encoding: chunked\r\n".to_owned(),
        };
        let piece = |text: &str| match chunks {
            false => text.to_owned(),
            true => format!("{:x}\r\n{text}\r\n", text.len()),
        };
        client.send(head(&format!("{framing}Expect: 100-continue\r\n")) + "\r\n");
        assert_eq!(client.read_response().status(), 100);
        client.send(piece(start));
        let mut server = upstream.accept();
        server.read_until(r#""model":"served","#);
        // The client has been told already.
        server.send("HTTP/1.1 100 Continue\r\n\r\n");
        client.send(piece(rest) + if chunks { "0\r\n\r\n" } else { "" });
        server.read_until(r#""messages":[]}"#);
        if chunks {
            server.read_until("0\r\n\r\n");
        } else {
            let told = format!("Content-Length: {}\r\n", length + 1);
            assert!(String::from_utf8_lossy(server.received()).contains(&told));
        }
        server.send(OK);
        assert_eq!(client.read_response().text(), "ok");
    }
}

#[test]
fn a_model_that_comes_too_late_is_refused_and_a_body_without_one_passes() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "model_search_bytes = \"64KiB\"");
    for (length, late) in [(60_000, false), (300_000, true)] {
        let mut client = gateway.connect();
        let body = long(false, length);
        client.send(sized(JSON, &body));
        if !late {
            assert!(serve(&upstream, OK).text() == body.replace("alias", "served"));
            assert_eq!(client.read_response().text(), "ok");
            continue;
        }
        let mut server = upstream.accept();
        expect_code(&mut client, 413, "model_too_late");
        server.read_end();
        let got = String::from_utf8_lossy(server.received()).into_owned();
        assert!(!got.contains("alias") && !got.ends_with('}'), "the server has no request");
    }
    let body = format!(r#"{{"input":"{}"}}"#, "x".repeat(300_000));
    for message in [sized(JSON, &body), chunked(JSON, &body, 50_000)] {
        let mut client = gateway.connect();
        client.send(message);
        assert!(serve(&upstream, OK).text() == body);
        assert_eq!(client.read_response().text(), "ok");
    }
}

#[test]
fn a_second_model_behind_the_first_breaks_the_request_off() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "");
    let body = long(true, 2 * MIB);
    let twice = body.strip_suffix('}').expect("an object").to_owned() + r#","mod\u0065l":"other"}"#;
    for message in [sized(JSON, &twice), chunked(JSON, &twice, 50_000)] {
        let mut client = gateway.connect();
        let sender = std::thread::spawn(move || {
            client.send(message);
            client
        });
        let mut server = upstream.accept();
        server.read_until("served");
        server.read_end();
        let got = String::from_utf8_lossy(server.received()).into_owned();
        assert!(!got.contains("other") && !got.ends_with("}\r\n0\r\n\r\n"), "it has no end");
        let mut client = sender.join().expect("it was sent");
        expect_code(&mut client, 400, "model_ambiguous");
    }
}

#[test]
fn a_request_that_can_be_read_in_two_ways_reaches_nobody() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "");
    let nested = format!(r#"{{"x":{}{},"model":"a"}}"#, "[".repeat(70), "]".repeat(70));
    for (fields, body, status, code) in [
        (JSON, r#"{"model":"a","model":"b"}"#, 400, "model_ambiguous"),
        (JSON, r#"{"mod\u0065l":"a"}"#, 400, "model_ambiguous"),
        (JSON, r#"{"model":"a","Model":"b"}"#, 400, "model_ambiguous"),
        (JSON, r#"{"model":"a"}{}"#, 400, "model_ambiguous"),
        (JSON, "{\0\"\0m\0", 400, "model_ambiguous"),
        (MULTIPART, r#"{"model":"a"}"#, 400, "model_ambiguous"),
        ("Content-Encoding: gzip\r\n", "\x1f\u{8b}", 400, "body_undecodable"),
        ("Content-Encoding: compress\r\n", "{}", 415, "body_encoded"),
        ("Content-Type: application/json; charset=utf-16\r\n", "{}", 415, "body_encoded"),
    ] {
        for message in [sized(fields, body), chunked(fields, body, 3)] {
            if !body.is_ascii() && message.contains("chunked") {
                continue;
            }
            let mut client = gateway.connect();
            client.send(message);
            expect_code(&mut client, status, code);
        }
    }
    upstream.expect_nobody();
    for (fields, body) in [
        ("Content-Encoding: identity\r\n", r#"{"model":"alias"}"#),
        (JSON, "\u{feff}{\"model\":\"alias\"}"),
        (JSON, r#"{"model":null}"#),
        ("Content-Type: text/plain\r\n", "[1]"),
        ("", "no JSON at all"),
        (JSON, &nested.replace("\"a\"", "\"alias\"")),
    ] {
        let mut client = gateway.connect();
        client.send(sized(fields, body));
        assert_eq!(serve(&upstream, OK).text(), body.replace("alias", "served"));
        assert_eq!(client.read_response().text(), "ok");
    }
    let mut client = gateway.connect();
    client.send("GET /v1/models HTTP/1.1\r\nHost: own\r\nContent-Encoding: gzip\r\n\r\n");
    serve(&upstream, OK);
    assert_eq!(client.read_response().text(), "ok");
}

/// A server that answers every GET, and the start lines of the requests it has read.
fn listener() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let starts = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&starts);
    let address = Upstream::serve(move |mut server| {
        loop {
            while memchr::memmem::find(server.unread(), b"\r\n\r\n").is_none() {
                if server.has_ended() {
                    return;
                }
                server.receive(PATIENCE);
            }
            let start = server.read_head().start;
            let is_whole = start.starts_with("GET");
            heard.lock().expect("no panic").push(start);
            if !is_whole {
                // A request that is broken off: what comes of it is its body's.
                server.wait_end();
                return;
            }
            server.send(OK);
        }
    });
    (address, starts)
}

/// Bodies that are refused, each with a request inside, and the answer to them.
fn bodies_with_a_request_inside() -> Vec<(&'static str, String, (u16, &'static str))> {
    const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
    let ambiguous = (400, "model_ambiguous");
    let part = |name: &str, content: &str| {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        format!("------bound\r\n{head}\r\n\r\n{content}\r\n")
    };
    let (file, long) = (part("file", HIDDEN), part("file", &"x".repeat(40_000)));
    let (model, end) = (part("model", "alias"), "------bound--\r\n");
    vec![
        (FORM, format!("GET /hidden&model=1 HTTP/1.1\r\nHost: a\r\n\r\n{HIDDEN}"), ambiguous),
        (MULTIPART, HIDDEN.replace("\r\n\r\n", "\r\nX: ------bound\r\n\r\n"), ambiguous),
        (MULTIPART, format!("{file}{model}{file}{model}{HIDDEN}{end}"), ambiguous),
        (MULTIPART, format!("{long}{file}{model}{HIDDEN}{end}"), (413, "model_too_late")),
        (JSON, format!(r#"{{"mod\u0065l":"x"}}{HIDDEN}"#), ambiguous),
        (JSON, format!(r#"{{"model":"x"}}{HIDDEN}"#), ambiguous),
        // Only its end tells that there is something amiss.
        (JSON, r#"{"model":"x""#.to_owned(), ambiguous),
    ]
}

/// What stands in a body is never the next request, however the body arrives and wherever in it the
/// gateway sees that it has to be refused.
#[test]
fn the_body_of_a_refused_request_is_nobodys_next_request() {
    const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    let (address, starts) = listener();
    let (upstream, limits) = ("model = \"served\"", "model_search_bytes = \"16KiB\"");
    let config = Config { upstream: upstream.to_owned(), ..Config::to(address) };
    let gateway = Config { limits: limits.to_owned(), ..config }.start();
    let mut answered = 0;
    for (fields, body, (status, code)) in bodies_with_a_request_inside() {
        for message in
            [sized(fields, &body), chunked(fields, &body, 1000), chunked(fields, &body, 9)]
        {
            // Of a long one, the part in which the request stands.
            let first = message.len().saturating_sub(600).max(1);
            let cuts: Vec<usize> = (first..=message.len()).collect();
            for cuts in cuts.chunks(100) {
                let mut clients: Vec<Peer> = cuts.iter().map(|_| gateway.connect()).collect();
                for (client, &cut) in clients.iter_mut().zip(cuts) {
                    client.send(&message[..cut]);
                }
                std::thread::sleep(Duration::from_millis(20));
                for (client, &cut) in clients.iter_mut().zip(cuts) {
                    client.send([&message[cut..], NEXT].concat());
                    let refusal = client.read_response();
                    assert_eq!(refusal.status(), status, "{cut} {refusal:?}");
                    assert_eq!(refusal.json()["error"]["code"], code);
                    if refusal.field("connection").is_none() {
                        assert_eq!(client.read_response().text(), "ok", "{body:?} {cut}");
                        answered += 1;
                    }
                    client.finish();
                    client.read_end();
                    assert!(client.unread().is_empty(), "{body:?} {cut}: {}", client.transcript());
                }
            }
        }
    }
    let starts = starts.lock().expect("no panic");
    let count = |start: &str| starts.iter().filter(|it| *it == start).count();
    assert_eq!(count("GET /next HTTP/1.1"), answered);
    assert!(answered > 20, "a connection goes on where the body is here to its end");
    let broken_off = count("POST /v1/chat/completions HTTP/1.1");
    assert_eq!(starts.len(), answered + broken_off, "{starts:?}");
}

#[test]
fn the_part_of_a_form_that_names_the_model_is_replaced() {
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "");
    let part = |head: &str, content: &str| {
        format!("------bound\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    };
    let file = part("name=\"file\"; filename=\"a.wav\"", &"\"model\":\r\n--x".repeat(150_000));
    let model = part("name=\"model\"", "alias");
    for parts in [[&model, &file], [&file, &model]] {
        let body = parts.map(String::as_str).concat() + "------bound--\r\n";
        for message in [sized(MULTIPART, &body), chunked(MULTIPART, &body, 9_999)] {
            let mut client = gateway.connect();
            let sender = std::thread::spawn(move || {
                client.send(message);
                client
            });
            assert!(serve(&upstream, OK).text() == body.replace("alias", "served"));
            assert_eq!(sender.join().expect("it was sent").read_response().text(), "ok");
        }
    }
}

#[test]
fn each_upstream_of_a_chain_gets_its_own_model_and_one_without_gets_the_clients() {
    let models = ["model = \"one\"", "model = \"the-second\"", ""];
    for (at_first, at_second) in [(0, 1), (0, 2), (2, 1), (2, 2)] {
        let (first, second) = (Upstream::listen(), Upstream::listen());
        let gateway = Gateway::chain((&first, models[at_first]), (&second, models[at_second]));
        for length in [0, 100_000] {
            let body = long(true, length).replace("alias", r"al\u0069as\/x");
            let named = |keys: &str| match keys.split('"').nth(1) {
                Some(model) => body.replace(r"al\u0069as\/x", model),
                None => body.clone(),
            };
            for message in [sized(JSON, &body), chunked(JSON, &body, 777)] {
                let mut client = gateway.connect();
                client.send(message);
                let request = serve(&first, BUSY);
                assert!(request.text() == named(models[at_first]));
                let request = serve(&second, OK);
                assert!(request.text() == named(models[at_second]));
                assert_eq!(client.read_response().text(), "ok");
            }
        }
    }
}

#[test]
fn who_needs_no_model_written_gets_any_body_and_who_needs_one_is_left_out() {
    let (first, second) = (Upstream::listen(), Upstream::listen());
    let gateway = Gateway::chain((&first, ""), (&second, "model = \"two\""));
    let twice = r#"{"model":"a","model":"b"}"#;
    for (fields, body) in [(JSON, twice), ("Content-Encoding: gzip\r\n", "\x1f.")] {
        for message in [sized(fields, body), chunked(fields, body, 4)] {
            let mut client = gateway.connect();
            client.send(message);
            assert_eq!(serve(&first, BUSY).text(), body);
            // The answer that there is, and no other request than was meant.
            let answer = client.read_response();
            assert_eq!((answer.status(), answer.text()), (503, "busy"));
        }
    }
    second.expect_nobody();
    let mut client = gateway.connect();
    client.send(sized(JSON, r#"{"model":"a"}"#));
    assert_eq!(serve(&first, BUSY).text(), r#"{"model":"a"}"#);
    assert_eq!(serve(&second, OK).text(), r#"{"model":"two"}"#);
    assert_eq!(client.read_response().text(), "ok");
}

/// What is held for its model is paid from the buffers, and leaves a quarter of them to others.
#[test]
fn where_buffers_are_scarce_a_body_that_would_be_held_is_refused() {
    let upstream = Upstream::listen();
    let limits = "buffer_bytes = \"1MiB\"\nmodel_search_bytes = \"512KiB\"";
    let gateway = gateway(&upstream, limits);
    let body = long(false, 400_000);
    let mut waiting: Vec<Peer> = (0..2)
        .map(|_| {
            let mut client = gateway.connect();
            client.send(&sized(JSON, &body)[..380_000]);
            client
        })
        .collect();
    let mut client = gateway.connect();
    let _ = client.try_send(&sized(JSON, &body)[..300_000]);
    waiting.push(client);
    // All three together would hold more than three quarters.
    let deadline = Instant::now() + PATIENCE;
    let refused =
        |client: &Peer| String::from_utf8_lossy(client.received()).contains("buffers_exhausted");
    while !waiting.iter().any(refused) {
        assert!(Instant::now() < deadline, "nobody was refused");
        waiting.iter_mut().for_each(|client| client.receive(Duration::from_millis(10)));
    }
    assert!(!waiting.iter().all(refused), "some are held");
    // And a small one is served all the same.
    let mut client = gateway.connect();
    client.send(sized(JSON, r#"{"model":"alias"}"#));
    assert_eq!(serve(&upstream, OK).text(), r#"{"model":"served"}"#);
    assert_eq!(client.read_response().text(), "ok");
}
