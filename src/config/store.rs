//! Where a store is: a text that names it, judged by its form, and the files that it names by what they
//! hold.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::tls::ClientFiles;

/// Where a store is, and who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdAddress {
    /// `host:port` of each member that is known.
    pub members: Vec<String>,
    pub user: Option<String>,
    pub password: Option<String>,
    /// Each member speaks TLS, which is done with these files.
    pub tls: Option<ClientFiles>,
}

impl fmt::Debug for EtcdAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password stays out of every log.
        f.debug_struct("EtcdAddress").field("members", &self.members).finish_non_exhaustive()
    }
}

/// Keys below a prefix in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePlace {
    pub etcd: EtcdAddress,
    /// `/sluicegate/prod`, without a slash at its end.
    pub prefix: String,
}

/// The variable of the environment with the password of a store's user.
pub const PASSWORD: &str = "SLUICEGATE_STORE_PASSWORD";
const SCHEME: &str = "etcd://";
/// The same, and every member speaks TLS.
const SEALED_SCHEME: &str = "etcds://";

/// Whether a place is one of a store.
pub fn is_store(told: &str) -> bool {
    [SCHEME, SEALED_SCHEME].iter().any(|scheme| told.starts_with(scheme))
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

impl FromStr for StorePlace {
    type Err = String;

    /// `[etcd[s]://][USER@]HOST[:PORT][,HOST[:PORT]…]/PREFIX[?ca=FILE&certificate=FILE&key=FILE]`
    fn from_str(told: &str) -> Result<StorePlace, String> {
        let (told, sealed) = match told.strip_prefix(SEALED_SCHEME) {
            Some(rest) => (rest, true),
            None => (told.strip_prefix(SCHEME).unwrap_or(told), false),
        };
        let (told, query) = match told.split_once('?') {
            Some((told, query)) => (told, Some(query)),
            None => (told, None),
        };
        let (authority, prefix) = told.split_once('/').unwrap_or((told, ""));
        let prefix = prefix.trim_end_matches('/');
        if prefix.is_empty() {
            return Err("a prefix is missing: etcd://HOST:PORT/PREFIX".to_owned());
        }
        if prefix.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err("the prefix may hold printable ASCII alone".to_owned());
        }
        let (user, members) = match authority.rsplit_once('@') {
            Some((user, members)) => (Some(user), members),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(format!("a password may not stand here: set {PASSWORD}"));
        }
        let members = members.split(',').map(member).collect::<Result<Vec<_>, _>>()?;
        let password = std::env::var(PASSWORD).ok().filter(|_| user.is_some());
        let tls = tls_files(sealed, query)?;
        if let Some(files) = &tls {
            // A file that is wrong is told now, and not when the store is asked.
            members.iter().try_for_each(|one| files.dialer(one, now()).map(drop))?;
        }
        let etcd = EtcdAddress { members, user: user.map(str::to_owned), password, tls };
        Ok(StorePlace { etcd, prefix: format!("/{prefix}") })
    }
}

impl StorePlace {
    /// The text that names it.
    pub fn written(&self) -> String {
        let EtcdAddress { members, user, tls, .. } = &self.etcd;
        let scheme = if tls.is_some() { SEALED_SCHEME } else { SCHEME };
        let user = user.as_ref().map_or(String::new(), |user| format!("{user}@"));
        let mut text = format!("{scheme}{user}{}{}", members.join(","), self.prefix);
        if let Some(ClientFiles { ca, own, server_name }) = tls {
            let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
            let own = own.iter().flat_map(|(certificate, key)| {
                [("certificate", path(certificate)), ("key", path(key))]
            });
            let ca = ca.iter().map(|file| ("ca", path(file)));
            let name = server_name.iter().map(|name| ("server_name", name.clone()));
            for (at, (key, value)) in ca.chain(own).chain(name).enumerate() {
                text.push_str(&format!("{}{key}={value}", if at == 0 { '?' } else { '&' }));
            }
        }
        text
    }
}

/// What stands behind the question mark: files for TLS.
fn tls_files(sealed: bool, query: Option<&str>) -> Result<Option<ClientFiles>, String> {
    if !sealed {
        return match query {
            Some(_) => Err("only etcds:// takes files behind a question mark".to_owned()),
            None => Ok(None),
        };
    }
    let mut files = ClientFiles::default();
    let (mut certificate, mut key) = (None, None);
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if value.is_empty() {
            return Err(format!("{name} has no value: write {name}=…"));
        }
        match name {
            "ca" => files.ca = Some(value.into()),
            "certificate" => certificate = Some(value.into()),
            "key" => key = Some(value.into()),
            "server_name" => files.server_name = Some(value.to_owned()),
            _ => {
                return Err(format!("{name:?} is not known: ca, certificate, key or server_name"));
            }
        }
    }
    files.own = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err("certificate and key belong together".to_owned()),
    };
    Ok(Some(files))
}

/// `host:port`; etcd's own port where none is told.
fn member(told: &str) -> Result<String, String> {
    let (host, port) = match told.rsplit_once(':') {
        // An IPv6 address without a port ends with a bracket.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (told, "2379"),
    };
    let good = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte));
    match port.parse::<u16>() {
        Ok(port) if good && port > 0 => Ok(format!("{host}:{port}")),
        _ => Err(format!("{told:?} is no HOST:PORT")),
    }
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etcd:{}", self.prefix)
    }
}
