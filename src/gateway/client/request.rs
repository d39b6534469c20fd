//! From a request head to an exchange: parse, route, draft.
//!
//! The head's bytes are read where they lie. What the exchange needs later is a handful of flags;
//! the draft, what every server gets of the head, goes to the exchange's outbox, and the client's bytes
//! are gone. What one server gets is written when it is known which (`attempt/opening.rs`).

use std::rc::Rc;

use crate::clock::Instant;
use crate::config::snapshot::{
    Admission, Balance, Chain, HashKey, Route, Snapshot, Target, Upstream,
};
use crate::flow::relay::{Flow, Mode};
use crate::gateway::Gateway;
use crate::gateway::record::asked::accepts_events;
use crate::gateway::record::attempt::Attempt;
use crate::gateway::record::attempt::Tries;
use crate::gateway::record::commit::Commit;
use crate::gateway::record::downstream::State;
use crate::gateway::record::exchange::{Exchange, Gather, Leave};
use crate::gateway::record::peer::{Line, Peer, Progress};
use crate::gateway::record::trace::Trace;
use crate::http::body::Framing;
use crate::http::head::{FieldSlots, HeadError, HeadLimits, RequestHead, Version, parse_request};
use crate::http::path;
use crate::http::request_id::RequestId;
use crate::http::rewrite::{self, RequestEdits, TraceFields};
use crate::measure::stall::Ledger;
use crate::proxy::admission::{self, keys};
use crate::proxy::balance::key;
use crate::proxy::exchange::Timeline;
use crate::proxy::fault::DownstreamFault;
use crate::proxy::{retry, route};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::responder::Request;
use crate::service::{Dialect, Setting};
use crate::wire::outbox::Outbox;
use std::net::IpAddr;

/// What became of the bytes that may hold a head.
pub(crate) enum Opened {
    Incomplete,
    Exchange,
    /// The exchange is open, and can only end with this error.
    Faulty(DownstreamFault),
    Refused(HeadError),
}

impl<N: Net> Gateway<N> {
    /// Opens an exchange if the client's bytes hold a whole request head.
    pub(crate) fn open_exchange(&mut self, token: Token, cx: &mut Cx<N>) -> Opened {
        let Some(downstream) = self.downstreams.get_mut(token) else { return Opened::Incomplete };
        let limits = &self.snapshot.limits;
        let limits = HeadLimits { bytes: limits.head_bytes, fields: limits.headers };
        let mut slots = FieldSlots::new();
        let head = match parse_request(downstream.socket.unscanned(), &mut slots, &limits) {
            Ok(Some(head)) => head,
            Ok(None) => return Opened::Incomplete,
            Err(error) => return Opened::Refused(error),
        };
        let routed = self.snapshot.route_of(&head);
        let id = head.request_id.map(RequestId::given).unwrap_or_else(|| {
            self.ids = self.ids.wrapping_add(1);
            RequestId::made(self.seed as u32, self.ids)
        });
        if let State::Head { since } = downstream.state {
            self.desk.tally.hops[0].record_span(since, cx.now);
        }
        downstream.requests += 1;
        let last = downstream.requests >= self.snapshot.limits.requests_per_connection;
        let outbox =
            Outbox::keeping_within(self.snapshot.limits.replay_bytes, &mut self.desk.buffers);
        let trace = Trace::of(&head, &self.snapshot.trace, &mut self.trace_ids);
        let snapshot = Rc::clone(&self.snapshot);
        let mut exchange = Box::new(Exchange::opened(&head, id, snapshot, outbox, trace, cx.now));
        exchange.keep_alive &= !last;
        let entered = match routed {
            Ok(index) => {
                exchange.route = Some(index as u32);
                let route = &self.snapshot.routes[index];
                match &route.target {
                    Target::Chain(chain) => {
                        let first = &self.snapshot.upstreams[chain.links[0].upstream];
                        self.groups[first.id].budget.on_request(cx.now);
                        let entered = exchange.enter_chain(route, chain, first, &head);
                        self.scratch.clear();
                        exchange.write_draft(&head, downstream.address, &mut self.scratch);
                        exchange.outbox.stow(&self.scratch, &mut self.desk.buffers);
                        entered
                    }
                    Target::Service(service) => {
                        let request = responder_request(route, &head);
                        let responder = service.respond(&request, cx.now);
                        exchange.peer = Peer::Responder { responder, progress: Progress::Running };
                        Ok(())
                    }
                }
            }
            Err(fault) => Err(fault),
        };
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

impl Exchange {
    /// An exchange that knows its request's head and nothing else.
    fn opened(
        head: &RequestHead<'_>,
        id: RequestId,
        snapshot: Rc<Snapshot>,
        outbox: Outbox,
        trace: Option<Box<Trace>>,
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

    /// Prepares the exchange for the upstreams of its route, by what the request says to the `first`.
    fn enter_chain(
        &mut self,
        route: &Route,
        chain: &Chain,
        first: &Upstream,
        head: &RequestHead<'_>,
    ) -> Result<(), DownstreamFault> {
        let snapshot = Rc::clone(&self.snapshot);
        self.gather = snapshot.gather_for(chain);
        if let Some(key) = key_of(&first.balance, head) {
            self.aside_mut().key = Some(key);
        }
        self.priority = priority_of(&first.admission, head);
        self.dialect = dialect_of(route, first.service, head.path);
        self.listens = self.dialect == Dialect::Generic && listens(head);
        self.begin_naming(head, chain, &snapshot.upstreams)?;
        self.peer = Peer::Seeking { fresh: false, line: Line::New };
        Ok(())
    }

    /// Writes what of the request's head every server gets.
    fn write_draft(&self, head: &RequestHead<'_>, client: IpAddr, into: &mut Vec<u8>) {
        let edits = RequestEdits {
            forwarded: self.snapshot.server.forwarded,
            client,
            request_id: self.id.as_bytes(),
            trace: self.trace.as_deref().map_or(TraceFields::Pass, Trace::fields),
            identity: self.may_be_prefaced(),
        };
        rewrite::draft(head, &edits, into);
    }
}

impl Snapshot {
    /// The route of a request, by its place among the routes.
    fn route_of(&self, head: &RequestHead<'_>) -> Result<usize, DownstreamFault> {
        if head.target_is_asterisk {
            return Err(DownstreamFault::MethodNotAllowed { allow: route::methods(&self.routes) });
        }
        let found = match route::find(&self.routes, head.method, &path::normal(head.path)) {
            route::Match::Route(found) => found,
            route::Match::NotFound => return Err(DownstreamFault::NotFound),
            route::Match::MethodNotAllowed { allow } => {
                return Err(DownstreamFault::MethodNotAllowed { allow });
            }
        };
        route::check_rewritten(&self.routes[found], head.path).map_err(DownstreamFault::Head)?;
        match (head.framing, self.limits.body_bytes) {
            (Framing::Length(length), Some(max)) if length > max => {
                Err(DownstreamFault::BodyTooLarge)
            }
            _ => Ok(found),
        }
    }

    /// How much of the body has to be read before an endpoint is chosen.
    fn gather_for(&self, chain: &Chain) -> Gather {
        match self.upstreams[chain.links[0].upstream].balance {
            Balance::Hash(HashKey::Prompt(length)) => Gather::Prompt(saturated(length)),
            _ => Gather::Nothing,
        }
    }
}

/// A length in memory as 32 bits: nothing that is kept is longer.
fn saturated(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The key of a request, where the balance hashes a field or a cookie.
fn key_of(balance: &Balance, head: &RequestHead<'_>) -> Option<u64> {
    match balance {
        Balance::Hash(HashKey::Header(name)) => head.field(name).and_then(key::of_value),
        Balance::Hash(HashKey::Cookie(name)) => {
            head.values("cookie").find_map(|value| key::of_cookie(value, name.as_bytes()))
        }
        _ => None,
    }
}

/// The priority of a request: that of a listed API key, else what a field says.
fn priority_of(settings: &Admission, head: &RequestHead<'_>) -> u8 {
    if !settings.keys.is_empty() {
        let [authorization, x_api_key, api_key] =
            ["authorization", "x-api-key", "api-key"].map(|name| head.field(name));
        let key = keys::key(authorization, x_api_key, api_key);
        if let Some(priority) = key.and_then(|key| keys::priority(key, &settings.keys)) {
            return priority;
        }
    }
    let field = settings.priority_header.as_deref();
    admission::priority(field.and_then(|name| head.field(name)), settings)
}

/// Whether the request is for a feed, as an `EventSource` or a listening client of MCP sends it.
fn listens(head: &RequestHead<'_>) -> bool {
    head.method == "GET" && head.field("accept").is_some_and(accepts_events)
}

/// The dialect of a request, by its own path or by the path it is rewritten to.
fn dialect_of(route: &Route, service: Setting, path: &str) -> Dialect {
    let told = Dialect::of(service, path);
    match route::rewritten(route, path) {
        Some((prefix, remainder)) if told == Dialect::Generic => {
            Dialect::of(service, &[prefix, remainder].concat())
        }
        _ => told,
    }
}

fn responder_request<'a>(route: &'a Route, head: &RequestHead<'a>) -> Request<'a> {
    let path = match route::rewritten(route, head.path) {
        // A responder gets a path of its own; what followed the prefix has no meaning to it.
        Some((path, _)) => path,
        None => head.path,
    };
    Request {
        method: head.method,
        path,
        query: head.query,
        authority: head.authority,
        fields: head.lookup(),
    }
}

/// Whether a client of this version can be sent an interim (1xx) response (RFC 9110 §15.2).
pub(crate) fn takes_interim(version: Version) -> bool {
    version == Version::Http11
}
