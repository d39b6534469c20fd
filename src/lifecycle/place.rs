//! Where a configuration is: a file, or a store that many gateways read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::config;
use crate::config::parts::ConfigText;
pub use crate::config::store::StorePlace;
use crate::config::store::is_store;

/// A configuration's place, as it is named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigPlace {
    File(PathBuf),
    Store(StorePlace),
}

impl FromStr for ConfigPlace {
    type Err = String;

    fn from_str(told: &str) -> Result<ConfigPlace, String> {
        match is_store(told) {
            true => told.parse().map(ConfigPlace::Store),
            false => Ok(ConfigPlace::File(PathBuf::from(told))),
        }
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
