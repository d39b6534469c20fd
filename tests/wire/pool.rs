//! The pool of upstream connections: which is used, which is closed, who waits, and what is sent
//! again when a pooled connection turns out dead.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::harness::{Config, End, Gateway, Message, Peer, Standstill, Stopwatch, Upstream};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const POST: &str = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn with_pool(upstream: &Upstream, pool: &str) -> Config {
    Config { upstream: format!("pool = {{ {pool} }}"), ..Config::to(upstream.address()) }
}

/// Sends a request; the upstream gets it on a new connection.
fn on_a_new_connection(client: &mut Peer, upstream: &Upstream) -> Peer {
    client.send(GET);
    let mut server = upstream.accept();
    server.read_request();
    server
}

/// Answers the request that `server` has read, and sees it at the client.
fn answer(client: &mut Peer, server: &mut Peer) {
    server.send(OK);
    assert_eq!(client.read_response().status(), 200);
}

/// A whole exchange on a connection that is there already.
fn exchange(client: &mut Peer, server: &mut Peer) {
    client.send(GET);
    server.read_request();
    answer(client, server);
}

/// A gateway whose pool holds one idle connection, and its two ends.
fn with_one_idle(upstream: &Upstream, config: &Config) -> (Gateway, Peer, Peer) {
    let gateway = config.start();
    let mut client = gateway.connect();
    let mut server = on_a_new_connection(&mut client, upstream);
    answer(&mut client, &mut server);
    (gateway, client, server)
}

fn assert_error(response: &Message, status: u16, code: &str) {
    assert_eq!(
        (response.status(), response.json()["error"]["code"].as_str()),
        (status, Some(code)),
        "{response:?}"
    );
}

#[test]
fn the_connection_that_came_back_last_is_used_first() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut clients: Vec<Peer> = (0..3).map(|_| gateway.connect()).collect();
    let mut servers: Vec<Peer> =
        clients.iter_mut().map(|client| on_a_new_connection(client, &upstream)).collect();
    for place in [1, 2, 0] {
        answer(&mut clients[place], &mut servers[place]);
    }
    // Whoever asks: 0 is the warmest, then 2, then 1.
    for (client, server) in [(1, 0), (0, 2), (2, 1)] {
        clients[client].send(GET);
        servers[server].read_request();
    }
    upstream.expect_nobody();
}

#[test]
fn more_idle_connections_than_allowed_are_closed_the_coldest_first() {
    let upstream = Upstream::listen();
    let gateway = with_pool(&upstream, "idle_per_endpoint = 1").start();
    let mut clients: Vec<Peer> = (0..2).map(|_| gateway.connect()).collect();
    let mut servers: Vec<Peer> =
        clients.iter_mut().map(|client| on_a_new_connection(client, &upstream)).collect();
    answer(&mut clients[1], &mut servers[1]);
    answer(&mut clients[0], &mut servers[0]);
    assert_eq!(servers[1].read_end(), End::Fin);
    exchange(&mut clients[1], &mut servers[0]);
}

#[test]
fn without_idle_connections_each_request_has_its_own() {
    let upstream = Upstream::listen();
    let gateway = with_pool(&upstream, "idle_per_endpoint = 0").start();
    let mut client = gateway.connect();
    for _ in 0..3 {
        let mut server = on_a_new_connection(&mut client, &upstream);
        answer(&mut client, &mut server);
        assert_eq!(server.read_end(), End::Fin);
    }
}

#[test]
fn at_the_limit_requests_wait_and_go_in_the_order_they_came() {
    let upstream = Upstream::listen();
    let gateway = with_pool(&upstream, "connections = 1").start();
    let mut first = gateway.connect();
    let mut server = on_a_new_connection(&mut first, &upstream);
    let mut waiting: Vec<Peer> = (0..5)
        .map(|number| {
            let mut client = gateway.connect();
            client.send(format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n"));
            client.expect_silence();
            client
        })
        .collect();
    upstream.expect_nobody();
    server.expect_silence();
    answer(&mut first, &mut server);
    // The first client comes again, and stands behind those who wait.
    first.send(GET);
    for (number, client) in waiting.iter_mut().enumerate() {
        let start = server.read_request().start;
        assert_eq!(start, format!("GET /{number} HTTP/1.1"));
        answer(client, &mut server);
    }
    server.read_request();
    answer(&mut first, &mut server);
    upstream.expect_nobody();
}

#[test]
fn a_place_that_comes_free_by_a_failure_is_taken_too() {
    let upstream = Upstream::listen();
    let gateway = with_pool(&upstream, "connections = 1").start();
    let mut first = gateway.connect();
    let server = on_a_new_connection(&mut first, &upstream);
    let mut second = gateway.connect();
    second.send(GET);
    second.expect_silence();
    server.reset();
    assert_error(&first.read_response(), 502, "upstream_reset");
    let mut server = upstream.accept();
    server.read_request();
    answer(&mut second, &mut server);
}

#[test]
fn who_waits_longer_than_it_may_is_told_when_to_come_again() {
    let upstream = Upstream::listen();
    let mut config = with_pool(&upstream, "connections = 1");
    config.upstream += "\nadmission = { queue_timeout = \"200ms\" }";
    let gateway = config.start();
    let mut first = gateway.connect();
    let mut server = on_a_new_connection(&mut first, &upstream);
    let mut second = gateway.connect();
    let asked = Stopwatch::of(gateway.pid());
    second.send(GET);
    let refusal = second.read_response();
    assert_error(&refusal, 503, "queue_timeout");
    assert!(refusal.field("retry-after").is_some(), "{refusal:?}");
    assert!(refusal.text().contains("pool.connections"), "{refusal:?}");
    assert!(asked.elapsed() >= Duration::from_millis(200), "{:?}", asked.elapsed());
    assert!(asked.spent() < Duration::from_millis(600), "{:?}", asked.elapsed());
    // Nobody else is hurt, and the place in the queue is gone.
    answer(&mut first, &mut server);
    server.expect_silence();
    exchange(&mut second, &mut server);
}

/// Everything happens in one turn: the connection comes free, its heir is called, and is gone.
#[test]
fn a_place_offered_to_a_client_that_has_left_goes_to_the_next() {
    let upstream = Upstream::listen();
    let gateway = with_pool(&upstream, "connections = 1").start();
    let mut first = gateway.connect();
    let mut server = on_a_new_connection(&mut first, &upstream);
    let mut leaving = gateway.connect();
    leaving.send(GET);
    leaving.expect_silence();
    let mut patient = gateway.connect();
    patient.send(GET);
    patient.expect_silence();
    let standstill = Standstill::of(&gateway);
    server.send(OK);
    // The order of these two is the order of their events.
    std::thread::sleep(Duration::from_millis(5));
    drop(leaving);
    standstill.end();
    assert_eq!(first.read_response().status(), 200);
    let asked = Stopwatch::of(gateway.pid());
    server.read_request();
    assert!(asked.spent() < Duration::from_secs(1), "{:?}", asked.elapsed());
    answer(&mut patient, &mut server);
}

#[test]
fn an_idle_connection_to_another_endpoint_gives_way_at_the_limit() {
    let (one, two) = (Upstream::listen(), Upstream::listen());
    let mut config = with_pool(&one, "connections = 1");
    config.endpoint = format!("{}\", \"{}", one.address(), two.address());
    config.upstream += "\nbalance = \"round_robin\"";
    let gateway = config.start();
    let mut client = gateway.connect();
    let mut at_one = on_a_new_connection(&mut client, &one);
    answer(&mut client, &mut at_one);
    let mut at_two = on_a_new_connection(&mut client, &two);
    assert_eq!(at_one.read_end(), End::Fin);
    answer(&mut client, &mut at_two);
}

/// How long the idle connection of `config` lives after its last answer.
fn life_of_an_idle_connection(config: &Config, upstream: &Upstream, answer: &str) -> Duration {
    let gateway = config.start();
    let mut client = gateway.connect();
    let mut server = on_a_new_connection(&mut client, upstream);
    server.send(answer);
    client.read_response();
    let answered = Instant::now();
    assert_eq!(server.read_end(), End::Fin);
    let life = answered.elapsed();
    // And nothing is lost by it.
    let mut server = on_a_new_connection(&mut client, upstream);
    self::answer(&mut client, &mut server);
    life
}

fn assert_between(what: Duration, least: u64, most: u64) {
    let (least, most) = (Duration::from_millis(least), Duration::from_millis(most));
    assert!((least..=most).contains(&what), "{what:?} is not between {least:?} and {most:?}");
}

#[test]
fn an_idle_connection_is_closed_when_its_time_is_over() {
    let upstream = Upstream::listen();
    let config = with_pool(&upstream, "idle_timeout = \"300ms\"");
    assert_between(life_of_an_idle_connection(&config, &upstream, OK), 290, 700);
}

#[test]
fn a_connection_leaves_one_second_before_the_server_would_close_it() {
    let upstream = Upstream::listen();
    let announced =
        |value: &str| OK.replace("\r\n\r\n", &format!("\r\nKeep-Alive: {value}\r\n\r\n"));
    let config = Config::to(upstream.address());
    for (value, least, most) in
        [("timeout=2, max=100", 990, 1400), ("max=7, Timeout=2", 990, 1400), ("timeout=1", 0, 300)]
    {
        let life = life_of_an_idle_connection(&config, &upstream, &announced(value));
        assert_between(life, least, most);
    }
    // It never makes the gateway's own limit longer.
    let config = with_pool(&upstream, "idle_timeout = \"200ms\"");
    let life = life_of_an_idle_connection(&config, &upstream, &announced("timeout=60"));
    assert_between(life, 190, 600);
}

#[test]
fn a_connection_gets_no_older_than_it_may_however_warm_it_is() {
    let upstream = Upstream::listen();
    let config = with_pool(&upstream, "max_age = \"500ms\", idle_timeout = \"10s\"");
    let opened = Instant::now();
    let (_gateway, mut client, mut server) = with_one_idle(&upstream, &config);
    std::thread::sleep(Duration::from_millis(250));
    exchange(&mut client, &mut server);
    assert_eq!(server.read_end(), End::Fin);
    assert_between(opened.elapsed(), 490, 1000);

    // In use when its time is over, it ends its exchange and does not come back.
    let mut server = on_a_new_connection(&mut client, &upstream);
    std::thread::sleep(Duration::from_millis(600));
    answer(&mut client, &mut server);
    assert_eq!(server.read_end(), End::Fin);
}

#[test]
fn a_connection_carries_no_more_requests_than_it_may() {
    let upstream = Upstream::listen();
    let config = with_pool(&upstream, "max_requests = 3");
    let (_gateway, mut client, mut server) = with_one_idle(&upstream, &config);
    exchange(&mut client, &mut server);
    exchange(&mut client, &mut server);
    assert_eq!(server.read_end(), End::Fin);
    on_a_new_connection(&mut client, &upstream);
}

/// Something an upstream does to an idle connection. The connection, if it is still open.
type Disturbance = fn(Peer) -> Option<Peer>;

const DISTURBANCES: [(&str, Disturbance); 5] = [
    ("stray bytes", |mut server| {
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen");
        Some(server)
    }),
    ("a single byte", |mut server| {
        server.send("x");
        Some(server)
    }),
    ("408 and FIN", |mut server| {
        server.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
        // The gateway may have closed it already.
        let _ = server.stream().shutdown(std::net::Shutdown::Write);
        Some(server)
    }),
    ("FIN", |server| {
        drop(server);
        None
    }),
    ("RST", |server| {
        server.reset();
        None
    }),
];

#[test]
fn an_idle_connection_that_is_not_silent_is_thrown_away() {
    for (what, disturb) in DISTURBANCES {
        println!("{what}");
        let upstream = Upstream::listen();
        let config = Config::to(upstream.address());
        let (gateway, mut client, server) = with_one_idle(&upstream, &config);
        let before = gateway.descriptors();
        let kept = disturb(server);
        let deadline = Instant::now() + Duration::from_secs(2);
        while gateway.descriptors() >= before {
            assert!(Instant::now() < deadline, "{what}: the connection stays open");
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut server = on_a_new_connection(&mut client, &upstream);
        answer(&mut client, &mut server);
        drop(kept);
    }
}

/// The disturbance and the next request are found in the same turn, whatever comes first.
#[test]
fn bytes_that_nobody_asked_for_are_no_answer_to_the_next_request() {
    for (what, disturb) in DISTURBANCES {
        for request_first in [false, true] {
            println!("{what}, request first: {request_first}");
            let upstream = Upstream::listen();
            let config = Config::to(upstream.address());
            let (gateway, mut client, server) = with_one_idle(&upstream, &config);
            let standstill = Standstill::of(&gateway);
            if request_first {
                client.send(GET);
            }
            let kept = disturb(server);
            if !request_first {
                client.send(GET);
            }
            standstill.end();
            let mut server = upstream.accept();
            server.read_request();
            answer(&mut client, &mut server);
            upstream.expect_nobody();
            drop(kept);
        }
    }
}

/// How a pooled connection dies under a request: before a byte of the answer.
#[derive(Clone, Copy, Debug)]
enum Death {
    Fin,
    Reset,
    /// It is dead when the request is written, and nobody knows yet.
    BrokenWrite,
}

impl Death {
    const ALL: [Death; 3] = [Death::Fin, Death::Reset, Death::BrokenWrite];

    /// Sends `request` and lets `server` die of it.
    fn strike(self, gateway: &Gateway, client: &mut Peer, mut server: Peer, request: &str) {
        match self {
            Death::Fin => {
                client.send(request);
                server.read_request();
            }
            Death::Reset => {
                client.send(request);
                server.read_request();
                server.reset();
            }
            Death::BrokenWrite => {
                let standstill = Standstill::of(gateway);
                client.send(request);
                server.reset();
                standstill.end();
            }
        }
    }
}

fn without_id(message: &Message) -> Message {
    let mut message = message.clone();
    message.fields.retain(|(name, _)| name != "x-request-id");
    message
}

#[test]
fn a_request_that_met_a_dead_connection_is_sent_again_once_on_a_fresh_one() {
    for death in Death::ALL {
        for request in [GET, POST] {
            println!("{death:?} {request:?}");
            let upstream = Upstream::listen();
            let config = Config::to(upstream.address());
            let (gateway, mut client, server) = with_one_idle(&upstream, &config);
            death.strike(&gateway, &mut client, server, request);
            let mut fresh = upstream.accept();
            let again = without_id(&fresh.read_request());
            answer(&mut client, &mut fresh);
            // It is the request that would have come without the accident.
            client.send(request);
            let plain = without_id(&fresh.read_request());
            assert_eq!(format!("{again:?}"), format!("{plain:?}"));
            upstream.expect_nobody();
        }
    }
}

#[test]
fn a_body_that_is_still_arriving_is_sent_again_from_its_start() {
    let upstream = Upstream::listen();
    let (_gateway, mut client, mut server) =
        with_one_idle(&upstream, &Config::to(upstream.address()));
    client.send("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    server.read_until("hello\r\n");
    client.send("3\r\nyou");
    server.read_until("you");
    server.reset();
    let mut fresh = upstream.accept();
    fresh.read_until("5\r\nhello\r\n3\r\nyou");
    fresh.expect_silence();
    client.send("\r\n0\r\n\r\n");
    fresh.read_until("\r\n0\r\n\r\n");
    answer(&mut client, &mut fresh);
    exchange(&mut client, &mut fresh);
}

#[test]
fn where_a_post_is_not_to_be_repeated_it_fails_and_a_get_does_not() {
    for death in [Death::Fin, Death::Reset] {
        let upstream = Upstream::listen();
        let config = with_pool(&upstream, "replay_stale_post = false");
        let (gateway, mut client, server) = with_one_idle(&upstream, &config);
        death.strike(&gateway, &mut client, server, POST);
        let refusal = client.read_response();
        let code = if let Death::Fin = death { "upstream_closed" } else { "upstream_reset" };
        assert_error(&refusal, 502, code);
        upstream.expect_nobody();

        let mut server = on_a_new_connection(&mut client, &upstream);
        answer(&mut client, &mut server);
        death.strike(&gateway, &mut client, server, &POST.replace("POST", "PUT"));
        let mut fresh = upstream.accept();
        fresh.read_request();
        answer(&mut client, &mut fresh);
        death.strike(&gateway, &mut client, fresh, GET);
        let mut fresh = upstream.accept();
        fresh.read_request();
        answer(&mut client, &mut fresh);
    }
}

/// A request is repeated although a POST may not be, where not a byte of it had left.
#[test]
fn a_post_of_which_nothing_was_sent_may_always_be_sent_elsewhere() {
    let upstream = Upstream::listen();
    let config = with_pool(&upstream, "replay_stale_post = false");
    let (gateway, mut client, server) = with_one_idle(&upstream, &config);
    Death::BrokenWrite.strike(&gateway, &mut client, server, POST);
    let mut fresh = upstream.accept();
    fresh.read_request();
    answer(&mut client, &mut fresh);
}

#[test]
fn a_request_is_never_sent_a_third_time() {
    for death in Death::ALL {
        let upstream = Upstream::listen();
        let config = Config::to(upstream.address());
        let (gateway, mut client, server) = with_one_idle(&upstream, &config);
        death.strike(&gateway, &mut client, server, POST);
        let mut fresh = upstream.accept();
        fresh.read_request();
        drop(fresh);
        assert_error(&client.read_response(), 502, "upstream_closed");
        upstream.expect_nobody();
    }
}

#[test]
fn siblings_of_a_dead_connection_are_not_tried() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut clients: Vec<Peer> = (0..3).map(|_| gateway.connect()).collect();
    let mut servers: Vec<Peer> =
        clients.iter_mut().map(|client| on_a_new_connection(client, &upstream)).collect();
    for (client, server) in clients.iter_mut().zip(&mut servers) {
        answer(client, server);
    }
    clients[0].send(POST);
    let mut used = servers.pop().expect("the warmest");
    used.read_request();
    drop(used);
    let mut fresh = upstream.accept();
    fresh.read_request();
    servers.iter_mut().for_each(Peer::expect_silence);
    answer(&mut clients[0], &mut fresh);
}

/// What follows an answer that may have no body comes in a packet of its own, when the connection
/// has its next request. Its siblings are in the same state.
/// Three clients have had a 204, and the rest of it comes behind the head in a packet of its own: the
/// next request meets it on a connection that is reused, goes to a fresh one, and pays nothing for that.
#[test]
fn what_is_left_of_an_answer_is_met_once_and_costs_nothing() {
    for retry in ["{}", "\"off\"", "{ attempts = 1 }", "{ budget = 0 }", "{ on = [\"reset\"] }"] {
        let upstream = Upstream::listen();
        let keys = format!("retry = {retry}\nbreaker = {{ consecutive = 1 }}");
        let gateway = Config { upstream: keys, ..Config::to(upstream.address()) }.start();
        let mut clients: Vec<Peer> = (0..3).map(|_| gateway.connect()).collect();
        let mut servers: Vec<Peer> =
            clients.iter_mut().map(|client| on_a_new_connection(client, &upstream)).collect();
        for (client, server) in clients.iter_mut().zip(&mut servers) {
            server.send("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n");
            assert_eq!(client.read_response().status(), 204);
        }
        clients[0].send(POST);
        let mut used = servers.pop().expect("the warmest");
        used.read_request();
        used.send("body");
        let mut fresh = upstream.accept();
        fresh.read_request();
        servers.iter_mut().for_each(Peer::expect_silence);
        answer(&mut clients[0], &mut fresh);
        assert_eq!(gateway.count_in_log("is out for"), 0, "it is nobody's fault");
    }
}

/// On a fresh connection it is the server's, and a POST may be one that is not to be repeated.
#[test]
fn what_is_no_http_is_a_fault_where_nothing_can_be_left() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    on_a_new_connection(&mut client, &upstream).send("body");
    assert_error(&client.read_response(), 502, "upstream_bad_head");
    let strict = Config {
        upstream: "retry = \"off\"\npool = { replay_stale_post = false }".into(),
        ..Config::to(upstream.address())
    };
    let (_gateway, mut client, mut server) = with_one_idle(&upstream, &strict);
    client.send(POST);
    server.read_request();
    server.send("body");
    assert_error(&client.read_response(), 502, "upstream_bad_head");
    upstream.expect_nobody();
}

#[test]
fn after_a_byte_of_the_answer_nothing_is_sent_again() {
    for part in ["H", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let upstream = Upstream::listen();
        let config = Config::to(upstream.address());
        let (_gateway, mut client, mut server) = with_one_idle(&upstream, &config);
        client.send(GET);
        server.read_request();
        server.send(part);
        drop(server);
        assert_error(&client.read_response(), 502, "upstream_closed");
        upstream.expect_nobody();
    }
}

#[test]
fn a_fresh_connection_that_dies_is_the_servers_fault() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    drop(on_a_new_connection(&mut client, &upstream));
    assert_error(&client.read_response(), 502, "upstream_closed");
    on_a_new_connection(&mut client, &upstream).reset();
    assert_error(&client.read_response(), 502, "upstream_reset");
    upstream.expect_nobody();
}

#[test]
fn a_request_longer_than_what_is_kept_is_not_sent_again() {
    let upstream = Upstream::listen();
    let limits = "replay_bytes = \"16KiB\"".to_owned();
    let config = Config { limits, ..Config::to(upstream.address()) };
    for (length, repeated) in [(8 * 1024, true), (64 * 1024, false)] {
        let (_gateway, mut client, mut server) = with_one_idle(&upstream, &config);
        let body = "b".repeat(length);
        client
            .send(format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"));
        assert_eq!(server.read_request().body.len(), length);
        drop(server);
        if repeated {
            let mut fresh = upstream.accept();
            assert_eq!(fresh.read_request().text(), body);
            answer(&mut client, &mut fresh);
        } else {
            assert_error(&client.read_response(), 502, "upstream_closed");
            upstream.expect_nobody();
        }
    }
}

/// How a rude server closes behind each answer.
type Leave = fn(Peer);

fn rude_server(leave: Leave) -> SocketAddr {
    Upstream::serve(move |mut peer| {
        peer.read_request();
        peer.send("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok");
        leave(peer);
    })
}

/// It announces keep-alive and closes after every response, as real ones do.
#[test]
fn sixty_of_sixty_requests_to_a_rude_server_are_answered() {
    let at_once: Leave = drop;
    let later: Leave = |peer| {
        std::thread::sleep(Duration::from_micros(300));
        drop(peer);
    };
    let reset: Leave = |peer| {
        std::thread::sleep(Duration::from_micros(300));
        peer.reset();
    };
    for leave in [at_once, later, reset] {
        let gateway = Gateway::to(rude_server(leave));
        let mut client = gateway.connect();
        for number in 0..60 {
            client.send(if number % 2 == 0 { GET } else { POST });
            assert_eq!(client.read_response().status(), 200, "request {number}");
            std::thread::sleep(Duration::from_micros(number * 17));
        }
    }
}

#[test]
fn only_a_clean_and_complete_exchange_gives_its_connection_back() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    for (answer, reused) in [
        (OK, true),
        (chunked, true),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", true),
        ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", false),
        ("HTTP/1.1 204 No Content\r\n\r\nx", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n\r\n", false),
    ] {
        println!("{answer:?}");
        let upstream = Upstream::listen();
        let gateway = Gateway::to(upstream.address());
        let mut client = gateway.connect();
        let mut server = on_a_new_connection(&mut client, &upstream);
        server.send(answer);
        client.read_response();
        client.send(GET);
        if reused {
            server.read_request();
            upstream.expect_nobody();
        } else {
            upstream.accept().read_request();
            server.read_end();
            assert!(server.unread().is_empty(), "nothing more is asked of it");
        }
    }
}

#[test]
fn an_answer_that_ends_with_its_connection_does_not_give_it_back() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    let mut server = on_a_new_connection(&mut client, &upstream);
    server.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    server.finish();
    assert_eq!(client.read_response().text(), "until the end");
    assert_eq!(server.read_end(), End::Fin);
    let mut server = on_a_new_connection(&mut client, &upstream);
    answer(&mut client, &mut server);
}

#[test]
fn an_answer_before_the_end_of_its_request_costs_both_connections() {
    let upstream = Upstream::listen();
    let gateway = Gateway::to(upstream.address());
    let mut client = gateway.connect();
    client.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
    let mut server = upstream.accept();
    server.read_until("half");
    server.send(OK);
    // It is announced, or the client would send its next request into the FIN (RFC 9112 §9.6).
    let early = client.read_response();
    assert_eq!((early.status(), early.field("connection")), (200, Some("close")));
    server.read_end();
    // The rest of the body is not taken for a request, here or there.
    assert_eq!(client.read_end(), End::Fin);
    let mut next = gateway.connect();
    let mut server = on_a_new_connection(&mut next, &upstream);
    answer(&mut next, &mut server);
}

#[test]
fn a_client_that_leaves_takes_its_upstream_connection_with_it() {
    let upstream = Upstream::listen();
    let (_gateway, mut client, mut server) =
        with_one_idle(&upstream, &Config::to(upstream.address()));
    client.send(GET);
    server.read_request();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok");
    client.read_until("ok");
    drop(client);
    server.read_end();
}
