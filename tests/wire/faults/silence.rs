//! Signs of life to a client that no server has answered yet.

use std::time::Instant;

use super::stage::*;
use crate::harness::{Gateway, Peer, Stopwatch};

const BEFORE_HEAD: &str = "heartbeat = { every = \"1s\", before_head = true }";
const PATIENT: &str = "ttft = \"10s\"\ninter_event = \"10s\"";
const BEAT: &str = ": hb\n\n";

fn beating(primary: &Server, second: Option<&Server>, more: &str) -> Gateway {
    let route = format!("{BEFORE_HEAD}\n{more}");
    let knobs = Knobs {
        timeouts: if second.is_some() {
            "ttft = \"1500ms\"\ninter_event = \"10s\""
        } else {
            PATIENT
        },
        primary: if second.is_some() { "" } else { "retry = \"off\"" },
        route: &route,
        ..Knobs::default()
    };
    knobs.gateway(&[primary.address], second.map(|server| server.address))
}

/// The head of ours comes after a second, and comments one second apart.
fn expect_beats(client: &mut Peer, begun: &Stopwatch, count: u32) {
    let head = client.read_head();
    assert_eq!(head.status(), 200, "{head:?}");
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    assert_eq!(head.field("transfer-encoding"), Some("chunked"));
    assert!(head.field("x-request-id").is_some());
    for beat in 1..=count {
        client.read_until(&chunk(BEAT));
        let (passed, spent) = (begun.elapsed(), begun.spent());
        let due = ms(1000) * beat;
        let in_time = passed >= due - ms(100) && spent < due + ms(400);
        assert!(in_time, "beat {beat}: {passed:?}, {spent:?} of it ours");
    }
}

/// What is held back to be read and has begun may be as silent as what is not held.
#[test]
fn a_document_that_is_held_back_and_stalls_is_cut_like_any_other() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n";
    let listed = "retry.on = [\"error_event\", \"empty_stream\"]";
    for (primary, route) in [(listed, ""), ("", "larger = \"second\"")] {
        let begun = say(format!("{head}{{\"id\":"));
        let (stalls, second) = (
            Server::playing(move |_| vec![begun.clone(), Act::Hold]),
            Server::playing(|_| answer("200 OK", "", "second")),
        );
        let timeouts = "ttft = \"30s\"\nresponse = \"60s\"\ninter_event = \"400ms\"";
        let knobs = Knobs { primary, route, timeouts, ..Knobs::default() };
        let gateway = knobs.gateway(&[stalls.address], Some(second.address));
        let mut client = gateway.connect();
        client.send(request().replace("true", "null"));
        assert_eq!(client.read_response().text(), "second", "{primary}{route}");
        // Nobody else is there: its client is told.
        let knobs = Knobs { primary: "retry.attempts = 1", route: "", ..knobs };
        let gateway = knobs.gateway(&[stalls.address], None);
        let mut client = gateway.connect();
        client.send(request().replace("true", "null"));
        client.read_end();
        gateway.wait_for_log("inter_event_timeout");
    }
}

#[test]
fn a_sign_of_life_comes_before_the_head_and_the_answer_follows_it() {
    // Alone, from a server that takes its time, by chunks and until close.
    let chunks = [vec![Act::Wait(ms(2500))], stream("primary")].concat();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let bare = vec![Act::Wait(ms(2500)), say(head), say(spoken("primary")), Act::Close];
    for acts in [chunks, bare] {
        let primary = Server::playing(move |_| acts.clone());
        let gateway = beating(&primary, None, "");
        let mut client = ask(&gateway);
        expect_beats(&mut client, &Stopwatch::of(gateway.pid()), 2);
        client.read_until(LAST_CHUNK);
        let text = String::from_utf8_lossy(client.received()).into_owned();
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "one head: {text}");
        assert_eq!(text.matches("[DONE]").count(), 1, "{text}");
        // The connection goes on.
        client.send(request());
        client.read_until("[DONE]");
    }
    // After a slow first token, from the next upstream.
    let primary = Server::playing(|_| vec![Act::Hold]);
    let second = Server::well("second");
    let gateway = beating(&primary, Some(&second), "");
    let mut client = ask(&gateway);
    expect_beats(&mut client, &Stopwatch::of(gateway.pid()), 1);
    client.read_until(LAST_CHUNK);
    let text = String::from_utf8_lossy(client.received()).into_owned();
    for piece in [token("second", 0), token("second", 1), finish("second"), DONE.to_owned()] {
        assert_eq!(text.matches(&piece).count(), 1, "{text}");
    }
    primary.expect_cancelled(0);
    // The predefined answer, in the place of all.
    let primary = Server::playing(|_| vec![Act::Wait(ms(1300)), Act::Reset]);
    let gateway = beating(&primary, None, "fallback = { text = \"Busy, sorry.\" }");
    let mut client = ask(&gateway);
    expect_beats(&mut client, &Stopwatch::of(gateway.pid()), 1);
    client.read_until(LAST_CHUNK);
    let text = String::from_utf8_lossy(client.received()).into_owned();
    assert_eq!(
        (text.matches("HTTP/1.1 ").count(), text.matches("[DONE]").count()),
        (1, 1),
        "{text}"
    );
}

#[test]
fn signs_of_life_come_in_the_line() {
    for setting in [
        "admission = { max_concurrency = 1, queue_timeout = \"20s\" }",
        "pool = { connections = 1 }",
    ] {
        let acts = [vec![Act::Wait(ms(2600))], stream("primary")].concat();
        let primary = Server::playing(move |_| acts.clone());
        let knobs =
            Knobs { timeouts: PATIENT, primary: setting, route: BEFORE_HEAD, ..Knobs::default() };
        let gateway = knobs.gateway(&[primary.address], None);
        let mut first = ask(&gateway);
        while primary.requests().is_empty() {
            std::thread::sleep(ms(1));
        }
        // In two pieces, of which the second comes while it stands there.
        let asked = request();
        let (head, body) = asked.split_at(asked.len() - PROMPT.len());
        let mut second = gateway.connect();
        second.send(head);
        std::thread::sleep(ms(100));
        second.send(body);
        expect_beats(&mut second, &Stopwatch::of(gateway.pid()), 2);
        for client in [&mut first, &mut second] {
            client.read_until(LAST_CHUNK);
            let text = String::from_utf8_lossy(client.received()).into_owned();
            assert_eq!(text.matches("[DONE]").count(), 1, "{text}");
        }
        primary.expect_asked(2);
    }
}

#[test]
fn what_fails_behind_a_head_of_ours_is_told_in_an_event() {
    let late = |acts: Vec<Act>| [vec![Act::Wait(ms(1300))], acts].concat();
    for (acts, code) in [
        (vec![Act::Reset], "upstream_reset"),
        (error("400 Bad Request", "", "context_length_exceeded"), "upstream_status"),
        (error("503 No", "", "down"), "upstream_status"),
        (vec![say(EVENTS), say(LAST_CHUNK)], "upstream_unfinished"),
    ] {
        let acts = late(acts);
        let primary = Server::playing(move |_| acts.clone());
        let gateway = beating(&primary, None, "");
        let payload = expect_broken(&mut ask(&gateway));
        let (told, before) = split_error(&payload);
        assert_eq!((told.as_str(), before), (code, BEAT));
        gateway.wait_for_log(code);
        primary.expect_asked(1);
    }
}

#[test]
fn who_asked_for_no_stream_gets_no_head_of_ours() {
    let body = r#"{"model":"asked","messages":[]}"#;
    let primary = Server::playing(|_| {
        [vec![Act::Wait(ms(1500))], answer("404 Not Found", "", "no such model")].concat()
    });
    let gateway = beating(&primary, None, "");
    let mut client = gateway.connect();
    let length = body.len();
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    let response = client.read_response();
    assert_eq!((response.status(), response.text()), (404, "no such model"));
    // A late document stays whole for who takes documents too, or has asked for no stream.
    for (path, accept, body) in [
        (
            "/mcp",
            "application/json, text/event-stream",
            r#"{"jsonrpc":"2.0","method":"tools/call"}"#,
        ),
        ("/v1/chat/completions", "text/event-stream, */*", r#"{"messages":[]}"#),
        ("/v1/chat/completions", "text/event-stream", r#"{"stream":false,"messages":[]}"#),
    ] {
        let document = r#"{"result":{},"choices":[{"message":{"content":"A"}}]}"#;
        let primary = Server::playing(move |_| {
            let answer = answer("200 OK", "Content-Type: application/json\r\n", document);
            [vec![Act::Wait(ms(1500))], answer].concat()
        });
        let gateway = beating(&primary, None, "");
        let mut client = gateway.connect();
        let length = body.len();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        let response = client.read_response();
        assert_eq!(response.field("content-type"), Some("application/json"), "{path} {accept}");
        assert_eq!(response.text(), document);
    }
    // The field asks for one as well.
    let mut client = gateway.connect();
    client.send("GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
    assert_eq!(client.read_head().status(), 200);
}

/// Where each sign of life stands in what `client` has received, with the time since `begun`.
fn beats(client: &Peer) -> Vec<usize> {
    memchr::memmem::find_iter(client.received(), BEAT).collect()
}

/// The beats came so many seconds after `begun`, which the gateway saw after `asked`.
fn expect_times(client: &Peer, asked: &Stopwatch, begun: Instant, seconds: &[u32]) {
    let beats = beats(client);
    assert_eq!(beats.len(), seconds.len(), "{beats:?}");
    for (at, second) in beats.into_iter().zip(seconds) {
        let (arrived, due) = (client.arrival(at), ms(1000) * *second);
        let late = asked.spent_until(arrived).saturating_sub(begun - asked.began());
        let passed = arrived - asked.began();
        assert!(passed >= due - ms(50) && late < due + ms(400), "{passed:?} and not {due:?}");
    }
}

#[test]
fn a_silent_stream_gets_signs_of_life_between_its_events_and_never_inside_one() {
    let event = token("primary", 2);
    let (half, rest) = event.split_at(event.len() / 2);
    let end = [rest, &finish("primary"), DONE].concat();
    let acts = vec![
        begun("primary"),
        Act::Wait(ms(2500)),
        say(chunk(half)),
        Act::Wait(ms(2200)),
        say(chunk(&end) + LAST_CHUNK),
    ];
    let primary = Server::playing(move |_| acts.clone());
    let knobs = Knobs { timeouts: PATIENT, route: "heartbeat = \"1s\"", ..Knobs::default() };
    let gateway = knobs.gateway(&[primary.address], None);
    let asked = Stopwatch::of(gateway.pid());
    let mut client = ask(&gateway);
    client.read_until(&chunk(&token("primary", 1)));
    let begun = client.arrival_of(&token("primary", 1));
    client.read_until(LAST_CHUNK);
    expect_times(&client, &asked, begun, &[1, 2]);
    // What came, in its order: both stand before the event that was cut into halves.
    let text = String::from_utf8_lossy(client.received()).into_owned();
    let at = text.find(&chunk(half)).expect("the first half");
    assert!(beats(&client).iter().all(|beat| *beat < at), "{text}");
    assert_eq!(text.matches(&chunk(BEAT)).count(), 2, "each in a chunk of its own: {text}");
    // A reader that knows comments reads the very stream.
    let (_, framed) = text.split_once("\r\n\r\n").expect("a head");
    let said: String = framed.replace(&chunk(BEAT), "");
    let halves = chunk(half) + &chunk(&end) + LAST_CHUNK;
    assert_eq!(said, chunk(&token("primary", 0)) + &chunk(&token("primary", 1)) + &halves);
}

#[test]
fn signs_of_life_do_not_hide_that_a_server_has_stopped() {
    let primary = Server::playing(|_| vec![super::stage::begun("primary"), Act::Hold]);
    let timeouts = "ttft = \"10s\"\ninter_event = \"2500ms\"";
    let knobs = Knobs { timeouts, route: "heartbeat = \"1s\"", ..Knobs::default() };
    let gateway = knobs.gateway(&[primary.address], None);
    let asked = Stopwatch::of(gateway.pid());
    let mut client = ask(&gateway);
    client.read_until(&chunk(&token("primary", 1)));
    let begun = client.arrival_of(&token("primary", 1));
    client.read_end();
    expect_times(&client, &asked, begun, &[1, 2]);
    let told = client.arrival_of("inter_event_timeout");
    let spent = asked.spent_until(told).saturating_sub(begun - asked.began());
    assert!(told - asked.began() >= ms(2450) && spent < ms(2900), "{:?}", told - begun);
    assert!(!client.received().ends_with(LAST_CHUNK.as_bytes()), "it looks whole");
    primary.expect_cancelled(0);
}
