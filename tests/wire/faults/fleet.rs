//! Endpoints that come and go under load, and what is left of it afterwards.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::stage::*;
use crate::harness::{Gateway, Mock, Peer};

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

/// One request on a connection of its own.
fn judge(gateway: SocketAddr, tokens: usize, score: &Score) {
    let mut client = Peer::connect(gateway);
    client.send(request());
    let whole = loop {
        client.receive(ms(5000));
        if client.received().ends_with(b"\r\n0\r\n\r\n") {
            break true;
        }
        if client.has_ended() || client.received().is_empty() {
            break false;
        }
        if client.received().starts_with(b"HTTP/1.1 5") {
            score.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
    };
    let text = String::from_utf8_lossy(client.received()).into_owned();
    let spoken = text.matches("\"delta\":{\"content\"").count();
    let counter = match whole {
        true if text.contains("[DONE]") && spoken == tokens => &score.whole,
        false if text.starts_with("HTTP/1.1 200") && !text.contains("[DONE]") => &score.cut,
        _ => &score.lies,
    };
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Keeps `clients` requests in flight while `during` runs.
fn under_load(gateway: &Gateway, tokens: usize, clients: usize, during: impl FnOnce()) -> Score {
    let (score, over) = (Score::default(), AtomicBool::new(false));
    let address = gateway.address();
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    judge(address, tokens, &score);
                }
            });
        }
        during();
        over.store(true, Ordering::Relaxed);
    });
    score
}

/// Servers of short streams.
const TOKENS: usize = 5;
const FLAGS: [&str; 4] = ["--tokens", "5", "--rate", "50"];

fn fleet(mocks: &[Mock]) -> Gateway {
    let addresses: Vec<SocketAddr> = mocks.iter().map(Mock::address).collect();
    // Everything may be sent again: what is measured is the failing over, not the budget.
    let knobs = Knobs {
        primary: "retry = { attempts = 3, budget = 100 }",
        timeouts: "ttft = \"5s\"",
        ..Knobs::default()
    };
    knobs.gateway(&addresses, None)
}

#[test]
fn a_killed_endpoint_costs_only_the_streams_it_had_begun() {
    let mut mocks: Vec<Mock> = (0..3).map(|_| Mock::start(&FLAGS)).collect();
    let gateway = fleet(&mocks);
    let clients = 12;
    let score = under_load(&gateway, TOKENS, clients, || {
        thread::sleep(ms(600));
        mocks.remove(0).kill();
        thread::sleep(ms(1500));
    });
    let [whole, cut, refused, lies] = score.get();
    println!("{whole} whole, {cut} cut, {refused} refused, {lies} lies");
    assert_eq!((refused, lies), (0, 0), "{whole} whole, {cut} cut");
    assert!(cut <= clients, "{cut} streams cut of the {clients} in flight");
    assert!(whole > 50, "{whole}");
    // Nobody is left to be hurt.
    let after = under_load(&gateway, TOKENS, clients, || thread::sleep(ms(400)));
    assert_eq!(after.get()[1..], [0, 0, 0]);
}

#[test]
fn a_rolling_restart_of_all_endpoints_costs_nothing() {
    let mut mocks: Vec<Mock> = (0..3).map(|_| Mock::start(&FLAGS)).collect();
    let gateway = fleet(&mocks);
    let score = under_load(&gateway, TOKENS, 12, || {
        thread::sleep(ms(300));
        for index in 0..mocks.len() {
            let address = mocks[index].address();
            mocks.remove(index).terminate();
            thread::sleep(ms(100));
            mocks.insert(index, Mock::start_at(address, &FLAGS));
            thread::sleep(ms(500));
        }
    });
    let [whole, cut, refused, lies] = score.get();
    println!("{whole} whole, {cut} cut, {refused} refused, {lies} lies");
    assert_eq!((cut, refused, lies), (0, 0, 0), "{whole} whole");
    assert!(whole > 50, "{whole}");
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
        let asked = Instant::now();
        client.send(request());
        expect_stream(&mut client, "second", "second", 3);
        assert!(asked.elapsed() < ms(350), "it waited: {:?}", asked.elapsed());
    }
    primary.expect_asked(42);
    second.expect_asked(21);
    // The last connection is closed at the end of its turn.
    let asked = Instant::now();
    while gateway.descriptors() > before {
        assert!(asked.elapsed() < ms(2_000), "{} and {before}", gateway.descriptors());
        std::thread::sleep(ms(1));
    }
}
