//! The client's side: whom we believe at a server, and who we are there.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::material::Flaw;
use super::pem::{Authorities, Credentials};
use super::session::{StillbornSession, TlsSession};
use super::{ALPN, Fingerprint, TlsVersion, provider};
use crate::wire::transport::{Dialer, Session};

/// Servers of one identity whose sessions are remembered.
const RESUMED_SERVERS: usize = 64;

/// Whom we believe.
#[derive(Clone, Debug)]
pub enum Trust {
    These(Authorities),
    /// Anybody: who is on the way can read and change everything.
    Nobody,
}

/// What the sessions with the servers of an upstream are made of.
#[derive(Clone, Debug)]
pub struct DialerSettings {
    pub trust: Trust,
    /// Who we are, where the server asks.
    pub credentials: Option<Credentials>,
    pub min_version: TlsVersion,
}

/// Makes sessions with one server, under one identity.
#[derive(Clone)]
pub struct TlsDialer {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    identity: Fingerprint,
}

impl TlsDialer {
    /// For a connection to a listener of this process: it is found by its address, and nobody has to prove
    /// that.
    pub fn to_ourselves() -> Result<TlsDialer, Flaw> {
        let settings = DialerSettings {
            trust: Trust::Nobody,
            credentials: None,
            min_version: TlsVersion::default(),
        };
        TlsDialer::new(&settings, "localhost")
    }

    /// `name` is what the server is asked for (SNI), and has to prove.
    pub fn new(settings: &DialerSettings, name: &str) -> Result<TlsDialer, Flaw> {
        let server = ServerName::try_from(name.to_owned())
            .map_err(|_| format!("{name:?} is no name of a server"))?;
        let failed = |what: &str| format!("{what} cannot be used");
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(settings.min_version.and_later())
            .map_err(|_| failed("these versions"))?;
        let (builder, trusted) = match &settings.trust {
            Trust::These(authorities) => (
                builder.with_root_certificates(Arc::clone(&authorities.roots)),
                authorities.fingerprint,
            ),
            Trust::Nobody => {
                let verifier = Arc::new(Unverified(provider()));
                let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
                (builder, Fingerprint::of(&[b"unverified"]))
            }
        };
        let mut config = match &settings.credentials {
            None => builder.with_no_client_auth(),
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(
                Arc::clone(&own.certified),
            ))),
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::in_memory_sessions(RESUMED_SERVERS);
        let own = settings.credentials.as_ref().map(|own| own.fingerprint.0);
        let identity = Fingerprint::of(&[
            &trusted.0,
            own.as_ref().map_or(&[], |own| &own[..]),
            settings.min_version.name().as_bytes(),
            name.as_bytes(),
        ]);
        Ok(TlsDialer { config: Arc::new(config), name: server, identity })
    }
}

impl TlsDialer {
    /// The same without memory: no session is resumed, each has a full handshake.
    #[must_use]
    pub fn afresh(&self) -> TlsDialer {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::disabled();
        TlsDialer { config: Arc::new(config), ..self.clone() }
    }

    pub(super) fn parts(&self) -> (&Arc<ClientConfig>, ServerName<'static>) {
        (&self.config, self.name.clone())
    }
}

/// A connection that was made under one identity never serves another.
impl PartialEq for TlsDialer {
    fn eq(&self, other: &TlsDialer) -> bool {
        self.identity == other.identity
    }
}

impl Eq for TlsDialer {}

impl Dialer for TlsDialer {
    fn dial(&self) -> Box<dyn Session> {
        match UnbufferedClientConnection::new(Arc::clone(&self.config), self.name.clone()) {
            Ok(connection) => Box::new(TlsSession::new(connection)),
            Err(error) => Box::new(StillbornSession::new(&error)),
        }
    }
}

impl fmt::Debug for TlsDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsDialer({:?}, {:?})", self.name, self.identity)
    }
}

/// The authorities that the system trusts.
pub fn system_authorities() -> Result<Authorities, Flaw> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs.iter().cloned());
    if added == 0 {
        return Err("this system has no list of trusted authorities (ca-certificates); \
                    name a file of them: tls.ca"
            .to_owned());
    }
    let parts: Vec<&[u8]> = found.certs.iter().map(AsRef::as_ref).collect();
    let fingerprint = Fingerprint::of(&parts);
    Ok(Authorities { path: PathBuf::new(), roots: Arc::new(roots), fingerprint })
}

/// Believes every certificate; the signatures of the handshake are checked all the same.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
