//! Servers that fail before the first data event: nothing is lost yet.

use super::stage::*;
use crate::harness::{Peer, Stopwatch};

#[test]
fn a_refused_connection_is_tried_elsewhere() {
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("a port")
    };
    let second = Server::well("second");
    let both = Knobs::default().gateway(&[gone], Some(second.address));
    expect_stream(&mut ask(&both), "second", "second", 3);
    second.expect_asked(1);

    let alone = Knobs::default().gateway(&[gone], None);
    expect_error(&mut ask(&alone), 502, "upstream_connect");
}

#[test]
fn a_reset_before_the_head_is_tried_again() {
    let primary = Server::failing(1, vec![Act::Reset], "primary");
    let gateway = gateway(&[&primary], None);
    expect_stream(&mut ask(&gateway), "primary", "primary", 2);
    primary.expect_asked(2);
    assert_eq!(primary.connections(), 2);
}

#[test]
fn a_reset_for_ever_is_the_gateways_own_error() {
    for (act, code) in [(Act::Reset, "upstream_reset"), (Act::Close, "upstream_closed")] {
        let primary = Server::playing(move |_| vec![act.clone()]);
        let gateway = gateway(&[&primary], None);
        expect_error(&mut ask(&gateway), 502, code);
        primary.expect_asked(2);
    }
}

#[test]
fn half_a_head_and_then_the_end_is_tried_again() {
    let half = vec![say("HTTP/1.1 200 OK\r\nContent-Ty"), Act::Close];
    let primary = Server::failing(1, half, "primary");
    let gateway = gateway(&[&primary], None);
    expect_stream(&mut ask(&gateway), "primary", "primary", 2);
    primary.expect_asked(2);
}

/// The answer began when the timer of the first attempt had run out.
fn expect_after_timer(client: &Peer, asked: &Stopwatch) {
    let answered = client.arrival(0);
    let (passed, spent) = (answered - asked.began(), asked.spent_until(answered));
    assert!(passed >= ms(400) && spent < ms(700), "{passed:?}, {spent:?} of it ours");
}

#[test]
fn silence_is_tried_elsewhere_once() {
    let (primary, second) = (Server::playing(|_| vec![Act::Hold]), Server::well("second"));
    let both = gateway(&[&primary], Some(&second));
    let asked = Stopwatch::of(both.pid());
    let mut client = ask(&both);
    expect_stream(&mut client, "second", "second", 2);
    expect_after_timer(&client, &asked);
    primary.expect_asked(1);
    primary.expect_cancelled(0);

    // Whoever was silent for so long is not asked the same again.
    let alone = gateway(&[&primary], None);
    expect_error(&mut ask(&alone), 504, "ttft_timeout");
    primary.expect_asked(2);
}

#[test]
fn a_slow_first_token_fails_over_and_cancels_the_first_attempt() {
    // The head comes at once; the token would come after the timer.
    let slow = || {
        let rest = spoken("primary");
        vec![say(EVENTS), Act::Wait(ms(5_000)), say(chunk(&rest)), say(LAST_CHUNK), Act::Hold]
    };
    let (primary, second) = (Server::playing(move |_| slow()), Server::well("second"));
    let gateway = gateway(&[&primary], Some(&second));
    let asked = Stopwatch::of(gateway.pid());
    let mut client = ask(&gateway);
    expect_stream(&mut client, "second", "second", 2);
    expect_after_timer(&client, &asked);
    client.expect_silence();
    primary.expect_asked(1);
    second.expect_asked(1);
}

#[test]
fn a_head_and_then_a_reset_is_rescued() {
    for act in [Act::Reset, Act::Close] {
        let first = vec![say(EVENTS), Act::Wait(ms(30)), act];
        let primary = Server::failing(1, first, "primary");
        let gateway = gateway(&[&primary], None);
        expect_stream(&mut ask(&gateway), "primary", "primary", 2);
        primary.expect_asked(2);
    }
}

#[test]
fn a_head_and_then_nothing_is_rescued() {
    // A body that is empty, and whole: no event, no `[DONE]`.
    let primary = Server::failing(1, vec![say(format!("{EVENTS}{LAST_CHUNK}"))], "primary");
    let alone = gateway(&[&primary], None);
    expect_stream(&mut ask(&alone), "primary", "primary", 2);
    primary.expect_asked(2);

    let (primary, second) =
        (Server::playing(|_| vec![say(EVENTS), Act::Hold]), Server::well("second"));
    let both = gateway(&[&primary], Some(&second));
    expect_stream(&mut ask(&both), "second", "second", 2);
    primary.expect_cancelled(0);
}

#[test]
fn comments_are_no_tokens() {
    // Every 50 ms a sign of life, and never a word.
    let alive = || {
        let comment = || [say(chunk(": ping\n\n")), Act::Wait(ms(50))];
        let comments = (0..40).flat_map(move |_| comment());
        [say(EVENTS)].into_iter().chain(comments).collect()
    };
    let (primary, second) = (Server::playing(move |_| alive()), Server::well("second"));
    let gateway = gateway(&[&primary], Some(&second));
    let asked = Stopwatch::of(gateway.pid());
    let mut client = ask(&gateway);
    expect_stream(&mut client, "second", "second", 2);
    expect_after_timer(&client, &asked);
    primary.expect_asked(1);
}

#[test]
fn a_first_event_that_is_an_error_is_tried_again_where_listed() {
    let refused = "data: {\"error\":{\"message\":\"out of memory\",\"code\":\"oom\"}}\n\n";
    let first = vec![say(format!("{EVENTS}{}{LAST_CHUNK}", chunk(refused)))];
    let primary = Server::failing(1, first, "primary");
    let knobs = Knobs { primary: "retry = { on = [\"error_event\"] }", ..Knobs::default() };
    let gateway = knobs.gateway(&[primary.address], None);
    expect_stream(&mut ask(&gateway), "primary", "primary", 2);
    primary.expect_asked(2);
}

#[test]
fn an_answer_that_is_no_http_is_tried_elsewhere() {
    let garbage = || vec![say("220 mail.example ESMTP\r\n\r\n"), Act::Hold];
    let (primary, second) = (Server::playing(move |_| garbage()), Server::well("second"));
    let both = gateway(&[&primary], Some(&second));
    expect_stream(&mut ask(&both), "second", "second", 3);
    let alone = gateway(&[&primary], None);
    expect_error(&mut ask(&alone), 502, "upstream_bad_head");
}

#[test]
fn a_head_is_told_at_once_where_the_route_says_so() {
    let primary = Server::playing(|_| vec![say(EVENTS), Act::Hold]);
    let second = Server::well("second");
    let knobs = Knobs { route: "commit = \"head\"", ..Knobs::default() };
    let gateway = knobs.gateway(&[primary.address], Some(second.address));
    let asked = Stopwatch::of(gateway.pid());
    let mut client = ask(&gateway);
    client.read_head();
    assert!(asked.spent_until(client.arrival(0)) < ms(300));
    // And then there is no other answer.
    client.read_end();
    let at_the_end = String::from_utf8_lossy(client.unread()).into_owned();
    assert!(!at_the_end.ends_with(LAST_CHUNK), "{at_the_end:?}");
    second.expect_asked(0);
}

#[test]
fn a_compressed_stream_is_passed_on_as_it_is() {
    // What `Content-Encoding` says is believed; what it hides is not looked for. The pause is longer
    // than `inter_event`: bytes are counted, and no event is missed.
    let encoded = |coding: &str| {
        let head = EVENTS.replace("Transfer", &format!("Content-Encoding: {coding}\r\nTransfer"));
        let mut acts = vec![say(head)];
        for piece in ["\x1f once ", "upon", " a\n\n", "time"] {
            acts.extend([say(chunk(piece)), Act::Wait(ms(250))]);
        }
        acts.push(say(LAST_CHUNK));
        acts
    };
    for coding in ["gzip", "identity, br"] {
        let (primary, second) = (Server::playing(move |_| encoded(coding)), Server::well("second"));
        let both = gateway(&[&primary], Some(&second));
        let response = ask(&both).read_response();
        assert_eq!((response.status(), response.text()), (200, "\x1f once upon a\n\ntime"));
        expect_way(&response, "primary", 1);
        primary.expect_asked(1);
        second.expect_asked(0);
    }

    // `identity` is no coding: this is a stream like any other, and has no event in time.
    let plain = Server::playing(move |_| encoded("identity"));
    let alone = Knobs { primary: "retry = \"off\"", ..Knobs::default() };
    let gateway = alone.gateway(&[plain.address], None);
    let mut client = ask(&gateway);
    let came = expect_broken(&mut client);
    assert!(came.starts_with("\x1f once ") && !came.contains("time"), "{came:?}");
}

#[test]
fn a_stream_of_no_length_is_no_answer() {
    let empty = || {
        let fields = "Content-Type: text/event-stream\r\n";
        answer("200 OK", fields, "")
    };
    let primary = Server::playing(move |_| empty());
    let alone = gateway(&[&primary], None);
    expect_error(&mut ask(&alone), 502, "upstream_empty_stream");
    primary.expect_asked(2);
}
