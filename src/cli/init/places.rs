//! Places: what the text of a server says of where it is.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::snapshot::unix_path::{UNIX_PATH_MAX, UNIX_PREFIX, stand_in};
use crate::control::identify::{AskFailure, ServerPlace};
use crate::tls::{ClientFiles, TlsDialer};

/// Whether these texts name the same place. Nobody is asked for the addresses of a name, but what every machine calls
/// itself is known.
pub fn is_same(one: &str, other: &str) -> bool {
    identity(one) == identity(other)
}

/// Scheme, authority with its port, and base without its version.
fn identity(text: &str) -> (bool, String, &str) {
    if let Some(path) = text.strip_prefix(UNIX_PREFIX) {
        return (false, UNIX_PREFIX.to_owned(), path);
    }
    let rest = text.strip_prefix("https://");
    let sealed = rest.is_some();
    let rest = rest.unwrap_or_else(|| text.strip_prefix("http://").unwrap_or(text));
    let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let base = base.trim_end_matches('/');
    let authority = with_port(&authority.to_ascii_lowercase(), sealed);
    let authority = match authority.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => authority,
    };
    (sealed, authority, base.strip_suffix("/v1").unwrap_or(base))
}

fn with_port(authority: &str, sealed: bool) -> String {
    match authority.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => authority.to_owned(),
        _ => format!("{authority}:{}", if sealed { 443 } else { 80 }),
    }
}

/// Where a server is, and how it is dialled.
pub struct Located {
    /// A name may have several.
    pub addresses: Vec<SocketAddr>,
    pub tls: Option<TlsDialer>,
    /// What `Host` says.
    host: String,
    /// In front of every path.
    pub base: String,
}

impl Located {
    /// Asks at its addresses, one after the other, until somebody is there; with these lines in the head.
    pub fn ask<T>(
        &self,
        key_lines: &str,
        question: impl Fn(ServerPlace<'_>) -> Result<T, AskFailure>,
    ) -> Result<T, AskFailure> {
        let Located { tls, host, base, .. } = self;
        let mut last = AskFailure::NoAddress("the name has none".to_owned());
        for address in self.addresses.iter().copied() {
            let tls = tls.as_ref();
            match question(ServerPlace { address, tls, host, base, key_lines, rules: None }) {
                Err(failure @ AskFailure::Connect(_)) => last = failure,
                answered => return answered,
            }
        }
        Err(last)
    }
}

/// What a server's text says. An error is a sentence.
pub fn located(text: &str) -> Result<Located, String> {
    if let Some(path) = text.strip_prefix(UNIX_PREFIX) {
        return unix(path);
    }
    let (sealed, rest) = match text.split_once("://") {
        None => (false, text),
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some((scheme, _)) => return Err(format!("{scheme}:// is neither http:// nor https://")),
    };
    let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let with_port = with_port(authority, sealed);
    let addresses = with_port.to_socket_addrs().map_err(|error| error.to_string())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let tls = sealed.then(|| ClientFiles::default().dialer(&with_port, now)).transpose()?;
    let base = base.trim_end_matches('/').to_owned();
    Ok(Located { addresses: addresses.collect(), tls, host: authority.to_owned(), base })
}

/// A socket of this machine.
fn unix(path: &str) -> Result<Located, String> {
    if !path.starts_with('/') || path.len() > UNIX_PATH_MAX {
        return Err(format!(
            "a Unix socket is {UNIX_PREFIX} and the whole path of a file, of {UNIX_PATH_MAX} bytes at most"
        ));
    }
    let (host, base) = ("localhost".to_owned(), String::new());
    Ok(Located { addresses: vec![stand_in(path)], tls: None, host, base })
}
