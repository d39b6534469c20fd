//! The cast of a plan: its clients' and servers' scripts, byte for byte.

use std::cell::RefCell;
use std::time::Duration;

use super::message::Asked;
use super::payload::{self, ATTEMPT, EXCHANGE};
use super::peer::Request;
use super::plan::{Afterwards, ExchangePlan, Framing, Leave, Method, Pace, Plan, VisitPlan, Wrong};
use super::random::Random;
use super::script::{Act, Answer, Reading, Visit};
use super::trouble::Trouble;

/// Where the requests of a plan go: `/relay/<number>`.
pub const PATH: &str = "/relay/";
/// The name on answers that nobody asked for.
pub const STRAY: &str = "stray";

const STRAY_ANSWER: &str = "HTTP/1.1 200 OK\r\nx-exchange: stray\r\nContent-Length: 5\r\n\r\nstray";
const IDLE_TIMEOUT: &str = "HTTP/1.1 408 Request Timeout\r\nx-exchange: stray\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A bare LF ends the line for a lenient reader and not for a strict one.
const SPOILED_CHUNK: &[u8] = b"5;\nHELLO\r\n0\r\n\r\n";

/// What an attempt at an exchange met at its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// The connection died, as it had carried a request before.
    Stale,
    Trouble(Trouble),
    /// What was planned as its answer, good or bad.
    Answer,
}

/// The servers of a world: they remember which attempt they see.
#[derive(Debug)]
pub struct Cast {
    plan: Plan,
    /// By exchange, what each attempt met.
    met: RefCell<Vec<Vec<Met>>>,
}

impl Cast {
    pub fn new(plan: &Plan) -> Cast {
        let met = RefCell::new(vec![Vec::new(); plan.exchanges.len()]);
        Cast { plan: plan.clone(), met }
    }

    /// What the attempts at an exchange met, in their order.
    pub fn met(&self, number: usize) -> Vec<Met> {
        self.met.borrow()[number].clone()
    }

    /// What a server does with a request.
    pub fn answer(&self, request: &Request<'_>) -> Answer {
        let number = request.message.field(EXCHANGE).and_then(|number| number.parse().ok());
        let exchange = number.and_then(|number: usize| self.plan.exchanges.get(number));
        let (Some(number), Some(exchange)) = (number, exchange) else {
            // Nothing this plan has sent. The oracle will say so; the connection is of no use.
            return Answer::new().close();
        };
        let met = &mut self.met.borrow_mut()[number];
        let attempt = met.len();
        let troubled = met.iter().filter(|met| matches!(met, Met::Trouble(_))).count();
        if let Some(death) = exchange.answer.dies_if_reused.filter(|_| request.earlier > 0) {
            met.push(Met::Stale);
            return Answer::new().die(death);
        }
        if let Some(trouble) = exchange.troubles.get(troubled) {
            met.push(Met::Trouble(*trouble));
            return trouble.play(number, attempt, exchange.is_head());
        }
        met.push(Met::Answer);
        self.plan.answer(request, number, attempt, exchange)
    }
}

impl Plan {
    /// What a client does.
    pub fn visit(&self, visit: &VisitPlan) -> Visit {
        let mut random = Random::new(self.seed ^ visit.requests[0] as u64);
        let mut script = Visit::new().after(visit.delay).read(self.reading(visit));
        let count = visit.requests.len();
        for (nth, number) in visit.requests.iter().enumerate() {
            let last = nth + 1 == count;
            let inside = last && visit.leaves.is_some_and(|leave| leave.inside_request);
            script = self.ask(script, visit, *number, inside, &mut random);
            if !visit.pipelined && !last && visit.pace == Pace::Eager {
                script = script.await_answers();
                script = script.pause(Duration::from_millis(random.length(3_000) as u64));
            }
        }
        if let Some(head) = visit.bad_head.filter(|_| visit.leaves.is_none()) {
            script = script.await_answers().ask(Asked::default()).raw(head);
        }
        self.part(script, visit)
    }

    fn reading(&self, visit: &VisitPlan) -> Reading {
        let Pace::Slow { sips, every } = visit.pace else {
            return Reading::Eagerly;
        };
        let lengths = visit.requests.iter().map(|number| self.exchanges[*number].answer.length);
        Reading::Slowly { bytes: lengths.sum::<usize>() / sips + 100, every }
    }

    fn part(&self, script: Visit, visit: &VisitPlan) -> Visit {
        let script = if visit.half_closes { script.then(Act::Finish) } else { script };
        let script = match visit.pace {
            Pace::Pauses(pause) => script.pause(pause).read(Reading::Eagerly),
            Pace::NeverReads => script.pause(Duration::from_secs(200)).then(Act::Close),
            Pace::Eager | Pace::Slow { .. } => script,
        };
        match visit.leaves {
            Some(Leave { after, reset: true, .. }) => script.pause(after).then(Act::Reset),
            Some(Leave { after, .. }) => script.pause(after).leave(),
            None => script,
        }
    }

    /// One request; only part of it, if the client leaves `inside`.
    fn ask(
        &self,
        script: Visit,
        visit: &VisitPlan,
        number: usize,
        inside: bool,
        random: &mut Random,
    ) -> Visit {
        let exchange = &self.exchanges[number];
        let asked = Asked { head: exchange.is_head(), upgrade: exchange.tunnel.is_some() };
        let mut script = script.ask(asked);
        let head = self.request_head(exchange, visit, number);
        let body = exchange.upload.map(|upload| {
            let body = payload::letters(number, "request", upload.length);
            match upload.chunked && !visit.http10 {
                true => chunked(&body, upload.spoiled, random),
                false => body,
            }
        });
        if inside {
            let whole = [head.as_bytes(), body.as_deref().unwrap_or_default()].concat();
            return script.raw(&whole[..random.below(whole.len())]);
        }
        script = drip(script, head.as_bytes(), visit.drips, random);
        if exchange.expects_continue && !visit.http10 {
            script = script.await_interim();
        }
        if let (Some(body), Some(upload)) = (body, exchange.upload) {
            let (first, second) = body.split_at(random.below(body.len() + 1));
            script = drip(script, first, visit.drips, random).pause(upload.pause);
            script = script.raw(second);
        }
        match exchange.tunnel.filter(|_| exchange.opens_tunnel() && !visit.http10) {
            Some(length) => {
                let through = payload::letters(number, "tunnel", length);
                script
                    .then(Act::AwaitTunnel(0))
                    .raw(&through)
                    .then(Act::AwaitTunnel(length))
                    .then(Act::Finish)
                    .then(Act::AwaitEnd)
            }
            None => script,
        }
    }

    fn request_head(&self, exchange: &ExchangePlan, visit: &VisitPlan, number: usize) -> String {
        let method = match exchange.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Head => "HEAD",
        };
        let version = if visit.http10 { "HTTP/1.0" } else { "HTTP/1.1" };
        let mut head = format!(
            "{method} {PATH}{number} {version}\r\nHost: gateway\r\n{EXCHANGE}: {number}\r\n"
        );
        match exchange.upload {
            Some(upload) if upload.chunked && !visit.http10 => {
                head.push_str("Transfer-Encoding: chunked\r\n")
            }
            Some(upload) => head.push_str(&format!("Content-Length: {}\r\n", upload.length)),
            None => {}
        }
        if exchange.method == Method::Post {
            // Whoever is silent is asked for a stream: a document that is slow is not made twice.
            head.push_str("Accept: text/event-stream\r\n");
        }
        if exchange.expects_continue && !visit.http10 {
            head.push_str("Expect: 100-continue\r\n");
        }
        if exchange.tunnel.is_some() && !visit.http10 {
            head.push_str("Connection: upgrade\r\nUpgrade: echo\r\n");
        }
        head.push_str("\r\n");
        head
    }

    /// The answer that was planned for a request.
    fn answer(
        &self,
        request: &Request<'_>,
        number: usize,
        attempt: usize,
        exchange: &ExchangePlan,
    ) -> Answer {
        let plan = &exchange.answer;
        let mut answer = Answer::new();
        if exchange.expects_continue && request.message.field("expect").is_some() {
            answer = answer.interim("100 Continue");
        }
        if !plan.early {
            answer = answer.await_request();
        }
        for _ in 0..plan.interims {
            answer = answer.interim("103 Early Hints").pause(plan.pause);
        }
        answer = answer.pause(plan.first_pause);
        match plan.goes_wrong {
            Some(Wrong::Unanswered(death)) => return answer.die(death),
            Some(Wrong::Silent) => return answer.stall(),
            Some(Wrong::BadHead) => {
                return answer.raw(b"HTTP/1.1 200 OK\r\nBad Field: x\r\n\r\n").stall();
            }
            _ => {}
        }
        let answer = answer.field(EXCHANGE, &number.to_string());
        let answer = answer.field(ATTEMPT, &attempt.to_string());
        if request.message.field("upgrade").is_some() && exchange.opens_tunnel() {
            return answer.echo_tunnel("echo").close();
        }
        let body = payload::response(number, attempt, plan.kind, plan.length);
        self.respond(answer, &body, exchange)
    }

    fn respond(&self, answer: Answer, body: &[u8], exchange: &ExchangePlan) -> Answer {
        let plan = &exchange.answer;
        let mut answer = answer.status(&format!("{} Planned", plan.status));
        if plan.kind == payload::Kind::Events {
            answer = answer.field("Content-Type", "text/event-stream");
        }
        if plan.afterwards == Afterwards::ClosesAnnounced {
            answer = answer.field("Connection", "close");
        }
        answer = match plan.framing {
            Framing::Length => answer.field("Content-Length", &body.len().to_string()),
            Framing::Chunked if plan.status != 204 => answer.field("Transfer-Encoding", "chunked"),
            _ => answer,
        };
        answer = answer.head();
        if exchange.has_body() {
            answer = match self.send_body(answer, exchange, body) {
                Ok(answer) => answer,
                Err(broken) => return broken,
            };
        } else if plan.goes_wrong.is_some() {
            return answer.reset();
        }
        let mut random = Random::new(self.seed ^ body.len() as u64);
        let answer = self.give_ticket(answer, plan.afterwards, &mut random);
        self.depart(answer, plan.afterwards, exchange.ends_by_close(), &mut random)
    }

    /// A server with sessions gives tickets, behind its answer or a while later. Not in front of what
    /// travels with the answer's last bytes.
    fn give_ticket(&self, answer: Answer, afterwards: Afterwards, random: &mut Random) -> Answer {
        if self.seals.servers.is_none() || afterwards != Afterwards::Keeps || random.chance(500) {
            return answer;
        }
        match random.chance(500) {
            true => answer.then(Act::Ticket),
            false => {
                let later = Duration::from_millis(random.length(3_000) as u64);
                answer.idle(later).then(Act::Ticket)
            }
        }
    }

    fn depart(
        &self,
        answer: Answer,
        afterwards: Afterwards,
        until_close: bool,
        random: &mut Random,
    ) -> Answer {
        // Who closes behind an answer whose end is known may do it without a farewell.
        let curt = self.seals.servers.is_some() && random.chance(300);
        let close = |answer: Answer| if curt { answer.then(Act::Vanish) } else { answer.close() };
        // A stray answer that arrives by itself while a request is on its way is taken for that
        // request's answer by any reader of HTTP/1.1. So it is sent only where it can be told. A read
        // that ends between the two, with more to come, parts them as well; Linux makes none.
        let whole = self.faults.split == 0 && self.faults.short_read == 0;
        let together = whole && *self.faults.capacity.start() >= 1 << 20;
        match afterwards {
            Afterwards::ClosesTogether => answer.close_in_same_segment(),
            _ if until_close => answer.close(),
            Afterwards::Closes | Afterwards::ClosesAnnounced => close(answer),
            Afterwards::Keeps => answer,
            Afterwards::ClosesIdle(after) => close(answer.idle(after)),
            Afterwards::StraysTogether if together => answer.raw(STRAY_ANSWER.as_bytes()).stall(),
            Afterwards::StraysTogether => answer.unasked(STRAY_ANSWER, false).stall(),
            Afterwards::Strays(after) => answer.idle(after).unasked(STRAY_ANSWER, false).stall(),
            Afterwards::TimesOut(after) => answer.idle(after).unasked(IDLE_TIMEOUT, true).close(),
        }
    }

    /// The body, in pieces. `Err`: it breaks off.
    fn send_body(
        &self,
        mut answer: Answer,
        exchange: &ExchangePlan,
        body: &[u8],
    ) -> Result<Answer, Answer> {
        let plan = &exchange.answer;
        let broken_at = match plan.goes_wrong {
            Some(Wrong::Cut { at, .. } | Wrong::Stall { at } | Wrong::BadChunk { at }) => {
                body.len() * at / 1000
            }
            _ => body.len(),
        };
        let sent = &body[..broken_at];
        for (nth, piece) in sent.chunks((sent.len() / plan.pieces).max(1)).enumerate() {
            // No pause behind the last: a FIN, or a stray answer, may travel with it.
            answer = if nth > 0 { answer.pause(plan.pause) } else { answer };
            answer = match plan.framing {
                Framing::Chunked => answer.chunk(piece),
                _ => answer.raw(piece),
            };
        }
        match plan.goes_wrong {
            // A FIN without a farewell is no honest end, even of a body that lasts until close.
            Some(Wrong::Cut { at, .. }) if self.seals.servers.is_some() && at % 2 == 0 => {
                return Err(answer.then(Act::Vanish));
            }
            Some(Wrong::Cut { death, .. }) => return Err(answer.die(death)),
            Some(Wrong::BadChunk { at }) if self.seals.servers.is_some() && at % 2 == 0 => {
                return Err(answer.then(Act::SpoiltRecord).stall());
            }
            Some(Wrong::BadChunk { .. }) => return Err(answer.raw(SPOILED_CHUNK).stall()),
            Some(_) => return Err(answer.stall()),
            None => {}
        }
        Ok(match (plan.framing, plan.trailers) {
            (Framing::Chunked, true) => answer.raw(b"0\r\nX-Trailer: planned\r\n\r\n"),
            (Framing::Chunked, false) => answer.end_chunks(),
            _ => answer,
        })
    }
}

/// A body in chunks; `spoiled`, half of it, and then a chunk that only a lenient reader takes.
fn chunked(body: &[u8], spoiled: bool, random: &mut Random) -> Vec<u8> {
    let mut framed = Vec::new();
    let mut rest = if spoiled { &body[..body.len() / 2] } else { body };
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(random.between(1..=rest.len()));
        framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
        rest = later;
    }
    framed.extend_from_slice(if spoiled { SPOILED_CHUNK } else { b"0\r\n\r\n" });
    framed
}

/// Bytes in a few pieces, with pauses that stay far below any timeout.
fn drip(mut script: Visit, bytes: &[u8], drips: bool, random: &mut Random) -> Visit {
    let mut rest = bytes;
    for _ in 0..if drips { 5 } else { 0 } {
        let (piece, later) = rest.split_at(random.below(rest.len() + 1));
        script = script.raw(piece).pause(Duration::from_millis(random.length(500) as u64));
        rest = later;
    }
    script.raw(rest)
}
