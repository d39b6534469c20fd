//! A certificate for trying: its own authority, believed by whoever is given its file.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};

/// A certificate and its key, as PEM.
pub struct SelfSigned {
    pub certificate: String,
    pub key: String,
}

/// How long it is good for, in days.
const DAYS: i64 = 365;

/// A certificate for these names and addresses, signed with its own key (ECDSA P-256). `today` is the
/// number of days since 1970.
pub fn self_signed(names: &[String], today: i64) -> Result<SelfSigned, String> {
    let told = |error: rcgen::Error| error.to_string();
    let mut params = CertificateParams::new(names.to_vec()).map_err(told)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, names.first().map_or("sluicegate", String::as_str));
    params.distinguished_name = subject;
    let day = |day: i64| {
        let (year, month, day) = civil(day);
        date_time_ymd(year, month, day)
    };
    // From yesterday on, for clocks that are late.
    (params.not_before, params.not_after) = (day(today - 1), day(today + DAYS));
    let key = KeyPair::generate().map_err(told)?;
    let certificate = params.self_signed(&key).map_err(told)?;
    Ok(SelfSigned { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// The date of a day since 1970: Howard Hinnant's `civil_from_days`.
fn civil(day: i64) -> (i32, u8, u8) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * month + 2) / 5 + 1) as u8;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as i32, month as u8, day)
}

#[cfg(test)]
mod tests {
    use super::civil;

    #[test]
    fn days_are_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_788), (2026, 12, 1));
    }
}
