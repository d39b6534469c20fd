//! Every pair of dialects that is translated, by one table: what the server is asked, what the client gets and
//! when, and how each learns of what goes wrong.

mod table;

use std::time::{Duration, Instant};

use serde_json::json;

use self::table::{CHAT, Caller, MESSAGES, RESPONSES, Served, chunk, pairs, served};
use crate::harness::chat::expect_code;
use crate::harness::{Config, Gateway, Peer, Upstream};

fn gateway(upstream: &Upstream, served: &Served, route: &str) -> Gateway {
    let config = Config {
        upstream: format!("translate_to = \"{}\"", served.to),
        route: route.to_owned(),
        ..Config::to(upstream.address())
    };
    config.start()
}

fn sized(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A stream that is under way: the client has had its first token.
fn under_way(
    gateway: &Gateway,
    upstream: &Upstream,
    caller: Caller,
    served: &Served,
) -> (Peer, Peer) {
    let mut client = gateway.connect();
    client.send(caller.request(true, ""));
    let mut server = upstream.accept();
    server.read_request();
    server.send(served.head() + &chunk(&(served.begun)()) + &served.said("one"));
    client.read_until("one");
    (client, server)
}

#[test]
fn a_token_of_any_pair_leaves_in_the_turn_it_comes() {
    for (caller, served) in pairs() {
        let upstream = Upstream::listen();
        let gateway = gateway(&upstream, &served, "");
        let mut client = gateway.connect();
        let fields = "Range: bytes=0-5\r\nIf-None-Match: \"a\"\r\n";
        client.send(caller.request(true, fields));
        let mut server = upstream.accept();
        served.expect(&server.read_request(), true);
        server.send(served.head() + &chunk(&(served.begun)()));
        let mut delays: Vec<Duration> = (0..8)
            .map(|number| {
                let token = format!("<token {number}>");
                let sent = Instant::now();
                server.send(served.said(&token));
                client.read_until(&token);
                client.arrival_of(&token).saturating_duration_since(sent)
            })
            .collect();
        delays.sort();
        assert!(delays[2] < Duration::from_millis(20), "{} {}: {delays:?}", caller.path, served.to);
        server.send(chunk(&(served.ended)()) + "0\r\n\r\n");
        let answer = client.reread_response();
        assert_eq!(answer.field("content-type"), Some("text/event-stream"));
        let body = answer.text();
        let expected: String = (0..8).map(|number| format!("<token {number}>")).collect();
        assert_eq!(caller.text(body), expected, "{} {}: {body}", caller.path, served.to);
        assert!(body.contains(caller.end), "{} {}: {body}", caller.path, served.to);
        // Both connections go on.
        client.send(caller.request(false, ""));
        served.expect(&server.read_request(), false);
    }
}

#[test]
fn a_document_of_any_pair_and_in_place_of_a_stream() {
    for (caller, served) in pairs() {
        let upstream = Upstream::listen();
        let gateway = gateway(&upstream, &served, "");
        let mut client = gateway.connect();
        client.send(caller.request(false, ""));
        let mut server = upstream.accept();
        served.expect(&server.read_request(), false);
        let answer = sized("200 OK", JSON, &(served.document)("Hello.").to_string());
        server.send(&answer);
        let got = client.read_response();
        assert_eq!(got.field("content-type"), Some("application/json"));
        let body = got.json();
        assert_eq!(caller.whole(&body), "Hello.", "{} {}: {body}", caller.path, served.to);
        // Who waits for a stream gets one.
        client.send(caller.request(true, ""));
        served.expect(&server.read_request(), true);
        server.send(&answer);
        let got = client.read_response();
        assert_eq!(got.field("content-type"), Some("text/event-stream"));
        assert_eq!(caller.text(got.text()), "Hello.", "{} {}", caller.path, served.to);
        assert!(got.text().contains(caller.end), "{}", got.text());
    }
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn an_error_of_any_server_keeps_its_status() {
    for (caller, served) in pairs() {
        let upstream = Upstream::listen();
        let gateway = gateway(&upstream, &served, "");
        let (mut client, mut server) = (gateway.connect(), None::<Peer>);
        // One that can be read, one in a coding, and a page of some proxy's.
        let error = json!({"error": {"message": "too many", "code": 429}}).to_string();
        let zipped = format!("{JSON}Content-Encoding: gzip\r\n");
        for (fields, body, told) in [
            (JSON, &*error, "too many"),
            (&*zipped, "\x1f\u{8}..", "429"),
            ("", "<html>", "<html>"),
        ] {
            client.send(caller.request(true, ""));
            let server = server.get_or_insert_with(|| upstream.accept());
            server.read_request();
            server.send(sized("429 Too Many Requests", fields, body));
            let answer = client.read_response();
            assert_eq!(answer.status(), 429, "{} {}", caller.path, served.to);
            assert_eq!(answer.field("content-encoding"), None);
            let error = answer.json();
            let message = error["error"]["message"].as_str().expect("a message");
            assert!(message.contains(told), "{} {}: {error}", caller.path, served.to);
        }
    }
}

#[test]
fn what_goes_wrong_in_a_stream_is_told_in_the_callers_words() {
    for (caller, served) in pairs() {
        let begin = || {
            let upstream = Upstream::listen();
            let gateway = gateway(&upstream, &served, "");
            let (client, server) = under_way(&gateway, &upstream, caller, &served);
            (gateway, client, server)
        };
        // It says so itself.
        let (_gateway, mut client, mut server) = begin();
        server.send(chunk(&(served.failed)("no memory")) + "0\r\n\r\n");
        let body = client.reread_response().text().to_owned();
        let failed = "event: response.failed";
        let word = if caller.path == "/v1/responses" { failed } else { caller.error };
        assert!(body.contains(word) && body.contains("no memory"), "{}: {body}", served.to);
        assert!(!body.contains(caller.end), "{} {}: {body}", caller.path, served.to);
        // It is cut.
        let (_gateway, mut client, mut server) = begin();
        server.finish();
        client.read_until("closed the connection inside its answer");
        client.read_end();
        let body = client.transcript();
        assert!(!body.contains(caller.end), "{} {}: {body}", caller.path, served.to);
        // It ends before its model does.
        if served.marks_its_end {
            let (_gateway, mut client, mut server) = begin();
            server.send("0\r\n\r\n");
            client.read_until("ended before it was complete");
            client.read_end();
        }
    }
}

#[test]
fn an_answer_in_another_dialect_is_none() {
    for (caller, served) in pairs() {
        let upstream = Upstream::listen();
        let gateway = gateway(&upstream, &served, "");
        let mut client = gateway.connect();
        client.send(caller.request(false, ""));
        let mut server = upstream.accept();
        server.read_request();
        server.send(sized("200 OK", JSON, "{\"hologram\":1}"));
        expect_code(&mut client, 502, "upstream_untranslatable");
    }
}

/// A whole answer of each other dialect, as a document and as a stream.
#[test]
fn an_answer_of_another_server_is_none_and_never_an_empty_one() {
    side_by_side(|caller, served| {
        let upstream = Upstream::listen();
        let gateway = gateway(&upstream, served, "");
        for other in table::served().into_iter().filter(|other| other.to != served.to) {
            let name = format!("{} → {}, answered as {}", caller.path, served.to, other.to);
            let mut client = gateway.connect();
            client.send(caller.request(false, ""));
            let mut server = upstream.accept();
            server.read_request();
            server.send(sized("200 OK", JSON, &(other.document)("all").to_string()));
            let answer = client.read_response();
            assert_eq!(answer.status(), 502, "{name}: {}", answer.text());
            assert_eq!(answer.json()["error"]["code"], "upstream_untranslatable", "{name}");
            let mut client = gateway.connect();
            client.send(caller.request(true, ""));
            let mut server = upstream.accept();
            server.read_request();
            let stream = (other.begun)() + &(other.said)("one") + &(other.ended)();
            server.send(other.head() + &chunk(&stream) + "0\r\n\r\n");
            client.read_until("upstream_untranslatable");
            assert!(!client.transcript().contains(caller.end), "{name}: {}", client.transcript());
        }
    });
}

/// What takes a second of each pair, of all at once.
fn side_by_side(check: impl Fn(Caller, &Served) + Sync) {
    std::thread::scope(|scope| {
        for (caller, served) in pairs() {
            let check = &check;
            scope.spawn(move || check(caller, &served));
        }
    });
}

#[test]
fn heartbeats_stand_between_events_and_a_client_that_leaves_frees_its_server() {
    side_by_side(|caller, served| {
        let upstream = Upstream::listen();
        let gateway = gateway(&upstream, served, "heartbeat = { every = \"1s\" }");
        let (mut client, mut server) = under_way(&gateway, &upstream, caller, served);
        let two = served.said("two");
        let (front, back) = two.split_at(two.len() / 2);
        server.send(front);
        client.read_until(": hb\n\n");
        server.send(back);
        client.read_until("two");
        let left = Instant::now();
        client.reset();
        server.read_end();
        assert!(left.elapsed() < Duration::from_secs(2), "{:?}", left.elapsed());
    });
}

#[test]
fn a_stream_of_any_server_follows_a_head_of_ours() {
    side_by_side(|caller, served| {
        let upstream = Upstream::listen();
        let route = "heartbeat = { every = \"1s\", before_head = true }";
        let gateway = gateway(&upstream, served, route);
        let mut client = gateway.connect();
        client.send(caller.request(true, ""));
        let mut server = upstream.accept();
        server.read_request();
        client.read_until(": hb\n\n");
        let end = chunk(&(served.ended)()) + "0\r\n\r\n";
        server.send(served.head() + &chunk(&(served.begun)()) + &served.said("Hello.") + &end);
        let answer = client.reread_response();
        let body = answer.text();
        assert!(body.contains(caller.end), "{} {}: {body}", caller.path, served.to);
        assert_eq!(caller.text(body), "Hello.", "{} {}", caller.path, served.to);
    });
}

#[test]
fn a_chain_of_mixed_dialects_is_tried_link_by_link() {
    let all = served();
    let busy = sized("503 Service Unavailable", JSON, "{\"error\":{\"message\":\"busy\"}}");
    for caller in [CHAT, MESSAGES, RESPONSES] {
        for (first, second) in all.iter().zip(all.iter().skip(1)) {
            let upstreams = (Upstream::listen(), Upstream::listen());
            let keys = [first, second].map(|served| format!("translate_to = \"{}\"", served.to));
            let gateway = Gateway::chain((&upstreams.0, &keys[0]), (&upstreams.1, &keys[1]));
            let mut client = gateway.connect();
            client.send(caller.request(true, ""));
            let mut server = upstreams.0.accept();
            server.read_request();
            server.send(&busy);
            let mut server = upstreams.1.accept();
            server.read_request();
            let end = chunk(&(second.ended)()) + "0\r\n\r\n";
            if caller.path == second.paths[0] {
                // It is the caller's own dialect, and goes as it came.
                continue;
            }
            server.send(second.head() + &chunk(&(second.begun)()) + &second.said("Hello.") + &end);
            let answer = client.read_response();
            let text = caller.text(answer.text());
            assert_eq!(text, "Hello.", "{} {} {}", caller.path, first.to, second.to);
        }
    }
}

#[test]
fn a_configured_path_has_a_query_and_the_models_name_is_one_step() {
    let asked = |model: &str| {
        let asked = CHAT.request(true, "").replace("\"asked\"", &format!("{model:?}"));
        let (head, body) = asked.split_once("\r\n\r\n").expect("a head");
        let head = head.split_once("Content-Length").expect("a length").0;
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let gateway = |upstream: &Upstream, keys: &str| {
        let config = Config { upstream: keys.to_owned(), ..Config::to(upstream.address()) };
        config.start()
    };
    for (keys, model, expected) in [
        (
            "translate_to = { dialect = \"anthropic\", path = \"/claude/v1/messages?api-version=1\" }",
            "m",
            "/claude/v1/messages?api-version=1",
        ),
        (
            "translate_to = { dialect = \"gemini\", path = \"/v1/publishers/google?k=v\" }",
            "a/b ?",
            "/v1/publishers/google/models/a%2Fb%20%3F:streamGenerateContent?k=v&alt=sse",
        ),
        ("translate_to = \"triton\"\nmodel = \"own\"", "m", "/v2/models/own/generate_stream"),
        ("translate_to = \"kserve\"\nmodel = \"own\"", "m", "/v2/models/own/infer"),
    ] {
        let upstream = Upstream::listen();
        let gateway = gateway(&upstream, keys);
        let mut client = gateway.connect();
        client.send(asked(model));
        let request = upstream.accept().read_request();
        assert_eq!(request.start, format!("POST {expected} HTTP/1.1"));
    }
    // A step in the path is no name.
    let upstream = Upstream::listen();
    let gateway = gateway(&upstream, "translate_to = \"triton\"");
    let mut client = gateway.connect();
    for model in ["..", "a/../b", "a/"] {
        client.send(asked(model));
        expect_code(&mut client, 400, "untranslatable");
    }
    upstream.expect_no_request();
}
