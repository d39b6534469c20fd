//! Whether all gateways send a key to the same endpoint, and which keys move when endpoints change.

use std::collections::BTreeSet;
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::sim::Random;

use super::for_seeds;
use super::gateway::{HASH, Picker, Server};

const BEGINS: Instant = Instant::from_nanos(1_000_000_000_000);
/// As docs/scale.md states it, whatever the gateway's own constant is.
const SLOW_START: Duration = Duration::from_secs(10);

/// So many endpoints, few more often than many.
fn some_servers(random: &mut Random) -> BTreeSet<Server> {
    let most = if random.chance(20) { 1_000 } else { 120 };
    let count = 8 + random.length(most);
    let first = random.below(1_000_000) as Server;
    (first..first + count as Server).collect()
}

fn part_of(servers: &BTreeSet<Server>, per_mille: u32, random: &mut Random) -> Vec<Server> {
    let mut part: Vec<Server> =
        servers.iter().copied().filter(|_| random.chance(per_mille)).collect();
    if part.is_empty() {
        part.extend(servers.first());
    }
    part
}

fn all(servers: &BTreeSet<Server>) -> Vec<Server> {
    servers.iter().copied().collect()
}

/// What a share of `of` samples may be above what is expected: five standard deviations.
fn most(expected: f64, of: usize) -> f64 {
    expected + 5.0 * (expected.max(1.0 / of as f64) / of as f64).sqrt()
}

fn is_over_slow_start() -> Instant {
    BEGINS + Duration::from_secs(100) + SLOW_START
}

#[test]
fn gateways_with_the_same_view_agree_about_every_key_however_they_came_to_it() {
    for_seeds(200, |seed| {
        let mut random = Random::new(seed);
        let servers = some_servers(&mut random);
        let count = 2 + random.length(if servers.len() > 60 { 3 } else { 14 });
        let mut gateways = Picker::many(HASH, count, seed);
        for gateway in &mut gateways {
            // Each has heard of them in parts of its own, at times of its own.
            let mut now = BEGINS;
            for _ in 0..random.below(3) {
                let part = part_of(&servers, 500, &mut random);
                gateway.obey(&part, now);
                now += random.duration(Duration::ZERO..=Duration::from_secs(30));
            }
            gateway.obey(&all(&servers), now);
        }
        let now = is_over_slow_start();
        for _ in 0..30 {
            let key = random.draw();
            let homes: BTreeSet<Server> =
                gateways.iter_mut().map(|gateway| gateway.home(key, now)).collect();
            assert_eq!(homes.len(), 1, "{homes:?}");
        }
    });
}

#[test]
fn only_the_keys_of_who_went_move_and_newcomers_take_their_share_from_all() {
    for_seeds(150, |seed| {
        let mut random = Random::new(seed ^ 0x6d);
        let before = some_servers(&mut random);
        let mut after: BTreeSet<Server> = part_of(&before, 900, &mut random).into_iter().collect();
        let last = *before.last().expect("some");
        after.extend((0..random.below(5) as Server).map(|one| last + 1 + one));
        let mut gateway = Picker::new(HASH, seed);
        let keys: Vec<u64> = (0..200).map(|_| random.draw()).collect();
        gateway.obey(&all(&before), BEGINS);
        let now = is_over_slow_start();
        let was: Vec<Server> = keys.iter().map(|key| gateway.home(*key, now)).collect();
        gateway.obey(&all(&after), now);
        let now = now + Duration::from_secs(100);
        let mut moved = 0;
        for (key, was) in keys.iter().zip(&was) {
            let is = gateway.home(*key, now);
            if is != *was {
                moved += 1;
                assert!(!after.contains(was) || !before.contains(&is), "{was} to {is}");
            }
        }
        // What is not in both sets, of what is in one.
        let differ = before.symmetric_difference(&after).count() as f64;
        let share = differ / before.union(&after).count() as f64;
        let moved = moved as f64 / keys.len() as f64;
        assert!(moved <= most(share, keys.len()), "{moved} moved of {share}");
    });
}

#[test]
fn views_that_differ_disagree_about_no_more_keys_than_they_differ_in_endpoints() {
    for_seeds(150, |seed| {
        let mut random = Random::new(seed ^ 0xd1);
        let servers = some_servers(&mut random);
        let mut views = [BTreeSet::new(), BTreeSet::new()];
        let mut gateways = Picker::many(HASH, 2, seed);
        for (view, gateway) in views.iter_mut().zip(&mut gateways) {
            view.extend(part_of(&servers, 950, &mut random));
            gateway.obey(&all(view), BEGINS);
        }
        let [one, other] = &views;
        let now = is_over_slow_start();
        let keys = 300;
        let mut differ = 0;
        for _ in 0..keys {
            let key = random.draw();
            let [here, there] = [0, 1].map(|at: usize| gateways[at].home(key, now));
            if here != there {
                differ += 1;
                assert!(!other.contains(&here) || !one.contains(&there), "both know both");
            }
        }
        let apart = one.symmetric_difference(other).count() as f64;
        let share = apart / one.union(other).count() as f64;
        let differ = differ as f64 / keys as f64;
        assert!(differ <= most(share, keys), "{differ} of the keys, {share} of the endpoints");
    });
}

/// A newcomer has little weight at first, and gateways hear of it at different moments.
#[test]
fn a_newcomer_divides_gateways_by_its_own_share_at_most_and_for_its_slow_start() {
    for_seeds(100, |seed| {
        let mut random = Random::new(seed ^ 0x5e);
        let mut servers = some_servers(&mut random);
        let mut gateways = Picker::many(HASH, 2, seed);
        for gateway in &mut gateways {
            gateway.obey(&all(&servers), BEGINS);
        }
        let newcomer = *servers.last().expect("some") + 1;
        servers.insert(newcomer);
        let told = is_over_slow_start();
        gateways[0].obey(&all(&servers), told);
        let later = told + random.duration(Duration::ZERO..=Duration::from_secs(5));
        gateways[1].obey(&all(&servers), later);
        let keys = 300;
        let keys: Vec<u64> = (0..keys).map(|_| random.draw()).collect();
        for (now, divided) in
            [(later, true), (later + SLOW_START / 2, true), (later + SLOW_START, false)]
        {
            let mut differ = 0;
            for key in &keys {
                let [here, there] = [0, 1].map(|at: usize| gateways[at].home(*key, now));
                assert!(here == there || here == newcomer || there == newcomer);
                differ += usize::from(here != there);
            }
            let share = if divided { most(1.0 / servers.len() as f64, keys.len()) } else { 0.0 };
            let differ = differ as f64 / keys.len() as f64;
            assert!(differ <= share, "{differ} of the keys, its share is {share}");
        }
    });
}
