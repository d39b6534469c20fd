//! `Retry-After`: when a server wants to be asked again (RFC 9110 §10.2.3).
//!
//! Seconds, or a date; seconds with a fraction too, which the SDKs of inference services read and
//! some servers send. `retry-after-ms`, of OpenAI's and Azure's servers, says it in milliseconds. A date is compared with the answer's own `Date`: so the difference is the
//! server's, however wrong our clock or its is, and no clock is needed here. An answer with a date
//! and without `Date` says nothing we could rely on.

use std::time::Duration;

/// How long from now on, or `None` where the field says nothing that can be understood.
pub fn retry_after(value: &[u8], date: Option<&[u8]>) -> Option<Duration> {
    if let Some(seconds) = decimal(value) {
        return Some(seconds);
    }
    let now = http_date(date?)?;
    let then = http_date(value)?;
    // A date that has passed: at once.
    Some(Duration::from_secs(u64::try_from(then - now).unwrap_or(0)))
}

/// The same of a field that counts milliseconds.
pub fn retry_after_ms(value: &[u8]) -> Option<Duration> {
    decimal(value).map(|thousandfold| thousandfold / 1_000)
}

/// Digits, and perhaps a point and more digits: so many seconds. What does not fit is longer than
/// anybody waits; what is finer than a nanosecond is nothing.
fn decimal(value: &[u8]) -> Option<Duration> {
    let mut parts = value.splitn(2, |&byte| byte == b'.');
    let (whole, fraction) = (parts.next()?, parts.next());
    let is_number = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if !is_number(whole) || fraction.is_some_and(|fraction| !is_number(fraction)) {
        return None;
    }
    let seconds = str::from_utf8(whole).ok()?.parse().unwrap_or(u64::MAX);
    let places = fraction.unwrap_or_default().iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanos = places.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    Some(Duration::new(seconds, nanos))
}

/// Seconds since 1970 of an HTTP-date (RFC 9110 §5.6.7), in the form all servers use and the two
/// obsolete ones every recipient has to read. The day's name is not compared.
pub fn http_date(text: &[u8]) -> Option<i64> {
    let text = str::from_utf8(text).ok()?;
    let mut words = text.split([' ', '-', ',']).filter(|word| !word.is_empty());
    let _name = words.next()?;
    let second = words.next()?;
    let (day, month, year, time) = if second.as_bytes()[0].is_ascii_digit() {
        // Sun, 06 Nov 1994 08:49:37 GMT; Sunday, 06-Nov-94 08:49:37 GMT
        let (month, year, time) = (words.next()?, words.next()?, words.next()?);
        if words.next() != Some("GMT") {
            return None;
        }
        (second, month, year, time)
    } else {
        // Sun Nov  6 08:49:37 1994
        let (day, time, year) = (words.next()?, words.next()?, words.next()?);
        (day, second, year, time)
    };
    if words.next().is_some() {
        return None;
    }
    let year = match (year.len(), number(year)?) {
        (4, year) => year,
        // Two digits mean the year nearest to the present that ends so. Whoever still writes them
        // writes about the present, which began in 1970.
        (2, year) => year + if year < 70 { 2_000 } else { 1_900 },
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let (day, seconds) = (number(day)?, time_of_day(time)?);
    if !(1..=31).contains(&day) {
        return None;
    }
    Some(days(year, month, day) * 86_400 + seconds)
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `08:49:37`; 60 is a leap second.
fn time_of_day(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let mut part = |most: i64| {
        let part = parts.next().filter(|part| part.len() == 2)?;
        number(part).filter(|&part| part <= most)
    };
    let (hours, minutes, seconds) = (part(23)?, part(59)?, part(60)?);
    parts.next().is_none().then_some((hours * 60 + minutes) * 60 + seconds)
}

fn number(digits: &str) -> Option<i64> {
    let short = (1..=4).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit());
    short.then(|| digits.parse().ok()).flatten()
}

/// Days from 1970-01-01, in the Gregorian calendar. March is the first month, so that the day that
/// may be missing is the last of a year.
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // (153 m + 2) / 5: the days of the months from March on, 31 30 31 30 31, twice and once more.
    let in_year = (153 * month + 2) / 5 + day - 1;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + leaps + in_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_forms_of_a_date_say_the_same() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(http_date(text.as_bytes()), Some(784_111_777), "{text}");
        }
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 23:59:60 GMT", 951_868_800),
            ("Thu, 01 Mar 2001 00:00:00 GMT", 983_404_800),
            ("Fri, 31 Dec 1999 23:59:59 GMT", 946_684_799),
            ("Tue, 19 Jan 2038 03:14:08 GMT", 2_147_483_648),
            ("Wednesday, 01-Jan-25 00:00:00 GMT", 1_735_689_600),
        ] {
            assert_eq!(http_date(text.as_bytes()), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "soon",
            "Sun,",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37 GMT+1",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 994 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994 GMT",
            "Sun, \u{664}6 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(http_date(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn seconds_or_the_time_from_the_answers_own_date() {
        const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
        let seconds =
            |value: &str, date| retry_after(value.as_bytes(), date).map(|it| it.as_secs());
        for (value, date, expected) in [
            ("0", None, Some(0)),
            ("120", None, Some(120)),
            ("99999999999999999999999", None, Some(u64::MAX)),
            ("-1", None, None),
            ("1.5", None, Some(1)),
            ("-1.5", None, None),
            ("1.", None, None),
            (".5", None, None),
            ("1.5.0", None, None),
            ("1e3", None, None),
            ("1.5s", None, None),
            ("inf", None, None),
            ("NaN", None, None),
            ("99999999999999999999999.5", None, Some(u64::MAX)),
            ("", None, None),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(DATE), Some(30)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(DATE), Some(0)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", None, None),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(b"now"), None),
            ("tomorrow", Some(DATE), None),
        ] {
            assert_eq!(seconds(value, date), expected, "{value:?}");
        }
    }

    #[test]
    fn fractions_and_milliseconds_are_read() {
        let micros = |micros| Some(Duration::from_micros(micros));
        for (value, seconds, thousandths) in [
            ("1.5", micros(1_500_000), micros(1_500)),
            ("0.25", micros(250_000), micros(250)),
            ("250", micros(250_000_000), micros(250_000)),
            ("0.0000000004", micros(0), micros(0)),
            ("007.50", micros(7_500_000), micros(7_500)),
            ("-5", None, None),
            ("", None, None),
            ("5 ms", None, None),
        ] {
            assert_eq!(retry_after(value.as_bytes(), None), seconds, "{value:?}");
            assert_eq!(retry_after_ms(value.as_bytes()), thousandths, "{value:?}");
        }
    }

    proptest! {
        #![proptest_config(crate::properties::cases(256))]
        #[test]
        fn any_bytes_are_answered(value: Vec<u8>, date in prop::option::of("[A-Za-z0-9:, -]{0,40}")) {
            let _ = retry_after(&value, date.as_ref().map(|date| date.as_bytes()));
            let _ = retry_after_ms(&value);
        }

        /// A calendar that counts day by day agrees.
        #[test]
        fn every_day_follows_the_one_before(year in 1_970..2_200_i64, month in 1..=12_i64) {
            let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            let length = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            let next = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
            prop_assert_eq!(next - days(year, month, 1), length[month as usize - 1]);
        }
    }
}
