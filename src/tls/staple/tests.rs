//! Responses made by hand: what each mistake is called, and when a staple is shown.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_cert::der::Encode;
use x509_cert::der::asn1::{BitString, GeneralizedTime, Null, ObjectIdentifier, OctetString};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{CertId, OcspGeneralizedTime, ResponderId, ResponseData, RevokedInfo, Version};

use super::*;
use crate::tls::{chain, key, self_signed};

const NOW: u64 = 1_900_000_000;

fn at(unix: u64) -> OcspGeneralizedTime {
    let time = GeneralizedTime::from_unix_duration(Duration::from_secs(unix));
    OcspGeneralizedTime(time.expect("a moment"))
}

/// What a responder says of the certificate with this serial number.
fn response(serial: &SerialNumber, status: CertStatus, from: u64, until: Option<u64>) -> Vec<u8> {
    let algorithm = || AlgorithmIdentifierOwned {
        oid: ObjectIdentifier::new_unwrap("1.3.14.3.2.26"),
        parameters: None,
    };
    let hash = || OctetString::new([7; 20]).expect("short");
    let single = SingleResponse {
        cert_id: CertId {
            hash_algorithm: algorithm(),
            issuer_name_hash: hash(),
            issuer_key_hash: hash(),
            serial_number: serial.clone(),
        },
        cert_status: status,
        this_update: at(from),
        next_update: until.map(at),
        single_extensions: None,
    };
    let basic = BasicOcspResponse {
        tbs_response_data: ResponseData {
            version: Version::V1,
            responder_id: ResponderId::ByName(Name::default()),
            produced_at: at(from),
            responses: vec![single],
            response_extensions: None,
        },
        signature_algorithm: algorithm(),
        signature: BitString::from_bytes(&[1, 2, 3]).expect("short"),
        certs: None,
    };
    let whole = OcspResponse::successful(basic).expect("it can be encoded");
    whole.to_der().expect("it can be encoded")
}

/// A certificate, as DER and with its number.
fn certificate() -> (Vec<u8>, SerialNumber) {
    let made = self_signed(&["a.test".to_owned()], 20_788).expect("made");
    let der = CertificateDer::from_pem_slice(made.certificate.as_bytes()).expect("PEM").to_vec();
    let serial = Certificate::from_der(&der).expect("whole").tbs_certificate.serial_number;
    (der, serial)
}

#[test]
fn a_response_is_judged_in_one_sentence() {
    let (der, serial) = certificate();
    let other = SerialNumber::new(&[9, 9]).expect("a number");
    let good = CertStatus::Good(Null);
    let revoked =
        CertStatus::Revoked(RevokedInfo { revocation_time: at(NOW), revocation_reason: None });
    let told = |response: &[u8]| judge(response, &der, Duration::from_secs(NOW));
    assert_eq!(told(&response(&serial, good, NOW - 9, Some(NOW + 9))), Ok(Some(NOW + 9)));
    assert_eq!(told(&response(&serial, good, NOW - 9, None)), Ok(None));
    let refused = OcspResponse::try_later().to_der().expect("short");
    for (bytes, sentence) in [
        (response(&serial, good, NOW - 99_999, Some(NOW)), "went out of date today"),
        (response(&serial, good, NOW + 9, None), "is not valid yet"),
        (response(&other, good, NOW - 9, None), "is of another certificate"),
        (response(&serial, revoked, NOW - 9, None), "is revoked"),
        (response(&serial, CertStatus::Unknown(Null), NOW - 9, None), "does not know"),
        (refused, "has refused to answer"),
        (b"garbage".to_vec(), "is no OCSP response"),
        (b"-----BEGIN OCSP RESPONSE-----".to_vec(), "the file is PEM"),
        (der.clone(), "is no OCSP response"),
    ] {
        let flaw = told(&bytes).expect_err(sentence);
        assert!(flaw.contains(sentence), "{sentence}: {flaw}");
    }
}

#[test]
fn a_staple_is_shown_as_long_as_it_is_good() {
    let folder = std::env::temp_dir().join(format!("sluicegate-staple-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let today = UnixTime::now().as_secs();
    let made = self_signed(&["a.test".to_owned()], (today / 86_400) as i64).expect("made");
    let (pem, secret, staple) = (folder.join("a.pem"), folder.join("a.key"), folder.join("a.ocsp"));
    std::fs::write(&pem, made.certificate).expect("written");
    std::fs::write(&secret, made.key).expect("written");
    let now = Duration::from_secs(today);
    let chain = chain(&pem, now).expect("good");
    let serial =
        Certificate::from_der(&chain.chain[0]).expect("whole").tbs_certificate.serial_number;
    let bytes = response(&serial, CertStatus::Good(Null), today - 9, Some(today + 600));
    std::fs::write(&staple, &bytes).expect("written");
    let own = crate::tls::Credentials::new(chain, key(&secret).expect("a key")).expect("they fit");
    assert_eq!(own.shown.now().ocsp, None);
    let mut shown = Shown::stapled(&own.certified, &staple, now).expect("good");
    assert_eq!(shown.now().ocsp.as_deref(), Some(&bytes[..]));
    if let Some(stapled) = &mut shown.stapled {
        stapled.until = Some(today - 1);
    }
    assert_eq!(shown.now().ocsp, None, "out of date by now");
    let _ = std::fs::remove_dir_all(&folder);
}
