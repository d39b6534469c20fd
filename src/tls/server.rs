//! The server's side: which certificate a client is shown, whom of the clients we believe, and tickets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, UnbufferedServerConnection,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;

use super::material::Flaw;
use super::pem::{Authorities, Credentials};
use super::session::{StillbornSession, TlsSession};
use super::staple::Shown;
use super::{ALPN, Fingerprint, TlsVersion, provider};
use crate::wire::transport::{Acceptor, Session};

/// What clients are asked for.
#[derive(Clone, Debug)]
pub struct ClientCertificates {
    pub authorities: Authorities,
    /// A client without one is sent away; else it is served, and is nobody.
    pub required: bool,
}

/// What the sessions with clients are made of.
#[derive(Clone, Debug)]
pub struct AcceptorSettings {
    /// The first is for whoever asks for no name, or for one that none is for.
    pub credentials: Vec<Credentials>,
    pub clients: Option<ClientCertificates>,
    pub min_version: TlsVersion,
    pub tickets: bool,
}

/// Makes sessions for clients' connections.
#[derive(Clone)]
pub struct TlsAcceptor {
    config: Arc<ServerConfig>,
    /// Whose certificates let clients in, and whether they have to show one.
    believed: Fingerprint,
    /// What a ticket vouches for: tickets of other settings are not taken.
    vouched: Fingerprint,
}

impl TlsAcceptor {
    pub fn new(settings: &AcceptorSettings) -> Result<TlsAcceptor, Flaw> {
        let failed = |what: &str| format!("{what} cannot be used");
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(settings.min_version.and_later())
            .map_err(|_| failed("these versions"))?;
        let builder = match &settings.clients {
            None => builder.with_no_client_auth(),
            Some(ClientCertificates { authorities, required }) => {
                let roots = Arc::clone(&authorities.roots);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = if *required { verifier } else { verifier.allow_unauthenticated() };
                builder.with_client_cert_verifier(
                    verifier.build().map_err(|_| failed("these authorities"))?,
                )
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(ByName::new(&settings.credentials)));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A ticket is all that is kept of a session, and the client keeps it: no table that workers share.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if settings.tickets {
            config.ticketer = Ticketer::new().map_err(|_| failed("keys for tickets"))?;
        } else {
            config.send_tls13_tickets = 0;
        }
        config.max_early_data_size = 0;
        let (authorities, required) = match &settings.clients {
            Some(clients) => (&clients.authorities.fingerprint.0[..], clients.required),
            None => (&[][..], false),
        };
        let believed = Fingerprint::of(&[authorities, &[u8::from(required)]]);
        let vouched = Fingerprint::of(&[&believed.0, &[u8::from(settings.tickets)]]);
        Ok(TlsAcceptor { config: Arc::new(config), believed, vouched })
    }

    /// Whether it lets clients in by the same certificates as `before`.
    pub fn believes_as(&self, before: &TlsAcceptor) -> bool {
        self.believed == before.believed
    }

    /// Goes on with the ticket keys of `before`, so that clients resume across a reload. Not where other
    /// clients are believed now: a ticket says who its holder was found to be.
    pub fn follow(&mut self, before: &TlsAcceptor) {
        if self.vouched == before.vouched {
            let mut config = ServerConfig::clone(&self.config);
            config.ticketer = Arc::clone(&before.config.ticketer);
            self.config = Arc::new(config);
        }
    }
}

impl Acceptor for TlsAcceptor {
    fn accept(&self) -> Box<dyn Session> {
        match UnbufferedServerConnection::new(Arc::clone(&self.config)) {
            Ok(connection) => Box::new(TlsSession::new(connection)),
            Err(error) => Box::new(StillbornSession::new(&error)),
        }
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor").field("vouched", &self.vouched).finish_non_exhaustive()
    }
}

/// The certificates by the names they are for.
#[derive(Debug)]
struct ByName {
    /// A wildcard stands under what follows its star: `.example.com`.
    names: BTreeMap<String, Vec<Arc<Shown>>>,
    default: Option<Arc<Shown>>,
}

impl ByName {
    fn new(credentials: &[Credentials]) -> ByName {
        let mut names = BTreeMap::<String, Vec<_>>::new();
        for one in credentials {
            for name in &one.names {
                let name = name.strip_prefix('*').unwrap_or(name);
                names.entry(name.to_owned()).or_default().push(Arc::clone(&one.shown));
            }
        }
        let default = credentials.first().map(|first| Arc::clone(&first.shown));
        ByName { names, default }
    }

    /// Those for this name: of the name itself, else of a wildcard that stands for one label of it.
    fn of(&self, name: &str) -> Option<&Vec<Arc<Shown>>> {
        self.names.get(name).or_else(|| self.names.get(&name[name.find('.')?..]))
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.of(name));
        // There may be one of each kind of key: the first that the client can check.
        let schemes = hello.signature_schemes();
        let fits = |one: &&Arc<Shown>| one.certified().key.choose_scheme(schemes).is_some();
        let found = named.and_then(|all| all.iter().find(fits).or_else(|| all.first()));
        found.or(self.default.as_ref()).map(|shown| shown.now())
    }
}
