//! Requests that wait for the authoriser: nobody waits for ever, and nobody leaves anything behind.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::harness::scenario::{LATENCY, Simulation, TARGET};
use crate::seed;
use sluicegate::config::snapshot::{
    Authoriser, AuthoriserSettings, ClaimNames, Gate, KeyMode, Snapshot, Tells,
};
use sluicegate::gate::authoriser::foyer::AuthAsking;
use sluicegate::sim::Visit;

const TIMEOUT: Duration = Duration::from_secs(3);

/// An authoriser that is never heard of, and what it is asked.
fn authoriser() -> (Arc<Authoriser>, Receiver<AuthAsking>) {
    let authoriser = Authoriser::new(AuthoriserSettings {
        headers: vec!["authorization".to_owned()],
        tells: Tells { method: true, host: true, uri: true, client: true },
        claims: Vec::new(),
        wants_name: false,
        names: ClaimNames { name: vec!["name".to_owned()], ..ClaimNames::default() },
        tier: None,
        timeout: TIMEOUT,
        yes_for: Duration::from_secs(60),
        no_for: Duration::from_secs(60),
        size: 100,
        anonymous: false,
    });
    let line = authoriser.foyer.open();
    (Arc::new(authoriser), line)
}

fn asks(authoriser: &Arc<Authoriser>, snapshot: &mut Snapshot) {
    let authoriser = Some(Arc::clone(authoriser));
    snapshot.gate.gate = Arc::new(Gate { authoriser, ..Gate::default() });
    snapshot.routes.iter_mut().for_each(|route| route.keys = KeyMode::Required);
}

fn visit(secret: u32) -> Visit {
    Visit::new().request("GET", TARGET, &format!("Authorization: Bearer {secret}\r\n"))
}

#[test]
fn nobody_waits_longer_than_there_is_time_for_an_answer() {
    let (authoriser, line) = authoriser();
    let mut world = Simulation::new(seed!()).configure(|snapshot| asks(&authoriser, snapshot));
    let clients: Vec<_> = (0..40).map(|number| world.start(visit(number % 20))).collect();
    world.run_for(TIMEOUT - 10 * LATENCY);
    assert_eq!(line.try_iter().count(), 20, "each question is asked once");
    assert!(clients.iter().all(|client| world.received(*client).statuses().is_empty()));
    world.run();
    for client in clients {
        let answer = world.received(client);
        assert_eq!(answer.status(), 503);
    }
    assert_eq!(world.gateway().counters.auth_failed.get(), 40);
    assert_eq!(world.requests().iter().sum::<usize>(), 0, "nobody has come to a server");
    world.assert_clean();
}

#[test]
fn who_leaves_while_the_authoriser_is_asked_leaves_nothing_behind() {
    let (authoriser, line) = authoriser();
    let mut world = Simulation::new(seed!()).configure(|snapshot| asks(&authoriser, snapshot));
    for number in 0..50 {
        world.start(visit(number).pause(20 * LATENCY).leave());
    }
    world.run_for(10 * LATENCY);
    let asked: Vec<_> = line.try_iter().collect();
    assert_eq!(asked.len(), 50);
    assert!(asked.iter().all(|asking| authoriser.foyer.begin(asking)), "they wait");
    world.run_for(20 * LATENCY);
    assert!(asked.iter().all(|asking| !authoriser.foyer.begin(asking)), "nobody does");
    world.run();
    world.assert_clean();
}

#[test]
fn a_reload_has_those_who_wait_looked_at_anew() {
    let (authoriser, _line) = authoriser();
    let mut world = Simulation::new(seed!()).configure(|snapshot| asks(&authoriser, snapshot));
    let clients: Vec<_> = (0..20).map(|number| world.start(visit(number))).collect();
    world.run_for(10 * LATENCY);
    world.reload(|snapshot| {
        snapshot.gate.gate = Arc::default();
        snapshot.routes.iter_mut().for_each(|route| route.keys = KeyMode::Off);
    });
    world.run();
    for client in clients {
        assert_eq!(world.received(client).status(), 200);
    }
    assert_eq!(world.gateway().counters.auth_failed.get(), 0, "at once, not when time is over");
    world.assert_clean();
}
