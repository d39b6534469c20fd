//! When requests are due.
//!
//! * *Closed loop*: so many are in flight; the next follows when one has ended.
//! * *Open loop*: each is due at an instant of its own, whatever the server does, and is timed from
//!   that instant.
//!
//! | process | intervals |
//! |---|---|
//! | constant | all alike |
//! | Poisson | independent: many users who do not know of each other |
//! | gamma | of a burstiness: 1 is Poisson, less comes in bursts, more is more even |
//! | burst | a Poisson process while it is on, nothing while it is off; the rate is that of both together |
//! | trace | as they were recorded |
//!
//! Instants are reckoned from the beginning of the load, and from a seed: they are the same again.

use std::sync::Arc;
use std::time::Duration;

use super::draw;
use crate::proxy::random::Random;

/// What makes a request due. Rates are requests a second.
#[derive(Clone, Debug, PartialEq)]
pub enum Process {
    Closed {
        concurrency: usize,
    },
    Constant {
        rate: f64,
    },
    Gamma {
        rate: f64,
        burstiness: f64,
    },
    Burst {
        rate: f64,
        on: Duration,
        off: Duration,
    },
    /// Offsets from the beginning, in their order.
    Trace(Arc<[Duration]>),
}

impl Process {
    pub fn poisson(rate: f64) -> Process {
        Process::Gamma { rate, burstiness: 1.0 }
    }

    pub fn is_open(&self) -> bool {
        !matches!(self, Process::Closed { .. })
    }

    pub fn name(&self) -> &'static str {
        match self {
            Process::Closed { .. } => "closed",
            Process::Constant { .. } => "constant",
            Process::Gamma { burstiness: 1.0, .. } => "poisson",
            Process::Gamma { .. } => "gamma",
            Process::Burst { .. } => "burst",
            Process::Trace(_) => "trace",
        }
    }

    /// The rate that is asked for; `None`: there is none, or it is that of a trace.
    pub fn rate(&self) -> Option<f64> {
        match self {
            Process::Constant { rate }
            | Process::Gamma { rate, .. }
            | Process::Burst { rate, .. } => Some(*rate),
            Process::Closed { .. } | Process::Trace(_) => None,
        }
    }
}

/// The instants of one open loop, one after another. A closed loop has none.
#[derive(Clone, Debug)]
pub struct Timetable {
    process: Process,
    random: Random,
    taken: u64,
    /// Seconds while requests can come, since the beginning.
    clock: f64,
    next: Option<Duration>,
}

impl Timetable {
    pub fn new(process: &Process, seed: u64) -> Timetable {
        let mut timetable = Timetable {
            process: process.clone(),
            random: Random::new(seed),
            taken: 0,
            clock: 0.0,
            next: None,
        };
        timetable.next = timetable.reckon();
        timetable
    }

    /// The next instant; `None`: no more follow.
    pub fn next(&self) -> Option<Duration> {
        self.next
    }

    /// Takes the next instant, if it has come.
    pub fn take(&mut self, elapsed: Duration) -> Option<Duration> {
        let due = self.next.filter(|due| *due <= elapsed)?;
        self.taken += 1;
        self.next = self.reckon();
        Some(due)
    }

    fn reckon(&mut self) -> Option<Duration> {
        let seconds = match &self.process {
            Process::Closed { .. } => return None,
            Process::Trace(instants) => {
                return instants.get(usize::try_from(self.taken).ok()?).copied();
            }
            // From the beginning each time, so that nothing adds up.
            Process::Constant { rate } => self.taken as f64 / rate,
            Process::Gamma { rate, burstiness } => {
                self.clock += draw::gamma(*burstiness, &mut self.random) / (burstiness * rate);
                self.clock
            }
            Process::Burst { rate, on, off } => {
                let (on, off) = (on.as_secs_f64(), off.as_secs_f64());
                self.clock += draw::exponential(&mut self.random) / (rate * (on + off) / on);
                self.clock + (self.clock / on).floor() * off
            }
        };
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instants(process: &Process, seed: u64, within: Duration) -> Vec<f64> {
        let mut timetable = Timetable::new(process, seed);
        std::iter::from_fn(|| timetable.take(within)).map(|due| due.as_secs_f64()).collect()
    }

    /// The squared coefficient of variation of the intervals: 1 where they are independent.
    fn dispersion(instants: &[f64]) -> f64 {
        let gaps: Vec<f64> = instants.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let squares = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>();
        squares / gaps.len() as f64 / (mean * mean)
    }

    const LONG: Duration = Duration::from_secs(1_000);

    #[test]
    fn every_process_keeps_its_rate_and_its_spread() {
        let burst = Process::Burst {
            rate: 50.0,
            on: Duration::from_millis(500),
            off: Duration::from_millis(1_500),
        };
        for (process, spread) in [
            (Process::Constant { rate: 50.0 }, 0.0..0.001),
            (Process::poisson(50.0), 0.95..1.05),
            (Process::Gamma { rate: 50.0, burstiness: 0.25 }, 3.7..4.3),
            (Process::Gamma { rate: 50.0, burstiness: 4.0 }, 0.23..0.27),
            (burst, 45.0..65.0),
        ] {
            let all = instants(&process, 3, LONG);
            let rate = all.len() as f64 / 1_000.0;
            assert!((48.5..51.5).contains(&rate), "{process:?}: {rate}");
            assert!(all.is_sorted(), "{process:?}");
            assert!(spread.contains(&dispersion(&all)), "{process:?}: {}", dispersion(&all));
        }
    }

    #[test]
    fn a_burst_is_silent_while_it_is_off() {
        let (on, off) = (Duration::from_secs(1), Duration::from_secs(3));
        let all = instants(&Process::Burst { rate: 20.0, on, off }, 1, LONG);
        assert!(all.len() > 1_000 && all.iter().all(|at| at % 4.0 < 1.0));
    }

    #[test]
    fn a_seed_gives_the_same_again_and_another_one_another() {
        let process = Process::poisson(10.0);
        let of = |seed| instants(&process, seed, Duration::from_secs(5));
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn a_late_look_finds_each_at_the_instant_it_was_due() {
        let trace = Process::Trace([1, 2, 2, 9].map(Duration::from_secs).into());
        let mut timetable = Timetable::new(&trace, 0);
        assert_eq!(timetable.take(Duration::from_millis(999)), None);
        let taken: Vec<_> = std::iter::from_fn(|| timetable.take(Duration::from_secs(5))).collect();
        assert_eq!(taken, [1, 2, 2].map(Duration::from_secs));
        assert_eq!(timetable.next(), Some(Duration::from_secs(9)));
        assert_eq!(timetable.take(LONG), Some(Duration::from_secs(9)));
        assert_eq!((timetable.next(), timetable.take(LONG)), (None, None));
        assert_eq!(Timetable::new(&Process::Closed { concurrency: 1 }, 0).next(), None);
    }
}
