//! Attach: finds an exchange its connection to an upstream, and gives connections back.
//!
//! * A pooled connection is looked at once more before it is used. Bytes, an end, an error: each
//!   means that it is dead, and the next one is tried.
//! * A replay never uses a pooled connection: siblings of a dead one are likely dead too.
//! * Only a clean, complete, silent connection goes back. Asserted on both ends.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use super::attempt::Failed;
use super::buffer::BufferPool;
use super::drive::Step;
use super::exchange::{self, Exchange, Peer, Turn};
use super::net::Net;
use super::socket::Socket;
use super::timer::Alarm;
use super::token::Token;
use super::worker::Worker;
use crate::clock::Instant;
use crate::config::snapshot::{Endpoint, EndpointId, HostField, Upstream, UpstreamId};
use crate::http::body::Framing;
use crate::http::rewrite;
use crate::proxy::fault::{Fault, LocalFault, UpstreamFault};
use crate::proxy::group::Group;
use crate::proxy::pool::{Checkout, Reuse, idle_until};

impl<N: Net> Worker<N> {
    /// Gets the exchange of `token` a connection, or a place in the queue for one.
    pub(super) fn seek_upstream(&mut self, token: Token) -> Step {
        let Some(exchange) = self.exchange_mut(token) else { return Step::Wait };
        let Peer::Seeking { fresh, turn } = exchange.peer else { return Step::Again };
        if turn == Turn::Queued {
            return Step::Wait;
        }
        let Some(upstream) = exchange.upstream().map(|upstream| upstream.id) else {
            return Step::Wait;
        };
        let Some((endpoint, address)) = self.pick_endpoint(token) else { return Step::Wait };
        // Whoever comes now stands behind those who wait already.
        let behind = turn == Turn::New && !fresh && self.groups[upstream].pool.waiting() > 0;
        loop {
            let Group { pool, limits, .. } = &mut self.groups[upstream];
            let checkout =
                if behind { Checkout::Wait } else { pool.checkout(endpoint, fresh, limits) };
            match checkout {
                Checkout::Idle(connection) => {
                    if self.is_usable(connection) {
                        self.desk.tally.pool_hits.add(1);
                        self.attach(token, connection, true);
                        return Step::Again;
                    }
                    self.desk.tally.pool_dead.add(1);
                    self.close_upstream(connection);
                }
                Checkout::Evict(connection) => self.close_upstream(connection),
                Checkout::Open => {
                    return match self.open_upstream(upstream, endpoint, address) {
                        Ok(connection) => {
                            self.desk.tally.pool_misses.add(1);
                            self.attach(token, connection, false);
                            Step::Again
                        }
                        Err(error) => self.failed(token, Failed::Fault(connect_fault(&error))),
                    };
                }
                Checkout::Wait => {
                    self.desk.tally.pool_waits.add(1);
                    match turn {
                        Turn::Called => pool.wait_again(token),
                        Turn::New | Turn::Queued => pool.wait(token),
                    }
                    if let Some(exchange) = self.exchange_mut(token) {
                        exchange.peer = Peer::Seeking { fresh, turn: Turn::Queued };
                    }
                    return Step::Wait;
                }
            }
        }
    }

    /// Chooses the endpoint of the next attempt: one that has not been tried, if there is one.
    fn pick_endpoint(&mut self, token: Token) -> Option<(EndpointId, SocketAddr)> {
        let exchange = self.downstreams.get_mut(token)?.exchange.as_deref_mut()?;
        let Upstream { id, endpoints, .. } = exchange.upstream()?;
        let balance = &mut self.groups[*id].balance;
        let mut picked = balance.next(endpoints);
        for _ in 1..endpoints.len() {
            if !exchange.attempt.has_tried(picked) {
                break;
            }
            picked = balance.next(endpoints);
        }
        let Endpoint { id, address, .. } = *endpoints.get(picked)?;
        exchange.endpoint = picked;
        Some((id, address))
    }

    pub(super) fn exchange_mut(&mut self, token: Token) -> Option<&mut Exchange> {
        self.downstreams.get_mut(token)?.exchange.as_deref_mut()
    }

    /// Whether a connection from the pool is as silent as it should be.
    fn is_usable(&mut self, connection: Token) -> bool {
        let Some(upstream) = self.upstreams.get_mut(connection) else { return false };
        let socket = &mut upstream.socket;
        let clean = socket.inbound.is_none() && socket.outbox.is_empty();
        assert!(clean && upstream.owner.is_none(), "an idle connection holds somebody's bytes");
        let ready = socket.ready;
        let quiet = !ready.readable() && !ready.read_closed() && !ready.errored();
        quiet && socket.is_silent(&mut self.desk)
    }

    fn open_upstream(
        &mut self,
        upstream: UpstreamId,
        endpoint: EndpointId,
        address: SocketAddr,
    ) -> io::Result<Token> {
        self.desk.tally.connects.add(1);
        let stream = self.net.connect(address)?;
        let connection = self.upstreams.insert(exchange::Upstream {
            socket: Socket::new(stream),
            alarm: Alarm::default(),
            upstream,
            endpoint,
            opened: self.now,
            requests: 0,
            connected: false,
            announced: None,
            owner: None,
            closed: false,
        });
        self.groups[upstream].pool.opened();
        self.desk.tally.registers.add(1);
        if let Some(record) = self.upstreams.get_mut(connection)
            && let Err(error) = self.net.register(&mut record.socket.stream, connection)
        {
            self.close_upstream(connection);
            return Err(error);
        }
        Ok(connection)
    }

    fn attach(&mut self, token: Token, connection: Token, reused: bool) {
        let now = self.now;
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return };
        let Some(upstream) = self.upstreams.get_mut(connection) else { return };
        assert!(upstream.owner.is_none(), "a connection serves one exchange at a time");
        exchange.rehost(&mut self.desk.buffers);
        upstream.owner = Some(token);
        upstream.requests += 1;
        upstream.socket.outbox = std::mem::take(&mut exchange.outbox);
        upstream.alarm.set(Instant::NEVER, connection, &mut self.wheel);
        exchange.peer = Peer::Upstream(connection);
        exchange.attempt.reused = reused;
        exchange.attempt.sent = false;
        exchange.timeline.request_moved = now;
        exchange.hops.attached = now;
    }

    /// Gives a connection back after its exchange: to the pool if it may carry another request,
    /// else to nobody.
    pub(super) fn release(&mut self, connection: Token, exchange: &Exchange) {
        let Some(upstream) = self.upstreams.get_mut(connection) else { return };
        let exchange::Upstream { upstream: home, endpoint, .. } = *upstream;
        // The request was kept for a replay until now.
        upstream.socket.outbox.forget(&mut self.desk.buffers);
        let socket = &mut upstream.socket;
        let limits = &self.groups[home].limits;
        let reuse = Reuse {
            response_delimited: exchange
                .response
                .as_ref()
                .is_some_and(|response| response.body.framing() != Framing::UntilClose),
            keep_alive: exchange.upstream_keep_alive,
            request_done: !exchange.request.is_open(),
            clean: socket.inbound.is_none() && socket.outbox.is_empty(),
            sound: !socket.ready.read_closed() && !socket.ready.errored(),
            requests: upstream.requests,
            age: self.now - upstream.opened,
        };
        let draining = self.is_draining();
        let Some(upstream) = self.upstreams.get_mut(connection) else { return };
        // A last read that filled its buffer leaves the question open whether there is more.
        let keep = !draining
            && reuse.allows(limits)
            && (!upstream.socket.ready.readable() || upstream.socket.is_silent(&mut self.desk));
        if !keep {
            return self.close_upstream(connection);
        }
        upstream.owner = None;
        let until = idle_until(self.now, upstream.opened, upstream.announced, limits);
        upstream.alarm.set(until, connection, &mut self.wheel);
        if let Some(coldest) = self.groups[home].release(endpoint, connection) {
            self.close_upstream(coldest);
        }
        self.wake_waiting(home);
    }

    /// Closes a connection at the end of this turn, wherever it was.
    pub(super) fn close_upstream(&mut self, connection: Token) {
        let Some(upstream) = self.upstreams.get_mut(connection) else { return };
        if std::mem::replace(&mut upstream.closed, true) {
            return;
        }
        upstream.socket.abandon(&mut self.desk);
        let home = upstream.upstream;
        self.groups[home].pool.closed(upstream.endpoint, connection);
        self.reaped.push(connection);
        self.wake_waiting(home);
    }

    /// A connection came free, or may be opened: the one who has waited longest tries again.
    pub(super) fn wake_waiting(&mut self, upstream: UpstreamId) {
        if let Some(waiter) = self.groups[upstream].pool.next_waiting() {
            if let Some(exchange) = self.exchange_mut(waiter)
                && let Peer::Seeking { turn, .. } = &mut exchange.peer
            {
                *turn = Turn::Called;
            }
            self.enqueue(waiter);
        }
    }
}

impl Exchange {
    /// Gives the request the `Host` of the endpoint it goes to, if it has another's.
    fn rehost(&mut self, buffers: &mut BufferPool) {
        let here = (self.link, self.endpoint);
        let before = std::mem::replace(&mut self.attempt.hosted, here);
        if before == here {
            return;
        }
        let Some(upstream) = self.upstream() else { return };
        let elsewhere = before.0 != here.0;
        let host = match (&upstream.host, self.authority.as_deref()) {
            // One upstream, and the client named its host.
            (HostField::Preserve, None) => None,
            (HostField::Preserve, Some(authority)) if !authority.is_empty() => {
                elsewhere.then_some(authority)
            }
            (HostField::Preserve | HostField::Endpoint, _) => {
                upstream.endpoints.get(here.1).map(|endpoint| endpoint.authority.as_bytes())
            }
            (HostField::Fixed(host), _) => elsewhere.then_some(host.as_bytes()),
        };
        if let Some(host) = host.map(<[u8]>::to_vec) {
            self.outbox.edit(buffers, |request| rewrite::set_host(request, &host));
        }
    }
}

/// A connection that could not even be started.
fn connect_fault(error: &io::Error) -> Fault {
    // EMFILE, ENFILE, ENOBUFS and ENOMEM have no kind of their own but the last.
    const EXHAUSTED: [i32; 4] = [24, 23, 105, 12];
    let exhausted = error.kind() == ErrorKind::OutOfMemory
        || error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code));
    if exhausted {
        Fault::Local(LocalFault::Descriptors)
    } else {
        Fault::Upstream(UpstreamFault::Connect(error.kind()))
    }
}
