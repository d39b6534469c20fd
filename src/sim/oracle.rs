//! The oracle: what must be true of a world when all is over, whatever happened in it.
//!
//! 1. What a client received is HTTP, and each answer is exactly what its server sent for that
//!    very request, or an error of the gateway's own, or a strict prefix and then an abnormal end.
//! 2. No request reached an upstream more often than it may be tried. A replay, on a fresh
//!    connection after a reused one died without a byte, does not count. Nothing is sent again when
//!    a client has had a byte of an answer, and no answer holds bytes of two attempts.
//! 3. No byte meant for one client reached another: every payload tells whose it is.
//! 4. What a server received is HTTP too, and exactly what the client had sent.
//! 5. Who was owed a whole answer got one, however many attempts it took.
//!
//! Leaks, spinning and deadlines are the ledger's and the worker's to tell; the test asks them.

mod requests;

use std::ops::AddAssign;

use self::requests::Sent;
use super::cast::{Cast, Met, STRAY};
use super::message::{Ending, Message};
use super::payload::{self, ATTEMPT, EXCHANGE};
use super::peer::Peer;
use super::peer_calls::End;
use super::plan::{ExchangePlan, Plan, VisitPlan};
use super::world::{ClientId, World};

/// What a seed's world came to, for tests that look at many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers that arrived whole.
    pub whole: usize,
    /// Answers of the gateway's own.
    pub refused: usize,
    pub cut: usize,
    /// Requests that nobody answered.
    pub unanswered: usize,
    pub replayed: usize,
    /// Answers owed but for a breaker that was open.
    pub broken: usize,
    /// Further attempts at an exchange.
    pub retried: usize,
    /// Answers that arrived whole after an attempt that failed.
    pub rescued: usize,
    /// Answers that came from a later upstream of the chain.
    pub failed_over: usize,
    /// Errors of a server's own, passed on because no attempt was left.
    pub given_up: usize,
    pub owed: usize,
    pub tunnels: usize,
    /// Breakers that opened, and that closed again: the worker's to tell.
    pub opened: usize,
    pub closed: usize,
    /// Turns in which an endpoint had a probe.
    pub probes: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.whole += other.whole;
        self.refused += other.refused;
        self.cut += other.cut;
        self.unanswered += other.unanswered;
        self.replayed += other.replayed;
        self.retried += other.retried;
        self.rescued += other.rescued;
        self.failed_over += other.failed_over;
        self.given_up += other.given_up;
        self.broken += other.broken;
        self.owed += other.owed;
        self.tunnels += other.tunnels;
        self.opened += other.opened;
        self.closed += other.closed;
        self.probes += other.probes;
    }
}

/// Statuses that the gateway itself may answer with.
const OWN_STATUSES: [u16; 14] =
    [400, 404, 405, 408, 413, 414, 417, 429, 431, 501, 502, 503, 504, 505];

/// Judges a world in which the clients of `plan` are done.
pub fn judge(
    plan: &Plan,
    cast: &Cast,
    world: &World,
    clients: &[ClientId],
) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let sent = requests::judge(plan, world, &mut tally)?;
    for (visit, client) in plan.visits.iter().zip(clients) {
        let peer = world.see(*client);
        judge_visit(plan, cast, &sent, visit, &peer, &mut tally)
            .map_err(|reason| format!("the client of {:?}: {reason}", visit.requests))?;
    }
    Ok(tally)
}

/// What the snapshot under test calls the upstreams of its chain.
pub fn upstream_name(link: usize) -> String {
    format!("models-{link}")
}

fn judge_visit(
    plan: &Plan,
    cast: &Cast,
    sent: &Sent,
    visit: &VisitPlan,
    peer: &Peer,
    tally: &mut Tally,
) -> Result<(), String> {
    if let Some(fault) = &peer.reader.fault {
        return Err(format!("what it received is no HTTP: {fault}"));
    }
    let mut finals = peer.reader.messages.iter().filter(|message| !message.is_interim());
    let mut owing = true;
    for (nth, number) in visit.requests.iter().enumerate() {
        let exchange = &plan.exchanges[*number];
        owing = owing && plan.owes(visit, nth);
        tally.owed += usize::from(owing);
        let message = finals.next();
        let fate = match message {
            Some(message) => {
                let seen = Seen { number: *number, exchange, visit, message, peer };
                judge_answer(&seen, cast, sent, tally)?
            }
            None => Fate::Unanswered,
        };
        match fate {
            Fate::Whole => tally.whole += 1,
            Fate::Refused => tally.refused += 1,
            Fate::Cut => tally.cut += 1,
            Fate::GivenUp => tally.given_up += 1,
            Fate::Unanswered => tally.unanswered += 1,
        }
        tally.tunnels += usize::from(fate == Fate::Whole && exchange.opens_tunnel());
        if owing && fate != Fate::Whole {
            let text = message.map(Message::text).unwrap_or_default();
            // Refused with a breaker open; what the client sent behind it may go unheard then.
            if message.is_some_and(|message| message.status() == 503) && plan.may_break() {
                tally.broken += 1;
                owing = false;
                continue;
            }
            let text: String = text.chars().take(200).collect();
            return Err(format!(
                "exchange {number} was owed an answer and is {fate:?}, {:?}: {text}",
                peer.end
            ));
        }
    }
    if visit.bad_head.is_some() && visit.leaves.is_none() {
        match finals.next() {
            Some(message) => judge_own(message, false, peer)?,
            None if owing && plan.owes_refusal(visit) => {
                return Err("a bad head was not refused in words".into());
            }
            None => {}
        }
    }
    match finals.next() {
        Some(message) => Err(format!("an answer too many: {:?}", message.start)),
        None => Ok(()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Whole,
    Refused,
    /// The server's own error: the last attempt had nothing better.
    GivenUp,
    Cut,
    Unanswered,
}

/// An answer as its client has it.
struct Seen<'a> {
    number: usize,
    exchange: &'a ExchangePlan,
    visit: &'a VisitPlan,
    message: &'a Message,
    peer: &'a Peer,
}

fn judge_answer(
    seen: &Seen<'_>,
    cast: &Cast,
    sent: &Sent,
    tally: &mut Tally,
) -> Result<Fate, String> {
    let Seen { number, exchange, message, peer, .. } = *seen;
    let Some(tag) = message.field(EXCHANGE) else {
        judge_own(message, exchange.is_head(), peer)?;
        return Ok(if message.complete { Fate::Refused } else { Fate::Cut });
    };
    if tag == STRAY {
        return Err(format!("exchange {number} got an answer that nobody asked for"));
    }
    if tag != number.to_string() {
        return Err(format!("exchange {number} got the answer to exchange {tag}"));
    }
    let met = cast.met(number);
    let attempt = message.field(ATTEMPT).and_then(|attempt| attempt.parse::<usize>().ok());
    let Some((attempt, what)) = attempt.and_then(|it| Some((it, *met.get(it)?))) else {
        return Err(format!("exchange {number} got the answer of an attempt that never was"));
    };
    if attempt + 1 < met.len() {
        let later = met.len() - 1;
        return Err(format!(
            "exchange {number} was sent again, attempt {later}, when its client had attempt {attempt}"
        ));
    }
    // The answer that opens a tunnel has no field of ours.
    if message.ending != Ending::Tunnel {
        sent.judge_way(number, message)?;
    }
    let fate = match what {
        Met::Answer => judge_planned(seen, attempt)?,
        Met::Trouble(trouble) => match trouble.told(number, attempt, exchange.is_head()) {
            Some(told) => {
                judge_bytes(seen, told.status, &told.body, told.breaks_off, Fate::GivenUp)?
            }
            None => return Err(format!("exchange {number} got an answer out of {trouble:?}")),
        },
        Met::Stale => return Err(format!("exchange {number} got an answer out of nothing")),
    };
    if fate == Fate::Whole {
        tally.rescued += usize::from(met.iter().any(|met| matches!(met, Met::Trouble(_))));
        tally.failed_over += usize::from(sent.failed_over(number));
    }
    Ok(fate)
}

/// The answer that was planned.
fn judge_planned(seen: &Seen<'_>, attempt: usize) -> Result<Fate, String> {
    let Seen { number, exchange, message, .. } = *seen;
    let tunnel = message.ending == Ending::Tunnel;
    let (status, expected) = match exchange.tunnel.filter(|_| tunnel) {
        Some(length) => (101, payload::letters(number, "tunnel", length)),
        None => (exchange.answer.status, exchange.response(number, attempt)),
    };
    // A tunnel has no end of its own, so a FIN in it says nothing about what was to come.
    let ended = tunnel && message.complete && message.body.len() < expected.len();
    if ended && expected.starts_with(&message.body) {
        return Ok(Fate::Cut);
    }
    judge_bytes(seen, status, &expected, exchange.breaks_off(), Fate::Whole)
}

/// Whether these are the status and the bytes that were sent, to the end or to an honest break.
fn judge_bytes(
    seen: &Seen<'_>,
    status: u16,
    expected: &[u8],
    breaks_off: bool,
    whole: Fate,
) -> Result<Fate, String> {
    let Seen { number, visit, message, peer, .. } = *seen;
    if message.status() != status {
        return Err(format!("exchange {number}: status {} instead of {status}", message.status()));
    }
    if visit.http10 && message.ending == Ending::Chunked {
        return Err(format!("exchange {number}: chunks for an HTTP/1.0 client"));
    }
    if !message.complete {
        return match is_prefix_of(message, expected) {
            true if peer.over && (peer.end != End::Open || peer.left_first) => Ok(Fate::Cut),
            true => Err(format!("exchange {number} is cut, but its connection has not ended")),
            false => Err(format!("exchange {number}: what arrived is not what was sent")),
        };
    }
    if message.body != expected {
        return Err(format!(
            "exchange {number}: a whole answer of {} bytes, not the {} that were sent",
            message.body.len(),
            expected.len()
        ));
    }
    match breaks_off {
        true => Err(format!("exchange {number}: an answer that broke off looks whole")),
        false => Ok(whole),
    }
}

/// Whether what arrived is a beginning of what was sent. An event stream that breaks off between
/// two events may end with an error event of the gateway's own.
fn is_prefix_of(message: &Message, expected: &[u8]) -> bool {
    let same = message.body.iter().zip(expected).take_while(|(got, sent)| got == sent).count();
    let rest = &message.body[same..];
    if rest.is_empty() {
        return true;
    }
    // The error event may begin like the next event did: look for it from the last boundary on.
    let boundary =
        message.body[..same].windows(2).rposition(|pair| pair == b"\n\n").map_or(0, |at| at + 2);
    let own = &message.body[boundary..];
    let named = own.starts_with(b"event: error\n") || own.starts_with(b"data: {\"error\"");
    named && own.ends_with(b"\n\n")
}

/// A reply of the gateway's own has a known shape, and says nothing of any server.
fn judge_own(message: &Message, head: bool, peer: &Peer) -> Result<(), String> {
    let status = message.status();
    if !OWN_STATUSES.contains(&status) {
        return Err(format!("the gateway answered {:?} of its own", message.start));
    }
    if message.field("content-type") != Some("application/json") {
        return Err(format!("a {status} of the gateway's own that is no JSON"));
    }
    if !message.complete {
        let ended = peer.end != End::Open || peer.left_first;
        return if ended { Ok(()) } else { Err(format!("a {status} without its end")) };
    }
    let body = message.text();
    let shaped = body.starts_with("{\"error\":{\"message\":\"") && body.ends_with("\"}}");
    match head || shaped {
        true => Ok(()),
        false => Err(format!("a {status} of the gateway's own says {body:?}")),
    }
}
