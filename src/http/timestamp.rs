//! Moments in JSON: RFC 3339, to the second.

use super::date::civil;
use super::retry_after::days;

/// The last second of the year 9999, the last one that the format can name.
const LAST: u64 = 253_402_300_799;

/// A moment, given in seconds since 1970, as `2024-02-29T23:59:59Z`.
pub fn written(unix: u64) -> String {
    let unix = unix.min(LAST);
    let (year, month, day) = civil(unix / 86_400);
    let (hour, minute, second) = (unix / 3_600 % 24, unix / 60 % 60, unix % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Seconds since 1970 of an RFC 3339 moment, whatever its offset. `None`: it is none, or before 1970.
pub fn read(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let form = b"....-..-..T..:..:..";
    let (start, rest) = (bytes.get(..form.len())?, bytes.get(form.len()..)?);
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'.' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        form => byte == form,
    };
    if !start.iter().zip(form).all(fits) {
        return None;
    }
    let number = |from: usize, to: usize| {
        start[from..to].iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))
    };
    let (month, day) = (number(5, 7), number(8, 10));
    let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let since = days(number(0, 4), month, day);
    // A month that has no such day would be the next one.
    if u64::try_from(since).is_ok_and(|since| civil(since).2 != day.unsigned_abs()) {
        return None;
    }
    let local = since * 86_400 + (hour * 60 + minute) * 60 + second;
    u64::try_from(local - offset(rest)?).ok()
}

/// Seconds that the local time is ahead, out of what follows the seconds: `.123Z`, `+02:00`.
fn offset(text: &[u8]) -> Option<i64> {
    let zone = match text.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            fraction.get(digits..).filter(|_| digits > 0)?
        }
        None => text,
    };
    match *zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h, i, b':', m, n] => {
            let digits = [h, i, m, n];
            if !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            let [h, i, m, n] = digits.map(|digit| i64::from(digit - b'0'));
            let ahead = ((h * 10 + i) * 60 + m * 10 + n) * 60;
            Some(if sign == b'-' { -ahead } else { ahead })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written() {
        for (text, unix) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199)),
            // Anthropic's and Ollama's.
            ("2025-02-19T00:00:00Z", Some(1_739_923_200)),
            ("2024-05-04T14:56:49.277302595-07:00", Some(1_714_859_809)),
            ("2024-05-04T21:56:49+00:00", Some(1_714_859_809)),
            // Go's zero time.
            ("0001-01-01T00:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-01-00T00:00:00Z", None),
            ("2024-02-30T00:00:00Z", None),
            ("2023-02-29T00:00:00Z", None),
            ("2024-01-01T24:00:00Z", None),
            ("2024-01-01T00:00:00", None),
            ("2024-01-01T00:00:00.Z", None),
            ("2024-01-01T00:00:00+0x:00", None),
            ("2024-01-01", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(read(text), unix, "{text}");
        }
        for unix in [0, 951_782_400, 1_709_251_199, 4_107_542_400, LAST] {
            assert_eq!(read(&written(unix)), Some(unix));
        }
        assert_eq!(written(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
