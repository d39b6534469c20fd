//! What becomes of bytes that were read and are not passed on by a relay: they are taken, or dropped, and
//! the buffer goes home.

use super::{Desk, Socket};
use crate::reactor::net::Stream;
use crate::wire::buffer::Buffer;

impl<S: Stream> Socket<S> {
    /// Takes understood bytes out of `inbound`.
    pub fn discard(&mut self, count: usize, desk: &mut Desk) {
        if let Some(buffer) = &mut self.inbound {
            buffer.discard(count);
            self.release_inbound(desk);
        }
    }

    /// Drops the bytes that were understood and wait to be passed on: they are not wanted any more.
    pub fn drop_pending(&mut self, desk: &mut Desk) {
        if let Some(buffer) = &mut self.inbound {
            let count = buffer.pending().len();
            buffer.sent(count);
            self.release_inbound(desk);
        }
    }

    /// Drops everything that was read, passed on or not.
    pub fn drop_inbound(&mut self, desk: &mut Desk) {
        if let Some(buffer) = self.inbound.take() {
            desk.buffers.give(buffer);
        }
    }

    /// Gives the inbound buffer home if it is empty.
    pub fn release_inbound(&mut self, desk: &mut Desk) {
        if self.inbound.as_ref().is_some_and(Buffer::is_empty)
            && let Some(buffer) = self.inbound.take()
        {
            desk.buffers.give(buffer);
        }
    }
}
