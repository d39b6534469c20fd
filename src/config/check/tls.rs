//! `[server.tls]` and `tls` of an upstream: files are read here, and refused with a sentence each.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::Environment;
use super::super::file::{Field, Section};
use super::super::problem::{Mistake, Report};
use super::super::snapshot::{
    CertificateFiles, ClientAuth, DialTemplate, ServerTls, TlsDialer, UpstreamTls,
};
use super::{address, listeners};
use crate::tls::{
    self, AcceptorSettings, ClientCertificates, Credentials, DialerSettings, TlsAcceptor,
    TlsVersion, Trust,
};

const CERTIFICATES_MAX: usize = 1_000;

pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// `[server.tls]`
fn server(field: &Field<'_>, environment: &Environment, report: &mut Report) -> Option<ServerTls> {
    let mut section = field.section(report);
    let listen = section.require("listen", report);
    let listen = listen.and_then(|field| listeners(&field, report)).unwrap_or_default();
    let certificates = section.require("certificates", report);
    let credentials = certificates.and_then(|field| certificates_of(&field, environment, report));
    sessions((field, section), listen, credentials, environment, report)
}

/// `admin.tls`: one certificate, at the address where the admin pages are.
pub(super) fn admin(
    field: &Field<'_>,
    address: SocketAddr,
    environment: &Environment,
    report: &mut Report,
) -> Option<ServerTls> {
    let mut section = field.section(report);
    let credentials = shown(&mut section, environment, report).map(|one| vec![one]);
    sessions((field, section), vec![address], credentials, environment, report)
}

/// What sessions with clients are made of, their certificates apart.
fn sessions(
    (field, mut section): (&Field<'_>, Section<'_>),
    listen: Vec<SocketAddr>,
    credentials: Option<Vec<Credentials>>,
    environment: &Environment,
    report: &mut Report,
) -> Option<ServerTls> {
    let ca = section.take("client_ca");
    let authorities =
        ca.as_ref().and_then(|field| file(field, environment, report, tls::authorities));
    let auth = section.take("client_auth");
    let words = [("required", ClientAuth::Required), ("optional", ClientAuth::Optional)];
    let client_auth = auth.as_ref().and_then(|field| field.choice(&words, report));
    if let (Some(auth), None) = (&auth, &ca) {
        report.error(auth.place(), "needs client_ca: whose clients are to be believed?");
    }
    let client_auth = client_auth.unwrap_or(ClientAuth::Required);
    let min_version = section.choice("min_version", &TlsVersion::ALL, TlsVersion::Tls12, report);
    let tickets = section.boolean("tickets", true, report);
    section.finish(report);
    let credentials = credentials?;
    let client_ca = authorities.as_ref().map(|authorities| authorities.path.clone());
    if ca.is_some() && client_ca.is_none() {
        return None;
    }
    let settings = AcceptorSettings {
        clients: authorities.map(|authorities| ClientCertificates {
            authorities,
            required: client_auth == ClientAuth::Required,
        }),
        credentials,
        min_version,
        tickets,
    };
    let acceptor =
        report.noted(field.place(), TlsAcceptor::new(&settings).map_err(Mistake::new))?;
    let files = |one: &Credentials| CertificateFiles {
        certificate: one.certificate.clone(),
        key: one.key.clone(),
        ocsp: one.staple.clone(),
    };
    Some(ServerTls {
        listen,
        certificates: settings.credentials.iter().map(files).collect(),
        client_ca,
        client_auth,
        min_version,
        tickets,
        acceptor: Arc::new(acceptor),
    })
}

/// The addresses of `[server]`, plain ones and those of `server.tls`, and what that says.
pub(super) fn listeners_of(
    section: &mut Section<'_>,
    environment: &Environment,
    report: &mut Report,
) -> (Vec<SocketAddr>, Option<ServerTls>) {
    let field = section.take("tls");
    let listen = match field {
        // A gateway may speak TLS alone.
        Some(_) => section.take("listen"),
        None => section.require("listen", report),
    };
    let mut listen = listen.and_then(|field| listeners(&field, report)).unwrap_or_default();
    let tls = field.as_ref().and_then(|field| server(field, environment, report));
    if let (Some(field), Some(tls)) = (&field, &tls) {
        join(&mut listen, tls, field, report);
    }
    (listen, tls)
}

/// Adds the addresses of `server.tls` to those of `server.listen`, which must not have them already.
fn join(listen: &mut Vec<SocketAddr>, tls: &ServerTls, field: &Field<'_>, report: &mut Report) {
    for address in &tls.listen {
        if address.port() != 0 && listen.contains(address) {
            let reason = format!(
                "{address} is in server.listen too: what stands here speaks TLS, what stands there \
                 does not"
            );
            report.error(field.place(), reason);
        }
    }
    listen.extend(&tls.listen);
}

fn certificates_of(
    field: &Field<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<Vec<Credentials>> {
    let fields = field.list(report)?;
    if fields.is_empty() || fields.len() > CERTIFICATES_MAX {
        report.error(field.place(), format!("must have from 1 to {CERTIFICATES_MAX} certificates"));
        return None;
    }
    // All are read, so that all mistakes are told at once.
    let read: Vec<_> = fields
        .iter()
        .map(|field| credentials(field.section(report), environment, report))
        .collect();
    read.into_iter().collect()
}

/// `{ certificate = "file", key = "file", ocsp = "file" }`
fn credentials(
    mut section: Section<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<Credentials> {
    let credentials = shown(&mut section, environment, report);
    section.finish(report);
    credentials
}

/// The three files of a certificate that clients are shown.
fn shown(
    section: &mut Section<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<Credentials> {
    let certificate = section.require("certificate", report);
    let key = section.require("key", report);
    let ocsp = section.take("ocsp");
    let credentials = pair(&certificate?, &key?, environment, report)?;
    match ocsp {
        None => Some(credentials),
        Some(ocsp) => {
            file(&ocsp, environment, report, |path| credentials.clone().stapled(path, now()))
        }
    }
}

fn pair(
    certificate: &Field<'_>,
    key: &Field<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<Credentials> {
    let chain = file(certificate, environment, report, |path| tls::chain(path, now()));
    let secret = file(key, environment, report, tls::key);
    let credentials = Credentials::new(chain?, secret?);
    report.noted(key.place(), credentials.map_err(Mistake::new))
}

/// Reads a file that is named relative to the folder of the configuration.
fn file<T>(
    field: &Field<'_>,
    environment: &Environment,
    report: &mut Report,
    read: impl Fn(&Path) -> Result<T, String>,
) -> Option<T> {
    field.parsed(report, |written| {
        let path: PathBuf = environment.file(written);
        read(&path).map_err(|reason| Mistake::new(format!("{}: {reason}", path.display())))
    })
}

/// What an upstream says of TLS.
pub(super) struct UpstreamDraft<'d> {
    field: Option<Field<'d>>,
    pub settings: UpstreamTls,
    trust: Option<Trust>,
    own: Option<Credentials>,
    /// Something is wrong with it, and has been told.
    flawed: bool,
}

/// `tls` of an upstream.
pub(super) fn upstream<'d>(
    field: Option<Field<'d>>,
    environment: &Environment,
    report: &mut Report,
) -> UpstreamDraft<'d> {
    let mut draft = UpstreamDraft {
        field: None,
        settings: UpstreamTls::default(),
        trust: None,
        own: None,
        flawed: false,
    };
    let Some(field) = field else { return draft };
    let mut section = field.section(report);
    let ca = section.take("ca");
    let unverified = section.take("dangerously_unverified");
    let is_unverified = unverified.as_ref().and_then(|field| field.boolean(report));
    if let (Some(flag), Some(true)) = (&unverified, is_unverified) {
        draft.settings.unverified = true;
        draft.trust = Some(Trust::Nobody);
        let warning = "every certificate is believed: whoever is on the way to this upstream can read \
                       and change everything, keys among it; name its authority in tls.ca instead";
        report.warn(flag.place(), Mistake::new(warning));
        if let Some(ca) = &ca {
            report.error(ca.place(), "says nothing where dangerously_unverified is true");
        }
    } else if let Some(ca) = &ca {
        let authorities = file(ca, environment, report, tls::authorities);
        draft.flawed |= authorities.is_none();
        draft.settings.ca = authorities.as_ref().map(|authorities| authorities.path.clone());
        draft.trust = authorities.map(Trust::These);
    }
    if let Some(name) = section.take("server_name") {
        draft.settings.server_name = name.parsed(report, address::host);
        draft.flawed |= draft.settings.server_name.is_none();
    }
    let (certificate, key) = (section.take("certificate"), section.take("key"));
    match (&certificate, &key) {
        (Some(certificate), Some(key)) => {
            draft.own = pair(certificate, key, environment, report);
            draft.flawed |= draft.own.is_none();
            let files = |own: &Credentials| (own.certificate.clone(), own.key.clone());
            draft.settings.own = draft.own.as_ref().map(files);
        }
        (Some(alone), None) => report.error(alone.place(), "needs key, the key that belongs to it"),
        (None, Some(alone)) => {
            report.error(alone.place(), "needs certificate, the one that it belongs to");
        }
        (None, None) => {}
    }
    draft.settings.min_version =
        section.choice("min_version", &TlsVersion::ALL, TlsVersion::Tls12, report);
    section.finish(report);
    draft.field = Some(field);
    draft
}

impl UpstreamDraft<'_> {
    /// How an endpoint is dialled whose authority is this; `place` is where it stands.
    pub fn dialer(
        &mut self,
        authority: &str,
        field: &Field<'_>,
        report: &mut Report,
    ) -> Option<Arc<TlsDialer>> {
        let template = self.template(field, report)?;
        let dialer = template.dialer(authority).map_err(Mistake::new);
        report.noted(field.place(), dialer)
    }

    /// The same for endpoints that are not known yet.
    pub fn template(&mut self, field: &Field<'_>, report: &mut Report) -> Option<DialTemplate> {
        if self.flawed {
            return None;
        }
        if self.trust.is_none() {
            let system = tls::system_authorities().map_err(Mistake::new);
            self.trust = report.noted(field.place(), system).map(Trust::These);
            self.flawed = self.trust.is_none();
        }
        let settings = DialerSettings {
            trust: self.trust.clone()?,
            credentials: self.own.clone(),
            min_version: self.settings.min_version,
        };
        Some(DialTemplate { settings, server_name: self.settings.server_name.clone() })
    }

    /// What the snapshot keeps of it: nothing where no endpoint speaks TLS.
    pub fn finish(self, any: bool, report: &mut Report) -> Option<UpstreamTls> {
        if let (Some(field), false) = (&self.field, any) {
            let reason = "says how TLS is spoken, and no endpoint speaks it: write \
                          endpoints = [\"https://host:port\"]";
            report.error(field.place(), reason);
        }
        any.then_some(self.settings)
    }
}
