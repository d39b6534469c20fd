//! The handshakes of clients that are under way, and at which listeners there are any.

/// Counts a worker's handshakes with clients.
#[derive(Debug)]
pub(crate) struct Handshakes {
    /// Of each listener, whether its clients speak TLS.
    sealed_listeners: Vec<bool>,
    under_way: usize,
}

impl Handshakes {
    pub(crate) fn new(sealed_listeners: Vec<bool>) -> Handshakes {
        Handshakes { sealed_listeners, under_way: 0 }
    }

    /// Whether clients of this listener speak TLS.
    #[inline]
    pub(crate) fn are_made_at(&self, listener: usize) -> bool {
        self.sealed_listeners.get(listener).is_some_and(|sealed| *sealed)
    }

    pub(crate) fn begun(&mut self) {
        self.under_way += 1;
    }

    /// One is over, well or not.
    pub(crate) fn ended(&mut self) {
        debug_assert!(self.under_way > 0, "it was counted when it began");
        self.under_way -= 1;
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }
}
