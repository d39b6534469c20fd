//! Hints: gateways that hear of a broken endpoint, and of one that is not.
//!
//! Breakers, the choice of an endpoint and what is made of hints are production code; reports are read a second
//! after they are written, and each gateway has one worker.

use std::cell::RefCell;
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::fleet::hints::{BrokenEndpoints, Hints};
use sluicegate::sim::Random;

use super::for_seeds;
use super::gateway::{LEAST_OUTSTANDING, Picker, Server, called};

const SEEDS: u64 = 40;
const STEP: Duration = Duration::from_millis(100);
/// How often the store is read.
const ROUND: Duration = Duration::from_secs(1);
const BEGINS: Instant = Instant::from_nanos(1_000_000_000_000);

struct Member {
    picker: Picker,
    hints: Hints,
    said: BrokenEndpoints,
    /// It reaches no endpoint.
    blind: bool,
    failed: u32,
    /// Requests that found the broken endpoint alone.
    refused: u32,
}

struct World {
    now: Instant,
    random: Random,
    members: Vec<Member>,
    endpoints: Server,
    broken: Option<Server>,
    listens: bool,
    /// Requests a second, at each gateway.
    rate: f64,
    due: f64,
}

impl World {
    fn new(seed: u64, gateways: usize, endpoints: Server, listens: bool) -> World {
        let servers: Vec<Server> = (0..endpoints).collect();
        // None is in its slow start any more.
        let now = BEGINS + Duration::from_secs(600);
        let member = |mut picker: Picker| {
            picker.obey(&servers, BEGINS);
            let (hints, said) = (Hints::default(), BrokenEndpoints::new());
            Member { picker, hints, said, blind: false, failed: 0, refused: 0 }
        };
        let members = Picker::many(LEAST_OUTSTANDING, gateways, seed).into_iter().map(member);
        let members = members.collect();
        World {
            now,
            random: Random::new(seed),
            members,
            endpoints,
            broken: None,
            listens,
            rate: 2.0,
            due: 0.0,
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        let now = self.now;
        self.due += self.rate * STEP.as_secs_f64() * self.members.len() as f64;
        while self.due >= 1.0 {
            self.due -= 1.0;
            let at = self.random.below(self.members.len());
            let member = &mut self.members[at];
            match member.picker.try_pick(now) {
                Some((server, pick)) if member.blind || Some(server) == self.broken => {
                    member.failed += 1;
                    member.picker.failed(pick, now);
                }
                Some((_, pick)) => member.picker.begun_and_answered(pick, now),
                None => member.refused += 1,
            }
        }
        let is_round = (now - BEGINS).as_millis().is_multiple_of(ROUND.as_millis());
        if is_round {
            self.round();
        }
    }

    /// All read what all have said a round ago.
    fn round(&mut self) {
        let said: Vec<BrokenEndpoints> =
            self.members.iter().map(|member| member.said.clone()).collect();
        let endpoints = self.endpoints;
        for (at, member) in self.members.iter_mut().enumerate() {
            let own = member.picker.broken(self.now);
            let others = said.iter().enumerate().filter(|(one, _)| *one != at);
            let known = |_: &_| Some(endpoints as usize);
            let (news, _) = member.hints.weigh(others.map(|(_, said)| said), &own, known, self.now);
            if self.listens {
                news.iter().for_each(|name| member.picker.doubt(name, self.now));
            }
            member.said = own;
        }
    }

    fn run(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while self.now < until {
            self.step();
        }
    }

    /// How long until every gateway keeps requests from the one that is broken, and how many have failed.
    fn breaks(&mut self) -> (Duration, u32) {
        self.run(20);
        let broken = self.random.below(self.endpoints as usize) as Server;
        self.broken = Some(broken);
        let began = self.now;
        let name = called(broken);
        while !self.members.iter().all(|one| one.picker.broken(self.now).contains(&name)) {
            self.step();
            assert!(self.now - began < Duration::from_secs(600), "it is never found out");
        }
        (self.now - began, self.members.iter().map(|one| one.failed).sum())
    }
}

#[test]
fn hints_make_all_gateways_find_a_broken_endpoint_sooner_and_with_fewer_failures() {
    // Without hints, and with them.
    let found = RefCell::new([(Duration::ZERO, 0); 2]);
    for_seeds(SEEDS, |seed| {
        let mut random = Random::new(seed ^ 0x44);
        let (gateways, endpoints) = (3 + random.below(14), 4 + random.below(13) as Server);
        for (all, listens) in found.borrow_mut().iter_mut().zip([false, true]) {
            let (time, failed) = World::new(seed, gateways, endpoints, listens).breaks();
            *all = (all.0 + time, all.1 + failed);
        }
    });
    let [(slow, many), (soon, few)] = found.into_inner();
    println!(
        "until all know, in all worlds: {slow:.0?}, with hints {soon:.0?}; failed: {many}, {few}"
    );
    assert!(soon * 10 < slow * 8 && few * 10 < many * 8);
}

#[test]
fn a_gateway_that_is_blind_puts_no_endpoint_out_anywhere_else() {
    for_seeds(SEEDS, |seed| {
        let mut random = Random::new(seed ^ 0x55);
        let (gateways, endpoints) = (2 + random.below(15), 2 + random.below(15) as Server);
        let mut world = World::new(seed, gateways, endpoints, true);
        world.run(5);
        world.members[0].blind = true;
        for _ in 0..120 {
            world.run(1);
            for (at, member) in world.members.iter().enumerate().skip(1) {
                assert!(member.picker.broken(world.now).is_empty(), "gateway {at}");
                assert_eq!((member.failed, member.refused), (0, 0), "gateway {at}");
            }
        }
    });
}

#[test]
fn whatever_some_say_nobody_refuses_a_request_or_puts_out_who_answers() {
    for_seeds(SEEDS, |seed| {
        let mut random = Random::new(seed ^ 0x66);
        let (gateways, endpoints) = (2 + random.below(15), 1 + random.below(16) as Server);
        let mut world = World::new(seed, gateways, endpoints, true);
        for _ in 0..120 {
            world.run(1);
            // Each of them but the first may say anything.
            for at in 1..gateways {
                let some = |_: &Server| random.chance(300);
                world.members[at].said = (0..endpoints).filter(some).map(called).collect();
            }
            let honest = &world.members[0];
            assert!(honest.picker.broken(world.now).is_empty());
            assert_eq!((honest.failed, honest.refused), (0, 0));
        }
    });
}
