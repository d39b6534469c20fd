//! `.hgrm`: the percentile distribution as HdrHistogram's tools and plotters read it.

use std::fmt::Write;

use hdrhistogram::Histogram;

/// Lines for each halving of what is left above a percentile.
const TICKS_PER_HALF_DISTANCE: u32 = 5;
const NANOS_PER_MICRO: f64 = 1_000.0;

/// The distribution of a histogram of nanoseconds, in microseconds.
pub fn text(histogram: &Histogram<u64>) -> String {
    let mut text = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n".to_owned();
    let mut total = 0;
    // Writing into a string does not fail.
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        total += step.count_since_last_iteration();
        let value = step.value_iterated_to() as f64 / NANOS_PER_MICRO;
        let quantile = step.quantile_iterated_to();
        let _ = write!(text, "{value:12.3} {quantile:2.12} {total:10}");
        let _ = match 1.0 - quantile {
            rest if rest > 0.0 => writeln!(text, " {:14.2}", 1.0 / rest),
            _ => writeln!(text),
        };
    }
    let _ = write!(
        text,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]\n\
         #[Max     = {:12.3}, Total count    = {:12}]\n\
         #[Buckets = {:12}, SubBuckets     = {:12}]\n",
        histogram.mean() / NANOS_PER_MICRO,
        histogram.stdev() / NANOS_PER_MICRO,
        histogram.max() as f64 / NANOS_PER_MICRO,
        histogram.len(),
        histogram.buckets(),
        2 * histogram.distinct_values() / (usize::from(histogram.buckets()) + 1),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_rises_to_the_last_value() {
        let mut histogram = Histogram::<u64>::new(3).expect("three digits");
        (1..=1_000_u64).for_each(|micros| histogram.record(micros * 1_000).expect("it fits"));
        let text = text(&histogram);
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .take_while(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|n| n.parse().expect("a number")).collect())
            .collect();
        assert!(rows.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1]));
        let last = rows.last().expect("rows");
        assert_eq!((last[1], last[2]), (1.0, 1_000.0));
        assert!((last[0] - 1_000.0).abs() < 1.0, "{last:?}");
        assert!(text.contains("Total count    =         1000]"), "{text}");
        assert!(text.contains("SubBuckets     =         2048]"), "three digits: {text}");
    }
}
