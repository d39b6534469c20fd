//! Seek: finds an exchange an endpoint, and a connection to it, or a place in the queue.
//!
//! ```text
//!   admit ─▶ pick an endpoint ─▶ connect: an idle connection, or a new one ─▶ attach
//!     └───────────┴──────────────────┴─▶ wait in the queue, or fail
//! ```
//!
//! * A newcomer stands behind everybody who waits already.
//! * A pick that gets no connection is given back at once.

use std::time::Duration;

use crate::clock::Instant;
use crate::config::snapshot::{EndpointId, HostField, UpstreamId};
use crate::gateway::Gateway;
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::peer::{Line, Peer};
use crate::gateway::record::verdict::{Failed, Step};
use crate::gateway::server::pool::NoPlace;
use crate::http::rewrite;
use crate::proxy::admission::{Admit, Lack};
use crate::proxy::breaker::Outcome;
use crate::proxy::endpoints::{Choice, Pick};
use crate::proxy::fault::{Fault, LocalFault};
use crate::proxy::group::Group;
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;
use crate::wire::pool::BufferPool;

impl<N: Net> Gateway<N> {
    /// Gets the exchange of `token` a connection, or a place in the queue.
    pub(crate) fn seek_upstream(&mut self, token: Token, cx: &mut Cx<N>) -> Step {
        let now = cx.now;
        let Some(exchange) = self.exchange_mut(token) else { return Step::Wait };
        let Peer::Seeking { fresh, line } = exchange.peer else { return Step::Again };
        let (priority, sought) = (exchange.priority, exchange.timeline.step_began);
        let Some(upstream) = exchange.upstream().map(|upstream| upstream.id) else {
            return Step::Wait;
        };
        match line {
            Line::Queued => return Step::Wait,
            // A newcomer stands behind everybody who waits already.
            Line::New if !fresh => match self.admit(token, upstream, priority, cx) {
                Admit::Now => {}
                waits => return self.stand_in_line(token, upstream, waits, cx),
            },
            Line::New | Line::Called => {}
        }
        let lack = match self.take_place(token, upstream, fresh, cx) {
            Ok(()) => {
                if line == Line::Called {
                    self.seated(token, upstream, sought, cx);
                }
                return Step::Again;
            }
            Err(NoPlace::Lack(lack)) => lack,
            Err(NoPlace::Fault(fault)) => return Step::Failed(Failed::Fault(fault)),
        };
        self.desk.tally.pool_waits.add(1);
        if line == Line::Called {
            self.called_in_vain(token, upstream, lack, cx);
            return Step::Wait;
        }
        let Group { queue, admission, .. } = &mut self.groups[upstream];
        let waits = queue.admit(token, priority, Some(lack), now, admission);
        self.stand_in_line(token, upstream, waits, cx)
    }

    /// Takes a place at the upstream: an endpoint that may be asked, with room for one more, and a
    /// connection to it.
    fn take_place(
        &mut self,
        token: Token,
        upstream: UpstreamId,
        fresh: bool,
        cx: &mut Cx<N>,
    ) -> Result<(), NoPlace> {
        let now = cx.now;
        let Some(exchange) = self.downstreams.get(token).and_then(|down| down.exchange.as_deref())
        else {
            return Ok(());
        };
        let tried = exchange.tries.tried.clone();
        let request = self.in_search(exchange, &tried, cx);
        let pick = match self.groups[upstream].endpoints.pick(&request, now) {
            Choice::Endpoint(pick) => pick,
            Choice::Full => return Err(NoPlace::Lack(Lack::Permit)),
            Choice::None { until } => {
                // The client is never told to wait for longer than a minute.
                let retry_after = (until - now).min(Duration::from_secs(60));
                return Err(NoPlace::Fault(Fault::Local(LocalFault::NoUpstream { retry_after })));
            }
        };
        let connected = self.connect(upstream, pick.endpoint(), fresh, cx);
        match connected {
            Ok((connection, reused)) => {
                self.attach(token, connection, reused, pick, cx);
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
                    exchange.tries.tried.add(endpoint);
                    // The attempt had not begun, and yet the log names this endpoint.
                    exchange.tries.endpoint = Some(endpoint);
                }
                let endpoints = &mut self.groups[upstream].endpoints;
                let transition = endpoints.record(pick, outcome, now);
                self.note_transition(upstream, endpoint, transition);
                self.permit_was_borrowed(upstream);
                Err(no_place)
            }
        }
    }

    fn attach(
        &mut self,
        token: Token,
        connection: Token,
        reused: bool,
        pick: Pick,
        cx: &mut Cx<N>,
    ) {
        let now = cx.now;
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
        upstream.alarm.set(Instant::NEVER, connection, &mut cx.wheel);
        exchange.peer = Peer::Upstream(connection);
        exchange.attempt.reused = reused;
        exchange.timeline.connect(now);
        exchange.tries.endpoint = Some(upstream.endpoint);
        exchange.attempt.hops.attached = now;
    }
}

impl Exchange {
    /// Gives the request the `Host` of the endpoint it goes to, if it has another's.
    fn rehost(&mut self, endpoint: EndpointId, authority: &[u8], buffers: &mut BufferPool) {
        let Some(upstream) = self.upstream() else { return };
        let first = upstream.endpoints.first().is_some_and(|first| first.id == endpoint);
        let here = (self.link as u32, if first { None } else { Some(endpoint) });
        let before = self.tries.hosted;
        if before == here {
            return;
        }
        let elsewhere = before.0 != here.0;
        let authority_asked = self.aside.as_ref().and_then(|aside| aside.authority.as_deref());
        let host = match (&upstream.host, authority_asked) {
            // The route has one upstream, and the client has named a host.
            (HostField::Preserve, None) => None,
            (HostField::Preserve, Some(own)) if !own.is_empty() => elsewhere.then_some(own),
            (HostField::Preserve | HostField::Endpoint, _) => Some(authority),
            (HostField::Fixed(host), _) => elsewhere.then_some(host.as_bytes()),
        };
        if let Some(host) = host.map(<[u8]>::to_vec) {
            self.outbox.edit(buffers, |request| rewrite::set_host(request, &host));
        }
        self.tries.hosted = here;
    }
}
