//! Continuation: a stream that breaks between two events goes on with another server.
//!
//! Optional (`continue = { … }` of a route). From the first event on the client has a part of an
//! answer, and there is no other; but some requests can carry the text so far, and ask for the rest.
//!
//! ```text
//!   streaming ── the server fails, between two events ──▶ seeking: the request, with the text in it
//!       ▲                                                       │            │
//!       └──── its first event: a comment, then its events ◀─────┘            └─▶ nobody: the error event
//! ```
//!
//! * Nothing of the second answer is with the client until its first event, so failures on the way
//!   are retried as those of any request ([`super::attempt`]). What cannot be mended is told as the
//!   fault that broke the stream, and the stream has no end.
//! * The head of the second answer is lost, as behind a head of ours ([`super::preface`]).
//! * What it takes, a copy of the request and of the text, is kept by streams of such routes alone,
//!   and paid from one purse: whoever finds it empty has a stream like any other.

use std::borrow::Cow;
use std::time::Duration;

use super::attempt::Failed;
use super::drive::Step;
use super::exchange::Exchange;
use super::gather::payload;
use super::net::Net;
use super::outbox::Outbox;
use super::preface::Preface;
use super::stats::Tally;
use super::tap::Tap;
use super::token::Token;
use super::worker::Worker;
use crate::config::snapshot::Continue;
use crate::http::body::Framing;
use crate::http::head::ResponseHead;
use crate::http::{reply, rewrite};
use crate::proxy::endpoints;
use crate::proxy::fault::{Fault, UpstreamFault};
use crate::proxy::retry::continuation::{Blame, Broken, Verdict, Whom, decide};
use crate::service::continuation::{Kept, Purse, Transcript, continued, is_fit, mark};

/// How long an upstream is not asked to go on with a text after it has refused one.
const REFUSED: Duration = Duration::from_secs(60);

/// What a stream needs to go on elsewhere. Boxed: only where its route asks for it.
#[derive(Debug)]
pub struct Continuation {
    /// The request as it was last sent, head and body.
    request: Kept,
    /// Bytes of text that may still be kept.
    room: usize,
    /// Who looks on, between two streams.
    tap: Option<Box<Tap>>,
    /// Why the stream broke that is to be continued.
    fault: Option<Fault>,
    /// How often it was continued, or was to be.
    pub made: u32,
    /// What the client had of the streams before this one.
    pub before: Before,
}

/// Parts of an answer that have come and gone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before {
    pub events: u64,
    pub bytes: u64,
    pub tokens: u64,
}

/// The request for the rest.
struct Rest {
    request: Vec<u8>,
    /// Bytes of the text that it carries on top of the last one.
    text: usize,
    tokens: u64,
}

impl<N: Net> Worker<N> {
    /// The client has a part of this answer from now on: what may have to be said again is kept.
    pub(super) fn keep_for_continuation(&mut self, token: Token, connection: Token) {
        let Some(exchange) = self.downstreams.get(token).and_then(|down| down.exchange.as_deref())
        else {
            return;
        };
        let outbox = self.upstreams.get(connection).map(|upstream| &upstream.socket.outbox);
        let kept = outbox.and_then(|outbox| exchange.kept(outbox, &self.purse));
        let Some(settings) = exchange.continues() else { return };
        let Some(exchange) = self.exchange_mut(token) else { return };
        match (kept, &mut exchange.aside_mut().continuation) {
            (Some(request), Some(continuation)) => continuation.request = request,
            (Some(request), none) => {
                *none = Some(Box::new(Continuation {
                    request,
                    room: settings.text_bytes,
                    tap: None,
                    fault: None,
                    made: 0,
                    before: Before::default(),
                }));
            }
            (None, _) => exchange.drop_transcript(),
        }
    }

    /// A stream has broken that its client has a part of. Either somebody is asked for the rest, or
    /// it has ended here.
    pub(super) fn go_on(&mut self, token: Token, failed: Failed) -> Result<Step, Failed> {
        let exchange = self.downstreams.get(token).and_then(|down| down.exchange.as_deref());
        let (Some(exchange), Failed::Fault(fault)) = (exchange, &failed) else {
            return Err(failed);
        };
        if !exchange.committed || exchange.continuation().is_none() {
            return Err(failed);
        }
        let text = exchange.text_is_known();
        // Where buffers are few, those of answers are worth more than a second request.
        let fit = text && self.desk.buffers.may_keep();
        let rest = if fit { exchange.rest() } else { None };
        let rest = rest.filter(|rest| self.desk.buffers.may_hold(rest.request.len()));
        let verdict = self.whom_to_ask(token, fault, text, rest.is_some());
        match (verdict, rest, failed) {
            (Some(Verdict::Ask(whom)), Some(rest), Failed::Fault(fault)) => {
                self.ask_for_the_rest(token, fault, rest, whom);
                Ok(Step::Again)
            }
            (verdict, _, failed) => {
                if let (Some(Verdict::End(why)), Some(exchange)) =
                    (verdict, self.exchange_mut(token))
                {
                    log::debug!("{}: not continued: {}", exchange.id, why.code());
                }
                Err(failed)
            }
        }
    }

    fn whom_to_ask(
        &mut self,
        token: Token,
        fault: &Fault,
        text: bool,
        fit: bool,
    ) -> Option<Verdict> {
        let exchange = self.downstreams.get(token)?.exchange.as_deref()?;
        let upstream = exchange.upstream()?;
        let continuation = exchange.continuation()?;
        let (place, takes) =
            (self.place_in(token, exchange).is_some(), self.takes_text(exchange, exchange.link));
        let next = self.next_link(exchange);
        let mut tried = exchange.attempt.tried.clone();
        if let Some(pick) = &exchange.attempt.pick {
            tried.add(pick.endpoint());
        }
        let request = endpoints::Request { unheard: false, ..self.in_search(exchange, &tried) };
        let group = &mut self.groups[upstream.id];
        let ended =
            exchange.attempt.pick.as_ref().map(|pick| (pick, exchange.outcome(Some(fault))));
        let (elsewhere, here) = group.endpoints.prospects(&request, ended, self.now);
        let broken = Broken {
            blame: Blame::of(fault),
            place,
            text,
            fit,
            made: continuation.made,
            most: exchange.continues()?.attempts,
            idempotent: exchange.idempotent,
            takes,
            elsewhere,
            here,
            next,
            deadline: exchange.timeline.started.after(exchange.timeouts().total),
        };
        let draw = self.random.draw();
        Some(decide(&broken, &upstream.retry, &mut group.budget, self.now, draw))
    }

    fn ask_for_the_rest(&mut self, token: Token, fault: Fault, rest: Rest, whom: Whom) {
        if let Some(exchange) = self.exchange_mut(token) {
            let code = fault.code();
            log::info!("{}: {code}: {fault}; somebody is asked for the rest", exchange.id);
            exchange.note_part(&rest);
        }
        let failed = Failed::Fault(fault);
        self.withdraw(token, &failed);
        let buffers = &mut self.desk.buffers;
        let exchange = self
            .downstreams
            .get_mut(token)
            .and_then(|downstream| downstream.exchange.as_deref_mut());
        let Some(exchange) = exchange else { return };
        exchange.committed = false;
        exchange.preface = Preface::Continuing;
        exchange.attempt.last = false;
        exchange.outbox.clear(buffers);
        exchange.outbox = Outbox::keeping(buffers);
        exchange.outbox.push(&rest.request, buffers);
        exchange.rename(&rest.request);
        if let (Some(continuation), Failed::Fault(fault)) = (exchange.continuation_mut(), failed) {
            continuation.fault = Some(fault);
            continuation.request.clear();
        }
        self.desk.tally.continuations_asked.add(1);
        match whom {
            Whom::Elsewhere => self.begin_attempt(token, Duration::ZERO, false, false),
            Whom::Same { after } => self.begin_attempt(token, after, true, false),
            Whom::Next(link) => self.go_to_link(token, Some(link), true),
        }
        // It is a request of its own, and has attempts of its own.
        if let Some(exchange) = self.exchange_mut(token) {
            exchange.attempt.at_upstream = 1;
        }
    }

    /// Nobody goes on with a stream: the fault that broke it, which is what its client is told.
    pub(super) fn fault_behind(&mut self, token: Token, failed: &Failed) -> Option<Fault> {
        let exchange = self.exchange_mut(token).filter(|exchange| exchange.is_continuing())?;
        if matches!(failed, Failed::Fault(Fault::Downstream(_))) {
            return None;
        }
        log::info!("{}: {}: nobody goes on with the stream", exchange.id, failed.reason());
        let upstream = exchange.upstream().map(|upstream| upstream.id);
        if let (Some(id), Failed::Fault(Fault::Upstream(UpstreamFault::Status(400 | 422)))) =
            (upstream, failed)
        {
            self.groups[id].refuses_prefill = self.now + REFUSED;
            let name = &self.groups[id].name;
            log::warn!(
                "{name}: refuses to go on with a text; it is left alone with that for a minute"
            );
            self.desk.tally.continuations_refused.add(1);
        }
        // What this attempt says of its endpoint is not what the broken stream said of its own.
        self.withdraw(token, failed);
        self.exchange_mut(token)?.continuation_mut()?.fault.take()
    }

    /// The upstream of its route that an exchange goes on to, should it come to that: where a part of
    /// its answer is with the client, one that takes the text so far.
    pub(super) fn next_link(&self, exchange: &Exchange) -> Option<usize> {
        let next = exchange.link + 1;
        let links = exchange.chain()?.links.len();
        match exchange.is_continuing() || exchange.committed {
            false => (next..links).find(|link| exchange.can_be_asked(*link)),
            true => (next..links)
                .find(|link| self.takes_text(exchange, *link) && exchange.can_be_asked(*link)),
        }
    }

    /// Whether an upstream of the route takes the text so far.
    fn takes_text(&self, exchange: &Exchange, link: usize) -> bool {
        let link = exchange.chain().and_then(|chain| chain.links.get(link));
        let upstream = link.map(|link| &exchange.snapshot.upstreams[link.upstream]);
        match (upstream, exchange.dialect.continued_by()) {
            (Some(upstream), Some(needed)) => {
                upstream.prefill >= needed && self.groups[upstream.id].refuses_prefill <= self.now
            }
            _ => false,
        }
    }
}

impl Exchange {
    /// A part of an answer is with the client, and somebody is asked for the rest.
    pub fn is_continuing(&self) -> bool {
        self.preface == Preface::Continuing
    }

    /// What its route says of streams that break.
    fn continues(&self) -> Option<Continue> {
        self.route()?.continues
    }

    /// Another server goes on with its stream: the mark of the seam, framed.
    #[cold]
    pub(super) fn join(&mut self, tally: &Tally) -> Vec<u8> {
        let mut comment = Vec::new();
        mark(self.upstream().map_or("", |upstream| &upstream.name), &mut comment);
        let mut framed = Vec::new();
        match self.until_close {
            true => framed = comment,
            false => reply::chunk(&comment, &mut framed),
        }
        if let Some(continuation) = self.continuation_mut() {
            continuation.fault = None;
        }
        tally.continuations_joined.add(1);
        framed
    }

    fn continuation(&self) -> Option<&Continuation> {
        self.aside.as_ref()?.continuation.as_deref()
    }

    fn continuation_mut(&mut self) -> Option<&mut Continuation> {
        self.aside.as_mut()?.continuation.as_deref_mut()
    }

    /// How many parts of its answer came before the one that it has now.
    pub fn continued(&self) -> u32 {
        self.continuation().map_or(0, |continuation| continuation.made)
    }

    /// What came before the stream that it has now.
    pub fn before(&self) -> Before {
        self.continuation().map_or_else(Before::default, |continuation| continuation.before)
    }

    /// Somebody to write down what a response says, where it may have to be continued.
    pub(super) fn transcript(
        &self,
        head: &ResponseHead<'_>,
        purse: &Purse,
    ) -> Option<Box<Transcript>> {
        let settings = self.continues()?;
        let needed = self.dialect.continued_by()?;
        let mut links = self.chain()?.links.iter();
        links.find(|link| self.snapshot.upstreams[link.upstream].prefill >= needed)?;
        let continued = self.continuation();
        let room = continued.map_or(settings.text_bytes, |continuation| continuation.room);
        let reads = self.is_observed() && head.status == 200 && !head.encoded;
        reads.then(|| Box::new(Transcript::new(self.dialect, room, purse)))
    }

    /// Those who looked on before.
    pub(super) fn onlookers(&mut self) -> Option<Box<Tap>> {
        self.continuation_mut()?.tap.take()
    }

    /// Keeps those who look on for the stream that may follow.
    pub(super) fn part_with_response(&mut self) {
        let response = self.response.take();
        if let (Some(continuation), Some(response)) = (self.continuation_mut(), response) {
            continuation.tap = response.watch.tap;
            if let Some(tap) = &mut continuation.tap {
                tap.transcript = None;
            }
        }
    }

    pub(super) fn has_transcript(&self) -> bool {
        let tap = self.response.as_ref().and_then(|response| response.watch.tap.as_ref());
        tap.is_some_and(|tap| tap.transcript.is_some())
    }

    fn drop_transcript(&mut self) {
        if let Some(response) = &mut self.response
            && let Some(tap) = &mut response.watch.tap
        {
            tap.transcript = None;
            if tap.is_idle() {
                response.watch.tap = None;
            }
        }
    }

    /// The request, if it can be asked in two parts.
    fn kept(&self, outbox: &Outbox, purse: &Purse) -> Option<Kept> {
        // A server that answered before it had taken all of it has cut the rest off.
        if !self.request.body.is_complete() || !outbox.keeps() {
            return None;
        }
        let request = outbox.copy(usize::MAX);
        is_fit(self.dialect, &self.split(&request).1).ok()?;
        let mut kept = Kept::new(purse);
        kept.push(&request)?;
        Some(kept)
    }

    /// The head of a kept request, and its body without its framing.
    fn split<'r>(&self, request: &'r [u8]) -> (&'r [u8], Cow<'r, [u8]>) {
        let framed = rewrite::path_and_body(request).1;
        let head = &request[..request.len() - framed.len()];
        (head, payload(framed, self.request.body.framing()))
    }

    fn text_is_known(&self) -> bool {
        let watch = self.response.as_ref().map(|response| &response.watch);
        let said_error = watch
            .and_then(|watch| watch.observer.as_ref())
            .is_none_or(|observer| observer.saw_error() || observer.dialect() != self.dialect);
        let transcript =
            watch.and_then(|watch| watch.tap.as_ref()).and_then(|tap| tap.transcript.as_ref());
        !said_error && transcript.is_some_and(|transcript| transcript.text().is_ok())
    }

    /// The request for what comes behind the text so far; `None`: there is none to be made.
    fn rest(&self) -> Option<Rest> {
        let watch = &self.response.as_ref()?.watch;
        let transcript = watch.tap.as_ref()?.transcript.as_ref()?;
        let text = transcript.text().ok()?;
        let told = watch.observer.as_ref()?.usage().and_then(|usage| usage.completion);
        let tokens = transcript.tokens().max(told.map_or(0, u64::from));
        let (head, body) = self.split(self.continuation()?.request.bytes());
        let body = continued(self.dialect, &body, text, tokens).ok()?;
        let mut request = head.to_vec();
        rewrite::set_body(&mut request, self.request.body.framing() == Framing::Chunked, &body);
        Some(Rest { request, text: text.len(), tokens })
    }

    /// A part of the answer is over.
    fn note_part(&mut self, rest: &Rest) {
        let aside = self.aside.as_deref_mut();
        let continuation = aside.and_then(|aside| aside.continuation.as_mut());
        let (Some(continuation), Some(response)) = (continuation, &self.response) else { return };
        continuation.made += 1;
        continuation.room = continuation.room.saturating_sub(rest.text);
        let before = &mut continuation.before;
        before.events += response.progress();
        before.bytes += response.body.received();
        before.tokens += rest.tokens;
    }
}
