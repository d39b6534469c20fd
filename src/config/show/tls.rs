//! `[server.tls]` and `tls` of an upstream, as they can be written. What a key file holds is not shown.

use std::fmt::{self, Write};
use std::path::Path;

use super::{entry, list, quoted};
use crate::config::snapshot::unix_path::shown_address;
use crate::config::snapshot::{CertificateFiles, ClientAuth, ServerTls, UpstreamTls};

fn file(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

pub(super) fn server(tls: &ServerTls, out: &mut String) -> fmt::Result {
    writeln!(out, "\n[server.tls]")?;
    entry(out, "listen", list(tls.listen.iter().map(|address| quoted(&shown_address(*address)))))?;
    writeln!(out, "certificates = [")?;
    for CertificateFiles { certificate, key, ocsp } in &tls.certificates {
        let ocsp = ocsp.as_ref().map(|path| format!(", ocsp = {}", file(path))).unwrap_or_default();
        writeln!(out, "    {{ certificate = {}, key = {}{ocsp} }},", file(certificate), file(key))?;
    }
    writeln!(out, "]")?;
    sessions(tls, "", out)
}

/// `admin.tls`
pub(super) fn admin(tls: &ServerTls, out: &mut String) -> fmt::Result {
    for CertificateFiles { certificate, key, ocsp } in &tls.certificates {
        entry(out, "tls.certificate", file(certificate))?;
        entry(out, "tls.key", file(key))?;
        if let Some(path) = ocsp {
            entry(out, "tls.ocsp", file(path))?;
        }
    }
    sessions(tls, "tls.", out)
}

/// What is said of sessions whose certificates have been told, each key behind `under`.
fn sessions(tls: &ServerTls, under: &str, out: &mut String) -> fmt::Result {
    let mut told = |key: &str, value: String| entry(out, &format!("{under}{key}"), value);
    if let Some(path) = &tls.client_ca {
        told("client_ca", file(path))?;
        let word = match tls.client_auth {
            ClientAuth::Required => "required",
            ClientAuth::Optional => "optional",
        };
        told("client_auth", quoted(word))?;
    }
    told("min_version", quoted(tls.min_version.name()))?;
    told("tickets", tls.tickets.to_string())?;
    if tls.client_ca.is_none() {
        writeln!(out, "# {under}client_ca: none")?;
    }
    Ok(())
}

pub(super) fn upstream(tls: &UpstreamTls, out: &mut String) -> fmt::Result {
    if let Some(path) = &tls.ca {
        entry(out, "tls.ca", file(path))?;
    } else if !tls.unverified {
        writeln!(out, "# tls.ca: those that the system trusts")?;
    }
    if tls.unverified {
        entry(out, "tls.dangerously_unverified", true)?;
    }
    if let Some(name) = &tls.server_name {
        entry(out, "tls.server_name", quoted(name))?;
    }
    if let Some((certificate, key)) = &tls.own {
        entry(out, "tls.certificate", file(certificate))?;
        entry(out, "tls.key", file(key))?;
    }
    entry(out, "tls.min_version", quoted(tls.min_version.name()))
}
