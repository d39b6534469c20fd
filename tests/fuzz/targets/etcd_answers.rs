//! What etcd answers, and what its keys say of members.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate::config::members;
use sluicegate::control::etcd::listing_in;

fuzz_target!(|input: &[u8]| {
    let Ok(listing) = listing_in(input) else { return };
    for entry in listing.entries {
        if let Ok(text) = std::str::from_utf8(&entry.value) {
            drop(members::read_one(text));
        }
    }
});
