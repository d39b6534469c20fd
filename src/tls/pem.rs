//! Certificate and key files: read, and refused with one sentence where they are not what they should be.
//!
//! Invariant: a key is never shown, whatever is wrong with it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::certificate::{self, Facts};
use super::material::{Flaw, ago, read};
use super::staple::Shown;
use super::{Fingerprint, provider};

/// The certificates of one file: a server's or a client's own, and behind it those that lead to an
/// authority.
#[derive(Clone, Debug)]
pub struct ChainFile {
    pub path: PathBuf,
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// Of the first.
    names: Vec<String>,
}

/// A private key.
pub struct KeyFile {
    pub path: PathBuf,
    key: PrivateKeyDer<'static>,
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({:?}, hidden)", self.path)
    }
}

/// A chain and the key that belongs to it.
#[derive(Clone)]
pub struct Credentials {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The OCSP response that is shown with it.
    pub staple: Option<PathBuf>,
    pub(super) certified: std::sync::Arc<CertifiedKey>,
    pub(super) shown: std::sync::Arc<Shown>,
    pub(super) names: Vec<String>,
    pub(super) fingerprint: Fingerprint,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?}, {:?})", self.certificate, self.fingerprint)
    }
}

/// All certificates of a PEM file.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found =
        found.map_err(|_| "the file is not whole PEM: a block of it is damaged".to_owned())?;
    if !found.is_empty() {
        return Ok(found);
    }
    Err(match is_key(&bytes) {
        true => "the file holds a private key, and no certificate".to_owned(),
        false if bytes.first() == Some(&0x30) => {
            "the file is DER; PEM is wanted, which begins with -----BEGIN CERTIFICATE-----"
                .to_owned()
        }
        false => {
            "the file holds no certificate: -----BEGIN CERTIFICATE----- is not in it".to_owned()
        }
    })
}

fn is_key(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"PRIVATE KEY-----").is_some()
}

/// The certificates of a server or a client: its own first, then who signed it, and so on. `now` is the
/// time since 1970.
pub fn chain(path: &Path, now: Duration) -> Result<ChainFile, Flaw> {
    let chain = certificates(path)?;
    let mut facts = Vec::with_capacity(chain.len());
    for (index, one) in chain.iter().enumerate() {
        let read = certificate::facts(one);
        facts
            .push(read.ok_or_else(|| format!("certificate {} of the file is damaged", index + 1))?);
    }
    in_order(&facts)?;
    let first = &facts[0];
    if first.not_after < now {
        return Err(format!("the certificate has expired, {}", ago(now - first.not_after)));
    }
    if first.not_before > now {
        return Err("the certificate is not valid yet".to_owned());
    }
    let names = if first.dns_names.is_empty() {
        first.common_name.iter().map(|name| name.to_ascii_lowercase()).collect()
    } else {
        first.dns_names.clone()
    };
    Ok(ChainFile { path: path.to_owned(), chain, names })
}

/// Each certificate is signed by the next.
fn in_order(facts: &[Facts]) -> Result<(), Flaw> {
    for (index, pair) in facts.windows(2).enumerate() {
        let [one, next] = pair else { continue };
        if one.issuer != next.subject {
            let hint = match facts.iter().skip(1).any(|other| other.issuer == facts[0].subject) {
                true => "the server's own certificate comes first, then who signed it, and so on",
                false => "each has to be signed by the one behind it",
            };
            return Err(format!(
                "the certificates are in the wrong order: number {} is not signed by number {}; {hint}",
                index + 1,
                index + 2
            ));
        }
    }
    Ok(())
}

/// A private key.
pub fn key(path: &Path) -> Result<KeyFile, Flaw> {
    let bytes = read(path)?;
    let encrypted = [&b"BEGIN ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"];
    if encrypted.iter().any(|mark| memchr::memmem::find(&bytes, mark).is_some()) {
        return Err("the key is encrypted, and nobody is here to type its password: write it out \
                    with `openssl pkey`, readable by the gateway's user alone"
            .to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        let certificates = CertificateDer::pem_slice_iter(&bytes).next();
        match certificates {
            Some(Ok(_)) => "the file holds a certificate, and no private key".to_owned(),
            _ => {
                "the file holds no private key: -----BEGIN PRIVATE KEY----- is not in it".to_owned()
            }
        }
    })?;
    Ok(KeyFile { path: path.to_owned(), key })
}

impl Credentials {
    /// A chain with its key.
    pub fn new(chain: ChainFile, key: KeyFile) -> Result<Credentials, Flaw> {
        let ChainFile { path, chain, names } = chain;
        let fingerprint = {
            let mut parts: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
            parts.push(key.key.secret_der());
            Fingerprint::of(&parts)
        };
        let certified = CertifiedKey::from_der(chain, key.key, &provider());
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                format!("the key is the key of another certificate than {}", path.display())
            }
            _ => {
                "the key is of a kind that is not known here: RSA, ECDSA (P-256, P-384, P-521) and \
                  Ed25519 are"
                    .to_owned()
            }
        })?;
        let certified = std::sync::Arc::new(certified);
        let shown = std::sync::Arc::new(Shown::bare(std::sync::Arc::clone(&certified)));
        let (certificate, key, staple) = (path, key.path, None);
        Ok(Credentials { certificate, key, staple, certified, shown, names, fingerprint })
    }

    /// The same, shown with the OCSP response of a file. `now` is the time since 1970.
    pub fn stapled(self, path: &Path, now: Duration) -> Result<Credentials, Flaw> {
        let shown = std::sync::Arc::new(Shown::stapled(&self.certified, path, now)?);
        Ok(Credentials { staple: Some(path.to_owned()), shown, ..self })
    }
}

/// The authorities of a file, with the certificates as they are in it.
pub fn authorities(path: &Path) -> Result<Authorities, Flaw> {
    let certificates = certificates(path)?;
    let mut roots = RootCertStore::empty();
    for (index, one) in certificates.iter().enumerate() {
        roots
            .add(one.clone())
            .map_err(|_| format!("certificate {} of the file is no authority's", index + 1))?;
    }
    let parts: Vec<&[u8]> = certificates.iter().map(AsRef::as_ref).collect();
    let fingerprint = Fingerprint::of(&parts);
    Ok(Authorities { path: path.to_owned(), roots: std::sync::Arc::new(roots), fingerprint })
}

/// Whose signatures are believed.
#[derive(Clone, Debug)]
pub struct Authorities {
    pub path: PathBuf,
    pub(super) roots: std::sync::Arc<RootCertStore>,
    pub(super) fingerprint: Fingerprint,
}
