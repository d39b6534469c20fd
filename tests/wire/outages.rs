//! No outage is longer or wider than the server's own: servers that fail, and come back, and clients
//! whose requests are bad for whoever answers them, with every default.

use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Config, Gateway, Peer, Upstream};

const GET: &str = "GET /v1/models HTTP/1.1\r\nHost: g\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A port that refuses whoever connects while nobody listens there. Nobody else can take it.
struct Port(socket2::Socket);

impl Port {
    fn refusing() -> Port {
        Port(Port::bound(SocketAddr::from(([127, 0, 0, 1], 0))))
    }

    fn bound(address: SocketAddr) -> socket2::Socket {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket");
        socket.set_reuse_port(true).expect("an option");
        socket.bind(&address.into()).expect("a free port");
        socket
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().ok().and_then(|address| address.as_socket()).expect("an address")
    }

    /// Somebody listens, until this is dropped.
    fn listen(&self) -> TcpListener {
        let socket = Port::bound(self.address());
        socket.listen(128).expect("a listener");
        TcpListener::from(socket)
    }

    /// The server is back, and answers everything.
    fn serve(&self, answer: &'static str) {
        let listener = self.listen();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || answer_all(Peer::of(stream), |_| answer));
            }
        });
    }
}

/// Answers every request of a connection.
fn answer_all(mut peer: Peer, answer: impl Fn(&str) -> &'static str) {
    while let Some(request) = peer.next_request() {
        if peer.try_send(answer(&request.start)).is_err() {
            return;
        }
    }
}

/// A server that answers every request as `answer` says, by its first line.
fn server(answer: impl Fn(&str) -> &'static str + Send + Sync + 'static) -> SocketAddr {
    Upstream::serve(move |peer| answer_all(peer, &answer))
}

/// A gateway in front of these endpoints, with every default; `more` is TOML for the upstream.
fn gateway(endpoints: &[SocketAddr], more: &str) -> Gateway {
    let mut config = Config::to(endpoints[0]);
    let addresses: Vec<_> = endpoints.iter().map(SocketAddr::to_string).collect();
    config.endpoint = addresses.join("\", \"");
    // Where it does not name `retry`, the harness would switch retries and breaker off.
    let retry = if more.contains("retry =") { "" } else { "retry = {}" };
    config.upstream = format!("{retry}\n{more}");
    config.start()
}

/// One request on a connection of its own; its status.
fn ask(gateway: &Gateway, request: &str) -> u16 {
    let mut client = Peer::connect(gateway.address());
    client.send(request);
    client.read_response().status()
}

fn ask_often(gateway: &Gateway, count: usize) -> Vec<u16> {
    (0..count).map(|_| ask(gateway, GET)).collect()
}

#[test]
fn a_refusing_endpoint_costs_no_answer() {
    let refusing = Port::refusing();
    let well = server(|_| OK);
    let gateway = gateway(&[refusing.address(), well], "");
    assert_eq!(ask_often(&gateway, 20), [200; 20]);
}

/// What nobody has heard is no attempt: neither `attempts` nor `budget` is asked.
#[test]
fn all_but_the_last_endpoint_may_refuse() {
    let refusing: Vec<Port> = (0..12).map(|_| Port::refusing()).collect();
    let mut endpoints: Vec<SocketAddr> = refusing.iter().map(Port::address).collect();
    endpoints.push(server(|_| OK));
    let off = "retry = { attempts = 1, budget = 0 }\nbreaker = \"off\"";
    let gateway = gateway(&endpoints, off);
    assert_eq!(ask_often(&gateway, 20), [200; 20]);
}

/// The connection stands, and is reset before anybody has read from it.
#[test]
fn an_endpoint_that_resets_at_accept_costs_no_answer() {
    let resetting = Upstream::serve(Peer::reset);
    let well = server(|_| OK);
    let gateway = gateway(&[resetting, well], "");
    assert_eq!(ask_often(&gateway, 20), [200; 20]);
}

/// A body of 20 MB, and a server that answers before it has read it, and closes: the close of a
/// connection with unread bytes is a reset, and a write meets it behind others that were taken.
#[test]
fn an_early_answer_to_a_large_body_is_delivered_every_time() {
    let refuses = Upstream::serve(|mut peer| {
        peer.read_until("\r\n\r\n");
        peer.send(
            "HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large",
        );
        // A moment for the answer, none for the body.
        let _ = peer.stream().shutdown(std::net::Shutdown::Write);
    });
    let gateway = gateway(&[refuses], "");
    let body = vec![b'x'; 20 << 20];
    for _ in 0..12 {
        let mut client = Peer::connect(gateway.address());
        client.send(format!(
            "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: g\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ));
        let mut half = client.stream().try_clone().expect("a socket");
        thread::scope(|scope| {
            scope.spawn(|| {
                // It may be cut short: the answer is there.
                let _ = std::io::Write::write_all(&mut half, &body);
            });
            assert_eq!(client.read_response().status(), 413);
            let _ = client.stream().shutdown(std::net::Shutdown::Both);
        });
    }
}

/// A server that fails one client's requests, and answers everybody else's.
fn poisoned() -> SocketAddr {
    server(|start| match start.contains("poison") {
        true => "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops",
        false => OK,
    })
}

const POISON: &str = "GET /v1/models?poison HTTP/1.1\r\nHost: g\r\n\r\n";

#[test]
fn nobody_but_the_poisoner_gets_the_poisoners_errors() {
    for endpoints in [vec![poisoned()], vec![poisoned(), poisoned()]] {
        let gateway = gateway(&endpoints, "");
        for _ in 0..10 {
            for _ in 0..12 {
                assert_eq!(ask(&gateway, POISON), 500);
            }
            assert_eq!(ask_often(&gateway, 12), [200; 12]);
        }
    }
}

/// The limit may be one client's own, and whoever waits for it to be over may be another one.
#[test]
fn one_clients_429_is_not_everybodys() {
    let limited = server(|start| match start.contains("poison") {
        true => "HTTP/1.1 429 Slow Down\r\nRetry-After: 60\r\nContent-Length: 4\r\n\r\nwait",
        false => OK,
    });
    let gateway = gateway(&[limited], "");
    assert_eq!(ask(&gateway, POISON), 429);
    assert_eq!(ask_often(&gateway, 12), [200; 12]);
}

/// The same beside servers that fail everybody: who said 429 has answered, and is asked first.
#[test]
fn one_clients_429_is_not_everybodys_beside_servers_that_fail() {
    let limited = || {
        server(|start| match start.contains("poison") {
            true => "HTTP/1.1 429 Slow Down\r\nRetry-After: 60\r\nContent-Length: 4\r\n\r\nwait",
            false => OK,
        })
    };
    let fails =
        || server(|_| "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops");
    let (dead, other) = (Port::refusing(), Port::refusing());
    for others in [vec![dead.address()], vec![dead.address(), other.address()], vec![fails()]] {
        let endpoints = [&[limited()], &others[..]].concat();
        let gateway = gateway(&endpoints, "breaker = { open = \"60s\" }");
        while gateway.count_in_log("is out for") < others.len() {
            ask(&gateway, GET);
        }
        assert_ne!(ask(&gateway, POISON), 200);
        assert_eq!(ask_often(&gateway, 12), [200; 12], "{others:?}");
    }
    // It is not known yet that the other one is dead.
    let endpoints = [limited(), dead.address()];
    let gateway = gateway(&endpoints, "breaker = { consecutive = 50 }\nbalance = \"round_robin\"");
    while ask(&gateway, POISON) != 429 {}
    assert_eq!(ask_often(&gateway, 12), [200; 12]);
}

/// A predefined answer stands beside the only server, or two: a 429 brings it for a second or so, and
/// not for as long as the server asks to be left alone.
#[test]
fn a_predefined_answer_outlasts_a_429_by_a_second() {
    for count in [1, 2] {
        let limited = || {
            server(|start| match start.contains("poison") {
                true => "HTTP/1.1 429 No\r\nRetry-After: 60\r\nContent-Length: 4\r\n\r\nwait",
                false => OK,
            })
        };
        let mut config = Config::to(limited());
        if count == 2 {
            config.endpoint = format!("{}\", \"{}", config.endpoint, limited());
        }
        config.upstream = "retry = {}".to_owned();
        config.route = "fallback = { status = 503, text = \"sorry\" }".to_owned();
        let gateway = config.start();
        assert_eq!(ask(&gateway, POISON), 503);
        let begun = Instant::now();
        while ask(&gateway, GET) != 200 {
            assert!(begun.elapsed() < Duration::from_secs(20), "a probe comes first");
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(ask_often(&gateway, 12), [200; 12]);
    }
}

/// The first upstream rests, and what was to answer in its place takes no connection.
#[test]
fn a_chain_comes_back_to_whoever_it_has_passed_over() {
    let limited = server(|start| match start.contains("poison") {
        true => "HTTP/1.1 429 Slow Down\r\nRetry-After: 60\r\nContent-Length: 4\r\n\r\nwait",
        false => OK,
    });
    let dead = Port::refusing().address();
    let mut config = Config::to(limited);
    config.upstream = "retry = {}\nbreaker = { consecutive = 50 }".to_owned();
    config.route = "path = \"/*\"\nupstream = [\"scripted\", \"second\"]".to_owned();
    config.more = format!(
        "[[upstream]]\nname = \"second\"\nendpoints = [\"{dead}\"]\n\
         retry = {{}}\nbreaker = {{ consecutive = 50 }}\n"
    );
    let gateway = Gateway::start(&config.text().replace("\nupstream = \"scripted\"\n", "\n"));
    ask(&gateway, POISON);
    assert_eq!(ask_often(&gateway, 12), [200; 12]);
}

/// The only server is asked: there is nobody whom its breaker could spare a request for.
#[test]
fn the_only_server_is_used_as_soon_as_it_is_back() {
    let port = Port::refusing();
    let gateway = gateway(&[port.address()], "");
    assert_eq!(ask_often(&gateway, 12), [502; 12]);
    port.serve(OK);
    assert_eq!(ask_often(&gateway, 12), [200; 12]);
}

/// A gateway whose route leads to this primary and then to one that is well, and whose breakers stay
/// open for a minute, and then for longer.
fn with_a_second(primary: SocketAddr) -> Gateway {
    let second = server(|_| OK);
    let mut config = Config::to(primary);
    config.upstream = "retry = {}\nbreaker = { open = \"60s\" }".to_owned();
    config.route = "path = \"/*\"\nupstream = [\"scripted\", \"second\"]".to_owned();
    config.more = format!("[[upstream]]\nname = \"second\"\nendpoints = [\"{second}\"]\n");
    Gateway::start(&config.text().replace("\nupstream = \"scripted\"\n", "\n"))
}

/// The primary is back, and is asked again.
fn expect_primary(gateway: &Gateway, port: &Port) {
    port.serve("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nprimary");
    gateway.wait_for_log("takes connections again");
    let served = |_| {
        let mut client = gateway.connect();
        client.send(GET);
        client.read_response().text() == "primary"
    };
    // The word of it may be on its way to the worker for a moment.
    assert!((0..100).any(served), "the primary is asked again");
    assert!((0..5).all(served), "and stays");
}

#[test]
fn a_primary_that_takes_connections_again_is_used_at_once() {
    let port = Port::refusing();
    let gateway = with_a_second(port.address());
    assert_eq!(ask_often(&gateway, 12), [200; 12]);
    gateway.wait_for_log("is out for");
    expect_primary(&gateway, &port);
}

/// Its breaker opens for the connections that broke when it died. That it has gone, and is back, is
/// seen by its port.
#[test]
fn a_primary_that_was_killed_and_restarted_is_used_at_once() {
    let port = Port::refusing();
    let gateway = with_a_second(port.address());
    let dying = port.listen();
    thread::scope(|scope| {
        scope.spawn(|| {
            for stream in dying.incoming().flatten().take(5) {
                let mut peer = Peer::of(stream);
                peer.read_until("\r\n\r\n");
                peer.reset();
            }
        });
        while gateway.count_in_log("is out for") == 0 {
            assert_eq!(ask(&gateway, GET), 200);
        }
    });
    drop(dying);
    gateway.wait_for_log("takes no connections");
    expect_primary(&gateway, &port);
}

/// Six clients that wait for events which nobody promised, and others at the same server.
#[test]
fn silence_on_a_stream_that_nobody_waits_for_is_no_fault() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
         d\r\ndata: hello\n\n\r\n",
        // A long poll.
        "",
    ] {
        let endpoint = server(move |start| if start.contains("/mcp") { head } else { OK });
        let mut config = Config::to(endpoint);
        config.timeouts = "ttft = \"200ms\"\ninter_event = \"200ms\"".to_owned();
        config.upstream = "retry = {}".to_owned();
        let gateway = config.start();
        let mut idle: Vec<Peer> = (0..12).map(|_| gateway.connect()).collect();
        for client in &mut idle {
            client.send("GET /mcp HTTP/1.1\r\nHost: g\r\nAccept: text/event-stream\r\n\r\n");
        }
        // Where no timer ends them there is nothing to be counted, and nothing to wait for.
        let begun = Instant::now();
        let patience = Duration::from_secs(2);
        while gateway.count_in_log("_timeout") < idle.len() && begun.elapsed() < patience {
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(gateway.count_in_log("is out for"), 0, "{head:?}: {:#?}", gateway.log());
    }
}

/// A server that hangs up on whoever does not send what it has announced.
#[test]
fn a_client_that_keeps_a_server_waiting_is_not_its_fault() {
    for reset in [false, true] {
        let endpoint = Upstream::serve(move |mut peer| {
            peer.read_until("\r\n\r\n");
            peer.receive(Duration::from_millis(20));
            match peer.unread().is_empty() {
                true => peer.send(OK),
                false if reset => peer.reset(),
                false => {}
            }
        });
        let (second, mut config) = (server(|_| OK), Config::to(endpoint));
        config.timeouts = "body = \"300ms\"".to_owned();
        config.upstream = "retry = {}\nbalance = \"round_robin\"".to_owned();
        config.endpoint = format!("{endpoint}\", \"{second}");
        let gateway = config.start();
        let mut slow: Vec<Peer> = (0..24).map(|_| gateway.connect()).collect();
        for client in &mut slow {
            client.send(
                "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nContent-Length: 100\r\n\r\nx",
            );
        }
        for client in &mut slow {
            assert_eq!(client.read_response().status(), 408, "its body did not come");
        }
        assert_eq!(gateway.count_in_log("is out for"), 0, "{:#?}", gateway.log());
        assert_eq!(ask_often(&gateway, 12), [200; 12]);
    }
}

/// The head has gone to a server that hangs up before the body is here: whoever sends its body a
/// moment later is answered by another one.
#[test]
fn a_body_that_comes_behind_a_lost_connection_is_answered_elsewhere() {
    let hangs_up = Upstream::serve(|mut peer| {
        peer.read_until("\r\n\r\n");
    });
    let well = server(|_| OK);
    let off = "retry = { budget = 0 }\nbreaker = \"off\"\nbalance = \"round_robin\"";
    let gateway = gateway(&[hangs_up, well], off);
    let mut client = gateway.connect();
    client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\n\r\n");
    // It is lost before its body is here, and not sent anywhere without it.
    gateway.wait_for_log("attempt 2");
    client.expect_silence();
    client.send("{}");
    assert_eq!(client.read_response().status(), 200);
}

/// A predefined answer stands in for the only server, which one client makes fail: whoever comes next is
/// answered by the server.
#[test]
fn a_predefined_answer_steps_back_when_the_server_is_well() {
    let mut config = Config::to(poisoned());
    config.upstream = "retry = {}\nbreaker = { open = \"60s\" }".to_owned();
    config.route = "fallback = { text = \"sorry\" }".to_owned();
    let gateway = config.start();
    let degraded = |request: &str| {
        let mut client = gateway.connect();
        client.send(request);
        client.read_response().field("x-sluice-degraded").is_some()
    };
    for _ in 0..5 {
        assert!(!degraded(POISON), "the server's own error");
    }
    assert!(degraded(POISON), "the breaker is open, and it fails as it was said to");
    assert!(!degraded(GET) && !degraded(GET));
}

/// A predefined answer stands beside servers that one client makes fail, four times a second, for longer
/// than breakers need to open; the others are answered, and the client itself is told the rest.
#[test]
fn nobody_but_the_poisoner_gets_the_predefined_answer() {
    let poisoned = |resets: bool| {
        Upstream::serve(move |mut peer| {
            while let Some(request) = peer.next_request() {
                let poison = request.start.contains("poison");
                if poison && resets {
                    return peer.reset();
                }
                let bad = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops";
                if peer.try_send(if poison { bad } else { OK }).is_err() {
                    return;
                }
            }
        })
    };
    for (resets, count) in [(true, 1), (false, 1), (true, 3)] {
        let endpoints: Vec<_> = (0..count).map(|_| poisoned(resets).to_string()).collect();
        let mut config = Config::to(poisoned(resets));
        config.endpoint = endpoints.join("\", \"");
        config.upstream = "retry = {}".to_owned();
        config.route = "fallback = { status = 503, text = \"sorry\" }".to_owned();
        let gateway = config.start();
        // Until all are out; that is when it begins.
        while gateway.count_in_log("is out for") < count {
            ask(&gateway, POISON);
        }
        for _ in 0..16 {
            for _ in 0..6 {
                ask(&gateway, POISON);
            }
            assert_eq!(ask_often(&gateway, 2), [200; 2], "{resets} {count}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The same where the server fails everybody: the predefined answer comes as fast as the failure.
#[test]
fn a_server_that_fails_everybody_is_no_delay_beside_a_predefined_answer() {
    let mut config = Config::to(server(
        |_| "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops",
    ));
    config.upstream = "retry = {}".to_owned();
    config.route = "fallback = { status = 503, text = \"sorry\" }".to_owned();
    let gateway = config.start();
    for _ in 0..5 {
        assert_eq!(ask(&gateway, GET), 500, "it is not known yet");
    }
    gateway.wait_for_log("is out for");
    assert_eq!(ask_often(&gateway, 100), [503; 100]);
}
