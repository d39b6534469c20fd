//! The seed's voice: a small pseudo-random generator, so that a world depends on nothing outside.
//!
//! xoshiro256** (Blackman and Vigna), its state filled by splitmix64. Same seed, same sequence, on
//! every machine and with every version of every crate. It hides nothing from an adversary and is
//! never used outside simulations.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A seeded sequence.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    pub fn new(seed: u64) -> Random {
        let mut source = seed;
        Random {
            state: std::array::from_fn(|_| {
                source = source.wrapping_add(0x9e37_79b9_7f4a_7c15);
                mix(source)
            }),
        }
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        self.state = [a ^ b ^ d, a ^ b ^ c, a ^ c ^ (b << 17), (b ^ d).rotate_left(45)];
        b.wrapping_mul(5).rotate_left(7).wrapping_mul(9)
    }

    /// A number in `0..limit`; 0 if `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.draw()) * limit as u128) >> 64) as usize
    }

    pub fn between(&mut self, range: RangeInclusive<usize>) -> usize {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    /// True `per_mille` times out of a thousand. What is impossible draws nothing.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < per_mille as usize
    }

    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// A length, small ones far more often than long ones: uniform in its number of digits.
    pub fn length(&mut self, limit: usize) -> usize {
        let bits = usize::BITS - limit.leading_zeros();
        let bits = self.between(0..=bits as usize);
        self.below(1usize << bits).min(limit)
    }

    pub fn duration(&mut self, range: RangeInclusive<Duration>) -> Duration {
        let (least, most) = (range.start().as_nanos() as usize, range.end().as_nanos() as usize);
        Duration::from_nanos(self.between(least..=most) as u64)
    }
}

/// Spreads the bits of `value` over the whole word: splitmix64's finaliser.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        // First outputs of splitmix64 from seed 0, and of xoshiro256** seeded with them.
        let mut random = Random::new(0);
        assert_eq!(random.state[0], 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.draw(), 0x99ec_5f36_cb75_f2b4);
    }

    #[test]
    fn draws_stay_in_their_range() {
        let mut random = Random::new(7);
        for _ in 0..10_000 {
            assert!(random.below(3) < 3);
            assert!((5..=9).contains(&random.between(5..=9)));
            assert!(random.length(1000) <= 1000);
            assert!(!random.chance(0) && random.chance(1000));
        }
        assert_eq!(random.below(0), 0);
    }
}
