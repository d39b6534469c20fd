//! Endpoints that are names.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::thread;

use rustix::process::Signal;

use crate::harness::{Config, Gateway, Message, Peer, signal};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

/// Answers every request with `body`.
fn serve(listener: TcpListener, body: &'static str) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut peer = Peer::of(stream);
                loop {
                    peer.receive(crate::harness::PATIENCE);
                    if peer.unread().is_empty() {
                        return;
                    }
                    peer.read_request();
                    let length = body.len();
                    peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"));
                }
            });
        }
    });
}

fn bind(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).expect("a free port");
    let address = listener.local_addr().expect("a socket");
    (listener, address)
}

fn named(name: &str, port: u16) -> Config {
    let endpoint = format!("{name}:{port}");
    let upstream = "retry = { attempts = 3 }\nbalance = \"round_robin\"".to_owned();
    Config { endpoint, upstream, ..Config::default() }
}

fn ask(gateway: &Gateway) -> Message {
    let mut client = gateway.connect();
    client.send(GET);
    client.read_response()
}

#[test]
fn localhost_is_all_of_its_addresses() {
    // On many machines it is ::1 first, and this server is at the second.
    let (listener, address) = bind("127.0.0.1:0");
    serve(listener, "four");
    let gateway = named("localhost", address.port()).start();
    for _ in 0..4 {
        assert_eq!(ask(&gateway).text(), "four");
    }
    drop(gateway);
    let local = ("localhost", address.port()).to_socket_addrs().expect("every machine knows it");
    let known = local.into_iter().any(|address| address.is_ipv6());
    let Some(second) = TcpListener::bind(("::1", address.port())).ok().filter(|_| known) else {
        return eprintln!("SKIPPED: localhost has no ::1 here, or its port is taken");
    };
    serve(second, "six");
    let gateway = named("localhost", address.port()).start();
    let bodies: BTreeSet<String> = (0..8).map(|_| ask(&gateway).text().to_owned()).collect();
    assert_eq!(bodies, BTreeSet::from(["four".to_owned(), "six".to_owned()]));
}

#[test]
fn the_log_of_a_failed_connect_names_endpoint_and_address_and_the_answer_does_not() {
    let (listener, address) = bind("127.0.0.1:0");
    drop(listener);
    let config = Config { upstream: String::new(), ..named("localhost", address.port()) };
    let gateway = config.start();
    let answer = ask(&gateway);
    assert_eq!(answer.json()["error"]["code"], "upstream_connect");
    assert!(!answer.text().contains("localhost") && !answer.text().contains("127.0.0.1"));
    let line = gateway.wait_for_log("502 upstream_connect");
    let port = address.port();
    let places = [format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
    let told = |place: &String| line.contains(&format!("(scripted: localhost:{port} ({place}))"));
    assert!(places.iter().any(told), "{line}");
}

#[test]
fn a_name_without_an_address_stops_neither_start_nor_reload() {
    let (listener, address) = bind("127.0.0.1:0");
    serve(listener, "four");
    let mixed = |name: &str| {
        let endpoint = format!("{name}:80\", \"{address}");
        Config { endpoint, ..named("127.0.0.1", address.port()) }
    };
    let gateway = mixed("name.invalid").start();
    gateway.expect_in_log("the name \"name.invalid:80\" cannot be resolved now", 1);
    for _ in 0..6 {
        assert_eq!(ask(&gateway).text(), "four");
    }
    gateway.rewrite(&mixed("other.invalid").text());
    signal(&gateway, Signal::HUP);
    gateway.wait_for_log("generation 1 is in force");
    gateway.expect_in_log("the name \"other.invalid:80\" cannot be resolved now", 1);
    assert_eq!(ask(&gateway).text(), "four");
    gateway.expect_in_log("name.invalid", 1);
}

#[test]
fn where_no_name_has_an_address_the_gateway_says_503_and_goes_on() {
    let gateway = named("name.invalid", 80).start();
    for _ in 0..3 {
        let answer = ask(&gateway);
        assert_eq!(
            (answer.status(), answer.json()["error"]["code"].as_str()),
            (503, Some("no_upstream"))
        );
        assert_eq!(answer.field("retry-after"), Some("1"));
    }
}
