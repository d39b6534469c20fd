//! `https://` upstreams, and what becomes of those that cannot be believed.

use serde_json::Value;

use super::{Authority, EXPIRED, Pair, TlsServer};
use crate::harness::{Config, Gateway, Message, Upstream, signal};

/// A gateway in front of `https://localhost:PORT`, which it believes if `ca` has signed it.
fn config(server: &TlsServer, ca: &Authority, keys: &str) -> Config {
    Config {
        endpoint: format!("https://localhost:{}", server.port),
        upstream: format!("tls.ca = {:?}\n{keys}", ca.ca),
        ..Config::default()
    }
}

fn ask(gateway: &Gateway, path: &str) -> Message {
    let mut client = gateway.connect();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: client.test\r\n\r\n"));
    client.read_response()
}

#[test]
fn a_server_is_asked_by_its_name_and_its_connections_are_kept() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority.issue(&["localhost"]), None);
    let gateway = config(&server, &authority, "").start();
    let told = |path: &str| ask(&gateway, path).json();
    let first = told("/a");
    let host = format!("localhost:{}", server.port);
    assert_eq!((&first["name"], &first["host"]), (&"localhost".into(), &host.into()));
    assert_eq!((&first["alpn"], &first["resumed"]), (&"http/1.1".into(), &false.into()));
    assert_eq!(told("/a")["served"], 2, "the connection is kept");
    // Behind a body that ends with its connection there is another one, which is resumed.
    assert_eq!(ask(&gateway, "/whole").status(), 200);
    let resumed = told("/a");
    assert_eq!((&resumed["served"], &resumed["resumed"]), (&1.into(), &true.into()));
}

#[test]
fn a_url_has_a_base_under_tls_too() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority.issue(&["localhost"]), None);
    let endpoint = format!("https://localhost:{}/openai/v1", server.port);
    let gateway = Config { endpoint, ..config(&server, &authority, "") }.start();
    let told = ask(&gateway, "/v1/a").json();
    let host = format!("localhost:{}", server.port);
    assert_eq!((&told["path"], &told["host"]), (&"/openai/v1/a".into(), &host.into()));
}

#[test]
fn tokens_of_a_server_arrive_one_by_one() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority.issue(&["localhost"]), None);
    let gateway = config(&server, &authority, "").start();
    let apart = || {
        let mut client = gateway.connect();
        client.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
        client.read_until("0\r\n\r\n");
        let arrivals: Vec<_> =
            (0..10).map(|number| client.arrival_of(&format!("data: {number}.\n"))).collect();
        arrivals.windows(2).filter(|pair| (pair[1] - pair[0]).as_millis() >= 10).count()
    };
    // At once there would be none. A busy machine may read some of them late and together, not each time.
    let seen: Vec<usize> = (0..3).map(|_| apart()).collect();
    assert!(seen.iter().any(|count| *count >= 7), "{seen:?}");
}

#[test]
fn an_end_without_a_farewell_is_a_truncation() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority.issue(&["localhost"]), None);
    let gateway = config(&server, &authority, "").start();
    for (path, whole) in [("/whole", true), ("/cut", false)] {
        let mut client = gateway.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        client.read_until("all of it\r\n");
        client.read_end();
        // It is passed on in chunks, so the last chunk says whether it is whole.
        assert_eq!(client.received().ends_with(b"0\r\n\r\n"), whole, "{path}");
    }
    gateway.wait_for_log("upstream_reset, cut short");
}

#[test]
fn a_server_is_told_that_its_connection_ends() {
    let authority = Authority::new();
    let mut server = TlsServer::start(&authority.issue(&["localhost"]), None);
    let gateway = config(&server, &authority, "pool.idle_timeout = \"100ms\"").start();
    assert_eq!(ask(&gateway, "/a").status(), 200);
    assert_eq!(server.line(), "end: close_notify");
}

#[test]
fn a_server_that_cannot_be_believed_is_told_by_name() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let good = authority.issue(&["localhost"]);
    let plain = Upstream::serve(|mut peer| {
        peer.receive(std::time::Duration::from_secs(5));
        peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    let shown = |pair: &Pair| TlsServer::start(pair, None);
    let expired = shown(&authority.issue_for(&["localhost"], EXPIRED));
    let other = shown(&authority.issue(&["other.test"]));
    let old = shown(&authority.issue_version_1("localhost"));
    let (unknown, asks) = (shown(&good), TlsServer::start(&good, Some(&stranger)));
    for (config, code, word) in [
        (config(&expired, &authority, ""), "upstream_certificate_expired", "has expired"),
        (config(&other, &authority, ""), "upstream_certificate_name", "is for another name"),
        (config(&unknown, &stranger, ""), "upstream_certificate_issuer", "nobody who is trusted"),
        (config(&old, &authority, ""), "upstream_certificate", "is of X.509 version 1"),
        (config(&asks, &authority, ""), "upstream_tls", "wants a certificate of ours"),
        (
            Config { endpoint: format!("https://{plain}"), ..config(&unknown, &authority, "") },
            "upstream_tls",
            "is not TLS",
        ),
    ] {
        let gateway = config.start();
        let answer = ask(&gateway, "/a");
        let error = &answer.json()["error"];
        assert_eq!((answer.status(), &error["code"]), (502, &code.into()), "{error}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains(word)), "{error}");
        let line = gateway.wait_for_log(&format!("502 {code}"));
        assert!(line.contains(word), "{line}");
    }
}

#[test]
fn we_are_who_our_certificate_says_and_a_name_may_be_another() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = TlsServer::start(&authority.issue(&["inner.test"]), Some(&clients));
    let own = clients.issue(&["gateway-7"]);
    let keys = format!(
        "tls.server_name = \"inner.test\"\ntls.certificate = {:?}\ntls.key = {:?}\nhost = \"api.test\"",
        own.certificate, own.key
    );
    let gateway = config(&server, &authority, &keys).start();
    let told = ask(&gateway, "/a").json();
    let told = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        ["client", "name", "host"].map(told),
        ["gateway-7", "inner.test", "api.test"].map(str::to_owned)
    );
}

#[test]
fn who_believes_anybody_is_warned() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority.issue_for(&["other.test"], EXPIRED), None);
    let config = Config {
        endpoint: format!("https://localhost:{}", server.port),
        upstream: "tls.dangerously_unverified = true".into(),
        ..Config::default()
    };
    let gateway = config.start();
    assert_eq!(ask(&gateway, "/a").status(), 200);
    gateway.wait_for_log("every certificate is believed");
}

/// An idle connection that was made under one identity is not used under another.
#[test]
fn a_connection_belongs_to_the_identity_it_was_made_for() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = TlsServer::start(&authority.issue(&["localhost"]), Some(&clients));
    let keys =
        |pair: &Pair| format!("tls.certificate = {:?}\ntls.key = {:?}", pair.certificate, pair.key);
    let [a, b] = [&["a"][..], &["b"]].map(|names| clients.issue(names));
    let before = config(&server, &authority, &keys(&a));
    let gateway = before.start();
    let told = |gateway: &Gateway| {
        let Value::Object(told) = ask(gateway, "/a").json() else { panic!("no object") };
        (told["client"].as_str().map(str::to_owned), told["served"].as_u64())
    };
    assert_eq!(told(&gateway), (Some("a".into()), Some(1)));
    assert_eq!(told(&gateway), (Some("a".into()), Some(2)));
    gateway.rewrite(&config(&server, &authority, &keys(&b)).text());
    signal(&gateway, rustix::process::Signal::HUP);
    gateway.wait_for_log("generation 1 is in force");
    assert_eq!(told(&gateway), (Some("b".into()), Some(1)));
    // Nothing that matters to it has changed: the connection goes on.
    let same = config(&server, &authority, &keys(&b)).text();
    gateway.rewrite(&same.replace("[timeouts]", "[timeouts]\nhead = \"9s\""));
    signal(&gateway, rustix::process::Signal::HUP);
    gateway.wait_for_log("generation 2 is in force");
    assert_eq!(told(&gateway), (Some("b".into()), Some(2)));
}

#[test]
fn health_checks_speak_tls_too() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = TlsServer::start(&authority.issue(&["localhost"]), None);
    let health = "health = { path = \"/health\", interval = \"300ms\", timeout = \"300ms\", \
                  unhealthy = 1 }";
    let gateway = config(&server, &stranger, health).start();
    let line = gateway.wait_for_log("is unwell");
    assert!(line.contains("no TLS session: its certificate was signed by nobody"), "{line}");
    gateway.rewrite(&config(&server, &authority, health).text());
    signal(&gateway, rustix::process::Signal::HUP);
    gateway.wait_for_log("generation 1 is in force");
    assert_eq!(ask(&gateway, "/a").status(), 200);
}
