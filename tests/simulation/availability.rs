//! No outage is longer or wider than the server's own: worlds in which somebody makes it look so.
//!
//! | world | who plays | what may not happen |
//! |---|---|---|
//! | poisoner | a client whose requests make every server answer 500 | anybody else gets an error |
//! | resting | a client whose requests every server answers with 429, beside servers that take no connection | anybody else gets an error while a server is well |
//! | fallback | the same, where a predefined answer stands beside servers that are well | two seconds after the last 429, anybody gets it |
//! | wrong checks | checks that call every server unwell, beside servers that take no connection | a request is refused while a server is well |
//! | return | servers that take no connection for a while, and come back | a request is refused although a server has been well for a second; a primary that is back is not used |
//! | idle streams | clients that wait for events that nobody has promised | a breaker opens |
//! | slow bodies | clients that keep a server waiting for the rest, and one that hangs up on them | a breaker opens |
//!
//! All with the breaker and the retries that the gateway has by default. Each rule is planted a mistake
//! that breaks it, which must be found.

use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::config::defaults;
use sluicegate::config::snapshot::{
    BreakerSettings, Condition, Conditions, Fallback, FallbackAnswer, PathPattern, Snapshot,
};
use sluicegate::gateway::command::Command;
use sluicegate::proxy::health::{DownEndpoint, HealthStatus};
use sluicegate::reactor::net::Net;
use sluicegate::sim::plan::GatewayPlan;
use sluicegate::sim::{Answer, ClientId, Manner, Random, Visit, World};

use crate::harness::network::{Bug, Sabotaged};
use crate::harness::{GENEROUS, Gateway, server_address, snapshot};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// How long a world lasts: longer than a breaker stays open that has opened a few times.
const WORLD: Duration = Duration::from_secs(30);
/// Good requests come so far apart, up to three at the same time.
const PACE: Duration = Duration::from_millis(200);
/// How often the control thread looks at a port.
const LOOK: Duration = Duration::from_millis(800);
const SEEDS: u64 = 20;

const GOOD: &str = "/v1/chat/completions";
const POISON: &str = "/v1/completions";
const IDLE: &str = "/mcp";
const SLOW: &str = "/v1/embeddings";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Poisoner,
    Resting,
    Fallback,
    WrongChecks,
    Return,
    IdleStreams,
    SlowBodies,
}

/// A rule that the gateway does not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    None,
    /// An open breaker refuses, although nobody else could answer.
    OpenIsOpen,
    /// A connection that is refused is the end of its request.
    RefusedIsRefused,
    /// Nobody looks at ports.
    NobodyLooks,
    /// A stream of which nobody knows what it waits for is taken for one of tokens.
    SilenceIsSilence,
    /// The half of a body is taken for all of it.
    HalfIsWhole,
}

/// When a server takes no connection.
#[derive(Clone, Copy, Debug)]
struct Outage {
    begin: Duration,
    end: Duration,
}

#[derive(Debug)]
struct Plan {
    kind: Kind,
    upstreams: usize,
    /// Of each upstream.
    endpoints: usize,
    /// By server.
    outages: Vec<Option<Outage>>,
    manner: Manner,
}

impl Plan {
    fn draw(kind: Kind, random: &mut Random) -> Plan {
        let (upstreams, endpoints) = (random.between(1..=2), random.between(1..=3));
        let outage = |random: &mut Random| {
            let begin = random.duration(SECOND..=8 * SECOND);
            let length = random.duration(100 * MILLISECOND..=18 * SECOND);
            Outage { begin, end: begin + length }
        };
        let mut outages: Vec<Option<Outage>> = vec![None; upstreams * endpoints];
        if matches!(kind, Kind::Return | Kind::Resting | Kind::WrongChecks) {
            for it in &mut outages {
                *it = random.chance(800).then(|| outage(random));
            }
        }
        let manner = if random.chance(300) { Manner::Silent } else { Manner::Refuse };
        Plan { kind, upstreams, endpoints, outages, manner }
    }

    /// Good requests come so far apart. Where those of others are what matters, few come between.
    fn pace(&self) -> Duration {
        match self.kind {
            Kind::IdleStreams | Kind::SlowBodies => 5 * SECOND,
            _ => PACE,
        }
    }

    /// All others come within this time.
    fn crowd(&self) -> Duration {
        match self.kind {
            Kind::IdleStreams | Kind::SlowBodies => 2 * SECOND,
            _ => WORLD / 4,
        }
    }

    fn is_well(&self, server: usize, at: Duration) -> bool {
        self.outages[server].is_none_or(|it| at < it.begin || at >= it.end)
    }

    /// Whether it is well for all of this time, and was for `before` already.
    fn is_well_for(&self, server: usize, before: Duration, from: Duration, to: Duration) -> bool {
        let from = from.saturating_sub(before);
        self.outages[server].is_none_or(|it| to < it.begin || from >= it.end)
    }

    fn snapshot(&self, mistake: Mistake) -> Snapshot {
        let plan = GatewayPlan {
            upstreams: self.upstreams,
            endpoints: self.endpoints,
            attempts: defaults::RETRY_ATTEMPTS,
            breaker: true,
            panic: true,
            ..GENEROUS
        };
        let mut snapshot = snapshot(&plan);
        let route = &mut snapshot.routes[0];
        route.path = PathPattern::Prefix("/".into());
        for upstream in &mut snapshot.upstreams {
            let panic = if mistake == Mistake::OpenIsOpen { 100 } else { defaults::BREAKER.panic };
            // A server that takes no connection has none any more.
            upstream.pool.max_requests = 1;
            upstream.breaker = Some(BreakerSettings { panic, ..defaults::BREAKER });
            if mistake == Mistake::RefusedIsRefused {
                let on = defaults::RETRY_ON.into_iter().filter(|on| *on != Condition::Connect);
                upstream.retry.on = Conditions::new(on.collect());
            }
        }
        // A port that is silent is given up before the world is over.
        if let sluicegate::config::snapshot::Target::Chain(chain) = &mut snapshot.routes[0].target {
            chain.fallback = (self.kind == Kind::Fallback).then(predefined);
            for link in &mut chain.links {
                link.timeouts.connect = Some(500 * MILLISECOND);
            }
        }
        snapshot.begin();
        snapshot
    }

    /// What a server says to a request.
    fn answer(kind: Kind, server: usize, start: &str) -> Answer {
        let events = || {
            let answer = Answer::new().field("Content-Type", "text/event-stream");
            answer.field("Transfer-Encoding", "chunked").head()
        };
        match start.split(' ').nth(1).unwrap_or_default() {
            POISON if matches!(kind, Kind::Resting | Kind::Fallback) => {
                Answer::new().status("429 Busy").field("Retry-After", "30").body(b"no")
            }
            POISON => Answer::new().status("500 Poisoned").body(b"no"),
            IDLE if server.is_multiple_of(2) => events().chunk("data: hello\n\n").stall(),
            IDLE => events().stall(),
            SLOW if server.is_multiple_of(2) => Answer::new().pause(20 * MILLISECOND).close(),
            SLOW => Answer::new().pause(20 * MILLISECOND).reset(),
            // Whoever takes an idle stream for one of tokens.
            _ if kind == Kind::IdleStreams && start.starts_with("GET") => events().stall(),
            _ => Answer::new().await_request().body(server.to_string().as_bytes()),
        }
    }
}

fn predefined() -> Fallback {
    let answer = FallbackAnswer::Json("{}".into());
    let (headers, pace) = (Vec::new(), MILLISECOND);
    Fallback { status: 503, headers, answer, file: None, model: None, pace }
}

/// A good request: when it came.
struct Asked {
    client: ClientId,
    at: Duration,
}

struct Stage<N: Net> {
    plan: Plan,
    world: World,
    gateway: Gateway<N>,
    begun: Instant,
    asked: Vec<Asked>,
    /// Ports that are looked at, whether they have been seen away, and when the next look is due.
    watched: Vec<(DownEndpoint, bool, Instant)>,
}

impl<N: Net> Stage<N> {
    fn new(plan: Plan, world: World, net: N, mistake: Mistake) -> Stage<N> {
        for server in 0..plan.upstreams * plan.endpoints {
            let kind = plan.kind;
            world.server(server_address(server), Manner::Serve, move |request| {
                Plan::answer(kind, server, &request.message.start)
            });
        }
        let gateway = Gateway::new(world.clone(), net, plan.snapshot(mistake));
        let begun = world.time();
        Stage { plan, world, gateway, begun, asked: Vec::new(), watched: Vec::new() }
    }

    /// Everybody who will come, and when.
    fn invite(&mut self, random: &mut Random, mistake: Mistake) {
        let visit = |at| Visit::new().after(at);
        let mut at = Duration::ZERO;
        while at < WORLD {
            for _ in 0..random.between(1..=3) {
                let client = self.world.client(visit(at).post(GOOD, "{}"));
                self.asked.push(Asked { client, at });
            }
            at += self.plan.pace();
        }
        let others = match self.plan.kind {
            Kind::Poisoner => 200,
            Kind::Resting | Kind::Fallback => 40,
            Kind::IdleStreams | Kind::SlowBodies => 40,
            Kind::Return | Kind::WrongChecks => 0,
        };
        for _ in 0..others {
            let at = random.duration(Duration::ZERO..=self.plan.crowd());
            let visit = match self.plan.kind {
                Kind::Poisoner | Kind::Resting | Kind::Fallback => visit(at).post(POISON, "{}"),
                Kind::IdleStreams if mistake == Mistake::SilenceIsSilence => visit(at).get(GOOD),
                Kind::IdleStreams => visit(at).get(IDLE),
                Kind::SlowBodies | Kind::Return | Kind::WrongChecks => {
                    visit(at).request("POST", SLOW, "Content-Length: 100\r\n").raw(b"x")
                }
            };
            self.world.client(visit);
        }
    }

    /// Plays the world to its end, with the control thread beside it.
    fn play(&mut self, mistake: Mistake) -> Result<(), String> {
        if self.plan.kind == Kind::WrongChecks {
            self.find_all_unwell();
        }
        let mut at = Duration::ZERO;
        while at < WORLD + 30 * SECOND {
            for server in 0..self.plan.outages.len() {
                let manner =
                    if self.plan.is_well(server, at) { Manner::Serve } else { self.plan.manner };
                self.world.set_manner(server_address(server), manner);
            }
            at += 50 * MILLISECOND;
            let until = self.begun + at;
            self.world.ring_at(until);
            let limit = until + SECOND;
            self.gateway.turn_until(limit, |world, _| world.time() >= until)?;
            self.look_out(at, mistake);
        }
        self.gateway.assert_clean()
    }

    /// What the control thread tells whose checks ask for a page that is not there.
    fn find_all_unwell(&mut self) {
        let snapshot = self.plan.snapshot(Mistake::None);
        for upstream in &snapshot.upstreams {
            for endpoint in &upstream.endpoints {
                self.gateway.command(Command::Health(
                    upstream.id,
                    endpoint.id,
                    HealthStatus::Unwell,
                ));
            }
        }
    }

    /// What the control thread does.
    fn look_out(&mut self, at: Duration, mistake: Mistake) {
        let now = self.world.time();
        let looks = self.gateway.looks.try_iter();
        self.watched.extend(looks.map(|look| (look, look.unreachable, now + LOOK)));
        if mistake == Mistake::NobodyLooks {
            return;
        }
        let (plan, gateway) = (&self.plan, &self.gateway);
        self.watched.retain_mut(|(look, away, due)| {
            if now < *due {
                return true;
            }
            *due = now + LOOK;
            let server = (0..plan.outages.len()).find(|it| server_address(*it) == look.address);
            let answers = server.is_some_and(|server| plan.is_well(server, at));
            *away |= !answers;
            if answers && *away {
                gateway.command(Command::Reachable(look.upstream, look.endpoint));
            }
            !answers
        });
    }

    fn judge(&self) -> Result<(), String> {
        for Asked { client, at } in &self.asked {
            let peer = self.world.see(*client);
            let answer = peer.reader.messages.last();
            let status = answer.map_or(0, |message| message.status());
            let ended = peer.answered.first().map_or(WORLD, |time| *time - self.begun);
            let servers = 0..self.plan.outages.len();
            let settles = self.plan.crowd() + 2 * SECOND;
            if self.plan.kind == Kind::Fallback && *at < settles {
                continue;
            }
            let well = |server: &usize| self.plan.is_well_for(*server, SECOND, *at, ended);
            let text = answer.map(|message| message.text()).unwrap_or_default();
            if servers.clone().any(|server| well(&server)) && status != 200 {
                return Err(format!(
                    "who came at {at:?} got {status} {text:?}, and a server was well"
                ));
            }
            // Upstream 0 comes first in the chain, and is one server.
            let long = |server| self.plan.is_well_for(server, SECOND + 2 * PACE, *at, ended);
            let returns = self.plan.kind == Kind::Return && self.plan.endpoints == 1;
            if returns && long(0) && status == 200 && text != "0" {
                return Err(format!("who came at {at:?} was not served by the primary"));
            }
        }
        let opened = self.gateway.counters.breaker_opened.get();
        if matches!(self.plan.kind, Kind::IdleStreams | Kind::SlowBodies) && opened > 0 {
            return Err(format!("{opened} breakers opened, and no server has failed"));
        }
        Ok(())
    }
}

fn run_on<N: Net>(
    kind: Kind,
    seed: u64,
    mistake: Mistake,
    layer: impl FnOnce(World) -> N,
) -> Result<(), String> {
    let mut random = Random::new(seed);
    let world = World::new(seed);
    let plan = Plan::draw(kind, &mut random);
    let mut stage = Stage::new(plan, world.clone(), layer(world), mistake);
    stage.invite(&mut random, mistake);
    let played = stage.play(mistake).and_then(|()| stage.judge());
    played.map_err(|reason| format!("{kind:?}, seed {seed}: {reason}; {:?}", stage.plan))
}

fn run(kind: Kind, seed: u64, mistake: Mistake) -> Result<(), String> {
    match mistake {
        Mistake::HalfIsWhole => {
            run_on(kind, seed, mistake, |world| Sabotaged::new(world, Bug::CompletesBodies))
        }
        _ => run_on(kind, seed, mistake, |world| world),
    }
}

fn sweep(kind: Kind) {
    for seed in 0..SEEDS {
        assert_eq!(run(kind, seed, Mistake::None), Ok(()));
    }
}

/// A mistake must be found.
fn expect_found(kind: Kind, mistake: Mistake, as_what: &str) {
    // Not every world gives it a chance.
    let mut found = (0..10 * SEEDS).filter_map(|seed| run(kind, seed, mistake).err());
    let told = found.any(|reason| reason.contains(as_what));
    assert!(told, "{mistake:?} is not found as {as_what:?}");
}

#[test]
fn nobody_but_the_poisoner_gets_the_poisoners_errors() {
    sweep(Kind::Poisoner);
    expect_found(Kind::Poisoner, Mistake::OpenIsOpen, "no_upstream");
}

#[test]
fn nobody_is_refused_for_another_clients_429() {
    sweep(Kind::Resting);
    expect_found(Kind::Resting, Mistake::OpenIsOpen, "and a server was well");
}

#[test]
fn a_predefined_answer_is_given_for_no_longer_than_a_429_is_news() {
    sweep(Kind::Fallback);
    expect_found(Kind::Fallback, Mistake::OpenIsOpen, "and a server was well");
}

#[test]
fn checks_that_are_wrong_refuse_nobody() {
    sweep(Kind::WrongChecks);
    expect_found(Kind::WrongChecks, Mistake::OpenIsOpen, "no_upstream");
}

#[test]
fn while_a_server_would_answer_nobody_is_refused() {
    sweep(Kind::Return);
    expect_found(Kind::Return, Mistake::RefusedIsRefused, "and a server was well");
}

#[test]
fn a_primary_that_is_back_is_used_within_a_second() {
    expect_found(Kind::Return, Mistake::NobodyLooks, "was not served by the primary");
}

#[test]
fn streams_that_nobody_waits_for_open_no_breaker() {
    sweep(Kind::IdleStreams);
    expect_found(Kind::IdleStreams, Mistake::SilenceIsSilence, "no server has failed");
}

#[test]
fn clients_that_keep_a_server_waiting_open_no_breaker() {
    sweep(Kind::SlowBodies);
    expect_found(Kind::SlowBodies, Mistake::HalfIsWhole, "no server has failed");
}
