//! Charts as inline SVG: lines over levels of load, and points over time.
//!
//! * A line is told apart by its colour, its dashes and the form of its marks, so that no reader depends
//!   on colour.
//! * Every chart has a title and a description for those who do not see it; its numbers stand in a table
//!   of the page as well.
//! * Colours are those of the page, which follow the reader's light or dark scheme.
//!
//! Pure: numbers in, text out. Writing into a string does not fail, so results of `write!` are let go.

use std::fmt::Write;

use super::print::number;
use crate::bench::plot::{colour, escaped};

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 544.0;
const BOTTOM: f64 = 276.0;
/// Below the title; the legend takes a line.
const TOP: f64 = 62.0;
const LEGEND_STEP: f64 = 118.0;
const DASHES: [&str; 4] = ["none", "7 4", "2 3", "9 3 2 3"];
/// More points than that say no more.
const POINTS_MAX: usize = 4_000;
/// More labels than that run into each other.
const LABELS_MAX: usize = 10;

/// Values of one name, each over its place on the x axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// What lies on the x axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Across {
    /// Places 0, 1, 2 … have these names.
    Places(Vec<String>),
    /// Numbers from 0 to this.
    Seconds(f64),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Chart<'a> {
    pub title: &'a str,
    pub unit: &'a str,
    pub across: Across,
    pub series: Vec<Series>,
}

impl Chart<'_> {
    /// The chart as SVG; `None`: there is nothing to see.
    pub fn svg(&self) -> Option<String> {
        let values = || self.series.iter().flat_map(|series| &series.points).map(|(_, y)| *y);
        let greatest = values().filter(|value| value.is_finite()).fold(0.0, f64::max);
        values().next()?;
        let greatest = if greatest > 0.0 { greatest } else { 1.0 };
        let step = step(greatest / 5.0);
        let high = (greatest / step).ceil() * step;
        let mut text = String::new();
        let _ = write!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\
             <title>{title}</title><desc>{desc}</desc>\
             <text class=\"c-title\" x=\"16\" y=\"24\">{title}</text>\
             <text class=\"c-faint\" x=\"{RIGHT}\" y=\"24\" text-anchor=\"end\">{unit}</text>",
            title = escaped(self.title),
            desc = escaped(&self.described()),
            unit = escaped(self.unit),
        );
        grid(step, high, &mut text);
        self.labels(&mut text);
        let points = matches!(self.across, Across::Seconds(_));
        for (index, series) in self.series.iter().enumerate() {
            if self.series.len() > 1 {
                legend(index, &series.name, points, &mut text);
            }
            self.draw(index, series, high, &mut text);
        }
        text.push_str("</svg>\n");
        Some(text)
    }

    /// The chart in words.
    fn described(&self) -> String {
        let each = self.series.iter().filter_map(|series| {
            let mut seen = series.points.iter().filter(|(_, y)| y.is_finite());
            let first = seen.next()?;
            let last = seen.next_back().unwrap_or(first);
            let (from, to) = (number(Some(first.1)), number(Some(last.1)));
            Some(format!("{} from {from} to {to} {}", series.name, self.unit))
        });
        each.collect::<Vec<_>>().join("; ")
    }

    fn x(&self, place: f64) -> f64 {
        let share = match &self.across {
            Across::Places(names) if names.len() < 2 => 0.5,
            // Half a place of air on both sides.
            Across::Places(names) => (place + 0.25) / (names.len() as f64 - 0.5),
            Across::Seconds(last) => place / last.max(1e-9),
        };
        LEFT + (RIGHT - LEFT) * share
    }

    fn labels(&self, text: &mut String) {
        let mut label = |place: f64, name: &str| {
            let _ = write!(
                text,
                "<text class=\"c-text\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                self.x(place),
                BOTTOM + 20.0,
                escaped(name),
            );
        };
        match &self.across {
            Across::Places(names) => {
                let every = names.len().div_ceil(LABELS_MAX).max(1);
                for (place, name) in names.iter().enumerate().step_by(every) {
                    label(place as f64, name);
                }
            }
            Across::Seconds(last) => {
                let step = step(last.max(1e-9) / 6.0);
                let count = (last / step) as usize;
                (0..=count).for_each(|k| {
                    let at = k as f64 * step;
                    label(at, &format!("{} s", short(at)));
                });
            }
        }
    }

    fn draw(&self, index: usize, series: &Series, high: f64, text: &mut String) {
        let place = |(x, y): &(f64, f64)| {
            (self.x(*x), BOTTOM - (BOTTOM - TOP) * (y / high).clamp(0.0, 1.0))
        };
        let lines = matches!(self.across, Across::Places(_));
        let every = series.points.len().div_ceil(POINTS_MAX).max(1);
        let seen = series.points.iter().filter(|(_, y)| y.is_finite());
        let points: Vec<(f64, f64)> = seen.step_by(every).map(place).collect();
        if lines && points.len() > 1 {
            let _ = write!(
                text,
                "<polyline class=\"c-line\" stroke=\"{}\" stroke-dasharray=\"{}\" points=\"",
                colour(index),
                DASHES[index % DASHES.len()],
            );
            points.iter().for_each(|(x, y)| {
                let _ = write!(text, "{x:.1},{y:.1} ");
            });
            text.push_str("\"/>");
        }
        for (x, y) in points {
            mark(index, (x, y), if lines { 4.0 } else { 2.2 }, text);
        }
    }
}

fn grid(step: f64, high: f64, text: &mut String) {
    let count = (high / step).round() as usize;
    for k in 0..=count {
        let value = k as f64 * step;
        let y = BOTTOM - (BOTTOM - TOP) * value / high;
        let _ = write!(
            text,
            "<line class=\"{}\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"c-text\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            if k == 0 { "c-axis" } else { "c-grid" },
            LEFT - 8.0,
            y + 4.0,
            short(value),
        );
    }
}

fn legend(index: usize, name: &str, points: bool, text: &mut String) {
    let x = LEFT + LEGEND_STEP * index as f64;
    if !points {
        let _ = write!(
            text,
            "<line class=\"c-line\" stroke=\"{}\" stroke-dasharray=\"{}\" x1=\"{x:.1}\" x2=\"{:.1}\" \
             y1=\"44\" y2=\"44\"/>",
            colour(index),
            DASHES[index % DASHES.len()],
            x + 24.0,
        );
    }
    mark(index, (x + 12.0, 44.0), 4.0, text);
    let _ = write!(
        text,
        "<text class=\"c-text\" x=\"{:.1}\" y=\"48\">{}</text>",
        x + 30.0,
        escaped(name),
    );
}

/// A mark whose form tells its series.
fn mark(index: usize, (x, y): (f64, f64), size: f64, text: &mut String) {
    let fill = colour(index);
    let _ = match index % 4 {
        0 => write!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{size}\" fill=\"{fill}\"/>"),
        1 => write!(
            text,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{w}\" height=\"{w}\" fill=\"{fill}\"/>",
            x - size * 0.9,
            y - size * 0.9,
            w = size * 1.8,
        ),
        2 => write!(
            text,
            "<path d=\"M{x:.1} {:.1}l{s} {t}h-{t}z\" fill=\"{fill}\"/>",
            y - size,
            s = size,
            t = size * 2.0,
        ),
        _ => write!(
            text,
            "<path d=\"M{x:.1} {:.1}l{size} {size}l-{size} {size}l-{size} -{size}z\" fill=\"{fill}\"/>",
            y - size,
        ),
    };
}

/// 1, 2 or 5 of a power of ten, not below `least`.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    // Ten powers are never below what a power was made of, but for rounding.
    steps.into_iter().find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

fn short(value: f64) -> String {
    match value {
        value if value >= 10_000.0 => format!("{}k", short(value / 1_000.0)),
        value => format!("{}", (value * 1e6).round() / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(across: Across, series: &[(&str, &[(f64, f64)])]) -> Option<String> {
        let series = series
            .iter()
            .map(|(name, points)| Series { name: (*name).to_owned(), points: points.to_vec() })
            .collect();
        Chart { title: "a < b", unit: "ms", across, series }.svg()
    }

    fn places(count: usize) -> Across {
        Across::Places((1..=count).map(|place| place.to_string()).collect())
    }

    #[test]
    fn a_line_rises_with_its_values_and_stays_in_its_frame() {
        let svg =
            chart(places(3), &[("p50", &[(0.0, 1.0), (1.0, 2.0), (2.0, 4.0)])]).expect("a chart");
        let points = svg.split("points=\"").nth(1).and_then(|rest| rest.split('"').next());
        let pair = |text: &str| {
            let (x, y) = text.split_once(',').expect("a pair");
            (x.parse().expect("a number"), y.parse().expect("a number"))
        };
        let points: Vec<(f64, f64)> =
            points.expect("a line").split_whitespace().map(pair).collect();
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 > pair[1].1));
        assert!(
            points.iter().all(|(x, y)| (LEFT..=RIGHT).contains(x) && (TOP..=BOTTOM).contains(y))
        );
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(
            svg.contains("<title>a &lt; b</title><desc>p50 from 1.00 to 4.00 ms</desc>"),
            "{svg}"
        );
    }

    #[test]
    fn lines_differ_in_more_than_their_colour() {
        let line: &[(f64, f64)] = &[(0.0, 1.0), (1.0, 2.0)];
        let svg = chart(places(2), &[("p50", line), ("p99", line)]).expect("a chart");
        assert!(
            svg.contains("stroke-dasharray=\"none\"") && svg.contains("stroke-dasharray=\"7 4\"")
        );
        assert!(svg.contains("<circle") && svg.contains("<rect"));
        assert!(svg.contains(">p50<") && svg.contains(">p99<"));
    }

    #[test]
    fn nothing_is_no_chart_and_odd_numbers_still_are_one() {
        assert_eq!(chart(places(2), &[("p50", &[])]), None);
        let odd: &[(f64, f64)] = &[(0.0, 0.0), (1.0, f64::INFINITY)];
        for across in [places(1), Across::Seconds(0.0), Across::Seconds(60.0)] {
            let svg = chart(across, &[("p50", odd)]).expect("a chart");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn steps_are_those_that_people_count_in() {
        let steps = [0.3, 1.0, 1.1, 7.0, 130.0].map(step);
        assert_eq!(steps, [0.5, 1.0, 2.0, 10.0, 200.0]);
        assert_eq!([0.5, 250.0, 20_000.0].map(short), ["0.5", "250", "20k"]);
    }
}
