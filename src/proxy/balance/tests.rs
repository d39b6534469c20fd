use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::snapshot::HashKey;

const HASH: Balance = Balance::Hash(HashKey::Prompt(256));
const POLICIES: [Balance; 4] =
    [Balance::LeastOutstanding, Balance::RoundRobin, Balance::PeakEwma, HASH];

fn address(endpoint: usize) -> SocketAddr {
    ([10, 0, (endpoint >> 8) as u8, endpoint as u8], 8000).into()
}

fn balancer(policy: Balance, endpoints: usize) -> Balancer {
    Balancer::new(policy, (0..endpoints).map(address).map(Some), 0)
}

fn candidates(weights: &[u64]) -> Vec<Candidate> {
    let candidate = |(endpoint, &weight): (usize, &u64)| Candidate { endpoint, weight };
    weights.iter().enumerate().map(candidate).collect()
}

/// Picks so often, each with another key; how often each endpoint was taken.
fn shares(policy: Balance, weights: &[u64], picks: u64, load: &[u32]) -> Vec<u64> {
    let mut balancer = balancer(policy, weights.len());
    let mut random = Random::new(3);
    let candidates = candidates(weights);
    let mut taken = vec![0; weights.len()];
    for _ in 0..picks {
        let key = Some(random.draw());
        let place = balancer.pick(&candidates, key, Instant::ZERO, &mut random, |at| load[at]);
        taken[candidates[place.expect("there are candidates")].endpoint] += 1;
    }
    taken
}

#[test]
fn without_load_the_shares_are_the_weights() {
    for policy in POLICIES {
        for weights in [vec![1_000; 7], vec![5_000, 1_000, 1_000], vec![1_000, 100, 250, 4_000]] {
            let picks = 200_000;
            let load = vec![0; weights.len()];
            // Of two endpoints of which nothing is known, peak EWMA takes the first one drawn.
            let taken = shares(policy.clone(), &weights, picks, &load);
            let total: u64 = weights.iter().sum();
            for (endpoint, weight) in weights.iter().enumerate() {
                let expected = picks as f64 * *weight as f64 / total as f64;
                let error = (taken[endpoint] as f64 - expected).abs() / expected;
                assert!(error < 0.03, "{policy:?} {weights:?}: {taken:?}");
            }
        }
    }
}

#[test]
fn the_more_loaded_of_two_is_not_taken() {
    for policy in [Balance::LeastOutstanding, Balance::PeakEwma] {
        let taken = shares(policy.clone(), &[1_000, 1_000], 1_000, &[3, 2]);
        assert_eq!(taken, [0, 1_000], "{policy:?}");
        // By weight: five of ten is less than one of one.
        let taken = shares(policy, &[1_000, 10_000], 1_000, &[1, 5]);
        assert_eq!(taken, [0, 1_000]);
    }
    // The most loaded of many is taken only when it is compared with itself: never.
    let taken = shares(Balance::LeastOutstanding, &[1_000; 5], 10_000, &[1, 1, 9, 1, 1]);
    assert_eq!(taken[2], 0, "{taken:?}");
}

#[test]
fn two_choices_keep_the_longest_queue_short() {
    // 10,000 exchanges that never end at 100 endpoints: at random, the fullest would have some
    // 130; with two choices, 100 and a few.
    let mut balancer = balancer(Balance::LeastOutstanding, 100);
    let mut random = Random::new(5);
    let candidates = candidates(&[1_000; 100]);
    let mut load = vec![0; 100];
    for _ in 0..10_000 {
        let place = balancer.pick(&candidates, None, Instant::ZERO, &mut random, |at| load[at]);
        load[place.expect("there are candidates")] += 1;
    }
    let most = load.iter().max().copied();
    assert!(most.is_some_and(|most| most <= 104), "{most:?}");
}

#[test]
fn peak_ewma_asks_the_fast_and_the_unknown() {
    let mut balancer = balancer(Balance::PeakEwma, 3);
    let mut random = Random::new(1);
    let now = Instant::ZERO + Duration::from_secs(60);
    balancer.observe(0, Duration::from_millis(800), now);
    balancer.observe(1, Duration::from_millis(100), now);
    let mut pick = |balancer: &Balancer, endpoints: &[usize], now, load: [u32; 3]| {
        let candidate = |&endpoint: &usize| Candidate { endpoint, weight: 1_000 };
        let candidates: Vec<_> = endpoints.iter().map(candidate).collect();
        let mut seen: Vec<_> = (0..100)
            .filter_map(|_| {
                balancer.clone().pick(&candidates, None, now, &mut random, |at| load[at])
            })
            .map(|place| endpoints[place])
            .collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    };
    assert_eq!(pick(&balancer, &[0, 1], now, [0; 3]), [1]);
    assert_eq!(pick(&balancer, &[0, 1], now, [0, 8, 0]), [0], "nine of 100 ms are more than 800");
    assert_eq!(pick(&balancer, &[1, 2], now, [0; 3]), [2], "unknown and idle");
    assert_eq!(pick(&balancer, &[1, 2], now, [0, 0, 1]), [1], "unknown and busy");
    let later = now + FORGOTTEN_AFTER;
    assert_eq!(pick(&balancer, &[0, 1], later, [0; 3]), [0, 1], "both forgotten");
    balancer.observe(1, Duration::from_secs(3), now);
    assert_eq!(pick(&balancer, &[0, 1], now, [0; 3]), [0], "one peak is enough");
    assert_eq!(balancer.ttft(1, now), Some(Duration::from_secs(3)));
}

#[test]
fn a_key_stays_where_it_is() {
    let mut random = Random::new(2);
    let candidates = candidates(&[1_000; 8]);
    for key in 0..1_000 {
        let key = Some(hash::mix(key));
        let mut pick = |load: u32| {
            // Another worker, another gateway: another balancer.
            balancer(HASH, 8).pick(&candidates, key, Instant::ZERO, &mut random, |_| load)
        };
        assert_eq!(pick(0), pick(7));
    }
    // For ever: a change of these numbers would empty every KV cache on an upgrade. They were
    // computed apart, from what the headers of `hash` and `affinity` say.
    assert_eq!(hash::of_address(address(1)), 0x7627_6fc7_c50e_c6d9);
    let first: Vec<_> = (0..12)
        .filter_map(|key| {
            let key = Some(hash::mix(key));
            balancer(HASH, 8).pick(&candidates, key, Instant::ZERO, &mut random, |_| 0)
        })
        .collect();
    assert_eq!(first, [1, 3, 6, 1, 3, 4, 5, 1, 2, 3, 0, 2]);
}

#[test]
fn a_request_without_a_key_goes_to_the_less_loaded() {
    let mut random = Random::new(2);
    let candidates = candidates(&[1_000; 2]);
    let mut balancer = balancer(HASH, 2);
    for _ in 0..100 {
        let place = balancer.pick(&candidates, None, Instant::ZERO, &mut random, |at| [4, 1][at]);
        assert_eq!(place, Some(1));
    }
}

#[test]
fn a_new_list_of_endpoints_keeps_what_is_known_of_the_old() {
    let mut balancer = balancer(Balance::PeakEwma, 3);
    let now = Instant::ZERO + Duration::from_secs(9);
    balancer.observe(2, Duration::from_secs(1), now);
    let identities: Vec<_> = balancer.memory.iter().map(|memory| memory.identity).collect();
    let endpoints = [(2, Some(2)), (9, None), (0, Some(0))];
    let endpoints = endpoints.map(|(last, before)| (Some(address(last)), before));
    balancer.obey(Balance::RoundRobin);
    balancer.reconcile(endpoints);
    assert_eq!(balancer.ttft(0, now), Some(Duration::from_secs(1)));
    assert_eq!((balancer.ttft(1, now), balancer.ttft(2, now)), (None, None));
    assert_eq!(balancer.memory[0].identity, identities[2]);
    assert_eq!(balancer.memory[1].identity, hash::of_address(address(9)));
    assert_eq!(balancer.policy, Balance::RoundRobin);
}

fn any_policy() -> impl Strategy<Value = Balance> {
    proptest::sample::select(POLICIES.to_vec())
}

/// Endpoints by index, each with its weight and what it has outstanding.
fn any_candidates() -> impl Strategy<Value = Vec<(usize, u64, u32)>> {
    proptest::collection::btree_map(0..64usize, (100..1_000_000u64, 0..500u32), 0..20)
        .prop_map(|map| map.into_iter().map(|(at, (weight, load))| (at, weight, load)).collect())
}

fn loaded(endpoints: &[(usize, u64, u32)]) -> (Vec<Candidate>, Vec<u32>) {
    let mut load = vec![0; 64];
    let candidate = |&(endpoint, weight, outstanding): &(usize, u64, u32)| {
        load[endpoint] = outstanding;
        Candidate { endpoint, weight }
    };
    (endpoints.iter().map(candidate).collect(), load)
}

proptest! {
    #![proptest_config(crate::properties::cases(256))]
    /// Whatever the policy, one of the candidates is taken if there are any.
    #[test]
    fn one_of_the_candidates_is_taken(
        policy in any_policy(), endpoints in any_candidates(), key: Option<u64>, seed: u64,
    ) {
        let (candidates, load) = loaded(&endpoints);
        let mut balancer = balancer(policy, 64);
        let mut random = Random::new(seed);
        for _ in 0..5 {
            let place = balancer.pick(&candidates, key, Instant::ZERO, &mut random, |at| load[at]);
            prop_assert_eq!(place.is_some(), !candidates.is_empty());
            prop_assert!(place.is_none_or(|place| place < candidates.len()));
        }
    }

    /// Two choices never take the one of two that is worse, and so never the worst of all.
    #[test]
    fn the_worst_is_never_taken(endpoints in any_candidates(), seed: u64) {
        let (candidates, load) = loaded(&endpoints);
        let mut random = Random::new(seed);
        let place = balancer(Balance::LeastOutstanding, 64)
            .pick(&candidates, None, Instant::ZERO, &mut random, |at| load[at]);
        let relative = |candidate: &Candidate| {
            f64::from(load[candidate.endpoint]) / candidate.weight as f64
        };
        if let (Some(place), true) = (place, candidates.len() > 1) {
            let others = candidates.iter().enumerate().filter(|(at, _)| *at != place);
            prop_assert!(
                others.into_iter().any(|(_, other)| relative(other) >= relative(&candidates[place]))
            );
        }
    }

    /// From no load on, with exchanges that end now and then, no endpoint is ever given more than
    /// its bound.
    #[test]
    fn bounded_load_is_bounded(
        weights in proptest::collection::vec(100..10_000u64, 2..12),
        keys in proptest::collection::vec((0..3u64, 0..4u8), 1..400),
    ) {
        let candidates = candidates(&weights);
        let total_weight: u64 = weights.iter().sum();
        let mut balancer = balancer(HASH, weights.len());
        let mut random = Random::new(1);
        let mut load = vec![0u32; weights.len()];
        for (key, ended) in keys {
            let before: u32 = load.iter().sum();
            let place = balancer
                .pick(&candidates, Some(key), Instant::ZERO, &mut random, |at| load[at])
                .expect("there are candidates");
            load[place] += 1;
            let most = affinity::bound(u64::from(before), weights[place], total_weight);
            prop_assert!(u64::from(load[place]) <= most, "{} > {most} of {before}", load[place]);
            if ended == 0 {
                load[place] -= 1;
            }
        }
    }

    /// When an endpoint leaves, its keys move and no others; when it comes, keys move to it and to
    /// nobody else; in both cases about 1/n of them.
    #[test]
    fn only_its_own_keys_move(endpoints in 2..20usize, leaving in 0..20usize, seed: u64) {
        let leaving = leaving % endpoints;
        let all = candidates(&vec![1_000; endpoints]);
        let mut fewer = all.clone();
        fewer.remove(leaving);
        let mut random = Random::new(seed);
        let mut balancer = balancer(HASH, endpoints);
        let keys = 4_000;
        let mut moved = 0;
        for _ in 0..keys {
            let key = Some(random.draw());
            let mut home = |candidates: &[Candidate]| {
                let place = balancer.pick(candidates, key, Instant::ZERO, &mut random, |_| 0);
                candidates[place.expect("there are candidates")].endpoint
            };
            let (with, without) = (home(&all), home(&fewer));
            if with == leaving {
                moved += 1;
            } else {
                prop_assert_eq!(with, without);
            }
        }
        let expected = keys as f64 / endpoints as f64;
        // Five standard deviations.
        let tolerance = 5.0 * (expected * (1.0 - 1.0 / endpoints as f64)).sqrt();
        prop_assert!((f64::from(moved) - expected).abs() < tolerance, "{moved} of {expected}");
    }
}

#[test]
fn round_robin_begins_where_it_is_told_to_and_gives_each_as_much_as_the_others() {
    for count in [1usize, 2, 3, 7, 1_500] {
        let candidates: Vec<Candidate> =
            (0..count).map(|endpoint| Candidate { endpoint, weight: 1_000 }).collect();
        for first in [0, 1, count / 2, count + 3] {
            let addresses = (0..count).map(address).map(Some);
            let mut balancer = Balancer::new(Balance::RoundRobin, addresses, first);
            let mut random = Random::new(1);
            let mut pick = || {
                balancer.pick(&candidates, None, Instant::ZERO, &mut random, |_| 0).expect("some")
            };
            let rounds: Vec<Vec<usize>> =
                (0..3).map(|_| (0..count).map(|_| pick()).collect()).collect();
            assert_eq!(rounds[0][0], first % count, "{count} from {first}");
            for mut round in rounds {
                round.sort_unstable();
                assert!(round.into_iter().eq(0..count), "each once: {count} from {first}");
            }
        }
    }
}
