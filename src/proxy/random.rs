//! Chance, for decisions that want some: which two endpoints to compare, how long exactly to wait.
//!
//! splitmix64 (Steele, Lea and Flood): eight bytes of state, a few instructions a number. Every
//! worker seeds its own, so a simulation repeats itself. It hides nothing from an adversary, and
//! nothing here needs it to.

use std::time::Duration;

use super::hash::mix;

/// A seeded sequence.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number in `0..limit`; 0 if `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(limit)) >> 64) as u64
    }

    /// `duration`, at most a tenth longer or shorter: what was ejected at one moment must not all
    /// come back at one moment.
    pub fn jittered(&mut self, duration: Duration) -> Duration {
        duration * 9 / 10 + duration * self.below(201) as u32 / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        // First outputs of splitmix64 from the seed 1234567, as the reference code prints them.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.draw(), 6_457_827_717_110_365_317);
        assert_eq!(random.draw(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn draws_stay_in_their_range_and_reach_its_ends() {
        let mut random = Random::new(7);
        let mut seen = [false; 5];
        let (mut least, mut most) = (Duration::MAX, Duration::ZERO);
        for _ in 0..10_000 {
            seen[random.below(5) as usize] = true;
            let jittered = random.jittered(Duration::from_secs(10));
            (least, most) = (least.min(jittered), most.max(jittered));
        }
        assert_eq!((seen, random.below(0)), ([true; 5], 0));
        assert_eq!((least, most), (Duration::from_secs(9), Duration::from_secs(11)));
    }
}
