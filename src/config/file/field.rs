//! Single values: each reader returns what was asked for, or notes why it cannot and returns
//! `None`.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use super::super::problem::{Location, Mistake, Report, nearest};
use super::super::snapshot::TokenPrice;
use super::super::units;
use super::{Lines, Section};

/// A timeout below this is a slip; the longest is a year. The timer counts in milliseconds.
const TIMEOUT_RANGE: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(8_760 * 3_600);

/// A million of the currency for a million tokens.
const PRICE_MAX: u64 = 1_000_000_000_000;

/// A million of the currency, in millionths.
const MONEY_MAX: u64 = 1_000_000_000_000;

/// What people write for "off" or "unlimited".
const WITHOUT_LIMIT: [&str; 8] =
    ["off", "unlimited", "none", "never", "infinite", "inf", "no", "disabled"];

/// One value that is being read.
#[derive(Debug)]
pub(in super::super) struct Field<'d> {
    pub(super) value: &'d DeValue<'d>,
    pub(super) lines: &'d Lines,
    pub(super) place: Location,
}

impl<'d> Field<'d> {
    pub fn place(&self) -> &Location {
        &self.place
    }

    pub fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub fn is_list(&self) -> bool {
        self.value.is_array()
    }

    pub fn is_integer(&self) -> bool {
        self.value.is_integer()
    }

    pub fn is_off(&self) -> bool {
        self.value.as_str() == Some("off")
    }

    pub fn string(&self, report: &mut Report) -> Option<&'d str> {
        let string = self.value.as_str().ok_or_else(|| self.expected("a string"));
        report.noted(&self.place, string)
    }

    /// A string that `read` understands.
    pub fn parsed<T>(
        &self,
        report: &mut Report,
        read: impl FnOnce(&'d str) -> Result<T, Mistake>,
    ) -> Option<T> {
        let string = self.string(report)?;
        report.noted(&self.place, read(string))
    }

    /// A whole number or a truth value, as JSON writes it.
    pub fn literal(&self) -> Option<String> {
        match self.value {
            DeValue::Boolean(is) => Some(is.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
            _ => None,
        }
    }

    pub fn boolean(&self, report: &mut Report) -> Option<bool> {
        let boolean = self.value.as_bool().ok_or_else(|| self.expected("true or false"));
        report.noted(&self.place, boolean)
    }

    /// A whole number in `range`.
    pub fn count<N: TryFrom<u64>>(
        &self,
        range: RangeInclusive<u64>,
        report: &mut Report,
    ) -> Option<N> {
        let count = self.value.as_integer().ok_or_else(|| self.expected("a whole number"));
        let count = count.and_then(|written| {
            let number = number(written).filter(|number| range.contains(number));
            number.and_then(|number| N::try_from(number).ok()).ok_or_else(|| {
                let (least, most) = (range.start(), range.end());
                Mistake::new(format!("must be from {least} to {most}, not {written}"))
            })
        });
        report.noted(&self.place, count)
    }

    /// A number from 0 to 1, such as 0.01.
    pub fn fraction(&self, report: &mut Report) -> Option<f64> {
        let written = match self.value {
            DeValue::Float(written) => Some(written.as_str()),
            DeValue::Integer(written) => Some(written.as_str()),
            _ => None,
        };
        let fraction = written.ok_or_else(|| self.expected("a number from 0 to 1"));
        let fraction = fraction.and_then(|written| {
            let number = written.parse().ok().filter(|number| (0.0..=1.0).contains(number));
            number.ok_or_else(|| Mistake::new(format!("must be from 0 to 1, not {written}")))
        });
        report.noted(&self.place, fraction)
    }

    /// Money for a million tokens, such as 2.50: read digit by digit, for no float is exact.
    pub fn price(&self, report: &mut Report) -> Option<TokenPrice> {
        let written = match self.value {
            DeValue::Float(written) => Some(written.as_str()),
            DeValue::Integer(written) if written.radix() == 10 => Some(written.as_str()),
            _ => None,
        };
        let price = written.ok_or_else(|| self.expected("a number such as 2.50"));
        let price = price.and_then(|written| {
            let price = units::decimal(written, TokenPrice::DECIMALS);
            price.filter(|price| *price <= PRICE_MAX).map(TokenPrice).ok_or_else(|| {
                Mistake::new(format!(
                    "must be from 0 to 1000000 for a million tokens, with {} digits behind the \
                     point at most, not {written}",
                    TokenPrice::DECIMALS
                ))
            })
        });
        report.noted(&self.place, price)
    }

    /// An amount of money, such as 12.50, in billionths of the currency.
    pub fn money(&self, report: &mut Report) -> Option<u64> {
        let written = match self.value {
            DeValue::Float(written) => Some(written.as_str()),
            DeValue::Integer(written) if written.radix() == 10 => Some(written.as_str()),
            _ => None,
        };
        let money = written.ok_or_else(|| self.expected("a number such as 12.50"));
        let money = money.and_then(|written| {
            let millionths = units::decimal(written, TokenPrice::DECIMALS);
            let millionths = millionths.filter(|it| (1..=MONEY_MAX).contains(it));
            millionths.map(|millionths| millionths * 1_000).ok_or_else(|| {
                Mistake::new(format!(
                    "must be from 0.000001 to 1000000, with {} digits behind the point at most, \
                     not {written}",
                    TokenPrice::DECIMALS
                ))
            })
        });
        report.noted(&self.place, money)
    }

    /// A timeout. `Some(None)` is "off".
    pub fn timeout(&self, report: &mut Report) -> Option<Option<Duration>> {
        if self.value.as_str() == Some("off") {
            return Some(None);
        }
        let duration = self.amount("duration", "30s", Some("off"), units::duration);
        let limited = duration.and_then(|duration| match duration.is_zero() {
            true => Err(Mistake::new(
                "a timeout of zero would end everything at once; to have none, write \"off\"",
            )),
            false => within(duration, &TIMEOUT_RANGE, units::show_duration),
        });
        report.noted(&self.place, limited).map(Some)
    }

    /// A duration in `range`, or "off".
    pub fn duration_or_off(
        &self,
        range: RangeInclusive<Duration>,
        report: &mut Report,
    ) -> Option<Option<Duration>> {
        if self.value.as_str() == Some("off") {
            return Some(None);
        }
        let duration = self.amount("duration", "30s", Some("off"), units::duration);
        let limited = duration.and_then(|duration| within(duration, &range, units::show_duration));
        report.noted(&self.place, limited).map(Some)
    }

    /// A duration in `range` that cannot be "off".
    pub fn duration(
        &self,
        range: RangeInclusive<Duration>,
        report: &mut Report,
    ) -> Option<Duration> {
        let duration = self.amount("duration", "30s", None, units::duration);
        let limited = duration.and_then(|duration| within(duration, &range, units::show_duration));
        report.noted(&self.place, limited)
    }

    /// A size in `range`. `Some(None)` is `word`, where there is one.
    pub fn size(
        &self,
        range: RangeInclusive<u64>,
        word: Option<&'static str>,
        report: &mut Report,
    ) -> Option<Option<u64>> {
        if word.is_some() && self.value.as_str() == word {
            return Some(None);
        }
        let size = self.amount("size", "64KiB", word, units::size);
        let limited = size.and_then(|size| within(size, &range, units::show_size));
        report.noted(&self.place, limited).map(Some)
    }

    /// One of the words.
    pub fn choice<T: Clone>(
        &self,
        choices: &[(&'static str, T)],
        report: &mut Report,
    ) -> Option<T> {
        self.parsed(report, |written| {
            if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == written) {
                return Ok(choice.clone());
            }
            let words = choices.iter().map(|(word, _)| format!("{word:?}"));
            let words = words.collect::<Vec<_>>().join(" or ");
            let mistake = Mistake::new(format!("must be {words}, not {written:?}"));
            Err(match nearest(written, choices.iter().map(|(word, _)| *word)) {
                Some(meant) => mistake.meant(meant),
                None => mistake,
            })
        })
    }

    /// The elements of a list.
    pub fn list(&self, report: &mut Report) -> Option<Vec<Field<'d>>> {
        let list = self.value.as_array().ok_or_else(|| self.expected("a list, [ … ]"));
        let list = report.noted(&self.place, list)?;
        Some(list.iter().enumerate().map(|(index, value)| self.element(index, value)).collect())
    }

    /// The elements of a list, or a string alone, which is a list of one.
    pub fn one_or_list(&self, report: &mut Report) -> Option<Vec<Field<'d>>> {
        match self.value.is_str() {
            true => Some(vec![Field { place: self.place.clone(), ..*self }]),
            false => self.list(report),
        }
    }

    /// The table, or an empty one if it is none.
    pub fn section(&self, report: &mut Report) -> Section<'d> {
        let table = self.value.as_table().ok_or_else(|| self.expected("a table"));
        Section::new(report.noted(&self.place, table), self.lines, self.place.clone())
    }

    pub fn expected(&self, what: &str) -> Mistake {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        Mistake::new(format!("must be {what}, not {found}"))
    }

    fn element(&self, index: usize, value: &'d Spanned<DeValue<'d>>) -> Field<'d> {
        let place = Location {
            line: Some(self.lines.line(value.span().start)),
            key: format!("{}[{index}]", self.place.key),
        };
        Field { value: value.get_ref(), lines: self.lines, place }
    }

    /// An amount with a unit. `word` is what lifts this limit, if anything does.
    fn amount<T>(
        &self,
        kind: &str,
        example: &str,
        word: Option<&str>,
        read: fn(&str) -> Result<T, Mistake>,
    ) -> Result<T, Mistake> {
        match self.value {
            // Zero is the one number that needs no unit.
            DeValue::Integer(written) if number(written) == Some(0) => read("0"),
            DeValue::Integer(written) => Err(Mistake::new(format!(
                "{written} has no unit: a {kind} is a string such as {example:?}"
            ))),
            DeValue::String(text) if WITHOUT_LIMIT.contains(&text.as_ref()) => Err(match word {
                Some(word) => Mistake::new(format!("{text:?} is no {kind}")).meant(word),
                None => Mistake::new(format!("cannot be {text:?}: this limit always holds")),
            }),
            DeValue::String(text) => read(text),
            _ => Err(self.expected(&format!("a {kind} such as {example:?}"))),
        }
    }
}

/// The number if it is one that a count can be: neither negative nor beyond 64 bits.
fn number(written: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(written.as_str(), written.radix()).ok()
}

fn within<T: PartialOrd + Copy>(
    value: T,
    range: &RangeInclusive<T>,
    show: fn(T) -> String,
) -> Result<T, Mistake> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (show(*range.start()), show(*range.end()));
    Err(Mistake::new(format!("must be from {least:?} to {most:?}, not {:?}", show(value))))
}
