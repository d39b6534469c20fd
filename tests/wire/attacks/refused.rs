//! What must reach nobody: heads and chunks of clients, heads and chunks of servers.

use super::rows::{Row, answers, chunks, framing, heads};
use crate::harness::{Documented, Upstream, proven};
use crate::hostile::{
    GET, HIDDEN, expect_bad_gateway, expect_fresh_connection, refused_in_a_request,
    refused_in_a_response,
};
use crate::smuggling::{AMBIGUOUS_BODY, SMUGGLED, expect_first_request, expect_refusal};
use crate::{hostile, smuggling};

fn owned(rows: &[&[Row]]) -> Vec<(&'static str, Vec<u8>)> {
    rows.iter().flat_map(|rows| rows.iter()).map(|(id, bytes)| (*id, bytes.to_vec())).collect()
}

/// The row, and all that a client sends.
pub fn hostile_heads() -> Vec<(Documented, Vec<u8>)> {
    let mut cases = owned(&[heads::START_LINES, heads::TARGETS, heads::FIELDS]);
    let start = &b"POST / HTTP/1.1\r\nHost: a\r\n"[..];
    for (id, fields) in owned(&[framing::CODINGS, framing::LENGTHS]) {
        cases.push((id, [start, &fields, b"\r\n", AMBIGUOUS_BODY].concat()));
    }
    proven("Heads of requests", "attacks_on_heads_are_refused_and_reach_nobody", cases)
}

/// The row, and what follows a good chunk.
pub fn hostile_chunks() -> Vec<(Documented, Vec<u8>)> {
    let cases = owned(&[chunks::CHUNKS, chunks::TRAILERS]);
    proven("Chunked bodies", "attacks_on_chunks_end_both_connections", cases)
}

#[test]
fn attacks_on_heads_are_refused_and_reach_nobody() {
    let upstream = Upstream::listen();
    let gateway = smuggling::gateway_to(&upstream);
    for (row, request) in hostile_heads() {
        let mut client = gateway.connect();
        client.send([&request[..], SMUGGLED].concat());
        expect_refusal(&mut client, row.id, row.answer());
    }
    expect_first_request(&gateway, &upstream);
}

#[test]
fn attacks_on_chunks_end_both_connections() {
    let upstream = Upstream::listen();
    let gateway = hostile::gateway_to(&upstream);
    for (row, chunks) in hostile_chunks() {
        refused_in_a_request(&gateway, &upstream, row.id, &chunks);
        refused_in_a_response(&gateway, &upstream, row.id, &chunks);
    }
}

#[test]
fn attacks_of_servers_become_a_502() {
    let upstream = Upstream::listen();
    let gateway = hostile::gateway_to(&upstream);
    let mut client = gateway.connect();
    let cases = owned(&[answers::HEADS]);
    for (row, answer) in proven("Heads of answers", "attacks_of_servers_become_a_502", cases) {
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        let _ = server.try_send([&answer[..], HIDDEN].concat());
        expect_bad_gateway(&mut client, row.id);
        server.read_end();
        expect_fresh_connection(&mut client, &upstream, row.id);
    }
    assert_eq!(client.unread(), b"");
}

/// What follows the head of an interim answer is a head, or the server's connection ends.
#[test]
fn an_interim_answer_has_no_body() {
    let upstream = Upstream::listen();
    let gateway = hostile::gateway_to(&upstream);
    let cases = owned(&[answers::INTERIM]);
    for (row, answer) in proven("Heads of answers", "an_interim_answer_has_no_body", cases) {
        let mut client = gateway.connect();
        client.send(GET);
        let mut server = upstream.accept();
        server.read_request();
        let _ = server.try_send([&answer[..], HIDDEN].concat());
        let interim = client.read_head();
        assert!(interim.status() < 200, "{}: {interim:?}", row.id);
        assert!(interim.fields.is_empty(), "{}: {interim:?}", row.id);
        expect_bad_gateway(&mut client, row.id);
        server.read_end();
        expect_fresh_connection(&mut client, &upstream, row.id);
        assert_eq!(client.unread(), b"", "{}", row.id);
    }
}
