//! Histograms: how often what happened how fast, with one writer and no lock.
//!
//! Buckets are log-linear. A value below eight has a bucket of its own; above, each octave has
//! eight, so a value is known to an eighth of itself, from one unit to 2²⁸ of them (four minutes,
//! where the unit is a microsecond). What is longer counts as that.
//!
//! ```text
//!   0 1 2 3 4 5 6 7 │ 8 9 10 … 15 │ 16 18 20 … 30 │ 32 36 40 … 60 │ …
//! ```
//!
//! * Recording is a shift, a mask and two plain adds. It allocates nothing and locks nothing.
//! * Readers take a [`Sample`] whenever they like. Two buckets may be read at different moments, so
//!   a sample can miss what is just being recorded; nothing is ever lost.

use std::time::Duration;

use crate::clock::Instant;
use crate::measure::counter::Counter;

/// Buckets per octave, as bits.
const LINEAR_BITS: u32 = 3;
const LINEAR: usize = 1 << LINEAR_BITS;
/// The highest octave is 2^OCTAVE_MAX up to its double.
const OCTAVE_MAX: u32 = 27;
pub const BUCKETS: usize = ((OCTAVE_MAX - LINEAR_BITS + 2) << LINEAR_BITS) as usize;

/// The written side: in the counters of one worker.
#[derive(Debug)]
#[repr(C)]
pub struct Histogram {
    sum: Counter,
    buckets: [Counter; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: std::array::from_fn(|_| Counter::default()), sum: Counter::default() }
    }
}

/// The bucket of a value.
fn bucket(value: u64) -> usize {
    if value < LINEAR as u64 {
        return value as usize;
    }
    let octave = (u64::BITS - 1 - value.leading_zeros()).min(OCTAVE_MAX);
    let value = value.min((2 << OCTAVE_MAX) - 1);
    let within = (value >> (octave - LINEAR_BITS)) as usize & (LINEAR - 1);
    (((octave - LINEAR_BITS + 1) << LINEAR_BITS) as usize) + within
}

/// The least value that lies beyond a bucket.
fn end(bucket: usize) -> u64 {
    if bucket < LINEAR {
        return bucket as u64 + 1;
    }
    let octave = (bucket >> LINEAR_BITS) as u32 + LINEAR_BITS - 1;
    let within = (bucket & (LINEAR - 1)) as u64;
    (LINEAR as u64 + within + 1) << (octave - LINEAR_BITS)
}

impl Histogram {
    /// Only the owner of the [`crate::measure::stats::Tally`] may call this.
    pub(crate) fn record(&self, value: u64) {
        self.buckets[bucket(value)].add(1);
        self.sum.add(value);
    }

    /// The time from `since` to `now`, in microseconds.
    pub(crate) fn record_span(&self, since: Instant, now: Instant) {
        self.record(now.as_nanos().saturating_sub(since.as_nanos()) / 1_000);
    }

    /// The sum of all that was recorded so far.
    pub fn sum(&self) -> u64 {
        self.sum.get()
    }

    /// Adds what was recorded so far to `sample`.
    pub fn add_to(&self, sample: &mut Sample) {
        for (total, bucket) in sample.buckets.iter_mut().zip(&self.buckets) {
            *total += bucket.get();
        }
        sample.sum += self.sum.get();
    }
}

/// The read side: the sum of some histograms at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    buckets: [u64; BUCKETS],
    sum: u64,
}

impl Default for Sample {
    fn default() -> Sample {
        Sample { buckets: [0; BUCKETS], sum: 0 }
    }
}

impl Sample {
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// How many values were less than 2^`bits`.
    pub fn below(&self, bits: u32) -> u64 {
        let beyond = self.buckets.iter().zip(0..).take_while(|(_, index)| end(*index) <= 1 << bits);
        beyond.map(|(count, _)| count).sum()
    }

    /// What was recorded since `earlier`, a sample of the same histograms.
    pub fn since(&self, earlier: &Sample) -> Sample {
        let mut buckets = self.buckets;
        for (count, before) in buckets.iter_mut().zip(&earlier.buckets) {
            *count = count.saturating_sub(*before);
        }
        Sample { buckets, sum: self.sum.saturating_sub(earlier.sum) }
    }

    /// The value that a share `quantile` of all values does not exceed, to an eighth of itself;
    /// `None` if there are none.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let rank = (quantile * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.buckets.iter().zip(0..).find_map(|(count, index)| {
            seen += count;
            (seen >= rank && *count > 0).then(|| end(index) - 1)
        })
    }

    /// The same for times in microseconds.
    pub fn quantile_time(&self, quantile: f64) -> Option<Duration> {
        self.quantile(quantile).map(Duration::from_micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_the_buckets_leave_no_gap() {
        let mut start = 0;
        for index in 0..BUCKETS {
            for value in [start, start + 1, end(index) - 1] {
                if (start..end(index)).contains(&value) {
                    assert_eq!(bucket(value), index, "{value}");
                }
            }
            start = end(index);
        }
        assert_eq!(start, 2 << OCTAVE_MAX);
        assert_eq!((bucket(start), bucket(u64::MAX)), (BUCKETS - 1, BUCKETS - 1));
    }

    #[test]
    fn a_value_is_known_to_an_eighth() {
        for value in [1, 7, 8, 100, 1_000, 123_456, 60_000_000] {
            let histogram = Histogram::default();
            histogram.record(value);
            let mut sample = Sample::default();
            histogram.add_to(&mut sample);
            let told = sample.quantile(0.5).expect("there is a value");
            assert!(told >= value && told <= value + value / 8, "{value} is told as {told}");
            assert_eq!((sample.count(), sample.sum()), (1, value));
        }
    }

    #[test]
    fn quantiles_and_bounds_count_alike() {
        let histogram = Histogram::default();
        (1..=1000).for_each(|value| histogram.record(value));
        let mut sample = Sample::default();
        histogram.add_to(&mut sample);
        assert_eq!((sample.below(0), sample.below(3), sample.below(9)), (0, 7, 511));
        assert_eq!(sample.below(28), 1000);
        let median = sample.quantile(0.5).expect("values");
        assert!((500..=563).contains(&median), "{median}");
        assert_eq!(sample.quantile(1.0), Some(1023));
        let before = sample.clone();
        histogram.record(5);
        let mut after = Sample::default();
        histogram.add_to(&mut after);
        assert_eq!(
            (after.since(&before).count(), after.since(&before).quantile(0.9)),
            (1, Some(5))
        );
        assert_eq!(Sample::default().quantile(0.5), None);
    }
}
