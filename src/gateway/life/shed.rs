//! Shed: when there is no more room, connections that only hold room give it up.
//!
//! A head that comes byte by byte, or a record of a session, holds a buffer, or several, for as long as `timeouts.head` lets
//! it; a connection on which nothing was ever said holds a place. Where other connections cannot be
//! read or accepted for that, the oldest of these go first: an honest head takes less than a quarter
//! of a second to come.
//!
//! Where `limits.idle_keeps_place` is off, as it is at the admin address, every connection that is not
//! being answered gives way: idle between two requests, in the middle of a head, or lingering. A
//! liveness probe must be able to connect.
//!
//! Absent on purpose: answers. Nothing that is being answered is ever shed; its timers decide.

use std::time::Duration;

use crate::clock::Instant;
use crate::gateway::Gateway;
use crate::gateway::record::downstream::State;
use crate::proxy::fault::{Fault, LocalFault};
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;

/// How long a head may take when others wait for its buffer.
const HEAD_AGE: Duration = Duration::from_millis(250);
/// How long a connection may say nothing when others wait for its place.
const SILENT_AGE: Duration = Duration::from_secs(1);
/// Between two looks at all connections.
const PERIOD: Duration = Duration::from_millis(50);

impl<N: Net> Gateway<N> {
    /// When to look for room next; [`Instant::NEVER`] if no connection waits for some.
    pub(crate) fn shed_due(&self, cx: &Cx<N>) -> Instant {
        let kept_out = cx.listen.keeps_out() || cx.listen.keeps_out_some();
        let wanted = !self.thirst.is_quenched() || kept_out;
        if wanted { self.life.shed_at() } else { Instant::NEVER }
    }

    /// Makes room if a connection waits for some.
    pub(crate) fn shed(&mut self, cx: &mut Cx<N>) {
        if self.shed_due(cx) <= cx.now {
            self.make_room(cx);
        }
    }

    #[cold]
    fn make_room(&mut self, cx: &mut Cx<N>) {
        self.life.shed_again_at(cx.now + PERIOD);
        if cx.listen.keeps_out() {
            self.shed_silent(cx);
            if !self.generations.latest().limits.idle_keeps_place {
                self.shed_idle(cx);
            }
        }
        if cx.listen.keeps_out_some() {
            self.shed_handshakes(cx);
        }
        let left = self.desk.buffers.left();
        if self.least_thirst().is_some_and(|least| left < least) {
            self.shed_heads(cx);
        }
    }

    /// Refuses incomplete heads, the oldest first, until two new ones have room.
    fn shed_heads(&mut self, cx: &mut Cx<N>) {
        let wanted = 2 * self.desk.buffers.begin_reserve();
        for token in self.inside_records(cx) {
            if self.desk.buffers.left() >= wanted {
                return;
            }
            // Nothing can be said in the middle of a record, and nobody has asked for anything.
            self.desk.tally.heads_shed.add(1);
            self.close_downstream(token, cx);
        }
        for token in self.waiting_since(HEAD_AGE, |bytes| bytes > 0, cx) {
            if self.desk.buffers.left() >= wanted {
                break;
            }
            self.desk.tally.heads_shed.add(1);
            if let Some(downstream) = self.downstreams.get_mut(token) {
                // The error reply needs one of the buffers that the head holds.
                downstream.socket.drop_inbound(&mut self.desk);
            }
            self.refuse(token, &Fault::Local(LocalFault::Buffers), cx);
            self.enqueue(token, &mut cx.run);
        }
    }

    /// Closes connections on which nothing was ever said, the oldest first, until accepting goes on.
    fn shed_silent(&mut self, cx: &mut Cx<N>) {
        let limit = self.generations.latest().limits.connections;
        let mut open = self.downstreams.len() - cx.run.reaped().min(self.downstreams.len());
        for token in self.waiting_since(SILENT_AGE, |bytes| bytes == 0, cx) {
            if open < limit - limit / 10 {
                break;
            }
            open -= 1;
            self.desk.tally.silent_shed.add(1);
            self.close_downstream(token, cx);
        }
    }

    /// Closes connections that began a handshake and do not go on with it, the oldest first, until others
    /// may begin one.
    fn shed_handshakes(&mut self, cx: &mut Cx<N>) {
        let limit = self.generations.latest().limits.handshakes;
        let shaking = |state| matches!(state, State::Handshake { .. });
        for token in self.waiting_since(SILENT_AGE, |bytes| bytes == 0, cx) {
            if self.handshakes.under_way() < limit.div_ceil(2) {
                break;
            }
            if self.downstreams.get(token).is_some_and(|downstream| shaking(downstream.state)) {
                self.desk.tally.silent_shed.add(1);
                self.close_downstream(token, cx);
            }
        }
        cx.listen.reopen_listeners();
    }

    /// Closes connections on which nothing is being answered, the longest silent first, until
    /// accepting goes on.
    fn shed_idle(&mut self, cx: &mut Cx<N>) {
        let limit = self.generations.latest().limits.connections;
        let idle = self.downstreams.iter().filter_map(|(token, downstream)| {
            let since = match downstream.state {
                State::Idle { since } | State::Head { since, .. } | State::Handshake { since } => {
                    since
                }
                State::Lingering { heard, .. } => heard,
                State::Exchange | State::Replying { .. } | State::Closed => return None,
            };
            // Bytes that the kernel still holds may be a whole request.
            let unread = downstream.socket.readable();
            (since + HEAD_AGE <= cx.now && !unread).then_some((since, token))
        });
        let mut idle: Vec<(Instant, Token)> = idle.collect();
        idle.sort_unstable_by_key(|(since, _)| *since);
        let mut open = self.downstreams.len() - cx.run.reaped().min(self.downstreams.len());
        for (_, token) in idle {
            if open < limit - limit / 10 {
                break;
            }
            open -= 1;
            self.desk.tally.silent_shed.add(1);
            self.close_downstream(token, cx);
        }
    }

    /// The clients that hold a buffer for a part of a record, with nothing of a request in front of it:
    /// in a handshake, or before a head.
    fn inside_records(&self, cx: &Cx<N>) -> Vec<Token> {
        let inside = self.downstreams.iter().filter_map(|(token, downstream)| {
            let (State::Idle { since } | State::Head { since, .. } | State::Handshake { since }) =
                downstream.state
            else {
                return None;
            };
            let socket = &downstream.socket;
            let holds = socket.is_inside_record() && socket.unscanned().is_empty();
            (since + HEAD_AGE <= cx.now && holds && !socket.readable()).then_some((since, token))
        });
        let mut inside: Vec<(Instant, Token)> = inside.collect();
        inside.sort_unstable_by_key(|(since, _)| *since);
        inside.into_iter().map(|(_, token)| token).collect()
    }

    /// The clients that have been at a head for `age` or longer, the oldest first; `bytes` says by the
    /// length of what has come of it whether a client is meant.
    fn waiting_since(
        &self,
        age: Duration,
        bytes: impl Fn(usize) -> bool,
        cx: &Cx<N>,
    ) -> Vec<Token> {
        let waiting = self.downstreams.iter().filter_map(|(token, downstream)| {
            let (State::Head { since, .. } | State::Handshake { since }) = downstream.state else {
                return None;
            };
            let held = downstream.socket.unscanned().len();
            // A client whose bytes the kernel still holds is not silent.
            let unread = held == 0 && downstream.socket.readable();
            (since + age <= cx.now && bytes(held) && !unread).then_some((since, token))
        });
        let mut waiting: Vec<(Instant, Token)> = waiting.collect();
        waiting.sort_unstable_by_key(|(since, _)| *since);
        waiting.into_iter().map(|(_, token)| token).collect()
    }
}
