//! What a certificate says of itself: names, days, whose it is.
//!
//! It is read, and not believed: believing is what rustls does in a handshake.

use std::time::Duration;

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The object identifier of a common name.
const COMMON_NAME: &str = "2.5.4.3";

/// What of a certificate we look at.
#[derive(Debug)]
pub(super) struct Facts {
    /// The names of servers it is for, in lower case; a first label may be `*`.
    pub dns_names: Vec<String>,
    pub common_name: Option<String>,
    /// Another name of its owner's: a URI, an address of mail.
    pub other_name: Option<String>,
    /// Since 1970.
    pub not_before: Duration,
    pub not_after: Duration,
    pub subject: Vec<u8>,
    pub issuer: Vec<u8>,
}

/// Reads a certificate. `None`: it is none.
pub(super) fn facts(der: &[u8]) -> Option<Facts> {
    use x509_cert::der::Encode;

    let tbs = Certificate::from_der(der).ok()?.tbs_certificate;
    let (mut dns_names, mut other_name) = (Vec::new(), None);
    if let Ok(Some((_, SubjectAltName(names)))) = tbs.get::<SubjectAltName>() {
        for name in names {
            match name {
                GeneralName::DnsName(name) => dns_names.push(name.as_str().to_ascii_lowercase()),
                GeneralName::UniformResourceIdentifier(name) if other_name.is_none() => {
                    other_name = Some(name.as_str().to_owned());
                }
                GeneralName::Rfc822Name(name) if other_name.is_none() => {
                    other_name = Some(name.as_str().to_owned());
                }
                _ => {}
            }
        }
    }
    let parts = tbs.subject.0.iter().flat_map(|part| part.0.iter());
    let common = parts.filter(|part| part.oid.to_string() == COMMON_NAME).find_map(|part| {
        let text = Utf8StringRef::try_from(&part.value).map(|text| text.as_str().to_owned());
        let text = text.or_else(|_| {
            PrintableStringRef::try_from(&part.value).map(|text| text.as_str().to_owned())
        });
        text.or_else(|_| Ia5StringRef::try_from(&part.value).map(|text| text.as_str().to_owned()))
            .ok()
    });
    Some(Facts {
        dns_names,
        common_name: common,
        other_name,
        not_before: tbs.validity.not_before.to_unix_duration(),
        not_after: tbs.validity.not_after.to_unix_duration(),
        subject: tbs.subject.to_der().ok()?,
        issuer: tbs.issuer.to_der().ok()?,
    })
}

/// Who the owner of a client's certificate is, in one word: its common name, else the first of its other
/// names. A name that could act on a terminal or in a head, or that is longer than anybody's, is nobody's: with
/// parts left out it would be another one's.
pub(super) fn identity(der: &[u8]) -> Option<Box<str>> {
    let Facts { common_name, other_name, mut dns_names, .. } = facts(der)?;
    let first = (!dns_names.is_empty()).then(|| dns_names.remove(0));
    let name = common_name.or(other_name).or(first)?;
    let fit =
        !name.is_empty() && name.chars().count() <= 256 && !name.chars().any(char::is_control);
    fit.then(|| name.into_boxed_str())
}
