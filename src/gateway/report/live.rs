//! Live: answers to inquiries about a worker, and what an inquiry does to a stream or an endpoint.
//!
//! An inquiry comes by mail and is answered in the same phase of the turn. The asking thread waits, the
//! worker does not: the answer goes into a channel that never blocks its sender, and the table is cut
//! at the length that was asked for.

use crate::clock::Instant;
use crate::config::snapshot::{EndpointId, Upstream, UpstreamId};
use crate::gateway::Gateway;
use crate::gateway::record::downstream::Downstream;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::peer::Peer;
use crate::measure::live::{
    Adjustment, EndpointState, Inquiry, LiveStream, PieceClock, Reached, StreamKey, Survey, Tailed,
    UpstreamState,
};
use crate::measure::stall::Owner;
use crate::proxy::fault::{Fault, LocalFault};
use crate::proxy::group::Group;
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::service::Observer;

impl<N: Net> Gateway<N> {
    pub(crate) fn on_inquiry(&mut self, inquiry: Inquiry, cx: &mut Cx<N>) {
        // If the asking side has given up, nobody hears the answer.
        match inquiry {
            Inquiry::Survey { rows_max, reply } => drop(reply.send(self.survey(rows_max, cx))),
            Inquiry::Kill { stream, reply } => drop(reply.send(self.kill(stream, cx))),
            Inquiry::Adjust { upstream, endpoint, adjustment } => {
                self.adjust(upstream, endpoint, adjustment);
            }
            Inquiry::Tail { stream, clock, reply } => {
                drop(reply.send(self.tail(stream, clock)));
            }
        }
    }

    fn survey(&self, rows_max: usize, cx: &Cx<N>) -> Survey {
        let mut streams = Vec::new();
        for (token, downstream) in self.downstreams.iter() {
            if streams.len() == rows_max {
                break;
            }
            streams.extend(self.row(token, downstream, cx));
        }
        let upstreams = self.generations.latest().upstreams.iter();
        let upstreams = upstreams.map(|upstream| self.upstream(upstream, cx));
        Survey {
            active: self.desk.tally.exchanges_active(),
            streams,
            upstreams: upstreams.collect(),
        }
    }

    fn upstream(&self, upstream: &Upstream, cx: &Cx<N>) -> UpstreamState {
        let Group { pool, queue, awaiting, endpoints, .. } = &self.groups[upstream.id];
        let views = (0..endpoints.len()).map(|index| endpoints.view(index, cx.now));
        let server = endpoints.server();
        let endpoints = views.filter_map(|view| {
            let endpoint = endpoints.get(view.endpoint)?;
            let (name, weight) = (endpoint.name.clone(), endpoint.weight);
            Some(EndpointState { name, address: endpoint.address, weight, view })
        });
        UpstreamState {
            name: upstream.name.clone(),
            open: pool.open(),
            idle: pool.idle(),
            waiting: queue.len(),
            awaiting_model: awaiting.len(),
            server,
            endpoints: endpoints.collect(),
        }
    }

    fn row(
        &self,
        token: Token,
        downstream: &Downstream<N::Stream>,
        cx: &Cx<N>,
    ) -> Option<LiveStream> {
        let exchange = downstream.exchange.as_deref()?;
        let connection = match exchange.peer {
            Peer::Upstream(connection) => self.upstreams.get(connection),
            _ => None,
        };
        let proxied = matches!(
            exchange.peer,
            Peer::Upstream(_)
                | Peer::Seeking { .. }
                | Peer::AwaitingModel { .. }
                | Peer::Pausing { .. }
        );
        let response = exchange.attempt.response.as_ref();
        let timeline = &exchange.timeline;
        let last = timeline.event.max(timeline.request_written);
        let held = |inbound: usize, outbox: usize| inbound + outbox;
        let inbound = |buffer: Option<&crate::wire::buffer::Buffer>| {
            buffer.map_or(0, |buffer| buffer.pending().len() + buffer.unscanned().len())
        };
        let client = &downstream.socket;
        let server = connection.map(|connection| &connection.socket);
        Some(LiveStream {
            key: StreamKey { connection: token.to_bits(), request: downstream.requests },
            request_id: exchange.id.clone(),
            client: exchange.client_address(downstream.address),
            route: exchange.route().map(|route| route.path.to_string()),
            key_name: exchange.principal().map(|who| who.name().to_owned()),
            endpoint: exchange.served_by(&self.endpoint_names()).filter(|_| proxied),
            asked: exchange
                .aside
                .as_ref()
                .and_then(|aside| aside.asked.as_deref())
                .map(str::to_owned),
            model: exchange
                .aside
                .as_ref()
                .and_then(|aside| aside.model.as_deref())
                .map(str::to_owned),
            phase: exchange.waiting(connection, false).phase,
            age: cx.now - timeline.started,
            reached: reached(exchange),
            status: exchange.status(),
            events: response
                .and_then(|response| response.watch.observer.as_ref())
                .map_or(0, Observer::tokens_estimated),
            tokens: response
                .and_then(|response| response.watch.observer.as_ref())
                .and_then(counted),
            bytes: response.map_or(0, |response| response.body.received()),
            silence: cx.now - last,
            waits_for: exchange.ledger.owner(),
            waited: Owner::ALL.map(|owner| {
                // The time since the last charge is not in the ledger yet.
                let mut ledger = exchange.ledger;
                ledger.charge(owner, cx.now);
                ledger.spent(owner)
            }),
            buffered: held(inbound(client.inbound.as_ref()), client.outbox.held())
                + server.map_or(0, |server| {
                    held(inbound(server.inbound.as_ref()), server.outbox.held())
                }),
        })
    }

    fn kill(&mut self, stream: StreamKey, cx: &mut Cx<N>) -> bool {
        let Some(token) = self.find(stream) else { return false };
        self.end(token, Err(Fault::Local(LocalFault::Killed)), cx);
        // An answer, if one may still be given, is written in the next turn.
        self.enqueue(token, &mut cx.run);
        true
    }

    fn adjust(&mut self, upstream: UpstreamId, endpoint: EndpointId, adjustment: Adjustment) {
        // It may have gone with a reload while the order was on its way.
        if !self.groups.ids().any(|id| id == upstream) {
            return;
        }
        let endpoints = &mut self.groups[upstream].endpoints;
        match adjustment {
            Adjustment::Drain => endpoints.set_draining(endpoint, true),
            Adjustment::Undrain => endpoints.set_draining(endpoint, false),
            Adjustment::Weight(weight) => endpoints.set_weight(endpoint, weight),
        }
    }

    /// The connection of an exchange that is still in progress.
    fn find(&self, stream: StreamKey) -> Option<Token> {
        let token = Token::of_downstream(stream.connection)?;
        let downstream = self.downstreams.get(token)?;
        let same = downstream.exchange.is_some() && downstream.requests == stream.request;
        same.then_some(token)
    }

    fn tail(&mut self, stream: StreamKey, clock: PieceClock) -> Tailed {
        let exchange = self.find(stream).and_then(|token| self.exchange_mut(token));
        let Some(exchange) = exchange else { return Tailed::NoSuchStream };
        let began = exchange.timeline.started;
        match (&exchange.peer, &mut exchange.attempt.response) {
            (Peer::Upstream(_), Some(response)) => {
                let tap = response.watch.tap.get_or_insert_default();
                let heard = tap.listen(clock);
                heard.map_or(Tailed::TooManyListeners, |pieces| Tailed::Listening { pieces, began })
            }
            _ => Tailed::NoResponse,
        }
    }
}

/// How far the attempt that goes on has come.
fn reached(exchange: &Exchange) -> Reached {
    let began = exchange.timeline.started;
    let reached = |at: Instant| (at != Instant::NEVER).then(|| at - began);
    let hops = &exchange.attempt.hops;
    Reached {
        attached: reached(hops.attached),
        connected: reached(hops.connected),
        request_written: reached(hops.written),
        first_byte: reached(hops.first_byte),
        first_event: reached(hops.first_event),
    }
}

/// The tokens that a server has counted by now. A count from the beginning of a stream, such as the 1 of
/// Anthropic's first event, tells nothing of what has come since.
fn counted(observer: &Observer) -> Option<u64> {
    let counted = observer.usage()?.completion.map(u64::from)?;
    (counted >= observer.tokens_estimated()).then_some(counted)
}
