//! How evenly a fleet loads its endpoints, where each gateway knows its own exchanges alone.

use sluicegate::clock::Instant;
use sluicegate::proxy::endpoints::Pick;
use sluicegate::sim::Random;

use super::for_seeds;
use super::gateway::{HASH, LEAST_OUTSTANDING, PEAK_EWMA, Picker, ROUND_ROBIN, Server};

const NOW: Instant = Instant::from_nanos(1_000_000_000_000);

/// A fleet that always has the same number of streams: one that ends is followed by another.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    gateways: usize,
    endpoints: usize,
    /// At each gateway.
    streams: usize,
}

/// What was found at the endpoints.
struct Found {
    /// Streams at each, in the end.
    loads: Vec<usize>,
    /// Requests each was sent.
    sent: Vec<usize>,
    /// The most streams that one had, at any moment.
    most: usize,
}

impl Crowd {
    fn draw(random: &mut Random) -> Crowd {
        let most = if random.chance(20) { 1_000 } else { 50 };
        let endpoints = 8 + random.length(most);
        Crowd {
            gateways: 2 + random.length(if endpoints > 64 { 6 } else { 30 }),
            endpoints,
            streams: 1 + random.length(4 * endpoints),
        }
    }

    /// Streams at an endpoint, in the mean.
    fn mean(self) -> f64 {
        (self.gateways * self.streams) as f64 / self.endpoints as f64
    }

    fn run(
        self,
        policy: &str,
        seed: u64,
        mut key: impl FnMut(&mut Random) -> Option<u64>,
    ) -> Found {
        let mut random = Random::new(seed ^ 0xba1a);
        let servers: Vec<Server> = (0..self.endpoints as Server).collect();
        let mut found =
            Found { loads: vec![0; self.endpoints], sent: vec![0; self.endpoints], most: 0 };
        let mut gateways = Picker::many(policy, self.gateways, seed);
        let mut streams: Vec<Vec<(Server, Pick)>> = Vec::new();
        // They have been there for long: nobody starts slowly.
        let now = NOW + std::time::Duration::from_secs(1_000);
        for gateway in &mut gateways {
            gateway.obey(&servers, NOW);
            streams.push(Vec::new());
        }
        // Fills up, and then three in four end and are followed, at random.
        for step in 0..self.gateways * self.streams * 7 / 4 {
            let fills = step < self.gateways * self.streams;
            let at = if fills { step % self.gateways } else { random.below(self.gateways) };
            if !fills {
                let ends = random.below(self.streams);
                let (server, pick) = streams[at].swap_remove(ends);
                gateways[at].answered(pick, now);
                found.loads[server as usize] -= 1;
            }
            let (server, pick) = gateways[at].pick(key(&mut random), now);
            streams[at].push((server, pick));
            found.sent[server as usize] += 1;
            found.loads[server as usize] += 1;
            found.most = found.most.max(found.loads[server as usize]);
        }
        found
    }
}

#[test]
fn round_robin_gives_no_endpoint_more_than_one_request_a_gateway_above_another() {
    for_seeds(150, |seed| {
        let crowd = Crowd::draw(&mut Random::new(seed));
        let found = crowd.run(ROUND_ROBIN, seed, |_| None);
        let (least, most) =
            (found.sent.iter().min().expect("some"), found.sent.iter().max().expect("some"));
        assert!(most - least <= crowd.gateways, "{least} to {most} with {crowd:?}");
    });
}

/// What two choices leave: a gateway's longest queue is hardly above its mean, and the queues of several
/// gateways are as long by chance.
fn bound_of_two_choices(crowd: Crowd) -> f64 {
    let (mean, own) = (crowd.mean(), crowd.mean() / crowd.gateways as f64);
    let chance = (2.0 * mean.min(crowd.gateways as f64) * (crowd.endpoints as f64).ln()).sqrt();
    mean + 2.0 * chance + if own < 1.0 { 3.0 } else { 4.0 }
}

#[test]
fn two_choices_load_no_endpoint_above_the_stated_bound() {
    let worst = std::cell::Cell::new(0.0f64);
    for_seeds(150, |seed| {
        let crowd = Crowd::draw(&mut Random::new(seed));
        for policy in [LEAST_OUTSTANDING, PEAK_EWMA] {
            let found = crowd.run(policy, seed, |_| None);
            let bound = bound_of_two_choices(crowd);
            assert!(
                found.most as f64 <= bound,
                "{policy}: {} of {:.1}, bound {bound:.1}, with {crowd:?}",
                found.most,
                crowd.mean()
            );
            worst.set(worst.get().max(found.most as f64 / bound));
        }
    });
    println!("two choices: at most {:.2} of the bound", worst.get());
}

/// A quarter above its share, at each gateway, and the one request that this is rounded up to.
fn bound_of_hash(crowd: Crowd) -> f64 {
    let own = crowd.streams as f64 / crowd.endpoints as f64;
    crowd.gateways as f64 * (1.25 * own).ceil()
}

#[test]
fn hashing_loads_no_endpoint_above_its_bound_whatever_the_keys_are() {
    let worst = std::cell::Cell::new(0.0f64);
    for_seeds(150, |seed| {
        let crowd = Crowd::draw(&mut Random::new(seed));
        let hot = seed % 3;
        let found = crowd.run(HASH, seed, |random| {
            Some(match hot {
                // One conversation that everybody has, few of them, or all different.
                0 => 1,
                1 => random.length(1 << 20) as u64,
                _ => random.draw(),
            })
        });
        let bound = bound_of_hash(crowd);
        assert!(found.most as f64 <= bound, "{} above {bound} with {crowd:?}", found.most);
        worst.set(worst.get().max(found.most as f64 / bound));
    });
    println!("hash: at most {:.2} of the bound", worst.get());
}

/// The table of docs/scale.md (`--nocapture`): the most streams at an endpoint over the mean.
#[test]
fn the_more_gateways_the_less_each_knows() {
    println!("gateways endpoints streams/endpoint  round_robin least peak_ewma hash hash(one key)");
    for (endpoints, mean) in [(16, 8), (64, 8), (256, 4)] {
        let mut one_gateway = 0.0;
        for gateways in [1, 4, 16, 64] {
            let streams = (endpoints * mean / gateways).max(1);
            let crowd = Crowd { gateways, endpoints, streams };
            let ratio = |policy, key: fn(&mut Random) -> Option<u64>| {
                crowd.run(policy, 1, key).most as f64 / crowd.mean()
            };
            let any = |random: &mut Random| Some(random.draw());
            let least = ratio(LEAST_OUTSTANDING, |_| None);
            println!(
                "{gateways:8} {endpoints:9} {:16.1}  {:11.2} {least:5.2} {:9.2} {:4.2} {:5.2}",
                crowd.mean(),
                ratio(ROUND_ROBIN, |_| None),
                ratio(PEAK_EWMA, |_| None),
                ratio(HASH, any),
                ratio(HASH, |_| Some(1)),
            );
            if gateways == 1 {
                one_gateway = least;
                // With one choice it would be twice the mean and more.
                assert!(least * crowd.mean() <= crowd.mean() + 4.0, "two choices know its queues");
            }
            assert!(least >= one_gateway * 0.99, "a fleet knows no more than one gateway");
        }
    }
}
