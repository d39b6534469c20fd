//! `[server.tls]` and `tls` of an upstream: what sessions are made of, compiled.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::Snapshot;
use crate::tls::{TlsAcceptor, TlsVersion};

pub use crate::tls::TlsDialer;

/// `[server.tls]`
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// The last ones of `server.listen`: there clients speak TLS.
    pub listen: Vec<SocketAddr>,
    /// The first is for whoever asks for none of the names.
    pub certificates: Vec<CertificateFiles>,
    /// Whose signatures on clients' certificates are believed; `None`: clients are asked for none.
    pub client_ca: Option<PathBuf>,
    pub client_auth: ClientAuth,
    pub min_version: TlsVersion,
    /// Clients resume their sessions.
    pub tickets: bool,
    pub acceptor: Arc<TlsAcceptor>,
}

impl ServerTls {
    /// Whether every client has shown a certificate that we believe.
    pub fn asks_all_for_certificates(&self) -> bool {
        self.client_ca.is_some() && self.client_auth == ClientAuth::Required
    }
}

/// Where what clients are shown is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The OCSP response that is shown with it.
    pub ocsp: Option<PathBuf>,
}

/// What becomes of a client that shows no certificate, where it is asked for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Its handshake fails.
    Required,
    /// It is served, and is nobody.
    Optional,
}

/// `tls` of an upstream.
#[derive(Clone, Debug, Default)]
pub struct UpstreamTls {
    /// Whose signatures are believed; `None`: those that the system trusts.
    pub ca: Option<PathBuf>,
    /// What the server is asked for and has to prove, in place of the name of its endpoint.
    pub server_name: Option<String>,
    /// Who we are: certificate and key.
    pub own: Option<(PathBuf, PathBuf)>,
    pub min_version: TlsVersion,
    /// Any certificate is believed.
    pub unverified: bool,
}

impl Snapshot {
    /// Whether some connection has a session.
    pub fn speaks_tls(&self) -> bool {
        let mut endpoints = self.upstreams.iter().flat_map(|upstream| &upstream.listed);
        self.server.tls.is_some()
            || endpoints.any(|one| one.tls.is_some())
            || self.upstreams.iter().any(|upstream| upstream.tls.is_some())
    }

    /// Whether clients at this place of `server.listen` speak TLS. Not by the address: several may have
    /// the port 0.
    pub fn is_sealed(&self, place: usize) -> bool {
        self.server
            .tls
            .as_ref()
            .is_some_and(|tls| place + tls.listen.len() >= self.server.listen.len())
    }

    /// Whether clients are let in by the same certificates as before: those of the same authorities, and as
    /// ever with one or also without.
    pub fn believes_clients_as(&self, before: &Snapshot) -> bool {
        match (&self.server.tls, &before.server.tls) {
            (Some(tls), Some(old)) => tls.acceptor.believes_as(&old.acceptor),
            // Whether TLS is spoken at all, no reload changes.
            _ => true,
        }
    }

    /// The files of certificates and keys: when one changes, the configuration is another one.
    pub fn tls_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for tls in self.server.tls.iter().chain(&self.admin.tls) {
            for CertificateFiles { certificate, key, ocsp } in tls.certificates.iter().cloned() {
                files.extend([certificate, key].into_iter().chain(ocsp));
            }
            files.extend(tls.client_ca.clone());
        }
        for tls in self.upstreams.iter().filter_map(|upstream| upstream.tls.as_ref()) {
            files.extend(tls.ca.clone());
            files.extend(tls.own.iter().flat_map(|(one, key)| [one, key]).cloned());
        }
        files.sort();
        files.dedup();
        files
    }

    /// Keeps of the generation before what clients and servers remember of it: ticket keys, sessions.
    pub(super) fn keep_sessions(&mut self, before: &Snapshot) {
        if let (Some(tls), Some(old)) = (&mut self.server.tls, &before.server.tls) {
            let mut acceptor = TlsAcceptor::clone(&tls.acceptor);
            acceptor.follow(&old.acceptor);
            tls.acceptor = Arc::new(acceptor);
        }
        for upstream in &mut self.upstreams {
            let old = before.upstreams.iter().find(|old| old.name == upstream.name);
            let known = old.map_or(&[][..], |old| &old.listed);
            for listed in &mut upstream.listed {
                let same = known.iter().find(|known| known.tls == listed.tls);
                if let Some(same) = same {
                    listed.tls.clone_from(&same.tls);
                }
            }
        }
    }
}
