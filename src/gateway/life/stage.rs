//! Stage: whether a worker serves, drains or stops; the crew that it is part of while it serves, and
//! when it looks next for room. Only `life` moves it to another stage.
//!
//! ```text
//!   Serving ──drain──▶ Draining ──its deadline──▶ Stopping
//!      └──────────────────stop──────────────────────▲
//! ```
//!
//! * A worker never comes back from a stage, and the deadline of a drain moves by nothing but
//!   the time in which the thread did not run.
//! * A worker that drains has left its crew: the other workers may be gone.

use std::time::Duration;

use crate::clock::Instant;
use crate::gateway::command::Idle;
use crate::gateway::crew::Crew;

/// The life of one worker.
pub(crate) struct Life<S> {
    stage: Stage,
    /// When to look next for connections that only hold room.
    shed_at: Instant,
    /// All workers of the process, where there are several; none from the drain on.
    crew: Option<Crew<S>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    Draining { deadline: Instant, idle: Idle },
    Stopping,
}

impl<S> Life<S> {
    /// The life of a worker that begins to serve at `now`.
    pub(crate) fn begin(crew: Option<Crew<S>>, now: Instant) -> Life<S> {
        Life { stage: Stage::Serving, shed_at: now, crew }
    }

    /// Whether connections are not kept for another request any more.
    pub(crate) fn is_draining(&self) -> bool {
        self.stage != Stage::Serving
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stage == Stage::Stopping
    }

    /// Whether clients that are not being answered are told that nothing more comes.
    pub(crate) fn dismisses_idle(&self) -> bool {
        match self.stage {
            Stage::Serving => false,
            Stage::Draining { idle, .. } => idle == Idle::Leave,
            Stage::Stopping => true,
        }
    }

    /// When the drain is over; `None`: the worker serves, or stops already.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Draining { deadline, .. } => Some(deadline),
            Stage::Serving | Stage::Stopping => None,
        }
    }

    /// Begins the drain, or changes what one that has begun means to idle clients.
    pub(super) fn drain(&mut self, deadline: Instant, idle: Idle) {
        self.stage = Stage::Draining { deadline: self.deadline().unwrap_or(deadline), idle };
    }

    pub(super) fn stop(&mut self) {
        self.stage = Stage::Stopping;
    }

    /// The thread did not run for `lost`: a drain lasts longer by that.
    pub(crate) fn excuse(&mut self, lost: Duration) {
        if let Stage::Draining { deadline, .. } = &mut self.stage {
            *deadline += lost;
        }
    }

    /// When to look for room next, where somebody waits for some.
    pub(super) fn shed_at(&self) -> Instant {
        self.shed_at
    }

    pub(super) fn shed_again_at(&mut self, at: Instant) {
        self.shed_at = at;
    }

    /// All workers of the process, where there are several and this one goes on.
    pub(crate) fn crew(&self) -> Option<&Crew<S>> {
        self.crew.as_ref()
    }

    /// From here on what is accepted stays with this worker.
    pub(super) fn leave_crew(&mut self) {
        self.crew = None;
    }
}

#[cfg(test)]
mod tests;
