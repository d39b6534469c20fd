//! Servers that fail when the client has had a part of their answer, and somebody who goes on with
//! it.

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::stage::*;
use crate::harness::{End, Gateway, Message, Mock, Peer, Stopwatch};

const ON: &str = "continue = {}";
const ASKED: &str = r#"{"model":"asked","prompt":"Once","max_tokens":9,"stream":true}"#;

fn post(path: &str, version: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/{version}\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// A client that has asked for a streamed completion.
fn complete(gateway: &Gateway) -> Peer {
    let mut client = gateway.connect();
    client.send(post("/v1/completions", "1.1", ASKED));
    client
}

/// An event that says `text`.
fn says(text: &str) -> String {
    let choice = json!({"index": 0, "text": text, "logprobs": null, "finish_reason": null});
    format!("data: {}\n\n", json!({"object": "text_completion", "choices": [choice]}))
}

/// The end of a completion.
fn ends() -> String {
    let choice = json!({"index": 0, "text": "", "finish_reason": "length"});
    format!("data: {}\n\n", json!({"choices": [choice]})) + DONE
}

/// The head, and an event for each text.
fn begins(texts: &[&str]) -> Act {
    let chunks: String = texts.iter().map(|text| chunk(&says(text))).collect();
    say(format!("{EVENTS}{chunks}"))
}

/// A whole stream.
fn rest(texts: &[&str]) -> Vec<Act> {
    vec![begins(texts), say(chunk(&ends()) + LAST_CHUNK)]
}

/// Two tokens, and then `acts`.
fn breaks(acts: &[Act]) -> Vec<Act> {
    [&[begins(&[" upon", " a"]), Act::Wait(ms(50))], acts].concat()
}

fn seam(upstream: &str) -> String {
    format!(": continued by {upstream}\n\n")
}

/// What the client has before a server of [`breaks`] fails.
fn begun() -> String {
    says(" upon") + &says(" a")
}

/// Servers that follow one script: the n-th request to any of them is answered by its n-th part.
fn cast(count: usize, script: impl Fn(usize) -> Vec<Act> + Send + Sync + 'static) -> Vec<Server> {
    let (asked, script) = (Arc::new(AtomicUsize::new(0)), Arc::new(script));
    let server = |_| {
        let (asked, script) = (Arc::clone(&asked), Arc::clone(&script));
        Server::playing(move |_| script(asked.fetch_add(1, Ordering::SeqCst)))
    };
    (0..count).map(server).collect()
}

fn requests(servers: &[Server]) -> Vec<Message> {
    let mut all: Vec<_> = servers
        .iter()
        .flat_map(|server| server.times().into_iter().zip(server.requests()))
        .collect();
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, request)| request).collect()
}

fn body(request: &Message) -> Value {
    request.json()
}

/// A gateway whose one upstream has these servers for endpoints.
fn among(servers: &[Server], route: &str) -> Gateway {
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    Knobs { route, ..Knobs::default() }.gateway(&addresses, None)
}

/// A gateway with two upstreams.
fn behind(primary: &Server, second: &Server, knobs: &Knobs<'_>) -> Gateway {
    knobs.gateway(&[primary.address], Some(second.address))
}

fn on() -> Knobs<'static> {
    Knobs { route: ON, ..Knobs::default() }
}

/// Asserts that the client has what came of the first server, the mark, and the rest.
fn expect_continued(client: &mut Peer, upstream: &str, texts: &[&str]) {
    let response = client.read_response();
    assert_eq!(response.status(), 200);
    let rest: String = texts.iter().map(|text| says(text)).collect();
    assert_eq!(response.text(), begun() + &seam(upstream) + &rest + &ends());
}

/// Asserts that the client has what came of the first server, why it broke, and no end.
fn expect_told(client: &mut Peer, code: &str) {
    let payload = expect_broken(client);
    let (told, before) = split_error(&payload);
    assert_eq!((&*told, before), (code, &*begun()));
}

#[test]
fn a_stream_that_breaks_goes_on_at_another_endpoint() {
    for acts in [
        vec![Act::Close],
        vec![Act::Reset],
        vec![say("zz\r\nnonsense\r\n"), Act::Hold],
        vec![say(LAST_CHUNK), Act::Hold],
        // The beginning of an event that never came.
        vec![say(""), Act::Close],
    ] {
        let script = move |nth| if nth == 0 { breaks(&acts) } else { rest(&[" time", "."]) };
        let servers = cast(2, script);
        let gateway = among(&servers, ON);
        let mut client = complete(&gateway);
        expect_continued(&mut client, "primary", &[" time", "."]);
        let requests = requests(&servers);
        let asked = json!({"model": "asked", "prompt": "Once", "max_tokens": 9, "stream": true});
        assert_eq!(body(&requests[0]), asked);
        let asked =
            json!({"model": "asked", "prompt": "Once upon a", "max_tokens": 7, "stream": true});
        assert_eq!((body(&requests[1]), requests.len()), (asked, 2));
        assert!(servers.iter().all(|server| server.requests().len() == 1), "another endpoint");
        gateway.wait_for_log("somebody is asked for the rest");
        // As good as any other answer: the connection goes on.
        client.send(post("/v1/completions", "1.1", ASKED));
        assert_eq!(client.read_response().text(), says(" time") + &says(".") + &ends());
    }
}

#[test]
fn a_stream_that_stalls_goes_on_after_the_timer() {
    let script = |nth| if nth == 0 { breaks(&[Act::Hold]) } else { rest(&["!"]) };
    let servers = cast(2, script);
    let gateway = among(&servers, ON);
    let asked = Stopwatch::of(gateway.pid());
    expect_continued(&mut complete(&gateway), "primary", &["!"]);
    let (took, spent) = (asked.elapsed(), asked.spent());
    assert!(took >= ms(400) && spent < ms(900), "{took:?}, {spent:?} of it ours");
    let first = servers.iter().find(|server| server.requests()[0].text() == ASKED);
    first.expect("one was asked first").expect_cancelled(0);
    // Who has just fallen silent is not asked for the rest: there is nobody.
    let servers = cast(1, script);
    let gateway = among(&servers, ON);
    expect_told(&mut complete(&gateway), "inter_event_timeout");
    assert_eq!(servers[0].requests().len(), 1);
}

#[test]
fn a_stream_goes_on_at_the_next_upstream_that_takes_it() {
    let primary = Server::playing(|_| breaks(&[Act::Close]));
    let second = Server::playing(|_| rest(&[" time"]));
    let knobs = Knobs { second: "model = \"other\"", ..on() };
    let gateway = behind(&primary, &second, &knobs);
    expect_continued(&mut complete(&gateway), "second", &[" time"]);
    let asked = body(&second.requests()[0]);
    assert_eq!((&asked["prompt"], &asked["model"]), (&json!("Once upon a"), &json!("other")));
    // One that takes no text is not asked.
    let (primary, second) = (Server::playing(|_| breaks(&[Act::Hold])), Server::well("second"));
    let gateway = behind(&primary, &second, &Knobs { second: "prefill = \"off\"", ..on() });
    expect_told(&mut complete(&gateway), "inter_event_timeout");
    assert_eq!(second.requests().len(), 0);
}

#[test]
fn a_stream_that_breaks_inside_an_event_ends_there() {
    let half = "data: {\"choices\":[{\"te";
    let acts = move || breaks(&[say(chunk(half)), Act::Wait(ms(50)), Act::Close]);
    let (primary, second) = (Server::playing(move |_| acts()), Server::playing(|_| rest(&["!"])));
    let gateway = behind(&primary, &second, &on());
    assert_eq!(expect_broken(&mut complete(&gateway)), begun() + half);
    // The same inside a frame of the message, though between two events.
    let acts = || breaks(&[say(chunk(&says("x")).trim_end()), Act::Wait(ms(50)), Act::Close]);
    let primary = Server::playing(move |_| acts());
    let gateway = behind(&primary, &second, &on());
    assert!(expect_broken(&mut complete(&gateway)).starts_with(&begun()));
    assert_eq!(second.requests().len(), 0);
}

#[test]
fn a_server_that_refuses_the_text_is_not_asked_again_for_a_while() {
    let primary = Server::playing(|_| breaks(&[Act::Close]));
    let second = Server::playing(|_| error("400 Bad Request", "", "no_prefill"));
    let knobs = Knobs { primary: "prefill = \"off\"", ..on() };
    let gateway = behind(&primary, &second, &knobs);
    expect_told(&mut complete(&gateway), "upstream_truncated");
    assert_eq!(second.requests().len(), 1);
    gateway.expect_in_log("refuses to go on with a text", 1);
    expect_told(&mut complete(&gateway), "upstream_truncated");
    expect_told(&mut complete(&gateway), "upstream_truncated");
    assert_eq!(second.requests().len(), 1, "it is known");
    gateway.expect_in_log("refuses to go on with a text", 1);
}

#[test]
fn with_nobody_else_the_same_server_is_asked() {
    let script = |nth| if nth == 0 { breaks(&[Act::Reset]) } else { rest(&["!"]) };
    let servers = cast(1, script);
    let gateway = among(&servers, ON);
    expect_continued(&mut complete(&gateway), "primary", &["!"]);
    assert_eq!(servers[0].requests().len(), 2);
}

#[test]
fn failures_on_the_way_to_the_rest_are_retried() {
    let script = |nth| match nth {
        0 => breaks(&[Act::Close]),
        1 => error("503 Service Unavailable", "", "busy"),
        2 => vec![say(EVENTS), Act::Close],
        _ => rest(&["!"]),
    };
    let primary = &cast(2, script);
    let addresses: Vec<_> = primary.iter().map(|server| server.address).collect();
    let second = Server::playing(|_| rest(&["?"]));
    let knobs = Knobs { primary: "retry = { attempts = 3, budget = 100 }", ..on() };
    let gateway = knobs.gateway(&addresses, Some(second.address));
    expect_continued(&mut complete(&gateway), "primary", &["!"]);
    let asked = requests(primary);
    assert_eq!(asked.len(), 4);
    assert!(asked[1..].iter().all(|request| body(request)["prompt"] == "Once upon a"));
    assert_eq!(second.requests().len(), 0);
}

#[test]
fn what_breaks_again_ends_when_its_attempts_are_used_up() {
    let script = |nth| match nth {
        0 => breaks(&[Act::Close]),
        1 => vec![begins(&[" time"]), Act::Wait(ms(50)), Act::Reset],
        _ => rest(&["."]),
    };
    let part = begun() + &seam("primary") + &says(" time");
    let servers = cast(3, script);
    let payload = expect_broken(&mut complete(&among(&servers, ON)));
    let (told, before) = split_error(&payload);
    assert_eq!((&*told, before), ("upstream_reset", &*part));
    let servers = cast(3, script);
    let gateway = among(&servers, "continue = { attempts = 2 }");
    let response = complete(&gateway).read_response();
    assert_eq!(response.text(), part + &seam("primary") + &says(".") + &ends());
    let asked = body(&requests(&servers)[2]);
    assert_eq!((&asked["prompt"], &asked["max_tokens"]), (&json!("Once upon a time"), &json!(6)));
}

#[test]
fn a_client_that_leaves_between_two_servers_is_not_asked_for_again() {
    let primary = Server::playing(|_| breaks(&[Act::Close]));
    let second = Server::playing(|_| vec![Act::Hold]);
    let gateway = behind(&primary, &second, &on());
    let mut client = complete(&gateway);
    client.read_until(" a\"");
    while second.requests().is_empty() {
        thread::sleep(ms(1));
    }
    drop(client);
    second.expect_cancelled(0);
    gateway.wait_for_log("499 client_gone");
}

#[test]
fn what_broke_a_stream_that_was_continued_is_learnt_and_its_permit_is_home() {
    let primary = Server::playing(|_| breaks(&[Act::Close]));
    let second = Server::playing(|_| rest(&["!"]));
    // Nobody may wait: a permit that was not given back would be missed at once.
    let one_place = "admission = { max_concurrency = 1, queue = 0 }";
    let patient = format!("retry = {{ budget = 100 }}\nbreaker = \"off\"\n{one_place}");
    let knobs = Knobs { primary: &patient, second: one_place, ..on() };
    let gateway = behind(&primary, &second, &knobs);
    for _ in 0..10 {
        expect_continued(&mut complete(&gateway), "second", &["!"]);
    }
    let knobs = Knobs { primary: "breaker = { consecutive = 2, open = \"1m\" }", ..on() };
    let gateway = behind(&primary, &second, &knobs);
    for _ in 0..2 {
        expect_continued(&mut complete(&gateway), "second", &["!"]);
    }
    let response = complete(&gateway).read_response();
    assert_eq!(response.text(), says("!") + &ends());
    assert_eq!(response.field("x-sluice-upstream"), Some("second"));
    assert_eq!(primary.requests().len(), 12);
}

#[test]
fn the_retry_budget_pays_for_a_continuation() {
    let primary = Server::playing(|_| breaks(&[Act::Close]));
    let second = Server::playing(|_| rest(&["!"]));
    let knobs = Knobs { primary: "retry = { budget = 0 }", ..on() };
    let gateway = behind(&primary, &second, &knobs);
    expect_told(&mut complete(&gateway), "upstream_truncated");
    // As a retry, it does not repeat a POST where that is forbidden.
    let knobs = Knobs { primary: "retry = { post = false }", ..on() };
    let gateway = behind(&primary, &second, &knobs);
    expect_told(&mut complete(&gateway), "upstream_truncated");
    assert_eq!(second.requests().len(), 0);
}

#[test]
fn what_would_not_mean_the_same_again_is_not_continued() {
    let second = Server::playing(|_| rest(&["!"]));
    let told = |request: String, acts: Vec<Act>, knobs: &Knobs<'_>| {
        let primary = Server::playing(move |_| acts.clone());
        let gateway = behind(&primary, &second, knobs);
        let mut client = gateway.connect();
        client.send(request);
        let payload = expect_broken(&mut client);
        let (code, _) = split_error(&payload);
        assert_eq!(code, "upstream_truncated");
    };
    let cut = breaks(&[Act::Close]);
    for body in [
        r#"{"prompt":"Once","n":2,"stream":true}"#,
        r#"{"prompt":["Once"],"stream":true}"#,
        r#"{"prompt":"Once","max_tokens":2,"stream":true}"#,
        r#"{"prompt":"Once","prompt":"Twice","stream":true}"#,
        r#"{"prompt":"Once","guided_regex":"a*","stream":true}"#,
    ] {
        told(post("/v1/completions", "1.1", body), cut.clone(), &on());
    }
    // A chat, where nobody takes a beginning of its answer.
    told(request(), vec![super::stage::begun("primary"), Act::Wait(ms(50)), Act::Close], &on());
    // A text that is longer than what is kept.
    let long = vec![begins(&["a", &"b".repeat(1_024)]), Act::Wait(ms(50)), Act::Close];
    let short = Knobs { route: "continue = { text_bytes = \"1KiB\" }", ..Knobs::default() };
    told(post("/v1/completions", "1.1", ASKED), long, &short);
    assert_eq!(second.requests().len(), 0);
}

#[test]
fn tgis_streams_are_continued() {
    let token = |text: &str| {
        let token = json!({"id": 1, "text": text, "logprob": -0.1, "special": false});
        format!("data:{}\n\n", json!({"index": 1, "token": token, "generated_text": null}))
    };
    let end = format!("data:{}\n\n", json!({"token": {"text": "."}, "generated_text": " time."}));
    let (first, last) = (token(" upon") + &token(" a"), token(" time") + &end);
    let payload = first.clone() + &seam("second") + &last;
    let broken = vec![say(format!("{EVENTS}{}", chunk(&first))), Act::Wait(ms(50)), Act::Close];
    let primary = Server::playing(move |_| broken.clone());
    let second =
        Server::playing(move |_| vec![say(format!("{EVENTS}{}{LAST_CHUNK}", chunk(&last)))]);
    let gateway = behind(&primary, &second, &on());
    let mut client = gateway.connect();
    let asked = r#"{"inputs":"Once","parameters":{"max_new_tokens":5}}"#;
    client.send(post("/generate_stream", "1.1", asked));
    assert_eq!(client.read_response().text(), payload);
    let asked = json!({"inputs": "Once upon a", "parameters": {"max_new_tokens": 3}});
    assert_eq!(body(&second.requests()[0]), asked);
}

#[test]
fn a_chat_is_continued_where_its_servers_say_that_they_can() {
    let primary =
        Server::playing(|_| vec![super::stage::begun("primary"), Act::Wait(ms(50)), Act::Close]);
    let second = Server::well("second");
    let knobs = Knobs { second: "prefill = \"chat\"", ..on() };
    let gateway = behind(&primary, &second, &knobs);
    let mut client = gateway.connect();
    let asked = r#"{"messages":[{"role":"user","content":"Hi"}],"stream":true}"#;
    client.send(post("/v1/chat/completions", "1.1", asked));
    let expected = begun_body("primary") + &seam("second") + &spoken("second");
    assert_eq!(client.read_response().text(), expected);
    let asked = body(&second.requests()[0]);
    let last = json!({"role": "assistant", "content": "primary-0 primary-1 "});
    assert_eq!(asked["messages"][1], last);
    assert_eq!(
        (&asked["continue_final_message"], &asked["add_generation_prompt"]),
        (&json!(true), &json!(false))
    );
}

#[test]
fn the_seam_has_the_framing_of_the_clients_answer() {
    // From an answer that ends with its connection to one in chunks, and the other way round.
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let bare = move |broken: bool| {
        let more = if broken { String::new() } else { ends() };
        vec![say(format!("{head}{}{more}", begun())), Act::Wait(ms(50)), Act::Close]
    };
    let chunks = |broken: bool| if broken { breaks(&[Act::Close]) } else { rest(&["!"]) };
    for (first, second) in [(true, false), (false, true), (true, true)] {
        for version in ["1.0", "1.1"] {
            let acts = move |bare_one, broken| if bare_one { bare(broken) } else { chunks(broken) };
            let primary = Server::playing(move |_| acts(first, true));
            let other = Server::playing(move |_| acts(second, false));
            let gateway = behind(&primary, &other, &on());
            let mut client = gateway.connect();
            client.send(post("/v1/completions", version, ASKED));
            let last = if second { begun() + &ends() } else { says("!") + &ends() };
            let expected = begun() + &seam("second") + &last;
            if version == "1.1" {
                assert_eq!(client.read_response().text(), expected, "{first} {second}");
                continue;
            }
            client.read_head();
            assert!(matches!(client.read_end(), End::Fin), "{first} {second}");
            assert_eq!(String::from_utf8_lossy(client.unread()), expected, "{first} {second}");
        }
    }
}

#[test]
fn a_continuation_is_told_to_who_runs_the_gateway_and_the_wait_is_given_signs_of_life() {
    let primary = Server::playing(|_| breaks(&[Act::Close]));
    let second = Server::playing(|_| [vec![Act::Wait(ms(1_300))], rest(&[" time"])].concat());
    let route = format!(
        "{ON}\nheartbeat = \"1s\"\n[access_log]\nto = \"stderr\"\n[admin]\nlisten = \"127.0.0.1:0\"\n"
    );
    let timeouts = "ttft = \"5s\"\ninter_event = \"400ms\"";
    let gateway = behind(&primary, &second, &Knobs { route: &route, timeouts, ..Knobs::default() });
    let response = complete(&gateway).read_response();
    let expected = begun() + ": hb\n\n" + &seam("second") + &says(" time") + &ends();
    assert_eq!(response.text(), expected);
    let line = gateway.wait_for_log("\"continued\":1");
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        (&line["end"], &line["attempts"], &line["upstream"]),
        (&json!("complete"), &json!(2), &json!("second"))
    );
    // Two of the first, and three events of the second: a token, the end and its mark.
    assert_eq!((&line["tokens_out"], &line["tokens_estimated"]), (&json!(5), &json!(true)));
    let metrics = metrics(&gateway);
    for (result, count) in [("asked", 1), ("joined", 1), ("refused", 0)] {
        let row = format!("sluicegate_continuations_total{{result=\"{result}\"}} {count}\n");
        assert!(metrics.contains(&row), "{row}{metrics}");
    }
}

/// The metrics of a gateway that has an admin address.
fn metrics(gateway: &Gateway) -> String {
    let line = gateway.wait_for_log("admin on http://");
    let address = line.split("http://").nth(1).and_then(|rest| rest.split(['/', ' ']).next());
    let address = address.expect("an address").parse().expect("an address");
    let mut peer = Peer::connect(address);
    peer.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    peer.read_response().text().to_owned()
}

#[test]
fn a_killed_server_costs_no_stream_where_they_are_continued() {
    const TOKENS: usize = 40;
    let flags = ["--rate", "50", "--tokens", "40"];
    let (first, second) = (Mock::start(&flags), Mock::start(&flags));
    // Half of the streams break in one moment.
    let knobs = Knobs { primary: "retry = { budget = 100 }", ..on() };
    let gateway = knobs.gateway(&[first.address(), second.address()], None);
    let asked = format!(r#"{{"prompt":"Sing: ","max_tokens":{TOKENS},"stream":true}}"#);
    let mut clients: Vec<Peer> = (0..30).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        client.send(post("/v1/completions", "1.1", &asked));
    }
    thread::sleep(ms(300));
    first.kill();
    let (mut texts, mut seams) = (Vec::new(), 0);
    for client in &mut clients {
        let response = client.read_response();
        let events =
            response.text().split("\n\n").filter_map(|event| event.strip_prefix("data: {"));
        let text = events.map(|event| {
            let event: Value = serde_json::from_str(&format!("{{{event}")).expect("JSON");
            event["choices"][0]["text"].as_str().unwrap_or_default().to_owned()
        });
        texts.push(text.collect::<String>());
        seams += response.text().matches(&seam("primary")).count();
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:#?}");
    assert_eq!(texts[0].split_whitespace().count(), TOKENS);
    assert!((5..=25).contains(&seams), "{seams} were continued");
}
