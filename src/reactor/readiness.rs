//! Readiness: what the kernel last told us about one socket.
//!
//! Every socket is registered edge-triggered, once. An edge is told once; if we forget it, nobody
//! repeats it. So each socket keeps what it was told, and only evidence takes it away.
//!
//! ```text
//!              event says readable          read: WouldBlock, or short and not read_closed
//!   not ready ─────────────────────▶ ready ─────────────────────────────────────────────▶ not ready
//! ```
//!
//! * An event sets bits. It never clears one.
//! * A bit is cleared by the result of a system call, never by a decision of ours. The kernel arms
//!   the next writable edge only after a write has hit the limit (linux: net/core/stream.c,
//!   `sk_stream_wait_memory`), so a bit cleared for another reason would stay clear for ever.
//! * `read_closed` is sticky. A FIN that came with the last bytes has spent its edge: after it,
//!   a short read proves nothing, and we read on until the kernel says 0.
//! * A short read proves that the receive queue is empty only for TCP and Unix sockets on Linux. Bytes
//!   that a session has decrypted and holds back are not its business: whoever asks whether a socket
//!   is readable asks the session as well.
//!
//! Absent on purpose: interest. What we *want* is known by the exchange and the buffers; we never
//! tell epoll about it, so we never pay for a change of mind.

use std::io;

use crate::reactor::net::Event;

const READABLE: u8 = 1;
const WRITABLE: u8 = 2;
const READ_CLOSED: u8 = 4;
const ERRORED: u8 = 8;

/// One byte per socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness(u8);

impl Readiness {
    /// A socket that was just born. It is assumed writable: the first write tells the truth, and
    /// on a socket that is still connecting it is the cheapest way to ask. It is not assumed
    /// readable, because registering it raises that edge if anything has arrived.
    pub fn born() -> Readiness {
        Readiness(WRITABLE)
    }

    /// A listener, whose backlog may hold connections already.
    pub fn listening() -> Readiness {
        Readiness(READABLE)
    }

    /// An error or a hang-up also makes both directions ready, so that the next system call
    /// reports the truth: the flags alone are never acted upon as a verdict about bytes.
    pub fn on_event(&mut self, event: &Event) {
        if event.readable || event.read_closed || event.errored {
            self.0 |= READABLE;
        }
        if event.writable || event.errored {
            self.0 |= WRITABLE;
        }
        if event.read_closed {
            self.0 |= READ_CLOSED;
        }
        if event.errored {
            self.0 |= ERRORED;
        }
    }

    /// Nothing was told, and a write is to find out.
    pub fn suppose_writable(&mut self) {
        self.0 |= WRITABLE;
    }

    /// A look has found bytes that no event has told of yet.
    pub fn suppose_readable(&mut self) {
        self.0 |= READABLE;
    }

    /// A write failed: the connection is broken, and a read will tell how.
    pub fn broken(&mut self) {
        self.0 = READABLE | WRITABLE | READ_CLOSED | ERRORED;
    }

    /// The evidence of one read into `offered` bytes of space.
    pub fn after_read(&mut self, offered: usize, result: &io::Result<usize>) {
        match result {
            Ok(0) => self.0 |= READ_CLOSED,
            Ok(taken) if *taken < offered && !self.read_closed() => self.0 &= !READABLE,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.0 &= !READABLE,
            _ => {}
        }
    }

    /// The evidence of one write of `offered` bytes.
    pub fn after_write(&mut self, offered: usize, result: &io::Result<usize>) {
        match result {
            Ok(taken) if *taken < offered => self.0 &= !WRITABLE,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.0 &= !WRITABLE,
            _ => {}
        }
    }

    /// The evidence of a look that found nothing to read.
    pub fn nothing_to_read(&mut self) {
        self.0 &= !READABLE;
    }

    pub fn readable(self) -> bool {
        self.0 & READABLE != 0
    }

    pub fn writable(self) -> bool {
        self.0 & WRITABLE != 0
    }

    /// The peer's FIN is in the receive queue, or has been read.
    pub fn read_closed(self) -> bool {
        self.0 & READ_CLOSED != 0
    }

    pub fn errored(self) -> bool {
        self.0 & ERRORED != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::token::Token;

    fn event(readable: bool, writable: bool, read_closed: bool, errored: bool) -> Event {
        Event { token: Token::WAKER, readable, writable, read_closed, errored }
    }

    fn would_block() -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    #[test]
    fn an_event_never_takes_readiness_away() {
        let mut ready = Readiness::born();
        ready.on_event(&event(true, false, false, false));
        ready.on_event(&event(false, true, false, false));
        assert!(ready.readable() && ready.writable());
        ready.on_event(&event(false, false, false, false));
        assert!(ready.readable() && ready.writable());
    }

    #[test]
    fn only_a_full_read_leaves_readable_set() {
        for (result, still_ready) in [(Ok(100), true), (Ok(99), false), (would_block(), false)] {
            let mut ready = Readiness::born();
            ready.on_event(&event(true, false, false, false));
            ready.after_read(100, &result);
            assert_eq!(ready.readable(), still_ready, "{result:?}");
        }
    }

    #[test]
    fn after_a_fin_a_short_read_proves_nothing() {
        let mut ready = Readiness::born();
        ready.on_event(&event(true, false, true, false));
        ready.after_read(100, &Ok(3));
        assert!(ready.readable(), "the end of the stream has not been read yet");
        ready.after_read(100, &Ok(0));
        assert!(ready.read_closed());
    }

    #[test]
    fn only_a_write_that_hit_the_limit_clears_writable() {
        for (result, still_ready) in [(Ok(10), true), (Ok(9), false), (would_block(), false)] {
            let mut ready = Readiness::born();
            ready.after_write(10, &result);
            assert_eq!(ready.writable(), still_ready, "{result:?}");
        }
    }

    #[test]
    fn an_error_makes_both_directions_ready_to_report_it() {
        let mut ready = Readiness::born();
        ready.after_write(1, &would_block());
        ready.on_event(&event(false, false, false, true));
        assert!(ready.readable() && ready.writable() && ready.errored());
    }
}
