//! From a change of the endpoints to all gateways that obey it.

use std::collections::BTreeSet;
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::control::discovery::{Pacing, STORE_LIST, Trouble};
use sluicegate::proxy::membership;
use sluicegate::sim::Random;

use super::for_seeds;
use super::gateway::{Believer, default_belief};
use super::world::{Faults, SLOW_WAY_MAX, WAY_MAX, World};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

// The times that docs/scale.md states. They are no constants of the gateway's on purpose: who makes one of those
// longer makes the page untrue, and has to hear of it.

/// From one listing to the next.
const LISTED: Duration = Duration::from_millis(100);
/// The pause of a source that failed.
const FAILED: Duration = Duration::from_secs(10);
/// The pause of who flaps.
const FLAPS: Duration = Duration::from_secs(60);
/// How long a set that has shrunk is doubted, `discover.confirm`.
const CONFIRMED: Duration = Duration::from_secs(30);

/// Worlds hardly reach the bounds, so these hold what the bounds are made of.
#[test]
fn the_gateway_takes_the_times_that_the_page_states() {
    assert_eq!(STORE_LIST, LISTED);
    assert_eq!(Pacing::MAX, FAILED);
    assert_eq!(membership::PAUSE_MAX, FLAPS);
    assert_eq!(default_belief().confirm, CONFIRMED);
    // A source that fails for ever is left alone for no longer than that.
    let (mut pacing, failed) = (Pacing::default(), || Err::<(), _>(Trouble::new("away")));
    let pauses: Vec<Duration> = (0..20).filter_map(|_| pacing.after(&failed())).collect();
    assert_eq!((pauses.len(), pauses.iter().max()), (20, Some(&FAILED)));
    // One that comes and goes waits for so long at last, and a set of which most has gone is doubted so long.
    let (all, one_less, some) = ([1, 2, 3, 4, 5], [2, 3, 4, 5], [4]);
    let (belief, mut believer) = (default_belief(), Believer::default());
    let mut now = Instant::ZERO + MINUTE;
    believer.told(&all, &belief, now);
    let mut waited = Duration::ZERO;
    for _ in 0..20 {
        believer.told(&one_less, &belief, now);
        assert_eq!(believer.in_force(), one_less);
        believer.told(&all, &belief, now);
        waited = Duration::ZERO;
        while believer.in_force() != all {
            waited += SECOND;
            now += SECOND;
            assert!(waited <= FLAPS, "it is away for {waited:?}");
            believer.on_time(now);
        }
    }
    assert_eq!(waited, FLAPS);
    believer.told(&some, &belief, now);
    let (almost, then) = (now + (CONFIRMED - SECOND), now + CONFIRMED);
    for (now, in_force) in [(now, &all[..]), (almost, &all), (then, &some)] {
        believer.on_time(now);
        assert_eq!(believer.in_force(), in_force, "at {now:?}");
    }
}

/// How many gateways and endpoints a world has: small ones far more often than large ones.
fn sizes(random: &mut Random) -> (usize, usize) {
    let gateways = 2 + random.length(62);
    let endpoints = 8 + random.length(1_000);
    // What a large fleet has in common with a small one is shown by few seeds.
    if gateways * endpoints > 4_000 && !random.chance(50) {
        return (2 + random.below(6), 8 + random.below(56));
    }
    (gateways, endpoints)
}

fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{what}: p50 {:?}, p99 {:?}, most {:?}", at(0.5), at(0.99), at(1.0));
}

#[test]
fn a_change_is_obeyed_everywhere_as_soon_as_it_is_listed() {
    let lags = std::cell::RefCell::new(Vec::new());
    for_seeds(200, |seed| {
        let mut random = Random::new(seed ^ 0xc0);
        let (gateways, endpoints) = sizes(&mut random);
        // 167 changes a second are 10,000 a minute.
        let every = *random.pick(&[Duration::from_millis(6), Duration::from_secs(1)]);
        let lasts = every * 60;
        let mut world = World::new(seed, gateways, endpoints, Faults::NONE, every, lasts);
        world.run_for(lasts + MINUTE, |world| {
            let (set, writes) = (world.set(), world.writes.len());
            for follower in world.followers.iter().filter(|one| one.seen == writes) {
                assert_eq!(follower.believer.in_force(), set, "what was listed is obeyed");
            }
        });
        let most = world.lags.iter().max().expect("something has changed");
        assert!(*most <= LISTED.max(WAY_MAX), "{most:?}");
        for follower in &world.followers {
            assert_eq!(follower.believer.in_force(), world.set());
        }
        lags.borrow_mut().extend(&world.lags);
    });
    tell("calm", lags.into_inner());
}

/// From the last change, and the last fault, until all gateways obey the same set, at most.
fn settles() -> Duration {
    FAILED + LISTED + SLOW_WAY_MAX + FLAPS.max(CONFIRMED)
}

/// How long after the last change and the last fault the gateways have become one again.
fn settled(seed: u64, faults: Faults) -> Duration {
    let mut random = Random::new(seed ^ 0xf0);
    let (gateways, endpoints) = sizes(&mut random);
    let lasts = 5 * MINUTE;
    let mut world = World::new(seed, gateways, endpoints, faults, Duration::from_secs(4), lasts);
    let mut filled: BTreeSet<Instant> = BTreeSet::new();
    world.run_for(lasts, |world| never_empty(world, &mut filled));
    // Leases end, and what is cut heals.
    let mut differed = None;
    world.run_for(2 * MINUTE + settles(), |world| {
        never_empty(world, &mut filled);
        let set = world.set();
        let all = &world.followers;
        if !all.iter().all(|one| one.believer.in_force() == set) {
            differed = Some(world.now);
        }
    });
    let set = world.set();
    for follower in &world.followers {
        assert_eq!(follower.believer.in_force(), set, "they are one in the end");
    }
    let last = world.writes.last().expect("a first one").at;
    differed.map_or(Duration::ZERO, |differed| differed.since(last.max(world.healed)))
}

/// A gateway that has had endpoints has some, whatever it is told.
fn never_empty(world: &World, filled: &mut BTreeSet<Instant>) {
    for follower in &world.followers {
        match follower.believer.in_force().is_empty() {
            false => _ = filled.insert(follower.began),
            true => assert!(!filled.contains(&follower.began), "nobody is left at {:?}", world.now),
        }
    }
}

#[test]
fn whatever_breaks_all_gateways_obey_the_same_set_within_the_stated_time() {
    let times = std::cell::RefCell::new(Vec::new());
    for_seeds(200, |seed| {
        let faults = Faults::draw(&mut Random::new(seed ^ 0xfa));
        let time = settled(seed, faults);
        assert!(time <= settles(), "{time:?} with {faults:?}");
        times.borrow_mut().push(time);
    });
    tell("any faults", times.into_inner());
}

#[test]
fn each_fault_alone_has_its_time() {
    let soon = FAILED + LISTED + WAY_MAX;
    let rows: [(&str, Faults, Duration); 6] = [
        ("partitions", Faults { partitions: true, ..Faults::NONE }, soon),
        ("stalls", Faults { stalls: true, ..Faults::NONE }, soon),
        ("slow watchers", Faults { slow_watchers: true, ..Faults::NONE }, SLOW_WAY_MAX),
        ("collapses", Faults { collapses: true, ..Faults::NONE }, CONFIRMED + soon),
        ("lost data", Faults { lost_data: true, ..Faults::NONE }, soon),
        ("flapping", Faults { flapping: true, ..Faults::NONE }, FLAPS + soon),
    ];
    for (name, faults, most) in rows {
        let times = std::cell::RefCell::new(Vec::new());
        for_seeds(25, |seed| {
            let time = settled(seed, faults);
            assert!(time <= most, "{name}: {time:?}");
            times.borrow_mut().push(time);
        });
        tell(name, times.into_inner());
    }
}

/// One that never leaves is never out of force, whoever else does and whatever breaks.
#[test]
fn an_endpoint_that_stays_is_in_force_at_every_gateway_all_the_time() {
    for_seeds(100, |seed| {
        let mut random = Random::new(seed ^ 0x57);
        let (gateways, endpoints) = sizes(&mut random);
        let every = Duration::from_secs(4);
        let mut world = World::new(seed, gateways, endpoints, Faults::ALL, every, 5 * MINUTE);
        let mut checks = 0;
        world.run_for(5 * MINUTE, |world| {
            let at = random.below(world.followers.len());
            let believer = &world.followers[at].believer;
            if believer.in_force().is_empty() {
                // It began while the store had nothing to tell.
                return;
            }
            // Known since it began: what came since is told to it later.
            let begun = world.followers[at].began;
            let known = world.writes.iter().take_while(|write| write.at <= begun);
            let Some(first) = known.last() else { return };
            for server in &first.set {
                if world.has_stayed(*server) {
                    assert!(
                        believer.in_force().binary_search(server).is_ok(),
                        "{server} at {:?}",
                        world.now
                    );
                    checks += 1;
                }
            }
        });
        assert!(checks > 0 || endpoints < 64, "nobody has stayed");
    });
}
