//! Drain and stop: how a worker ends.
//!
//! A worker that drains serves what it has and takes nothing new. At the deadline, or when it is told
//! to stop, it aborts what is left, with an error reply where nothing of an answer has begun.

use crate::gateway::Gateway;
use crate::gateway::command::Idle;
use crate::reactor::net::Net;
use crate::reactor::turn::{Cx, accept_from};

impl<N: Net> Gateway<N> {
    /// The kernel accepted the backlog in our name, so it is served; then the listeners close, and
    /// every answer says `Connection: close`. A second drain keeps the deadline of the first.
    pub(crate) fn drain(&mut self, idle: Idle, cx: &mut Cx<N>) {
        if self.life.is_stopping() {
            return;
        }
        if !self.life.is_draining() {
            // The other workers may be gone: connections accepted from here on stay with this one.
            self.life.leave_crew();
            // The whole backlog, whatever the budget: this is the last accept.
            for listener in 0..cx.net.listeners() {
                cx.listen.on_event(listener);
                accept_from(self, listener, usize::MAX, cx);
            }
            cx.close_listeners();
        }
        self.life.drain(cx.now.after(self.generations.latest().timeouts.drain), idle);
        for token in self.downstreams.tokens() {
            self.enqueue(token, &mut cx.run);
        }
        self.close_idle_upstreams(cx);
    }

    pub(crate) fn stop(&mut self, cx: &mut Cx<N>) {
        if !self.life.is_draining() {
            cx.close_listeners();
        }
        self.life.stop();
        for token in self.downstreams.tokens() {
            self.close_now(token, cx);
        }
        self.close_idle_upstreams(cx);
    }

    fn close_idle_upstreams(&mut self, cx: &mut Cx<N>) {
        for token in self.upstreams.tokens() {
            if self.upstreams.get(token).is_some_and(|upstream| upstream.owner.is_none()) {
                self.close_upstream(token, cx);
            }
        }
    }
}
