//! Endpoints that come and go under load, and what is left of it afterwards.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::stage::*;
use crate::harness::{Gateway, Mock, PATIENCE, Peer, Stopwatch};

/// How the answers to many requests ended.
#[derive(Debug, Default)]
struct Score {
    whole: AtomicUsize,
    /// Broken off behind the first event, and seen to be.
    cut: AtomicUsize,
    /// Errors, by anybody.
    refused: AtomicUsize,
    /// Looks whole, and is not; or is no answer at all.
    lies: AtomicUsize,
}

impl Score {
    fn get(&self) -> [usize; 4] {
        [&self.whole, &self.cut, &self.refused, &self.lies].map(|it| it.load(Ordering::Relaxed))
    }
}

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
enum Asks {
    /// A stream of events.
    Stream,
    /// One JSON object.
    Unary,
}

impl Asks {
    fn request(self) -> String {
        match self {
            Asks::Stream => request(),
            Asks::Unary => request()
                .replace(PROMPT, UNARY)
                .replace(&format!("Length: {}", PROMPT.len()), &format!("Length: {}", UNARY.len())),
        }
    }

    /// Whether these bytes are a whole answer, as far as HTTP goes.
    fn is_whole(self, received: &[u8]) -> bool {
        match self {
            Asks::Stream => received.ends_with(b"\r\n0\r\n\r\n"),
            Asks::Unary => {
                let text = String::from_utf8_lossy(received);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                let head = head.to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                length.is_some_and(|length| length.parse() == Ok(body.len()))
            }
        }
    }

    /// Whether it says all that was asked for.
    fn says_all(self, text: &str, tokens: usize) -> bool {
        match self {
            Asks::Stream => {
                let spoken = text.matches("\"delta\":{\"content\"").count();
                text.contains("[DONE]") && spoken == tokens
            }
            Asks::Unary => {
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
                let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
                json["usage"]["completion_tokens"] == tokens
            }
        }
    }
}

const UNARY: &str = r#"{"model":"asked","stream":false,"messages":[]}"#;

/// One request on a connection of its own.
fn judge(gateway: SocketAddr, asks: Asks, tokens: usize, score: &Score) {
    let mut client = Peer::connect(gateway);
    client.send(asks.request());
    let whole = loop {
        client.receive(ms(5000));
        if client.received().starts_with(b"HTTP/1.1 5") {
            score.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if asks.is_whole(client.received()) {
            break true;
        }
        if client.has_ended() || client.received().is_empty() {
            break false;
        }
    };
    let text = String::from_utf8_lossy(client.received()).into_owned();
    let counter = match whole {
        true if asks.says_all(&text, tokens) => &score.whole,
        false if text.starts_with("HTTP/1.1 200") && !text.contains("[DONE]") => &score.cut,
        _ => &score.lies,
    };
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Keeps `clients` requests of each kind in flight while `during` runs. Returns how the streams
/// ended, and how the others did.
fn under_load(
    gateway: &Gateway,
    tokens: usize,
    clients: usize,
    during: impl FnOnce(),
) -> [[usize; 4]; 2] {
    let (streams, unary, over) = (Score::default(), Score::default(), AtomicBool::new(false));
    let address = gateway.address();
    thread::scope(|scope| {
        let over = &over;
        for (asks, score) in [(Asks::Stream, &streams), (Asks::Unary, &unary)] {
            for _ in 0..clients {
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        judge(address, asks, tokens, score);
                    }
                });
            }
        }
        during();
        over.store(true, Ordering::Relaxed);
    });
    let scores = [streams.get(), unary.get()];
    for (name, [whole, cut, refused, lies]) in ["streams", "unary"].iter().zip(scores) {
        println!("{name}: {whole} whole, {cut} cut, {refused} refused, {lies} lies");
    }
    scores
}

/// Servers of short answers: a tenth of a second each.
const TOKENS: usize = 5;
const FLAGS: [&str; 4] = ["--tokens", "5", "--rate", "50"];
/// Of each kind.
const CLIENTS: usize = 12;

/// With every default, and checks that notice a restart.
fn fleet(mocks: &[Mock]) -> Gateway {
    let addresses: Vec<SocketAddr> = mocks.iter().map(Mock::address).collect();
    let knobs = Knobs {
        primary: "health = { interval = \"100ms\", timeout = \"100ms\", unhealthy = 2, healthy = 1 }",
        timeouts: "ttft = \"5s\"",
        ..Knobs::default()
    };
    knobs.gateway(&addresses, None)
}

/// Ends one mock after the other by `end`, and starts it again on its address a moment later.
fn restart_each(mocks: &mut Vec<Mock>, end: impl Fn(Mock)) {
    thread::sleep(ms(300));
    for index in 0..mocks.len() {
        let address = mocks[index].address();
        end(mocks.remove(index));
        thread::sleep(ms(300));
        mocks.insert(index, Mock::start_at(address, &FLAGS));
        thread::sleep(ms(500));
    }
}

#[test]
fn a_killed_endpoint_costs_only_the_streams_it_had_begun() {
    let mut mocks: Vec<Mock> = (0..3).map(|_| Mock::start(&FLAGS)).collect();
    let gateway = fleet(&mocks);
    let [streams, unary] = under_load(&gateway, TOKENS, CLIENTS, || {
        thread::sleep(ms(600));
        mocks.remove(0).kill();
        thread::sleep(ms(1500));
    });
    assert_eq!(streams[2..], [0, 0], "{streams:?}");
    assert!(streams[1] <= CLIENTS, "{streams:?}: more than were in flight");
    assert_eq!(unary[1..], [0, 0, 0]);
    assert!(streams[0] > 50 && unary[0] > 50, "{streams:?} {unary:?}");
    // Nobody is left to be hurt.
    let after = under_load(&gateway, TOKENS, CLIENTS, || thread::sleep(ms(400)));
    assert!(after.iter().all(|score| score[1..] == [0, 0, 0]), "{after:?}");
}

#[test]
fn a_rolling_restart_of_all_endpoints_costs_nothing() {
    let mut mocks: Vec<Mock> = (0..3).map(|_| Mock::start(&FLAGS)).collect();
    let gateway = fleet(&mocks);
    let [streams, unary] =
        under_load(&gateway, TOKENS, CLIENTS, || restart_each(&mut mocks, Mock::terminate));
    assert_eq!((&streams[1..], &unary[1..]), (&[0, 0, 0][..], &[0, 0, 0][..]));
    assert!(streams[0] > 100 && unary[0] > 100, "{streams:?} {unary:?}");
}

#[test]
fn a_rolling_kill_of_all_endpoints_costs_only_streams_that_had_begun() {
    let mut mocks: Vec<Mock> = (0..3).map(|_| Mock::start(&FLAGS)).collect();
    let gateway = fleet(&mocks);
    let [streams, unary] =
        under_load(&gateway, TOKENS, CLIENTS, || restart_each(&mut mocks, Mock::kill));
    assert_eq!(
        unary[1..],
        [0, 0, 0],
        "an answer that nobody has seen a byte of is asked for again"
    );
    assert_eq!(streams[2..], [0, 0], "{streams:?}");
    assert!(streams[1] <= 3 * CLIENTS, "{streams:?}: more than were in flight");
    assert!(streams[0] > 100 && unary[0] > 100, "{streams:?} {unary:?}");
    // All of them are back, and get their share.
    let after = under_load(&gateway, TOKENS, CLIENTS, || thread::sleep(ms(400)));
    assert!(after.iter().all(|score| score[1..] == [0, 0, 0]), "{after:?}");
}

#[test]
fn a_flapping_primary_is_not_seen() {
    // Every second request fails.
    let primary = Server::playing(|nth| match nth % 2 {
        0 => error("503 Service Unavailable", "", "flap"),
        _ => stream("primary"),
    });
    let second = Server::well("second");
    let gateway = gateway(&[&primary], Some(&second));
    let mut client = gateway.connect();
    for number in 0..20 {
        client.send(request());
        let response = client.read_response();
        assert_eq!(response.status(), 200, "request {number}: {response:?}");
        let by = if response.field("x-sluice-upstream") == Some("second") {
            "second"
        } else {
            "primary"
        };
        assert_eq!(response.text(), spoken(by));
        let attempts: u32 = response.field("x-sluice-attempts").unwrap_or("").parse().expect("one");
        assert!((1..=3).contains(&attempts), "{attempts}");
    }
    assert!(primary.requests().len() <= 2 * 20);
}

#[test]
fn after_failing_over_nothing_is_held() {
    let primary = Server::playing(|_| error("503 Service Unavailable", "", "down"));
    let second = Server::well("second");
    // One place at each: whatever a failed attempt kept would be missed by the next request.
    let one = "breaker = \"off\"\npool = { connections = 1, idle_per_endpoint = 0 }\n\
               admission = { max_concurrency = 1, endpoint_concurrency = 1 }\n\
               retry = { attempts = 2, backoff = \"1ms\", budget = 100 }";
    let knobs = Knobs { primary: one, second: one, ..Knobs::default() };
    let gateway = knobs.gateway(&[primary.address], Some(second.address));
    let mut client = gateway.connect();
    client.send(request());
    expect_stream(&mut client, "second", "second", 3);
    let before = gateway.descriptors();
    for _ in 0..20 {
        let asked = Stopwatch::of(gateway.pid());
        client.send(request());
        expect_stream(&mut client, "second", "second", 3);
        assert!(asked.spent() < ms(350), "it waited: {:?}", asked.elapsed());
    }
    primary.expect_asked(42);
    second.expect_asked(21);
    // The last connection is closed at the end of its turn.
    let asked = Instant::now();
    while gateway.descriptors() > before {
        assert!(asked.elapsed() < PATIENCE, "{} and {before}", gateway.descriptors());
        std::thread::sleep(ms(1));
    }
}
