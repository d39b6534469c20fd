//! The admin address: what it tells of a gateway at work, and what can be done through it.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Config, End, Gateway, Message, PATIENCE, Peer, Upstream, sluicegate};

pub const TOKEN: &str = "a-token-for-the-tests";
pub const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                      Transfer-Encoding: chunked\r\n\r\n";
pub const POST: &str = "POST /v1/chat HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";

/// A gateway with an admin address.
pub struct Watched {
    pub gateway: Gateway,
    admin: SocketAddr,
    token_file: PathBuf,
}

impl Watched {
    pub fn before(upstream: &Upstream) -> Watched {
        Watched::with(Config::to(upstream.address()))
    }

    pub fn with(config: Config) -> Watched {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sluicegate-admin-{}-{number}.token", std::process::id());
        let token_file = std::env::temp_dir().join(name);
        std::fs::write(&token_file, format!("{TOKEN}\n")).expect("a temporary file");
        let section = format!(
            "[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{}\"\n{}",
            token_file.display(),
            config.more
        );
        let gateway = Config { more: section, ..config }.start();
        let line = gateway.wait_for_log("admin on http://");
        let (_, address) = line.split_once("admin on http://").expect("an address");
        let admin = address.trim().parse().expect("an address");
        Watched { gateway, admin, token_file }
    }

    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    pub fn ask(&self, request: &str) -> Message {
        let mut peer = Peer::connect(self.admin);
        peer.send(request);
        peer.read_response()
    }

    pub fn get(&self, path: &str) -> Message {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    /// Asks with the token.
    pub fn change(&self, method: &str, path: &str, body: &str) -> Message {
        let length = body.len();
        self.ask(&format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// Asks until `found` gives something.
    pub fn wait<T>(&self, path: &str, found: impl Fn(&Message) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path);
            if let Some(value) = found(&answer) {
                return value;
            }
            assert!(Instant::now() < deadline, "{path} stays {answer:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The one stream there is.
    pub fn stream(&self) -> Value {
        self.wait("/streams", |answer| {
            let streams = answer.json()["streams"].clone();
            (streams.as_array()?.len() == 1).then(|| streams[0].clone())
        })
    }

    /// The value of a metric, summed over its samples.
    pub fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics");
        let samples = page.text().lines().filter(|line| {
            let (series, _) = line.split_once(' ').unwrap_or_default();
            series == name || series.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
        });
        let values = samples.map(|line| line.rsplit(' ').next().expect("a value"));
        values.map(|value| value.parse::<f64>().expect("a number")).sum()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.token_file);
    }
}

pub fn event(data: &str) -> String {
    let event = format!("data: {data}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len())
}

/// A stream that has had its head and one event.
pub fn open_stream(watched: &Watched, upstream: &Upstream) -> (Peer, Peer) {
    let mut client = watched.gateway.connect();
    client.send(POST);
    let mut server = upstream.accept();
    server.read_request();
    server.send(format!("{STREAM}{}", event("{\"n\":1}")));
    client.read_until("{\"n\":1}\n\n");
    (client, server)
}

/// What was held back of an answer is taken back with all that was known of it.
#[test]
fn an_answer_that_is_taken_back_leaves_nothing_in_the_row_of_its_stream() {
    let upstream = Upstream::listen();
    let watched = Watched::with(Config {
        upstream: "retry = { attempts = 2, on = [\"empty_stream\"] }".into(),
        ..Config::to(upstream.address())
    });
    let mut client = watched.gateway.connect();
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n\
         {\"stream\":true}",
    );
    let mut first = upstream.accept();
    first.read_request();
    let before = watched.stream();
    first.send(format!("{STREAM}c\r\n: a comment\n\r\n"));
    watched.wait("/streams", |answer| (answer.json()["streams"][0]["status"] == 200).then_some(()));
    first.finish();
    let mut second = upstream.accept();
    second.read_request();
    let row = watched.stream();
    for field in ["status", "events", "tokens", "bytes"] {
        assert_eq!(row[field], before[field], "{field}");
    }
    second.send(format!("{STREAM}{}", event("{\"n\":1}")));
    client.read_until("{\"n\":1}\n\n");
}

#[test]
fn a_stream_is_seen_and_can_be_ended() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    let (mut client, mut server) = open_stream(&watched, &upstream);
    let stream = watched.stream();
    assert_eq!(
        (&stream["phase"], &stream["tokens"], &stream["upstream"], &stream["status"]),
        (&"streaming".into(), &1.into(), &"scripted".into(), &200.into()),
        "{stream}"
    );
    assert_eq!(stream["waits_for"], "upstream");
    let id = stream["id"].as_str().expect("an id");
    let without = watched.ask(&format!("DELETE /streams/{id} HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_eq!(without.status(), 401);
    assert_eq!(watched.change("DELETE", &format!("/streams/{id}"), "").status(), 200);
    // Cut, and seen to be cut: no last chunk.
    assert_eq!(client.read_end(), End::Fin);
    assert!(!client.received().ends_with(b"0\r\n\r\n"));
    server.read_end();
    assert_eq!(watched.change("DELETE", &format!("/streams/{id}"), "").status(), 404);
    assert_eq!(watched.change("DELETE", "/streams/7-1-1", "").status(), 404);
    watched.gateway.wait_for_log("killed, cut short");
    assert_eq!(watched.metric("sluicegate_exchanges_active"), 0.0);
}

#[test]
fn an_id_does_not_reach_the_next_request_of_its_connection() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    let (mut client, mut server) = open_stream(&watched, &upstream);
    let first = watched.stream();
    server.send("0\r\n\r\n");
    client.read_until("0\r\n\r\n");
    client.send(POST);
    server.read_request();
    let second = watched.stream();
    assert_ne!(first["id"], second["id"]);
    let id = first["id"].as_str().expect("an id");
    assert_eq!(watched.change("DELETE", &format!("/streams/{id}"), "").status(), 404);
    // Killed before its answer began, an exchange is answered.
    let id = second["id"].as_str().expect("an id");
    assert_eq!(watched.change("DELETE", &format!("/streams/{id}"), "").status(), 200);
    client.read_until("\"code\":\"killed\"");
}

#[test]
fn a_tail_shows_events_without_their_text_unless_it_may() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    let (mut client, mut server) = open_stream(&watched, &upstream);
    let id = watched.stream()["id"].as_str().expect("an id").to_owned();
    let path = format!("GET /streams/{id}/tail HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut redacted = Peer::connect(watched.admin);
    redacted.send(&path);
    redacted.read_until("from here on");
    let plain = path.replace("/tail ", "/tail?text=1 ");
    assert_eq!(watched.ask(&plain).status(), 401, "the text needs the token");
    let mut full = Peer::connect(watched.admin);
    full.send(plain.replace("\r\n\r\n", &format!("\r\nAuthorization: Bearer {TOKEN}\r\n\r\n")));
    full.read_until("from here on");
    let secret = "{\"delta\":{\"content\":\"a secret\"},\"model\":\"m\"}";
    server.send(event(secret));
    client.read_until("a secret");
    full.read_until(secret);
    redacted.read_until("{\"delta\":{\"xxxxxxx\":\"xxxxxxxx\"},\"model\":\"x\"}");
    server.send("0\r\n\r\n");
    redacted.read_until("the stream has ended");
    assert!(!String::from_utf8_lossy(redacted.received()).contains("a secret"));
}

#[test]
fn metrics_pass_promtool_and_count_what_happened() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    let (mut client, mut server) = open_stream(&watched, &upstream);
    assert_eq!(watched.metric("sluicegate_exchanges_active"), 1.0);
    server.send(format!("{}0\r\n\r\n", event("2")));
    client.read_until("0\r\n\r\n");
    watched.wait("/metrics", |page| {
        page.text().contains("ends_total{reason=\"unobserved\"} 1\n").then_some(())
    });
    for (name, value) in [
        ("sluicegate_exchanges_active", 0.0),
        ("sluicegate_exchanges_total", 1.0),
        ("sluicegate_data_events_total", 2.0),
        ("gen_ai_server_time_to_first_token_seconds_count", 1.0),
        ("gen_ai_server_request_duration_seconds_count", 1.0),
        ("sluicegate_event_gap_seconds_count", 1.0),
        ("sluicegate_pool_checkouts_total", 1.0),
    ] {
        assert_eq!(watched.metric(name), value, "{name}");
    }
    let page = watched.get("/metrics");
    assert!(page.text().contains("pool_connections{upstream=\"scripted\",state=\"idle\"} 1\n"));
    promtool(&["check", "metrics"], page.text());
    let open = watched.ask(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text\r\n\r\n",
    );
    assert!(open.field("content-type").is_some_and(|it| it.starts_with("application/openmetrics")));
    assert!(open.text().ends_with("\n# EOF\n"), "{}", open.text());
}

/// Runs promtool on some text, which it has to accept without a word.
fn promtool(arguments: &[&str], input: &str) {
    let mut process = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is not installed: run `tests/run --install` first");
    process.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = process.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
}

#[test]
fn readiness_ends_with_a_drain_and_the_pages_stay_until_its_end() {
    let upstream = Upstream::listen();
    let mut watched = Watched::before(&upstream);
    assert_eq!(watched.get("/readyz").status(), 200);
    let (mut client, mut server) = open_stream(&watched, &upstream);
    watched.gateway.terminate();
    watched.wait("/readyz", |answer| (answer.status() == 503).then_some(()));
    assert_eq!(watched.get("/healthz").status(), 200);
    assert_eq!(watched.metric("sluicegate_ready"), 0.0);
    server.send("0\r\n\r\n");
    client.read_until("0\r\n\r\n");
    let status = watched.gateway.wait_exit(PATIENCE).expect("it ends");
    assert!(status.success(), "{status}");
}

#[test]
fn the_configuration_is_shown_and_the_token_is_not() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    let shown = watched.get("/config");
    assert!(shown.text().contains("token_file = ") && shown.text().contains("[timeouts]"));
    assert!(!shown.text().contains(TOKEN));
    assert!(watched.gateway.log().iter().all(|line| !line.contains(TOKEN)));
}

#[test]
fn the_log_level_changes_while_it_runs() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    assert_eq!(watched.get("/loglevel").text(), "debug\n");
    assert_eq!(watched.change("PUT", "/loglevel", "warn").text(), "warn\n");
    assert_eq!(watched.change("PUT", "/loglevel", "loud").status(), 400);
    let nonsense = || {
        let mut client = watched.gateway.connect();
        client.send("nonsense\r\n\r\n");
        client.read_end();
    };
    nonsense();
    assert_eq!(watched.change("PUT", "/loglevel", "info").status(), 200);
    nonsense();
    watched.gateway.wait_for_log("127.0.0.1: invalid_method");
    assert_eq!(watched.gateway.count_in_log("invalid_method"), 1);
}

#[test]
fn an_endpoint_is_drained_and_taken_back() {
    let (first, second) = (Upstream::listen(), Upstream::listen());
    let endpoint = format!("{}\", \"{}", first.address(), second.address());
    let balance = "balance = \"round_robin\"\nretry = \"off\"\nbreaker = \"off\"".to_owned();
    let watched = Watched::with(Config { endpoint, upstream: balance, ..Config::default() });
    let (first_name, second_name) = (first.address().to_string(), second.address().to_string());
    let order = |endpoint: &str, more: &str| {
        format!("{{\"upstream\":\"scripted\",\"endpoint\":\"{endpoint}\"{more}}}")
    };
    let draining = |endpoint: &str| {
        let answer = watched.get("/endpoints").json();
        let endpoints = answer["upstreams"][0]["endpoints"].as_array().expect("a list").clone();
        let found = endpoints.into_iter().find(|it| it["address"] == endpoint);
        let found = found.expect("it is there");
        (found["draining"].clone(), found["weight"].clone())
    };
    let body = order(&first_name, ",\"draining\":true");
    let length = body.len();
    let without = watched.ask(&format!(
        "PUT /endpoints HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    assert_eq!(without.status(), 401);
    assert_eq!(watched.change("PUT", "/endpoints", &body).status(), 200);
    assert_eq!(draining(&first_name), (true.into(), 1.into()));
    let served = |count: usize| {
        for _ in 0..count {
            let mut client = watched.gateway.connect();
            client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let mut server = second.accept();
            server.read_request();
            server.send("HTTP/1.1 204 No\r\nConnection: close\r\n\r\n");
            assert_eq!(client.read_response().status(), 204);
        }
    };
    served(4);
    first.expect_nobody();
    // Both: nobody is left.
    let both = order(&second_name, ",\"draining\":true,\"weight\":7");
    assert_eq!(watched.change("PUT", "/endpoints", &both).status(), 200);
    assert_eq!(draining(&second_name), (true.into(), 7.into()));
    let mut client = watched.gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_response().status(), 503);
    let back = order(&second_name, ",\"draining\":false");
    assert_eq!(watched.change("PUT", "/endpoints", &back).status(), 200);
    served(2);
    for wrong in
        [order("10.0.0.1:1", ",\"draining\":true"), order(&first_name, "").replace("scripted", "x")]
    {
        assert_eq!(watched.change("PUT", "/endpoints", &wrong).status(), 404, "{wrong}");
    }
    assert_eq!(watched.change("PUT", "/endpoints", "drain it").status(), 400);
}

#[test]
fn a_reload_is_asked_for_and_answered() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    assert_eq!(watched.ask("POST /reload HTTP/1.1\r\nHost: x\r\n\r\n").status(), 401);
    let done = watched.change("POST", "/reload", "");
    assert_eq!((done.status(), &done.json()["generation"]), (200, &1.into()));
    let good = watched.get("/config").text().to_owned();
    watched.gateway.rewrite("[server]\nlisten = []\n");
    let refused = watched.change("POST", "/reload", "");
    assert_eq!(refused.status(), 422);
    let told = refused.json()["error"]["message"].as_str().expect("text").to_owned();
    assert!(told.contains("server.listen: must name at least one address"), "{told}");
    assert_eq!(watched.get("/config").text(), good, "the old one stays");
}

/// What issue and documents promise to measure, moved by an exchange that has all of it.
#[test]
fn every_step_of_an_exchange_is_measured() {
    let upstream = Upstream::listen();
    let more = "pool = { connections = 1 }\nbreaker = {}\n\
                retry = { attempts = 2, on = [\"503\"], backoff = \"0s\" }";
    let config = Config { upstream: more.into(), ..Config::to(upstream.address()) };
    let watched = Watched::with(config);
    let mut client = watched.gateway.connect();
    let body = "{\"stream\":true}";
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(&request[..40]);
    std::thread::sleep(Duration::from_millis(40));
    client.send(&request[40..]);
    let mut server = upstream.accept();
    server.read_request();
    server.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let mut server = upstream.accept();
    server.read_request();
    // Somebody has to wait for the one connection there is.
    let mut waiting = watched.gateway.connect();
    waiting.send(&request);
    watched.wait("/metrics", |page| {
        page.text().contains("queue_length{upstream=\"scripted\"} 1\n").then_some(())
    });
    let token = |text: &str| {
        event(&format!(
            "{{\"model\":\"m-7\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}"
        ))
    };
    server.send(format!("{STREAM}{}", token("a")));
    client.read_until("\"a\"");
    assert_eq!(
        watched.wait("/streams", |answer| {
            let streams = answer.json()["streams"].as_array().expect("a list").clone();
            streams.into_iter().find(|stream| stream["phase"] == "streaming")
        })["model"],
        "m-7"
    );
    std::thread::sleep(Duration::from_millis(40));
    let end = "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":3}}";
    server.send(format!("{}{}{}0\r\n\r\n", token("b"), event(end), event("[DONE]")));
    client.read_until("0\r\n\r\n");
    server.read_request();
    server.send(format!("{STREAM}{}{}{}0\r\n\r\n", token("c"), event(end), event("[DONE]")));
    waiting.read_until("0\r\n\r\n");
    // Sampled: one turn in 64 has to come by.
    let mut idle = watched.gateway.connect();
    for _ in 0..80 {
        idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        server.read_request();
        server.send("HTTP/1.1 204 No\r\n\r\n");
        idle.read_response();
    }
    let text = watched.get("/metrics").text().to_owned();
    let count = |series: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is not there")).parse().expect("a number")
    };
    for hop in ["head", "queue", "connect", "send", "first_byte", "first_event", "rest"] {
        let series = format!("sluicegate_hop_seconds_count{{hop=\"{hop}\"}}");
        assert!(count(&series) >= 1.0, "{hop}");
    }
    for (series, least) in [
        ("sluicegate_hop_seconds_sum{hop=\"head\"}", 0.02),
        ("sluicegate_hop_seconds_sum{hop=\"rest\"}", 0.02),
        ("sluicegate_queue_wait_seconds_count", 1.0),
        ("sluicegate_queue_wait_seconds_sum", 0.02),
        ("sluicegate_relay_seconds_count", 1.0),
        ("gen_ai_server_time_per_output_token_seconds_count", 2.0),
        ("gen_ai_server_time_per_output_token_seconds_sum", 0.01),
        ("gen_ai_client_token_usage_sum{gen_ai_token_type=\"input\"}", 22.0),
        ("gen_ai_client_token_usage_sum{gen_ai_token_type=\"output\"}", 6.0),
        ("gen_ai_server_time_to_first_token_seconds_count", 2.0),
        ("gen_ai_server_request_duration_seconds_count", 82.0),
        ("sluicegate_retry_causes_total{cause=\"status\"}", 1.0),
        ("sluicegate_pool_checkouts_total{result=\"wait\"}", 1.0),
        ("sluicegate_pool_checkouts_total{result=\"hit\"}", 1.0),
        ("sluicegate_pool_checkouts_total{result=\"miss\"}", 2.0),
        ("sluicegate_turn_events_count", 64.0),
        ("sluicegate_system_calls_total{worker=\"0\",call=\"write\"}", 80.0),
    ] {
        assert!(count(series) >= least, "{series}: {} is less than {least}", count(series));
    }
    let breaker = format!(
        "sluicegate_endpoint_breaker_state{{upstream=\"scripted\",endpoint=\"{}\",state=\"closed\"}}",
        upstream.address()
    );
    assert_eq!(count(&breaker), 1.0);
    promtool(&["check", "metrics"], &text);
}

#[test]
fn wrong_paths_methods_and_hosts_are_refused() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    assert_eq!(watched.get("/nowhere").status(), 404);
    let wrong = watched.change("POST", "/metrics", "");
    assert_eq!((wrong.status(), wrong.field("allow")), (405, Some("GET, HEAD")));
    let foreign = watched.ask("GET /streams HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(foreign.json()["error"]["code"], "foreign_host");
}

#[test]
fn an_admin_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let file = std::env::temp_dir().join(format!("sluicegate-taken-{}.toml", std::process::id()));
    let config = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 10\n\
         [admin]\nlisten = \"{address}\"\n[[upstream]]\nname = \"a\"\n\
         endpoints = [\"127.0.0.1:1\"]\n[[route]]\npath = \"/*\"\nupstream = \"a\"\n"
    );
    std::fs::write(&file, config).expect("a temporary file");
    let ended = sluicegate(&["run", "--config", &file.to_string_lossy()]);
    let _ = std::fs::remove_file(&file);
    assert_eq!(ended.status.code(), Some(1));
    let expected = format!("cannot listen on {address}: port {} is taken", address.port());
    assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
    assert!(ended.stderr.contains("[admin] listen"), "{}", ended.stderr);
}

#[test]
fn the_rules_and_metrics_of_the_documents_are_right() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations");
    let rules = root.join("alerts.yml");
    let said = Command::new("promtool").args(["check", "rules"]).arg(&rules).output();
    let said = said.expect("promtool is not installed: run `tests/run --install` first");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/alerts.test.yml");
    let said = Command::new("promtool").args(["test", "rules"]).arg(&cases).output();
    let said = said.expect("promtool is installed");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    // Every alert is made to fire by one of the cases.
    let text = |path: &std::path::Path| std::fs::read_to_string(path).expect("a document");
    let (rules, cases) = (text(&rules), text(&cases));
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(cases.contains(&format!("alertname: {alert}\n")), "{alert} has no case");
    }
    let upstream = Upstream::listen();
    let page = Watched::before(&upstream).get("/metrics");
    let known: Vec<&str> = page
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    for name in ["alerts.yml", "grafana.json"] {
        let text = std::fs::read_to_string(root.join(name)).expect("a document");
        let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        let named = text.split(word).filter(|word| {
            (word.starts_with("sluicegate_") || word.starts_with("gen_ai_"))
                && word.len() > 11
                && *word != "gen_ai_token_type"
        });
        let mut count = 0;
        for metric in named {
            let family = metric.trim_end_matches("_bucket").trim_end_matches("_sum");
            assert!(known.contains(&family), "{name} names {metric}, which is no metric");
            count += 1;
        }
        assert!(count > 5, "{name} was searched");
    }
}

#[test]
fn every_exchange_has_a_line_and_a_renamed_file_is_opened_again() {
    let upstream = Upstream::listen();
    let file = std::env::temp_dir().join(format!("sluicegate-access-{}.log", std::process::id()));
    let moved = file.with_extension("old");
    let more = format!("[access_log]\nto = \"{}\"\n", file.display());
    let watched = Watched::with(Config { more, ..Config::to(upstream.address()) });
    let (mut client, mut server) = open_stream(&watched, &upstream);
    std::thread::sleep(Duration::from_millis(50));
    server.send(format!("{}{}0\r\n\r\n", event("2"), event("[DONE]")));
    client.read_until("[DONE]\n\n\r\n0\r\n\r\n");
    let line = first_line(&file);
    assert_eq!((&line["end"], &line["status"]), (&"unobserved".into(), &200.into()), "{line}");
    assert_eq!((&line["upstream"], &line["tokens_out"]), (&"scripted".into(), &3.into()), "{line}");
    let micros = |name: &str| line[name].as_u64().unwrap_or_else(|| panic!("{name}: {line}"));
    let hops = ["attached_us", "connected_us", "first_byte_us", "first_event_us", "total_us"];
    assert!(hops.windows(2).all(|pair| micros(pair[0]) <= micros(pair[1])), "{line}");
    assert!(micros("waited_upstream_us") >= 50_000, "the pause was the server's: {line}");
    let waited = ["waited_upstream_us", "waited_client_us", "waited_gateway_us"];
    let sum: u64 = waited.map(micros).iter().sum();
    assert!(sum.abs_diff(micros("total_us")) <= 3, "the accounts add up: {line}");

    std::fs::rename(&file, &moved).expect("it is there");
    crate::harness::signal(&watched.gateway, rustix::process::Signal::USR1);
    let deadline = Instant::now() + PATIENCE;
    while !file.exists() {
        assert!(Instant::now() < deadline, "the file is not opened again");
        std::thread::sleep(Duration::from_millis(1));
    }
    client.send(POST);
    server.read_request();
    drop(client);
    let line = first_line(&file);
    assert_eq!((&line["end"], &line["status"]), (&"client_gone".into(), &499.into()), "{line}");
    let _ = (std::fs::remove_file(&file), std::fs::remove_file(&moved));
}

/// `/dev/full` takes nothing, as a disk that is full.
#[test]
fn a_full_disk_costs_lines_and_no_answer() {
    let upstream = Upstream::listen();
    let more = "[access_log]\nto = \"/dev/full\"\n".into();
    let watched = Watched::with(Config { more, ..Config::to(upstream.address()) });
    for _ in 0..3 {
        let (mut client, mut server) = open_stream(&watched, &upstream);
        server.send(format!("{}0\r\n\r\n", event("[DONE]")));
        client.read_until("[DONE]\n\n\r\n0\r\n\r\n");
    }
    watched.gateway.wait_for_log("the access log cannot be written: No space left on device");
    let deadline = Instant::now() + PATIENCE;
    while !watched.get("/metrics").text().contains("\nsluicegate_log_lines_dropped_total 3\n") {
        assert!(Instant::now() < deadline, "the lines are not counted");
    }
    let told =
        watched.gateway.log().iter().filter(|line| line.contains("cannot be written")).count();
    assert_eq!(told, 1, "once, and not for every line");
}

/// The first line of a file, once it is there.
fn first_line(file: &std::path::Path) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Some((line, _)) = text.split_once('\n') {
            return serde_json::from_str(line).expect("JSON");
        }
        assert!(Instant::now() < deadline, "no line: {text:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_pipe_that_nobody_reads_costs_lines_and_no_answer() {
    let file = std::env::temp_dir().join(format!("sluicegate-pipe-{}.toml", std::process::id()));
    let config = "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n\
                  requests_per_connection = 100000\n[admin]\nlisten = \"127.0.0.1:0\"\n\
                  [[upstream]]\nname = \"a\"\nendpoints = [\"127.0.0.1:1\"]\n\
                  [[route]]\npath = \"/v1/*\"\nupstream = \"a\"\n";
    std::fs::write(&file, config).expect("a temporary file");
    let mut process = Command::new(env!("CARGO_BIN_EXE_sluicegate"))
        .args(["run", "--config"])
        .arg(&file)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // Both addresses are told; from then on nobody reads.
    let stderr = BufReader::new(process.stderr.take().expect("a pipe"));
    let mut lines = stderr.lines();
    let mut address = |text: &str| -> SocketAddr {
        let line = lines.next().expect("a line").expect("text");
        let (_, address) = line.split_once(text).unwrap_or_else(|| panic!("{line}"));
        address.trim().parse().expect("an address")
    };
    let (gateway, admin) = (address("listening on http://"), address("admin on http://"));
    let mut client = Peer::connect(gateway);
    // Each of them is worth a line: more than the pipe and the queue together can hold.
    let requests = 200;
    let batch = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".repeat(requests);
    for _ in 0..70 {
        client.send(&batch);
        for _ in 0..requests {
            assert_eq!(client.read_response().status(), 404);
        }
    }
    let mut peer = Peer::connect(admin);
    peer.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let page = peer.read_response();
    let dropped = page.text().lines().find_map(|line| {
        line.strip_prefix("sluicegate_log_lines_dropped_total ")?.parse::<u64>().ok()
    });
    let _ = (process.kill(), process.wait(), std::fs::remove_file(&file));
    drop(lines);
    assert!(dropped.is_some_and(|count| count > 0), "{dropped:?} lines were dropped");
}

#[test]
fn top_draws_the_streams_of_a_gateway() {
    let upstream = Upstream::listen();
    let watched = Watched::before(&upstream);
    let _stream = open_stream(&watched, &upstream);
    let stream = watched.stream();
    let admin = watched.admin.to_string();
    let ended = sluicegate(&["top", "--once", "--admin", &admin]);
    assert!(ended.status.success(), "{}", ended.stderr);
    let id = stream["request_id"].as_str().expect("an id");
    for expected in ["serving", "streams 1", id, "streaming", "worker 0"] {
        assert!(ended.stdout.contains(expected), "{expected}: {}", ended.stdout);
    }
    watched.gateway.wait_for_log("and its listener has left");
    assert_eq!(watched.gateway.count_in_log("client_gone"), 0, "who has seen enough is no failure");
    let nobody = sluicegate(&["top", "--once", "--admin", "127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(1));
    let hint = "does its configuration have [admin] listen = \"127.0.0.1:1\"?";
    assert!(nobody.stderr.contains(hint), "{}", nobody.stderr);
    // The gateway itself, say, or what else has the usual port.
    let other = upstream.address().to_string();
    let server = std::thread::spawn(move || {
        let mut server = upstream.accept();
        server.read_request();
        server.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    let stranger = sluicegate(&["top", "--once", "--admin", &other]);
    server.join().expect("it is asked");
    assert_eq!(stranger.status.code(), Some(1));
    assert!(stranger.stderr.contains("404 Not Found"), "{}", stranger.stderr);
    assert!(stranger.stderr.contains("[admin] listen"), "{}", stranger.stderr);
}
