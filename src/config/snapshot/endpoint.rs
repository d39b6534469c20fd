//! One endpoint of an upstream, compiled.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{EndpointId, TlsDialer};

/// One inference server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub id: EndpointId,
    /// `None`: it is down, because its name has no address, or none that is known yet.
    pub address: Option<SocketAddr>,
    /// As written in the file: `Host` for `host = "endpoint"`.
    pub authority: String,
    /// How it is dialled where it speaks TLS.
    pub tls: Option<Arc<TlsDialer>>,
    /// What it is called in logs, metrics and orders: authority and base as written in the file, and
    /// an address of a name in brackets behind it.
    pub name: String,
    /// Bytes of the base path in its name, behind the authority: each worker has a record of each
    /// endpoint, and these stay small.
    pub base_bytes: u16,
    /// Share of the traffic, at least 1.
    pub weight: u32,
    /// Asked before those with a higher number.
    pub priority: u16,
    /// So many endpoints share this weight: the addresses of a name.
    pub sharing: u32,
}

impl Endpoint {
    /// What stands in front of the path of every request to it; empty, or `/` and more.
    pub fn base(&self) -> &str {
        let start = self.authority.len();
        self.name.get(start..start + usize::from(self.base_bytes)).unwrap_or_default()
    }

    /// Whether an order for `text` is for it: all addresses of a name answer to the name, and each
    /// to itself.
    pub fn answers_to(&self, text: &str) -> bool {
        let is_here = |address: SocketAddr| text.parse() == Ok(address);
        self.name == text || self.authority == text || self.address.is_some_and(is_here)
    }

    /// What `Host` says to it: a port that its scheme has anyway is left out, as servers that are many
    /// in one place are used to.
    pub fn host(&self) -> &str {
        let authority = self.authority.as_str();
        let usual = self.tls.as_ref().and_then(|_| authority.strip_suffix(":443"));
        usual.unwrap_or(authority)
    }

    /// Its part of the weight that it shares, times `scale`; at least 1.
    pub fn weight_in(&self, scale: u32) -> u64 {
        (u64::from(self.weight) * u64::from(scale) / u64::from(self.sharing)).max(1)
    }
}
