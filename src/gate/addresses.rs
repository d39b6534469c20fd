//! Limits per address: how many connections one has, and how fast it opens them and asks.
//!
//! One table for all workers, of one size from the beginning. An entry is of a prefix: a single IPv4
//! address and a /64 of IPv6 by default, since that is what one household has.
//!
//! * Nobody waits: an entry is a few atomic words.
//! * An entry is given to another prefix when it would say nothing: no connection is open, and its buckets
//!   are full. So nothing is forgotten by that.
//! * A prefix that finds no entry free among the few that it can have is not limited. That takes more
//!   prefixes at once than the table has entries; `limits.connections` bounds those.
//! * Two workers that meet the same prefix for the first time in one moment may count it in two entries.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::bucket::SecondBucket;
use super::network::prefix;
use crate::clock::Instant;

/// Entries of the table: half a MiB.
const ENTRIES: usize = 16_384;
/// Entries among which one can lie.
const WAYS: usize = 8;

/// What one prefix may do. `None`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressLimits {
    /// Open at once.
    pub connections: Option<u32>,
    pub connections_per_second: Option<u64>,
    pub requests_per_second: Option<u64>,
    /// Bits of an address that make a prefix.
    pub ipv4_prefix: u8,
    pub ipv6_prefix: u8,
}

impl AddressLimits {
    /// Bits that make a prefix, of both families.
    pub fn prefixes(&self) -> (u8, u8) {
        (self.ipv4_prefix, self.ipv6_prefix)
    }
}

/// What all prefixes have done.
pub struct AddressTable {
    entries: Box<[AddressEntry]>,
    /// Nobody can choose addresses that meet in one entry.
    hashes: RandomState,
}

#[derive(Debug, Default)]
struct AddressEntry {
    /// The hash of its prefix; 0: it is free.
    hash: AtomicU64,
    connections: AtomicU32,
    opened: SecondBucket,
    asked: SecondBucket,
}

impl std::fmt::Debug for AddressTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AddressTable")
    }
}

impl Default for AddressTable {
    fn default() -> AddressTable {
        let entries = (0..ENTRIES).map(|_| AddressEntry::default()).collect();
        AddressTable { entries, hashes: RandomState::new() }
    }
}

impl AddressTable {
    /// Counts one more connection of an address, if it may have it. One that was counted has to be
    /// [left](AddressTable::leave).
    pub fn connect(&self, limits: &AddressLimits, address: IpAddr, now: Instant) -> bool {
        let Some(entry) = self.entry(limits, address, now) else { return true };
        let most = limits.connections.unwrap_or(u32::MAX);
        let order = Ordering::Relaxed;
        let more = |open: u32| (open < most).then(|| open + 1);
        if entry.connections.fetch_update(order, order, more).is_err() {
            return false;
        }
        let opened = |rate| entry.opened.take(rate, 1, now).is_ok();
        let may = limits.connections_per_second.is_none_or(opened);
        if !may {
            entry.close();
        }
        may
    }

    /// Counts a connection that is open already, whatever the limits say: it was let in by others.
    pub fn join(&self, limits: &AddressLimits, address: IpAddr, now: Instant) {
        if let Some(entry) = self.entry(limits, address, now) {
            entry.connections.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection of an address has ended.
    pub fn leave(&self, limits: &AddressLimits, address: IpAddr) {
        let hash = self.hash(limits, address);
        if let Some(entry) = self.among(hash).iter().find(|entry| entry.is_of(hash)) {
            entry.close();
        }
    }

    /// Counts a request of an address, or says after what time it may come again.
    pub fn ask(
        &self,
        limits: &AddressLimits,
        address: IpAddr,
        now: Instant,
    ) -> Result<(), Duration> {
        let Some(rate) = limits.requests_per_second else { return Ok(()) };
        self.entry(limits, address, now).map_or(Ok(()), |entry| entry.asked.take(rate, 1, now))
    }

    /// The entry of an address, found or made.
    fn entry(
        &self,
        limits: &AddressLimits,
        address: IpAddr,
        now: Instant,
    ) -> Option<&AddressEntry> {
        let hash = self.hash(limits, address);
        let among = self.among(hash);
        if let Some(known) = among.iter().find(|entry| entry.is_of(hash)) {
            return Some(known);
        }
        among.iter().find(|entry| {
            let before = entry.hash.load(Ordering::Relaxed);
            let order = Ordering::Relaxed;
            (before == 0 || entry.says_nothing(now))
                && entry.hash.compare_exchange(before, hash, order, order).is_ok()
        })
    }

    fn hash(&self, limits: &AddressLimits, address: IpAddr) -> u64 {
        let length = if address.is_ipv4() { limits.ipv4_prefix } else { limits.ipv6_prefix };
        self.hashes.hash_one(prefix(address, length)).max(1)
    }

    fn among(&self, hash: u64) -> &[AddressEntry] {
        let set = (hash % (self.entries.len() / WAYS) as u64) as usize;
        &self.entries[set * WAYS..(set + 1) * WAYS]
    }
}

impl AddressEntry {
    fn is_of(&self, hash: u64) -> bool {
        self.hash.load(Ordering::Relaxed) == hash
    }

    fn says_nothing(&self, now: Instant) -> bool {
        self.connections.load(Ordering::Relaxed) == 0
            && self.opened.full_in(now).is_zero()
            && self.asked.full_in(now).is_zero()
    }

    /// One that found no entry free was never counted.
    fn close(&self) {
        let order = Ordering::Relaxed;
        let _ = self.connections.fetch_update(order, order, |open| open.checked_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: AddressLimits = AddressLimits {
        connections: Some(3),
        connections_per_second: Some(2),
        requests_per_second: Some(4),
        ipv4_prefix: 32,
        ipv6_prefix: 64,
    };

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_has_so_many_connections_and_opens_them_so_fast() {
        let table = AddressTable::default();
        let connect = |text, millis| table.connect(&LIMITS, address(text), at(millis));
        assert!(connect("192.0.2.1", 0) && connect("192.0.2.1", 0));
        assert!(!connect("192.0.2.1", 0), "two a second");
        assert!(connect("192.0.2.2", 0), "another address");
        assert!(connect("192.0.2.1", 500));
        assert!(!connect("192.0.2.1", 2_000), "three at once");
        table.leave(&LIMITS, address("192.0.2.1"));
        assert!(connect("192.0.2.1", 2_000));
        // One that was never counted takes nothing away.
        table.leave(&LIMITS, address("192.0.2.9"));
    }

    #[test]
    fn who_is_here_already_is_counted_beyond_the_limit() {
        let table = AddressTable::default();
        let one = address("192.0.2.1");
        (0..4).for_each(|_| table.join(&LIMITS, one, at(0)));
        for _ in 0..2 {
            assert!(!table.connect(&LIMITS, one, at(0)));
            table.leave(&LIMITS, one);
        }
        assert!(table.connect(&LIMITS, one, at(0)), "they took nothing of the rate");
    }

    #[test]
    fn a_household_is_one_prefix() {
        let table = AddressTable::default();
        let connect = |text| table.connect(&LIMITS, address(text), at(0));
        assert!(connect("2001:db8::1") && connect("2001:db8::2"));
        assert!(!connect("2001:db8:0:0:ffff::3"));
        assert!(connect("2001:db8:0:1::1"));
        let wide = AddressLimits { ipv4_prefix: 24, ..LIMITS };
        let connect = |text| table.connect(&wide, address(text), at(0));
        assert!(connect("192.0.2.1") && connect("192.0.2.200") && !connect("192.0.2.3"));
    }

    #[test]
    fn requests_come_as_fast_as_they_may() {
        let table = AddressTable::default();
        let ask = |millis| table.ask(&LIMITS, address("192.0.2.1"), at(millis));
        assert!((0..4).all(|_| ask(0).is_ok()));
        assert_eq!(ask(0), Err(Duration::from_millis(250)));
        assert_eq!(ask(250), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_who_says_nothing() {
        let table = AddressTable::default();
        let connect = |number: u32, millis| {
            let address = IpAddr::V4((0x0a00_0000 + number).into());
            table.connect(&LIMITS, address, at(millis))
        };
        // More than it has entries: whoever finds none is let in.
        assert!((0..40_000).all(|number| connect(number, 0)));
        (0..40_000).for_each(|number| {
            table.leave(&LIMITS, IpAddr::V4((0x0a00_0000 + number).into()));
        });
        // Their seconds are over: others have their entries.
        assert!((100_000..100_100).all(|number| connect(number, 2_000)));
        assert!((100_000..100_100).all(|number| connect(number, 2_000)));
        assert!((100_000..100_100).all(|number| !connect(number, 2_000)));
    }
}
