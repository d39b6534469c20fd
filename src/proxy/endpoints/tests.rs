use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::config::defaults;
use crate::config::snapshot::{Balance, HashKey};
use crate::config::tests::snapshot_of;
use crate::proxy::breaker::OpenedBy;

const NOBODY: Tried = Tried::none();
/// A request that has failed nowhere yet, and has nowhere else to go.
const FIRST: Search<'static> = Search {
    tried: &NOBODY,
    key: None,
    last_resort: true,
    degrades: false,
    unheard: false,
    only: None,
};

fn id(id: u16) -> EndpointId {
    EndpointId(id.into())
}

/// One that somebody else could answer.
const ELSEWHERE: Search<'static> = Search { last_resort: false, ..FIRST };

/// An upstream with these endpoints; a number is an id and a port.
fn upstream(ids: &[u16]) -> Upstream {
    let mut upstream = snapshot_of(
        "[server]\nlisten = [\"127.0.0.1:80\"]\n\
         [[upstream]]\nname = \"vllm\"\nendpoints = [\"127.0.0.1:1\"]\n\
         balance = \"round_robin\"\nbreaker.consecutive = 1\n\
         [[route]]\npath = \"/*\"\nupstream = \"vllm\"\n",
    )
    .upstreams
    .remove(0);
    let endpoint = |&port: &u16| Endpoint {
        id: id(port),
        address: Some(([127, 0, 0, 1], port).into()),
        ..upstream.endpoints[0].clone()
    };
    upstream.endpoints = ids.iter().map(endpoint).collect();
    upstream
}

/// An upstream with a clock.
struct Rig {
    upstream: Upstream,
    endpoints: Endpoints,
    load: SharedLoad,
    now: Instant,
}

impl Rig {
    fn new(upstream: Upstream) -> Rig {
        let load = SharedLoad::new(&upstream.endpoints);
        let endpoints = Endpoints::new(&upstream, load.clone(), 1);
        Rig { upstream, endpoints, load, now: Instant::ZERO + Duration::from_secs(100) }
    }

    fn of(ports: &[u16]) -> Rig {
        Rig::new(upstream(ports))
    }

    fn choose(&mut self, request: Search<'_>) -> Choice {
        self.endpoints.pick(&request, self.now)
    }

    fn pick(&mut self, request: Search<'_>) -> Pick {
        match self.choose(request) {
            Choice::Endpoint(pick) => pick,
            other => panic!("{other:?}"),
        }
    }

    /// Until a request has gone to this one; all others that were asked on the way did well.
    fn pick_at(&mut self, endpoint: usize) -> Pick {
        for _ in 0..1_000 {
            let pick = self.pick(FIRST);
            if pick.index() == endpoint {
                return pick;
            }
            self.record(pick, Outcome::Abandoned);
        }
        panic!("{endpoint} is never asked");
    }

    fn record(&mut self, pick: Pick, outcome: Outcome) -> Option<Transition> {
        self.endpoints.record(pick, outcome, self.now)
    }

    fn fail(&mut self, endpoint: usize) -> Option<Transition> {
        let pick = self.pick_at(endpoint);
        self.record(pick, Outcome::Fault)
    }

    fn standing(&self, endpoint: usize) -> Option<Standing> {
        self.endpoints.view(endpoint, self.now).breaker
    }

    /// Who is asked by so many such requests that all end well.
    fn asked(&mut self, request: Search<'_>, requests: usize) -> Vec<usize> {
        let mut asked = Vec::new();
        for _ in 0..requests {
            let pick = self.pick(request);
            asked.push(pick.index());
            self.record(pick, Outcome::Abandoned);
        }
        asked.sort_unstable();
        asked.dedup();
        asked
    }

    fn verdict(&mut self, endpoint: usize, verdict: HealthStatus) {
        let endpoint = self.endpoints.view(endpoint, self.now).endpoint;
        self.endpoints.set_active_verdict(endpoint, verdict, self.now);
    }

    fn reload(&mut self, upstream: Upstream) {
        self.load = self.load.of_endpoints(&upstream.endpoints);
        self.endpoints.reconcile(&upstream, self.load.clone(), self.now);
        self.upstream = upstream;
    }

    fn outstanding(&self) -> Vec<u32> {
        (0..self.endpoints.len()).map(|at| self.load.outstanding(at)).collect()
    }
}

#[test]
fn the_records_are_small() {
    assert!(size_of::<Option<Pick>>() <= 24, "{}", size_of::<Option<Pick>>());
    assert!(size_of::<Tried>() <= 36, "{}", size_of::<Tried>());
    assert!(size_of::<Member>() <= 216, "{}", size_of::<Member>());
}

#[test]
fn a_pick_counts_until_it_is_recorded() {
    let mut rig = Rig::of(&[1, 2]);
    let picks = [rig.pick(FIRST), rig.pick(FIRST), rig.pick(FIRST)];
    assert_eq!(rig.outstanding(), [2, 1]);
    for pick in picks {
        assert_eq!(rig.record(pick, Outcome::Success), None);
    }
    assert_eq!(rig.outstanding(), [0, 0]);
}

#[test]
fn another_endpoint_is_tried_first_and_the_same_one_at_last() {
    let mut rig = Rig::of(&[1, 2, 3]);
    let mut tried = Tried::default();
    tried.add(id(2));
    assert_eq!(rig.asked(Search { tried: &tried, ..FIRST }, 30), [0, 2]);
    tried.add(id(1));
    assert_eq!(rig.asked(Search { tried: &tried, ..FIRST }, 30), [2]);
    tried.add(id(3));
    assert_eq!(rig.asked(Search { tried: &tried, ..FIRST }, 30), [0, 1, 2]);
}

#[test]
fn a_draining_endpoint_gets_nothing_new_and_finishes_what_it_has() {
    let mut rig = Rig::of(&[1, 2]);
    let pick = rig.pick_at(1);
    rig.endpoints.set_draining(id(2), true);
    assert_eq!(rig.asked(FIRST, 10), [0]);
    assert_eq!(rig.outstanding(), [0, 1]);
    assert_eq!(rig.endpoints.first_event(&pick, Some(Duration::from_millis(5)), rig.now), None);
    rig.record(pick, Outcome::Success);
    rig.endpoints.set_draining(id(1), true);
    assert!(matches!(rig.choose(FIRST), Choice::None { until: Instant::NEVER }));
    rig.endpoints.set_draining(id(2), false);
    assert_eq!(rig.asked(FIRST, 10), [1]);
}

#[test]
fn an_open_endpoint_is_passed_over_probed_once_and_let_back() {
    let mut rig = Rig::of(&[1, 2, 3]);
    let Some(Transition::Opened { open, .. }) = rig.fail(1) else { panic!("it opens") };
    assert_eq!(rig.asked(FIRST, 30), [0, 2]);
    rig.now += open;
    let probe = rig.pick_at(1);
    assert!(probe.is_probe() && !probe.is_panic());
    assert_eq!((rig.asked(FIRST, 30), rig.endpoints.probes()), (vec![0, 2], 1));
    let ttft = Duration::from_millis(80);
    assert_eq!(rig.endpoints.first_event(&probe, Some(ttft), rig.now), Some(Transition::Closed));
    assert_eq!((rig.standing(1), rig.endpoints.probes()), (Some(Standing::SlowStart), 0));
    let view = rig.endpoints.view(1, rig.now);
    assert_eq!((view.weight_share, view.ttft, view.outstanding), (100, Some(ttft), 1));
    assert_eq!(rig.record(probe, Outcome::Success), None);
    assert_eq!(rig.asked(FIRST, 30), [0, 1, 2]);
}

#[test]
fn a_retry_is_no_probe_unless_nothing_else_is_left() {
    let mut rig = Rig::of(&[1, 2, 3]);
    let Some(Transition::Opened { open, .. }) = rig.fail(1) else { panic!("it opens") };
    rig.now += open;
    let mut tried = Tried::default();
    tried.add(id(1));
    let request = Search { tried: &tried, ..FIRST };
    for _ in 0..30 {
        let pick = rig.pick(request);
        assert_eq!(pick.index(), 2);
        rig.record(pick, Outcome::Abandoned);
    }
    rig.endpoints.set_draining(id(3), true);
    assert_eq!(rig.asked(request, 30), [0, 1]);
}

#[test]
fn what_an_endpoint_is_not_asked_for_says_when_to_come_back() {
    let mut rig = Rig::of(&[1]);
    let Some(Transition::Opened { open, .. }) = rig.fail(0) else { panic!("it opens") };
    let back = rig.now + open;
    match rig.choose(ELSEWHERE) {
        Choice::None { until } => assert_eq!(until, back),
        other => panic!("somebody else may answer it: {other:?}"),
    }
    let mut rig = Rig::of(&[1, 2]);
    for (endpoint, seconds) in [(0, 30), (1, 20)] {
        let pick = rig.pick_at(endpoint);
        let retry_after = Some(Duration::from_secs(seconds));
        rig.record(pick, Outcome::RateLimited { retry_after });
    }
    match rig.choose(ELSEWHERE) {
        Choice::None { until } => assert_eq!(until - rig.now, Duration::from_secs(20)),
        other => panic!("they have said when they want to be asked: {other:?}"),
    }
}

#[test]
fn the_only_endpoint_is_asked_whatever_its_breaker_says() {
    let mut rig = Rig::of(&[1]);
    rig.fail(0);
    let pick = rig.pick(FIRST);
    assert!(pick.is_panic() && rig.endpoints.is_panicking());
    assert_eq!(rig.record(pick, Outcome::Fault), None, "nothing new");
    let pick = rig.pick(FIRST);
    assert_eq!(rig.record(pick, Outcome::Success), Some(Transition::Closed));
    // It is busy for one client, and perhaps not for the next.
    let pick = rig.pick(FIRST);
    rig.record(pick, Outcome::RateLimited { retry_after: None });
    assert!(rig.pick(FIRST).is_panic());
    // The credentials are the operator's.
    let pick = rig.pick(FIRST);
    rig.record(pick, Outcome::Unauthorized);
    assert!(matches!(rig.choose(FIRST), Choice::None { .. }));
    rig.verdict(0, HealthStatus::Unwell);
    assert!(matches!(rig.choose(FIRST), Choice::None { .. }));
}

/// A check asks for a page, and requests for a model: what they find is worth more.
#[test]
fn a_check_is_believed_until_a_request_is_answered() {
    let elsewhere = Search { last_resort: false, ..FIRST };
    let mut rig = Rig::of(&[1]);
    rig.verdict(0, HealthStatus::Unwell);
    assert!(matches!(rig.choose(elsewhere), Choice::None { .. }));
    let pick = rig.pick(FIRST);
    assert!(pick.is_panic());
    rig.endpoints.set_active_verdict(id(1), HealthStatus::Unwell, rig.now);
    assert_eq!(rig.record(pick, Outcome::Success), Some(Transition::Overruled), "said once");
    assert_eq!(rig.asked(elsewhere, 5), [0]);
    let pick = rig.pick(FIRST);
    assert!(!pick.is_panic());
    // Now traffic agrees with the checks.
    assert!(matches!(rig.record(pick, Outcome::Fault), Some(Transition::Opened { .. })));
    rig.now += Duration::from_secs(3_600);
    assert!(matches!(rig.choose(elsewhere), Choice::None { .. }), "and they are believed again");
    let pick = rig.pick(FIRST);
    assert_eq!(rig.endpoints.first_event(&pick, None, rig.now), Some(Transition::Closed));
    assert_eq!(rig.asked(elsewhere, 5), [0]);
    rig.record(pick, Outcome::Success);
    rig.verdict(0, HealthStatus::Well);
    rig.verdict(0, HealthStatus::Unwell);
    assert!(matches!(rig.choose(elsewhere), Choice::None { .. }), "they have found it anew");
    // What was begun before they found it proves nothing.
    let mut rig = Rig::of(&[1]);
    let before = rig.pick(FIRST);
    rig.verdict(0, HealthStatus::Unwell);
    assert_eq!(rig.record(before, Outcome::Success), None);
    assert!(matches!(rig.choose(elsewhere), Choice::None { .. }));
}

#[test]
fn who_rests_is_asked_before_those_that_are_out_by_judgement() {
    let mut rig = Rig::of(&[1, 2]);
    let rest = Outcome::RateLimited { retry_after: None };
    let resting = rig.pick_at(0);
    rig.record(resting, rest);
    rig.fail(1);
    assert_eq!(rig.asked(FIRST, 20), [0]);
    // It says again that it is busy: then the other one, which may be well by now.
    let pick = rig.pick(FIRST);
    let mut tried = Tried::none();
    tried.add(pick.endpoint());
    let search = Search { tried: &tried, ..FIRST };
    assert_eq!(rig.endpoints.prospects(&search, Some((&pick, rest)), rig.now), (true, false));
    rig.record(pick, rest);
    assert_eq!(rig.asked(search, 20), [1]);
    rig.endpoints.set_draining(id(1), true);
    assert_eq!(rig.asked(FIRST, 20), [1]);
    // But not a port that is shut: what the first one says is more than nothing.
    let mut rig = Rig::of(&[1, 2]);
    let (busy, dead) = (rig.pick_at(0), rig.pick_at(1));
    rig.record(busy, rest);
    rig.record(dead, Outcome::Unreachable);
    assert_eq!(rig.endpoints.prospects(&search, None, rig.now), (false, false));
    let unheard = Search { unheard: true, ..search };
    assert_eq!(rig.endpoints.prospects(&unheard, None, rig.now), (true, false));
}

/// One endpoint refuses the connection, and the other one rests or is to be probed.
#[test]
fn behind_a_refusal_comes_whoever_rests_and_whoever_is_to_be_probed() {
    let mut tried = Tried::none();
    tried.add(id(1));
    let search = Search { tried: &tried, unheard: true, ..FIRST };
    let mut rig = Rig::of(&[1, 2]);
    let resting = rig.pick_at(1);
    rig.record(resting, Outcome::RateLimited { retry_after: None });
    assert_eq!(rig.endpoints.prospects(&search, None, rig.now), (true, true));
    assert_eq!(rig.asked(search, 20), [1]);
    let elsewhere = Search { last_resort: false, ..search };
    assert_eq!(rig.endpoints.prospects(&elsewhere, None, rig.now), (false, true));
    let mut rig = Rig::of(&[1, 2]);
    rig.fail(1);
    rig.endpoints.set_reachable(id(2));
    assert_eq!(rig.endpoints.prospects(&search, None, rig.now), (true, true));
    assert_eq!(rig.pick(search).index(), 1);
}

/// One endpoint refuses the connection, and the other one's breaker is open: it may be well again.
#[test]
fn what_nobody_has_heard_goes_to_whoever_is_left() {
    let mut rig = Rig::of(&[1, 2, 3]);
    rig.fail(1);
    let mut tried = Tried::none();
    tried.add(id(1));
    let search = Search { tried: &tried, unheard: true, ..FIRST };
    assert_eq!(rig.endpoints.prospects(&search, None, rig.now), (true, true));
    assert_eq!(rig.asked(search, 20), [2], "one is not out");
    tried.add(id(3));
    let search = Search { tried: &tried, unheard: true, ..FIRST };
    assert_eq!(rig.endpoints.prospects(&search, None, rig.now), (true, true));
    assert_eq!(rig.asked(search, 20), [1]);
    let heard = Search { unheard: false, ..search };
    assert_eq!(rig.endpoints.prospects(&heard, None, rig.now), (false, true));
    assert_eq!(rig.asked(heard, 20), [0, 2], "an answer can be asked for again");
}

#[test]
fn beside_a_predefined_answer_one_probe_a_second_is_sent() {
    let degrades = Search { last_resort: false, degrades: true, ..FIRST };
    let late = Outcome::TimedOut { waited: Duration::from_secs(9) };
    let mut rig = Rig::of(&[1]);
    let pick = rig.pick(degrades);
    rig.record(pick, late);
    for _ in 0..3 {
        assert!(matches!(rig.choose(degrades), Choice::None { .. }));
        rig.now += Duration::from_secs(1);
        let probe = rig.pick(degrades);
        assert!(probe.is_probe() && !probe.is_panic() && probe.is_in_doubt());
        assert!(matches!(rig.choose(degrades), Choice::None { .. }), "one at a time");
        assert!(matches!(rig.record(probe, late), Some(Transition::Opened { .. })));
    }
    rig.now += Duration::from_secs(1);
    let probe = rig.pick(degrades);
    assert_eq!(rig.record(probe, Outcome::Success), Some(Transition::Closed));
    // The same in a rest, and against the checks.
    for rests in [true, false] {
        let mut rig = Rig::of(&[1]);
        if rests {
            let pick = rig.pick(degrades);
            let retry_after = Some(Duration::from_secs(30));
            rig.record(pick, Outcome::RateLimited { retry_after });
            assert!(matches!(rig.choose(degrades), Choice::None { .. }));
            rig.now += Duration::from_secs(1);
        } else {
            rig.verdict(0, HealthStatus::Unwell);
        }
        let probe = rig.pick(degrades);
        assert!(matches!(rig.choose(degrades), Choice::None { .. }), "one at a time");
        rig.record(probe, Outcome::Abandoned);
        assert!(matches!(rig.choose(degrades), Choice::None { .. }), "one a second");
        rig.now += Duration::from_secs(1);
        let probe = rig.pick(degrades);
        rig.record(probe, Outcome::Success);
        assert_eq!(rig.asked(degrades, 5), [0], "what it was out for is over");
    }
    // With another one that is well there is no need.
    let mut rig = Rig::of(&[1, 2]);
    rig.fail(0);
    rig.now += Duration::from_secs(1);
    assert_eq!(rig.asked(degrades, 20), [1]);
}

/// One that fails soon is asked by whoever has not been there, unless somebody is well, or its checks
/// agree.
#[test]
fn beside_a_predefined_answer_one_that_fails_soon_is_asked() {
    let degrades = Search { last_resort: false, degrades: true, ..FIRST };
    let mut rig = Rig::of(&[1, 2]);
    rig.fail(0);
    assert_eq!(rig.asked(degrades, 20), [1], "with another one that is well there is no need");
    rig.fail(1);
    assert_eq!(rig.asked(degrades, 20), [0, 1]);
    let mut tried = Tried::none();
    tried.add(id(1));
    let search = Search { tried: &tried, ..degrades };
    assert_eq!(rig.endpoints.prospects(&search, None, rig.now), (true, false));
    assert_eq!(rig.asked(search, 20), [1]);
    tried.add(id(2));
    let search = Search { tried: &tried, ..degrades };
    assert_eq!(rig.endpoints.prospects(&search, None, rig.now), (false, false));
    assert!(matches!(rig.choose(search), Choice::None { .. }));
    let pick = rig.pick(degrades);
    assert!(pick.is_panic() && pick.is_in_doubt() && !pick.is_probe());
    rig.record(pick, Outcome::Abandoned);
    rig.verdict(0, HealthStatus::Unwell);
    assert_eq!(rig.asked(degrades, 20), [1]);
    let pick = rig.pick(degrades);
    assert_eq!(rig.record(pick, Outcome::Success), Some(Transition::Closed));
    // Open is open.
    let mut configured = upstream(&[1]);
    configured.breaker.as_mut().expect("on").panic = 100;
    let mut rig = Rig::new(configured);
    rig.fail(0);
    assert!(matches!(rig.choose(degrades), Choice::None { .. }));
}

#[test]
fn a_port_that_answers_again_is_probed_at_once() {
    let mut rig = Rig::of(&[1, 2]);
    let pick = rig.pick_at(1);
    assert!(matches!(
        rig.record(pick, Outcome::Unreachable),
        Some(Transition::Opened { cause: OpenedBy::Unreachable, .. })
    ));
    assert_eq!(rig.asked(FIRST, 20), [0]);
    rig.endpoints.set_reachable(id(2));
    assert!(rig.pick_at(1).is_probe());
}

#[test]
fn too_many_out_are_asked_all_the_same() {
    let mut rig = Rig::of(&[1, 2, 3, 4]);
    rig.fail(0);
    rig.fail(1);
    assert_eq!(rig.asked(FIRST, 40), [2, 3], "half is not more than half");
    assert!(!rig.endpoints.is_panicking());
    let resting = rig.pick_at(2);
    rig.record(resting, Outcome::RateLimited { retry_after: None });
    assert_eq!(rig.asked(FIRST, 40), [0, 1, 3], "but not the one that rests");
    assert!(rig.endpoints.is_panicking());
    let pick = rig.pick_at(0);
    assert!(pick.is_panic() && !pick.is_probe());
    rig.record(pick, Outcome::Abandoned);
    let pick = rig.pick_at(3);
    assert!(!pick.is_panic(), "this one is well");
    rig.record(pick, Outcome::Abandoned);
    // It could go to the next upstream of the route.
    assert_eq!(rig.asked(Search { last_resort: false, ..FIRST }, 40), [3]);
    let pick = rig.pick_at(1);
    assert_eq!(rig.record(pick, Outcome::Success), Some(Transition::Closed));
    assert_eq!(rig.asked(FIRST, 40), [1, 3], "two of four: no panic");
}

#[test]
fn the_threshold_of_panic_may_be_never() {
    let mut upstream = upstream(&[1, 2]);
    upstream.breaker = Some(BreakerSettings { panic: 100, consecutive: 1, ..defaults::BREAKER });
    let mut rig = Rig::new(upstream);
    rig.fail(0);
    rig.fail(1);
    assert!(matches!(rig.choose(FIRST), Choice::None { .. }));
}

#[test]
fn checks_take_an_endpoint_out_and_bring_it_back_to_a_probe() {
    let mut upstream = upstream(&[1, 2, 3]);
    upstream.health = Some(HealthCheck {
        path: "/health".to_owned(),
        statuses: 200..=299,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        unhealthy: 3,
        healthy: 2,
        plugin: None,
    });
    let mut rig = Rig::new(upstream);
    let Some(Transition::Opened { open, .. }) = rig.fail(0) else { panic!("it opens") };
    rig.verdict(0, HealthStatus::Unwell);
    rig.now += open;
    assert_eq!(rig.asked(FIRST, 30), [1, 2], "no probe while it is unwell");
    assert!(!rig.endpoints.view(0, rig.now).up);
    rig.verdict(0, HealthStatus::Well);
    assert_eq!(rig.standing(0), Some(Standing::HalfOpen));
    rig.fail(0);
    rig.verdict(0, HealthStatus::Well);
    assert_eq!(rig.standing(0), Some(Standing::Open), "nothing new");

    rig.verdict(1, HealthStatus::Unwell);
    rig.verdict(2, HealthStatus::Unwell);
    match rig.choose(Search { last_resort: false, ..FIRST }) {
        // The breaker of the first is open for 9 s at least, two checks take 10.
        Choice::None { until } => assert!(until - rig.now <= Duration::from_secs(10)),
        other => panic!("{other:?}"),
    }
    let pick = rig.pick_at(1);
    assert!(pick.is_panic(), "checks are a judgement too");
    rig.record(pick, Outcome::Abandoned);
}

#[test]
fn prospects_are_those_behind_the_attempt_that_has_just_ended() {
    let rest = Outcome::RateLimited { retry_after: None };
    for (outcome, expected) in [
        (Outcome::Abandoned, (true, true)),
        // One opens the breakers of this rig.
        (Outcome::Fault, (true, false)),
        (rest, (true, false)),
        (Outcome::Unauthorized, (true, false)),
    ] {
        let mut rig = Rig::of(&[1, 2]);
        let pick = rig.pick(FIRST);
        let mut tried = Tried::none();
        tried.add(pick.endpoint());
        let request = Search { tried: &tried, ..FIRST };
        let found = rig.endpoints.prospects(&request, Some((&pick, outcome)), rig.now);
        assert_eq!(found, expected, "{outcome:?}");
        rig.record(pick, outcome);
        assert_eq!(rig.endpoints.prospects(&request, None, rig.now), expected, "{outcome:?}");
    }
}

#[test]
fn room_is_looked_for_elsewhere_and_then_it_is_full() {
    let mut upstream = upstream(&[1, 2]);
    upstream.admission.endpoint_concurrency = Some(2);
    let mut rig = Rig::new(upstream);
    let held: Vec<_> = (0..4).map(|_| rig.pick(FIRST)).collect();
    assert_eq!(rig.outstanding(), [2, 2]);
    assert!(matches!(rig.choose(FIRST), Choice::Full));
    let (left, right): (Vec<_>, Vec<_>) = held.into_iter().partition(|pick| pick.index() == 0);
    drop(left);
    // The one that has room has failed this request already: better than none.
    let mut tried = Tried::default();
    tried.add(id(1));
    assert_eq!(rig.asked(Search { tried: &tried, ..FIRST }, 4), [0]);
    rig.endpoints.set_draining(id(1), true);
    assert!(matches!(rig.choose(FIRST), Choice::Full));
    drop(right);

    rig.endpoints.set_draining(id(1), false);
    rig.upstream.admission.max_concurrency = Some(1);
    rig.reload(rig.upstream.clone());
    let pick = rig.pick(FIRST);
    assert!(matches!(rig.choose(FIRST), Choice::Full));
    drop(pick);
    assert!(matches!(rig.choose(FIRST), Choice::Endpoint(_)));
}

#[test]
fn weights_and_their_changes_are_obeyed() {
    let mut rig = Rig::of(&[1, 2]);
    rig.endpoints.set_weight(id(2), 3);
    let mut taken = [0; 2];
    for _ in 0..400 {
        let pick = rig.pick(FIRST);
        taken[pick.index()] += 1;
        rig.record(pick, Outcome::Success);
    }
    assert_eq!(taken, [100, 300]);
}

#[test]
fn an_answer_that_never_came_counts_as_late() {
    let mut rig = Rig::of(&[1, 2]);
    rig.upstream.balance = Balance::PeakEwma;
    rig.reload(rig.upstream.clone());
    let pick = rig.pick_at(1);
    let waited = Duration::from_secs(60);
    rig.record(pick, Outcome::TimedOut { waited });
    assert_eq!(rig.endpoints.view(1, rig.now).ttft, Some(waited));
}

#[test]
fn without_a_breaker_all_are_asked_whatever_they_do() {
    let mut upstream = upstream(&[1, 2]);
    upstream.breaker = None;
    let mut rig = Rig::new(upstream);
    for _ in 0..100 {
        assert_eq!((rig.fail(0), rig.fail(1)), (None, None));
    }
    assert_eq!(rig.asked(FIRST, 10), [0, 1]);
    assert_eq!(rig.standing(0), None);
}

#[test]
fn a_reload_keeps_what_is_known_of_the_endpoints_that_stay() {
    let mut rig = Rig::of(&[1, 2, 3]);
    rig.fail(1);
    let at_third = rig.pick_at(2);
    let at_first = rig.pick_at(0);
    rig.endpoints.set_draining(id(3), true);
    rig.reload(upstream(&[4, 3, 2]));
    assert_eq!(rig.standing(2), Some(Standing::Open));
    assert!(rig.endpoints.view(1, rig.now).draining);
    assert_eq!(rig.standing(0), Some(Standing::SlowStart), "a newcomer");
    assert_eq!(rig.outstanding(), [0, 1, 0]);
    assert_eq!(rig.load.total(), 2, "what runs at the one that is gone still counts");
    // What was picked before is recorded where the endpoint is now, or nowhere.
    assert!(matches!(rig.record(at_third, Outcome::Fault), Some(Transition::Opened { .. })));
    assert_eq!(rig.standing(1), Some(Standing::Open));
    assert_eq!(rig.record(at_first, Outcome::Fault), None);
    assert_eq!((rig.standing(0), rig.load.total()), (Some(Standing::SlowStart), 0));
}

#[test]
fn a_reload_asks_again_with_the_new_credentials() {
    let mut rig = Rig::of(&[1]);
    let pick = rig.pick(FIRST);
    assert!(matches!(
        rig.record(pick, Outcome::Unauthorized),
        Some(Transition::Unauthorized { .. })
    ));
    assert!(matches!(rig.choose(FIRST), Choice::None { .. }));
    rig.reload(upstream(&[1]));
    assert!(rig.pick(FIRST).is_probe());
}

/// What may happen to an upstream.
#[derive(Clone, Debug)]
enum Step {
    Pick { key: Option<u64>, tried: Vec<u16>, last_resort: bool },
    FirstEvent(usize),
    End(usize, Outcome),
    Wait(u64),
    HealthStatus(u16, HealthStatus),
    Drain(u16, bool),
    Reload(Vec<u16>, Balance),
}

const PORTS: std::ops::Range<u16> = 1..7;

fn any_balance() -> impl Strategy<Value = Balance> {
    proptest::sample::select(vec![
        Balance::LeastOutstanding,
        Balance::RoundRobin,
        Balance::PeakEwma,
        Balance::Hash(HashKey::Prompt(8)),
    ])
}

fn any_ports() -> impl Strategy<Value = Vec<u16>> {
    proptest::sample::subsequence(PORTS.collect::<Vec<_>>(), 1..6).prop_shuffle()
}

fn any_step() -> impl Strategy<Value = Step> {
    let outcome = proptest::sample::select(vec![
        Outcome::Success,
        Outcome::Success,
        Outcome::ClientError,
        Outcome::Abandoned,
        Outcome::Fault,
        Outcome::Fault,
        Outcome::Unreachable,
        Outcome::TimedOut { waited: Duration::from_secs(60) },
        Outcome::RateLimited { retry_after: None },
        Outcome::Unauthorized,
    ]);
    let verdict = proptest::sample::select(vec![
        HealthStatus::Well,
        HealthStatus::Well,
        HealthStatus::Unwell,
    ]);
    let tried = proptest::collection::vec(PORTS, 0..3);
    prop_oneof![
        12 => (any::<Option<u64>>(), tried, any::<bool>())
            .prop_map(|(key, tried, last_resort)| Step::Pick { key, tried, last_resort }),
        3 => any::<usize>().prop_map(Step::FirstEvent),
        9 => (any::<usize>(), outcome).prop_map(|(at, outcome)| Step::End(at, outcome)),
        4 => (0u64..20_000).prop_map(Step::Wait),
        2 => (PORTS, verdict).prop_map(|(port, verdict)| Step::HealthStatus(port, verdict)),
        1 => (PORTS, any::<bool>()).prop_map(|(port, draining)| Step::Drain(port, draining)),
        1 => (any_ports(), any_balance()).prop_map(|(ports, balance)| Step::Reload(ports, balance)),
    ]
}

/// Whether one that was not picked should have been: it is well, new to the request, and no probe.
fn better(view: &View, tried: &Tried, ceiling: u32) -> bool {
    let whole = matches!(view.breaker, Some(Standing::Closed | Standing::SlowStart));
    view.up && whole && !tried.contains(view.endpoint) && view.outstanding < ceiling
}

proptest! {
    #![proptest_config(crate::properties::cases(1_500))]

    #[test]
    fn whatever_happens(
        ports in any_ports(),
        balance in any_balance(),
        ceiling in 1..5u32,
        steps in proptest::collection::vec(any_step(), 1..150),
    ) {
        let mut configured = upstream(&ports);
        configured.balance = balance;
        configured.admission.endpoint_concurrency = Some(ceiling);
        configured.admission.max_concurrency = Some(12);
        let mut rig = Rig::new(configured);
        let mut out: Vec<(EndpointId, Pick)> = Vec::new();
        for step in steps {
            match step {
                Step::Pick { key, tried: ports, last_resort } => {
                    let mut tried = Tried::default();
                    ports.into_iter().for_each(|port| tried.add(id(port)));
                    let before: Vec<_> =
                        (0..rig.endpoints.len()).map(|at| rig.endpoints.view(at, rig.now)).collect();
                    let any_better = before.iter().any(|view| better(view, &tried, ceiling));
                    match rig.choose(Search { tried: &tried, key, last_resort, ..FIRST }) {
                        Choice::Endpoint(pick) => {
                            let view = &before[pick.index()];
                            prop_assert!(!view.draining && view.outstanding < ceiling);
                            prop_assert!(view.up != pick.is_panic(), "{view:?}");
                            prop_assert!(!pick.is_panic() || last_resort);
                            prop_assert!(!any_better || !tried.contains(view.endpoint));
                            let half_open = view.breaker == Some(Standing::HalfOpen);
                            prop_assert_eq!(pick.is_probe(), view.up && half_open);
                            prop_assert!(!any_better || tried.is_empty() || !pick.is_probe());
                            out.push((view.endpoint, pick));
                        }
                        Choice::Loading { .. } | Choice::WakeFailed { .. } => prop_assert!(false, "nobody has said so"),
                        Choice::Full => {
                            let full = |view: &View| view.up && view.outstanding >= ceiling;
                            let panics = last_resort;
                            prop_assert!(
                                rig.load.total() == 12 || before.iter().any(full) || panics
                            );
                            prop_assert!(rig.load.total() == 12 || !any_better);
                        }
                        Choice::None { until } => {
                            prop_assert!(before.iter().all(|view| !view.up));
                            prop_assert!(until > rig.now);
                        }
                    }
                }
                Step::FirstEvent(at) if !out.is_empty() => {
                    let pick = &out[at % out.len()].1;
                    let ttft = Duration::from_millis(at as u64 % 900);
                    rig.endpoints.first_event(pick, Some(ttft), rig.now);
                }
                Step::End(at, outcome) if !out.is_empty() => {
                    let (_, pick) = out.swap_remove(at % out.len());
                    rig.record(pick, outcome);
                }
                Step::FirstEvent(_) | Step::End(..) => {}
                Step::Wait(millis) => rig.now += Duration::from_millis(millis),
                Step::HealthStatus(port, verdict) => {
                    rig.endpoints.set_active_verdict(id(port), verdict, rig.now);
                }
                Step::Drain(port, draining) => rig.endpoints.set_draining(id(port), draining),
                Step::Reload(ports, balance) => {
                    let mut next = upstream(&ports);
                    next.balance = balance;
                    next.admission = rig.upstream.admission.clone();
                    rig.reload(next);
                }
            }
            prop_assert_eq!(rig.load.total() as usize, out.len());
            prop_assert!(rig.endpoints.probes() <= out.iter().filter(|(_, p)| p.is_probe()).count());
            let mut counted: BTreeMap<EndpointId, u32> = BTreeMap::new();
            out.iter().for_each(|(id, _)| *counted.entry(*id).or_default() += 1);
            for at in 0..rig.endpoints.len() {
                // Less: an endpoint that was away for a while starts from zero.
                let exchanges = counted.get(&rig.load.id(at)).copied().unwrap_or(0);
                prop_assert!(rig.load.outstanding(at) <= exchanges.min(ceiling));
            }
        }
        // Everything goes home.
        for (_, pick) in out {
            rig.record(pick, Outcome::Abandoned);
        }
        prop_assert_eq!((rig.load.total(), rig.endpoints.probes()), (0, 0));
    }
}

#[test]
fn who_has_the_next_priority_is_asked_when_nobody_of_the_first_can_be() {
    let mut upstream = upstream(&[1, 2, 3]);
    upstream.endpoints[0].priority = 7;
    upstream.endpoints[2].priority = 9;
    upstream.endpoints[1].priority = 2;
    upstream.admission.endpoint_concurrency = Some(1);
    let mut rig = Rig::new(upstream);
    assert_eq!(rig.asked(FIRST, 20), [1]);
    let held = rig.pick(FIRST);
    assert_eq!((held.index(), rig.asked(FIRST, 20)), (1, vec![0]), "the first is full");
    rig.record(held, Outcome::Fault);
    assert_eq!(rig.asked(ELSEWHERE, 20), [0], "the first is out");
}

#[test]
fn an_endpoint_that_comes_back_soon_is_the_one_it_was_and_counts_what_it_has() {
    let mut rig = Rig::of(&[1, 2]);
    rig.fail(0);
    let open = rig.standing(0);
    let held = rig.pick_at(1);
    let with = |ids: &[u16], version| Upstream { version, ..upstream(ids) };
    rig.reload(with(&[3], 1));
    assert_eq!(rig.endpoints.name_of(id(2)), Some(upstream(&[2]).endpoints[0].name.as_str()));
    assert_eq!(rig.outstanding(), [0]);
    rig.now += Duration::from_secs(1);
    rig.reload(with(&[1, 2], 2));
    assert_eq!((rig.standing(0), rig.outstanding()), (open, vec![0, 1]));
    assert_eq!(
        rig.endpoints.view(1, rig.now).weight_share,
        WHOLE,
        "it does not start slowly again"
    );
    rig.record(held, Outcome::Success);
    assert_eq!(rig.outstanding(), [0, 0]);
    // Long away: a stranger, though it is the same server.
    rig.reload(with(&[3], 3));
    rig.now += Duration::from_secs(61);
    rig.reload(with(&[1, 2], 4));
    assert!(rig.endpoints.view(1, rig.now).weight_share < WHOLE);
    // A set that is older than what is known comes too late.
    rig.reload(with(&[3], 3));
    assert_eq!(rig.endpoints.len(), 2);
}

#[test]
fn what_other_gateways_doubt_is_tried_by_one_request_and_takes_nobodys_place() {
    let mut rig = Rig::of(&[1, 2, 3]);
    assert!(rig.endpoints.suspect(id(2), rig.now));
    assert_eq!(rig.standing(1), Some(Standing::Suspect));
    let trial = rig.pick_at(1);
    assert!(trial.is_probe());
    assert_eq!(rig.asked(FIRST, 20), [0, 2], "one is there");
    // The others are drained: who is doubted is asked all the same.
    rig.endpoints.set_draining(id(1), true);
    rig.endpoints.set_draining(id(3), true);
    assert_eq!(rig.asked(FIRST, 3), [1]);
    assert!(matches!(rig.record(trial, Outcome::Fault), Some(Transition::Opened { .. })));
    assert_eq!(rig.standing(1), Some(Standing::Open));

    // Whose trial is answered is as well as the others.
    let mut rig = Rig::of(&[1, 2, 3]);
    rig.endpoints.suspect(id(2), rig.now);
    let trial = rig.pick_at(1);
    assert_eq!(rig.endpoints.first_event(&trial, None, rig.now), None);
    assert_eq!(rig.endpoints.view(1, rig.now).weight_share, 1_000);
    assert_eq!(rig.asked(FIRST, 20), [0, 1, 2]);
}

#[test]
fn one_endpoint_in_four_is_doubted_at_a_time_and_never_the_last() {
    let mut rig = Rig::of(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let now = rig.now;
    let doubted = [1, 2, 3, 4].map(|one| rig.endpoints.suspect(id(one), now));
    assert_eq!(doubted, [true, true, false, false]);
    let mut rig = Rig::of(&[1, 2]);
    rig.fail(0);
    assert!(!rig.endpoints.suspect(id(2), rig.now), "nobody else is well");
    let mut rig = Rig::of(&[1]);
    assert!(!rig.endpoints.suspect(id(1), rig.now));
}

#[test]
fn what_a_breaker_finds_is_there_for_other_gateways_and_ends() {
    let mut rig = Rig::of(&[1, 2]);
    let broken = |rig: &Rig| [0, 1].map(|at| rig.load.is_broken(at, rig.now));
    assert_eq!(broken(&rig), [false, false]);
    rig.fail(0);
    assert_eq!(broken(&rig), [true, false]);
    rig.now += Duration::from_secs(8);
    assert_eq!(broken(&rig), [true, false], "its probe is due");
    let probe = rig.pick_at(0);
    rig.record(probe, Outcome::Success);
    assert_eq!(broken(&rig), [false, false]);
    rig.now += Duration::from_secs(300);
    rig.fail(1);
    assert_eq!(broken(&rig), [false, true]);
    // Nobody asks it any more.
    rig.now += Duration::from_secs(60);
    assert_eq!(broken(&rig), [false, false]);
}
