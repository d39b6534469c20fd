//! An exchange with a server behind it: the request goes up, the response comes down.
//!
//! Both flows advance in every drive, whichever side woke it: a response may begin before the
//! request has ended, and after `101` both are a tunnel.

use super::drive::Step;
use super::exchange::{Downstream, Exchange, Peer, Turn, Upstream};
use super::net::{Net, Stream};
use super::relay::{Broken, Budget, FlowState, Rest, relay};
use super::slots::Slots;
use super::token::Token;
use super::worker::Worker;
use crate::http::sse::EventObserver;
use crate::proxy::fault::{DownstreamFault, Fault, UpstreamFault};
use crate::proxy::retry::{self, Attempt, Verdict};

/// How an attempt to advance a flow failed.
pub(super) enum Failed {
    /// The connection to the upstream is lost; a replay may be fair.
    Lost(UpstreamFault),
    Fault(Fault),
}

impl<N: Net> Worker<N> {
    pub(super) fn advance_proxied(
        &mut self,
        token: Token,
        connection: Token,
        budget: &mut Budget,
    ) -> Step {
        let tunnelled = self.is_tunnel(token);
        let advanced = self.send_request(token, connection, budget).and_then(|sent| {
            let received = self.receive_response(token, connection, budget)?;
            Ok((sent, received))
        });
        match advanced {
            Err(Failed::Lost(fault)) => self.on_lost(token, connection, fault),
            Err(Failed::Fault(fault)) => self.end(token, Err(fault)),
            // What the client sent ahead of the 101 belongs to the tunnel.
            Ok(_) if self.is_tunnel(token) != tunnelled => Step::Again,
            Ok((sent, received)) => {
                if self.is_over(token) {
                    return self.end(token, Ok(()));
                }
                if let Some(needs) = sent.needs().into_iter().chain(received.needs()).min() {
                    return self.wait_for_buffer(token, needs);
                }
                let spent = sent == Rest::Budget || received == Rest::Budget;
                if spent { Step::Yield } else { Step::Wait }
            }
        }
    }

    /// Moves the request towards the upstream as far as it goes.
    fn send_request(
        &mut self,
        token: Token,
        connection: Token,
        budget: &mut Budget,
    ) -> Result<Rest, Failed> {
        let now = self.now;
        let Some((downstream, upstream)) =
            both(&mut self.downstreams, &mut self.upstreams, token, connection)
        else {
            return Ok(Rest::SourceEmpty);
        };
        let Downstream { socket: client, exchange, .. } = downstream;
        let Some(exchange) = exchange.as_deref_mut() else { return Ok(Rest::SourceEmpty) };
        if !exchange.request.is_open() && upstream.socket.outbox.is_empty() {
            return Ok(Rest::Ended);
        }
        // Silent when it was taken from the pool, and now it speaks before a byte of the request
        // has left: a 408, or a stray answer, for whoever had this connection before.
        if exchange.reused && !exchange.sent && upstream.socket.ready.readable() {
            return Err(Failed::Lost(UpstreamFault::Closed));
        }
        let length_max = match exchange.tunnel {
            Some(_) => u64::MAX,
            None => exchange.body_max(),
        };
        let Exchange { request, timeline, .. } = exchange;
        match relay(client, &mut upstream.socket, request, length_max, budget, &mut self.desk) {
            Ok(moved) => {
                if moved.written > 0 {
                    upstream.connected = true;
                    exchange.sent = true;
                }
                if moved.written > 0 || moved.read > 0 {
                    timeline.request_moved = now;
                    timeline.tunnel_moved = now;
                }
                if moved.rest == Rest::Ended {
                    timeline.request_written = now;
                    if let Some(tunnel) = &mut exchange.tunnel
                        && !std::mem::replace(&mut tunnel.upstream_shut, true)
                    {
                        // If it fails the connection is gone, and the other flow will say so.
                        let _ = upstream.socket.stream.shutdown_write();
                    }
                }
                Ok(moved.rest)
            }
            Err(Broken::Write(error)) if !upstream.connected => {
                Err(Failed::Lost(UpstreamFault::Connect(error.kind())))
            }
            Err(Broken::Write(_)) => {
                // The server wants no more. It may have answered before it closed, so what it
                // sent decides: read on until its end, then judge.
                exchange.request.state = FlowState::Cut;
                upstream.socket.ready.on_broken_write();
                Ok(Rest::Ended)
            }
            Err(Broken::Framing(error)) => {
                Err(Failed::Fault(Fault::Downstream(DownstreamFault::Chunk(error))))
            }
            Err(Broken::TooLong) => {
                Err(Failed::Fault(Fault::Downstream(DownstreamFault::BodyTooLarge)))
            }
            Err(Broken::Read(_) | Broken::Truncated) => {
                Err(Failed::Fault(Fault::Downstream(DownstreamFault::Gone)))
            }
        }
    }

    /// Moves the response towards the client as far as it goes.
    fn receive_response(
        &mut self,
        token: Token,
        connection: Token,
        budget: &mut Budget,
    ) -> Result<Rest, Failed> {
        let now = self.now;
        if let Some(rest) = self.await_response(token, connection, budget)? {
            return Ok(rest);
        }
        let Some((downstream, upstream)) =
            both(&mut self.downstreams, &mut self.upstreams, token, connection)
        else {
            return Ok(Rest::SourceEmpty);
        };
        let Downstream { socket: client, exchange, .. } = downstream;
        let Some(exchange) = exchange.as_deref_mut() else { return Ok(Rest::SourceEmpty) };
        let Some(response) = &mut exchange.response else { return Ok(Rest::SourceEmpty) };
        let events = response.observer.as_ref().map(EventObserver::data_events);
        let received = response.body.received();
        let relayed =
            relay(&mut upstream.socket, client, response, u64::MAX, budget, &mut self.desk);
        let moved = relayed.map_err(|broken| match broken {
            Broken::Read(error) => {
                Failed::Fault(upstream_fault(UpstreamFault::Reset(error.kind())))
            }
            Broken::Truncated => Failed::Fault(upstream_fault(UpstreamFault::Truncated)),
            Broken::Framing(error) => Failed::Fault(upstream_fault(UpstreamFault::Chunk(error))),
            Broken::Write(_) | Broken::TooLong => {
                Failed::Fault(Fault::Downstream(DownstreamFault::Gone))
            }
        })?;
        let progressed = match &response.observer {
            Some(observer) => Some(observer.data_events()) != events,
            None => response.body.received() != received,
        };
        if let (Some(observer), Some(before)) = (&response.observer, events) {
            self.desk.tally.data_events.add(observer.data_events() - before);
        }
        let timeline = &mut exchange.timeline;
        if progressed {
            let tally = &self.desk.tally;
            if std::mem::replace(&mut exchange.first_event, true) {
                tally.event_gap.record_span(timeline.event, now);
            } else {
                tally.first_event.record_span(timeline.request_written, now);
            }
            timeline.event = now;
        }
        if moved.read > 0 || moved.written > 0 {
            timeline.tunnel_moved = now;
        }
        if moved.rest == Rest::SinkFull {
            // Since the last byte it took, if it takes some.
            let since = timeline.client_blocked.get_or_insert(now);
            if moved.written > 0 {
                *since = now;
            }
        } else if timeline.client_blocked.take().is_some() {
            // The pause was the client's; the upstream's clocks start anew.
            (timeline.event, timeline.request_written) = (now, now);
        }
        if moved.rest == Rest::Ended
            && let Some(tunnel) = &mut exchange.tunnel
            && !std::mem::replace(&mut tunnel.downstream_shut, true)
        {
            let _ = client.stream.shutdown_write();
        }
        Ok(moved.rest)
    }

    fn is_tunnel(&mut self, token: Token) -> bool {
        self.exchange_mut(token).is_some_and(|exchange| exchange.tunnel.is_some())
    }

    /// Whether nothing is left to do for the exchange.
    fn is_over(&mut self, token: Token) -> bool {
        self.exchange_mut(token).is_some_and(|exchange| {
            let answered = exchange.response.as_ref().is_some_and(|response| !response.is_open());
            answered && (exchange.tunnel.is_none() || !exchange.request.is_open())
        })
    }

    /// The connection to the upstream was lost before its answer began, or inside its head.
    fn on_lost(&mut self, token: Token, connection: Token, fault: UpstreamFault) -> Step {
        let now = self.now;
        let Some((downstream, upstream)) =
            both(&mut self.downstreams, &mut self.upstreams, token, connection)
        else {
            return Step::Wait;
        };
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return Step::Wait };
        let attempt = Attempt {
            reused: exchange.reused,
            answered: exchange.answered,
            replayed: exchange.replayed,
            sent: exchange.sent,
            idempotent: exchange.idempotent,
            kept: upstream.socket.outbox.keeps(),
        };
        let pool = &exchange.upstream().pool;
        match retry::on_connection_lost(attempt, pool.replay_stale_post) {
            Verdict::Final => self.end(token, Err(Fault::Upstream(fault))),
            Verdict::ReplayFresh => {
                log::debug!("{}: {}; replayed on a fresh connection", exchange.id, fault.name());
                exchange.outbox = std::mem::take(&mut upstream.socket.outbox);
                exchange.outbox.rewind();
                exchange.request.state = FlowState::Open;
                exchange.replayed = true;
                exchange.timeline.sought = now;
                exchange.peer = Peer::Seeking { fresh: true, turn: Turn::New };
                self.desk.tally.stale_replays.add(1);
                self.close_upstream(connection);
                Step::Again
            }
        }
    }

    /// Whether bytes of the request lie in the client's buffer, cleared and not taken.
    pub(super) fn has_unsent_request(&self, token: Token) -> bool {
        let inbound = self.downstreams.get(token).and_then(|down| down.socket.inbound.as_ref());
        inbound.is_some_and(|buffer| !buffer.pending().is_empty())
    }
}

/// Both records of an exchange, borrowed at once: the reason why there are two tables.
pub(super) fn both<'a, S>(
    downstreams: &'a mut Slots<Downstream<S>>,
    upstreams: &'a mut Slots<Upstream<S>>,
    token: Token,
    connection: Token,
) -> Option<(&'a mut Downstream<S>, &'a mut Upstream<S>)> {
    downstreams.get_mut(token).zip(upstreams.get_mut(connection))
}

pub(super) fn upstream_fault(fault: UpstreamFault) -> Fault {
    Fault::Upstream(fault)
}

impl UpstreamFault {
    fn name(&self) -> &'static str {
        match self {
            UpstreamFault::Connect(_) => "the pooled connection refused a write",
            UpstreamFault::Closed => "the pooled connection was closed",
            _ => "the pooled connection was reset",
        }
    }
}

impl super::readiness::Readiness {
    /// A write failed: the connection is broken, and a read will tell how.
    fn on_broken_write(&mut self) {
        self.on_event(&super::net::Event {
            token: Token::WAKER,
            readable: true,
            writable: true,
            read_closed: true,
            errored: true,
        });
    }
}
