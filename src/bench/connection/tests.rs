//! One connection against a script: what is heard, in which pieces, and how it ends.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};

use super::*;
use crate::bench::target::{Asking, Dialect};
use crate::reactor::net::Event;
use crate::reactor::token::Token;

/// A stream that says what it was told to say, piece by piece, and then waits or ends.
struct Scripted {
    pieces: VecDeque<Vec<u8>>,
    closed: bool,
    written: Vec<u8>,
    /// Bytes that one write takes.
    takes: usize,
    write_error: Option<ErrorKind>,
}

impl Stream for Scripted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.pieces.pop_front() {
            Some(piece) => {
                into[..piece.len()].copy_from_slice(&piece);
                Ok(piece.len())
            }
            None if self.closed => Ok(0),
            None => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        if let Some(kind) = self.write_error {
            return Err(kind.into());
        }
        let count = from.len().min(self.takes);
        self.written.extend_from_slice(&from[..count]);
        Ok(count)
    }

    fn write_vectored(&mut self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        unreachable!("a request is written in one piece")
    }

    fn write_last(&mut self, _: &[u8]) -> io::Result<usize> {
        unreachable!("an answer follows")
    }

    fn peek(&mut self, _: &mut [u8]) -> io::Result<usize> {
        unreachable!("nothing is looked at without being taken")
    }

    fn delay_acks(&mut self) {}

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset_on_drop(&mut self) {}
}

fn connection(answer: &[u8], piece: usize, closed: bool) -> Connection<Scripted> {
    let pieces = answer.chunks(piece).map(<[u8]>::to_vec).collect();
    let stream =
        Scripted { pieces, closed, written: Vec::new(), takes: usize::MAX, write_error: None };
    Connection::new(stream, false, Instant::ZERO)
}

fn target(dialect: Dialect) -> Target {
    let asking = Asking { method: "POST".to_owned(), ..Asking::default() };
    let url = "http://127.0.0.1:9/stream";
    Target::new("t", url, dialect, Shape::Streams, &asking).expect("a target")
}

const MOCK: Dialect =
    Dialect::Mock { token_rate: 1.0, tokens: Some(2), token_bytes: 26, bulk_bytes: 0 };

fn desk(target: &Target) -> Bench<'_> {
    let record = Record::new(Instant::ZERO, false, false);
    Bench { target, shape: Shape::Streams, record, scratch: vec![0; 4096] }
}

/// Asks, and lets the connection be ready until it waits for nothing any more.
fn converse(connection: &mut Connection<Scripted>, desk: &mut Bench<'_>) -> DriveEnd {
    // Every look at the clock is a microsecond later.
    let clock = Cell::new(1_000_000);
    let now = || {
        clock.set(clock.get() + 1_000);
        Instant::from_nanos(clock.get())
    };
    connection.ask(None, now());
    loop {
        let everything = Event {
            token: Token::WAKER,
            readable: true,
            writable: true,
            read_closed: connection.stream.closed,
            errored: false,
        };
        connection.ready.on_event(&everything);
        let more = !connection.stream.pieces.is_empty();
        match connection.drive(desk, &now) {
            DriveEnd::Again => {}
            DriveEnd::Waiting if more => {}
            verdict => return verdict,
        }
    }
}

fn answer(head: &str, payload: &str) -> Vec<u8> {
    let chunks = payload.as_bytes().chunks(26).map(|data| {
        let text = String::from_utf8_lossy(data);
        format!("{:x}\r\n{text}\r\n", data.len())
    });
    let body: String = chunks.collect();
    format!("HTTP/1.1 {head}\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n").into_bytes()
}

#[test]
fn a_large_request_is_written_piece_by_piece_and_its_bytes_are_counted() {
    let asking = Asking { method: "POST".to_owned(), filler: 300_000, ..Asking::default() };
    let url = "http://127.0.0.1:9/stream";
    let target = Target::new("t", url, MOCK, Shape::Upload, &asking).expect("a target");
    for takes in [7_001, 65_536, usize::MAX] {
        let mut desk = Bench { shape: Shape::Upload, ..desk(&target) };
        let mut connection = connection(&answer("200 OK", TOKENS), 4096, false);
        connection.stream.takes = takes;
        assert_eq!(converse(&mut connection, &mut desk), DriveEnd::Answered, "{takes} at once");
        let (head, body) = connection.stream.written.split_at(target.request.len());
        assert_eq!(head, target.request);
        assert!(body.len() == 300_000 && body.iter().all(|byte| *byte == b'.'));
        let heard = answer("200 OK", TOKENS).len();
        assert_eq!(desk.record.bytes, (head.len() + body.len() + heard) as u64);
        assert_eq!((desk.record.requests, desk.record.tokens), (1, 0));
    }
}

const TOKENS: &str = "00000000000000000900 words00000000000000001000 words";

#[test]
fn tokens_are_timed_however_the_answer_is_cut() {
    let answer = [b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(), answer("200 OK", TOKENS)].concat();
    let target = target(MOCK);
    for piece in 1..=answer.len() {
        let mut desk = desk(&target);
        let mut connection = connection(&answer, piece, false);
        assert_eq!(converse(&mut connection, &mut desk), DriveEnd::Answered, "pieces of {piece}");
        let record = &desk.record;
        assert_eq!((record.tokens, record.token.len(), record.requests), (2, 2, 1));
        assert_eq!((record.first_token.len(), record.gap.len()), (1, 1));
        assert_eq!(record.bytes, answer.len() as u64);
        assert_eq!((record.illegible, record.failures.total()), (0, 0));
        assert!(record.token.min() >= 900_000, "stamped long before the clock began");
        assert!(connection.is_idle() && connection.stream.written == target.request);
    }
}

#[test]
fn a_request_that_does_not_go_out_at_once_goes_out_whole() {
    let target = target(MOCK);
    let mut desk = desk(&target);
    let mut connection = connection(&answer("200 OK", TOKENS), 4096, false);
    connection.stream.takes = 7;
    assert_eq!(converse(&mut connection, &mut desk), DriveEnd::Answered);
    assert_eq!(connection.stream.written, target.request);
}

#[test]
fn other_statuses_are_failures_and_their_bodies_no_tokens() {
    let target = target(MOCK);
    let mut desk = desk(&target);
    let mut connection = connection(&answer("503 No", TOKENS), 4096, false);
    assert_eq!(converse(&mut connection, &mut desk), DriveEnd::Answered);
    assert_eq!((desk.record.tokens, desk.record.requests, desk.record.failures.status), (0, 0, 1));
}

#[test]
fn a_connection_is_left_when_the_server_says_so() {
    let target = target(Dialect::Any);
    let close = answer("200 OK\r\nConnection: close", "x");
    let until_close = b"HTTP/1.0 200 OK\r\n\r\nabc".to_vec();
    for (answer, closed) in [(close, false), (until_close, true)] {
        let mut desk = desk(&target);
        let mut connection = connection(&answer, 4096, closed);
        assert_eq!(converse(&mut connection, &mut desk), DriveEnd::AnsweredLast);
        assert_eq!((desk.record.requests, desk.record.tokens), (1, 1));
    }
}

#[test]
fn broken_answers_are_told_from_answers_that_are_none() {
    let whole = answer("200 OK", TOKENS);
    let cut = whole[..whole.len() - 3].to_vec();
    let cases = [
        (cut, true, Failure::Broken),
        (b"HTTP/1.1 200 OK\r\nContent-L".to_vec(), true, Failure::Broken),
        (Vec::new(), true, Failure::Broken),
        (b"SSH-2.0-x\r\n".to_vec(), false, Failure::Protocol),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz".to_vec(),
            false,
            Failure::Protocol,
        ),
    ];
    let target = target(MOCK);
    for (bytes, closed, failure) in cases {
        let mut desk = desk(&target);
        let mut connection = connection(&bytes, 4096, closed);
        let verdict = converse(&mut connection, &mut desk);
        assert_eq!(verdict, DriveEnd::Failed(failure), "{:?}", String::from_utf8_lossy(&bytes));
        assert_eq!(desk.record.requests, 0);
    }
}

#[test]
fn bytes_behind_the_answer_end_the_connection_but_not_the_answer() {
    let target = target(MOCK);
    let mut desk = desk(&target);
    let bytes = [answer("200 OK", TOKENS), b"HTTP/1.1 200".to_vec()].concat();
    let mut connection = connection(&bytes, 4096, false);
    assert_eq!(converse(&mut connection, &mut desk), DriveEnd::AnsweredLast);
    assert_eq!(desk.record.requests, 1);
}

#[test]
fn a_refused_connection_is_told_from_one_that_breaks() {
    let target = target(MOCK);
    let mut desk = desk(&target);
    let mut refused = connection(b"", 1, false);
    refused.stream.write_error = Some(ErrorKind::ConnectionRefused);
    assert_eq!(converse(&mut refused, &mut desk), DriveEnd::Failed(Failure::Connect));
}

#[test]
fn an_open_loop_times_from_the_instant_a_request_was_due() {
    let target = target(MOCK);
    let mut desk = desk(&target);
    let mut connection = connection(&answer("200 OK", TOKENS), 4096, false);
    connection.ask(Some(Instant::from_nanos(500_000)), Instant::from_nanos(900_000));
    assert_eq!(connection.in_flight_since(), Some(Instant::from_nanos(500_000)));
    let event = Event {
        token: Token::WAKER,
        readable: true,
        writable: true,
        read_closed: false,
        errored: false,
    };
    connection.ready.on_event(&event);
    let verdict = connection.drive(&mut desk, &|| Instant::from_nanos(1_000_000));
    assert_eq!(verdict, DriveEnd::Answered);
    let record = &desk.record;
    for histogram in [&record.first_token, &record.request] {
        assert!((499_000..=501_000).contains(&histogram.max()), "{}", histogram.max());
    }
}
