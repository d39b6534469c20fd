//! The keys of a configuration, found by the digest of a secret.
//!
//! The search walks through digests. Where it ends tells a stranger nothing: to come near a digest they
//! would need a secret that hashes to it. The last comparison takes as long in either case.

use std::sync::Arc;

use super::key::{ApiKey, KeyDigest, KeySettings};

/// All keys.
#[derive(Clone, Debug, Default)]
pub struct KeyTable {
    keys: Vec<Arc<ApiKey>>,
    /// Each digest that opens, in order, and the key it is of.
    digests: Vec<(KeyDigest, u32)>,
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
            [Some(key.settings.digest), previous].into_iter().flatten().map(move |it| (it, index))
        });
        let mut digests: Vec<(KeyDigest, u32)> = digests.collect();
        digests.sort_unstable_by_key(|(digest, _)| *digest);
        KeyTable { keys, digests }
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
        known.is(digest).then(|| (key, !key.settings.digest.is(digest)))
    }
}
