//! Places: how many pages are answered at once.
//!
//! A live view lasts as long as somebody looks at it, and a reader that does not read keeps its answer
//! for as long as the timers let it. A few hundred of them would take every connection there may be,
//! and a liveness probe would have the process restarted. So the other pages have a bound that leaves
//! room for the health pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::clock::Instant;
use crate::responder::{Responder, Step};

/// The right to be answered; it is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Place {
    /// `None`: `most` pages are being answered.
    pub fn take(taken: &Arc<AtomicUsize>, most: usize) -> Option<Place> {
        // One thread takes places; others only give them back.
        if taken.load(Ordering::Relaxed) >= most {
            return None;
        }
        taken.fetch_add(1, Ordering::Relaxed);
        Some(Place(Arc::clone(taken)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer that holds its place.
#[derive(Debug)]
pub(super) struct Placed {
    pub responder: Box<dyn Responder>,
    /// Held, not read.
    pub _place: Place,
}

impl Responder for Placed {
    fn on_body(&mut self, data: &[u8]) {
        self.responder.on_body(data);
    }

    fn on_request_end(&mut self, now: Instant) {
        self.responder.on_request_end(now);
    }

    fn step(&mut self, now: Instant) -> Step {
        self.responder.step(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_given_back_can_be_taken_again() {
        let taken = Arc::default();
        let first = Place::take(&taken, 2);
        let second = Place::take(&taken, 2);
        assert!(first.is_some() && second.is_some() && Place::take(&taken, 2).is_none());
        drop(first);
        assert!(Place::take(&taken, 2).is_some());
    }
}
