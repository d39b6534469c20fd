//! TLS to servers that are no upstream's: a store, a registry, an API. They are told by files.

use std::path::PathBuf;
use std::time::Duration;

use super::TlsVersion;
use super::client::{DialerSettings, TlsDialer, Trust, system_authorities};
use super::material::Flaw;
use super::pem::{Credentials, authorities, chain, key};

/// Whom we believe, and who we are: named files, read each time a dialer is made of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// Whose signatures are believed; `None`: those that the system trusts.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key; `None`: we show none.
    pub own: Option<(PathBuf, PathBuf)>,
    /// What a server has to prove, in place of the name that it is reached by.
    pub server_name: Option<String>,
}

impl ClientFiles {
    /// Makes sessions with the server at this `host:port`. `now` is the time since 1970, which our
    /// certificate has to be good at. The error is a sentence about a file or the name.
    pub fn dialer(&self, authority: &str, now: Duration) -> Result<TlsDialer, Flaw> {
        let trust = match &self.ca {
            None => system_authorities()?,
            Some(path) => authorities(path).map_err(|why| format!("{}: {why}", path.display()))?,
        };
        let credentials = match &self.own {
            None => None,
            Some((certificate, secret)) => {
                let told = |path: &PathBuf, why: Flaw| format!("{}: {why}", path.display());
                let chain = chain(certificate, now).map_err(|why| told(certificate, why))?;
                let key = key(secret).map_err(|why| told(secret, why))?;
                Some(Credentials::new(chain, key)?)
            }
        };
        let settings = DialerSettings {
            trust: Trust::These(trust),
            credentials,
            min_version: TlsVersion::default(),
        };
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        TlsDialer::new(&settings, self.server_name.as_deref().unwrap_or(host))
    }
}
