//! Staples: what an authority's OCSP responder has said of a certificate, shown with it (RFC 6066 §8).
//!
//! The file is fetched and renewed by somebody else, and read when the configuration is. It is looked at to
//! find slips, and not believed: believing it is the client's part, who knows the authority.
//!
//! * One that is out of date is not shown: a client that checks it would go away. So one that goes out of date
//!   while it is served is left out from that second on, and the log says so once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_ocsp::{BasicOcspResponse, CertStatus, OcspResponse, OcspResponseStatus, SingleResponse};

use super::material::{Flaw, ago, read};

/// What is shown to clients: a certificate with its key, and the staple while it is good.
#[derive(Debug)]
pub(super) struct Shown {
    /// Without a staple.
    bare: Arc<CertifiedKey>,
    stapled: Option<Stapled>,
}

/// A certificate with its staple.
#[derive(Debug)]
struct Stapled {
    certified: Arc<CertifiedKey>,
    path: PathBuf,
    /// The second of the clock from which it is out of date; `None`: it is not said.
    until: Option<u64>,
    /// It was told that it is out of date.
    told: AtomicBool,
}

impl Shown {
    pub fn bare(certified: Arc<CertifiedKey>) -> Shown {
        Shown { bare: certified, stapled: None }
    }

    /// With the staple of a file, which has to be of this certificate and in force at `now`, the time since
    /// 1970.
    pub fn stapled(
        certified: &Arc<CertifiedKey>,
        path: &Path,
        now: Duration,
    ) -> Result<Shown, Flaw> {
        let der = read(path)?;
        let until = judge(&der, certified.cert.first().map_or(&[][..], AsRef::as_ref), now)?;
        let with = CertifiedKey { ocsp: Some(der), ..CertifiedKey::clone(certified) };
        let (certified, bare) = (Arc::new(with), Arc::clone(certified));
        let stapled =
            Stapled { certified, path: path.to_owned(), until, told: AtomicBool::new(false) };
        Ok(Shown { bare, stapled: Some(stapled) })
    }

    /// What a client is shown now.
    pub fn now(&self) -> Arc<CertifiedKey> {
        match &self.stapled {
            Some(stapled) if stapled.is_good(UnixTime::now().as_secs()) => {
                Arc::clone(&stapled.certified)
            }
            _ => Arc::clone(&self.bare),
        }
    }

    /// Of all that is shown, the certificate and what it is signed with are the same.
    pub fn certified(&self) -> &CertifiedKey {
        &self.bare
    }
}

impl Stapled {
    fn is_good(&self, unix: u64) -> bool {
        let good = self.until.is_none_or(|until| unix < until);
        if !good && !self.told.swap(true, Ordering::Relaxed) {
            log::warn!(
                "{}: the OCSP response is out of date, and is not shown any more",
                self.path.display()
            );
        }
        good
    }
}

#[cfg(test)]
mod tests;

/// Until which second of the clock a response is good for this certificate, if it is.
fn judge(der: &[u8], certificate: &[u8], now: Duration) -> Result<Option<u64>, Flaw> {
    let none = || match der.starts_with(b"-----BEGIN") {
        true => "the file is PEM; an OCSP response is DER, as `openssl ocsp -respout` writes it",
        false => "the file is no OCSP response, as `openssl ocsp -respout` writes it",
    };
    let response = OcspResponse::from_der(der).map_err(|_| none().to_owned())?;
    if response.response_status != OcspResponseStatus::Successful {
        return Err("the OCSP responder has refused to answer, and the file says so".to_owned());
    }
    let basic = response
        .response_bytes
        .and_then(|bytes| BasicOcspResponse::from_der(bytes.response.as_bytes()).ok());
    let basic = basic.ok_or_else(|| none().to_owned())?;
    let read = Certificate::from_der(certificate).ok();
    let serial = read.map(|certificate| certificate.tbs_certificate.serial_number);
    let ours = |one: &&SingleResponse| Some(&one.cert_id.serial_number) == serial.as_ref();
    let single = basic.tbs_response_data.responses.iter().find(ours);
    let single = single.ok_or("the OCSP response is of another certificate")?;
    match single.cert_status {
        CertStatus::Good(_) => {}
        CertStatus::Revoked(_) => {
            return Err("the certificate is revoked, says its OCSP response".to_owned());
        }
        CertStatus::Unknown(_) => {
            return Err("the OCSP responder does not know the certificate".to_owned());
        }
    }
    if single.this_update.0.to_unix_duration() > now {
        return Err("the OCSP response is not valid yet".to_owned());
    }
    let until = single.next_update.map(|next| next.0.to_unix_duration());
    match until {
        Some(until) if until <= now => {
            Err(format!("the OCSP response went out of date {}; fetch a new one", ago(now - until)))
        }
        _ => Ok(until.map(|until| until.as_secs())),
    }
}
