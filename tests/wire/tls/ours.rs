//! Questions of our own under TLS: to a store, to a collector of spans, and to an authoriser.

use std::time::{Duration, Instant};

use super::{Authority, EXPIRED, GOOD, TlsServer};
use crate::harness::{EtcdCluster, Gateway, PATIENCE, Peer, Upstream, sluicegate};

/// A configuration whose admin address tells of itself.
fn whole(more: &str) -> String {
    let nobody = Upstream::listen().address();
    format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[limits]\nconnections = 100\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n\
         [[upstream]]\nname = \"none\"\nendpoints = [\"{nobody}\"]\n\
         [[route]]\npath = \"/*\"\nupstream = \"none\"\nfallback = {{ text = \"one\" }}\n{more}"
    )
}

#[test]
fn a_store_is_asked_under_tls_by_who_shows_a_certificate() {
    let authority = Authority::new();
    let (server, own) = (authority.issue(&["localhost"]), authority.issue(&["gate"]));
    let cluster = EtcdCluster::start_sealed(&server.certificate, &server.key, &authority.ca);
    let text = authority.write("gate.toml", &whole(""));
    let path = |path: &std::path::Path| path.to_str().expect("a path").to_owned();
    let own = format!("certificate={}&key={}", path(&own.certificate), path(&own.key));
    let place = cluster.sealed_place("p", &format!("ca={}&{own}", path(&authority.ca)));

    let pushed = sluicegate(&["config", "push", &path(&text), "--store", &place]);
    assert!(pushed.status.success(), "{pushed:?}");
    let gateway = Gateway::of_store(&place, &["--gateway", "g1"]);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_response().text(), "one");
    // The watch and the leased status key go the same way.
    cluster.put(b"/p/config", whole("").replace("\"one\"", "\"two\"").as_bytes());
    gateway.wait_for_log("generation 1 is in force");
    let deadline = Instant::now() + PATIENCE;
    while !sluicegate(&["config", "status", "--store", &place]).stdout.starts_with("g1  revision ")
    {
        assert!(Instant::now() < deadline, "there is no status");
    }

    let stranger = Authority::new();
    let unbelieved = format!("ca={}&{own}", path(&stranger.ca));
    let nameless = format!("ca={}&{own}&server_name=other.test", path(&authority.ca));
    let alone = format!("ca={}", path(&authority.ca));
    for (query, why) in [
        (unbelieved, "no TLS session: its certificate was signed by nobody who is trusted"),
        (nameless, "no TLS session: its certificate is for another name"),
        (alone, "no member answers; localhost:"),
    ] {
        let refused =
            sluicegate(&["config", "pull", "--store", &cluster.sealed_place("p", &query)]);
        assert!(!refused.status.success() && refused.stderr.contains(why), "{query}: {refused:?}");
    }
    let old = authority.issue_for(&["old"], EXPIRED);
    let query = format!("certificate={}&key={}", path(&old.certificate), path(&old.key));
    let refused = sluicegate(&["config", "pull", "--store", &cluster.sealed_place("p", &query)]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(refused.stderr.contains("expired"), "{refused:?}");
}

#[test]
fn spans_go_to_a_collector_under_tls() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority.issue(&["localhost"]), None);
    let trace = format!(
        "[trace]\ncontext = \"continue\"\nsample = 1.0\ninterval = \"100ms\"\n\
         export = \"https://localhost:{}\"\n",
        server.port
    );
    for (ca, result) in [(&authority, "sent"), (&Authority::new(), "lost")] {
        let gateway = Gateway::start_with(&whole(&trace), |command| {
            command.env("SSL_CERT_FILE", &ca.ca);
        });
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.read_response().text(), "one");
        if result == "lost" {
            gateway.wait_for_log("no TLS session: its certificate was signed by nobody");
            continue;
        }
        let line = gateway.wait_for_log("admin on http://");
        let admin = line.rsplit_once("http://").expect("an address").1.parse().expect("one");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut client = Peer::connect(admin);
            client.send(format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\n\r\n"));
            let metrics = client.read_response().text().to_owned();
            let mut sent =
                metrics.lines().filter(|line| line.contains("spans_total{result=\"sent\"}"));
            if sent.any(|line| !line.ends_with(" 0")) {
                break;
            }
            assert!(Instant::now() < deadline, "{metrics}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn an_authoriser_under_tls_is_believed_by_its_ca_and_lets_nobody_in_otherwise() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let chat = "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-of-one\r\n\r\n";
    let start = |server: &TlsServer, ca: &std::path::Path| {
        let url = format!("https://localhost:{}/check", server.port);
        let auth = format!("[auth]\nurl = \"{url}\"\nca = {ca:?}\ntimeout = \"20s\"\n");
        Gateway::start(&whole(&auth).replace("workers = 1", "workers = 1\nwatch = \"100ms\""))
    };
    let refused = |gateway: &Gateway, why: &str| {
        let mut client = gateway.connect();
        client.send(chat);
        let answer = client.read_response();
        assert_eq!((answer.status(), answer.field("retry-after")), (503, Some("2")));
        assert_eq!(answer.json()["error"]["code"], "auth_unavailable");
        let line = gateway.wait_for_log("authoriser: localhost:");
        assert!(line.contains(&format!("/check: no TLS session: {why};")), "{line}");
        assert_eq!(gateway.count_in_log("secret-of-one"), 0, "no credential is in the log");
    };
    let good = TlsServer::start(&authority.issue(&["localhost"]), None);
    for (names, years, why) in [
        ("other.test", GOOD, "its certificate is for another name"),
        ("localhost", EXPIRED, "its certificate has expired"),
    ] {
        let server = TlsServer::start(&authority.issue_for(&[names], years), None);
        refused(&start(&server, &authority.ca), why);
    }
    let text = |authority: &Authority| std::fs::read_to_string(&authority.ca).expect("it is there");
    let ca = authority.write("believed.pem", &text(&stranger));
    let gateway = start(&good, &ca);
    refused(&gateway, "its certificate was signed by nobody who is trusted here");
    // Nothing of that is remembered: another file of the same name, and its word counts.
    authority.write("believed.pem", &text(&authority));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut client = gateway.connect();
        client.send(chat);
        let answer = client.read_response();
        if answer.text() == "one" {
            break;
        }
        assert_eq!(answer.json()["error"]["code"], "auth_unavailable");
        assert!(Instant::now() < deadline, "it is believed");
    }
    gateway.wait_for_log("authoriser: it decides again");
}
