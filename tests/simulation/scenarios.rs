//! One situation each, written by hand: what reactors are known to get wrong, and what the seeds
//! have found here.

use std::time::Duration;

use crate::harness::scenario::{LATENCY, Simulation, TARGET};
use crate::harness::server_address;
use crate::seed;
use sluicegate::config::snapshot::HalfClose;
use sluicegate::gateway::command::Idle;
use sluicegate::sim::{Act, Answer, End, Manner, Reading, Visit};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

// The end of an answer.

#[test]
fn fin_behind_the_last_bytes_is_not_lost() {
    // One edge carries both the last bytes and the FIN; no second edge will come.
    let mut world =
        Simulation::new(seed!()).upstream(|u| u.head().raw(b"tok").close_in_same_segment());
    let answer = world.client().get(TARGET).finish();
    assert_eq!((answer.body().as_str(), answer.is_whole()), ("tok", true));
    assert!(answer.answered[0] < world.world.time() + SECOND, "without waiting for a timer");
    world.assert_clean();
}

#[test]
fn a_chunked_answer_that_is_cut_never_looks_whole() {
    for end in [Answer::close, Answer::reset, Answer::close_in_same_segment] {
        let mut world = Simulation::new(seed!()).upstream(|u| end(u.chunk("tok").chunk("en")));
        let answer = world.client().get(TARGET).finish();
        assert!("token".starts_with(&answer.body()) && !answer.is_whole());
        world.assert_clean();
    }
}

#[test]
fn an_answer_shorter_than_its_length_never_looks_whole() {
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.field("Content-Length", "10").head().raw(b"short").close());
    let answer = world.client().get(TARGET).finish();
    assert_eq!((answer.body().as_str(), answer.is_whole()), ("short", false));
    world.assert_clean();
}

#[test]
fn an_http_1_0_client_learns_of_a_cut_by_a_reset() {
    // Its answer ends with the connection: a FIN would make the cut answer whole.
    let mut world = Simulation::new(seed!()).upstream(|u| u.chunk("tok").pause(SECOND).reset());
    let request = format!("GET {TARGET} HTTP/1.0\r\n\r\n");
    let answer =
        world.client().does(|v| v.ask(Default::default()).raw(request.as_bytes())).finish();
    assert_eq!((answer.body().as_str(), answer.end), ("tok", End::Reset));
    world.assert_clean();
}

#[test]
fn a_write_that_meets_the_reset_does_not_make_the_end_of_the_answer() {
    // The kernel tells an error once. The upload's next write is told of the RST, and the read of
    // the answer is then told "end": of a body that lasts until close, that would be its end.
    let mut world = Simulation::new(seed!())
        .upstream(|u| {
            let answer = u.then(Act::Read(Reading::Never)).head().raw(b"half an answ");
            answer.pause(SECOND).reset()
        })
        .faults(|faults| faults.capacity = 4096..=4096);
    let answer = world.client().post(TARGET, &"x".repeat(100_000)).finish();
    assert_eq!((answer.body().as_str(), answer.is_whole()), ("half an answ", false));
    world.assert_clean();
}

#[test]
fn an_abort_does_not_take_back_earlier_answers() {
    // The client has pipelined more than will be answered. Closed with that unread, its connection
    // would be reset, and the reset would destroy the answer it has not read yet.
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.body(b"first"))
        .upstream(|u| u.chunk("sec").pause(SECOND).reset())
        .faults(|faults| faults.reset_overtakes = 1000);
    let ahead = |visit: Visit| visit.get(TARGET).pause(MILLISECOND);
    let visit = ahead(ahead(ahead(Visit::new().read(Reading::Never))));
    let client = world.start(visit.pause(2 * SECOND).read(Reading::Eagerly));
    world.run();
    let answer = world.received(client);
    assert_eq!(answer.bodies(), ["first", "sec"]);
    assert!(!answer.is_whole());
    world.assert_clean();
}

#[test]
fn an_abort_does_not_take_back_what_a_client_that_goes_on_sending_has_not_read() {
    // At the moment of the abort nothing is unread. What comes later meets a closed socket, unless
    // somebody is still there to take it.
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.body(b"first"))
        .upstream(|u| u.chunk("sec").pause(SECOND).reset())
        .faults(|faults| faults.reset_overtakes = 1000);
    let visit = Visit::new().read(Reading::Never).get(TARGET).pause(MILLISECOND).get(TARGET);
    let visit = visit.pause(1500 * MILLISECOND).get(TARGET).pause(SECOND);
    let client = world.start(visit.read(Reading::Eagerly));
    world.run();
    let answer = world.received(client);
    assert_eq!(answer.bodies(), ["first", "sec"]);
    assert!(!answer.is_whole());
    world.assert_clean();
}

// The pool.

#[test]
fn a_stale_connection_is_replaced_once_by_a_fresh_one() {
    // llama.cpp's server: keep-alive is announced, and then the connection is closed.
    for end in [Answer::close, Answer::reset] {
        let mut world = Simulation::new(seed!())
            .upstream(|u| u.body(b"first"))
            .upstream(end)
            .upstream(|u| u.body(b"second"));
        let answer = world
            .client()
            .post(TARGET, "a")
            .does(|visit| visit.await_answers())
            .post(TARGET, "b")
            .finish();
        assert_eq!(answer.bodies(), ["first", "second"]);
        assert_eq!(world.requests(), [2, 1], "once more, on a fresh connection");
        world.assert_clean();
    }
}

#[test]
fn a_post_is_not_sent_twice_where_that_is_forbidden() {
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.body(b"first"))
        .upstream(|u| u.close())
        .configure(|snapshot| snapshot.upstreams[0].pool.replay_stale_post = false);
    let visit = world.client().post(TARGET, "a").does(|visit| visit.await_answers());
    let answer = visit.post(TARGET, "b").finish();
    assert_eq!(answer.statuses(), [200, 502]);
    assert_eq!(world.requests(), [2]);
    world.assert_clean();
}

#[test]
fn a_fresh_connection_that_dies_is_no_reason_to_ask_again() {
    let mut world = Simulation::new(seed!()).upstream(|u| u.close());
    let answer = world.client().get(TARGET).finish();
    assert_eq!((answer.status(), answer.code().as_str()), (502, "upstream_closed"));
    assert_eq!(world.requests(), [1]);
    world.assert_clean();
}

#[test]
fn what_a_server_says_unasked_is_nobodys_answer() {
    let stray = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    let answers: [fn(Answer, &str) -> Answer; 3] = [
        |u, stray| u.idle(SECOND).unasked(stray, true),
        |u, stray| u.idle(SECOND).unasked(stray, false).stall(),
        |u, stray| u.raw(stray.as_bytes()).stall(),
    ];
    for says in answers {
        let mut world = Simulation::new(seed!())
            .upstream(|u| says(u.body(b"first"), stray))
            .upstream(|u| u.body(b"second"));
        let visit =
            world.client().get(TARGET).does(|visit| visit.await_answers().pause(2 * SECOND));
        let answer = visit.get(TARGET).finish();
        assert_eq!(answer.bodies(), ["first", "second"]);
        assert_eq!(world.requests(), [1, 1]);
        world.assert_clean();
    }
}

#[test]
fn bytes_that_come_before_the_request_has_left_are_not_its_answer() {
    // The pooled connection has been taken and looked at, but the kernel does not take the request
    // yet. What arrives now was meant for whoever had the connection before.
    let stray = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.body(b"first").idle(SECOND).unasked(stray, true))
        .upstream(|u| u.body(b"second"));
    let nearly = SECOND - 100 * MILLISECOND;
    let visit = Visit::new().get(TARGET).await_answers().pause(nearly).get(TARGET);
    let client = world.start(visit);
    world.run_for(SECOND / 2);
    world.world.change_faults(|faults| faults.write_would_block = 1000);
    world.run_for(SECOND * 2 / 3);
    world.world.change_faults(|faults| faults.write_would_block = 0);
    world.run();
    assert_eq!(world.received(client).bodies(), ["first", "second"]);
    world.assert_clean();
}

#[test]
fn answers_without_a_body_leave_the_connection_clean() {
    // Their heads may promise one. Read as a body, the next answer would be eaten.
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.field("Content-Length", "1000").head())
        .upstream(|u| u.status("304 Not Modified").field("Content-Length", "1000").head())
        .upstream(|u| u.body(b"third"));
    let answer = world
        .client()
        .does(|visit| visit.request("HEAD", TARGET, "").await_answers())
        .get(TARGET)
        .does(|visit| visit.await_answers())
        .get(TARGET)
        .finish();
    assert_eq!(answer.statuses(), [200, 304, 200]);
    assert_eq!(answer.body(), "third");
    assert_eq!(world.requests(), [3], "one connection carried them all");
    world.assert_clean();
}

// Clients that go away.

/// Plays `visit` against `world`, and returns how long after the client had gone (`left`) the
/// server's connection ended.
fn end_of_upstream(mut world: Simulation, visit: Visit, left: Duration) {
    let start = world.world.time();
    world.start(visit);
    world.run();
    world.run_for(MILLISECOND);
    let sessions = world.world.sessions();
    let last = sessions.last().expect("the request had reached a server");
    let ended = last.ended_at.expect("the gateway has closed the connection");
    drop(sessions);
    assert_eq!(ended - start, left + 2 * LATENCY, "in the very turn it learned of it");
    world.assert_clean();
}

#[test]
fn a_client_that_leaves_frees_its_server_in_the_same_turn() {
    for leave in [Act::Close, Act::Reset, Act::Finish] {
        for (phase, answer) in [
            ("before the head", Answer::new().stall()),
            ("streaming", Answer::new().tokens(100, "tok", 100 * MILLISECOND)),
            ("an interim answer", Answer::new().interim("103 Early Hints").stall()),
        ] {
            println!("{phase}: {leave:?}");
            let world = Simulation::new(seed!()).upstream(|_| answer);
            let visit = Visit::new().get(TARGET).pause(SECOND).then(leave.clone());
            end_of_upstream(world, visit.then(Act::AwaitEnd), SECOND);
        }
    }
}

#[test]
fn a_client_that_leaves_while_connecting_leaves_nothing_behind() {
    let mut world = Simulation::new(seed!()).server_is(Manner::Silent);
    world.start(Visit::new().get(TARGET).pause(SECOND).leave());
    world.run();
    world.run_for(MILLISECOND);
    assert_eq!(world.world.descriptors(), 0);
    world.assert_clean();
}

#[test]
fn a_client_that_leaves_the_queue_gives_its_place_to_the_next() {
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.pause(2 * SECOND).body(b"slow"))
        .configure(|snapshot| snapshot.upstreams[0].pool.connections = 1);
    let busy = world.start(Visit::new().get(TARGET));
    world.run_for(MILLISECOND);
    world.start(Visit::new().get(TARGET).pause(SECOND).leave());
    world.run_for(MILLISECOND);
    let patient = world.start(Visit::new().get(TARGET));
    world.run();
    assert_eq!(
        (world.received(busy).body(), world.received(patient).body()),
        ("slow".into(), "slow".into())
    );
    assert_eq!(world.requests(), [2], "the one that left was never sent");
    world.assert_clean();
}

#[test]
fn a_fin_is_no_farewell_where_half_close_is_allowed() {
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.pause(SECOND).body(b"late"))
        .configure(|snapshot| snapshot.server.half_close = HalfClose::Allow);
    let answer = world.client().get(TARGET).does(|visit| visit.then(Act::Finish)).finish();
    assert_eq!(answer.body(), "late");
    world.assert_clean();
}

// Back-pressure.

#[test]
fn a_client_that_does_not_read_stops_its_server_and_nobody_else() {
    let firehose = "x".repeat(10_000);
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.tokens(1000, &firehose, Duration::ZERO).end_chunks())
        .upstream(|u| u.tokens(100, "tok", 10 * MILLISECOND).end_chunks())
        .faults(|faults| faults.capacity = 65_536..=65_536);
    world.start(Visit::new().get(TARGET).read(Reading::Never).pause(60 * SECOND).leave());
    world.run_for(MILLISECOND);
    let start = world.world.time();
    let reader = world.start(Visit::new().get(TARGET));
    world.run_for(10 * SECOND);
    // One buffer here, one in the kernel: that is all a stalled stream may hold.
    let held = world.world.bytes_read_from(1);
    assert!(held <= 65_536 + 2 * 16_384, "{held} bytes were read for a client that takes none");
    let answer = world.received(reader);
    assert_eq!(answer.body(), "tok".repeat(100));
    assert!(answer.answered[0] - start < SECOND + 10 * MILLISECOND, "on time");
    world.run();
    world.assert_clean();
}

#[test]
fn every_token_arrives_in_the_turn_it_was_read() {
    let mut world =
        Simulation::new(seed!()).upstream(|u| u.tokens(50, "tok", 10 * MILLISECOND).end_chunks());
    let client = world.start(Visit::new().get(TARGET));
    // Connect and request: both are on their way for two latencies; then each token for two.
    world.run_for(5 * LATENCY + LATENCY / 2);
    for token in 1..=50 {
        assert_eq!(world.received(client).body(), "tok".repeat(token), "token {token}");
        world.run_for(10 * MILLISECOND);
    }
    world.run();
    world.assert_clean();
}

#[test]
fn a_request_goes_on_wherever_its_client_pauses() {
    // One of these pauses comes when a buffer that is kept for a replay is full, and sent to its
    // last byte: the position in what is kept has to move to a buffer that does not exist yet.
    let body = "x".repeat(20_000);
    for first in 16_000..16_384 {
        let mut world = Simulation::new(seed!()).upstream(|u| u.await_request().body(b"got it"));
        let fields = format!("Content-Length: {}\r\n", body.len());
        let visit = Visit::new().request("POST", TARGET, &fields).pause(MILLISECOND);
        let visit = visit.raw(&body.as_bytes()[..first]).pause(MILLISECOND);
        let client = world.start(visit.raw(&body.as_bytes()[first..]));
        world.run();
        assert_eq!(world.received(client).body(), "got it", "a pause after {first} bytes");
        world.assert_clean();
    }
}

#[test]
fn an_answer_that_does_not_wait_lets_go_of_the_request() {
    // The server takes no more of the upload: bytes that were cleared for it are still here when
    // its answer is over.
    let mut world = Simulation::new(seed!())
        .upstream(|u| {
            let answer = u.chunk("too ").then(Act::Read(Reading::Never)).pause(SECOND);
            answer.chunk("much").end_chunks()
        })
        .faults(|faults| faults.capacity = 4096..=4096);
    let answer = world.client().post(TARGET, &"x".repeat(100_000)).finish();
    assert_eq!((answer.body().as_str(), answer.is_whole()), ("too much", true));
    world.assert_clean();
}

// Requests.

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.pause(SECOND).body(b"slow"))
        .upstream(|u| u.body(b"fast"))
        .upstream(|u| u.chunk("last").end_chunks());
    let answer = world.client().get(TARGET).post(TARGET, "body").get(TARGET).finish();
    assert_eq!(answer.bodies(), ["slow", "fast", "last"]);
    world.assert_clean();
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    // Closed with its bytes unread, the connection would be reset, and the reset would take the
    // refusal with it.
    let mut world = Simulation::new(seed!()).faults(|faults| {
        (faults.capacity, faults.reset_overtakes) = (4096..=4096, 1000);
    });
    let upload = "x".repeat(50_000);
    let answer = world.client().post("/nowhere", &upload).finish();
    assert_eq!((answer.status(), answer.code().as_str()), (404, "no_route"));
    assert!(answer.is_whole());
    world.assert_clean();
}

#[test]
fn a_refusal_reaches_a_client_that_has_sent_everything_and_its_fin() {
    // The FIN has been told of, and before it lie bytes that nobody has read.
    let mut world = Simulation::new(seed!()).faults(|faults| faults.reset_overtakes = 1000);
    let visit = Visit::new().read(Reading::Never).post("/nowhere", &"x".repeat(100_000));
    let visit = visit.then(Act::Finish).pause(SECOND).read(Reading::Eagerly);
    let client = world.start(visit);
    world.run();
    let answer = world.received(client);
    assert_eq!((answer.status(), answer.is_whole()), (404, true));
    world.assert_clean();
}

#[test]
fn a_client_that_expects_continue_hears_it_from_the_server() {
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.interim("100 Continue").await_request().body(b"thanks"));
    let fields = "Expect: 100-continue\r\nContent-Length: 4\r\n";
    let visit = |visit: Visit| visit.request("POST", TARGET, fields).await_interim().raw(b"body");
    let answer = world.client().does(visit).finish();
    assert_eq!(answer.statuses(), [100, 200]);
    assert_eq!(answer.body(), "thanks");
    world.assert_clean();
}

#[test]
fn answers_flow_back_while_the_request_still_flows() {
    let mut world = Simulation::new(seed!())
        .upstream(|u| u.chunk("early").pause(SECOND).await_request().chunk("late").end_chunks());
    let fields = "Transfer-Encoding: chunked\r\n";
    let visit = Visit::new().request("POST", TARGET, fields).chunk("audio").pause(5 * SECOND);
    let client = world.start(visit.chunk("more").end_chunks());
    world.run_for(SECOND);
    assert_eq!(world.received(client).body(), "early");
    world.run();
    assert_eq!(world.received(client).body(), "earlylate");
    assert_eq!(world.world.sessions()[0].reader.messages[0].text(), "audiomore");
    world.assert_clean();
}

#[test]
fn a_tunnel_carries_bytes_both_ways_and_ends_one_way_at_a_time() {
    let mut world = Simulation::new(seed!()).upstream(|u| u.echo_tunnel("echo").close());
    let fields = "Connection: upgrade\r\nUpgrade: echo\r\n";
    let answer = world
        .client()
        .does(|visit| {
            visit
                .request("GET", TARGET, fields)
                .raw(b"sent with the head ")
                .then(Act::AwaitTunnel(19))
                .raw(b"and after the 101")
                .then(Act::Finish)
                .then(Act::AwaitEnd)
        })
        .finish();
    assert_eq!(answer.body(), "sent with the head and after the 101");
    assert_eq!((answer.status(), answer.end), (101, End::Fin));
    world.assert_clean();
}

#[test]
fn a_tunnel_that_is_cut_is_reset_whatever_its_client_still_says() {
    // A FIN would be the end of a tunnel, and an honest one.
    let mut world = Simulation::new(seed!()).upstream(|u| u.echo_tunnel("echo").close());
    let fields = "Connection: upgrade\r\nUpgrade: echo\r\n";
    let client = world.start(
        Visit::new().request("GET", TARGET, fields).then(Act::AwaitTunnel(0)).then(Act::AwaitEnd),
    );
    world.run();
    assert_eq!(world.received(client).end, End::Reset, "after `tunnel_idle`");
    world.assert_clean();
}

// Timers.

#[test]
fn each_timer_ends_what_it_watches_and_says_so() {
    let cases: [(&str, u64, Manner, Answer); 4] = [
        ("connect_timeout", 5, Manner::Silent, Answer::new()),
        ("ttft_timeout", 20, Manner::Serve, Answer::new().stall()),
        ("ttft_timeout", 20, Manner::Serve, Answer::new().raw(b"HTTP/1.1 20").stall()),
        ("upstream_connect", 0, Manner::Refuse, Answer::new()),
    ];
    for (code, seconds, manner, answer) in cases {
        let mut world = Simulation::new(seed!()).server_is(manner).upstream(|_| answer);
        let start = world.world.time();
        let received = world.client().get(TARGET).finish();
        assert_eq!(received.code(), code);
        let took = received.answered[0] - start;
        let expected = Duration::from_secs(seconds);
        assert!(took >= expected && took < expected + SECOND / 10, "{code} after {took:?}");
        world.assert_clean();
    }
}

#[test]
fn a_stream_that_falls_silent_is_cut_and_does_not_look_whole() {
    let mut world = Simulation::new(seed!()).upstream(|u| u.chunk("tok").stall());
    let start = world.world.time();
    let answer = world.client().get(TARGET).finish();
    assert_eq!((answer.body().as_str(), answer.is_whole()), ("tok", false));
    let took = answer.ended_at.expect("it was cut") - start;
    assert!(took >= 20 * SECOND && took < 21 * SECOND, "{took:?}");
    world.assert_clean();
}

#[test]
fn a_client_that_reads_late_does_not_use_up_its_servers_time() {
    // Nothing of the answer fits before the client reads, after 25 of the 20 seconds that the
    // first event may take; its other half comes five seconds later.
    let mut world = Simulation::new(seed!())
        .upstream(|u| {
            let answer = u.field("Content-Type", "text/event-stream").chunk("data: half ");
            answer.pause(30 * SECOND).chunk("an event\n\n").end_chunks()
        })
        .faults(|faults| faults.capacity = 64..=64);
    let visit = Visit::new().get(TARGET).read(Reading::Never).pause(25 * SECOND);
    let client = world.start(visit.read(Reading::Eagerly));
    world.run();
    assert_eq!(world.received(client).body(), "data: half an event\n\n");
    world.assert_clean();
}

// Accepting, draining.

#[test]
fn out_of_descriptors_a_worker_rests_and_does_not_spin() {
    let mut world = Simulation::new(seed!()).faults(|faults| faults.accept_exhausted = 1000);
    let client = world.start(Visit::new().get(TARGET));
    world.run_for(SECOND);
    let polls = world.world.counts().polls;
    assert!(polls < 50, "{polls} polls in a second of waiting");
    world.world.change_faults(|faults| faults.accept_exhausted = 0);
    world.run();
    assert_eq!(world.received(client).status(), 200, "it waited in the backlog");
    world.assert_clean();
}

#[test]
fn a_full_house_lets_the_next_one_in_when_a_timer_has_made_room() {
    // Nobody but the timer knows of the free place: no event will come.
    let mut world = Simulation::new(seed!()).configure(|snapshot| snapshot.limits.connections = 1);
    world.start(Visit::new().get(TARGET).await_answers().pause(100 * SECOND));
    world.run_for(SECOND);
    let start = world.world.time();
    let next = world.start(Visit::new().get(TARGET));
    world.run_for(20 * SECOND);
    let answered = world.received(next).answered;
    assert_eq!(answered.len(), 1, "the idle client made room after fifteen seconds");
    assert!(answered[0] - start < 15 * SECOND);
    world.run();
    world.assert_clean();
}

#[test]
fn a_drain_finishes_what_is_in_flight_and_takes_nothing_new() {
    let mut world =
        Simulation::new(seed!()).upstream(|u| u.tokens(10, "tok", 100 * MILLISECOND).end_chunks());
    let streaming = world.start(Visit::new().get(TARGET));
    let idle = world.start(Visit::new().get("/nowhere").await_answers().then(Act::AwaitEnd));
    world.run_for(SECOND / 2);
    world.drain(Idle::Leave);
    world.run_for(MILLISECOND);
    assert_eq!(world.received(idle).end, End::Fin, "told at once");
    let late = world.start(Visit::new().get(TARGET));
    world.run();
    assert!(world.world.see(late).refused);
    assert_eq!(world.received(streaming).body(), "tok".repeat(10));
    world.assert_clean();
}

#[test]
fn an_idle_client_may_ask_once_more_where_somebody_else_takes_over() {
    // Its next request may be on the way already when it would be told that nothing more comes.
    let mut world = Simulation::new(seed!());
    let ask = |visit: Visit| visit.get(TARGET).await_answers();
    let client = world.start(ask(ask(Visit::new()).pause(SECOND)).then(Act::AwaitEnd));
    let silent = world.start(Visit::new().pause(5 * SECOND).get(TARGET).then(Act::AwaitEnd));
    world.run_for(SECOND / 2);
    world.drain(Idle::MayAsk);
    world.run();
    let answer = world.received(client);
    assert_eq!((answer.statuses(), answer.end), (vec![200, 200], End::Fin));
    assert_eq!(world.received(silent).statuses(), [200], "its connection stood already");
    world.assert_clean();
}

#[test]
fn a_drain_that_becomes_urgent_tells_the_idle_ones() {
    let mut world = Simulation::new(seed!());
    let client = world.start(Visit::new().get(TARGET).await_answers().then(Act::AwaitEnd));
    world.run_for(SECOND / 2);
    world.drain(Idle::MayAsk);
    world.run_for(SECOND / 2);
    assert_ne!(world.received(client).end, End::Fin);
    world.drain(Idle::Leave);
    world.run_for(MILLISECOND);
    assert_eq!(world.received(client).end, End::Fin);
    world.assert_clean();
}

#[test]
fn a_server_that_comes_back_is_used_again() {
    let mut world = Simulation::new(seed!()).server_is(Manner::Refuse);
    assert_eq!(world.client().get(TARGET).finish().status(), 502);
    world.world.set_manner(server_address(0), Manner::Serve);
    assert_eq!(world.client().get(TARGET).finish().status(), 200);
    world.assert_clean();
}
