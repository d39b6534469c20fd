//! Servers that sleep until they are asked for, in worlds made from seeds.
//!
//! What starts and stops them is a thread in a real process. Here it is a waker that obeys the same rules
//! (`control/wake.rs`) between the turns of the worker, by the clock of its world: it starts the server
//! that is asked for, is told that it cannot, waits until it is ready, and stops it when nobody has used it.
//! The gate between them, and all that the worker does, are the real ones.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::config::defaults;
use sluicegate::config::snapshot::{Heartbeat, UpstreamId, WakeSettings, WhileLoading};
use sluicegate::gateway::command::Command;
use sluicegate::proxy::load::SharedLoad;
use sluicegate::proxy::wake::{ServerStanding, WakeGate};
use sluicegate::sim::{Answer, ClientId, Faults, Manner, Random, Visit, World};

use crate::harness::scenario::TARGET;
use crate::harness::{GENEROUS, Gateway, server_address, snapshot};
use crate::seed;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// How often the waker looks, while a server starts or stops and else.
const LOOK: Duration = Duration::from_millis(50);
/// How long a request waits, and the server may take: longer than to stop, to start, to load and to be
/// looked at again, each up to two seconds.
const WAIT: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(2);
/// How long an answer takes, and a worker to look again by itself.
const WORK: Duration = Duration::from_millis(300);
const LOOKS_AGAIN: Duration = Duration::from_secs(2);

/// How often who waits for a stream is sent a sign of life, and how much later that may come.
const BEAT: Duration = Duration::from_secs(1);
const BEAT_LATE: Duration = Duration::from_millis(100);

const CHAT: &str = "/relay/chat/completions";
const STREAMED: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const EVENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"done\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

const SEEDS: u64 = 60;

/// What is wrong with a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// It stops a server without a look at who uses it.
    Careless,
    /// It tells nobody: who waits looks again by itself.
    Mute,
}

/// The server, as it stands behind its port.
#[derive(Debug, Default)]
struct Host {
    /// Requests are answered with a 503 that says "loading".
    loads: Cell<bool>,
    /// It is told to end, or is gone.
    ends: Cell<bool>,
    /// Requests that have reached it although it was.
    strays: Cell<u32>,
}

struct Waker {
    gate: Arc<WakeGate>,
    load: SharedLoad,
    upstream: UpstreamId,
    asked: Arc<AtomicBool>,
    host: Rc<Host>,
    random: Random,
    flaw: Flaw,
    wanted: bool,
    since: Instant,
    /// What the server does next of itself: its port opens, it fails, it is gone.
    next: Instant,
    /// The server loads until then, though its port is open.
    loads_until: Instant,
    /// This start fails.
    fails: bool,
    /// Of a thousand starts.
    fail_per_mille: u32,
    used: (Instant, u64),
    starts: u32,
    failures: u32,
    stops: u32,
}

impl Waker {
    /// Looks after the server once. Whether those who wait are to look.
    fn round(&mut self, world: &World) -> bool {
        let now = world.time();
        self.host.loads.set(now < self.loads_until);
        if self.asked.swap(false, Ordering::Relaxed) {
            self.gate.heard();
            self.wanted = true;
        }
        match self.gate.standing() {
            ServerStanding::Asleep if self.wanted => self.start(now),
            ServerStanding::Failed if now >= self.since + SECOND => {
                self.set(ServerStanding::Asleep, now)
            }
            ServerStanding::Starting if self.fails && now >= self.next => {
                self.failures += 1;
                self.wanted = false;
                self.since = now;
                self.gate.fail(SECOND);
                return true;
            }
            ServerStanding::Starting if now >= self.next => {
                world.set_manner(server_address(0), Manner::Serve);
                self.wanted = false;
                self.used = (now, self.gate.uses());
                self.set(ServerStanding::Awake, now);
                return true;
            }
            ServerStanding::Awake => self.look_whether_unused(now),
            ServerStanding::Stopping if self.load.total() > 0 && self.flaw != Flaw::Careless => {}
            ServerStanding::Stopping if now >= self.next => {
                world.set_manner(server_address(0), Manner::Refuse);
                self.set(ServerStanding::Asleep, now);
            }
            _ => {}
        }
        false
    }

    fn set(&mut self, standing: ServerStanding, now: Instant) {
        self.since = now;
        self.gate.set(standing);
    }

    fn start(&mut self, now: Instant) {
        self.starts += 1;
        self.fails = self.random.chance(self.fail_per_mille);
        self.next = now + self.random.duration(100 * MS..=2 * SECOND);
        // Some are ready when their port is open, and say for a while that they load.
        let loads = self.random.chance(500).then(|| self.random.duration(10 * MS..=2 * SECOND));
        self.loads_until = self.next + loads.unwrap_or_default();
        self.host.ends.set(false);
        self.set(ServerStanding::Starting, now);
    }

    fn look_whether_unused(&mut self, now: Instant) {
        let uses = self.gate.uses();
        if self.load.total() > 0 || uses != self.used.1 {
            self.used = (now, uses);
        }
        let unused = now - self.used.0;
        if unused < IDLE && (self.flaw != Flaw::Careless || now - self.since < IDLE) {
            return;
        }
        self.gate.set(ServerStanding::Stopping);
        let used = self.load.total() > 0 || self.gate.uses() != self.used.1;
        if used && self.flaw != Flaw::Careless {
            return self.gate.set(ServerStanding::Awake);
        }
        self.stops += 1;
        self.host.ends.set(true);
        self.next = now + self.random.duration(50 * MS..=SECOND);
        self.since = now;
    }
}

/// What came of a world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome {
    digest: u64,
    served: usize,
    failed: usize,
    starts: u32,
    failures: u32,
    stops: u32,
}

/// When each client was last heard of, and how much it had then: who waits for a stream has signs of life.
fn listen(
    world: &World,
    clients: &[(ClientId, Instant, bool)],
    heard: &mut [(Instant, usize)],
) -> Result<(), String> {
    let now = world.time();
    for ((client, came, _), (last, had)) in clients.iter().zip(heard) {
        let peer = world.see(*client);
        let has = peer.reader.messages.iter().map(|one| 1 + one.body.len()).sum();
        // Who leaves by itself may have had its answer before.
        let answered = peer.reader.messages.last().is_some_and(|answer| answer.complete);
        if has != *had || peer.over || answered || now < *came {
            (*last, *had) = (now.max(*came), has);
        } else if now - *last > BEAT + BEAT_LATE {
            return Err(format!("nothing for {:?}", now - *last));
        }
    }
    Ok(())
}

/// Clients, when each has come, and whether it leaves without its answer.
fn clients(world: &World, random: &mut Random, streams: bool) -> Vec<(ClientId, Instant, bool)> {
    let begun = world.time();
    let count = random.between(4..=16);
    let client = |_| {
        // Now and then nobody comes for so long that the server is stopped.
        let after =
            random.duration(Duration::ZERO..=3 * SECOND) + 6 * SECOND * random.below(3) as u32;
        let visit = Visit::new().after(after);
        let visit = if streams { visit.post(CHAT, STREAMED) } else { visit.get(TARGET) };
        let leaves = random.chance(200);
        let visit = match leaves {
            true => visit.pause(random.duration(MS..=2 * SECOND)).leave(),
            false => visit.await_answers(),
        };
        (world.client(visit), begun + after, leaves)
    };
    (0..count).map(client).collect()
}

/// Runs the world of a seed, and says what must not be.
fn run(seed: u64, fail_per_mille: u32, flaw: Flaw, streams: bool) -> Result<Outcome, String> {
    let mut random = Random::new(seed ^ 0x77a4);
    let world = World::with_faults(seed, Faults::none());
    let host = Rc::<Host>::default();
    let seen = Rc::clone(&host);
    world.server(server_address(0), Manner::Refuse, move |_| {
        if seen.ends.get() {
            seen.strays.set(seen.strays.get() + 1);
        }
        match seen.loads.get() {
            true => Answer::new()
                .status("503 Service Unavailable")
                .field("Content-Type", "application/json")
                .body(br#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#),
            false if streams => Answer::new()
                .pause(WORK)
                .field("Content-Type", "text/event-stream")
                .chunk(EVENT)
                .end_chunks(),
            false => Answer::new().pause(WORK).body(b"done"),
        }
    });
    let mut snapshot = snapshot(&GENEROUS);
    snapshot.routes[0].heartbeat = streams.then_some(Heartbeat { every: BEAT, before_head: true });
    let upstream = &mut snapshot.upstreams[0];
    upstream.while_loading = Some(WhileLoading { wait: WAIT });
    upstream.wake = Some(Arc::new(WakeSettings { timeout: WAIT, ..defaults::wake() }));
    let upstream = upstream.clone();
    let mut gateway = Gateway::new(world.clone(), world.clone(), snapshot);
    let (load, _) = gateway.loads.of(&upstream);
    let gate = Arc::clone(load.gate().expect("it is one that is started"));
    let asked = Arc::<AtomicBool>::default();
    let hears = Arc::clone(&asked);
    gate.on_ask(move || hears.store(true, Ordering::Relaxed));
    let begun = world.time();
    let mut waker = Waker {
        gate,
        load,
        upstream: upstream.id,
        asked,
        host,
        random: Random::new(seed),
        flaw,
        wanted: false,
        since: begun,
        next: begun,
        loads_until: begun,
        fails: false,
        fail_per_mille,
        used: (begun, 0),
        starts: 0,
        failures: 0,
        stops: 0,
    };
    let clients = clients(&world, &mut random, streams);
    let mut heard = vec![(begun, 0); clients.len()];
    let limit = begun + 60 * SECOND;
    // Behind the last client the server is stopped too.
    let mut over_at = None;
    let mut look_at = begun;
    while over_at.is_none_or(|over| world.time() < over + IDLE + 3 * SECOND) {
        if world.time() >= look_at {
            look_at = world.time() + LOOK;
            world.ring_at(look_at);
            if streams {
                listen(&world, &clients, &mut heard)?;
            }
            if waker.round(&world) && flaw != Flaw::Mute {
                gateway.command(Command::Woken(waker.upstream));
            }
        }
        gateway.turn().map_err(|error| error.to_string())?;
        if let Some(complaint) = gateway.complaint() {
            return Err(complaint);
        }
        if over_at.is_none() && world.clients_are_done() {
            over_at = Some(world.time());
        }
        if world.time() > limit {
            return Err(format!("not over: {:?}", gateway.worker.census()));
        }
    }
    let mut outcome = judge(&world, &clients, &waker)?;
    gateway.assert_clean()?;
    match (waker.gate.waiting(), waker.load.total()) {
        (0, 0) => {}
        left => return Err(format!("who waits and is counted at the end: {left:?}")),
    }
    outcome.digest = world.digest();
    Ok(outcome)
}

/// Who has stayed has an answer, in time; and one that could be served was.
fn judge(
    world: &World,
    clients: &[(ClientId, Instant, bool)],
    waker: &Waker,
) -> Result<Outcome, String> {
    let Waker { starts, failures, stops, .. } = *waker;
    let mut outcome = Outcome { starts, failures, stops, ..Outcome::default() };
    if waker.host.strays.get() > 0 {
        return Err(format!("{} requests reached a server that ends", waker.host.strays.get()));
    }
    for (client, came, leaves) in clients {
        let peer = world.see(*client);
        let Some(answer) = peer.reader.messages.first() else {
            match leaves {
                true => continue,
                false => return Err(format!("no answer: {:?}", peer.end)),
            }
        };
        if *leaves && !answer.complete {
            continue;
        }
        let took = peer.answered.first().map_or(Duration::ZERO, |at| *at - *came);
        if took > WAIT + SECOND + LOOKS_AGAIN + WORK {
            return Err(format!("{} after {took:?}", answer.status()));
        }
        match answer.status() {
            200 if answer.text().contains("done") => outcome.served += 1,
            200 | 503 if failures > 0 && answer.text().contains("wake_failed") => {
                outcome.failed += 1
            }
            _ => return Err(format!("{} {}", answer.start, answer.text())),
        }
    }
    Ok(outcome)
}

fn all(fail_per_mille: u32, flaw: Flaw, streams: bool) -> Vec<Result<Outcome, String>> {
    let first = seed!() * 1_000;
    (first..first + SEEDS).map(|seed| run(seed, fail_per_mille, flaw, streams)).collect()
}

#[test]
fn who_asks_a_server_that_sleeps_is_served_and_nobody_reaches_one_that_ends() {
    let outcomes = all(0, Flaw::None, false);
    for (at, outcome) in outcomes.iter().enumerate() {
        assert!(outcome.as_ref().is_ok_and(|one| one.failed == 0), "{at}: {outcome:?}");
    }
    let sum = |of: fn(&Outcome) -> u32| outcomes.iter().flatten().map(of).sum::<u32>();
    assert!(sum(|one| one.starts) > SEEDS as u32, "some start more than once");
    assert!(sum(|one| one.stops) > SEEDS as u32, "and are stopped");
}

#[test]
fn a_server_that_cannot_be_started_fails_who_waits_and_nobody_else() {
    let outcomes = all(400, Flaw::None, false);
    let (mut served, mut failed) = (0, 0);
    for (at, outcome) in outcomes.iter().enumerate() {
        let outcome = outcome.as_ref().unwrap_or_else(|why| panic!("{at}: {why}"));
        (served, failed) = (served + outcome.served, failed + outcome.failed);
    }
    assert!(served > 100 && failed > 100, "{served} {failed}");
}

#[test]
fn a_call_that_is_lost_costs_a_second_and_no_request() {
    for (at, outcome) in all(0, Flaw::Mute, false).iter().enumerate() {
        assert!(outcome.as_ref().is_ok_and(|one| one.failed == 0), "{at}: {outcome:?}");
    }
}

#[test]
fn who_waits_for_a_stream_has_signs_of_life() {
    for fail_per_mille in [0, 400] {
        let outcomes = all(fail_per_mille, Flaw::None, true);
        for (at, outcome) in outcomes.iter().enumerate() {
            assert!(outcome.is_ok(), "{at}: {outcome:?}");
        }
        let sum = |of: fn(&Outcome) -> usize| outcomes.iter().flatten().map(of).sum::<usize>();
        assert!(sum(|one| one.served) > 100);
        assert_eq!(sum(|one| one.failed) > 0, fail_per_mille > 0);
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in 0..5 {
        let first = run(seed, 300, Flaw::None, seed % 2 == 0);
        assert!(first.is_ok(), "{first:?}");
        assert_eq!(first, run(seed, 300, Flaw::None, seed % 2 == 0));
    }
}

#[test]
fn a_waker_that_does_not_look_who_uses_its_server_is_found_out() {
    assert!(all(0, Flaw::Careless, false).iter().any(Result::is_err));
}
