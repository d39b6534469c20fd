//! What a loop is made of, for whoever stands outside: tests, the simulation, what made it.

use super::{Cx, Handler, Loop};
use crate::reactor::net::Net;

impl<N: Net, H: Handler<N>> Loop<N, H> {
    /// Ends the loop, and gives back what it served.
    pub fn into_handler(self) -> H {
        self.handler
    }

    pub fn handler(&self) -> &H {
        &self.handler
    }

    pub fn cx(&self) -> &Cx<N> {
        &self.cx
    }

    pub fn net(&self) -> &N {
        &self.cx.net
    }

    pub fn net_mut(&mut self) -> &mut N {
        &mut self.cx.net
    }
}
