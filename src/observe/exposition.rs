//! The text formats of Prometheus (0.0.4) and OpenMetrics (1.0.0).
//!
//! They differ in three places: OpenMetrics names a counter without its `_total`, wants a decimal
//! point in the bounds of buckets, and ends with `# EOF`.

use std::fmt::{Display, Write};

use crate::measure::histogram::Sample;
use crate::responder::admin::Exposition;

/// What a family of samples is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    Counter,
    Gauge,
    Histogram,
}

/// What the values of a histogram are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds, told in seconds.
    Time,
    Count,
}

/// Label names and values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The highest bound of a bucket is 2 to this.
const BOUND_BITS: u32 = 27;

/// A page of metrics in the making.
#[derive(Debug)]
pub struct Page {
    form: Exposition,
    out: String,
    /// The family that was begun last.
    family: &'static str,
}

impl Page {
    pub fn new(form: Exposition) -> Page {
        Page { form, out: String::with_capacity(64 << 10), family: "" }
    }

    /// Begins a family. All samples of one stand together.
    pub fn family(&mut self, name: &'static str, kind: MetricType, help: &str) {
        self.family = name;
        let told = match (self.form, kind) {
            (Exposition::OpenMetrics, MetricType::Counter) => name.trim_end_matches("_total"),
            _ => name,
        };
        let kind = match kind {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {told} {help}\n# TYPE {told} {kind}"));
    }

    /// One sample of the family.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.named_sample("", labels, None, value);
    }

    /// All samples of one histogram.
    pub fn histogram(&mut self, labels: Labels<'_>, unit: Unit, sample: &Sample) {
        for bits in 0..=BOUND_BITS {
            let bound = match unit {
                Unit::Time => seconds(1 << bits),
                // Of whole numbers, those below 2ⁿ are those up to 2ⁿ - 1.
                Unit::Count => format!("{}.0", (1u64 << bits) - 1),
            };
            self.named_sample("_bucket", labels, Some(&bound), sample.below(bits));
        }
        let count = sample.count();
        self.named_sample("_bucket", labels, Some("+Inf"), count);
        let sum = match unit {
            Unit::Time => seconds(sample.sum()),
            Unit::Count => sample.sum().to_string(),
        };
        self.named_sample("_sum", labels, None, sum);
        self.named_sample("_count", labels, None, count);
    }

    fn named_sample(
        &mut self,
        suffix: &str,
        labels: Labels<'_>,
        bound: Option<&str>,
        value: impl Display,
    ) {
        let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let labels: Vec<String> =
            labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let family = self.family;
        self.line(format_args!("{family}{suffix}{labels} {value}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail, so the result says nothing.
        let _ = writeln!(self.out, "{line}");
    }

    pub fn finish(mut self) -> String {
        if self.form == Exposition::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

/// Microseconds as seconds.
fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(form: Exposition) -> String {
        let mut page = Page::new(form);
        page.family("turns_total", MetricType::Counter, "Turns.");
        page.sample(&[("worker", "0"), ("name", "a\"b\\c")], 7);
        page.family("open", MetricType::Gauge, "Open.");
        page.sample(&[], 1);
        page.finish()
    }

    #[test]
    fn the_formats_differ_where_they_have_to() {
        let sample = "turns_total{worker=\"0\",name=\"a\\\"b\\\\c\"} 7\n";
        let gauge = "# HELP open Open.\n# TYPE open gauge\nopen 1\n";
        assert_eq!(
            page(Exposition::Prometheus),
            format!("# HELP turns_total Turns.\n# TYPE turns_total counter\n{sample}{gauge}")
        );
        assert_eq!(
            page(Exposition::OpenMetrics),
            format!("# HELP turns Turns.\n# TYPE turns counter\n{sample}{gauge}# EOF\n")
        );
    }

    #[test]
    fn times_are_told_in_seconds() {
        assert_eq!(seconds(1), "0.000001");
        assert_eq!(seconds(1 << 27), "134.217728");
        let mut page = Page::new(Exposition::Prometheus);
        page.family("x_seconds", MetricType::Histogram, "X.");
        page.histogram(&[], Unit::Time, &Sample::default());
        let text = page.finish();
        assert!(text.contains("x_seconds_bucket{le=\"0.001024\"} 0\n"), "{text}");
        assert!(text.ends_with("x_seconds_sum 0.000000\nx_seconds_count 0\n"), "{text}");
    }
}
