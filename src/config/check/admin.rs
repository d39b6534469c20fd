//! `[admin]` and `[access_log]`: for those who run the gateway.
//!
//! What is reachable from other machines asks for a token, or the configuration is refused: the
//! pages tell who talks to whom, and some of them end streams.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use super::super::file::{Field, Section};
use super::super::problem::{Mistake, Report};
use super::super::snapshot::{
    AccessFormat, AccessLog, AccessTarget, Admin, AdminToken, Secret, ServerSettings, ServerTls,
};
use super::super::{Environment, defaults};
use super::{address, tls};

/// Shorter ones can be guessed; longer ones are something else.
const TOKEN_BYTES: RangeInclusive<usize> = 16..=512;

pub(super) fn admin(
    mut section: Section<'_>,
    server: &ServerSettings,
    environment: &Environment,
    report: &mut Report,
) -> Admin {
    let listen = section.take("listen");
    let token_file = section.take("token_file");
    let token = token_file.as_ref().and_then(|field| token(field, environment, report));
    let address = listen.as_ref().and_then(|field| listener(field, report));
    let address = address.unwrap_or(defaults::ADMIN.listen);
    let sealed = section.take("tls");
    let mut admin = Admin {
        listen: address,
        token,
        tls: None,
        hosts: hosts(&mut section, report),
        playground: section.boolean("playground", defaults::ADMIN.playground, report),
    };
    match (&sealed, address) {
        (Some(field), Some(address)) => {
            admin.tls = tls::admin(field, address, environment, report);
        }
        (Some(field), None) => {
            report.error(
                field.place(),
                "says how TLS is spoken where admin.listen says, which is off",
            );
        }
        (None, _) => {}
    }
    if let (Some(field), Some(address)) = (&listen, admin.listen) {
        if server.listen.iter().any(|ours| meet(*ours, address)) {
            report.error(field.place(), "is taken by server.listen");
        }
        // Who has to show a certificate is known, and the key behind it never leaves its machine.
        let proves = ServerTls::asks_all_for_certificates;
        let asks = token_file.is_some() || admin.tls.as_ref().is_some_and(proves);
        if !address.ip().is_loopback() && !asks && (sealed.is_none() || admin.tls.is_some()) {
            report.error(
                field.place(),
                format!(
                    "{address} can be reached from other machines, so admin.token_file is \
                     required, or admin.tls.client_ca; without both, listen on a loopback address"
                ),
            );
        }
    }
    section.finish(report);
    admin
}

/// Names without a port, in lower case.
fn hosts(section: &mut Section<'_>, report: &mut Report) -> Vec<String> {
    let Some(field) = section.take("hosts") else { return defaults::ADMIN.hosts };
    let items = field.list(report).unwrap_or_default();
    let named = items.iter().filter_map(|item| item.parsed(report, host_name));
    named.collect()
}

fn host_name(text: &str) -> Result<String, Mistake> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if text.is_empty() || text.len() > 253 || !text.bytes().all(fits) {
        return Err(Mistake::new(
            "must be a name such as \"gate.example.org\", without scheme and port",
        ));
    }
    Ok(text.to_ascii_lowercase())
}

/// Whether both cannot be bound at once.
fn meet(left: SocketAddr, right: SocketAddr) -> bool {
    let alike = left.is_ipv4() == right.is_ipv4();
    let everywhere = left.ip().is_unspecified() || right.ip().is_unspecified();
    let same = left.ip() == right.ip() || (alike && everywhere);
    left.port() != 0 && left.port() == right.port() && same
}

/// `Some(None)` is "off".
fn listener(field: &Field<'_>, report: &mut Report) -> Option<Option<SocketAddr>> {
    field.parsed(report, |text| match text {
        "off" => Ok(None),
        _ => address::listen(text).map(Some),
    })
}

fn token(field: &Field<'_>, environment: &Environment, report: &mut Report) -> Option<AdminToken> {
    field.parsed(report, |written| {
        let path = environment.file(written);
        let file = path.to_string_lossy().into_owned();
        let text = (environment.read)(&path)
            .map_err(|reason| Mistake::new(format!("{file}: {reason}")))?;
        let token = text.trim_end_matches(['\r', '\n']);
        let (least, most) = (TOKEN_BYTES.start(), TOKEN_BYTES.end());
        let fits = TOKEN_BYTES.contains(&token.len());
        if !fits || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Mistake::new(format!(
                "{file} must hold one line of {least} to {most} visible ASCII characters"
            )));
        }
        Ok(AdminToken { file, secret: Secret::new(token) })
    })
}

pub(super) fn access_log(
    mut section: Section<'_>,
    environment: &Environment,
    report: &mut Report,
) -> AccessLog {
    let formats = [("json", AccessFormat::Json), ("logfmt", AccessFormat::Logfmt)];
    let target = section.take("to").and_then(|field| target(&field, environment, report));
    let access_log = AccessLog {
        target: target.unwrap_or(defaults::ACCESS_LOG.target),
        format: section.choice("format", &formats, defaults::ACCESS_LOG.format, report),
    };
    section.finish(report);
    access_log
}

fn target(
    field: &Field<'_>,
    environment: &Environment,
    report: &mut Report,
) -> Option<AccessTarget> {
    field.parsed(report, |text| {
        Ok(match text {
            "off" => AccessTarget::Off,
            "stdout" => AccessTarget::Stdout,
            "stderr" => AccessTarget::Stderr,
            "" => return Err(Mistake::new("must be \"off\", \"stdout\", \"stderr\" or a path")),
            path => {
                let path = environment.folder.join(path);
                AccessTarget::File(path.to_string_lossy().into_owned())
            }
        })
    })
}
