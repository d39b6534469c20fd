//! From a request head to an exchange: parse, route, draft.
//!
//! The head's bytes are read where they lie. What the exchange needs later is a handful of flags;
//! the draft, what every server gets of the head, goes to the exchange's outbox, and the client's bytes
//! are gone. What one server gets is written when it is known which (`attempt/opening.rs`).

use std::rc::Rc;

use crate::clock::Instant;
use crate::config::snapshot::Snapshot;
use crate::flow::relay::{Flow, Mode};
use crate::gate::authoriser::memory::Judged;
use crate::gate::authoriser::question::AuthQuestion;
use crate::gate::authoriser::{Comer, First, Memories, Origin};
use crate::gate::{GateTime, Principal};
use crate::gateway::Gateway;
use crate::gateway::client::proving::gate_time;
use crate::gateway::record::attempt::Attempt;
use crate::gateway::record::attempt::Tries;
use crate::gateway::record::commit::Commit;
use crate::gateway::record::downstream::State;
use crate::gateway::record::exchange::{Exchange, Gather, Leave};
use crate::gateway::record::peer::Peer;
use crate::gateway::record::proof::Proof;
use crate::gateway::record::trace::ExchangeTrace;
use crate::http::body::Framing;
use crate::http::credential;
use crate::http::head::{
    FieldSet, FieldSlots, HeadError, HeadLimits, RequestHead, Version, parse_request,
};
use crate::http::request_id::RequestId;
use crate::http::rewrite::{self, RequestEdits, TraceFields};
use crate::measure::stall::Ledger;
use crate::proxy::exchange::Timeline;
use crate::proxy::fault::DownstreamFault;
use crate::proxy::retry;
use crate::proxy::route::{Asker, Model};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::service::Dialect;
use crate::wire::outbox::Outbox;
use std::net::IpAddr;

/// What became of the bytes that may hold a head.
pub(crate) enum Opened {
    Incomplete,
    Exchange,
    /// The head is whole, and its token has to be proven before it is opened.
    Unproven,
    /// The head is whole, and the authoriser has to be asked before it is opened.
    Unasked(Box<AuthQuestion>),
    /// The exchange is open, and can only end with this error.
    Faulty(DownstreamFault),
    Refused(HeadError),
}

impl<N: Net> Gateway<N> {
    /// Opens an exchange if the client's bytes hold a whole request head.
    pub(crate) fn open_exchange(&mut self, token: Token, cx: &mut Cx<N>) -> Opened {
        let Some(downstream) = self.downstreams.get_mut(token) else { return Opened::Incomplete };
        let snapshot = self.generations.latest();
        let limits = &snapshot.limits;
        let limits = HeadLimits { bytes: limits.head_bytes, fields: limits.headers };
        let mut slots = FieldSlots::new();
        let head = match parse_request(downstream.socket.unscanned(), &mut slots, &limits) {
            Ok(Some(head)) => head,
            Ok(None) => return Opened::Incomplete,
            Err(error) => return Opened::Refused(error),
        };
        let bodiless = matches!(head.framing, Framing::None | Framing::Length(0));
        let model = if bodiless { Model::Unnamed } else { Model::Unread };
        let id = head.request_id.map(RequestId::given);
        let id = id.unwrap_or_else(|| self.chance.request_id());
        let certificate = downstream.socket.peer();
        let routed = snapshot.route_of(&head, model, Asker { id: id.as_bytes(), certificate });
        let counted = std::mem::take(&mut downstream.proof) == Proof::Over;
        let answered = if counted { self.authorising.take(token) } else { None };
        let (client, admitted) = snapshot.admit(&head, downstream.address, counted, cx.now);
        let asks =
            admitted.is_ok() && routed.as_ref().is_ok_and(|routed| snapshot.asks_for_key(routed));
        let mut known = None;
        if asks {
            let memories = Memories { tokens: &self.tokens, answers: self.authorising.memory() };
            let origin = Origin { client, sealed: downstream.socket.is_sealed(), certificate };
            let at = gate_time(cx);
            match snapshot.who_comes(&head, origin, memories, answered, at) {
                Ok(who) => {
                    self.desk.tally.auth_remembered.add(u64::from(who.remembered));
                    known = Some((who, at));
                }
                Err(first) => return first,
            }
        }
        if let Some(began) = downstream.state.head_began() {
            self.desk.tally.hops[0].record_span(began, cx.now);
        }
        downstream.requests += 1;
        let last = downstream.requests >= snapshot.limits.requests_per_connection;
        let outbox = Outbox::keeping_within(snapshot.limits.replay_bytes, &mut self.desk.buffers);
        let trace = ExchangeTrace::of(&head, &snapshot.trace, self.chance.trace_ids());
        let held = Rc::clone(snapshot);
        let mut exchange = Box::new(Exchange::opened(&head, id, held, outbox, trace, cx.now));
        exchange.keep_alive &= !last;
        let (groups, buffers) = (&mut self.groups, &mut self.desk.buffers);
        exchange.note_client(client, downstream.address);
        let greeted = exchange.greet(admitted.and(routed), &head, known, (client, certificate));
        let entered = greeted.and_then(|routed| {
            let routed = exchange.by_model_of_key(routed, &head);
            let body = &downstream.socket.unscanned()[head.length..];
            exchange.enter(routed, (&head, body, certificate), snapshot, groups, cx.now)
        });
        if matches!(exchange.peer, Peer::Seeking { .. }) {
            let (draft, _) = self.scratch.begin();
            let https = downstream.socket.is_sealed();
            exchange.write_draft(&head, downstream.address, https, draft);
            exchange.outbox.stow(draft, buffers);
        }
        let length = head.length;
        downstream.socket.discard(length, &mut self.desk);
        downstream.examined = 0;
        downstream.exchange = Some(exchange);
        downstream.state = State::Exchange;
        self.desk.tally.exchanges.add(1);
        match entered {
            Ok(()) => Opened::Exchange,
            Err(fault) => Opened::Faulty(fault),
        }
    }
}

impl Snapshot {
    /// Who comes with a request whose route wants to know it, or what has to be done first.
    #[cold]
    fn who_comes(
        &self,
        head: &RequestHead<'_>,
        origin: Origin<'_>,
        memories: Memories<'_>,
        answered: Option<Judged>,
        at: GateTime,
    ) -> Result<Comer, Opened> {
        let known = self.gate.gate.who_comes(head, origin, memories, answered, at);
        known.map_err(|first| match first {
            First::Prove => Opened::Unproven,
            First::Ask(question) => Opened::Unasked(question),
        })
    }
}

impl Exchange {
    /// An exchange that knows its request's head and nothing else.
    fn opened(
        head: &RequestHead<'_>,
        id: RequestId,
        snapshot: Rc<Snapshot>,
        outbox: Outbox,
        trace: Option<Box<ExchangeTrace>>,
        now: Instant,
    ) -> Exchange {
        Exchange {
            id,
            snapshot,
            route: None,
            link: 0,
            commit: Commit::NEW,
            attempt: Attempt::new(),
            tries: Tries::first(),
            client: head.version,
            dialect: Dialect::Generic,
            head_request: head.method == "HEAD",
            idempotent: retry::is_idempotent(head.method),
            keep_alive: head.keep_alive,
            leave: if head.expect_continue { Leave::Awaited } else { Leave::Unasked },
            upgrade_asked: head.upgrade.is_some(),
            request: Flow::new(head.framing, Mode::Keep),
            listens: false,
            unprefaced: false,
            probed: false,
            persistent: false,
            until_close: false,
            peer: Peer::Nobody,
            outbox,
            gather: Gather::Nothing,
            aside: None,
            priority: 0,
            tunnel: None,
            timeline: Timeline::new(now),
            trace,
            ledger: Ledger::new(now),
        }
    }

    /// The fields with keys of ours, that no server is sent. None where keys are not looked at.
    fn fields_to_withhold(&self, head: &RequestHead<'_>) -> Option<FieldSet> {
        let gate = &self.snapshot.gate.gate;
        // On a route that asks for none, too: clients send their key with every request.
        if gate.passes_keys || !gate.has_credentials() {
            return None;
        }
        let token = self.principal().and_then(Principal::token);
        // By which of them the authoriser has let it in it does not say.
        let all = self.principal().is_some_and(Principal::is_authorised);
        let ours = |place: usize, value: &[u8]| all || gate.keeps_to_itself(token, place, value);
        Some(credential::fields_that(ours, head.fields))
    }

    /// Writes what of the request's head every server gets.
    pub(crate) fn write_draft(
        &self,
        head: &RequestHead<'_>,
        client: IpAddr,
        https: bool,
        into: &mut Vec<u8>,
    ) {
        let withheld = self.fields_to_withhold(head);
        let edits = RequestEdits {
            forwarded: self.snapshot.server.forwarded,
            client,
            https,
            request_id: self.id.as_bytes(),
            trace: self.trace.as_deref().map_or(TraceFields::Pass, ExchangeTrace::fields),
            withheld: withheld.as_ref(),
            identity: self.may_be_prefaced()
                || self.may_yet_be_prefaced()
                || self.asks_for_identity(),
        };
        rewrite::draft(head, &edits, into);
    }
}

/// Whether a client of this version can be sent an interim (1xx) response (RFC 9110 §15.2).
pub(crate) fn takes_interim(version: Version) -> bool {
    version == Version::Http11
}
