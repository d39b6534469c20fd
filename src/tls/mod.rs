//! TLS: what the sessions of real connections are made of.
//!
//! | file | its idea |
//! |---|---|
//! | `session.rs` | one connection: rustls behind [`crate::wire::transport::Session`] |
//! | `server.rs` | the certificates that clients are shown, by the name they ask for |
//! | `client.rs` | whom we believe at a server, and who we are there |
//! | `blocking.rs` | a session for the threads that block |
//! | `files.rs` | the same two questions, answered by files, for servers that are no upstream's |
//! | `material.rs` | files that sessions are made of, and what is wrong with one |
//! | `pem.rs` | certificate and key files, and what is wrong with them |
//! | `staple.rs` | what an authority has said of a certificate, shown with it |
//! | `certificate.rs` | what a certificate says: names, days, whose it is |
//! | `failure.rs` | why a session failed, in one clause |
//! | `make.rs` | a certificate for trying |
//!
//! Invariant: no socket, no thread; only `material.rs` and the trust store of the system read files, when a
//! configuration is read. Below `wire` nobody names rustls, and outside this folder nobody at all.

mod blocking;
mod certificate;
mod client;
mod failure;
mod files;
mod make;
mod material;
mod pem;
mod server;
mod session;
mod staple;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use blocking::{SealedStream, why};
pub use client::{DialerSettings, TlsDialer, Trust, system_authorities};
pub use files::ClientFiles;
pub use make::{SelfSigned, self_signed};
pub use pem::{Authorities, ChainFile, Credentials, KeyFile, authorities, chain, key};
pub use server::{AcceptorSettings, ClientCertificates, TlsAcceptor};

/// Random bytes that nobody can guess. `None`: the system has none.
pub fn random_bytes() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    aws_lc_rs::default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(bytes)
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    #[default]
    Tls12,
    Tls13,
}

impl TlsVersion {
    pub const ALL: [(&'static str, TlsVersion); 2] =
        [("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];

    pub fn name(self) -> &'static str {
        match self {
            TlsVersion::Tls12 => "1.2",
            TlsVersion::Tls13 => "1.3",
        }
    }

    /// This one and those after it.
    fn and_later(self) -> &'static [&'static rustls::SupportedProtocolVersion] {
        static BOTH: [&rustls::SupportedProtocolVersion; 2] =
            [&rustls::version::TLS13, &rustls::version::TLS12];
        match self {
            TlsVersion::Tls12 => &BOTH,
            TlsVersion::Tls13 => &BOTH[..1],
        }
    }
}

/// The one protocol that is spoken inside.
const ALPN: &[u8] = b"http/1.1";

/// The cryptography: AWS-LC.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Tells two identities apart: a digest of all that one is made of, files and settings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(parts: &[&[u8]]) -> Fingerprint {
        use sha2::{Digest, Sha256};
        let mut digest = Sha256::new();
        for part in parts {
            // With its length, so that no two lists of parts read alike.
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Fingerprint(digest.finalize().into())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}…")
    }
}
