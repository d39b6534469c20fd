//! Sealed connections: what a transport under a stream can get wrong, one situation each, and the
//! mistakes that the seeds have to find.

use std::time::Duration;

use crate::harness::network::{Bug, Sabotaged};
use crate::harness::scenario::{LATENCY, Simulation, TARGET};
use crate::harness::seeds;
use crate::seed;
use sluicegate::sim::plan::Plan;
use sluicegate::sim::toy::{Manners, Toys};
use sluicegate::sim::{Act, Answer, End, Reading, Visit};
use sluicegate::wire::buffers::SEALED_RESERVE;
use sluicegate::wire::transport::{Alert, Session, Sessions, Unsealed, Wire};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const SEALED: Option<Manners> = Some(Manners::PLAIN_SAILING);

/// A world in which both sides have sessions.
fn sealed(seed: u64) -> Simulation {
    Simulation::new(seed).sealed(SEALED, SEALED)
}

// What passes.

#[test]
fn every_token_is_one_read_and_one_write_in_the_turn_it_came() {
    let mut world =
        sealed(seed!()).upstream(|u| u.tokens(50, "tok", 10 * MILLISECOND).end_chunks());
    let client = world.start(Visit::new().get(TARGET));
    // Two handshakes, then the request and the first token.
    world.run_for(10 * LATENCY);
    assert_eq!(world.received(client).body(), "tok");
    let before = world.world.counts();
    for token in 2..=50 {
        world.run_for(10 * MILLISECOND);
        assert_eq!(world.received(client).body(), "tok".repeat(token), "token {token}");
    }
    let after = world.world.counts();
    assert_eq!((after.reads - before.reads, after.writes - before.writes), (49, 49));
    world.run();
    world.assert_clean();
}

#[test]
fn bytes_pass_whole_whatever_the_records_and_the_calls_do_to_them() {
    let (up, down) = ("u".repeat(50_000), "d".repeat(70_000));
    for record_max in [1, 100, 16 * 1024] {
        let manners = Some(Manners { record_max, hello_max: 3000, tickets: 2, stalls: false });
        let mut world = Simulation::new(seed!())
            .sealed(manners, manners)
            .upstream(|u| u.await_request().body(down.as_bytes()))
            .faults(|faults| {
                (faults.split, faults.short_read, faults.short_write) = (500, 300, 300);
                (faults.write_would_block, faults.read_would_block) = (100, 100);
                faults.capacity = 5_000..=5_000;
            });
        let answer = world.client().post(TARGET, &up).finish();
        assert_eq!((answer.status(), answer.is_whole()), (200, true));
        assert!(answer.body() == down);
        let session = world.world.sessions().pop().map(|it| it.reader.messages[0].body.len());
        assert_eq!(session, Some(up.len()));
        world.assert_clean();
    }
}

#[test]
fn a_tunnel_is_sealed_to_both_ends() {
    let mut world = sealed(seed!()).upstream(|u| u.echo_tunnel("echo").close());
    let fields = "Connection: upgrade\r\nUpgrade: echo\r\n";
    let visit = Visit::new().request("GET", TARGET, fields).then(Act::AwaitTunnel(0));
    let visit = visit.raw(&[b'x'; 30_000]).then(Act::AwaitTunnel(30_000)).then(Act::Finish);
    let client = world.start(visit.then(Act::AwaitEnd));
    world.run();
    let answer = world.received(client);
    // Complete is a tunnel whose end is a farewell on both sides.
    assert_eq!((answer.body().len(), answer.is_whole(), answer.end), (30_000, true, End::Fin));
    world.assert_clean();
}

#[test]
fn a_kept_request_is_sealed_anew_for_the_next_connection() {
    let mut world = sealed(seed!())
        .upstream(|u| u.body(b"first"))
        .upstream(|u| u.then(Act::Vanish))
        .upstream(|u| u.body(b"second"));
    let visit = world.client().post(TARGET, "a").does(|visit| visit.await_answers());
    let answer = visit.post(TARGET, &"b".repeat(20_000)).finish();
    assert_eq!(answer.bodies(), ["first", "second"]);
    assert_eq!(world.requests(), [2, 1]);
    world.assert_clean();
}

// Ends.

#[test]
fn a_bare_fin_is_no_end_of_a_body_that_lasts_until_close() {
    for (end, whole) in [(Act::Close, true), (Act::Vanish, false)] {
        let mut world = sealed(seed!()).upstream(|u| u.head().raw(b"tok").then(end));
        let answer = world.client().get(TARGET).finish();
        assert_eq!((answer.body().as_str(), answer.is_whole()), ("tok", whole));
        world.assert_clean();
    }
}

#[test]
fn a_bare_fin_behind_a_body_with_its_own_end_costs_nothing() {
    let mut world = sealed(seed!()).upstream(|u| u.body(b"whole").then(Act::Vanish));
    let answer = world.client().get(TARGET).finish();
    assert_eq!((answer.body().as_str(), answer.is_whole()), ("whole", true));
    world.assert_clean();
}

#[test]
fn the_last_bytes_the_farewell_and_the_fin_are_one_write() {
    let mut world = Simulation::new(seed!()).sealed(SEALED, None).upstream(|u| u.body(b"tok"));
    let request = format!("GET {TARGET} HTTP/1.0\r\n\r\n");
    let visit = Visit::new().ask(Default::default()).raw(request.as_bytes());
    let client = world.start(visit.then(Act::AwaitEnd));
    world.run();
    let answer = world.received(client);
    assert_eq!((answer.body().as_str(), answer.is_whole(), answer.end), ("tok", true, End::Fin));
    assert!(world.world.see(client).heard_farewell());
    // The hello, the request twice (its connection did not stand yet), the answer.
    assert_eq!(world.world.counts().writes, 4);
    world.assert_clean();
}

#[test]
fn an_answer_that_is_cut_gets_no_farewell() {
    let mut world = sealed(seed!()).upstream(|u| u.head().raw(b"tok").pause(SECOND).reset());
    let request = format!("GET {TARGET} HTTP/1.0\r\n\r\n");
    let visit = Visit::new().ask(Default::default()).raw(request.as_bytes());
    let client = world.start(visit.then(Act::AwaitEnd));
    world.run();
    let answer = world.received(client);
    assert_eq!((answer.body().as_str(), answer.is_whole()), ("tok", false));
    assert!(!world.world.see(client).heard_farewell());
    world.assert_clean();
}

// Idle connections.

#[test]
fn a_ticket_on_an_idle_connection_is_silence() {
    for split in [0, 1000] {
        let mut world = sealed(seed!())
            .upstream(|u| u.body(b"first").idle(SECOND).then(Act::Ticket))
            .upstream(|u| u.body(b"second"))
            .faults(|faults| faults.split = split);
        let visit = Visit::new().get(TARGET).await_answers().pause(2 * SECOND).get(TARGET);
        // The ticket is opened when it comes: the connection is in the pool all the time.
        let client = world.start(visit);
        world.run_for(SECOND + 500 * MILLISECOND);
        assert_eq!(world.gateway().worker.census().idle_upstreams, 1, "split {split}");
        assert_eq!(world.gateway().worker.census().buffers_out, 0);
        world.run();
        assert_eq!(world.received(client).bodies(), ["first", "second"]);
        assert_eq!(world.requests(), [2], "split {split}");
        world.assert_clean();
    }
}

#[test]
fn tickets_do_not_cost_a_pooled_connection() {
    let manners = Some(Manners { tickets: 2, ..Manners::PLAIN_SAILING });
    for later in [Duration::ZERO, 100 * MILLISECOND, SECOND] {
        let mut world = Simulation::new(seed!())
            .sealed(manners, manners)
            .upstream(|u| u.body(b"first").idle(later).then(Act::Ticket))
            .upstream(|u| u.body(b"second").then(Act::Ticket))
            .upstream(|u| u.body(b"third"));
        let visit = Visit::new().get(TARGET).await_answers().pause(2 * SECOND).get(TARGET);
        let client = world.start(visit.await_answers().get(TARGET));
        world.run();
        assert_eq!(world.received(client).bodies(), ["first", "second", "third"]);
        assert_eq!(world.requests(), [3], "one connection carried them all: {later:?}");
        assert_eq!(world.gateway().counters.pool_dead.get(), 0);
        world.assert_clean();
    }
}

#[test]
fn what_an_idle_connection_says_is_its_death_all_the_same() {
    let stray = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    let ends: [fn(Answer, &str) -> Answer; 4] = [
        |u, stray| u.idle(SECOND).unasked(stray, true),
        |u, stray| u.idle(SECOND).unasked(stray, false).stall(),
        |u, _| u.idle(SECOND).close(),
        |u, _| u.idle(SECOND).then(Act::SpoiltRecord).stall(),
    ];
    for ends in ends {
        let mut world = sealed(seed!())
            .upstream(|u| ends(u.body(b"first"), stray))
            .upstream(|u| u.body(b"second"));
        let visit = Visit::new().get(TARGET).await_answers().pause(2 * SECOND).get(TARGET);
        let client = world.start(visit);
        world.run();
        assert_eq!(world.received(client).bodies(), ["first", "second"]);
        assert_eq!(world.requests(), [1, 1]);
        world.assert_clean();
    }
}

// Handshakes.

#[test]
fn a_client_that_stalls_in_its_handshake_is_closed_by_a_timer() {
    let stalls = Some(Manners { stalls: true, ..Manners::PLAIN_SAILING });
    let mut world = sealed(seed!()).but_peers(stalls, SEALED);
    let start = world.world.time();
    let client = world.start(Visit::new().get(TARGET));
    world.run();
    let answer = world.received(client);
    assert_eq!((answer.messages.len(), answer.end), (0, End::Fin));
    let waited = answer.ended_at.expect("it has ended") - start;
    assert!((10 * SECOND..11 * SECOND).contains(&waited), "{waited:?}");
    world.assert_clean();
}

#[test]
fn a_server_that_stalls_in_its_handshake_runs_into_the_timer_of_connecting() {
    let stalls = Some(Manners { stalls: true, ..Manners::PLAIN_SAILING });
    let mut world = sealed(seed!()).but_peers(SEALED, stalls);
    let start = world.world.time();
    let answer = world.client().get(TARGET).finish();
    assert_eq!((answer.status(), answer.code().as_str()), (504, "connect_timeout"));
    assert!((5 * SECOND..6 * SECOND).contains(&(answer.answered[0] - start)));
    assert_eq!(world.requests(), [0], "nobody has heard the request");
    world.assert_clean();
}

#[test]
fn who_knows_no_sessions_is_not_served() {
    let mut world = sealed(seed!());
    let client =
        world.start(Visit::new().plain().raw(b"GET / HTTP/1.1\r\n\r\n").then(Act::AwaitEnd));
    world.run();
    assert_eq!(world.world.see(client).reader.messages.len(), 0);
    world.assert_clean();
}

#[test]
fn a_record_that_cannot_be_opened_ends_the_exchange() {
    let mut world = sealed(seed!()).upstream(|u| u.chunk("tok").then(Act::SpoiltRecord).stall());
    let answer = world.client().get(TARGET).finish();
    assert_eq!((answer.body().as_str(), answer.is_whole()), ("tok", false));
    world.assert_clean();
    let mut world = sealed(seed!());
    let client = world.start(Visit::new().then(Act::SpoiltRecord).then(Act::AwaitEnd));
    world.run();
    let peer = world.world.see(client);
    assert_eq!((peer.reader.messages.len(), peer.end), (0, End::Fin));
    drop(peer);
    world.assert_clean();
}

#[test]
fn a_crowd_of_handshakes_takes_one_step_a_turn() {
    let mut world = sealed(seed!());
    for _ in 0..20 {
        world.start(Visit::new().get(TARGET));
    }
    let mut most = 0;
    for _ in 0..30 {
        let before = world.world.counts().writes;
        world.gateway().turn().expect("a poll");
        most = most.max(world.world.counts().writes - before);
    }
    // Hellos, one after the other.
    assert_eq!(most, 1);
    world.run();
    assert_eq!(world.gateway().counters.downstreams_accepted.get(), 20);
    world.assert_clean();
}

// Back-pressure.

#[test]
fn a_client_that_does_not_read_stops_its_server() {
    let firehose = "x".repeat(10_000);
    let mut world = sealed(seed!())
        .upstream(|u| u.tokens(1000, &firehose, Duration::ZERO).end_chunks())
        .faults(|faults| faults.capacity = 65_536..=65_536);
    let visit = Visit::new().get(TARGET).read(Reading::Never);
    world.start(visit.pause(20 * SECOND).leave());
    world.run_for(10 * SECOND);
    let held = world.world.bytes_read_from(1);
    assert!(held <= 65_536 + 4 * 16_384, "{held} bytes were read for a client that takes none");
    let buffers = world.gateway().worker.census().buffers_out;
    assert!(buffers <= 6, "{buffers} buffers");
    world.run();
    world.assert_clean();
}

#[test]
fn a_read_that_is_just_allowed_is_made() {
    // As many buffers are left as a read through a session may lead to, and not one more: the first
    // that it takes must not be what keeps it from taking the second, turn after turn.
    let mut world = sealed(seed!())
        .upstream(|u| u.pause(SECOND).body(b"late"))
        .configure(|snapshot| snapshot.limits.buffer_bytes = 1);
    let client = world.start(Visit::new().get(TARGET));
    world.run_for(100 * MILLISECOND);
    while world.gateway().worker.census().buffers_out < SEALED_RESERVE {
        // The beginning of a hello, which holds a buffer.
        world.start(Visit::new().plain().raw(&[1, 0x54]).pause(3 * SECOND).leave());
        world.run_for(MILLISECOND);
    }
    assert_eq!(world.gateway().worker.census().buffers_out, SEALED_RESERVE);
    world.run();
    assert_eq!(world.received(client).body(), "late");
    world.assert_clean();
}

// Mistakes that the seeds have to find.

/// A worker that asks the readiness bit, and not the session.
struct Forgetful(Box<dyn Session>);

impl Session for Forgetful {
    fn open(&mut self, sealed: &mut [u8], plain: &mut [u8]) -> Result<Unsealed, Alert> {
        let opened = self.0.open(sealed, plain)?;
        Ok(Unsealed { more: opened.more && opened.given > 0, ..opened })
    }

    fn seal(&mut self, plain: &[u8], into: &mut Wire<'_>) {
        self.0.seal(plain, into);
    }

    fn speak(&mut self, into: &mut Wire<'_>) {
        self.0.speak(into);
    }

    fn close(&mut self, into: &mut Wire<'_>) {
        self.0.close(into);
    }

    fn is_established(&self) -> bool {
        self.0.is_established()
    }
}

struct ForgetfulOnes(Toys);

impl Sessions for ForgetfulOnes {
    fn accept(&mut self) -> Option<Box<dyn Session>> {
        Some(Box::new(Forgetful(self.0.accept()?)))
    }

    fn connect(&mut self) -> Option<Box<dyn Session>> {
        Some(Box::new(Forgetful(self.0.connect()?)))
    }
}

#[test]
fn a_worker_that_asks_the_bit_and_not_the_session_is_found() {
    let found = (0..5_000).find_map(|seed| {
        let forgets = |toys| Box::new(ForgetfulOnes(toys)) as Box<dyn Sessions + Send>;
        let plan = Plan::draw(seed);
        let report = seeds::run_sealed(&plan, false, |world| world, |_| {}, forgets);
        let reason = report.verdict.err()?;
        reason.contains("was owed an answer").then_some((seed, reason))
    });
    let (seed, reason) = found.expect("found");
    println!("seed {seed}: {reason}");
}

/// The first seed whose world shows the bug in these words.
fn find_saying(bug: Bug, words: &str) -> Option<(u64, String)> {
    (0..5_000).find_map(|seed| {
        let report = seeds::run(&Plan::draw(seed), false, |world| Sabotaged::new(world, bug));
        let reason = report.verdict.err()?;
        reason.contains(words).then_some((seed, reason))
    })
}

#[test]
fn a_bare_fin_that_is_taken_for_an_end_is_found() {
    let words = "a whole answer of";
    let (seed, reason) = find_saying(Bug::TakesFinForEnd, words).expect("found");
    println!("seed {seed}: {reason}");
}

#[test]
fn an_idle_connection_that_is_judged_by_raw_bytes_is_found() {
    let words = "idle connections were found dead";
    let (seed, reason) = find_saying(Bug::JudgesByRawBytes, words).expect("found");
    println!("seed {seed}: {reason}");
}

/// A sweep proves little of sessions if none of its worlds has any.
#[test]
fn many_worlds_are_sealed() {
    let plans = || (0..1_000).map(Plan::draw);
    let clients = plans().filter(|plan| plan.seals.clients.is_some()).count();
    let servers = plans().filter(|plan| plan.seals.servers.is_some()).count();
    assert!(clients >= 120 && servers >= 120, "{clients} and {servers} of a thousand");
}
