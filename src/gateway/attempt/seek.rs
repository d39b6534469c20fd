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
use crate::config::snapshot::UpstreamId;
use crate::gateway::Gateway;
use crate::gateway::record::peer::{Line, Peer};
use crate::gateway::record::verdict::{Failed, Step};
use crate::gateway::server::connections::NoPlace;
use crate::proxy::admission::{Admit, Lack};
use crate::proxy::breaker::Outcome;
use crate::proxy::endpoints::{Choice, Pick};
use crate::proxy::fault::{Fault, LocalFault};
use crate::proxy::group::Group;
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;

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
            Err(NoPlace::Loading { again }) => {
                if line == Line::Called {
                    self.leave_queue(token, upstream, cx);
                }
                return self.find_model(token, again, cx);
            }
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

    /// Has a request whose upstream loads its model wait for it, or go where it is answered sooner.
    fn find_model(&mut self, token: Token, again: Instant, cx: &mut Cx<N>) -> Step {
        let exchange = self.downstreams.get(token).and_then(|down| down.exchange.as_deref());
        if exchange.is_some_and(|exchange| self.answers_further_on(exchange, cx)) {
            if let Some(exchange) = self.exchange_mut(token) {
                exchange.peer = Peer::Seeking { fresh: false, line: Line::New };
            }
            let retry_after = again - cx.now;
            let loading = Fault::Local(LocalFault::ModelLoading { retry_after });
            return Step::Failed(Failed::Fault(loading));
        }
        self.await_model(token, again, cx)
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
            Choice::WakeFailed { retry_after } => {
                return Err(NoPlace::Fault(Fault::Local(LocalFault::WakeFailed { retry_after })));
            }
            Choice::Loading { again } => return Err(NoPlace::Loading { again }),
            Choice::None { until } => {
                // The client is never told to wait for longer than a minute.
                let retry_after = (until - now).min(Duration::from_secs(60));
                return Err(NoPlace::Fault(Fault::Local(LocalFault::NoUpstream { retry_after })));
            }
        };
        let connected = self.connect(upstream, pick.endpoint(), fresh, cx);
        match connected {
            Ok((connection, reused)) => {
                self.attach(token, Footing { connection, reused, pick }, cx);
                Ok(())
            }
            Err(no_place) => {
                let outcome = match &no_place {
                    NoPlace::Fault(Fault::Upstream(_)) => Outcome::Unreachable,
                    NoPlace::Fault(_) | NoPlace::Lack(_) | NoPlace::Loading { .. } => {
                        Outcome::Abandoned
                    }
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

    /// Gives the request to a connection, with an opening of its own.
    fn attach(&mut self, token: Token, place: Footing, cx: &mut Cx<N>) {
        let now = cx.now;
        let Footing { connection, reused, pick } = place;
        let (Some(downstream), Some(upstream)) =
            (self.downstreams.get_mut(token), self.upstreams.get_mut(connection))
        else {
            return;
        };
        let Some(exchange) = downstream.exchange.as_deref_mut() else { return };
        assert!(upstream.owner.is_none(), "a connection serves one exchange at a time");
        let known = self.groups[upstream.upstream].endpoints.get(pick.endpoint());
        let place = known.map_or(("", ""), |endpoint| (endpoint.host(), endpoint.base()));
        let trace = match exchange.trace {
            Some(_) => exchange.begin_send(pick.endpoint(), reused, now, self.chance.trace_ids()),
            None => None,
        };
        exchange.put_body_for_here(&mut self.desk.buffers);
        exchange.remodel(&mut self.desk.buffers);
        let (opening, _) = self.scratch.begin();
        match exchange.write_opening(place, trace.as_ref(), opening) {
            true => exchange.outbox.put_opening(opening, &mut self.desk.buffers),
            false => exchange.outbox.put_draft(),
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

/// What an attempt needs to begin.
struct Footing {
    connection: Token,
    /// The connection has carried a request before.
    reused: bool,
    pick: Pick,
}
