//! A reading: what all workers had counted at a moment.
//!
//! The live view and the history are differences of two of them: the workers keep no windows.

use std::sync::Arc;

use super::metrics::sample;
use crate::clock::Instant;
use crate::measure::histogram::Sample;
use crate::measure::stall::Owner;
use crate::measure::stats::Counters;

/// What one worker had counted at a moment, or all of them.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// Data events.
    pub events: u64,
    /// Of these, those of answers whose tokens their servers have told, and how many those were.
    pub events_told: u64,
    pub told: u64,
    pub exchanges: u64,
}

impl Tokens {
    fn of(counters: &Arc<Counters>) -> Tokens {
        Tokens {
            events: counters.data_events.get(),
            events_told: counters.events_told.get(),
            told: counters.tokens_out.sum(),
            exchanges: counters.exchanges.get(),
        }
    }

    /// What all these workers have counted by now.
    pub fn of_all(counters: &[Arc<Counters>]) -> Tokens {
        Tokens::sum(&counters.iter().map(Tokens::of).collect::<Vec<_>>())
    }

    fn sum(workers: &[Tokens]) -> Tokens {
        let sum = |value: fn(&Tokens) -> u64| workers.iter().map(value).sum();
        Tokens {
            events: sum(|it| it.events),
            events_told: sum(|it| it.events_told),
            told: sum(|it| it.told),
            exchanges: sum(|it| it.exchanges),
        }
    }

    /// Tokens since `before`: as told, else as many as there were data events; and whether that is
    /// an estimate. An answer that is told at its end takes back what its events were taken for.
    pub fn since(&self, before: &Tokens) -> (u64, bool) {
        let events = self.events - before.events;
        let told = self.events_told - before.events_told;
        let tokens = (events + self.told - before.told).saturating_sub(told);
        (tokens, events != told)
    }
}

/// What all had counted at a moment.
#[derive(Clone, Debug)]
pub struct Reading {
    pub at: Instant,
    pub workers: Vec<Tokens>,
    pub written: u64,
    /// Nanoseconds, in the order of [`Owner::ALL`].
    pub waited: [u64; 3],
    pub first_event: Sample,
    pub event_gap: Sample,
    pub turn_time: Sample,
}

impl Reading {
    pub fn take(now: Instant, counters: &[Arc<Counters>]) -> Reading {
        Reading {
            at: now,
            workers: counters.iter().map(Tokens::of).collect(),
            written: counters.iter().map(|counters| counters.bytes_written.get()).sum(),
            waited: Owner::ALL.map(|owner| {
                counters.iter().map(|counters| counters.waited[owner as usize].get()).sum()
            }),
            first_event: sample(counters, |c| &c.first_event),
            event_gap: sample(counters, |c| &c.event_gap),
            turn_time: sample(counters, |c| &c.turn_time),
        }
    }

    pub fn total(&self) -> Tokens {
        Tokens::sum(&self.workers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_told_take_the_place_of_events() {
        let before = Tokens { events: 100, events_told: 60, told: 90, exchanges: 0 };
        let since = |events, events_told, told| {
            Tokens { events, events_told, told, exchanges: 0 }.since(&before)
        };
        assert_eq!(since(100, 60, 90), (0, false));
        assert_eq!(since(112, 60, 90), (12, true), "nobody has told yet");
        // A stream of 12 events, and a document of 900 tokens.
        assert_eq!(since(112, 72, 90 + 40 + 900), (940, false));
        // One that was seen to begin before, and was fewer tokens than events.
        assert_eq!(since(101, 71, 95), (0, true));
    }
}
