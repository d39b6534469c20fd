//! Nobody has a place: the line, who leaves it, and how it is refused.

use std::net::SocketAddr;
use std::time::Instant;

use super::stage::*;
use crate::harness::{Gateway, Stopwatch};

/// One upstream with these settings, and so many workers, among which connections are balanced.
fn admitting(address: SocketAddr, workers: u32, upstream: &str) -> Gateway {
    Gateway::start(&format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = {workers}\naccept = \"balanced\"\n\
         [limits]\nconnections = 1000\n\
         [[upstream]]\nname = \"primary\"\nendpoints = [\"{address}\"]\n{upstream}\n\
         [[route]]\npath = \"/*\"\nupstream = \"primary\"\n"
    ))
}

/// A server whose first answer takes its time.
fn busy(first: u64) -> Server {
    Server::playing(move |nth| {
        let pause = Act::Wait(ms(if nth == 0 { first } else { 0 }));
        [vec![pause], stream("primary")].concat()
    })
}

fn wait_until_asked(server: &Server, count: usize) {
    while server.requests().len() < count {
        std::thread::sleep(ms(1));
    }
}

fn retry_after(response: &crate::harness::Message) -> u64 {
    let seconds = response.field("retry-after").expect("an honest Retry-After");
    seconds.parse().expect("whole seconds")
}

#[test]
fn a_full_line_is_refused_at_once() {
    let primary = busy(400);
    let gateway = admitting(primary.address, 1, "admission = { max_concurrency = 1, queue = 1 }");
    let mut served = ask(&gateway);
    wait_until_asked(&primary, 1);
    let mut waits = ask(&gateway);
    std::thread::sleep(ms(50));
    let begun = Stopwatch::of(gateway.pid());
    let refused = expect_error(&mut ask(&gateway), 429, "queue_full");
    assert!(begun.spent() < ms(200), "{:?}", begun.elapsed());
    assert!((1..=60).contains(&retry_after(&refused)));
    expect_stream(&mut served, "primary", "primary", 1);
    expect_stream(&mut waits, "primary", "primary", 1);
    primary.expect_asked(2);
}

#[test]
fn who_waits_too_long_is_told_when_to_come_again() {
    let primary = busy(900);
    let knobs = "admission = { max_concurrency = 1, queue_timeout = \"200ms\" }";
    let gateway = admitting(primary.address, 1, knobs);
    let mut served = ask(&gateway);
    wait_until_asked(&primary, 1);
    let begun = Stopwatch::of(gateway.pid());
    let refused = expect_error(&mut ask(&gateway), 503, "queue_timeout");
    let (took, spent) = (begun.elapsed(), begun.spent());
    assert!(took >= ms(200) && spent < ms(600), "{took:?}, {spent:?} of it ours");
    assert!((1..=60).contains(&retry_after(&refused)));
    expect_stream(&mut served, "primary", "primary", 1);
    primary.expect_asked(1);
}

#[test]
fn nobody_who_may_be_asked_is_refused_with_the_time_of_the_next_probe() {
    let primary = Server::playing(|_| error("503 No", "", "down"));
    let knobs = "retry = \"off\"\nbreaker = { consecutive = 2, open = \"20s\", panic = 100 }";
    let gateway = admitting(primary.address, 1, knobs);
    for _ in 0..2 {
        assert_eq!(ask(&gateway).read_response().status(), 503);
    }
    let refused = expect_error(&mut ask(&gateway), 503, "no_upstream");
    assert!((17..=22).contains(&retry_after(&refused)), "{refused:?}");
    primary.expect_asked(2);
}

#[test]
fn a_client_that_leaves_the_line_leaves_its_place_in_it() {
    let primary = busy(400);
    let gateway = admitting(primary.address, 1, "admission = { max_concurrency = 1, queue = 1 }");
    let mut served = ask(&gateway);
    wait_until_asked(&primary, 1);
    let leaves = ask(&gateway);
    std::thread::sleep(ms(50));
    drop(leaves);
    gateway.wait_for_log("499 client_gone");
    let mut waits = ask(&gateway);
    expect_stream(&mut served, "primary", "primary", 1);
    expect_stream(&mut waits, "primary", "primary", 1);
    primary.expect_asked(2);
}

#[test]
fn a_permit_wakes_who_waits_with_another_worker() {
    let primary = Server::playing(|_| [vec![Act::Wait(ms(20))], stream("primary")].concat());
    let knobs = "admission = { max_concurrency = 1, queue_timeout = \"5s\" }";
    let gateway = admitting(primary.address, 2, knobs);
    // Balanced: one connection each, and they stay open.
    let (mut one, mut other) = (gateway.connect(), gateway.connect());
    let begun = Instant::now();
    const ROUNDS: usize = 50;
    for round in 0..ROUNDS {
        let (first, second) =
            if round % 2 == 0 { (&mut one, &mut other) } else { (&mut other, &mut one) };
        first.send(request());
        wait_until_asked(&primary, 2 * round + 1);
        second.send(request());
        expect_stream(first, "primary", "primary", 1);
        expect_stream(second, "primary", "primary", 1);
    }
    // Who is not called waits until its deadline: five seconds, once.
    let least = ms(20 * 2 * ROUNDS as u64);
    assert!((least..least + ms(2500)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[test]
fn a_listed_key_goes_first_whatever_others_say_of_themselves() {
    let primary = busy(500);
    // printf sk-urgent | sha256sum
    let key = "bfaff3c907e01159c70821aa1dcc3830bf2ba6e5f99f23410791349e945ad138";
    let knobs = format!(
        "admission = {{ max_concurrency = 1, priority_header = \"x-priority\", priority = 3, \
         keys = [{{ sha256 = \"{key}\", priority = 0 }}] }}"
    );
    let gateway = admitting(primary.address, 1, &knobs);
    let come = |field: &str| {
        let mut client = gateway.connect();
        client.send(request().replacen("\r\n", &format!("\r\n{field}\r\n"), 1));
        std::thread::sleep(ms(50));
        client
    };
    let mut served = come("X-Nobody: 1");
    wait_until_asked(&primary, 1);
    // In the order they come. The header is believed where there is no listed key, and not beside one.
    let mut plain = come("Authorization: Bearer sk-other");
    let mut says = come("X-Priority: 1");
    let mut urgent = come("X-Priority: 3\r\nAuthorization: Bearer sk-urgent");
    expect_stream(&mut served, "primary", "primary", 1);
    expect_stream(&mut urgent, "primary", "primary", 1);
    expect_stream(&mut says, "primary", "primary", 1);
    expect_stream(&mut plain, "primary", "primary", 1);
    let order: Vec<bool> =
        primary.requests().iter().map(|request| request.field("authorization").is_some()).collect();
    assert_eq!(order, [false, true, false, true], "served, urgent, says, plain");
}
