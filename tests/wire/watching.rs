//! Watching: what the admin address tells of the last hour, of the exchanges that ended last, of errors, and of
//! one stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::admin::{POST, STREAM, TOKEN, Watched, event, open_stream};
use crate::harness::{Config, Peer, Standstill, Upstream};

/// The history, the last exchanges and the errors, after one stream that was whole and one that was cut.
#[test]
fn what_has_been_is_told_for_an_hour() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    let (mut client, mut server) = open_stream(&watched, &upstream);
    server.send(format!("{}0\r\n\r\n", event("{\"n\":2}")));
    client.read_until("0\r\n\r\n");
    let mut cut = watched.gateway.connect();
    cut.send(POST);
    server.read_request();
    server.send(format!("{STREAM}{}", event("{\"n\":1}")));
    cut.read_until("{\"n\":1}\n\n");
    server.finish();
    let listed = watched.wait("/exchanges", |answer| {
        let listed = answer.json()["exchanges"].clone();
        (listed.as_array()?.len() == 2).then_some(listed)
    });
    assert_eq!(listed[1]["end"], "unobserved", "{listed}");
    assert_eq!(
        (&listed[0]["end"], &listed[0]["upstream"]),
        (&"upstream_truncated".into(), &"scripted".into())
    );
    let name = listed[0]["request_id"].as_str().expect("a name");
    let one = watched.get(&format!("/exchanges?request_id={name}")).json();
    assert_eq!(one["exchanges"].as_array().map(Vec::len), Some(1));
    let errors = watched.get("/errors").json();
    let code = &errors["codes"][0];
    assert_eq!(
        (&code["code"], &code["count"]),
        (&"upstream_truncated".into(), &1.into()),
        "{errors}"
    );
    assert_eq!(code["examples"][0]["request_id"], name);
    assert!(code["explanation"].as_str().is_some_and(|text| text.starts_with("**Cause.**")));
    let sum = |history: &Value, name: &str| -> f64 {
        let series = history["series"][name].as_array().expect("a series");
        series.iter().filter_map(Value::as_f64).sum()
    };
    // Told once the second is over.
    let history = watched.wait("/history", |answer| {
        let history = answer.json();
        (sum(&history, "exchanges") >= 2.0 && history["codes"]["upstream_truncated"].is_array())
            .then_some(history)
    });
    assert_eq!((&history["range"], &history["step_seconds"]), (&"5m".into(), &1.into()));
    assert_eq!(sum(&history, "events"), 3.0, "{history}");
    assert_eq!(sum(&history, "failed_upstream"), 1.0, "{history}");
    let of_one = watched.wait("/history?upstream=scripted", |answer| {
        let history = answer.json();
        (sum(&history, "requests") >= 2.0).then_some(history)
    });
    assert_eq!((sum(&of_one, "failed"), sum(&of_one, "tokens")), (1.0, 3.0), "{of_one}");
    assert_eq!(watched.get("/history?upstream=nobody").status(), 404);
    assert_eq!(watched.get("/history?range=1h").json()["step_seconds"], 10);
}

/// A stream is told with the moments of its steps, and each of its events with its own.
#[test]
fn a_stream_is_told_with_its_times() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    let (mut client, mut server) = open_stream(&watched, &upstream);
    let stream = watched.stream();
    let reached: Vec<u64> =
        STEPS.iter().map(|step| stream[*step].as_u64().expect("it has come so far")).collect();
    assert!(reached.is_sorted(), "{stream}");
    let id = stream["id"].as_str().expect("an id");
    let mut tail = Peer::connect(watched.admin());
    tail.send(format!("GET /streams/{id}/tail?times=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    tail.read_until("from here on");
    let pause = Duration::from_millis(300);
    for number in [2, 3] {
        server.send(event(&format!("{{\"n\":{number}}}")));
        client.read_until(&format!("{{\"n\":{number}}}\n\n"));
        std::thread::sleep(pause);
    }
    server.send("0\r\n\r\n");
    tail.read_until("the stream has ended");
    let text = String::from_utf8_lossy(tail.received()).into_owned();
    let told = text
        .split("data: ")
        .filter_map(|line| serde_json::from_str::<Value>(line.lines().next()?).ok());
    let told: Vec<(u64, String)> = told
        .filter_map(|event| Some((event["at_us"].as_u64()?, event["data"].as_str()?.to_owned())))
        .collect();
    assert_eq!(told.len(), 2, "{text}");
    assert!(told[0].0 > reached[4], "{text}");
    assert!(told[1].0 - told[0].0 >= 250_000, "the pause between them is seen: {text}");
    assert_eq!(told[0].1, "{\"x\":1}", "masked");
}

/// Who has changed a store is told where there is one. A store that does not answer keeps nobody waiting for ever.
#[test]
fn a_configuration_of_no_store_has_no_changes() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    let told = watched.get("/config/history").json();
    assert_eq!(told, serde_json::json!({ "store": null, "changes": [] }));
}

/// What a client waits before it says anything is no part of its request.
#[test]
fn a_connection_that_is_silent_at_first_makes_no_request_long() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    let mut client = watched.gateway.connect();
    std::thread::sleep(Duration::from_secs(3));
    let (first, second) = POST.split_at(10);
    client.send(first);
    std::thread::sleep(Duration::from_millis(50));
    client.send(second);
    let mut server = upstream.accept();
    server.read_request();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    client.read_response();
    let head = watched.wait("/metrics", |answer| {
        let line = "sluicegate_hop_seconds_sum{hop=\"head\"} ";
        let told = answer.text().lines().find_map(|it| it.strip_prefix(line)?.parse::<f64>().ok());
        told.filter(|seconds| *seconds > 0.0)
    });
    assert!((0.01..2.5).contains(&head), "{head}");
}

/// The steps of a request's way, in their order.
const STEPS: [&str; 5] =
    ["attached_us", "connected_us", "request_written_us", "first_byte_us", "first_event_us"];

/// Steps that lie in the past stay where they were: the row and the record of a stream tell them in their order,
/// and the longest that a metric knows of the request's way is short.
fn assert_steps_stay(watched: &Watched, end: impl FnOnce()) {
    let reached = |row: &Value| -> Vec<u64> {
        STEPS.iter().map(|step| row[*step].as_u64().expect("it has come so far")).collect()
    };
    let under_way = reached(&watched.stream());
    assert!(under_way.is_sorted(), "{under_way:?}");
    end();
    let record = watched.wait("/exchanges", |answer| {
        let listed = answer.json()["exchanges"].clone();
        (listed.as_array()?.len() == 1).then(|| listed[0].clone())
    });
    assert_eq!(reached(&record), under_way, "{record}");
    let metrics = watched.get("/metrics").text().to_owned();
    let sent = metrics.lines().find_map(|line| {
        line.strip_prefix("sluicegate_hop_seconds_sum{hop=\"send\"} ")?.parse::<f64>().ok()
    });
    assert!(sent.expect("the hop is told") < under_way[4] as f64 / 1e6 + 0.01, "{metrics}");
}

/// The timers of a stream begin anew where the process stood still. Its request was sent when it was sent.
#[test]
fn a_standstill_moves_no_step_of_a_stream() {
    let upstream = Upstream::listen();
    // A timer has to run out meanwhile: by that the process finds that it stood still.
    let timeouts = "inter_event = \"4s\"".to_owned();
    let watched = Watched::with(Config { timeouts, ..Config::to(upstream.address()) });
    let (mut client, mut server) = open_stream(&watched, &upstream);
    let stopped = Standstill::of(&watched.gateway);
    std::thread::sleep(Duration::from_secs(6));
    stopped.end();
    watched.gateway.wait_for_log("nothing ran for");
    assert_steps_stay(&watched, || {
        server.send("0\r\n\r\n");
        client.read_until("0\r\n\r\n");
    });
}

/// Nor does a client that takes nothing for a while.
#[test]
fn a_pause_of_the_client_moves_no_step_of_a_stream() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    let (mut client, mut server) = open_stream(&watched, &upstream);
    let data = event(&format!("{{\"n\":\"{}\"}}", "x".repeat(60_000)));
    let is_blocked = Arc::new(AtomicBool::new(false));
    let seen = is_blocked.clone();
    let writer = std::thread::spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            server.send(&data);
        }
        server.send(event("{\"n\":3}"));
        server
    });
    watched.wait("/streams", |answer| {
        (answer.json()["streams"][0]["waits_for"] == "client").then_some(())
    });
    is_blocked.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs(1));
    client.read_until("{\"n\":3}\n\n");
    let mut server = writer.join().expect("all is sent");
    assert_steps_stay(&watched, || {
        server.send("0\r\n\r\n");
        client.read_until("0\r\n\r\n");
    });
}

/// A request of the playground goes through the gateway as any client's, and ends with its page.
#[test]
fn the_playground_asks_the_gateway_itself() {
    let upstream = Upstream::listen();
    let watched = Watched::with(Config {
        more: "playground = true".into(),
        ..Config::to(upstream.address())
    });
    assert_eq!(watched.get("/playground").json()["playground"], true);
    let order = r#"{"path":"/v1/chat/completions?a=b","key":"sk-1","request_id":"playground-1","host":"llm.example.com","body":{"model":"m","stream":true}}"#;
    let post = |fields: &str| {
        let length = order.len();
        format!(
            "POST /playground HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\r\n{order}"
        )
    };
    for origin in ["http://evil.example", "null"] {
        let refused = watched.ask(&post(&format!("Origin: {origin}\r\n")));
        assert_eq!(
            (refused.status(), &refused.json()["error"]["code"]),
            (403, &"foreign_origin".into())
        );
    }
    let mut page = Peer::connect(watched.admin());
    page.send(post(""));
    let mut server = upstream.accept();
    let asked = server.read_request();
    assert_eq!(asked.start, "POST /v1/chat/completions?a=b HTTP/1.1");
    assert_eq!(asked.field("authorization"), Some("Bearer sk-1"));
    assert_eq!(asked.field("x-request-id"), Some("playground-1"));
    assert_eq!(asked.field("host"), Some("llm.example.com"), "a route may go by it");
    assert_eq!(asked.json()["model"], "m");
    server.send(format!("{STREAM}{}", event("{\"n\":1}")));
    page.read_until("\"status\":200");
    page.read_until("data: {\\\"n\\\":1}");
    let stream = watched.stream();
    assert_eq!(stream["request_id"], "playground-1", "it is a stream like any");
    server.send(event("{\"n\":2}"));
    page.read_until("{\\\"n\\\":2}");
    drop(page);
    server.read_end();
    let ended = watched.wait("/exchanges?request_id=playground-1", |answer| {
        answer.json()["exchanges"][0]["end"].as_str().map(str::to_owned)
    });
    assert_eq!(ended, "client_gone");
    assert!(
        watched.gateway.log().iter().all(|line| !line.contains("sk-1")),
        "the key is in no log"
    );
}

#[test]
fn there_is_no_playground_unless_it_is_asked_for() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    assert_eq!(watched.get("/playground").json()["playground"], false);
    let refused = watched.change("POST", "/playground", "{\"path\":\"/v1/models\"}");
    assert_eq!(
        (refused.status(), &refused.json()["error"]["code"]),
        (404, &"playground_off".into())
    );
}

/// A page of a stranger, in a browser that can reach the address, changes nothing even with the token.
#[test]
fn a_strangers_page_changes_nothing() {
    let upstream = Upstream::listen();
    let config =
        Config { more: "hosts = [\"Gate.Example\"]".into(), ..Config::to(upstream.address()) };
    let watched = Watched::with(config);
    let put = |host: &str, origin: &str| {
        let head = format!("PUT /loglevel HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n");
        let answer = watched
            .ask(&format!("{head}Authorization: Bearer {TOKEN}\r\nContent-Length: 4\r\n\r\ninfo"));
        (
            answer.status(),
            answer.text().contains("foreign_origin"),
            answer.text().contains("foreign_host"),
        )
    };
    let here = watched.admin().to_string();
    assert_eq!(put(&here, &format!("http://{here}")).0, 200);
    assert_eq!(put("gate.example", "https://gate.example").0, 200);
    assert_eq!(put(&here, "http://evil.example"), (403, true, false));
    assert_eq!(put("evil.example", "http://evil.example"), (403, false, true));
}
