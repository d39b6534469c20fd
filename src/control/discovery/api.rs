//! A registry that is asked over HTTP: its address, its TLS, its token, and what its refusals mean.

use std::fmt::Write as _;
use std::time::Duration;

use super::Trouble;
use crate::config::snapshot::{ApiServer, TlsDialer, TokenPlace};
use crate::control::client::{Answer, Ask, AskFailure, Whereabouts};
use crate::files;
use crate::sys;

const AGENT: &str = concat!("sluicegate/", env!("CARGO_PKG_VERSION"));
/// No token is longer; those of Kubernetes have some kilobytes.
const TOKEN_BYTES_MAX: u64 = 64 << 10;
/// Of what a refusal says so much is told.
const TOLD_MAX: usize = 200;
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// An HTTP API that is asked again and again.
pub(super) struct Api {
    server: ApiServer,
    /// The field that a token is shown in, up to the token: `Authorization: Bearer `.
    field: &'static str,
    /// Made anew of its files after a failure: they may have been renewed.
    dialer: Option<TlsDialer>,
}

/// What was asked for has been answered with another status than 200.
pub(super) struct Refusal {
    pub status: u16,
    pub trouble: Trouble,
}

impl Api {
    pub fn new(server: ApiServer, field: &'static str) -> Api {
        Api { server, field, dialer: None }
    }

    /// Asks for a path. `timeout` is for all that is read of the answer, unless it is read by lines.
    pub fn get(&mut self, path: &str, timeout: Duration) -> Result<Answer, Refusal> {
        let asked = self.ask(path, timeout);
        if asked.is_err() {
            self.dialer = None;
        }
        asked
    }

    fn ask(&mut self, path: &str, timeout: Duration) -> Result<Answer, Refusal> {
        let ApiServer { authority, base, tls, token } = &self.server;
        if let (Some(files), None) = (tls, &self.dialer) {
            let dialer = files.dialer(authority, sys::time_of_day());
            self.dialer = Some(dialer.map_err(|why| refused(0, why))?);
        }
        let mut lines = String::new();
        if let Some(place) = token {
            let token = read_token(place).map_err(|why| refused(0, why))?;
            let _ = write!(lines, "{}{token}\r\n", self.field);
        }
        let ask = Ask {
            to: Whereabouts::Name(authority),
            tls: self.dialer.as_ref(),
            host: authority,
            path: &format!("{base}{path}"),
            agent: AGENT,
            lines: &lines,
            rules: None,
            post: None,
            timeout,
        };
        let answer = ask.begin().map_err(|failure| refused(0, away(authority, &failure)))?;
        match answer.status {
            200 => Ok(answer),
            status => {
                let again = answer.retry_after.map(|after| after.min(Duration::from_secs(60)));
                let text = answer.document(REFUSAL_BYTES_MAX).unwrap_or_default();
                let reason = format!("{authority} answers with status {status}{}", said(&text));
                Err(Refusal { status, trouble: Trouble { reason, again } })
            }
        }
    }
}

fn refused(status: u16, reason: String) -> Refusal {
    Refusal { status, trouble: Trouble::new(reason) }
}

/// Why somebody who is asked does not answer.
pub(super) fn away(authority: &str, failure: &AskFailure) -> String {
    format!("{authority}: {failure}")
}

/// The first words of a refusal: `message` of a JSON text, or the text.
fn said(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let words = json["message"].as_str().unwrap_or(text.trim());
    let short: String = words.chars().take(TOLD_MAX).collect();
    if short.is_empty() { short } else { format!(": {short:?}") }
}

/// A token as it is now.
fn read_token(place: &TokenPlace) -> Result<String, String> {
    let token = match place {
        TokenPlace::Env(name) => {
            std::env::var(name).map_err(|_| format!("the variable {name} is not set"))?
        }
        TokenPlace::File(path) => {
            let told = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
            let bytes = files::read(path, TOKEN_BYTES_MAX).map_err(|why| told(&why))?;
            String::from_utf8(bytes).map_err(|_| told(&"it is no text"))?
        }
    };
    let token = token.trim();
    // It goes into a line of a head.
    match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(token.to_owned()),
        false => Err("the token is no line of visible ASCII characters".to_owned()),
    }
}

/// A text in a query or a path, as URLs have it.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => out.push(byte.into()),
            false => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// `ip:port`, with the brackets that an IPv6 address wants.
pub(super) fn authority(address: &str, port: u64) -> String {
    match address.contains(':') {
        true => format!("[{address}]:{port}"),
        false => format!("{address}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_put_into_urls_and_addresses() {
        assert_eq!(escaped("a b/c=d&é.~"), "a%20b%2Fc%3Dd%26%C3%A9.~");
        assert_eq!(authority("10.0.0.1", 80), "10.0.0.1:80");
        assert_eq!(authority("fd00::1", 80), "[fd00::1]:80");
    }

    #[test]
    fn a_refusal_is_told_in_few_words() {
        assert_eq!(said(b""), "");
        assert_eq!(said(b"No cluster leader\n"), ": \"No cluster leader\"");
        assert_eq!(said(br#"{"kind":"Status","message":"Forbidden"}"#), ": \"Forbidden\"");
        assert_eq!(said(b"\x1b[2J\xff"), ": \"\\u{1b}[2J\u{fffd}\"");
        assert!(said(&[b'x'; 5_000]).len() < 300);
    }
}
