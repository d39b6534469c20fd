//! Several gateways in front of the same servers: whole workers, each with a world, a clock and a view of its
//! own. The claims about large fleets are those of `tests/fleet.rs`.

use std::time::Duration;

use crate::harness::scenario::{Simulation, TARGET};
use crate::harness::server_address;
use crate::seed;
use sluicegate::config::defaults;
use sluicegate::config::snapshot::{Balance, HashKey};
use sluicegate::sim::{Answer, Manner, Visit, WallClock};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const SERVERS: usize = 6;
const SESSIONS: usize = 40;

/// A gateway that keeps sessions together, under a wall clock of its own that jumps. Each server says which one
/// it is, slowly.
fn gateway(seed: u64) -> Simulation {
    let world = Simulation::new(seed).configure(|snapshot| {
        let upstream = &mut snapshot.upstreams[0];
        upstream.balance = Balance::Hash(HashKey::Header("x-session".into()));
        upstream.breaker = Some(defaults::BREAKER);
        upstream.pool.connections = 1_000;
    });
    world.world.set_wall_clock(WallClock::jumping(seed, 60 * SECOND));
    for index in 1..=SERVERS {
        let name = index.to_string();
        world.world.server(server_address(index), Manner::Serve, move |_| {
            Answer::new().tokens(10, &name, 50 * MILLISECOND).end_chunks()
        });
    }
    world
}

fn visit(session: usize) -> Visit {
    let fields = format!("X-Session: conversation-{session}\r\n");
    Visit::new().request("GET", TARGET, &fields).await_answers()
}

/// Which server has a session, at a gateway that has nothing else to do.
fn home(gateway: &mut Simulation, session: usize) -> usize {
    let answer = gateway.client().does(|_| visit(session)).finish();
    let body = answer.body();
    assert!(body.len() == 10 && body.bytes().all(|byte| byte == body.as_bytes()[0]), "{body:?}");
    body[..1].parse().expect("a server's name")
}

#[test]
fn gateways_that_know_the_same_servers_give_a_session_the_same_one() {
    let seed = seed!();
    let ways: [&[&[usize]]; 3] = [
        &[&[1, 2, 3, 4, 5, 6]],
        &[&[6], &[5, 6, 4], &[1, 2, 3, 4, 5, 6]],
        &[&[2, 1], &[6, 5, 4, 3, 2, 1]],
    ];
    let mut gateways: Vec<Simulation> = Vec::new();
    for (at, way) in (0..).zip(ways) {
        let mut gateway = gateway(seed + at);
        for servers in way {
            gateway.members(servers);
            gateway.run_for(SECOND);
        }
        // Nobody starts slowly any more.
        gateway.run_for(20 * SECOND);
        gateways.push(gateway);
    }
    for session in 0..SESSIONS {
        let homes: Vec<usize> = gateways.iter_mut().map(|gateway| home(gateway, session)).collect();
        assert!(homes.iter().all(|home| *home == homes[0]), "session {session}: {homes:?}");
    }
    gateways.into_iter().for_each(Simulation::assert_clean);
}

#[test]
fn gateways_that_hear_of_a_change_at_different_times_part_over_what_has_changed_alone() {
    let seed = seed!();
    let mut gateways = [gateway(seed), gateway(seed + 1)];
    for gateway in &mut gateways {
        gateway.members(&[1, 2, 3, 4, 5]);
        gateway.run_for(20 * SECOND);
    }
    let before: Vec<usize> = (0..SESSIONS).map(|one| home(&mut gateways[0], one)).collect();
    // Streams run at both while one of them hears that 5 has left and 6 has come; the other hears it later.
    let mut streams = Vec::new();
    for gateway in &mut gateways {
        streams.push((0..SESSIONS).map(|one| gateway.start(visit(one))).collect::<Vec<_>>());
        gateway.run_for(100 * MILLISECOND);
    }
    gateways[0].members(&[1, 2, 3, 4, 6]);
    for (gateway, streams) in gateways.iter_mut().zip(streams) {
        gateway.run();
        for stream in streams {
            let received = gateway.received(stream);
            assert_eq!((received.statuses(), received.body().len()), (vec![200], 10));
        }
        gateway.run_for(20 * SECOND);
    }
    for (session, before) in before.iter().enumerate() {
        let [knows, does_not] = gateways.each_mut().map(|gateway| home(gateway, session));
        assert_eq!(does_not, *before, "nothing has changed there");
        assert!(knows == *before || *before == 5 || knows == 6, "{session}: {before} to {knows}");
    }
    gateways[1].members(&[1, 2, 3, 4, 6]);
    gateways[1].run_for(20 * SECOND);
    for session in 0..SESSIONS {
        let [one, other] = gateways.each_mut().map(|gateway| home(gateway, session));
        assert_eq!(one, other, "session {session}");
    }
    gateways.into_iter().for_each(Simulation::assert_clean);
}
