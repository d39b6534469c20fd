//! Whether there is somebody to accept: the readiness of the listeners.

use crate::clock::Instant;
use crate::reactor::readiness::Readiness;

/// The listeners' readiness, and why accepting rests, if it does.
pub(crate) struct AcceptState {
    listeners: Vec<Readiness>,
    pub(crate) resume_at: Option<Instant>,
    pub(crate) full: bool,
}

impl AcceptState {
    pub fn new(listeners: usize) -> AcceptState {
        AcceptState {
            listeners: vec![Readiness::listening(); listeners],
            resume_at: None,
            full: false,
        }
    }

    pub fn on_event(&mut self, listener: usize) {
        // An event for a listener that was closed in this batch finds nothing.
        if let Some(ready) = self.listeners.get_mut(listener) {
            *ready = Readiness::listening();
        }
    }

    /// When a pause ends; [`Instant::NEVER`] if there is none.
    pub fn resume_at(&self) -> Instant {
        self.resume_at.unwrap_or(Instant::NEVER)
    }

    /// Whether somebody may wait outside for want of a place.
    pub fn keeps_out(&self) -> bool {
        self.full && self.is_any_ready()
    }

    pub(crate) fn is_ready(&self, listener: usize) -> bool {
        self.listeners.get(listener).is_some_and(|ready| ready.readable())
    }

    pub(crate) fn is_any_ready(&self) -> bool {
        self.listeners.iter().any(|ready| ready.readable())
    }

    pub(crate) fn drained(&mut self, listener: usize) {
        if let Some(ready) = self.listeners.get_mut(listener) {
            ready.nothing_to_read();
        }
    }
}
