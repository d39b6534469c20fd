//! Live: what a worker tells of its streams when it is asked, and what it does to one of them.
//!
//! An inquiry comes by mailbox and is answered there, between two turns' worth of tokens. Whoever
//! asks waits; the worker does not: the answer goes into a channel that never blocks its sender, and
//! the table is cut at the length that was asked for.
//!
//! Absent on purpose: text. A row is numbers and names of the snapshot; others print it.

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc;
use std::time::Duration;

use super::exchange::{Downstream, Peer};
use super::net::Net;
use super::request_id::RequestId;
use super::stall::Owner;
use super::tap::Piece;
use super::token::Token;
use super::worker::Worker;
use crate::config::snapshot::{EndpointId, Upstream, UpstreamId};
use crate::proxy::endpoints::View;
use crate::proxy::exchange::Phase;
use crate::proxy::fault::{Fault, LocalFault};
use crate::proxy::group::Group;
use crate::service::Observer;

/// Names one exchange of one worker, for as long as it lasts and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamKey {
    /// The client's connection.
    pub connection: u64,
    /// Which of its requests.
    pub request: u32,
}

/// What a worker is asked.
#[derive(Debug)]
pub enum Inquiry {
    /// A table of at most so many streams, and the state of the pools.
    Survey { rows_max: usize, reply: mpsc::Sender<Survey> },
    /// End this exchange. Answered with whether there was one.
    Kill { stream: StreamKey, reply: mpsc::Sender<bool> },
    /// Change how an endpoint is treated. One that is not known here is none of this worker's.
    Adjust { upstream: UpstreamId, endpoint: EndpointId, adjustment: Adjustment },
    /// Listen to the response of this exchange.
    Tail { stream: StreamKey, reply: mpsc::Sender<Tailed> },
}

/// How an endpoint is to be treated from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjustment {
    /// It finishes what it has and gets nothing new, until it is taken back.
    Drain,
    Undrain,
    /// Until the next generation says another.
    Weight(u32),
}

/// Whether there is something to listen to.
#[derive(Debug)]
pub enum Tailed {
    Listening(mpsc::Receiver<Piece>),
    NoSuchStream,
    /// No response has begun, or it is made inside this process.
    NoResponse,
    TooManyListeners,
}

/// What one worker holds at a moment.
#[derive(Debug)]
pub struct Survey {
    /// Exchanges in progress, those beyond `rows_max` included.
    pub active: u64,
    pub streams: Vec<Stream>,
    pub upstreams: Vec<UpstreamState>,
}

/// One upstream, seen by one worker.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamState {
    pub name: String,
    pub open: usize,
    pub idle: usize,
    /// Exchanges in its queue.
    pub waiting: usize,
    pub endpoints: Vec<EndpointState>,
}

/// One endpoint, seen by one worker.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointState {
    /// What it is called.
    pub name: String,
    /// `None`: its name has none now.
    pub address: Option<SocketAddr>,
    pub weight: u32,
    pub view: View,
}

/// One exchange in progress.
#[derive(Clone, Debug)]
pub struct Stream {
    pub key: StreamKey,
    pub request_id: RequestId,
    pub client: IpAddr,
    /// The path of its route, as configured.
    pub route: Option<String>,
    /// The names of the upstream and its endpoint, where one answers.
    pub endpoint: Option<(String, String)>,
    /// The model that was asked for, where that is known.
    pub asked: Option<String>,
    /// The model that answers, where it has said so.
    pub model: Option<String>,
    pub phase: Phase,
    pub age: Duration,
    /// Of the response; 0: it has not begun.
    pub status: u16,
    /// Data events; where there are none, 0.
    pub events: u64,
    /// Tokens of the answer, where its server has told by now.
    pub tokens: Option<u64>,
    /// Bytes of the response's body.
    pub bytes: u64,
    /// Since the last data event, or since the request was written.
    pub silence: Duration,
    pub waits_for: Owner,
    /// How long who was waited for, in the order of [`Owner::ALL`].
    pub waited: [Duration; 3],
    /// Bytes read and not written yet, both ways.
    pub buffered: usize,
}

impl<N: Net> Worker<N> {
    pub(super) fn on_inquiry(&mut self, inquiry: Inquiry) {
        // Whoever has asked may have given up: then nobody hears the answer.
        match inquiry {
            Inquiry::Survey { rows_max, reply } => drop(reply.send(self.survey(rows_max))),
            Inquiry::Kill { stream, reply } => drop(reply.send(self.kill(stream))),
            Inquiry::Adjust { upstream, endpoint, adjustment } => {
                self.adjust(upstream, endpoint, adjustment);
            }
            Inquiry::Tail { stream, reply } => drop(reply.send(self.tail(stream))),
        }
    }

    fn survey(&self, rows_max: usize) -> Survey {
        let mut streams = Vec::new();
        for (token, downstream) in self.downstreams.iter() {
            if streams.len() == rows_max {
                break;
            }
            streams.extend(self.row(token, downstream));
        }
        let upstreams = self.snapshot.upstreams.iter().map(|upstream| self.upstream(upstream));
        Survey {
            active: self.desk.tally.exchanges_active(),
            streams,
            upstreams: upstreams.collect(),
        }
    }

    fn upstream(&self, upstream: &Upstream) -> UpstreamState {
        let Group { pool, queue, endpoints, .. } = &self.groups[upstream.id];
        let views = (0..endpoints.len()).map(|index| endpoints.view(index, self.now));
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
            endpoints: endpoints.collect(),
        }
    }

    fn row(&self, token: Token, downstream: &Downstream<N::Stream>) -> Option<Stream> {
        let exchange = downstream.exchange.as_deref()?;
        let connection = match exchange.peer {
            Peer::Upstream(connection) => self.upstreams.get(connection),
            _ => None,
        };
        let proxied = matches!(
            exchange.peer,
            Peer::Upstream(_) | Peer::Seeking { .. } | Peer::Pausing { .. }
        );
        let response = exchange.response.as_ref();
        let timeline = &exchange.timeline;
        let last = timeline.event.max(timeline.request_written);
        let held = |inbound: usize, outbox: usize| inbound + outbox;
        let inbound = |buffer: Option<&super::buffer::Buffer>| {
            buffer.map_or(0, |buffer| buffer.pending().len() + buffer.unscanned().len())
        };
        let client = &downstream.socket;
        let server = connection.map(|connection| &connection.socket);
        Some(Stream {
            key: StreamKey { connection: token.to_bits(), request: downstream.requests },
            request_id: exchange.id.clone(),
            client: downstream.peer,
            route: exchange.route().map(|route| route.path.to_string()),
            endpoint: exchange.served_by().filter(|_| proxied),
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
            age: self.now - timeline.started,
            status: exchange.status,
            events: response
                .and_then(|response| response.watch.observer.as_ref())
                .map_or(0, Observer::data_events),
            tokens: response
                .and_then(|response| response.watch.observer.as_ref()?.usage()?.completion)
                .map(u64::from),
            bytes: response.map_or(0, |response| response.body.received()),
            silence: self.now - last,
            waits_for: exchange.ledger.owner(),
            waited: Owner::ALL.map(|owner| {
                // What is going on now is not charged yet.
                let mut ledger = exchange.ledger;
                ledger.charge(owner, self.now);
                ledger.spent(owner)
            }),
            buffered: held(inbound(client.inbound.as_ref()), client.outbox.held())
                + server.map_or(0, |server| {
                    held(inbound(server.inbound.as_ref()), server.outbox.held())
                }),
        })
    }

    fn kill(&mut self, stream: StreamKey) -> bool {
        let Some(token) = self.find(stream) else { return false };
        self.end(token, Err(Fault::Local(LocalFault::Killed)));
        // An answer, if one may still be given, is written in the next turn.
        self.enqueue(token);
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

    fn tail(&mut self, stream: StreamKey) -> Tailed {
        let exchange = self.find(stream).and_then(|token| self.exchange_mut(token));
        let Some(exchange) = exchange else { return Tailed::NoSuchStream };
        match (&exchange.peer, &mut exchange.response) {
            (Peer::Upstream(_), Some(response)) => {
                let tap = response.watch.tap.get_or_insert_default();
                tap.listen().map_or(Tailed::TooManyListeners, Tailed::Listening)
            }
            _ => Tailed::NoResponse,
        }
    }
}
