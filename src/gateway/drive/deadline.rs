//! The deadline of a connection: computed from what it waits for, at the end of every drive.

use std::time::Duration;

use crate::clock::Instant;
use crate::gateway::Gateway;
use crate::gateway::client::connection::HANDSHAKE;
use crate::gateway::record::downstream::{Downstream, State};
use crate::gateway::record::exchange::Exchange;
use crate::gateway::record::peer::{Peer, ResponderState};
use crate::gateway::record::proof::Proof;
use crate::proxy::exchange::{Timer, Waiting, deadline};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;

/// How long a lingering connection is read in all, and how long while it is silent.
const LINGER: Duration = Duration::from_secs(10);
const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// How long a connection that was accepted at the last moment of a drain may take to send its request,
/// which is on the way, and is served.
const GREETING: Duration = Duration::from_secs(1);

impl<N: Net> Gateway<N> {
    /// What the exchange of a connection waits for, if it has one.
    pub(super) fn waiting(&self, token: Token) -> Option<Waiting> {
        let exchange = self.downstreams.get(token)?.exchange.as_deref()?;
        let upstream = match exchange.peer {
            Peer::Upstream(upstream) => self.upstreams.get(upstream),
            _ => None,
        };
        Some(exchange.waiting(upstream, self.has_unsent_request(token)))
    }

    /// Gives the connection the deadline of its state.
    pub(crate) fn arm(&mut self, token: Token, cx: &mut Cx<N>) {
        let waiting = self.waiting(token);
        self.arm_for(token, waiting.as_ref(), cx);
    }

    pub(super) fn arm_for(&mut self, token: Token, waiting: Option<&Waiting>, cx: &mut Cx<N>) {
        let at = match self.downstreams.get(token) {
            Some(downstream) if downstream.state != State::Closed => {
                self.deadline_of(token, waiting, cx)
            }
            _ => return,
        };
        if let Some(downstream) = self.downstreams.get_mut(token) {
            downstream.alarm.set(at, token, &mut cx.wheel);
        }
    }

    pub(super) fn deadline_of(
        &self,
        token: Token,
        waiting: Option<&Waiting>,
        cx: &Cx<N>,
    ) -> Instant {
        let Some(downstream) = self.downstreams.get(token) else { return Instant::NEVER };
        let timeouts = &self.generations.latest().timeouts;
        match downstream.state {
            State::Idle { since } => since.after(timeouts.client_idle),
            State::Handshake { since } => {
                let limit = since + HANDSHAKE;
                if self.life.dismisses_idle() { limit.min(cx.now + GREETING) } else { limit }
            }
            State::Head { since, .. } if downstream.proof == Proof::Asked => {
                let authoriser = self.generations.latest().gate.gate.authoriser.as_ref();
                authoriser.map_or(since, |it| since + it.settings.timeout)
            }
            State::Head { since, .. } => {
                let silent = downstream.socket.unscanned().is_empty();
                let limit = since.after(timeouts.head);
                if silent && self.life.dismisses_idle() {
                    limit.min(cx.now + GREETING)
                } else {
                    limit
                }
            }
            State::Replying { since, .. } => since.after(timeouts.exchange.client_write),
            State::Lingering { since, heard } => (since + LINGER).min(heard + LINGER_SILENCE),
            State::Closed => Instant::NEVER,
            State::Exchange => {
                let Some(exchange) = downstream.exchange.as_deref() else { return Instant::NEVER };
                let timer = waiting.map(|waiting| exchange.timer(waiting));
                let timer = timer.map_or(Instant::NEVER, |(at, _)| at);
                timer.min(exchange.wakes()).min(self.heartbeat_of(exchange))
            }
        }
    }

    /// The thread did not run for `lost`: the instants that timers count from move by that.
    #[cold]
    pub(crate) fn excuse(&mut self, lost: Duration, cx: &mut Cx<N>) {
        for token in self.downstreams.tokens() {
            if let Some(downstream) = self.downstreams.get_mut(token) {
                downstream.excuse(lost);
            }
            self.arm(token, cx);
        }
        self.life.excuse(lost);
    }

    /// The timer that runs for an exchange that waits like this.
    pub(super) fn timer_of(&self, token: Token, waiting: &Waiting) -> Option<(Instant, Timer)> {
        Some(self.downstreams.get(token)?.exchange.as_ref()?.timer(waiting))
    }
}

impl Exchange {
    /// When a pause between attempts, or the sleep of a responder, ends.
    fn wakes(&self) -> Instant {
        match &self.peer {
            Peer::Pausing { until, .. } => *until,
            Peer::AwaitingModel { again } => *again,
            Peer::Responder { progress: ResponderState::Sleeping(until), .. } => *until,
            _ => Instant::NEVER,
        }
    }

    /// The timer that runs while it waits like this.
    fn timer(&self, waiting: &Waiting) -> (Instant, Timer) {
        deadline(waiting, &self.timeline, self.timeouts())
    }
}

impl<S> Downstream<S> {
    /// Moves the instants that its timers count from.
    fn excuse(&mut self, lost: Duration) {
        match &mut self.state {
            State::Idle { since }
            | State::Head { since, .. }
            | State::Handshake { since }
            | State::Replying { since, .. } => *since += lost,
            State::Lingering { since, heard } => {
                *since += lost;
                *heard += lost;
            }
            State::Exchange | State::Closed => {}
        }
        if let Some(exchange) = &mut self.exchange {
            exchange.timeline.excuse(lost);
        }
    }
}
