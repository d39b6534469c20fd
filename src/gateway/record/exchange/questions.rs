//! What an exchange can be asked, from its own fields: what it is at, what it obeys, how far it is, and
//! what it waits for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Aside, Exchange, Leave};
use crate::clock::Instant;
use crate::config::snapshot::{
    self, AcceptEncoding, Chain, Condition, EndpointId, ExchangeTimeouts, Link, Target, UpstreamId,
};
use crate::flow::relay::{Flow, FlowState};
use crate::gate::Principal;
use crate::gate::authoriser::fault::AuthFault;
use crate::gate::fields::{NAMES, rate_fields};
use crate::gate::refusal::GateRefusal;
use crate::gateway::record::peer::{Line, Peer};
use crate::gateway::record::upstream::UpstreamConnection;
use crate::http::cors;
use crate::http::field_rules::FieldRules;
use crate::http::head::Version;
use crate::proxy::cors::AskingPage;
use crate::proxy::exchange::{Phase, Waiting};
use crate::proxy::fault::{DownstreamFault, Fault};
use crate::service::fault::heartbeat;
use crate::service::{Dialect, Observer};

/// Names the endpoint of an upstream: endpoints come and go while an exchange holds its generation, so
/// only the groups know them.
pub type EndpointNames<'n> = &'n dyn Fn(UpstreamId, EndpointId) -> Option<String>;

/// Who waits for a server that is started waits so much longer than that may take: it is told that it has
/// failed, and not that it is loading still.
const WORD: Duration = Duration::from_secs(1);

impl Exchange {
    /// The route it was matched with.
    pub fn route(&self) -> Option<&snapshot::Route> {
        self.snapshot.routes.get(self.route? as usize)
    }

    /// Whether the model in its body has to say which route it takes.
    pub fn is_undecided(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| aside.undecided.is_some())
    }

    /// What its answer says of CORS, where its route has that.
    pub fn lines_for_page(&self) -> Option<Vec<u8>> {
        let page: &AskingPage = self.aside.as_ref()?.page.as_ref()?;
        Some(page.lines(&self.snapshot.routes))
    }

    /// Writes that into the head of an answer, which begins at `start` of `out`.
    pub fn put_cors_fields(&self, out: &mut Vec<u8>, start: usize) {
        if let Some(lines) = self.lines_for_page() {
            cors::put_cors_fields(out, start, &lines);
        }
    }

    /// The upstreams of its route, if it leads to some.
    pub fn chain(&self) -> Option<&Chain> {
        match &self.route()?.target {
            Target::Chain(chain) => Some(chain),
            Target::Service(_) | Target::Models(_) => None,
        }
    }

    /// Its place in the chain of its route, if that has one.
    pub fn here(&self) -> Option<&Link> {
        self.chain()?.links.get(self.link)
    }

    /// The upstream it is at, if its route leads to some.
    pub fn upstream(&self) -> Option<&snapshot::Upstream> {
        Some(&self.snapshot.upstreams[self.here()?.upstream])
    }

    /// The names of the upstream it is at and of the endpoint it was last connected to; the second
    /// is empty before.
    pub fn served_by(&self, names: EndpointNames<'_>) -> Option<(String, String)> {
        let upstream = self.upstream()?;
        let endpoint = self.tries.endpoint.and_then(|endpoint| names(upstream.id, endpoint));
        Some((upstream.name.clone(), endpoint.unwrap_or_default()))
    }

    /// Whether `retry.on` of the upstream it is at names this condition.
    pub fn retries_on(&self, condition: Condition) -> bool {
        self.upstream().is_some_and(|upstream| upstream.retry.on.contains(condition))
    }

    /// Tells the log why a failure that another attempt might have mended is final.
    pub fn tell_not_kept(&self) {
        log::info!(
            "{}: not asked again: the request was not kept (limits.replay_bytes, or no buffers)",
            self.id
        );
    }

    /// Whether its response is a stream of events that is watched.
    pub fn is_observed(&self) -> bool {
        self.attempt.response.as_ref().is_some_and(Flow::is_stream)
    }

    /// Whether its response is a stream of events, and a part of the answer has come.
    pub fn has_answer(&self) -> bool {
        let observer =
            self.attempt.response.as_ref().and_then(|response| response.watch.observer.as_ref());
        observer.is_some_and(Observer::saw_answer)
    }

    /// The dialect in which a fault can be told inside the stream: the one that the server's events
    /// have shown, or the expected one as long as no event has said anything.
    pub fn spoken(&self) -> Dialect {
        if self.is_translated() {
            return self.dialect;
        }
        let observer =
            self.attempt.response.as_ref().and_then(|response| response.watch.observer.as_ref());
        observer.map_or(self.dialect, Observer::dialect)
    }

    /// Whether its response is, or may yet be, a document that is read.
    pub fn is_read(&self) -> bool {
        let observer = self.attempt.response.as_ref().and_then(|it| it.watch.observer.as_ref());
        observer.is_some_and(|it| it.is_unsettled() || it.document().is_some())
    }

    /// The client gets leave to send its body. Whether it has waited for that.
    pub fn give_leave(&mut self) -> bool {
        let awaited = self.leave == Leave::Awaited;
        if awaited {
            self.leave = Leave::Given;
        }
        awaited
    }

    /// Whether the first bytes of its response have shown that it is no stream.
    pub fn is_no_stream(&self) -> bool {
        let observer = self.attempt.response.as_ref().and_then(|it| it.watch.observer.as_ref());
        observer.is_some_and(|it| !it.is_stream() && !it.is_unsettled())
    }

    /// Whether only HTTP tells that the answer was whole.
    pub fn is_unobserved(&self) -> bool {
        let observer = self.attempt.response.as_ref().and_then(|it| it.watch.observer.as_ref());
        self.attempt.status < 300 && observer.is_some_and(Observer::is_blind)
    }

    /// Notes the model that the answer has named, if it has.
    pub fn learn_model(&mut self) {
        let Some(response) = &mut self.attempt.response else { return };
        let decoded = response.watch.observer.as_ref().and_then(Observer::model_decoded);
        if let Some(model) = decoded.map(Box::from) {
            self.aside_mut().model = Some(model);
            return;
        }
        let Some(tap) = &mut response.watch.tap else { return };
        let model = tap.model();
        if tap.is_idle() {
            response.watch.tap = None;
        }
        if model.is_some() {
            self.aside_mut().model = model;
        }
    }

    /// Whether its answer may have to follow a head of ours, or another server's stream.
    pub fn may_be_prefaced(&self) -> bool {
        let Some(route) = self.route() else { return false };
        let before_head = route.heartbeat.is_some_and(|heartbeat| heartbeat.before_head);
        (before_head || route.continues.is_some())
            && self.client == Version::Http11
            && heartbeat(self.dialect).is_some()
    }

    /// The same of one whose route is not known yet: whether a route that it may take is such a one.
    pub fn may_yet_be_prefaced(&self) -> bool {
        let prefaces = |route: &snapshot::Route| {
            let before_head = route.heartbeat.is_some_and(|heartbeat| heartbeat.before_head);
            before_head || route.continues.is_some()
        };
        self.is_undecided()
            && self.client == Version::Http11
            && self.snapshot.routes.iter().any(prefaces)
    }

    /// Whether no server may compress its answer, by its route, or by one that it may take whose model
    /// has yet to decide.
    pub fn asks_for_identity(&self) -> bool {
        // What a key has used is read out of the answer.
        if self.principal().is_some_and(Principal::counts_tokens) {
            return true;
        }
        let asks = |route: &snapshot::Route| {
            route.accept_encoding == AcceptEncoding::Identity || route.include_usage
        };
        let stores =
            |route: &snapshot::Route| matches!(&route.target, Target::Chain(chain) if chain.stores);
        match self.is_undecided() {
            true => self.snapshot.routes.iter().any(|route| asks(route) || stores(route)),
            // The id of an answer is read in its bytes as they come.
            false => {
                let identity =
                    |route: &snapshot::Route| route.accept_encoding == AcceptEncoding::Identity;
                self.may_be_stored() || self.may_ask_usage() || self.route().is_some_and(identity)
            }
        }
    }

    /// The client has the head of a stream, and waits for a server's.
    pub fn is_prefaced(&self) -> bool {
        self.commit.is_prefaced()
    }

    /// The status that the client has been told, or will be if the answer under way is its own; 0:
    /// there is none yet.
    pub fn status(&self) -> u16 {
        // A head of ours, and the stream that was to be continued, were a 200.
        if self.is_prefaced() { 200 } else { self.attempt.status }
    }

    /// The fields that only some configurations need, made when the first of them is set.
    pub fn aside_mut(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    /// Whether it is a tunnel, or will be one if its server agrees.
    pub fn may_have_no_end(&self) -> bool {
        self.tunnel.is_some() || self.upgrade_asked && !self.commit.has_begun()
    }

    /// The address of the client of a connection from `peer`.
    pub fn client_address(&self, peer: IpAddr) -> IpAddr {
        self.aside.as_ref().and_then(|aside| aside.client).unwrap_or(peer)
    }

    /// Who has come, if by a key of ours.
    pub fn principal(&self) -> Option<&Principal> {
        self.aside.as_ref()?.visitor.as_ref()?.known.as_ref().ok()
    }

    /// What the authoriser says has to be shown, if it is the one who has refused the request.
    pub(crate) fn challenge_for(&self, fault: &Fault) -> Option<Arc<str>> {
        let refusal = GateRefusal::Auth(AuthFault::Denied);
        let is_its =
            matches!(fault, Fault::Downstream(DownstreamFault::Gate(why)) if *why == refusal);
        self.aside.as_ref()?.visitor.as_ref()?.challenge.clone().filter(|_| is_its)
    }

    /// What its answer says of the rates of its key, if that has any. What a server says of its own goes.
    pub fn rate_fields(&self, now: Instant) -> Option<FieldRules> {
        let fields = rate_fields(self.principal()?.key(), now);
        let set = fields.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes()));
        let set: Vec<_> = set.collect();
        let remove = NAMES.map(str::to_owned).to_vec();
        (!set.is_empty()).then(|| FieldRules { remove, set, ..FieldRules::default() })
    }

    /// Writes that into the head of an answer, which begins at `start` of `out`.
    pub fn put_rate_fields(&self, out: &mut Vec<u8>, start: usize, now: Instant) {
        if let Some(rules) = self.rate_fields(now) {
            let written = out.split_off(start);
            rules.apply(&written, out);
        }
    }

    /// The key of the request, if the upstream's balance hashes one.
    pub fn key(&self) -> Option<u64> {
        self.aside.as_ref()?.key
    }

    /// How long it may wait for the model of the upstream it is at.
    pub fn model_patience(&self) -> Duration {
        let Some(upstream) = self.upstream() else { return Duration::ZERO };
        let loading = upstream.while_loading.map_or(Duration::ZERO, |settings| settings.wait);
        let waking = upstream.wake.as_ref().map_or(Duration::ZERO, |wake| wake.timeout + WORD);
        loading.max(waking)
    }

    /// The timers in force.
    pub fn timeouts(&self) -> &ExchangeTimeouts {
        match (self.here(), self.route()) {
            (Some(link), _) => &link.timeouts,
            (None, Some(route)) => &route.timeouts,
            (None, None) => &self.snapshot.timeouts.exchange,
        }
    }

    /// How long the request's body may be.
    pub fn body_max(&self) -> u64 {
        self.snapshot.limits.body_bytes.unwrap_or(u64::MAX)
    }

    /// Whether the client's connection can be kept behind a response that begins now. Not if the
    /// request is still coming: the answer may end first, and the connection then carries the rest of
    /// that request, or, if the client waits for leave to continue, perhaps the next request. The head
    /// says so, or the client would send its next request into a FIN.
    pub fn may_persist(&self) -> bool {
        self.keep_alive && !self.until_close && self.request.state == FlowState::Done
    }

    /// What the exchange is doing. `upstream`: whether its connection stands, and whether bytes wait to
    /// be written to it.
    fn phase(&self, upstream: Option<(bool, bool)>) -> Phase {
        match (&self.peer, upstream) {
            (Peer::Pausing { .. }, _) => Phase::Pausing,
            (Peer::AwaitingModel { .. }, _) => Phase::AwaitingModel,
            (Peer::Seeking { line: Line::New, .. }, _) => Phase::Gathering,
            (Peer::Seeking { .. }, _) => Phase::Queued,
            (Peer::Upstream(_), Some((false, _))) => Phase::Connecting,
            _ if self.tunnel.is_some() => Phase::Tunnel,
            _ if self.commit.has_event() => Phase::Streaming,
            (_, Some((_, true))) => Phase::WritingRequest,
            _ if self.request.is_open() => Phase::WritingRequest,
            _ => Phase::AwaitingFirst,
        }
    }

    /// What the exchange waits for: the input of its timers.
    pub fn waiting<S>(&self, upstream: Option<&UpstreamConnection<S>>, unsent: bool) -> Waiting {
        let blocked = upstream.is_some_and(|upstream| upstream.socket.has_unsent() || unsent);
        let phase = self.phase(upstream.map(|upstream| (upstream.connected, blocked)));
        Waiting {
            phase,
            awaited: self.attempt.awaited,
            by_bytes: self.attempt.by_bytes,
            for_request: self.request.is_open()
                && !blocked
                && !matches!(
                    phase,
                    Phase::Queued | Phase::AwaitingModel | Phase::Pausing | Phase::Connecting
                ),
            for_upstream_write: blocked,
        }
    }
}
