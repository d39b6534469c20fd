//! A server with which no TLS session came about: what of it was not as it should be.

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// Its certificate is not valid any more, or not yet.
    Expired,
    /// Its certificate is for another name than it is dialled by.
    WrongName,
    /// Nobody who is trusted has signed its certificate.
    UnknownIssuer,
    /// Its certificate is not good for another reason.
    BadCertificate,
    /// It speaks no TLS, no version or cipher that we speak, or does not want us.
    Handshake,
}

impl TlsFault {
    pub const ALL: [TlsFault; 5] = [
        TlsFault::Expired,
        TlsFault::WrongName,
        TlsFault::UnknownIssuer,
        TlsFault::BadCertificate,
        TlsFault::Handshake,
    ];

    /// As [`super::Fault::code`].
    pub fn code(self) -> &'static str {
        match self {
            TlsFault::Expired => "upstream_certificate_expired",
            TlsFault::WrongName => "upstream_certificate_name",
            TlsFault::UnknownIssuer => "upstream_certificate_issuer",
            TlsFault::BadCertificate => "upstream_certificate",
            TlsFault::Handshake => "upstream_tls",
        }
    }
}
