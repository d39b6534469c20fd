//! Active health checks: who is asked how it is, and what follows for requests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Config, Gateway, Message, PATIENCE, Peer, Stopwatch, Upstream, signal};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const INTERVAL: Duration = Duration::from_millis(100);
/// Three bad checks take an endpoint out, two good ones bring it back.
const CHECKS: &str = "health = { path = \"/health\", interval = \"100ms\", timeout = \"80ms\", \
                      unhealthy = 3, healthy = 2 }";

/// A server that says how it is, and answers requests.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    /// What a check is answered with; `None`: nothing.
    health: Option<&'static str>,
    /// What the next check is answered with, once.
    once: Option<&'static str>,
    /// What a request is answered with: a status line and fields.
    answer: &'static str,
    checks: Vec<(Instant, Message)>,
    requests: usize,
}

const WELL: Option<&str> = Some("200 OK");
const UNWELL: Option<&str> = Some("503 Service Unavailable");

impl Server {
    fn start() -> Server {
        let state = State {
            health: WELL,
            once: None,
            answer: "200 OK\r\n",
            checks: Vec::new(),
            requests: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let known = Arc::clone(&state);
        let address = Upstream::serve(move |mut peer| play(&mut peer, &known));
        Server { address, state }
    }

    fn look<T>(&self, at: impl FnOnce(&mut State) -> T) -> T {
        at(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is(&self, health: Option<&'static str>) {
        self.look(|state| state.health = health);
    }

    fn answers(&self, answer: &'static str) {
        self.look(|state| state.answer = answer);
    }

    fn checks(&self) -> usize {
        self.look(|state| state.checks.len())
    }

    fn requests(&self) -> usize {
        self.look(|state| state.requests)
    }

    /// Waits for this many more checks to have come.
    fn wait_checks(&self, count: usize) {
        let (wanted, deadline) = (self.checks() + count, Instant::now() + PATIENCE);
        while self.checks() < wanted {
            assert!(Instant::now() < deadline, "nobody checks");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn play(peer: &mut Peer, state: &Mutex<State>) {
    let state = || state.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some(request) = peer.next_request() {
        if request.start != "GET /health HTTP/1.1" {
            let mut state = state();
            state.requests += 1;
            let (answer, long) = (state.answer, request.start.starts_with("GET /long "));
            drop(state);
            if long {
                // An answer that is still under way when the test looks again.
                let sent = peer.try_send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none");
                thread::sleep(Duration::from_millis(1500));
                let _ = sent.and_then(|()| peer.try_send("two"));
                continue;
            }
            if peer.try_send(format!("HTTP/1.1 {answer}Content-Length: 2\r\n\r\nok")).is_err() {
                return;
            }
            continue;
        }
        let health = {
            let mut state = state();
            state.checks.push((Instant::now(), request));
            state.once.take().or(state.health)
        };
        let said = health.map(|status| {
            peer.try_send(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}"))
        });
        // It is asked for the connection's end, and waits for that of the checker where it is silent.
        if said.is_none() {
            peer.wait_end();
        }
        return;
    }
}

fn config(servers: &[&Server], upstream: &str) -> Config {
    let endpoints: Vec<String> = servers.iter().map(|server| server.address.to_string()).collect();
    Config {
        // The field stands between quotes.
        endpoint: endpoints.join("\", \""),
        upstream: format!("retry = \"off\"\n{CHECKS}\n{upstream}"),
        ..Config::default()
    }
}

/// Asks so many times on new connections; returns the statuses.
fn ask(gateway: &Gateway, times: usize) -> Vec<u16> {
    let asked = (0..times).map(|_| {
        let mut client = gateway.connect();
        client.send(GET);
        client.read_response().status()
    });
    asked.collect()
}

fn expect_found(gateway: &Gateway, server: &Server, verdict: &str, times: usize) {
    gateway.expect_in_log(&format!("scripted: {} is {verdict}", server.address), times);
    // Every worker is told before the log is, and looks into its mailbox in its next turn.
    thread::sleep(Duration::from_millis(20));
}

#[test]
fn an_unwell_endpoint_gets_nothing_new_and_comes_back() {
    let (first, second) = (Server::start(), Server::start());
    let both = config(&[&first, &second], "balance = \"round_robin\"\nbreaker = \"off\"");
    let begun = Instant::now();
    let gateway = Config { more: "[admin]\nlisten = \"127.0.0.1:0\"".into(), ..both }.start();
    let since = Stopwatch::of(gateway.pid());
    assert_eq!(ask(&gateway, 10), [200; 10]);
    assert!(first.requests() >= 4 && second.requests() >= 4, "they take turns");
    // Two answers under way, one of them at the first server.
    let mut long: Vec<Peer> = (0..2).map(|_| gateway.connect()).collect();
    for client in &mut long {
        client.send("GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
        client.read_until("one");
    }

    let asked_before = first.checks();
    first.is(UNWELL);
    expect_found(&gateway, &first, "unwell: status 503", 1);
    let asked = first.checks() - asked_before;
    assert!(asked >= 3, "taken out by check {asked}");
    let before = (first.requests(), second.requests());
    assert_eq!(ask(&gateway, 20), [200; 20]);
    assert_eq!((first.requests() - before.0, second.requests() - before.1), (0, 20));
    // What it had begun, it ends.
    for client in &mut long {
        client.read_until("two");
    }

    // One good check among bad ones is not enough: it takes two in a row.
    first.look(|state| state.once = WELL);
    first.wait_checks(3);
    assert_eq!(gateway.count_in_log("is well"), 0);
    assert_eq!(ask(&gateway, 10), [200; 10]);
    assert_eq!(first.requests(), before.0);

    first.is(WELL);
    expect_found(&gateway, &first, "well", 1);
    assert_eq!(ask(&gateway, 40), [200; 40]);
    // By and by more of them: slow start.
    let returned = first.requests() - before.0;
    assert!((1..=24).contains(&returned), "{returned} of 40");
    let requests = first.requests() + second.requests();
    assert_eq!(requests, 10 + 2 + 20 + 10 + 40, "a check is no request");
    expect_unbilled(&gateway, requests);
    expect_paced(&first, begun, &since);
}

/// What the gateway counts is what its clients have asked for.
fn expect_unbilled(gateway: &Gateway, requests: usize) {
    let line = gateway.wait_for_log("admin on http://");
    let (_, admin) = line.split_once("http://").expect("an address");
    let mut peer = Peer::connect(admin.trim().parse().expect("an address"));
    peer.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let page = peer.read_response();
    let counted = |name: &str| {
        let line = page.text().lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
    };
    assert_eq!(counted("sluicegate_exchanges_total{"), Some(requests));
}

/// Checks come an interval apart, a tenth more or less, and ask for nothing that costs. `begun`: there
/// was no gateway before.
fn expect_paced(server: &Server, begun: Instant, since: &Stopwatch) {
    let checks = server.look(|state| std::mem::take(&mut state.checks));
    assert!(checks.len() > 10);
    for (number, (seen, _)) in checks.iter().enumerate() {
        // Later, where the machine is busy; never sooner. One that is seen late is followed sooner, so
        // it is not the gaps that are looked at.
        let (due, passed) = (INTERVAL * 9 / 10 * number as u32, *seen - begun);
        assert!(passed >= due, "check {number} after {passed:?}");
    }
    let mean = since.spent_until(checks[checks.len() - 1].0) / (checks.len() as u32 - 1);
    assert!(mean < INTERVAL * 4, "{mean:?} between two checks");
    for (_, check) in checks {
        assert_eq!(check.start, "GET /health HTTP/1.1");
        assert_eq!(check.field("user-agent"), Some("sluicegate-health"));
        assert_eq!(check.field("connection"), Some("close"));
        assert!(check.body.is_empty());
    }
}

#[test]
fn no_answer_and_no_connection_are_no_health() {
    let silent = Server::start();
    silent.is(None);
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("a socket")
    };
    let absent = Server { address: gone, ..silent.clone() };
    let well = Server::start();
    let gateway = config(&[&silent, &absent, &well], "breaker = \"off\"").start();
    expect_found(&gateway, &silent, "unwell: no answer in time", 1);
    expect_found(&gateway, &absent, "unwell: no connection", 1);
    assert_eq!(ask(&gateway, 20), [200; 20]);
    assert_eq!((silent.requests(), well.requests()), (0, 20));
}

#[test]
fn nobody_well_is_an_honest_503_where_nobody_is_doubted() {
    let server = Server::start();
    server.is(UNWELL);
    let gateway = config(&[&server], BREAKER).start();
    expect_found(&gateway, &server, "unwell: status 503", 1);
    let mut client = gateway.connect();
    client.send(GET);
    let answer = client.read_response();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.json()["error"]["code"], "no_upstream");
    assert_eq!(answer.field("retry-after"), Some("1"), "two checks from now");
    assert_eq!(server.requests(), 0);
    server.is(WELL);
    expect_found(&gateway, &server, "well", 1);
    client.send(GET);
    assert_eq!(client.read_response().status(), 200);
}

/// The page that is checked says no, and the model answers: one server, several, and one beside a
/// predefined answer.
#[test]
fn checks_that_are_wrong_about_everybody_refuse_nobody() {
    for count in [1, 2, 5] {
        let servers: Vec<Server> = (0..count).map(|_| Server::start()).collect();
        servers.iter().for_each(|server| server.is(Some("404 Not Found")));
        let gateway = config(&servers.iter().collect::<Vec<_>>(), "").start();
        for server in &servers {
            expect_found(&gateway, server, "unwell: status 404", 1);
        }
        assert_eq!(ask(&gateway, 20), [200; 20]);
        assert!(gateway.count_in_log("its checks say that it is unwell") >= 1);
    }
    let server = Server::start();
    server.is(Some("404 Not Found"));
    let mut beside = config(&[&server], "");
    beside.route = "fallback = { status = 503, text = \"sorry\" }".to_owned();
    let gateway = beside.start();
    expect_found(&gateway, &server, "unwell: status 404", 1);
    assert_eq!(ask(&gateway, 20), [200; 20], "the first one was the probe");
}

/// A server that was away: nobody waits for its checks to find it well.
#[test]
fn the_only_server_is_used_as_soon_as_it_is_back_whatever_its_checks_say() {
    let server = Server::start();
    server.is(UNWELL);
    server.answers(FAULT);
    let gateway = config(&[&server], "").start();
    expect_found(&gateway, &server, "unwell: status 503", 1);
    assert_eq!(ask(&gateway, 12), [500; 12], "its own word, and not one of ours");
    server.answers("200 OK\r\n");
    assert_eq!(ask(&gateway, 12), [200; 12]);
    assert_eq!(gateway.count_in_log("is well"), 0);
}

/// A breaker that opens at the second fault, and for longer than a test lasts.
const BREAKER: &str = "breaker = { consecutive = 2, open = \"60s\", panic = 100 }";
const FAULT: &str = "500 Internal Server Error\r\n";

#[test]
fn good_checks_all_along_do_not_close_a_breaker() {
    let server = Server::start();
    server.answers(FAULT);
    let gateway = config(&[&server], BREAKER).start();
    assert_eq!(ask(&gateway, 3), [500, 500, 503]);
    server.answers("200 OK\r\n");
    server.wait_checks(5);
    assert_eq!(ask(&gateway, 3), [503; 3], "a health page says nothing of a model");
    assert_eq!(server.requests(), 2);
}

#[test]
fn an_endpoint_that_comes_back_is_probed_at_once() {
    let server = Server::start();
    server.answers(FAULT);
    let gateway = config(&[&server], BREAKER).start();
    assert_eq!(ask(&gateway, 3), [500, 500, 503]);
    // It restarts: another one than before.
    server.is(UNWELL);
    expect_found(&gateway, &server, "unwell", 1);
    server.answers("200 OK\r\n");
    server.is(WELL);
    expect_found(&gateway, &server, "well", 1);
    assert_eq!(ask(&gateway, 3), [200; 3], "without waiting for the minute");
}

#[test]
fn a_check_knows_nothing_of_a_quota() {
    let server = Server::start();
    server.answers("429 Too Many Requests\r\nRetry-After: 60\r\n");
    let gateway = config(&[&server], BREAKER).start();
    assert_eq!(ask(&gateway, 1), [429]);
    server.answers("200 OK\r\n");
    server.is(UNWELL);
    expect_found(&gateway, &server, "unwell", 1);
    server.is(WELL);
    expect_found(&gateway, &server, "well", 1);
    assert_eq!(ask(&gateway, 2), [503; 2], "it has said itself when it wants to be asked");
    assert_eq!(server.requests(), 1);
}

#[test]
fn checks_begin_and_end_with_a_reload() {
    let server = Server::start();
    server.is(UNWELL);
    let checked = config(&[&server], "breaker = \"off\"");
    let unchecked = Config {
        upstream: checked.upstream.replace(CHECKS, "health = \"off\""),
        ..checked.clone()
    };
    let gateway = unchecked.start();
    assert_eq!(ask(&gateway, 1), [200]);
    assert_eq!(server.checks(), 0);
    for (generation, config, verdict) in [(1, &checked, 503), (2, &unchecked, 200)] {
        gateway.rewrite(&config.text());
        signal(&gateway, Signal::HUP);
        gateway.wait_for_log(&format!("generation {generation} is in force"));
        // Taken out by the checks; back as soon as nobody checks.
        expect_found(&gateway, &server, "unwell", 1);
        assert_eq!(ask(&gateway, 2), [verdict; 2]);
    }
    let checks = server.checks();
    thread::sleep(5 * INTERVAL);
    assert!(server.checks() <= checks + 1, "one may have been under way");
}
