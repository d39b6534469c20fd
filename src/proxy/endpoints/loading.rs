//! An endpoint that loads its model: it has said so itself, and is asked again now and then.
//!
//! While it loads it gets one request at a time, the probe, after pauses that grow to [`PAUSE_MAX`]. All
//! others wait, or go elsewhere. It is no fault: the breaker hears nothing of it.
//!
//! The model is there when a probe is answered with anything else, and also when it has been out for
//! [`TAKEN`]: a server that loads says so at once, and one that works on an answer says nothing.

use std::time::Duration;

use crate::clock::Instant;
use crate::proxy::breaker::Outcome;

/// How long after an answer that says "loading" the next request follows, at first and at most. It doubles
/// in between.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A request that has been there for so long is not refused any more for a model that loads.
const TAKEN: Duration = Duration::from_secs(1);

/// That an endpoint loads its model, as one worker knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loading {
    since: Instant,
    pause: Duration,
    /// When the next probe may go.
    probe_at: Instant,
    /// When the one that is out was sent.
    probing: Option<Instant>,
}

impl Loading {
    /// It has said so for the first time.
    pub fn new(now: Instant) -> Loading {
        Loading { since: now, pause: PAUSE, probe_at: now + PAUSE, probing: None }
    }

    /// It has said so again.
    pub fn again(&mut self, now: Instant) {
        // Two that were sent at once are one sign.
        if now >= self.probe_at {
            self.pause = (self.pause * 2).min(PAUSE_MAX);
            self.probe_at = now + self.pause;
        }
        self.probing = None;
    }

    /// A request is sent.
    pub fn begin(&mut self, now: Instant) {
        self.probing.get_or_insert(now);
    }

    /// A request has ended and said nothing. Whoever comes next may be the probe.
    pub fn abandoned(&mut self) {
        self.probing = None;
    }

    /// When a request may be sent; not after `now`: at once.
    pub fn asked_at(&self) -> Instant {
        self.probing.map_or(self.probe_at, |sent| sent + TAKEN)
    }

    /// How long it has been loading.
    pub fn lasted(&self, now: Instant) -> Duration {
        now - self.since
    }

    /// It is to be asked at once: its checks are well again.
    pub fn hurry(&mut self, now: Instant) {
        self.probe_at = self.probe_at.min(now);
    }
}

/// What the end of an attempt says of an endpoint that loads, or begins to. Whether the model is there
/// now, and since when it was awaited.
pub(super) fn record(
    loading: &mut Option<Box<Loading>>,
    outcome: Outcome,
    now: Instant,
) -> Option<LoadingChange> {
    match (loading.as_mut(), outcome) {
        (Some(known), Outcome::Loading) => {
            known.again(now);
            None
        }
        (None, Outcome::Loading) => {
            *loading = Some(Box::new(Loading::new(now)));
            Some(LoadingChange::Begins)
        }
        (Some(known), Outcome::Abandoned) => {
            known.abandoned();
            None
        }
        (Some(known), _) => {
            let lasted = known.lasted(now);
            *loading = None;
            Some(LoadingChange::Ends { lasted })
        }
        (None, _) => None,
    }
}

/// A change that is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadingChange {
    Begins,
    Ends { lasted: Duration },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn the_pauses_grow_and_one_request_goes_at_a_time() {
        let mut loading = Loading::new(at(0));
        let (mut now, mut pauses) = (at(0), Vec::new());
        for _ in 0..6 {
            let next = loading.asked_at();
            pauses.push((next - now).as_millis());
            loading.begin(next);
            assert_eq!(loading.asked_at(), next + TAKEN, "the next one waits for this one");
            loading.again(next);
            now = next;
        }
        assert_eq!(pauses, [250, 500, 1000, 2000, 2000, 2000]);
        // One that was sent beside it says nothing new.
        let before = loading;
        loading.again(now);
        assert_eq!(loading, before);
    }

    #[test]
    fn anything_but_its_own_word_ends_it() {
        for (outcome, ends) in [
            (Outcome::Success, true),
            (Outcome::ClientError, true),
            (Outcome::Fault, true),
            (Outcome::Unreachable, true),
            (Outcome::Abandoned, false),
            (Outcome::Loading, false),
        ] {
            let mut loading = None;
            assert_eq!(record(&mut loading, outcome, at(0)).is_some(), outcome == Outcome::Loading);
            let mut loading = Some(Box::new(Loading::new(at(0))));
            let change = record(&mut loading, outcome, at(300));
            let lasted = Duration::from_millis(300);
            assert_eq!(change, ends.then_some(LoadingChange::Ends { lasted }), "{outcome:?}");
            assert_eq!(loading.is_none(), ends, "{outcome:?}");
        }
    }

    #[test]
    fn a_probe_that_says_nothing_makes_way() {
        let mut loading = Some(Box::new(Loading::new(at(0))));
        if let Some(known) = &mut loading {
            known.begin(at(250));
        }
        record(&mut loading, Outcome::Abandoned, at(400));
        assert_eq!(loading.map(|known| known.asked_at()), Some(at(250)));
    }
}
