//! Who may ask for what.
//!
//! | | health, the bare page | look | change |
//! |---|---|---|---|
//! | loopback, no token configured | yes | local names only | never |
//! | loopback, token configured | yes | local names, or the token | the token |
//! | reachable from elsewhere | yes | the token | the token |
//!
//! *Local names*: a page of a stranger can make a browser on this machine resolve the stranger's
//! name to 127.0.0.1 and read what is answered. Its requests carry the stranger's name in `Host`,
//! so only addresses, `localhost` and the names of `admin.hosts` are taken for local.
//!
//! What changes something is looked at twice where a browser has sent it, which its `Origin` or
//! `Sec-Fetch-Site` tells: the page has to be ours, and `Host` a local name. A browser puts both there
//! and lets no page write them; whoever is no browser sends neither, and has shown the token.
//!
//! | what a browser sends | is done where |
//! |---|---|
//! | `Host` | it is a local name |
//! | `Origin` | its authority is that of `Host`, or its host one of `admin.hosts` |
//! | `Sec-Fetch-Site`, without `Origin` | it is `same-origin` or `none` |

use std::net::IpAddr;

use crate::config::snapshot::Secret;
use crate::responder::Request;

/// What the pages ask of their callers.
#[derive(Clone, Debug)]
pub struct Policy {
    pub token: Option<Secret>,
    /// Nobody but this machine can connect.
    pub loopback: bool,
    /// Names that are ours beside addresses and `localhost`, in lower case.
    pub hosts: Vec<String>,
    /// Nobody can connect without a certificate that we believe. It is enough to look; a page of somebody
    /// else's could use the browser's to change something.
    pub proven: bool,
}

/// What a request is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    Look,
    /// To look, by a call that a page of a stranger must not make.
    Ask,
    Change,
}

/// Why it is not allowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    TokenMissing,
    TokenWrong,
    /// There is no token that could be shown.
    NoToken,
    ForeignHost,
    /// The page of a stranger has had it sent.
    ForeignOrigin,
}

impl Policy {
    pub(super) fn judge(&self, need: Need, request: &Request<'_>) -> Result<(), Denied> {
        let shown = request.fields.get("authorization").map(|value| self.accepts(value));
        if matches!(need, Need::Ask | Need::Change) {
            self.judge_page(request)?;
        }
        match (need, shown) {
            (Need::Nothing, _) | (_, Some(true)) => Ok(()),
            (Need::Change, _) if self.token.is_none() => Err(Denied::NoToken),
            (_, Some(false)) => Err(Denied::TokenWrong),
            (Need::Look | Need::Ask, None) if self.proven => Ok(()),
            (Need::Look | Need::Ask, None) if self.loopback && self.is_ours(request.authority) => {
                Ok(())
            }
            (Need::Look | Need::Ask, None) if self.loopback => Err(Denied::ForeignHost),
            (_, None) => Err(Denied::TokenMissing),
        }
    }

    /// Whether a page that a browser has sent this for is one of ours.
    fn judge_page(&self, request: &Request<'_>) -> Result<(), Denied> {
        // Where there are two, a proxy may have read another one than we do.
        let mut origins = request.fields.all("origin").peekable();
        let site = request.fields.get("sec-fetch-site");
        let is_page_ours = match (origins.peek(), site) {
            (None, None) => return Ok(()),
            (Some(_), _) => origins.all(|origin| self.is_origin_ours(origin, request.authority)),
            (None, site) => matches!(site, Some(b"same-origin" | b"none")),
        };
        match (is_page_ours, self.is_ours(request.authority)) {
            (false, _) => Err(Denied::ForeignOrigin),
            (true, false) => Err(Denied::ForeignHost),
            (true, true) => Ok(()),
        }
    }

    fn is_origin_ours(&self, origin: &[u8], authority: &[u8]) -> bool {
        let Some((scheme, theirs)) =
            str::from_utf8(origin).ok().and_then(|origin| origin.split_once("://"))
        else {
            return false;
        };
        let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        let is_same = !authority.is_empty() && theirs.as_bytes().eq_ignore_ascii_case(authority);
        is_web && (is_same || self.is_named(host(theirs)))
    }

    /// Whether an authority is an address, `localhost` or a name of ours, with or without a port.
    fn is_ours(&self, authority: &[u8]) -> bool {
        is_local(authority) || str::from_utf8(authority).is_ok_and(|text| self.is_named(host(text)))
    }

    fn is_named(&self, host: &str) -> bool {
        self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host))
    }

    fn accepts(&self, authorization: &[u8]) -> bool {
        let (scheme, token) = authorization.split_at(authorization.len().min("Bearer ".len()));
        let secret = self.token.as_ref();
        scheme.eq_ignore_ascii_case(b"Bearer ") && secret.is_some_and(|secret| secret.is(token))
    }
}

/// Whether an authority is an address or `localhost`, with or without a port.
fn is_local(authority: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(authority) else { return false };
    let host = host(text);
    host.is_empty() || host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

/// An authority without its port.
fn host(authority: &str) -> &str {
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    }
}

impl Denied {
    pub fn status(self) -> u16 {
        match self {
            Denied::TokenMissing | Denied::TokenWrong => 401,
            Denied::NoToken | Denied::ForeignHost | Denied::ForeignOrigin => 403,
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Denied::TokenMissing => "token_missing",
            Denied::TokenWrong => "token_wrong",
            Denied::NoToken => "no_token_configured",
            Denied::ForeignHost => "foreign_host",
            Denied::ForeignOrigin => "foreign_origin",
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Denied::TokenMissing => "this needs the admin token: Authorization: Bearer …",
            Denied::TokenWrong => "this is not the admin token",
            Denied::NoToken => "nothing can be changed here: admin.token_file is not configured",
            Denied::ForeignHost => {
                "Host is neither an address nor localhost nor in admin.hosts; without a browser, and \
                 with the admin token, it may be anything"
            }
            Denied::ForeignOrigin => {
                "the page that has sent this is not the dashboard of this gateway: its Origin is \
                 neither what Host says nor in admin.hosts"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_names_are_addresses_and_localhost() {
        for local in ["", "localhost", "LOCALHOST:9090", "127.0.0.1:9090", "[::1]:9090", "[::1]"] {
            assert!(is_local(local.as_bytes()), "{local}");
        }
        for foreign in
            ["evil.example", "evil.example:9090", "localhost.evil.example", "127.0.0.1.x"]
        {
            assert!(!is_local(foreign.as_bytes()), "{foreign}");
        }
    }
}
