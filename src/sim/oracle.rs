//! The oracle: what must be true of a world when all is over, whatever happened in it.
//!
//! 1. What a client received is HTTP, and each answer is exactly what its server sent for that
//!    very request, or an error of the gateway's own, or a strict prefix and then an abnormal end.
//! 2. No request reached a server more often than it may be tried. A replay, on a fresh connection
//!    after a reused one died without a byte, does not count.
//! 3. No byte meant for one client reached another: every payload tells whose it is.
//! 4. What a server received is HTTP too, and exactly what the client had sent.
//! 5. Who was owed a whole answer got one.
//!
//! Leaks, spinning and deadlines are the ledger's and the worker's to tell; the test asks them.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use super::cast::{EXCHANGE, STRAY};
use super::message::{Ending, Message};
use super::payload;
use super::peer::{Peer, Reached};
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
    pub owed: usize,
    pub tunnels: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.whole += other.whole;
        self.refused += other.refused;
        self.cut += other.cut;
        self.unanswered += other.unanswered;
        self.replayed += other.replayed;
        self.retried += other.retried;
        self.broken += other.broken;
        self.owed += other.owed;
        self.tunnels += other.tunnels;
    }
}

/// Statuses that the gateway itself may answer with.
const OWN_STATUSES: [u16; 13] = [400, 404, 405, 408, 413, 414, 417, 431, 501, 502, 503, 504, 505];

/// Judges a world in which the clients of `plan` are done.
pub fn judge(plan: &Plan, world: &World, clients: &[ClientId]) -> Result<Tally, String> {
    let mut tally = Tally::default();
    for (visit, client) in plan.visits.iter().zip(clients) {
        let peer = world.see(*client);
        judge_visit(plan, visit, &peer, &mut tally)
            .map_err(|reason| format!("the client of {:?}: {reason}", visit.requests))?;
    }
    judge_requests(plan, world, &mut tally)?;
    Ok(tally)
}

fn judge_visit(
    plan: &Plan,
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
            Some(message) => judge_answer(*number, exchange, visit, message, peer)?,
            None => Fate::Unanswered,
        };
        match fate {
            Fate::Whole => tally.whole += 1,
            Fate::Refused => tally.refused += 1,
            Fate::Cut => tally.cut += 1,
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
    Cut,
    Unanswered,
}

fn judge_answer(
    number: usize,
    exchange: &ExchangePlan,
    visit: &VisitPlan,
    message: &Message,
    peer: &Peer,
) -> Result<Fate, String> {
    let Some(tag) = message.field(EXCHANGE) else {
        judge_own(message, exchange.method == super::plan::Method::Head, peer)?;
        return Ok(if message.complete { Fate::Refused } else { Fate::Cut });
    };
    if tag == STRAY {
        return Err(format!("exchange {number} got an answer that nobody asked for"));
    }
    if tag != number.to_string() {
        return Err(format!("exchange {number} got the answer to exchange {tag}"));
    }
    let tunnel = message.ending == Ending::Tunnel;
    let (status, expected) = match exchange.tunnel.filter(|_| tunnel) {
        Some(length) => (101, payload::letters(number, "tunnel", length)),
        None => (exchange.answer.status, exchange.response(number)),
    };
    if message.status() != status {
        return Err(format!("exchange {number}: status {} instead of {status}", message.status()));
    }
    if visit.http10 && message.ending == Ending::Chunked {
        return Err(format!("exchange {number}: chunks for an HTTP/1.0 client"));
    }
    if !message.complete {
        return match is_prefix_of(message, &expected) {
            true if peer.over && (peer.end != End::Open || peer.left_first) => Ok(Fate::Cut),
            true => Err(format!("exchange {number} is cut, but its connection has not ended")),
            false => Err(format!("exchange {number}: what arrived is not what was sent")),
        };
    }
    // A tunnel has no end of its own, so a FIN in it says nothing about what was to come.
    if tunnel && message.body.len() < expected.len() && expected.starts_with(&message.body) {
        return Ok(Fate::Cut);
    }
    if message.body != expected {
        return Err(format!(
            "exchange {number}: a whole answer of {} bytes, not the {} that were sent",
            message.body.len(),
            expected.len()
        ));
    }
    match exchange.breaks_off() {
        true => Err(format!("exchange {number}: an answer that broke off looks whole")),
        false => Ok(Fate::Whole),
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

/// A request as one server saw it.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    reached: Reached,
    /// Requests that its connection had carried before.
    earlier: usize,
    /// Bytes that the gateway read from the connection after the request.
    answered: u64,
}

fn judge_requests(plan: &Plan, world: &World, tally: &mut Tally) -> Result<(), String> {
    let mut attempts: BTreeMap<usize, Vec<Attempt>> = BTreeMap::new();
    for session in world.sessions() {
        let connection = session.connection().unwrap_or(0);
        if let Some(fault) = &session.reader.fault {
            return Err(format!("a server received what is no HTTP: {fault}"));
        }
        for (earlier, message) in session.reader.messages.iter().enumerate() {
            let number = judge_request(plan, message)?;
            // A request that came while its server was busy dying was never looked at.
            let Some(reached) = session.reached.get(earlier).copied() else {
                continue;
            };
            let after = session.reached.get(earlier + 1).map(|next| next.read_before);
            let after = after.unwrap_or_else(|| world.bytes_read_from(connection));
            let answered = after - reached.read_before;
            attempts.entry(number).or_default().push(Attempt { reached, earlier, answered });
        }
    }
    for (number, mut attempts) in attempts {
        attempts.sort_by_key(|attempt| attempt.reached.at);
        // A reused connection that died without a byte is no attempt of its own.
        let stale =
            |pair: &[Attempt]| pair[0].earlier > 0 && pair[0].answered == 0 && pair[1].earlier == 0;
        let replayed = attempts.windows(2).filter(|pair| stale(pair)).count();
        let made = attempts.len() - replayed;
        if made > plan.gateway.attempts as usize {
            return Err(format!(
                "exchange {number} reached a server {} times: {attempts:?}",
                attempts.len()
            ));
        }
        tally.replayed += replayed;
        tally.retried += made - 1;
    }
    Ok(())
}

/// Which exchange a request belongs to, if it is what the client sent for it.
fn judge_request(plan: &Plan, message: &Message) -> Result<usize, String> {
    let number = message.field(EXCHANGE).and_then(|number| number.parse::<usize>().ok());
    let Some((number, exchange)) =
        number.and_then(|number| Some((number, plan.exchanges.get(number)?)))
    else {
        return Err(format!("a request that no client sent: {:?}", message.start));
    };
    let wrong =
        |what: &str| Err(format!("the request of exchange {number} reached a server {what}"));
    if message.ending == Ending::Tunnel {
        let sent = payload::letters(number, "tunnel", exchange.tunnel.unwrap_or(0));
        return if sent.starts_with(&message.body) {
            Ok(number)
        } else {
            wrong("with another's tunnel")
        };
    }
    let sent = exchange
        .upload
        .map_or(Vec::new(), |upload| payload::letters(number, "request", upload.length));
    if !sent.starts_with(&message.body) {
        return wrong("with bytes that were not in it");
    }
    if message.complete && message.body.len() < sent.len() {
        return wrong("without its end, and looks whole");
    }
    Ok(number)
}
