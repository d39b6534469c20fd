//! Amounts with a unit: durations such as `"30s"`, sizes such as `"64KiB"`.
//!
//! An amount is one whole number and one unit, nothing between and nothing after. Zero needs no
//! unit. `"off"` and `"unlimited"` are no amounts; whoever reads a key knows whether it has them.
//!
//! Absent on purpose: fractions (`"1500ms"` says it exactly), decimal sizes (`"64KB"` would be read
//! as 64,000 by one half of the readers) and bare numbers (the reader would have to guess the unit).

use std::time::Duration;

use super::problem::Mistake;

const DURATION_UNITS: [(&str, u64); 5] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
];

const SIZE_UNITS: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// What people write instead, in lower case, and the unit they mean.
const DURATION_ALIASES: [(&str, &str); 17] = [
    ("µs", "us"),
    ("usec", "us"),
    ("micros", "us"),
    ("msec", "ms"),
    ("millis", "ms"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("hr", "h"),
    ("hrs", "h"),
    ("hour", "h"),
    ("hours", "h"),
];

const SIZE_ALIASES: [(&str, &str); 13] = [
    ("b", "B"),
    ("byte", "B"),
    ("bytes", "B"),
    ("k", "KiB"),
    ("kb", "KiB"),
    ("kib", "KiB"),
    ("m", "MiB"),
    ("mb", "MiB"),
    ("mib", "MiB"),
    ("g", "GiB"),
    ("gb", "GiB"),
    ("gib", "GiB"),
    ("tb", "TiB"),
];

/// One kind of amount: how it is called, its units, and which unit a bare number most likely meant.
struct Kind {
    name: &'static str,
    units: &'static [(&'static str, u64)],
    aliases: &'static [(&'static str, &'static str)],
    likely_unit: &'static str,
    examples: &'static str,
}

const DURATION: Kind = Kind {
    name: "duration",
    units: &DURATION_UNITS,
    aliases: &DURATION_ALIASES,
    likely_unit: "s",
    examples: r#""500us", "250ms", "30s", "5m" or "1h""#,
};

const SIZE: Kind = Kind {
    name: "size",
    units: &SIZE_UNITS,
    aliases: &SIZE_ALIASES,
    likely_unit: "B",
    examples: r#""512B", "64KiB", "1MiB" or "2GiB""#,
};

/// Reads a duration: `us`, `ms`, `s`, `m`, `h`.
pub fn duration(text: &str) -> Result<Duration, Mistake> {
    DURATION.read(text).map(Duration::from_nanos)
}

/// Reads a size in bytes: `B`, `KiB`, `MiB`, `GiB`, `TiB`.
pub fn size(text: &str) -> Result<u64, Mistake> {
    SIZE.read(text)
}

/// A decimal number without sign or exponent, times ten to the power of `decimals`: the digits that it
/// may have behind its point. `None`: it is none, or too large.
pub fn decimal(text: &str, decimals: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > decimals || !digits(whole) || !digits(part) {
        return None;
    }
    format!("{whole}{part:0<decimals$}").parse().ok()
}

/// A duration as [`duration`] reads it, in the largest unit that says it exactly.
/// What lies below a microsecond cannot be written, and is cut off.
pub fn show_duration(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    DURATION.show(nanos - nanos % 1_000)
}

/// A size as [`size`] reads it, in the largest unit that says it exactly.
pub fn show_size(bytes: u64) -> String {
    SIZE.show(bytes)
}

impl Kind {
    fn read(&self, text: &str) -> Result<u64, Mistake> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() || unit.starts_with(['.', ',']) {
            let Kind { name, examples, .. } = self;
            return Err(Mistake::new(format!(
                "{text:?} is no {name}: write a whole number and a unit, {examples}"
            )));
        }
        let count = number.parse::<u64>().ok();
        if unit.is_empty() && count == Some(0) {
            return Ok(0);
        }
        let Some(&(_, factor)) = self.units.iter().find(|(name, _)| *name == unit) else {
            return Err(self.wrong_unit(text, number, unit));
        };
        count
            .and_then(|count| count.checked_mul(factor))
            .ok_or_else(|| Mistake::new(format!("{text:?} is larger than any {}", self.name)))
    }

    fn wrong_unit(&self, text: &str, number: &str, unit: &str) -> Mistake {
        let Kind { name, examples, .. } = self;
        if unit.is_empty() {
            return Mistake::new(format!("{text:?} has no unit: a {name} is written {examples}"))
                .meant(format!("{number}{}", self.likely_unit));
        }
        let mistake = Mistake::new(format!("{text:?} has an unknown unit: write {examples}"));
        let lower = unit.trim().to_lowercase();
        let aliases = self.aliases.iter().map(|&(alias, unit)| (alias, unit));
        let names = self.units.iter().map(|&(unit, _)| (unit, unit));
        match aliases.chain(names).find(|&(alias, _)| alias == lower) {
            Some((_, unit)) => mistake.meant(format!("{number}{unit}")),
            None => mistake,
        }
    }

    fn show(&self, amount: u64) -> String {
        // The smallest unit divides everything that `read` can have made.
        let exact = |&&(_, factor): &&(&str, u64)| amount.is_multiple_of(factor);
        let (unit, factor) = match amount {
            0 => self.units[0],
            _ => *self.units.iter().rev().find(exact).unwrap_or(&self.units[0]),
        };
        format!("{}{unit}", amount / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_read_exactly() {
        for (text, expected) in [
            ("0", Duration::ZERO),
            ("0us", Duration::ZERO),
            ("500us", Duration::from_micros(500)),
            ("250ms", Duration::from_millis(250)),
            ("30s", Duration::from_secs(30)),
            ("5m", Duration::from_secs(300)),
            ("1h", Duration::from_secs(3_600)),
            ("007s", Duration::from_secs(7)),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
        for (text, expected) in
            [("0", 0), ("0B", 0), ("512B", 512), ("64KiB", 65_536), ("1MiB", 1 << 20)]
        {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_was_probably_meant_is_told() {
        for (text, meant) in [
            ("30", Some("30s")),
            ("30 s", Some("30s")),
            ("30sec", Some("30s")),
            ("5min", Some("5m")),
            ("5M", Some("5m")),
            ("5µs", Some("5us")),
            ("5d", None),
            ("1h30m", None),
            ("1.5s", None),
            ("-1s", None),
            ("+1s", None),
            ("", None),
            ("s", None),
            ("99999999999999999999s", None),
            ("5124096h", None),
        ] {
            let mistake = duration(text).expect_err(text);
            assert_eq!(mistake.hint.as_deref(), meant, "{text}: {mistake}");
        }
        for (text, meant) in [
            ("64", Some("64B")),
            ("64KB", Some("64KiB")),
            ("64k", Some("64KiB")),
            ("1mb", Some("1MiB")),
            ("2G", Some("2GiB")),
            ("10bytes", Some("10B")),
            ("1.5MiB", None),
            ("16777216TiB", None),
        ] {
            let mistake = size(text).expect_err(text);
            assert_eq!(mistake.hint.as_deref(), meant, "{text}: {mistake}");
        }
    }

    #[test]
    fn the_largest_exact_unit_is_shown() {
        for (text, shown) in [("60s", "1m"), ("90s", "90s"), ("3600s", "1h"), ("1000us", "1ms")] {
            assert_eq!(show_duration(duration(text).unwrap()), shown);
        }
        for (text, shown) in [("1024B", "1KiB"), ("1536B", "1536B"), ("0", "0B")] {
            assert_eq!(show_size(size(text).unwrap()), shown);
        }
        assert_eq!(show_duration(Duration::from_nanos(1_500)), "1us");
    }

    proptest! {
        #![proptest_config(crate::properties::cases(256))]
        #[test]
        fn shown_amounts_are_read_back(micros in 0..u64::MAX / 1_000, bytes: u64) {
            let shown = Duration::from_micros(micros);
            prop_assert_eq!(duration(&show_duration(shown)), Ok(shown));
            prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_answered(text in "[0-9]{0,21}.{0,4}") {
            let _ = (duration(&text), size(&text));
        }
    }

    #[test]
    fn decimals_are_read_to_the_last_digit() {
        for (text, expected) in [
            ("0", Some(0)),
            ("2.50", Some(2_500_000)),
            ("2.5", Some(2_500_000)),
            ("0.000001", Some(1)),
            ("10", Some(10_000_000)),
            ("0.0000001", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("inf", None),
            ("nan", None),
            (".5", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(decimal(text, 6), expected, "{text}");
        }
    }
}
