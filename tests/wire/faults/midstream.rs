//! Servers that fail when the client has had a part of their answer: honesty is all that is left.

use super::stage::*;
use crate::harness::Stopwatch;

/// A gateway with a second upstream that must never be asked, and what the client got of `acts`.
fn broken(acts: impl Fn() -> Vec<Act> + Send + Sync + 'static) -> String {
    let (primary, second) = (Server::playing(move |_| acts()), Server::well("second"));
    let gateway = gateway(&[&primary], Some(&second));
    let payload = expect_broken(&mut ask(&gateway));
    // The client had a byte: nothing is sent again.
    primary.expect_asked(1);
    second.expect_asked(0);
    payload
}

#[test]
fn a_cut_between_two_events_is_told_in_an_event() {
    for (act, code) in [(Act::Close, "upstream_truncated"), (Act::Reset, "upstream_reset")] {
        let cut = move || vec![begun("primary"), Act::Wait(ms(50)), act.clone()];
        let payload = broken(cut);
        let (told, before) = split_error(&payload);
        assert_eq!((&*told, before), (code, &*begun_body("primary")));
    }
}

#[test]
fn a_cut_inside_an_event_is_a_mere_end() {
    let half = "data: {\"choices\":[{\"del";
    let cut = move || vec![begun("primary"), say(chunk(half)), Act::Wait(ms(50)), Act::Close];
    assert_eq!(broken(cut), begun_body("primary") + half);
}

#[test]
fn a_stall_is_cut_after_the_timer_and_told() {
    let (primary, second) =
        (Server::playing(|_| vec![begun("primary"), Act::Hold]), Server::well("second"));
    let gateway = gateway(&[&primary], Some(&second));
    let asked = Stopwatch::of(gateway.pid());
    let mut client = ask(&gateway);
    let payload = expect_broken(&mut client);
    let (took, spent) = (asked.elapsed(), asked.spent());
    assert!(took >= ms(400) && spent < ms(800), "{took:?}, {spent:?} of it ours");
    let (told, before) = split_error(&payload);
    assert_eq!((&*told, before), ("inter_event_timeout", &*begun_body("primary")));
    primary.expect_cancelled(0);
    second.expect_asked(0);
}

#[test]
fn a_malformed_chunk_ends_the_stream_and_is_not_passed_on() {
    let bad = || vec![begun("primary"), Act::Wait(ms(50)), say("zz\r\nnonsense\r\n"), Act::Hold];
    let payload = broken(bad);
    let (told, before) = split_error(&payload);
    assert_eq!((&*told, before), ("upstream_bad_chunk", &*begun_body("primary")));
}

/// A stream that has said all it had to say is its client's, however its message ends and however
/// the bytes are cut.
#[test]
fn a_whole_stream_with_a_bad_end_is_whole_however_it_is_cut() {
    let body = spoken("primary");
    for tail in ["zz\r\n", "0\r\nLocation: x\r\n\r\n", "0\r\nX\r\n\r\n"] {
        for pieces in [vec![chunk(&body), tail.to_owned()], vec![chunk(&body) + tail]] {
            let mut acts = vec![];
            for (nth, piece) in pieces.iter().enumerate() {
                let head = if nth == 0 { EVENTS } else { "" };
                acts.extend([say(format!("{head}{piece}")), Act::Wait(ms(50))]);
            }
            acts.push(Act::Close);
            let (primary, second) =
                (Server::playing(move |_| acts.clone()), Server::well("second"));
            let gateway = gateway(&[&primary], Some(&second));
            // More often than a breaker bears.
            for _ in 0..7 {
                assert_eq!(expect_cut(&mut ask(&gateway)), body, "{tail:?} {}", pieces.len());
            }
            gateway.expect_in_log("upstream_unterminated", 7);
            primary.expect_asked(7);
            second.expect_asked(0);
        }
    }
}

#[test]
fn a_malformed_event_is_the_servers_word_and_passed_on() {
    let events = [token("primary", 0), "data: {\"choices\":[{\n\n".into(), spoken("primary")];
    let body = events.concat();
    let acts = vec![say(format!("{EVENTS}{}{LAST_CHUNK}", chunk(&body)))];
    let primary = Server::playing(move |_| acts.clone());
    let gateway = gateway(&[&primary], None);
    let response = ask(&gateway).read_response();
    assert_eq!((response.status(), response.text()), (200, &*body));
}

#[test]
fn no_done_behind_a_finish_reason_is_whole() {
    let body = [token("primary", 0), finish("primary")].concat();
    let acts = vec![say(format!("{EVENTS}{}{LAST_CHUNK}", chunk(&body)))];
    let primary = Server::playing(move |_| acts.clone());
    let gateway = gateway(&[&primary], None);
    let mut client = ask(&gateway);
    assert_eq!(client.read_response().text(), body);
    // As good as any other answer: the connections go on.
    client.send(request());
    assert_eq!(client.read_response().text(), body);
    assert_eq!(primary.connections(), 1);
}

#[test]
fn one_choice_of_two_is_no_end() {
    let ended =
        |index: usize| finish("primary").replace("\"index\":0", &format!("\"index\":{index}"));
    let long = "x".repeat(40_000);
    // The second choice has begun where the whole of the request is too long to be kept.
    let begun = token("primary", 1).replace("\"index\":0", "\"index\":1");
    let one = token("primary", 0) + &begun + &ended(0);
    for (path, asked, limits) in [
        ("/v1/chat/completions", r#"{"stream":true,"messages":[],"n":2}"#.to_owned(), ""),
        ("/v1/chat/completions", format!(r#"{{"messages":["{long}"],"n":2}}"#), ""),
        (
            "/v1/chat/completions",
            format!(r#"{{"n":2,"messages":["{long}"]}}"#),
            "replay_bytes = \"1KiB\"",
        ),
        ("/v1/completions", r#"{"stream":true,"prompt":["a","b"]}"#.to_owned(), ""),
    ] {
        for (body, whole) in [(one.clone(), false), (one.clone() + &ended(1), true)] {
            let acts =
                vec![say(format!("{EVENTS}{}", chunk(&body))), Act::Wait(ms(50)), say(LAST_CHUNK)];
            let primary = Server::playing(move |_| acts.clone());
            let knobs = Knobs { limits, ..Knobs::default() };
            let gateway = knobs.gateway(&[primary.address], None);
            for chunked in [false, true] {
                let mut client = gateway.connect();
                let (field, framed) = match chunked {
                    true => ("Transfer-Encoding: chunked".to_owned(), chunk(&asked) + LAST_CHUNK),
                    false => (format!("Content-Length: {}", asked.len()), asked.clone()),
                };
                client.send(format!("POST {path} HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n{framed}"));
                if whole {
                    assert_eq!(client.read_response().text(), body, "{path} {chunked}");
                } else {
                    let payload = expect_broken(&mut client);
                    let (told, before) = split_error(&payload);
                    assert_eq!((&*told, before), ("upstream_unfinished", &*body));
                }
            }
        }
    }
}

#[test]
fn neither_done_nor_a_finish_reason_is_no_end() {
    let unfinished = || vec![begun("primary"), Act::Wait(ms(50)), say(LAST_CHUNK), Act::Hold];
    let payload = broken(unfinished);
    let (told, before) = split_error(&payload);
    assert_eq!((&*told, before), ("upstream_unfinished", &*begun_body("primary")));
    // Where the end comes with the first event, nothing of it is with the client yet.
    let together = || {
        let chunks = chunk(&token("primary", 0)) + &chunk(&token("primary", 1));
        vec![say(format!("{EVENTS}{chunks}{LAST_CHUNK}")), Act::Hold]
    };
    let (primary, second) = (Server::playing(move |_| together()), Server::well("second"));
    let gateway = gateway(&[&primary], Some(&second));
    expect_stream(&mut ask(&gateway), "second", "second", 3);
    primary.expect_asked(2);
}

#[test]
fn an_error_event_of_the_servers_own_is_passed_on() {
    let event = "data: {\"error\":{\"message\":\"out of memory\",\"code\":\"oom\"}}\n\n";
    let acts = move || vec![begun("primary"), say(chunk(event)), say(LAST_CHUNK)];
    let primary = Server::playing(move |_| acts());
    let second = Server::well("second");
    let gateway = gateway(&[&primary], Some(&second));
    let mut client = ask(&gateway);
    client.read_until(event);
    second.expect_asked(0);
    // It is told once.
    client.receive(ms(300));
    let text = String::from_utf8_lossy(client.received()).into_owned();
    assert_eq!(text.matches("\"error\"").count(), 1, "{text}");
}

#[test]
fn a_stream_that_fails_counts_against_its_endpoint_unless_the_client_is_to_blame() {
    let said =
        |event: &str| say(format!("{EVENTS}{}{}", chunk(&token("primary", 0)), chunk(event)));
    let error =
        |code: &str| format!("data: {{\"error\":{{\"message\":\"m\",\"code\":{code}}}}}\n\n");
    let whole = |event: &str| vec![said(event), say(LAST_CHUNK)];
    for (what, acts, counts) in [
        ("an error event", whole(&error("\"server_error\"")), true),
        ("an error event and a cut", vec![said(&error("500")), Act::Close], true),
        ("too long a prompt", whole(&error("\"context_length_exceeded\"")), false),
        ("the same and a cut", vec![said(&error("400")), Act::Close], false),
        ("a cut", vec![begun("primary"), Act::Close], true),
        ("a stall", vec![begun("primary"), Act::Hold], true),
        ("a malformed chunk", vec![begun("primary"), say("no chunk\r\n"), Act::Hold], true),
    ] {
        let primary = Server::playing(move |_| acts.clone());
        let knobs = Knobs {
            primary: "retry = \"off\"\nbreaker = { consecutive = 2, open = \"1m\", panic = 100 }",
            ..Knobs::default()
        };
        let gateway = knobs.gateway(&[primary.address], None);
        for _ in 0..2 {
            let mut client = ask(&gateway);
            assert_eq!(client.read_head().status(), 200, "{what}");
            client.read_until(if counts { "error" } else { "message" });
        }
        // The second one may still be on its way to its end.
        std::thread::sleep(ms(30));
        let mut third = ask(&gateway);
        let status = third.read_head().status();
        assert_eq!(status, if counts { 503 } else { 200 }, "{what}");
        primary.expect_asked(if counts { 2 } else { 3 });
    }
}

#[test]
fn a_failed_response_is_the_servers_word_and_counts_against_its_endpoint() {
    let event = |name: &str, response: &str| {
        format!("event: {name}\ndata: {{\"type\":\"{name}\",\"response\":{{{response}}}}}\n\n")
    };
    let failed = |code: &str| {
        let error =
            format!("\"status\":\"failed\",\"error\":{{\"code\":\"{code}\",\"message\":\"m\"}}");
        event("response.failed", &error)
    };
    let limit = event("response.incomplete", "\"status\":\"incomplete\",\"error\":null");
    for (last, counts) in
        [(failed("server_error"), true), (failed("invalid_prompt"), false), (limit, false)]
    {
        let body = event("response.created", "\"status\":\"in_progress\",\"error\":null") + &last;
        let acts = vec![say(format!("{EVENTS}{}{LAST_CHUNK}", chunk(&body)))];
        let primary = Server::playing(move |_| acts.clone());
        let knobs = Knobs {
            primary: "breaker = { consecutive = 2, open = \"1m\", panic = 100 }",
            ..Knobs::default()
        };
        let gateway = knobs.gateway(&[primary.address], None);
        let asked = request().replace("/v1/chat/completions", "/v1/responses");
        let mut client = gateway.connect();
        for _ in 0..2 {
            // Whole in HTTP, nothing of ours in it, and asked for once.
            client.send(&*asked);
            let response = client.read_response();
            assert_eq!((response.status(), response.text()), (200, &*body));
            expect_way(&response, "primary", 1);
        }
        client.send(&*asked);
        let status = client.read_head().status();
        assert_eq!(status, if counts { 503 } else { 200 }, "{last}");
        primary.expect_asked(if counts { 2 } else { 3 });
    }
}
