//! The record of one request and its response.

use std::rc::Rc;

use crate::config::snapshot::{self, Chain, Condition, ExchangeTimeouts, Snapshot, Target};
use crate::flow::relay::{Flow, FlowState};
use crate::gateway::record::attempt::Attempt;
use crate::gateway::record::attempt::Tries;
use crate::gateway::record::commit::Commit;
use crate::gateway::record::continuation::Continuation;
use crate::gateway::record::peer::{Line, Peer};
use crate::gateway::record::trace::Trace;
use crate::gateway::record::upstream::Upstream;
use crate::http::head::Version;
use crate::http::request_id::RequestId;
use crate::measure::stall::Ledger;
use crate::proxy::exchange::{Phase, Timeline, Waiting};
use crate::service::fault::heartbeat;
use crate::service::{Dialect, Observer};
use crate::wire::outbox::Outbox;

/// Leave to send the body of a request, the 100 of `Expect: 100-continue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The client does not wait for it.
    Unasked,
    Awaited,
    /// It is told once, whoever has told it and however many servers are asked.
    Given,
}

/// One request and its response. In memory as it is written here: what the passing of a token
/// touches comes first and lies together, for among thousands of streams every line is a cold one.
#[derive(Debug)]
#[repr(C)]
pub struct Exchange {
    pub timeline: Timeline,
    pub ledger: Ledger,
    /// How much of an answer the client has.
    pub commit: Commit,
    pub tunnel: Option<Tunnel>,
    pub peer: Peer,
    /// The attempt that is under way.
    pub attempt: Attempt,
    pub request: Flow,
    // From here on what begins and ends an exchange.
    /// The generation it began with; it obeys this one to its end.
    pub snapshot: Rc<Snapshot>,
    /// Index into the snapshot's routes; `None`: none matched.
    pub route: Option<u32>,
    /// The upstream it is at: a position in the route's chain.
    pub link: usize,
    pub tries: Tries,
    /// The rewritten request while no connection's outbox has it; after that the part of the response
    /// that is held back.
    pub outbox: Outbox,
    /// How much of the body has to be read before an endpoint is chosen.
    pub gather: Gather,
    /// Boxed: most exchanges have none of it.
    pub aside: Option<Box<Aside>>,
    /// Boxed: only where exchanges are part of traces.
    pub trace: Option<Box<Trace>>,
    pub id: RequestId,
    /// 0 is the most urgent.
    pub priority: u8,
    pub client: Version,
    /// The dialect the client speaks by its path, and is most likely answered in.
    pub dialect: Dialect,
    /// The request is HEAD: its answer has no body.
    pub head_request: bool,
    pub idempotent: bool,
    /// The client lets its connection be kept.
    pub keep_alive: bool,
    pub leave: Leave,
    pub upgrade_asked: bool,
    /// A GET for a stream of events of no dialect: the client listens, and waits for nothing.
    pub listens: bool,
    /// The client is known not to want a stream, so it gets no head of ours.
    pub unprefaced: bool,
    /// The client was asked, with an interim response, whether it is still there.
    pub probed: bool,
    /// The response as delivered ends by itself, and both ends agreed to keep the connection.
    pub persistent: bool,
    /// The response as delivered ends with the connection: only RST tells that it was cut.
    pub until_close: bool,
}

/// Fields that only some configurations need.
#[derive(Debug, Default)]
pub struct Aside {
    /// Why the predefined answer was decided on. It is given when the whole request is here.
    pub degraded: Option<&'static str>,
    /// The key of the request, where the upstream's balance hashes one.
    pub key: Option<u64>,
    /// The client's own `Host`, which a later upstream may have to be sent.
    pub authority: Option<Box<[u8]>>,
    /// The model that answers, once the answer has named it.
    pub model: Option<Box<str>>,
    /// The model that the client has asked for, once it is known.
    pub asked: Option<Box<str>>,
    /// What is kept so that another server can continue the stream.
    pub continuation: Option<Box<Continuation>>,
    /// It has come back to an upstream that it had passed over; no other upstream follows.
    pub came_back: bool,
}

/// How much of a request's body is read before its first attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    Nothing,
    /// So many bytes of the prompt: the endpoint is chosen by them.
    Prompt(u32),
    /// Up to the name of the model, which is replaced, and so many bytes of the prompt.
    Model {
        prompt: u32,
    },
    /// All of it, as far as it is kept: a predefined answer follows, or it waits in line.
    Whole,
}

/// Which ends of a tunnel were sent a FIN.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tunnel {
    pub upstream_shut: bool,
    pub downstream_shut: bool,
}

impl Exchange {
    /// The route it was matched with.
    pub fn route(&self) -> Option<&snapshot::Route> {
        self.snapshot.routes.get(self.route? as usize)
    }

    /// The upstreams of its route, if it leads to some.
    pub fn chain(&self) -> Option<&Chain> {
        match &self.route()?.target {
            Target::Chain(chain) => Some(chain),
            Target::Service(_) => None,
        }
    }

    /// The upstream it is at, if its route leads to some.
    pub fn upstream(&self) -> Option<&snapshot::Upstream> {
        Some(&self.snapshot.upstreams[self.chain()?.links.get(self.link)?.upstream])
    }

    /// The names of the upstream it is at and of the endpoint it was last connected to; the second
    /// is empty before.
    pub fn served_by(&self) -> Option<(String, String)> {
        let upstream = self.upstream()?;
        let endpoint = upstream.endpoints.iter().find(|one| Some(one.id) == self.tries.endpoint);
        let endpoint = endpoint.map(|endpoint| endpoint.name.clone());
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

    /// The key of the request, if the upstream's balance hashes one.
    pub fn key(&self) -> Option<u64> {
        self.aside.as_ref()?.key
    }

    /// The timers in force.
    pub fn timeouts(&self) -> &ExchangeTimeouts {
        match (self.chain().and_then(|chain| chain.links.get(self.link)), self.route()) {
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
    pub fn waiting<S>(&self, upstream: Option<&Upstream<S>>, unsent: bool) -> Waiting {
        let blocked = upstream.is_some_and(|upstream| upstream.socket.has_unsent() || unsent);
        let phase = self.phase(upstream.map(|upstream| (upstream.connected, blocked)));
        Waiting {
            phase,
            awaited: self.attempt.awaited,
            by_bytes: self.attempt.by_bytes,
            for_request: self.request.is_open()
                && !blocked
                && !matches!(phase, Phase::Queued | Phase::Pausing | Phase::Connecting),
            for_upstream_write: blocked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::record::downstream::Downstream;
    use crate::reactor::slots::Slots;

    /// The printed memory bound and the footprint of ten thousand streams stand on these.
    #[test]
    fn records_are_as_small_as_the_configuration_promises() {
        use crate::config::bounds::{BUFFER_BYTES, CONNECTION_BYTES};
        use crate::flow::tap::Tap;
        use crate::service::continuation::Transcript;
        use std::mem::size_of;

        assert_eq!(BUFFER_BYTES, crate::wire::buffer::CAPACITY as u64);
        // A stream is a descriptor: four bytes.
        let (idle, server) = (Slots::<Downstream<u32>>::BYTES, Slots::<Upstream<u32>>::BYTES);
        let open = idle + size_of::<Exchange>() + server;
        assert_eq!((idle, server), (128, 128), "two cache lines each");
        assert!(open <= 848, "an open stream takes {open} bytes");
        assert!(open as u64 <= CONNECTION_BYTES);
        // And what it may own beside them to be continued, but for the bytes it keeps.
        let boxes = size_of::<Continuation>() + size_of::<Tap>() + size_of::<Transcript>();
        assert!((open + boxes) as u64 <= CONNECTION_BYTES, "and boxes of {boxes} bytes");
    }
}
