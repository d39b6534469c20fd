//! `[server.tls]` and `tls` of an upstream, as they can be written. What a key file holds is not shown.

use std::fmt::{self, Write};
use std::path::Path;

use super::{entry, list, quoted};
use crate::config::snapshot::unix_path::shown_address;
use crate::config::snapshot::{ClientAuth, ServerTls, UpstreamTls};

fn file(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

pub(super) fn server(tls: &ServerTls, out: &mut String) -> fmt::Result {
    writeln!(out, "\n[server.tls]")?;
    entry(out, "listen", list(tls.listen.iter().map(|address| quoted(&shown_address(*address)))))?;
    writeln!(out, "certificates = [")?;
    for (certificate, key) in &tls.certificates {
        writeln!(out, "    {{ certificate = {}, key = {} }},", file(certificate), file(key))?;
    }
    writeln!(out, "]")?;
    match &tls.client_ca {
        None => writeln!(out, "# client_ca: none")?,
        Some(path) => {
            entry(out, "client_ca", file(path))?;
            let word = match tls.client_auth {
                ClientAuth::Required => "required",
                ClientAuth::Optional => "optional",
            };
            entry(out, "client_auth", quoted(word))?;
        }
    }
    entry(out, "min_version", quoted(tls.min_version.name()))?;
    entry(out, "tickets", tls.tickets)
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
