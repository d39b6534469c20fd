//! Where a configuration is: a file, or a store that many gateways read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::config;
use crate::config::parts::ConfigText;
use crate::control::etcd::EtcdAddress;
use crate::sys;
use crate::tls::ClientFiles;

/// A configuration's place, as it is named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigPlace {
    File(PathBuf),
    Store(StorePlace),
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

impl FromStr for ConfigPlace {
    type Err = String;

    fn from_str(told: &str) -> Result<ConfigPlace, String> {
        match [SCHEME, SEALED_SCHEME].iter().any(|scheme| told.starts_with(scheme)) {
            true => told.parse().map(ConfigPlace::Store),
            false => Ok(ConfigPlace::File(PathBuf::from(told))),
        }
    }
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
            members.iter().try_for_each(|one| files.dialer(one, sys::time_of_day()).map(drop))?;
        }
        let etcd = EtcdAddress { members, user: user.map(str::to_owned), password, tls };
        Ok(StorePlace { etcd, prefix: format!("/{prefix}") })
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

impl fmt::Display for ConfigPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigPlace::File(path) => path.display().fmt(f),
            ConfigPlace::Store(store) => store.fmt(f),
        }
    }
}

impl ConfigPlace {
    /// Relative paths in the configuration begin here: at the file, or where the process was started.
    pub fn folder(&self) -> PathBuf {
        match self {
            ConfigPlace::File(path) => config::folder_of(path),
            ConfigPlace::Store(_) => std::env::current_dir().unwrap_or_default(),
        }
    }
}

/// What a place holds, or every reason why that cannot be told, a sentence each.
pub type Read = Result<ConfigText, Vec<String>>;

/// The text of a file.
pub fn read_file(path: &Path) -> Read {
    match config::read(path) {
        Ok(text) => Ok(ConfigText::of_file(path, text)),
        Err(problem) => Err(vec![problem.in_file(path)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_configuration_is() {
        let file = |path: &str| Ok(ConfigPlace::File(path.into()));
        assert_eq!("a/b.toml".parse(), file("a/b.toml"));
        let store = |told: &str| match told.parse::<ConfigPlace>() {
            Ok(ConfigPlace::Store(place)) => {
                Ok((place.etcd.members.join(","), place.etcd.user, place.prefix))
            }
            other => Err(format!("{other:?}")),
        };
        let is = |members: &str, user: Option<&str>, prefix: &str| {
            Ok((members.to_owned(), user.map(str::to_owned), prefix.to_owned()))
        };
        assert_eq!(store("etcd://h/p"), is("h:2379", None, "/p"));
        assert_eq!(
            store("etcd://h:1,[::1]:2,[::2]/a/b/"),
            is("h:1,[::1]:2,[::2]:2379", None, "/a/b")
        );
        assert_eq!(store("etcd://me@h/p"), is("h:2379", Some("me"), "/p"));
        for (wrong, why) in [
            ("etcd://h", "a prefix is missing"),
            ("etcd://h/", "a prefix is missing"),
            ("etcd:///p", "is no HOST:PORT"),
            ("etcd://h:0/p", "is no HOST:PORT"),
            ("etcd://h:x/p", "is no HOST:PORT"),
            ("etcd://me:secret@h/p", "a password may not stand here"),
            ("etcd://h/a b", "printable ASCII"),
            ("etcd://h\r\nX: y/p", "is no HOST:PORT"),
            ("etcd://h/p?ca=x", "only etcds:// takes files"),
            ("etcds://h/p?ca=/none/ca.pem", "/none/ca.pem: "),
            ("etcds://h/p?ca=", "ca has no value"),
            ("etcds://h/p?cert=x", "\"cert\" is not known"),
            ("etcds://h/p?key=x", "belong together"),
            ("etcds://h?ca=x", "a prefix is missing"),
        ] {
            let refused = wrong.parse::<ConfigPlace>().expect_err(wrong);
            assert!(refused.contains(why) && !refused.contains("secret"), "{wrong}: {refused}");
        }
    }
}
