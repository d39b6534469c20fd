//! The keys of a configuration, found by the digest of a secret, or by the name in a certificate.
//!
//! The search walks through digests. Where it ends tells a stranger nothing: to come near a digest they
//! would need a secret that hashes to it. The last comparison takes as long in either case.
//!
//! Of several keys that a certificate is for, it is one: the key that has its very name, else that of the
//! pattern that says most.

use std::cmp::Reverse;
use std::sync::Arc;

use super::key::{ApiKey, KeyDigest, KeySettings};
use crate::http::pattern::Pattern;

/// All keys.
#[derive(Clone, Debug, Default)]
pub struct KeyTable {
    keys: Vec<Arc<ApiKey>>,
    /// Each digest that opens, in order, and the key it is of.
    digests: Vec<(KeyDigest, u32)>,
    /// Each name in a certificate that opens alone, in order, and the key it is of.
    names: Vec<(Pattern, u32)>,
    /// Those with a star, the one that says most first. They are tried one by one.
    patterns: Vec<(Pattern, u32)>,
}

impl KeyTable {
    /// Of these keys, whose names and digests differ.
    pub fn new(settings: impl IntoIterator<Item = KeySettings>) -> KeyTable {
        let keys = settings.into_iter().map(|settings| Arc::new(ApiKey::new(settings)));
        KeyTable::of(keys.collect())
    }

    fn of(keys: Vec<Arc<ApiKey>>) -> KeyTable {
        let digests = keys.iter().zip(0..).flat_map(|(key, index)| {
            let previous = key.settings.previous.map(|(digest, _)| digest);
            [key.settings.digest(), previous].into_iter().flatten().map(move |it| (it, index))
        });
        let mut digests: Vec<(KeyDigest, u32)> = digests.collect();
        digests.sort_unstable_by_key(|(digest, _)| *digest);
        let certificates = keys.iter().zip(0..).flat_map(|(key, index)| {
            key.settings.certificate().iter().map(move |it| (it.clone(), index))
        });
        let (mut patterns, mut names): (Vec<_>, Vec<_>) =
            certificates.partition(|(name, _)| name.has_star());
        names.sort_unstable_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        patterns.sort_unstable_by_key(|(pattern, _): &(Pattern, u32)| {
            (Reverse(pattern.says()), pattern.as_str().to_owned())
        });
        KeyTable { keys, digests, names, patterns }
    }

    /// What keys of the same name have used by now goes on.
    pub fn follow(&self, before: &KeyTable) -> KeyTable {
        let keys = self.keys.iter().map(|key| match before.named(&key.settings.name) {
            None => Arc::clone(key),
            Some(old) => {
                let (settings, used) = (key.settings.clone(), Arc::clone(&old.used));
                Arc::new(ApiKey { settings, used })
            }
        });
        KeyTable::of(keys.collect())
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// In the order of the configuration.
    pub fn keys(&self) -> &[Arc<ApiKey>] {
        &self.keys
    }

    pub fn named(&self, name: &str) -> Option<&Arc<ApiKey>> {
        self.keys.iter().find(|key| key.settings.name == name)
    }

    /// The key that this secret is of, and whether by a digest from before a rotation.
    pub(super) fn find(&self, secret: &[u8]) -> Option<(&Arc<ApiKey>, bool)> {
        self.known(&KeyDigest::of(secret))
    }

    /// The same of the digest of a secret.
    pub(super) fn known(&self, digest: &KeyDigest) -> Option<(&Arc<ApiKey>, bool)> {
        let at = self.digests.partition_point(|(known, _)| known < digest);
        let (known, index) = self.digests.get(at)?;
        let key = self.keys.get(*index as usize)?;
        known.is(digest).then(|| (key, key.settings.digest().is_none_or(|own| !own.is(digest))))
    }

    /// The key of whoever has proved to be this by a certificate.
    pub(super) fn of_certificate(&self, name: &str) -> Option<&Arc<ApiKey>> {
        let named = self.names.binary_search_by(|(known, _)| known.as_str().cmp(name));
        let index = match named {
            Ok(at) => self.names.get(at),
            Err(_) => self.patterns.iter().find(|(known, _)| known.matches(name.as_bytes())),
        };
        index.and_then(|(_, index)| self.keys.get(*index as usize))
    }
}
