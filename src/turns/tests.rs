//! What is drawn is what happened, and drawing it changes nothing.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::account::{Account, Kind, Mark, Phase};
use super::scenarios::{self, Played};
use super::stage::{self, Stage};
use super::{drawn, page, text};
use crate::gateway::{Setup, worker};
use crate::measure::stats::Counters;
use crate::proxy::load::Loads;
use crate::reactor::mailbox::mailbox;
use crate::sim::cast::Cast;
use crate::sim::{Manner, World};

const SEEDS: u64 = 150;

fn played(name: &str) -> Played {
    scenarios::play(name).expect("a name of the list").expect("it plays")
}

fn marks(account: &Account) -> impl Iterator<Item = &Mark> {
    account.turns.iter().flat_map(|turn| &turn.marks)
}

/// The lines that a scenario is there for, in their order: beginnings of what is told, and of why.
const POINTS: &[(&str, &[&str])] = &[
    (
        "request",
        &[
            "listener accept() = client 1",
            "client 1 register as Downstream#0.1 | -w-- -w--",
            "listener accept() = EAGAIN | r--- ----",
            "client 1 event: readable | -w-- rw--",
            "client 1 read(16384)",
            "server A1 connect() = EINPROGRESS",
            "server A1 write() = EAGAIN | -w-- ----",
            "server A1 event: writable | ---- -w--",
            "server A1 write(277) = 277",
            "client 1 timer: ttft in 600 s",
            "client 1 its answer is committed",
            "server A1 idle in the pool",
            "client 1 read() = 0",
            "client 1 freed: close()",
        ],
    ),
    (
        "token",
        &[
            "server A1 event: readable | -w-- rw--",
            "client 1 driven",
            "server A1 read(16384) = 65 | rw-- -w--",
            "client 1 write(65) = 65 | -w-- -w--",
            "client 1 timer: untouched",
        ],
    ),
    (
        "slow-client",
        &[
            "client 1 write(6139) = 6000 | -w-- ----",
            "server A1 139 bytes are held",
            "server A1 event: readable | -w-- rw--",
            "client 1 nothing to do",
            "client 1 event: writable | ---- -w--",
            "client 1 write(139) = 139",
            "server A1 read(16384) = 6000",
        ],
    ),
    (
        "client-leaves",
        &[
            "client 1 event: readable, FIN | -w-- rwf-",
            "client 1 closed",
            "server A1 closed",
            "client 1 freed: close()",
            "server A1 freed: close()",
        ],
    ),
    (
        "stale",
        &[
            "server A1 peek() = EAGAIN",
            "server A1 write(",
            "server A1 read() = 0",
            "server A2 connect() = EINPROGRESS",
            "server A1 freed: close()",
            "server A2 write(",
            "server A2 idle in the pool",
        ],
    ),
    (
        "retry",
        &[
            "client 1 its answer is held back",
            "server A1 event: readable, writable, FIN, error | -w-- rwfe",
            "server A1 read() = ECONNRESET",
            "server B1 connect() = EINPROGRESS",
            "client 1 its answer is committed",
        ],
    ),
    (
        "cut",
        &[
            "server A1 read() = ECONNRESET",
            "client 1 write(",
            "client 1 shutdown(write)",
            "client 1 lingering",
            "server A1 freed: close()",
        ],
    ),
    (
        "drain",
        &[
            "listener drain: accept no more, idle clients leave",
            "listener close()",
            "client 1 queued",
            "client 1 shutdown(write)",
            "client 2 write(",
            "client 2 freed: close()",
        ],
    ),
    (
        "emfile",
        &[
            "listener event: readable | ---- r---",
            "listener accept() = EMFILE",
            "listener accept() = client 1",
            "listener accept() = client 2",
            "listener accept() = EAGAIN | r--- ----",
        ],
    ),
];

fn told(account: &Account, mark: &Mark) -> String {
    let line = format!("{} {}", account.lanes[mark.lane].name, mark.what);
    match mark.bits {
        Some((before, after)) => {
            let letters = super::account::letters;
            format!("{line} | {} {}", letters(before), letters(after))
        }
        None => line,
    }
}

#[test]
fn each_scenario_shows_what_it_is_there_for() {
    assert_eq!(POINTS.len(), scenarios::ALL.len(), "each has its points");
    for (name, points) in POINTS {
        let Played { account, shown, .. } = played(name);
        let of_shown = account.turns[shown].iter().flat_map(|turn| &turn.marks);
        let mut lines = of_shown.map(|mark| told(&account, mark));
        for point in *points {
            assert!(lines.any(|line| line.starts_with(point)), "{name}: {point:?} is not there");
        }
    }
}

#[test]
fn no_other_server_is_asked_behind_the_commit() {
    let servers = |name: &str| {
        let account = played(name).account;
        account.lanes.iter().filter(|lane| lane.name.starts_with("server")).count()
    };
    assert_eq!((servers("retry"), servers("cut")), (2, 1));
}

#[test]
fn out_of_descriptors_nothing_spins() {
    let Played { account, .. } = played("emfile");
    let failed = marks(&account).find(|mark| mark.what == "accept() = EMFILE").expect("it failed");
    let later = marks(&account).find(|mark| mark.what == "accept() = client 1").expect("accepted");
    assert_eq!(later.at - failed.at, Duration::from_millis(100));
    let between = account.turns.iter().filter(|turn| turn.at > failed.at && turn.at < later.at);
    assert_eq!(between.count(), 0);
}

#[test]
fn the_same_is_drawn_twice() {
    for scenario in scenarios::ALL {
        let [first, second] = [played(scenario.name), played(scenario.name)];
        assert_eq!(text::draw(&first, true), text::draw(&second, true));
        assert_eq!(page::draw(&first), page::draw(&second));
    }
    for seed in 0..20 {
        let draw = || text::draw(&scenarios::play_seed(seed).expect("it plays"), true);
        assert_eq!(draw(), draw());
    }
}

/// Plays the world of a seed with a worker that nobody watches, for so many turns.
fn unwatched(seed: u64, turns: usize) -> u64 {
    let plan = drawn::plan(seed);
    let snapshot = stage::compile(&drawn::configuration(&plan.gateway)).expect("it is accepted");
    let world = World::with_faults(seed, plan.faults.clone());
    let cast = Rc::new(Cast::new(&plan));
    for index in 0..plan.gateway.upstreams * plan.gateway.endpoints {
        let (cast, address) = (Rc::clone(&cast), stage::server_address(index));
        world.server(address, Manner::Serve, move |request| cast.answer(request));
    }
    for visit in &plan.visits {
        world.client(plan.visit(visit));
    }
    let (_sender, mailbox) = mailbox(world.waker());
    let setup = Setup {
        loads: Loads::new(&snapshot, 1),
        snapshot: Arc::new(snapshot),
        seed: stage::WORKER_SEED,
        counters: Arc::new(Counters::default()),
        mailbox,
        crew: None,
        journal: None,
        lookout: None,
        sessions: None,
        nudge: None,
        sealed_listeners: Vec::new(),
    };
    let mut worker = worker(world.clone(), setup);
    for _ in 0..turns {
        worker.turn().expect("the poll works");
    }
    world.digest()
}

#[test]
fn a_worker_that_is_watched_makes_the_same_calls() {
    for seed in 0..SEEDS {
        let (mut stage, _) = drawn::stage(seed).expect("it is accepted");
        stage.turn_until(World::clients_are_done).expect("it plays");
        let (turns, digest) = (stage.turns(), stage.world.digest());
        assert_eq!(digest, unwatched(seed, turns), "seed {seed}");
    }
}

#[test]
fn bits_change_by_events_and_calls_and_else_are_only_set() {
    let (mut calls, mut changed) = (0, 0);
    for seed in 0..SEEDS {
        let played = scenarios::play_seed(seed).unwrap_or_else(|it| panic!("seed {seed}: {it}"));
        for mark in marks(&played.account) {
            let Some((before, after)) = mark.bits else { continue };
            calls += usize::from(mark.kind == Kind::Call);
            changed += usize::from(before != after);
            let cleared = (before.readable() && !after.readable())
                || (before.writable() && !after.writable())
                || (before.read_closed() && !after.read_closed())
                || (before.errored() && !after.errored());
            assert!(!cleared || mark.kind == Kind::Call, "seed {seed}: {mark:?}");
        }
    }
    assert!(calls > 2_000 && changed > 2_000, "{calls} calls, {changed} changes");
}

#[test]
fn phases_come_in_their_order_and_no_call_is_made_in_collect() {
    let order = [
        Phase::Poll,
        Phase::Collect,
        Phase::Run,
        Phase::Accept,
        Phase::Alarms,
        Phase::Mail,
        Phase::Reap,
    ];
    let place = |phase: Phase| order.iter().position(|other| *other == phase);
    for seed in 0..SEEDS {
        let played = scenarios::play_seed(seed).expect("it plays");
        for turn in &played.account.turns {
            let places = turn.marks.iter().map(|mark| place(mark.phase));
            assert!(places.is_sorted(), "seed {seed}, turn {}", turn.number);
            let quiet = |mark: &Mark| {
                !matches!(mark.phase, Phase::Poll | Phase::Collect) || mark.kind != Kind::Call
            };
            assert!(turn.marks.iter().all(quiet), "seed {seed}, turn {}", turn.number);
        }
    }
}

#[test]
fn a_stage_tells_what_is_wrong_with_its_configuration() {
    let refused = Stage::new(1, crate::sim::Faults::none(), "[server]\n").err();
    assert!(refused.is_some_and(|reason| reason.contains("server.listen")));
}
