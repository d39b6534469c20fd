//! Everything fails, and the route has an answer of its own: what each caller gets of it.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::Value;

use super::stage::*;
use crate::harness::{Gateway, Message, Peer, Stopwatch};

const TEXT: &str = "Our models rest. Please come back.";
const WORDS: [&str; 6] = ["Our ", "models ", "rest. ", "Please ", "come ", "back."];
const DOWN: &str = "503 Service Unavailable";

/// A gateway whose upstreams both fail, and its servers.
fn failing(fallback: &str) -> (Gateway, [Server; 2]) {
    let servers = [(); 2].map(|()| Server::playing(|_| error(DOWN, "", "down")));
    let route = format!("fallback = {{ {fallback} }}");
    let knobs = Knobs {
        route: &route,
        primary: "retry = \"off\"",
        second: "retry = \"off\"",
        ..Knobs::default()
    };
    let gateway = knobs.gateway(&[servers[0].address], Some(servers[1].address));
    (gateway, servers)
}

/// A client that has asked for a stream, or for a document.
fn asking(gateway: &Gateway, stream: bool) -> Peer {
    let body = format!(r#"{{"model":"asked","messages":[],"stream":{stream}}}"#);
    let mut client = gateway.connect();
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client
}

/// Asserts that it is an answer of the gateway's own, in the place of two that failed.
fn expect_degraded(response: &Message, status: u16, media: &str) {
    assert_eq!(response.status(), status, "{response:?}");
    assert_eq!(response.field("x-sluice-degraded"), Some("upstream_status"), "{response:?}");
    assert!(response.field("content-type").is_some_and(|it| it.starts_with(media)), "{response:?}");
}

/// The data of the events, of which each is one line and a blank one.
fn data(body: &str) -> Vec<&str> {
    let events = body.strip_suffix("\n\n").expect("a whole event").split("\n\n");
    events.map(|event| event.strip_prefix("data: ").expect("a data line")).collect()
}

#[test]
fn all_fail_and_who_asked_for_a_stream_is_streamed_the_predefined_answer() {
    let (gateway, servers) =
        failing(&format!("text = \"{TEXT}\", model = \"none\", pace = \"60ms\""));
    let asked = Stopwatch::of(gateway.pid());
    let mut client = asking(&gateway, true);
    let response = client.read_response();
    expect_degraded(&response, 200, "text/event-stream");
    let mut events = data(response.text());
    assert_eq!(events.pop(), Some("[DONE]"));
    let events: Vec<Value> =
        events.iter().map(|event| serde_json::from_str(event).expect("JSON")).collect();
    for event in &events {
        assert_eq!(
            (&event["object"], &event["model"]),
            (&"chat.completion.chunk".into(), &"none".into())
        );
        assert_eq!(event["id"], events[0]["id"]);
    }
    let choice = |event: &Value, name: &str| event["choices"][0][name].clone();
    assert_eq!(choice(&events[0], "delta")["role"], "assistant");
    let words: Vec<_> = events
        .iter()
        .filter_map(|event| Some(choice(event, "delta")["content"].as_str()?.to_owned()))
        .collect();
    assert_eq!(
        words.iter().filter(|word| !word.is_empty()).collect::<Vec<_>>(),
        WORDS.iter().collect::<Vec<_>>()
    );
    let (last, before) = events.split_last().expect("events");
    assert_eq!(choice(last, "finish_reason"), "stop");
    assert!(before.iter().all(|event| choice(event, "finish_reason").is_null()));
    // Word by word: none early, and none much later than its turn.
    let times = WORDS.map(|word| client.arrival_of(&format!("\"content\":\"{word}\"")));
    for (number, arrived) in times.into_iter().enumerate() {
        let due = ms(60) * number as u32;
        let (passed, spent) = (arrived - asked.began(), asked.spent_until(arrived));
        let word = WORDS[number];
        assert!(passed + ms(10) >= due && spent < due + ms(300), "{word:?}: {passed:?}, {spent:?}");
    }
    servers.iter().for_each(|server| assert_eq!(server.requests().len(), 1));
    // The connection goes on.
    client.send(request());
    expect_degraded(&client.read_response(), 200, "text/event-stream");
}

#[test]
fn all_fail_and_who_asked_for_no_stream_gets_the_predefined_answer_in_one_piece() {
    let (gateway, servers) = failing(&format!("text = \"{TEXT}\", pace = \"10s\""));
    let asked = Instant::now();
    let mut client = asking(&gateway, false);
    let response = client.read_response();
    expect_degraded(&response, 200, "application/json");
    assert!(asked.elapsed() < ms(5_000), "a document has no pace: {:?}", asked.elapsed());
    let json = response.json();
    assert_eq!((&json["object"], &json["model"]), (&"chat.completion".into(), &"asked".into()));
    let choice = &json["choices"][0];
    assert_eq!(
        (&choice["message"]["role"], &choice["message"]["content"]),
        (&"assistant".into(), &TEXT.into())
    );
    assert_eq!(
        (&choice["finish_reason"], &json["usage"]["total_tokens"]),
        (&"stop".into(), &0.into())
    );
    servers.iter().for_each(|server| assert_eq!(server.requests().len(), 1));
}

/// A file that is gone when the test is over.
struct Kept(PathBuf);

impl Kept {
    fn new(name: &str, content: &str) -> Kept {
        let file = std::env::temp_dir().join(format!("sluicegate-{}-{name}", std::process::id()));
        std::fs::write(&file, content).expect("a temporary file");
        Kept(file)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn all_fail_and_the_predefined_answer_is_in_a_file() {
    let text = Kept::new("fallback.txt", TEXT);
    let (gateway, _servers) = failing(&format!("file = \"{}\", pace = \"0us\"", text.0.display()));
    let response = asking(&gateway, false).read_response();
    expect_degraded(&response, 200, "application/json");
    assert_eq!(response.json()["choices"][0]["message"]["content"], TEXT);
    let response = asking(&gateway, true).read_response();
    expect_degraded(&response, 200, "text/event-stream");
    for word in WORDS {
        assert_eq!(
            response.text().matches(&format!("\"content\":\"{word}\"")).count(),
            1,
            "{word}"
        );
    }
    // JSON is sent as it is, whatever was asked for.
    let document = "{\n  \"choices\": []\n}\n";
    let json = Kept::new("fallback.json", document);
    let (gateway, _servers) = failing(&format!("file = \"{}\"", json.0.display()));
    for stream in [true, false] {
        let response = asking(&gateway, stream).read_response();
        expect_degraded(&response, 200, "application/json");
        assert_eq!(response.text(), document);
    }
}

#[test]
fn all_fail_and_the_predefined_answer_is_an_error() {
    let (gateway, _servers) =
        failing(&format!("text = \"{TEXT}\", status = 529, headers = {{ retry-after = \"7\" }}"));
    for stream in [true, false] {
        let mut client = asking(&gateway, stream);
        let response = client.read_response();
        expect_degraded(&response, 529, "application/json");
        assert_eq!(response.field("retry-after"), Some("7"));
        let error = &response.json()["error"];
        assert_eq!((&error["message"], &error["code"]), (&TEXT.into(), &"degraded".into()));
    }
}
