//! The mock inference server as its clients see it, without a gateway: its pace and its faults on
//! the wire. What it says (JSON, events) is tested where it is made.

use std::time::Duration;

use crate::harness::{End, Gateway, Mock, Peer, Stopwatch, WATCH};

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn chat(query: &str) -> String {
    post(&format!("/v1/chat/completions?{query}"), r#"{"stream":true,"model":"m"}"#)
}

fn ask(mock: &Mock, request: impl AsRef<[u8]>) -> Peer {
    let mut client = Peer::connect(mock.address());
    client.send(request);
    client
}

/// The payload of chunks that may break off.
fn payload(client: &Peer) -> String {
    let text = String::from_utf8_lossy(client.received());
    let body = text.split_once("\r\n\r\n").expect("a head").1;
    // Chunk lines and data alternate, and no data of the mock holds a CRLF.
    body.split("\r\n").skip(1).step_by(2).collect()
}

#[test]
fn four_tokens_half_a_second_apart_are_the_default() {
    let mock = Mock::start(&[]);
    let asked = Stopwatch::of(mock.pid());
    let mut client = ask(&mock, post("/stream", ""));
    let response = client.read_response();
    assert_eq!((response.status(), response.text().split(' ').count()), (200, 4));
    let (took, spent) = (asked.elapsed(), asked.spent());
    let in_time = took >= Duration::from_millis(1490) && spent < Duration::from_millis(1900);
    assert!(in_time, "{took:?}, {spent:?} of it ours");
}

/// Every token is due at start + k / rate: the last one comes no later for what the others lost.
#[test]
fn the_pace_is_exact_and_does_not_drift() {
    let mock = Mock::start(&[]);
    let asked = Stopwatch::of(mock.pid());
    let mut client = ask(&mock, post("/stream?rate=50&tokens=50&first_token=100ms&stamp=1", ""));
    client.read_head();
    let (mut early, mut late): (Vec<i64>, Vec<i64>) = (Vec::new(), Vec::new());
    for number in 0..50 {
        let line = client.read_until("\r\n");
        let size = std::str::from_utf8(&line).expect("a chunk line").trim();
        client.read(usize::from_str_radix(size, 16).expect("a size") + 2);
        let due = 100_000 + number * 20_000;
        early.push(due - asked.elapsed().as_micros() as i64);
        late.push(asked.spent().as_micros() as i64 - due);
    }
    client.read_until("0\r\n\r\n");
    late.sort();
    println!("late by {} µs (median), {} µs (worst)", late[25], late[49]);
    assert!(early.iter().all(|early| *early <= 0), "early: {early:?}");
    assert!(late[25] < 10_000, "late: {late:?}");
}

#[test]
fn a_firehose_runs_as_fast_as_it_is_read_and_to_the_byte() {
    let mock = Mock::start(&[]);
    let mut client = ask(&mock, post("/stream?rate=0&tokens=500&token_bytes=16384", ""));
    assert_eq!(client.read_response().body.len(), 500 * 16_384);
    client.send(post("/stream?rate=0&tokens=1", ""));
    assert_eq!(client.read_response().status(), 200, "the connection goes on");
}

#[test]
fn a_firehose_that_nobody_reads_takes_no_memory() {
    let mock = Mock::start(&[]);
    let before = mock.memory_now();
    let request = post("/stream?rate=0&tokens=1000000000&token_bytes=16384", "");
    let _clients: Vec<Peer> = (0..10).map(|_| ask(&mock, &request)).collect();
    std::thread::sleep(Duration::from_millis(300));
    let grown = mock.memory_now().saturating_sub(before);
    // A buffer or two for each, and what the allocator rounds up.
    assert!(grown < 1 << 20, "{grown} bytes");
}

#[test]
fn a_status_is_answered_with_its_retry_after_and_its_size() {
    let mock = Mock::start(&[]);
    let mut client = ask(&mock, post("/stream?status=429&retry_after=7&huge_error=50000", ""));
    let refusal = client.read_response();
    assert_eq!((refusal.status(), refusal.field("retry-after")), (429, Some("7")));
    assert_eq!(refusal.body.len(), 50_000);
    assert!(refusal.json()["error"].is_object());
    client.send(post("/health", ""));
    assert_eq!(client.read_response().status(), 405);
    client.send("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_response().status(), 404);
}

#[test]
fn a_reset_comes_before_any_byte() {
    let mock = Mock::start(&[]);
    let mut client = ask(&mock, post("/stream?reset", ""));
    assert_eq!(client.read_end(), End::Reset);
    assert!(client.received().is_empty());
}

#[test]
fn silence_is_silence() {
    let mock = Mock::start(&[]);
    let mut client = ask(&mock, post("/stream?silent", ""));
    client.expect_silence();
    assert!(client.received().is_empty());
}

#[test]
fn a_cut_is_a_fin_inside_the_message() {
    let mock = Mock::start(&[]);
    for (tokens, rate) in [(0, 100), (1, 100), (3, 100), (0, 0), (3, 0)] {
        let query = format!("/stream?rate={rate}&tokens=9&cut={tokens}");
        let mut client = ask(&mock, post(&query, ""));
        assert_eq!(client.read_end(), End::Fin);
        assert_eq!(payload(&client).split_whitespace().count(), tokens);
        assert!(!client.received().ends_with(b"0\r\n\r\n"));
    }
}

#[test]
fn a_reset_after_some_tokens_is_a_reset_and_the_tokens_came_before() {
    let mock = Mock::start(&[]);
    let mut client = ask(&mock, post("/stream?rate=20&tokens=9&reset_after=3", ""));
    assert_eq!(client.read_end(), End::Reset);
    assert_eq!(payload(&client).split_whitespace().count(), 3);
}

#[test]
fn a_stall_keeps_the_connection_open() {
    let mock = Mock::start(&[]);
    let mut client = ask(&mock, post("/stream?rate=100&tokens=9&stall=2", ""));
    std::thread::sleep(WATCH);
    client.receive(WATCH);
    client.expect_silence();
    assert_eq!(payload(&client).split_whitespace().count(), 2);
}

#[test]
fn events_can_be_missing_malformed_or_mere_comments() {
    let mock = Mock::start(&["--rate", "200", "--tokens", "6"]);
    let events = |query: &str| ask(&mock, chat(query)).read_response().text().to_owned();
    let plain = events("");
    assert!(plain.ends_with("data: [DONE]\n\n") && plain.contains("\"finish_reason\":\"stop\""));
    assert!(!events("no_done").contains("[DONE]"));
    assert!(!events("no_finish").contains("\"finish_reason\":\"stop\""));
    let comments = events("comments=2");
    assert!(comments.contains("\n\n: ") && comments.ends_with("data: [DONE]\n\n"), "{comments}");
    let malformed = events("malformed=2");
    let data = malformed.lines().filter_map(|line| line.strip_prefix("data: "));
    let broken = data.filter(|data| serde_json::from_str::<serde_json::Value>(data).is_err());
    assert_eq!(broken.filter(|data| *data != "[DONE]").count(), 1, "{malformed}");
    let failed = events("error_event=2");
    assert!(failed.contains("data: {\"error\"") && !failed.contains("[DONE]"), "{failed}");
}

#[test]
fn a_flag_sets_what_a_query_overrides() {
    let mock = Mock::start(&["--tokens", "3", "--rate", "0", "--cut", "1"]);
    let mut cut = ask(&mock, post("/stream", ""));
    assert_eq!(cut.read_end(), End::Fin);
    let mut whole = ask(&mock, post("/stream?cut=off&tokens=5", ""));
    assert_eq!(whole.read_response().text().split(' ').count(), 5);
    let mut unknown = ask(&mock, post("/stream?cutt=1", ""));
    let refusal = unknown.read_response();
    assert_eq!((refusal.status(), &refusal.json()["error"]["param"]), (400, &"cutt".into()));
}

#[test]
fn a_bad_chunk_comes_where_the_next_one_should() {
    let mock = Mock::start(&[]);
    let mut client = ask(&mock, chat("rate=0&tokens=9&bad_chunk=3"));
    assert_eq!(client.read_end(), End::Fin);
    assert!(client.received().ends_with(b"]}\n\n\r\nno chunk\r\n"), "{}", client.transcript());
    // Where there are no chunks, it is a cut.
    let whole = r#"{"model":"m"}"#;
    let mut client = ask(&mock, post("/v1/chat/completions?rate=0&bad_chunk=3", whole));
    assert_eq!(client.read_end(), End::Fin);
    assert!(!String::from_utf8_lossy(client.received()).contains("no chunk"));
}

#[test]
fn a_hang_up_is_not_announced() {
    let mock = Mock::start(&["--hang-up"]);
    let mut client = ask(&mock, post("/stream?rate=0", ""));
    let response = client.read_response();
    assert_eq!((response.status(), response.field("connection")), (200, None));
    assert_eq!(client.read_end(), End::Fin);
    assert!(client.unread().is_empty());
}

#[test]
fn one_request_in_so_many_fails() {
    let mock = Mock::start(&["--status", "503", "--every", "3", "--rate", "0"]);
    let mut client = ask(&mock, "");
    let mut status = || {
        client.send(post("/stream", ""));
        client.read_response().status()
    };
    let statuses: Vec<u16> = (0..6).map(|_| status()).collect();
    assert_eq!(statuses, [200, 200, 503, 200, 200, 503]);
}

/// A client that has left is not written to for ever.
#[test]
fn a_client_that_leaves_frees_its_stream() {
    let mock = Mock::start(&["--connections", "3"]);
    for _ in 0..10 {
        let mut client = ask(&mock, post("/stream?rate=10&tokens=100000", ""));
        client.read_until("\r\n\r\n");
        client.read(10);
        drop(client);
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut client = ask(&mock, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_response().status(), 200);
}

/// The rehearsal of `docs/resilience.md`: whoever watches reads one text, as from one server.
#[test]
fn a_completion_that_breaks_is_continued_by_another_mock() {
    let said = |client: &Peer| -> String {
        let events = payload(client);
        let data = events.split("\n\n").filter_map(|event| event.strip_prefix("data: {"));
        data.map(|data| {
            let event: serde_json::Value =
                serde_json::from_str(&format!("{{{data}")).expect("JSON");
            event["choices"][0]["text"].as_str().unwrap_or_default().to_owned()
        })
        .collect()
    };
    let request = post("/v1/completions", r#"{"prompt":"Sing: ","max_tokens":16,"stream":true}"#);
    let second = Mock::start(&["--rate", "200"]);
    let mut direct = ask(&second, &request);
    direct.read_until("0\r\n\r\n");
    for flag in ["--cut", "--reset-after", "--bad-chunk"] {
        let first = Mock::start(&["--rate", "200", flag, "5"]);
        let gateway = Gateway::start(&format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n\
             [[upstream]]\nname = \"first\"\nendpoints = [\"{}\"]\n\
             [[upstream]]\nname = \"second\"\nendpoints = [\"{}\"]\n\
             [[route]]\npath = \"/v1/*\"\nupstream = [\"first\", \"second\"]\ncontinue = {{}}\n",
            first.address(),
            second.address()
        ));
        let mut client = gateway.connect();
        client.send(&request);
        client.read_until("0\r\n\r\n");
        assert_eq!(said(&client), said(&direct), "{flag}");
        assert_eq!(payload(&client).matches(": continued by second\n\n").count(), 1, "{flag}");
    }
}
