//! Upgrades: after 101 there is no message any more, only bytes.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Config, End, Gateway, Upstream, signal};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const UPGRADE: &str =
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
/// `printf sg-gone | sha256sum`
const GONE: &str = "7e39366c013e3b4a02e6cea0cad66222f16aa868731105ea8dcc0e18bdb413d4";
/// `printf sg-stays | sha256sum`
const STAYS: &str = "4b3c72c88532edceb578063ac48913897460eb11ce15f20b2c914da1ec690de7";

#[test]
fn after_an_upgrade_bytes_flow_both_ways() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    client.send(UPGRADE);
    let mut server = upstream.accept();
    server.read_head();
    server.send(SWITCHING);
    assert_eq!(client.read_head().status(), 101);
    for round in 0..3 {
        client.send(format!("ping {round}\0"));
        assert_eq!(server.read(7), format!("ping {round}\0").as_bytes());
        server.send(format!("pong {round}\0"));
        assert_eq!(client.read(7), format!("pong {round}\0").as_bytes());
    }
    // What looks like HTTP is none any more.
    client.send(GET);
    assert_eq!(server.read(GET.len()), GET.as_bytes());
}

#[test]
fn bytes_that_come_with_the_heads_of_an_upgrade_are_not_lost() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    client.send(format!("{UPGRADE}early from the client"));
    let mut server = upstream.accept();
    server.read_head();
    // Until the server agrees they are the next request of the connection.
    server.expect_silence();
    server.send(format!("{SWITCHING}early from the server"));
    assert_eq!(client.read_head().status(), 101);
    assert_eq!(client.read(21), b"early from the server");
    assert_eq!(server.read(21), b"early from the client");
}

#[test]
fn either_end_of_a_tunnel_may_finish_first() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    for client_first in [true, false] {
        let mut client = gateway.connect();
        client.send(UPGRADE);
        let mut server = upstream.accept();
        server.read_head();
        server.send(SWITCHING);
        client.read_head();
        let (first, second) =
            if client_first { (&mut client, &mut server) } else { (&mut server, &mut client) };
        first.send("last words");
        first.finish();
        assert_eq!(second.read(10), b"last words");
        assert_eq!(second.read_end(), End::Fin);
        for answer in ["still", "here"] {
            second.send(answer);
            assert_eq!(first.read(answer.len()), answer.as_bytes());
            std::thread::sleep(Duration::from_millis(20));
        }
        second.finish();
        assert_eq!(first.read_end(), End::Fin);
    }
}

#[test]
fn a_tunnel_that_breaks_on_one_side_ends_on_the_other() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    for client_breaks in [true, false] {
        let mut client = gateway.connect();
        client.send(UPGRADE);
        let mut server = upstream.accept();
        server.read_head();
        server.send(SWITCHING);
        client.read_head();
        let (broken, mut other) = if client_breaks { (client, server) } else { (server, client) };
        broken.reset();
        other.read_end();
        assert_eq!(other.unread(), b"");
    }
}

/// Who declines may have handed the connection to somebody who does not read on.
#[test]
fn a_server_may_decline_an_upgrade_and_is_not_asked_again_there() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    client.send(format!("{UPGRADE}{GET}"));
    let mut server = upstream.accept();
    server.read_head();
    server.send(OK);
    let answer = client.read_response();
    assert_eq!((answer.text(), answer.field("connection")), ("ok", None));
    assert_eq!(server.read_end(), End::Fin);
    assert_eq!(server.unread(), b"");
    let mut next = upstream.accept();
    assert_eq!(next.read_request().start, "GET / HTTP/1.1");
    next.send(OK);
    assert_eq!(client.read_response().text(), "ok");
}

/// What a client holds for as long as it likes is not the pool's to limit.
#[test]
fn tunnels_and_last_answers_do_not_use_up_the_pool() {
    let upstream = Upstream::listen();
    let pool = "pool = { connections = 2 }\nadmission = { queue_timeout = \"10s\" }".into();
    let gateway = Config { upstream: pool, ..Config::to(upstream.address()) }.start();
    let mut held = Vec::new();
    for round in 0..6 {
        let mut client = gateway.connect();
        client.send(if round % 2 == 0 { UPGRADE } else { GET });
        let mut server = upstream.accept();
        server.read_head();
        let (answer, status) = match round {
            0 | 2 | 4 => (SWITCHING, 101),
            1 => ("HTTP/1.1 200 OK\r\n\r\nuntil close", 200),
            _ => ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nsome", 200),
        };
        server.send(answer);
        assert_eq!(client.read_head().status(), status);
        held.push((client, server));
    }
    // Others have the pool for themselves, and its limit holds.
    let mut clients: Vec<_> = (0..3).map(|_| gateway.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    let mut servers = [upstream.accept(), upstream.accept()];
    servers.iter_mut().for_each(|server| drop(server.read_request()));
    upstream.expect_nobody();
    // The end of one that had let go of its place is no place for another.
    drop(held);
    upstream.expect_nobody();
    servers[0].send(OK);
    servers[0].read_request();
}

/// A tunnel is one request without an end: nobody would ask again by what it was let in.
#[test]
fn a_reload_ends_the_tunnels_of_those_who_are_not_let_in_any_more() {
    let upstream = Upstream::listen();
    let text = Config::to(upstream.address()).text();
    let with = |lines: &str| format!("{text}\n{lines}\n");
    let key = |name: &str, hash: &str| format!("[keys.{name}]\nhash = \"sha256:{hash}\"\n");
    let (ends, lasts) = (key("gone", GONE), key("stays", STAYS));
    let gateway = Gateway::start(&with(&format!("{ends}{lasts}")));
    let open = |key: &str, agrees: bool| {
        let mut client = gateway.connect();
        let head = UPGRADE.strip_suffix("\r\n").expect("a head");
        client.send(format!("{head}x-api-key: {key}\r\n\r\n"));
        let mut server = upstream.accept();
        server.read_head();
        if agrees {
            server.send(SWITCHING);
            assert_eq!(client.read_head().status(), 101);
        }
        (client, server)
    };
    let (mut gone, mut its_server) = open("sg-gone", true);
    let (mut asking, mut asked) = open("sg-gone", false);
    let (mut stays, mut server) = open("sg-stays", true);
    gateway.rewrite(&with(&lasts));
    signal(&gateway, Signal::HUP);
    gone.read_end();
    its_server.read_end();
    // One that is no tunnel yet gets an answer.
    let answer = asking.read_response();
    assert_eq!(answer.json()["error"]["code"], "killed", "{}", answer.text());
    asked.read_end();
    gateway.wait_for_log("generation 1 is in force");
    stays.send("ping");
    assert_eq!(server.read(4), b"ping");

    let denied = "[gate]\ndeny = [\"127.0.0.0/8\"]\n";
    gateway.rewrite(&with(&(lasts + denied)));
    signal(&gateway, Signal::HUP);
    stays.read_end();
    server.read_end();
    assert_eq!((stays.unread(), server.unread()), (&b""[..], &b""[..]));
}
