//! `/api/chat` and `/api/generate`

use bytes::Bytes;
use serde_json::{Value, json};

use crate::service::dialects::writing::{CannedStream, bytes_of};
use crate::service::openai::Identity;

#[derive(Debug)]
pub(super) struct Stream {
    generate: bool,
    model: String,
    created_at: String,
}

pub(super) fn document(path: &str, identity: &Identity<'_>, text: &str) -> Bytes {
    bytes_of(&Stream::new(path, identity).last(text))
}

impl Stream {
    pub fn new(path: &str, identity: &Identity<'_>) -> Stream {
        Stream {
            generate: path.ends_with("/generate"),
            model: identity.model.to_owned(),
            created_at: rfc3339(identity.created),
        }
    }

    fn line(&self, text: &str, done: bool) -> Value {
        let mut line = json!({"model": self.model, "created_at": self.created_at, "done": done});
        match self.generate {
            true => line["response"] = text.into(),
            false => line["message"] = json!({"role": "assistant", "content": text}),
        }
        line
    }

    fn last(&self, text: &str) -> Value {
        let mut line = self.line(text, true);
        line["done_reason"] = "stop".into();
        for duration in ["total", "load", "prompt_eval", "eval"] {
            line[format!("{duration}_duration")] = 0.into();
        }
        line["prompt_eval_count"] = 0.into();
        line["eval_count"] = 0.into();
        line
    }
}

impl CannedStream for Stream {
    fn piece(&self, _index: u64, text: &str) -> Bytes {
        Bytes::from(format!("{}\n", self.line(text, false)))
    }

    fn closing(&self, _pieces: u64, _text: &str) -> Option<Bytes> {
        Some(Bytes::from(format!("{}\n", self.last(""))))
    }
}

/// A Unix time as a date, in UTC.
pub(super) fn rfc3339(seconds: u64) -> String {
    // Years begin in March here: the leap day is the last day of one. In 400 such years there are
    // always 146,097 days; the first day is 0000-03-01, 719,468 days before 1970-01-01. An instant
    // beyond the year 9999 is a clock gone wrong, and cannot be written.
    let seconds = seconds.min(253_402_300_799);
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn a_unix_time_is_written_as_a_date() {
        // From `date -u -d @N +%FT%TZ`.
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), date);
        }
    }
}
