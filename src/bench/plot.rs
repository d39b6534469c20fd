//! Percentile plots: latency over percentile, a curve for each target, as SVG text.
//!
//! * The percentile axis is that of HdrHistogram's plots: each step of the same width has a tenth
//!   of the samples above it, so the tail has the room that it deserves.
//! * The latency axis is logarithmic: the same distance is the same ratio anywhere.
//! * A curve ends where fewer than ten samples lie above it; further out it would be an anecdote.
//! * The picture is whole by itself: no script, no font, no address. Its colours follow the reader's
//!   light or dark scheme.
//!
//! Pure: curves in, text out.

use std::fmt::Write;

use hdrhistogram::Histogram;

use super::print;
use super::record::Record;
use super::report::{self, Report};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 870.0;
const BOTTOM: f64 = 460.0;
/// Below title and subtitle; the legend takes more for each target.
const HEAD: f64 = 70.0;
const LEGEND_LINE: f64 = 20.0;

/// Points of a curve for each tenfold of the samples.
const POINTS_PER_DECADE: usize = 60;
/// A curve ends where only this many samples are left above it.
const SAMPLES_ABOVE: f64 = 10.0;
/// The axis shows at least 99 % and at most 99.9999 %.
const DECADES: (f64, f64) = (2.0, 6.0);

/// Told apart by people who see red and green alike, on white and on black.
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"];

const STYLE: &str = "\
.page{fill:#fff}.text{fill:#222;font:13px system-ui,sans-serif}.title{font-size:17px;font-weight:600}\
.faint{fill:#666}.grid{stroke:#ddd}.axis{stroke:#888}.curve{fill:none;stroke-width:2}\
@media(prefers-color-scheme:dark){.page{fill:#14171a}.text{fill:#e6e6e6}.faint{fill:#a0a0a0}\
.grid{stroke:#33383d}.axis{stroke:#888}}";

/// The distribution of one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    pub name: String,
    /// Samples that it is made of.
    pub count: u64,
    /// Tenfolds of samples passed by (0 at the minimum, 1 at 90 %, 2 at 99 %), and nanoseconds.
    /// Both rise.
    points: Vec<(f64, f64)>,
    p50: u64,
    p99: u64,
}

impl Curve {
    /// `None` if there is nothing in the histogram.
    pub fn of(name: &str, histogram: &Histogram<u64>) -> Option<Curve> {
        if histogram.is_empty() {
            return None;
        }
        let count = histogram.len();
        let end = (count as f64 / SAMPLES_ABOVE).log10().clamp(0.0, DECADES.1);
        let steps = (end * POINTS_PER_DECADE as f64) as usize;
        let at = |decades: f64| {
            let value = histogram.value_at_quantile(1.0 - 10_f64.powf(-decades));
            (decades, value.max(1) as f64)
        };
        let even = (0..=steps).map(|step| at(step as f64 / POINTS_PER_DECADE as f64));
        let points = even.chain([at(end)]).collect();
        let (p50, p99) = (histogram.value_at_quantile(0.5), histogram.value_at_quantile(0.99));
        Some(Curve { name: name.to_owned(), count, points, p50, p99 })
    }
}

/// What is plotted, in words.
#[derive(Clone, Copy, Debug)]
pub struct Caption<'a> {
    pub title: &'a str,
    pub subtitle: &'a str,
}

/// The latencies, beginning with the one that says most.
const LATENCIES: [&str; 4] = ["token_latency", "request_latency", "token_gap", "first_token"];

/// A picture for each latency that was measured, all rounds together. `records` belong to the
/// targets of the report.
pub fn pictures(report: &Report, records: &[Record]) -> Vec<String> {
    let subtitle = print::plan(&report.plan);
    let picture = |latency: &str| {
        let curves: Vec<Curve> = report
            .targets
            .iter()
            .zip(records)
            .filter_map(|(target, record)| {
                let mut measured = report::histograms(record);
                let (_, histogram) = measured.find(|(name, _)| *name == latency)?;
                Curve::of(&target.name, histogram)
            })
            .collect();
        let title = latency.replace('_', " ");
        (!curves.is_empty()).then(|| svg(Caption { title: &title, subtitle: &subtitle }, &curves))
    };
    LATENCIES.into_iter().filter_map(picture).collect()
}

/// The picture as an SVG document. Writing into a string does not fail.
pub fn svg(caption: Caption<'_>, curves: &[Curve]) -> String {
    let axes = Axes::around(curves);
    let mut text = String::new();
    let _ = write!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\
         <title>{title}</title><style>{STYLE}</style>\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\
         <text class=\"text title\" x=\"{LEFT}\" y=\"28\">{title}</text>\
         <text class=\"text faint\" x=\"{LEFT}\" y=\"50\">{subtitle}</text>",
        title = escaped(caption.title),
        subtitle = escaped(caption.subtitle),
    );
    axes.draw(&mut text);
    for (index, curve) in curves.iter().enumerate() {
        legend(index, curve, &mut text);
        axes.draw_curve(index, curve, &mut text);
    }
    text.push_str("</svg>\n");
    text
}

/// A page of several pictures.
pub fn html(title: &str, pictures: &[String]) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{}</title>\
         <style>body{{margin:2rem auto;max-width:60rem}}svg{{width:100%;margin-bottom:2rem}}</style>\
         </head><body>\n{}</body></html>\n",
        escaped(title),
        pictures.concat(),
    )
}

/// Where a value lies in the picture.
struct Axes {
    top: f64,
    decades: f64,
    /// Powers of ten of the least and the greatest latency shown.
    low: f64,
    high: f64,
}

impl Axes {
    fn around(curves: &[Curve]) -> Axes {
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let furthest = points().map(|(decades, _)| *decades).fold(0.0, f64::max);
        let least = points().map(|(_, value)| *value).fold(f64::MAX, f64::min).min(1e12);
        let greatest = points().map(|(_, value)| *value).fold(1.0, f64::max).max(least);
        // A little air, so that no curve lies on the frame.
        let (low, high) = (least.log10() - 0.05, greatest.log10() + 0.05);
        Axes {
            top: HEAD + LEGEND_LINE * curves.len() as f64,
            decades: furthest.clamp(DECADES.0, DECADES.1),
            low,
            high,
        }
    }

    fn x(&self, decades: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * decades / self.decades
    }

    fn y(&self, nanos: f64) -> f64 {
        BOTTOM - (BOTTOM - self.top) * (nanos.log10() - self.low) / (self.high - self.low)
    }

    fn draw(&self, text: &mut String) {
        for (label, decades) in percentile_ticks(self.decades) {
            let x = self.x(decades);
            let _ = write!(
                text,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{BOTTOM}\"/>\
                 <text class=\"text\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
                self.top,
                BOTTOM + 20.0,
            );
        }
        for nanos in latency_ticks(self.low, self.high) {
            let y = self.y(nanos);
            let _ = write!(
                text,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"text\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                span(nanos),
            );
        }
        let _ = write!(
            text,
            "<path class=\"axis\" fill=\"none\" d=\"M{LEFT} {:.1}V{BOTTOM}H{RIGHT}\"/>\
             <text class=\"text faint\" x=\"{RIGHT}\" y=\"{:.1}\" text-anchor=\"end\">percentile</text>",
            self.top,
            BOTTOM + 42.0,
        );
    }

    fn draw_curve(&self, index: usize, curve: &Curve, text: &mut String) {
        let _ = write!(text, "<polyline class=\"curve\" stroke=\"{}\" points=\"", colour(index));
        for (decades, nanos) in &curve.points {
            let _ = write!(text, "{:.1},{:.1} ", self.x(*decades), self.y(*nanos));
        }
        text.push_str("\"/>");
    }
}

fn legend(index: usize, curve: &Curve, text: &mut String) {
    let y = HEAD + LEGEND_LINE * index as f64;
    let _ = write!(
        text,
        "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"22\" height=\"4\" fill=\"{}\"/>\
         <text class=\"text\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
         <text class=\"text faint\" x=\"{:.1}\" y=\"{:.1}\">p50 {}, p99 {}, {} samples</text>",
        y - 6.0,
        colour(index),
        LEFT + 32.0,
        y,
        escaped(&curve.name),
        LEFT + 200.0,
        y,
        span(curve.p50 as f64),
        span(curve.p99 as f64),
        curve.count,
    );
}

pub(super) fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

/// Labels of the percentile axis, and how many tenfolds from its beginning each stands.
fn percentile_ticks(decades: f64) -> impl Iterator<Item = (&'static str, f64)> {
    let known = [
        ("0 %", 0.0),
        ("50 %", 2_f64.log10()),
        ("90 %", 1.0),
        ("99 %", 2.0),
        ("99.9 %", 3.0),
        ("99.99 %", 4.0),
        ("99.999 %", 5.0),
        ("99.9999 %", 6.0),
    ];
    known.into_iter().filter(move |(_, at)| *at <= decades + 1e-9)
}

/// 1, 2 and 5 of each power of ten between two powers; only powers where that would be a crowd.
fn latency_ticks(low: f64, high: f64) -> Vec<f64> {
    let steps: &[f64] = if high - low > 4.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let powers = low.floor() as i32..=high.ceil() as i32;
    let all = powers.flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)));
    all.filter(|nanos| (low..=high).contains(&nanos.log10())).collect()
}

/// Nanoseconds as people say them, with three digits.
fn span(nanos: f64) -> String {
    let (value, unit) = match nanos {
        nanos if nanos >= 1e9 => (nanos / 1e9, "s"),
        nanos if nanos >= 1e6 => (nanos / 1e6, "ms"),
        nanos if nanos >= 1e3 => (nanos / 1e3, "µs"),
        nanos => (nanos, "ns"),
    };
    let digits = if value >= 100.0 { 0 } else { usize::from(value >= 10.0) };
    let digits = if value < 10.0 { 2 } else { digits };
    let text = format!("{value:.digits$}");
    let short = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{short} {unit}")
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(nanos: impl Iterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = Histogram::<u64>::new(3).expect("three digits");
        nanos.for_each(|nanos| histogram.record(nanos).expect("it fits"));
        histogram
    }

    /// 1 µs, 2 µs … 100 ms.
    fn ramp() -> Curve {
        Curve::of("ramp", &histogram((1..=100_000).map(|k| k * 1_000))).expect("samples")
    }

    /// The coordinates of the first curve.
    fn drawn(svg: &str) -> Vec<(f64, f64)> {
        let points = svg.split("points=\"").nth(1).and_then(|rest| rest.split('"').next());
        let pair = |text: &str| {
            let (x, y) = text.split_once(',').expect("a pair");
            (x.parse().expect("a number"), y.parse().expect("a number"))
        };
        points.expect("a curve").split_whitespace().map(pair).collect()
    }

    const CAPTION: Caption<'_> = Caption { title: "a < b & c", subtitle: "\"quoted\"" };

    #[test]
    fn each_tenfold_of_samples_has_the_same_width() {
        let svg = svg(CAPTION, &[ramp()]);
        for (label, decades) in percentile_ticks(4.0) {
            let x = LEFT + (RIGHT - LEFT) * decades / 4.0;
            assert!(
                svg.contains(&format!("x=\"{x:.1}\" y=\"480.0\" text-anchor=\"middle\">{label}<"))
            );
        }
        assert!(!svg.contains("99.999 %"), "100,000 samples say nothing of it");
    }

    #[test]
    fn a_curve_passes_its_percentiles() {
        let curve = ramp();
        for (decades, expected) in [(0.0, 1e3), (1.0, 90e6), (2.0, 99e6), (4.0, 99.99e6)] {
            let near = |(at, _): &&(f64, f64)| (at - decades).abs() < 1e-9;
            let (_, nanos) = curve.points.iter().find(near).expect("a point");
            assert!((nanos / expected - 1.0).abs() < 2e-3, "{decades}: {nanos}");
        }
        assert_eq!(curve.points.last().map(|(decades, _)| *decades), Some(4.0));
    }

    #[test]
    fn curves_rise_to_the_right_and_stay_inside_the_frame() {
        let tight = Curve::of("tight", &histogram([5_000_u64; 40].into_iter())).expect("samples");
        for curve in [ramp(), tight] {
            let points = drawn(&svg(CAPTION, &[curve]));
            assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 >= pair[1].1));
            let inside = |(x, y): &(f64, f64)| {
                (LEFT..=RIGHT).contains(x) && (HEAD + LEGEND_LINE..=BOTTOM).contains(y)
            };
            assert!(points.iter().all(inside), "{points:?}");
        }
    }

    #[test]
    fn the_picture_is_whole_by_itself_and_its_words_are_escaped() {
        let curves: Vec<Curve> = (0..9).map(|_| ramp()).collect();
        let svg = svg(CAPTION, &curves);
        assert!(svg.contains("a &lt; b &amp; c") && svg.contains("&quot;quoted&quot;"));
        assert_eq!(svg.matches("<polyline").count(), 9);
        assert_eq!(svg.matches("http").count(), 1, "the name of the format alone");
        for outside in ["href", "url(", "@import", "<script"] {
            assert!(!svg.contains(outside), "{outside}");
        }
        let page = html("t", &[svg.clone(), svg]);
        assert!(page.starts_with("<!doctype html>") && page.matches("</svg>").count() == 2);
    }

    #[test]
    fn nothing_measured_is_no_curve_and_still_a_picture() {
        assert_eq!(Curve::of("empty", &histogram(std::iter::empty())), None);
        let svg = svg(CAPTION, &[]);
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn spans_are_said_as_people_say_them() {
        let said = [1.0, 950.0, 1_000.0, 12_340.0, 250_000.0, 2e6, 1.5e9].map(span);
        assert_eq!(said, ["1 ns", "950 ns", "1 µs", "12.3 µs", "250 µs", "2 ms", "1.5 s"]);
        let ticks = latency_ticks(3.2, 4.1);
        assert_eq!(ticks, [2_000.0, 5_000.0, 10_000.0]);
        assert_eq!(latency_ticks(3.0, 8.0).len(), 6, "powers of ten alone");
    }
}
