//! One event, then death: a server says one thing, and then nothing more, or breaks.
//!
//! The head of a stream is held back until its first event that says something. That event is the
//! client's in the moment in which it is here: whatever follows, however late, and if nothing does.
//! A millisecond later, by the virtual clock, it has to have arrived.

use std::time::Duration;

use sluicegate::config::defaults;
use sluicegate::config::snapshot::{Fallback, FallbackAnswer, PathPattern, Snapshot, Target};
use sluicegate::reactor::net::Net;
use sluicegate::sim::plan::GatewayPlan;
use sluicegate::sim::{Answer, Manner, Random, Visit, World};

use crate::harness::network::{Bug, Sabotaged};
use crate::harness::scenario::LATENCY;
use crate::harness::{GENEROUS, Gateway, server_address, snapshot};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const SEEDS: u64 = 400;

/// A dialect: its path, an event that says nothing yet, and one that says `first`.
const DIALECTS: [[&str; 3]; 6] = [
    [
        "/v1/chat/completions",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"first\"}}]}\n\n",
    ],
    [
        "/v1/completions",
        ": ping\n\n",
        "data: {\"choices\":[{\"index\":0,\"text\":\"first\",\"finish_reason\":null}]}\n\n",
    ],
    [
        "/v1/messages",
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"1\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
         \"delta\":{\"type\":\"text_delta\",\"text\":\"first\"}}\n\n",
    ],
    [
        "/v1/responses",
        "event: response.in_progress\ndata: {\"type\":\"response.in_progress\",\"response\":{}}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\
         \"delta\":\"first\"}\n\n",
    ],
    [
        "/generate_stream",
        ": ping\n\n",
        "data: {\"index\":1,\"token\":{\"id\":1,\"text\":\"first\",\"special\":false},\
         \"generated_text\":null}\n\n",
    ],
    ["/events", ": ping\n\n", "data: first\n\n"],
];

/// What comes behind the event.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Silence,
    /// The end of the connection, in the same segment or later.
    End(Option<Duration>),
    Reset(Duration),
    /// The same once more.
    SecondEvent(Duration),
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    upstreams: usize,
    endpoints: usize,
    attempts: u32,
    predefined: bool,
    dialect: usize,
    /// An event comes before that says nothing.
    preamble: bool,
    /// Between the head and the event, and inside the event: how many of its bytes come first.
    pause: Option<Duration>,
    cut: Option<(usize, Duration)>,
    fate: Fate,
}

impl Plan {
    fn draw(random: &mut Random) -> Plan {
        let dialect = random.between(0..=DIALECTS.len() - 1);
        let length = DIALECTS[dialect][2].len();
        let pause = |random: &mut Random| random.duration(MILLISECOND..=4 * SECOND);
        let fate = match random.between(0..=4) {
            0 => Fate::Silence,
            1 => Fate::End(None),
            2 => Fate::End(Some(pause(random))),
            3 => Fate::Reset(pause(random)),
            _ => Fate::SecondEvent(pause(random)),
        };
        Plan {
            upstreams: random.between(1..=2),
            endpoints: random.between(1..=2),
            attempts: random.between(1..=2) as u32,
            predefined: random.chance(300),
            dialect,
            preamble: random.chance(500),
            pause: random.chance(700).then(|| pause(random)),
            cut: random.chance(300).then(|| (random.between(1..=length - 1), pause(random))),
            fate,
        }
    }

    fn snapshot(&self) -> Snapshot {
        let plan = GatewayPlan {
            upstreams: self.upstreams,
            endpoints: self.endpoints,
            attempts: self.attempts,
            breaker: true,
            panic: true,
            ..GENEROUS
        };
        let mut snapshot = snapshot(&plan);
        snapshot.routes[0].path = PathPattern::Prefix("/".into());
        assert_eq!(snapshot.routes[0].commit, defaults::COMMIT);
        if let Target::Chain(chain) = &mut snapshot.routes[0].target {
            let answer = FallbackAnswer::Text("sorry".into());
            let (headers, pace) = (Vec::new(), MILLISECOND);
            let fallback = Fallback { status: 200, headers, answer, file: None, model: None, pace };
            chain.fallback = self.predefined.then_some(fallback);
            for link in &mut chain.links {
                link.timeouts.ttft = Some(20 * SECOND);
            }
        }
        snapshot.begin();
        snapshot
    }

    fn answer(&self) -> Answer {
        let [_, preamble, event] = DIALECTS[self.dialect];
        let mut answer = Answer::new()
            .await_request()
            .field("Content-Type", "text/event-stream")
            .field("Transfer-Encoding", "chunked")
            .head();
        if self.preamble {
            answer = answer.chunk(preamble);
        }
        if let Some(pause) = self.pause {
            answer = answer.pause(pause);
        }
        answer = match self.cut {
            None => answer.chunk(event),
            Some((at, pause)) => answer.chunk(&event[..at]).pause(pause).chunk(&event[at..]),
        };
        match self.fate {
            Fate::Silence => answer.stall(),
            Fate::End(None) => answer.close_in_same_segment(),
            Fate::End(Some(pause)) => answer.pause(pause).close(),
            Fate::Reset(pause) => answer.pause(pause).reset(),
            Fate::SecondEvent(pause) => answer.pause(pause).chunk(event).stall(),
        }
    }

    /// How long after the request the event is whole, where its server is.
    fn takes(&self) -> Duration {
        self.pause.unwrap_or_default() + self.cut.map(|(_, pause)| pause).unwrap_or_default()
    }
}

fn play<N: Net>(plan: Plan, world: &World, net: N) -> Result<(), String> {
    for server in 0..plan.upstreams * plan.endpoints {
        world.server(server_address(server), Manner::Serve, move |_| plan.answer());
    }
    let mut gateway = Gateway::new(world.clone(), net, plan.snapshot());
    let [path, _, event] = DIALECTS[plan.dialect];
    let client = world.client(Visit::new().post(path, "{\"stream\":true}"));
    let limit = world.time() + 60 * SECOND;
    let is_asked = |world: &World| world.sessions().iter().any(|it| !it.reached.is_empty());
    gateway.turn_until(limit, |world, _| is_asked(world))?;
    let asked = world.sessions().iter().find_map(|session| Some(session.reached.first()?.at));
    let due = asked.ok_or("nobody was asked")? + plan.takes() + 2 * LATENCY + MILLISECOND;
    let has_event = || {
        let told = world.see(client);
        told.reader.messages.last().is_some_and(|message| message.text().contains(event))
    };
    world.ring_at(due);
    gateway.turn_until(due + SECOND, |world, _| world.time() >= due)?;
    let in_time = has_event();
    gateway.turn_until(limit, |world, _| world.clients_are_done())?;
    match (in_time, has_event()) {
        (true, _) => gateway.assert_clean(),
        (false, true) => Err("the first event came late".into()),
        (false, false) => Err("the first event never came".into()),
    }
}

fn run(seed: u64, bug: Bug) -> Result<(), String> {
    let plan = Plan::draw(&mut Random::new(seed));
    let world = World::new(seed);
    let net = Sabotaged::new(world.clone(), bug);
    play(plan, &world, net).map_err(|reason| format!("seed {seed}: {reason}; {plan:?}"))
}

#[test]
fn the_first_event_is_the_clients_when_it_is_here() {
    let failed: Vec<String> = (0..SEEDS).filter_map(|seed| run(seed, Bug::None).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_commit_too_late_is_found() {
    let found: Vec<String> =
        (0..SEEDS).filter_map(|seed| run(seed, Bug::AwaitsSecondEvent).err()).collect();
    for what in ["late", "never came"] {
        let told = found.iter().find(|reason| reason.contains(what));
        println!("{}", told.expect("found"));
    }
}
