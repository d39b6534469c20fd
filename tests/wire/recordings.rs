//! The flight recorder: what is kept of streams that fail, and that it can be played.

use std::time::Duration;

use serde_json::Value;

use crate::admin::Watched;
use crate::harness::{Config, End, Mock, Peer, Upstream, sluicegate};
use crate::tracing::Scratch;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
const POST: &str = "POST /v1/chat HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
const FIRST: &str = "data: {\"content\":\"a secret\"}\n\n";
const SECOND: &str = "data: {\"content\":\"another\"}\n\n";
const THIRD: &str = "data: {\"content\":\"never whol";

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

fn recording(upstream: &Upstream) -> Watched {
    let more = "[recorder]\nstreams = 2\nkeep = 2\n".to_owned();
    Watched::with(Config { more, ..Config::to(upstream.address()) })
}

/// The payload of a chunked message whose end may be missing.
fn payload(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let (_, mut rest) = text.split_once("\r\n\r\n").expect("a head");
    let mut payload = String::new();
    while let Some((size, data)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        payload.push_str(&data[..size.min(data.len())]);
        rest = data.get(size + 2..).unwrap_or_default();
    }
    payload
}

fn list(watched: &Watched, count: usize) -> Vec<Value> {
    watched.wait("/recordings", |answer| {
        let list = answer.json()["recordings"].as_array().expect("a list").clone();
        (list.len() == count).then_some(list)
    })
}

const SECOND_AFTER: Duration = Duration::from_millis(80);
const THIRD_AFTER: Duration = Duration::from_millis(160);

/// The pauses before the second and the third event, as a client saw them.
fn pauses(client: &Peer) -> [Duration; 2] {
    let at = [FIRST, SECOND, THIRD].map(|event| client.arrival_of(event));
    [at[1] - at[0], at[2] - at[1]]
}

#[test]
fn a_stream_that_failed_is_listed_downloaded_and_played_again() {
    let upstream = Upstream::listen();
    let watched = recording(&upstream);
    let mut client = watched.gateway.connect();
    client.send(POST);
    let mut server = upstream.accept();
    server.read_request();
    std::thread::sleep(Duration::from_millis(30));
    server.send(HEAD.to_owned() + &chunk(FIRST));
    client.read_until("a secret\"}\n\n");
    std::thread::sleep(SECOND_AFTER);
    server.send(chunk(SECOND));
    client.read_until("another\"}\n\n");
    std::thread::sleep(THIRD_AFTER);
    // Broken off inside an event.
    server.send(chunk(THIRD));
    client.read_until("never whol");
    drop(server);
    client.read_end();

    let listed = list(&watched, 1);
    assert_eq!(
        (&listed[0]["end"], &listed[0]["upstream"], &listed[0]["frames"]),
        (&"upstream_truncated".into(), &"scripted".into(), &3.into()),
        "{listed:#?}"
    );
    let masked = watched.get("/recordings/1");
    assert_eq!(masked.status(), 200);
    let disposition = masked.field("content-disposition");
    assert_eq!(disposition, Some("attachment; filename=\"recording-1.json\""));
    assert!(!masked.text().contains("secret") && masked.text().contains("content"));
    assert_eq!(watched.get("/recordings/1?text=1").status(), 401);
    assert_eq!(watched.get("/recordings/2").status(), 404);
    assert_eq!(watched.metric("sluicegate_recordings_total"), 1.0);

    let whole = watched.change("GET", "/recordings/1?text=1", "");
    for (document, same) in [(&whole, true), (&masked, false)] {
        let file = Scratch::new("recording");
        std::fs::write(file.path(), document.text()).expect("a temporary file");
        let mock = Mock::start(&["--replay", file.path().to_str().expect("UTF-8")]);
        let play = || {
            let mut again = Peer::connect(mock.address());
            again.send(POST);
            again.read_until("\":\"");
            assert_ne!(again.wait_end(), None);
            let (played, given) = (payload(again.received()), payload(client.received()));
            assert_eq!(played.len(), given.len(), "{played}");
            assert!(!again.received().ends_with(b"0\r\n\r\n"), "it was never whole");
            same.then(|| {
                assert_eq!(played, given);
                pauses(&again)
            })
        };
        let given = [pauses(&client), [SECOND_AFTER, THIRD_AFTER]];
        let near = |played: &[Duration; 2]| {
            given.iter().any(|given| {
                let apart = played.iter().zip(given).map(|(one, other)| one.abs_diff(*other));
                apart.max() < Some(Duration::from_millis(30))
            })
        };
        // A busy machine reads late now and then: of a few plays one has to have the pace.
        let plays: Vec<_> = (0..5).filter_map(|_| play()).collect();
        assert!(!same || plays.iter().any(near), "{plays:?} for {given:?}");
    }
    let nonsense = Scratch::new("recording");
    std::fs::write(nonsense.path(), "{}").expect("a temporary file");
    let path = nonsense.path().to_str().expect("UTF-8");
    let ended = sluicegate(&["mock", "--listen", "127.0.0.1:0", "--replay", path]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("it is no recording"), "{}", ended.stderr);
}

#[test]
fn a_masked_recording_is_read_as_the_stream_was() {
    let upstream = Upstream::listen();
    let watched = recording(&upstream);
    let mut client = watched.gateway.connect();
    client.send(POST);
    let mut server = upstream.accept();
    server.read_request();
    // Lines end in CR, and numbers are tokens.
    let event = "data: {\"model\":\"geheim\",\"role\":\"geheim\",\"geheim\":[4711],\r\
                 data: \"delta\":{\"type\":\"geheim\"},\"usage\":{\"prompt_tokens\":12}}\r\r";
    server
        .send(HEAD.to_owned() + &chunk(event) + &chunk("event: geheim\rdata: {\"text\":\"geheim"));
    client.read_until("text\":\"geheim");
    drop(server);
    client.read_end();
    list(&watched, 1);
    let document = watched.get("/recordings/1").json();
    let frames = document["frames"].as_array().expect("a list");
    let text: String = frames.iter().filter_map(|frame| frame["text"].as_str()).collect();
    let masked = "data: {\"model\":\"xxxxxx\",\"xxxx\":\"xxxxxx\",\"xxxxxx\":[1111],\r\
                  data: \"delta\":{\"type\":\"xxxxxx\"},\"usage\":{\"prompt_tokens\":12}}\r\r\
                  event: xxxxxx\rdata: {\"text\":\"xxxxxx";
    assert_eq!(text, masked);
}

#[test]
fn what_ends_well_or_by_its_client_is_forgotten_and_the_oldest_gives_way() {
    let upstream = Upstream::listen();
    let watched = recording(&upstream);
    let serve = |server: &mut Peer, end: &str| {
        server.read_request();
        server.send(HEAD.to_owned() + &chunk(FIRST) + end);
    };
    let mut client = watched.gateway.connect();
    client.send(POST);
    let mut server = upstream.accept();
    serve(&mut server, "0\r\n\r\n");
    client.read_until("0\r\n\r\n");
    client.send(POST);
    serve(&mut server, "");
    client.read_until("a secret\"}\n\n");
    drop(client);
    assert_eq!(server.wait_end(), Some(End::Fin));
    for _ in 0..3 {
        let mut client = watched.gateway.connect();
        client.send(POST);
        let mut server = upstream.accept();
        serve(&mut server, "no chunk\r\n");
        client.wait_end();
    }
    let listed = watched.wait("/recordings", |answer| {
        let list = answer.json()["recordings"].clone();
        (list[0]["id"] == "3").then_some(list)
    });
    assert_eq!((&listed[1]["id"], &listed[2]), (&"2".into(), &Value::Null));
    assert_eq!(listed[0]["end"], "upstream_bad_chunk");
}

#[test]
fn without_a_recorder_nothing_is_kept() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    let answer = watched.get("/recordings").json();
    assert_eq!(
        (&answer["recording"], answer["recordings"].as_array().map(Vec::len)),
        (&false.into(), Some(0))
    );
}

#[test]
fn a_status_without_a_body_is_played_without_one() {
    let frames = r#"[{"at_us":0,"text":"data: a\n\n"}]"#;
    for status in [204, 304] {
        let file = Scratch::new("recording");
        let recording = format!(
            r#"{{"recording":1,"status":{status},"content_type":"text/event-stream","end":"complete","head_us":0,"lasted_us":0,"skipped_bytes":0,"frames":{frames}}}"#
        );
        std::fs::write(file.path(), recording).expect("a temporary file");
        let mock = Mock::start(&["--replay", file.path().to_str().expect("UTF-8")]);
        let mut client = Peer::connect(mock.address());
        for _ in 0..2 {
            client.send(POST);
            let answer = client.read_head();
            assert_eq!(answer.status(), status);
            for field in ["transfer-encoding", "content-length", "connection"] {
                assert_eq!(answer.field(field), None, "{answer:?}");
            }
        }
        client.finish();
        client.read_end();
        assert_eq!(client.unread(), b"", "nothing behind the head");
    }
}
