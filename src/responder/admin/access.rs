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
//! so only addresses and `localhost` are taken for local.

use std::net::IpAddr;

use crate::config::snapshot::Secret;
use crate::responder::Request;

/// What the pages ask of their callers.
#[derive(Clone, Debug)]
pub struct Policy {
    pub token: Option<Secret>,
    /// Nobody but this machine can connect.
    pub loopback: bool,
}

/// What a request is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    Look,
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
}

impl Policy {
    pub(super) fn judge(&self, need: Need, request: &Request<'_>) -> Result<(), Denied> {
        let shown = request.fields.get("authorization").map(|value| self.accepts(value));
        match (need, shown) {
            (Need::Nothing, _) | (_, Some(true)) => Ok(()),
            (Need::Change, _) if self.token.is_none() => Err(Denied::NoToken),
            (_, Some(false)) => Err(Denied::TokenWrong),
            (Need::Look, None) if self.loopback && is_local(request.authority) => Ok(()),
            (Need::Look, None) if self.loopback => Err(Denied::ForeignHost),
            (Need::Look | Need::Change, None) => Err(Denied::TokenMissing),
        }
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
    let host = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => text.split(':').next().unwrap_or_default(),
    };
    host.is_empty() || host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
}

impl Denied {
    pub fn status(self) -> u16 {
        match self {
            Denied::TokenMissing | Denied::TokenWrong => 401,
            Denied::NoToken | Denied::ForeignHost => 403,
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Denied::TokenMissing => "token_missing",
            Denied::TokenWrong => "token_wrong",
            Denied::NoToken => "no_token_configured",
            Denied::ForeignHost => "foreign_host",
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Denied::TokenMissing => "this needs the admin token: Authorization: Bearer …",
            Denied::TokenWrong => "this is not the admin token",
            Denied::NoToken => "nothing can be changed here: admin.token_file is not configured",
            Denied::ForeignHost => {
                "Host is neither an address nor localhost; with the admin token it may be anything"
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
