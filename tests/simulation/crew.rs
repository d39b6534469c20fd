//! Several workers that share the permits of an upstream.
//!
//! Each worker has a world of its own, with its own clients and its own copy of the server; what
//! they share is what workers of a process share: the loads, and their mailboxes. The worlds' clocks
//! go on together, a step at a time.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::config::snapshot::{Admission, Snapshot};
use sluicegate::gateway::crew::Crew;
use sluicegate::proxy::load::Loads;
use sluicegate::reactor::mailbox::mailbox;
use sluicegate::sim::plan::GatewayPlan;
use sluicegate::sim::{Answer, ClientId, Manner, Random, Visit, World};

use crate::harness::scenario::TARGET;
use crate::harness::{GENEROUS, Gateway, server_address, snapshot};

/// The clocks of two worlds are never further apart.
const STEP: Duration = Duration::from_micros(100);
/// How long an answer takes.
const WORK: Duration = Duration::from_millis(20);
/// Longer than a call takes from one worker to another.
const CALL: Duration = Duration::from_millis(2);

/// Workers, and in which order their servers were asked: by the number in the target.
struct Workers {
    gateways: Vec<Gateway>,
    asked: Rc<RefCell<Vec<usize>>>,
    begun: Instant,
}

fn configured(admission: Admission, connections: usize) -> Snapshot {
    let mut snapshot = snapshot(&GatewayPlan { upstream_connections: connections, ..GENEROUS });
    snapshot.upstreams[0].admission = admission;
    snapshot
}

fn ceiling(max_concurrency: u32) -> Admission {
    Admission {
        max_concurrency: Some(max_concurrency),
        queue: 100,
        queue_timeout: Duration::from_secs(8),
        priority_header: Some("x-priority".into()),
        ..sluicegate::config::defaults::ADMISSION
    }
}

impl Workers {
    fn new(seed: u64, count: usize, admission: Admission) -> Workers {
        Workers::pooling(seed, count, admission, GENEROUS.upstream_connections)
    }

    /// With so many connections to the server for each worker.
    fn pooling(seed: u64, count: usize, admission: Admission, connections: usize) -> Workers {
        let snapshot = configured(admission, connections);
        let loads = Loads::new(&snapshot, count);
        let worlds: Vec<World> = (0..count).map(|index| World::new(seed + index as u64)).collect();
        let begun = worlds[0].time();
        let posts: Vec<_> = worlds.iter().map(|world| mailbox(world.waker())).collect();
        let mailboxes: Vec<_> = posts.iter().map(|(sender, _)| sender.clone()).collect();
        let asked: Rc<RefCell<Vec<usize>>> = Rc::default();
        let gateways = worlds.into_iter().zip(posts).enumerate().map(|(index, (world, post))| {
            let asked = Rc::clone(&asked);
            world.server(server_address(0), Manner::Serve, move |request| {
                let target = request.message.start.split(' ').nth(1).unwrap_or_default();
                let number = target.rsplit('/').next().and_then(|number| number.parse().ok());
                asked.borrow_mut().push(number.unwrap_or(usize::MAX));
                Answer::new().pause(WORK).body(b"done")
            });
            let crew = Crew::new(None, mailboxes.clone(), index);
            let net = world.clone();
            Gateway::of_crew(world, net, snapshot.clone(), loads.clone(), post, Some(crew))
        });
        Workers { gateways: gateways.collect(), asked, begun }
    }

    /// A client of this worker, which comes after `after` and asks for `/relay/it/NUMBER`.
    fn client(&self, worker: usize, number: usize, priority: u8, after: Duration) -> ClientId {
        let fields = format!("x-priority: {priority}\r\n");
        let target = format!("{TARGET}/{number}");
        let visit = Visit::new().after(after).request("GET", &target, &fields).await_answers();
        self.gateways[worker].world.client(visit)
    }

    fn time(&self) -> Instant {
        let times = self.gateways.iter().map(|gateway| gateway.world.time());
        times.min().expect("there are workers")
    }

    /// Lets the one whose clock is behind make a turn. No clock leaps.
    fn step(&mut self) {
        let behind = self.gateways.iter_mut().min_by_key(|gateway| gateway.world.time());
        let gateway = behind.expect("there are workers");
        gateway.world.ring_at(gateway.world.time() + STEP);
        gateway.turn().expect("the simulated poll does not fail");
        assert_eq!(gateway.complaint(), None);
    }

    /// Until so long after the beginning.
    fn run_until(&mut self, after: Duration) {
        let until = self.begun + after;
        while self.time() < until {
            self.step();
        }
    }

    fn are_done(&self) -> bool {
        self.gateways.iter().all(|gateway| gateway.world.clients_are_done())
    }

    /// Whether somebody waits at a worker that has room for another of these connections.
    fn waits_beside_a_connection(&self, connections: usize) -> bool {
        self.gateways.iter().map(|gateway| gateway.worker.census()).any(|census| {
            census.waiting > 0 && census.upstreams - census.idle_upstreams < connections
        })
    }

    fn outstanding(&self) -> u32 {
        self.gateways[0].loads.total()
    }

    fn order(&self) -> Vec<usize> {
        self.asked.borrow().clone()
    }

    /// Nothing is left of anything. Who has left is noticed first: the permits are everybody's.
    fn assert_clean(&mut self) {
        self.run_until(self.time() - self.begun + CALL);
        for gateway in &mut self.gateways {
            assert_eq!(gateway.assert_clean(), Ok(()));
        }
    }
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_permit_that_comes_home_here_is_for_who_waits_there() {
    let mut workers = Workers::new(1, 2, ceiling(1));
    workers.client(0, 0, 1, MS);
    let waits = workers.client(1, 1, 1, 2 * MS);
    workers.run_until(WORK);
    assert_eq!(workers.order(), [0]);
    workers.run_until(MS + WORK + CALL);
    assert_eq!(workers.order(), [0, 1], "at once");
    workers.run_until(3 * WORK);
    assert!(workers.are_done());
    let status = workers.gateways[1].world.see(waits).reader.messages[0].status();
    assert_eq!(status, 200);
    workers.assert_clean();
}

#[test]
fn the_order_is_that_of_all_workers_by_priority_and_then_by_age() {
    let mut workers = Workers::new(2, 3, ceiling(1));
    workers.client(0, 0, 1, MS);
    // (worker, priority), in the order they come. A step of priority is worth two seconds.
    let crowd = [(1, 3), (0, 2), (2, 1), (1, 0), (2, 0), (0, 1), (1, 2), (0, 3)];
    for (number, (worker, priority)) in crowd.into_iter().enumerate() {
        workers.client(worker, number + 1, priority, (2 + number as u32) * MS);
    }
    workers.run_until(12 * WORK);
    assert_eq!(workers.order(), [0, 4, 5, 3, 6, 2, 7, 1, 8]);
    workers.assert_clean();
}

#[test]
fn a_newcomer_elsewhere_does_not_overtake() {
    // The permit comes home to the newcomer's worker, somewhere in these moments.
    for moment in 0..40 {
        let mut workers = Workers::new(3, 2, ceiling(1));
        workers.client(0, 0, 1, MS);
        workers.client(1, 1, 1, 2 * MS);
        workers.client(0, 2, 1, WORK + MS / 2 + STEP / 4 * moment);
        workers.run_until(5 * WORK);
        assert_eq!(workers.order(), [0, 1, 2]);
        workers.assert_clean();
    }
}

#[test]
fn who_stood_behind_others_elsewhere_is_called_when_they_are_seated() {
    for moment in 0..40 {
        let mut workers = Workers::new(5, 2, ceiling(2));
        workers.client(0, 0, 1, MS);
        workers.client(0, 1, 1, MS);
        workers.client(1, 2, 1, 2 * MS);
        // Two permits come home, one is for the other worker, and the newcomer stands behind it.
        workers.client(0, 3, 1, WORK + MS / 2 + STEP / 4 * moment);
        workers.run_until(WORK + 2 * MS + CALL);
        assert_eq!(workers.order().len(), 4, "{moment}: somebody waits while there is room");
        workers.run_until(3 * WORK);
        workers.assert_clean();
    }
}

#[test]
fn who_leaves_the_line_does_not_take_its_call_with_it() {
    for moment in 0..80 {
        let mut workers = Workers::new(4, 2, ceiling(1));
        workers.client(0, 0, 1, MS);
        // It leaves before it may be called, at that moment, or behind it.
        let leaving = Visit::new().after(2 * MS).get(&format!("{TARGET}/1"));
        let leaving = leaving.pause(WORK - 2 * MS + STEP / 4 * moment).leave();
        workers.gateways[1].world.client(leaving);
        let stays = workers.client(1, 2, 1, 3 * MS);
        workers.run_until(4 * WORK);
        assert_eq!(workers.gateways[1].world.see(stays).reader.completed(), 1, "{moment}");
        workers.assert_clean();
    }
}

/// Whatever comes when, and whoever leaves.
fn nobody_waits_while_there_is_room(seeds: Range<u64>, connections: usize) {
    for seed in seeds {
        let mut random = Random::new(seed);
        let count = 2 + random.below(3);
        let permits = 1 + random.below(3) as u32;
        let mut workers = Workers::pooling(seed, count, ceiling(permits), connections);
        let guests = 5 + random.below(25);
        for number in 0..guests {
            let priority = random.below(4) as u8;
            // Just when somebody else's answer ends, more often than not.
            let after =
                WORK * random.below(6) as u32 + Duration::from_micros(random.below(700) as u64);
            // Some leave before they are answered.
            if random.below(5) == 0 {
                let stay =
                    WORK * random.below(3) as u32 + Duration::from_micros(random.below(700) as u64);
                let visit = Visit::new().after(after).get(&format!("{TARGET}/{number}"));
                let worker = random.below(count);
                workers.gateways[worker].world.client(visit.pause(stay).leave());
            } else {
                workers.client(random.below(count), number, priority, after);
            }
        }
        let mut idle_since = None;
        while !workers.are_done() {
            workers.step();
            let now = workers.time();
            let wasted =
                workers.outstanding() < permits && workers.waits_beside_a_connection(connections);
            idle_since = wasted.then_some(idle_since.unwrap_or(now));
            let since = idle_since.unwrap_or(now);
            assert!(now - since < CALL, "seed {seed}: somebody waits while there is room");
            assert!(now < workers.begun + Duration::from_secs(60), "seed {seed}: not over");
            assert!(workers.outstanding() <= permits, "seed {seed}: a permit too many");
        }
        workers.assert_clean();
    }
}

#[test]
fn nobody_waits_while_there_is_a_permit() {
    nobody_waits_while_there_is_room(0..100, GENEROUS.upstream_connections);
}

#[test]
fn nobody_waits_while_there_is_a_permit_and_a_connection() {
    nobody_waits_while_there_is_room(0..100, 1);
    nobody_waits_while_there_is_room(0..50, 2);
}
