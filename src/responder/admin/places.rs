//! Places: how many pages are answered at once.
//!
//! A live view lasts as long as somebody looks at it, and a reader that does not read keeps its answer
//! for as long as the timers let it. A few hundred of them would take every connection there may be,
//! and a liveness probe would have the process restarted. So the other pages have a bound that leaves
//! room for the health pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::clock::Instant;
use crate::responder::{Action, Responder};

/// The right to be answered; it is given back when it is dropped.
#[derive(Debug)]
pub(super) struct PageSlot(Arc<AtomicUsize>);

impl PageSlot {
    /// `None`: `most` pages are being answered.
    pub fn take(taken: &Arc<AtomicUsize>, most: usize) -> Option<PageSlot> {
        // One thread takes places; others only give them back.
        if taken.load(Ordering::Relaxed) >= most {
            return None;
        }
        taken.fetch_add(1, Ordering::Relaxed);
        Some(PageSlot(Arc::clone(taken)))
    }
}

impl Drop for PageSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer that holds its place.
#[derive(Debug)]
pub(super) struct Placed {
    pub responder: Box<dyn Responder>,
    /// Held, not read.
    pub _place: PageSlot,
}

impl Responder for Placed {
    fn is_feed(&self) -> bool {
        self.responder.is_feed()
    }

    fn on_body(&mut self, data: &[u8]) {
        self.responder.on_body(data);
    }

    fn on_request_end(&mut self, now: Instant) {
        self.responder.on_request_end(now);
    }

    fn step(&mut self, now: Instant) -> Action {
        self.responder.step(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_given_back_can_be_taken_again() {
        let taken = Arc::default();
        let first = PageSlot::take(&taken, 2);
        let second = PageSlot::take(&taken, 2);
        assert!(first.is_some() && second.is_some() && PageSlot::take(&taken, 2).is_none());
        drop(first);
        assert!(PageSlot::take(&taken, 2).is_some());
    }
}
