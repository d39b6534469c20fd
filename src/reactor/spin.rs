//! Spin: whether to poll without sleeping for a while before a sleep.
//!
//! A wake-up takes longer than a short spin, and a spin that is shorter than a wake-up saves CPU too.
//! A spin that ends in a sleep all the same has cost CPU for nothing. Which of the two the next wait
//! will be is guessed as branch predictors do: from how the last waits have ended.
//!
//! * Two waits of the other kind change the guess; a single one does not.
//! * A worker that sleeps goes on learning. The wait that it measures includes its wake-up, so it is
//!   compared with twice the bound.
//!
//! Absent on purpose: the clock and the polls. Both are the caller's.

use std::time::Duration;

/// The highest confidence that a spin pays.
const SURE: u8 = 3;
const LIKELY: u8 = 2;

/// The guess of one worker.
#[derive(Clone, Copy, Debug)]
pub struct Spin(u8);

impl Spin {
    pub const fn new() -> Spin {
        Spin(SURE)
    }

    /// Whether the next wait is likely to end within a spin.
    pub fn pays(self) -> bool {
        self.0 >= LIKELY
    }

    /// Notes how long a wait took. `slept`: the worker did not spin.
    pub fn waited(&mut self, waited: Duration, slept: bool, bound: Duration) {
        let within = waited <= bound * if slept { 2 } else { 1 };
        self.0 = if within { SURE.min(self.0 + 1) } else { self.0.saturating_sub(1) };
    }
}

impl Default for Spin {
    fn default() -> Spin {
        Spin::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_micros(50);

    /// For each of these waits, in microseconds, whether the worker spins. A wake-up takes 30.
    fn spins(spin: &mut Spin, waits: &[u64]) -> Vec<bool> {
        let each = waits.iter().map(|wait| {
            let pays = spin.pays();
            let wake_up = if pays && *wait <= 50 { 0 } else { 30 };
            spin.waited(Duration::from_micros(wait + wake_up), !pays, BOUND);
            pays
        });
        each.collect()
    }

    #[test]
    fn a_spin_that_does_not_pay_is_given_up_and_taken_up_again() {
        let mut spin = Spin::new();
        assert_eq!(spins(&mut spin, &[20; 4]), [true; 4]);
        assert_eq!(spins(&mut spin, &[200; 4]), [true, true, false, false]);
        assert_eq!(spins(&mut spin, &[20; 4]), [false, false, true, true]);
    }

    #[test]
    fn one_long_wait_among_short_ones_changes_nothing() {
        let mut spin = Spin::new();
        assert_eq!(spins(&mut spin, &[20, 900_000, 20, 20, 900_000, 20]), [true; 6]);
    }

    #[test]
    fn one_short_wait_among_long_ones_changes_nothing() {
        let mut spin = Spin(0);
        assert_eq!(spins(&mut spin, &[900, 10, 900, 900, 10, 900]), [false; 6]);
    }
}
