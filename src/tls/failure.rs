//! What went wrong with a session, in one clause.

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::wire::transport::{Alert, AlertCause};

/// What is answered to plain HTTP on a TLS port.
pub(super) fn reply_to_plain_http() -> &'static [u8] {
    concat!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 191\r\n",
        "Connection: close\r\n\r\n",
        r#"{"error":{"message":"this port speaks TLS, and the request came in plain: use https","#,
        r#""type":"invalid_request_error","code":"tls_required","#,
        r#""hint":"use https:// and not http:// for this port"}}"#,
    )
    .as_bytes()
}

/// The alert that an error of rustls is to us.
pub(super) fn alert_of(error: &Error) -> Alert {
    let (cause, why) = match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::NoCertificatesPresented => {
            (AlertCause::BadCertificate, "the peer has shown no certificate")
        }
        Error::AlertReceived(alert) => refused(*alert),
        Error::NoApplicationProtocol => {
            (AlertCause::Protocol, "the peer does not speak HTTP/1.1 (ALPN)")
        }
        Error::PeerIncompatible(incompatible) => (AlertCause::Protocol, version(incompatible)),
        Error::InvalidMessage(_) => (AlertCause::Protocol, "what came is not TLS"),
        Error::DecryptError => (AlertCause::Protocol, "a record that cannot be opened"),
        Error::PeerSentOversizedRecord => (AlertCause::Protocol, "a record longer than any may be"),
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => {
            (AlertCause::Protocol, "a message that may not come here")
        }
        _ => (AlertCause::Protocol, "the TLS session cannot go on"),
    };
    Alert { cause, why }
}

fn certificate(error: &CertificateError) -> (AlertCause, &'static str) {
    use AlertCause::{BadCertificate, Expired, UnknownIssuer, WrongName};
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            (Expired, "its certificate has expired")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            (Expired, "its certificate is not valid yet")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (WrongName, "its certificate is for another name")
        }
        CertificateError::UnknownIssuer => {
            (UnknownIssuer, "its certificate was signed by nobody who is trusted here")
        }
        CertificateError::Revoked => (BadCertificate, "its certificate is revoked"),
        CertificateError::BadSignature => {
            // Mostly the one of that name that is trusted has another key: theirs is new.
            (UnknownIssuer, "it was signed with another key than that of whom is trusted here")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            (BadCertificate, "its certificate is for another purpose")
        }
        CertificateError::BadEncoding => (BadCertificate, "its certificate cannot be read"),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
            BadCertificate,
            "its certificate was signed in a way that is not taken (SHA-1, for one)",
        ),
        CertificateError::Other(other) => (BadCertificate, unnamed(&other.to_string())),
        _ => (BadCertificate, "its certificate is not a good one"),
    }
}

/// What rustls has no name for: how the crate that reads certificates calls it.
fn unnamed(error: &str) -> &'static str {
    match error {
        "CaUsedAsEndEntity" => {
            "it is an authority's own (CA:TRUE), and a server has to have another"
        }
        "EndEntityUsedAsCa" => {
            "it was signed with a certificate that may not sign others (CA:FALSE)"
        }
        "UnsupportedCertVersion" => {
            "its certificate is of X.509 version 1 (`openssl x509 -req` without extensions makes such), \
             and has to be of version 3"
        }
        "UnsupportedCriticalExtension" => {
            "its certificate has a critical extension that is not known here"
        }
        "NameConstraintViolation" => "its authority may not sign for such a name",
        "PathLenConstraintViolated" => {
            "there are more authorities in between than one of them allows"
        }
        _ => "its certificate is not a good one",
    }
}

/// The peer has ended it, and this is why.
fn refused(alert: AlertDescription) -> (AlertCause, &'static str) {
    use AlertCause::{Protocol, RefusedUs};
    match alert {
        AlertDescription::HandshakeFailure => {
            (Protocol, "the peer has refused it: handshake_failure")
        }
        AlertDescription::ProtocolVersion => {
            (Protocol, "the peer has refused it: protocol_version")
        }
        AlertDescription::BadCertificate => (RefusedUs, "the peer has refused our certificate"),
        AlertDescription::CertificateExpired => {
            (RefusedUs, "the peer says that our certificate has expired")
        }
        AlertDescription::CertificateRequired => {
            (RefusedUs, "the peer wants a certificate of ours")
        }
        AlertDescription::CertificateUnknown => {
            (RefusedUs, "the peer does not accept our certificate")
        }
        AlertDescription::UnknownCA => {
            (RefusedUs, "the peer does not know who signed our certificate")
        }
        AlertDescription::AccessDenied => (RefusedUs, "the peer has denied access"),
        AlertDescription::UnrecognisedName => (Protocol, "the peer does not know that name (SNI)"),
        AlertDescription::NoApplicationProtocol => {
            (Protocol, "the peer does not speak HTTP/1.1 (ALPN)")
        }
        AlertDescription::UserCanceled => (Protocol, "the peer has given up"),
        _ => (Protocol, "the peer has sent an alert"),
    }
}

fn version(incompatible: &PeerIncompatible) -> &'static str {
    match incompatible {
        PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "no version of TLS that both sides may speak"
        }
        PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite that both sides know",
        PeerIncompatible::NoKxGroupsInCommon => "no key exchange that both sides know",
        _ => "nothing that both sides know",
    }
}
