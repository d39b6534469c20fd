//! `Date`: when a message was made, or received by us without one (RFC 9110 §6.6.1).
//!
//! The line is written once a second and copied from then on. Time is an argument, as everywhere.

use std::time::Duration;

/// A whole line: `Date: Sun, 06 Nov 1994 08:49:37 GMT` and CR LF.
pub type DateLine = [u8; 37];

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
/// The last second of the year 9999, which is the last one that the format can name.
const LAST: u64 = 253_402_300_799;

/// The line for a time since 1970.
pub fn line(unix: Duration) -> DateLine {
    let seconds = unix.as_secs().min(LAST);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut line = *b"Date: Thu, 00 Jan 0000 00:00:00 GMT\r\n";
    line[6..9].copy_from_slice(DAYS[(days % 7) as usize]);
    two_digits(&mut line[11..13], day);
    line[14..17].copy_from_slice(MONTHS[(month - 1) as usize]);
    two_digits(&mut line[18..20], year / 100);
    two_digits(&mut line[20..22], year % 100);
    two_digits(&mut line[23..25], second / 3_600);
    two_digits(&mut line[26..28], second / 60 % 60);
    two_digits(&mut line[29..31], second % 60);
    line
}

fn two_digits(into: &mut [u8], number: u64) {
    into.copy_from_slice(&[b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]);
}

/// Year, month and day of a day since 1970, in the Gregorian calendar. March is the first month, so
/// that the day that may be missing is the last of a year.
pub fn civil(days: u64) -> (u64, u64, u64) {
    // 719,468 days lie between 0000-03-01 and 1970-01-01; 146,097 are 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // As in the other direction: (153 m + 2) / 5 days lie before month m.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    (year + era * 400, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::retry_after::http_date;

    fn text(seconds: u64) -> String {
        String::from_utf8(line(Duration::from_secs(seconds)).to_vec()).unwrap()
    }

    #[test]
    fn a_date_is_written_as_the_standard_has_it() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (LAST, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(text(seconds), format!("Date: {expected}\r\n"));
        }
    }

    proptest! {
        #![proptest_config(crate::properties::cases(256))]
        #[test]
        fn what_is_written_is_read_as_the_same_second(seconds in 0..=LAST) {
            let text = text(seconds);
            let date = text.trim_start_matches("Date: ").trim_end();
            prop_assert_eq!(http_date(date.as_bytes()), Some(seconds as i64));
        }
    }
}
