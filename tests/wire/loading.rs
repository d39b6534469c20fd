//! While a model loads: a server says so, and requests wait for it, with signs of life, or go elsewhere.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::admin::Watched;
use crate::harness::chat::{expect_code, sized};
use crate::harness::{Config, Gateway, PATIENCE, Peer, Upstream};

/// llama.cpp's own words.
const LOADING: &str =
    r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#;
const BUSY: &str =
    r#"{"error":{"message":"no slot is free","type":"unavailable_error","code":503}}"#;
const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const DONE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\
                    \"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// A server that loads its model: until it is told otherwise, it answers as llama.cpp does.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    answer: Arc<Mutex<String>>,
    requests: Arc<AtomicUsize>,
}

impl Server {
    fn start(answer: impl Into<String>) -> Server {
        let answer = Arc::new(Mutex::new(answer.into()));
        let requests = Arc::<AtomicUsize>::default();
        let (said, counted) = (Arc::clone(&answer), Arc::clone(&requests));
        let address = Upstream::serve(move |mut peer| {
            while let Some(request) = peer.next_request() {
                counted.fetch_add(1, Ordering::Relaxed);
                let mut answer = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if answer.is_empty() {
                    answer = match request.text().contains("\"stream\":true") {
                        true => stream(),
                        false => document(),
                    };
                }
                if peer.try_send(answer).is_err() {
                    return;
                }
            }
        });
        Server { address, answer, requests }
    }

    fn loading() -> Server {
        Server::start(unavailable(LOADING))
    }

    fn is_loaded(&self) {
        self.says("");
    }

    fn says(&self, answer: impl Into<String>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer.into();
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

fn unavailable(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json; charset=utf-8\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

fn document() -> String {
    let body = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"}}]}"#;
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn stream() -> String {
    let (head, length) = ("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n", DONE.len());
    format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{DONE}\r\n0\r\n\r\n")
}

/// A gateway in front of it, with every default; `upstream` and `route` are TOML.
fn gateway(server: &Server, upstream: &str, route: &str) -> Gateway {
    let mut config = Config::to(server.address);
    config.upstream = format!("retry = {{}}\n{upstream}");
    config.route = route.to_owned();
    config.start()
}

fn ask(gateway: &Gateway, body: &str) -> Peer {
    let mut client = gateway.connect();
    client.send(sized("", body));
    client
}

#[test]
fn a_request_waits_until_the_model_is_loaded() {
    let server = Server::loading();
    let gateway = gateway(&server, "", "");
    let mut clients: Vec<Peer> = (0..8).map(|_| ask(&gateway, BODY)).collect();
    gateway.wait_for_log("loads its model; requests wait");
    thread::sleep(Duration::from_millis(700));
    for client in &mut clients {
        assert!(client.unread().is_empty(), "{}", client.transcript());
    }
    // Each may have come before the first was answered; after that one asks at a time.
    let asked = server.requests();
    assert!(asked <= 8 + 2, "{asked} requests in 700 ms");
    let began = Instant::now();
    server.is_loaded();
    for client in &mut clients {
        let answer = client.read_response();
        assert_eq!((answer.status(), answer.field("x-sluice-attempts")), (200, Some("1")));
    }
    // The next probe is a second away at most, and calls all the others.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    gateway.wait_for_log("has its model, after");
    assert_eq!(gateway.count_in_log("is out for"), 0, "it is no fault: {:#?}", gateway.log());
}

#[test]
fn a_stream_gets_signs_of_life_while_its_model_loads() {
    let server = Server::loading();
    let heartbeat = "heartbeat = { every = \"1s\", before_head = true }";
    let gateway = gateway(&server, "", heartbeat);
    let mut client = ask(&gateway, STREAM);
    let head = client.read_head();
    assert_eq!((head.status(), head.field("content-type")), (200, Some("text/event-stream")));
    client.read_until(": ");
    client.read_until(": ");
    server.is_loaded();
    let rest = String::from_utf8(client.read_until("[DONE]")).expect("text");
    assert!(rest.contains("\"content\":\"hi\""), "{rest}");
    assert!(!rest.contains("error"), "{rest}");
}

#[test]
fn who_waits_too_long_is_told_when_to_come_again() {
    let server = Server::loading();
    let gateway = gateway(&server, "while_loading = { wait = \"400ms\" }", "");
    let mut client = ask(&gateway, BODY);
    let began = Instant::now();
    let answer = client.read_response();
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.field("retry-after"), Some("5"));
    assert_eq!(answer.json()["error"]["code"], "model_loading");
}

#[test]
fn in_a_stream_that_waited_too_long_the_reason_stands() {
    let server = Server::loading();
    let heartbeat = "heartbeat = { every = \"1s\", before_head = true }";
    let gateway = gateway(&server, "while_loading = { wait = \"1500ms\" }", heartbeat);
    let mut client = ask(&gateway, STREAM);
    assert_eq!(client.read_head().status(), 200);
    client.read_until("model_loading");
}

#[test]
fn where_it_is_off_the_servers_word_passes() {
    let server = Server::loading();
    let gateway = gateway(&server, "while_loading = \"off\"\nbreaker = \"off\"", "");
    let mut client = ask(&gateway, BODY);
    let answer = client.read_response();
    assert_eq!((answer.status(), answer.text()), (503, LOADING));
    assert_eq!(server.requests(), 2, "retried as any other 503");
}

#[test]
fn a_server_that_is_busy_is_not_waited_for() {
    let server = Server::start(unavailable(BUSY));
    let gateway = gateway(&server, "breaker = \"off\"", "");
    let mut client = ask(&gateway, BODY);
    let answer = client.read_response();
    assert_eq!((answer.status(), answer.text()), (503, BUSY));
    assert_eq!(server.requests(), 2, "retried as any other 503");
}

#[test]
fn behind_a_head_of_ours_a_busy_server_is_told_of_as_before() {
    let server = Server::start(unavailable(BUSY));
    let heartbeat = "heartbeat = { every = \"1s\", before_head = true }";
    let slow = Upstream::serve(move |mut peer| {
        peer.next_request();
        thread::sleep(Duration::from_millis(1500));
        let _ = peer.try_send(unavailable(BUSY));
    });
    let server = Server { address: slow, ..server };
    let gateway = gateway(&server, "breaker = \"off\"", heartbeat);
    let mut client = ask(&gateway, STREAM);
    assert_eq!(client.read_head().status(), 200);
    client.read_until("upstream_status");
}

#[test]
fn another_endpoint_that_is_ready_answers_at_once() {
    let (loads, ready) = (Server::loading(), Server::start(""));
    let both = Server { address: loads.address, ..loads.clone() };
    let mut config = Config::to(both.address);
    config.endpoint = format!("{}\", \"{}", loads.address, ready.address);
    config.upstream = "retry = {}\nbalance = \"round_robin\"".into();
    let gateway = config.start();
    for _ in 0..6 {
        let began = Instant::now();
        assert_eq!(ask(&gateway, BODY).read_response().status(), 200);
        assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    }
    assert_eq!(ready.requests(), 6);
}

#[test]
fn the_next_upstream_answers_while_the_first_one_loads() {
    let (loads, ready) = (Server::loading(), Server::start(""));
    let mut config = Config::to(loads.address);
    config.upstream = "retry = {}".into();
    config.more = format!(
        "[[upstream]]\nname = \"second\"\nendpoints = [\"{}\"]\n\
         [[route]]\npath = \"/v1/*\"\nupstream = [\"scripted\", \"second\"]\n",
        ready.address
    );
    config.route = "path = \"/other\"".into();
    let gateway = config.start();
    for _ in 0..4 {
        assert_eq!(ask(&gateway, BODY).read_response().status(), 200);
    }
    assert_eq!(ready.requests(), 4);
    // And when neither is ready, the last that was asked is waited for.
    ready.says(unavailable(LOADING));
    let mut client = ask(&gateway, BODY);
    thread::sleep(Duration::from_millis(400));
    assert!(client.unread().is_empty(), "{}", client.transcript());
    loads.is_loaded();
    ready.is_loaded();
    assert_eq!(client.read_response().status(), 200);
}

#[test]
fn a_predefined_answer_comes_when_the_wait_is_over() {
    let server = Server::loading();
    let fallback = "fallback = { text = \"Sorry.\" }";
    let gateway = gateway(&server, "while_loading = { wait = \"300ms\" }", fallback);
    let answer = ask(&gateway, BODY).read_response();
    assert!(answer.status() == 200 && answer.text().contains("Sorry."), "{}", answer.text());
}

#[test]
fn a_client_that_leaves_frees_the_line() {
    let server = Server::loading();
    let gateway = gateway(&server, "admission = { queue = 1 }", "");
    let leaves = ask(&gateway, BODY);
    gateway.wait_for_log("loads its model; requests wait");
    thread::sleep(Duration::from_millis(100));
    let mut second = ask(&gateway, BODY);
    expect_code(&mut second, 429, "queue_full");
    leaves.reset();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut third = ask(&gateway, BODY);
        thread::sleep(Duration::from_millis(100));
        if third.unread().is_empty() {
            server.is_loaded();
            assert_eq!(third.read_response().status(), 200);
            return;
        }
        assert!(Instant::now() < deadline, "the line is never free");
    }
}

#[test]
fn a_drain_lets_those_wait_who_wait() {
    let server = Server::loading();
    let mut gateway = gateway(&server, "", "");
    let mut client = ask(&gateway, BODY);
    gateway.wait_for_log("loads its model; requests wait");
    gateway.terminate();
    thread::sleep(Duration::from_millis(300));
    assert!(client.unread().is_empty(), "{}", client.transcript());
    server.is_loaded();
    assert_eq!(client.read_response().status(), 200);
    assert!(gateway.wait_exit(PATIENCE).is_some_and(|status| status.success()));
}

#[test]
fn a_reload_keeps_those_who_wait() {
    let server = Server::loading();
    let mut config = Config::to(server.address);
    config.upstream = "retry = {}".into();
    let gateway = config.start();
    let mut client = ask(&gateway, BODY);
    gateway.wait_for_log("loads its model; requests wait");
    config.upstream = "retry = { attempts = 3 }".into();
    gateway.rewrite(&config.text());
    crate::harness::signal(&gateway, rustix::process::Signal::HUP);
    gateway.wait_for_log("is in force");
    server.is_loaded();
    assert_eq!(client.read_response().status(), 200);
}

/// A word that comes in pieces, in chunks, from a server that closes behind it.
#[test]
fn its_word_is_understood_however_it_comes() {
    let count = Arc::<AtomicUsize>::default();
    let address = Upstream::serve(move |mut peer| {
        let Some(_) = peer.next_request() else { return };
        if count.fetch_add(1, Ordering::Relaxed) > 0 {
            peer.send(document());
            return;
        }
        peer.send(
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
        );
        for byte in LOADING.as_bytes() {
            peer.send(format!("1\r\n{}\r\n", char::from(*byte)));
        }
        peer.send("0\r\n\r\n");
    });
    let server = Server { address, ..Server::loading() };
    let gateway = gateway(&server, "", "");
    let mut client = ask(&gateway, BODY);
    assert_eq!(client.read_response().status(), 200);
}

#[test]
fn the_admin_address_tells_of_an_endpoint_that_loads() {
    let server = Server::loading();
    let mut config = Config::to(server.address);
    config.upstream = "retry = {}".into();
    let watched = Watched::with(config);
    let mut client = ask(&watched.gateway, BODY);
    watched.gateway.wait_for_log("loads its model; requests wait");
    let upstream = watched.wait("/endpoints", |page| {
        let upstream = page.json()["upstreams"][0].clone();
        (upstream["awaiting_model"] == 1).then_some(upstream)
    });
    let endpoint = &upstream["endpoints"][0];
    assert_eq!((&endpoint["loading"], &endpoint["up"]), (&true.into(), &false.into()));
    let metrics = watched.get("/metrics").text().to_owned();
    assert!(metrics.contains("sluicegate_awaiting_model{upstream=\"scripted\"} 1"), "{metrics}");
    let streams = watched.get("/streams").text().to_owned();
    assert!(streams.contains("awaiting model"), "{streams}");
    server.is_loaded();
    assert_eq!(client.read_response().status(), 200);
    watched.wait("/metrics", |page| {
        page.text().contains("sluicegate_awaiting_model{upstream=\"scripted\"} 0").then_some(())
    });
}
