//! Connections to servers, from their opening to their close.
//!
//! * A pooled connection that has said anything is dead: bytes, an end, an error. When one is taken out,
//!   what the poller has told decides; if it has been idle for long, it is looked at once more. Where
//!   a session seals it, its records are opened before it is judged: a ticket says nothing.
//! * A replay never uses a pooled connection: the siblings of a dead connection are likely dead too.
//! * Only a clean, complete, silent connection goes back. Asserted when it goes in and when it comes
//!   out.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::clock::Instant;
use crate::config::snapshot::{EndpointId, UpstreamId};
use crate::gateway::Gateway;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::upstream::UpstreamConnection;
use crate::http::body::Framing;
use crate::proxy::admission::Lack;
use crate::proxy::fault::{Fault, LocalFault, UpstreamFault};
use crate::proxy::group::Group;
use crate::proxy::pool::fit::{self, Used};
use crate::proxy::pool::{Checkout, idle_until};
use crate::reactor::net::Net;
use crate::reactor::timer::Alarm;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::wire::socket::Socket;
use crate::wire::transport::Dialer;

/// Why there is no place at an upstream.
pub(crate) enum NoPlace {
    /// A place can be waited for.
    Lack(Lack),
    /// The model is not there, and is looked for again then.
    Loading {
        again: Instant,
    },
    Fault(Fault),
}

impl<N: Net> Gateway<N> {
    /// A connection to an endpoint: an idle one, unless it has to be fresh, or a new one.
    pub(crate) fn connect(
        &mut self,
        upstream: UpstreamId,
        endpoint: EndpointId,
        fresh: bool,
        cx: &mut Cx<N>,
    ) -> Result<(Token, bool), NoPlace> {
        loop {
            let Group { pool, limits, endpoints, .. } = &mut self.groups[upstream];
            match pool.checkout(endpoint, fresh, limits) {
                Checkout::Idle(connection) => {
                    if self.is_usable(connection, cx) {
                        self.desk.tally.pool_hits.add(1);
                        return Ok((connection, true));
                    }
                    self.desk.tally.pool_dead.add(1);
                    self.close_upstream(connection, cx);
                }
                Checkout::Evict(connection) => self.close_upstream(connection, cx),
                Checkout::Open => {
                    let Some(address) = endpoints.get(endpoint).and_then(|known| known.address)
                    else {
                        return Err(NoPlace::Lack(Lack::Connection));
                    };
                    let opened = self.open_upstream(upstream, endpoint, address, cx);
                    let connection =
                        opened.map_err(|error| NoPlace::Fault(connect_fault(&error)))?;
                    self.desk.tally.pool_misses.add(1);
                    return Ok((connection, false));
                }
                Checkout::Wait => return Err(NoPlace::Lack(Lack::Connection)),
            }
        }
    }

    /// Whether a connection from the pool is as silent as it should be.
    fn is_usable(&mut self, connection: Token, cx: &mut Cx<N>) -> bool {
        let Some(upstream) = self.upstreams.get_mut(connection) else { return false };
        let socket = &mut upstream.socket;
        let clean = socket.inbound.is_none() && socket.outbox.is_empty();
        assert!(clean && upstream.owner.is_none(), "an idle connection holds somebody's bytes");
        let ready = socket.ready;
        // What is not known to be silence is none: the rest of a record may be anything.
        let spoken = socket.has_spoken(&mut self.desk) || socket.is_inside_record();
        let told = spoken || ready.read_closed() || ready.errored();
        let rested = cx.now - upstream.released;
        fit::leaves(told, rested, || socket.is_silent(&mut self.desk)).is_ok()
    }

    fn open_upstream(
        &mut self,
        upstream: UpstreamId,
        endpoint: EndpointId,
        address: SocketAddr,
        cx: &mut Cx<N>,
    ) -> io::Result<Token> {
        self.desk.tally.connects.add(1);
        let mut socket = Socket::new(cx.net.connect(address)?);
        let known = self.groups[upstream].endpoints.get(endpoint);
        let dialer = known.and_then(|known| known.tls.as_deref());
        if let Some(session) = self.sealing.connect(dialer.map(|dialer| dialer as &dyn Dialer)) {
            socket.begin_session(session, &mut self.desk);
        }
        let connection = self.upstreams.insert(UpstreamConnection {
            socket,
            alarm: Alarm::default(),
            upstream,
            endpoint,
            opened: cx.now,
            released: cx.now,
            requests: 0,
            connected: false,
            announced: None,
            owner: None,
            uncounted: false,
            closed: false,
        });
        self.groups[upstream].pool.opened();
        self.desk.tally.registers.add(1);
        if let Some(record) = self.upstreams.get_mut(connection)
            && let Err(error) = cx.net.register(&mut record.socket.stream, connection)
        {
            self.close_upstream(connection, cx);
            return Err(error);
        }
        Ok(connection)
    }

    /// Whether a connection has to finish a handshake before a request can leave. If so, that goes on in
    /// the heavy lane, and its owner is driven again when it is over.
    #[inline]
    pub(crate) fn awaits_handshake(&mut self, connection: Token, cx: &mut Cx<N>) -> bool {
        self.sealing.is_on() && self.queue_handshake(connection, cx)
    }

    #[cold]
    #[inline(never)]
    fn queue_handshake(&mut self, connection: Token, cx: &mut Cx<N>) -> bool {
        let Some(upstream) = self.upstreams.get_mut(connection) else { return false };
        let awaits = upstream.socket.is_shaking_hands();
        if awaits && upstream.socket.enter_heavy_lane() {
            cx.run.push_heavy(connection);
        }
        awaits
    }

    /// Gives a connection back to the pool after its exchange, if it may carry another request; else
    /// closes it.
    pub(crate) fn release(&mut self, connection: Token, exchange: &Exchange, cx: &mut Cx<N>) {
        let Some(upstream) = self.upstreams.get_mut(connection) else { return };
        let UpstreamConnection { upstream: home, endpoint, .. } = *upstream;
        // The request was kept for a replay until now.
        upstream.socket.outbox.forget(&mut self.desk.buffers);
        let socket = &mut upstream.socket;
        let limits = &self.groups[home].limits;
        let used = Used {
            until_close: exchange
                .attempt
                .response
                .as_ref()
                .is_none_or(|response| response.body.framing() == Framing::UntilClose),
            keep_alive: exchange.attempt.keep_alive,
            request_done: !exchange.request.is_open(),
            upgrade_offered: exchange.upgrade_asked,
            clean: socket.inbound.is_none() && socket.outbox.is_empty(),
            ended: socket.ready.read_closed() || socket.ready.errored(),
            requests: upstream.requests,
            age: cx.now - upstream.opened,
            draining: self.life.is_draining(),
        };
        // A last read that filled its buffer leaves the question open whether there is more.
        let quiet = || !socket.readable() || socket.is_silent(&mut self.desk);
        if fit::enters(&used, limits, quiet).is_err() {
            return self.close_upstream(connection, cx);
        }
        upstream.owner = None;
        upstream.released = cx.now;
        let until = idle_until(cx.now, upstream.opened, upstream.announced, limits);
        upstream.alarm.set(until, connection, &mut cx.wheel);
        if let Some(coldest) = self.groups[home].release(endpoint, connection) {
            self.close_upstream(coldest, cx);
        }
        self.connection_is_free(home, cx);
    }

    /// Frees the place of a connection in its pool, because the answer on it is the last one there. The
    /// connection stays open.
    pub(crate) fn uncount(&mut self, connection: Token, cx: &mut Cx<N>) {
        let Some(upstream) = self.upstreams.get_mut(connection) else { return };
        let home = upstream.upstream;
        if !std::mem::replace(&mut upstream.uncounted, true) {
            self.groups[home].pool.uncount();
            self.connection_is_free(home, cx);
        }
    }

    /// Closes a connection at the end of this turn, wherever it was.
    pub(crate) fn close_upstream(&mut self, connection: Token, cx: &mut Cx<N>) {
        let Some(upstream) = self.upstreams.get_mut(connection) else { return };
        if std::mem::replace(&mut upstream.closed, true) {
            return;
        }
        upstream.socket.bid_farewell(&mut self.desk);
        upstream.socket.give_buffers_home(&mut self.desk);
        let home = upstream.upstream;
        if !upstream.uncounted {
            self.groups[home].pool.closed(upstream.endpoint, connection);
        }
        cx.run.reap(connection);
        self.connection_is_free(home, cx);
    }
}

/// The fault of a connection that could not even be started.
fn connect_fault(error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::OutOfMemory => Fault::Local(LocalFault::Descriptors),
        kind => Fault::Upstream(UpstreamFault::Connect(kind)),
    }
}
