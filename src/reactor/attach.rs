//! Attach: finds an exchange its connection to an upstream, and gives connections back.
//!
//! * A pooled connection that has said anything is dead: bytes, an end, an error. Whoever takes one
//!   goes by what the poller has told, and looks once more if it has rested for long.
//! * A replay never uses a pooled connection: siblings of a dead one are likely dead too.
//! * Only a clean, complete, silent connection goes back. Asserted on both ends.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use super::attempt::Failed;
use super::buffer::BufferPool;
use super::drive::Step;
use super::exchange::{self, Exchange, Peer, Turn};
use super::journal::Hops;
use super::net::Net;
use super::socket::Socket;
use super::timer::Alarm;
use super::token::Token;
use super::worker::Worker;
use crate::clock::Instant;
use crate::config::snapshot::{EndpointId, HostField, UpstreamId};
use crate::http::body::Framing;
use crate::http::rewrite;
use crate::proxy::admission::{Admit, Lack};
use crate::proxy::breaker::Outcome;
use crate::proxy::endpoints::{self, Choice, Pick, Tried};
use crate::proxy::fault::{Fault, LocalFault, UpstreamFault};
use crate::proxy::group::Group;
use crate::proxy::pool::{Checkout, Reuse, idle_until};

/// An idle connection that has rested so long is looked at once more when it is taken. What the
/// poller has told is as old as this turn, and what comes in between is seen only by looking; but
/// servers close connections that have been idle for seconds, so where requests follow each other
/// closely the look is a system call for nothing.
const RESTED: Duration = Duration::from_millis(500);

/// Why there is no place at an upstream.
enum NoPlace {
    /// It can be waited for.
    Lack(Lack),
    Fault(Fault),
}

impl<N: Net> Worker<N> {
    /// Gets the exchange of `token` a connection, or a place in the queue for one.
    pub(super) fn seek_upstream(&mut self, token: Token) -> Step {
        let now = self.now;
        let Some(exchange) = self.exchange_mut(token) else { return Step::Wait };
        let Peer::Seeking { fresh, turn } = exchange.peer else { return Step::Again };
        let (priority, sought) = (exchange.priority, exchange.timeline.step_began);
        let Some(upstream) = exchange.upstream().map(|upstream| upstream.id) else {
            return Step::Wait;
        };
        match turn {
            Turn::Queued => return Step::Wait,
            // Whoever comes now stands behind those who wait already.
            Turn::New if !fresh => match self.admit(token, upstream, priority) {
                Admit::Now => {}
                waits => return self.stand_in_line(token, upstream, waits),
            },
            Turn::New | Turn::Called => {}
        }
        let lack = match self.take_place(token, upstream, fresh) {
            Ok(()) => {
                if turn == Turn::Called {
                    self.seated(token, upstream, sought);
                }
                return Step::Again;
            }
            Err(NoPlace::Lack(lack)) => lack,
            Err(NoPlace::Fault(fault)) => return self.failed(token, Failed::Fault(fault)),
        };
        self.desk.tally.pool_waits.add(1);
        if turn == Turn::Called {
            self.called_in_vain(token, upstream, lack);
            return Step::Wait;
        }
        let Group { queue, admission, .. } = &mut self.groups[upstream];
        let waits = queue.admit(token, priority, Some(lack), now, admission);
        self.stand_in_line(token, upstream, waits)
    }

    /// Takes a place at the upstream: an endpoint that may be asked, with room for one more, and a
    /// connection to it.
    fn take_place(
        &mut self,
        token: Token,
        upstream: UpstreamId,
        fresh: bool,
    ) -> Result<(), NoPlace> {
        let now = self.now;
        let Some(exchange) = self.downstreams.get(token).and_then(|down| down.exchange.as_deref())
        else {
            return Ok(());
        };
        let tried = exchange.attempt.tried.clone();
        let request = self.in_search(exchange, &tried);
        let pick = match self.groups[upstream].endpoints.pick(&request, now) {
            Choice::Endpoint(pick) => pick,
            Choice::Full => return Err(NoPlace::Lack(Lack::Permit)),
            Choice::None { until } => {
                // Who waits for ever is told to come again in a minute all the same.
                let retry_after = (until - now).min(Duration::from_secs(60));
                return Err(NoPlace::Fault(Fault::Local(LocalFault::NoUpstream { retry_after })));
            }
        };
        let connected = self.connect(upstream, pick.endpoint(), fresh);
        match connected {
            Ok((connection, reused)) => {
                self.attach(token, connection, reused, pick);
                Ok(())
            }
            Err(no_place) => {
                let outcome = match &no_place {
                    NoPlace::Fault(Fault::Upstream(_)) => Outcome::Unreachable,
                    NoPlace::Fault(_) | NoPlace::Lack(_) => Outcome::Abandoned,
                };
                let endpoint = pick.endpoint();
                if let Some(exchange) = self.exchange_mut(token)
                    && outcome == Outcome::Unreachable
                {
                    exchange.attempt.tried.add(endpoint);
                    // It was not even begun, and yet this is whom the failure is about.
                    exchange.hops = Hops { endpoint: Some(endpoint), ..Hops::NONE };
                }
                let endpoints = &mut self.groups[upstream].endpoints;
                let transition = endpoints.record(pick, outcome, now);
                self.note_transition(upstream, endpoint, transition);
                self.permit_was_borrowed(upstream);
                Err(no_place)
            }
        }
    }

    /// What the search for an endpoint has to know of the exchange.
    pub(super) fn in_search<'t>(
        &self,
        exchange: &Exchange,
        tried: &'t Tried,
    ) -> endpoints::Request<'t> {
        let chain = exchange.chain();
        let links = chain.map_or(&[][..], |chain| &chain.links[..]);
        let others = (exchange.link + 1..links.len()).any(|link| {
            let upstream = &exchange.snapshot.upstreams[links[link].upstream];
            exchange.can_be_asked(link) && self.groups[upstream.id].endpoints.has_anybody(self.now)
        });
        let predefined = chain.is_some_and(|chain| chain.fallback.is_some());
        endpoints::Request {
            tried,
            key: exchange.key(),
            last_resort: !others && !predefined,
            degrades: !others && predefined,
            unheard: exchange.attempt.at_upstream == 1,
        }
    }

    /// A connection to an endpoint: an idle one, unless it has to be fresh, or a new one.
    fn connect(
        &mut self,
        upstream: UpstreamId,
        endpoint: EndpointId,
        fresh: bool,
    ) -> Result<(Token, bool), NoPlace> {
        loop {
            let Group { pool, limits, endpoints, .. } = &mut self.groups[upstream];
            match pool.checkout(endpoint, fresh, limits) {
                Checkout::Idle(connection) => {
                    if self.is_usable(connection) {
                        self.desk.tally.pool_hits.add(1);
                        return Ok((connection, true));
                    }
                    self.desk.tally.pool_dead.add(1);
                    self.close_upstream(connection);
                }
                Checkout::Evict(connection) => self.close_upstream(connection),
                Checkout::Open => {
                    let Some(address) = endpoints.get(endpoint).and_then(|known| known.address)
                    else {
                        return Err(NoPlace::Lack(Lack::Connection));
                    };
                    let opened = self.open_upstream(upstream, endpoint, address);
                    let connection =
                        opened.map_err(|error| NoPlace::Fault(connect_fault(&error)))?;
                    self.desk.tally.pool_misses.add(1);
                    return Ok((connection, false));
                }
                Checkout::Wait => return Err(NoPlace::Lack(Lack::Connection)),
            }
        }
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
        let rested = self.now - upstream.released;
        quiet && (rested < RESTED || socket.is_silent(&mut self.desk))
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
            released: self.now,
            requests: 0,
            connected: false,
            announced: None,
            owner: None,
            let_go: false,
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

    fn attach(&mut self, token: Token, connection: Token, reused: bool, pick: Pick) {
        let now = self.now;
        let Some(upstream) = self.upstreams.get(connection).map(|record| record.upstream) else {
            return;
        };
        let endpoints = &self.groups[upstream].endpoints;
        let authority = endpoints.get(pick.endpoint()).map(|known| known.authority.as_bytes());
        let Some(downstream) = self.downstreams.get_mut(token) else { return };
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return };
        let Some(upstream) = self.upstreams.get_mut(connection) else { return };
        assert!(upstream.owner.is_none(), "a connection serves one exchange at a time");
        exchange.remodel(&mut self.desk.buffers);
        exchange.rehost(pick.endpoint(), authority.unwrap_or_default(), &mut self.desk.buffers);
        if exchange.trace.is_some() {
            let (ids, buffers) = (&mut self.trace_ids, &mut self.desk.buffers);
            exchange.begin_send(pick.endpoint(), reused, now, ids, buffers);
        }
        exchange.attempt.pick = Some(pick);
        upstream.owner = Some(token);
        upstream.requests += 1;
        upstream.socket.outbox = std::mem::take(&mut exchange.outbox);
        upstream.alarm.set(Instant::NEVER, connection, &mut self.wheel);
        exchange.peer = Peer::Upstream(connection);
        exchange.attempt.reused = reused;
        exchange.attempt.sent = false;
        exchange.timeline.connect(now);
        // What an earlier connection got as far as says nothing of this one.
        exchange.hops = Hops { endpoint: Some(upstream.endpoint), attached: now, ..Hops::NONE };
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
            upgrade_offered: exchange.upgrade_asked,
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
        upstream.released = self.now;
        let until = idle_until(self.now, upstream.opened, upstream.announced, limits);
        upstream.alarm.set(until, connection, &mut self.wheel);
        if let Some(coldest) = self.groups[home].release(endpoint, connection) {
            self.close_upstream(coldest);
        }
        self.wake_waiting(home, Lack::Connection);
    }

    /// The answer on a connection says that it is the last one there: its place in the pool is
    /// another's.
    pub(super) fn let_go_of(&mut self, connection: Token) {
        let Some(upstream) = self.upstreams.get_mut(connection) else { return };
        let home = upstream.upstream;
        if !std::mem::replace(&mut upstream.let_go, true) {
            self.groups[home].pool.let_go();
            self.wake_waiting(home, Lack::Connection);
        }
    }

    /// Closes a connection at the end of this turn, wherever it was.
    pub(super) fn close_upstream(&mut self, connection: Token) {
        let Some(upstream) = self.upstreams.get_mut(connection) else { return };
        if std::mem::replace(&mut upstream.closed, true) {
            return;
        }
        upstream.socket.abandon(&mut self.desk);
        let home = upstream.upstream;
        if !upstream.let_go {
            self.groups[home].pool.closed(upstream.endpoint, connection);
        }
        self.reaped.push(connection);
        self.wake_waiting(home, Lack::Connection);
    }
}

impl Exchange {
    /// Gives the request the `Host` of the endpoint it goes to, if it has another's.
    fn rehost(&mut self, endpoint: EndpointId, authority: &[u8], buffers: &mut BufferPool) {
        let Some(upstream) = self.upstream() else { return };
        let first = upstream.endpoints.first().is_some_and(|first| first.id == endpoint);
        let here = (self.link as u32, if first { None } else { Some(endpoint) });
        let before = self.attempt.hosted;
        if before == here {
            return;
        }
        let elsewhere = before.0 != here.0;
        let authority_asked = self.aside.as_ref().and_then(|aside| aside.authority.as_deref());
        let host = match (&upstream.host, authority_asked) {
            // One upstream, and the client named its host.
            (HostField::Preserve, None) => None,
            (HostField::Preserve, Some(own)) if !own.is_empty() => elsewhere.then_some(own),
            (HostField::Preserve | HostField::Endpoint, _) => Some(authority),
            (HostField::Fixed(host), _) => elsewhere.then_some(host.as_bytes()),
        };
        if let Some(host) = host.map(<[u8]>::to_vec) {
            self.outbox.edit(buffers, |request| rewrite::set_host(request, &host));
        }
        self.attempt.hosted = here;
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
