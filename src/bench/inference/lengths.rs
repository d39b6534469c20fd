//! How long prompts and answers are: a distribution of numbers of tokens.
//!
//! ```text
//!   512                        always
//!   uniform:100..900           each length from 100 to 900 equally often
//!   normal:512,128             mean and deviation
//!   lognormal:512,256          mean and deviation of the length itself, not of its logarithm
//!   normal:512,128,1..1024     any of the two within bounds; what lies outside is moved to them
//! ```

use std::fmt;
use std::str::FromStr;

use super::draw;
use crate::proxy::random::Random;

/// Longer than any context.
const MOST: u32 = 10_000_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Fixed,
    Uniform,
    Normal,
    Lognormal,
}

/// A distribution of lengths, at least 1 each.
#[derive(Clone, Debug, PartialEq)]
pub struct Lengths {
    form: Form,
    mean: f64,
    deviation: f64,
    low: u32,
    high: u32,
    /// As it was written.
    text: String,
}

impl Lengths {
    /// Always this many.
    pub fn fixed(length: u32) -> Lengths {
        let length = length.clamp(1, MOST);
        Lengths {
            form: Form::Fixed,
            mean: f64::from(length),
            deviation: 0.0,
            low: length,
            high: length,
            text: length.to_string(),
        }
    }

    pub fn draw(&self, random: &mut Random) -> u32 {
        let length = match self.form {
            Form::Fixed => return self.low,
            Form::Uniform => {
                return self.low + random.below(u64::from(self.high - self.low) + 1) as u32;
            }
            Form::Normal => self.mean + self.deviation * draw::normal(random),
            Form::Lognormal => {
                let variance = (self.deviation / self.mean).powi(2).ln_1p();
                let middle = self.mean.ln() - variance / 2.0;
                (middle + variance.sqrt() * draw::normal(random)).exp()
            }
        };
        // A cast saturates, so no draw is too far out for it.
        (length.round() as u32).clamp(self.low, self.high)
    }
}

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn count(text: &str) -> Result<u32, String> {
    let number = text.trim().parse().ok().filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| format!("`{}` is no number of tokens from 1 to {MOST}", text.trim()))
}

fn range(text: &str) -> Result<(u32, u32), String> {
    let (low, high) = text.split_once("..").ok_or("a range is written LOW..HIGH")?;
    let (low, high) = (count(low)?, count(high)?);
    if low > high {
        return Err(format!("the range {low}..{high} is empty"));
    }
    Ok((low, high))
}

impl FromStr for Lengths {
    type Err = String;

    fn from_str(text: &str) -> Result<Lengths, String> {
        let Some((name, rest)) = text.split_once(':') else {
            return count(text).map(Lengths::fixed).map_err(|_| {
                "must be COUNT, uniform:LOW..HIGH, normal:MEAN,DEVIATION or \
                 lognormal:MEAN,DEVIATION, the last two with bounds if wanted (,LOW..HIGH)"
                    .to_owned()
            });
        };
        let form = match name {
            "fixed" => return count(rest).map(Lengths::fixed),
            "uniform" => Form::Uniform,
            "normal" => Form::Normal,
            "lognormal" => Form::Lognormal,
            other => return Err(format!("there is no distribution `{other}`")),
        };
        let text = text.to_owned();
        if form == Form::Uniform {
            let (low, high) = range(rest)?;
            let mean = (f64::from(low) + f64::from(high)) / 2.0;
            return Ok(Lengths { form, mean, deviation: 0.0, low, high, text });
        }
        let mut parts = rest.splitn(3, ',');
        let mut number = |what: &str| {
            let value = parts.next().and_then(|part| part.trim().parse::<f64>().ok());
            let value = value.filter(|value| value.is_finite() && *value >= 0.0);
            value.ok_or_else(|| format!("the {what} is missing, or no number"))
        };
        let (mean, deviation) = (number("mean")?, number("deviation")?);
        if mean < 1.0 || mean > f64::from(MOST) {
            return Err(format!("the mean must be from 1 to {MOST}"));
        }
        let (low, high) = parts.next().map_or(Ok((1, MOST)), range)?;
        Ok(Lengths { form, mean, deviation, low, high, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str) -> Vec<u32> {
        let lengths: Lengths = text.parse().expect(text);
        let mut random = Random::new(5);
        (0..50_000).map(|_| lengths.draw(&mut random)).collect()
    }

    fn mean_and_deviation(drawn: &[u32]) -> (f64, f64) {
        let count = drawn.len() as f64;
        let mean = drawn.iter().copied().map(f64::from).sum::<f64>() / count;
        let squares = drawn.iter().map(|length| (f64::from(*length) - mean).powi(2));
        (mean, (squares.sum::<f64>() / count).sqrt())
    }

    #[test]
    fn lengths_are_distributed_as_they_are_written() {
        for (text, mean, deviation) in [
            ("512", 512.0, 0.0),
            ("fixed:7", 7.0, 0.0),
            ("uniform:100..300", 200.0, 58.0),
            ("normal:512,64", 512.0, 64.0),
            ("lognormal:512,256", 512.0, 256.0),
        ] {
            let found = mean_and_deviation(&drawn(text));
            let near = |a: f64, b: f64| (a - b).abs() <= 0.03 * b + 0.01;
            assert!(near(found.0, mean) && near(found.1, deviation), "{text}: {found:?}");
        }
    }

    #[test]
    fn bounds_hold_and_are_reached() {
        let ends = |text| {
            let all = drawn(text);
            (all.iter().min().copied(), all.iter().max().copied())
        };
        assert_eq!(ends("uniform:3..5"), (Some(3), Some(5)));
        assert_eq!(ends("normal:10,50,4..20"), (Some(4), Some(20)));
        assert_eq!(ends("normal:2,50").0, Some(1), "there is no prompt of nothing");
    }

    #[test]
    fn what_is_no_distribution_is_refused_with_its_reason() {
        for (text, part) in [
            ("", "must be COUNT"),
            ("0", "must be COUNT"),
            ("many", "must be COUNT"),
            ("uniform:9..3", "empty"),
            ("uniform:9", "LOW..HIGH"),
            ("normal:512", "deviation"),
            ("normal:0,1", "mean"),
            ("normal:NaN,1", "mean"),
            ("pareto:1,2", "no distribution"),
        ] {
            let why = text.parse::<Lengths>().expect_err(text);
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
