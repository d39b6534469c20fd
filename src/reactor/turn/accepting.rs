//! The phase *accept*: connections are taken while the handler has room, so many from each listener.

use super::{Cx, Entrance, Handler, Loop};
use crate::reactor::count::Counted;
use crate::reactor::listen::Taken;
use crate::reactor::net::Net;

/// Connections taken from one listener per turn.
const ACCEPT_BUDGET: usize = 64;

impl<N: Net, H: Handler<N>> Loop<N, H> {
    pub(super) fn accept_pending(&mut self) {
        self.cx.listen.wake(self.cx.now);
        if self.cx.listen.may_accept() {
            self.accept_from_all();
        }
    }

    #[inline(never)]
    fn accept_from_all(&mut self) {
        for listener in 0..self.cx.net.listeners() {
            accept_from(&mut self.handler, listener, ACCEPT_BUDGET, &mut self.cx);
        }
    }
}

/// Takes up to `budget` connections from one listener.
pub fn accept_from<N: Net, H: Handler<N>>(
    handler: &mut H,
    listener: usize,
    budget: usize,
    cx: &mut Cx<N>,
) {
    for _ in 0..budget {
        if !cx.listen.is_ready(listener) {
            return;
        }
        match handler.admits(listener, cx) {
            Entrance::Open => {}
            Entrance::ListenerFull => return cx.listen.rest_listener(listener),
            Entrance::Full => return cx.listen.rest_for_room(),
        }
        handler.count(Counted::Accept);
        match cx.listen.take(&mut cx.net, listener, cx.now) {
            Taken::Connection(stream, from) => handler.on_accept(stream, from, listener, cx),
            Taken::Gone => {}
            Taken::Rests(counted) => {
                counted.into_iter().for_each(|counted| handler.count(counted));
                return;
            }
        }
    }
}
