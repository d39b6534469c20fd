//! What the flow of a response can be asked.

use super::{Flow, ResponseWatchers};
use crate::service::Observer;

impl Flow<ResponseWatchers> {
    /// How far it has come: data events where it is watched, bytes of payload elsewhere.
    #[inline]
    pub fn progress(&self) -> u64 {
        let events = self.watch.observer.as_ref().and_then(Observer::progress);
        events.unwrap_or(self.body.received())
    }

    /// Whether it is a stream that is whole by its own marks, in chunks that are.
    pub(super) fn said_all(&self) -> bool {
        self.body.at_boundary() && self.watch.observer.as_ref().is_some_and(Observer::is_whole)
    }

    /// Whether every byte of it is progress.
    pub fn is_measured_in_bytes(&self) -> bool {
        self.watch.observer.as_ref().is_none_or(|observer| observer.progress().is_none())
    }

    /// Whether it is a stream of events that is watched.
    #[inline]
    pub fn is_stream(&self) -> bool {
        self.watch.observer.as_ref().is_some_and(Observer::is_stream)
    }
}
