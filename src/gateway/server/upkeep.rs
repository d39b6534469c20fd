//! Upkeep: what has to be seen to at servers that no exchange is asking.
//!
//! An idle connection that speaks is dead, whatever it says: it is noted when the event comes, and
//! closed in front of the drives of the turn. The port of an endpoint that is out is looked at by
//! another thread, which is told here and never waited for.

use std::sync::mpsc;

use crate::gateway::Gateway;
use crate::proxy::health::DownEndpoint;
use crate::reactor::net::Net;
use crate::reactor::token::Token;
use crate::reactor::turn::Cx;

/// What has to be seen to.
pub(crate) struct Upkeep {
    /// Idle connections on which something came.
    disturbed: Vec<Token>,
    /// Whoever looks at the ports of endpoints that are out, if anybody does.
    lookout: Option<mpsc::Sender<DownEndpoint>>,
}

impl Upkeep {
    pub(crate) fn new(lookout: Option<mpsc::Sender<DownEndpoint>>) -> Upkeep {
        Upkeep { disturbed: Vec::new(), lookout }
    }

    /// Something came on an idle connection.
    pub(crate) fn disturb(&mut self, connection: Token) {
        self.disturbed.push(connection);
    }

    #[inline]
    pub(crate) fn is_undisturbed(&self) -> bool {
        self.disturbed.is_empty()
    }

    /// Has the port of an endpoint that is out looked at.
    pub(super) fn look_out(&self, down: DownEndpoint) {
        if let Some(lookout) = &self.lookout {
            // The lookout ends before the workers: then nobody looks.
            let _ = lookout.send(down);
        }
    }
}

impl<N: Net> Gateway<N> {
    /// Closes idle connections on which something came.
    #[cold]
    pub(crate) fn close_disturbed(&mut self, cx: &mut Cx<N>) {
        while let Some(token) = self.upkeep.disturbed.pop() {
            let Some(upstream) = self.upstreams.get_mut(token) else { continue };
            // It may have been taken out in this very turn; then its exchange sees the bytes.
            if upstream.owner.is_none() && upstream.socket.has_spoken(&mut self.desk) {
                self.desk.tally.pool_dead.add(1);
                self.close_upstream(token, cx);
            }
        }
    }
}
