//! A predefined answer stands beside servers, and somebody makes it look as if they were dead, or they are.
//!
//! | world | who plays | what may not happen |
//! |---|---|---|
//! | poisoned | a client whose requests make every server reset the connection, or answer 500, four times a second | anybody else gets the predefined answer |
//! | broken | servers that fail everybody from some moment on, each in its way | more than a few wait for a failure at a time, once that is known; anybody gets the failure |
//!
//! All with the breaker and the retries that the gateway has by default.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::config::defaults;
use sluicegate::config::snapshot::{
    BreakerSettings, Fallback, FallbackAnswer, PathPattern, Snapshot, Target,
};
use sluicegate::proxy::breaker::Standing::{self, HalfOpen};
use sluicegate::sim::plan::GatewayPlan;
use sluicegate::sim::{Answer, ClientId, Manner, Random, Visit, World};

use crate::harness::{GENEROUS, Gateway, server_address, snapshot};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// How long a world lasts.
const WORLD: Duration = Duration::from_secs(40);
/// When the poison comes, or the servers break: until then all was well.
const BEGIN: Duration = Duration::from_secs(5);
/// Four a second.
const POISON_PACE: Duration = Duration::from_millis(250);
const SEEDS: u64 = 40;
/// So many requests of one worker may be at an endpoint that fails: eight of the time before its probe
/// failed, eight since, and a probe.
const ASKED_MAX: usize = 2 * 8 + 1;
/// Whoever waits no longer has not waited.
const AT_ONCE: Duration = Duration::from_millis(200);

const GOOD: &str = "/v1/chat/completions";
const POISON: &str = "/v1/completions";
/// What a client is told when nobody answers.
const SORRY: &str = "{\"sorry\":1}";

/// How a server fails a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Resets,
    Answers500,
    /// A stream whose first event is an error.
    ErrorEvents,
    /// The same as the first, after three seconds.
    ResetsLate,
    /// It takes requests and says nothing.
    Hangs,
    Refuses,
    /// Its port does not answer.
    Unanswered,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    upstreams: usize,
    endpoints: usize,
    failure: Failure,
    /// Every request fails, and not only those of one client.
    all: bool,
    /// Between two good requests.
    pace: Duration,
    /// How long a good answer takes to begin.
    ttft: Duration,
    streams: bool,
}

impl Plan {
    fn poisoned(random: &mut Random) -> Plan {
        let failure = if random.chance(500) { Failure::Resets } else { Failure::Answers500 };
        let often = random.duration(30 * MILLISECOND..=500 * MILLISECOND);
        let rarely = random.duration(SECOND..=7 * SECOND);
        Plan {
            upstreams: random.between(1..=2),
            endpoints: random.between(1..=3),
            failure,
            all: false,
            pace: if random.chance(500) { often } else { rarely },
            ttft: random.duration(Duration::ZERO..=3 * SECOND),
            streams: random.chance(500),
        }
    }

    fn broken(failure: Failure, random: &mut Random) -> Plan {
        let pace = random.duration(30 * MILLISECOND..=500 * MILLISECOND);
        let ttft = random.duration(Duration::ZERO..=500 * MILLISECOND);
        Plan { failure, all: true, pace, ttft, ..Plan::poisoned(random) }
    }

    fn servers(&self) -> usize {
        self.upstreams * self.endpoints
    }

    fn snapshot(&self, panic: u32) -> Snapshot {
        let plan = GatewayPlan {
            upstreams: self.upstreams,
            endpoints: self.endpoints,
            attempts: defaults::RETRY_ATTEMPTS,
            breaker: true,
            panic: true,
            ..GENEROUS
        };
        let mut snapshot = snapshot(&plan);
        snapshot.routes[0].path = PathPattern::Prefix("/".into());
        for upstream in &mut snapshot.upstreams {
            // A server that takes no connection has none any more.
            upstream.pool.max_requests = 1;
            upstream.breaker = Some(BreakerSettings { panic, ..defaults::BREAKER });
        }
        if let Target::Chain(chain) = &mut snapshot.routes[0].target {
            let answer = FallbackAnswer::Json(SORRY.into());
            let (headers, pace) = (Vec::new(), MILLISECOND);
            let fallback = Fallback { status: 503, headers, answer, file: None, model: None, pace };
            chain.fallback = Some(fallback);
            for link in &mut chain.links {
                link.timeouts.connect = Some(5 * SECOND);
                link.timeouts.ttft = Some(4 * SECOND);
                link.timeouts.response = Some(4 * SECOND);
            }
        }
        snapshot.begin();
        snapshot
    }

    fn answer(&self, path: &str, broken: bool) -> Answer {
        let events = || {
            let answer = Answer::new().await_request().field("Content-Type", "text/event-stream");
            answer.field("Transfer-Encoding", "chunked").head()
        };
        let fails = path == POISON || self.all && broken;
        match self.failure {
            Failure::Resets if fails => Answer::new().await_request().reset(),
            Failure::Answers500 if fails => Answer::new().status("500 No").body(b"no"),
            Failure::ErrorEvents if fails => events()
                .chunk("data: {\"error\":{\"message\":\"no\",\"type\":\"server_error\"}}\n\n")
                .end_chunks(),
            Failure::ResetsLate if fails => Answer::new().await_request().pause(3 * SECOND).reset(),
            Failure::Hangs if fails => Answer::new().stall(),
            _ if self.streams => events()
                .pause(self.ttft)
                .chunk("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"well\"}}]}\n\n")
                .chunk("data: [DONE]\n\n")
                .end_chunks(),
            _ => Answer::new().await_request().pause(self.ttft).body(b"well"),
        }
    }

    /// How a server takes connections.
    fn manner(&self, broken: bool) -> Manner {
        match self.failure {
            Failure::Refuses if self.all && broken => Manner::Refuse,
            Failure::Unanswered if self.all && broken => Manner::Silent,
            _ => Manner::Serve,
        }
    }
}

/// A good request: when it came.
struct Asked {
    client: ClientId,
    at: Duration,
}

/// What became of one.
#[derive(Debug)]
struct Told {
    at: Duration,
    status: u16,
    text: String,
    until: Duration,
}

struct Stage {
    plan: Plan,
    world: World,
    gateway: Gateway,
    begun: Instant,
    /// The time has come.
    broken: Rc<Cell<bool>>,
    asked: Vec<Asked>,
    /// When all endpoints were out for the first time.
    known: Option<Duration>,
}

impl Stage {
    fn new(plan: Plan, seed: u64, panic: u32) -> Stage {
        let world = World::new(seed);
        let begun = world.time();
        let broken = Rc::new(Cell::new(false));
        for server in 0..plan.servers() {
            let broken = Rc::clone(&broken);
            world.server(server_address(server), Manner::Serve, move |request| {
                let path = request.message.start.split(' ').nth(1).unwrap_or_default();
                plan.answer(path, broken.get())
            });
        }
        let gateway = Gateway::new(world.clone(), world.clone(), plan.snapshot(panic));
        Stage { plan, world, gateway, begun, broken, asked: Vec::new(), known: None }
    }

    /// Everybody who will come, and when.
    fn invite(&mut self, random: &mut Random) {
        let body = if self.plan.streams { "{\"stream\":true}" } else { "{}" };
        let visit = |at| Visit::new().after(at);
        let mut at = Duration::ZERO;
        while at < WORLD {
            let client = self.world.client(visit(at).post(GOOD, body));
            self.asked.push(Asked { client, at });
            at += random.duration(self.plan.pace / 2..=self.plan.pace * 3 / 2);
        }
        let mut at = BEGIN;
        while !self.plan.all && at < WORLD {
            self.world.client(visit(at).post(POISON, body));
            at += POISON_PACE;
        }
    }

    fn play(&mut self) -> Result<(), String> {
        let mut at = Duration::ZERO;
        while at < WORLD + 30 * SECOND {
            self.broken.set(at >= BEGIN);
            for server in 0..self.plan.servers() {
                self.world.set_manner(server_address(server), self.plan.manner(at >= BEGIN));
            }
            at += 50 * MILLISECOND;
            let until = self.begun + at;
            self.world.ring_at(until);
            self.gateway.turn_until(until + SECOND, |world, _| world.time() >= until)?;
            let mut endpoints = self.gateway.worker.endpoints(self.world.time());
            let all_out =
                endpoints.all(|(_, it)| matches!(it.breaker, Some(Standing::Open | HalfOpen)));
            if all_out && self.known.is_none() {
                self.known = Some(at);
            }
        }
        self.gateway.assert_clean()
    }

    fn told(&self) -> Vec<Told> {
        let told = |Asked { client, at }: &Asked| {
            let peer = self.world.see(*client);
            let answer = peer.reader.messages.last();
            Told {
                at: *at,
                status: answer.map_or(0, |message| message.status()),
                text: answer.map(|message| message.text()).unwrap_or_default(),
                until: peer.answered.first().map_or(Duration::MAX, |time| *time - self.begun),
            }
        };
        self.asked.iter().map(told).collect()
    }
}

/// Plays a world; what those were told who have asked for nothing bad.
fn play(plan: Plan, seed: u64, panic: u32, random: &mut Random) -> Result<Stage, String> {
    let mut stage = Stage::new(plan, seed, panic);
    stage.invite(random);
    stage.play().map_err(|reason| format!("seed {seed}: {reason}; {plan:?}"))?;
    Ok(stage)
}

fn run_poisoned(seed: u64, panic: u32) -> Result<(), String> {
    let mut random = Random::new(seed);
    let plan = Plan::poisoned(&mut random);
    let told = play(plan, seed, panic, &mut random)?.told();
    let refused: Vec<&Told> = told.iter().filter(|told| told.status != 200).collect();
    match refused.first() {
        None => Ok(()),
        Some(first) => Err(format!(
            "seed {seed}: {} of {} were refused, and a server was well, the first {first:?}; {plan:?}",
            refused.len(),
            told.len()
        )),
    }
}

#[test]
fn a_poisoner_beside_a_predefined_answer_is_alone_with_it() {
    let failed: Vec<String> =
        (0..SEEDS).filter_map(|seed| run_poisoned(seed, defaults::BREAKER.panic).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // Open is open: that is the mistake.
    let found = (0..SEEDS).find_map(|seed| run_poisoned(seed, 100).err());
    assert!(found.is_some_and(|reason| reason.contains("were refused")));
}

impl Failure {
    /// How many may wait at an endpoint at a time, once all are known to be out.
    fn waiters(self) -> usize {
        match self {
            Failure::Resets | Failure::Answers500 | Failure::ErrorEvents | Failure::Refuses => 0,
            Failure::ResetsLate => ASKED_MAX,
            // The probe.
            Failure::Hangs | Failure::Unanswered => 1,
        }
    }
}

/// What a world of servers that fail everybody has shown against the rule.
fn run_broken(failure: Failure, seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed);
    let plan = Plan::broken(failure, &mut random);
    let stage = play(plan, seed, defaults::BREAKER.panic, &mut random)?;
    let wrong = |what: String| Err(format!("seed {seed}: {what}; {plan:?}"));
    let Some(known) = stage.known else { return wrong("not known".into()) };
    // For a second after an answer everybody asks.
    let told: Vec<Told> = stage.told().into_iter().filter(|it| it.at > known + SECOND).collect();
    if told.len() < 10 {
        return wrong(format!("{} came when it was known, at {known:?}", told.len()));
    }
    for one in &told {
        if one.text != SORRY {
            return wrong(format!("{one:?}"));
        }
        // Its answer may be on its way.
        let now = one.at + MILLISECOND;
        let waits = |it: &&Told| it.until - it.at > AT_ONCE && it.at < now && it.until > now;
        let waiting = told.iter().filter(waits).count();
        if waiting > failure.waiters() * plan.servers() {
            return wrong(format!("{waiting} wait at {:?}", one.at));
        }
    }
    Ok(())
}

#[test]
fn servers_that_fail_everybody_keep_few_waiting_beside_a_predefined_answer() {
    let failures = [
        Failure::Resets,
        Failure::Answers500,
        Failure::ErrorEvents,
        Failure::ResetsLate,
        Failure::Hangs,
        Failure::Refuses,
        Failure::Unanswered,
    ];
    let worlds = failures.into_iter().flat_map(|it| (0..SEEDS / 4).map(move |seed| (it, seed)));
    let failed: Vec<String> =
        worlds.filter_map(|(failure, seed)| run_broken(failure, seed).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
