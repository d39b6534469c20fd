//! Trouble: what the first attempts at an exchange meet, before one gets the answer that was meant.
//!
//! Each attempt at an exchange, as far as it reaches a server, uses up one trouble of its plan; the
//! one after the last is answered. Which server it reaches makes no difference.

use std::time::Duration;

use super::payload::{self, ATTEMPT, EXCHANGE};
use super::random::Random;
use super::script::{Answer, Death};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub kind: Kind,
    /// It does not wait for the request's end.
    pub hasty: bool,
    pub pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The connection dies before a byte of an answer.
    Dies(Death),
    /// It dies inside the head.
    HalfHead(Death),
    Status {
        status: u16,
        length: usize,
        body: Body,
    },
    /// The head of an event stream, so many comments, and then the connection dies.
    NoEvent {
        comments: usize,
        death: Death,
    },
    /// An event stream that is whole, and holds nothing.
    Empty,
    Silent,
    /// What it says is no HTTP.
    Garbage,
}

/// How the body of an error goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Whole,
    Stalls,
    Closes,
}

/// What a client may see of an attempt that was not answered, if it is the last.
#[derive(Debug)]
pub struct Told {
    pub status: u16,
    pub body: Vec<u8>,
    pub breaks_off: bool,
}

const COMMENT: &str = ": ping\n\n";

impl Trouble {
    /// One for an exchange; `head`: its method is HEAD.
    pub(super) fn draw(random: &mut Random, head: bool) -> Trouble {
        let death = *random.pick(&[Death::Fin, Death::Reset]);
        // The answer to a HEAD ends with its head: no stream can fail behind it.
        let kinds = if head { 5 } else { 8 };
        let kind = match random.below(kinds) {
            0 => Kind::Dies(death),
            1 => Kind::HalfHead(death),
            2 | 3 => Kind::Status {
                status: *random.pick(&[503, 503, 502, 429, 500]),
                length: random.length(40_000).max(2),
                body: *random.pick(&[Body::Whole, Body::Whole, Body::Stalls, Body::Closes]),
            },
            4 => *random.pick(&[Kind::Silent, Kind::Garbage]),
            5 => Kind::Empty,
            _ => Kind::NoEvent { comments: random.below(4), death },
        };
        let pause = Duration::from_micros(random.length(1_000_000) as u64);
        Trouble { kind, hasty: random.chance(200), pause }
    }

    /// What a server does instead of answering.
    pub(super) fn play(self, number: usize, attempt: usize, head: bool) -> Answer {
        let mut answer = Answer::new();
        if !self.hasty {
            answer = answer.await_request();
        }
        answer = answer.pause(self.pause);
        let tagged = |answer: Answer, status: &str| {
            let answer = answer.status(status).field(EXCHANGE, &number.to_string());
            answer.field(ATTEMPT, &attempt.to_string())
        };
        let events = |answer| {
            let answer = tagged(answer, "200 Planned").field("Content-Type", "text/event-stream");
            answer.field("Transfer-Encoding", "chunked").head()
        };
        match self.kind {
            Kind::Dies(death) => answer.die(death),
            Kind::HalfHead(death) => answer.raw(b"HTTP/1.1 200 Planned\r\nx-exch").die(death),
            Kind::Status { status, length, body } => {
                let answer = tagged(answer, &format!("{status} Planned"));
                let answer = answer.field("Content-Length", &length.to_string()).head();
                if head {
                    return answer;
                }
                let whole = self.text(number, attempt);
                match body {
                    Body::Whole => answer.raw(&whole),
                    Body::Stalls => answer.raw(&whole[..length / 2]).stall(),
                    Body::Closes => answer.raw(&whole[..length / 2]).close(),
                }
            }
            Kind::NoEvent { comments, death } => {
                let mut answer = events(answer);
                for _ in 0..comments {
                    answer = answer.chunk(COMMENT).pause(self.pause);
                }
                answer.die(death)
            }
            Kind::Empty => events(answer).end_chunks(),
            Kind::Silent => answer.stall(),
            Kind::Garbage => answer.raw(b"220 mail.example ESMTP\r\n\r\n").stall(),
        }
    }

    /// What a client sees whose exchange ends with this; `None`: only an error of the gateway's.
    pub(super) fn told(self, number: usize, attempt: usize, head: bool) -> Option<Told> {
        match self.kind {
            Kind::Status { status, body, .. } => {
                let text = if head { Vec::new() } else { self.text(number, attempt) };
                Some(Told { status, body: text, breaks_off: !head && body != Body::Whole })
            }
            Kind::NoEvent { comments, .. } => {
                let body = COMMENT.repeat(comments).into_bytes();
                Some(Told { status: 200, body, breaks_off: true })
            }
            Kind::Empty => Some(Told { status: 200, body: Vec::new(), breaks_off: false }),
            Kind::Dies(_) | Kind::HalfHead(_) | Kind::Silent | Kind::Garbage => None,
        }
    }

    /// The body of an error.
    fn text(self, number: usize, attempt: usize) -> Vec<u8> {
        match self.kind {
            Kind::Status { length, .. } => {
                payload::letters(number, &format!("error {attempt}"), length)
            }
            _ => Vec::new(),
        }
    }
}
