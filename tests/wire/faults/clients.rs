//! The client's half of a fault: it leaves, half closes, or meets a connection that had died.

use super::stage::*;
use crate::harness::End;

#[test]
fn a_pooled_connection_that_had_died_costs_nothing() {
    // The second request of a connection is met by its end.
    let primary =
        Server::playing(|nth| if nth == 1 { vec![Act::Close] } else { stream("primary") });
    let knobs = Knobs { primary: "retry = \"off\"", ..Knobs::default() };
    let gateway = knobs.gateway(&[primary.address], None);
    let mut client = ask(&gateway);
    expect_stream(&mut client, "primary", "primary", 1);
    client.send(request());
    // No attempt: the server was never to blame.
    expect_stream(&mut client, "primary", "primary", 1);
    primary.expect_asked(3);
    assert_eq!(primary.connections(), 2, "it was sent again on a fresh one");
}

#[test]
fn a_half_closed_client_has_left_unless_it_may_half_close() {
    let slow = || vec![Act::Wait(ms(150)), stream("primary").remove(0), Act::Hold];
    let primary = Server::playing(move |_| slow());
    let cancel = gateway(&[&primary], None);
    let mut client = ask(&cancel);
    client.finish();
    assert!(matches!(client.read_end(), End::Fin | End::Reset));
    assert!(client.received().is_empty());
    cancel.wait_for_log("499 client_gone");

    let knobs = Knobs { server: "half_close = \"allow\"", ..Knobs::default() };
    let allow = knobs.gateway(&[primary.address], None);
    let mut client = ask(&allow);
    client.finish();
    expect_stream(&mut client, "primary", "primary", 1);
}

#[test]
fn a_client_that_leaves_between_two_attempts_is_not_asked_for_again() {
    let primary = Server::playing(|_| error("503 No", "Retry-After: 1\r\n", "down"));
    let gateway = gateway(&[&primary], None);
    let client = ask(&gateway);
    while primary.requests().is_empty() {
        std::thread::sleep(ms(1));
    }
    std::thread::sleep(ms(50));
    drop(client);
    gateway.wait_for_log("499 client_gone");
    std::thread::sleep(ms(1200));
    primary.expect_asked(1);
}

#[test]
fn a_half_closed_client_is_asked_whether_it_is_there() {
    let slow = |nth| match nth {
        0 => [vec![Act::Wait(ms(150))], stream("primary")].concat(),
        _ => vec![Act::Hold],
    };
    let primary = Server::playing(slow);
    let knobs =
        Knobs { server: "half_close = \"probe\"", timeouts: "ttft = \"20s\"", ..Knobs::default() };
    let gateway = knobs.gateway(&[primary.address], None);
    // One that has only finished sending passes over the question.
    let mut client = ask(&gateway);
    client.finish();
    assert_eq!(client.read_head().status(), 102);
    expect_stream(&mut client, "primary", "primary", 1);
    // The kernel of one that has left answers for it.
    let client = ask(&gateway);
    while primary.requests().len() < 2 {
        std::thread::sleep(ms(1));
    }
    drop(client);
    primary.expect_cancelled(1);
    gateway.wait_for_log("499 client_gone");
}
