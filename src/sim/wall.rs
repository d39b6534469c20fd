//! The wall clock of a world: it is set, while the other clock goes on.
//!
//! What is drawn here comes from a generator of its own, and nothing of it is noted in the trace: a world whose
//! wall clock jumps differs from the same world without that in nothing but what the gateway makes of it.

use std::time::Duration;

use super::random::Random;
use crate::clock::Instant;

const HOUR: Duration = Duration::from_secs(3_600);

/// Midnights of UTC: of a day, of a month, of a year, before and behind a leap day.
const MIDNIGHTS: [Duration; 5] = [
    Duration::from_secs(1_796_083_200),
    Duration::from_secs(1_796_169_600),
    Duration::from_secs(1_798_761_600),
    Duration::from_secs(1_835_395_200),
    Duration::from_secs(1_835_481_600),
];

/// What the wall clock says at each moment of the other one.
#[derive(Clone, Debug, Default)]
pub struct WallClock {
    /// From then on it says so much since 1970; in ascending order.
    set: Vec<(Instant, Duration)>,
}

impl WallClock {
    /// It began with the world, in 1970, and is never set.
    pub fn steady() -> WallClock {
        WallClock::default()
    }

    /// That of a seed, for worlds that last so long: it jumps in one of two.
    pub fn of(seed: u64, lasts: Duration) -> WallClock {
        match Random::new(seed.rotate_left(16) ^ !0).chance(500) {
            true => WallClock::jumping(seed, lasts),
            false => WallClock::steady(),
        }
    }

    /// It begins a few seconds before a month ends, and is set at least twice in the time that the world lasts:
    /// hours ahead, hours back, to the end of a day, a month or a year, to 1970.
    pub fn jumping(seed: u64, lasts: Duration) -> WallClock {
        let mut random = Random::new(seed.rotate_left(48) ^ !0);
        let mut wall = WallClock::default();
        wall.says(Instant::ZERO, MIDNIGHTS[0] - random.duration(Duration::ZERO..=lasts));
        let moments = (0..random.between(2..=12)).map(|_| random.duration(Duration::ZERO..=lasts));
        let mut moments: Vec<Duration> = moments.collect();
        moments.sort_unstable();
        for moment in moments {
            let at = Instant::ZERO + moment;
            let to = WallClock::jump(&mut random, wall.at(at));
            wall.says(at, to);
        }
        wall
    }

    /// Where a clock that says this is set to.
    pub fn jump(random: &mut Random, from: Duration) -> Duration {
        let hours = random.duration(HOUR..=HOUR * 30);
        match random.below(8) {
            0..=2 => from + hours,
            3..=5 => from.saturating_sub(hours),
            6 => {
                *random.pick(&MIDNIGHTS) - random.duration(Duration::ZERO..=Duration::from_secs(4))
            }
            _ => Duration::ZERO,
        }
    }

    /// It is set to this, at a moment that comes behind all others.
    pub(super) fn says(&mut self, at: Instant, since_1970: Duration) {
        self.set.push((at, since_1970));
    }

    pub(super) fn at(&self, now: Instant) -> Duration {
        let before = self.set.iter().rev().find(|(at, _)| *at <= now);
        let (at, said) = before.copied().unwrap_or((Instant::ZERO, Duration::ZERO));
        said + now.since(at)
    }
}
