//! The `x-ratelimit-*` fields, as OpenAI sends them.

use std::fmt::Write as _;
use std::time::Duration;

use super::key::ApiKey;
use crate::clock::Instant;

/// The names that an answer has in our words alone: a server's own would tell of another limit.
pub const NAMES: [&str; 6] = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
];

/// What a key has left now: the name and the value of each field. Empty: it has no rate.
pub fn rate_fields(key: &ApiKey, now: Instant) -> Vec<(&'static str, String)> {
    let rates = [key.requests(), key.tokens()];
    let mut fields = Vec::new();
    for (rate, names) in rates.into_iter().zip(NAMES.chunks(3)) {
        if let (Some(rate), [of, left, reset]) = (rate, names) {
            fields.push((*of, rate.limit.to_string()));
            fields.push((*left, rate.left(now).to_string()));
            fields.push((*reset, shown(rate.full_in(now))));
        }
    }
    fields
}

/// A duration as OpenAI writes it: `6m0s`, `1.5s`, `20ms`. Rounded up, so that nobody comes too early.
pub fn shown(duration: Duration) -> String {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let (seconds, millis) = (rest / 1_000, rest % 1_000);
    let mut text = String::new();
    if minutes > 0 {
        // Writing to a String cannot fail.
        let _ = write!(text, "{minutes}m");
    } else if seconds == 0 {
        return format!("{millis}ms");
    }
    let part = format!("{millis:03}");
    let _ = match part.trim_end_matches('0') {
        "" => write!(text, "{seconds}s"),
        part => write!(text, "{seconds}.{part}s"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_openai_writes_them() {
        for (micros, expected) in [
            (0, "0ms"),
            (1, "1ms"),
            (20_000, "20ms"),
            (999_001, "1s"),
            (1_500_000, "1.5s"),
            (8_640, "9ms"),
            (59_999_000, "59.999s"),
            (60_000_000, "1m0s"),
            (90_951_000, "1m30.951s"),
            (360_000_000, "6m0s"),
            (3_600_000_000, "60m0s"),
        ] {
            assert_eq!(shown(Duration::from_micros(micros)), expected, "{micros}");
        }
    }
}
