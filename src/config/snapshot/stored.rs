//! Which server made a stored response: for requests that go on from it.
//!
//! One table for all workers, since the next request of a client may come to any of them. A worker writes
//! once for each response that may be stored, and reads only for a request that names one.
//!
//! * Nobody waits: an entry has no lock. It is two words, of which the first is the key mixed with the
//!   second; one that two workers wrote at once fits no key, and is as good as none.
//! * Bounded: it has its full size from the beginning. A new entry takes the place of the oldest of the
//!   few that it can lie among.
//! * Which upstream an endpoint belongs to is written by the control side alone, under a lock that is
//!   held for a look-up, and read only for a request that names a known response.
//! * What is not found may have been forgotten, or made elsewhere; it is never found at a wrong server.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::{Endpoint, EndpointId, UpstreamId};

/// Entries among which one can lie: two cache lines.
const WAYS: usize = 8;
/// What one takes.
pub const ENTRY_BYTES: usize = 16;

/// The responses that servers have stored, by the hash of their ids.
#[derive(Debug)]
pub struct StoredResponses {
    entries: Box<[Entry]>,
    /// Where endpoints are now.
    places: RwLock<BTreeMap<EndpointId, UpstreamId>>,
}

#[derive(Debug, Default)]
struct Entry {
    /// The key, mixed with `value`.
    mixed: AtomicU64,
    /// The endpoint's id, then the second of the clock in which it was written; 0: it is free.
    value: AtomicU64,
}

impl Entry {
    fn read(&self) -> (u64, u64) {
        let value = self.value.load(Ordering::Relaxed);
        (self.mixed.load(Ordering::Relaxed) ^ value, value)
    }
}

impl StoredResponses {
    /// For so many at the most; a few less, so that they divide.
    pub fn new(entries: usize) -> StoredResponses {
        let entries = (entries / WAYS).max(1) * WAYS;
        let entries = (0..entries).map(|_| Entry::default()).collect();
        StoredResponses { entries, places: RwLock::default() }
    }

    /// These are the endpoints of an upstream from now on.
    pub(in crate::config) fn settle(&self, upstream: UpstreamId, endpoints: &[Endpoint]) {
        // Nobody panics while it is held.
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        places.retain(|_, at| *at != upstream);
        places.extend(endpoints.iter().map(|endpoint| (endpoint.id, upstream)));
    }

    /// Whether an endpoint is one of this upstream now.
    pub fn is_at(&self, upstream: UpstreamId, endpoint: EndpointId) -> bool {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        places.get(&endpoint) == Some(&upstream)
    }

    pub fn capacity(&self) -> usize {
        self.entries.len()
    }

    /// The response whose id has this hash was made by this endpoint, in this second of the clock.
    pub fn remember(&self, key: u64, endpoint: EndpointId, second: u64) {
        let among = self.among(key);
        let is_own = |entry: &&Entry| entry.read().0 == key;
        let age = |entry: &&Entry| entry.read().1 as u32;
        let place = among.iter().find(is_own).or_else(|| among.iter().min_by_key(age));
        if let Some(entry) = place {
            let value = u64::from(endpoint.0) << 32 | u64::from(counted(second));
            entry.value.store(value, Ordering::Relaxed);
            entry.mixed.store(key ^ value, Ordering::Relaxed);
        }
    }

    /// Who has made the response whose id has this hash, if that was at most so long ago.
    pub fn maker(&self, key: u64, most: Duration, second: u64) -> Option<EndpointId> {
        let (_, value) = self
            .among(key)
            .iter()
            .map(Entry::read)
            .find(|(known, value)| *known == key && *value != 0)?;
        let age = counted(second).saturating_sub(value as u32);
        (u64::from(age) <= most.as_secs()).then_some(EndpointId((value >> 32) as u32))
    }

    fn among(&self, key: u64) -> &[Entry] {
        let set = (key % (self.entries.len() / WAYS) as u64) as usize;
        &self.entries[set * WAYS..(set + 1) * WAYS]
    }
}

/// From 1 on: 0 marks a free entry.
fn counted(second: u64) -> u32 {
    u32::try_from(second + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_response_is_found_until_it_is_too_old() {
        let stored = StoredResponses::new(100);
        assert_eq!(stored.capacity(), 96);
        let (a, b) = (0x9e37_79b9_7f4a_7c15, 7);
        stored.remember(a, EndpointId(7), 10);
        assert_eq!(stored.maker(a, DAY, 10), Some(EndpointId(7)));
        assert_eq!(stored.maker(a, DAY, 10 + 86_400), Some(EndpointId(7)));
        assert_eq!(stored.maker(a, DAY, 11 + 86_400), None);
        assert_eq!(stored.maker(b, DAY, 10), None);
        stored.remember(a, EndpointId(8), 20);
        assert_eq!(stored.maker(a, DAY, 20), Some(EndpointId(8)), "made anew");
    }

    #[test]
    fn the_oldest_gives_way() {
        let stored = StoredResponses::new(1);
        for key in 1..=9 {
            stored.remember(key, EndpointId(key as u32), key);
        }
        assert_eq!(stored.maker(1, DAY, 9), None);
        for key in 2..=9 {
            assert_eq!(stored.maker(key, DAY, 9), Some(EndpointId(key as u32)));
        }
    }

    /// Whatever is read while others write is right, or nothing.
    #[test]
    fn who_reads_while_others_write_finds_no_wrong_server() {
        let stored = StoredResponses::new(16);
        std::thread::scope(|scope| {
            for writer in 0..3u64 {
                let stored = &stored;
                scope.spawn(move || {
                    for round in 0..20_000 {
                        let key = (round + writer) % 40 + 1;
                        stored.remember(key, EndpointId(key as u32), 1);
                    }
                });
            }
            for round in 0..60_000 {
                let key = round % 40 + 1;
                let found = stored.maker(key, DAY, 1);
                assert!(found.is_none_or(|found| u64::from(found.0) == key), "{key}: {found:?}");
            }
        });
    }
}
